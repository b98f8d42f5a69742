"""Checkers for the fields of a line of data.jsonl.

A checker takes a JSON value and returns the value to keep, or raises `Bad`. Messages say what is
expected, but never quote the value, because it may be a report or a patient's name. For example,
`frame(2.0)` returns 2, and `frame(-1)` raises `Bad`.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import TypeGuard

from big_rad.datasets import label_tables
from big_rad.grounding import classes
from big_rad.grounding.unicode import nfc

# The path of a file or folder, or (class id, path) of a file for each class.
Mask = str | tuple[tuple[int, str], ...]
# The path of a names file, or pairs of (label, name).
Names = str | tuple[tuple[int, str], ...]

MAX_ID, MAX_TEXT, MAX_LIST = 200, 100_000, 1_000
_MAX_PIXEL = 1 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Bad(ValueError):
    """A value cannot be used; the message says what is expected."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A box of a line.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the image; x2 and y2 are exclusive.
        class_id: the class id, 1 to 121.
        phrase: the words of the report that the box belongs to, or "".
    """

    box: tuple[float, float, float, float]
    class_id: int
    phrase: str = ""


def name(value: object) -> str:
    """Checks a pseudonym: a short text without control characters, or a whole number."""
    value = _whole(value)
    if _is_int(value) and abs(value) < 10**18:
        value = str(value)
    value = nfc(text(value))
    if len(value) > MAX_ID or "\n" in value or "\r" in value or "\t" in value:
        raise Bad(f"must be one line of at most {MAX_ID} characters")
    return value


def text(value: object) -> str:
    """Checks a text that is not empty; returns it in composed Unicode without outer spaces."""
    return nfc(path(value))


def path(value: object) -> str:
    """Checks a path that is not empty; its Unicode form stays, as file systems need it."""
    if not isinstance(value, str):
        raise Bad("must be a text in quotation marks")
    if _SURROGATE.search(value) or _CONTROL.search(value):
        raise Bad("holds characters that are no text (control codes or half a surrogate pair)")
    if len(value) > MAX_TEXT:
        raise Bad(f"is longer than {MAX_TEXT} characters; split it")
    if not value.strip():
        raise Bad("is empty; leave the field out")
    return value.strip()


def answer(value: object) -> str:
    """Checks an answer, which is a text or a number; returns a text."""
    if isinstance(value, bool):
        raise Bad('must be a text or a number; write "yes" or "no"')
    if isinstance(value, int | float) and abs(value) < 1e15:
        return str(_whole(value))
    return text(value)


def choices(value: object) -> tuple[str, ...]:
    """Checks a list of at least two different answers."""
    found = tuple(answer(v) for v in _list(value))
    if len(found) < 2 or len({c.casefold() for c in found}) < len(found):
        raise Bad("must be a list of two or more different answers")
    return found


def frame(value: object) -> int:
    """Checks the number of a frame, counted from 0."""
    value = _whole(value)
    if not _is_int(value) or not 0 <= value < 1 << 31:
        raise Bad("must be a whole number from 0")
    return value


def offset(value: object) -> float:
    """Checks a number that is added to the values of an image."""
    if not _is_number(value) or abs(value) > 1 << 20:
        raise Bad("must be a number, such as -1024; it is added to the values to make them HU")
    return float(value)


def mask(value: object) -> Mask:
    """Checks a mask: a path, or {class: path} with a binary file for each class."""
    if not isinstance(value, dict):
        return path(value)
    if not value or len(value) > classes.NUM_CLASSES:
        raise Bad('must name a file for each class, such as {"liver": "masks/liver.nii.gz"}')
    found = {}
    for key, file in value.items():
        try:
            one = class_id(int(key) if key.isdecimal() and len(key) < 9 else key)
            if one in found:
                raise Bad("the class has another file already")
            found[one] = path(file)
        except Bad as e:
            raise Bad(f"entry {len(found) + 1}: {e}") from None
    return tuple(sorted(found.items()))


def names(value: object) -> Names:
    """Checks the names of labels: the path of a names file, or {label: name}."""
    if not isinstance(value, dict | list):
        return path(value)
    found = label_tables.pairs(value)
    if not found:
        raise Bad('must be a file, or names by label, such as {"5": "liver"}')
    return tuple(sorted(found.items()))


def one_of(*known: str) -> Callable[[object], str]:
    """Returns the checker of a field that has one of a few values."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise Bad(f"must be one of {', '.join(known)}")
        return value

    return check


def boxes(value: object) -> tuple[Box, ...]:
    """Checks boxes.

    The value is [[x1, y1, x2, y2, class], ...] or [{"box": [x1, y1, x2, y2], "class": ...}, ...].
    """
    return _each(value, _box)


def keywords(value: object) -> tuple[tuple[str, int], ...]:
    """Checks keywords: [[phrase, class], ...]."""
    return _each(value, _keyword)


def class_id(value: object) -> int:
    """Checks a class: its id, its TotalSegmentator name or a phrase in English or German."""
    value = _whole(value)
    if _is_int(value):
        if not 1 <= value <= classes.NUM_CLASSES:
            raise Bad(f"class ids are 1 to {classes.NUM_CLASSES}")
        return value
    if not isinstance(value, str):
        raise Bad('the class must be an id, a TotalSegmentator name or words such as "left kidney"')
    found = classes.lookup_all(value[:MAX_ID])
    if len(found) > 1:
        some = ", ".join(c.name for c in found[:3])
        raise Bad(f"the class names {len(found)} classes; name one of them ({some}, ...)")
    if not found:
        raise Bad(
            "the class is not known; the ids and names are in big_rad/grounding/class_table.py"
        )
    return found[0].id


def _each(value: object, check: Callable[[object], object]) -> tuple:
    found = []
    for n, item in enumerate(_list(value), start=1):
        try:
            found.append(check(item))
        except Bad as e:
            raise Bad(f"entry {n}: {e}") from None
    return tuple(found)


def _list(value: object) -> list:
    if not isinstance(value, list) or not value:
        raise Bad("must be a list that is not empty; leave the field out if there is none")
    if len(value) > MAX_LIST:
        raise Bad(f"has more than {MAX_LIST} entries")
    return value


def _box(item: object) -> Box:
    phrase = ""
    if isinstance(item, dict):
        if unknown := sorted(set(item) - {"box", "class", "phrase"}):
            raise Bad(f"{quoted(unknown[0])} is not known; a box has box, class and phrase")
        if "box" not in item or "class" not in item:
            raise Bad("needs both box and class")
        corners, what = item["box"], item["class"]
        phrase = text(item["phrase"]) if item.get("phrase") else ""
    elif isinstance(item, list) and len(item) == 5:
        corners, what = item[:4], item[4]
    else:
        raise Bad('must be [x1, y1, x2, y2, class] or {"box": [x1, y1, x2, y2], "class": ...}')
    return Box(_corners(corners), class_id(what), phrase)


def _corners(value: object) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        raise Bad("the box must be four numbers x1, y1, x2, y2")
    if not all(0 <= v <= _MAX_PIXEL for v in value):
        raise Bad("the box leaves the image; coordinates are pixels from its upper left corner")
    x1, y1, x2, y2 = value
    if x2 <= 1 and y2 <= 1:
        raise Bad("the box is given in 0 to 1; coordinates are pixels of the image")
    if x1 >= x2 or y1 >= y2:
        raise Bad("the box is empty; x1 < x2 and y1 < y2, not a width and a height")
    return x1, y1, x2, y2


def _keyword(item: object) -> tuple[str, int]:
    if not isinstance(item, list) or len(item) != 2:
        raise Bad("must be [phrase, class]")
    return text(item[0]), class_id(item[1])


def quoted(field: str) -> str:
    """Returns the name of a field for a message; "a field" if it does not look like a name."""
    return repr(field) if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}", field) else "a field"


def _whole(value: object) -> object:
    """Turns a float without a fraction into an integer.

    pandas writes integers as floats if a column has missing values.
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))
