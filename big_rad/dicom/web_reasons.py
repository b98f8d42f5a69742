"""Why an archive did not store an object, by its report (PS3.18 I.2) and its codes (PS3.4 B.2)."""

import pydicom

Reason = tuple[int | None, str]
_REASONS = {
    0x0107: "not all attributes can be used",
    0x0110: "the archive failed while it was processing it",
    0x0111: "the archive has it already",
    0x0112: "the archive does not know what it belongs to",
    0x0116: "an attribute is out of range",
    0x0117: "its UID is not valid",
    0x0118: "the archive does not know its class",
    0x0119: "its class and its UID contradict each other",
    0x0122: "the archive does not take objects of this class",
    0x0124: "this user may not store it",
    0x0131: "the archive is too busy",
    0x0213: "the archive has no space or memory left",
    0xB000: "the archive has changed some attributes",
    0xB006: "the archive has left out some attributes",
    0xB007: "the object does not quite fit its class",
    0xC122: "the archive does not take its transfer syntax",
    0xC409: "the archive has another object with its UID",
}
_RANGES = (
    (0xA700, 0xA7FF, "the archive has no space or memory left"),
    (0xA900, 0xA9FF, "the object does not fit its class"),
    (0xC000, 0xCFFF, "the archive cannot understand it"),
)


def of_reply(reply: pydicom.Dataset, instance: str) -> tuple[Reason | None, Reason | None]:
    """Returns what an archive reports about an object.

    Args:
        reply: the report.
        instance: the SOPInstanceUID of the object.

    Returns:
        The code and the words of the reason why the object was not stored, or None if it was; and
        those of a remark about an object that was stored, or None.
    """
    try:
        for item in _items(reply, "FailedSOPSequence") + _items(reply, "OtherFailuresSequence"):
            if item.get("ReferencedSOPInstanceUID") in (None, "", instance):
                return _reason(item.get("FailureReason")), None
        for item in _items(reply, "ReferencedSOPSequence"):
            if item.get("ReferencedSOPInstanceUID") == instance:
                code = item.get("WarningReason")
                return None, None if code is None else _reason(code)
    except Exception:  # Whatever pydicom meets while it decodes the report.
        return (None, "the report of the archive cannot be read; look with `find`"), None
    return (None, "the archive does not report that it was stored; look with `find`"), None


def _items(reply: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    return list(reply.get(keyword) or [])


def _reason(code: object) -> Reason:
    if not isinstance(code, int):
        return None, "the archive gives no reason"
    words = _REASONS.get(code)
    for first, last, meaning in _RANGES:
        if words is None and first <= code <= last:
            words = meaning
    return code, f"{words or 'for a reason of its own'} (0x{code:04X})"
