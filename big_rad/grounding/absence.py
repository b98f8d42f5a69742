"""Judges whether an organ is absent: an operation removed it, or it was never there.

The words are those of `negation_table` and the operations of `part_table` ("splenectomy").
"""

from collections.abc import Sequence

from big_rad.grounding import cue_words, lexicon, plain
from big_rad.grounding.clauses import CONJUNCTIONS, DETERMINERS, PREPOSITIONS, Token
from big_rad.grounding.phrase import Phrase

LOBES = frozenset((10, 11, 12, 13, 14))  # The lobes of the lungs, which are classes.
_NEVER = ("agenes", "aplas")
# Words that begin a cause: "wegen eines Tumors entfernt".
_CAUSE = frozenset(plain.words("wegen aufgrund infolge karzinom tumor because due for"))
# Words before "agenesis" with which it explains what was said before.
_PARTS = tuple(
    plain.words(
        "head tail body lobe segment segments pole wall kopf schwanz korpus lappen pol wand"
    )
)
_FINDINGS = ("megaly", "megalie", "itis", "nephrosis", "nephrose", "lithiasis", "pathy", "pathie")
_AS = frozenset(plain.words("with to of by bei durch einer eine as congenital suggesting likely"))
_NEAR = 6  # The most words between an organ and a word that says that it is not there.
_FILLERS = frozenset(
    plain.words("is are was were be been has have ist sind war waren wurde wurden wird bei nach st "
                "surgically congenitally completely operativ vollständig angeboren komplett "
                "postoperativ operationsbedingt zwischenzeitlich intervall interval verlauf since "
                "also ebenfalls inzwischen mittlerweile meantime already bereits too has have "
                "been later später worden auch recently kürzlich in im jahr jahre year the der die "
                "das des dem den of von a s p z n status post zustand a i")
)  # fmt: skip


def find(
    words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], lang: str
) -> list[bool]:
    """Returns for each phrase of a text whether its organ is absent.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order.
        lang: "en" or "de".
    """
    return _Reader(words, marks, phrases, lang).absent()


class _Reader:
    def __init__(
        self, words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], lang: str
    ):
        self._words, self._marks, self._phrases, self._lang = words, marks, phrases, lang
        self._lows = [w.low for w in words]
        self._never = [i for i, low in enumerate(self._lows) if low.startswith(_NEVER)]

    def absent(self) -> list[bool]:
        """Returns for each phrase whether its organ is not there."""
        found = [self._is_removed(p) or self._is_absent(p) for p in self._phrases]
        listed = False
        for n in range(len(found) - 1, 0, -1):
            before, p = self._phrases[n - 1], self._phrases[n]
            listed = (listed or self._gone_after(p)) and self._is_list(before, p)
            listed = listed and found[n] and not self._opens_part(before)
            found[n - 1] = found[n - 1] or listed
        for n in range(1, len(found)):
            before, p = self._phrases[n - 1], self._phrases[n]
            if self._is_removed(p) and self._operated(before, p):
                found[n - 1] = True
            same = self._is_removed(before) and before.ids == p.ids and p.first == before.last + 1
            found[n] = found[n] or same and not self._marks[before.last]
        return found

    def _operated(self, organ: Phrase, operation: Phrase) -> bool:
        """Returns whether an organ heads its removal ("linke Niere: Z. n. Nephrektomie")."""
        between = range(organ.last + 1, operation.first)
        same = organ.ids == operation.ids and organ.side == operation.side
        same = same or organ.own_side is not None and organ.own_side == operation.side
        return same and set(organ.ids) <= set(operation.ids) and (
            {self._marks[i] for i in range(organ.last, operation.first)} <= {"", ":", "("}
            and all(self._lows[i] in _FILLERS or self._lows[i] in PREPOSITIONS for i in between)
        )  # fmt: skip

    def _is_removed(self, p: Phrase) -> bool:
        removals = lexicon.removals(self._lang)
        return any(self._lows[i] in removals for i in p.words)

    def _gone_after(self, p: Phrase) -> bool:
        after = self._next_word(p.last + 1)
        if after is not None and self._lows[after] in _CAUSE:
            after = self._behind_cause(after)
        if after is not None and self._lows[after] == "absent" and self._names_finding(p):
            return False  # As in "splenomegaly is absent".
        if after is None or not cue_words.matcher("GONE", self._lang).at(self._lows, after):
            return False
        if self._lows[after].startswith("rese") and self._is_part(p):
            return False
        return not self._names_part(p, after) and not self._denied_after(after)

    def _behind_cause(self, i: int) -> int | None:
        """Returns the word that goes on after a cause ("removed", after "because of a tumor")."""
        gone = cue_words.matcher("GONE", self._lang)
        for k in range(i + 1, min(i + 6, len(self._words))):
            if self._marks[k - 1] or any(k in q.words for q in self._phrases):
                return None
            if gone.at(self._lows, k):
                return k
        return None

    def _denied_after(self, i: int) -> bool:
        """Returns whether a word is denied itself ("agenesis excluded")."""
        if not self._lows[i].startswith(_NEVER):
            return False
        denied, negates = (cue_words.matcher(t, self._lang) for t in ("DENIED", "NOT"))
        return any(
            denied.at(self._lows, k) or negates.at(self._lows, k)
            for k in range(i + 1, min(i + 4, len(self._words)))
        )

    def _never_there(self, p: Phrase) -> bool:
        """Returns whether an organ is not seen and never was ("consistent with agenesis")."""
        k = next((k for k in self._never if k > p.last), None)
        if k is None or self._lows[k - 1] not in _AS or "." in self._marks[p.last : k]:
            return False
        others = any(p.last < q.first <= k for q in self._phrases)
        return not others and not self._denied_after(k)

    def _is_list(self, a: Phrase, b: Phrase) -> bool:
        """Returns whether only words of a list stand between two phrases."""
        if {self._marks[i] for i in range(a.last, b.first)} - {"", ","}:
            return False
        return all(
            self._lows[i] in CONJUNCTIONS or self._lows[i] in DETERMINERS or self._is_side(i)
            for i in range(a.last + 1, b.first)
        )

    def _opens_part(self, p: Phrase) -> bool:
        return p.first > 0 and not self._marks[p.first - 1] and (
            self._lows[p.first - 1] in PREPOSITIONS - {"nach", "bei"}
        )  # fmt: skip

    def _is_absent(self, p: Phrase) -> bool:
        if self._gone_after(p) or self._never_there(p):
            return True
        ahead = cue_words.matcher("GONE_BEFORE", self._lang)
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
            low = self._lows[k]
            if low not in _FILLERS and not low.isdigit() and not self._is_side(k):
                return k
        return None

    def _is_part(self, p: Phrase) -> bool:
        """Returns whether only a part of an organ is meant ("the pancreatic head was resected")."""
        first = p.first
        while first > max(0, p.first - 3) and self._lows[first - 1] not in CONJUNCTIONS:
            first -= 1
        own = self._lows[first : p.last + 1]
        return not LOBES.issuperset(p.ids) and any(low.endswith(_PARTS) for low in own)

    def _names_finding(self, p: Phrase) -> bool:
        low = self._lows[p.last]
        return low.endswith(_FINDINGS) or cue_words.is_finding(low)

    def _is_side(self, i: int) -> bool:
        return cue_words.is_side(self._lows[i])

    def _names_part(self, p: Phrase, after: int) -> bool:
        """Returns whether something else is gone ("the drain in the liver was removed")."""
        first = p.first
        while first and not self._marks[first - 1]:
            first -= 1
        return any(
            cue_words.is_finding(self._lows[i]) or self._lows[i] in PREPOSITIONS - {"nach", "bei"}
            for i in range(first, p.first)
        ) and self._lows[after] not in ("agenesis", "aplasia", "agenesie", "aplasie")

    def _ends_here(self, p: Phrase) -> bool:
        """Returns whether no finding follows an organ ("absence of gallbladder stones")."""
        i = p.last + 1
        if self._marks[p.last] or i >= len(self._words):
            return True
        return not cue_words.is_finding(self._lows[i])
