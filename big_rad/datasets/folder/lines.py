"""Reads the lines of a JSONL file, and recognises files that are of another kind.

`fields` checks the content of the lines. A file of another kind, such as a CSV table, is recognised
as a whole, so that the user gets one message and not an error for every line.
"""

import csv
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from big_rad.datasets.folder import fields
from big_rad.datasets.records import SourceError

_MAX_LINE = 1 << 22
_HEAD = 1 << 16
_MAX_WHOLE = 1 << 26  # The most bytes of a file that is parsed as one JSON value.
_LOOKED_AT = 10  # The number of first rows that must have equally many columns in a table.
_ONE_A_LINE = "one JSON object a line is needed"
_PANDAS = "pandas writes them with df.to_json('data.jsonl', orient='records', lines=True)"
_MAGIC = {
    b"PK\x03\x04": "a spreadsheet or an archive",
    b"PAR1": "a Parquet table",
    b"\x1f\x8b": "packed with gzip",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the lines of a file with their numbers from 1; only the start of a very long line.

    Raises:
        SourceError: The file cannot be read.
    """
    try:
        with path.open("rb") as f:
            number = 0
            while data := f.readline(_MAX_LINE + 1):
                number += 1
                yield number, data
                while not data.endswith(b"\n") and (rest := f.readline(_MAX_LINE)):
                    data = rest
    except OSError as e:
        raise SourceError(f"{path.name}: cannot be read ({type(e).__name__})") from None


def parse(data: bytes) -> dict[str, Any] | None:
    """Returns the object on a line, or None if the line is empty.

    Raises:
        fields.Bad: The line is not an object.
    """
    if len(data) > _MAX_LINE:
        raise fields.Bad(f"the line is longer than {_MAX_LINE} bytes; one line is one image's text")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as e:
        raise fields.Bad(f"byte {e.start + 1} of the line is not UTF-8; save it as UTF-8") from None
    if not text:
        return None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as e:
        raise fields.Bad(f"not JSON at column {e.colno}: {e.msg}") from None
    except fields.Bad:
        raise
    except (ValueError, RecursionError):  # A number has thousands of digits, or "[[[[...".
        raise fields.Bad("not JSON that can be read: a number or a nesting is too long") from None
    if not isinstance(value, dict):
        raise fields.Bad('the line must be an object: {"id": ..., "image": ..., ...}')
    return value


def other_kind(path: Path, known: Collection[str]) -> str:
    """Returns the kind of a file and the remedy if it is not a JSONL; "" if it may be one.

    Args:
        path: the file.
        known: the names of fields. A table is recognised by two of these names in its first line,
            or else by several rows with the same number of columns.

    Raises:
        SourceError: The file cannot be read.
    """
    try:
        with path.open("rb") as f:
            head = f.read(_HEAD)
    except OSError as e:
        raise SourceError(f"{path.name}: cannot be read ({type(e).__name__})") from None
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return f"is {what}; {_ONE_A_LINE}, in UTF-8 ({_PANDAS})"
    text = head.decode("utf-8-sig", "replace").strip()
    if not text:
        return ""
    first = text.splitlines()[0].strip()
    if text.startswith("[") and (len(first) < 2 or first[1:].lstrip()[:1] in ("", "{")):
        return f"is a JSON array; {_ONE_A_LINE} ({_PANDAS})"
    if text.startswith("{"):
        return _one_object(path, first, alone=text == first)
    columns = [c.strip(" \"'").casefold() for c in re.split(r"[,;\t|]", first)]
    if (len(columns) > 1 and len(set(columns) & set(known)) > 1) or _is_table(text):
        return f"is a CSV table; {_ONE_A_LINE} ({_PANDAS})"
    return ""


def _is_table(text: str) -> bool:
    """Returns whether a text has rows with the same number of columns, and no JSON.

    Args:
        text: the start of a file, which may end within a row.
    """
    rows = text.splitlines()
    if any(row.lstrip().startswith("{") for row in rows) or re.match(r'\[|"[^"]*"\s*:', text):
        return False
    for separator in ",;\t|":
        try:
            found = [row for row in csv.reader(rows, delimiter=separator) if row][:_LOOKED_AT]
        except csv.Error:
            continue
        # A single row is not enough evidence, and the last one may be cut off.
        whole = found[:-1] if 2 < len(found) < _LOOKED_AT else found
        if len(whole) > 1 and len(whole[0]) > 1 and len(set(map(len, whole))) == 1:
            return True
    return False


def _one_object(path: Path, first: str, alone: bool) -> str:
    """Returns the kind of a file that begins with "{", or "" if it may be a JSONL.

    Args:
        path: the file.
        first: its first line, which may be cut off.
        alone: whether the file has only this line.
    """
    if len(first) >= _HEAD // 2:  # The line may be cut off.
        first, alone = _first_line(path)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        if len(first) >= _HEAD // 2 or path.stat().st_size > _MAX_WHOLE:
            return ""
        try:
            value = json.loads(path.read_text("utf-8-sig"))
        except (ValueError, RecursionError, OSError):
            return ""
        alone = True
        if not _is_columns(value, alone):
            return f"is one JSON object over several lines; {_ONE_A_LINE}"
    if _is_columns(value, alone):
        return f"is a JSON object of columns; {_ONE_A_LINE} ({_PANDAS})"
    return ""


def _first_line(path: Path) -> tuple[str, bool]:
    """Returns the first line of a file, and whether the file has only this line."""
    try:
        with path.open("rb") as f:
            line = f.readline(_MAX_WHOLE)
            return line.decode("utf-8-sig", "replace").strip(), not f.read(_HEAD).strip()
    except OSError:
        return "", False


def _is_columns(value: object, alone: bool) -> bool:
    """Returns whether a value is a table by columns.

    This is {"id": {"0": ...}, "image": {"0": ...}}. If the file has nothing else, it may also be
    {"id": [...], "image": [...]}.
    """
    if not isinstance(value, dict) or len(value) < 2 or not any(value.values()):
        return False
    if all(isinstance(v, list) for v in value.values()):
        return alone
    return all(isinstance(v, dict) and all(k.isdecimal() for k in v) for v in value.values())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [k for k, _ in pairs]
        twice = next(k for k in keys if keys.count(k) > 1)
        raise fields.Bad(f"{fields.quoted(twice)} stands twice in one object; keep one")
    return found


def _constant(name: str) -> None:
    raise fields.Bad(f"{name} is no JSON; leave the field out")
