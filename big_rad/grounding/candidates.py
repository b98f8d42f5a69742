"""Finds the phrases of a text that are in the lexicon of classes, before their sides are known.

A phrase consists of whole words within one clause. Longer phrases are found first, and a word
belongs to one phrase at most.
"""

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence

from big_rad.grounding import class_table, classes, clauses, side_words
from big_rad.grounding.clauses import Token

MAX_WORDS = 8
# The text that may stand between any two words of a phrase: spaces, a hyphen or an apostrophe.
_WITHIN = re.compile(r"\s+|\s?[-\u2010\u2011]\s?|['\u2019]")
# The text that may also follow a short word of a phrase: the point in "4. Rippe" and "V. cava".
_AFTER_SHORT = re.compile(r"\.\s*")
# The short words before such a point: a number of one or two digits, or a single letter.
_SHORT = re.compile(r"[0-9]{1,2}|[A-Za-z]")
# The text that follows a number if it is the start of a range: "/" or an en dash, and a word.
_RANGE = re.compile(r"\s?[/\u2013]\s?\w")
_HYPHENS = "-\u2010\u2011"
# The text that follows "rechts" in "Niere rechts- und linksseitig".
_SHARED_ENDING = re.compile(r"[-\u2010\u2011]\s*(?:/|u|oder|bzw|sowie)")
# Words that the lexicon ignores. A phrase neither begins nor ends with such a word.
_FILLERS = {
    "en": frozenset(
        "the of on a an at in side sided anterior posterior lateral posterolateral "
        "anterolateral".split()
    ),
    "de": frozenset("in an der die das dem des den von vom auf am im und seite".split()),
}
# The endings of German nouns whose plural has the form of the singular.
_SAME_PLURAL = ("lappen", "knochen", "fluegel", "strecker")
_PLURAL_VERBS = frozenset("sind zeigen stellen weisen waren erscheinen imponieren bleiben".split())
_PLURAL_PREPOSITIONS = frozenset("in an aus von mit bei zu zwischen beiden unter".split())
# Capitalised words that may stand before "der" although no genitive follows.
_NO_NOUNS = clauses.PREPOSITIONS | frozenset(
    "rechts links beidseits auch nur dabei hier dort somit zudem sonst ansonsten insgesamt "
    "unverändert weiterhin lediglich ebenso ebenfalls dann daneben regelrecht".split()
)
# Irregular plurals, folded. They are plurals whatever their ending.
_IRREGULAR = frozenset(
    "humeri femora scapulae claviculae skapulae klavikulae karotiden schulterblaetter femurkoepfe "
    "hueftkoepfe psoae ilia".split()
)
# Singular words with these endings would look like German plurals, because they end in "e" or "n".
# They are words for a part of an organ that the lexicon ignores ("Leberregion"). The English ones
# are needed when an English text is read as German. None of them looks like an English plural.
_SINGULAR_ENDINGS = ("gewebe", "region", "knochen", "tissue", "margin", "bone", "muscle")
RIBS = frozenset(range(92, 116))
LUNGS = (118, 119)
# Several muscles form one class on each side, so a plural does not mean both sides.
BACK_MUSCLES = (86, 87)
# Singular words for an organ that lies on both sides, or for a row of bones.
_COLLECTIVE_DE = re.compile(r".*muskulatur|brustkorb|.*wirbelsäule|[lbh]ws")
_COLLECTIVE_EN = frozenset("spine column cage musculature thorax".split())
# Words that give the side of the noun before them.
SIDE_AFTER_NOUN = frozenset(
    "links rechts li re linksseitig rechtsseitig bds bd beidseits beiderseits".split()
)


@dataclasses.dataclass
class Phrase:
    """Consecutive words that name anatomy.

    Attributes:
        first, last: the indices of the first and the last word.
        ids: the ids of all classes that the phrase may mean, in ascending order.
        grammatical_number: "one", "many" (a plural) or "both" (the phrase itself says both sides).
        side_words: the indices of the words in the phrase that name its side.
        side: the side that was found for the phrase, "left", "right" or "both". It is set only if
            `ids` has classes of both sides; otherwise, and if no side was found, it is None.
        resolved: whether it is known which classes the phrase means.
        several_organs: whether several organs are meant.
        coordinated: whether the phrase shares a noun or number with a neighbour ("upper and lower
            lobes").
        is_range: whether the phrase is a range of numbers.
    """

    first: int
    last: int
    ids: tuple[int, ...]
    grammatical_number: str = "one"
    side_words: tuple[int, ...] = ()
    side: str | None = None
    resolved: bool = False
    several_organs: bool = False
    coordinated: bool = False
    is_range: bool = False

    @property
    def words(self) -> range:
        """The indices of the words of the phrase."""
        return range(self.first, self.last + 1)

    @property
    def paired(self) -> bool:
        """Whether the phrase may be on either side."""
        return len({side_of_class(i) for i in self.ids} - {None}) == 2

    @property
    def own_side(self) -> str | None:
        """The side of the phrase, "left" or "right"; None if it is unknown or both."""
        if self.side is not None:
            return None if self.side == "both" else self.side
        found = {side_of_class(i) for i in self.ids}
        return found.pop() if len(found) == 1 else None


def find(text: str, words: Sequence[Token], marks: Sequence[str], lang: str) -> list[Phrase]:
    """Returns the phrases of a text, in order and without overlap.

    Args:
        text: the text.
        words: the result of `clauses.tokens`.
        marks: the result of `clauses.gaps`.
        lang: "en" or "de".
    """
    found, first = [], 0
    while first < len(words):
        last = first
        while last < len(words) and _may_belong(words[last], lang):
            last += 1
            if last == len(words) or marks[last - 1]:
                break
            if not _may_be_in_one_phrase(text, words[last - 1], words[last], lang):
                break
        if last > first:
            found += _in_run(text, words, marks, range(first, last), lang)
        first = max(last, first + 1)
    return sorted(found, key=lambda p: p.first)


def on_side(ids: Iterable[int], side: str) -> tuple[int, ...]:
    """Returns the classes that are on a side, or all of them if `side` is "both"."""
    return tuple(i for i in ids if side == "both" or side_of_class(i) == side)


def side_of_class(class_id: int) -> str | None:
    """Returns "left" or "right" if the name of a class says so, otherwise None."""
    return _class_sides()[class_id - 1]


def most_per_side(ids: Iterable[int]) -> int:
    """Returns the largest of three counts: classes on the left, on the right, without a side.

    More than 1 means that the phrase names several organs of a side.
    """
    return max(collections.Counter(map(side_of_class, ids)).values(), default=0)


def mirrored(class_id: int) -> int | None:
    """Returns the class of the same organ on the other side, or None if it has no counterpart."""
    return _mirror().get(class_id)


@functools.lru_cache(maxsize=1 << 16)
def lookup(phrase: str, lang: str) -> tuple[int, ...]:
    """Returns the ids of all classes that a phrase may mean, in ascending order."""
    return tuple(c.id for c in classes.lookup_all(phrase, lang))


@functools.lru_cache(maxsize=1 << 14)
def gender(class_id: int) -> str | None:
    """Returns the gender of the German name ("m", "f", "n") of a paired class, otherwise None."""
    for left, right, *_, sex, _, _ in class_table.PAIRED:
        if class_id in (left, right):
            return sex
    return "f" if class_id in RIBS else None


def is_collective(words: Sequence[Token], phrase: Phrase, lang: str) -> bool:
    """Returns whether a singular phrase means organs on both sides, or a whole row of bones."""
    lows = [words[i].low for i in phrase.words if i not in phrase.side_words]
    if lang == "en":
        return any(w in _COLLECTIVE_EN for w in lows)
    if phrase.ids == LUNGS:
        return any(w.startswith("lunge") and not w.endswith("flügel") for w in lows)
    return any(_COLLECTIVE_DE.fullmatch(w) for w in lows)


def family(ids: Sequence[int]) -> str:
    """Returns the first word of the class name, such as "lung", which the lung lobes share.

    A side may carry over from one phrase to another of the same family.
    """
    return classes.by_id(ids[0]).name.split("_")[0]


def _in_run(
    text: str, words: Sequence[Token], marks: Sequence[str], run: range, lang: str
) -> list[Phrase]:
    """Returns the phrases in a run of words that are all in the lexicon or ignored by it."""
    found, taken = [], set()
    for length in range(min(MAX_WORDS, len(run)), 0, -1):
        for first in range(run.start, run.stop - length + 1):
            span = range(first, first + length)
            if not taken.isdisjoint(span) or not _is_phrase(words, span, lang):
                continue
            start, end = words[first].start, words[span[-1]].end
            ids = lookup(" ".join(text[start:end].split()), lang)
            if not ids:
                continue
            taken.update(span)
            if not _is_part(text, start, end, ids) and not _device_follows(
                text, words, marks, span[-1], lang
            ):
                found.append(_phrase(words, marks, span, ids, lang))
    return found


def _phrase(
    words: Sequence[Token], marks: Sequence[str], span: range, ids: tuple[int, ...], lang: str
) -> Phrase:
    naming_side = tuple(i for i in span if side_words.side_of(words[i], lang))
    sides = {side_words.side_of(words[i], lang) for i in naming_side}
    if "both" in sides or {"left", "right"} <= sides:
        number = "both"
    else:
        number = "many" if _is_plural(words, marks, span, lang) else "one"
    return Phrase(span[0], span[-1], ids, number, naming_side)


def _is_phrase(words: Sequence[Token], span: range, lang: str) -> bool:
    """Returns whether consecutive words may be a phrase, by where sides and ignored words stand."""
    lower = [words[i].low for i in span]
    fillers = _FILLERS[lang]
    if lower[0] in fillers or lower[-1] in fillers:
        return False
    if (
        side_words.side_of(words[span[-1]], lang) == "both"
        and words[span[-1]].low not in SIDE_AFTER_NOUN
    ):
        return False  # As in "on both (sides)".
    for a, b in zip(span, span[1:]):
        is_side = words[a].low in ("left", "right", "links", "rechts")
        if is_side and words[b].low in fillers - {"sided"}:
            return False  # "left of the kidney" is not the left kidney.
    return True


@functools.lru_cache(maxsize=1 << 16)
def _is_word(low: str, lang: str) -> bool:
    return classes.in_vocabulary(low, lang)


def _may_belong(word: Token, lang: str) -> bool:
    if word.low in _FILLERS[lang]:
        return True
    return bool(side_words.side_of(word, lang)) or _is_word(word.low, lang)


def _may_be_in_one_phrase(text: str, a: Token, b: Token, lang: str) -> bool:
    gap = text[a.end : b.start]
    if _WITHIN.fullmatch(gap):
        return True
    short = _SHORT.fullmatch(a.text) or a.low in clauses.SIDE_SHORT[lang]
    return bool(short and _AFTER_SHORT.fullmatch(gap))


def _is_part(text: str, start: int, end: int, ids: tuple[int, ...]) -> bool:
    """Returns whether a phrase is a part of a hyphenated word or of a range of numbers."""
    digit = text[end - 1].isdigit()
    if _SHARED_ENDING.match(text, end) and text[start:end].lower().endswith(("links", "rechts")):
        return False
    if digit and RIBS.issuperset(ids):
        return False  # "ribs 3-5" is read as a range; see `ellipsis`.
    if text[end : end + 1] in tuple(_HYPHENS):
        return True
    if start > 1 and text[start - 1] in _HYPHENS and not text[start - 2].isspace():
        return not (RIBS.issuperset(ids) and text[start].isdigit())
    return digit and bool(_RANGE.match(text, end))


def _device_follows(
    text: str, words: Sequence[Token], marks: Sequence[str], last: int, lang: str
) -> bool:
    """Returns whether a phrase belongs to a device ("right subclavian line")."""
    if marks[last] or last + 1 >= len(words):
        return False
    return side_words.is_device(words[last + 1], lang)


def _is_plural(words: Sequence[Token], marks: Sequence[str], span: range, lang: str) -> bool:
    folded = [classes.fold(words[i].low) for i in span]
    for i, word in zip(span, folded):
        if side_words.side_of(words[i], lang) or word in _FILLERS[lang] or not word.isalpha():
            continue
        if lang == "de" and not words[i].capital and any(words[k].capital for k in span):
            continue  # The word is an adjective.
        if _inflected_plural(word, lang):
            return True
    return lang == "de" and _same_plural(words, marks, span, folded)


@functools.lru_cache(maxsize=1 << 14)
def _inflected_plural(word: str, lang: str) -> bool:
    """Returns whether a folded word is a plural by its ending.

    Words of the lexicon count as singular.
    """
    if word in _IRREGULAR:
        return True
    if len(word) < 4 or word in classes.surfaces(lang) or word.endswith(_SINGULAR_ENDINGS):
        return False
    if lang == "en":
        return word.endswith(("s", "ae")) and not word.endswith(("ss", "us", "is"))
    return word.endswith(("n", "e", "ae"))


def _same_plural(
    words: Sequence[Token], marks: Sequence[str], span: range, folded: Sequence[str]
) -> bool:
    """Returns whether a German noun with the same form in both numbers is a plural here."""
    if not any(w.endswith(_SAME_PLURAL) for w in folded):
        return False
    article = _article_of(words, marks, span[0])
    if article is not None:
        low = words[article].low
        before = words[article - 1] if article and not marks[article - 1] else None
        if low in ("die", "alle", "allen", "aller", "diese", "keine", "mehrere"):
            return True
        if low == "den":
            return before is not None and before.low in _PLURAL_PREPOSITIONS
        if low == "der":  # After a noun, "der" begins a genitive plural.
            return before is not None and before.capital and before.low not in _NO_NOUNS
        return False
    after = words[span[-1] + 1].low if not marks[span[-1]] else ""
    return after in _PLURAL_VERBS


_ARTICLES = clauses.DETERMINERS | frozenset(
    "im am vom zum beim ins alle allen aller diese mehrere".split()
)


def _article_of(words: Sequence[Token], marks: Sequence[str], first: int) -> int | None:
    """Returns the index of the German article before a word and its adjectives, or None."""
    for i in range(first - 1, max(-1, first - 4), -1):
        low = words[i].low
        if marks[i]:
            return None
        if low in _ARTICLES:
            return i
        if words[i].capital or low in clauses.PREPOSITIONS or low in clauses.VERBS:
            return None
    return None


@functools.cache
def _class_sides() -> tuple[str | None, ...]:
    found = []
    for c in classes.CLASSES:
        parts = c.name.split("_")
        found.append(next((s for s in ("left", "right") if s in parts), None))
    return tuple(found)


@functools.cache
def _mirror() -> dict[int, int]:
    other = {"left": "right", "right": "left"}
    ids = {c.name: c.id for c in classes.CLASSES}
    found = {}
    for name, class_id in ids.items():
        swapped = "_".join(other.get(p, p) for p in name.split("_"))
        if swapped != name and swapped in ids:
            found[class_id] = ids[swapped]
    return found
