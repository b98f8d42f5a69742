"""Reads one slice from a file: DICOM (also zstd-packed), PNG or JPEG, hostile ones included.

Every way in which a file can be bad ends in a ReadError, before memory is spent on it. Reads only
the elements it needs, so patient identity is not even parsed. Keeps the pixels where they are
stored (no flips), and knows nothing of windows, models or series.
"""

import dataclasses
import io
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom import pixels as dicom_pixels
from pydicom import uid as uids
from pydicom.filereader import read_dataset

from big_rad.dicom import unpack
from big_rad.dicom.errors import (
    FrameError,
    MissingElementError,
    NotAnImageError,
    ReadError,
    TooLargeError,
    UnsupportedError,
)

__all__ = [
    "FrameError",
    "MissingElementError",
    "NotAnImageError",
    "ReadError",
    "Slice",
    "TooLargeError",
    "UnsupportedError",
    "read",
]

MAX_PIXELS = 1 << 26  # of one frame; the largest radiographs have half of that
# Elements that are read. None of them identifies a patient.
_TAGS = """
    SOPClassUID Modality Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation
    PlanarConfiguration BitsAllocated BitsStored HighBit PixelRepresentation PixelData
    RescaleSlope RescaleIntercept RescaleType ModalityLUTSequence
    VOILUTSequence WindowCenter WindowWidth VOILUTFunction
    ImageOrientationPatient PixelSpacing ImagerPixelSpacing
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence ExtendedOffsetTable
    ExtendedOffsetTableLengths
""".split()
_NO_IMAGE_PIXELS = ("SEG", "SR", "RTSTRUCT", "RTDOSE", "PR", "KO", "DOC")
_PLUGINS = {
    "JPEG 2000": "pylibjpeg and pylibjpeg-openjpeg",
    "JPEG-LS": "pyjpegls",
    "JPEG": "python-gdcm",
}
_MIN_AXIS = 0.8  # an oblique slice counts as a plane up to about 37 degrees away from it


@dataclasses.dataclass(frozen=True)
class Slice:
    """One image.

    Attributes:
        pixels: CT: int16 [H, W] in HU. Others in grey: [H, W], int16 if the values fit, else
            float32. Colour: uint8 [H, W, 3].
        modality: "CT", "MR" or "OT" (anything else).
        spacing: (between rows, between columns) in mm, or None if the file does not say.
        plane: "axial", "coronal", "sagittal" or "" (oblique, or not said).
        units: "HU", "raw" or "rgb".
    """

    pixels: np.ndarray
    modality: str
    spacing: tuple[float, float] | None
    plane: str
    units: str


def read(path: str | pathlib.Path | bytes, frame: int | None = None) -> Slice:
    """Reads one slice.

    The content decides on the format, not the name. CT becomes HU (rescale; the stored window is
    ignored), MR keeps raw values after the modality transformation; other grey images get the
    stored VOI window; MONOCHROME1 is inverted except in CT, whose HU say how dense a thing is.

    Args:
        path: a `.dcm`, `.dcm.zst`, PNG or JPEG file, or the content of one.
        frame: 0-based frame of a multi-frame file; None for a single-frame file.

    Raises:
        ReadError: the file is damaged, too large or of another kind; see its subclasses.
    """
    if isinstance(path, bytes):
        name = "the given bytes"
        data = unpack.unzstd(path, name)
    else:
        name = pathlib.Path(path).name
        data = unpack.read_bytes(pathlib.Path(path))
    if data[128:132] == b"DICM":
        return _read_dicom(data, name, frame)
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        if frame not in (None, 0):
            raise FrameError(f"{name}: frame {frame} of a PNG or JPEG, which has one; leave it out")
        return _read_picture(data, name)
    raise NotAnImageError(
        f"{name}: neither DICOM (with its 128-byte preamble), PNG nor JPEG; convert it to one"
    )


def _read_dicom(data: bytes, name: str, frame: int | None) -> Slice:
    # pydicom's messages may quote values, hence `from None` and only the kind of the failure.
    try:
        ds = _parse(data, name)
        _check_header(ds, name)
        frame = _check_frame(ds, name, frame)
        values = _decode(ds, name, frame)
        fields = _Fields(ds, frame)
        if values.ndim == 3:
            return Slice(values, "OT", _spacing(fields), _plane(fields), "rgb")
        modality = ds.get("Modality", "")
        if modality == "CT":
            return Slice(_hu(values, fields, name), "CT", _spacing(fields), _plane(fields), "HU")
        values = _raw(values, fields, ds, is_mr=modality == "MR")
        if not np.isfinite(values).all():
            raise NotAnImageError(f"{name}: rescaled pixels are not finite; check RescaleSlope")
        modality = "MR" if modality == "MR" else "OT"
        return Slice(_compact(values), modality, _spacing(fields), _plane(fields), "raw")
    except ReadError:
        raise
    except MemoryError:
        raise TooLargeError(f"{name}: does not fit into memory; export the slice alone") from None
    except Exception as e:
        raise NotAnImageError(
            f"{name}: damaged or non-standard DICOM ({type(e).__name__} while reading it); "
            "export it again"
        ) from None


def _parse(data: bytes, name: str) -> pydicom.Dataset:
    stream = io.BytesIO(data)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if not syntax:
        raise MissingElementError(f"{name}: no TransferSyntaxUID; export the file again")
    if syntax != uids.DeflatedExplicitVRLittleEndian:
        return pydicom.dcmread(io.BytesIO(data), specific_tags=_TAGS)
    # pydicom would inflate without a limit, so the data set is inflated here and read as plain.
    body = io.BytesIO(unpack.inflate(data[stream.tell() :], name))
    ds = read_dataset(body, False, True, specific_tags=[_tag(k) for k in _TAGS])
    meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    return pydicom.FileDataset(body, ds, file_meta=pydicom.dataset.FileMetaDataset(meta))


def _tag(keyword: str) -> pydicom.tag.BaseTag:
    return pydicom.tag.Tag(keyword)


def _check_header(ds: pydicom.Dataset, name: str) -> None:
    """Checks what is needed to know how much memory the pixels take, and that they are there."""
    for keyword in ("SOPClassUID", "Rows", "Columns", "BitsAllocated", "PixelData"):
        if ds.get(keyword) in (None, "", b""):
            kind = ds.get("Modality", "")
            known = kind in _NO_IMAGE_PIXELS
            what = f"a {kind} object is no image" if known else "truncated, or no image"
            raise MissingElementError(f"{name}: no {keyword} ({what}); export the slice again")
    if ds.get("Modality") in _NO_IMAGE_PIXELS or int(ds.BitsAllocated) not in (8, 16):
        raise UnsupportedError(
            f"{name}: not an image of 8 or 16 bits a sample (Modality, BitsAllocated); give a CT, "
            "MR or other image slice"
        )
    rows, columns = int(ds.Rows), int(ds.Columns)
    samples, frames = int(ds.get("SamplesPerPixel", 1)), int(ds.get("NumberOfFrames") or 1)
    if min(rows, columns, samples, frames) < 1:
        raise MissingElementError(
            f"{name}: Rows, Columns, SamplesPerPixel or NumberOfFrames is zero; export it again"
        )
    if rows * columns > MAX_PIXELS or samples > 4:
        raise TooLargeError(
            f"{name}: {rows} x {columns} pixels of {samples} samples; the limit "
            f"is {MAX_PIXELS} pixels a frame, downsample it first"
        )
    if ds.get("PhotometricInterpretation", "MONOCHROME2") == "PALETTE COLOR":
        raise UnsupportedError(f"{name}: PhotometricInterpretation PALETTE COLOR; convert to RGB")
    if not ds.file_meta.TransferSyntaxUID.is_compressed:
        subsampled = str(ds.get("PhotometricInterpretation", "")).startswith("YBR_FULL_422")
        size = rows * columns * samples * frames * int(ds.BitsAllocated) // 8
        size = size * 2 // 3 if subsampled else size
        if len(ds.PixelData) < size:
            raise MissingElementError(
                f"{name}: PixelData has {len(ds.PixelData)} bytes, {size} are needed: the file is "
                "truncated; copy or export it again"
            )


def _check_frame(ds: pydicom.Dataset, name: str, frame: int | None) -> int:
    frames = int(ds.get("NumberOfFrames") or 1)
    if frame is None and frames > 1:
        raise FrameError(f"{name}: has {frames} frames; name one, frame=0 to frame={frames - 1}")
    frame = frame or 0
    if not 0 <= frame < frames:
        raise FrameError(f"{name}: there is no frame {frame}, NumberOfFrames is {frames}")
    return frame


def _decode(ds: pydicom.Dataset, name: str, frame: int) -> np.ndarray:
    """Returns stored values [H, W], or RGB [H, W, 3]."""
    syntax = ds.file_meta.TransferSyntaxUID
    kind = next((k for k in _PLUGINS if syntax.name.startswith(k)), "")
    remedy = f"pip install {_PLUGINS[kind]}" if kind else "convert the file to uncompressed"
    if syntax.is_compressed and not _can_decode(syntax):
        raise UnsupportedError(f"{name}: transfer syntax {syntax.name} needs a plugin; {remedy}")
    try:
        values = dicom_pixels.pixel_array(ds, index=frame)
    except RuntimeError:  # Every plugin there is has failed.
        raise UnsupportedError(
            f"{name}: pixels in transfer syntax {syntax.name} are damaged, or of a kind that the "
            f"installed plugins do not decode; {remedy}"
        ) from None
    if values.ndim == 2:
        return values
    if values.ndim != 3 or values.shape[-1] != 3 or values.dtype != np.uint8:
        raise UnsupportedError(f"{name}: colour that is not RGB of 8 bits; convert it to PNG")
    return values


def _can_decode(syntax: uids.UID) -> bool:
    try:
        return dicom_pixels.get_decoder(syntax).is_available
    except NotImplementedError:
        return False


class _Fields:
    """Elements of one frame: its own functional groups first, then shared ones, then the file."""

    def __init__(self, ds: pydicom.Dataset, frame: int):
        self._places = [*self._groups(ds, frame), ds]

    def get(self, keyword: str) -> Any:
        """Returns the value of an element, or None if absent or empty."""
        for place in self._places:
            value = place.get(keyword)
            if value not in (None, ""):
                return value
        return None

    @staticmethod
    def _groups(ds: pydicom.Dataset, frame: int) -> Iterator[pydicom.Dataset]:
        own = ds.get("PerFrameFunctionalGroupsSequence") or []
        shared = ds.get("SharedFunctionalGroupsSequence") or []
        for group in [*own[frame : frame + 1], *shared[:1]]:
            for keyword in (
                "PixelValueTransformationSequence",
                "PlaneOrientationSequence",
                "PixelMeasuresSequence",
                "FrameVOILUTSequence",
            ):
                yield from (group.get(keyword) or [])[:1]


def _hu(values: np.ndarray, fields: _Fields, name: str) -> np.ndarray:
    slope, intercept = fields.get("RescaleSlope"), fields.get("RescaleIntercept")
    if slope is None or intercept is None:
        raise MissingElementError(
            f"{name}: CT without RescaleSlope and RescaleIntercept, so its HU are unknown; export "
            "the original slice, not a derived one"
        )
    with np.errstate(all="ignore"):
        hu = values * np.float32(slope) + np.float32(intercept)
    if not np.isfinite(hu).all():
        raise NotAnImageError(f"{name}: HU are not finite; check RescaleSlope, RescaleIntercept")
    return np.clip(np.rint(hu), -32768, 32767).astype(np.int16)


def _raw(values: np.ndarray, fields: _Fields, ds: pydicom.Dataset, is_mr: bool) -> np.ndarray:
    # A data set of the frame's own fields, so that pydicom's functions serve enhanced files too.
    flat = pydicom.Dataset()
    for keyword in (
        "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence",
        "WindowCenter", "WindowWidth", "VOILUTFunction",
        "PhotometricInterpretation", "BitsStored", "BitsAllocated", "PixelRepresentation",
    ):  # fmt: skip
        value = fields.get(keyword)
        if value is not None:
            setattr(flat, keyword, value)
    values = dicom_pixels.apply_modality_lut(values, flat)
    if not is_mr:
        values = dicom_pixels.apply_voi_lut(values, flat, index=0)
    if ds.get("PhotometricInterpretation") == "MONOCHROME1":
        values = values.astype(np.float32)
        values = values.max() + values.min() - values
    return values


def _compact(values: np.ndarray) -> np.ndarray:
    """Returns int16 where that loses nothing, else float32."""
    small = values.size and -32768 <= values.min() and values.max() <= 32767
    if small and (values.dtype.kind in "iu" or (values == np.rint(values)).all()):
        return values.astype(np.int16)
    return values.astype(np.float32)


def _spacing(fields: _Fields) -> tuple[float, float] | None:
    value = fields.get("PixelSpacing") or fields.get("ImagerPixelSpacing")
    if value is None or len(value) != 2:
        return None
    row, column = float(value[0]), float(value[1])
    return (row, column) if 0 < row < math.inf and 0 < column < math.inf else None


def _plane(fields: _Fields) -> str:
    value = fields.get("ImageOrientationPatient")
    if value is None or len(value) != 6:
        return ""
    cosines = np.array([float(v) for v in value])
    normal = np.abs(np.cross(cosines[:3], cosines[3:]))
    axis = int(np.argmax(normal))
    return ("sagittal", "coronal", "axial")[axis] if normal[axis] >= _MIN_AXIS else ""


def _read_picture(data: bytes, name: str) -> Slice:
    if data.startswith(b"\x89PNG") and data[24:25] == b"\x10":
        # Pillow would keep 8 of the 16 bits without saying so.
        raise UnsupportedError(f"{name}: PNG of 16 bits; give 8-bit PNG, or DICOM for full depth")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise TooLargeError(
                    f"{name}: {image.height} x {image.width} pixels; the limit is {MAX_PIXELS}, "
                    "downsample it first"
                )
            values = np.array(image.convert("RGB"))
    except ReadError:
        raise
    except Image.DecompressionBombError:
        raise TooLargeError(f"{name}: far more than {MAX_PIXELS} pixels; downsample it") from None
    except MemoryError:
        raise TooLargeError(f"{name}: does not fit into memory; downsample it") from None
    except Exception as e:
        raise NotAnImageError(
            f"{name}: damaged PNG or JPEG ({type(e).__name__}); save it again"
        ) from None
    return Slice(values, "OT", None, "", "rgb")
