"""The records of a built dataset, the problems of its source, and opening a built dataset.

`datasets.build` runs the jobs that make the records.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from big_rad.datasets import core
from big_rad.pp import packed
from big_rad.pp.example import Image, LabelMap, Text

BUILD_INFO = "build.json"
REJECTS = "rejects.jsonl"


class ImageRecord(TypedDict):
    """One image of a record as it is stored; `core.RecordSource` turns it into an `Example`."""

    id: str
    modality: str  # "CT", "MR" or "OT"
    plane: str  # "axial", "coronal", "sagittal" or ""
    body_part: str  # free text
    image: bytes  # packed, see `pp.packed`
    segmap: bytes  # the label map (segmentation map), packed; empty without a label map
    boxes: str  # JSON: [[x1, y1, x2, y2, class id], ...]
    unsure: str  # JSON: [class id, ...], classes that are possibly shown, unmarked
    texts: str  # JSON: a list of `pp.example.Text`


class PatientImageRecord(ImageRecord, total=False):
    """One image of a record whose images may be of several patients."""

    patient: str  # the pseudonym of the image's patient, or "" if the source does not give one


class Record(TypedDict):
    """A record as it is stored: an item with one image, or several to choose from."""

    id: str
    patient: str  # the patient's pseudonym, or "" if the source does not give one
    images: list[ImageRecord]


class SourceError(ValueError):
    """A source folder cannot be used; the message says what is missing, and where to get it."""


class BuildError(ValueError):
    """Too many items of a source cannot be used; the message gives the first reasons.

    Attributes:
        share: the smallest `max_reject_share` with which the build succeeds, or None if it cannot
            succeed.
    """

    share: float | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something wrong in a source.

    Attributes:
        file: the name of the file as published, relative to the source folder, or to the folder
            that an option such as `--split_dir` names, if the file lies there.
        line: the line (or the row of a table), counted from 1; None if it concerns the whole file.
        field: the name of the field, or "" if the problem is not in one field.
        message: the problem and the remedy; it does not identify a patient.
        level: "error" if items are lost, which counts for `max_reject_share`; "warning" if nothing
            counts as lost. After a warning the data is usually still used; the exception is a
            question without an answer, which is left out. Builders have further levels for
            problems that they only count.
        items: the number of lines, questions or images that an "error" loses; 0 if these items were
            already counted with another problem. It is read for "error" only.
    """

    file: str
    line: int | None
    field: str
    message: str
    level: str = "error"
    items: int = dataclasses.field(default=1, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns the problem as a dict for `rejects.jsonl` and other lists."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "items"}

    def __str__(self) -> str:
        parts = [self.file, *([str(self.line)] if self.line is not None else [])]
        return ": ".join([":".join(parts), *([self.field] if self.field else []), self.message])


@dataclasses.dataclass
class Built:
    """A built dataset.

    Attributes:
        folder: the folder of its files.
        counts: {split: number of records}.
        reused: whether the dataset was already built.
        rejects: the number of problems because of which items were left out; `rejects.jsonl` in the
            folder lists them.
        notes: lines for the user on splits, counts, digests and warnings.
        contents: a line for the user on the contents of each split; [] if the dataset was built
            before contents were counted.
    """

    folder: Path
    counts: dict[str, int]
    reused: bool
    rejects: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    contents: list[str] = dataclasses.field(default_factory=list)


def make_image_record(
    id: str,
    modality: str,
    image: Image,
    *,
    plane: str = "",
    body_part: str = "",
    segmap: LabelMap | None = None,
    boxes: Iterable[Sequence[float]] = (),
    unsure: Iterable[int] = (),
    texts: Iterable[Text] = (),
    patient: str | None = None,
) -> PatientImageRecord:
    """Returns one image of a record.

    Args:
        id: the id of the image.
        modality: "CT", "MR" or "OT".
        image: the pixels: int16 [H, W] (CT in HU, MR as stored), float32 [H, W], or uint8
            [H, W, 3].
        plane: "axial", "coronal", "sagittal" or "".
        body_part: free text.
        segmap: the label map, uint8 [H, W] of class ids, or None.
        boxes: the boxes as (x1, y1, x2, y2, class id) in pixels; x2 and y2 are exclusive.
        unsure: the ids of classes that may be shown although neither map nor boxes show them.
        texts: the texts, with the fields that `pp.example.Text` marks as "record".
        patient: the pseudonym of the patient ("" if it is not known), in a dataset whose records
            may have images of several patients, see `each_patient` of `build.build`. With None
            the image has no such field, and the patient is that of the record.
    """
    own: dict[str, Any] = {} if patient is None else {"patient": patient}
    return {
        "id": id,
        "modality": modality,
        "plane": plane,
        "body_part": body_part,
        "image": packed.pack(image),
        "segmap": b"" if segmap is None else packed.pack(np.asarray(segmap, np.uint8)),
        "boxes": json.dumps([list(b) for b in boxes]),
        "unsure": json.dumps(list(unsure)),
        "texts": json.dumps(list(texts), ensure_ascii=False),
        **own,
    }


def make_record(id: str, patient: str, images: Sequence[ImageRecord]) -> Record:
    """Returns a record: an item with one image, or with several to choose from.

    Args:
        id: the id of the record, unique in the split.
        patient: the pseudonym of the patient; "" if it is not known, or if there are several.
        images: the results of `make_image_record`, at least one.

    Raises:
        ValueError: `images` is empty.
    """
    if not images:
        raise ValueError(f"record {id!r} has no image")
    return {"id": id, "patient": patient, "images": [dict(i) for i in images]}


def open_split(
    name: str, config: str, version: str, split: str, data_dir: str | Path, command: str
) -> core.RecordSource:
    """Opens a split of a built dataset.

    Args:
        name: the name of the dataset.
        config: the name of the variant.
        version: the version of the format.
        split: the name of a split or a part of it, such as "train[:100]".
        data_dir: the folder under which the dataset lies.
        command: the command that builds it, for the error message.

    Raises:
        FileNotFoundError: The dataset is not built, or one of its files is missing or cut off.
        ValueError: The split does not exist.
    """
    folder = Path(data_dir) / name / config / version
    for path, size in damaged(folder, build_info(folder) or {}):
        raise FileNotFoundError(
            f"{path} is missing or not of the {size} bytes it had; "
            f"build the dataset again: {command} --overwrite"
        )
    return core.RecordSource(folder, split, command)


def damaged(folder: Path, info: Mapping[str, Any]) -> Iterator[tuple[Path, int]]:
    """Yields (path, expected bytes) for each file that is missing or has another size.

    Args:
        folder: the version folder of the dataset.
        info: the content of its `build.json`, see `build_info`.
    """
    for file, size in (info.get("sizes") or {}).items():
        path = folder / file
        if not path.exists() or path.stat().st_size != size:
            yield path, size


def build_info(folder: Path) -> dict[str, Any] | None:
    """Returns the content of `build.json` of a built dataset, or None if it is not built."""
    path = folder / BUILD_INFO
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
