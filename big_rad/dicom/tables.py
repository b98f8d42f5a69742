"""Reads the lookup tables of DICOM files, and looks values up in them."""

import dataclasses

import numpy as np
from jaxtyping import Num, UInt8, UInt16

from big_rad.dicom.elements import DataSet
from big_rad.dicom.errors import MissingElementError, UnsupportedError
from big_rad.dicom.image import in_blocks

_MAX_ENTRIES = 1 << 16


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """The descriptor of a lookup table.

    Attributes:
        count: the number of entries, 1 to 65536.
        first: the value that maps to the first entry. Lower values map to the first entry too, and
            values past the end of the table map to the last entry.
        bits: the number of bits per entry, 8 to 16.
    """

    count: int
    first: int
    bits: int


def descriptor(ds: DataSet, keyword: str, signed: bool, name: str) -> Descriptor:
    """Reads a descriptor of three words.

    Args:
        ds: the elements that hold the descriptor.
        keyword: the keyword of the descriptor.
        signed: whether the values that are looked up may be negative. Then `first` may be, too.
        name: the name of the file, for messages.

    Raises:
        MissingElementError: the descriptor is absent or does not have three words.
        UnsupportedError: the entries have fewer than 8 or more than 16 bits.
    """
    words = ds.get(keyword)
    if not words or len(words) != 3:
        raise MissingElementError(f"{name}: {keyword} has not three values; export it again")
    count, first, bits = words
    if not 8 <= bits <= 16:
        raise UnsupportedError(
            f"{name}: {keyword} asks for entries of other than 8 to 16 bits; export it again"
        )
    negative = (signed or ds.vr(keyword) == b"SS") and first >> 15
    return Descriptor(count or _MAX_ENTRIES, first - (1 << 16) if negative else first, bits)


def entries(
    ds: DataSet, keyword: str, table: Descriptor, name: str
) -> UInt16[np.ndarray, " count"]:
    """Returns the entries of a table.

    A word holds one entry of 8 bits or two (PS3.3 C.11.1.1). The length of the data shows which.

    Raises:
        MissingElementError: the table has fewer entries than its descriptor says.
    """
    data = ds.get(keyword) or b""
    order = "<" if ds.source.little else ">"
    if len(data) >= 2 * table.count:
        return np.frombuffer(data, f"{order}u2", table.count).astype(np.uint16)
    if table.bits == 8 and len(data) >= table.count:
        return packed_bytes(data, ds, keyword)[: table.count].astype(np.uint16)
    raise MissingElementError(
        f"{name}: {keyword} has fewer entries than its descriptor says; export it again"
    )


def packed_bytes(data: bytes, ds: DataSet, keyword: str) -> UInt8[np.ndarray, " count"]:
    """Returns entries of 8 bits. In a big-endian file the low byte of a word comes first."""
    values = np.frombuffer(data, np.uint8)
    if not ds.source.little and ds.vr(keyword) != b"OB" and len(values) % 2 == 0:
        values = values.reshape(-1, 2)[:, ::-1].ravel()
    return values


def look_up(
    values: Num[np.ndarray, "height width"], table: Num[np.ndarray, " count"], first: int
) -> Num[np.ndarray, "height width"]:
    """Returns the entry of each value; values with fractions are rounded first."""

    def found(block: np.ndarray) -> np.ndarray:
        if block.dtype.kind == "f":
            block = np.nan_to_num(np.rint(block))
        return table[np.clip(block.astype(np.int64) - first, 0, len(table) - 1)]

    return in_blocks(values, found, table.dtype.type)
