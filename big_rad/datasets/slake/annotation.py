"""Reads the organs of one SLAKE image as boxes and a label map of classes.

Three files describe them: detection.json beside the image holds [{name: [x, y, w, h]}, ...] in
pixels, mask.png beside it has one pixel value for each organ, and mask.txt at the root of the
dataset names the values ("70:Liver"). Without mask.txt, or if the mask is in colours, a value
belongs to the organ whose box fits its pixels.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from big_rad.datasets import files
from big_rad.datasets.records import Problem
from big_rad.datasets.slake import organs
from big_rad.dicom import read
from big_rad.grounding import boxes as box_ops
from big_rad.pp.example import LabelMap

DETECTION, MASK, VALUES = "detection.json", "mask.png", "mask.txt"
SAME_IOU = 0.7  # A value belongs to an organ if their boxes have at least this IoU ...
SAME_MARGIN = 0.1  # ... and if the second best fit has an IoU that is lower by at least this.
DIFFERS_IOU = 0.5  # Below this IoU, the mask and the box of an organ are reported as different.
_LINE = re.compile(r"(\d{1,8})\s*[:=,\s]\s*(\S.*)")
_MAX_BYTES = 1 << 18  # The limit for detection.json; the published files have a hundredth of it.
# The limit for the values of mask.png. A picture with more is not a label map, and each value would
# need memory for a map of its own.
_MAX_VALUES = 255
_MAX_PIXEL = 1 << 20
Box = tuple[float, float, float, float]


@dataclasses.dataclass
class Annotation:
    """The boxes and the label map of an image.

    Attributes:
        boxes: one box [x1, y1, x2, y2, class id] for each class (the union of its parts), in the
            order of class ids.
        segmap: the label map of class ids, or None if no class has a pixel.
        unsure: the classes that have neither a box nor a pixel, but may be shown.
        problems: the problems found; an "error" means that a box or the mask was left out.
    """

    boxes: list[list[float]]
    segmap: LabelMap | None
    unsure: list[int]
    problems: list[Problem]


def values_of(root: Path) -> tuple[dict[int, str], list[Problem]]:
    """Reads mask.txt.

    Returns:
        {pixel value: name}, which is empty if the file does not exist, and the problems found.
    """
    path = root / VALUES
    if not path.is_file():
        return {}, []
    found, problems = {}, []
    for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line.strip())
        if match:
            found[int(match[1])] = match[2]
            if not organs.is_known(match[2]):
                problems.append(_unknown(VALUES, number, match[2]))
        elif line.strip():
            message = "not 'value:name'; the line is not used"
            problems.append(Problem(VALUES, number, "", message, "warning"))
    return found, problems


def annotate(
    root: Path, folder: str, shape: tuple[int, int] | None, values: Mapping[int, str]
) -> Annotation:
    """Reads the organs of an image.

    Args:
        root: the folder of the dataset.
        folder: the folder of the image, relative to the root.
        shape: the (rows, columns) of the image. With None, boxes are not clipped and the mask is
            not opened.
        values: {pixel value: name} of mask.txt, see `values_of`.
    """
    found = _detections(root / folder / DETECTION, f"{folder}/{DETECTION}", shape)
    named, said, problems = found
    problems += _sides(named, f"{folder}/{DETECTION}")
    classes = {organs.class_id(n): box for n, box in named.items() if organs.class_id(n)}
    boxes = [[*(_number(v) for v in box), c] for c, box in sorted(classes.items())]
    segmap = drawn = None
    if shape is not None and files.is_file(root / folder / MASK):
        file = f"{folder}/{MASK}"
        segmap, drawn, more = _mask(root / folder / MASK, file, shape, named, values)
        problems += more
    shown = classes.keys() | set(() if segmap is None else map(int, np.unique(segmap)))
    unsure = set(organs.LABELLED)  # This stays if neither file names all organs of the image.
    if said is not None or drawn is not None:
        names = (said or set()) | (drawn or set())
        unsure = {c for n in names for c in (organs.class_id(n), *organs.unsure(n)) if c}
    return Annotation(boxes, segmap, sorted(unsure - shown), problems)


def _detections(
    path: Path, file: str, shape: tuple[int, int] | None
) -> tuple[dict[str, Box], set[str] | None, list[Problem]]:
    """Returns the union box of each name, all names (None if they are not known), and problems."""
    if not files.is_file(path):
        return {}, None, []
    try:
        text = _text(path)
        content = json.loads(text)
    except (ValueError, RecursionError, OSError) as e:
        message = f"broken JSON, or more than {_MAX_BYTES} bytes; download it again"
        return {}, None, [Problem(file, getattr(e, "lineno", 1), "", message)]
    if not isinstance(content, list) or not all(isinstance(c, dict) for c in content):
        message = "not a list of {name: [x, y, w, h]}; no box is used"
        return {}, None, [Problem(file, 1, "", message)]
    named: dict[str, Box] = {}
    problems: list[Problem] = []
    lines = _lines(text)
    for number, (name, value) in enumerate((n, v) for c in content for n, v in c.items()):
        line = lines[number] if number < len(lines) else 1
        if not organs.is_known(name):
            problems.append(_unknown(file, line, name))
        box = _box(value)
        if box is None:
            message = "not four numbers x, y, w, h with w and h above 0; left out"
            problems.append(Problem(file, line, _shown(name), message))
            continue
        clipped = box if shape is None else _clip(box, shape)
        if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            message = "the box is outside the image; left out"
            problems.append(Problem(file, line, _shown(name), message))
            continue
        if clipped != box:
            message = "the box reaches over the edge of the image; it is cut there"
            problems.append(Problem(file, line, _shown(name), message, "warning"))
        old = named.get(organs.key(name), clipped)
        lower, upper = np.minimum(old[:2], clipped[:2]), np.maximum(old[2:], clipped[2:])
        named[organs.key(name)] = tuple(float(v) for v in (*lower, *upper))
    return named, {name for c in content for name in c}, problems


def _mask(
    path: Path,
    file: str,
    shape: tuple[int, int],
    named: Mapping[str, Box],
    values: Mapping[int, str],
) -> tuple[np.ndarray | None, set[str] | None, list[Problem]]:
    """Returns the label map, the names in it (None if not all are known), and problems."""
    try:
        codes, is_grey = _codes(read.read(path).pixels)
    except read.ReadError as e:
        return None, None, [Problem(file, None, "", str(e).removeprefix(f"{path.name}: "))]
    if codes.shape != shape:
        size, wanted = (f"{s[0]} x {s[1]}" for s in (codes.shape, shape))
        message = f"{size} pixels, the image has {wanted}; the mask is left out"
        return None, None, [Problem(file, None, "", message)]
    present = np.unique(codes)
    if len(present) > _MAX_VALUES + 1:
        message = f"more than {_MAX_VALUES} values, so no label map; the mask is left out"
        return None, None, [Problem(file, None, "", message)]
    found = {int(c): codes == c for c in present if c}
    if is_grey and values:
        names = {c: organs.key(values[c]) for c in found if c in values}
    else:
        names = _match({c: _extent(m) for c, m in found.items()}, named)
    problems = []
    if lost := sorted(set(found) - set(names)):
        pixels = sum(int(found[c].sum()) for c in lost)
        known = VALUES if is_grey and values else f"organ's box in {DETECTION}"
        message = f"{len(lost)} values ({pixels} pixels) are in no {known}; taken as background"
        problems.append(Problem(file, None, "", message, "warning"))
    segmap = np.zeros(shape, np.uint8)
    union: dict[str, np.ndarray] = {}
    for code, name in names.items():
        union[name] = union.get(name, False) | found[code]
        segmap[found[code]] = organs.class_id(name) or 0
    for name, where in union.items():
        if name in named and box_ops.iou(_extent(where), named[name]) < DIFFERS_IOU:
            message = f"mask and box of {_shown(name)} differ; is the mask of this image?"
            problems.append(Problem(file, None, _shown(name), message, "warning"))
    return (segmap if segmap.any() else None), (None if lost else set(union)), problems


def _codes(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Returns a number for each pixel, 0 for black, and whether the numbers are grey values."""
    if pixels.ndim == 2:
        return pixels.astype(np.int64), True
    channels = pixels.astype(np.int64)
    if (channels == channels[..., :1]).all():
        return channels[..., 0], True
    return channels @ np.array([1 << 16, 1 << 8, 1]), False


def _match(extents: Mapping[int, Box], named: Mapping[str, Box]) -> dict[int, str]:
    """Pairs values with organs by their boxes, best fit first; doubtful pairs are left out."""
    fits = sorted(
        ((box_ops.iou(box, other), code, name) for code, box in extents.items() for name, other in
         named.items()), reverse=True,
    )  # fmt: skip
    paired: dict[int, str] = {}
    for iou, code, name in fits:
        if iou < SAME_IOU:
            break
        rivals = [i for i, c, n in fits if (c == code) != (n == name)]
        clear = iou - max(rivals, default=0.0) >= SAME_MARGIN
        if clear and code not in paired and name not in paired.values():
            paired[code] = name
    return paired


def _sides(named: Mapping[str, Box], file: str) -> list[Problem]:
    """Warns where the patient's left lies on the viewer's left."""
    problems = []
    for name, box in named.items():
        other = named.get(name.replace("left ", "right ", 1)) if name[:5] == "left " else None
        if other is not None and box[0] + box[2] < other[0] + other[2]:
            message = "lies left of its right counterpart; the patient's left belongs on the right"
            problems.append(Problem(file, None, _shown(name), message, "warning"))
    return problems


def _unknown(file: str, line: int, name: str) -> Problem:
    message = f"{_shown(name)!r} is in no table of SLAKE's names; it gives no class"
    return Problem(file, line, "name", message, "warning")


def _shown(name: str) -> str:
    """Returns a name for a message, on one line and cut to 40 characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in name[:40]).split())


def _text(path: Path) -> str:
    with path.open("rb") as f:
        data = f.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError
    return data.decode("utf-8-sig")


def _lines(text: str) -> list[int]:
    """Returns the line number of each box in the text of a detection.json."""
    lines, line, counted = [], 1, 0
    for match in re.finditer(r'"\s*:\s*', text):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        lines.append(line)
    return lines


def _box(value: object) -> Box | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return None
    # This also rejects NaN, and integers that are too large for a float.
    if not all(abs(v) <= _MAX_PIXEL for v in value):
        return None
    x, y, w, h = (float(v) for v in value)
    return (x, y, x + w, y + h) if w > 0 and h > 0 else None


def _clip(box: Box, shape: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(shape[1])), min(y2, float(shape[0]))


def _extent(where: np.ndarray) -> Box:
    ys, xs = np.nonzero(where)
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value
