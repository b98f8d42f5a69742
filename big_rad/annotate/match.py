"""Ties sentences to slices, and keeps a pair only if text and label map agree.

A sentence has a slice from the manifest ("given"), from its own words ("reference"), or else the
slice that shows best what it names ("proposed"). A pair is kept if at least one class that the
sentence names is in the slice. Everything else is counted by reason.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from big_rad.annotate import findings, question_table
from big_rad.annotate import sentences as sentence_lib
from big_rad.annotate.segment import harmonised
from big_rad.annotate.sentences import Sentence
from big_rad.annotate.slices import Cut, Stack, without_specks
from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes, mentions

_PARTS = harmonised.ROLLUP
# A finding that is a class of its own is shown by its organ where the label map lacks the class.
_ORGANS = {
    classes.by_name(finding).id: classes.by_name(organ).id
    for finding, (organ, _) in question_table.FINDING_CLASSES.items()
}
_APART = 10  # Several proposed slices are at least this share (1 / _APART) of the stack apart.
NOT_IN_SLICE = "nothing that it names is visible in its slice"
NOWHERE = "nothing that it names is visible in any slice"
TILTED = "its plane is not at right angles, because the gantry was tilted"
NO_SLICE = "its slice does not exist in the volume"
HIDDEN = "is not visible in the slice of its sentence"
NO_NUMBERS = "refers to an image number, and the volume has no such numbers"


@dataclasses.dataclass(frozen=True)
class Options:
    """How sentences are matched.

    Attributes:
        planes: the planes in which slices are proposed.
        slices_per_sentence: the number of slices that are proposed for a sentence in each plane.
        min_area_mm2: components of a class below this area leave the label map.
        rollup: whether the parts of a class show the class: lobes a lung, single vertebrae the
            spine. It works upwards only.
    """

    planes: tuple[str, ...] = ("axial",)
    slices_per_sentence: int = 1
    min_area_mm2: float = 10.0
    rollup: bool = True


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A sentence that needs a slice.

    Attributes:
        row: the number of the row among those of its image.
        lang: "en" or "de".
        sentence: the sentence.
        clinical, indication: the context of the sentence.
        slices: the slices (plane, index from 0) that are given; () lets the anatomy decide.
        planes: the planes in which a slice is proposed; () takes those of the options.
        link: "given", "reference", "proposed" or "template".
    """

    row: int
    lang: str
    sentence: Sentence
    clinical: str = ""
    indication: str = ""
    slices: tuple[tuple[str, int], ...] = ()
    planes: tuple[str, ...] = ()
    link: str = "proposed"


@dataclasses.dataclass(frozen=True)
class Item:
    """A slice with one sentence in one or both languages.

    Attributes:
        plane: the plane of the slice.
        index: the number of the slice, from 0, along the stored axis.
        number: the number of the item on the slice, from 0.
        cut: the slice. Its label map has the classes as the sentence names them.
        boxes: [x1, y1, x2, y2, class id] for each class.
        texts: the sentences by language.
        keywords: {language: [[phrase, class name, class id], ...]}.
        shown: {language: for each mention of its sentence, the ids of the classes that show it}.
    """

    plane: str
    index: int
    number: int
    cut: Cut
    boxes: list[list[int]]
    texts: dict[str, Wanted]
    keywords: dict[str, list[list]]
    shown: dict[str, list[tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Drop:
    """A sentence or a mention that is not used."""

    row: int
    what: str
    reason: str


def items(
    stack: Stack, wanted: Sequence[Wanted], options: Options
) -> tuple[list[Item], list[Drop]]:
    """Returns the items of a volume, in the order of planes, slices and sentences.

    Args:
        stack: the volume with its label map.
        wanted: the sentences about the volume.
        options: how they are matched.
    """
    drops: list[Drop] = []
    named = _Named(stack, options.rollup)
    on_slice: dict[tuple[str, int], list[Wanted]] = collections.defaultdict(list)
    for one in wanted:
        places, reason = _places(stack, one, named, options)
        for place in places:
            on_slice[place].append(one)
        if reason:
            drops.append(Drop(one.row, "sentence", reason))
        elif len(places) < len(one.slices):
            drops.append(
                Drop(one.row, "link", "one of the images that it refers to does not exist")
            )
    found: list[Item] = []
    tied: set[int] = set()  # The sentences that have an item, by id.
    lost: list[Wanted] = []  # Once for each slice that shows nothing of the sentence.
    for (plane, index), some in sorted(on_slice.items()):
        whole = stack.cut(plane, index)
        segmap = without_specks(whole.segmap, whole.spacing, options.min_area_mm2)
        here = _shown(segmap, options.rollup)
        kept = [one for one in some if here & set(named(one.sentence))]
        tied |= set(map(id, kept))
        lost += [one for one in some if not here & set(named(one.sentence))]
        for number, texts in enumerate(_paired(kept, here, named)):
            cut = dataclasses.replace(whole, segmap=segmap)
            found.append(_item(plane, index, number, cut, texts, named))
        drops += [
            Drop(one.row, "mention", HIDDEN)
            for one in kept
            for m in one.sentence.mentions
            if named.of(m) and not here & set(named.of(m))
        ]
    # A sentence is left out if none of its slices shows it, and counts once; otherwise it is in the
    # dataset, and only its other slices are left out.
    drops += [Drop(one.row, "link", NOT_IN_SLICE) for one in lost if id(one) in tied]
    nowhere = {id(one): one for one in lost if id(one) not in tied}
    drops += [Drop(one.row, "sentence", NOT_IN_SLICE) for one in nowhere.values()]
    return found, drops


def _places(
    stack: Stack, one: Wanted, named: "_Named", options: Options
) -> tuple[list[tuple[str, int]], str]:
    """Returns the slices of a sentence, and the reason if there are none."""
    if one.slices:
        exist = [(p, k) for p, k in one.slices if 0 <= k < stack.count(p)]
        square = [(p, k) for p, k in exist if stack.square(p)]
        return square, "" if square else TILTED if exist else NO_SLICE
    found = []
    planes = [p for p in one.planes or options.planes if stack.square(p)]
    if not planes:
        return [], TILTED
    for plane in planes:
        areas = _areas(stack, plane, named(one.sentence), options)
        found += [(plane, k) for k in _best(areas, options.slices_per_sentence)]
    return found, "" if found else NOWHERE


def _areas(
    stack: Stack, plane: str, named: Sequence[int], options: Options
) -> Float64[np.ndarray, "slices named"]:
    """Returns the area in mm2 of each class that is named; 0 if it is below the least area."""
    every = stack.areas(plane)
    parts = [[c, *(_PARTS.get(c, ()) if options.rollup else ())] for c in named]
    areas = np.stack([every[:, ids].sum(axis=1) for ids in parts], axis=1)
    return np.where(areas >= options.min_area_mm2, areas, 0)


def _best(areas: Float64[np.ndarray, "slices named"], most: int) -> list[int]:
    """Returns the slices that show most of the named classes, and show them largest."""
    if not areas.any():
        return []
    shares = (areas / np.maximum(areas.max(axis=0), 1e-9)).sum(axis=1)
    order = np.lexsort((np.arange(len(areas)), -shares, -(areas > 0).sum(axis=1)))
    apart, found = max(1, len(areas) // _APART), []
    for k in map(int, order):
        if len(found) < most and areas[k].any() and all(abs(k - o) >= apart for o in found):
            found.append(k)
    return found


def _paired(some: Sequence[Wanted], here: set[int], named: "_Named") -> list[dict[str, Wanted]]:
    """Pairs the sentences of a slice that certainly say the same in two languages.

    Templates are made in pairs. Sentences of reports are pairs only if every word of them is
    understood, they state the same (see `findings.statement`), they show the same classes, and
    both languages have equally many of them. All other sentences are items of their own.
    """
    groups: dict[Any, dict[str, list[Wanted]]] = {}
    for k, one in enumerate(some):
        template = one.link == "template"
        stated = None if template else findings.statement(one.sentence.text, one.lang)
        alone = not template and stated is None
        shown = frozenset(here & set(named(one.sentence)))
        key = k if alone else (shown, stated, one.sentence.number if template else None)
        groups.setdefault(key, {}).setdefault(one.lang, []).append(one)
    rows = []
    for group in groups.values():
        if len({len(alike) for alike in group.values()}) == 1:
            rows += [dict(zip(group, pair)) for pair in zip(*group.values())]
        else:
            rows += [{lang: one} for lang, alike in group.items() for one in alike]
    return rows


def _item(
    plane: str, index: int, number: int, cut: Cut, texts: dict[str, Wanted], named: "_Named"
) -> Item:
    wanted = {c for one in texts.values() for c in named(one.sentence)}
    segmap, boxes = cut.segmap, {}
    for whole, parts in _PARTS.items() if named.rollup else ():
        inside = np.isin(segmap, [whole, *parts])
        if whole not in wanted or not inside.any():
            continue
        if wanted.isdisjoint(parts):
            segmap = np.where(inside, np.uint8(whole), segmap)
        else:  # The map keeps the parts, which a pixel has only one class for.
            boxes[whole] = box_lib.from_mask(inside)
    boxes = box_lib.from_label_map(segmap) | boxes
    shown = {
        lang: [tuple(c for c in named.of(m) if c in boxes) for m in one.sentence.mentions]
        for lang, one in sorted(texts.items())
    }
    keywords = {
        lang: [
            [m.phrase, classes.by_id(c).name, c]
            for m, ids in zip(texts[lang].sentence.mentions, some, strict=True)
            for c in ids
        ]
        for lang, some in shown.items()
    }
    return Item(
        plane, index, number, dataclasses.replace(cut, segmap=segmap),
        [[*box, c] for c, box in sorted(boxes.items())], texts, keywords, shown,
    )  # fmt: skip


class _Named:
    """Returns the ids of the classes that a sentence names, each once, as its volume shows them."""

    def __init__(self, stack: Stack, rollup: bool):
        self.rollup = rollup
        missing = set(_ORGANS) - stack.classes if rollup else ()
        self._instead = {c: _ORGANS[c] for c in missing}

    def __call__(self, sentence: Sentence) -> tuple[int, ...]:
        return tuple(sorted({c for m in sentence.mentions for c in self.of(m)}))

    def of(self, mention: mentions.Mention) -> tuple[int, ...]:
        """Returns the ids of the classes that a mention names."""
        return tuple(self._instead.get(c, c) for c in sentence_lib.classes_of(mention))


def _shown(segmap: np.ndarray, rollup: bool) -> set[int]:
    """Returns the ids of the classes that a label map shows, those of its parts included."""
    found = {int(c) for c in np.flatnonzero(np.bincount(segmap.ravel())) if c}
    wholes = {w for w, parts in _PARTS.items() if not found.isdisjoint(parts)} if rollup else set()
    return found | wholes
