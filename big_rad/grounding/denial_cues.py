"""Finds the words that deny a finding: "no", "is not", "ruled out".

The words are those of `negation_table`. Phrases that only look like a denial ("cannot be excluded")
hide the words in them.
"""

import dataclasses
import functools
from collections.abc import Collection, Sequence

from big_rad.grounding import cue_words, denials

# Kinds of words that deny, and their tables in `negation_table`.
_KINDS = (("deny", "DENY"), ("not", "NOT"), ("denied", "DENIED"))
# Beginnings of words for what contrast agents do.
_OF_CONTRAST = ("extrava", "enhanc", "uptake", "leak", "accumul", "pooling", "fill", "stagn")


@dataclasses.dataclass
class Cue:
    """Words that deny.

    Attributes:
        first, last: the indices of the first and the last word.
        kind: "deny", "not" or "denied"; see `negation_table`.
    """

    first: int
    last: int
    kind: str


def find(
    lows: Sequence[str],
    marks: Sequence[str],
    owned: Collection[int],
    sentence: range,
    lang: str,
) -> list[Cue]:
    """Returns the words of a sentence that deny, in order.

    Args:
        lows: the words of the text in lower case.
        marks: the result of `clauses.gaps`.
        owned: the indices of the words that belong to phrases; they deny nothing.
        sentence: the words of the sentence.
        lang: "en" or "de".
    """
    hidden: set[int] = set()
    pseudo = cue_words.matcher("PSEUDO", lang)
    for i in sentence:
        last = pseudo.at(lows, i, sentence.stop)
        if last and not _names_leak(lows, marks, last, sentence.stop):
            hidden.update(range(i, last))
    found, i = [], sentence.start
    while i < sentence.stop:
        own = i in owned and lows[i] != "neither"
        cue = None if i in hidden or own else _at(lows, marks, i, sentence.stop, lang)
        if cue is not None:
            found.append(cue)
            i = cue.last
        i += 1
    return found


def _names_leak(lows: Sequence[str], marks: Sequence[str], i: int, stop: int) -> bool:
    """Returns whether "no contrast" goes on to a finding ("no contrast extravasation")."""
    goes_on = lows[i - 1] == "contrast" and i < stop and not marks[i - 1]
    return goes_on and lows[i].startswith(_OF_CONTRAST)


def _at(lows: Sequence[str], marks: Sequence[str], i: int, stop: int, lang: str) -> Cue | None:
    low = lows[i]
    if low not in _first_words(lang):
        return Cue(i, i, "deny") if denials.is_free_of(low) else None
    if low == "noch":
        return Cue(i, i, "deny") if "weder" in lows[max(0, i - 20) : i] else None
    for kind, table in _KINDS:
        last = cue_words.matcher(table, lang).at(lows, i, stop)
        if last:
            if low == "absent" and i + 1 < stop and not marks[i]:
                continue
            return Cue(i, last - 1, kind)
    return None


@functools.cache
def _first_words(lang: str) -> frozenset[str]:
    """Returns the words with which a denial may begin."""
    begins = (cue_words.matcher(table, lang).first_words for _, table in _KINDS)
    return frozenset(("noch",)).union(*begins)
