"""Helpers of `negation`: what is a place and no subject, and what only seems to be denied."""

import functools
import re
from collections.abc import Sequence

from big_rad.grounding import cue_words, negation_table, plain
from big_rad.grounding.clauses import CONJUNCTIONS, DETERMINERS
from big_rad.grounding.phrase import Phrase


def subjects(
    lows: Sequence[str], marks: Sequence[str], phrases: Sequence[Phrase], found: Sequence[int]
) -> list[int]:
    """Returns phrases without those that only give a place ("the conus ends at L1").

    Args:
        lows: the words of the text in lower case.
        marks: the result of `clauses.gaps`.
        phrases: all phrases of the text, in order.
        found: the numbers of the phrases to choose from. If all of them are places, all are kept.
    """
    return [n for n in found if not _is_place(lows, marks, phrases, n)] or list(found)


def denies_change(after: Sequence[str]) -> bool:
    """Returns whether the words behind a denial name a change ("no evidence of progression")."""
    return any(low.startswith(cue_words.begins("CHANGES")) for low in after)


def unjudged(lows: Sequence[str], part: range, first: int, last: int, lang: str) -> bool:
    """Returns whether only a judgement or a change is denied ("cannot be assessed").

    Args:
        lows: the words of the text in lower case.
        part: the part of the sentence in which something is denied.
        first, last: the first and the last word of "not".
        lang: "en" or "de".
    """
    after = lows[last + 1 : min(part.stop, last + 6)]
    if after and after[0].startswith(("zugenom", "abgenom", "gewachs", "grown", "progress")):
        return True
    if any(low.startswith(cue_words.begins("JUDGED")) for low in after):
        return True
    subject = any(lows[i].startswith(cue_words.begins("JUDGEMENT")) for i in part)
    if subject and any(low.startswith(("possib", "moeglich", "feasib", "reliab")) for low in after):
        return True
    apart = "from" in after or any(
        lows[i] in ("von", "vom", "gegen") for i in range(part.start, first)
    )
    return apart and any(low in seen(lang) for low in after)


_FREE_OF = re.compile(
    r"(?:thromb|metasta|laesion|herd|stein|konkrement|fraktur|tumor|befall|infiltrat|erguss|rezidiv|"
    r"stenose|plaque|zysten|embol|verkalk|entzuendung)[a-z]*freie?[nrsm]?"
)


def is_free_of(low: str) -> bool:
    """Returns whether a German word denies a finding by its ending ("thrombenfrei")."""
    return "frei" in low and _FREE_OF.fullmatch(low) is not None


def assumes(before: Sequence[str]) -> bool:
    """Returns whether "that" after these words belongs to a denial ("no reason to assume that")."""
    return any(low.startswith(cue_words.begins("ASSUMES")) for low in before)


@functools.cache
def seen(lang: str) -> frozenset[str]:
    """Returns words for what can be seen, in plain spelling."""
    return frozenset(plain.words(negation_table.SEEN[lang]))


def _is_place(lows: Sequence[str], marks: Sequence[str], phrases: Sequence[Phrase], n: int) -> bool:
    i = phrases[n].first - 1
    while i >= 0 and not marks[i] and (
        lows[i] in DETERMINERS or lows[i] in ("level", "of", "levels") or cue_words.is_side(lows[i])
    ):  # fmt: skip
        i -= 1
    if i < 0 or marks[i] not in ("", ","):
        return False
    if lows[i] in CONJUNCTIONS or marks[i] == ",":
        i -= lows[i] in CONJUNCTIONS
        return n > 0 and phrases[n - 1].last == i and _is_place(lows, marks, phrases, n - 1)
    return lows[i] in _places()


@functools.cache
def _places() -> frozenset[str]:
    return frozenset(plain.words(negation_table.PLACES))
