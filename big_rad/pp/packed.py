"""Packs arrays into bytes for records: a .npy file in a zstd frame, lossless and without pickle.

A record is read whole, but often only one of its images is used. Arrays therefore stay packed until
the op `load` needs them.
"""

import io
import re

import numpy as np
import zstandard

MAX_BYTES = 1 << 30
_LEVEL = 3
# The header as numpy writes it. numpy reads it back as Python source, which in Python 3.11 can fail
# while another thread does the same ("AST constructor recursion depth mismatch"). The threads of
# the input pipeline would then lose examples that are in order.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][a-z][0-9]+)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]+, ?)*[0-9]*)\), \}\s*"
)


def pack(array: np.ndarray) -> bytes:
    """Returns an array of numbers as bytes; `unpack` gives it back bit for bit."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return zstandard.ZstdCompressor(level=_LEVEL).compress(buffer.getvalue())


def unpack(data: bytes) -> np.ndarray:
    """Returns the array (read-only) that was packed.

    Raises:
        ValueError: The bytes are not a packed array, or the array has more than `MAX_BYTES`.
    """
    try:
        if zstandard.frame_content_size(data) > MAX_BYTES:
            raise ValueError(f"packed array of more than {MAX_BYTES} bytes")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_BYTES)
        stream = io.BytesIO(plain)
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("packed array of an unknown .npy version")
        length = int.from_bytes(stream.read(2), "little")
        header = _HEADER.fullmatch(stream.read(length))
        if header is None or header[2] == b"True":
            raise ValueError("packed array with an unknown header, of objects or in Fortran order")
        shape = tuple(map(int, re.findall(rb"[0-9]+", header[3])))
        dtype = np.dtype(header[1].decode())
        return np.frombuffer(plain, dtype, offset=stream.tell()).reshape(shape)
    except zstandard.ZstdError as e:
        raise ValueError("packed array is damaged; build the dataset again") from e


def array(x: bytes | np.ndarray) -> np.ndarray:
    """Returns the array; `x` may be packed or not."""
    return unpack(x) if isinstance(x, bytes) else x
