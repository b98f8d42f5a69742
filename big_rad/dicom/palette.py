"""Turns PALETTE COLOR images of DICOM into RGB.

The stored values of such an image are indices into three tables, one each for red, green and blue
(PS3.3 C.7.6.3.1.5).
"""

import numpy as np
from jaxtyping import Integer, UInt8

from big_rad.dicom import tables
from big_rad.dicom.elements import DataSet
from big_rad.dicom.errors import MissingElementError, NotAnImageError
from big_rad.dicom.tables import Descriptor

_COLOURS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = range(3)  # The kinds of segments in a segmented table.


def to_rgb(
    indices: Integer[np.ndarray, "height width"], ds: DataSet, signed: bool, name: str
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns the colours of indices; entries of more than 8 bits give their high 8 bits.

    Args:
        indices: the stored values [H, W].
        ds: the elements of the file, which hold the tables.
        signed: whether indices may be negative.
        name: the name of the file, for messages.

    Raises:
        ReadError: a table is missing or damaged.
    """
    colours = []
    for colour in _COLOURS:
        keyword = f"{colour}PaletteColorLookupTable"
        table = tables.descriptor(ds, f"{keyword}Descriptor", signed, name)
        if ds.span(f"{keyword}Data"):
            entries = tables.entries(ds, f"{keyword}Data", table, name)
        elif ds.span(f"Segmented{keyword}Data"):
            entries = _unpacked(ds, f"Segmented{keyword}Data", table, name)
        else:
            raise MissingElementError(f"{name}: no {keyword}Data; export it again, as RGB")
        colours.append((entries, table))
    # A descriptor often says 16 bits although its entries have 8, and sometimes the reverse, so the
    # entries decide.
    deep = max(int(entries.max()) for entries, _ in colours) > 255
    result = np.empty((*indices.shape, 3), np.uint8)
    for channel, (entries, table) in enumerate(colours):
        shift = (table.bits - 8 or 8) if deep else 0
        result[..., channel] = tables.look_up(
            indices, (entries >> shift).astype(np.uint8), table.first
        )
    return result


def _unpacked(ds: DataSet, keyword: str, table: Descriptor, name: str) -> np.ndarray:
    """Unpacks a segmented table (PS3.3 C.7.9.2) to the number of entries in its descriptor."""
    data = ds.get(keyword) or b""
    wide = table.bits > 8
    order = "<" if ds.source.little else ">"
    codes = (
        np.frombuffer(data, f"{order}u2", len(data) // 2)
        if wide
        else tables.packed_bytes(data, ds, keyword)
    ).tolist()
    result: list[int] = []
    at = 0
    try:
        while len(result) < table.count and at + 1 < len(codes):
            if codes[at] != _INDIRECT:
                at = _segment(codes, at, result, table.count)
                ds.source.step()
                continue
            count, offset = codes[at + 1], codes[at + 2 : at + (4 if wide else 6)]
            at += 2 + len(offset)
            start = sum(part << (16 if wide else 8) * k for k, part in enumerate(offset))
            start //= 2 if wide else 1  # The standard counts bytes.
            for _ in range(count):
                start = _segment(codes, start, result, table.count)
                ds.source.step()
    except (IndexError, ValueError):
        raise NotAnImageError(f"{name}: {keyword} is damaged; export it again, as RGB") from None
    if len(result) < table.count:
        raise MissingElementError(
            f"{name}: {keyword} has fewer entries than its descriptor says; export it again, as RGB"
        )
    return np.array(result[: table.count], np.uint16)


def _segment(codes: list[int], at: int, result: list[int], most: int) -> int:
    """Adds the entries of one segment to `result` while that has fewer than `most` entries.

    Returns:
        The index in `codes` at which the next segment starts.

    Raises:
        IndexError: the segment ends too early.
        ValueError: the segment is of an unknown kind, or is a linear one without an entry before
            it.
    """
    kind, length = codes[at], codes[at + 1]
    kept = min(length, max(most - len(result), 0))
    if kind == _DISCRETE:
        result += codes[at + 2 : at + 2 + kept]
        return at + 2 + length
    if kind != _LINEAR or not result:
        raise ValueError
    first, last = result[-1], codes[at + 2]
    steps = np.arange(1, kept + 1) * ((last - first) / max(length, 1))
    result += np.rint(first + steps).astype(int).tolist()
    return at + 3
