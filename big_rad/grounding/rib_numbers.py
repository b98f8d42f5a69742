"""Reads the numbers of ribs that stand apart from their noun.

    Rib fractures on the left: 3rd, 4th and 5th.
    Rippenserienfraktur links 4-8.

Numbers directly beside the noun ("ribs 4 and 5", "4. Rippe") belong to the phrase already; see
`candidates` and `ellipsis`.
"""

import re
from collections.abc import Collection, Sequence

from big_rad.grounding import levels, plain, side_words
from big_rad.grounding.clauses import Token
from big_rad.grounding.lexicon import RIBS
from big_rad.grounding.phrase import Phrase

_BETWEEN = frozenset(
    plain.words(
        "on the auf der side seite of fracture fractures fraktur frakturen serienfraktur serial "
        "serienfrakturen metastases metastasen nr no number numbers nummer i ii costae costa in den"
    )
)
_CARDINALS = {
    word: n
    for words in (
        "one two three four five six seven eight nine ten eleven twelve",
        "eins zwei drei vier fuenf sechs sieben acht neun zehn elf zwoelf",
    )
    for n, word in enumerate(words.split(), start=1)
}
_FAR = 6  # The most words between the noun and its first number.
_JOINT = re.compile(
    r"\.?\s*(?:,|and|und|sowie|u\.|&|/|\+)\s*(?:and\s+|und\s+|the\s+)?", re.IGNORECASE
)
_RANGE = re.compile(r"\.?\s*(?:-|\u2013|to|bis|through|thru)\s*(?:the\s+|zur\s+)?", re.IGNORECASE)


def add(
    text: str,
    words: Sequence[Token],
    marks: Sequence[str],
    phrases: Sequence[Phrase],
    lang: str,
) -> None:
    """Gives unnumbered phrases of ribs the numbers that follow them, in place.

    Args:
        text: the text in plain spelling.
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order.
        lang: "en" or "de".
    """
    owned = {i for p in phrases for i in p.words}
    for p in phrases:
        if len(p.ids) > 2 and set(RIBS).issuperset(p.ids):
            numbers = _numbers(text, words, marks, p.last, owned, lang)
            if numbers:
                p.ids = tuple(i for i in p.ids if (i - RIBS[0]) % 12 + 1 in numbers)
                p.grammatical_number = "one"
                p.several_organs = p.is_range = True


def _numbers(
    text: str,
    words: Sequence[Token],
    marks: Sequence[str],
    last: int,
    owned: Collection[int],
    lang: str,
) -> set[int]:
    first = last + 1
    while first < len(words) and first - last <= _FAR:
        if marks[first - 1] in (".", ";") or first in owned:
            return set()
        low = words[first].low
        if low in _CARDINALS or levels.ordinal(low) is not None and not low.isalpha():
            break
        if low not in _BETWEEN and not side_words.side_of(words[first], lang):
            return set()
        first += 1
    found: set[int] = set()
    k, previous, ranged = first, 0, False
    while k < len(words):
        n = _CARDINALS.get(words[k].low) or levels.ordinal(words[k].low)
        if n is None or not 1 <= n <= 12 or levels.measured(text, words, marks, k):
            break
        found.update(range(previous, n) if ranged and previous < n else (), (n,))
        previous = n
        joined = _joined(text, words, k)
        if joined is None:
            break
        k, ranged = joined
    return found


def _joined(text: str, words: Sequence[Token], k: int) -> tuple[int, bool] | None:
    """Returns the word that is joined to a number, and whether it ends a range."""
    for other in range(k + 1, min(len(words), k + 3)):
        joint = text[words[k].end : words[other].start]
        if _RANGE.fullmatch(joint):
            return other, True
        if _JOINT.fullmatch(joint):
            return other, False
    return None
