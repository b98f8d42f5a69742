"""Makes records of sentences, and checks their images: the work of one process.

`make` serves `builder.build`, and `look` serves `builder.validate`.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from big_rad import files as ground_files
from big_rad.datasets import files, records
from big_rad.datasets.contents import Contents
from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d import index, source, texts
from big_rad.dicom import read as dicom_read
from big_rad.dicom.turns import Turn
from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes

TURNED = "turned"  # The level of a problem that says how an image was turned.


@dataclasses.dataclass(frozen=True)
class Setting:
    """The settings that all jobs share.

    Attributes:
        places: the places of the source's parts.
        index: the folder that `index.write_rows` and `index.write_entries` wrote to.
        pixels: whether images and label maps are opened; otherwise they only have to exist.
        rows: whether the parquet exists; otherwise texts are not looked up.
        dicoms: whether the folder of images exists; otherwise images are not looked up.
        entries: the modalities whose box JSON exists.
        masks: whether label maps are used.
        as_stored: whether images stay as they are stored; otherwise they are turned to their usual
            display.
    """

    places: source.Places
    index: str
    pixels: bool = True
    rows: bool = True
    dicoms: bool = True
    entries: tuple[str, ...] = source.MODALITIES
    masks: bool = True
    as_stored: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """Some sentences of one split JSON, or problems that were found when it was read.

    Attributes:
        file: the published name of the split JSON.
        modality: "CT" or "MR".
        sentences: the sentences whose records are made.
        problems: the problems that are passed on.
    """

    file: str
    modality: str
    sentences: tuple[source.Sentence, ...] = ()
    problems: tuple[Problem, ...] = ()


def make(setting: Setting, job: Job) -> Iterator[records.Record | Problem]:
    """Yields the records of a job, and the first error of each image that cannot be used.

    For a usable image it also yields a problem of the level `TURNED` if the image was turned, and
    the warning `texts.UNPLACED` if a keyword could not be placed. Sentences that another split also
    has are warnings of the job.
    """
    yield from job.problems
    reader = _reader(setting) if job.sentences else None
    for sentence in job.sentences:
        images = []
        for image_id in sentence.ids:
            image, problems = reader.image(image_id, job, sentence)
            errors = [p for p in problems if p.level == "error"]
            if errors:
                yield errors[0]
            elif image is not None:
                images.append(image)
                yield from (p for p in problems if p.level == TURNED or p.message == texts.UNPLACED)
        if images:
            digest = hashlib.sha256(sentence.text.encode()).hexdigest()[:16]
            people = {image["patient"] for image in images}
            patient = people.pop() if len(people) == 1 else ""
            yield records.make_record(f"{job.modality.lower()}-{digest}", patient, images)


def check(setting: Setting, job: Job) -> list[Problem]:
    """Returns all problems of a job, including warnings."""
    return look(setting, job)[0]


def look(setting: Setting, job: Job) -> tuple[list[Problem], Contents]:
    """Returns all problems of a job, including warnings, and the counts of its usable images."""
    out, held = list(job.problems), Contents()
    reader = _reader(setting) if job.sentences else None
    for sentence in job.sentences:
        for image_id in sentence.ids:
            image, found = reader.image(image_id, job, sentence)
            out += [p for p in found if p.level != TURNED]
            if image is None or any(p.level == "error" for p in found):
                continue
            if setting.pixels:
                held.add({"patient": "", "images": [image]})
            else:
                held.add_image(**image)
    return out, held


@functools.lru_cache(1)
def _reader(setting: Setting) -> "_Reader":
    return _Reader(setting)


class _Reader:
    """Looks up, reads and checks images with their texts, boxes and label maps."""

    def __init__(self, setting: Setting):
        self._set, self._places = setting, setting.places
        self._rows = index.Table(setting.index, "rows") if setting.rows else None
        self._entries = {m: index.Table(setting.index, m) for m in setting.entries}

    def image(
        self, image_id: str, job: Job, sentence: source.Sentence
    ) -> tuple[dict[str, Any] | None, list[Problem]]:
        """Returns the record of an image (None if it cannot be used) and its problems.

        If `Setting.pixels` is False, the first result is a dict of arguments for
        `Contents.add_image` instead.
        """
        boxes, keywords, mask_path, of_entry = self._entry(image_id, job.modality)
        row, of_row = self._row(image_id, job, sentence, keywords)
        found = of_entry.problems + of_row.problems
        said = row.pop("texts", [])
        if not self._set.pixels:
            listed = {"texts": said, "boxes": [int(b[4]) for b in boxes]}
            listed["patient"] = row.get("patient", "")
            listed["unopened"] = self._mask(mask_path)[0] is not None
            return listed, found + self._exist(image_id, mask_path)
        picture, turn, more = self._picture(image_id, job.modality)
        found += more
        of_entry.problems = []
        shown = None if picture is None else turn.array(picture.pixels)
        segmap, more = self._segmap(mask_path, shown, picture, boxes)
        # Label maps and boxes were cut from volumes in the usual display, so normally only the
        # image is turned. If the map fits only the stored image, all three are turned.
        with_map = segmap is not None and shown is not None and segmap.shape != shown.shape
        if shown is not None:
            texts.inside(boxes, picture.pixels.shape if with_map else shown.shape, of_entry)
        found += of_entry.problems + more
        if shown is None or any(p.level == "error" for p in found):
            return None, found
        if with_map:
            segmap = turn.array(segmap)
            boxes = [[*turn.box(b[:4], picture.pixels.shape), b[4]] for b in boxes]
        made = records.make_image_record(
            image_id, job.modality, shown, plane=picture.plane, segmap=segmap,
            boxes=boxes, texts=said, body_part=row.get("body_part") or "",
            patient=row.get("patient", ""),
        )  # fmt: skip
        return made, found

    def _entry(self, image_id: str, modality: str) -> tuple[list, dict, str, texts.Findings]:
        """Returns the boxes, keywords and label map path of an image; empty without an entry."""
        name = self._places.name(self._places.boxes(modality))
        table = self._entries.get(modality)
        rows = table.get(image_id) if table else []
        found = texts.Findings(name, rows[0]["line"] if rows else None)
        if not rows:
            return [], {}, "", found
        if len(rows) > 1:
            lines = ", ".join(str(r["line"]) for r in rows[1:])
            found.error("", f"the same id has entries on other lines: {lines}; keep one")
        boxes, keywords, mask_path = texts.entry(json.loads(rows[0]["json"]), found)
        if mask_path and self._places.mask(mask_path) is None:
            found.error("segment_slice_path", "does not end in the name of a .npy file")
            mask_path = ""
        return boxes, keywords, mask_path, found

    def _row(
        self, image_id: str, job: Job, sentence: source.Sentence, keywords: dict[str, list]
    ) -> tuple[dict[str, Any], texts.Findings]:
        """Returns body part, patient and texts from the parquet row of an image, and problems."""
        parquet = self._places.name(self._places.parquet)
        if self._rows is None:
            return {}, texts.Findings(parquet)
        rows = self._rows.get(image_id)
        if not rows:
            found = texts.Findings(job.file, sentence.line)
            found.error("ids", f"{image_id} is not in {parquet}; remove it, or {source.WHERE}")
            return {}, found
        found = texts.Findings(parquet, rows[0]["row"])
        if len(rows) > 1:
            others = ", ".join(str(r["row"]) for r in rows[1:])
            if index.one_patient(r.get("patient") for r in rows) is None:
                message = f"the same id has another patient in other rows: {others}; keep one row"
                found.error("patient", message)
            else:
                found.error("rsopid", f"the same id is in other rows: {others}; keep one")
        modality = rows[0]["modality"]
        if not isinstance(modality, str) or modality.strip().upper() != job.modality:
            found.error("modality", f"is not {job.modality}, though {job.file} lists the id")
        body_part = rows[0]["body_part"]
        if body_part is not None and not isinstance(body_part, str):
            found.error("body_part", "must be text or null")
        patient = index.pseudonym(rows[0].get("patient"))
        if patient is None:
            found.error("patient", index.NO_PSEUDONYM)
        said = texts.texts(rows[0], keywords, found)
        return {"body_part": body_part, "patient": patient or "", "texts": said}, found

    def _exist(self, image_id: str, mask_path: str) -> list[Problem]:
        """Returns a problem for each missing file of an image, without opening the files."""
        path = self._places.dicom(image_id)
        out = []
        if self._set.dicoms and not files.is_file(path):
            message = f"no such file; {source.WHERE}"
            out.append(Problem(self._places.name(path), None, "", message))
        return out + self._mask(mask_path)[1]

    def _picture(
        self, image_id: str, modality: str
    ) -> tuple[dicom_read.Slice | None, Turn, list[Problem]]:
        """Returns the stored image, the turn to its usual display, and problems."""
        if not self._set.dicoms:
            return None, Turn(), []
        path = self._places.dicom(image_id)
        name = self._places.name(path)
        if not files.is_file(path):
            return None, Turn(), [Problem(name, None, "", f"no such file; {source.WHERE}")]
        try:
            picture = dicom_read.read(path)
        except dicom_read.ReadError as e:
            message = str(e).removeprefix(f"{path.name}: ")
            return None, Turn(), [Problem(name, None, "", message)]
        if picture.modality != modality or picture.pixels.ndim != 2:
            message = f"is not the {modality} image that its split promises; export it again"
            return None, Turn(), [Problem(name, None, "Modality", message)]
        turn = Turn() if self._set.as_stored else dicom_read.to_display(picture)[1].inverse()
        problems = [Problem(name, None, "", w, "warning") for w in picture.warnings]
        if message := self._turning(picture, turn):
            field = "ImageOrientationPatient"
            problems.append(Problem(name, None, field, message, "warning"))
        if turn.words:
            problems.append(Problem(name, None, "", turn.words, TURNED))
        return picture, turn, problems

    def _turning(self, picture: dicom_read.Slice, turn: Turn) -> str:
        """Returns a warning on how an image was turned, or that it was not; "" if usual."""
        if not picture.orientation:
            return "is missing or impossible, so the image stays as it is stored"
        unusual = dicom_read.unusual(picture.orientation, picture.plane)
        if self._set.as_stored:
            message = "are not as usually shown, and stay so (--as_stored), unlike map and boxes"
            return f"{unusual} {message}" if unusual else ""
        if not turn.words:
            return ""
        why = f"{unusual} are not as usually shown; " if unusual else ""
        return f"{why}the image is {turn.words}; map and boxes lie on the usual display already"

    def _mask(self, mask_path: str) -> tuple[Path | None, list[Problem]]:
        if not mask_path or not self._set.masks:
            return None, []
        path = self._places.mask(mask_path)
        if path is not None and files.is_file(path):
            return path, []
        name = self._places.name(path or self._places.masks)
        return None, [Problem(name, None, "", f"no such file; {source.WHERE}")]

    def _segmap(
        self,
        mask_path: str,
        shown: np.ndarray | None,
        picture: dicom_read.Slice | None,
        boxes: list,
    ) -> tuple[np.ndarray | None, list[Problem]]:
        path, problems = self._mask(mask_path)
        if path is None:
            return None, problems
        found = texts.Findings(self._places.name(path))
        shape = None if shown is None else shown.shape
        segmap = read_segmap(path, shape, found, None if shown is None else picture.pixels.shape)
        if segmap is not None:
            _compare(segmap, boxes, found)
            if shape is not None and segmap.shape != shape:
                found.warn(
                    "", "fits the stored image alone, so it is turned with it, and boxes too"
                )
        return segmap, found.problems


def read_segmap(
    path: Path,
    shape: tuple[int, ...] | None,
    found: texts.Findings,
    stored: tuple[int, ...] | None = None,
) -> np.ndarray | None:
    """Reads a label map.

    Args:
        path: a .npy file. The public pipeline stores CT maps as float32 with whole numbers.
        shape: the shape of the image in its usual display; None if it is not known.
        found: the object that collects the problems.
        stored: the shape of the image as it is stored, if the map may have it too.

    Returns:
        uint8 [H, W] of class ids, or None if the file cannot be used.
    """
    # The file is mapped, so that a header that promises more than it holds does not cost memory.
    try:
        with ground_files.NPY_HEADER_LOCK:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as e:
        found.error("", f"damaged, or no .npy file of numbers ({type(e).__name__}); copy it again")
        return None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "iuf":
        found.error("", "must be an array [H, W] of class ids in a .npy file")
        return None
    if shape is not None and values.shape not in (shape, stored):
        other = f", {list(stored)} as stored" if stored not in (None, shape) else ""
        message = f"has shape {list(values.shape)}, its image {list(shape)}{other}; make it again"
        found.error("", message)
        return None
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= classes.NUM_CLASSES):  # This is also true if a value is NaN.
        found.error("", f"holds class ids outside 0..{classes.NUM_CLASSES}; harmonise the classes")
        return None
    segmap = np.ascontiguousarray(values, np.uint8)
    if values.dtype.kind == "f" and not np.array_equal(segmap, values):
        found.error("", "holds numbers that are not whole; resample label maps by nearest")
        return None
    return segmap


def _compare(segmap: np.ndarray, boxes: list, found: texts.Findings) -> None:
    """Warns if boxes and label map show different classes or differ by more than a pixel."""
    drawn = box_lib.from_label_map(segmap)
    listed = {int(b[4]): b[:4] for b in boxes}
    if other := sorted(drawn.keys() ^ listed.keys()):
        shown = ", ".join(map(str, other[:5]))
        found.warn("", f"label map and bboxes do not show the same classes (such as {shown})")
    for c in sorted(drawn.keys() & listed.keys()):
        if max(abs(a - b) for a, b in zip(drawn[c], listed[c])) > 1:
            found.warn("", f"the box of class {c} is more than a pixel off the label map")
