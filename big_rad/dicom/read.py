"""Reads one slice from a file: DICOM, NIfTI, PNG, JPEG or NPY, hostile ones included.

Every way in which a file can be bad ends in a ReadError, before memory is spent on it. Nothing
that could name a patient is parsed or returned. Keeps the pixels of DICOM where they are stored
(no flips), and knows nothing of windows, models or series.
"""

import dataclasses
import functools
import io
import math
import pathlib
from typing import BinaryIO

from big_rad.dicom import dicom_file, nifti, pictures, unpack
from big_rad.dicom.errors import (
    FrameError,
    MissingElementError,
    NotAnImageError,
    ReadError,
    TooLargeError,
    UnsupportedError,
)
from big_rad.dicom.image import MODALITIES, PLANES, Slice, hu, to_display, unusual

__all__ = [
    "FrameError",
    "MissingElementError",
    "NotAnImageError",
    "ReadError",
    "Slice",
    "TooLargeError",
    "UnsupportedError",
    "read",
    "to_display",
    "unusual",
]


def read(
    path: str | pathlib.Path | bytes,
    frame: int | None = None,
    plane: str = "axial",
    modality: str | None = None,
    labels: bool = False,
    offset: float = 0,
) -> Slice:
    """Reads one slice.

    The content decides on the format, not the name. CT becomes HU (rescale; the stored window is
    ignored), MR keeps raw values after the modality transformation; other grey DICOM images get
    the stored VOI window; MONOCHROME1 is inverted except in CT, whose HU say how dense a thing is.
    Padding is background: air in CT, else the lowest value of the rest. NIfTI is turned to the
    usual display, patient left on the viewer's right; all others stay as they are stored, pictures
    with an EXIF orientation included (`to_display` turns them). What was guessed or ignored is in
    `Slice.warnings`.

    Args:
        path: a file, or the content of one: `.dcm`, `.nii`, `.nii.gz`, PNG (8 bits, or grey of 16),
            JPEG or NPY; any of them may be packed with zstd (`.dcm.zst`).
        frame: 0-based frame of a multi-frame DICOM, or slice of a NIfTI volume along the axis that
            is across `plane`, counted as stored; None if there is one only.
        plane: of a NIfTI slice: "axial", "coronal" or "sagittal".
        modality: "CT", "MR" or "OT", for formats that do not say: NIfTI, NPY, PNG, whose grey
            values are taken for HU in "CT"; and for DICOM that should be read as another modality
            than it says. None is what the file says.
        labels: the file is a map of labels, so that PNGs give the numbers that are stored, [H, W]:
            grey ones without scaling to 8 bits, palettes their indices.
        offset: added to the values of CT, where these are not HU but lie so much below or above.

    Raises:
        ReadError: the file is damaged, too large or of another kind; see its subclasses.
        ValueError: of the arguments, `plane` or `modality` is none of those named, or `offset` is
            no finite number.
    """
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}; give one of {', '.join(PLANES)}")
    if modality not in (None, *MODALITIES):
        raise ValueError(f"modality is {modality!r}; give one of {', '.join(MODALITIES)} or None")
    if not math.isfinite(offset):
        raise ValueError(f"offset is {offset}; give a number")
    options = (frame, plane, modality, labels, offset)
    name = "the given bytes" if isinstance(path, bytes) else pathlib.Path(path).name
    # Messages of libraries may quote the file, hence `from None` and only the kind of the failure.
    try:
        if isinstance(path, bytes):
            return _read(io.BytesIO(path), name, *options)
        try:
            stream = open(path, "rb")
        except OSError as e:
            raise unpack.cannot_open(name, e) from None
        with stream:
            return _read(stream, name, *options)
    except ReadError:
        raise
    except MemoryError:
        raise TooLargeError(f"{name}: does not fit into memory; export the slice alone") from None
    except Exception as e:
        raise NotAnImageError(
            f"{name}: damaged or non-standard ({type(e).__name__} while reading it); save or "
            "export it again"
        ) from None


def _read(
    stream: BinaryIO,
    name: str,
    frame: int | None,
    plane: str,
    modality: str | None,
    labels: bool,
    offset: float,
) -> Slice:
    head = stream.read(nifti.HEAD)
    if head.startswith(unpack.ZSTD_MAGIC):
        stream = io.BytesIO(unpack.unzstd(_whole(stream, name), name))
        head = stream.read(nifti.HEAD)
    if head[128:132] == dicom_file.MAGIC:
        found = dicom_file.read_dicom(_whole(stream, name), name, frame, modality)
        found = dataclasses.replace(found, format="dicom")
    elif offset and modality == "CT":
        # HU are clipped to int16, so these are read as plain numbers first.
        found = _silent(stream, head, name, frame, plane, "OT", labels)
        units = "HU" if found.pixels.ndim == 2 else found.units
        found = dataclasses.replace(found, modality="CT", units=units)
    else:
        found = _silent(stream, head, name, frame, plane, modality, labels)
    if offset and found.units == "HU":
        found = dataclasses.replace(found, pixels=hu(found.pixels, 1.0, offset, name))
    return found


def _silent(
    stream: BinaryIO,
    head: bytes,
    name: str,
    frame: int | None,
    plane: str,
    modality: str | None,
    labels: bool,
) -> Slice:
    """Reads a file of a format that does not say the modality."""
    if head.startswith(nifti.GZIP_MAGIC) or nifti.is_nifti(head):
        stream.seek(0)
        found = nifti.read_nifti(stream, name, frame, plane, modality)
        return dataclasses.replace(found, format="nifti")
    picture = functools.partial(pictures.read_picture, labels=labels)
    kinds = {
        pictures.PNG_MAGIC: ("png", picture),
        pictures.JPEG_MAGIC: ("jpeg", picture),
        pictures.NPY_MAGIC: ("npy", pictures.read_npy),
    }
    kind, reader = next((r for magic, r in kinds.items() if head.startswith(magic)), ("", None))
    if reader is None:
        raise NotAnImageError(
            f"{name}: neither DICOM (with its 128-byte preamble), NIfTI, PNG, JPEG nor NPY; "
            "convert it to one (archives and pickles are not opened)"
        )
    found = reader(_whole(stream, name), name, frame, modality)
    return dataclasses.replace(found, format=kind)


def _whole(stream: BinaryIO, name: str) -> bytes:
    stream.seek(0)
    if isinstance(stream, io.BytesIO):
        return stream.getvalue()  # Shares the memory.
    return unpack.read_capped(stream, name)
