"""Reads from a report's sentences which findings they state or deny at which organs.

    >>> facts = read("Zyste in der linken Niere, rechte Niere unauffällig.", "de")
    >>> facts.found, facts.normal
    ({('cyst', 3): True}, {2: True, 3: False})

The questions about an image rest on these facts, so the reading is strict: a fact that could be
wrong is left out, and no question is asked about it. These are the rules:

1. What the sentence says about earlier studies is removed first.
2. A sentence with doubt ("possible", "cannot be excluded", `V. a.`), with an exception ("except",
   `bis auf`), about the past (`Z. n.`) or with a question mark states nothing.
3. A finding belongs to an organ if both stand in one clause and no other organ does. A place beside
   an organ ("adjacent to the liver") is not in it.
4. A finding is denied at an organ if its own words are in the scope of the denial, and
   `grounding.mentions` calls the organ negated. A denial of large or significant findings only
   denies nothing. A finding is stated if no denial comes near it, and the organ is not negated. In
   all other cases it is unknown.
5. An organ is normal if its clause says nothing but this, and if nothing else in the sentence may
   be a finding there. It is not normal if a finding is stated there. An organ at which a finding is
   denied is visible, and neither normal nor abnormal.
6. A finding in a part is one in its organ. What is denied in a part ("pancreatic head"), or normal
   there, says nothing about the organ.
7. An organ of a pair whose side is unknown has no facts. A finding in the singular, stated in "the
   lungs", has none either, because it may be on either side.
"""

import dataclasses
import functools
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from big_rad.annotate import comparison, reports
from big_rad.annotate import question_table as table
from big_rad.grounding import (
    casing,
    classes,
    clauses,
    mentions,
    negation_table,
    plain,
)

_BOTH = frozenset(plain.words("both bilateral bilaterally beide beiden beider bds beidseits"))
_LISTED = frozenset(plain.words("or nor oder noch"))
_CONTRAST = frozenset(
    plain.words(
        "but however although though while whereas aber jedoch sondern allerdings dagegen "
        "hingegen während wohingegen obwohl"
    )
)
_SIDES = "left right links rechts beidseits bilateral bilaterally"
_UNITS = ("mm", "cm")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What sentences state about an image.

    Attributes:
        found: {(finding, class id): whether it is stated (True) or denied (False)}; findings are
            the ids in `question_table.FINDINGS`.
        normal: {class id: whether the organ is called normal (True) or has a finding (False)}.
        mentioned: the ids of all classes that any words may mean, on either side.
        removed: the ids of the classes that are said to be absent.
        alone: the keys of `found` whose sentence names no other organ.
    """

    found: Mapping[tuple[str, int], bool] = dataclasses.field(default_factory=dict)
    normal: Mapping[int, bool] = dataclasses.field(default_factory=dict)
    mentioned: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    alone: frozenset[tuple[str, int]] = frozenset()


def read(text: str, lang: str) -> Facts:
    """Returns the facts of a text in one language.

    Args:
        text: one or a few sentences of a report.
        lang: "en" or "de".
    """
    found: dict[tuple[str, int], set[bool]] = {}
    normal: dict[int, set[bool]] = {}
    named, removed, alone = set(), set(), set()
    for sentence in reports.sentences(text, lang):
        # What is removed with a comparison is named too, so no question may call it absent.
        named |= {i for m in mentions.find(sentence, lang) for i in m.possible_ids}
        reader = _Sentence(comparison.remove(sentence, lang).text, lang)
        removed |= reader.removed()
        for key, there in reader.found():
            found.setdefault(key, set()).add(there)
            alone |= {key} if reader.names_one() else set()
        for organ in reader.normal():
            normal.setdefault(organ, set()).add(True)
    for (_, organ), there in found.items():
        if True in there:
            normal.setdefault(organ, set()).add(False)
    # What two sentences contradict is unknown.
    return Facts(
        {k: v.pop() for k, v in found.items() if len(v) == 1 and k[1] not in removed},
        {k: v.pop() for k, v in sorted(normal.items()) if len(v) == 1 and k not in removed},
        frozenset(named | {_organ(i)[0] for i in named}),
        frozenset(removed),
        frozenset(alone),
    )


def statement(text: str, lang: str) -> Hashable | None:
    """Returns all that a sentence says, in a form that is the same in both languages.

    Two sentences with the same statement say the same, so one can stand for a translation of the
    other. Singular and plural count as the same.

        >>> statement("Zyste der linken Niere, 2,5 cm.", "de") == statement(
        ...     "2.5 cm cyst in the left kidney.", "en")
        True

    Returns:
        A value to compare, or None if the sentence has a word that is not understood, or an organ
        of which it states nothing sure.
    """
    facts, reader = read(text, lang), _Sentence(text, lang)
    told = {organ for _, organ in facts.found} | set(facts.normal)
    if not told or facts.removed or not reader.understood():
        return None
    if not {_organ(i)[0] for i in reader.named()} <= told:
        return None
    numbers = sorted(n.replace(",", ".") for n in _NUMBER.findall(text))
    return (
        tuple(sorted(facts.found.items())), tuple(sorted(facts.normal.items())),
        tuple(sorted({_organ(i)[0] for i in reader.named()})), tuple(numbers),
        tuple(u for u in _UNITS if u in reader),
    )  # fmt: skip


def agreed(parts: Sequence[Facts]) -> Facts:
    """Returns the facts on which all parts agree, such as the two languages of a report.

    A class that any of them names counts as mentioned.
    """
    if not parts:
        return Facts()
    first, *others = parts
    return Facts(
        {k: v for k, v in first.found.items() if all(p.found.get(k) is v for p in others)},
        {k: v for k, v in first.normal.items() if all(p.normal.get(k) is v for p in others)},
        frozenset().union(*(p.mentioned for p in parts)),
        frozenset.intersection(*(p.removed for p in parts)),
        frozenset.intersection(*(p.alone for p in parts)),
    )


class _Sentence:
    """Reads one sentence without comparison."""

    def __init__(self, text: str, lang: str):
        written = plain.read(text)
        searched = casing.usual(written.text, lang)
        words = clauses.tokens(searched)
        self._lang = lang
        self._lows = [w.low for w in words]
        self._marks = clauses.gaps(searched, words, lang)
        self._mentions = mentions.find(text, lang)
        self._owner: dict[int, mentions.Mention] = {}
        for i, word in enumerate(words):
            start = written.start(word.start)
            for mention in self._mentions:
                if mention.start <= start < mention.end:
                    self._owner[i] = mention
        self._parts = self._split(clauses.CLAUSE_OPENERS)
        self._states_nothing = self._has(table.DOUBT) or self._has(table.EXCEPT)
        self._states_nothing |= self._has(negation_table.PSEUDO[lang])
        signs = self._has(table.SIGN) and not self._has(negation_table.DENY[lang])
        self._states_nothing |= signs or text.rstrip().endswith("?")
        self._findings = [
            (i, name) for i, low in enumerate(self._lows) for name in _findings_of(low, lang)
        ]

    def __contains__(self, word: str) -> bool:
        return word in self._lows

    def named(self) -> set[int]:
        """Returns the classes that are named, or may be named if a side is unknown."""
        return {i for m in self._mentions for i in _named(m)}

    def understood(self) -> bool:
        """Returns whether each word is that of an organ, of a finding, or of what is said of it."""
        known = _words(f"{table.NORMAL} {table.NORMAL_FILLERS} {_SIDES} o b") | frozenset(_UNITS)
        known |= clauses.PREPOSITIONS | clauses.DETERMINERS | clauses.CONJUNCTIONS | clauses.VERBS
        cues = {
            at + k
            for kind in ("DENY", "NOT", "DENIED")
            for phrase in _phrases(getattr(negation_table, kind)[self._lang])
            for at in range(len(self._lows))
            if tuple(self._lows[at : at + len(phrase)]) == phrase
            for k in range(len(phrase))
        }
        findings = {i for i, _ in self._findings}
        return not self._states_nothing and all(
            i in self._owner or i in findings or i in cues or low in known or low.isdigit()
            for i, low in enumerate(self._lows)
        )

    def removed(self) -> set[int]:
        """Returns the classes that are said to be absent."""
        return {i for m in self._mentions if m.absent for i in m.class_ids}

    def names_one(self) -> bool:
        """Returns whether the sentence names one organ only, or one pair of organs."""
        return len(set(map(_named, self._mentions))) == 1

    def found(self) -> Iterator[tuple[tuple[str, int], bool]]:
        """Yields ((finding, class id), whether it is stated or denied)."""
        if self._states_nothing:
            return
        for i, name in self._findings:
            there = self._status(i)
            if there is None:
                continue
            for m in self._targets(i, there):
                if m.negated is there or m.absent:
                    continue
                if not there and not (_is_whole(m, self._lang) and self._whole_part(i)):
                    continue
                ids = [_organ(c) for c in m.class_ids]
                unsure = there and len(ids) > 1 and not _BOTH.intersection(self._lows)
                if len(ids) <= 2 and not unsure:
                    yield from (
                        ((name, c), there)
                        for c, of in ids
                        if of in ("", name)
                        and (name, classes.by_id(c).name) not in table.NOT_FOUND_IN
                    )

    def _whole_part(self, i: int) -> bool:
        """Returns whether the part of a word speaks of whole organs."""
        part = next(p for p in self._parts if i in p)
        return all(k in self._owner or self._lows[k] not in _words(table.PARTS) for k in part)

    def normal(self) -> Iterator[int]:
        """Yields the classes that are called normal."""
        if self._states_nothing:
            return
        for part in self._parts:
            if not self._says_normal(part):
                continue
            for m in self._in(part):
                others = [p for p in self._parts if p is not part]
                whole = _is_whole(m, self._lang) and not m.absent
                if whole and not any(self._may_sicken(p, m) for p in others):
                    yield from (c for c in m.class_ids if len(m.class_ids) <= 2)

    def _says_normal(self, part: range) -> bool:
        lows = [self._lows[i] for i in part]
        at = [k for k, low in enumerate(lows) if low in _words(table.NORMAL)]
        at += [k for k in range(len(lows) - 1) if lows[k : k + 2] == ["o", "b"]]
        if not at or (lows[at[0]] == "clear" and at[0] + 1 < len(lows)):
            return False
        fillers = _words(f"{table.NORMAL} {table.NORMAL_FILLERS} o b") | clauses.PREPOSITIONS
        fillers |= clauses.DETERMINERS | clauses.CONJUNCTIONS | clauses.VERBS
        return not self._cues(part) and all(
            i in self._owner or self._lows[i] in fillers for i in part
        )

    def _may_sicken(self, part: range, mention: mentions.Mention) -> bool:
        """Returns whether a part may tell of a finding at the organ of a mention."""
        if any(set(_named(mention)) & set(_named(m)) for m in self._in(part)):
            return True
        if not any(_may_be_finding(self._lows[i]) for i in part):
            return False
        if self._in(part):
            return False
        inside = [i for i, _ in self._findings if i in part]
        sure = len(inside) == sum(_may_be_finding(self._lows[i]) for i in part)
        return not sure or any(self._status(i) is not False for i in inside)

    def _status(self, i: int) -> bool | None:
        """Returns whether the finding at a word is stated or denied; None if that is unknown."""
        parts = self._split(_words(negation_table.ENDS[self._lang]) | clauses.CLAUSE_OPENERS)
        n = next(k for k, part in enumerate(parts) if i in part)
        part, cues = parts[n], self._cues(parts[n])
        if cues and not _words(table.QUALIFIED).isdisjoint(self._lows[k] for k in part):
            return None
        if any(kind == "DENY" and at < i for at, kind in cues):
            return False
        if any(kind == "DENIED" and at > i for at, kind in cues):
            return False
        for at, kind in cues:
            if kind == "NOT":
                behind = self._lows[at + 1 : min(at + 5, part.stop)]
                return False if at > i and _words(table.NOT_SEEN).intersection(behind) else None
        if n == 0 or not any(self._cues(p) for p in parts[:n]):
            return True
        verb = any(self._lows[k] in clauses.VERBS for k in part)
        if self._lows[part.start] in _CONTRAST or self._marks[part.start - 1] in (";", ":", "."):
            return True
        if self._marks[part.start - 1] != "," or verb:
            return True if verb and self._marks[part.start - 1] == "," else None
        # "No lesion, cyst or mass in the liver" goes on with its list. Without "or", or after an
        # organ, a new statement may begin.
        listed = _LISTED.intersection(self._lows[k] for k in part)
        return False if listed and not any(self._in(p) for p in parts[:n]) else None

    def _targets(self, i: int, there: bool) -> list[mentions.Mention]:
        """Returns the mentions that the finding at a word belongs to."""
        if i in self._owner:
            return [self._owner[i]]
        part = next(p for p in self._parts if i in p)
        lows = [self._lows[k] for k in part]
        elsewhere = tuple(plain.words(negation_table.ELSEWHERE))
        beside = any(_starts(lows, k, _phrases(table.BESIDE)) for k in range(len(lows)))
        if beside or any(low.startswith(elsewhere) for low in lows):
            return []
        here = self._in(part)
        if here:
            if len(set(map(_named, here))) == 1:
                return here + ([] if there else self._list_after(part))
        else:
            here = self._mentions
            first = next((p for p in self._parts if self._in(p)), range(1))
            leads = self._lows[first.start] in clauses.PREPOSITIONS
            return here if leads and len(set(map(_named, here))) == 1 else []
        names = {name for _, name in self._findings}
        return here if not there and len(names) == 1 else []

    def _list_after(self, part: range) -> list[mentions.Mention]:
        """Returns the mentions of the parts that go on with a list ("in the spleen, liver")."""
        found = []
        for after in self._parts[self._parts.index(part) + 1 :]:
            lows = {self._lows[i] for i in after}
            own = self._cues(after) or lows & clauses.VERBS or any(map(_may_be_finding, lows))
            if own or self._marks[after.start - 1] != ",":
                break
            found += self._in(after)
        return found

    def _in(self, part: range) -> list[mentions.Mention]:
        return list({id(m): m for i in part if (m := self._owner.get(i))}.values())

    def _split(self, openers: frozenset[str]) -> list[range]:
        parts, start = [], 0
        for i in range(len(self._lows)):
            last = i + 1 == len(self._lows)
            if last or self._marks[i] or self._lows[i + 1] in openers:
                parts.append(range(start, i + 1))
                start = i + 1
        return parts

    def _cues(self, part: range) -> list[tuple[int, str]]:
        """Returns (index, name of the table) of the words that deny something in a part."""
        lows = self._lows[part.start : part.stop]
        return [
            (part.start + k, kind)
            for kind in ("DENY", "NOT", "DENIED")
            for k in range(len(lows))
            if _starts(lows, k, _phrases(getattr(negation_table, kind)[self._lang]))
        ]

    def _has(self, row: str) -> bool:
        """Returns whether the sentence has a phrase of a row of a table."""
        return any(_starts(self._lows, k, _phrases(row)) for k in range(len(self._lows)))


def _organ(class_id: int) -> tuple[int, str]:
    """Returns the organ of a class, and the finding that the class itself is ("" for an organ)."""
    name = classes.by_id(class_id).name
    organ, finding = table.FINDING_CLASSES.get(name, (name, ""))
    return classes.by_name(organ).id, finding


def _named(mention: mentions.Mention) -> tuple[int, ...]:
    """Returns the classes that a mention names, or may name if its side is unknown."""
    return mention.class_ids or mention.possible_ids


def _is_whole(mention: mentions.Mention, lang: str) -> bool:
    """Returns whether the words of a mention mean the whole organ.

    What a text denies in a part of an organ, or calls normal there, says nothing about the rest.
    """
    words = classes.plain_words(mention.phrase)
    words = [w for w in words if w not in _words(table.NORMAL_FILLERS)]
    if any(w in _words(table.PARTIAL) for w in words):
        return False
    ids = {c.id for c in classes.lookup_all(mention.phrase, lang)}
    if ids and ids.issuperset(mention.class_ids):
        return True
    if len(words) != 1:
        return False
    stems = (words[0].removesuffix(e) for e in ("", "e", "er", "en", "es", "em"))
    if any(w in _words(table.WHOLE_ADJECTIVES) for w in stems):
        return True
    return lang == "de" and any(
        {c.id for c in classes.lookup_all(name, lang)}.issuperset(mention.class_ids)
        for name in _of_compound(words[0])
        if name not in _words(table.PARTIAL)
    )


def _of_compound(word: str) -> Iterator[str]:
    """Yields what may stand before a finding in a German compound ("leber" of "leberzyste")."""
    for k in range(3, len(word) - 2):
        if any(re.fullmatch(row[2][-1].replace(".*", ""), word[k:]) for row in table.FINDINGS):
            yield from (word[:k].removesuffix(link) for link in ("", "n", "en", "s", "er", "e"))


@functools.lru_cache(maxsize=1 << 14)
def _findings_of(low: str, lang: str) -> tuple[str, ...]:
    if "pseudo" in low:
        return ()
    k = 1 if lang == "en" else 2
    return tuple(row[0] for row in table.FINDINGS if re.fullmatch(row[k][-1], low))


@functools.lru_cache(maxsize=1 << 14)
def _may_be_finding(low: str) -> bool:
    stems = plain.words(negation_table.FINDINGS)
    if low in _words(table.NORMAL):
        return False
    if low.startswith(tuple(stems)) or any(s in low for s in stems if len(s) > 4):
        return True
    return any(_findings_of(low, lang) for lang in ("en", "de"))


@functools.cache
def _words(row: str) -> frozenset[str]:
    return frozenset(plain.words(row))


@functools.cache
def _phrases(row: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(plain.words(phrase)) for phrase in row.split(";") if phrase.strip())


def _starts(lows: Sequence[str], k: int, phrases: Iterable[tuple[str, ...]]) -> bool:
    return any(tuple(lows[k : k + len(p)]) == p for p in phrases)
