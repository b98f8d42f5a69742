"""Reads tables of labels, which say which number of a mask means which class.

The tasks of TotalSegmentator number the same organs differently. If a mask has names for its
numbers, either in its own file (`dicom.labels`) or in a names file, these names therefore decide.
Numbers without names are taken as class ids, which are those of TotalSegmentator's task `total`,
version 2.
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
# Parts of the heart in TotalSegmentator's version 1, which version 2 joins into one class.
_HEART = ("myocardium", "atrium_left", "atrium_right", "ventricle_left", "ventricle_right")
_VERSION_1 = {f"heart_{part}": "heart" for part in _HEART}
_LINE = re.compile(r"""\s*(\d+)[\s,;:\t]+(.*\S)\s*$""")
_QUOTED = re.compile(r'"([^"]*)"\s*$')


class TableError(ValueError):
    """A table or its mask cannot be used; the message says why and does not quote any name."""


def class_of(name: str) -> int | None:
    """Returns the id of the class with a given name, or None if there is no such class.

    Args:
        name: a name of TotalSegmentator in any version, or words such as "left kidney".
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
        values: the labels of the pixels, 0 for background.
        table: {label: name}.

    Returns:
        the label map of class ids, and the labels of the mask whose name is not a class; their
        pixels are background in the label map.

    Raises:
        TableError: A label has no name, or the table does not name any class.
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

    The file may be JSON: {"5": "liver"}, {"liver": 5}, a list of names that starts with label 0, or
    the dataset.json of nnU-Net. It may also be text with one label and its name on each line
    ("5 liver" or "5,liver"), such as the tables of ITK-SNAP and 3D Slicer.

    Args:
        path: the file, in UTF-8.

    Returns:
        {label: name}, without the background.

    Raises:
        TableError: The file cannot be read, or does not contain any labels.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise TableError(f"{path.name}: longer than {_MAX_BYTES} bytes; no table of labels")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(f"{path.name}: not UTF-8; save it as UTF-8") from None
    except IsADirectoryError:
        raise TableError(f"{path.name}: is a folder; give a file") from None
    except OSError as e:
        raise TableError(
            f"{path.name}: cannot be read ({type(e).__name__}); check its path and permissions"
        ) from None
    pairs = _of_json(text) if text.lstrip()[:1] in ("{", "[") else _of_lines(text)
    found: dict[int, str] = {}
    for label, name in pairs:
        if label and found.setdefault(label, name) != name:
            raise TableError(f"{path.name}: label {label} has two names; keep one")
    if not found:
        raise TableError(
            f'{path.name}: no table of labels; give lines such as "5 liver", or {{"5": "liver"}}'
        )
    return found


def pairs(value: object) -> dict[int, str]:
    """Returns {label: name} from a JSON value; {} if it is not a table of labels.

    The value may be {"5": "liver"}, {"liver": 5}, a list of names that starts with label 0, or a
    dict with one of these under "labels".
    """
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


def _of_json(text: str) -> list[tuple[int, str]]:
    """Returns (label, name) of a table; a label that stands twice is there twice."""
    again: list[tuple[int, str]] = []

    def of_object(items: list[tuple[str, object]]) -> dict[str, object]:
        made = {}
        for key, other in items:
            if key in made and made[key] != other:
                again.extend(pairs({key: made[key]}).items())
            made[key] = other
        labels = [v for v in made.values() if _is_label(v)]
        if len(labels) == len(made):  # {"liver": 5}: two names may have one label.
            again.extend(p for key, other in made.items() for p in pairs({key: other}).items())
        return made

    try:
        found = pairs(json.loads(text, object_pairs_hook=of_object))
    except (ValueError, RecursionError):
        return []
    return [*found.items(), *again] if found else []


def _of_lines(text: str) -> list[tuple[int, str]]:
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match or int(match[1]) > _MAX_LABEL:
            continue  # The line is a heading or a comment.
        name = _QUOTED.search(match[2])
        if name:
            name = name[1]
        else:
            name = next(csv.reader([match[2]]))[0].strip()
            # A line of 3D Slicer goes on with red, green, blue and opacity.
            name = re.sub(r"(\s+[\d.]+)+$", "", name)
        if name.strip().lower() not in _NAMES_OF_BACKGROUND:
            found.append((int(match[1]), name.strip()))
    return found


def _is_label(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.isdecimal() and len(value) < 9
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
