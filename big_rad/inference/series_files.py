"""The folder of a predicted series: one set of files for each slice, and what they give together.

    OUT/<series>/slices/0007.json          the prediction about slice 7; beside it its overlay, its
                                           masks, and what the model saw
    OUT/<series>/slices.jsonl              all predictions, a line each
    OUT/<series>/entities.csv              all entities, a row each
    OUT/<series>/series.json               the regions that the entities were joined to
    OUT/<series>/series.html               a page to look at, see `pages.series`
    OUT/<series>/seg.dcm, sr.dcm           on request, see `dicom_results`

The JSON file of a slice is written last and whole, so a slice that has one is done. It names the
content of the image's file by its hash, so that it is not taken for another image's. Everything
that is about the whole series is made from the files of its slices. So a prediction that was killed
and resumed gives the same files as one that ran through.
"""

import csv
import functools
import io
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from big_rad import files
from big_rad.datasets import files as files_lib
from big_rad.dicom import read as dicom_read
from big_rad.dicom.series import Series, SliceRef
from big_rad.inference import predictions, regions
from big_rad.inference.confidence import Confidence
from big_rad.inference.predictions import Entity, Prediction

# The files that are about the whole series, and names of files in `slices`.
_WHOLE = ("seg.dcm", "sr.dcm", "sc.dcm", "series.json", "series.html", "slices.jsonl",
          "entities.csv")  # fmt: skip
_SLICE = re.compile(r"(\d{4,})(\.json|_overlay\.png|_seen\.png|_mask\d+\.png|_masks\.npy)")
_COLUMNS = (
    "series", "slice", "position_mm", "entity", "phrase", "class_id", "class_name",
    "x1", "y1", "x2", "y2", "mask_pixels", "confidence", "confidence_status", "withheld", "region",
)  # fmt: skip


class SeriesFiles:
    """The files of one series.

    Args:
        out: the folder of all outputs.
        series: the series.
        asked: everything that the predictions depend on, as plain data. Slices that were predicted
            with something else are not resumed.

    Attributes:
        series: the series.
        folder: the folder of the series.
        failed: the slices that could not be predicted, and why.
        changed: how many slices had predictions of other images, which were removed.
    """

    def __init__(self, out: str | pathlib.Path, series: Series, asked: Mapping[str, Any]):
        self.series, self.folder = series, pathlib.Path(out) / series.key
        self.failed: dict[int, str] = {}
        self.changed = 0
        self._slices = self.folder / "slices"
        self._sum = functools.cache(files_lib.sha256)
        self._asked = json.loads(json.dumps(asked, sort_keys=True))

    def start(self, resume: bool) -> list[SliceRef]:
        """Prepares the folder, and returns the slices that are still to be predicted.

        What an earlier prediction wrote about the whole series is removed, and written again later.

        Args:
            resume: whether slices that have been predicted stay, as long as their images are the
                same; otherwise all are removed and predicted again.

        Raises:
            ValueError: the folder holds predictions that were made with other options or by another
                checkpoint, and `resume` is True.
        """
        self._slices.mkdir(parents=True, exist_ok=True)
        path = self.folder / "asked.json"
        done = resume and path.exists()
        if done and json.loads(path.read_text(encoding="utf-8")) != self._asked:
            raise ValueError(
                f"{self.folder.name}: its slices were predicted by another checkpoint or with "
                "other options; leave out --resume to predict them again, or give another --out"
            )
        for name in _WHOLE:
            (self.folder / name).unlink(missing_ok=True)
        stay = {f"{r.index:04d}" for r in self.series.slices if done and self._is_same(r)}
        for old in sorted(self._slices.iterdir(), reverse=True):  # `0007_...` before `0007.json`.
            match = _SLICE.fullmatch(old.name)
            if match and match[1] not in stay:
                self.changed += done and old.suffix == ".json"
                old.unlink()
        if not done:
            files.write_whole(path, json.dumps(self._asked, indent=1, sort_keys=True) + "\n")
        return [ref for ref in self.series.slices if not self._json(ref).exists()]

    def stem(self, ref: SliceRef) -> str:
        """Returns the name of a slice in outputs: the series and the number of the slice."""
        return f"{self.series.key}/{ref.index:04d}"

    def write(
        self,
        ref: SliceRef,
        prediction: Prediction,
        image: dicom_read.Slice,
        seen: UInt8[np.ndarray, "..."] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Writes the files of a slice, and returns the content of its JSON file.

        Args:
            ref: the slice.
            prediction: the prediction about it.
            image: the slice as it is stored.
            seen: what the model saw, see `draw.seen`; None writes no picture of it.
            **fields: see `predictions.to_json`.
        """
        if seen is not None:
            # Three windows are stored one below the other, as one grey picture.
            windows = seen.ndim == 3 and seen.shape[0] == 3
            rows = seen.reshape(-1, seen.shape[-1]) if windows else seen
            Image.fromarray(rows).save(self._seen(ref), optimize=True)
        place = {"series": self.series.key, "slice": ref.index, "position_mm": ref.position}
        origin = {"source": self._source(ref), "frame": ref.frame}
        fields = {"file": self.stem(ref), **place, **origin, **fields}
        return predictions.write(prediction, image, self._slices, f"{ref.index:04d}", **fields)

    def read(self) -> list[tuple[SliceRef, dict[str, Any]]]:
        """Returns the slices that have been predicted, with the content of their JSON files."""
        done = [ref for ref in self.series.slices if self._json(ref).exists()]
        return [(ref, json.loads(self._json(ref).read_text(encoding="utf-8"))) for ref in done]

    def prediction(self, plain: Mapping[str, Any]) -> Prediction:
        """Returns the prediction about a slice from the content of its JSON file."""
        sure = plain["confidence"]
        return Prediction(
            text=plain["text"],
            entities=self._entities(plain),
            logprob=plain["logprob"],
            tokens=plain["tokens"],
            turned=plain["orientation"]["turned"],
            warnings=tuple(plain["warnings"]),
            confidence=None if sure is None else _confidence(sure),
            changed=plain["changed_tokens"],
        )

    def seen(self, ref: SliceRef) -> UInt8[np.ndarray, "..."] | None:
        """Returns the picture of what the model saw of a slice; None if there is none."""
        path = self._seen(ref)
        if not path.exists():
            return None
        with Image.open(path) as picture:
            found = np.asarray(picture)
        height, width = found.shape[:2]
        return found.reshape(3, width, width) if found.ndim == 2 and height == 3 * width else found

    def finish(self, **fields: Any) -> tuple[list[regions.Marked], tuple[regions.Region, ...]]:
        """Writes the files that are about the whole series.

        Args:
            **fields: fields of `series.json`, such as the task.

        Returns:
            What is marked on each slice, and the regions.
        """
        found = self.read()
        marked = [
            regions.Marked(ref.index, self._entities(x), ref.position, ref.spacing, ref.place)
            for ref, x in found
        ]
        joined = regions.join(marked, self.series.thickness)
        lines = [json.dumps(x, ensure_ascii=False) + "\n" for _, x in found]
        files.write_whole(self.folder / "slices.jsonl", "".join(lines))
        files.write_whole(self.folder / "entities.csv", self._table(found, joined))
        plain = regions.to_json(joined, self.series, marked, **fields)
        plain["predicted"] = len(found)
        plain["failed"] = [{"slice": i, "reason": why} for i, why in sorted(self.failed.items())]
        self.write_json(plain)
        return marked, joined

    def write_json(self, plain: Mapping[str, Any]) -> None:
        """Writes `series.json`."""
        text = json.dumps(plain, ensure_ascii=False, indent=1)
        files.write_whole(self.folder / "series.json", text + "\n")

    def read_json(self) -> dict[str, Any]:
        """Returns the content of `series.json`."""
        return json.loads((self.folder / "series.json").read_text(encoding="utf-8"))

    def _is_same(self, ref: SliceRef) -> bool:
        # Whether the prediction about a slice, if there is one, is about the same image.
        path = self._json(ref)
        if not path.exists():
            return False
        plain = json.loads(path.read_text(encoding="utf-8"))
        place = (plain.get("source"), plain.get("frame"), plain.get("position_mm"))
        return place == (self._source(ref), ref.frame, ref.position)

    def _source(self, ref: SliceRef) -> str:
        # The first digits that `sha256sum FILE` prints.
        return self._sum(ref.path)[:16]

    def _seen(self, ref: SliceRef) -> pathlib.Path:
        return self._slices / f"{ref.index:04d}_seen.png"

    def _json(self, ref: SliceRef) -> pathlib.Path:
        return self._slices / f"{ref.index:04d}.json"

    def _entities(self, plain: Mapping[str, Any]) -> tuple[Entity, ...]:
        masks = np.load(self._slices / plain["masks"]) if "masks" in plain else None
        found = []
        for i, e in enumerate(plain["entities"]):
            sure = e["confidence"]
            found.append(
                Entity(
                    phrase=e["phrase"],
                    class_id=e["class_id"],
                    class_name=e["class_name"],
                    box=None if e["box"] is None else tuple(e["box"]),
                    mask=masks[i] if "mask_pixels" in e else None,
                    confidence=None if sure is None else _confidence(sure),
                    withheld="withheld" in e,
                )
            )
        return tuple(found)

    def _table(
        self,
        found: list[tuple[SliceRef, dict[str, Any]]],
        joined: tuple[regions.Region, ...],
    ) -> str:
        numbers = {entity: region.number for region in joined for entity in region.entities}
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(_COLUMNS)
        for ref, plain in found:
            for i, e in enumerate(plain["entities"]):
                sure = e["confidence"] or {}
                table.writerow(
                    [
                        self.series.key,
                        ref.index,
                        ref.position,
                        i,
                        _cell(e["phrase"]),
                        e["class_id"],
                        e["class_name"],
                        *(e["box"] or [""] * 4),
                        e.get("mask_pixels", ""),
                        sure.get("value", ""),
                        sure.get("status", ""),
                        e.get("withheld", ""),
                        numbers.get((ref.index, i), ""),
                    ]  # fmt: skip
                )
        return out.getvalue()


def without_name(error: Exception | str, ref: SliceRef) -> str:
    """Returns an error without the name of the slice's file, which may be that of a patient."""
    return str(error).removeprefix(f"{ref.path.name}: ").replace(ref.path.name, "the file")


def _confidence(plain: Mapping[str, Any]) -> Confidence:
    value = plain["value"]
    calibrated = value if plain["status"] == "calibrated" else None
    return Confidence(plain["kind"], plain["features"], value, calibrated)


def _cell(text: str) -> str:
    # A spreadsheet would run a cell that begins like a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
