"""The op `tok`, which writes the texts of an example into one row of tokens.

The ops before it have prepared the texts: `prompt` chose them and wrote their prefix and suffix,
and `ground` put markup into the suffix.
"""

from collections.abc import Sequence

import numpy as np

from big_rad.pp import prompts
from big_rad.pp import tokenizer as tokenizer_lib
from big_rad.pp.example import Example, MaskSlots, Text, TokenRow
from big_rad.pp.ops import OPS, Op

# Fields of the text that an evaluator may need beside the arrays; "" if the text lacks the field.
_META_FIELDS = ("task", "lang", "question", "question_type", "source", "template", "prefix")


@OPS.register("tok")
def get_tok(
    tokenizer: str = "tiny",
    sets: Sequence[str] = ("detection", "segmentation"),
    length: int = 256,
    max_text: int = 200,
    pack: bool = False,
    answer: bool = True,
    masks: int = 0,
    block: int = 0,
    max_loss: int = 0,
) -> Op:
    """Writes the texts into one row of tokens.

    A text is `<bos> prefix suffix <eos>`. A row holds one text, or with `pack` as many as fit; the
    rest of the row is zeros (`<pad>`). The op adds four arrays, int32 [length + 1]. The model reads
    all positions but the last, and predicts all but the first:

    - `text`: the token ids.
    - `mask_ar`: 1 on the suffix and `<eos>`, whose tokens attend only to themselves and to tokens
      before them; 0 on `<bos>` and the prefix, whose tokens see each other in both directions.
    - `mask_loss`: 1 on the tokens that are learned, which are those of `mask_ar`.
    - `segment`: the number of the text, counted from 1; 0 on padding.

    An example: two texts of one image, "ab" with the answer "cd" and "e" with the answer "f", with
    `pack=True` and `length=11`:

        text       <bos> ab c  d <eos> <bos> e f <eos> <pad> <pad> <pad>
        mask_ar      0   0  1  1   1     0   0 1   1     0     0     0
        mask_loss    0   0  1  1   1     0   0 1   1     0     0     0
        segment      1   1  1  1   1     2   2 2   2     0     0     0
        position     N  +1 +2 +3  +4     N  +1 +2 +3

    The model computes the position from `segment` (see `models.paligemma.make_positions`): each
    text starts again at N, the number of image tokens, and +1 stands for N + 1. In the mask mode
    "image_isolated" each text sees the image and itself, but not the other text. The first token of
    a text, `<bos>`, is never learned. With `block=8` and `length=16`, the second text would start
    at index 8, behind three padding tokens, because it does not fit into the three tokens that the
    first block has left.

    The op also adds `text_bound`, an upper limit of the number of tokens in the row. It holds for
    the same texts even if `augment` loses some of the classes, so that less is marked.

    A text of more than `max_text` tokens (without `<bos>` and `<eos>`) is cut. First the context of
    its prompt is shortened, but it keeps at least half of the tokens that the prompt line leaves;
    then the suffix is cut, never within markup. `<eos>` stays.

    Args:
        tokenizer: the name or file of the tokenizer, see `tokenizer.load`.
        sets: the names of its markup sets.
        length: the number of positions of the row that the model reads.
        max_text: the most tokens of one text.
        pack: whether a row may hold several texts.
        answer: False for evaluation: the row holds only `<bos> prefix` of its one text. The target
            is added as `reference` (with markup), together with the other fields of the text.
        block: with `pack`, the size in tokens of the blocks of a row. A text lies within one
            block, so that attention may be computed block by block; it goes into the first block
            with room. 0 means no blocks.
        max_loss: the most target tokens of a row, so that all rows cost about the same; 0 means
            no limit.
        masks: K > 0 adds `mask_class` and `mask_pos`, int32 [K]: the class id of the k-th mask and
            the position of its `</seg>` in `text`, or 0 and -1 if there is no k-th mask. With
            `pack`, a text is left out if the row has no room for its masks; if one text alone has
            more than K masks, the first K are kept.

    Raises:
        ValueError: An argument is outside its range or does not fit the others, or `masks` is
            given without the markup set "segmentation".
        FileNotFoundError: The tokenizer does not exist.
    """
    tok = tokenizer_lib.load(tokenizer, tuple(sets))
    budget = check_row(length, max_text, pack, block, max_loss, masks)
    if masks and "</seg>" not in tok.markup:
        raise ValueError(f'tok: masks={masks} needs "segmentation" among the sets {tuple(sets)}')

    def _tok(example: Example) -> Example:
        texts = example["texts"]
        _check_texts(texts, several=pack and answer)
        row, classes, positions, bound = _Row(length + 1, block, max_loss), [], [], 0
        for text in texts:
            prefix, suffix, most = fit(tok, text, budget, answer)
            bound += most + 1 + answer
            ends = _mask_ends(tok, suffix) if masks and answer else []
            if ends and positions and len(positions) + len(ends) > masks:
                continue
            start = row.add([tok.bos_id, *prefix], [*suffix, tok.eos_id] if answer else [])
            if start is None:
                bound = length + 1  # With less markup, further texts might have fitted in.
                if block:
                    continue
                break
            positions += [start + 1 + len(prefix) + i for i in ends]
            classes += text.get("mask_classes", [])[: len(ends)]
        bound = length + 1 if block else min(bound, length + 1)
        example = example | row.arrays() | {"text_bound": bound}
        if masks:
            example["mask_class"] = _padded(classes, masks, 0)
            example["mask_pos"] = _padded(positions, masks, -1)
        return example if answer else example | _meta(texts[0], example)

    return _tok


def fit(
    tok: tokenizer_lib.Tokenizer, text: Text, budget: int, answer: bool = True
) -> tuple[list[int], list[int], int]:
    """Returns the prefix and suffix tokens of a text, cut to a budget, and an upper limit.

    Args:
        tok: the tokenizer.
        text: the text as `prompt` and `ground` leave it.
        budget: the most tokens of prefix and suffix together.
        answer: False leaves the suffix empty, and does not let it influence the prefix.

    Returns:
        (prefix, suffix, limit). The limit is the most tokens that both may have together if fewer
        classes are shown: their present number (or more, if the answer for an image that lost its
        classes is longer). It is the whole budget if the text was cut, because less markup makes
        a text shorter, and it may then be cut at another place.

    Raises:
        ValueError: Not even the prompt line fits.
    """
    prefix = tok.encode(text["prefix"])
    suffix = tok.encode(text["suffix"], specials=text.get("markup", False)) if answer else []
    excess = len(prefix) + len(suffix) - budget
    if excess <= 0:
        other = tok.encode(text["answer_unseen"]) if answer and "answer_unseen" in text else ()
        return prefix, suffix, min(budget, len(prefix) + max(len(suffix), len(other)))
    context = tok.encode(text["context"])
    rest = budget - (len(prefix) - len(context))
    keep = min(len(context), max(rest // 2, len(context) - excess))
    allowed = len(prefix) - len(context) + keep
    # A piece that spans the end of the cut context may become several pieces, so the new prefix
    # can be longer than was computed; the context is then cut further.
    while len(prefix) > allowed and keep >= 0:
        shorter = tok.decode(context[:keep]).rstrip("\ufffd")
        prefix = tok.encode(
            prompts.prefix(text["task"], text["lang"], shorter, text.get("grounding", "none"))
        )
        keep -= 1
    if len(prefix) > budget:
        raise ValueError(
            f"tok: the prompt line alone has {len(prefix)} tokens, {budget} fit; raise length or "
            "max_text"
        )
    return prefix, cut(tok, suffix, budget - len(prefix)), budget


def cut(tok: tokenizer_lib.Tokenizer, ids: list[int], n: int) -> list[int]:
    """Returns the first n tokens of a target, or fewer.

    The result ends neither within markup nor within a character that takes several tokens.
    """
    if len(ids) <= n:
        return ids
    ids = ids[: max(n, 0)]
    opening = {i for t, i in tok.markup.items() if t in ("<p bbox=", "<seg>")}
    closing = {i for t, i in tok.markup.items() if t in ("</p>", "</seg>")}
    for i in reversed(range(len(ids))):
        if ids[i] in closing:
            break
        if ids[i] in opening:
            ids = ids[:i]
            break
    while ids and tok.decode(ids[-4:]).endswith("\ufffd"):
        ids = ids[:-1]
    return ids


def check_row(
    length: int, max_text: int, pack: bool, block: int, max_loss: int, masks: int = 0
) -> int:
    """Checks the arguments of `tok` that say how a row is filled; see `get_tok` for each.

    Returns:
        the most tokens of the prefix and suffix of one text together.

    Raises:
        ValueError: A number is outside its range, or the numbers do not fit each other.
    """
    for name, value, low in (
        ("length", length, 2),
        ("max_text", max_text, 1),
        ("block", block, 0),
        ("max_loss", max_loss, 0),
        ("masks", masks, 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(f"tok: {name}={value!r} has to be a whole number of at least {low}")
    if 0 < block < 3:
        raise ValueError(f"tok: block={block} has room for no text; give at least 3, or 0")
    if block and (length % block or not pack):
        raise ValueError(f"tok: block={block} needs pack=True and a length ({length}) it divides")
    budget = min(max_text, (block - 2) if block else length - 1)
    if max_loss and max_loss <= budget:
        raise ValueError(
            f"tok: a text may have {budget + 1} target tokens, more than max_loss={max_loss}, and "
            "would never be learned; lower max_text or raise max_loss"
        )
    return budget


def _check_texts(texts: Sequence[Text], several: bool) -> None:
    """Checks that `prompt` and `ground` have run, and that a row can hold this many texts."""
    if any("prefix" not in t for t in texts):
        raise ValueError("tok: put prompt(...) before it")
    if any(t["grounded"] and "markup" not in t for t in texts):
        raise ValueError("tok: a text is grounded but not marked; put ground(...) before it")
    if len(texts) != 1 and not several:
        raise ValueError(
            f"tok: {len(texts)} texts for one row; draw one with prompt(n=1), or tok(pack=True) in "
            "training"
        )


class _Row:
    """A row of tokens that is filled block by block; with `block` 0 the row is one block."""

    def __init__(self, size: int, block: int, max_loss: int):
        self._tokens = np.zeros(size, np.int32)
        self._learned = np.zeros(size, np.int32)
        self._segment = np.zeros(size, np.int32)
        self._used = [0] * ((size - 1) // block if block else 1)
        self._block = block or size
        self._loss_left = max_loss or size

    def add(self, seen: list[int], learned: list[int]) -> int | None:
        """Puts a text into the first block with room for it.

        Args:
            seen: the tokens that are only read, `<bos> prefix`.
            learned: the tokens that are learned, `suffix <eos>`, or none.

        Returns:
            the index in the row at which the text starts, or None if it does not fit.
        """
        count = len(seen) + len(learned)
        fitting = (i for i, used in enumerate(self._used) if used + count <= self._block)
        if len(learned) > self._loss_left or (i := next(fitting, None)) is None:
            return None
        start = i * self._block + self._used[i]
        middle, end = start + len(seen), start + count
        self._tokens[start:middle], self._tokens[middle:end] = seen, learned
        self._learned[middle:end] = 1
        self._segment[start] = 1  # This marks the start of a text; `arrays` numbers the texts.
        self._used[i] += count
        self._loss_left -= len(learned)
        return start

    def arrays(self) -> dict[str, TokenRow]:
        segment = np.cumsum(self._segment, dtype=np.int32) * (self._tokens != 0)
        return {
            "text": self._tokens,
            "mask_ar": self._learned,
            "mask_loss": self._learned.copy(),
            "segment": segment.astype(np.int32),
        }


def _mask_ends(tok: tokenizer_lib.Tokenizer, suffix: list[int]) -> list[int]:
    end = tok.markup.get("</seg>")
    return [i for i, token in enumerate(suffix) if token == end]


def _padded(values: list[int], size: int, fill: int) -> MaskSlots:
    result = np.full(size, fill, np.int32)
    result[: min(len(values), size)] = values[:size]
    return result


def _meta(text: Text, example: Example) -> Example:
    meta: Example = {k: text.get(k) or "" for k in _META_FIELDS}
    meta["choices"] = list(text.get("choices") or ())
    meta["keywords"] = [list(k) for k in text["keywords"]]
    meta["reference"] = text["suffix"]
    meta["mask_classes"] = list(text.get("mask_classes") or ())
    meta["mask_input"] = (example["text"] != 0).astype(np.int32)
    return meta
