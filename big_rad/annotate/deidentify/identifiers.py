"""What names the patient of a study: in headers, in files of volumes, and in the manifest.

    known = of_dicom(paths) | of_row(row)
    Scrubber(known).known(report)

The values stay in memory: they are in no `repr`, no message and no file.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any, Protocol

from big_rad.annotate.deidentify import headers, values
from big_rad.annotate.faults import Rejected

MOST_FILES = 64  # The most headers of a series that are read; they are spread evenly.


@dataclasses.dataclass(frozen=True)
class Identifiers:
    """What may name a patient, as it is written where it was found.

    Attributes:
        names: names of persons, whole or in parts.
        numbers: numbers and codes of the patient, the study and the order.
        dates: days of birth, of the study and others.
        places: institutions, departments and addresses.
    """

    names: frozenset[str] = dataclasses.field(default=frozenset(), repr=False)
    numbers: frozenset[str] = dataclasses.field(default=frozenset(), repr=False)
    dates: frozenset[str] = dataclasses.field(default=frozenset(), repr=False)
    places: frozenset[str] = dataclasses.field(default=frozenset(), repr=False)

    def __or__(self, other: "Identifiers") -> "Identifiers":
        return Identifiers(
            self.names | other.names,
            self.numbers | other.numbers,
            self.dates | other.dates,
            self.places | other.places,
        )


class Row(Protocol):
    """The fields of a line of the manifest that may name a patient."""

    patient: str
    study: str
    image: pathlib.Path
    image_name: str


def of_dicom(paths: Iterable[str | pathlib.Path]) -> Identifiers:
    """Returns what names the patient in the headers of DICOM files.

    All attributes are looked at, those of nested sequences and private ones as well. Of more than
    `MOST_FILES` files only that number is read, the first and the last among them, because the
    headers of a series repeat each other. A file that is not DICOM is passed over.

    Raises:
        Rejected: a header cannot be read, so that its identifiers would stay unknown.
    """
    paths = [pathlib.Path(path) for path in paths]
    if len(paths) > MOST_FILES:
        step = (len(paths) - 1) / (MOST_FILES - 1)
        paths = [paths[round(k * step)] for k in range(MOST_FILES)]
    found = values.Found()
    for path in paths:
        header = _guarded(headers.read_dicom, path)
        if header is not None:
            _guarded(values.of_dataset, header, found)
    return _identifiers(found)


def of_nifti(path: str | pathlib.Path) -> Identifiers:
    """Returns what may name the patient in a NIfTI file: its texts and its extensions.

    Extensions may hold a whole DICOM header, JSON or free text. The texts of the header are free
    as well, so each word that is no usual word of headers and files counts as a name.

    Raises:
        Rejected: the header cannot be read.
    """
    texts, extensions = _guarded(headers.read_nifti, pathlib.Path(path))
    found = values.Found()
    for text in texts:
        values.of_words(text, found)
    for content in extensions:
        header = _guarded(headers.embedded, content)
        if header is not None:
            _guarded(values.of_dataset, header, found)
            continue
        text = content.decode("utf-8", "replace").strip(" \0")
        try:
            values.of_json(json.loads(text), found)
        except (ValueError, RecursionError):
            values.of_text(text, found)
            if len(text) <= values.MOST_CHARACTERS and text.isprintable():
                values.of_words(text, found)
    return _identifiers(found)


def of_row(row: Row) -> Identifiers:
    """Returns what names the patient in a line of the manifest.

    These are the patient, the study, the name and the date, and the words in the names of files
    and folders below the folder of the manifest.

    Args:
        row: a `manifest.Row`, or anything with its fields.
    """
    found = values.Found()
    for number in (row.patient, row.study):
        values.add_number(number, found)
        values.of_words(number, found)
    if not any(c.isdigit() for c in row.patient):
        values.add_name(row.patient.replace("_", " "), found)
    values.add_name(getattr(row, "name", ""), found)
    values.add_date(getattr(row, "date", ""), found)
    for text in _below(row):
        values.of_words(text, found)
    return _identifiers(found)


def _below(row: Row) -> list[str]:
    """Returns the parts of the row's paths below the folder of the manifest."""
    image, written = pathlib.PurePath(row.image), pathlib.PurePath(row.image_name)
    parts = [p for p in written.parts if p not in (".", "..", written.anchor)]
    folder = image
    for _ in parts:
        folder = folder.parent
    found = parts if not written.is_absolute() else parts[-3:]
    for field in ("report_file", "mask", "mask_names"):
        path = getattr(row, field, None)
        if path is None:
            continue
        path = pathlib.PurePath(path)
        inside = not written.is_absolute() and path.is_relative_to(folder)
        found += path.relative_to(folder).parts if inside else path.parts[-3:]
    return [part for part in found if part != "/"]


def _identifiers(found: values.Found) -> Identifiers:
    return Identifiers(
        frozenset(found.names),
        frozenset(found.numbers),
        frozenset(found.dates),
        frozenset(found.places),
    )


def _guarded(function: Any, *arguments: Any) -> Any:
    """Calls a function that reads a file; no word of what it found gets into an error."""
    try:
        return function(*arguments)
    except MemoryError:
        raise
    except Exception as e:
        kind = type(e).__name__
    raise Rejected(f"a header cannot be read for its identifiers ({kind})")
