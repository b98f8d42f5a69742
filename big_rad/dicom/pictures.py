"""Reads PNG, JPEG and NPY files, which hold pixels but do not describe the patient or the scan."""

import dataclasses
import io
import zlib

import numpy as np
from PIL import Image

from big_rad import files
from big_rad.dicom import codestream, exif
from big_rad.dicom.errors import (
    FrameError,
    NotAnImageError,
    ReadError,
    TooLargeError,
    UnsupportedError,
)
from big_rad.dicom.image import MAX_PIXELS, Slice, compact, hu

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
NPY_MAGIC = b"\x93NUMPY"
_MAX_CHUNKS = 1 << 18
_MAX_HEADER = 1 << 12
_CHUNKS = frozenset(b"IHDR PLTE tRNS IDAT IEND".split())
_GREY = 0
_SEEN_THROUGH = "transparency was ignored; the values stored below it are shown"


def read_picture(
    data: bytes, name: str, frame: int | None, modality: str | None, labels: bool = False
) -> Slice:
    """Reads a PNG or JPEG.

    Args:
        data: the whole file.
        name: the name of the file, for messages.
        frame: None or 0, because the file has one image.
        modality: the modality that the caller gives. The values of a grey PNG of 16 bits are taken
            for HU if it is "CT", and are raw otherwise. All other pictures become RGB.
        labels: whether the picture is a map of labels, see `read.read`. A PNG that is grey or has a
            palette then becomes raw.

    Raises:
        ReadError: the file cannot be used; see the subclasses.
    """
    _check_frame(frame, name)
    if data.startswith(PNG_MAGIC):
        png = _bare_png(data, name)
        data, orientation = png.data, png.orientation
    else:
        png = None
        size = codestream.jpeg_size(data, name)
        _check_size(size.rows, size.columns, name)
        if size.bits != 8:
            raise UnsupportedError(f"{name}: JPEG of {size.bits} bits; convert it to PNG")
        data, orientation = exif.bare_jpeg(data)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            _check_size(image.height, image.width, name)
            found = _pixels(image, png, modality, labels, name)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        zlib.error,
        Image.DecompressionBombError,
    ) as e:
        if isinstance(e, ReadError):
            raise
        kind = "JPEG" if png is None else "PNG"
        raise NotAnImageError(
            f"{name}: {kind} that is damaged, cut off or of a rare kind; save it again"
        ) from None
    warnings = list(found.warnings)
    if png is not None and png.animated:
        warnings.append("of an animated PNG the default image was read")
    if orientation is None:
        warnings.append("the EXIF orientation is impossible and was ignored")
    elif orientation > 1:
        warnings.append("the picture is stored turned or mirrored (EXIF orientation)")
    return dataclasses.replace(found, exif=orientation or 1, warnings=tuple(warnings))


def _pixels(
    image: Image.Image, png: "_Png | None", modality: str | None, labels: bool, name: str
) -> Slice:
    if png is not None and png.depth == 16:
        if image.mode not in ("I;16", "I;16B", "I"):
            raise UnsupportedError(f"{name}: 16 bits in a way that is not handled; give NPY")
        values = np.array(image)
        found = _grey(values, modality, name)
        hole = image.info.get("transparency")
        warnings = () if hole is None or not (values == hole).any() else (_SEEN_THROUGH,)
        return dataclasses.replace(found, warnings=warnings)
    if image.mode == "P" and image.palette is None:
        raise NotAnImageError(f"{name}: PNG without its palette (PLTE); save it again")
    warnings = _see_through(image)
    if labels and png is not None and image.mode in ("1", "L", "LA", "P"):
        values, more = _stored(image, png)
        found = Slice(compact(values, name), modality or "OT", None, "", "raw")
        return dataclasses.replace(found, warnings=(*warnings, *more))
    pixels = np.array(image.convert("RGB"))
    return Slice(pixels, modality or "OT", None, "", "rgb", warnings=warnings)


def _stored(image: Image.Image, png: "_Png") -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the stored numbers of a PNG that is grey or has a palette, and warnings."""
    values = np.array(image).astype(np.uint8)
    if image.mode == "LA":
        return values[..., 0], ()
    if image.mode == "L":  # Pillow scales values of 2 and 4 bits to 0..255.
        return values // (255 // ((1 << png.depth) - 1)), ()
    if image.mode == "1":
        return values, ()
    palette = np.frombuffer(image.palette.tobytes(), np.uint8)
    colours = palette[: len(palette) // 3 * 3].reshape(-1, 3)
    used = np.unique(values)
    shown = colours[used[used < len(colours)]]
    grey = (shown == shown[:, :1]).all()
    if grey and not np.array_equal(shown[:, 0], used[: len(shown)]):
        return values, (
            "the palette shows other grey values than its indices; the indices are the labels",
        )
    return values, ()


def _see_through(image: Image.Image) -> tuple[str, ...]:
    """Returns a warning if a picture has pixels that are not opaque."""
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        if image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            return (_SEEN_THROUGH,)
    return ()


def read_npy(data: bytes, name: str, frame: int | None, modality: str | None) -> Slice:
    """Reads an NPY file, whose array holds numbers [H, W] or is uint8 [H, W, 3].

    Args:
        data: the whole file.
        name: the name of the file, for messages.
        frame: None or 0, because the file has one image.
        modality: the modality that the caller gives. "CT" means that the values are HU; None is
            "OT".

    Raises:
        ReadError: the file cannot be used; see the subclasses. A damaged file may also raise other
            exceptions, which the caller must turn into a ReadError.
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
    """Reads only the header. The array may be a pickle, and pickles are never opened."""
    try:
        version = np.lib.format.read_magic(stream)
    except ValueError:
        raise NotAnImageError(f"{name}: truncated; save the array again") from None
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise UnsupportedError(f"{name}: NPY of another version than 1 or 2; save it again")
    try:
        with files.NPY_HEADER_LOCK:
            return readers[version](stream, max_header_size=_MAX_HEADER)
    except Exception:  # The header is parsed as Python, so any exception may come from it.
        raise NotAnImageError(f"{name}: damaged NPY header; save the array again") from None


@dataclasses.dataclass(frozen=True)
class _Png:
    """A PNG without text, colour profile and other chunks that its pixels do not need.

    Attributes:
        data: the bytes of the file.
        depth: the number of bits per sample.
        animated: whether the file held more images.
        orientation: the EXIF orientation, or None if it is impossible.
    """

    data: bytes
    depth: int
    animated: bool
    orientation: int | None


def _bare_png(data: bytes, name: str) -> _Png:
    """Removes the chunks that may unpack to any size or may name the patient."""
    parts, at = [PNG_MAGIC], len(PNG_MAGIC)
    animated, orientation = False, 1
    for _ in range(_MAX_CHUNKS):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if len(kind) < 4 or end > len(data):
            raise NotAnImageError(f"{name}: truncated PNG; save it again")
        if len(parts) == 1:
            depth = _png_depth(kind, data[at + 8 : at + 8 + size], name)
        if kind in _CHUNKS:
            parts.append(data[at:end])
        elif kind == b"eXIf":
            orientation = exif.of_tiff(data[at + 8 : end - 4])
        animated |= kind == b"acTL"
        if kind == b"IEND":
            return _Png(b"".join(parts), depth, animated, orientation)
        at = end
    raise TooLargeError(f"{name}: PNG of more than {_MAX_CHUNKS} chunks; save it again")


def _png_depth(kind: bytes, body: bytes, name: str) -> int:
    if kind != b"IHDR" or len(body) != 13:
        raise NotAnImageError(f"{name}: damaged PNG (IHDR); save it again")
    width, height = (int.from_bytes(body[k : k + 4], "big") for k in (0, 4))
    _check_size(height, width, name)
    depth, colour = body[8], body[9]
    if depth == 16 and colour != _GREY:
        # Pillow would silently keep 8 of the 16 bits.
        raise UnsupportedError(f"{name}: colour or transparent PNG of 16 bits; give 8 bits")
    return depth


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
