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

from big_rad.grounding import (
    absence,
    clauses,
    cue_words,
    denial_cues,
    denials,
    exceptions,
    negation_table,
    plain,
)
from big_rad.grounding.clauses import CONJUNCTIONS, DETERMINERS, PREPOSITIONS, VERBS, Token
from big_rad.grounding.denial_cues import Cue
from big_rad.grounding.levels import DISCS
from big_rad.grounding.phrase import Phrase, family, mirrored

_PREDICATE = re.compile(
    r".*(?:ed|iert|ierte|baren?|able|ible)$|unauff|normal|frei$|clear$|inta[ck]t|regelr|schlank|large$|small$|"
    r"klein|gross|patent$|offen$|ver[a-z]+t$|erweit|erhalt|unremark|altersent|zart|homogen|"
    r"geblaeht|gestaut|mild|moderate|degener|zeigt|shows?$|schon$|with$|mit$"
)
# Beginnings of words for spaces around an organ; what is denied there is not denied in the organ.
_AROUND = ("epidural", "subdural", "subarach", "pericard", "perikard")
_INVOLVES = re.compile(
    r"invol|infiltr|exten|reach|contact|abut|compress|invad|affect|reich|erreich|betrof|einbez|displac|encas|arise|origin|penetr|"
    r"contain|komprimier|verlager|kontakt|in$"
)
# Words that speak of all that was named before: "both without stones", "none of them enhances".
_ALL = frozenset(
    plain.words("both neither all none beide beiden alle keine davon keiner keines sämtliche")
)


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
    absent = absence.find(words, marks, phrases, lang)
    *rest, numbers = exceptions.without(words, marks, phrases, lang)
    denied = {numbers[n] for n in _Reader(*rest, lang).denied()}
    # What is denied after an operation is mostly beside the organ, unless it has come back.
    back = any(absent) and any(w.low.startswith(cue_words.begins("BACK")) for w in words)
    return [
        Judgement(negated=n in denied and (back or not gone), absent=gone)
        for n, gone in enumerate(absent)
    ]


class _Reader:
    def __init__(
        self, words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], lang: str
    ):
        self._words, self._marks, self._lang = words, marks, lang
        self._lows = [w.low for w in words]
        self._phrases = phrases
        self._owner = {i: n for n, p in enumerate(phrases) for i in p.words}
        self._verbs = [low in VERBS for low in self._lows]

    # Findings that are denied.

    def denied(self) -> set[int]:
        """Returns the numbers of the phrases at which a finding is denied."""
        found: set[int] = set()
        first = 0
        for i, mark in enumerate(self._marks):
            if mark == ".":
                found |= self._in_sentence(first, i + 1)
                first = i + 1
        return found

    def _in_sentence(self, first: int, stop: int) -> set[int]:
        cues = self._cues(range(first, stop))
        if not cues:
            return set()
        parts = self._parts(first, stop)
        found: set[int] = set()
        for cue in cues:
            n = next(k for k, part in enumerate(parts) if cue.first in part)
            found |= self._reached(cue, parts, n)
        return found

    def _cues(self, sentence: range) -> list[Cue]:
        return denial_cues.find(self._lows, self._marks, self._owner, sentence, self._lang)

    def _parts(self, first: int, stop: int) -> list[range]:
        """Returns the parts of a sentence, which end at marks and before words of `ENDS`."""
        ends = _ends(self._lang)
        parts, start = [], first
        for i in range(first, stop):
            opens = i + 1 < stop and (self._marks[i] or self._lows[i + 1] in ends)
            if opens and self._lows[i + 1] in ("that", "dass") and self._marks[i] in ("", ","):
                opens = not denials.assumes(self._lows[max(first, i - 2) : i + 1])
            if opens or i + 1 == stop:
                parts.append(range(start, i + 1))
                start = i + 1
        return parts

    def _reached(self, cue: Cue, parts: list[range], n: int) -> set[int]:
        """Returns the phrases that a word reaches which denies."""
        part = parts[n]
        ahead = self._ahead(cue, part)
        behind = self._behind(cue, part)
        if cue.kind == "deny":
            if self._denies_change(cue, part):
                return set()
            found = ahead or set(self._not_elsewhere(cue, part, behind))
            whole = not self._stops_within(cue, part)
            if found == ahead and whole:
                ahead = found = found | self._list_after(parts, n)
            if not found and self._under_heading(part):
                found = self._heading(cue, parts, n)
            if not found and whole:
                found = self._list_after(parts, n)
            if found and found is not ahead and not ahead:
                found = found | self._list_before(parts, n, found)
            if not found:
                found = self._heading(cue, parts, n)
            return found | self._same_organ(found, behind)
        if cue.kind == "not" and (self._unjudged(cue, part) or self._hides(cue, part, behind)):
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

    def _ahead(self, cue: Cue, part: range) -> set[int]:
        return self._ahead_of_cause(range(cue.last + 1, self._clause_after(cue, part)))

    def _ahead_of_cause(self, part: range) -> set[int]:
        """Returns the phrases before "by" ("no compression of the spleen by the stomach")."""
        found: set[int] = set()
        for i in part:
            if found and self._lows[i] in ("by", "durch"):
                break
            if i in self._owner:
                found.add(self._owner[i])
        return found

    def _clause_after(self, cue: Cue, part: range) -> int:
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
            not cue_words.is_finding(last)
        )  # fmt: skip

    def _stops_within(self, cue: Cue, part: range) -> bool:
        return self._clause_after(cue, part) < part.stop

    def _behind(self, cue: Cue, part: range) -> list[int]:
        """Returns the phrases before a word that denies, back to the start of its clause."""
        found: list[int] = []
        verb = False
        for i in range(cue.first - 1, part.start - 1, -1):
            if self._verbs[i]:
                verb = True
            if self._lows[i] in CONJUNCTIONS:
                before = any(self._verbs[k] for k in range(part.start, i))
                goes_on = self._verbs[i + 1] or i + 1 == cue.first  # "is large and shows no cyst"
                if (
                    (verb and before and not goes_on)
                    or i == cue.first - 1
                    and self._ahead(cue, part)
                ):
                    break
            if i in self._owner and self._owner[i] not in found:
                found.append(self._owner[i])
        return self._subjects(found)

    def _subjects(self, found: Sequence[int]) -> list[int]:
        return denials.subjects(self._lows, self._marks, self._phrases, found)

    def _not_elsewhere(self, cue: Cue, part: range, behind: Sequence[int]) -> Sequence[int]:
        """Returns no phrases if what is denied would lie elsewhere ("skull ..., no subdural")."""
        near = self._lows[cue.last + 1 : min(part.stop, cue.last + 4)]
        outside = any(low.startswith(_AROUND) for low in near)
        return [] if outside else behind

    def _denies_change(self, cue: Cue, part: range) -> bool:
        return denials.denies_change(self._lows[cue.last + 1 : min(part.stop, cue.last + 4)])

    def _unjudged(self, cue: Cue, part: range) -> bool:
        return denials.unjudged(self._lows, part, cue.first, cue.last, self._lang)

    def _under_heading(self, part: range) -> bool:
        return part.start > 0 and self._marks[part.start - 1] == ":"

    def _hides(self, cue: Cue, part: range, behind: Sequence[int]) -> bool:
        """Returns whether an organ itself cannot be seen ("gallbladder not visualized")."""
        seen = denials.seen(self._lang)
        after = self._lows[cue.last + 1 : min(part.stop, cue.last + 5)]
        after = [low for low in after if low not in ("sicher", "eindeutig", "mehr")] or after
        if not any(low in seen for low in after):
            return False
        first = min((self._phrases[n].first for n in behind), default=cue.first)
        before = range(part.start, first)
        own = [self._lows[i] for n in behind for i in self._phrases[n].words]
        if any(cue_words.is_finding(self._lows[i]) for i in before) or any(
            map(cue_words.is_finding, own)
        ):
            return False
        between = range(max((self._phrases[n].last for n in behind), default=0) + 1, cue.first)
        return not any(cue_words.is_finding(self._lows[i]) for i in between)

    def _list_after(self, parts: list[range], n: int) -> set[int]:
        """Returns the phrases of the parts that go on with a list ("no cyst in spleen, liver")."""
        found: set[int] = set()
        for k in range(n + 1, len(parts)):
            part = parts[k]
            if self._marks[parts[k - 1][-1]] != "," or self._lows[part[0]] in _ends(self._lang):
                break
            if self._cues(part) or any(self._verbs[i] for i in part):
                break
            if self._marks[part[-1]] == ":":
                break  # This is the next heading: "Left: no stone, right: 5 mm stone".
            owned = self._ahead_of_cause(part)
            rest = [i for i in part if i not in self._owner]
            if any(self._predicates(i) for i in rest):
                break
            if self._opposes(parts[n], part) or self._restates(parts[n], part):
                break
            found |= owned
            if not owned and len(part) > 4:
                break
        return found

    def _opposes(self, part: range, after: range) -> bool:
        """Returns whether a later part states a finding on the other side of an earlier one."""
        other = {mirrored(i) for n in self._owned(part) for i in self._phrases[n].ids}
        own = {i for n in self._owned(after) for i in self._phrases[n].ids}
        finding = any(cue_words.is_finding(self._lows[i]) for i in after if i not in self._owner)
        return finding and not own.isdisjoint(other - {None})

    def _restates(self, part: range, after: range) -> bool:
        """Returns whether a later part states what an earlier one denies.

        It does for another side ("no stone on the right, 5 mm stone in the left kidney"), or if it
        names the same finding before its organ ("no metastasis in the liver, metastasis in the
        spleen").
        """
        sides = {_side(self._lows[i]) for i in part} - {None}
        others = {_side(self._lows[i]) for i in after} - {None}
        findings = {self._lows[i] for i in part if cue_words.is_finding(self._lows[i])}
        again = [self._lows[i] for i in after if i not in self._owner]
        stated = any(cue_words.is_finding(low) for low in again)
        if sides and others and sides.isdisjoint(others):
            return stated or any(cue_words.is_finding(self._lows[i]) for i in after)
        return bool(findings & set(again)) and any(low in PREPOSITIONS for low in again)

    def _predicates(self, i: int) -> bool:
        low = self._lows[i]
        if (
            low in CONJUNCTIONS
            or low in PREPOSITIONS
            or low in DETERMINERS
            or cue_words.is_finding(low)
        ):
            return False
        after = self._words[i + 1].low if i + 1 < len(self._words) and not self._marks[i] else ""
        if after and (i + 1 in self._owner or cue_words.is_finding(after)):
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
            numbered = self._numbered(part[-1], found | more)
            if numbered is not None:
                more.add(numbered)
                if any(self._content(i) for i in part):
                    break
                continue
            if self._marks[part[-1]] not in (",", "(", ")") or any(self._content(i) for i in part):
                break
            more |= self._owned(part)
        other = {mirrored(i) for k in found for i in self._phrases[k].ids}
        return {k for k in more if other.isdisjoint(self._phrases[k].ids) or len(found) > 1}

    def _numbered(self, i: int, found: set[int]) -> int | None:
        """Returns the vertebra or rib at a word that begins a list ("screws in L3, L4 and L5")."""
        n = self._owner.get(i)
        if n is None or self._marks[i] != ",":
            return None
        families = {family(self._phrases[k].ids) for k in found}
        own = family(self._phrases[n].ids)
        return n if own in families and own in ("vertebrae", "rib") else None

    def _content(self, i: int) -> bool:
        """Returns whether a word is more than an organ in a list."""
        low = self._lows[i]
        return not (
            i in self._owner or low in CONJUNCTIONS or low in DETERMINERS or low in PREPOSITIONS
            or cue_words.is_side(low) or low in ("both", "beide", "sowie")
        )  # fmt: skip

    def _heading(self, cue: Cue, parts: list[range], n: int) -> set[int]:
        """Returns the phrases of the part before, if a word that denies opens a part of its own."""
        if n == 0 or cue.kind == "denied" and len(parts[n]) > 3:
            return set()
        part = parts[n]
        mark = self._marks[parts[n - 1][-1]]
        if self._owned(part) or mark == "(" or self._outside(part, cue):
            return set()
        if mark == ":":
            return self._headed(parts, n)
        if mark == ";" and not self._unplaced(part):
            return set()
        every = any(self._lows[i] in _ALL for i in part)
        found: set[int] = set()
        for k in range(n - 1, -1, -1):
            owned = self._owned(parts[k])
            if owned or not found:
                found |= owned
            mark = self._marks[parts[k - 1][-1]] if k else ""
            if not k or mark == ";":
                break
            if found and not every and not self._lists(parts, k):
                break
            if not owned and self._outside(parts[k], None):
                break  # Something else is meant ("..., lymph nodes of 8 mm, none necrotic").
            if found and mark == ":":
                break
        return set(self._subjects(sorted(found)))

    def _lists(self, parts: list[range], k: int) -> bool:
        """Returns whether a part goes on with the list of the part before ("at C2, C4 and T1")."""
        ends = self._marks[parts[k - 1][-1]] == ","
        return ends and not any(self._content(i) for i in parts[k - 1]) and (
            parts[k][0] in self._owner or self._lows[parts[k][0]] in CONJUNCTIONS
        )  # fmt: skip

    def _headed(self, parts: list[range], n: int) -> set[int]:
        """Returns the phrases of a heading ("Liver, spleen: no lesion")."""
        found = self._owned(parts[n - 1])
        for k in range(n - 2, -1, -1):
            mark = self._marks[parts[k][-1]]
            if mark == ";" or found and mark != ",":
                break
            if found and any(self._content(i) for i in parts[k]):
                break
            found |= self._owned(parts[k])
        return found

    def _outside(self, part: range, cue: Cue | None) -> bool:
        """Returns whether a part is about something that lies outside the organs before it."""
        lows = [self._lows[i] for i in part]
        if any(low.startswith(("endolum", "intralum")) for low in lows):
            return False
        discs = any(p.ids == (DISCS,) and p.last < part.start for p in self._phrases)
        if any(
            low.startswith(cue_words.begins("ELSEWHERE"))
            and not (discs and low.startswith("herni"))
            for low in lows
        ):
            return True
        if cue is None:
            return False
        after = [low for i, low in zip(part, lows, strict=True) if i > cue.last]
        before = {low for i, low in zip(part, lows, strict=True) if i < cue.first}
        return bool(before & {"an", "am", "at"}) or any(low in ("at", "am", "an") for low in after)

    def _unplaced(self, part: range) -> bool:
        """Returns whether a part denies a finding that may lie in any organ ("no mass")."""
        return any(self._lows[i].startswith(cue_words.begins("ANYWHERE")) for i in part)

    def _owned(self, part: range) -> set[int]:
        return {self._owner[i] for i in part if i in self._owner}


def _side(low: str) -> str | None:
    if not cue_words.is_side(low) or low.startswith("b"):
        return None
    return "left" if low.startswith("l") else "right"


@functools.cache
def _ends(lang: str) -> frozenset[str]:
    return frozenset(plain.words(negation_table.ENDS[lang])) | clauses.CLAUSE_OPENERS
