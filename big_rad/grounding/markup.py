"""Writes grounding markup into sentences, reads it from generated text, and removes it.

The markup of a box is `<p bbox=`, four locations, ` id=`, a class and `>keyword</p>`. A location is
a token such as `<loc0256>`. The class is a token such as `<seg003>`, which holds the class id. The
markup of a mask is `<seg>keyword</seg>`; the k-th `</seg>` of a text belongs to its k-th mask. For
example, two mentions are written into a sentence and read again:

    sentence    Left kidney and spleen are normal.
    mentions    Mention("left kidney", class_id=3, box=(0.5, 0.25, 0.75, 0.5))
                Mention("spleen", class_id=1, box=(0.625, 0.125, 0.875, 0.25))

    render(sentence, mentions, "boxes", get_codec("radgrounder")), in one line:
        <p bbox=<loc0256><loc0128><loc0384><loc0256> id=<seg003>>Left kidney</p>
        and <p bbox=<loc0320><loc0064><loc0448><loc0128> id=<seg001>>spleen</p> are normal.

    render(sentence, mentions, "masks"):
        <seg>Left kidney</seg> and <seg>spleen</seg> are normal.

    parse reads the same visible text from both, and these entities:
        phrase         span        with boxes: class_id, box             with masks: mask_index
        Left kidney    (0, 11)     3, (0.5, 0.25, 0.75, 0.5)             0
        spleen         (16, 22)    1, (0.625, 0.125, 0.875, 0.25)        1

Reading never fails. Each fault in the markup becomes a `ParseProblem`, and the visible text is
recovered.
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
    """A phrase to be grounded, with its class and its box.

    Attributes:
        keyword: the phrase in the form in which the sentence has it, inflected or not.
        class_id: the class that the phrase names, 1..121.
        box: the box (x1, y1, x2, y2) in 0..1; None if the class is not in the image.
        start: the offset of the phrase in the sentence; None means every occurrence.
    """

    keyword: str
    class_id: int
    box: Sequence[float] | None = None
    start: int | None = None

    def __post_init__(self):
        if not self.keyword.strip():
            raise ValueError("Mention.keyword is empty; leave the mention out")


class ProblemKind(enum.Enum):
    """The kinds of faults in the markup of a text."""

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
    """A fault in the markup of a text.

    Attributes:
        kind: the kind of the fault.
        position: the offset of the fault in the text with markup.
        excerpt: the characters at this position.
    """

    kind: ProblemKind
    position: int
    excerpt: str


@dataclasses.dataclass(frozen=True)
class Entity:
    """A grounded phrase that was read from a text.

    Attributes:
        phrase: the words between the tags, without outer white space.
        class_id: the class id, 1..121, or 0 if it is unknown. It is always 0 with masks, because
            their markup names no class.
        box: the box (x1, y1, x2, y2) in 0..1; None with masks, or if the box could not be read.
        mask_index: the index of the entity's mask among the masks of the text; None with boxes.
        span: the place (start, end) of the phrase in the visible text.
    """

    phrase: str
    class_id: int
    box: Box | None
    mask_index: int | None
    span: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """The result of reading a text with markup.

    Attributes:
        text: the visible text, without markup.
        entities: the grounded phrases, in order.
        problems: the faults in the markup, in order.
    """

    text: str
    entities: tuple[Entity, ...]
    problems: tuple[ParseProblem, ...]

    @property
    def valid(self) -> bool:
        """Whether all markup is well formed; True for a text without markup."""
        return not self.problems


def render(
    sentence: str, mentions: Sequence[Mention], mode: str = "boxes", codec: BoxCodec | None = None
) -> str:
    """Writes markup around the mentions that occur in a sentence; `locate` finds their places.

    Args:
        sentence: the text. All its characters are kept, in order.
        mentions: the phrases that may be marked.
        mode: "boxes" or "masks".
        codec: the codec that writes the boxes; needed only for "boxes".

    Returns:
        The sentence with markup. `strip` gives the sentence back if it had no markup before.

    Raises:
        ValueError: the mode is unknown, it is "boxes" and there is no codec, a class id is outside
            1..121, or the codec rejects a box.
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
    """Returns the places of a sentence that `render` would mark, in order.

    With masks, the k-th place has the k-th mask. These rules choose the places:

    - A keyword is found as whole words, so `Leber` is not found in `Leberläsion`; a hyphen ends a
      word. Case, the composition of Unicode and the kind of white space do not matter.
    - A mention is marked at every occurrence of its keyword, or, if it has a `start`, only there.
    - Longer keywords come first, and a place never overlaps another place or existing markup.
    - If several mentions have the same keyword at the same place ("both kidneys" as two classes),
      only one is marked, because a phrase holds one box: the first that has a box, or with masks
      the first.
    - With boxes, a mention without a box is not marked, but it keeps its words, so that a shorter
      keyword within them is not marked either.

    Args:
        sentence: the text.
        mentions: the phrases that may be marked.
        mode: "boxes" or "masks".

    Returns:
        A list of (start, end, mention) without overlaps, in the order of start.

    Raises:
        ValueError: the mode is unknown.
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
    """Returns the offsets of a keyword in a sentence, found as whole words as in `locate`.

    Args:
        sentence: the text.
        keyword: the keyword, which must not be empty.
    """
    return [match.start() for match in _keyword_pattern(keyword).finditer(sentence)]


def parse(text: str, codec: BoxCodec) -> Parsed:
    """Reads a text with markup, generated or written by `render`. It never raises.

    White space between the parts of a tag is accepted. A tag that is closed and holds words gives
    an entity, even if its box or class cannot be read. A tag that is never closed gives no entity.

    Args:
        text: any text.
        codec: the box codec that the text was written with; not used for texts with masks.

    Returns:
        The visible text (the same as `strip(text)`), the entities and the problems.
    """
    reader = _Reader(codec)
    for kind, match in _scan(text):
        reader.read(kind, match)
    return reader.result()


def strip(text: str) -> str:
    """Returns the visible text: the text without markup, even if the markup is broken.

    White space stays as it is, with one exception: if there is white space before and after a piece
    of markup, the white space after it is removed.
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
    """Yields ("text", str) for visible text and (name of piece, match) for markup, in order."""
    done = 0
    for match in _PIECES.finditer(text):
        if match.start() > done:
            yield "text", text[done : match.start()]
        yield match.lastgroup, match
        done = match.end()
    if done < len(text):
        yield "text", text[done:]


class _Visible:
    """Collects visible text. Where markup was between two white spaces, only the first stays."""

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
    """The state of `parse`: the visible text so far, the open tag, the entities and problems."""

    def __init__(self, codec: BoxCodec):
        self._codec = codec
        self._visible = _Visible()
        self._open: tuple[str, re.Match, int] | None = None  # Kind, match, visible start.
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
        """Returns the class id (0 if unreadable) and the box (None if unreadable) of a tag."""
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
    """Yields the spans of existing markup, each from an opening tag to its closing tag."""
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


# The characters of a word: letters, digits, underscores and combining accents.
_WORD = r"[\w\u0300-\u036f]"


def _keyword_pattern(keyword: str) -> re.Pattern:
    """Returns the pattern of a keyword as whole words, with any case, space and composition."""
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
