"""Makes a `Slice` out of the bytes of a DICOM file.

Only the elements in `elements.TAGS` are parsed, so the identity of the patient never is. pydicom
receives the pixel data and the numbers that describe them, and nothing else of the file.
"""

import math
from typing import Any

import numpy as np
from pydicom import uid

from big_rad.dicom import grey, kinds, modalities, palette, pixel_data, unpack
from big_rad.dicom.elements import IDENTITY, DataSet, Source, starts_with_vr
from big_rad.dicom.errors import (
    FrameError,
    MissingElementError,
    TooLargeError,
    UnsupportedError,
)
from big_rad.dicom.fields import Fields
from big_rad.dicom.image import MAX_PIXELS, Slice, orientation_of, place_of, plane_of
from big_rad.dicom.pixel_data import Header

MAGIC = b"DICM"  # It follows a preamble of 128 bytes, which may hold anything.
_LAST_GROUP = max(IDENTITY.values()) >> 16
_REQUIRED = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PhotometricInterpretation", "PixelData",
)  # fmt: skip
_NO_IMAGE = ("SEG", "SR", "RTSTRUCT", "RTDOSE", "RTPLAN", "PR", "KO", "DOC")
_PALETTE = "PALETTE COLOR"
_DEEP = ("RGB", "YBR_RCT", "YBR_ICT")  # The kinds of colour that may have 16 bits per sample.


def read_dicom(data: bytes, name: str, frame: int | None, modality: str | None = None) -> Slice:
    """Reads one frame of a DICOM file.

    Args:
        data: the whole file, unpacked.
        name: the name of the file, for messages.
        frame: the index of the frame, from 0; None for a single-frame file.
        modality: "CT", "MR" or "OT", which overrides the modality in the file. None uses the
            modality in the file.

    Raises:
        ReadError: the file cannot be used; see the subclasses. A damaged file may also raise other
            exceptions, which the caller must turn into a ReadError.
    """
    ds, syntax, sop_class = _parse(data, name)
    kind = modalities.find(ds.get("Modality"), ds.get("SOPClassUID") or sop_class, modality)
    header = _check_header(ds, syntax, kind.code, name)
    frame = _check_frame(header, name, frame)
    words = pixel_data.decode(ds, header, frame, name)
    fields = Fields(ds, frame)
    for warning in kind.warnings:
        fields.warn(warning)
    shown, stated, units = modality or kind.guess, kind.stated, "raw"
    if words.ndim == 3 or header.photometric == _PALETTE:
        pixels, units, shown = _colour(words, ds, header, fields, name), "rgb", modality or "OT"
        stated = stated and "OT"
    elif shown == "CT":
        if modalities.other_unit(fields):
            stated = ""
        pixels = grey.to_hu(grey.stored(words, header, fields), fields, name)
        units = "HU"
    else:
        frame_values = grey.stored(words, header, fields)
        pixels = grey.to_shown(frame_values, header, fields, shown != "MR", name)
    place = where(fields)  # Before `fields.warnings` is read, because this may add a warning.
    return Slice(
        pixels, shown, units=units, stated=stated, warnings=tuple(fields.warnings), **place
    )


def read_header(
    data: bytes, name: str, size: int
) -> tuple[DataSet, Header | None, modalities.Found, str]:
    """Reads what a DICOM file says about its image, without its pixels.

    Args:
        data: the file, unpacked, or its beginning up to the value of PixelData at least.
        name: the name of the file, for messages.
        size: the size of the whole file in bytes, unpacked.

    Returns:
        The elements of the file, how its pixels are stored, its modality, and its SOP class. How
        the pixels are stored is None if `kinds.no_image` says that the object holds no image; only
        an object that should be an image is checked.

    Raises:
        ReadError: the file cannot be used, or `data` ends too early.
    """
    ds, syntax, sop_class = _parse(data, name, size=size)
    sop_class = ds.get("SOPClassUID") or sop_class
    kind = modalities.find(ds.get("Modality"), sop_class, None)
    if kinds.no_image(sop_class, kind.code):
        return ds, None, kind, sop_class
    header = _check_header(ds, syntax, kind.code, name)
    pixel_data.check_size(ds, header, name)
    return ds, header, kind, sop_class


def digests(data: bytes, name: str, key: bytes) -> dict[str, bytes]:
    """Returns keyed digests of the elements in `elements.IDENTITY` that the file has.

    Args:
        data: the file, unpacked; its pixels may be cut off.
        name: the name of the file, for messages.
        key: the key of the digests. It should be random, and forgotten afterwards.

    Returns:
        The digests by keyword, in the order of `elements.IDENTITY`.

    Raises:
        ReadError: the file is damaged, or is cut off too early.
    """
    ds = _parse(data, name, last=_LAST_GROUP)[0]
    found = {keyword: ds.digest(keyword, key) for keyword in IDENTITY}
    return {keyword: digest for keyword, digest in found.items() if digest}


def _colour(
    words: np.ndarray, ds: DataSet, header: Header, fields: Fields, name: str
) -> np.ndarray:
    """Returns uint8 [H, W, 3]."""
    if header.photometric == _PALETTE:
        values = pixel_data.used_bits(words, header)
        return palette.to_rgb(values, ds, bool(header.signed), name)
    if header.bits > 8:
        fields.warn("colour of more than 8 bits a sample was cut to its high 8 bits")
    return pixel_data.to_8_bits(words, header)


def _parse(
    data: bytes, name: str, last: int | None = None, size: int | None = None
) -> tuple[DataSet, str, str]:
    """Returns the data set, the transfer syntax of its pixels and the SOP class of the file.

    Elements after the group `last` are not read. If `data` is only the beginning of a file, `size`
    is the number of bytes of the whole file.
    """
    meta = DataSet(Source(data, name), 132, len(data), implicit=False, group=2)
    syntax, start = meta.get("TransferSyntaxUID"), meta.end
    if not syntax:
        raise MissingElementError(f"{name}: no TransferSyntaxUID; export the file again")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        data, start, size = unpack.inflate(data[start:], name), 0, None
        syntax = str(uid.ExplicitVRLittleEndian)
    source = Source(data, name, little=syntax != uid.ExplicitVRBigEndian, size=size)
    # If the bytes contradict the transfer syntax, the bytes decide, as in pydicom.
    found = DataSet(source, start, len(data), not starts_with_vr(data, start), last=last)
    return found, syntax, meta.get("MediaStorageSOPClassUID") or ""


def _check_header(ds: DataSet, syntax: str, modality: str, name: str) -> Header:
    """Checks that the pixel data exist and that the elements that give their size are possible."""
    what = f"a {modality} object is no image" if modality in _NO_IMAGE else "truncated, or no image"
    for keyword in _REQUIRED:
        found = ds.span(keyword)
        if not found or not found[1]:
            raise MissingElementError(f"{name}: no {keyword} ({what}); export the slice again")
    samples = ds.get("SamplesPerPixel") or 1
    header = Header(
        syntax, ds.get("Rows"), ds.get("Columns"), samples, ds.get("NumberOfFrames") or 1,
        ds.get("BitsAllocated"), ds.get("BitsStored"), ds.get("PixelRepresentation"),
        (ds.get("PhotometricInterpretation") or "").upper(),
        ds.get("PlanarConfiguration") if samples > 1 else None,
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
    in_words = header.samples == 1 and pixel_data.in_words(syntax)
    if in_words and ds.get("HighBit") not in (None, header.stored - 1):  # PS3.5 8.1.1
        raise UnsupportedError(
            f"{name}: HighBit is not BitsStored - 1, so where the values lie in their words is not "
            "the usual; export it again, or convert it with a tool that moves them"
        )
    return header


def _check_colour(header: Header, name: str) -> None:
    kind, deep = header.photometric, header.bits == 16 and pixel_data.in_words(header.syntax)
    grey_or_index = header.samples == 1 and kind in ("MONOCHROME1", "MONOCHROME2", _PALETTE)
    colour = header.samples == 3 and (kind in _DEEP or kind.startswith("YBR_") and not deep)
    if not (grey_or_index or colour):
        raise UnsupportedError(
            f"{name}: PhotometricInterpretation, SamplesPerPixel and BitsAllocated are neither of "
            "a grey image, of PALETTE COLOR, of RGB, nor of YBR with 8 bits a sample; convert it "
            "to RGB or PNG"
        )


def _check_frame(header: Header, name: str, frame: int | None) -> int:
    frames = header.frames
    if frame is None and frames > 1:
        raise FrameError(f"{name}: has {frames} frames; name one, frame=0 to frame={frames - 1}")
    frame = frame or 0
    if not 0 <= frame < frames:
        raise FrameError(f"{name}: there is no frame {frame}, NumberOfFrames is {frames}")
    return frame


def _spacing(fields: Fields) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        value = fields.optional(keyword)
        if value is None:
            continue
        if len(value) == 2 and all(0 < v < math.inf for v in value):
            return value[0], value[1]
        fields.ignored(keyword)
    return None


def where(fields: Fields) -> dict[str, Any]:
    """Returns the attributes spacing, plane, orientation and place of a `Slice`."""
    found = dict(spacing=_spacing(fields), plane="", orientation="")
    value = fields.optional("ImageOrientationPatient")
    if value is None:
        return found
    if len(value) != 6 or not all(map(math.isfinite, value)) or not any(value[:3]) * any(value[3:]):
        fields.ignored("ImageOrientationPatient")
        return found
    position = fields.optional("ImagePositionPatient")
    if position is not None and not (len(position) == 3 and all(map(math.isfinite, position))):
        fields.ignored("ImagePositionPatient")
        position = None
    columns, rows = value[:3], value[3:]
    return found | dict(
        plane=plane_of(columns, rows),
        orientation=orientation_of(columns, rows),
        place=place_of(columns, rows, position),
    )
