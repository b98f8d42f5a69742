"""Bytes of a file, unpacked under a limit: zstd streams and deflated DICOM.

Both formats can grow a thousandfold, and their libraries unpack first and ask later. Knows nothing
of pixels.
"""

import zlib
from typing import BinaryIO

import zstandard

from big_rad.dicom.errors import NotAnImageError, TooLargeError

MAX_BYTES = 1 << 28  # packed as well as unpacked: 500 CT slices in one file
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 7  # packed bytes at a time: zstd makes up to 6 MB of them
_USUAL = 1 << 24


def cannot_open(name: str, error: OSError) -> NotAnImageError:
    """Returns the error for a file that the system does not give, without its folder."""
    reason = type(error).__name__
    return NotAnImageError(f"{name}: cannot be opened ({reason}); check the path")


def read_capped(stream: BinaryIO, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns the rest of a stream.

    Raises:
        TooLargeError: more than `max_bytes`.
    """
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise _too_large(name, max_bytes)
    return data


def unzstd(data: bytes, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns all zstd frames of `data` unpacked, or `data` itself if it is not zstd.

    Args:
        data: the bytes.
        name: of the file, for messages.
        max_bytes: limit of the result.

    Raises:
        NotAnImageError: damaged or incomplete data.
        TooLargeError: more than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise _too_large(name, max_bytes)
    if not data.startswith(ZSTD_MAGIC):
        return data
    try:
        if zstandard.frame_content_size(data) > max_bytes:
            raise _too_large(name, max_bytes)
        try:  # The usual case: one frame, in one call.
            return zstandard.ZstdDecompressor().decompress(
                data, max_output_size=min(_USUAL, max_bytes), allow_extra_data=False
            )
        except zstandard.ZstdError:
            pass  # Several frames, a large one of unknown size, or damaged.
        # The declared size is only of the first frame, so the limit is kept while unpacking.
        result, at = bytearray(), 0
        while at < len(data):
            unpacker = zstandard.ZstdDecompressor().decompressobj()
            while at < len(data) and not unpacker.eof:
                piece = data[at : at + _PIECE]
                result += unpacker.decompress(piece)
                at += len(piece) - len(unpacker.unused_data)
                if len(result) > max_bytes:
                    raise _too_large(name, max_bytes)
            if not unpacker.eof:
                raise NotAnImageError(f"{name}: truncated zstd data; copy the file again")
        return bytes(result)
    except zstandard.ZstdError:
        raise NotAnImageError(f"{name}: damaged zstd data; copy the file again") from None


def inflate(data: bytes, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns raw deflate data (the data set of a deflated DICOM file) unpacked.

    Args:
        data: the bytes after the file meta information.
        name: of the file, for messages.
        max_bytes: limit of the result.

    Raises:
        NotAnImageError: damaged or incomplete data.
        TooLargeError: more than `max_bytes`.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        result = unpacker.decompress(data, max_bytes + 1)
    except zlib.error:
        raise NotAnImageError(f"{name}: damaged deflated DICOM; copy the file again") from None
    if len(result) > max_bytes:
        raise _too_large(name, max_bytes)
    if not unpacker.eof:
        raise NotAnImageError(f"{name}: truncated deflated DICOM; copy the file again")
    return result


def _too_large(name: str, max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{name}: unpacks to more than {max_bytes} bytes, which no slice needs; if it is genuine, "
        "export the slice alone and uncompressed"
    )
