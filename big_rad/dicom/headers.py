"""Reads what an image file says about its slices, without decoding a pixel.

Of most files only the first part is read. The limits on size, elements and depth are those of
`read`, and so are the errors, so that a file that passes here is seldom refused there.
"""

import dataclasses
import io
import os
import pathlib
import re
import stat
from typing import BinaryIO

import numpy as np

from big_rad.dicom import dicom_file, kinds, nifti, pictures, unpack
from big_rad.dicom.errors import MissingElementError, NotAnImageError, ReadError, TooLargeError
from big_rad.dicom.fields import Fields
from big_rad.dicom.image import Place, place_of

MAX_FRAMES = 32767  # The most frames of a file; a NIfTI volume may have as many slices.
_HEADS = (1 << 17, 1 << 21, 1 << 25)  # The bytes that are read first, and then if they are too few.
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_NAMED = re.compile(r"\.(dcm|dicom|nii|nii\.gz|png|jpe?g|npy)(\.zst)?$", re.IGNORECASE)
_LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL
# What decides which of several slices at the same position is the first.
_REPEATS = ("AcquisitionNumber", "EchoNumbers", "TemporalPositionIdentifier", "InstanceNumber")
_PICTURES = {
    pictures.PNG_MAGIC: "png",
    pictures.JPEG_MAGIC: "jpeg",
    pictures.NPY_MAGIC: "npy",
}


class NoSliceError(ReadError):
    """The file is sound, but it holds no slice of a patient.

    Attributes:
        kind: what it holds: "localiser", "secondary capture", "projection", "other object",
            "label map" or "no image".
    """

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


@dataclasses.dataclass(frozen=True)
class Frame:
    """What a file says about one of its slices.

    Attributes:
        place: where the pixels lie in the patient, or None if the file does not say.
        spacing: the distances (between rows, between columns) in mm, or None.
        thickness: the thickness of the slice in mm, or None.
        plane: "axial", "coronal", "sagittal" or "".
    """

    place: Place | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    plane: str = ""


@dataclasses.dataclass(frozen=True)
class Info:
    """What a file says about its slices.

    Attributes:
        format: "dicom", "nifti", "png", "jpeg" or "npy".
        frames: the slices, in their stored order.
        shape: the numbers of rows, columns and samples per pixel; () for pictures.
        modality: "CT", "MR" or "OT"; "" if the file does not state it.
        series_uid: the SeriesInstanceUID, or "".
        sop_uid: the SOPInstanceUID, or "".
        space: the FrameOfReferenceUID, or "".
        repeat: numbers by which several slices at the same position are ordered.
        warnings: sentences that each say what was guessed or ignored.
    """

    format: str
    frames: tuple[Frame, ...]
    shape: tuple[int, ...] = ()
    modality: str = ""
    series_uid: str = dataclasses.field(default="", repr=False)
    sop_uid: str = dataclasses.field(default="", repr=False)
    space: str = dataclasses.field(default="", repr=False)
    repeat: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()


def read_info(
    path: str | pathlib.Path, plane: str = "axial", keep: frozenset[str] = frozenset()
) -> Info:
    """Reads the header of a file.

    Args:
        path: the path of the file.
        plane: the plane in which a NIfTI volume is sliced.
        keep: kinds of images that are read although they are no slices, see `kinds.no_slice`.

    Raises:
        NoSliceError: the file is sound, but holds no slice of a patient.
        ReadError: the file is damaged, too large or of an unsupported kind.
    """
    name = pathlib.Path(path).name
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # Opening a pipe would wait for ever.
            raise NoSliceError(f"{name}: no file that holds data", "no image")
        with open(path, "rb") as stream:
            return _read(stream, name, plane, keep)
    except ReadError:
        raise
    except OSError as e:
        raise unpack.cannot_open(name, e) from None
    except MemoryError:
        raise TooLargeError(f"{name}: does not fit into memory; export the slices alone") from None
    except Exception as e:  # Messages of libraries may quote the file.
        raise NotAnImageError(
            f"{name}: damaged or non-standard ({type(e).__name__} while reading it); save or "
            "export it again"
        ) from None


def _read(stream: BinaryIO, name: str, plane: str, keep: frozenset[str]) -> Info:
    head = stream.read(nifti.HEAD)
    if head.startswith(unpack.ZSTD_MAGIC):
        stream.seek(0)
        stream = io.BytesIO(unpack.unzstd(unpack.read_capped(stream, name), name))
        head = stream.read(nifti.HEAD)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if head[128:132] == dicom_file.MAGIC:
        return _dicom(stream, size, name, keep)
    if head.startswith(nifti.GZIP_MAGIC) or nifti.is_nifti(head):
        return _nifti(stream, None if head.startswith(nifti.GZIP_MAGIC) else size, name, plane)
    kind = next((kind for magic, kind in _PICTURES.items() if head.startswith(magic)), None)
    if kind is None:
        what = (
            f"{name}: neither DICOM (with its 128-byte preamble), NIfTI, PNG, JPEG nor NPY "
            "(archives and pickles are not opened)"
        )
        if _NAMED.search(name):  # It should be an image, so it is damaged.
            raise NotAnImageError(f"{what}; copy or export it again")
        raise NoSliceError(what, "no image")
    _check_size(size, name)
    return Info(kind, (Frame(),))


def _check_size(size: int, name: str) -> None:
    if size > unpack.MAX_BYTES:
        raise TooLargeError(
            f"{name}: has more than {unpack.MAX_BYTES} bytes; export it in several files"
        )


def _dicom(stream: BinaryIO, size: int, name: str, keep: frozenset[str]) -> Info:
    _check_size(size, name)
    for part in [n for n in _HEADS if n < size]:
        stream.seek(0)
        try:
            return _described(stream.read(part), size, name, keep)
        except (NoSliceError, TooLargeError):
            raise
        except ReadError:  # The pixel data may begin further on.
            pass
    stream.seek(0)
    return _described(unpack.read_capped(stream, name), size, name, keep)


def _described(data: bytes, size: int, name: str, keep: frozenset[str]) -> Info:
    ds, header, modality, sop_class = dicom_file.read_header(data, name, size)
    if header is None:
        what = kinds.no_image(sop_class, modality.code)
        raise NoSliceError(f"{name}: {what}, not an image of the patient", "other object")
    kind, why = kinds.no_slice(sop_class, ds.get("ImageType") or "")
    if kind and kind not in keep:
        raise NoSliceError(f"{name}: {why}", kind)
    if header.frames > MAX_FRAMES:
        raise TooLargeError(
            f"{name}: NumberOfFrames is above {MAX_FRAMES}; export it in several files"
        )
    warnings = [*modality.warnings, *([f"it is {why}"] if kind else [])]
    frames = []
    for fields, count in Fields.each(ds, header.frames):
        where = dicom_file.where(fields)
        place = where.get("place")
        if place and header.frames > 1 and not fields.of_frame("ImagePositionPatient"):
            place = dataclasses.replace(place, origin=None)  # It is that of one frame at most.
        thickness = (fields.optional("SliceThickness") or [None])[0]
        known = thickness is not None and 0 < thickness < np.inf
        frame = Frame(place, where["spacing"], thickness if known else None, where["plane"])
        frames += [frame] * count
        warnings += [w for w in fields.warnings if w not in warnings]
    repeat = [Fields(ds, 0).optional(keyword) for keyword in _REPEATS]
    uids = [ds.get(k) for k in ("SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")]
    series_uid, sop_uid, space = (u if u and _UID.fullmatch(u) else "" for u in uids)
    if uids[0] and not series_uid:
        warnings.append("the SeriesInstanceUID is not valid, so the file is a series of its own")
    return Info(
        "dicom",
        tuple(frames),
        (header.rows, header.columns, header.samples),
        modality.stated,
        series_uid,
        sop_uid,
        space,
        tuple(value[0] if value and np.isfinite(value[0]) else 0.0 for value in repeat),
        tuple(warnings),
    )


def _nifti(stream: BinaryIO, size: int | None, name: str, plane: str) -> Info:
    volume = nifti.Volume(stream, name)
    if volume.intent == _LABEL_INTENT or any(b"<LabelTable" in e for e in volume.extensions()):
        raise NoSliceError(f"{name}: a map of labels, not an image", "label map")
    if size is not None and size < volume.end:
        raise MissingElementError(f"{name}: truncated; copy the file again")
    (count, rows, columns), where, step = volume.stack(plane)
    place = where["place"]
    if place is None or place.origin is None:
        frame = Frame(None, where["spacing"], None, where["plane"])
        frames = (frame,) * count
    else:
        right, down = np.array(place.columns), np.array(place.rows)
        thickness = float(abs(step @ np.cross(right, down)))
        frames = tuple(
            Frame(
                place_of(right, down, np.array(place.origin) + k * step),
                where["spacing"],
                thickness,
                where["plane"],
            )
            for k in range(count)
        )
    return Info("nifti", frames, (rows, columns, 1), warnings=volume.warnings)
