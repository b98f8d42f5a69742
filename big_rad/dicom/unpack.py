"""Bytes of a file, unpacked under a limit: zstd streams and deflated DICOM.

Both formats can grow a thousandfold, and their libraries unpack first and ask later. Knows nothing
of pixels.
"""

import pathlib
import zlib

import zstandard

from big_rad.dicom.errors import NotAnImageError, TooLargeError

MAX_BYTES = 1 << 30
_CHUNK = 1 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def read_bytes(path: pathlib.Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns a file's content, without its zstd wrapping if it has one.

    Raises:
        NotAnImageError: no readable file, or damaged zstd data.
        TooLargeError: more than `max_bytes`, packed or unpacked.
    """
    try:
        with path.open("rb") as f:
            data = f.read(max_bytes + 1)
    except OSError as e:
        reason = type(e).__name__
        raise NotAnImageError(f"{path.name}: cannot be opened ({reason}); check the path") from None
    return unzstd(data, path.name, max_bytes)


def unzstd(data: bytes, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns all zstd frames of `data` unpacked, or `data` itself if it is not zstd.

    Args:
        data: the bytes.
        name: of the file, for messages.
        max_bytes: limit of the result.

    Raises:
        NotAnImageError: damaged data.
        TooLargeError: more than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise _too_large(name, max_bytes)
    if not data.startswith(_ZSTD_MAGIC):
        return data
    parts, total = [], 0
    try:
        # The declared size is only of the first frame, so the limit is also kept while streaming.
        if zstandard.frame_content_size(data) > max_bytes:
            raise _too_large(name, max_bytes)
        unpacker = zstandard.ZstdDecompressor()
        with unpacker.stream_reader(data, read_across_frames=True) as stream:
            while chunk := stream.read(_CHUNK):
                total += len(chunk)
                if total > max_bytes:
                    raise _too_large(name, max_bytes)
                parts.append(chunk)
    except zstandard.ZstdError:
        raise NotAnImageError(f"{name}: damaged zstd data; copy the file again") from None
    return b"".join(parts)


def inflate(data: bytes, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns raw deflate data (the data set of a deflated DICOM file) unpacked.

    Args:
        data: the bytes after the file meta information.
        name: of the file, for messages.
        max_bytes: limit of the result.

    Raises:
        NotAnImageError: damaged data.
        TooLargeError: more than `max_bytes`.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        result = unpacker.decompress(data, max_bytes + 1)
    except zlib.error:
        raise NotAnImageError(f"{name}: damaged deflated DICOM; copy the file again") from None
    if len(result) > max_bytes:
        raise _too_large(name, max_bytes)
    return result


def _too_large(name: str, max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{name}: unpacks to more than {max_bytes} bytes, which no slice needs; if it is genuine, "
        "export the slice alone and uncompressed"
    )
