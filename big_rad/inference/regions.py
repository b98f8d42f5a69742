"""Joins the entities of neighbouring slices of a series to regions, with their sizes.

    marked = [of_slice(ref, prediction) for ref, prediction in zip(series.slices, predictions)]
    regions = join(marked, series.thickness)

Two entities belong to the same region if they have the same class, their boxes overlap in the
plane of the slices, and their slices are neighbours with at most one slice between them. So an
organ that the model misses in one slice stays one region, and two organs of the same class that
touch nowhere are two. Entities without a class are of the same class if their phrases are equal.

Slices are counted as they are given. If each third slice of a series was read, then "one slice
between" is one of the slices that were read. Slices that are missing in the series count, see
`positions.steps`, as far as positions are known.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from big_rad.dicom import positions
from big_rad.dicom.image import Place
from big_rad.dicom.series import Series, SliceRef
from big_rad.inference.predictions import NOTE, Entity, Prediction

Box = tuple[float, float, float, float]
_REACH = 2  # Slices are neighbours up to this difference of their numbers.


@dataclasses.dataclass(frozen=True)
class Marked:
    """A slice with what was marked on it.

    Attributes:
        index: the number of the slice in its series.
        entities: the entities, in pixels of the stored slice. Those without a box are in no region.
        position: where the slice lies along its normal in mm; None if unknown.
        spacing: the distances (between rows, between columns) in mm; None if unknown.
        place: where the pixels lie in the patient; None if unknown. Boxes are then compared in
            pixels.
    """

    index: int
    entities: tuple[Entity, ...] = ()
    position: float | None = None
    spacing: tuple[float, float] | None = None
    place: Place | None = None


@dataclasses.dataclass(frozen=True)
class Region:
    """An entity joined over the slices of a series.

    Attributes:
        number: the number of the region in its series, from 1.
        class_id: the number of the class, or 0 if it is unknown.
        class_name: the name of the class, or "".
        phrases: the words for it in the texts, each once, in the order of the slices.
        slices: the indices of the slices that it is marked on, ascending.
        entities: for each entity in it the index of its slice, and its number among the entities of
            that slice, from 0.
        box: the box (x1, y1, x2, y2) around all boxes, in pixels of the stored slices.
        positions: the positions of the first and the last slice in mm; None if unknown.
        extent: the size (x, y, z) in mm: along the rows of pixels, along the columns of pixels, and
            across the slices. A size that is unknown is None.
        volume: the volume of the masks in ml; None if it is unknown or there are no masks.
        mean: the mean of the confidences; None if there are none.
        highest: the highest confidence; None if there are none.
        best: the index of the slice with the highest confidence, the first of several; None if
            there are no confidences.
        status: "calibrated" if all confidences are calibrated, else "uncalibrated".
        notes: sentences that say what is unknown, and why.
    """

    number: int
    class_id: int
    class_name: str
    phrases: tuple[str, ...]
    slices: tuple[int, ...]
    entities: tuple[tuple[int, int], ...]
    box: Box
    positions: tuple[float, float] | None
    extent: tuple[float | None, float | None, float | None]
    volume: float | None
    mean: float | None
    highest: float | None
    best: int | None
    status: str
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Node:
    # An entity with the place of its slice in the list, and its box in mm where that is possible.
    at: int
    number: int
    entity: Entity
    flat: Box


def of_slice(ref: SliceRef, prediction: Prediction) -> Marked:
    """Returns what a prediction marked on a slice of a series.

    Args:
        ref: the slice.
        prediction: the prediction about it, in pixels of the stored slice.
    """
    return Marked(ref.index, tuple(prediction.entities), ref.position, ref.spacing, ref.place)


def join(slices: Sequence[Marked], thickness: float | None = None) -> tuple[Region, ...]:
    """Returns the regions of a series.

    Args:
        slices: the slices of one series that were read, with and without entities, in any order.
            They have the same size and orientation.
        thickness: the thickness of a slice in mm, for a series of one slice; None if unknown.

    Returns:
        The regions, by class, then by their lowest slice, then by the upper left corner of their
        box. Classes that are unknown come last.

    Raises:
        ValueError: two slices have the same index, or some of the positions contradict the order of
            the indices.
    """
    slices = sorted(slices, key=lambda s: s.index)
    at = _positions(slices)
    reach = [1] * max(0, len(slices) - 1) if at is None else positions.steps(at)
    numbers = np.concatenate([[0], np.cumsum(reach)]).tolist()
    slabs = None if at is None else positions.slabs(at, thickness)
    plane = _Plane(slices)
    nodes: dict[Any, list[_Node]] = collections.defaultdict(list)
    for k, one in enumerate(slices):
        for n, entity in enumerate(one.entities):
            if entity.box is not None:
                nodes[_class(entity)].append(_Node(k, n, entity, plane.box(one, entity.box)))
    groups = [g for key in nodes for g in _groups(nodes[key], numbers)]
    made = [_region(group, slices, at, slabs, plane.in_mm) for group in groups]
    made.sort(key=lambda r: (r.class_id == 0, r.class_id, r.slices[0], r.box[1::-1], r.entities))
    return tuple(dataclasses.replace(region, number=k + 1) for k, region in enumerate(made))


def unplaced(slices: Sequence[Marked]) -> str:
    """Returns a sentence on the entities that have no box and so are in no region, or ""."""
    count = sum(e.box is None for one in slices for e in one.entities)
    return f"entities without a box or mask, which are in no region: {count}" if count else ""


def to_json(
    regions: Sequence[Region], series: Series, slices: Sequence[Marked] = (), **fields: Any
) -> dict[str, Any]:
    """Returns a series with its regions as plain data, for `series.json`.

    Args:
        regions: the regions.
        series: the series. Of its files, neither names nor identifiers are in the result.
        slices: what was marked, for the warning on entities without a place.
        **fields: further fields, which come first.

    Returns:
        A dict of strings, numbers, lists and dicts, which JSON can hold.
    """
    plain = series.to_json()
    without = unplaced(slices)
    return {
        **fields,
        **plain,
        "regions": [region_json(region) for region in regions],
        "warnings": [*plain["warnings"], *([without] if without else [])],
        "note": NOTE,
    }


def region_json(region: Region) -> dict[str, Any]:
    """Returns a region as plain data."""
    x, y, z = (_rounded(v, 2) for v in region.extent)
    low, high = (_rounded(v, 3) for v in region.positions or (None, None))
    return {
        "number": region.number,
        "class_id": region.class_id,
        "class_name": region.class_name,
        "phrases": list(region.phrases),
        "first_slice": region.slices[0],
        "last_slice": region.slices[-1],
        "slices": list(region.slices),
        "entities": [{"slice": k, "entity": n} for k, n in region.entities],
        "box": [round(float(c), 2) for c in region.box],
        "position_mm": None if low is None else [low, high],
        "extent_mm": {"x": x, "y": y, "z": z},
        "volume_ml": _rounded(region.volume, 3),
        "confidence": {
            "mean": _rounded(region.mean, 4),
            "highest": _rounded(region.highest, 4),
            "slice": region.best,
            "status": region.status,
        },
        "notes": list(region.notes),
    }


def _rounded(x: float | None, digits: int) -> float | None:
    return None if x is None else round(float(x), digits)


def _class(entity: Entity) -> tuple[int, str]:
    return entity.class_id, "" if entity.class_id else " ".join(entity.phrase.casefold().split())


def _positions(slices: Sequence[Marked]) -> list[float] | None:
    """Returns the positions, or None if one is unknown."""
    if len({one.index for one in slices}) < len(slices):
        raise ValueError("two slices have the same index; give each slice of a series once")
    at = [one.position for one in slices]
    if not at or any(p is None or not math.isfinite(p) for p in at):
        return None
    if any(a >= b for a, b in zip(at, at[1:])):
        raise ValueError(
            "the positions of the slices do not rise with their indices; give the slices of one "
            "series, as dicom.series.find returns them"
        )
    return at


class _Plane:
    """The plane that the slices share, in which their boxes are compared.

    Its unit is mm, or pixels if the spacing of pixels is unknown. Boxes in mm are comparable even
    if the first pixels of the slices do not lie above each other, as with a tilted gantry.
    """

    def __init__(self, slices: Sequence[Marked]):
        self.in_mm = bool(slices) and all(one.spacing is not None for one in slices)
        places = [one.place for one in slices]
        self._ways = None
        if self.in_mm and all(p is not None and p.origin is not None for p in places):
            self._ways = np.array([places[0].columns, places[0].rows])

    def box(self, one: Marked, box: Box) -> Box:
        """Returns a box of a slice in the unit of the plane."""
        if not self.in_mm:
            return box
        height, width = one.spacing
        x, y = (0.0, 0.0) if self._ways is None else self._ways @ one.place.origin
        x1, x2 = (float(x + c * width) for c in box[::2])
        y1, y2 = (float(y + c * height) for c in box[1::2])
        return x1, y1, x2, y2


def _groups(nodes: Sequence[_Node], numbers: Sequence[int]) -> Iterator[list[_Node]]:
    """Yields the entities of one class that are linked by overlaps, directly or by others."""
    parent = list(range(len(nodes)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    start = 0
    for k, node in enumerate(nodes):
        while numbers[node.at] - numbers[nodes[start].at] > _REACH:
            start += 1
        for j in range(start, k):
            if _overlap(node.flat, nodes[j].flat):
                low, high = sorted((root(j), root(k)))
                parent[high] = low
    found: dict[int, list[_Node]] = collections.defaultdict(list)
    for k, node in enumerate(nodes):
        found[root(k)].append(node)
    yield from found.values()


def _overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def _around(boxes: Sequence[Box]) -> Box:
    low = np.min(boxes, axis=0)
    high = np.max(boxes, axis=0)
    return float(low[0]), float(low[1]), float(high[2]), float(high[3])


def _region(
    group: Sequence[_Node],
    slices: Sequence[Marked],
    at: Sequence[float] | None,
    slabs: Sequence[tuple[float, float]] | None,
    in_mm: bool,
) -> Region:
    ordered = sorted(group, key=lambda n: (n.at, n.entity.box, n.number))
    first, last = ordered[0].at, ordered[-1].at
    notes: list[str] = []
    x = y = z = None
    if in_mm:
        x1, y1, x2, y2 = _around([n.flat for n in ordered])
        x, y = _finite(x2 - x1), _finite(y2 - y1)
    else:
        notes.append("the size in the plane is unknown, because the spacing of pixels is unknown")
    if slabs is not None:
        z = _finite(at[last] - at[first] + slabs[first][0] + slabs[last][1])
    else:
        why = "positions of the slices" if at is None else "thickness of the slice"
        notes.append(f"the size across the slices is unknown, because the {why} are unknown")
    notes += _cut(ordered, len(slices))
    sure = [n for n in ordered if n.entity.confidence is not None]
    values = [n.entity.confidence.value for n in sure]
    if len(sure) < len(ordered):
        notes.append(f"{len(ordered) - len(sure)} of {len(ordered)} entities have no confidence")
    best = max(range(len(sure)), key=values.__getitem__) if sure else None
    calibrated = bool(sure) and all(n.entity.confidence.status == "calibrated" for n in sure)
    entity = ordered[0].entity
    return Region(
        number=0,
        class_id=entity.class_id,
        class_name=entity.class_name,
        phrases=tuple(dict.fromkeys(n.entity.phrase for n in ordered)),
        slices=tuple(dict.fromkeys(slices[n.at].index for n in ordered)),
        entities=tuple((slices[n.at].index, n.number) for n in ordered),
        box=_around([n.entity.box for n in ordered]),
        positions=None if at is None else (at[first], at[last]),
        extent=(x, y, z),
        volume=_volume(ordered, slices, slabs if in_mm else None, notes),
        mean=float(np.mean(values)) if sure else None,
        highest=None if best is None else values[best],
        best=None if best is None else slices[sure[best].at].index,
        status="calibrated" if calibrated else "uncalibrated",
        notes=tuple(notes),
    )


def _cut(group: Sequence[_Node], count: int) -> list[str]:
    """Returns notes on slices in the region that are not marked, and on ends that are cut off."""
    first, last = group[0].at, group[-1].at
    notes = []
    if between := last - first + 1 - len({n.at for n in group}):
        notes.append(
            f"it is not marked on {between} of the slices between its ends, which add nothing to "
            "its volume"
        )
    if count > 1 and (first == 0 or last == count - 1):
        notes.append("it reaches an end of the series, so it may be larger")
    return notes


def _volume(
    group: Sequence[_Node],
    slices: Sequence[Marked],
    slabs: Sequence[tuple[float, float]] | None,
    notes: list[str],
) -> float | None:
    """Returns the volume of the masks in ml; masks that overlap in a slice count once."""
    masks = [n.entity.mask for n in group]
    if all(mask is None for mask in masks):
        return None
    if any(mask is None for mask in masks):
        notes.append("the volume is unknown, because some of the entities have no mask")
        return None
    if slabs is None:
        notes.append("the volume is unknown, because distances are unknown")
        return None
    total = 0.0
    by_slice: dict[int, list[np.ndarray]] = collections.defaultdict(list)
    for node in group:
        by_slice[node.at].append(node.entity.mask)
    for k, found in by_slice.items():
        height, width = slices[k].spacing
        total += (
            float(functools.reduce(np.logical_or, found).sum()) * height * width * sum(slabs[k])
        )
    return _finite(total / 1000)


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
