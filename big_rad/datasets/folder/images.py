"""Opens the image and the mask of an item and makes its record; lists what is wrong with them.

A path never leaves the folder of data.jsonl, and no message or record holds more of one than the
file's own name. Knows nothing of lines that were left out, of splits or of how records are stored.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from big_rad.datasets import records
from big_rad.datasets.folder.fields import Bad
from big_rad.datasets.folder.source import Item, Row
from big_rad.datasets.records import Problem
from big_rad.dicom import read as reader
from big_rad.grounding import placing
from big_rad.grounding.classes import NUM_CLASSES

_NIFTI = (".nii", ".nii.gz")
_MASKS = (".npy", ".png", *_NIFTI)
_SAYS_NO_MODALITY = _MASKS  # grey images that could be anything; pictures in colour are "OT"
UNPLACED = (
    "a phrase of one side of a pair stands at several places of the report, and is not listed as "
    'often; it stays plain there. List it once for each place, or with its side ("left kidney")'
)
_Box = tuple[float, float, float, float, int]


@dataclasses.dataclass(frozen=True)
class Job:
    """What it takes to make one record, or to report lines that cannot be used.

    Attributes:
        root: folder of data.jsonl.
        file: its name, for problems.
        item: the image, or None.
        problems: passed on as they are.
    """

    root: str
    file: str
    item: Item | None
    problems: tuple[Problem, ...] = ()


def make(job: Job) -> Iterator[records.Record | Problem]:
    """Yields the record of a job, the errors that led to something being left out, and warnings
    of phrases that could not be placed."""
    yield from job.problems
    if job.item is not None:
        record, problems = to_record(job.item, job.root, job.file)
        yield from (p for p in problems if p.level == "error" or p.message == UNPLACED)
        if record is not None:
            yield record


def to_record(item: Item, root: str | Path, file: str) -> tuple[records.Record | None, list]:
    """Opens an item's files and makes its record.

    Args:
        item: the lines of one image.
        root: folder of data.jsonl.
        file: its name, for problems.

    Returns:
        The record, without the lines that had a problem; or None if the image or its mask cannot
        be used, or no line is left. And the problems.
    """
    say = _Sayer(item, file)
    try:
        found = _image(item, Path(root))
    except Bad as e:
        return None, [say("image", e)]
    doubts = []
    if turned := reader.unusual(found.orientation, found.plane):
        name = item.image.split("/")[-1]
        message = f"{name}: {turned} are not as usually shown; if that is not meant, turn the image"
        doubts.append(say("image", f"{message} with its boxes and mask", "warning"))
    segmap = None
    if item.mask is not None:
        try:
            segmap = _mask(item, Path(root), found.pixels.shape[:2])
        except Bad as e:
            return None, [*doubts, say("mask", e)]
    rows, problems = [], doubts
    for row in item.rows:
        bad = _outside(row, found.pixels.shape[:2])
        if bad:
            problems.append(Problem(file, row.line, "boxes", bad))
        else:
            rows.append(row)
    boxes = _merged(rows)
    texts = [text for row in rows for text in texts_of(row)]
    for row in rows:
        problems += [Problem(file, row.line, *p, "warning") for p in _unplaced(row)]
    if not texts and not boxes and segmap is None:
        return None, problems
    shown = {b[4] for b in boxes} | (set() if segmap is None else set(map(int, np.unique(segmap))))
    problems += _ungrounded(texts, shown, say)
    image = records.image_record(
        item.id, found.modality, found.pixels, plane=found.plane or item.plane or "",
        segmap=segmap, boxes=boxes, texts=texts,
    )  # fmt: skip
    return records.record(item.id, item.patient, [image]), problems


def check_files(item: Item, root: str | Path, file: str) -> list[Problem]:
    """Returns what is wrong with an item's paths, without opening the files."""
    say = _Sayer(item, file)
    problems = []
    for field in ("image", "mask"):
        path = getattr(item, field)
        try:
            if path is not None:
                resolve(Path(root), path)
                if field == "mask":
                    _check_mask_name(path)
        except Bad as e:
            problems.append(say(field, e))
    return problems


def resolve(root: Path, name: str) -> Path:
    """Returns the file a path of data.jsonl means.

    Args:
        root: folder of data.jsonl.
        name: path relative to it, with "/" between the parts.

    Raises:
        Bad: the path is absolute or leaves the folder, also by a link, or there is no such file.
    """
    if "\\" in name or ":" in name.split("/")[0]:
        raise Bad('the path must be relative, with "/" between its parts')
    parts = name.split("/")
    if name.startswith(("/", "~")) or ".." in parts:
        raise Bad("the path must lie inside the folder of the JSONL: relative, without '..'")
    last = parts[-1]
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            raise Bad(f"{last}: a link leads out of the folder of the JSONL; copy the file into it")
        if not path.is_file():
            raise Bad(f"{last}: there is no such file; paths start at the folder of the JSONL")
    except (OSError, RuntimeError, ValueError) as e:
        if isinstance(e, Bad):
            raise
        raise Bad(f"the path cannot be followed ({type(e).__name__})") from None
    return root / name


def texts_of(row: Row) -> list[dict[str, Any]]:
    """Returns the texts of a line as examples have them; see `datasets.core`."""
    texts: list[dict[str, Any]] = []
    if row.report:
        texts.append({
            "task": "report", "lang": row.language, "sentence": row.report,
            "clinical": row.clinical, "question": row.indication,
            **placing.fields(row.report, placed_of(row)), "template": "",
        })  # fmt: skip
    if row.question:
        texts.append({
            "task": "vqa", "lang": row.language, "question": row.question, "answer": row.answer,
            "question_type": row.question_type, "choices": list(row.choices), "source": "",
            "template": "",
        })  # fmt: skip
    return texts


def keywords_of(row: Row) -> list[tuple[str, int]]:
    """Returns the phrases of a report with their classes; see `placed_of`."""
    return list(dict.fromkeys((phrase, class_id) for phrase, class_id, _ in placed_of(row)))


def placed_of(row: Row) -> list[placing.Placed]:
    """Returns the phrases of a report with their classes and places.

    Phrases of boxes come first. Those of the line's `keywords` follow, or, without any, those that
    the lexicon finds; of these, none that a box has named already.
    """
    named, _ = placing.place(row.report, _given(row), row.language)
    if row.keywords:
        return named
    known = {phrase.casefold() for phrase, *_ in named}
    found = placing.found(row.report, row.language)
    return named + [k for k in found if k[0].casefold() not in known]


def _given(row: Row) -> list[placing.Keyword]:
    of_boxes = [(b.phrase, b.class_id) for b in row.boxes if b.phrase]
    return [*(k for k in of_boxes if k not in row.keywords), *row.keywords]


def _unplaced(row: Row) -> Iterator[tuple[str, str]]:
    """Yields (field, message) of given phrases of which nobody knows where they belong."""
    given = _given(row)
    _, left_out = placing.place(row.report, given, row.language) if given else ((), ())
    for phrase in left_out:
        field = "keywords" if phrase in {k for k, _ in row.keywords} else "boxes"
        yield field, UNPLACED


class _Sayer:
    """Makes the problems of an item: at the line that names the file, with names but no folders."""

    def __init__(self, item: Item, file: str):
        self._item, self._file = item, file

    def __call__(self, field: str, message: object, level: str = "error") -> Problem:
        rows = self._item.rows
        line = next((r.line for r in rows if getattr(r, field, None)), rows[0].line)
        return Problem(self._file, line, field, str(message), level)


def _read(path: Path, frame: int | None, item: Item, modality: str | None) -> reader.Slice:
    try:
        return reader.read(path, frame=frame, plane=item.plane or "axial", modality=modality)
    except reader.ReadError as e:
        raise Bad(str(e)) from None


def _image(item: Item, root: Path) -> reader.Slice:
    path = resolve(root, item.image)
    found = _read(path, item.frame, item, item.modality)
    silent = item.image.lower().removesuffix(".zst").endswith(_SAYS_NO_MODALITY)
    if item.modality is None and silent and found.pixels.ndim == 2:
        raise Bad(f"{path.name}: the file does not say what it is; give modality (CT, MR or OT)")
    if item.modality not in (None, found.modality):
        raise Bad(f"{path.name}: the modality of the line is not that of the file; correct it")
    if item.plane is not None and found.plane not in ("", item.plane):
        raise Bad(f"{path.name}: the plane of the line is not that of the file; leave it out")
    return found


def _mask(item: Item, root: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Returns uint8 [H, W] of class ids."""
    path = resolve(root, item.mask)
    _check_mask_name(item.mask)
    frame = item.frame if item.mask.lower().endswith(_NIFTI) else None
    values = _read(path, frame, item, "OT").pixels
    if values.ndim == 3:
        if not (values == values[..., :1]).all():
            raise Bad(f"{path.name}: a mask in colour; save it as grey values, one a class id")
        values = values[..., 0]
    if values.shape != shape:
        raise Bad(
            f"{path.name}: {values.shape[0]} x {values.shape[1]} pixels (rows x columns), but the "
            f"image has {shape[0]} x {shape[1]}"
        )
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    if not whole or values.min() < 0 or values.max() > NUM_CLASSES:
        raise Bad(f"{path.name}: values must be class ids, whole numbers from 0 to {NUM_CLASSES}")
    return values.astype(np.uint8)


def _check_mask_name(name: str) -> None:
    if not name.lower().endswith(_MASKS):
        raise Bad(f"{name.split('/')[-1]}: a mask is a file ending in {', '.join(_MASKS)}")


def _outside(row: Row, shape: tuple[int, ...]) -> str:
    """Returns what is wrong with a line's boxes, given the image, or ""."""
    height, width = shape
    for n, box in enumerate(row.boxes, start=1):
        if box.box[2] > width or box.box[3] > height:
            return f"entry {n}: the box leaves the image of {width} x {height} pixels (x, y)"
    return ""


def _merged(rows: list[Row]) -> list[_Box]:
    """Returns one box a class, the union of its boxes, by class id."""
    merged: dict[int, tuple[float, ...]] = {}
    for box in (b for row in rows for b in row.boxes):
        old = merged.get(box.class_id, box.box)
        low, high = map(min, old[:2], box.box[:2]), map(max, old[2:], box.box[2:])
        merged[box.class_id] = (*low, *high)
    return [(*merged[c], c) for c in sorted(merged)]


def _ungrounded(texts: list[dict[str, Any]], shown: set[int], say: _Sayer) -> list[Problem]:
    reports = [t for t in texts if t["task"] == "report"]
    if not reports or not shown - {0}:
        return []
    if any(class_id in shown for t in reports for _, class_id in t["keywords"]):
        return []
    message = (
        "no report names a class of the boxes or mask, so none is grounded; add keywords, or a "
        "phrase to the boxes"
    )
    return [say("report", message, "warning")]
