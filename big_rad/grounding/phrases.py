"""Finds the phrases of a text that name an anatomy class, through the lexicon of classes.

The longest phrase claims its words first; phrases are whole words and lie within one clause. Knows
nothing of negation ("no gallbladder" names the gallbladder), of what an image shows, or of a
phrase's meaning beyond the lexicon.
"""

import functools
import re

from big_rad.grounding import classes

MAX_WORDS = 8
_WORD = re.compile(r"[\w\u0300-\u036f]+")
# Between two words of a phrase: spaces, a hyphen, or the point of "4. Rippe" and "V. cava".
_WITHIN = re.compile(r"\s+|\s?[-\u2010\u2011]\s?|['\u2019]")
_AFTER_SHORT = re.compile(r"\.\s*")
_SHORT = re.compile(r"[0-9]{1,2}|[A-Za-z]")
_RANGE = re.compile(r"\s?[/\u2013]\s?\w")
_BOTH = re.compile(r"\b(both|bilateral\w*|beide\w*|beidseit\w*|bds|bd)\b")
_JOINING = "-\u2010\u2011"
# Words that the lexicon passes over; a phrase neither begins nor ends with one.
_FILLERS = frozenset(
    "the of on a an and at in der die das des dem den von vom auf am im und seite side".split()
)
_SIDES = frozenset("left right links rechts".split())


def find(text: str, lang: str, most: int = 2) -> list[tuple[str, int]]:
    """Returns the phrases that name a class, in the order of the text.

    A phrase inside a hyphenated word ("Leber-CT"), of a range ("LWK 4/5", "L4-L5"), or of a place
    beside an organ ("left of the kidney") is none.

    Args:
        text: a report.
        lang: "en" or "de".
        most: phrases that name more classes than this ("the ribs") are left out. With the default,
            "both kidneys" and "kidneys" stand twice, once for each; "kidney", which may be either,
            is left out.

    Returns:
        (phrase as in the text, class id), without repeats.
    """
    words = list(_WORD.finditer(text))
    found: list[tuple[int, str, tuple[int, ...]]] = []
    taken = [False] * len(words)
    for length in range(min(MAX_WORDS, len(words)), 0, -1):
        for first in range(len(words) - length + 1):
            last = first + length
            if any(taken[first:last]) or not _is_phrase(text, words[first:last]):
                continue
            start, end = words[first].start(), words[last - 1].end()
            ids = _lookup(" ".join(text[start:end].split()), lang)
            if ids:
                taken[first:last] = [True] * length
                plain = len(ids) == 1 or (len(ids) <= most and _is_plural(text[start:end]))
                if plain and not _is_part(text, start, end):
                    found.append((start, text[start:end], ids))
    return list(dict.fromkeys((phrase, i) for _, phrase, ids in sorted(found) for i in ids))


def _is_phrase(text: str, words: list[re.Match]) -> bool:
    """Whether words may belong together: nothing but spaces and the like between them."""
    lower = [w[0].lower() for w in words]
    if lower[0] in _FILLERS or lower[-1] in _FILLERS:
        return False
    if any(a in _SIDES and b in _FILLERS for a, b in zip(lower, lower[1:])):
        return False  # "left of the kidney" is not the left kidney
    return all(_joined(text, a, b) for a, b in zip(words, words[1:]))


def _joined(text: str, a: re.Match, b: re.Match) -> bool:
    gap = text[a.end() : b.start()]
    if _WITHIN.fullmatch(gap):
        return True
    return bool(_SHORT.fullmatch(a[0]) and _AFTER_SHORT.fullmatch(gap))


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether a phrase is a part of a hyphenated word, or the end of a range of numbers."""
    if text[end : end + 1] in tuple(_JOINING):
        return True
    if start > 1 and text[start - 1] in _JOINING and not text[start - 2].isspace():
        return True
    return text[end - 1].isdigit() and bool(_RANGE.match(text, end))


def _is_plural(phrase: str) -> bool:
    last = phrase.lower()
    if _BOTH.search(last):
        return True
    english = last.endswith("s") and not last.endswith(("'s", "\u2019s", "is", "us", "ss"))
    return english or last.endswith("en")


@functools.lru_cache(maxsize=1 << 17)
def _lookup(phrase: str, lang: str) -> tuple[int, ...]:
    return tuple(c.id for c in classes.lookup_all(phrase, lang))
