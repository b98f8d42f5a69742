"""Splits the slices of a DICOM series, or of one file, into parts, and sorts each part.

The slices of a part have the same size and orientation, so that their positions and the boxes on
them can be compared.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from big_rad.dicom import headers, positions
from big_rad.dicom.errors import UnsupportedError
from big_rad.dicom.image import Place

MAX_PARTS = 100  # The most parts of a series.
_FAR = 1e6  # In mm. No slice lies farther from the origin.
_SAME_WAY, _SAME_SIZE = 5e-3, 1e-3  # The differences of unit vectors and of spacings (relative).
_BESIDE = 1.0  # In mm. Slices at one position are repeats if their first pixels are not farther.
_ACROSS, _ALONG = 0.26, 0.97  # The cosines of about 75 and 15 degrees.


@dataclasses.dataclass(frozen=True)
class Item:
    """A slice with everything that decides where it belongs.

    Attributes:
        path: its file.
        frame: its number in the file, from 0.
        order: the number of the file in the order of names.
        info: what the file says.
    """

    path: pathlib.Path = dataclasses.field(repr=False)
    frame: int
    order: int
    info: headers.Info

    @property
    def about(self) -> headers.Frame:
        """What the file says about the slice."""
        return self.info.frames[self.frame]

    @property
    def place(self) -> Place | None:
        """Where the pixels lie, or None if it is unknown or impossible."""
        place = self.about.place
        known = place is not None and place.origin is not None
        return place if known and max(map(abs, place.origin)) < _FAR else None

    @property
    def by_name(self) -> tuple[int, int]:
        """Sorts slices by the names of files, and by their order in the file."""
        return self.order, self.frame

    @property
    def by_scan(self) -> tuple[tuple[float, ...], int, int]:
        """Sorts slices at one position by the numbers of acquisition and instance, then by name."""
        return self.info.repeat, *self.by_name


def split(items: Sequence[Item], localisers: bool = False) -> tuple[list[list[Item]], list[Item]]:
    """Splits the slices of a series into parts.

    Args:
        items: the slices, in any order.
        localisers: whether single slices across the others are parts as well.

    Returns:
        The parts, each in the order of names, by their first slices; and the localisers.

    Raises:
        UnsupportedError: there are more than `MAX_PARTS` parts.
    """
    parts: list[list[Item]] = []
    for item in sorted(items, key=lambda i: i.by_name):
        part = next((p for p in parts if _alike(p[0], item)), None)
        if part is None:
            parts.append([item])
            if len(parts) > MAX_PARTS:
                raise _too_many()
        else:
            part.append(item)
    scouts = [] if localisers or items[0].info.format != "dicom" else _scouts(parts)
    found = [q for p in parts if p[0] not in scouts for q in _beside(p)]
    if len(found) > MAX_PARTS:
        raise _too_many()
    return sorted(found, key=lambda p: p[0].by_name), scouts


def ordered(part: Sequence[Item]) -> tuple[list[Item], list[float] | None, list[str]]:
    """Sorts a part of a series by position.

    Args:
        part: the slices, in the order of names.

    Returns:
        The slices in their order, with one slice at each position; their positions in mm, or None
        if these are unknown; and sentences on what is irregular.
    """
    if part[0].place is None:
        return list(part), None, _unknown(part)
    stack = _stack(part)
    places, kept = [at for at, _ in stack], [group[0] for _, group in stack]
    warnings = positions.irregular(places)
    twice = [at for at, group in stack if len(group) > 1]
    if twice:
        span = f"from {twice[0]:.1f} to {twice[-1]:.1f} mm"
        if len(twice) == 1:
            span = f"at {twice[0]:.1f} mm"
        warnings.insert(
            0,
            f"positions with more than one slice: {len(twice)} of {len(places)} ({span}), as in "
            "several echoes or phases or a repeated export; the first slice at each position is "
            f"used, slices left out: {len(part) - len(kept)}",
        )
    return kept, places, warnings


def _too_many() -> UnsupportedError:
    return UnsupportedError(
        f"its series has slices of more than {MAX_PARTS} sizes, orientations or places, so they "
        "are no stack; give the slices one by one"
    )


def _unknown(part: Sequence[Item]) -> list[str]:
    warnings = []
    if len(part) > 1:
        warnings.append(
            "it is unknown where the slices lie (in DICOM, ImagePositionPatient), so they are in "
            "the order of file names and frames, and distances and volumes are unknown"
        )
    objects = {(item.path, item.info.sop_uid) for item in part if item.info.sop_uid}
    if twice := len(objects) - len({uid for _, uid in objects}):
        warnings.append(f"files that are the same object as another (SOPInstanceUID): {twice}")
    return warnings


def _stack(part: Sequence[Item]) -> list[tuple[float, list[Item]]]:
    """Returns the positions of a part, ascending, with the slices at each, the first one first."""
    normal = positions.normal(part[0].place)
    at = {item.by_name: float(np.dot(item.place.origin, normal)) for item in part}
    stack: list[tuple[float, list[Item]]] = []
    for item in sorted(part, key=lambda i: (at[i.by_name], i.by_scan)):
        if stack and at[item.by_name] - stack[-1][0] <= positions.SAME:
            stack[-1][1].append(item)
        else:
            stack.append((at[item.by_name], [item]))
    for _, group in stack:
        group.sort(key=lambda i: i.by_scan)
    return stack


def _beside(part: list[Item]) -> list[list[Item]]:
    """Splits slices that do not lie above each other, such as those of both knees in one series.

    Slices at the same position repeat each other only if they also cover the same place.
    """
    if part[0].place is None:
        return [part]
    found: list[list[Item]] = []
    for _, group in _stack(part):
        first = np.array(group[0].place.origin)
        places: dict[tuple, int] = {}  # The first place is that of the first slice.
        for item in group:
            off = item.place.origin - first
            near = bool(np.abs(off).max() <= _BESIDE)
            key = (near, *np.rint(off / (10 * _BESIDE)).tolist())
            k = places.setdefault((True,) if near else key, len(places))
            found += [[] for _ in range(k + 1 - len(found))]
            found[k].append(item)
    return [sorted(p, key=lambda i: i.by_name) for p in found]


def _scouts(parts: list[list[Item]]) -> list[Item]:
    """Returns the single slices that are perpendicular to others, if no slice lies askew to them.

    A localiser has slices in two or three planes; slices around an axis lie at many angles.
    """
    if len(parts) == 1 or any(part[0].about.place is None for part in parts):
        return []
    normals = np.array([positions.normal(part[0].about.place) for part in parts])
    found = []
    for part, normal in zip(parts, normals, strict=True):
        cosines = np.abs(normals @ normal)
        across = cosines < _ACROSS
        if len(part) == 1 and across.any() and (across | (cosines > _ALONG)).all():
            found.append(part[0])
    return found


def _alike(a: Item, b: Item) -> bool:
    """Returns whether two slices have the same size and orientation."""
    known = a.place is None, b.place is None
    if (a.info.shape, a.info.space, known[0]) != (b.info.shape, b.info.space, known[1]):
        return False
    pairs = [(a.about.spacing, b.about.spacing, _SAME_SIZE * (a.about.spacing or (0,))[0])]
    for which in ("columns", "rows"):
        pairs.append((_direction(a, which), _direction(b, which), _SAME_WAY))
    return all(
        x is y if x is None or y is None else all(abs(p - q) <= most for p, q in zip(x, y))
        for x, y, most in pairs
    )


def _direction(item: Item, which: str) -> tuple[float, ...] | None:
    return item.about.place and getattr(item.about.place, which)
