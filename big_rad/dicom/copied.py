"""Copies of headers for the DICOM objects that we write.

An object belongs to the patient and the study of its source, so the attributes of both are copied.
The copy is complete where the standard demands it, and all its texts are decoded.
"""

import copy
from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.valuerep import DA, TM

# Attributes of patient and study that may be empty (type 2), but that have to be there.
MAY_BE_EMPTY = {
    "PatientID": "LO", "PatientName": "PN", "PatientBirthDate": "DA", "PatientSex": "CS",
    "AccessionNumber": "SH", "StudyID": "SH", "StudyDate": "DA", "StudyTime": "TM",
    "ReferringPhysicianName": "PN",
}  # fmt: skip
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_NOT_COPIED = (*FUNCTIONAL_GROUPS, "SpecificCharacterSet")
_PIXELS = 0x7FE0


def filled(ds: pydicom.Dataset) -> tuple[pydicom.Dataset, tuple[str, ...]]:
    """Returns a copy of a header without pixels, functional groups and private elements.

    Args:
        ds: the header, which stays as it is.

    Returns:
        The copy, and a remark about each attribute that was left out or is empty because the source
        has no usable one. Remarks hold no value of the header.
    """
    remarks: list[str] = []
    header = _copied(ds, remarks)
    for keyword, vr in MAY_BE_EMPTY.items():
        if keyword not in header:
            remarks.append(f"the source has no usable {keyword}; it is empty in the object")
        elif not _usable(header, keyword, vr):
            remarks.append(
                f"{keyword} of the source is not what the standard allows; it is empty in the "
                "object"
            )
        else:
            continue
        header.add_new(keyword, vr, "")
    methods = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
    if header.get("PatientIdentityRemoved") == "YES" and not any(map(header.get, methods)):
        header.add_new(methods[0], "LO", "not stated in the source")
        remarks.append(f"the source is de-identified and has no {methods[0]}; the object says so")
    return header, tuple(remarks)


def parsed(kind: Callable[[Any], Any], value: Any) -> Any:
    """Returns a date or a time, or None if the value is empty or no such thing."""
    try:
        return kind(str(value)) if value else None
    except (ValueError, TypeError):
        return None


def _copied(ds: pydicom.Dataset, remarks: list[str]) -> pydicom.Dataset:
    """Returns a copy in which all texts are decoded, so that they can be written as UTF-8."""
    result = pydicom.Dataset()
    for tag in ds.keys():
        keyword = pydicom.datadict.keyword_for_tag(tag)
        if tag.group == _PIXELS or tag.is_private or keyword in _NOT_COPIED:
            continue
        try:
            element = ds[tag]
            value = (
                copy.deepcopy(element.value)
                if element.VR != "SQ"
                else [_copied(item, remarks) for item in element.value]
            )
            result.add_new(tag, element.VR, value)
        except Exception:  # pydicom decodes an element when it is first asked for it.
            remarks.append(f"{keyword or tag} of the source cannot be read; it is left out")
    return result


def _usable(ds: pydicom.Dataset, keyword: str, vr: str) -> bool:
    value = ds.get(keyword)
    if value is None or value == "":
        return True
    if vr == "DA":
        return parsed(DA, value) is not None
    if vr == "TM":
        return parsed(TM, value) is not None
    return keyword != "PatientSex" or value in ("M", "F", "O")
