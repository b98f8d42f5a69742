"""PNG, JPEG and NPY: files that hold pixels and say nothing of the patient or the scanner."""

import io

import numpy as np
from PIL import Image

from big_rad.dicom import codestream
from big_rad.dicom.errors import FrameError, NotAnImageError, TooLargeError, UnsupportedError
from big_rad.dicom.image import MAX_PIXELS, Slice, compact, hu

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
NPY_MAGIC = b"\x93NUMPY"
_MAX_CHUNKS = 1 << 18
_MAX_HEADER = 1 << 12
_CHUNKS = frozenset(b"IHDR PLTE tRNS IDAT IEND".split())
_GREY = 0


def read_picture(data: bytes, name: str, frame: int | None, modality: str | None) -> Slice:
    """Reads a PNG or JPEG.

    Args:
        data: the whole file.
        name: of the file, for messages.
        frame: None or 0.
        modality: as the caller says. Grey PNGs of 16 bits become HU if it is "CT", their values
            being taken for HU, else raw; everything else becomes RGB.

    Raises:
        ReadError: see its subclasses. Other exceptions are for the caller to turn into one.
    """
    _check_frame(frame, name)
    deep = False
    if data.startswith(PNG_MAGIC):
        data, deep = _bare_png(data, name)
    else:
        _check_size(*_jpeg_sides(data, name), name)
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        _check_size(image.height, image.width, name)
        if not deep:
            return Slice(np.array(image.convert("RGB")), modality or "OT", None, "", "rgb")
        if image.mode not in ("I;16", "I;16B", "I"):
            raise UnsupportedError(f"{name}: 16 bits in a way that is not handled; give NPY")
        return _grey(np.array(image), modality, name)


def read_npy(data: bytes, name: str, frame: int | None, modality: str | None) -> Slice:
    """Reads an array: numbers [H, W], or uint8 [H, W, 3].

    Args:
        data: the whole file.
        name: of the file, for messages.
        frame: None or 0.
        modality: as the caller says; "CT" means that the values are HU. None is "OT".

    Raises:
        ReadError: see its subclasses. Other exceptions are for the caller to turn into one.
    """
    _check_frame(frame, name)
    stream = io.BytesIO(data)
    shape, fortran, dtype = _npy_header(stream, name)
    colour = len(shape) == 3 and shape[2] == 3 and dtype == np.uint8
    if dtype.hasobject or dtype.kind not in "iuf" or not (len(shape) == 2 or colour):
        raise UnsupportedError(
            f"{name}: shape or dtype is not that of one image; save numbers [H, W] or uint8 "
            "[H, W, 3]"
        )
    _check_size(*shape[:2], name)
    count, start = int(np.prod(shape)), stream.tell()
    if len(data) - start < count * dtype.itemsize:
        raise NotAnImageError(f"{name}: truncated; save the array again")
    values = np.frombuffer(data, dtype, count, start)
    values = values.reshape(shape, order="F" if fortran else "C")
    if colour:
        return Slice(np.array(values, order="C"), modality or "OT", None, "", "rgb")
    return _grey(values, modality, name)


def _grey(values: np.ndarray, modality: str | None, name: str) -> Slice:
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if values.dtype.itemsize > 8:
        raise UnsupportedError(f"{name}: dtype is wider than 8 bytes; save float32 or int16")
    if modality == "CT":
        return Slice(hu(values, 1.0, 0.0, name), "CT", None, "", "HU")
    return Slice(compact(values, name), modality or "OT", None, "", "raw")


def _npy_header(stream: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads the header alone; what it describes may be a pickle, which is never opened."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise UnsupportedError(f"{name}: NPY of another version than 1 or 2; save it again")
    return readers[version](stream, max_header_size=_MAX_HEADER)


def _bare_png(data: bytes, name: str) -> tuple[bytes, bool]:
    """Returns the PNG without text, colour profile and the like, and whether it has 16 bits.

    Those unpack to any size, and may name the patient.
    """
    parts, at = [PNG_MAGIC], len(PNG_MAGIC)
    for _ in range(_MAX_CHUNKS):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if len(kind) < 4 or end > len(data):
            raise NotAnImageError(f"{name}: truncated PNG; save it again")
        if len(parts) == 1:
            deep = _png_header(kind, data[at + 8 : at + 8 + size], name)
        if kind in _CHUNKS:
            parts.append(data[at:end])
        if kind == b"IEND":
            return b"".join(parts), deep
        at = end
    raise TooLargeError(f"{name}: PNG of more than {_MAX_CHUNKS} chunks; save it again")


def _png_header(kind: bytes, body: bytes, name: str) -> bool:
    if kind != b"IHDR" or len(body) != 13:
        raise NotAnImageError(f"{name}: damaged PNG (IHDR); save it again")
    width, height = (int.from_bytes(body[k : k + 4], "big") for k in (0, 4))
    _check_size(height, width, name)
    depth, colour = body[8], body[9]
    if depth == 16 and colour != _GREY:
        # Pillow would keep 8 of the 16 bits without saying so.
        raise UnsupportedError(f"{name}: colour or transparent PNG of 16 bits; give 8 bits")
    return depth == 16


def _jpeg_sides(data: bytes, name: str) -> tuple[int, int]:
    size = codestream.jpeg_size(data, name)
    return size.rows, size.columns


def _check_size(rows: int, columns: int, name: str) -> None:
    if rows < 1 or columns < 1:
        raise NotAnImageError(f"{name}: no pixels; save it again")
    if rows * columns > MAX_PIXELS:
        raise TooLargeError(
            f"{name}: {rows} x {columns} pixels; the limit is {MAX_PIXELS}, downsample it first"
        )


def _check_frame(frame: int | None, name: str) -> None:
    if frame not in (None, 0):
        raise FrameError(f"{name}: frame {frame} of a format that has one; leave it out")
