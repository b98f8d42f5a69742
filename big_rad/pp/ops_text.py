"""The op that makes the texts one row of tokens.

Knows nothing of pixels, nor of how a text was chosen and marked: `prompt` and `ground` did that.
"""

from collections.abc import Sequence

import numpy as np

from big_rad.pp import prompts
from big_rad.pp import tokenizer as tokenizer_lib
from big_rad.pp.example import Example, MaskSlots, Row, Text
from big_rad.pp.ops import OPS, Op

# Fields of the text that an evaluator may need beside the arrays; "" where a text has none.
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

    A text is `<bos> prefix suffix <eos>`; a row holds one, or with `pack` as many as fit, then
    zeros. Adds, all int32 [length + 1] (the model sees all but the last, and predicts all but
    the first): `text`; `mask_ar`, 1 on suffix and `<eos>`; `mask_loss`, the same; `segment`, the
    number of the text from 1, 0 on padding. Also adds `text_bound`, an int: with the same texts, if
    no other classes are shown but perhaps fewer, no row takes up more tokens than this.

    A text of more than `max_text` tokens (without `<bos>` and `<eos>`) is cut: first the context
    of its prompt, to no less than half of what the prompt line leaves, then the suffix, never
    within markup. `<eos>` stays.

    Args:
        tokenizer: name or file, see `tokenizer.load`.
        sets: markup token sets.
        length: positions of the row that the model sees.
        max_text: the most tokens of one text.
        pack: several texts in a row.
        answer: False for evaluation: the row holds `<bos> prefix` of the one text; the target is
            left beside it as `reference` (with markup), and so are the text's fields.
        block: with `pack`, a text never crosses a border of this many tokens, so that attention
            may be computed block by block; each text goes to the first block with room. 0: no
            borders.
        max_loss: the most target tokens of a row, 0 for any, so that rows cost alike.
        masks: K > 0 adds int32 [K] `mask_class` and `mask_pos`: class id of the k-th mask and
            position of its `</seg>` in `text`; 0 and -1 where unused. With `pack`, a text whose
            masks the row has no room for is left out; of one text, the first K have a place.
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
                bound = length + 1  # With less markup, others might have fitted in.
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
    """Returns prefix and suffix tokens of a text, cut to a budget, and the most they may be.

    The third is the number of tokens of both, or the budget if they were cut: less markup makes a
    text shorter, but it may then be cut at another place.

    Args:
        tok: the tokenizer.
        text: as `prompt` and `ground` leave it.
        budget: the most tokens of both together.
        answer: False leaves the suffix empty, and does not let it influence the prefix.

    Raises:
        ValueError: not even the prompt line fits.
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
    while len(prefix) > allowed and keep >= 0:  # cutting may part a piece that spans the end
        shorter = tok.decode(context[:keep]).rstrip("\ufffd")
        prefix = tok.encode(
            prompts.full(text["task"], text["lang"], shorter, text.get("grounding", "none"))
        )
        keep -= 1
    if len(prefix) > budget:
        raise ValueError(
            f"tok: the prompt line alone has {len(prefix)} tokens, {budget} fit; raise length or "
            "max_text"
        )
    return prefix, cut(tok, suffix, budget - len(prefix)), budget


def cut(tok: tokenizer_lib.Tokenizer, ids: list[int], n: int) -> list[int]:
    """Returns at most n tokens of a target, ending neither within markup nor within a character."""
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
    """Checks how `tok` is to fill a row; see `get_tok` for the arguments.

    Returns:
        The most tokens of prefix and suffix together.

    Raises:
        ValueError: a number is outside its range, or the numbers do not fit each other.
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
    """Checks that `prompt` and `ground` have been there, and that a row can take the texts."""
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
    """A row of tokens that is filled block by block; without blocks it is one."""

    def __init__(self, size: int, block: int, max_loss: int):
        self._tokens = np.zeros(size, np.int32)
        self._learned = np.zeros(size, np.int32)
        self._segment = np.zeros(size, np.int32)
        self._used = [0] * ((size - 1) // block if block else 1)
        self._block = block or size
        self._loss_left = max_loss or size

    def add(self, seen: list[int], learned: list[int]) -> int | None:
        """Puts a text into the first block with room; returns where it starts, None if nowhere."""
        count = len(seen) + len(learned)
        fitting = (i for i, used in enumerate(self._used) if used + count <= self._block)
        if len(learned) > self._loss_left or (i := next(fitting, None)) is None:
            return None
        start = i * self._block + self._used[i]
        middle, end = start + len(seen), start + count
        self._tokens[start:middle], self._tokens[middle:end] = seen, learned
        self._learned[middle:end] = 1
        self._segment[start] = 1  # Marks the start; `arrays` numbers them.
        self._used[i] += count
        self._loss_left -= len(learned)
        return start

    def arrays(self) -> dict[str, Row]:
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
