"""The boxes and masks of a predicted series as DICOM objects: a SEG and an SR.

    written, said = results(series_files, marked, regions, wanted=("seg", "sr"), origin=...)

What is not written, and why, is said: a model that points with boxes gives no SEG, since a box is
never drawn as a mask, and a series without any entity gives neither object.
"""

import datetime
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pydicom

import big_rad
from big_rad import weights
from big_rad.dicom import capture, objects, segmentation, sources, structured_report
from big_rad.dicom import read as dicom_read
from big_rad.dicom.errors import WriteError
from big_rad.dicom.series import Series
from big_rad.grounding import classes
from big_rad.inference import calibration, draw, regions

WANTED = ("seg", "sr", "sc")
_ALGORITHM = "RadGrounder"


def fingerprint(checkpoint: str | pathlib.Path) -> str:
    """Returns a text that identifies the weights of a checkpoint, wherever it lies.

    For a run it is the digest of the checksums of its arrays. For other checkpoints, and for runs
    without such a digest, it is a hash of the names and contents of the files that are smaller than
    a megabyte, and of the names and sizes of the others.
    """
    digest = calibration.digest_of(checkpoint)
    if digest:
        return digest
    path = pathlib.Path(checkpoint)
    weights.check(path)
    whole = hashlib.sha256()
    for file in sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file()):
        name, size = file.relative_to(path.parent).as_posix(), file.stat().st_size
        whole.update(f"{name}\n{size}\n".encode())
        if size < 1 << 20:
            whole.update(file.read_bytes())
    return whole.hexdigest()


def origin_of(
    headers: Sequence[pydicom.Dataset],
    mark: str,
    asked: Mapping[str, Any],
    now: datetime.datetime | None,
    lang: str,
) -> objects.Origin:
    """Returns what the objects say about where they come from.

    Args:
        headers: the headers of the source images.
        mark: the fingerprint of the checkpoint.
        asked: everything that the predictions depend on.
        now: the date and time of the content; None takes those of the source.
        lang: the language of the texts.

    Raises:
        WriteError: the source has no date, and `now` is None.
    """
    with objects.guarded("the date of the source"):
        created = now or sources.created(headers)
    if created is None:
        raise WriteError("the source states no date; give one with --now=2026-01-31T12:00:00")
    return objects.Origin(
        algorithm=_ALGORITHM,
        version=big_rad.__version__,
        fingerprint=mark,
        options=json.dumps(asked, sort_keys=True),
        created=created,
        language=lang,
    )


def headers_of(series: Series) -> list[pydicom.Dataset]:
    """Returns the headers of a DICOM series' files, in the order of its slices, without pixels."""
    paths = list(dict.fromkeys(ref.path for ref in series.slices))
    found = []
    for path in paths:
        with objects.guarded("a source file"):
            found.append(pydicom.dcmread(path, stop_before_pixels=True))
    return found


def results(
    series: Series,
    marked: Sequence[regions.Marked],
    joined: Sequence[regions.Region],
    headers: Sequence[pydicom.Dataset],
    origin: objects.Origin,
    wanted: Sequence[str],
) -> tuple[dict[str, objects.Written], dict[str, str]]:
    """Makes the DICOM objects of a series.

    Args:
        series: the series.
        marked: what is marked on each slice, in stored pixels.
        joined: the regions.
        headers: the headers of the slices' files, or of the picture's Secondary Capture.
        origin: what the objects say about where they come from.
        wanted: "seg", "sr", or both.

    Returns:
        The objects by name, and for each wanted object that is not made, why.
    """
    numbers = _numbers(series, headers)
    regions_of = {entity: region for region in joined for entity in region.entities}
    made: dict[str, objects.Written] = {}
    said: dict[str, str] = {}
    for name in wanted:
        try:
            if name == "seg":
                written = _seg(marked, joined, headers, origin, numbers)
            else:
                written = _sr(marked, regions_of, headers, origin, numbers)
        except WriteError as e:
            said[name] = f"not written: {e}"
            continue
        if written is not None:
            made[name] = written
        elif name == "seg" and any(e.box for m in marked for e in m.entities):
            said[name] = (
                "not written: the model points with boxes, and a box is never drawn as a mask"
                if all(e.mask is None for m in marked for e in m.entities)
                else "not written: all masks are blank"
            )
        else:
            said[name] = "not written: there is no entity with a place"
    return made, said


def picture(
    image: dicom_read.Slice, mark: str, asked: Mapping[str, Any], now: datetime.datetime | None
) -> objects.Written:
    """Returns a Secondary Capture of a picture, to which a SEG or an SR can refer.

    Raises:
        WriteError: there is no date.
    """
    if now is None:
        raise WriteError("a picture states no date; give one with --now=2026-01-31T12:00:00")
    origin = origin_of((), mark, asked, now, "en")
    return capture.secondary_capture(draw.window(image.pixels, image.modality), origin)


def _numbers(series: Series, headers: Sequence[pydicom.Dataset]) -> dict[int, int]:
    # The number of the header or frame of each slice.
    paths = list(dict.fromkeys(ref.path for ref in series.slices))
    several = len(headers) == 1 and any(ref.frame for ref in series.slices)
    return {
        ref.index: (ref.frame or 0) if several else paths.index(ref.path) for ref in series.slices
    }


def _seg(
    marked: Sequence[regions.Marked],
    joined: Sequence[regions.Region],
    headers: Sequence[pydicom.Dataset],
    origin: objects.Origin,
    numbers: Mapping[int, int],
) -> objects.Written | None:
    entities = {(m.index, i): e for m in marked for i, e in enumerate(m.entities)}
    segments = []
    for region in joined:
        masks: dict[int, Any] = {}
        for key in region.entities:
            mask = entities[key].mask
            if mask is not None:
                at = numbers[key[0]]
                masks[at] = mask | masks[at] if at in masks else mask
        if masks:
            label = _label(region, origin.language)
            same = sum(other.class_name == region.class_name for other in joined) > 1
            label = f"{label} ({region.number})" if same else label
            segments.append(
                segmentation.Segment(region.class_id, label, f"region {region.number}", masks)
            )
    return segmentation.segmentation(headers, segments, origin) if segments else None


def _label(region: regions.Region, language: str) -> str:
    if language != "en" and region.class_id:
        return getattr(classes.by_id(region.class_id), language)
    return (region.class_name or region.phrases[0]).replace("_", " ")


def _sr(
    marked: Sequence[regions.Marked],
    regions_of: Mapping[tuple[int, int], regions.Region],
    headers: Sequence[pydicom.Dataset],
    origin: objects.Origin,
    numbers: Mapping[int, int],
) -> objects.Written | None:
    boxes = []
    for one in marked:
        for i, entity in enumerate(one.entities):
            if entity.box is None:
                continue
            sure, region = entity.confidence, regions_of.get((one.index, i))
            boxes.append(
                structured_report.Box(
                    class_id=entity.class_id,
                    phrase=entity.phrase,
                    box=entity.box,
                    image=numbers[one.index],
                    confidence=None if sure is None else sure.value,
                    calibrated=sure is not None and sure.calibrated is not None,
                    region=None if region is None else region.number,
                )
            )
    return structured_report.structured_report(headers, boxes, origin) if boxes else None
