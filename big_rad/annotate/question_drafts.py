"""Drafts the questions about one image; `questions` balances them and puts them into words."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from big_rad.annotate import findings, question_terms
from big_rad.annotate import question_table as table
from big_rad.annotate.question_terms import Term
from big_rad.grounding import classes, phrase, plain

METADATA = ("modality", "plane", "region")
_CHOICES = 4


@dataclasses.dataclass(frozen=True)
class Image:
    """What is known about an image.

    Attributes:
        id: the id of the image, unique in the data set.
        modality: "CT", "MR", "XR" or "US"; no question is asked about any other.
        plane: "axial", "coronal" or "sagittal"; "" if it is not known.
        body_part: the region that was examined, as free text in either language; "" or None if it
            is not known.
        sentences: the sentence on the image in one or both languages: {"en" or "de": text}. If both
            are given, only what both say is asked about. Empty ones and None count as not given.
        shown: the ids of the classes in the label map of the image; None if there is no label map.
            0, the background, is ignored. Leave out classes of which only a few pixels are shown.
    """

    id: str
    modality: str = ""
    plane: str = ""
    body_part: str | None = ""
    sentences: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    shown: Iterable[int] | None = None


@dataclasses.dataclass(frozen=True)
class Draft:
    """A question before it is put into words."""

    form: str  # "open", "yesno" or "multiple"
    kind: str  # a key of `table.YESNO` or `table.OPEN`
    subject: str  # what yes and no are balanced for
    order: int  # a hash, by which drafts are chosen
    answer: Term | bool
    choices: tuple[Term, ...] = ()
    organ: Term | None = None
    finding: str = ""
    word: str = ""
    variant: int = 0
    instead: "Draft | None" = None  # the question that is asked if this one is left out


class Draw:
    """Draws by a hash of the seed, the image and what is drawn, so that no draw changes another."""

    def __init__(self, seed: int, image: str):
        self._seed, self._image = seed, image

    def number(self, *what: object) -> int:
        """Returns a number below 2**64."""
        return hashed(self._seed, self._image, *what)

    def order(self, items: Iterable[Any], *what: object) -> list[Any]:
        """Returns items in a random order."""
        return sorted(items, key=lambda item: self.number(*what, str(item)))


def hashed(*what: object) -> int:
    """Returns a number below 2**64 that depends on the values only."""
    return int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8], "big")


# Questions from metadata.


def metadata(image: Image) -> dict[str, tuple[str, ...]]:
    """Returns the keys of `table.WORDS` for each field that is known; regions may be several."""
    known = {
        field: (value,)
        for field, value in (("modality", image.modality.strip().upper()),
                             ("plane", image.plane.strip().lower()))
        if value in table.WORDS[field]["en"]
    }  # fmt: skip
    text = plain.spelled(image.body_part or "").lower()
    regions = tuple(r for r, pattern in table.REGIONS.items() if re.search(pattern, text))
    return known | ({"region": regions} if regions else {})


def of_metadata(known: Mapping[str, tuple[str, ...]], draw: Draw) -> list[Draft]:
    """Returns three questions about the fields that are known; fewer if too little is known."""
    ways = {field: _ways(field, keys, draw) for field, keys in known.items()}
    out: list[Draft] = []
    fields = draw.order(ways, "fields")
    while len(out) < 3 and any(ways.values()):
        for field in fields:
            if ways[field] and len(out) < 3:
                out.append(ways[field].pop(0))
    for k, draft in enumerate(out):
        if draft.form == "yesno" and (rest := ways[draft.kind]):
            spare = next((r for r in rest if r.form != "yesno"), None)
            out[k] = dataclasses.replace(draft, instead=spare)
    return out


def _ways(field: str, keys: tuple[str, ...], draw: Draw) -> list[Draft]:
    """Returns the ways to ask about a field, in the order in which they are used."""
    order = draw.number(field)
    variant = order % 2
    answer = Term("word", keys, field)
    ways = [
        Draft("open", field, "", order, answer, variant=variant),
        Draft("open", field, "", order, answer, variant=1 - variant),
    ]
    if len(keys) > 1:
        return ways
    others = [k for k in table.WORDS[field]["en"] if k not in keys]
    wrong = [Term("word", (k,), field) for k in draw.order(others, field, "choices")]
    choices = draw.order([answer, *wrong[: _CHOICES - 1]], field, "places")
    more = [Draft("multiple", field, "", order, answer, tuple(choices), variant=variant)]
    asked = table.ASKED[field]
    if keys[0] in asked:
        other = draw.order([k for k in asked if k not in keys], field, "other")[0]
        key = keys[0] if draw.number(field, "truth") % 2 else other
        more.append(Draft("yesno", field, key, order, key == keys[0], word=key))
    return draw.order([ways[0], *more], field, "ways") + ways[1:]


# Questions from the finding.


def of_finding(image: Image, known: Mapping[str, tuple[str, ...]], draw: Draw) -> list[Draft]:
    """Returns all questions about the finding of an image, in the order in which they are used.

    Questions that need the sentence come first; those about visible organs fill up.
    """
    facts = findings.agreed([
        findings.read(text, lang)
        for lang, text in sorted(image.sentences.items())
        if text and text.strip()
    ])  # fmt: skip
    shown = None if image.shown is None else frozenset(int(c) for c in image.shown) - {0}
    if wrong := [c for c in shown or () if not 1 <= c <= classes.NUM_CLASSES]:
        raise ValueError(
            f"image {image.id!r}: shown has class id {wrong[0]}, which is not in "
            f"1..{classes.NUM_CLASSES}; harmonise the classes of the label map"
        )
    possible = question_terms.of_modality(known.get("modality", ("",))[0])
    facts = _in_image(facts, shown, possible)
    absent = _absent(facts, shown, known.get("region", ())) & possible
    absent = [c for c in sorted(absent) if question_terms.organ(c) is not None]
    drafts = [*_about_findings(facts, absent, draw), *_about_organs(facts, shown, absent, draw)]
    drafts = [dataclasses.replace(d, variant=(d.order >> 1) % 2) for d in drafts]
    return sorted(drafts, key=lambda d: (d.kind in ("shown", "which"), d.order))


def _in_image(
    facts: findings.Facts, shown: frozenset[int] | None, possible: frozenset[int]
) -> findings.Facts:
    """Returns the facts without those about organs that the label map could show and does not."""
    if shown is None:
        return facts

    def kept(organ: int) -> bool:
        family = question_terms.related(organ)
        return not family & possible or bool(family & shown)

    return dataclasses.replace(
        facts,
        found={k: v for k, v in facts.found.items() if kept(k[1])},
        normal={k: v for k, v in facts.normal.items() if kept(k)},
    )


def _absent(
    facts: findings.Facts, shown: frozenset[int] | None, regions: Sequence[str]
) -> frozenset[int]:
    """Returns the classes that one would expect in an image, and that nothing says are there."""
    there = (shown or frozenset()) | facts.mentioned
    near = question_terms.near(shown or there - facts.removed, regions)
    return near - {c for i in there for c in question_terms.related(i)}


def _about_findings(facts: findings.Facts, absent: Sequence[int], draw: Draw) -> Iterator[Draft]:
    """Yields questions about findings that are stated or denied, and about normal organs."""
    asked = {k: v for k, v in facts.found.items() if question_terms.organ(k[1]) is not None}
    for name, organ in draw.order(asked, "has")[:2]:
        order = draw.number("has", name, organ)
        term = Term("organ", organ)
        yield Draft("yesno", "has", name, order, asked[name, organ], organ=term, finding=name)
    stated = [k for k, there in asked.items() if there]
    for name, organ in draw.order(stated, "stated")[:1]:
        same = [c for n, c in stated if n == name]
        term, order = Term("organ", organ), draw.number("stated", name, organ)
        others = {n for n, c in stated if c == organ}
        if len(others) == 1:
            answer = Term("finding", name)
            yield Draft("open", "finding", "", draw.number("finding"), answer, organ=term)
        if len(same) == 1 and (name, organ) in facts.alone:
            wrong = [c for c in absent if c != phrase.mirrored(organ)]
            choices = _choices(term, wrong, draw)
            form = "multiple" if choices and order % 2 else "open"
            some = choices if form == "multiple" else ()
            yield Draft(form, "organ", "", draw.number("organ"), term, some, finding=name)
        if question_terms.without_side(organ) is not None:
            yield from _about_side(facts, name, organ, draw)
    for organ in draw.order([c for c in facts.normal if question_terms.organ(c)], "normal")[:1]:
        order = draw.number("normal", organ)
        term = Term("organ", organ)
        yield Draft("yesno", "normal", str(organ), order, facts.normal[organ], organ=term)


def _about_side(facts: findings.Facts, name: str, organ: int, draw: Draw) -> Iterator[Draft]:
    """Yields questions about the side of a finding that is stated at an organ of a pair."""
    other = phrase.mirrored(organ)
    known = (name, other) in facts.found or facts.normal.get(other) is True
    if other in facts.mentioned and not known:
        return  # The other organ may have the finding as well.
    both = facts.found.get((name, other)) is True
    side = "both" if both else phrase.side_of_class(organ)
    term, order = Term("paired", organ), draw.number("side", name)
    answer = Term("word", (side,), "side")
    every = [Term("word", (k,), "side") for k in table.WORDS["side"]["en"]]
    choices = draw.order(every, "side", "places")
    form = "multiple" if order % 2 else "open"
    some = tuple(choices) if form == "multiple" else ()
    yield Draft(form, "side", "", order, answer, some, organ=term, finding=name)
    if not both:
        asked = ("left", "right")[draw.number("side", "truth") % 2]
        order = draw.number("side", "yesno")
        yield Draft("yesno", "side", asked, order, asked == side, (), term, name, asked)


def _about_organs(
    facts: findings.Facts, shown: frozenset[int] | None, absent: Sequence[int], draw: Draw
) -> Iterator[Draft]:
    """Yields questions about what is visible."""
    seen = sorted((shown or frozenset()) - facts.removed)
    gone = sorted(facts.removed - (shown or frozenset()))
    seen, missing = (
        [c for c in some if question_terms.organ(c) is not None]
        for some in (seen, gone or ([] if shown is None else absent))
    )
    for there, organs in ((True, seen), (False, missing)):
        for organ in draw.order(organs, "shown")[:2]:
            order, term = draw.number("shown", organ), Term("organ", organ)
            yield Draft("yesno", "shown", str(organ), order, there, organ=term)
    for organ in draw.order(seen, "which")[:2]:
        term = Term("organ", organ)
        if choices := _choices(term, absent, draw):
            yield Draft("multiple", "which", "", draw.number("which", organ), term, choices)


def _choices(right: Term, wrong: Iterable[int], draw: Draw) -> tuple[Term, ...]:
    """Returns the choices of a question about an organ, or () if there are too few wrong ones."""
    others = [Term("organ", c) for c in draw.order(wrong, "wrong", right.key)][: _CHOICES - 1]
    if len(others) < 2:
        return ()
    return tuple(draw.order([right, *others], "places", right.key))
