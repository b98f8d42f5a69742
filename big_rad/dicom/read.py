"""Reads one slice from a DICOM, NIfTI, PNG, JPEG or NPY file.

The file may be damaged or hostile. Every fault ends in a ReadError, before much memory is used.
Nothing that could name a patient is parsed or returned. The pixels of a DICOM file keep their
stored order: `read` does not flip them, `to_display` does.

    image = read("slice.dcm")
    shown, inverse = to_display(image)
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
    name: str = "the given bytes",
) -> Slice:
    """Reads one slice.

    The content of the file decides on the format, and its name does not matter. The modality
    decides on the values:

    - The values of a CT become HU by the rescale; the window in the file is ignored.
    - The values of an MR are raw, after the modality table or the rescale.
    - Other grey DICOM images get the VOI table or the window in the file.

    MONOCHROME1 is inverted, except in CT, whose HU already say how dense the tissue is. Padding
    becomes background, which is air in CT and otherwise the lowest value of the other pixels.

    A NIfTI slice is turned to the usual display, with the patient's left on the viewer's right. All
    other images stay as they are stored, even if they have an EXIF orientation; `to_display` turns
    them. `Slice.warnings` says what was guessed or ignored.

    Args:
        path: the path of a file, or its content as bytes. The formats are `.dcm`, `.nii`,
            `.nii.gz`, PNG (8 bits, or grey of 16 bits), JPEG and NPY, each of which may be packed
            with zstd (`.dcm.zst`).
        frame: the index, from 0, of the frame of a multi-frame DICOM file, or of the slice of a
            NIfTI volume along the stored axis perpendicular to `plane`. None if there is only one.
        plane: the plane in which a NIfTI volume is sliced: "axial", "coronal" or "sagittal".
        modality: "CT", "MR" or "OT". It is for formats that do not state a modality (NIfTI, NPY
            and PNG, whose grey values are taken for HU if it is "CT") and for DICOM files that
            state a wrong one. None uses the modality in the file.
        labels: whether the file is a map of labels. A PNG that is grey or has a palette then gives
            its stored numbers [H, W]: grey values are not scaled to 8 bits, and palettes give their
            indices.
        offset: a number that is added to the values of a CT, for files whose values are HU plus a
            constant.
        name: what messages call the content of a file; a path has its own name.

    Raises:
        ReadError: the file is damaged, too large or of an unsupported kind; see its subclasses.
        ValueError: `plane` or `modality` is not one of the names above, or `offset` is not a finite
            number.
    """
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}; give one of {', '.join(PLANES)}")
    if modality not in (None, *MODALITIES):
        raise ValueError(f"modality is {modality!r}; give one of {', '.join(MODALITIES)} or None")
    if not math.isfinite(offset):
        raise ValueError(f"offset is {offset}; give a number")
    options = (frame, plane, modality, labels, offset)
    name = name if isinstance(path, bytes) else pathlib.Path(path).name
    # The messages of libraries may quote the file. So the cause is hidden by `from None`, and only
    # the type of the exception is shown.
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
        # HU are clipped to int16. The values are therefore read as plain numbers, and become HU
        # only with the offset.
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
    """Reads a file whose format does not state the modality."""
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
        return stream.getvalue()  # This makes no copy.
    return unpack.read_capped(stream, name)
