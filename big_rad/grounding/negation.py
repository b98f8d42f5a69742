"""Judges whether a text denies a finding at an organ, and whether the organ is absent.

A finding is denied by a word before the organ ("no lesion in the liver") or after it ("the liver
is not enlarged"), in lists as well. "Normal" denies nothing, nor does "cannot be excluded". An
organ is absent if an operation removed it ("splenectomy"), or if it was never there.

The words are those of `negation_table`. A sentence is split at its marks and at words such as
"but". Each word that denies then reaches the organs of its own part, and of its neighbours if they
go on with its list.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence

from big_rad.grounding import clauses, lexicon, negation_table, plain
from big_rad.grounding.clauses import CONJUNCTIONS, DETERMINERS, PREPOSITIONS, VERBS, Token
from big_rad.grounding.phrase import Phrase

_NEAR = 4  # The most words between an organ and a word that says that it is not there.
_PREDICATE = re.compile(
    r".*(?:ed|iert|ierte|baren?|able|ible)$|unauff|normal|frei$|clear$|inta[ck]t|regelr|schlank|large$|small$|"
    r"klein|gross|patent$|offen$|ver[a-z]+t$|erweit|erhalt|unremark|altersent|zart|homogen|"
    r"geblaeht|gestaut|mild|moderate|degener|zeigt|shows?$|schon$|with$|mit$"
)
_INVOLVES = re.compile(
    r"invol|infiltr|exten|reach|contact|abut|compress|invad|affect|reich|erreich|betrof|einbez|displac|encas|"
    r"contain|komprimier|verlager|kontakt|in$"
)
_FILLERS = frozenset(
    plain.words("is are was were be been has have ist sind war waren wurde wurden wird bei nach st "
                "surgically congenitally completely operativ vollständig angeboren komplett "
                "postoperativ the der die das des dem den of von a s p z n status post zustand a i")
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a text says about the organ of a phrase.

    Attributes:
        negated: whether at least one finding at the organ is denied.
        absent: whether the organ was removed or was never there.
    """

    negated: bool = False
    absent: bool = False


def judge(
    words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], lang: str
) -> list[Judgement]:
    """Returns the judgement of each phrase.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order.
        lang: "en" or "de".
    """
    if not phrases:
        return []
    reader = _Reader(words, marks, phrases, lang)
    absent = [reader.is_absent(p) for p in phrases]
    denied = reader.denied()
    return [
        Judgement(negated=n in denied and not gone, absent=gone) for n, gone in enumerate(absent)
    ]


@dataclasses.dataclass
class _Cue:
    first: int
    last: int
    kind: str  # "deny", "not" or "denied"; see `negation_table`.


class _Reader:
    def __init__(
        self, words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], lang: str
    ):
        self._words, self._marks, self._lang = words, marks, lang
        self._lows = [w.low for w in words]
        self._phrases = phrases
        self._owner = {i: n for n, p in enumerate(phrases) for i in p.words}
        self._verbs = [low in VERBS for low in self._lows]

    # Organs that are not there.

    def is_absent(self, p: Phrase) -> bool:
        """Returns whether the organ of a phrase is not there."""
        removals = lexicon.removals(self._lang)
        if any(self._lows[i] in removals for i in p.words):
            return True
        after = self._next_word(p.last + 1)
        gone = _matcher("GONE", self._lang)
        if after is not None and gone.at(self._lows, after):
            return not self._names_part(p, after)
        ahead = _matcher("GONE_BEFORE", self._lang)
        start = max(0, p.first - 6)
        for i in range(start, p.first):
            last = ahead.at(self._lows, i)
            between = range(last or 0, p.first)
            near = all(self._lows[k] in _FILLERS or self._is_side(k) for k in between)
            if last and near and self._ends_here(p):
                return not any(self._marks[k] for k in range(i, p.first))
        return False

    def _next_word(self, i: int) -> int | None:
        """Returns the first word from `i` on that is no filler, within its clause."""
        for k in range(i, min(i + _NEAR, len(self._words))):
            if self._marks[k - 1] not in ("", "("):
                return None
            if self._lows[k] not in _FILLERS and not self._is_side(k):
                return k
        return None

    def _is_side(self, i: int) -> bool:
        return self._lows[i] in ("left", "right", "links", "rechts", "linke", "rechte", "linken",
                                 "rechten", "linker", "rechter", "bds", "beidseits")  # fmt: skip

    def _names_part(self, p: Phrase, after: int) -> bool:
        """Returns whether something else is gone ("the drain in the liver was removed")."""
        first = p.first
        while first and not self._marks[first - 1]:
            first -= 1
        return any(
            _is_finding(self._lows[i]) or self._lows[i] in PREPOSITIONS - {"nach", "bei"}
            for i in range(first, p.first)
        ) and self._lows[after] not in ("agenesis", "aplasia", "agenesie", "aplasie")

    def _ends_here(self, p: Phrase) -> bool:
        """Returns whether no finding follows an organ ("absence of gallbladder stones")."""
        i = p.last + 1
        if self._marks[p.last] or i >= len(self._words):
            return True
        return not _is_finding(self._lows[i])

    # Findings that are denied.

    def denied(self) -> set[int]:
        """Returns the numbers of the phrases at which a finding is denied."""
        found: set[int] = set()
        first = 0
        for i, mark in enumerate(self._marks):
            if mark in (".", ";"):
                found |= self._in_sentence(first, i + 1)
                first = i + 1
        return found

    def _in_sentence(self, first: int, stop: int) -> set[int]:
        cues = self._cues(first, stop)
        if not cues:
            return set()
        parts = self._parts(first, stop)
        found: set[int] = set()
        for cue in cues:
            n = next(k for k, part in enumerate(parts) if cue.first in part)
            found |= self._reached(cue, parts, n)
        return found

    def _cues(self, first: int, stop: int) -> list[_Cue]:
        hidden: set[int] = set()
        pseudo = _matcher("PSEUDO", self._lang)
        for i in range(first, stop):
            last = pseudo.at(self._lows, i, stop)
            if last:
                hidden.update(range(i, last))
        found, i = [], first
        while i < stop:
            cue = None if i in hidden or i in self._owner else self._cue_at(i, stop)
            if cue is not None:
                found.append(cue)
                i = cue.last
            i += 1
        return found

    def _cue_at(self, i: int, stop: int) -> _Cue | None:
        low = self._lows[i]
        if low == "noch":
            return _Cue(i, i, "deny") if "weder" in self._lows[max(0, i - 20) : i] else None
        for kind, table in (("deny", "DENY"), ("not", "NOT"), ("denied", "DENIED")):
            last = _matcher(table, self._lang).at(self._lows, i, stop)
            if last:
                if low == "absent" and i + 1 < stop and not self._marks[i]:
                    continue
                return _Cue(i, last - 1, kind)
        return None

    def _parts(self, first: int, stop: int) -> list[range]:
        """Returns the parts of a sentence, which end at marks and before words of `ENDS`."""
        ends = _ends(self._lang)
        parts, start = [], first
        for i in range(first, stop):
            opens = i + 1 < stop and self._lows[i + 1] in ends
            if self._marks[i] or opens or i + 1 == stop:
                parts.append(range(start, i + 1))
                start = i + 1
        return parts

    def _reached(self, cue: _Cue, parts: list[range], n: int) -> set[int]:
        """Returns the phrases that a word reaches which denies."""
        part = parts[n]
        ahead = self._ahead(cue, part)
        behind = self._behind(cue, part)
        if cue.kind == "deny":
            found = ahead or set(behind)
            whole = not self._stops_within(cue, part)
            if found == ahead and whole:
                ahead = found = found | self._list_after(parts, n)
            if not found and whole:
                found = self._list_after(parts, n)
            if found and found is not ahead and not ahead:
                found = found | self._list_before(parts, n, found)
            if not found:
                found = self._heading(cue, parts, n)
            return found | self._same_organ(found, behind)
        if cue.kind == "not" and self._hides(cue, part, behind):
            return set()
        after = self._lows[cue.last + 1 : min(part.stop, cue.last + 4)]
        if ahead and (not behind or any(_INVOLVES.match(low) for low in after)):
            return ahead
        found = set(behind)
        if not found:
            return self._heading(cue, parts, n)
        return found | self._list_before(parts, n, found)

    def _same_organ(self, found: set[int], behind: Sequence[int]) -> set[int]:
        """Returns the phrases before of which a denied finding says more ("no hydronephrosis")."""
        ids = {i for n in found for i in self._phrases[n].ids}
        return {n for n in behind if ids.issuperset(self._phrases[n].ids)}

    def _ahead(self, cue: _Cue, part: range) -> set[int]:
        stop = self._clause_after(cue, part)
        return {self._owner[i] for i in range(cue.last + 1, stop) if i in self._owner}

    def _clause_after(self, cue: _Cue, part: range) -> int:
        """Returns where the clause of a word ends that denies: before "and the spleen is large"."""
        for i in range(cue.last + 1, part.stop):
            if self._lows[i] in CONJUNCTIONS and self._new_clause(i, part.stop):
                return i
        return part.stop

    def _new_clause(self, i: int, stop: int) -> bool:
        owned = False
        for k in range(i + 1, stop):
            owned |= k in self._owner
            if self._verbs[k]:
                return owned
            if self._lows[k] in CONJUNCTIONS:
                return False
        last = self._lows[stop - 1]
        return owned and stop - 1 not in self._owner and bool(_PREDICATE.match(last)) and (
            not _is_finding(last)
        )  # fmt: skip

    def _stops_within(self, cue: _Cue, part: range) -> bool:
        return self._clause_after(cue, part) < part.stop

    def _behind(self, cue: _Cue, part: range) -> list[int]:
        """Returns the phrases before a word that denies, back to the start of its clause."""
        found: list[int] = []
        verb = False
        for i in range(cue.first - 1, part.start - 1, -1):
            if self._verbs[i]:
                verb = True
            if self._lows[i] in CONJUNCTIONS:
                before = any(self._verbs[k] for k in range(part.start, i))
                if (verb and before) or i == cue.first - 1 and self._ahead(cue, part):
                    break
            if i in self._owner and self._owner[i] not in found:
                found.append(self._owner[i])
        return found

    def _hides(self, cue: _Cue, part: range, behind: Sequence[int]) -> bool:
        """Returns whether an organ itself cannot be seen ("gallbladder not visualized")."""
        seen = _seen(self._lang)
        after = self._lows[cue.last + 1 : min(part.stop, cue.last + 5)]
        after = [low for low in after if low not in ("sicher", "eindeutig", "mehr")] or after
        if not any(low in seen for low in after):
            return False
        first = min((self._phrases[n].first for n in behind), default=cue.first)
        before = range(part.start, first)
        own = [self._lows[i] for n in behind for i in self._phrases[n].words]
        if any(_is_finding(self._lows[i]) for i in before) or any(map(_is_finding, own)):
            return False
        between = range(max((self._phrases[n].last for n in behind), default=0) + 1, cue.first)
        return not any(_is_finding(self._lows[i]) for i in between)

    def _list_after(self, parts: list[range], n: int) -> set[int]:
        """Returns the phrases of the parts that go on with a list ("no cyst in spleen, liver")."""
        found: set[int] = set()
        for k in range(n + 1, len(parts)):
            part = parts[k]
            if self._marks[parts[k - 1][-1]] != "," or self._lows[part[0]] in _ends(self._lang):
                break
            if self._cues(part.start, part.stop) or any(self._verbs[i] for i in part):
                break
            owned = {self._owner[i] for i in part if i in self._owner}
            rest = [i for i in part if i not in self._owner]
            if any(self._predicates(i) for i in rest):
                break
            found |= owned
            if not owned and len(part) > 4:
                break
        return found

    def _predicates(self, i: int) -> bool:
        low = self._lows[i]
        if low in CONJUNCTIONS or low in PREPOSITIONS or low in DETERMINERS or _is_finding(low):
            return False
        after = self._words[i + 1].low if i + 1 < len(self._words) and not self._marks[i] else ""
        if after and (i + 1 in self._owner or _is_finding(after)):
            return False  # This is an adjective before its noun.
        return bool(_PREDICATE.match(low))

    def _list_before(self, parts: list[range], n: int, found: set[int]) -> set[int]:
        """Returns the phrases of the parts that begin a list ("liver, spleen without lesion")."""
        more: set[int] = set()
        first = min(self._phrases[k].first for k in found)
        lead = range(parts[n].start, first)
        if any(self._content(i) for i in lead):
            return more
        for k in range(n - 1, -1, -1):
            part = parts[k]
            if self._marks[part[-1]] not in (",", "(", ")") or any(self._content(i) for i in part):
                break
            more |= {self._owner[i] for i in part if i in self._owner}
        return more

    def _content(self, i: int) -> bool:
        """Returns whether a word is more than an organ in a list."""
        low = self._lows[i]
        return not (
            i in self._owner or low in CONJUNCTIONS or low in DETERMINERS or low in PREPOSITIONS
            or self._is_side(i) or low in ("both", "beide", "sowie")
        )  # fmt: skip

    def _heading(self, cue: _Cue, parts: list[range], n: int) -> set[int]:
        """Returns the phrases of the part before, if a word that denies opens a part of its own."""
        if n == 0 or cue.kind == "denied" and len(parts[n]) > 3:
            return set()
        part = parts[n]
        mark = self._marks[parts[n - 1][-1]]
        if self._owned(part) or mark == "(":
            return set()
        if any(low.startswith(_elsewhere()) for low in (self._lows[i] for i in part)):
            return set()
        if mark == ":":
            return {m for k in range(n) for m in self._owned(parts[k])}
        found: set[int] = set()
        for k in range(n - 1, -1, -1):
            found |= self._owned(parts[k])
            mark = self._marks[parts[k - 1][-1]] if k else ""
            if found or not k or mark == ";":
                if k and mark == ":" and not found:
                    continue
                break
        return found

    def _owned(self, part: range) -> set[int]:
        return {self._owner[i] for i in part if i in self._owner}


class _Matcher:
    """Finds the phrases of a table at a word of a text, the longest first."""

    def __init__(self, phrases: Sequence[tuple[str, ...]]):
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in sorted(phrases, key=len, reverse=True):
            self._by_first.setdefault(phrase[0], []).append(phrase)

    def at(self, lows: Sequence[str], i: int, stop: int | None = None) -> int | None:
        """Returns the index behind the phrase that begins with the word `i`, or None."""
        for phrase in self._by_first.get(lows[i], ()):
            end = i + len(phrase)
            if end <= (len(lows) if stop is None else stop) and tuple(lows[i:end]) == phrase:
                return end
        return None


@functools.cache
def _matcher(table: str, lang: str) -> _Matcher:
    row = getattr(negation_table, table)[lang]
    return _Matcher([tuple(plain.words(phrase)) for phrase in row.split(";")])


@functools.cache
def _ends(lang: str) -> frozenset[str]:
    return frozenset(plain.words(negation_table.ENDS[lang])) | clauses.CLAUSE_OPENERS


@functools.cache
def _seen(lang: str) -> frozenset[str]:
    return frozenset(plain.words(negation_table.SEEN[lang]))


@functools.cache
def _elsewhere() -> tuple[str, ...]:
    return tuple(plain.words(negation_table.ELSEWHERE))


@functools.lru_cache(maxsize=1 << 14)
def _is_finding(low: str) -> bool:
    """Returns whether a word names a finding; in a German compound it may stand at the end."""
    findings = _findings()
    return low.startswith(findings) or any(f in low for f in findings if len(f) > 4)


@functools.cache
def _findings() -> tuple[str, ...]:
    return tuple(plain.words(negation_table.FINDINGS))
