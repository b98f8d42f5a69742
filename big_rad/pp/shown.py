"""Finds the classes that an example shows, their boxes and their share of the image.

Classes come from the label map; boxes add the classes that the map lacks. Packed arrays are
unpacked where needed.
"""

import numpy as np

from big_rad.grounding import boxes as box_lib
from big_rad.pp import packed
from big_rad.pp.example import Before, Example, LabelMap


def any_possible(example: Example) -> bool:
    """Returns whether the example had a label map or boxes before `augment`.

    An empty label map counts: it says that no class is shown.
    """
    example = before(example)
    return example.get("segmap") is not None or bool(example.get("boxes"))


def any_class(example: Example) -> bool:
    """Returns whether the example showed a class before it was augmented."""
    example = before(example)
    segmap = label_map(example)
    return bool(example.get("boxes")) or segmap is not None and bool(segmap.any())


def before(example: Example) -> Example | Before:
    """Returns the label map, boxes and size from before `augment`, or the example without it."""
    return example.get("before", example)


def label_map(example: Example | Before, full: bool = True) -> LabelMap | None:
    """Returns the label map [H, W], or None.

    Args:
        example: the example, or its part from before `augment`.
        full: whether the label map from before `resize` is returned, if there is one.
    """
    segmap = example.get("segmap_full") if full else None
    segmap = example.get("segmap") if segmap is None else segmap
    return None if segmap is None else packed.array(segmap)


def boxes(example: Example | Before) -> dict[int, box_lib.Box]:
    """Returns {class id: box in 0..1}, the box around all parts of each class.

    The box comes from the label map in full size; the field "boxes" gives it for classes that the
    map lacks.
    """
    found = _union(example)
    segmap = label_map(example)
    if segmap is not None:
        found |= from_label_map(segmap)
    return found


def from_label_map(segmap: LabelMap) -> dict[int, box_lib.Box]:
    """Returns {class id: box in 0..1} for the classes of a label map [H, W]."""
    height, width = segmap.shape
    found = box_lib.from_label_map(segmap)
    return {c: box_lib.normalise(box, width, height) for c, box in found.items()}


def shares(example: Example | Before) -> dict[int, float]:
    """Returns {class id: its share of the image's area}.

    The share is that of the class's pixels in the label map, or of its box if the map lacks it.
    """
    found = {c: box_lib.area(box) for c, box in _union(example).items()}
    segmap = label_map(example)
    if segmap is not None:
        counts = np.bincount(segmap.ravel())
        found |= {int(c): counts[c] / segmap.size for c in np.flatnonzero(counts) if c}
    # The shares are rounded so that equal areas compare as equal at any image size.
    return {c: round(float(share), 9) for c, share in found.items()}


def _union(example: Example | Before) -> dict[int, box_lib.Box]:
    """Returns {class id: box in 0..1}: one box for each class of the field "boxes".

    Boxes are clipped to the image, and several boxes of a class are joined into their union.
    """
    given = example.get("boxes") or ()
    found: dict[int, box_lib.Box] = {}
    if not given:
        return found
    height, width = _size(example)
    for *box, class_id in given:
        inside = box_lib.clip(box_lib.normalise(box, width, height), 1, 1)
        if inside is None:
            continue
        x1, y1, x2, y2 = inside
        a1, b1, a2, b2 = found.get(int(class_id), inside)
        found[int(class_id)] = (min(x1, a1), min(y1, b1), max(x2, a2), max(y2, b2))
    return found


def _size(example: Example | Before) -> tuple[int, int]:
    """Returns height and width of the image that the boxes lie on."""
    if "size" in example:
        return example["size"]
    if "image" not in example:
        raise ValueError("boxes lie on an image that is not there yet; put load before")
    height, width = packed.array(example["image"]).shape[:2]
    return height, width
