"""The EXIF orientation of JPEG and PNG files, and nothing else of what EXIF holds.

EXIF may name the patient, the photographer and the place, so that no library is let at it.
"""

import struct

_TAG, _SHORT = 0x0112, 3
_MAX_ENTRIES = 512
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length


def of_jpeg(data: bytes) -> int | None:
    """Returns the orientation of a JPEG, 1 to 8, or None if its EXIF gives an impossible one."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA or length < 2:
            break
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return of_tiff(data[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def of_tiff(data: bytes) -> int | None:
    """Returns the orientation in an EXIF block (the content of PNG's eXIf), as `of_jpeg` does."""
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
