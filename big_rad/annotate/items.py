"""Writes an item: a new DICOM object, a label map, and a line that says everything else."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from big_rad.annotate import leaks, match
from big_rad.annotate.deidentify import objects
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.manifest import Row
from big_rad.annotate.slices import Stack


@dataclasses.dataclass(frozen=True)
class Names:
    """The pseudonyms and UIDs of the items of one volume.

    Attributes:
        keys: the keys of the run.
        patient, study, volume: the pseudonyms.
    """

    keys: Keys
    patient: str
    study: str
    volume: str

    @classmethod
    def of(cls, keys: Keys, row: Row, image: str, number: str) -> "Names":
        """Returns the names for a row.

        Args:
            keys: the keys of the run.
            row: a row about the volume.
            image: the pseudonym of the image.
            number: the number of the series in it, or "".
        """
        return cls(
            keys,
            keys.pseudonym("patient", row.patient),
            keys.pseudonym("study", row.patient, row.study),
            keys.pseudonym("series", image, number),
        )

    def item(self, item: match.Item) -> str:
        """Returns the id of an item."""
        place = (self.volume, item.plane, str(item.index), str(item.number))
        return self.keys.pseudonym("image", *place)

    def uids(self, item: match.Item) -> objects.ObjectUids:
        """Returns the UIDs of the DICOM object of an item."""
        return objects.ObjectUids(
            study=self.keys.uid("study", self.study),
            series=self.keys.uid("series", self.volume, item.plane),
            instance=self.keys.uid("image", self.item(item)),
            frame=self.keys.uid("frame", self.volume),
        )


def write(
    item: match.Item,
    stack: Stack,
    names: Names,
    date: str,
    segmentation: dict[str, Any],
    folder: Path,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Writes the two files of an item.

    Args:
        item: the item.
        stack: the volume that it is cut out of.
        names: the pseudonyms.
        date: the shifted date of the study, or "".
        segmentation: where the label map comes from.
        folder: the folder of the files.

    Returns:
        The line of the item, as JSON has it, and sentences on how the DICOM object differs from its
        source.
    """
    about, name = stack.stored.about, names.item(item)
    pixels = np.ascontiguousarray(item.cut.pixels)
    data, remarks = objects.image_object(
        pixels, modality=about["modality"], place=item.cut.place, spacing=item.cut.spacing,
        thickness=stack.thickness(item.plane), kept=about["kept"], uids=names.uids(item),
        patient=names.patient, study_date=date, number=item.index + 1,
        rescale=_rescale(pixels, *about["range"]),
    )  # fmt: skip
    files_ = [folder / f"{name}.dcm.zst", folder / f"{name}.npy"]
    files_[0].write_bytes(zstandard.ZstdCompressor(level=3).compress(data))
    np.save(files_[1], np.ascontiguousarray(item.cut.segmap), allow_pickle=False)
    for path in files_:  # The dataset links to them, so that whoever changes one changes both.
        path.chmod(0o444)
    line = {
        "id": name,
        "patient": names.patient,
        "study": names.study,
        "volume": names.volume,
        "modality": about["modality"],
        "plane": item.plane,
        "slice": item.index,
        "slices": stack.count(item.plane),
        "shape": list(pixels.shape),
        "spacing": [round(v, 6) for v in item.cut.spacing],
        "body_part": str(about["kept"].get("BodyPartExamined", "")),
        "visible": sorted({b[4] for b in item.boxes}),
        "boxes": item.boxes,
        "phash": leaks.phash(pixels),
        "pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "texts": {
            lang: {
                "sentence": one.sentence.text,
                "clinical": one.clinical,
                "indication": one.indication,
                "keywords": item.keywords[lang],
            }
            for lang, one in sorted(item.texts.items())
        },
        "provenance": {
            lang: _provenance(one, item.shown[lang]) for lang, one in sorted(item.texts.items())
        },
        "segmentation": segmentation,
    }
    return line, remarks


def _provenance(one: match.Wanted, shown: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    return {
        "row": one.row,
        "link": one.link,
        "section": one.sentence.section,
        "sentence": one.sentence.number,
        "rewritten": one.sentence.rewritten,
        "mentions": [
            {
                "keyword": m.phrase,
                "classes": list(m.class_ids),
                "negated": m.negated,
                "absent": m.absent,
                "kept": bool(ids),
                "shown": list(ids),
            }
            for m, ids in zip(one.sentence.mentions, shown, strict=True)
        ],
    }


def _rescale(pixels: np.ndarray, low: float, high: float) -> tuple[float, float] | None:
    """Returns slope and intercept that all slices of a volume share; None for whole numbers."""
    return None if pixels.dtype.kind == "i" else ((high - low) / 65535, low)
