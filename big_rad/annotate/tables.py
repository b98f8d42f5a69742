"""Reads tables row by row: CSV, Excel and JSON lines, with the number of each row's line."""

import codecs
import csv
import datetime
import functools
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_MAX_CELL = 1 << 22
_NO_HEADER = "a cell stands in a column without a header; give it one, or empty it"
_DELIMITERS = ",;\t"
_MARKS = {
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", b"PK\x03\x04": "a zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls)",
}  # fmt: skip

Cells = dict[str, str]


class _Pairs(list):
    """The pairs of a JSON object, in which a key may stand twice."""


def read(
    path: Path, column: Callable[[str], str], required: Sequence[str], one_of: Sequence[str] = ()
) -> Iterator[tuple[int, Cells | str]]:
    """Yields the rows of a table.

    Args:
        path: the table. The ending of its name decides on the format: `.csv` or `.tsv`, `.xlsx`,
            `.jsonl` or `.ndjson`.
        column: a function that returns the name of the column that a header means, and raises a
            ValueError for an unknown one.
        required: the columns that a table must have.
        one_of: columns of which it must have one.

    Yields:
        (line, cells) for each row. Lines count from 1, and the header is one of them. Instead of
        the cells there is a sentence for a row that cannot be read.

    Raises:
        ValueError: the table cannot be read at all; the message names the file and the remedy.
    """
    readers = dict.fromkeys((".csv", ".tsv", ".txt"), _csv) | {".xlsx": _excel}
    readers |= dict.fromkeys((".jsonl", ".ndjson"), _json)
    reader = readers.get(path.suffix.lower())
    try:
        is_folder = path.is_dir()
    except OSError:
        is_folder = False  # Opening it says why.
    if is_folder:
        raise ValueError(f"{path.name}: is a folder; give the table itself, manifest=FILE")
    if reader is None:
        raise ValueError(
            f"{path.name}: the ending says no format; give a table .csv, .tsv, .xlsx or .jsonl"
        )
    try:
        if not path.is_file():
            raise ValueError(f"{path.name}: there is no such file; correct manifest=FILE")
        check = functools.partial(
            _columns, column=column, required=required, one_of=one_of, name=path.name
        )
        yield from reader(path, check, column)
    except PermissionError:
        raise ValueError(
            f"{path.name}: the manifest may not be read; give yourself the permission, also of its "
            "folders"
        ) from None
    except OSError as e:
        raise ValueError(f"{path.name}: the manifest cannot be read ({e.strerror})") from None


def _columns(
    headers: Sequence[str],
    column: Callable[[str], str],
    required: Sequence[str],
    one_of: Sequence[str],
    name: str,
) -> list[str]:
    problems, found = [], []
    for header in headers:
        try:
            found.append(column(header) if header.strip() else "")
        except ValueError as e:
            problems.append(str(e))
    twice = sorted({c for c in found if c and found.count(c) > 1})
    problems += [f"the column {c!r} is there twice" for c in twice]
    missing = [c for c in required if c not in found]
    if one_of and not set(one_of) & set(found):
        missing.append(" or ".join(one_of))
    if missing:
        problems.append(f"columns are missing: {', '.join(missing)}")
    if problems:
        raise ValueError("\n".join(f"{name}: {p}" for p in problems))
    return found


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    for mark, what in _MARKS.items():
        if data.startswith(mark):
            raise ValueError(f"{path.name}: is {what}, not text in UTF-8; save it as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise ValueError(
            f"{path.name}:{line}: not UTF-8; convert the file, for example with iconv -f "
            "WINDOWS-1252 -t UTF-8, or save it as CSV in UTF-8"
        ) from None


def _csv(
    path: Path, check: Callable[[Sequence[str]], list[str]], column: Callable[[str], str]
) -> Iterator[tuple[int, Cells | str]]:
    text = _decoded(path)
    csv.field_size_limit(_MAX_CELL)
    lines = text.split("\n", 2)
    first = lines[1] if len(lines) > 1 and re.fullmatch("sep=.\r?", lines[0]) else lines[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = next(reader, [])
        if len(head) == 1 and re.fullmatch("sep=.", head[0]):  # A line that Excel understands.
            head = next(reader, [])
        columns = check(head)
        line = reader.line_num + 1
        for values in reader:
            # A quoted report may have several lines; a row is named by its first one.
            start, line = line, reader.line_num + 1
            if len(values) > len(columns) and any(values[len(columns) :]):
                more = f"has {len(values)} cells, the header {len(columns)}"
                yield start, f"{more}; put texts that hold {delimiter!r} into quotes"
            elif _beside(columns, values):
                yield start, _NO_HEADER
            elif values:
                yield start, {c: v for c, v in zip(columns, values) if c}
    except csv.Error:
        raise ValueError(
            f"{path.name}:{reader.line_num}: the quotes do not fit; double those inside a quoted "
            "text, and close each text"
        ) from None


def _json(
    path: Path, check: Callable[[Sequence[str]], list[str]], column: Callable[[str], str]
) -> Iterator[tuple[int, Cells | str]]:
    known: dict[str, str] = {}
    for line, text in enumerate(_decoded(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            yield line, "is no JSON; write one object a line"
            continue
        if not isinstance(row, _Pairs):
            yield line, "is no JSON object; write one object a line"
            continue
        for key, _ in row:
            if key not in known:
                try:
                    known[key] = column(key)
                except ValueError as e:
                    raise ValueError(f"{path.name}:{line}: {e}") from None
        columns = [known[key] for key, _ in row]
        if twice := sorted({c for c in columns if columns.count(c) > 1}):
            yield line, f"has the key {twice[0]!r} twice; keep one"
            continue
        if any(isinstance(v, list) for _, v in row):
            yield line, "a value is a list or an object; write texts and numbers only"
            continue
        # What a row of JSON leaves out is an empty cell.
        yield line, {known[k]: _text(v) for k, v in row}


def _excel(
    path: Path, check: Callable[[Sequence[str]], list[str]], column: Callable[[str], str]
) -> Iterator[tuple[int, Cells | str]]:
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise ValueError(
            f"{path.name}: Excel files need openpyxl (pip install 'big_rad[annotate]'); or save it "
            "as CSV in UTF-8"
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as e:  # The messages of libraries may quote the file.
        raise ValueError(
            f"{path.name}: cannot be read as Excel ({type(e).__name__}); save it again"
        ) from None
    with_columns, problem = [], ""
    for sheet in book.worksheets:
        headers = [_text(v) for v in next(sheet.iter_rows(values_only=True), ())]
        try:
            with_columns.append((sheet, check(headers)))
        except ValueError as e:
            problem = problem or str(e)
    if not with_columns:
        raise ValueError(problem)
    if len(with_columns) > 1:
        raise ValueError(
            f"{path.name}: {len(with_columns)} sheets have the columns of a manifest; keep one"
        )
    ((sheet, columns),) = with_columns
    for number, values in enumerate(sheet.iter_rows(min_row=2, values_only=True), start=2):
        if _beside(columns, [_text(v) for v in values]):
            yield number, _NO_HEADER
        elif any(v is not None for v in values):
            yield number, {c: _text(v) for c, v in zip(columns, values) if c}


def _beside(columns: Sequence[str], values: Sequence[str]) -> bool:
    """Returns whether a cell without a header is not empty."""
    return any(v.strip() for c, v in zip(columns, values) if not c)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)
