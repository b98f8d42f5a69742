"""Finds the phrases of `negation_table` in the words of a text."""

import functools
from collections.abc import Sequence

from big_rad.grounding import negation_table, plain

_SIDES = frozenset(
    "left right links rechts linke rechte linken rechten linker rechter bds beidseits".split()
)


class Matcher:
    """Finds the phrases of a table at a word of a text, the longest first."""

    def __init__(self, phrases: Sequence[tuple[str, ...]]):
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in sorted(phrases, key=len, reverse=True):
            self._by_first.setdefault(phrase[0], []).append(phrase)
        self.first_words = frozenset(self._by_first)

    def at(self, lows: Sequence[str], i: int, stop: int | None = None) -> int | None:
        """Returns the index behind the phrase that begins with the word `i`, or None."""
        for phrase in self._by_first.get(lows[i], ()):
            end = i + len(phrase)
            if end <= (len(lows) if stop is None else stop) and tuple(lows[i:end]) == phrase:
                return end
        return None


@functools.cache
def matcher(table: str, lang: str) -> Matcher:
    """Returns what finds the phrases of a table of `negation_table` in a language."""
    row = getattr(negation_table, table)[lang]
    return Matcher([tuple(plain.words(phrase)) for phrase in row.split(";")])


def is_side(low: str) -> bool:
    """Returns whether a word in lower case is one of the usual words for a side."""
    return low in _SIDES


def states(lows: Sequence[str]) -> bool:
    """Returns whether words in lower case state that something is normal, not there or changed."""
    return any(low.startswith(begins("STATES")) for low in lows)


def begins(table: str) -> tuple[str, ...]:
    """Returns the beginnings of words in a table of `negation_table`, for `str.startswith`."""
    return _beginnings(table)


@functools.lru_cache(maxsize=1 << 14)
def is_finding(low: str) -> bool:
    """Returns whether a word names a finding; in a German compound it may stand at the end."""
    findings = _findings()
    if low.startswith("unauff"):
        return False
    return low.startswith(findings) or any(f in low for f in findings if len(f) > 4)


def _findings() -> tuple[str, ...]:
    return _beginnings("FINDINGS")


@functools.cache
def _beginnings(table: str) -> tuple[str, ...]:
    return tuple(plain.words(getattr(negation_table, table)))
