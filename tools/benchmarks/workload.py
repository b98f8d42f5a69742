"""Synthetic examples with the lengths of the real ones, and batches of them for every way.

Lengths: a text is a prefix, which all of it sees, and a causal suffix, which is learned. The prefix
is log-normal with mean 30 tokens and sigma 0.55, the suffix log-normal with mean 23 and sigma 0.8;
both are drawn at evenly spaced quantiles, so that a few examples already have the distribution, and
cut so that a text fits 200. The model reads all but the last token: 52 on average, most of them 25
to 90, a few up to 200. The loss is at the 23 of the suffix. Token ids and pixels are random, fixed
by a seed. An example is the same whatever batch it is in, so all ways do the same useful work.
"""

import dataclasses
import statistics
from collections.abc import Sequence

import ml_collections
import numpy as np

BUCKETS = (32, 48, 64, 80, 96, 128, 200)
LONGEST = 200
MASKS = 2  # used, of each text with masks
_PREFIX, _SUFFIX = (30, 0.55), (23, 0.8)  # mean and sigma
_MASK_SLOTS, _CLASSES = 8, 30
_BOS, _FIRST = 2, 4  # ids below the first are special

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Lengths of texts, one image each, in the order of their length.

    Attributes:
        prefix: i64 [N], tokens of the prompt, the first of them <bos>.
        suffix: i64 [N], tokens that are learned.
    """

    prefix: np.ndarray
    suffix: np.ndarray

    @property
    def stored(self) -> np.ndarray:
        """All tokens of each text, i64 [N]; the model reads one less."""
        return self.prefix + self.suffix

    def part(self, start: int, stop: int) -> "Examples":
        """Returns the examples from `start` up to `stop`."""
        return Examples(self.prefix[start:stop], self.suffix[start:stop])


def draw(count: int, seed: int = 0) -> Examples:
    """Draws the lengths of `count` examples, see above."""
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
    """Deals examples into batches, neighbours in length together, as the input pipeline does.

    Args:
        examples: what to deal; their number is a multiple of `rows` x `texts`.
        config: a recipe, for image size, vocabulary, and whether there are masks.
        rows: of a batch.
        buckets: text lengths; a batch is cut to the shortest that holds it. () pads to 200.
        texts: of a row, which share its image and lie in blocks of the bucket's length.
        seed: of pixels and ids.

    Returns:
        Batches as the trainer gets them; with several texts a row also `segment`.
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
    """Returns the text positions that a batch gives each text: the shortest bucket that holds them.

    Args:
        stored: i64 [N], tokens of the batch's texts.
        buckets: text lengths; those that fit none of them get 200.
        texts: of a row.
    """
    # In a row of its own a text's last token is not read, only predicted.
    return next((b for b in buckets if b >= int(stored.max()) - (texts == 1)), LONGEST)


def _row(
    examples: Examples,
    numbers: Sequence[int],
    block: int,
    config: ml_collections.ConfigDict,
    seed: int,
) -> dict[str, np.ndarray]:
    # One row of tokens, [texts x block + 1].
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
