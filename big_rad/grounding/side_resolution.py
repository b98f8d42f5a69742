"""Gives each phrase that may mean either organ of a pair the side that its clause names.

These rules are tried in order:

1. a side directly before the noun ("rechte, vergrößerte Niere") or after it ("psoas, right");
2. the side of a phrase that it is coordinated with ("right kidney and adrenal"), or of the organ
   that it is a part of ("right lung, lower lobe");
3. both sides for a plural ("kidneys");
4. the one side that the rest of the clause names ("links ist die Niere klein"), or that is named
   under a heading ("Niere: links Zyste");
5. both sides for a collective ("Lunge") and for other plurals.

A phrase that gets no side by these rules names no class.
"""

import re
from collections.abc import Iterator, Sequence

from big_rad.grounding import candidates, clauses, plain, side_links
from big_rad.grounding.candidates import BACK_MUSCLES, RIBS, Phrase
from big_rad.grounding.clauses import (
    CONJUNCTIONS,
    DETERMINERS,
    INDEFINITE,
    PREPOSITIONS,
    VERBS,
    Token,
)
from big_rad.grounding.side_words import SideWord

_REACH = 4
# The most words between a phrase and a side of its clause. No clause of a report is longer.
_FAR = 60
_HAND = frozenset(plain.words("side sides sided hand seite seiten"))
_AFTER_NOUN = frozenset(plain.words("on at of in auf an zur der"))
_OTHER_SIDE = re.compile(
    r"\.?\s*(?:,|/|&|[<>]+|and|und|u\.?|or|oder|bzw\.?|(?:\w+\s+)?(?:than|als)|wie)\s*"
    r"(?:on the |auf der |the )?",
    re.IGNORECASE,
)
_BEFORE_NOUN = frozenset(plain.words("in of im am vom"))
# Words that continue a clause after a comma.
_GO_ON = frozenset(
    plain.words("with without mit ohne including einschließlich samt especially insbesondere")
)


def resolve(
    text: str,
    words: Sequence[Token],
    marks: list[str],
    phrases: Sequence[Phrase],
    sides: Sequence[SideWord],
    lang: str,
) -> None:
    """Sets the attributes `side`, `resolved` and `several_organs` of the phrases in place.

    Marks after a side that ends a sentence ("Hüfte re. Lunge frei.") are corrected in place too.

    Args:
        text: the text.
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order.
        sides: the result of `side_words.read`.
        lang: "en" or "de".
    """
    for phrase in phrases:
        if not phrase.paired:
            several = len(phrase.ids) > 1
            phrase.resolved = (
                not several or phrase.grammatical_number != "one" or phrase.several_organs
            )
            phrase.resolved = phrase.resolved or candidates.is_collective(words, phrase, lang)
    if any(p.paired for p in phrases):
        _Resolver(text, words, marks, phrases, sides, lang).run()
    for phrase in phrases:
        many = phrase.grammatical_number != "one" or phrase.side == "both"
        phrase.several_organs = (
            phrase.several_organs or many and len(phrase.ids) > 1 and phrase.resolved
        )


class _Resolver:
    """The phrases of a text, and the words for sides that are in no phrase."""

    def __init__(
        self,
        text: str,
        words: Sequence[Token],
        marks: list[str],
        phrases: Sequence[Phrase],
        sides: Sequence[SideWord],
        lang: str,
    ):
        self._text, self._words, self._lang = text, words, lang
        self._marks = marks
        self._phrases = list(phrases)
        self._owner = {i: p for p in phrases for i in p.words}
        self._free = {
            s.index: s
            for s in sides
            if s.index not in self._owner
            and not s.remaining
            and not (lang == "de" and side_links.is_beside(words, marks, self._owner, s.index))
        }
        self._after: set[int] = set()  # The first words of phrases whose side stands after them.
        self._spent: set[int] = set()  # The words for sides that belong to a single phrase.
        for p in self._phrases:
            if p.side_words and p.side_words[-1] == p.last and p.first not in p.side_words:
                self._after.add(p.first)
            if (
                p.last in p.side_words
                and p.last + 1 < len(words)
                and words[p.last].low in clauses.SIDE_SHORT["de"]
            ):
                # The point after "re." in "Hüfte re. Lunge frei." does end a sentence.
                gap = text[words[p.last].end : words[p.last + 1].start]
                if "." in gap and words[p.last + 1].capital and lang == "de":
                    self._marks[p.last] = "."
        self._segments = clauses.segments(list(words), self._marks, self._splits())

        self._segment_of = [n for n, seg in enumerate(self._segments) for _ in seg]

    def run(self) -> None:
        """Gives the phrases their sides."""
        waiting = [p for p in self._phrases if p.paired]
        for p in waiting:
            if p.grammatical_number == "both":
                self._give(p, "both")
            else:
                self._give(p, self._side_before(p) or self._side_after(p))
        self._share()
        for p in waiting:
            one_each = candidates.most_per_side(p.ids) == 1 and p.ids != BACK_MUSCLES
            true_plural = p.grammatical_number == "many" and not p.coordinated and one_each
            if not p.resolved and true_plural:
                self._give(p, "both")
        found = [(p, self._side_of_clause(p)) for p in waiting if not p.resolved]
        for p, side in found:
            self._give(p, side)
        for p in waiting:
            whole = candidates.is_collective(self._words, p, self._lang)
            numbered = RIBS.issuperset(p.ids) and (len(p.ids) < len(RIBS) or p.coordinated)
            many = p.grammatical_number == "many" and not numbered
            if not p.resolved and (whole or many):
                self._give(p, "both")
            unnumbered = RIBS.issuperset(p.ids) and len(p.ids) > 2 and not p.several_organs
            if unnumbered and p.grammatical_number == "one" and not whole:
                p.side, p.resolved = None, False  # As in "left rib fracture".

    def _give(self, phrase: Phrase, side: str | None) -> None:
        if side is not None:
            phrase.side, phrase.resolved = side, True

    # Sides directly before or after the noun.

    def _side_before(self, p: Phrase) -> str | None:
        commas = 0
        for i in range(p.first - 1, max(-1, p.first - 1 - _REACH), -1):
            if self._marks[i] == ",":
                commas += 1
            elif self._marks[i]:
                return None
            word = self._words[i]
            if i in self._free:
                side = self._free[i]
                stands_first = (
                    i > 0
                    and self._words[i - 1].low in DETERMINERS
                    and (i < 2 or self._words[i - 2].low not in ("on", "at", "to", "auf", "zur"))
                )
                if not side.counts or commas > 1 or commas and not stands_first:
                    return None
                self._spent.add(i)
                return side.side
            joins = word.low in CONJUNCTIONS and p.grammatical_number == "many" and i > 0
            if joins and i - 1 not in self._free and i - 1 not in self._owner:
                continue  # As in "left superior and inferior pubic rami".
            if i in self._owner or not self._may_be_adjective(word):
                return None
        return None

    def _may_be_adjective(self, word: Token) -> bool:
        low = word.low
        if low in PREPOSITIONS or low in DETERMINERS or low in VERBS or low in CONJUNCTIONS:
            return False
        return self._lang == "en" or not word.capital

    def _side_after(self, p: Phrase) -> str | None:
        i, mark = p.last + 1, self._marks[p.last]
        if i >= len(self._words) or mark not in ("", ",", "(", ":"):
            return None
        first = i
        while i < len(self._words) and i - first < 3 and self._leads(i) and not self._marks[i]:
            i += 1
        side = self._free.get(i)
        if side is None:
            return None
        led = i > first
        end = i
        while end + 1 < len(self._words) and not self._marks[end]:
            if self._words[end + 1].low not in _HAND:
                break
            end += 1
        other = self._other_after(i)
        if not other and not side.counts:
            return None
        alone = self._marks[end] != "" or other is not None
        if mark and not alone or mark == ":" and not other:
            return None
        if not mark and not led and not alone and (side.adjective or self._lang == "en"):
            return None
        if led and not alone and end == i and not self._ends_phrase(end + 1):
            return None
        self._after.add(p.first)
        self._spent.add(i)
        return "both" if other else side.side

    def _leads(self, i: int) -> bool:
        low = self._words[i].low
        return low in _AFTER_NOUN or low in ("the", "patient", "s", "dem")

    def _ends_phrase(self, i: int) -> bool:
        low = self._words[i].low
        return low in VERBS or low in PREPOSITIONS or low in CONJUNCTIONS

    def _other_after(self, i: int) -> int | None:
        """Returns the index of the other side that is joined to this one, as in "right > left"."""
        for k in range(i + 1, min(len(self._words), i + 1 + _REACH)):
            other = self._free.get(k)
            joint = self._text[self._words[i].end : self._words[k].start]
            if other and _OTHER_SIDE.fullmatch(joint):
                return k if other.side != self._free[i].side else None
        return None

    # Coordination.

    def _share(self) -> None:
        pairs = list(zip(self._phrases, self._phrases[1:]))
        for before, p in pairs:
            if p.resolved or not p.paired or p.grammatical_number == "many" and not p.coordinated:
                continue
            side = before.own_side if before.resolved or not before.paired else None
            if before.side == "both" and before.grammatical_number == "both":
                side = "both" if p.coordinated else None
            whole = candidates.is_collective(self._words, p, self._lang)
            whole = whole and not self._words[p.last].low.startswith("rest")
            part = not whole and self._part(before, p)  # As in "ML belüftet, Lunge sonst frei".
            if side and (self._coordinated(before, p) or part):
                self._give(p, side)
        for p, after in reversed(pairs):
            if p.resolved or not p.paired or p.grammatical_number == "many" and not p.coordinated:
                continue
            side = after.side if after.side == "both" else after.own_side
            joined = after.first in self._after and self._coordinated(p, after)
            if side and (joined or self._part(p, after)):
                self._give(p, side)
                self._after.add(p.first)

    def _part(self, a: Phrase, b: Phrase) -> bool:
        joined = side_links.is_part(self._words, self._marks, a, b, self._free)
        return joined and self._leads_on(range(a.last + 1, b.first))

    def _coordinated(self, a: Phrase, b: Phrase) -> bool:
        inner = range(a.last + 1, b.first)
        joint = self._text[self._words[a.last].end : self._words[b.first].start]
        marks = {self._marks[i] for i in range(a.last, b.first)} - {""}
        if marks - {","}:
            return False
        conj = any(self._words[i].low in CONJUNCTIONS for i in inner) or re.search("[/&+]", joint)
        if not self._leads_on(inner):
            return False
        if conj or a.coordinated and b.coordinated:
            definite = any(self._words[i].low in DETERMINERS for i in inner)
            return not (definite and clauses.verb_follows(list(self._words), b.last))
        last = b.last
        goes_on = last + 1 < len(self._words) and (
            self._marks[last] == "," or self._words[last + 1].low in CONJUNCTIONS
        )
        return bool(marks) and goes_on

    def _leads_on(self, inner: range) -> bool:
        """Returns whether words may stand between two joined phrases, as "and in the small"."""
        left = [self._words[i] for i in inner]
        for known in (CONJUNCTIONS | {"as", "well", "wie", "auch"}, _BEFORE_NOUN, DETERMINERS):
            while left and left[0].low in known:
                left = left[1:]
        adjectives = len(left) < 3 and all(map(self._may_be_adjective, left))
        return adjectives and not any(i in self._free for i in inner)

    # Sides elsewhere in the clause.

    def _splits(self) -> set[int]:
        """Returns the conjunctions that join clauses, or parts with different sides."""
        found = set()
        for i, word in enumerate(self._words):
            if word.low not in CONJUNCTIONS or i == 0 or i + 1 == len(self._words):
                continue
            after = i + 1
            lead = after
            while lead + 1 < len(self._words) and self._words[lead].low in ("on", "auf", "in"):
                lead += 1
            if lead > after and self._words[lead].low in ("the", "der", "dem"):
                lead += 1
            side = self._free.get(lead)
            adverb = side and (lead > after or not side.adjective)
            if adverb and i - 1 not in self._free and not self._marks[lead]:
                found.add(i)
            elif self._has_verb(i, -1) and self._has_verb(i, +1) and i - 1 not in self._free:
                found.add(i)
        return found

    def _has_verb(self, i: int, step: int) -> bool:
        k = i + step
        while 0 <= k < len(self._words) and abs(k - i) < _FAR:
            if self._words[k].low in VERBS:
                return True
            if self._marks[min(k, k + step) if step < 0 else k]:
                return False
            k += step
        return False

    def _side_of_clause(self, p: Phrase) -> str | None:
        at = self._segment_of[p.first]
        own = list(self._named_in(self._segments[at], p))
        if not own:
            below = self._under_heading(at, p)
            if below:
                return below
            for n, close in self._related(at):
                own = list(self._named_in(self._segments[n], p, close))
                if own:
                    break
        before = {side for i, side in own if i < p.first}
        after = {side for i, side in own if i > p.first}
        for some in (before | after, before, after if not before else set()):
            if len(some) == 1:
                return some.pop()
        return None

    def _under_heading(self, at: int, p: Phrase) -> str | None:
        if candidates.is_collective(self._words, p, self._lang):
            if at + 1 == len(self._segments) or not self._only_side(self._segments[at + 1]):
                return None  # "Lunge" in "Lunge: links Erguss" still means both lungs.
        return side_links.under_heading(
            self._marks, self._segments, at, p, self._free, self._owner.keys()
        )

    def _related(self, at: int) -> Iterator[tuple[int, bool]]:
        """Yields other segments whose side may hold for the segment `at` too.

        With each comes whether only sides of organs of the same family count there.
        """
        segs = self._segments
        if at + 1 < len(segs) and self._mark(at) in (",", "(") and self._only_side(segs[at + 1]):
            yield at + 1, False
        if at and self._mark(at - 1) in (",", "(", ")"):
            first = self._words[segs[at][0]].low
            if (
                self._mark(at - 1) == "("
                or first in _GO_ON
                or self._lang == "en"
                and first.endswith("ing")
            ):
                yield at - 1, False
            if self._fronted(at - 1):
                yield at - 1, False
            if first in _BEFORE_NOUN and not self._has_verb(segs[at][0], -1):
                yield at - 1, True
        for n in range(at - 1, max(-1, at - _FAR), -1):
            if self._mark(n) in (".", ";"):
                return
            if self._mark(n) == ":":
                yield n, True

    def _mark(self, n: int) -> str:
        return self._marks[self._segments[n][-1]]

    def _only_side(self, seg: range) -> bool:
        known = [i for i in seg if i in self._free]
        return bool(known) and all(
            i in self._free or self._leads(i) or self._words[i].low in _HAND for i in seg
        )

    def _fronted(self, n: int) -> bool:
        """Returns whether a segment is a place that opens a sentence: "In the right lung, ..."."""
        seg = self._segments[n]
        if n and self._mark(n - 1) not in (".", ";"):
            return False
        first = self._words[seg[0]].low
        opens = first in PREPOSITIONS or seg[0] in self._free
        return opens and not any(self._words[i].low in VERBS for i in seg) and len(seg) <= 7

    def _named_in(self, seg: range, p: Phrase, close: bool = False) -> Iterator[tuple[int, str]]:
        """Yields (index of a word, side) for the sides in a segment that may be a phrase's side.

        With `close`, a side that belongs to another phrase counts only if that phrase is of the
        same family.
        """
        outside = p.first not in seg
        near = range(max(seg.start, p.first - _FAR), min(seg.stop, p.last + 1 + _FAR))
        for i in near:
            side, owner = self._free.get(i), self._owner.get(i)
            if side is not None and side.counts:
                spread = (
                    side.side != "both"
                    or not side.adjective
                    or (i + 1 < len(self._words) and self._words[i + 1].low in _HAND)
                )
                taken = i in self._spent
                if spread and not taken and (outside or self._crosses(i, p, side, None)):
                    yield i, side.side
            elif owner is not None and owner is not p and i == owner.first:
                known = owner.own_side if owner.resolved or not owner.paired else None
                alike = candidates.family(owner.ids) == candidates.family(p.ids)
                if not known or (close or outside) and not alike:
                    continue
                if outside or self._crosses(i, p, None, owner):
                    yield i, known

    def _crosses(self, i: int, p: Phrase, side: SideWord | None, owner: Phrase | None) -> bool:
        """Returns whether a side reaches a phrase across the conjunctions between them."""
        low, high = min(i, p.first), max(i, p.first)
        joints = [k for k in range(low, high) if self._words[k].low in CONJUNCTIONS]
        if not joints:
            return True
        if owner is not None:
            return candidates.family(owner.ids) == candidates.family(p.ids)
        new_finding = any(self._words[k + 1].low in INDEFINITE for k in joints)
        at_start = side is not None and not side.adjective and i < p.first
        return at_start or not new_finding and candidates.family(p.ids) == "lung"
