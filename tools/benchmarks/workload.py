"""Synthetic examples with the text lengths of the real data, and their batches for every way.

A text is a prefix, to which all its tokens attend, and a causal suffix, which is learned. Their
lengths have log-normal distributions: the prefix with mean 30 tokens and sigma 0.55, the suffix
with mean 23 and sigma 0.8. Lengths are drawn at evenly spaced quantiles, so that even a few
examples have the right distribution. They are cut so that a text has at most 200 tokens.

The model reads all tokens but the last: 52 on average, 25 to 90 in most texts, and up to 199 in a
few. The loss is at the tokens of the suffix. Token ids and pixels are random, fixed by a seed. An
example is the same in whichever batch it is, so that all ways do the same useful work.
"""

import dataclasses
import statistics
from collections.abc import Sequence

import ml_collections
import numpy as np

BUCKETS = (32, 48, 64, 80, 96, 128, 200)
LONGEST = 200
MASKS = 2  # The number of masks of each text, if the model makes masks.
_PREFIX, _SUFFIX = (30, 0.55), (23, 0.8)  # Pairs (mean, sigma).
_MASK_SLOTS, _CLASSES = 8, 30
_BOS, _FIRST = 2, 4  # Ids below _FIRST are special.

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Examples:
    """The lengths of texts, each with an image of its own, from the shortest to the longest.

    Attributes:
        prefix: i64 [N], the number of tokens in the prefix of each text, <bos> included.
        suffix: i64 [N], the number of tokens in the suffix of each text, which are learned.
    """

    prefix: np.ndarray
    suffix: np.ndarray

    @property
    def stored(self) -> np.ndarray:
        """The number of all tokens of each text, i64 [N]. The model reads one less."""
        return self.prefix + self.suffix

    def part(self, start: int, stop: int) -> "Examples":
        """Returns the examples from `start` up to, but not including, `stop`."""
        return Examples(self.prefix[start:stop], self.suffix[start:stop])


def draw(count: int, seed: int = 0) -> Examples:
    """Draws the lengths of examples from the distribution at the top of this module.

    Args:
        count: the number of examples.
        seed: the seed of the random order in which prefixes and suffixes are combined.
    """
    rng = np.random.default_rng(seed)

    def lengths(mean: float, sigma: float, low: int, high: int) -> np.ndarray:
        quantiles = (rng.permutation(count) + 0.5) / count
        normal = np.array([statistics.NormalDist().inv_cdf(q) for q in quantiles])
        drawn = np.exp(np.log(mean) - sigma**2 / 2 + sigma * normal)
        return np.clip(np.rint(drawn).astype(int), low, high)

    prefix = lengths(*_PREFIX, low=4, high=120)
    suffix = np.minimum(lengths(*_SUFFIX, low=2, high=LONGEST), LONGEST - prefix)
    order = np.argsort(prefix + suffix, kind="stable")
    return Examples(prefix[order], suffix[order])


def batches(
    examples: Examples,
    config: ml_collections.ConfigDict,
    *,
    rows: int,
    buckets: Sequence[int] = (),
    texts: int = 1,
    seed: int = 0,
) -> list[Batch]:
    """Deals examples into batches of texts with similar lengths, as the input pipeline does.

    Args:
        examples: the examples, whose number is a multiple of `rows` x `texts`.
        config: a config, which gives the image size, the vocabulary, and whether there are masks.
        rows: the number of rows in a batch.
        buckets: text lengths. A batch is padded to the shortest one that holds its texts; () pads
            to 200.
        texts: the number of texts in a row. They share the image of the row, and each lies in a
            block of the bucket's length.
        seed: the seed of pixels and token ids.

    Returns:
        The batches as the trainer gets them. With several texts per row they also have `segment`.

    Raises:
        ValueError: the number of examples is not a multiple of `rows` x `texts`.
    """
    size, each = config.image.size, rows * texts
    if len(examples.stored) % each:
        raise ValueError(f"{len(examples.stored)} examples do not divide into batches of {each}")
    result = []
    for start in range(0, len(examples.stored), each):
        block = block_of(examples.stored[start : start + each], buckets, texts)
        made = [
            _row(examples, range(i, i + texts), block, config, seed)
            for i in range(start, start + each, texts)
        ]
        batch = {name: np.stack([row[name] for row in made]) for name in made[0]}
        rng = np.random.default_rng([seed, start])
        batch["image"] = rng.uniform(-1, 1, (rows, size, size, 3)).astype(np.float32)
        if "mask_pos" in batch:
            batch["segmap"] = rng.integers(0, _CLASSES, (rows, size, size)).astype(np.uint8)
        result.append(batch)
    return result


def block_of(stored: np.ndarray, buckets: Sequence[int], texts: int = 1) -> int:
    """Returns the number of positions for each text of a batch: the shortest bucket that holds all.

    Example: the longest text has 65 tokens, and the buckets are 64 and 80. Alone in its row, the
    text needs 64 positions, since its last token is only predicted and never read. With two texts
    per row, each gets 80.

    Args:
        stored: i64 [N], the number of tokens of each text in the batch.
        buckets: text lengths. If no bucket is long enough, the result is 200.
        texts: the number of texts in a row.
    """
    return next((b for b in buckets if b >= int(stored.max()) - (texts == 1)), LONGEST)


def _row(
    examples: Examples,
    numbers: Sequence[int],
    block: int,
    config: ml_collections.ConfigDict,
    seed: int,
) -> dict[str, np.ndarray]:
    # Returns one row, whose token arrays have the shape [texts x block + 1].
    length = block * len(numbers) + 1
    text, suffix, segment = (np.zeros(length, np.int32) for _ in range(3))
    mask_pos: list[int] = []
    for place, number in enumerate(numbers):
        p, n = int(examples.prefix[number]), int(examples.stored[number])
        first = place * block
        ids = np.random.default_rng([seed, number]).integers(
            _FIRST, config.model.llm.vocab_size - 1, n
        )
        text[first : first + n] = [_BOS, *ids[1:]]
        suffix[first + p : first + n] = 1
        segment[first : first + n] = place + 1
        mask_pos += [first + n - 2 - k for k in range(MASKS)]
    row = {"text": text, "mask_ar": suffix, "mask_loss": suffix}
    if len(numbers) > 1:
        row["segment"] = segment
    if config.model.get("mask_decoder"):
        spare = max(_MASK_SLOTS * len(numbers) - len(mask_pos), 0)
        row["mask_pos"] = np.array(mask_pos + [-1] * spare, np.int32)
        classes = [1 + k % (_CLASSES - 1) for k in range(len(mask_pos))]
        row["mask_class"] = np.array(classes + [0] * spare, np.int32)
    return row
