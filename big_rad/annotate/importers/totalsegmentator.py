"""Reads the public datasets of TotalSegmentator, CT and MR, with reports if their table is given.

    found = read(Path("Totalsegmentator_dataset_v201"), Path("AbdomenAtlasRadiologistsNotes.csv"))
    found.rows       # one row a subject, with its own masks
    found.problems   # subjects and notes that are left out

The folder has a table `meta.csv` (with semicolons) and a folder for each subject, with the image
`ct.nii.gz` or `mri.nii.gz` and the masks `segmentations/<class>.nii.gz`. Nothing is read but names,
sizes and tables. Every subject is a patient and a study of its own, as the publisher counts them. A
subject without a report has the report "" and gets template sentences only.

The datasets come with splits of their own, the column `split`. `splits` returns them, so that a
model that is trained on our dataset is tested on the subjects that others test on as well.
"""

import csv
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from big_rad.annotate.manifest import Manifest, Row
from big_rad.datasets.records import Problem
from big_rad.grounding import class_table, classes

META, MASKS = "meta.csv", "segmentations"
IMAGES = {"CT": "ct.nii.gz", "MR": "mri.nii.gz"}
# The classes that each subject has a file of.
CLASSES = {
    "CT": tuple(c.name for c in classes.CLASSES if c.id <= 117),
    "MR": class_table.MR_NAMES,
}
SPLITS = ("train", "val", "test")
_ID, _SPLIT = "image_id", "split"
_NOTES_ID, _NOTES = "TotalSegmentator_id", "Notes"
_SUBJECT = re.compile(r"s\d{1,6}")
_LONGEST_CELL = 1 << 20
_AGAIN = "unpack the archive again"
_LICENCES = {
    "CT": {
        "source": "TotalSegmentator CT dataset (Wasserthal et al. 2023), version 2",
        "licence": "CC BY 4.0",
        "note": "Whoever passes on what is made of it names its authors.",
    },
    "MR": {
        "source": "TotalSegmentator MRI dataset (Akinci D'Antonoli et al. 2025), version 2",
        "licence": "CC BY-NC-SA",
        "note": "As its mirrors state. It must not be used commercially, and what is made of it is "
        "passed on under the same licence only.",
    },
}
_NOTES_LICENCE = {
    "source": "Notes of radiologists (RadGPT, AbdomenAtlasRadiologistsNotes.csv)",
    "licence": "CC BY-NC-ND",
    "note": "Sentences of these notes are in this dataset, often changed, so it must not be used "
    "commercially.",
    "pass_on": False,
}


def read(folder: Path, notes: Path | None = None) -> Manifest:
    """Returns a row for each complete subject, with its report if it has one.

    Args:
        folder: the unpacked dataset.
        notes: the table of reports, or None. It belongs to the CT dataset.

    Returns:
        The rows in the order of `meta.csv`, whose lines they name. The problems name the lines of
        `meta.csv` or of the notes: subjects that are missing or incomplete (errors), and folders
        and notes without a subject (warnings).

    Raises:
        ValueError: a table or a folder cannot be read, or the folder holds no subject.
    """
    try:
        return _read(folder, notes)
    except PermissionError:
        raise ValueError(
            "source: a file or a folder of the dataset may not be read; give yourself the "
            "permission of the folder with all that is in it"
        ) from None


def _read(folder: Path, notes: Path | None) -> Manifest:
    found, problems = _subjects(folder)
    if not found:
        raise ValueError(f"{META} has no subject; {_AGAIN}")
    problems += _without_line(folder, set(found))
    modalities = {subject: _modality(folder / subject) for subject in found}
    if "MR" in modalities.values() and notes is not None:
        raise ValueError(
            f"notes: {notes.name} belongs to the CT dataset, and the folder holds MR images, whose "
            "subjects have the same ids; leave the notes out"
        )
    texts = {} if notes is None else _reports(notes, set(found), problems)
    rows = []
    for subject, (line, split) in found.items():
        modality, missing = modalities[subject], _missing(folder / subject)
        if missing is not None:
            problems.append(_bad(line, *missing))
            continue
        if split and split not in SPLITS:
            problems.append(
                _bad(line, _SPLIT, f"is none of {', '.join(SPLITS)}; a split is drawn", "warning")
            )
        name = f"{subject}/{IMAGES[modality]}"
        rows.append(
            Row(
                line=line, patient=subject, study=subject, image=folder / name, image_name=name,
                modality=modality, language="en", report=texts.get(subject, ""),
                mask=folder / subject / MASKS,
            )
        )  # fmt: skip
    return Manifest(tuple(rows), tuple(problems))


def splits(folder: Path) -> dict[str, str]:
    """Returns the split that the publisher gives each patient, "train", "val" or "test".

    Patients without one are left out.

    Raises:
        ValueError: the table cannot be read.
    """
    found, _ = _subjects(folder)
    return {subject: split for subject, (_, split) in found.items() if split in SPLITS}


def licences(folder: Path, notes: Path | None = None) -> tuple[dict[str, Any], ...]:
    """Returns the licences of the sources, as `card.make` takes them.

    Raises:
        ValueError: the table cannot be read.
    """
    kinds = {_modality(folder / subject) for subject in _subjects(folder)[0]}
    found = tuple(one for kind, one in _LICENCES.items() if kind in kinds)
    return found if notes is None else (*found, _NOTES_LICENCE)


def _bad(line: int | None, field: str, message: str, level: str = "error") -> Problem:
    return Problem(META, line, field, message, level, items=int(level == "error"))


def _subjects(folder: Path) -> tuple[dict[str, tuple[int, str]], list[Problem]]:
    """Returns {subject: (line, split)} of the table, and the problems of its ids."""
    path = folder / META
    if not path.is_file():
        raise ValueError(
            f"source: the folder has no {META}; give the folder that the archive was unpacked to, "
            f"in which {META} lies beside s0000, s0001 and so on"
        )
    found: dict[str, tuple[int, str]] = {}
    problems = []
    for line, row in _table(path, ";", (_ID,)):
        subject = row[_ID]
        if not _SUBJECT.fullmatch(subject):
            problems.append(_bad(line, _ID, "is no id of a subject, such as s0011"))
        elif subject in found:
            problems.append(_bad(line, _ID, "is the id of an earlier line as well; keep one line"))
        else:
            found[subject] = line, row.get(_SPLIT, "")
    return found, problems


def _table(path: Path, delimiter: str, needed: tuple[str, ...]) -> Iterator[tuple[int, dict]]:
    """Yields (number of the line, {column: text}) for each line of a table."""
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter)
            columns = [name.strip() for name in next(reader, [])]
            for column in needed:
                if column not in columns:
                    raise ValueError(
                        f"{path.name} has no column {column!r} (columns end at {delimiter!r}); "
                        "use the table as it was published"
                    )
            line = reader.line_num + 1
            for cells in reader:
                values = [cell.strip() for cell in cells]
                if any(values):
                    yield (
                        line,
                        dict(itertools.zip_longest(columns, values[: len(columns)], fillvalue="")),
                    )
                line = reader.line_num + 1
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not in UTF-8; save it as UTF-8") from None
    except csv.Error:
        raise ValueError(f"{path.name} is no table of text; download it again") from None
    except OSError as e:
        raise ValueError(f"{path.name} cannot be read ({e.strerror})") from None


def _modality(subject: Path) -> str:
    """Returns the modality of a subject by the name of its image; "" if there is not one image."""
    found = [kind for kind, name in IMAGES.items() if (subject / name).is_file()]
    return found[0] if len(found) == 1 else ""


def _missing(subject: Path) -> tuple[str, str] | None:
    """Returns what is wrong with the files of a subject as (field, message), or None."""
    if not subject.is_dir():
        return "image", f"the subject has no folder; {_AGAIN}, or leave the line out"
    modality = _modality(subject)
    if not modality:
        names = " or ".join(IMAGES.values())
        return "image", f"the subject has not one image, {names}; {_AGAIN}"
    if not (subject / IMAGES[modality]).stat().st_size:
        return "image", f"the image is an empty file; {_AGAIN}"
    masks = subject / MASKS
    there = {p.name for p in masks.glob("*.nii.gz") if p.stat().st_size} if masks.is_dir() else ()
    absent = [name for name in CLASSES[modality] if f"{name}.nii.gz" not in there]
    if absent:
        return "mask", (
            f"{len(absent)} of {len(CLASSES[modality])} masks are missing or empty, the first is "
            f"{absent[0]}; {_AGAIN}, or use version 2 of the dataset, whose classes these are"
        )
    return None


def _without_line(folder: Path, known: set[str]) -> list[Problem]:
    """Returns a warning if there are folders of subjects that the table does not name."""
    there = {p.name for p in folder.iterdir() if _SUBJECT.fullmatch(p.name) and p.is_dir()}
    count = len(there - known)
    if not count:
        return []
    message = f"folders of subjects without a line in the table are not used; there are {count}"
    return [_bad(None, _ID, message, "warning")]


def _reports(notes: Path, known: set[str], problems: list[Problem]) -> dict[str, str]:
    """Returns the reports by subject, and adds the problems of their table."""
    texts: dict[str, list[str]] = {}

    def warn(line: int, field: str, message: str) -> None:
        problems.append(Problem(notes.name, line, field, message, "warning", items=0))

    for line, row in _table(notes, ",", (_NOTES_ID, _NOTES)):
        subject, text = row[_NOTES_ID], row[_NOTES]
        if subject not in known:
            warn(line, _NOTES_ID, "the notes are about a subject that the folder does not have")
        elif not text:
            warn(line, _NOTES, "the notes are empty")
        else:
            texts.setdefault(subject, []).append(text)
    return {subject: "\n".join(some) for subject, some in texts.items()}
