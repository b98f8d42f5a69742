"""Reads the image size from compressed frames of DICOM files before they are decoded; decodes RLE.

The header of a compressed frame gives its own image size, and a decoder uses that size and not the
one in the DICOM elements. A frame of a few bytes could therefore claim a huge image. The caller
reads the size here and compares it with the elements before it calls a decoder. RLE is also decoded
here, because the decoder of pydicom sets no limit to the size of a segment.
"""

import dataclasses
import struct

import numpy as np
from jaxtyping import UInt

from big_rad.dicom.errors import MissingElementError, NotAnImageError, TooLargeError

MAX_SCANS = 64  # The most scans of a progressive JPEG; each is a pass over the whole image.
_MAX_TILES = 1024  # The most tiles of a JPEG 2000 image; each costs its decoder kilobytes.
_MAX_RUNS = 1 << 24
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # JPEG-LS uses 0xF7.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # The markers without a length field.


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of an image as the header of its compressed frame gives it.

    Attributes:
        rows, columns: the height and the width in pixels.
        samples: the number of components per pixel.
        bits: the number of bits per sample.
    """

    rows: int
    columns: int
    samples: int
    bits: int


def jpeg_size(frame: bytes, name: str) -> Size:
    """Reads the frame header of JPEG or JPEG-LS (ITU-T T.81 B.2.2, T.87 C.2.2).

    Raises:
        NotAnImageError: no frame header is found.
        TooLargeError: the frame has more scans than any encoder writes.
    """
    at = 2
    if frame[:2] != b"\xff\xd8":
        raise _damaged(name)
    if frame.count(b"\xff\xda") > MAX_SCANS:
        raise TooLargeError(f"{name}: JPEG of more than {MAX_SCANS} scans; save it as baseline")
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:
            raise _damaged(name)
        marker = frame[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker in _SOF:
            if at + 10 > len(frame):
                break
            bits, rows, columns, samples = struct.unpack_from(">BHHB", frame, at + 4)
            return Size(rows, columns, samples, bits)
        if marker in (0xDA, 0xD9) or length < 2:
            break
        at += 2 + length
    raise _damaged(name)


def bare_jpeg2000(frame: bytes, name: str) -> bytes:
    """Returns the codestream of a JPEG 2000 frame without the boxes of the JP2 format around it.

    The boxes are removed because they state an image size of their own, which may differ.

    Raises:
        NotAnImageError: the frame has no codestream.
    """
    start = 0
    if frame[4:8] == b"jP  ":
        start = frame.find(b"jp2c", 0, 1 << 16) + 4
    if frame[start : start + 4] != b"\xff\x4f\xff\x51":
        raise _damaged(name)
    return frame[start:]


def jpeg2000_size(frame: bytes, name: str) -> Size:
    """Reads the image and tile sizes of a bare JPEG 2000 codestream (ITU-T T.800 A.5.1).

    Raises:
        NotAnImageError: the sizes are missing or impossible.
        TooLargeError: the image has more tiles than a slice could need.
    """
    if len(frame) < 43:
        raise _damaged(name)
    x1, y1, x0, y0, tile_x, tile_y, from_x, from_y, samples = struct.unpack_from(">8LH", frame, 8)
    if min(tile_x, tile_y) < 1 or x1 <= x0 or y1 <= y0 or from_x > x0 or from_y > y0:
        raise _damaged(name)
    tiles = -(-(x1 - from_x) // tile_x) * -(-(y1 - from_y) // tile_y)
    if tiles > _MAX_TILES:
        raise TooLargeError(f"{name}: JPEG 2000 of more than {_MAX_TILES} tiles; save it as one")
    return Size(y1 - y0, x1 - x0, samples, (frame[42] & 0x7F) + 1)


def rle_frame(
    frame: bytes, rows: int, columns: int, samples: int, bits: int, name: str
) -> UInt[np.ndarray, "rows columns"] | UInt[np.ndarray, "rows columns samples"]:
    """Decodes a frame of RLE (DICOM PS3.5 Annex G).

    Returns:
        Unsigned integers of `bits` (8 or 16) bits. The last axis is left out if `samples` is 1.

    Raises:
        MissingElementError: the frame has fewer pixels than needed.
        NotAnImageError: the frame is damaged.
        TooLargeError: the frame has more runs than could be decoded in reasonable time.
    """
    each, pixels = bits // 8, rows * columns
    if len(frame) < 64:
        raise MissingElementError(f"{name}: PixelData is truncated; copy or export it again")
    count, *starts = struct.unpack_from("<16L", frame)
    if count != samples * each:
        raise NotAnImageError(f"{name}: RLE pixel data of another depth than BitsAllocated says")
    starts = [*starts[:count], len(frame)]
    if sorted(starts) != starts or starts[0] < 64:
        raise NotAnImageError(f"{name}: damaged RLE pixel data; convert the file to uncompressed")
    planes = np.empty((samples, pixels, each), np.uint8)
    runs = _MAX_RUNS
    for k, (start, end) in enumerate(zip(starts, starts[1:])):
        plane, used = _rle_plane(frame, start, end, pixels, runs, name)
        runs -= used
        planes[k // each, :, each - 1 - k % each] = plane  # The high byte comes first.
    result = planes.view(f"<u{each}").reshape(samples, rows, columns)
    return result[0] if samples == 1 else np.ascontiguousarray(np.moveaxis(result, 0, -1))


def _rle_plane(
    frame: bytes, at: int, end: int, pixels: int, max_runs: int, name: str
) -> tuple[np.ndarray, int]:
    """Decodes one RLE segment; returns its bytes [pixels] and the number of runs it used."""
    result, runs = bytearray(), 0
    while len(result) < pixels and at + 1 < end:
        runs += 1
        if runs > max_runs:
            raise TooLargeError(f"{name}: RLE pixel data of too many runs; save it uncompressed")
        n = frame[at]
        if n < 128:
            result += frame[at + 1 : min(at + 2 + n, end)]
            at += n + 2
        elif n > 128:
            result += frame[at + 1 : at + 2] * (257 - n)
            at += 2
        else:
            at += 1
    if len(result) < pixels:
        raise MissingElementError(f"{name}: PixelData is truncated; copy or export it again")
    return np.frombuffer(result, np.uint8, pixels), runs


def _damaged(name: str) -> NotAnImageError:
    return NotAnImageError(
        f"{name}: damaged compressed pixel data; export the file again, uncompressed"
    )
