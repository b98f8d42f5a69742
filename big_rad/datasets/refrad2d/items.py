"""Makes records out of sentences: the work of one process, for `build` and for `validate`.

Knows nothing of splits or of where results go.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from big_rad.datasets import files, records
from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d import index, source, texts
from big_rad.dicom import read as dicom_read
from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all jobs share.

    Attributes:
        places: of the source.
        index: folder that `index.write_rows` and `index.write_entries` wrote to.
        pixels: whether images and label maps are opened, or only have to exist.
        rows, dicoms: whether there is a parquet, a folder of images; else they are not asked for.
        entries: modalities of which there is a box JSON.
        masks: whether label maps are wanted.
    """

    places: source.Places
    index: str
    pixels: bool = True
    rows: bool = True
    dicoms: bool = True
    entries: tuple[str, ...] = source.MODALITIES
    masks: bool = True


@dataclasses.dataclass(frozen=True)
class Job:
    """Some sentences of one split JSON, or problems of one that were found before.

    Attributes:
        file: published name of the split JSON.
        modality: "CT" or "MR".
        sentences: to make records of.
        problems: to hand on.
    """

    file: str
    modality: str
    sentences: tuple[source.Sentence, ...] = ()
    problems: tuple[Problem, ...] = ()


def make(setting: Setting, job: Job) -> Iterator[records.Record | Problem]:
    """Makes the records of a job; for each image that cannot be used, its first error.

    Of images that can be used, yields the warning that a keyword could not be placed, too.
    """
    yield from (p for p in job.problems if p.level == "error")
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
                yield from (p for p in problems if p.message == texts.UNPLACED)
        if images:
            digest = hashlib.sha256(sentence.text.encode()).hexdigest()[:16]
            yield records.record(f"{job.modality.lower()}-{digest}", "", images)


def check(setting: Setting, job: Job) -> list[Problem]:
    """Returns all problems of a job, warnings too."""
    out = list(job.problems)
    if job.sentences:
        reader = _reader(setting)
        for sentence in job.sentences:
            for image_id in sentence.ids:
                out += reader.image(image_id, job, sentence)[1]
    return out


@functools.lru_cache(1)
def _reader(setting: Setting) -> "_Reader":
    return _Reader(setting)


class _Reader:
    """Looks up, reads and checks one image with all that is known of it."""

    def __init__(self, setting: Setting):
        self._set, self._places = setting, setting.places
        self._rows = index.Table(setting.index, "rows") if setting.rows else None
        self._entries = {m: index.Table(setting.index, m) for m in setting.entries}

    def image(
        self, image_id: str, job: Job, sentence: source.Sentence
    ) -> tuple[dict[str, Any] | None, list[Problem]]:
        """Returns the image's record, None if there is none, and its problems."""
        boxes, keywords, mask_path, of_entry = self._entry(image_id, job.modality)
        row, of_row = self._row(image_id, job, sentence, keywords)
        found = of_entry.problems + of_row.problems
        said = row.pop("texts", [])
        if not self._set.pixels:
            return None, found + self._exist(image_id, mask_path)
        picture, more = self._picture(image_id, job.modality)
        found += more
        of_entry.problems = []
        if picture is not None:
            texts.inside(boxes, picture.pixels.shape, of_entry)
        shape = None if picture is None else picture.pixels.shape
        segmap, more = self._segmap(mask_path, shape, boxes)
        found += of_entry.problems + more
        if picture is None or any(p.level == "error" for p in found):
            return None, found
        made = records.image_record(
            image_id, job.modality, picture.pixels, plane=picture.plane, segmap=segmap,
            boxes=boxes, texts=said, body_part=row.get("body_part") or "",
        )  # fmt: skip
        return made, found

    def _entry(self, image_id: str, modality: str) -> tuple[list, dict, str, texts.Findings]:
        """Returns boxes, keywords and the label map's path; empty where there is no entry."""
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
        """Returns the row of the parquet with its texts."""
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
            found.error("rsopid", f"the same id is in other rows: {others}; keep one")
        modality = rows[0]["modality"]
        if not isinstance(modality, str) or modality.strip().upper() != job.modality:
            found.error("modality", f"is not {job.modality}, though {job.file} lists the id")
        body_part = rows[0]["body_part"]
        if body_part is not None and not isinstance(body_part, str):
            found.error("body_part", "must be text or null")
        said = texts.texts(rows[0], keywords, found)
        return {"body_part": body_part, "texts": said}, found

    def _exist(self, image_id: str, mask_path: str) -> list[Problem]:
        """Checks that the files of an image are there, without opening them."""
        path = self._places.dicom(image_id)
        out = []
        if self._set.dicoms and not files.is_file(path):
            message = f"no such file; {source.WHERE}"
            out.append(Problem(self._places.name(path), None, "", message))
        return out + self._mask(mask_path)[1]

    def _picture(
        self, image_id: str, modality: str
    ) -> tuple[dicom_read.Slice | None, list[Problem]]:
        if not self._set.dicoms:
            return None, []
        path = self._places.dicom(image_id)
        name = self._places.name(path)
        if not files.is_file(path):
            return None, [Problem(name, None, "", f"no such file; {source.WHERE}")]
        try:
            picture = dicom_read.read(path)
        except dicom_read.ReadError as e:
            return None, [Problem(name, None, "", str(e).removeprefix(f"{path.name}: "))]
        if picture.modality != modality or picture.pixels.ndim != 2:
            message = f"is not the {modality} image that its split promises; export it again"
            return None, [Problem(name, None, "Modality", message)]
        if turned := dicom_read.unusual(picture.orientation, picture.plane):
            message = f"{turned} are not as usually shown; if that is not meant, export it turned"
            field = "ImageOrientationPatient"
            return picture, [Problem(name, None, field, message, "warning")]
        return picture, []

    def _mask(self, mask_path: str) -> tuple[Path | None, list[Problem]]:
        if not mask_path or not self._set.masks:
            return None, []
        path = self._places.mask(mask_path)
        if path is not None and files.is_file(path):
            return path, []
        name = self._places.name(path or self._places.masks)
        return None, [Problem(name, None, "", f"no such file; {source.WHERE}")]

    def _segmap(
        self, mask_path: str, shape: tuple[int, ...] | None, boxes: list
    ) -> tuple[np.ndarray | None, list[Problem]]:
        path, problems = self._mask(mask_path)
        if path is None:
            return None, problems
        found = texts.Findings(self._places.name(path))
        segmap = read_segmap(path, shape, found)
        if segmap is not None:
            _compare(segmap, boxes, found)
        return segmap, found.problems


def read_segmap(
    path: Path, shape: tuple[int, ...] | None, found: texts.Findings
) -> np.ndarray | None:
    """Reads a label map.

    Args:
        path: a .npy file. The public pipeline leaves CT maps as float32 of whole numbers.
        shape: of the image; None if it is not known.
        found: takes the problems.

    Returns:
        uint8 [H, W] of class ids, None if it cannot be used.
    """
    try:  # Mapped first: a header that promises more than the file holds costs no memory.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as e:
        found.error("", f"damaged, or no .npy file of numbers ({type(e).__name__}); copy it again")
        return None
    if not isinstance(stored, np.ndarray) or stored.ndim != 2 or stored.dtype.kind not in "iuf":
        found.error("", "must be an array [H, W] of class ids in a .npy file")
        return None
    if shape is not None and stored.shape != shape:
        message = f"has shape {list(stored.shape)}, its image {list(shape)}; make it anew"
        found.error("", message)
        return None
    low, high = stored.min(), stored.max()
    if not (low >= 0 and high <= classes.NUM_CLASSES):  # NaN is neither
        found.error("", f"holds class ids outside 0..{classes.NUM_CLASSES}; harmonise the classes")
        return None
    segmap = np.ascontiguousarray(stored, np.uint8)
    if stored.dtype.kind == "f" and not np.array_equal(segmap, stored):
        found.error("", "holds numbers that are not whole; resample label maps by nearest")
        return None
    return segmap


def _compare(segmap: np.ndarray, boxes: list, found: texts.Findings) -> None:
    """Warns where boxes and label map disagree by more than a pixel."""
    drawn = box_lib.from_label_map(segmap)
    listed = {int(b[4]): b[:4] for b in boxes}
    if other := sorted(drawn.keys() ^ listed.keys()):
        shown = ", ".join(map(str, other[:5]))
        found.warn("", f"label map and bboxes do not show the same classes (such as {shown})")
    for c in sorted(drawn.keys() & listed.keys()):
        if max(abs(a - b) for a, b in zip(drawn[c], listed[c])) > 1:
            found.warn("", f"the box of class {c} is more than a pixel off the label map")
