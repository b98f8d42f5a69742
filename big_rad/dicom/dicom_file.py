"""DICOM files: from their bytes to a slice.

Only the elements named in `elements.TAGS` are looked at, so patient identity is not even parsed,
and pydicom is handed nothing but numbers. Knows nothing of files on disk, of the windows of the
model, or of models.
"""

import math
from typing import Any

import numpy as np
import pydicom
from pydicom import pixels, uid
from pydicom.valuerep import DSfloat

from big_rad.dicom import pixel_data, unpack
from big_rad.dicom.elements import IDENTITY, DataSet, Source, starts_with_vr
from big_rad.dicom.errors import (
    FrameError,
    MissingElementError,
    NotAnImageError,
    TooLargeError,
    UnsupportedError,
)
from big_rad.dicom.image import (
    MAX_PIXELS,
    Slice,
    compact,
    hu,
    in_blocks,
    orientation_of,
    place_of,
    plane_of,
)
from big_rad.dicom.pixel_data import Header

MAGIC = b"DICM"  # after 128 bytes of anything
_LAST_GROUP = max(IDENTITY.values()) >> 16
_REQUIRED = (
    "SOPClassUID", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PhotometricInterpretation", "PixelData",
)  # fmt: skip
_NO_IMAGE = ("SEG", "SR", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "KO", "DOC")
_CLASSES = {  # for files without a Modality
    uid.CTImageStorage: "CT",
    uid.EnhancedCTImageStorage: "CT",
    uid.LegacyConvertedEnhancedCTImageStorage: "CT",
    uid.MRImageStorage: "MR",
    uid.EnhancedMRImageStorage: "MR",
    uid.LegacyConvertedEnhancedMRImageStorage: "MR",
}
_GROUPS = (
    "PixelValueTransformationSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "FrameVOILUTSequence",
)


def read_dicom(data: bytes, name: str, frame: int | None) -> Slice:
    """Reads one frame.

    Args:
        data: the whole file, unpacked.
        name: of the file, for messages.
        frame: 0-based; None for a single-frame file.

    Raises:
        ReadError: see its subclasses. Other exceptions are for the caller to turn into one.
    """
    ds, syntax = _parse(data, name)
    header = _check_header(ds, syntax, name)
    frame = _check_frame(header, name, frame)
    values = pixel_data.decode(ds, header, frame, name)
    fields = _Fields(ds, frame)
    where = _where(fields)
    if values.ndim == 3:
        return Slice(values, "OT", units="rgb", **where)
    if header.modality == "CT":
        return Slice(_hu(values, fields, name), "CT", units="HU", **where)
    values = compact(_raw(values, fields, header), name)
    return Slice(values, "MR" if header.modality == "MR" else "OT", units="raw", **where)


def digests(data: bytes, name: str, key: bytes) -> dict[str, bytes]:
    """Returns keyed digests of the elements that say whose image it is, of those that are there.

    Args:
        data: a file, unpacked; its pixels may be cut off.
        name: of the file, for messages.
        key: of the digests; it should be random, and forgotten afterwards.

    Returns:
        By keyword of `elements.IDENTITY`, in its order.

    Raises:
        ReadError: the file is damaged, or cut off too early.
    """
    ds = _parse(data, name, last=_LAST_GROUP)[0]
    found = {keyword: ds.digest(keyword, key) for keyword in IDENTITY}
    return {keyword: digest for keyword, digest in found.items() if digest}


class _Fields:
    """Elements of one frame: its own functional groups first, then shared ones, then the file."""

    def __init__(self, ds: DataSet, frame: int):
        own = ds.item("PerFrameFunctionalGroupsSequence", frame)
        shared = ds.item("SharedFunctionalGroupsSequence")
        groups = [group.item(k) for group in (own, shared) if group for k in _GROUPS]
        self._places = [*(g for g in groups if g), ds]

    def get(self, keyword: str) -> Any:
        """Returns the value of an element, or None if absent or empty."""
        values = (place.get(keyword) for place in self._places)
        return next((v for v in values if v is not None), None)

    def number(self, keyword: str) -> float | None:
        """Returns the first value of an element of numbers, or None."""
        value = self.get(keyword)
        return value[0] if value else None

    def item(self, keyword: str) -> DataSet | None:
        """Returns the first item of a sequence, or None."""
        items = (place.item(keyword) for place in self._places)
        return next((i for i in items if i is not None), None)


def _parse(data: bytes, name: str, last: int | None = None) -> tuple[DataSet, str]:
    """Returns the data set, up to the group `last`, and the transfer syntax of its pixels."""
    meta = DataSet(Source(data, name), 132, len(data), implicit=False, group=2)
    syntax, start = meta.get("TransferSyntaxUID"), meta.end
    if not syntax:
        raise MissingElementError(f"{name}: no TransferSyntaxUID; export the file again")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        data, start = unpack.inflate(data[start:], name), 0
        syntax = str(uid.ExplicitVRLittleEndian)
    source = Source(data, name, little=syntax != uid.ExplicitVRBigEndian)
    # As in pydicom, the bytes decide if they contradict the transfer syntax.
    return DataSet(source, start, len(data), not starts_with_vr(data, start), last=last), syntax


def _check_header(ds: DataSet, syntax: str, name: str) -> Header:
    """Checks what is needed to know how much memory the pixels take, and that they are there."""
    modality = ds.get("Modality") or _CLASSES.get(ds.get("SOPClassUID"), "")
    what = f"a {modality} object is no image" if modality in _NO_IMAGE else "truncated, or no image"
    for keyword in _REQUIRED:
        found = ds.span(keyword)
        if not found or not found[1]:
            raise MissingElementError(f"{name}: no {keyword} ({what}); export the slice again")
    header = Header(
        syntax, modality, ds.get("Rows"), ds.get("Columns"), ds.get("SamplesPerPixel") or 1,
        ds.get("NumberOfFrames") or 1, ds.get("BitsAllocated"), ds.get("BitsStored"),
        ds.get("PixelRepresentation"), ds.get("PhotometricInterpretation") or "",
        ds.get("PlanarConfiguration"),
    )  # fmt: skip
    if modality in _NO_IMAGE or header.bits not in (8, 16):
        raise UnsupportedError(
            f"{name}: not an image of 8 or 16 bits a sample (Modality, BitsAllocated); give a CT, "
            "MR or other image slice"
        )
    if min(header.rows, header.columns, header.frames) < 1:
        raise MissingElementError(
            f"{name}: Rows, Columns or NumberOfFrames is below one; export it again"
        )
    if header.rows * header.columns > MAX_PIXELS:
        raise TooLargeError(
            f"{name}: Rows times Columns is {header.rows} x {header.columns}; the limit is "
            f"{MAX_PIXELS} pixels, downsample it first"
        )
    if not 1 <= header.stored <= header.bits or header.signed not in (0, 1):
        raise MissingElementError(
            f"{name}: BitsStored or PixelRepresentation is impossible; export it again"
        )
    _check_colour(header, name)
    high = ds.get("HighBit")
    in_words = header.samples == 1 and pixel_data.in_words(syntax)
    if in_words and high not in (None, header.stored - 1):  # PS3.5 8.1.1
        raise UnsupportedError(
            f"{name}: HighBit is not BitsStored - 1, so where the values lie in their words is not "
            "the usual; export it again, or convert it with a tool that moves them"
        )
    return header


def _check_colour(header: Header, name: str) -> None:
    grey = header.photometric in ("MONOCHROME1", "MONOCHROME2")
    colour = header.photometric == "RGB" or header.photometric.startswith("YBR_")
    if not (grey and header.samples == 1 or colour and header.samples == 3 and header.bits == 8):
        raise UnsupportedError(
            f"{name}: PhotometricInterpretation, SamplesPerPixel and BitsAllocated are neither of "
            "a grey image nor of RGB with 8 bits a sample; convert it to PNG"
        )


def _check_frame(header: Header, name: str, frame: int | None) -> int:
    frames = header.frames
    if frame is None and frames > 1:
        raise FrameError(f"{name}: has {frames} frames; name one, frame=0 to frame={frames - 1}")
    frame = frame or 0
    if not 0 <= frame < frames:
        raise FrameError(f"{name}: there is no frame {frame}, NumberOfFrames is {frames}")
    return frame


def _hu(values: np.ndarray, fields: _Fields, name: str) -> np.ndarray:
    slope, intercept = fields.number("RescaleSlope"), fields.number("RescaleIntercept")
    if slope is None or intercept is None:
        raise MissingElementError(
            f"{name}: CT without RescaleSlope and RescaleIntercept, so its HU are unknown; export "
            "the original slice, not a derived one"
        )
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise NotAnImageError(f"{name}: RescaleSlope, RescaleIntercept are not finite")
    return hu(values, slope, intercept, name)


def _raw(values: np.ndarray, fields: _Fields, header: Header) -> np.ndarray:
    """Applies the modality transformation, for all but MR the VOI window, and the inversion."""
    flat = pydicom.Dataset()  # of the frame's own fields, for pydicom's functions
    flat.PhotometricInterpretation = header.photometric
    flat.BitsAllocated, flat.BitsStored = header.bits, header.stored
    flat.PixelRepresentation = header.signed
    keywords = ["RescaleSlope", "RescaleIntercept"]
    tables = ["ModalityLUTSequence"]
    if header.modality != "MR":
        keywords += ["WindowCenter", "WindowWidth"]
        tables += ["VOILUTSequence"]
        flat.VOILUTFunction = fields.get("VOILUTFunction") or "LINEAR"
    for keyword in keywords:
        value = fields.number(keyword)
        if value is not None:
            setattr(flat, keyword, DSfloat(value, auto_format=True))
    for keyword in tables:
        item = fields.item(keyword)
        if item is not None:
            setattr(flat, keyword, [_lookup_table(item, header)])

    def transformed(block: np.ndarray) -> np.ndarray:
        block = pixels.apply_modality_lut(block, flat)
        if "VOILUTSequence" in flat and block.dtype.kind == "f":
            block = np.rint(block).astype(np.int64)
        return block if header.modality == "MR" else pixels.apply_voi_lut(block, flat, index=0)

    if any(k in flat for k in ("RescaleSlope", "WindowCenter", *tables)):
        values = in_blocks(values, transformed, np.float32)
    if header.photometric == "MONOCHROME1":
        values = values.astype(np.float32)
        values = values.max() + values.min() - values
    return values


def _lookup_table(item: DataSet, header: Header) -> pydicom.Dataset:
    count, first, bits = item.get("LUTDescriptor")
    table = pydicom.Dataset()
    table.LUTDescriptor = [
        count,
        first - (1 << 16) if header.signed and first >> 15 else first,
        bits,
    ]
    table.LUTData = list(item.get("LUTData"))
    return table


def _spacing(fields: _Fields) -> tuple[float, float] | None:
    value = fields.get("PixelSpacing") or fields.get("ImagerPixelSpacing")
    if value is None or len(value) != 2:
        return None
    row, column = value
    return (row, column) if 0 < row < math.inf and 0 < column < math.inf else None


def _where(fields: _Fields) -> dict[str, Any]:
    """Returns spacing, plane, orientation and place of a `Slice`."""
    spacing, directions = _spacing(fields), fields.get("ImageOrientationPatient")
    if directions is None or len(directions) != 6:
        return dict(spacing=spacing, plane="", orientation="")
    right, down = directions[:3], directions[3:]
    position = fields.get("ImagePositionPatient")
    return dict(
        spacing=spacing,
        plane=plane_of(right, down),
        orientation=orientation_of(right, down),
        place=place_of(right, down, position),
    )
