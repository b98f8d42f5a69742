"""Makes boxes from label maps, compares boxes, and transforms them along with their image.

A box is (x1, y1, x2, y2) in pixels, or normalised to 0..1. Its ends x2 and y2 are exclusive.

    >>> normalise((128, 64, 256, 256), width=512, height=256)
    (0.25, 0.25, 0.5, 1.0)
"""

from collections.abc import Sequence

import numpy as np

Box = tuple[float, float, float, float]


def from_label_map(segmap: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Returns the box of each class, which encloses all components of the class.

    Args:
        segmap: the class id of each pixel, integer [H, W]; 0 is background.

    Returns:
        A dict {class id: (x1, y1, x2, y2)} in pixels, in the order of class ids.

    Raises:
        ValueError: `segmap` is not a 2-D array of non-negative integers.
    """
    segmap = np.asarray(segmap)
    if segmap.ndim != 2 or segmap.dtype.kind not in "iub":
        raise ValueError(
            f"segmap must be an integer array [H, W] of class ids, got {segmap.dtype} "
            f"{list(segmap.shape)}"
        )
    if not segmap.size:
        return {}
    if segmap.dtype.kind == "i" and segmap.min() < 0:
        raise ValueError(f"segmap holds the negative id {segmap.min()}; class ids begin at 1")
    if segmap.dtype == np.uint8:
        ids = np.flatnonzero(np.bincount(segmap.ravel()))
    else:
        ids = np.unique(segmap)
    return {int(c): from_mask(segmap == c) for c in ids if c}


def from_mask(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Returns the tightest box (x1, y1, x2, y2) of a mask bool [H, W] that is not blank."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def area(box: Sequence[float]) -> float:
    """Returns the area of a box; 0 if the box is empty or inverted."""
    x1, y1, x2, y2 = box
    return max(x2 - x1, 0) * max(y2 - y1, 0)


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the intersection over union of two boxes in the same unit; 0 if one has no area."""
    return float(pairwise_iou([a], [b])[0, 0])


def pairwise_iou(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> np.ndarray:
    """Returns the intersection over union of every box of `a` with every box of `b`.

    Args:
        a: the boxes of the rows, [N, 4]; N may be 0.
        b: the boxes of the columns, [M, 4], in the same unit.

    Returns:
        The values in 0..1, float64 [N, M]; 0 where a box is empty, inverted or NaN.
    """
    a = np.asarray(a, np.float64).reshape(-1, 4)
    b = np.asarray(b, np.float64).reshape(-1, 4)
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0, None).prod(-1)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(-1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1)
    union = area_a[:, None] + area_b[None, :] - overlap
    result = np.zeros(overlap.shape)
    np.divide(overlap, union, out=result, where=overlap > 0)
    return np.minimum(result, 1.0)


def normalise(box: Sequence[float], width: float, height: float) -> Box:
    """Returns a box in pixels as a box in 0..1, for an image of this size in pixels."""
    x1, y1, x2, y2 = box
    return x1 / width, y1 / height, x2 / width, y2 / height


def to_pixels(box01: Sequence[float], width: float, height: float) -> Box:
    """Returns a box in 0..1 as a box in pixels, which are floats and not rounded."""
    return scale(box01, width, height)


def scale(box: Sequence[float], sx: float, sy: float) -> Box:
    """Returns the box after its image was resized by `sx` horizontally and `sy` vertically."""
    x1, y1, x2, y2 = box
    return x1 * sx, y1 * sy, x2 * sx, y2 * sy


def clip(box: Sequence[float], width: float, height: float) -> Box | None:
    """Returns the part of the box inside an image of this size, or None if all is outside."""
    x1, y1, x2, y2 = box
    inside = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
    return inside if area(inside) > 0 else None


def crop(box: Sequence[float], window: Sequence[float]) -> Box | None:
    """Returns the box in the coordinates of a crop of its image, clipped to the crop.

    Args:
        box: the box (x1, y1, x2, y2) in the image.
        window: the crop as a box in the same unit.

    Returns:
        The box relative to the top left corner of the crop, or None if it lies outside.
    """
    left, top, right, bottom = window
    x1, y1, x2, y2 = box
    return clip((x1 - left, y1 - top, x2 - left, y2 - top), right - left, bottom - top)


def flip(box: Sequence[float], width: float, height: float, axis: str) -> Box:
    """Returns the box after its image was mirrored.

    The class id of the box does not change: a mirrored left kidney is still the left kidney of the
    patient.

    Args:
        box: the box (x1, y1, x2, y2) before.
        width: the width of the image, in the unit of the box (1 if normalised).
        height: the height of the image, in the unit of the box.
        axis: "x" exchanges left and right, "y" exchanges top and bottom.

    Raises:
        ValueError: `axis` is neither "x" nor "y".
    """
    x1, y1, x2, y2 = box
    if axis == "x":
        return width - x2, y1, width - x1, y2
    if axis == "y":
        return x1, height - y2, x2, height - y1
    raise ValueError(f"flip: axis is {axis!r}; use 'x' or 'y'")
