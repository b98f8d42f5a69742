"""Reads the EXIF orientation of JPEG and PNG files, and nothing else that EXIF holds.

EXIF may name the patient, the photographer and the place. This module therefore reads only the
orientation, and passes no EXIF data to a library.
"""

import struct

_TAG, _SHORT = 0x0112, 3
_MAX_ENTRIES = 512
_DROPPED = frozenset({0xFE, *range(0xE1, 0xEE), 0xEF})  # JFIF (0xE0) and Adobe (0xEE) stay.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # The JPEG markers without a length field.


def bare_jpeg(data: bytes) -> tuple[bytes, int | None]:
    """Removes EXIF, the colour profile and comments from a JPEG.

    Returns:
        The JPEG without these, and its EXIF orientation: 1 to 8. The orientation is 1 if the JPEG
        states none, and None if the stated number is impossible.
    """
    parts, orientation, at = [data[:2]], 1, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA or length < 2:
            break
        end = at + 2 + length
        if marker not in _DROPPED:
            parts.append(data[at:end])
        elif marker == 0xE1 and orientation == 1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = of_tiff(data[at + 10 : end])
        at = end
    return b"".join([*parts, data[at:]]), orientation


def of_tiff(data: bytes) -> int | None:
    """Returns the orientation in an EXIF block, such as the content of a PNG's eXIf chunk.

    Returns:
        1 to 8. It is 1 if the block states no orientation, and None if the stated number is
        impossible.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return 1
    start = struct.unpack_from(f"{order}L", data, 4)[0]
    if start + 2 > len(data):
        return 1
    count = struct.unpack_from(f"{order}H", data, start)[0]
    for k in range(min(count, _MAX_ENTRIES)):
        at = start + 2 + 12 * k
        if at + 12 > len(data):
            break
        tag, kind, number = struct.unpack_from(f"{order}HHL", data, at)
        if tag == _TAG and kind == _SHORT and number == 1:
            value = struct.unpack_from(f"{order}H", data, at + 8)[0]
            return (value or 1) if value <= 8 else None
    return 1
