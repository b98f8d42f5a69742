"""Opens the image and the mask of an item and makes its record; lists what is wrong with them.

No message or record holds more of a path than the file's own name. Knows nothing of lines that were
left out, of splits or of how records are stored.
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

_SAYS_NO_MODALITY = ("npy", "png", "nifti")  # if grey; pictures in colour are "OT"
LOOK, TURNED = "look", "turned"  # levels of problems that are counted: see `make`
UNPLACED = (
    "a phrase of one side of a pair stands at several places of the report, and is not listed as "
    'often; it stays plain there. List it once for each place, or with its side ("left kidney")'
)
_Box = tuple[float, float, float, float, int]


@dataclasses.dataclass(frozen=True)
class Options:
    """What holds for all images of a source.

    Attributes:
        as_stored: images are not turned to their usual display.
        trust_mask_order: NIfTI masks are stored in the order of their images.
        offset: added to the values of CT images whose line has none.
    """

    as_stored: bool = False
    trust_mask_order: bool = False
    offset: float = 0


@dataclasses.dataclass(frozen=True)
class Job:
    """What it takes to make one record, or to report lines that cannot be used.

    Attributes:
        root: folder of data.jsonl.
        file: its name, for problems.
        item: the image, or None.
        problems: passed on as they are.
        options: of the source.
    """

    root: str
    file: str
    item: Item | None
    problems: tuple[Problem, ...] = ()
    options: Options = Options()


def make(job: Job) -> Iterator[records.Record | Problem]:
    """Yields the record of a job, and its problems.

    Those of the level "error" led to something being left out. A problem of the level `LOOK` is
    yielded for every CT image; its message is what the values look like, "" for HU.
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
        root: folder of data.jsonl.
        file: its name, for problems.
        options: of the source.

    Returns:
        The record, without the lines that had a problem; or None if the image or its mask cannot
        be used, or no line is left. And the problems, see `make`.
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
    image = records.image_record(
        item.id, shown.modality, shown.pixels, plane=shown.plane or item.plane or "",
        segmap=segmap, boxes=boxes, texts=texts,
    )  # fmt: skip
    return records.record(item.id, item.patient, [image]), problems


def _doubts(
    found: reader.Slice, inverse: Turn, item: Item, options: Options, say: "_Sayer"
) -> Iterator[Problem]:
    """Yields what was turned, guessed or ignored of an image, and what its values look like."""
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
    """Returns what is wrong with an item's paths, without opening the files."""
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
    """Counts an item by what its lines say, without opening its files."""
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


resolve = paths.resolve


class _Sayer:
    """Makes the problems of an item: at the line that names the file, with names but no folders."""

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
