"""An index from image ids to rows of the parquet and entries of the box JSONs.

RefRad2D has about a million images, too many for dicts in every worker process. The parquet and the
JSONs are therefore streamed once into uncompressed Arrow files, which all processes map into
memory, each with a sorted array of ids. Only images that a split names are kept.
"""

import bisect
import functools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from big_rad import extras
from big_rad.datasets import progress
from big_rad.datasets.folder import fields
from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d import source

with extras.needed("train"):
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

LANGUAGES = {"en": "english", "de": "german"}
FIELDS = (
    "dicom_vqa", "snippet_vqa", "ReportFragestellungCleaned", "ReportKlinischeAngabenCleaned",
    "CleanedSentence",
)  # fmt: skip
_PLAIN = ("rsopid", "modality", "body_part")
_PATIENT = "patient"  # This column is optional: the published format does not have it.
# What table programs write for a missing value when they make texts of a column.
_MISSING = frozenset(("", "nan", "none", "null", "<na>", "nat"))
NO_PSEUDONYM = "must be one line of at most 200 characters, a whole number, or null"
_BATCH = 2048


class ParquetError(ValueError):
    """The parquet cannot be used; `problem` says why."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


def write_rows(places: source.Places, wanted: Iterable[str], folder: Path) -> None:
    """Writes the rows of the wanted ids to `folder`/rows.*.

    A column "row" is added, with the number of the row in the parquet, counted from 1.

    Raises:
        ParquetError: The parquet is damaged, or a column is missing or of another type.
    """
    name = places.name(places.parquet)
    value_set = pa.array(sorted(wanted), pa.string())
    try:
        with pq.ParquetFile(places.parquet) as file:
            columns = _columns(file.schema_arrow, name)
            batches = progress.over(
                file.iter_batches(batch_size=_BATCH, columns=columns), f"{name}: read",
                -(-file.metadata.num_rows // _BATCH), "rows", lambda batch: batch.num_rows,
            )  # fmt: skip
            _write(folder, "rows", _filtered(batches, value_set))
    except (pa.ArrowException, OSError) as e:
        raise ParquetError(_damaged(name, e)) from None


def write_entries(
    places: source.Places, modalities: Sequence[str], wanted: set[str], folder: Path
) -> None:
    """Writes the box entries of the wanted ids to `folder`/<modality>.*.

    Raises:
        source.JsonError: A file cannot be read.
    """
    for modality in modalities:
        path = places.boxes(modality)
        name = places.name(path)
        every = progress.over(source.members(path, name), f"{name}: read", 0, "entries")
        found = (m for m in every if m[0] in wanted)
        _write(folder, modality, _entry_batches(found))


def patients(places: source.Places, wanted: Collection[str]) -> dict[str, str] | None:
    """Returns the pseudonym of each wanted image's patient, or None if there is no such column.

    It is "" if it is missing, cannot be used, or differs between rows of the same image; `Table`
    gives the values of the rows for the messages on these.

    Raises:
        ParquetError: The parquet is damaged, or a column is missing or of another type.
    """
    name = places.name(places.parquet)
    found: dict[str, list[object]] = {}
    wanted = frozenset(wanted)
    try:
        with pq.ParquetFile(places.parquet) as file:
            _columns(file.schema_arrow, name)
            if _PATIENT not in file.schema_arrow.names:
                return None
            for batch in file.iter_batches(columns=["rsopid", _PATIENT]):
                columns = (batch.column(name).to_pylist() for name in ("rsopid", _PATIENT))
                for image, value in zip(*columns, strict=True):
                    if image in wanted:
                        found.setdefault(image, []).append(value)
    except (pa.ArrowException, OSError) as e:
        raise ParquetError(_damaged(name, e)) from None
    return {image: one_patient(values) or "" for image, values in found.items()}


def one_patient(values: Iterable[object]) -> str | None:
    """Returns the pseudonym in the cells of all rows of an image; None if these name several.

    It is "" if no row names a patient.
    """
    named = {pseudonym(value) or "" for value in values} - {""}
    return None if len(named) > 1 else named.pop() if named else ""


def pseudonym(value: object) -> str | None:
    """Returns the pseudonym in a cell of the column `patient`.

    Returns:
        the pseudonym in composed Unicode, a whole number as digits; "" if the value is missing, and
        None if it cannot be a pseudonym.
    """
    if value is None or value != value or str(value).strip().lower() in _MISSING:
        return ""
    try:
        return fields.name(value)
    except fields.Bad:
        return None


class Table:
    """Looks up rows by id in a table that `write_rows` or `write_entries` wrote.

    Args:
        folder: the folder of the table.
        name: the name of the table: "rows", or a modality for box entries.
    """

    def __init__(self, folder: str | Path, name: str):
        self._ids = np.load(Path(folder) / f"{name}.ids.npy", mmap_mode="r")
        self._at = np.load(Path(folder) / f"{name}.at.npy", mmap_mode="r")
        self._file = pa.ipc.open_file(pa.memory_map(str(Path(folder) / f"{name}.arrow")))
        self._batch = functools.lru_cache(16)(self._file.get_batch)

    def get(self, image_id: str) -> list[dict[str, Any]]:
        """Returns all rows of an id: at most one, but in a broken source there may be several."""
        key = image_id.encode()
        i = bisect.bisect_left(self._ids, key)
        out = []
        while i < len(self._ids) and self._ids[i] == key:
            batch, offset = (int(v) for v in self._at[i])
            out += self._batch(batch).slice(offset, 1).to_pylist()
            i += 1
        return out


def _damaged(name: str, error: Exception) -> Problem:
    message = f"damaged, or no parquet ({type(error).__name__} while reading it); copy it again"
    return Problem(name, None, "", message)


def _columns(schema: pa.Schema, name: str) -> list[str]:
    """Checks the columns; returns the names of the columns and fields that are to be read."""
    missing = [c for c in (*_PLAIN, *LANGUAGES.values()) if c not in schema.names]
    if missing:
        message = f"no such column; there are {', '.join(schema.names)}; {source.WHERE}"
        raise ParquetError(Problem(name, None, missing[0], message))
    for column in _PLAIN:
        if not _is_text(schema.field(column).type) and column == "rsopid":
            message = f"is {schema.field(column).type}, must be text; write the ids as strings"
            raise ParquetError(Problem(name, None, column, message))
    out = [*_PLAIN, *_patient_column(schema, name)]
    for column in LANGUAGES.values():
        kind = schema.field(column).type
        if _is_text(kind):
            out.append(column)
            continue
        if not pa.types.is_struct(kind):
            message = f"is {kind}, must be a struct or JSON text with {', '.join(FIELDS)}"
            raise ParquetError(Problem(name, None, column, message))
        there = [kind.field(i).name for i in range(kind.num_fields)]
        if missing := [f for f in FIELDS if f not in there]:
            message = f"no such field; there are {', '.join(there)}; {source.WHERE}"
            raise ParquetError(Problem(name, None, f"{column}.{missing[0]}", message))
        out += [f"{column}.{field}" for field in FIELDS]
    return out


def _patient_column(schema: pa.Schema, name: str) -> list[str]:
    """Returns [the name of the column of patients], or [] if the file does not have one."""
    if _PATIENT not in schema.names:
        return []
    kind = schema.field(_PATIENT).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    good = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null, _is_text)
    if not any(is_kind(kind) for is_kind in good):
        message = f"is {kind}, must be text or whole numbers; write pseudonyms, null if unknown"
        raise ParquetError(Problem(name, None, _PATIENT, message))
    return [_PATIENT]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _filtered(batches: Iterable[pa.RecordBatch], wanted: pa.Array) -> Iterator[pa.RecordBatch]:
    """Keeps the wanted rows, adds their numbers, and converts all text columns to one type."""
    row = 1
    for batch in batches:
        columns = {n: batch.column(n) for n in batch.schema.names}
        for name, column in columns.items():
            if pa.types.is_dictionary(column.type) or pa.types.is_large_string(column.type):
                columns[name] = column.cast(pa.string())
        columns["row"] = pa.array(np.arange(row, row + batch.num_rows))
        row += batch.num_rows
        made = pa.record_batch(columns)
        yield made.filter(pc.is_in(made.column("rsopid"), value_set=wanted))


def _entry_batches(found: Iterable[tuple[str, Any, int]]) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    schema = pa.schema({"rsopid": pa.string(), "line": pa.int64(), "json": pa.string()})
    for key, value, line in found:
        rows.append({"rsopid": key, "line": line, "json": json.dumps(value)})
        if len(rows) == _BATCH:
            yield pa.RecordBatch.from_pylist(rows, schema)
            rows = []
    yield pa.RecordBatch.from_pylist(rows, schema)


def _write(folder: Path, name: str, batches: Iterable[pa.RecordBatch]) -> None:
    """Writes the batches that are not empty, and the place (batch, row) of each id."""
    ids, at, writer, number = [np.zeros(0, "S1")], [np.zeros((0, 2), np.int64)], None, 0
    path = str(folder / f"{name}.arrow")
    try:
        for batch in batches:
            if not batch.num_rows:
                continue
            writer = writer or pa.ipc.new_file(path, batch.schema)
            writer.write_batch(batch)
            ids.append(np.array([i.encode() for i in batch.column("rsopid").to_pylist()]))
            at.append(np.stack([np.full(batch.num_rows, number), np.arange(batch.num_rows)], 1))
            number += 1
        writer = writer or pa.ipc.new_file(path, pa.schema({"rsopid": pa.string()}))
    finally:
        if writer:
            writer.close()
    every = np.concatenate(ids)
    order = np.argsort(every, kind="stable")
    np.save(folder / f"{name}.ids.npy", every[order])
    np.save(folder / f"{name}.at.npy", np.concatenate(at)[order])
