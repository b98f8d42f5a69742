"""Opens the image and the mask of an item, makes its record and lists the problems.

Messages and records contain only the name of a file, never its folders, because the names of
folders may identify a patient.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from big_rad.datasets import records
from big_rad.datasets.contents import Contents
from big_rad.datasets.folder import masks, paths
from big_rad.datasets.folder.fields import Bad
from big_rad.datasets.folder.source import Item, Row
from big_rad.datasets.records import Problem
from big_rad.dicom import plausible
from big_rad.dicom import read as reader
from big_rad.dicom.turns import Turn
from big_rad.grounding import placing
from big_rad.pp.example import Text

# Formats that do not state the modality of grey images. Pictures in colour are always "OT".
_SAYS_NO_MODALITY = ("npy", "png", "nifti")
LOOK, TURNED = "look", "turned"  # Levels of problems that are only counted, see `make`.
UNPLACED = (
    "a phrase of one side of a pair stands at several places of the report, and is not listed as "
    'often; it stays plain there. List it once for each place, or with its side ("left kidney")'
)
_Box = tuple[float, float, float, float, int]


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that apply to all images of a source.

    Attributes:
        as_stored: whether images stay as they are stored; otherwise they are turned to their usual
            display.
        trust_mask_order: whether NIfTI masks are taken to be stored in the order of their images.
        offset: the number that is added to the values of CT images whose line has no offset.
    """

    as_stored: bool = False
    trust_mask_order: bool = False
    offset: float = 0


@dataclasses.dataclass(frozen=True)
class Job:
    """The work for one record; or problems of lines that cannot be used.

    Attributes:
        root: the folder of data.jsonl.
        file: the name of data.jsonl, for problems.
        item: the lines of one image, or None if there are only problems.
        problems: problems that are passed on as they are.
        options: the options of the source.
    """

    root: str
    file: str
    item: Item | None
    problems: tuple[Problem, ...] = ()
    options: Options = Options()


def make(job: Job) -> Iterator[records.Record | Problem]:
    """Yields the record of a job, and its problems.

    A problem of the level "error" means that something was left out. One of the level `LOOK` is
    yielded for every CT image; its message names what the values look like, "" for HU. One of the
    level `TURNED` is yielded if the image was turned.
    """
    yield from job.problems
    if job.item is not None:
        record, problems = to_record(job.item, job.root, job.file, job.options)
        yield from problems
        if record is not None:
            yield record


def to_record(
    item: Item, root: str | Path, file: str, options: Options = Options()
) -> tuple[records.Record | None, list[Problem]]:
    """Opens an item's files and makes its record, in the usual display of its image.

    Args:
        item: the lines of one image.
        root: the folder of data.jsonl.
        file: the name of data.jsonl, for problems.
        options: the options of the source.

    Returns:
        the record and the problems (see `make`). The record leaves out lines whose boxes lie
        outside the image. It is None if the image or its mask cannot be used, or if it would have
        neither texts nor boxes nor a mask.
    """
    say = _Sayer(item, file)
    try:
        found = _image(item, Path(root), options)
    except Bad as e:
        return None, [say("image", e)]
    shown, inverse = (found, Turn()) if options.as_stored else reader.to_display(found)
    turn, problems = inverse.inverse(), list(_doubts(found, inverse, item, options, say))
    segmap = None
    if item.mask is not None:
        try:
            segmap, said = masks.read(item, Path(root), found, options.trust_mask_order)
        except Bad as e:
            return None, [*problems, say("mask", e)]
        problems += [say("mask", s, "warning") for s in said]
        segmap = turn.array(segmap)
    elif item.mask_frame is not None or item.mask_names is not None:
        field = "mask_names" if item.mask_frame is None else "mask_frame"
        problems.append(say(field, "is not used; no line of this id names a mask", "warning"))
    rows = []
    for row in item.rows:
        bad = _outside(row, found.pixels.shape[:2])
        if bad:
            problems.append(Problem(file, row.line, "boxes", bad))
        else:
            rows.append(row)
    boxes = [(*turn.box(b[:4], found.pixels.shape), b[4]) for b in _merged(rows)]
    texts = [text for row in rows for text in texts_of(row)]
    for row in rows:
        problems += [Problem(file, row.line, *p, "warning") for p in _unplaced(row)]
    if not texts and not boxes and segmap is None:
        return None, problems
    seen = {b[4] for b in boxes} | (set() if segmap is None else set(map(int, np.unique(segmap))))
    problems += _ungrounded(texts, seen, say)
    image = records.make_image_record(
        item.id, shown.modality, shown.pixels, plane=shown.plane or item.plane or "",
        segmap=segmap, boxes=boxes, texts=texts,
    )  # fmt: skip
    return records.make_record(item.id, item.patient, [image]), problems


def _doubts(
    found: reader.Slice, inverse: Turn, item: Item, options: Options, say: "_Sayer"
) -> Iterator[Problem]:
    """Yields problems on how an image was turned, on its warnings and on its values."""
    name = item.image.split("/")[-1]
    for warning in found.warnings:
        yield say("image", f"{name}: {warning}", "warning")
    done = inverse.inverse().words
    unusual = reader.unusual(found.orientation, found.plane)
    if options.as_stored and unusual:
        message = f"{unusual} are not as usually shown; if that is not meant, turn the image with"
        yield say("image", f"{name}: {message} its boxes and mask, or drop --as_stored", "warning")
    elif done:
        why = f"{unusual} are not as usually shown; " if unusual else ""
        message = f"{name}: {why}the image is {done}, and its boxes and mask with it"
        yield say("image", message, "warning")
        yield say("image", done, TURNED)
    if found.format == "dicom" and found.modality in ("CT", "MR") and not found.orientation:
        message = "the file does not say how the patient lies, so the image stays as it is stored"
        yield say("image", f"{name}: {message}", "warning")
    if doubt := plausible.picture(found.modality, found.units, options.offset):
        yield say("image", f"{name}: {doubt}", "warning")
    if found.units == "HU":
        look = plausible.look(found.pixels)
        if look:
            yield say("image", f"{name}: {plausible.doubt(look, found.pixels)}", "warning")
        yield say("image", look.name if look else "", LOOK)


def check_files(item: Item, root: str | Path, file: str) -> list[Problem]:
    """Returns the problems of an item's paths, without opening the files."""
    say = _Sayer(item, file)
    problems = []
    try:
        paths.resolve(Path(root), item.image)
    except Bad as e:
        problems.append(say("image", e))
    try:
        for name in masks.files_of(item, Path(root)):
            paths.resolve(Path(root), name)
            if name != item.mask_names:
                masks.check_name(name)
    except Bad as e:
        problems.append(say("mask", e))
    return problems


def listed(item: Item, contents: Contents) -> None:
    """Counts an item by the content of its lines, without opening its files."""
    contents.add_image(
        item.patient,
        [text for row in item.rows for text in texts_of(row)],
        [box[4] for box in _merged(list(item.rows))],
        unopened=item.mask is not None,
    )


def texts_of(row: Row) -> list[Text]:
    """Returns the texts of a line as examples have them; see `pp.example`."""
    texts: list[Text] = []
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

    The phrases of boxes come first. The line's `keywords` follow. If the line has no keywords, the
    phrases that the lexicon finds follow instead, without those that a box already has.
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
    """Yields (field, message) for each given phrase whose place in the report is not clear."""
    given = _given(row)
    _, left_out = placing.place(row.report, given, row.language) if given else ((), ())
    for phrase in left_out:
        field = "keywords" if phrase in {k for k, _ in row.keywords} else "boxes"
        yield field, UNPLACED


resolve = paths.resolve


class _Sayer:
    """Makes the problems of an item; each has the first line of the item with the field."""

    def __init__(self, item: Item, file: str):
        self._item, self._file = item, file

    def __call__(self, field: str, message: object, level: str = "error") -> Problem:
        rows = self._item.rows
        line = next((r.line for r in rows if getattr(r, field, None)), rows[0].line)
        return Problem(self._file, line, field, str(message), level, len(rows))


def _image(item: Item, root: Path, options: Options) -> reader.Slice:
    path = paths.resolve(root, item.image)
    offset = item.offset if item.offset is not None else options.offset
    try:
        found = reader.read(
            path, frame=item.frame, plane=item.plane or "axial", modality=item.modality,
            offset=offset or 0,
        )  # fmt: skip
    except reader.ReadError as e:
        raise Bad(str(e)) from None
    if item.modality is None and found.format in _SAYS_NO_MODALITY and found.pixels.ndim == 2:
        raise Bad(f"{path.name}: the file does not say what it is; give modality (CT, MR or OT)")
    # Grey values that are not what the file says (a CT without a rescale, say) can be read as OT.
    if item.modality not in (None, "OT") and found.stated not in ("", item.modality):
        raise Bad(
            f"{path.name}: the modality of the line is not that of the file; correct it, or give "
            "OT if the grey values are not what the file says"
        )
    if item.plane is not None and found.plane not in ("", item.plane):
        raise Bad(f"{path.name}: the plane of the line is not that of the file; leave it out")
    if item.offset and found.units != "HU":
        why = plausible.why_not_hu(found.modality, found.units)
        raise Bad(f"{path.name}: offset is for the grey values of CT, {why}; leave it out")
    return found


def _outside(row: Row, shape: tuple[int, ...]) -> str:
    """Returns a message if a box of a line lies outside the image, or ""."""
    height, width = shape
    for n, box in enumerate(row.boxes, start=1):
        if box.box[2] > width or box.box[3] > height:
            return f"entry {n}: the box leaves the image of {width} x {height} pixels (x, y)"
    return ""


def _merged(rows: list[Row]) -> list[_Box]:
    """Returns one box for each class, the union of its boxes, in the order of class ids."""
    merged: dict[int, tuple[float, ...]] = {}
    for box in (b for row in rows for b in row.boxes):
        old = merged.get(box.class_id, box.box)
        low, high = map(min, old[:2], box.box[:2]), map(max, old[2:], box.box[2:])
        merged[box.class_id] = (*low, *high)
    return [(*merged[c], c) for c in sorted(merged)]


def _ungrounded(texts: list[Text], shown: set[int], say: _Sayer) -> list[Problem]:
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
