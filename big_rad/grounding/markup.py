"""Grounding markup in text: written into sentences, read from generated text, taken out again.

Boxes: `<p bbox=<locXXXX><locXXXX><locXXXX><locXXXX> id=<segNNN>>keyword</p>`, NNN the class id.
Masks: `<seg>keyword</seg>`, the k-th `</seg>` of a text belonging to its k-th mask.

Reading never fails: whatever is wrong becomes a `ParseProblem` and the visible text is recovered.
Knows nothing of tokenizers, pixels or how a keyword was found to name a class.
"""

import dataclasses
import enum
import re
import unicodedata
from collections.abc import Iterator, Sequence

from big_rad.grounding.classes import NUM_CLASSES
from big_rad.grounding.codec import Box, BoxCodec
from big_rad.grounding.unicode import nfc

MODES = ("boxes", "masks")


@dataclasses.dataclass(frozen=True)
class Mention:
    """A phrase to be grounded: the words as they stand in the sentence, and what they name.

    Attributes:
        keyword: the phrase; its inflected form, if that is what the sentence holds.
        class_id: 1..121.
        box: (x1, y1, x2, y2) in 0..1; None if the class is not in the image.
        start: where in the sentence the phrase stands; None for every place where it does.
    """

    keyword: str
    class_id: int
    box: Sequence[float] | None = None
    start: int | None = None

    def __post_init__(self):
        if not self.keyword.strip():
            raise ValueError("Mention.keyword is empty; leave the mention out")


class ProblemKind(enum.Enum):
    """What can be wrong with the markup of a text."""

    MALFORMED_TAG = "the opening tag is not 4 locations, id= and one class"
    BIN_OUT_OF_RANGE = "a location is not a bin of the box codec"
    EMPTY_BOX = "the box is inverted or has no area"
    UNKNOWN_CLASS = "the class id is not in 1..121"
    EMPTY_KEYWORD = "there is no text between the tags"
    NESTED = "a tag opens inside another"
    UNCLOSED = "a tag is never closed"
    UNOPENED = "a closing tag has no opening one"
    STRAY = "location or class tokens outside a tag"


@dataclasses.dataclass(frozen=True)
class ParseProblem:
    """One thing wrong with the markup: what, where in the text parsed, and the characters there."""

    kind: ProblemKind
    position: int
    excerpt: str


@dataclasses.dataclass(frozen=True)
class Entity:
    """A grounded phrase read from a text.

    Attributes:
        phrase: the words between the tags, without outer white space.
        class_id: 1..121, or 0 if unknown (always with masks, whose markup names no class).
        box: (x1, y1, x2, y2) in 0..1; None with masks or if the box could not be read.
        mask_index: which mask of the text it is; None with boxes.
        span: (start, end) of the phrase in the visible text.
    """

    phrase: str
    class_id: int
    box: Box | None
    mask_index: int | None
    span: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A text read: the visible text, its entities in order, and what was wrong with the markup."""

    text: str
    entities: tuple[Entity, ...]
    problems: tuple[ParseProblem, ...]

    @property
    def valid(self) -> bool:
        """Whether all markup is well formed (a text without any is)."""
        return not self.problems


def render(
    sentence: str, mentions: Sequence[Mention], mode: str = "boxes", codec: BoxCodec | None = None
) -> str:
    """Writes markup around the mentions that occur in a sentence; see `locate` for which do.

    Args:
        sentence: the text; its own characters are all kept, in order.
        mentions: what may be marked.
        mode: "boxes" or "masks".
        codec: writes the boxes; needed for "boxes" only.

    Returns:
        The sentence with markup; `strip` gives the sentence back if it held no markup before.

    Raises:
        ValueError: unknown mode, "boxes" without a codec, a class id outside 1..121 or a box the
            codec refuses.
    """
    if mode == "boxes" and codec is None:
        raise ValueError("render: mode 'boxes' needs a codec; see big_rad.grounding.codec")
    parts, done = [], 0
    for start, end, mention in locate(sentence, mentions, mode):
        parts += [sentence[done:start], _opening(mention, mode, codec)]
        parts += [sentence[start:end], "</p>" if mode == "boxes" else "</seg>"]
        done = end
    return "".join(parts) + sentence[done:]


def locate(
    sentence: str, mentions: Sequence[Mention], mode: str = "boxes"
) -> list[tuple[int, int, Mention]]:
    """Where a sentence would be marked, in order; with masks, the k-th has the k-th mask.

    Longest keywords claim their words first, then no shorter one may. Keywords are whole words
    (`Leber` is not found in `Leberläsion`; a hyphen ends a word), found in any case, in composed or
    decomposed Unicode and across any white space, never in or across markup already there. Every
    occurrence counts, or only the one at `start` of a mention that has one. Of mentions with the
    same keyword at the same place ("both kidneys" as two classes) the first one with a box is
    taken, since a phrase holds one box. With boxes, a mention that has none claims its words but
    stays plain, so no part of it is marked instead.

    Args:
        sentence: the text.
        mentions: what may be marked.
        mode: "boxes" or "masks".

    Returns:
        (start, end, mention) for every place, not overlapping, by start.

    Raises:
        ValueError: unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"markup mode is {mode!r}; use 'boxes' or 'masks'")
    plain = {id(m) for m in mentions if mode == "boxes" and m.box is None}
    taken = [(start, end, None) for start, end in _protected(sentence)]
    for m in sorted(mentions, key=lambda m: (-len(nfc(m.keyword.strip())), id(m) in plain)):
        for match in _keyword_pattern(m.keyword).finditer(sentence):
            start, end = match.span()
            if m.start in (None, start) and all(end <= a or b <= start for a, b, _ in taken):
                taken.append((start, end, m))
    marked = [(a, b, m) for a, b, m in taken if m is not None and id(m) not in plain]
    return sorted(marked, key=lambda t: t[:2])


def occurrences(sentence: str, keyword: str) -> list[int]:
    """Where a keyword starts in a sentence, as whole words; see `locate`.

    Args:
        sentence: the text.
        keyword: not empty.
    """
    return [match.start() for match in _keyword_pattern(keyword).finditer(sentence)]


def parse(text: str, codec: BoxCodec) -> Parsed:
    """Reads a text with markup, generated or written; never raises, whatever the text.

    White space between the parts of a tag is accepted. A tag that is closed and holds words gives
    an entity even if its box or class can not be read; one left open gives none.

    Args:
        text: any text.
        codec: the box codec it was written with; texts with masks do not use it.

    Returns:
        Visible text (the same as `strip(text)`), entities and problems.
    """
    reader = _Reader(codec)
    for kind, match in _scan(text):
        reader.read(kind, match)
    return reader.result()


def strip(text: str) -> str:
    """The visible text: markup gone, also broken markup.

    White space is kept as it is, except that a piece of markup removed between two white spaces
    takes the second with it.
    """
    visible = _Visible()
    for kind, match in _scan(text):
        visible.add(match) if kind == "text" else visible.join()
    return visible.text()


_LOC, _CLASS = r"<loc[0-9]{4}>", r"<seg[0-9]{3}>"
_PIECES = re.compile(
    rf"(?P<box><p\s+bbox=(?:\s*(?:{_LOC}|{_CLASS}|id=))*(?:\s*>)?)"
    r"|(?P<mask><seg>)|(?P<endbox></p>)|(?P<endmask></seg>)"
    rf"|(?P<stray>(?:{_LOC}|(?:id=\s*)?{_CLASS}>?)(?:\s*(?:{_LOC}|(?:id=\s*)?{_CLASS}>?))*)"
)
_HEADER = re.compile(rf"<p\s+bbox=\s*((?:{_LOC}\s*){{4}})id=\s*({_CLASS})\s*>")
_EXCERPT = 60


def _scan(text: str) -> Iterator[tuple[str, str | re.Match]]:
    """Yields ("text", str) for visible text and (name of the piece, match) for markup, in order."""
    done = 0
    for match in _PIECES.finditer(text):
        if match.start() > done:
            yield "text", text[done : match.start()]
        yield match.lastgroup, match
        done = match.end()
    if done < len(text):
        yield "text", text[done:]


class _Visible:
    """Collects visible text; at a join, white space on both sides becomes that of the left."""

    def __init__(self):
        self._parts: list[str] = []
        self._joined = False
        self._space = True  # The text so far is empty or ends in white space.
        self.length = 0

    def add(self, text: str) -> None:
        if self._joined and self._space:
            text = text.lstrip()
        if text:
            self._parts.append(text)
            self.length += len(text)
            self._space = text[-1].isspace()
            self._joined = False

    def join(self) -> None:
        self._joined = True

    def text(self) -> str:
        return "".join(self._parts)


class _Reader:
    """The state of `parse`: visible text so far, the tag now open, entities and problems."""

    def __init__(self, codec: BoxCodec):
        self._codec = codec
        self._visible = _Visible()
        self._open: tuple[str, re.Match, int] | None = None  # Kind, match, start in visible text.
        self._masks = 0
        self._entities: list[Entity] = []
        self._problems: list[ParseProblem] = []

    def read(self, kind: str, piece: str | re.Match) -> None:
        if kind == "text":
            self._visible.add(piece)
            return
        self._visible.join()
        if kind in ("box", "mask"):
            if self._open is not None:
                self._problem(ProblemKind.NESTED, piece)
                self._problem(ProblemKind.UNCLOSED, self._open[1])
            self._open = (kind, piece, self._visible.length)
        elif kind == "stray":
            self._problem(ProblemKind.STRAY, piece)
        else:
            self._close(kind.removeprefix("end"), piece)

    def result(self) -> Parsed:
        if self._open is not None:
            self._problem(ProblemKind.UNCLOSED, self._open[1])
        problems = sorted(self._problems, key=lambda p: p.position)
        return Parsed(self._visible.text(), tuple(self._entities), tuple(problems))

    def _close(self, kind: str, piece: re.Match) -> None:
        mask_index = self._masks if kind == "mask" else None
        self._masks += kind == "mask"  # The model makes a mask at every </seg>, opened or not.
        if self._open is None or self._open[0] != kind:
            self._problem(ProblemKind.UNOPENED, piece)
            return
        _, opening, start = self._open
        self._open = None
        class_id, box = (0, None) if kind == "mask" else self._header(opening)
        raw = self._visible.text()[start:]
        phrase = raw.strip()
        if not phrase:
            self._problem(ProblemKind.EMPTY_KEYWORD, opening)
            return
        start += len(raw) - len(raw.lstrip())
        span = (start, start + len(phrase))
        self._entities.append(Entity(phrase, class_id, box, mask_index, span))

    def _header(self, opening: re.Match) -> tuple[int, Box | None]:
        """Class id (0 if unreadable) and box (None if unreadable) of an opening tag."""
        if not _HEADER.fullmatch(opening[0]):
            self._problem(ProblemKind.MALFORMED_TAG, opening)
        ids = [int(i) for i in re.findall(r"<seg([0-9]{3})>", opening[0])]
        class_id = ids[0] if len(ids) == 1 else 0
        if len(ids) == 1 and not 1 <= class_id <= NUM_CLASSES:
            self._problem(ProblemKind.UNKNOWN_CLASS, opening)
            class_id = 0
        bins = [int(i) for i in re.findall(r"<loc([0-9]{4})>", opening[0])]
        if len(bins) != 4:
            return class_id, None
        if max(bins) > self._codec.max_bin:
            self._problem(ProblemKind.BIN_OUT_OF_RANGE, opening)
            return class_id, None
        x1, y1, x2, y2 = box = self._codec.decode(bins)
        if x1 >= x2 or y1 >= y2:
            self._problem(ProblemKind.EMPTY_BOX, opening)
            return class_id, None
        return class_id, box

    def _problem(self, kind: ProblemKind, piece: re.Match) -> None:
        excerpt = piece.string[piece.start() : piece.start() + _EXCERPT]
        self._problems.append(ParseProblem(kind, piece.start(), excerpt))


def _opening(mention: Mention, mode: str, codec: BoxCodec | None) -> str:
    if mode == "masks":
        return "<seg>"
    if not 1 <= mention.class_id <= NUM_CLASSES:
        raise ValueError(
            f"Mention.class_id of {mention.keyword!r} is {mention.class_id}; it must be in "
            f"1..{NUM_CLASSES}"
        )
    return f"<p bbox={codec.encode(mention.box)} id=<seg{mention.class_id:03d}>>"


def _protected(sentence: str) -> Iterator[tuple[int, int]]:
    """Spans of markup already in a sentence, from each opening tag through its closing one."""
    start = None
    for kind, match in _scan(sentence):
        if kind == "text":
            continue
        if kind in ("box", "mask"):
            start = match.start() if start is None else start
        elif kind != "stray" and start is not None:
            yield start, match.end()
            start = None
        elif start is None:
            yield match.span()
    if start is not None:
        yield start, len(sentence)


# Letters, digits and combining accents: what continues a word.
_WORD = r"[\w\u0300-\u036f]"


def _keyword_pattern(keyword: str) -> re.Pattern:
    """Matches a keyword as whole words, in any case, white space and Unicode composition."""
    keyword = nfc(keyword.strip())
    parts = []
    for part in re.split(r"(\s+)", keyword):
        parts.append(r"\s+" if part.isspace() else "".join(map(_either_form, part)))
    before = rf"(?<!{_WORD})" if re.match(_WORD, keyword[0]) else ""
    after = rf"(?!{_WORD})" if re.match(_WORD, keyword[-1]) else r"(?![\u0300-\u036f])"
    return re.compile(before + "".join(parts) + after, re.IGNORECASE)


def _either_form(char: str) -> str:
    decomposed = unicodedata.normalize("NFD", char)
    if decomposed == char:
        return re.escape(char)
    return f"(?:{re.escape(char)}|{re.escape(decomposed)})"
