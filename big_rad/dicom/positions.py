"""The arithmetic of where slices lie along their normal: gaps, missing slices, and slabs.

Positions are in mm, and ascend. The normal of a slice points to where positions are counted:

    plane      positions rise
    axial      from the feet to the head
    coronal    from the front to the back
    sagittal   from the patient's right to the left

An oblique slice counts as the plane nearest to it. These are the directions of DICOM's axes, so the
position of an axial slice without a tilt is the z of its ImagePositionPatient.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from big_rad.dicom.image import Place

SAME = 0.01  # In mm. Slices that are nearer to each other than this lie at the same position.
_EQUAL = 0.05  # Gaps that differ by less than this share are equal.
_MISSING = 0.25  # A gap of at least 2 - _MISSING times its neighbours has room for a slice.


def normal(place: Place) -> Float[np.ndarray, " 3"]:
    """Returns the unit normal of a slice, towards where its positions rise."""
    across = np.cross(place.columns, place.rows)
    across = across / np.linalg.norm(across)
    # A slice exactly between two planes counts as axial first, then as coronal, as in `image`.
    axis = max((2, 1, 0), key=lambda a: round(float(abs(across[a])), 6))
    return across if across[axis] > 0 else -across


def steps(positions: Sequence[float]) -> list[int]:
    """Returns for each gap how many slices it reaches: 1, or 1 more for each missing slice.

    A slice is missing in a gap that is about twice as wide as the wider one of its two neighbours,
    or wider. Where the distance changes for good, from 2.5 mm to 5 mm for example, no slice is
    missing.

    Args:
        positions: ascending positions in mm.

    Returns:
        One number less than there are positions.
    """
    gaps = np.diff(positions)
    found = []
    for i, gap in enumerate(gaps):
        beside = [gaps[k] for k in (i - 1, i + 1) if 0 <= k < len(gaps)]
        usual = max(beside, default=gap)
        found.append(max(1, int(gap / usual + _MISSING)) if usual > 0 else 1)
    return found


def slabs(
    positions: Sequence[float], thickness: float | None = None
) -> list[tuple[float, float]] | None:
    """Returns how far the slab reaches that each slice stands for, in mm below and above it.

    A slab reaches half the way to the next slice on either side. At the ends, and beside a gap of
    more than one missing slice, it reaches half of the usual distance instead.

    Args:
        positions: ascending positions in mm.
        thickness: the thickness in mm of a single slice without neighbours, or None.

    Returns:
        A pair (below, above) for each slice; None for a single slice of unknown thickness.
    """
    if len(positions) < 2:
        known = thickness is not None and len(positions) == 1
        return [(thickness / 2, thickness / 2)] if known else None
    gaps, reach = np.diff(positions), steps(positions)
    usual = float(np.median(gaps))
    half = [float(g) / 2 if n <= 2 else usual / 2 for g, n in zip(gaps, reach, strict=True)]
    ends = [float(gaps[k]) / (2 * reach[k]) for k in (0, -1)]
    return list(zip([ends[0], *half], [*half, ends[1]], strict=True))


def irregular(positions: Sequence[float], most: int = 5) -> list[str]:
    """Returns sentences on missing slices and unequal gaps, with positions in mm.

    Args:
        positions: ascending positions in mm.
        most: the most places that are named; the others are counted.
    """
    if len(positions) < 3:
        return []
    gaps, reach = np.diff(positions), steps(positions)
    usual = _usual(gaps / reach)
    missing, other = [], []
    for i, (gap, n) in enumerate(zip(gaps, reach, strict=True)):
        where = f"between {positions[i]:.1f} and {positions[i + 1]:.1f} mm"
        if n > 1:
            missing.append(f"{n - 1} {where}")
        elif abs(gap - usual) > _EQUAL * usual:
            other.append((i, f"{gap:.2f} mm"))
    found = []
    if missing:
        found.append(f"slices are missing: {_some(missing, most)}")
    if other:
        runs = _runs(other, positions)
        found.append(
            f"the distance between slices is not the same everywhere: it is {usual:.2f} mm, but "
            f"{_some(runs, most)}"
        )
    return found


def _usual(gaps: Float[np.ndarray, " gaps"]) -> float:
    # The commonest gap rather than the median, which may be a gap that does not exist.
    ordered = np.sort(gaps)
    ends = np.searchsorted(ordered, ordered * (1 + _EQUAL), side="right")
    first = int(np.argmax(ends - np.arange(len(ordered))))
    return float(np.median(ordered[first : ends[first]]))


def _runs(other: list[tuple[int, str]], positions: Sequence[float]) -> list[str]:
    runs: list[list] = []
    for i, size in other:
        if runs and runs[-1][1] == i - 1 and runs[-1][2] == size:
            runs[-1][1] = i
        else:
            runs.append([i, i, size])
    return [
        f"{size} from {positions[first]:.1f} to {positions[last + 1]:.1f} mm"
        for first, last, size in runs
    ]


def _some(parts: list[str], most: int) -> str:
    more = f", and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
