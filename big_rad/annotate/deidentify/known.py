"""Finds the identifiers of one study in a text, however they are spelled.

Each word of a text is looked up in a table, so the time does not depend on the number of
identifiers. The texts are in plain spelling (see `grounding.plain`): "Müller" is "Mueller".
"""

import re
from collections.abc import Iterable, Iterator

from big_rad.annotate.deidentify import dates, spelling, words
from big_rad.annotate.deidentify.identifiers import Identifiers
from big_rad.annotate.deidentify.patterns import Span
from big_rad.grounding import plain

_WORD = re.compile(r"[^\W\d_]+")
_GROUP = re.compile(r"[A-Za-z]+|[0-9]+")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_UMLAUTS = ("ae", "oe", "ue")
_UMLAUT = re.compile(r"(?<=[aou])e")
_NEAR = re.compile(r"[\s,.'\u2019\u00b4`^_/-]{0,4}")
_JOIN = re.compile(r"-?\s{0,2}\n\s{0,2}|['\u2019\u00b4`-]")
_JOINT = re.compile(r"[ .\-/_:#()]{0,2}|[ ]?\n")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_UNIT = re.compile(dates.UNIT)
# Vertebrae, ribs, segments, and stages of tumours: "L4", "Th12", "S7", "pT2".
_LEVEL = re.compile(r"(?:[lscth]|th|co|hwk|bwk|lwk|swk|t|n|m|g|b|p|r)(?:1[0-3]|\d)")
_ID_WORD = re.compile(r"(?:nr|no|id|nummer|number|mrn|pat|patient|fall|case|pid|ref)\W{0,3}$", re.I)
_STRONG, _WEAK = 2, 1
_MOST_GROUPS = 16
_MOST_LETTERS = 24
_LONG = 4  # Shorter names are found only if they are written with a capital.


class Known:
    """The identifiers of a study, prepared for the search.

    Args:
        identifiers: what names the patient.
    """

    def __init__(self, identifiers: Identifiers):
        self._names: dict[str, int] = {}
        self._initials: set[str] = set()
        for name in identifiers.names:
            self._add_name(name)
        # By how each is looked up: how long it is as it is written.
        self._numbers: dict[str, int] = {}
        for number in identifiers.numbers:
            groups = _GROUP.findall(spelling.spelled(number).lower())
            if any(g.isdigit() for g in groups):
                code = _code(groups)
                size = max(self._numbers.get(code, 0), len("".join(groups)))
                self._numbers[code] = size
        self._numbers.pop("", None)
        self._beginnings = {n[:k] for n in self._numbers for k in range(1, len(n) + 1)}
        self._days = frozenset(d for text in identifiers.dates for d in dates.read(text))
        self._places: dict[str, set[tuple[str, ...]]] = {}
        for place in identifiers.places:
            self._add_place(place)

    def find(self, text: str) -> tuple[list[Span], int]:
        """Returns the spans of a text in plain spelling, and how many words stayed in doubt.

        In doubt are ordinary words that are also a name of this study, such as "Stein", where
        nothing near them says that the person is meant.
        """
        names, doubtful = self._find_names(text)
        found = [*names, *self._find_places(text), *self._find_numbers(text)]
        if self._days:
            found += [
                Span(d.start, d.end, "date")
                for d in dates.find(text, loose=True)
                if d.days & self._days
            ]
        return sorted(set(found)), doubtful

    def _add_name(self, name: str) -> None:
        parts = [p.lower() for p in _WORD.findall(spelling.spelled(name))]
        real = [p for p in parts if p not in words.PLACEHOLDERS]
        small = words.PARTICLES & (words.FUNCTION | {"van", "del", "della", "dos", "du"})
        parts = [p for p in real if p not in small and p not in words.TITLES]
        for part in parts:
            self._initials.add(part[0])
            if len(part) > 1:
                weak = len(part) == 2 or part in words.ORDINARY | words.PARTICLES
                key = _key(part)
                self._names[key] = max(self._names.get(key, 0), _WEAK if weak else _STRONG)
        # Parts may be written as one word: "O'Brien" as "OBrien", "Anne-Marie" as "Annemarie".
        for k, first in enumerate(real[:8]):
            for m, second in enumerate(real[:8]):
                if k != m and len(first + second) >= 6:
                    self._names.setdefault(_key(first + second), _STRONG)

    def _strength(self, word: str) -> int:
        key = _key(word)
        found = self._names.get(key, 0)
        if not found and key.endswith("s") and len(key) > _LONG:
            found = self._names.get(key[:-1], 0)
        if not found and word.endswith("s") and len(word) > _LONG:
            found = self._names.get(_key(word[:-1]), 0)
        return found

    def _find_names(self, text: str) -> tuple[list[Span], int]:
        if not self._names:
            return [], 0
        tokens = list(_WORD.finditer(text))
        cased = plain.has_case(text)
        hits = [self._strength(t[0].lower()) for t in tokens]
        hits = [
            _WEAK if h == _STRONG and len(t[0]) < _LONG and cased and t[0].islower() else h
            for h, t in zip(hits, tokens)
        ]
        for k, token in enumerate(tokens):
            # "PatMueller", where a space is missing.
            parts = _CAPITAL.split(token[0]) if not hits[k] else []
            if len(parts) > 1 and any(self._strength(p.lower()) == _STRONG for p in parts):
                hits[k] = _STRONG
        for k in range(len(tokens) - 1):
            gap = text[tokens[k].end() : tokens[k + 1].start()]
            if len(gap) < 7 and _JOIN.fullmatch(gap):
                joined = (tokens[k][0] + tokens[k + 1][0]).lower()
                if self._strength(joined) == _STRONG:
                    hits[k] = hits[k + 1] = _STRONG
        taken, doubtful = self._promoted(text, tokens, hits, cased)
        found = list(_merged(text, tokens, self._with_initials(text, tokens, taken)))
        found += self._spaced(text, tokens)
        return found, doubtful

    def _spaced(self, text: str, tokens: list[re.Match]) -> Iterator[Span]:
        """Yields names whose letters stand apart: "M ü l l e r", where "ü" is "ue" by now."""
        single = [len(t[0]) == 1 or t[0].lower() in _UMLAUTS for t in tokens]
        for k, token in enumerate(tokens):
            joined = token[0]
            if not single[k] or joined[0].lower() not in self._initials:
                continue
            for m in range(k + 1, min(k + _MOST_LETTERS, len(tokens))):
                if not (single[m - 1] and single[m]) or text[tokens[m - 1].end()] != " ":
                    break
                if tokens[m].start() != tokens[m - 1].end() + 1:
                    break
                joined += tokens[m][0]
                if len(joined) >= _LONG and self._strength(joined.lower()) == _STRONG:
                    yield Span(token.start(), tokens[m].end(), "name")

    def _promoted(
        self, text: str, tokens: list[re.Match], hits: list[int], cased: bool
    ) -> tuple[list[bool], int]:
        """Returns which words are taken, and how many ordinary words are left in doubt."""
        taken, doubtful = [h == _STRONG for h in hits], 0
        for k, hit in enumerate(hits):
            if hit != _WEAK:
                continue
            word = tokens[k][0]
            if cased and word.islower():
                continue
            if self._near_a_name(text, tokens, hits, k) or _stands_as_name(text, tokens[k], cased):
                taken[k] = True
            else:
                doubtful += 1
        return taken, doubtful

    def _near_a_name(self, text: str, tokens: list[re.Match], hits: list[int], k: int) -> bool:
        for other in (k - 1, k + 1):
            if not 0 <= other < len(tokens):
                continue
            near, word = min(k, other), tokens[other][0]
            gap = text[tokens[near].end() : tokens[near + 1].start()]
            if len(gap) > 4 or not _NEAR.fullmatch(gap):
                continue
            # "Herz. Klein": a point between two ordinary words ends a sentence.
            same = word.lower() == tokens[k][0].lower()
            if hits[other] and not same and (hits[other] == _STRONG or "." not in gap):
                if hits[other] == _STRONG or not word.islower():
                    return True
            if other < k and word.lower() in words.TITLES and "," not in gap and "\n" not in gap:
                if not (word.lower().startswith("pat") and tokens[k][0].lower() in words.NOUNS):
                    return True
            if len(word) == 1 and word.isupper() and word.lower() in self._initials:
                if gap.startswith(".") if other < k else text[tokens[other].end() :][:1] in ".,":
                    return True
        return False

    def _with_initials(self, text: str, tokens: list[re.Match], taken: list[bool]) -> list[bool]:
        more = list(taken)
        for k, is_taken in enumerate(taken):
            if not is_taken:
                continue
            for step in (-1, 1):
                other = k + step
                while 0 <= other < len(tokens) and len(tokens[other][0]) == 1:
                    near = min(other, other - step)
                    gap = text[tokens[near].end() : tokens[near + 1].start()]
                    letter = tokens[other][0]
                    after = text[tokens[other].end() :][:1]
                    if len(gap) > 3 or not _NEAR.fullmatch(gap) or not letter.isupper():
                        break
                    dotted = after == "." if step > 0 else "." in gap
                    alone = step > 0 and after in ("", "\n", ",", ";", ")") or step < 0
                    if letter.lower() not in self._initials or not (dotted or alone):
                        break
                    more[other] = True
                    other += step
        return more

    def _add_place(self, place: str) -> None:
        parts = tuple(_key(w.lower()) for w in _WORD.findall(spelling.spelled(place)))
        telling = [
            p for p in parts
            if len(p) >= 4 and p not in words.INSTITUTION and p not in words.ORDINARY
            and p not in words.PLACEHOLDERS
        ]  # fmt: skip
        if len(parts) > 1 and any(p not in words.FUNCTION | words.REPORT for p in parts):
            self._places.setdefault(parts[0], set()).add(parts)
        for part in telling:
            self._places.setdefault(part, set()).add((part,))

    def _find_places(self, text: str) -> Iterator[Span]:
        if not self._places:
            return
        tokens = list(_WORD.finditer(text))
        keys = [_key(t[0].lower()) for t in tokens]
        for k, key in enumerate(keys):
            for parts in sorted(self._places.get(key, ()), key=len, reverse=True):
                last = k + len(parts) - 1
                if tuple(keys[k : last + 1]) != parts:
                    continue
                # Words of one phrase stand close to each other.
                if tokens[last].end() - tokens[k].start() <= sum(map(len, parts)) + 8 * len(parts):
                    yield Span(tokens[k].start(), tokens[last].end(), "place")
                    break

    def _find_numbers(self, text: str) -> Iterator[Span]:
        if not self._numbers:
            return
        groups = list(_GROUP.finditer(text))
        last = -1
        for k, group in enumerate(groups):
            if group.start() >= last:
                end = self._longest_number(text, groups, k)
                if end:
                    last = end
                    yield Span(group.start(), end, "number")

    def _longest_number(self, text: str, groups: list[re.Match], k: int) -> int:
        """Returns where the longest number that begins at a group ends, or 0 without a number."""
        joined, end = "", 0
        for m in range(k, min(k + _MOST_GROUPS, len(groups))):
            gap = text[groups[m - 1].end() : groups[m].start()] if m > k else ""
            if len(gap) > 2 or not _JOINT.fullmatch(gap):
                break
            joined += groups[m][0].lower()
            code = _ZEROS.sub("", joined)
            if code in self._numbers and self._counts(
                text, groups, k, m, joined, self._numbers[code]
            ):
                end = groups[m].end()
            if code not in self._beginnings and code != "0":
                break
        return end

    def _counts(
        self, text: str, groups: list[re.Match], first: int, last: int, code: str, size: int
    ) -> bool:
        """Returns whether a short number is meant, and not a measurement or a level.

        `code` is the number as it is written, with its zeros: "s0001" is no level, "S1" is one.
        `size` is the length of the identifier.
        """
        before = text[max(0, groups[first].start() - 12) : groups[first].start()]
        if _ID_WORD.search(before):
            return True
        shortest = min(len(code), size)
        if shortest == 3 and not _LEVEL.fullmatch(code):
            # "P37" and "007" are no measurements.
            if not code.isdigit():
                return True
            if code[0] == "0" and first == last:
                after = text[groups[last].end() :][:2]
                return before[-1:] not in (".", ",", ":", "/") and not re.match(r"[.,:/]\d", after)
        if shortest < 4 or _LEVEL.fullmatch(code):
            return False
        if not code.isdigit():
            return True
        if len(code) < 5 and last > first:
            return False
        if len(code) <= 6:
            return bool(_UNIT.match(text, groups[last].end())) and not before.endswith((".", ","))
        return True


def _stands_as_name(text: str, token: re.Match, cased: bool) -> bool:
    """Returns whether an adjective or a common word is written like a name within a sentence."""
    word = token[0].lower()
    if not cased or word not in words.ADJECTIVES or word in words.NOUNS | words.REPORT:
        return False
    before = text[max(0, token.start() - 4) : token.start()]
    return bool(re.search(r"[\w,][ ]$", before)) and token[0][1:].islower()


def _merged(text: str, tokens: list[re.Match], taken: list[bool]) -> Iterator[Span]:
    """Yields one span for neighbouring words of names."""
    start = end = -1
    for k, token in enumerate(tokens):
        if not taken[k]:
            continue
        gap = text[end : token.start()] if end >= 0 else ""
        inner = _WORD.findall(gap) if len(gap) < 24 else ["x"]
        joins = end >= 0 and all(w.lower() in words.PARTICLES - {"auf", "und"} for w in inner)
        joins = joins and len(_WORD.sub("", gap)) <= 4 and "\n\n" not in gap
        joins = joins and not re.search(r"[^\w\s,.'\u2019\u00b4`^_-]", gap)
        # A sentence may end between two names.
        joins = joins and not (re.search(r"\.\s", gap) and token.start() - start > 4)
        if not joins:
            if end >= 0:
                yield Span(start, end, "name")
            start = token.start()
        end = token.end()
        if len(token[0]) == 1 and text[end : end + 1] == ".":
            end += 1
    if end >= 0:
        yield Span(start, end, "name")


def _key(word: str) -> str:
    """Returns what spellings of a name share: "mueller" and "muller", "meyer" and "meier"."""
    return _UMLAUT.sub("", word).replace("y", "i") if len(word) > _LONG else word


def _code(groups: Iterable[str]) -> str:
    return _ZEROS.sub("", "".join(groups))
