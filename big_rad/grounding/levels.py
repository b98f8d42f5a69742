"""Finds numbered vertebrae and the levels between them, in all notations of reports.

Single vertebrae ("L4", "LWK 4", "5. Lendenwirbelkörper", "BWK XII"), lists ("LWK 3, 4 und 5"),
ranges ("HWK 3 bis 5", "T12-L2") and levels ("L4/5", "L5/S1") are one phrase each. A level names the
discs if the nearest word about it is one of discs ("Protrusion L4/5"), and else both vertebrae.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence

from big_rad.grounding import classes, plain
from big_rad.grounding.clauses import Token
from big_rad.grounding.phrase import Phrase

DISCS = 120
SACRUM = 25
_COUNTS = {"c": 7, "t": 12, "l": 5, "s": 5}
_REGIONS = "ctls"
_FIRST = {"c": 0, "t": 7, "l": 19, "s": 24}  # The place of the first vertebra along the spine.
_CODE = re.compile(r"(c|t|th|l|s)(\d{1,2})")
_STEMS = {
    "c": "hwk hw hwks halswirbelkoerper halswirbel zervikalwirbel zervikalwirbelkoerper",
    "t": "bwk bw bwks brustwirbelkoerper brustwirbel thorakalwirbel thorakalwirbelkoerper th",
    "l": "lwk lw lwks lendenwirbelkoerper lendenwirbel lumbalwirbel lumbalwirbelkoerper",
    "s": "swk sw sakralwirbel sakralwirbelkoerper kreuzbeinwirbel",
}
_NAMES = {
    stem + ending: region
    for region, stems in _STEMS.items()
    for stem in stems.split()
    for ending in ("", "s", "n")
}
_GLUED = re.compile(rf"({'|'.join(sorted(_NAMES, key=len, reverse=True))})(\d{{1,2}})")
_ADJECTIVES = {"cervical": "c", "thoracic": "t", "lumbar": "l", "sacral": "s", "dorsal": "t"}
_VERTEBRA = frozenset(
    plain.words("vertebra vertebrae vertebral body bodies wirbel wirbelkörper wirbelkörpers "
                "wirbelkörpern wirbels")
)  # fmt: skip
_SLASH = re.compile(r"\s?/\s?")
_TO = re.compile(
    r"\.?\s?[-\u2013]\s?|\.?\s+(?:to|bis|through|thru)\s+(?:the\s+|zum\s+|einschliesslich\s+)?",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"\.?\s*,\s*(?:(?:and|und|or|oder|sowie)\s+)?|\.?\s*(?:and|und|or|oder|sowie|u\.?|&|\+)\s+"
    r"(?:of\s+|the\s+|des\s+|der\s+)?|\s*\+\s*",
    re.IGNORECASE,
)
_UNITS = frozenset(
    plain.words("mm cm m x mal ml hu he grad tage tagen wochen monate jahre days weeks months "
        "years "
                "millimeter zentimeter mg min uhr prozent percent degree degrees g kg")
)  # fmt: skip
_UNIT_NEXT = re.compile(r"\s?(?:%|\u00b0|[.,]\d|x\s?\d|mm|cm)", re.IGNORECASE)
_ROMAN = dict(zip("i ii iii iv v vi vii viii ix x xi xii".split(), range(1, 13)))
_NOT_A_VERTEBRA = (("t", 1), ("t", 2))  # "T1" and "T2" alone are weightings of MR.
_NO_LEVEL = re.compile(
    r"[nm]\d?[abcx]?$|tumou?r|karzinom|carcinoma|stad|stage|gewicht|weight|wichtung|sequen|signal|"
    r"hyper|hypo|iso|lesion|laesion|flair|stir|tse|fse|map|time|zeit|image|bild|blade|dixon|stern|"
    r"relax|haste|space$"
)
_STAGES = 4  # The highest number of a weighting of MR ("T2") or of a stage of a tumor ("T4").
# Beginnings of words beside the number of a nerve root ("the S1 root"), which is no vertebra.
_NERVE = tuple(
    "nerve root radic wurzel nervenwurzel spinalnerv nerv dermatom syndrom radik symptom kennmusk "
    "reiz irrit neuropath".split()
)
# Words about discs and words about bone, by their beginnings; the nearest word decides.
_DISC = re.compile(
    r"bandscheib|dis[ck](?:s|us|al|ogen|opath|itis)?$|diszitis|disk(?:us|o)|disc(?:us|o|itis)|"
    r"protru|"
    r"prolaps|herni|extru|sequest|bulg|vorwoelb|npp|bsv|osteochondr|chondros|anul|annul|"
    r"zwischenwirbel|interverteb|nucle|nukle|dis[ck]e[ck]tom|mi[ck]rodis[ck]|"
    r"desic|dehydr|vakuumph|vacuum"
)
_BONE = re.compile(
    r"frak|fract|bruch|wirbelk|wirbelb|vertebra|body|bodies|spondyl|listhes|listhet|facet|facett|"
    r"endplat|deckplat|grundplat|abschlussplat|modic|metasta|osteoly|oste[ob]?lasti|lytic|lytisch|"
    r"sklero|sclero|dornfort|querfort|process|pedi|bogen|lamina|haemang|hemang|sinter|kompression|"
    r"compression|keil|wedg|oedem|edema|knochen|bone|osse|ossae|spinous|transverse|"
    r"hinterkant|vorderkant|versteif|fusion|spondylod|arthro|gelenk|joint|block|"
    r"corpus|koerper"
)
_FAR = 12  # The most words between a level and a word about it.


@dataclasses.dataclass
class _Atom:
    """One numbered vertebra: its place along the spine, its words, and what joins it on."""

    place: int
    first: int
    last: int
    joint: str = ""
    whole: bool = True


def find(text: str, words: Sequence[Token], marks: Sequence[str]) -> list[Phrase]:
    """Returns the phrases of numbered vertebrae, in order and without overlap.

    What only looks like one ("T2 weighted", "L5 root") is a phrase without classes.

    Args:
        text: the text in plain spelling.
        words: the result of `clauses.tokens`.
        marks: the result of `clauses.gaps`.
    """
    reader, found, i = _Reader(text, words, marks), [], 0
    while i < len(words):
        atoms = reader.counted(i) or reader.atoms(i)
        made = reader.phrases(atoms) if atoms else []
        found += made
        i = max(made[-1].last + 1, i + 1) if made else i + 1
    return found


def measured(text: str, words: Sequence[Token], marks: Sequence[str], k: int) -> bool:
    """Returns whether the number at the word `k` is a measure ("L4, 5 mm")."""
    if _UNIT_NEXT.match(text, words[k].end):
        return True
    return k + 1 < len(words) and not marks[k] and words[k + 1].low in _UNITS


def is_region(words: Sequence[Token], phrase: Phrase) -> bool:
    """Returns whether a phrase names a region of the spine, and not just a part of a vertebra."""
    return any(
        words[i].low.endswith(("spine", "column", "wirbelsaeule", "ws", "wirbelsaeulen", "skelett"))
        for i in phrase.words
    )


class _Reader:
    def __init__(self, text: str, words: Sequence[Token], marks: Sequence[str]):
        self._text, self._words, self._marks = text, words, marks

    def atoms(self, i: int) -> list[_Atom]:
        """Returns the vertebra that begins with the word `i`, and those joined to it."""
        first = self._atom(i)
        if first is None:
            return []
        found = [first]
        while True:
            following = self._following(found[-1])
            if following is None:
                return found
            found.append(following)

    def counted(self, i: int) -> list[_Atom]:
        """Returns the vertebrae of "4. und 5. LWK" or "third to fifth lumbar vertebra"."""
        numbers = []
        k, joint = i, ""
        while k < len(self._words):
            n = ordinal(self._words[k].low)
            if n is None or (self._words[k].text.isdigit() and not self._point_after(k, joint)):
                break
            numbers.append((n, k, joint))
            following = self._joined(k)
            if following is None:
                k += 1
                break
            k, joint = following
        if not numbers or k >= len(self._words) or numbers[-1][1] != k - 1:
            return []
        if any(self._marks[j] in (".", ";") for j in range(i, k - 1)):
            return []
        region, last = self._noun(k)
        if region is None:
            return []
        found = [
            _Atom(_FIRST[region] + n - 1, at, at, how)
            for n, at, how in numbers
            if 1 <= n <= _COUNTS[region]
        ]
        if len(found) != len(numbers):
            return []
        found[-1].last = last
        for atom in found:
            atom.whole = False
        return found

    def phrases(self, atoms: list[_Atom]) -> list[Phrase]:
        """Returns the phrases of joined vertebrae; each of a plain list is one of its own."""
        if self._is_no_vertebra(atoms):
            return [Phrase(atoms[0].first, atoms[-1].last, ())]
        groups = [[atoms[0]]]
        for atom in atoms[1:]:
            if atom.joint == "list" and atom.whole:
                groups.append([atom])
            else:
                groups[-1].append(atom)
        return [self._phrase(group) for group in groups]

    def _phrase(self, atoms: list[_Atom]) -> Phrase:
        places, pair = {atoms[0].place}, False
        for before, atom in zip(atoms, atoms[1:]):
            low, high = sorted((before.place, atom.place))
            if atom.joint == "to":
                places.update(range(low, high + 1))
            pair |= atom.joint == "/" or atom.joint == "to"
            places.add(atom.place)
        first, last = self._extended(atoms[0].first, atoms[-1].last)
        if pair and self._about_discs(first, last):
            ids: tuple[int, ...] = (DISCS,)
        else:
            ids = tuple(sorted({_class_at(p) for p in places}))
        several = len(ids) > 1
        return Phrase(first, last, ids, several_organs=several, is_range=several)

    def _atom(self, i: int) -> _Atom | None:
        low = self._words[i].low
        code = low[-1].isdigit() and (_CODE.fullmatch(low) or _GLUED.fullmatch(low))
        if code:
            region = _NAMES.get(code[1], code[1][0])
            return self._made(region, int(code[2]), i, i)
        if low in _NAMES or low in ("c", "l", "s", "t"):
            n = self._number_after(i)
            if n is None or low not in _NAMES and not self._is_level_of_letters(i):
                return None
            return self._made(_NAMES.get(low, low[0]), n, i, i + 1)
        if low in _ADJECTIVES:
            region, last = self._noun(i)
            if region and last > i:
                n = self._number_after(last)
                return None if n is None else self._made(region, n, i, last + 1)
        return None

    def _is_level_of_letters(self, i: int) -> bool:
        after = self._text[self._words[i + 1].end :][:2]
        return bool(re.match(r"\s?[/-]\s?\w", after + "0")) and after[:1] in "/- "

    def _made(self, region: str, n: int, first: int, last: int) -> _Atom | None:
        if not 1 <= n <= _COUNTS[region]:
            return None
        return _Atom(_FIRST[region] + n - 1, first, last)

    def _number_after(self, i: int) -> int | None:
        if i + 1 >= len(self._words):
            return None
        gap = self._text[self._words[i].end : self._words[i + 1].start]
        if not re.fullmatch(r"\.?\s?-?\s?", gap) or self._marks[i] in (";", ":", "("):
            return None
        return _number(self._words[i + 1].low) if not self._measured(i + 1) else None

    def _measured(self, k: int) -> bool:
        return measured(self._text, self._words, self._marks, k)

    def _following(self, atom: _Atom) -> _Atom | None:
        joined = self._joined(atom.last)
        if joined is None:
            return None
        k, joint = joined
        found = self._atom(k)
        if found is not None:
            found.joint = joint
            return found
        n = _number(self._words[k].low)
        if n is None or self._measured(k):
            return None
        region = _region_at(atom.place)
        previous = atom.place - _FIRST[region] + 1
        if n <= previous and joint != "list" and previous == _COUNTS[region] and n == 1:
            region = _REGIONS[_REGIONS.index(region) + 1 :][:1] or region
        elif n <= previous:
            return None
        if joint == "list" and not self._ends_list(k):
            return None
        made = self._made(region, n, k, k)
        if made is not None:
            made.joint, made.whole = joint, False
        return made

    def _ends_list(self, k: int) -> bool:
        """Returns whether a bare number in a list is no count of things ("L4 and 3 metastases")."""
        if k + 1 >= len(self._words) or self._marks[k]:
            return True
        gap = self._text[self._words[k].end : self._words[k + 1].start]
        if gap.strip():
            return True
        after = self._words[k + 1].low
        return after in _KEEPS or after in _VERTEBRA

    def _joined(self, i: int) -> tuple[int, str] | None:
        """Returns the word that is joined to the word `i`, and how: "/", "to" or "list"."""
        for k in range(i + 1, min(len(self._words), i + 4)):
            joint = self._text[self._words[i].end : self._words[k].start]
            if any(self._marks[j] in (";", ":", "(", ")") for j in range(i, k)):
                return None
            for how, pattern in (("/", _SLASH), ("to", _TO), ("list", _LIST)):
                if pattern.fullmatch(joint):
                    return k, how
        return None

    def _point_after(self, k: int, joint: str) -> bool:
        """Returns whether a number is an ordinal ("4.") or the start of a range ("4-6")."""
        after = self._text[self._words[k].end :][:3].lstrip()
        return after[:1] in (".", "-", "\u2013", "/") or bool(joint)

    def _noun(self, k: int) -> tuple[str | None, int]:
        """Returns the region that a noun names and the noun's last word."""
        low = self._words[k].low
        if low in _NAMES and low != "th":
            after = self._number_after(k)
            return (None, k) if after is not None else (_NAMES[low], k)
        region = _ADJECTIVES.get(low)
        last = k
        while region and last + 1 < len(self._words) and not self._marks[last]:
            if self._words[last + 1].low not in _VERTEBRA:
                break
            last += 1
        return (region, last) if last > k else (None, k)

    def _is_no_vertebra(self, atoms: list[_Atom]) -> bool:
        first, last = atoms[0], atoms[-1]
        after = self._words[last.last + 1].low if last.last + 1 < len(self._words) else ""
        before = self._words[first.first - 1].low if first.first else ""
        if first.first and before == "segment":  # As in "short-segment T2 lesions".
            start = self._words[first.first - 1].start
            before = "" if self._text[max(0, start - 1) : start] == "-" else before
        beside = {before, after} & (_VERTEBRA | {"level", "levels", "hoehe", "segment"})
        if before.startswith(_NERVE) or after.startswith(_NERVE):
            return True
        letter = self._words[first.first].low.startswith("t") and not (
            self._words[first.first].low.startswith("th")
        )
        codes = {(_region_at(a.place), a.place - _FIRST[_region_at(a.place)] + 1) for a in atoms}
        if letter and not beside and codes <= set(_NOT_A_VERTEBRA):
            return True
        staged = all(n <= _STAGES for _, n in codes)
        return letter and staged and not self._marks[last.last] and bool(_NO_LEVEL.match(after))

    def _extended(self, first: int, last: int) -> tuple[int, int]:
        """Returns the words of a phrase with "vertebral body" before or after them."""
        while last + 1 < len(self._words) and not self._marks[last]:
            gap = self._text[self._words[last].end : self._words[last + 1].start]
            if self._words[last + 1].low not in _VERTEBRA or gap.strip():
                break
            last += 1
        while first and not self._marks[first - 1] and self._words[first - 1].low in _VERTEBRA:
            first -= 1
        return first, last

    def _about_discs(self, first: int, last: int) -> bool:
        """Returns whether the nearest word about a level is one of discs.

        It is looked for up to the next semicolon, and then in the rest of the sentence.
        """
        found = self._nearest_is_disc(first, last, (".", ";"))
        if found is None:
            found = self._nearest_is_disc(first, last, (".",))
        if found is None:
            own = [self._words[k].low for k in range(first, last + 1)]
            found = any(_DISC.match(low) for low in own)
        return found

    def _nearest_is_disc(self, first: int, last: int, ends: tuple[str, ...]) -> bool | None:
        for far in range(1, _FAR + 1):
            near = [k for k in (first - far, last + far) if 0 <= k < len(self._words)]
            near = [k for k in near if not self._apart(k, first, last, ends)]
            lows = [self._words[k].low for k in near]
            if any(_DISC.match(low) for low in lows):
                return True
            if any(_BONE.match(low) for low in lows):
                return False
        return None

    def _apart(self, k: int, first: int, last: int, ends: tuple[str, ...]) -> bool:
        between = range(k, first) if k < first else range(last, k)
        return any(self._marks[j] in ends for j in between)


def _number(low: str) -> int | None:
    if low.isdigit() and len(low) < 3:
        return int(low)
    return _ROMAN.get(low)


@functools.lru_cache(maxsize=1 << 12)
def ordinal(low: str) -> int | None:
    """Returns the number of a word that counts ("4th", "vierter", "4", "IV"), or None."""
    if low in _ROMAN:
        return _ROMAN[low]
    stems = classes.stems(classes.plain_words(low))
    return int(stems[0]) if len(stems) == 1 and stems[0].isdigit() and len(stems[0]) < 3 else None


def _region_at(place: int) -> str:
    return next(r for r in reversed(_REGIONS) if place >= _FIRST[r])


@functools.cache
def _class_at(place: int) -> int:
    region = _region_at(place)
    n = place - _FIRST[region] + 1
    if region == "s" and n > 1:
        return SACRUM
    return classes.by_name(f"vertebrae_{region.upper()}{n}").id


def _kept_words() -> Iterator[str]:
    yield from plain.words(
        "is are was were has have shows show with without and or but in on at to of as ist sind "
        "war waren hat haben zeigt zeigen mit ohne und oder sowie aber im am auf bei von nach "
        "links rechts bds unauffällig normal intakt frakturiert not nicht ohne no kein keine "
        "unremarkable intact fractured betroffen"
    )


_KEEPS = frozenset(_kept_words())
