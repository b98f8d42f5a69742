"""Tables of labels: which number of a mask means which class.

The tasks of TotalSegmentator number the same organs differently, so names decide wherever there are
some: those in the mask's own file (`dicom.labels`), or in a names file. Numbers without names are
those of the classes, which are those of TotalSegmentator's task `total`, version 2.
"""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from big_rad.grounding import classes
from big_rad.pp.example import LabelMap

_MAX_BYTES, _MAX_LABEL = 1 << 20, 1 << 20
_NAMES_OF_BACKGROUND = ("background", "clear label", "exterior", "???", "unlabeled", "")
# Parts of the heart that TotalSegmentator's version 1 had and version 2 gives as one.
_HEART = ("myocardium", "atrium_left", "atrium_right", "ventricle_left", "ventricle_right")
_VERSION_1 = {f"heart_{part}": "heart" for part in _HEART}
_LINE = re.compile(r"""\s*(\d+)[\s,;:\t]+(.*\S)\s*$""")
_QUOTED = re.compile(r'"([^"]*)"\s*$')


class TableError(ValueError):
    """A table or its mask that cannot be used; the message says why and quotes no name."""


def class_of(name: str) -> int | None:
    """Returns the class that a label is named after, or None if there is no such class.

    Args:
        name: TotalSegmentator's of any version, or words such as "left kidney".
    """
    name = name.strip()
    name = _VERSION_1.get(name, name)
    try:
        return classes.by_name(name).id
    except KeyError:
        found = classes.lookup(name.replace("_", " "))
        return found.id if found else None


def to_classes(
    values: Integer[np.ndarray, "height width"], table: Mapping[int, str]
) -> tuple[LabelMap, list[int]]:
    """Turns the labels of a mask into class ids.

    Args:
        values: 0 for background.
        table: the names of labels.

    Returns:
        The class ids, and the labels in it whose name is no class: they are
        background.

    Raises:
        TableError: a label has no name, or no name of the table is a class.
    """
    present = [int(v) for v in np.unique(values) if v]
    known = {label: class_of(name) for label, name in table.items()}
    if known and not any(known.values()):
        raise TableError("no name in its table of labels is a class; docs/data.md lists the names")
    if missing := [label for label in present if label not in known]:
        raise TableError(f"label {missing[0]} has no name in its table of labels; add it")
    segmap = np.zeros(values.shape, np.uint8)
    for label in present:
        segmap[values == label] = known[label] or 0
    return segmap, [label for label in present if not known[label]]


def read_names(path: Path) -> dict[int, str]:
    """Reads a names file.

    JSON: {"5": "liver"}, {"liver": 5}, a list of names from 0, or nnU-Net's dataset.json. Text: a
    label and its name a line ("5 liver", "5,liver"), ITK-SNAP's and 3D Slicer's tables included.

    Args:
        path: the file, UTF-8.

    Returns:
        Names by label, without the background.

    Raises:
        TableError: it cannot be read, or has no labels.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise TableError(f"{path.name}: longer than {_MAX_BYTES} bytes; no table of labels")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(f"{path.name}: not UTF-8; save it as UTF-8") from None
    except OSError as e:
        raise TableError(f"{path.name}: cannot be read ({type(e).__name__})") from None
    found = _of_json(text) if text.lstrip()[:1] in ("{", "[") else _of_lines(text)
    found = {k: v for k, v in found.items() if k}
    if not found:
        raise TableError(
            f'{path.name}: no table of labels; give lines such as "5 liver", or {{"5": "liver"}}'
        )
    return found


def pairs(value: object) -> dict[int, str]:
    """Returns names by label from JSON: {"5": "liver"}, {"liver": 5}, or names from 0 in a list."""
    if isinstance(value, dict) and isinstance(value.get("labels"), dict | list):
        value = value["labels"]
    if isinstance(value, list):
        value = dict(enumerate(value))
    found: dict[int, str] = {}
    for key, other in value.items() if isinstance(value, dict) else ():
        label, name = (key, other) if _is_label(key) else (other, key)
        if not (_is_label(label) and isinstance(name, str)) or int(label) > _MAX_LABEL:
            return {}
        if name.strip().lower() not in _NAMES_OF_BACKGROUND:
            found[int(label)] = name.strip()
    return found


def _of_json(text: str) -> dict[int, str]:
    try:
        return pairs(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _of_lines(text: str) -> dict[int, str]:
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match or int(match[1]) > _MAX_LABEL:
            continue  # A heading or a comment.
        name = _QUOTED.search(match[2])
        if name:
            name = name[1]
        else:
            name = next(csv.reader([match[2]]))[0].strip()
            name = re.sub(r"(\s+[\d.]+)+$", "", name)  # 3D Slicer: name, red, green, blue, opacity
        if name.strip().lower() not in _NAMES_OF_BACKGROUND:
            found[int(match[1])] = name.strip()
    return found


def _is_label(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.isdecimal() and len(value) < 9
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
