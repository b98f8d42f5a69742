"""Reads a DICOM SEG onto the grid of a volume.

Frames may be of any order, and blank ones may be missing; each is laid where its own position says.
BINARY and LABELMAP objects are read. A segment is the class that its label names; if the label
names none, its codes decide (see `dicom.codes`).
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Float, UInt8
from pydicom import pixels, uid

from big_rad.annotate.canonical import Stored
from big_rad.annotate.faults import Failed, Rejected
from big_rad.annotate.segment import harmonised
from big_rad.annotate.segment.result import ELSEWHERE, NEAR, REMEDY, Canvas
from big_rad.annotate.volumes import Volume, header
from big_rad.datasets import label_tables
from big_rad.dicom import codes, objects
from big_rad.dicom.errors import WriteError
from big_rad.grounding import classes

_SEG, _LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
_MAX_BYTES = 1 << 30
# Where a SEG names the images for which it was made.
_REFERENCES = (
    "ReferencedSeriesSequence",
    "SourceImageSequence",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
)
_UIDS = ("SeriesInstanceUID", "ReferencedSOPInstanceUID")
_OTHER = (
    "the DICOM SEG was made for other images: neither its frame of reference nor a series or an "
    "image that it refers to is that of the image; give the SEG of this series, or if it is that "
    "of this series and its UIDs were changed, save it as a NIfTI of labels"
)
_OF_NIFTI = (
    "the image is NIfTI and does not say of which series it is, so whether the DICOM SEG was made "
    "for it is unknown, and only its place was compared"
)
_UNSAID = "the DICOM SEG does not say for which series it was made, so only its place was compared"
_RANK = {class_id: rank for rank, class_id in enumerate(harmonised.ORDER)}


@dataclasses.dataclass(frozen=True)
class Found:
    """What was read from a DICOM SEG.

    Attributes:
        labels: the class ids.
        not_used: the number of segments with frames that are no class.
        several: the number of voxels in several classes.
        warnings: sentences about what was left out.
    """

    labels: UInt8[np.ndarray, "i j k"]
    not_used: int
    several: int
    warnings: tuple[str, ...]


def read(path: Path, volume: Stored, source: Volume | None = None) -> Found:
    """Reads a DICOM SEG.

    Args:
        path: the file.
        volume: the volume on whose grid the labels shall lie.
        source: the same volume as its source has it, for which the SEG must have been made; None
            compares places only.

    Raises:
        Rejected: the file cannot be used.
        Failed: the file could not be read, for a reason that may pass.
    """
    return _safely(_read, path, volume, source)


def check(path: Path, volume: Stored, source: Volume | None = None) -> tuple[str, ...]:
    """Checks a DICOM SEG by its header: its kind, its place, and for which images it was made.

    Args:
        path: the file.
        volume: the volume; only its grid is used.
        source: as in `read`.

    Returns:
        Warnings.

    Raises:
        Rejected: the file cannot be used.
        Failed: the file could not be read, for a reason that may pass.
    """
    return _safely(_checked, path, volume, source)


def _safely(
    function: Callable[[Path, Stored, Volume | None], Any],
    path: Path,
    volume: Stored,
    source: Volume | None,
) -> Any:
    """Calls a function that reads a SEG; nothing that pydicom says of it gets out."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Rejected(
                f"the DICOM SEG has more than {_MAX_BYTES} bytes; leave out empty frames"
            )
        with objects.guarded("the DICOM SEG"):
            # A fault of ours must not become that of the library, so it is kept until the end.
            try:
                found = function(path, volume, source)
            except Rejected as e:
                found = e
    except WriteError:
        raise Rejected(
            "the DICOM SEG is damaged or not standard; check it with dciodvfy, or save it again"
        ) from None
    except (OSError, MemoryError) as e:
        raise Failed(f"the DICOM SEG could not be read ({type(e).__name__})") from None
    if isinstance(found, Rejected):
        raise found
    return found


def _checked(path: Path, volume: Stored, source: Volume | None) -> tuple[str, ...]:
    ds, shared, _ = _header(path, volume, whole=False)
    warnings = _made_for(ds, source)
    size = int(ds.Rows), int(ds.Columns)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        _placed(_geometry(frame, shared), size, volume)
    return warnings


def _made_for(ds: pydicom.Dataset, source: Volume | None) -> tuple[str, ...]:
    """Returns warnings about the images for which a SEG was made.

    Series of other patients often have the same size and place, so a place that fits says little.

    Raises:
        Rejected: it was made for other images: neither its frame of reference nor a series or an
            image that it refers to is that of the volume.
    """
    if source is None:
        return ()
    if source.series is None:
        return (_OF_NIFTI,)
    ours = header(source.paths[0], ["FrameOfReferenceUID", "SeriesInstanceUID"])
    frames = [str(one.get("FrameOfReferenceUID") or "") for one in (ds, ours)]
    if frames[0] and frames[0] == frames[1]:
        return ()
    of_image = {ref.sop_instance_uid for ref in source.series.slices} - {""}
    of_image |= {str(ours.get("SeriesInstanceUID") or "")} - {""}
    named = _referenced(ds)
    if named & of_image:
        return ()
    if all(frames) or (named and of_image):
        raise Rejected(_OTHER)
    return (_UNSAID,)


def _referenced(ds: pydicom.Dataset) -> set[str]:
    """Returns the UIDs of the series and of the images that a SEG refers to."""
    found, pending = set(), [ds.get(name) for name in _REFERENCES]
    while pending:
        for item in pending.pop() or ():
            found |= {str(item.get(keyword) or "") for keyword in _UIDS}
            pending += [element.value for element in item if element.VR == "SQ"]
    return found - {""}


def _header(
    path: Path, volume: Stored, whole: bool
) -> tuple[pydicom.Dataset, pydicom.Dataset | dict, str]:
    """Returns the object, its shared groups, and its kind, "BINARY" or "LABELMAP"."""
    meta = pydicom.filereader.read_file_meta_info(path)
    # Deflated data may grow a thousandfold, and pydicom inflates all before it can be checked.
    if meta.get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
        raise Rejected("the DICOM SEG is deflated as a whole; save it uncompressed")
    ds = pydicom.dcmread(path, stop_before_pixels=not whole)
    kind = _check(ds, volume)
    shared = (
        ds.SharedFunctionalGroupsSequence[0] if ds.get("SharedFunctionalGroupsSequence") else {}
    )
    return ds, shared, kind


def _read(path: Path, volume: Stored, source: Volume | None) -> Found:
    ds, shared, kind = _header(path, volume, whole=True)
    warnings = _made_for(ds, source)
    frames = ds.PerFrameFunctionalGroupsSequence
    class_of = {int(s.SegmentNumber): _class(s) for s in ds.SegmentSequence}
    size = int(ds.Rows), int(ds.Columns)
    places = [_placed(_geometry(f, shared), size, volume) for f in frames]
    canvas = Canvas(volume.shape)
    if kind == "LABELMAP":
        used = _paint_labelmap(ds, class_of, places, canvas)
    else:
        numbers = [_segment(frame, shared) for frame in frames]
        if any(n not in class_of for n in numbers):
            raise Rejected("a frame of the DICOM SEG refers to a segment that it does not have")
        used = set(numbers)
        chosen = [n for n, number in enumerate(numbers) if class_of[number]]
        # In this order the result does not depend on that of the frames.
        chosen.sort(key=lambda n: (_RANK[class_of[numbers[n]]], n))
        for n, mask in zip(chosen, pixels.iter_pixels(ds, indices=chosen, raw=True)):
            _paint(places[n], mask != 0, class_of[numbers[n]], canvas)
    return Found(
        canvas.labels, sum(class_of.get(n) is None for n in used), canvas.several, warnings
    )


def _check(ds: pydicom.Dataset, volume: Stored) -> str:
    """Returns the kind of segmentation, "BINARY" or "LABELMAP"."""
    if ds.get("SOPClassUID") not in (_SEG, _LABELMAP):
        raise Rejected("the mask is a DICOM file but no segmentation (SEG); give a SEG or a NIfTI")
    kind = ds.get("SegmentationType")
    if kind not in ("BINARY", "LABELMAP"):
        raise Rejected("the DICOM SEG is FRACTIONAL; export it as BINARY or LABELMAP")
    frames = ds.get("PerFrameFunctionalGroupsSequence") or []
    if not frames or not ds.get("SegmentSequence"):
        raise Rejected("the DICOM SEG has no frames or no segments; save it again")
    if len(frames) != int(ds.get("NumberOfFrames") or 0):
        raise Rejected("the DICOM SEG has another number of frames than it says; save it again")
    if max(int(ds.Rows), int(ds.Columns)) > max(volume.shape):
        raise Rejected(f"{ELSEWHERE}: its frames are larger; {REMEDY}")
    return kind


def _paint_labelmap(
    ds: pydicom.Dataset,
    class_of: dict[int, int | None],
    places: Sequence[tuple[Any, bool, tuple[int, int, int]]],
    canvas: Canvas,
) -> set[int]:
    """Paints frames of labels; returns the numbers of the segments that they show."""
    background = int(ds.get("PixelPaddingValue", 0))
    used: set[int] = set()
    for place, values in zip(places, pixels.iter_pixels(ds, raw=True), strict=True):
        present = [int(v) for v in np.unique(values) if v != background]
        if strange := [v for v in present if v not in class_of]:
            if strange != [0]:
                raise Rejected("a frame of the DICOM SEG shows a segment that it does not describe")
            present.remove(0)
        used.update(present)
        for number in sorted((p for p in present if class_of[p]), key=lambda p: _RANK[class_of[p]]):
            _paint(place, values == number, class_of[number], canvas)
    return used


def _paint(
    place: tuple[tuple[slice, ...], bool, tuple[int, int, int]],
    mask: np.ndarray,
    class_id: int,
    canvas: Canvas,
) -> None:
    where, exchanged, shape = place
    canvas.paint(where, (mask.T if exchanged else mask).reshape(shape), class_id)


def _geometry(frame: pydicom.Dataset, shared: pydicom.Dataset) -> Float[np.ndarray, "3 3"]:
    """Returns the steps [3] of rows and columns in mm, and the position of the first pixel."""
    orientation = _group(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient")
    position = _group(frame, shared, "PlanePositionSequence", "ImagePositionPatient")
    spacing = _group(frame, shared, "PixelMeasuresSequence", "PixelSpacing")
    if orientation is None or position is None or spacing is None:
        raise Rejected("a frame of the DICOM SEG does not say where it lies; export it with places")
    along, down = np.reshape([float(v) for v in orientation], (2, 3))
    apart, beside = (float(v) for v in spacing)
    made = np.array([down * apart, along * beside, [float(v) for v in position]])
    if not np.isfinite(made).all():
        raise Rejected("a frame of the DICOM SEG lies at an impossible place; save it again")
    return made


def _placed(
    geometry: Float[np.ndarray, "3 3"], size: tuple[int, int], volume: Stored
) -> tuple[tuple[slice, ...], bool, tuple[int, int, int]]:
    """Returns where a frame lies in a volume.

    Returns:
        The slices of the volume (with negative steps where an axis is reversed), whether rows and
        columns are exchanged, and the shape of that part.
    """
    matrix = np.linalg.inv(volume.affine[:3, :3])
    down, along = matrix @ geometry[0], matrix @ geometry[1]
    first = matrix @ (geometry[2] - volume.affine[:3, 3])
    axes = [int(np.argmax(np.abs(v))) for v in (down, along)]
    if axes[0] == axes[1]:
        raise Rejected(f"{ELSEWHERE}: a frame lies askew; {REMEDY}")
    steps = np.zeros((2, 3))
    for row, (axis, vector) in enumerate(zip(axes, (down, along))):
        steps[row, axis] = np.sign(vector[axis])
    ends = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (np.array(size) - 1)
    whole = np.rint(first) + ends @ steps
    apart = np.abs(first + ends @ np.array([down, along]) - whole).max()
    if not apart <= NEAR:
        raise Rejected(f"{ELSEWHERE}: a frame is up to {apart:.2g} voxels off; {REMEDY}")
    low, high = whole.min(axis=0).astype(int), whole.max(axis=0).astype(int)
    if (low < 0).any() or (high >= volume.shape).any():
        raise Rejected(f"{ELSEWHERE}: a frame lies outside; {REMEDY}")
    where = []
    for axis in range(3):
        sign = steps[:, axis].sum()
        start, stop = int(low[axis]), int(high[axis])
        if sign < 0:
            where.append(slice(stop, start - 1 if start else None, -1))
        else:
            where.append(slice(start, stop + 1))
    shape = tuple(int(n) for n in high - low + 1)
    return tuple(where), axes[1] < axes[0], shape


def _group(frame: pydicom.Dataset, shared: pydicom.Dataset, sequence: str, keyword: str) -> Any:
    for holder in (frame, shared):
        if items := holder.get(sequence):
            return items[0].get(keyword)
    return None


def _segment(frame: pydicom.Dataset, shared: pydicom.Dataset) -> int:
    number = _group(frame, shared, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    if number is None:
        raise Rejected("a frame of the DICOM SEG does not name its segment; save it again")
    return int(number)


def _class(segment: pydicom.Dataset) -> int | None:
    """Returns the class of a segment, or None if neither its label nor its codes name one."""
    named = label_tables.class_of(str(segment.get("SegmentLabel") or ""))
    coded = _BY_CODES.get(_codes(segment))
    if named and coded and named != coded:
        # One of both is wrong, and it may be the side.
        raise Rejected(
            f"segment {int(segment.SegmentNumber)} of the DICOM SEG has a label and codes of "
            "different classes; correct it"
        )
    return named or coded


def _codes(segment: pydicom.Dataset) -> tuple[str, str, str]:
    """Returns the values of the type, the side and the region of a segment, "" for none."""
    kind = _code(segment, "SegmentedPropertyTypeCodeSequence")
    region = _code(segment, "AnatomicRegionSequence")
    side = _code(kind, "SegmentedPropertyTypeModifierCodeSequence") or _code(
        region, "AnatomicRegionModifierSequence"
    )
    return tuple("" if c is None else str(c.get("CodeValue", "")) for c in (kind, side, region))


def _code(holder: pydicom.Dataset | None, sequence: str) -> pydicom.Dataset | None:
    items = holder.get(sequence) if holder is not None else None
    if not items or items[0].get("CodingSchemeDesignator") != codes.SCHEME:
        return None
    return items[0]


def _codes_of(class_id: int) -> tuple[str, str, str]:
    made = codes.of_class(class_id)
    return tuple(c.value if c else "" for c in (made.type, made.side, made.region))


_BY_CODES = {_codes_of(c.id): c.id for c in classes.CLASSES}
