"""Finds the phrases of a text that are in the lexicon of classes, before their sides are known.

A phrase consists of whole words within one clause. Longer phrases are found first, and a word
belongs to one phrase at most.
"""

import functools
import re
from collections.abc import Sequence

from big_rad.grounding import (
    class_table,
    clauses,
    levels,
    lexicon,
    plain,
    plurals,
    side_words,
)
from big_rad.grounding.clauses import Token
from big_rad.grounding.phrase import Phrase, family, mirrored, most_per_side, on_side, side_of_class

__all__ = [
    "Phrase",
    "end_after_sides",
    "family",
    "find",
    "lookup",
    "mirrored",
    "most_per_side",
    "on_side",
    "side_of_class",
]

MAX_WORDS = 8
# The text that may stand between any two words of a phrase: spaces, a hyphen or an apostrophe.
_WITHIN = re.compile(r"\s+|\s?[-\u2010\u2011]\s?|['\u2019]")
# The text that may also follow a short word of a phrase: the point in "4. Rippe" and "V. cava".
_AFTER_SHORT = re.compile(r"\.\s*")
# The short words before such a point: a number of one or two digits, or a single letter.
_SHORT = re.compile(r"[0-9]{1,2}|[A-Za-z]|[Aa]a|[Vv]v|[Mm]m|Tr|tr|Proc|proc|Lig")
# The text that follows a number if it is the start of a range: "/" or an en dash, and a word.
_RANGE = re.compile(r"\s?[/\u2013]\s?\w")
# Units that stand before "ml" in a concentration.
_PER_ML = frozenset(plain.words("ng mg g pg µg ug mmol mol mval iu ie mie u mu kg pro per zellen"))
_HYPHENS = "-\u2010\u2011"
# The text that follows "rechts" in "Niere rechts- und linksseitig".
_SHARED_ENDING = re.compile(r"[-\u2010\u2011]\s*(?:/|u|oder|bzw|sowie)")
# The noun that "Leber-" shares in "Leber- und Milz-CT", and the second part of "Leber-CT".
_SHARED_NOUN = re.compile(
    r"-\s*(?:,\s*\w+-\s*)?(?:/|,|(?:und|u\.|oder|bzw\.?|sowie|and|or)(?!\w))\s*(\w+)(?:-(\w+))?",
    re.IGNORECASE,
)
_VESSELS = (
    "arterie", "arterien", "vene", "venen", "ader", "adern", "gefaess", "gefaesse", "gefaessen"
)  # fmt: skip
_SECOND = re.compile(r"-(\w+)")
# Words that the lexicon ignores. A phrase neither begins nor ends with such a word.
_FILLERS = {
    "en": frozenset(
        plain.words(
            "the of on a an at in side sided anterior posterior lateral posterolateral "
            "anterolateral"
        )
    ),
    "de": frozenset(plain.words("in an der die das dem des den von vom auf am im und seite")),
}
RIBS = frozenset(lexicon.RIBS)
SKULL = 91
# Beginnings of words before "axis" that make it no vertebra, and of words anywhere in the sentence
# that make it the second vertebra.
_AXES = ("long", "short", "main", "vertical", "horizontal", "its", "this", "optic", "celiac")
_NECK = ("atlas", "atlant", "c1", "c2", "c3", "dens", "odont", "cervic", "hangman", "fractur")
_SCAN = frozenset(plain.words("from to until between bis von ab zur der unterhalb vertex"))
_PART_FAR = 7  # The most words between a part of a vertebra and the number of the vertebra.
LUNGS = (118, 119)
# Several muscles form one class on each side, so a plural does not mean both sides.
BACK_MUSCLES = (86, 87)
# Singular words for an organ that lies on both sides, or for a row of bones.
_COLLECTIVE_DE = re.compile(r".*muskulatur|brustkorb|.*wirbelsaeule|[lbh]ws")
_COLLECTIVE_EN = frozenset(plain.words("cage musculature thorax"))
# Groups of organs that one word in the singular names as a whole ("bowel").
_WHOLE_GROUPS = (
    (1, 5),
    (6, 15),
    (6, 18),
    (7, 18),
    (15, 18),
    (7, 19),
    (18, 19),
    (18, 20),
    (21, 22),
    (49, 50),
    (120, 121),
)
# Endings of nouns with which "pulmonary" means both lungs.
_WHOLE_LUNG = ("s", "ae", "i", "edema", "congestion", "emphysema", "hemorrhage", "disease")
# Beginnings of words for both hip bones together.
_PELVIS = ("beckenr", "beckens", "beckeng", "beckenf", "knoechern", "bony", "pelvic")
# Words that give the side of the noun before them.
SIDE_AFTER_NOUN = frozenset(
    plain.words("links rechts li re linksseitig rechtsseitig bds bd beidseits beiderseits")
)


def find(text: str, words: Sequence[Token], marks: Sequence[str], lang: str) -> list[Phrase]:
    """Returns the phrases of a text, in order and without overlap.

    Look-alikes are among them, as phrases without classes: their words belong to no other phrase.

    Args:
        text: the text.
        words: the result of `clauses.tokens`.
        marks: the result of `clauses.gaps`.
        lang: "en" or "de".
    """
    found = levels.find(text, words, marks)
    claimed = {i for p in found for i in p.words}
    numbered = {i for p in found if p.ids and p.ids != (levels.DISCS,) for i in p.words}
    first = 0
    while first < len(words):
        last = first
        while last < len(words) and last not in claimed and _may_belong(words[last], lang):
            last += 1
            if last == len(words) or marks[last - 1]:
                break
            if not _may_be_in_one_phrase(text, words[last - 1], words[last], lang):
                break
        if last > first:
            found += _in_run(text, words, marks, range(first, last), lang)
        first = max(last, first + 1)
    return sorted(_without_parts(words, marks, found, numbered), key=lambda p: p.first)


def end_after_sides(text: str, words: Sequence[Token], marks: list[str], lang: str) -> None:
    """Marks the ends of sentences after a side that belongs to the organ before it, in place.

    The point of an abbreviation ends a sentence only if an organ stands on both sides of it, as in
    "Niere li. Milz unauffällig."

    Args:
        text: the text in plain spelling.
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        lang: "en" or "de".
    """
    for i in range(1, len(words) - 1):
        if words[i].low not in clauses.SIDE_SHORT[lang] or marks[i] or marks[i - 1]:
            continue
        point = "." in text[words[i].end : words[i + 1].start]
        if point and words[i + 1].capital and lookup(words[i + 1].text, lang):
            if words[i - 1].capital and lookup(words[i - 1].text, lang):
                marks[i] = "."


@functools.lru_cache(maxsize=1 << 16)
def lookup(phrase: str, lang: str) -> tuple[int, ...]:
    """Returns the ids of all classes that a phrase may mean, in ascending order."""
    return lexicon.lookup(phrase, lang) or ()


@functools.lru_cache(maxsize=1 << 16)
def _known(phrase: str, lang: str) -> tuple[int, ...] | None:
    return lexicon.lookup(phrase, lang)


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
    if phrase.ids in _WHOLE_GROUPS and not any(w.startswith("gluteus") for w in lows):
        return True
    if phrase.ids == lexicon.HIPS and any(w.startswith(_PELVIS) for w in lows):
        return True
    if lang == "en":
        if phrase.ids == LUNGS and lows[-1] == "pulmonary" and phrase.last + 1 < len(words):
            return words[phrase.last + 1].low.endswith(_WHOLE_LUNG)
        return any(w in _COLLECTIVE_EN for w in lows)
    if phrase.ids == LUNGS:
        return any(
            w.endswith("lunge")
            or w.startswith(("lunge", "pulmona", "intrapulmona", "bipulmona"))
            and not w.endswith("fluegel")
            for w in lows
        )
    return any(_COLLECTIVE_DE.fullmatch(w) for w in lows)


def _in_run(
    text: str, words: Sequence[Token], marks: Sequence[str], run: range, lang: str
) -> list[Phrase]:
    """Returns the phrases in a run of words that are all in the lexicon or ignored by it."""
    found, taken, fillers = [], set(), _FILLERS[lang]
    first, stop = run.start, run.stop
    while first < stop and words[first].low in fillers:
        first += 1
    while stop > first and words[stop - 1].low in fillers:
        stop -= 1
    run = range(first, stop)
    for length in range(min(MAX_WORDS, len(run)), 0, -1):
        for first in range(run.start, run.stop - length + 1):
            span = range(first, first + length)
            if not taken.isdisjoint(span) or not _is_phrase(words, span, lang):
                continue
            start, end = words[first].start, words[span[-1]].end
            ids = _known(" ".join(text[start:end].split()), lang)
            if ids is None:
                continue
            taken.update(span)
            if not ids:
                found.append(Phrase(first, span[-1], ()))
                continue
            if _is_range_of_scan(words, span, ids) or _is_no_organ(words, span, lang):
                continue
            if not _is_part(text, start, end, ids, lang) and not _device_follows(
                text, words, marks, span[-1], lang
            ):
                found.append(_phrase(words, marks, span, ids, lang))
                if (
                    text[end : end + 1] in tuple(_HYPHENS)
                    and found[-1].grammatical_number != "both"
                ):
                    found[-1].grammatical_number = "one"  # As in "Nieren- und Uretersteine".
    return found


def _is_range_of_scan(words: Sequence[Token], span: range, ids: tuple[int, ...]) -> bool:
    """Returns whether the skull is only an end of a scan ("from the skull base on")."""
    first = span[0]
    if ids != (SKULL,) or not words[first].low.startswith(("skull", "schaedelb", "base", "vertex")):
        return False
    before = [w.low for w in words[max(0, first - 2) : first] if w.low not in clauses.DETERMINERS]
    after = [w.low for w in words[span[-1] + 1 : span[-1] + 3]]
    if first == 0 and after[:1] == ["scanned"] or after == ["is", "scanned"]:
        return True
    return bool(before) and before[-1] in _SCAN


def _is_no_organ(words: Sequence[Token], span: range, lang: str) -> bool:
    """Returns whether a single word has another meaning here.

    The German plural "Blasen" means bullae or gas, and no urinary bladder. After a number, "ml" is
    a unit. An English "axis" is the second vertebra only in a sentence about the cervical spine.
    """
    if len(span) > 1:
        return False
    low = words[span[0]].low
    if lang == "de":
        if low == "ml":  # The middle lobe, or a unit.
            before = words[span[0] - 1] if span[0] else None
            return before is not None and (before.text[-1].isdigit() or before.low in _PER_ML)
        return low in ("blasen", "blaeschen")
    if low not in ("axis", "axes"):
        return False
    before = words[span[0] - 1].low if span[0] else ""
    neck = any(w.low.startswith(_NECK) for w in words) and not before.startswith(_AXES)
    return not neck


def _without_parts(
    words: Sequence[Token], marks: Sequence[str], found: list[Phrase], numbered: set[int]
) -> list[Phrase]:
    """Returns phrases without the parts of vertebrae that have a number ("endplate of L1")."""
    if not numbered:
        return found
    return [
        p
        for p in found
        if p.ids != (lexicon.VERTEBRAE,)
        or levels.is_region(words, p)
        or not any(
            not ({".", ";"} & set(marks[min(i, p.last) : max(i, p.first)]))
            for i in range(max(0, p.first - _PART_FAR), min(len(words), p.last + 1 + _PART_FAR))
            if i in numbered
        )
    ]


def _phrase(
    words: Sequence[Token], marks: Sequence[str], span: range, ids: tuple[int, ...], lang: str
) -> Phrase:
    naming_side = tuple(i for i in span if side_words.side_of(words[i], lang))
    sides = {side_words.side_of(words[i], lang) for i in naming_side}
    if "both" in sides or {"left", "right"} <= sides:
        number = "both"
    else:
        plural = plurals.is_plural(words, marks, span, _FILLERS[lang], lang)
        number = "many" if plural else "one"
    return Phrase(span[0], span[-1], ids, number, naming_side)


def _is_phrase(words: Sequence[Token], span: range, lang: str) -> bool:
    """Returns whether consecutive words may be a phrase, by where sides and ignored words stand."""
    fillers = _FILLERS[lang]
    if words[span[0]].low in fillers or words[span[-1]].low in fillers:
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
    return lexicon.in_vocabulary(low, lang)


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


def _is_part(text: str, start: int, end: int, ids: tuple[int, ...], lang: str) -> bool:
    """Returns whether a phrase is a part of a hyphenated word or of a range of numbers."""
    digit = text[end - 1].isdigit()
    if _SHARED_ENDING.match(text, end) and text[start:end].lower().endswith(("links", "rechts")):
        return False
    if digit and RIBS.issuperset(ids):
        return False  # "ribs 3-5" is read as a range; see `ellipsis`.
    if text[end : end + 1] in tuple(_HYPHENS):
        return not _names_the_whole(text, end)
    if start > 1 and text[start - 1] in _HYPHENS and not text[start - 2].isspace():
        return not (RIBS.issuperset(ids) and text[start].isdigit())
    return digit and bool(_RANGE.match(text, end))


def _names_the_whole(text: str, end: int) -> bool:
    """Returns whether a phrase before a hyphen names the organ of the whole word.

    It does in "Milz-Infarkt" and "Leber- und Milzmetastasen", but not in "Leber-CT".
    """
    shared = _SHARED_NOUN.match(text, end)
    second = shared or _SECOND.match(text, end)
    if second is None:
        return True
    if shared and shared[1].lower().endswith(_VESSELS):
        return False  # As in "Milz- und Pfortader", which are two vessels.
    return not any(lexicon.is_technique(part) for part in second.groups() if part)


def _device_follows(
    text: str, words: Sequence[Token], marks: Sequence[str], last: int, lang: str
) -> bool:
    """Returns whether a phrase belongs to a device ("right subclavian line")."""
    if marks[last] or last + 1 >= len(words) or words[last].low in lexicon.removals(lang):
        return False
    if words[last + 1].low == "drain" and words[last].low.endswith("s"):
        return False  # This is the verb: "the veins drain".
    return side_words.is_device(words[last + 1], lang)
