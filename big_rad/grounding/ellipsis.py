"""Completes coordinations that leave words out, such as "right upper and lower lobes".

The words of a coordination share a noun that is written only once. The rule is: take a word beside
"and" and put it in the place of a word of the neighbouring phrase. If the result is in the lexicon,
the word is a phrase too. For example:

    text                         found in the lexicon     added
    right upper and lower lobes  lower lobes              right upper (as "upper lobes")
    Ober- und Unterlappen        Unterlappen              Ober (as "Oberlappen")
    7. und 8. Rippe              8. Rippe                 7. (as "7. Rippe")
    left and right kidney        right kidney             left (as "left kidney")

A range of ribs ("ribs 3 to 5") is one phrase that names all of them.
"""

import re
from collections.abc import Iterator, Sequence

from big_rad.grounding import candidates, plain
from big_rad.grounding.candidates import RIBS, Phrase
from big_rad.grounding.clauses import CONJUNCTIONS, DETERMINERS, PREPOSITIONS, VERBS, Token
from big_rad.grounding.side_words import SideWord

_CONJ = (
    r"(?:and/or|und/oder|and|or|nor|und|u\.?|oder|noch|sowie|bzw\.?|as well as|wie auch|"
    r"but not|but also|nicht aber|aber nicht|sondern auch|als auch)"
)
_ARTICLE = r"(?:\s+(?:the|of the|in the|der|die|des|dem|den|das|im|in der))?"
_JOIN = re.compile(
    rf"[-\u2010\u2011]?\.?\s*(?:,\s*{_CONJ}?|,?\s*{_CONJ}|/|&|\+){_ARTICLE}\s*-?", re.IGNORECASE
)
_RANGE = re.compile(
    r"\.?\s*(?:-|\u2010|\u2011|\u2013|to|bis(?: zur| zum)?|through|thru)(?: the)?\s*", re.IGNORECASE
)
_COMPARE = re.compile(
    r"\.?\s*(?:[<>]+|(?:more|greater|larger|smaller|less|worse) than|"
    r"(?:mehr|groesser|kleiner|staerker|weniger|deutlicher) als|als|wie|versus|vs\.?)"
    r"(?: the| die| der| in der)?\s*",
    re.IGNORECASE,
)
_JOINS = re.compile("|".join(p.pattern for p in (_JOIN, _RANGE, _COMPARE)), re.IGNORECASE)
_SIZE = re.compile(r"\d[\d.,x\s]*(?:cm|mm|ml|hu|he)\b", re.IGNORECASE)
_CLAUSE = 30  # The most words between an organ and a side that stands in for it later.
_FAR = 4  # The most words of the text that joins two phrases.
_MIN_PART = 3  # The fewest letters of a part of a German compound.
_ADVERBS = ("links", "rechts")
_HYPHENS = ("-", "\u2010", "\u2011")
_STATES = frozenset(
    plain.words(
        "normal unremarkable clear intact small large enlarged unauffällig frei intakt regelrecht "
        "klein groß vergrößert verkleinert schlank unremarkable patent occluded offen gestaut "
        "verschlossen verdickt thickened atrophic atroph"
    )
)
_ARTICLES = frozenset(plain.words("the its their die der das den dem des"))
_ADVERBIAL = frozenset(plain.words("on at to from toward towards auf nach von zur"))


def fill_in(
    text: str,
    words: Sequence[Token],
    marks: Sequence[str],
    phrases: list[Phrase],
    sides: Sequence[SideWord],
    lang: str,
) -> list[Phrase]:
    """Returns the phrases, with those added whose noun a coordination leaves out, in order.

    Args:
        text: the text.
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: the result of `candidates.find`; ranges of ribs are extended in place.
        sides: the result of `side_words.read`.
        lang: "en" or "de".
    """
    filler = _Filler(text, words, marks, phrases, sides, lang)
    for phrase in list(phrases):
        filler.before(phrase)
        filler.after(phrase)
    filler.alone()
    return sorted(filler.phrases, key=lambda p: p.first)


class _Filler:
    """The phrases of a text, and the words that belong to them."""

    def __init__(
        self,
        text: str,
        words: Sequence[Token],
        marks: Sequence[str],
        phrases: Sequence[Phrase],
        sides: Sequence[SideWord],
        lang: str,
    ):
        self._text, self._words, self._marks, self._lang = text, words, marks, lang
        self.phrases: list[Phrase] = list(phrases)
        self._sides = {s.index: s for s in sides if not s.remaining}
        self._taken = {i for p in phrases for i in p.words}

    def before(self, phrase: Phrase) -> None:
        """Adds the phrases that are joined to the left end of this one, from right to left."""
        near = phrase
        while near is not None:
            near = self._one_before(near, phrase)

    def after(self, phrase: Phrase) -> None:
        """Adds the phrases that are joined to the right end of this one, from left to right."""
        near = phrase
        while near is not None:
            near = self._one_after(near, phrase)

    def alone(self) -> None:
        """Adds sides that stand in for an organ named before: "smaller than the right"."""
        for i, side in self._sides.items():
            if i in self._taken or side.side == "both" or not self._for_noun(i, side):
                continue
            near = self._named_before(i)
            if near is None:
                continue
            ids = [candidates.mirrored(c) for c in near.ids]
            apart = {".", ";"} & set(self._marks[near.last : i])
            if near.own_side != side.side and not apart and None not in ids:
                self._add(Phrase(i, i, tuple(sorted(ids)), side_words=(i,)))

    def _named_before(self, i: int) -> Phrase | None:
        """Returns the last phrase before a word that names its own side."""
        owner = {p.last: p for p in self.phrases if i - _CLAUSE < p.last < i}
        return next((owner[k] for k in sorted(owner, reverse=True)
                     if owner[k].own_side and owner[k].side_words), None)  # fmt: skip

    def _for_noun(self, i: int, side: SideWord) -> bool:
        """Returns whether a side stands in the place of a noun."""
        after = self._words[i + 1] if i + 1 < len(self._words) and not self._marks[i] else None
        if (
            i
            and self._marks[i - 1] == ","
            and after is not None
            and (_SIZE.match(self._text, after.start))
        ):
            return True  # As in "Right kidney 11 cm, left 10 cm".
        if i and self._marks[i - 1] == "," and after is not None and after.low in _STATES:
            return side.adjective  # As in "Right kidney small, left normal".
        if self._lang == "de" and not (side.adjective and self._words[i].low not in ("re", "li")):
            return False
        before = [w.low for w in self._words[max(0, i - 2) : i]][::-1] + ["", ""]
        if before[0] in _ARTICLES and before[1] in _ADVERBIAL or self._marks[i - 1 : i] != [""]:
            return False
        if before[0] not in _ARTICLES and before[0] not in ("than", "als", "wie"):
            return False
        if after is not None and after.text[0].isdigit() and before[0] in _ARTICLES:
            return True  # As in "the left kidney measures 11 cm and the right 10 cm".
        return after is None or after.low in (
            *VERBS,
            *CONJUNCTIONS,
            "one",
            "than",
            "als",
            "nicht",
            "by",
            "um",
            "counterpart",
        )

    def _one_before(self, near: Phrase, whole: Phrase) -> Phrase | None:
        for p, joint in self._joints(near.first, -1):
            if _RANGE.fullmatch(joint):
                return self._range(near, whole, p, before=True)
            if p in self._sides:
                return self._other_side(near, p, joint)
            if _JOIN.fullmatch(joint):
                return self._new(near, whole, p, p, hyphen=joint.startswith(_HYPHENS))
        return None

    def _one_after(self, near: Phrase, whole: Phrase) -> Phrase | None:
        for q, joint in self._joints(near.last, +1):
            if _RANGE.fullmatch(joint):
                return self._range(near, whole, q, before=False)
            if q in self._sides:
                return self._other_side(near, q, joint, after=True)
            if _JOIN.fullmatch(joint) and self._ends(q):
                return self._new(near, whole, q, q)
        return None

    def _joints(self, at: int, step: int) -> Iterator[tuple[int, str]]:
        """Yields a word in no phrase and the text between it and the word `at`, if that joins them.

        Such a text is "and", a comma, or a word of a range or a comparison, for example.
        """
        for far in range(1, _FAR + 2):
            other = at + step * far
            if not 0 <= other < len(self._words) or other in self._taken:
                return
            low, high = min(at, other), max(at, other)
            joint = self._text[self._words[low].end : self._words[high].start]
            if any(k in (".", ";", ":") for k in self._marks[low:high]):
                return
            if self._words[other].low in CONJUNCTIONS:
                continue
            if _JOINS.fullmatch(joint):
                yield other, joint
                return

    def _ends(self, q: int) -> bool:
        """Returns whether word q ends its phrase, as 8 in "ribs 7 and 8", not "ribs 7 and 8 mm"."""
        if q + 1 == len(self._words) or self._marks[q]:
            return True
        low = self._words[q + 1].low
        return (
            low in PREPOSITIONS or low in CONJUNCTIONS or low in VERBS or q + 1 in self._sides
            or bool(re.match(r"\s*[,/&)\-\u2010\u2011\u2013]", self._text[self._words[q].end :]))
            or not self._words[q].text[0].isdigit()
        )  # fmt: skip

    def _new(
        self, near: Phrase, whole: Phrase, first: int, last: int, hyphen: bool = False
    ) -> Phrase | None:
        word = self._words[first]
        if word.low in PREPOSITIONS | CONJUNCTIONS or word.low in VERBS:
            return None
        if word.low in DETERMINERS and word.low != "a":  # "A." is an artery.
            return None
        ids = self._substituted(whole, word, hyphen)
        side = self._sides.get(first - 1)
        if not ids and side and side.adjective and not self._marks[first - 1]:
            # As in "the right lower and left lower lobes".
            ids = self._substituted(whole, word, hyphen, again=side.side != near.own_side)
        if not ids:
            return None
        made = Phrase(first, last, ids, coordinated=True)
        self._add_side(made)
        self._add(made)
        whole.coordinated = near.coordinated = True
        return made

    def _substituted(
        self, whole: Phrase, word: Token, hyphen: bool, again: bool = False
    ) -> tuple[int, ...]:
        """Returns the classes of a phrase in which `word` replaces one of its words, () if none.

        The words for sides are left out, so the classes may be on either side. They differ from
        those of the phrase, unless it is named `again` for another side.
        """
        kept = [i for i in whole.words if i not in whole.side_words]
        if whole.is_range:  # Of "8th to 12th ribs", the words of "12th ribs" are replaced.
            numbers = [i for i in kept if self._words[i].text[0].isdigit()]
            kept = [i for i in kept if not numbers or i >= numbers[-1]]
        texts = [self._words[i].text for i in kept]
        for j, old in enumerate(texts):
            instead = [word.text]
            if hyphen:
                instead = [word.text + old.lower()[k:] for k in range(_MIN_PART, len(old) - 3)]
            elif len(texts) == 1:
                continue
            for new in instead:
                phrase = " ".join([*texts[:j], new, *texts[j + 1 :]])
                ids = candidates.lookup(phrase, self._lang)
                if ids and (again or not set(ids) & set(whole.ids)):
                    return ids
        return ()

    def _range(self, near: Phrase, whole: Phrase, end: int, before: bool) -> Phrase | None:
        """Extends the phrase of a rib to a range up to the word `end`; returns it, or None."""
        ids = self._substituted(whole, self._words[end], hyphen=False)
        if not (ids and RIBS.issuperset(ids) and RIBS.issuperset(near.ids)):
            return None
        if not before and not self._ends(end):
            return None
        numbers = sorted({_rib(i) for i in (*ids, *near.ids)})
        spanned = range(numbers[0], numbers[-1] + 1)
        known = near.own_side
        near.ids = tuple(i for i in sorted(RIBS) if _rib(i) in spanned
                         and known in (None, candidates.side_of_class(i)))  # fmt: skip
        near.several_organs = near.coordinated = near.is_range = True
        near.first, near.last = min(near.first, end), max(near.last, end)
        self._taken.add(end)
        self._taken.update(near.words)
        self._add_side(near)
        return near

    def _add_side(self, made: Phrase) -> None:
        """Adds the side beside a phrase to the phrase, as in "right upper" or "8 rechts"."""
        for i, edge in ((made.first - 1, made.first - 1), (made.last + 1, made.last)):
            side = self._sides.get(i)
            if side is None or i in self._taken or made.own_side or side.side == "both":
                continue
            if self._marks[edge] or (i < made.first and not side.adjective):
                continue
            if i > made.last and (
                self._lang == "en" or self._words[i].low not in candidates.SIDE_AFTER_NOUN
            ):
                continue
            made.first, made.last = min(i, made.first), max(i, made.last)
            made.ids = candidates.on_side(made.ids, side.side)
            made.side_words = (*made.side_words, i)
            self._taken.add(i)

    def _other_side(self, near: Phrase, i: int, joint: str, after: bool = False) -> Phrase | None:
        """Adds "left" in "left and right kidney", or "links" in "Niere rechts > links"."""
        side, own = self._sides[i], near.own_side
        if near.side is None and not near.side_words or own is None or side.side in ("both", own):
            return None
        edge = near.last if after else near.first
        if edge not in near.side_words:
            return None  # The two sides must be neighbours.
        adverb = self._words[i].low in _ADVERBS
        compound = joint.startswith(_HYPHENS)  # As in "rechts- und linksseitige Niere".
        alike = compound or adverb == (self._words[edge].low in _ADVERBS)
        if not _COMPARE.fullmatch(joint) and not alike:
            return None  # As in "Erguss links und rechte Niere".
        if after and not (_COMPARE.fullmatch(joint) or self._stands_alone(i)):
            return None
        if not after and i >= 2 and self._words[i - 2].low in PREPOSITIONS and self._lang == "en":
            if self._words[i - 1].low == "the" and self._words[i - 2].low == "on":
                return None
        ids = [candidates.mirrored(c) for c in near.ids]
        if None in ids:
            return None
        made = Phrase(i, i, tuple(sorted(ids)), side_words=(i,), coordinated=True)
        self._add(made)
        return made

    def _stands_alone(self, i: int) -> bool:
        if i + 1 == len(self._words) or self._marks[i]:
            return True
        low = self._words[i + 1].low
        return i + 1 not in self._taken and (
            low in VERBS or low in CONJUNCTIONS or not self._words[i + 1].capital
            and low not in PREPOSITIONS
        )  # fmt: skip

    def _add(self, made: Phrase) -> None:
        self.phrases.append(made)
        self._taken.update(made.words)


def _rib(class_id: int) -> int:
    """Returns the number of a rib, 1 to 12."""
    return (class_id - 92) % 12 + 1
