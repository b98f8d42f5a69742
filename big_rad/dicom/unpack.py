"""Unpacks zstd, gzip and deflated DICOM data up to a limit.

Such data can grow a thousandfold, and the libraries would unpack all of it before its size can be
checked.
"""

import zlib
from typing import BinaryIO

import zstandard

from big_rad.dicom.errors import NotAnImageError, TooLargeError

MAX_BYTES = 1 << 28  # The most bytes of a file, packed or unpacked: 500 CT slices in one file.
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 8  # The packed bytes per step. zstd may unpack them to 10 MB.
_GZIP_PIECE = 1 << 16
_MAX_MEMBERS = 1 << 17  # The most members of a gzip file. Block gzip writes one per 64 kB.


def cannot_open(name: str, error: OSError) -> NotAnImageError:
    """Returns the error for a file that the system cannot open; it does not name the folder."""
    reason = type(error).__name__
    return NotAnImageError(f"{name}: cannot be opened ({reason}); check the path")


def read_capped(stream: BinaryIO, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns the rest of a stream.

    Raises:
        TooLargeError: the rest has more than `max_bytes`.
    """
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise _too_large(name, max_bytes)
    return data


def unzstd(data: bytes, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns all zstd frames of `data` unpacked, or `data` itself if it is not zstd.

    Args:
        data: the bytes of the file.
        name: the name of the file, for messages.
        max_bytes: the largest allowed size of `data` and of the result.

    Raises:
        NotAnImageError: the data are damaged or incomplete.
        TooLargeError: `data` or the result has more than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise _too_large(name, max_bytes)
    if not data.startswith(ZSTD_MAGIC):
        return data
    try:
        declared = zstandard.frame_content_size(data)
        if declared > max_bytes:
            raise _too_large(name, max_bytes)
        if declared > 0:  # Without a size, `decompress` would drop all frames but the first.
            try:
                return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
            except zstandard.ZstdError:
                pass  # There are several frames, or the data are damaged.
        # The declared size covers only the first frame, so the limit is checked during unpacking.
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
        name: the name of the file, for messages.
        max_bytes: the largest allowed size of the result.

    Raises:
        NotAnImageError: the data are damaged or incomplete.
        TooLargeError: the result has more than `max_bytes`.
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


class GzipStream:
    """A gzip file of any number of members, which is read forwards piece by piece.

    It replaces the reader of Python, which reads a file name in the header byte by byte, without a
    limit to its length.
    """

    def __init__(self, stream: BinaryIO, name: str):
        self._stream, self._name = stream, name
        self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._members = 0

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes, or fewer at the end of the file.

        Raises:
            NotAnImageError: the data are damaged.
            TooLargeError: the file has too many members.
        """
        parts = []
        while size > 0:
            try:
                part = self._some(size)
            except zlib.error:
                raise NotAnImageError(
                    f"{self._name}: damaged gzip data; copy the file again"
                ) from None
            if part is None:
                break
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, size: int) -> bytes | None:
        """Returns up to `size` bytes, which may be b"" before the end, or None at the end."""
        unpacker = self._unpacker
        rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        packed = rest or self._stream.read(_GZIP_PIECE)
        if not packed:
            pending = b"" if unpacker.eof else unpacker.decompress(b"", size)
            return pending or None
        if unpacker.eof:
            if not packed.strip(b"\0"):  # This is padding after the last member.
                return None
            self._members += 1
            if self._members > _MAX_MEMBERS:
                raise TooLargeError(f"{self._name}: more than {_MAX_MEMBERS} gzip members")
            self._unpacker = unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return unpacker.decompress(packed, size)


def _too_large(name: str, max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{name}: unpacks to more than {max_bytes} bytes, which no slice needs; if it is genuine, "
        "export the slice alone and uncompressed"
    )
