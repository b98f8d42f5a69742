"""What a dataset is made of, and what was built: records, problems, notes; and opens them again.

Knows neither how records are made (`datasets.build`) nor any published format.
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

NOTE = "build.json"
REJECTS = "rejects.jsonl"


class ImageRecord(TypedDict):
    """One image of a record, as it is stored; `core.RecordSource` makes an `Example` of it."""

    id: str
    modality: str  # "CT", "MR" or "OT"
    plane: str  # "axial", "coronal", "sagittal" or ""
    body_part: str  # free text
    image: bytes  # packed, see `pp.packed`
    segmap: bytes  # packed; empty if there is none
    boxes: str  # JSON: [[x1, y1, x2, y2, class id], ...]
    unsure: str  # JSON: [class id, ...]
    texts: str  # JSON: a list of `pp.example.Text`


class Record(TypedDict):
    """A record as it is stored: an item with one image, or several to choose from."""

    id: str
    patient: str  # pseudonym; "" if the source does not say it
    images: list[ImageRecord]


class SourceError(ValueError):
    """A source folder that cannot be used; the message says what is missing, and where it is."""


class BuildError(ValueError):
    """Too many items of a source cannot be used; the message gives the first reasons.

    Attributes:
        share: the `max_reject_share` that would let them through; None if none would.
    """

    share: float | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something wrong in a source.

    Attributes:
        file: name as published, relative to the source folder.
        line: 1-based line (row of a table), or None.
        field: which field, "" if the file itself.
        message: what is wrong and the remedy; holds no patient's identity.
        level: "error", or "warning" if the data can be used. Builders have levels of their own for
            what they count.
        items: how many lines, questions or images it takes away; 0 for a further problem of what
            another one takes away.
    """

    file: str
    line: int | None
    field: str
    message: str
    level: str = "error"
    items: int = dataclasses.field(default=1, compare=False, repr=False)

    def listed(self) -> dict[str, Any]:
        """Returns the problem as files list it."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "items"}

    def __str__(self) -> str:
        parts = [self.file, *([str(self.line)] if self.line is not None else [])]
        return ": ".join([":".join(parts), *([self.field] if self.field else []), self.message])


@dataclasses.dataclass
class Built:
    """A built dataset.

    Attributes:
        folder: where its files lie.
        counts: records by split.
        reused: it was there already.
        rejects: items left out; `rejects.jsonl` in the folder lists them.
        notes: lines for the user: splits, counts, digests, warnings.
        contents: a line for the user on what each split holds; none if it was built before they
            were counted.
    """

    folder: Path
    counts: dict[str, int]
    reused: bool
    rejects: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    contents: list[str] = dataclasses.field(default_factory=list)


def image_record(
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
) -> ImageRecord:
    """Returns one image of a record.

    Args:
        id: of the image.
        modality: "CT", "MR" or "OT".
        image: int16 [H, W] (CT in HU, MR as stored), float32 [H, W], or uint8 [H, W, 3].
        plane: "axial", "coronal", "sagittal" or "".
        body_part: free text.
        segmap: uint8 [H, W] of class ids.
        boxes: (x1, y1, x2, y2, class id) in pixels, x2 and y2 exclusive.
        unsure: ids of classes that may be shown though neither map nor boxes show them.
        texts: the fields that a dataset gives them, see `pp.example.Text`.
    """
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
    }


def record(id: str, patient: str, images: Sequence[ImageRecord]) -> Record:
    """Returns a record: an item with one image, or several to draw from.

    Args:
        id: unique in the split.
        patient: pseudonym.
        images: of `image_record`; at least one.
    """
    if not images:
        raise ValueError(f"record {id!r} has no image")
    return {"id": id, "patient": patient, "images": [dict(i) for i in images]}


def open(
    name: str, config: str, version: str, split: str, data_dir: str | Path, command: str
) -> core.RecordSource:
    """Opens a split of a built dataset.

    Args:
        name: of the dataset.
        config: of the variant.
        version: of the format.
        split: a split's name or a slice of it.
        data_dir: as for `build`.
        command: what builds it, for the error message.

    Raises:
        FileNotFoundError: it is not built, or a file of it is missing or cut off.
        ValueError: no such split.
    """
    folder = Path(data_dir) / name / config / version
    for path, size in damaged(folder, note(folder) or {}):
        raise FileNotFoundError(
            f"{path} is missing or not of the {size} bytes it had; "
            f"build the dataset again: {command} --overwrite"
        )
    return core.RecordSource(folder, split, command)


def damaged(folder: Path, noted: Mapping[str, Any]) -> Iterator[tuple[Path, int]]:
    """Yields the files of a dataset that are not as large as they were, and how large that is."""
    for file, size in (noted.get("sizes") or {}).items():
        path = folder / file
        if not path.exists() or path.stat().st_size != size:
            yield path, size


def note(folder: Path) -> dict[str, Any] | None:
    """Returns what `build.json` of a built dataset says; None if it is not built."""
    path = folder / NOTE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
