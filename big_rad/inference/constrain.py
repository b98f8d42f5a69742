"""Decoding under a grammar: whatever a model writes can be read, and ends within its budget.

A model may write a tag that cannot be read, such as a box whose right edge lies left of its left
edge, or leave a tag open when its tokens run out. `Grammar` is a table that says which ids may come
next, and a picker (`pickers.PerRow`) lets only these through, on the device and row by row. A row
goes through these states:

    free --<p bbox=--> loc 1 -> loc 2 -> loc 3 -> loc 4 -> " " -> id= -> <segNNN> -> ">" -> phrase
    free --<seg>--> phrase                     phrase: a first piece, more pieces, </p> or </seg>

- The third coordinate lies behind the first and the fourth behind the second, whichever of x and y
  the codec writes first. The first two are therefore never the last place that there is.
- A tag opens only if enough tokens are left to close it and to end the text.
- With one token left, only the end of the text may follow.
- A phrase begins with a piece that has a visible character, since a phrase of white space alone
  cannot be read. Location and class tokens appear in tags only.

Log probabilities stay those of the model without the grammar. Each row counts how often the grammar
changed the choice.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt

from big_rad.grounding import classes
from big_rad.grounding.codec import BoxCodec
from big_rad.inference.state import PickerState

if TYPE_CHECKING:  # Measuring decoding needs no tokenizer's packages.
    from big_rad.pp.tokenizer import Tokenizer

MAX_MASKS = 16

# What a row waits for.
_FREE, _LOC1, _LOC2, _LOC3, _LOC4, _SPACE, _ID, _CLASS, _BRACKET = range(9)
_BOX_FIRST, _BOX_MORE, _SEG_FIRST, _SEG_MORE = range(9, 13)
# What it may take instead, because of its budget or its number of masks.
_NO_BOX, _NO_SEG, _NO_TAG, _END, _BOX_CLOSE, _SEG_CLOSE = range(13, 19)

# Kinds of ids. White space and bytes are blank; a single space and ">" have a place in tags.
_KINDS = (
    "never", "blank", "space", "visible", "bracket", "bracket_and_more", "end", "location",
    "class", "open_box", "close_box", "id", "open_seg", "close_seg",
)  # fmt: skip
_TEXT = ("blank", "space", "visible", "bracket", "bracket_and_more")
_SEEN = ("visible", "bracket", "bracket_and_more")

# state -> kind -> the state after an id of that kind; what is not listed may not follow.
_NEXT: dict[int, dict[str, int]] = {
    _FREE: dict.fromkeys((*_TEXT, "end"), _FREE) | {"open_box": _LOC1, "open_seg": _SEG_FIRST},
    _LOC1: {"location": _LOC2},
    _LOC2: {"location": _LOC3},
    _LOC3: {"location": _LOC4},
    _LOC4: {"location": _SPACE},
    _SPACE: {"space": _ID, "id": _CLASS},
    _ID: {"id": _CLASS},
    _CLASS: {"class": _BRACKET},
    _BRACKET: {"bracket": _BOX_FIRST, "bracket_and_more": _BOX_MORE},
    _BOX_FIRST: dict.fromkeys(_SEEN, _BOX_MORE),
    _BOX_MORE: dict.fromkeys(_TEXT, _BOX_MORE) | {"close_box": _FREE},
    _SEG_FIRST: dict.fromkeys(_SEEN, _SEG_MORE),
    _SEG_MORE: dict.fromkeys(_TEXT, _SEG_MORE) | {"close_seg": _FREE},
}
# What of it stays at the limits.
_STATES: dict[int, frozenset[str]] = {s: frozenset(kinds) for s, kinds in _NEXT.items()} | {
    _NO_BOX: frozenset(_NEXT[_FREE]) - {"open_box"},
    _NO_SEG: frozenset(_NEXT[_FREE]) - {"open_seg"},
    _NO_TAG: frozenset(_NEXT[_FREE]) - {"open_box", "open_seg"},
    _END: frozenset({"end"}),
    _BOX_CLOSE: frozenset({"close_box"}),
    _SEG_CLOSE: frozenset({"close_seg"}),
}
_BOX_BUDGET = 12  # `<p bbox=`, 4 locations, " ", `id=`, a class, ">", a piece, `</p>`, the end
_SEG_BUDGET = 4  # `<seg>`, a piece, `</seg>`, the end


@dataclasses.dataclass(frozen=True, eq=False)
class Grammar:
    """Which ids may follow, as arrays over the V ids of a tokenizer.

    Attributes:
        kind: what each id is, a place in a list of kinds.
        allowed: a bit for each state in which the id may follow.
        place: for a location, the place of its coordinate among all of the codec's; else 0.
        places: how many places there are.
        max_masks: the most `<seg>` of a text.
    """

    kind: Int[np.ndarray, " ids"]
    allowed: UInt[np.ndarray, " ids"]
    place: Int[np.ndarray, " ids"]
    places: int
    max_masks: int = MAX_MASKS

    def start(self, rows: int) -> PickerState:
        """Returns the arrays of rows that begin: where each row is in the grammar."""
        zeros = jnp.zeros(rows, jnp.int32)
        return {"waits_for": zeros, "first": zeros, "second": zeros, "masks": zeros}

    def limits(self, table_rows: int, mine: PickerState, left: Int[Array, " rows"]) -> "Limits":
        """Returns which ids each row may take next.

        Args:
            table_rows: The rows of the embedding table, padding included.
            mine: The arrays of `start`, as `move` returned them last.
            left: How many tokens each row may still get.
        """
        may = mine["waits_for"]
        # A tag that cannot end any more, or one mask too many, may not begin.
        box = left >= _BOX_BUDGET
        seg = (left >= _SEG_BUDGET) & (mine["masks"] < self.max_masks)
        free = jnp.select([box & seg, seg, box], [_FREE, _NO_BOX, _NO_SEG], _NO_TAG)
        may = jnp.where(may == _FREE, jnp.where(left <= 1, _END, free), may)
        may = jnp.where((may == _BOX_MORE) & (left <= 2), _BOX_CLOSE, may)
        may = jnp.where((may == _SEG_MORE) & (left <= 2), _SEG_CLOSE, may)
        # Places of locations that may follow: above `low` and up to `high`.
        second = jnp.where(may == _LOC4, mine["second"], -1)
        low = jnp.where(may == _LOC3, mine["first"], second)
        last = self.places - 1
        high = jnp.where((may == _LOC1) | (may == _LOC2), last - 1, last)
        pad = (0, table_rows - len(self.kind))
        allowed = jnp.asarray(np.pad(self.allowed, pad))
        place = jnp.asarray(np.pad(self.place, pad))
        return Limits(allowed, place, may, low, high)

    def move(self, token: Int[Array, " rows"], mine: PickerState, limits: "Limits") -> PickerState:
        """Returns the arrays after each row has taken a token that `limits` allows."""
        kind = jnp.asarray(self.kind)[jnp.minimum(token, len(self.kind) - 1)]
        place = limits.place[token]
        masks = mine["masks"] + (kind == _KINDS.index("open_seg"))
        first = jnp.where(mine["waits_for"] == _LOC1, place, mine["first"])
        second = jnp.where(mine["waits_for"] == _LOC2, place, mine["second"])
        after = jnp.asarray(_TRANSITIONS)[mine["waits_for"], kind]
        return {"waits_for": after, "first": first, "second": second, "masks": masks}


def make_grammar(
    tokenizer: "Tokenizer",
    codec: BoxCodec,
    kinds: Sequence[str] = ("boxes", "masks"),
    never: Iterable[int] = (),
    max_masks: int = MAX_MASKS,
) -> Grammar:
    """Makes the grammar of a model's texts.

    Args:
        tokenizer: The model's tokenizer. A tag whose tokens it does not have is never opened.
        codec: How the model writes boxes.
        kinds: What the model may point with.
        never: Ids that are never predicted, such as markup tokens that were not trained. A tag that
            would need one of them is never opened.
        max_masks: The most masks of a text.

    Raises:
        ValueError: The tokenizer has no single piece for " " or ">", which a tag of a box needs, or
            a text could not end, because `never` holds the end or every piece.
    """
    kind = _kinds_of(tokenizer, codec, frozenset(map(int, never)))
    count = {name: int((kind == i).sum()) for i, name in enumerate(_KINDS)}
    places, place = _places(tokenizer, codec)
    if not count["end"] or not count["visible"]:
        raise ValueError("the ids that are never predicted hold <eos> or all pieces of text")
    closed = set()
    if "boxes" in kinds and count["open_box"]:
        needs = ("location", "id", "class", "close_box")
        if all(count[n] for n in needs):
            _check_pieces(count, tokenizer)
        else:
            closed.add("open_box")
    else:
        closed.add("open_box")
    if "masks" not in kinds or not count["close_seg"] or max_masks < 1:
        closed.add("open_seg")
    bits = [sum(1 << s for s, may in _STATES.items() if n in may) for n in _KINDS]
    for name in closed:
        bits[_KINDS.index(name)] = 0
    return Grammar(kind, np.array(bits, np.uint32)[kind], place, places, max_masks)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What each of B rows may take next, out of the V rows of the embedding table."""

    allowed: UInt[Array, " ids"]
    place: Int[Array, " ids"]
    may: Int[Array, " rows"]
    low: Int[Array, " rows"]
    high: Int[Array, " rows"]

    def allow(self, token: Int[Array, " rows"]) -> Bool[Array, " rows"]:
        """Returns whether each row may take its token."""
        return self._fit(self.allowed[token], self.place[token], self.may, self.low, self.high)

    def all(self) -> Bool[Array, "rows ids"]:
        """Returns which ids each row may take."""
        may, low, high = self.may[:, None], self.low[:, None], self.high[:, None]
        return self._fit(self.allowed, self.place, may, low, high)

    @staticmethod
    def _fit(allowed: Array, place: Array, may: Array, low: Array, high: Array) -> Array:
        bit = (allowed >> may.astype(jnp.uint32)) & 1
        return (bit == 1) & (place > low) & (place <= high)


_TRANSITIONS = np.array(
    [[_NEXT[s].get(kind, s) for kind in _KINDS] for s in range(len(_NEXT))], np.int32
)


def _kinds_of(
    tokenizer: "Tokenizer", codec: BoxCodec, never: frozenset[int]
) -> Int[np.ndarray, " ids"]:
    kind = np.full(tokenizer.vocab_size, _KINDS.index("never"), np.int32)
    for i, piece in enumerate(tokenizer.pieces()):
        if piece is not None:
            kind[i] = _KINDS.index(_kind_of(piece))
    kind[tokenizer.loc_ids[: codec.max_bin + 1]] = _KINDS.index("location")
    kind[tokenizer.seg_ids[1 : classes.NUM_CLASSES + 1]] = _KINDS.index("class")
    kind[tokenizer.eos_id] = _KINDS.index("end")
    names = {"<p bbox=": "open_box", "</p>": "close_box", "id=": "id"}
    names |= {"<seg>": "open_seg", "</seg>": "close_seg"}
    for token, i in tokenizer.markup.items():
        kind[i] = _KINDS.index(names[token])
    kind[[i for i in never if i < len(kind)]] = _KINDS.index("never")
    return kind


def _kind_of(piece: bytes | str) -> str:
    if isinstance(piece, bytes):  # One that is no character by itself may be half of one.
        piece = piece.decode() if piece.isascii() else ""
    if not piece.strip():
        return "space" if piece == " " else "blank"
    if not piece.startswith(">"):
        return "visible"
    return "bracket_and_more" if piece[1:].strip() else "bracket"


def _places(tokenizer: "Tokenizer", codec: BoxCodec) -> tuple[int, Int[np.ndarray, " ids"]]:
    # Two bins may stand for one coordinate (those of a coarser grid): they have the same place.
    bins = range(codec.max_bin + 1)
    x1 = [codec.decode((b, b, b, b))[0] for b in bins]
    coordinates, ranks = np.unique(x1, return_inverse=True)
    place = np.zeros(tokenizer.vocab_size, np.int32)
    place[tokenizer.loc_ids[: len(ranks)]] = ranks
    return len(coordinates), place


def _check_pieces(count: dict[str, int], tokenizer: "Tokenizer") -> None:
    for text, name in ((" ", "space"), (">", "bracket")):
        if not count[name] or len(tokenizer.encode(text)) != 1:
            raise ValueError(
                f"{tokenizer} has no single piece for {text!r}, which the tag of a box needs; "
                "decode without constraints"
            )
