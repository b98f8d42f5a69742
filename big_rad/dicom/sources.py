"""The source images of a DICOM object that we write: their headers, checked in one place.

A SEG or SR refers to its source images, belongs to their patient and study, and lies where they
lie. The headers must say all of that. What is missing is named in one error, because a geometry
that was guessed would put the result at another place of the patient. The exception are attributes
of patient and study that the standard allows to be empty: these stay empty.

Headers name the patient. They are kept only for the object that is written, which has to name the
patient as well.
"""

import dataclasses
import datetime
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom import uid
from pydicom.valuerep import DA, TM

from big_rad.dicom import copied, image, objects
from big_rad.dicom.errors import SourceError

KINDS = ("SEG", "SR")
_REQUIRED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows",
    "Columns",
)  # fmt: skip
_GEOMETRY = (
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness",
)  # fmt: skip
# The functional group of a multi-frame image in which an attribute lies.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
}
_LENGTHS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
_CROSS_SECTIONAL = ("CT", "MR", "PT")  # Their images always have a place in the patient.
_CROSS_CLASSES = (
    uid.CTImageStorage, uid.MRImageStorage, uid.PositronEmissionTomographyImageStorage
)  # fmt: skip
_SAME = ("StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "FrameOfReferenceUID")
_TOLERANCE = 1e-4  # Directions and sizes that differ by less are the same.
_DATES = ("Content", "Acquisition", "Series", "Study")


@dataclasses.dataclass(frozen=True)
class Frame:
    """One source image, or one frame of a multi-frame source.

    Attributes:
        index: its number in the sources, from 0.
        sop_class: its SOPClassUID.
        instance: its SOPInstanceUID.
        number: the frame number, from 1; None if the image has a single frame.
        position, orientation, spacing, thickness: the values of ImagePositionPatient,
            ImageOrientationPatient, PixelSpacing and SliceThickness as in the header; None if the
            header does not say.
    """

    index: int
    sop_class: str
    instance: str
    number: int | None
    position: Any
    orientation: Any
    spacing: Any
    thickness: Any


@dataclasses.dataclass(frozen=True)
class Source:
    """Source images that passed the check.

    Attributes:
        header: the header of the first image in `shown`, without pixels and without functional
            groups. What may be empty (`copied.MAY_BE_EMPTY`) is there.
        frames: the images, or the frames of a multi-frame image.
        shown: the numbers, from 0, of those that the object shows, in the order of their places.
            So the object does not depend on the order in which the images were given.
        placed: whether the frames have a place in the patient.
        apart: the distance between neighbouring slices in mm; None if there is one slice, or if the
            slices are not equally far apart.
        remarks: sentences about what was filled in. They hold no value of a header.
    """

    header: pydicom.Dataset = dataclasses.field(repr=False)
    frames: tuple[Frame, ...] = dataclasses.field(repr=False)
    shown: tuple[int, ...]
    placed: bool
    apart: float | None
    remarks: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The (height, width) of a frame in pixels."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def multiframe(self) -> bool:
        """Whether the source is one image of several frames."""
        return self.frames[0].number is not None

    @property
    def instances(self) -> tuple[str, ...]:
        """The SOPInstanceUIDs of the images, sorted."""
        return tuple(sorted({frame.instance for frame in self.frames}))


def check(
    images: Sequence[pydicom.Dataset], kind: str, used: Iterable[int] | None = None
) -> Source:
    """Checks the headers of source images.

    Args:
        images: the headers of the images of one series, or the header of one multi-frame image.
            Pixels are not needed.
        kind: the object to be written, "SEG" or "SR".
        used: the numbers, from 0, of the images (or frames) that the object shows. Only these must
            say everything. None checks all of them.

    Returns:
        The checked source. The given headers stay as they are.

    Raises:
        SourceError: attributes are missing or contradict each other. The message names all of them,
            but no value.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it is one of {KINDS}")
    if not images:
        raise SourceError(f"a DICOM {kind} refers to its source images, and none was given")
    with objects.guarded(f"a DICOM {kind}"):
        several = [i for i, ds in enumerate(images) if _is_multiframe(ds)]
        if several and len(images) > 1:
            raise SourceError(
                f"{_images(several, len(images), 'image')} of {len(images)}: a multi-frame image "
                "is the only source of its object; write one object for each"
            )
        frames = _frames(images[0]) if several else _images_of(images)
        shown = sorted(set(range(len(frames)) if used is None else used))
        beyond = [i for i in shown if not 0 <= i < len(frames)]
        if beyond:
            raise SourceError(
                f"there is no image or frame {beyond[0]}: the source has {len(frames)}, from 0"
            )
        placed = _has_place(images[0], frames)
        # Without a place in the patient, highdicom refers to one single-frame image only.
        geometry = placed or kind == "SEG" and bool(several or len(shown) > 1)
        _check_missing(images, frames, shown, kind, geometry)
        unknown = [i for i in shown if frames[i].sop_class not in uid.UID_dictionary]
        if unknown:
            raise SourceError(
                f"SOPClassUID ({_images(unknown, len(frames), 'image')}) is of no image that DICOM "
                f"knows, so a {kind} cannot refer to it; give the original DICOM files"
            )
        shown = _in_order(frames, shown)
        whole = [images[0]] if several else [images[i] for i in shown]
        _check_same(whole, [frames[i] for i in shown], kind)
        header, remarks = copied.filled(whole[0])
        return Source(header, frames, tuple(shown), placed, _apart(frames), remarks)


def created(images: Sequence[pydicom.Dataset]) -> datetime.datetime | None:
    """Returns the date and time of the first source image.

    The first complete pair counts: of the content, the acquisition, the series or the study. A date
    without a time is at midnight. None if the header has no date.
    """
    with objects.guarded("the date of the source"):
        for name in _DATES:
            date = copied.parsed(DA, images[0].get(f"{name}Date"))
            if date is not None:
                time = copied.parsed(TM, images[0].get(f"{name}Time")) or datetime.time()
                return datetime.datetime.combine(date, time.replace(tzinfo=None))
    return None


def steps(frames: Sequence[Frame]) -> np.ndarray:
    """Returns the distances between neighbouring slices in mm; slices at one place count once.

    Args:
        frames: frames with a position and an orientation; the first says the normal.
    """
    return np.diff(np.unique([_height(frame, frames[0]) for frame in frames]))


def _value(ds: pydicom.Dataset, keyword: str) -> Any:
    """Returns the value of an element, or None if there is none or it cannot be decoded."""
    try:
        return ds.get(keyword)
    except Exception:  # pydicom decodes an element when it is first asked for it.
        return None


def _is_multiframe(ds: pydicom.Dataset) -> bool:
    return (
        any(name in ds for name in copied.FUNCTIONAL_GROUPS)
        or int(ds.get("NumberOfFrames") or 1) > 1
    )


def _images_of(images: Sequence[pydicom.Dataset]) -> tuple[Frame, ...]:
    return tuple(_frame(ds, i, None, functools.partial(_value, ds)) for i, ds in enumerate(images))


def _frames(ds: pydicom.Dataset) -> tuple[Frame, ...]:
    shared = (ds.get(copied.FUNCTIONAL_GROUPS[0]) or [None])[0]
    each = ds.get(copied.FUNCTIONAL_GROUPS[1]) or []
    count = max(int(ds.get("NumberOfFrames") or 1), len(each))

    def getter(index: int) -> Callable[[str], Any]:
        own = each[index] if index < len(each) else None

        def get(keyword: str) -> Any:
            for groups in (own, shared):
                found = groups.get(_GROUPS[keyword]) if groups is not None else None
                if found and found[0].get(keyword) is not None:
                    return found[0].get(keyword)
            return None

        return get

    return tuple(_frame(ds, i, i + 1, getter(i)) for i in range(count))


def _frame(ds: pydicom.Dataset, index: int, number: int | None, get: Callable[[str], Any]) -> Frame:
    values = {keyword: _good(keyword, get(keyword)) for keyword in _GEOMETRY[1:]}
    sop_class, instance = (str(_value(ds, k) or "") for k in _REQUIRED[:2])
    return Frame(index, sop_class, instance, number, *values.values())


def _good(keyword: str, value: Any) -> Any:
    """Returns a value of the geometry as it is, or None if it is no geometry."""
    try:
        numbers = [float(v) for v in (value if keyword in _LENGTHS else [value])]
    except (TypeError, ValueError):
        return None
    if len(numbers) != _LENGTHS.get(keyword, 1) or not all(map(math.isfinite, numbers)):
        return None
    if keyword in ("PixelSpacing", "SliceThickness") and min(numbers) <= 0:
        return None
    if keyword == "ImageOrientationPatient" and not image.place_of(numbers[:3], numbers[3:], None):
        return None
    return value


def _has_place(ds: pydicom.Dataset, frames: Sequence[Frame]) -> bool:
    kinds = _value(ds, "Modality"), _value(ds, "SOPClassUID")
    if kinds[0] in _CROSS_SECTIONAL or kinds[1] in _CROSS_CLASSES:
        return True
    return bool(_value(ds, "FrameOfReferenceUID")) and any(f.position is not None for f in frames)


def _check_missing(
    images: Sequence[pydicom.Dataset],
    frames: Sequence[Frame],
    shown: Sequence[int],
    kind: str,
    geometry: bool,
) -> None:
    """Raises one error that names all attributes that a used image or frame lacks."""
    lacking: dict[str, list[int]] = {}
    needed = ["position", "orientation", "spacing", "thickness"] if geometry else []
    for i in shown:
        ds = images[i if frames[i].number is None else 0]
        names = [k for k in _REQUIRED if not _value(ds, k)]
        # An SR needs no frame of reference: its boxes lie in pixels of the image.
        names += ["FrameOfReferenceUID"] * (
            geometry and kind == "SEG" and not ds.get("FrameOfReferenceUID")
        )
        found = dataclasses.asdict(frames[i])
        names += [name for name, key in zip(_GEOMETRY[1:], needed) if found[key] is None]
        for name in names:
            lacking.setdefault(name, []).append(i)
    if lacking:
        what = "image" if frames[0].number is None else "frame"
        total = len(frames)
        parts = [f"{name} ({_images(at, total, what)})" for name, at in lacking.items()]
        raise SourceError(
            f"a DICOM {kind} cannot be written, because the headers of the source lack, or give no "
            f"usable value for: {'; '.join(parts)}. None of it can be guessed: geometry is never "
            "invented. Give the original DICOM files, or write without DICOM"
        )


def _check_same(images: Sequence[pydicom.Dataset], frames: Sequence[Frame], kind: str) -> None:
    """Raises an error if images of one object belong to several series or lie differently."""
    differ = [k for k in _SAME if len({str(ds.get(k) or "") for ds in images}) > 1]
    if kind == "SEG":
        for name, key in zip(_GEOMETRY[2:4], ("orientation", "spacing")):
            values = [getattr(f, key) for f in frames]
            values = [np.array([float(x) for x in v]) for v in values if v is not None]
            if any(not np.allclose(v, values[0], rtol=_TOLERANCE, atol=_TOLERANCE) for v in values):
                differ.append(name)
        places = [tuple(map(float, f.position)) for f in frames if f.position is not None]
        if len(set(places)) < len(places):
            raise SourceError(
                "two images or frames with a mask lie at the same place (time points, echoes or "
                "phases): a SEG cannot tell them apart; write one object for each"
            )
    if kind == "SR":
        differ = [k for k in differ if k == "StudyInstanceUID"]
    if differ:
        raise SourceError(
            f"the source images differ in {', '.join(differ)}: they are not one series, or a "
            f"localizer is among them; write one {kind} for each"
        )


def _in_order(frames: Sequence[Frame], shown: Sequence[int]) -> list[int]:
    def key(i: int) -> tuple[float, int, str]:
        frame, first = frames[i], frames[shown[0]]
        height = 0.0
        if frame.position is not None and first.orientation is not None:
            height = _height(frame, first)
        return height, frame.number or 0, frame.instance

    return sorted(shown, key=key)


def _height(frame: Frame, first: Frame) -> float:
    """Returns how far a frame lies along the normal of the first frame, in mm."""
    columns, rows = np.array([float(x) for x in first.orientation]).reshape(2, 3)
    return round(float(np.cross(columns, rows) @ [float(x) for x in frame.position]), 4)


def _apart(frames: Sequence[Frame]) -> float | None:
    if any(f.position is None or f.orientation is None for f in frames):
        return None
    between = steps(frames)
    if not len(between) or between.max() - between.min() > 0.01 * between.mean():
        return None
    return float(round(between.mean(), 6))


def _images(at: Sequence[int], total: int, what: str) -> str:
    """Returns words for numbers, such as "images 2, 4 and 5" or "all 3 images", from 1."""
    if len(at) == total and total > 1:
        return f"all {total} {what}s"
    names = [str(i + 1) for i in at[:8]]
    if len(at) > 8:
        names[-1:] = [names[-1], f"{len(at) - 8} more"]
    words = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{what} {words}" if len(at) == 1 else f"{what}s {words}"
