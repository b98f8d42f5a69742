"""Reads one slice of a NIfTI volume, turned to its usual display.

Only the needed part of the volume is read, and only the slice is kept, so a volume may be larger
than the memory. NIfTI does not state the modality; the caller gives it.
"""

import math
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from jaxtyping import Float, Num

from big_rad.dicom.errors import FrameError, NotAnImageError, TooLargeError, UnsupportedError
from big_rad.dicom.grid import TO_DICOM, Grid
from big_rad.dicom.image import (
    MAX_PIXELS,
    Slice,
    compact,
    hu,
    in_blocks,
)
from big_rad.dicom.unpack import GzipStream, cannot_open

GZIP_MAGIC = b"\x1f\x8b"
# The most bytes of voxels. There is a limit because a file packed in gzip has to be unpacked from
# its beginning up to the slice.
MAX_VOLUME = 1 << 30
HEAD = 348  # The bytes that identify a NIfTI file; they are the whole header of version 1.
# The most voxels along an axis. NIfTI-1 allows no more, and NIfTI-2 is held to the same limit,
# because reading a slice may take one step per slice of the volume.
_MAX_SIDE = 32767
_PIECE = 1 << 20
_MAX_EXTENSIONS = 1 << 20
_TO_MM = {"meter": 1e3, "micron": 1e-3}
_FORMS_APART = 0.25  # The most, in voxels, that sform and qform differ by rounding.
_SAME_CODE = (
    "and both have the same code, so which of them is right is unknown; find out on which side of "
    "the image the patient's left lies, and save the file with the right affine in both"
)


def is_nifti(head: bytes) -> bool:
    """Returns whether the first bytes of a file are a NIfTI header, of one file or of a pair."""
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def read_nifti(
    stream: BinaryIO, name: str, frame: int | None, plane: str, modality: str | None
) -> Slice:
    """Reads one slice in the usual display.

    Axial slices have rows that run to the patient's back and columns that run to the patient's
    left, which is the viewer's right. Coronal slices have rows that run to the feet and columns
    that run to the left. Sagittal slices have rows that run to the feet and columns that run to the
    back. An oblique volume is sliced along its own axes.

    Args:
        stream: the file, at its beginning; packed in gzip or not.
        name: the name of the file, for messages.
        frame: the index of the slice, from 0, along the stored axis.
        plane: "axial", "coronal" or "sagittal".
        modality: the modality of the volume. With "CT" the values are taken for HU; with "MR" or
            "OT" they are raw. None is "OT".

    Raises:
        ReadError: the file cannot be used; see the subclasses. A damaged file may also raise other
            exceptions, which the caller must turn into a ReadError.
    """
    try:
        volume = Volume(stream, name)
        values, where = volume.slice(plane, frame)
    except OSError as e:
        raise cannot_open(name, e) from None
    slope, inter = volume.rescale
    if modality == "CT":
        values, units = hu(values, slope, inter, name), "HU"
    else:
        if (slope, inter) != (1, 0):
            values = in_blocks(values, lambda x: x * np.float64(slope) + inter, np.float32)
        values, units = np.ascontiguousarray(compact(values, name)), "raw"
    return Slice(values, modality or "OT", units=units, warnings=volume.warnings, **where)


class Volume:
    """A NIfTI file of one volume, which is read forwards and no further than needed.

    Attributes:
        name: the name of the file, for messages.
        shape: the numbers of voxels along the three stored axes.
        affine: the matrix [4, 4] from voxels to mm in DICOM's coordinates (x to the left, y to the
            back, z to the head), or None if the file does not give one.
        rescale: the slope and the intercept of the values.
        warnings: sentences that each say what was guessed.
        contradiction: what is wrong if sform and qform have the same code but place the voxels
            differently, so that nobody knows which of them is right; otherwise "". `affine` is
            then that of the sform, as in nibabel, and `warnings` says so.
        intent: the intent code of the file, such as 1002 for a map of labels.
    """

    def __init__(self, stream: BinaryIO, name: str):
        """Reads the header.

        Args:
            stream: the file, at its beginning; packed in gzip or not.
            name: the name of the file, for messages.

        Raises:
            ReadError: the header is damaged, or the volume is too large or of an unsupported kind.
            OSError: the file cannot be read.
        """
        packed = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        body = GzipStream(stream, name) if packed else stream
        header = _header(body, name)
        self.name, self._voxels = name, _Voxels(body, header, name)
        self.shape = self._voxels.shape
        self.rescale = _scaling(header, name)
        self.affine = None
        unit, self.warnings = _mm(header)
        if int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0:
            self.affine = np.diag([*TO_DICOM * unit, 1.0]) @ _affine(header, name)
        differs = _differing_forms(header, self.shape)
        self.warnings += (f"{differs}; the sform is used",) if differs else ()
        same = int(header["sform_code"]) == int(header["qform_code"])
        self.contradiction = f"{differs}, {_SAME_CODE}" if differs and same else ""
        self._little = header.endianness == "<"
        self.intent = int(header["intent_code"])

    def extensions(self) -> list[bytes]:
        """Returns the contents of the header's extensions.

        Call it before voxels are read, because the file is read forwards only. Extensions may hold
        whole DICOM headers, so no part of them may be printed or stored.
        """
        return _extensions(self._voxels.before(), self._little)

    def across(self, axis: int, index: int) -> Num[np.ndarray, "first second"]:
        """Returns the slice at `index` of a voxel axis; the two other axes keep their order."""
        return self._voxels.across(axis, index)

    def check_end(self) -> None:
        """Checks what follows the voxels: gzip compares its checksum there.

        Call it after the last voxel was read, because the file is read forwards only.

        Raises:
            NotAnImageError: the data are damaged.
        """
        self._voxels.check_end()

    def slice(
        self, plane: str, frame: int | None, affine: Float[np.ndarray, "4 4"] | None = None
    ) -> tuple[Num[np.ndarray, "height width"], dict[str, Any]]:
        """Returns the stored values of a slice, turned to the usual display, and where it lies.

        Args:
            plane: "axial", "coronal" or "sagittal".
            frame: the index of the slice, from 0, along the stored axis; None if there is only one.
            affine: a matrix that replaces the affine of the file.

        Returns:
            The values [H, W], and the attributes spacing, plane, orientation and place of a
            `Slice`.

        Raises:
            FrameError: there is no slice at `frame`, or there are several and `frame` is None.
            UnsupportedError: the file has no affine.
        """
        grid = self._grid(affine)
        across = grid.axis(plane)
        index = _check_frame(self.shape[across], frame, plane, self.name)
        return grid.turned(self.across(across, index), plane, index)

    def stack(self, plane: str) -> tuple[tuple[int, int, int], dict[str, Any], np.ndarray]:
        """Returns how the slices of a plane lie, without reading a voxel.

        Args:
            plane: "axial", "coronal" or "sagittal".

        Returns:
            The numbers of slices, rows and columns; the attributes spacing, plane, orientation and
            place of the slice with the index 0; and the vector [3] from a slice to the next one, in
            mm.

        Raises:
            UnsupportedError: the file has no affine.
        """
        grid = self._grid()
        return grid.counts(plane), grid.lies(plane, 0), grid.affine[:3, grid.axis(plane)]

    @property
    def end(self) -> int:
        """The offset in bytes at which the voxels end in the unpacked file."""
        return self._voxels.end

    def _grid(self, affine: Float[np.ndarray, "4 4"] | None = None) -> Grid:
        if affine is None and self.affine is None:
            raise UnsupportedError(
                f"{self.name}: neither sform_code nor qform_code is set, so left and right are "
                "unknown; save it with its affine"
            )
        return Grid(self.shape, self.affine if affine is None else affine, self.name)


def _scaling(header: nib.Nifti1Header, name: str) -> tuple[float, float]:
    try:
        slope, inter = header.get_slope_inter()
    except nib.spatialimages.HeaderDataError:
        raise NotAnImageError(
            f"{name}: scl_slope or scl_inter is no finite number; save the volume again"
        ) from None
    return (1.0, 0.0) if slope is None else (slope, inter)


def _mm(header: nib.Nifti1Header) -> tuple[float, tuple[str, ...]]:
    """Returns the length of the header's unit in mm, and warnings."""
    try:
        return _TO_MM.get(header.get_xyzt_units()[0], 1.0), ()
    except KeyError:
        return 1.0, ("xyzt_units is unknown; lengths were taken for mm",)


def _header(stream: BinaryIO | GzipStream, name: str) -> nib.Nifti1Header:
    head = stream.read(HEAD)
    if not is_nifti(head) or len(head) < HEAD:
        raise NotAnImageError(f"{name}: gzip of something that is not NIfTI; unpack it first")
    if head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0":
        raise UnsupportedError(f"{name}: header of a pair of files; save it as one .nii file")
    # `from_fileobj` of nibabel would also read extensions, which may hold whole DICOM headers.
    if head[344:348] == b"n+1\0":
        return nib.Nifti1Header(head, check=False)
    size = nib.Nifti2Header.template_dtype.itemsize
    return nib.Nifti2Header(head + _exactly(stream, size - HEAD, name), check=False)


class _Voxels:
    """The voxels of a NIfTI file, which are read forwards."""

    def __init__(self, stream: BinaryIO | GzipStream, header: nib.Nifti1Header, name: str):
        shape = tuple(int(n) for n in header.get_data_shape())
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3 or min(shape) < 1:
            raise UnsupportedError(
                f"{name}: dim is not that of one volume of three dimensions; save one alone"
            )
        try:
            self.shape, self.dtype = shape, header.get_data_dtype()
        except (nib.spatialimages.HeaderDataError, KeyError):
            raise UnsupportedError(f"{name}: datatype is unknown; save it as int16") from None
        if self.dtype.kind not in "iuf" or self.dtype.itemsize > 8:
            raise UnsupportedError(f"{name}: datatype is not a plain number; save it as int16")
        size = math.prod(shape) * self.dtype.itemsize
        if max(shape) > _MAX_SIDE or size > MAX_VOLUME or shape[0] * shape[1] > MAX_PIXELS:
            raise TooLargeError(
                f"{name}: dim and datatype make more than {MAX_VOLUME} bytes, {_MAX_SIDE} slices "
                f"or {MAX_PIXELS} voxels a slice; crop it, or save it as int16"
            )
        try:
            offset = int(header.get_data_offset())
        except (ValueError, OverflowError):  # The offset is not finite.
            offset = -1
        read = header.template_dtype.itemsize
        if not read <= offset <= MAX_VOLUME:
            raise NotAnImageError(f"{name}: vox_offset is impossible; save the volume again")
        self._offset, self._name = offset, name
        self.end = offset + size
        self._stream, self._at = stream, read

    def before(self) -> bytes:
        """Returns the bytes between header and voxels, b"" if they are too long for a table."""
        size = self._offset - self._at
        if not 0 < size <= _MAX_EXTENSIONS:
            return b""
        data = _exactly(self._stream, size, self._name)
        self._at += size
        return data

    def across(self, axis: int, index: int) -> Num[np.ndarray, "first second"]:
        """Returns the slice at `index` of an axis; the two other axes keep their order."""
        width, height, depth = self.shape
        if math.prod(self.shape) // self.shape[axis] > MAX_PIXELS:
            raise TooLargeError(
                f"{self._name}: more than {MAX_PIXELS} voxels a slice (dim); crop the volume"
            )
        if axis == 2:
            return self._read(index * width * height, width * height).reshape(height, width).T
        planes = range(depth)
        if axis == 1:
            lines = [self._read((k * height + index) * width, width) for k in planes]
        else:
            lines = [
                self._read(k * width * height, width * height)[index::width].copy() for k in planes
            ]
        return np.stack(lines).T

    def check_end(self) -> None:
        """Lets gzip compare its checksum, which follows the voxels."""
        if isinstance(self._stream, GzipStream):
            self._stream.read(1)

    def _read(self, first: int, count: int) -> np.ndarray:
        size = self.dtype.itemsize
        start = self._offset + first * size
        if isinstance(self._stream, GzipStream):
            while self._at < start:  # Reading piece by piece keeps the memory small.
                self._at += len(_exactly(self._stream, min(_PIECE, start - self._at), self._name))
        elif self._at != start:
            self._stream.seek(start)
        data = _exactly(self._stream, count * size, self._name)
        self._at = start + len(data)
        return np.frombuffer(data, self.dtype)


def _exactly(stream: BinaryIO | GzipStream, size: int, name: str) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise NotAnImageError(f"{name}: truncated; copy the file again")
    return data


def _extensions(data: bytes, little: bool) -> list[bytes]:
    found, at = [], 4
    if not data[:1].strip(b"\0"):
        return found
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little" if little else "big", signed=True)
        if size < 8 or at + size > len(data):
            break
        found.append(data[at + 8 : at + size])
        at += size
    return found


def _affine(header: nib.Nifti1Header, name: str) -> np.ndarray:
    try:
        affine = np.asarray(header.get_best_affine(), float)
    except ValueError:  # The quaternion is longer than one.
        affine = np.full((4, 4), np.nan)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise NotAnImageError(f"{name}: the affine (sform or qform) is impossible; save it again")
    return affine


def _differing_forms(header: nib.Nifti1Header, shape: tuple[int, int, int]) -> str:
    """Returns a clause on how far sform and qform place a voxel apart, "" if they agree.

    A qform cannot say that the axes of a volume are not perpendicular, so it is compared with the
    nearest matrix that it can hold.
    """
    if int(header["sform_code"]) <= 0 or int(header["qform_code"]) <= 0:
        return ""
    sform = np.asarray(header.get_sform(), float)
    try:
        qform = np.asarray(header.get_qform(), float)
        other = header.copy()
        other.set_qform(sform, strip_shears=True)
        nearest = np.asarray(other.get_qform(), float)
    except (ValueError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError):
        return ""  # The qform is impossible and says nothing, or `_affine` refuses the sform.
    if not np.isfinite(qform).all() or abs(np.linalg.det(qform[:3, :3])) < 1e-12:
        return ""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    both = [corners @ made[:3, :3].T + made[:3, 3] for made in (nearest, qform)]
    apart = np.linalg.norm(both[0] - both[1], axis=1).max()
    size = np.linalg.norm(qform[:3, :3], axis=0).min()
    if apart <= _FORMS_APART * size:
        return ""
    return (
        f"the sform and the qform of the file place a voxel up to {apart / size:.2g} voxels apart"
    )


def _check_frame(count: int, frame: int | None, plane: str, name: str) -> int:
    if frame is None and count > 1:
        raise FrameError(
            f"{name}: has {count} {plane} slices; name one, frame=0 to frame={count - 1}"
        )
    frame = frame or 0
    if not 0 <= frame < count:
        raise FrameError(f"{name}: there is no frame {frame}, it has {count} {plane} slices")
    return frame
