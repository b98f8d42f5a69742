"""Makes the new CT or MR object that stands for a slice, with nothing of the source but its pixels.

    content, remarks = image_object(
        pixels, modality="CT", place=image.place, spacing=(0.7, 0.7), thickness=5.0,
        kept=allowed.kept(header), uids=ObjectUids(study, series, instance, frame),
        patient=keys.pseudonym("patient", row.patient), study_date="2019-02-11", number=57,
    )

Nothing is copied from the source's header. The attributes of `kept` are checked once more against
the allow-list. The same arguments give the same bytes: nothing is taken from the clock.
"""

import dataclasses
import io
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Num
from pydicom import uid
from pydicom.valuerep import format_number_as_ds

from big_rad.annotate.deidentify import allowed, code_strings
from big_rad.annotate.faults import Rejected
from big_rad.dicom import objects
from big_rad.dicom.image import MAX_PIXELS, Place

IMPLEMENTATION = "2.25.287706341265204313563163287453280371017"
VERSION = "BIG_RAD_1"
METHOD = "big_rad: new object from an allow-list; keyed UIDs, shifted date"
# PS3.16, CID 7050.
METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
}
_CLASSES = {"CT": uid.CTImageStorage, "MR": uid.MRImageStorage}
_LEVELS = (1 << 16) - 1
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_PSEUDONYM = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclasses.dataclass(frozen=True)
class ObjectUids:
    """The UIDs of a new object. All are made with the key, see `Keys.uid`.

    Attributes:
        study, series, instance: the StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID.
        frame: the FrameOfReferenceUID, which the slices of all series in one space share.
    """

    study: str
    series: str
    instance: str
    frame: str


def image_object(
    pixels: Num[np.ndarray, "rows columns"],
    *,
    modality: str,
    place: Place,
    spacing: tuple[float, float],
    thickness: float | None,
    kept: Mapping[str, Any],
    uids: ObjectUids,
    patient: str,
    study_date: str,
    number: int,
    rescale: tuple[float, float] | None = None,
    burned_in: str = "",
    pixels_cleaned: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """Returns the bytes of a new CT or MR Image Storage object.

    Args:
        pixels: the values [rows, columns]: HU in int16 for CT; any numbers for MR.
        modality: "CT" or "MR".
        place: where the pixels lie in the patient, with an origin.
        spacing: the distances (between rows, between columns) in mm.
        thickness: the thickness of the slice in mm, or None if it is unknown.
        kept: what the source says and the new object may say, from `allowed.kept`.
        uids: the UIDs of the new object.
        patient: the pseudonym, which becomes PatientID and PatientName.
        study_date: the shifted date, "YYYYMMDD" or "YYYY-MM-DD"; "" if the date is unknown.
        number: the InstanceNumber.
        rescale: the (slope, intercept) with which values are stored that are no whole numbers in
            16 bits, so that all slices of a volume share them. None takes the lowest and the
            highest value of this slice.
        burned_in: "NO" if it is known that no text is burned in, otherwise "".
        pixels_cleaned: whether text was removed from the pixels.

    Returns:
        The bytes of the file, and sentences about what differs from the source. Whole numbers that
        fit into 16 bits are stored exactly. Others are rounded to 65,536 levels, and the second
        result says so.

    Raises:
        Rejected: an argument is impossible, such as a place without an origin.
    """
    _check(pixels, modality, place, spacing, thickness, patient, uids)
    stored, scale, remarks = _stored(pixels, modality, rescale)
    ds = pydicom.Dataset()
    ds.SpecificCharacterSet = objects.CHARACTER_SET
    _patient_and_study(ds, patient, study_date, uids)
    remarks += _image(ds, modality, kept, uids, number, exact=scale is None)
    ds.ImagePositionPatient = [_ds(v) for v in place.origin]
    ds.ImageOrientationPatient = [_ds(v) for v in (*place.columns, *place.rows)]
    ds.PixelSpacing = [_ds(v) for v in spacing]
    ds.SliceThickness = _ds(thickness) if thickness is not None else None
    _what_was_done(ds, study_date, burned_in, pixels_cleaned)
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, int(stored.dtype.kind == "i")
    if modality == "CT" or scale:
        slope, intercept = scale or (1.0, 0.0)
        ds.RescaleIntercept, ds.RescaleSlope = _ds(intercept), _ds(slope)
        ds.RescaleType = "HU" if modality == "CT" else "US"
    ds.add_new(
        "PixelData", "OW", np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes()
    )
    return _written(ds), tuple(remarks)


def _check(
    pixels: np.ndarray,
    modality: str,
    place: Place,
    spacing: tuple[float, float],
    thickness: float | None,
    patient: str,
    uids: ObjectUids,
) -> None:
    if modality not in _CLASSES:
        raise Rejected("the modality is neither CT nor MR")
    if pixels.ndim != 2 or not pixels.size or pixels.size > MAX_PIXELS or max(pixels.shape) > 65535:
        raise Rejected("a slice is empty, too large or not of two dimensions")
    if modality == "CT" and pixels.dtype != np.int16:
        raise Rejected("a CT slice is not in HU of 16 bits")
    if pixels.dtype.kind not in "iuf" or not np.isfinite(pixels).all():
        raise Rejected("a slice has values that are no finite numbers")
    if place is None or place.origin is None:
        raise Rejected("the place of a slice in the patient is unknown")
    numbers = (*place.origin, *place.columns, *place.rows, *spacing)
    sizes = (*spacing, *(() if thickness is None else (thickness,)))
    if not all(map(math.isfinite, (*numbers, *sizes))) or not all(s > 0 for s in sizes):
        raise Rejected("the place, the spacing or the thickness of a slice is impossible")
    if not _PSEUDONYM.fullmatch(patient):
        raise Rejected("the pseudonym of a patient has characters that no pseudonym has")
    if not all(u and pydicom.uid.UID(u).is_valid for u in dataclasses.astuple(uids)):
        raise Rejected("a UID of a new object is not valid")


def _stored(
    pixels: np.ndarray, modality: str, rescale: tuple[float, float] | None
) -> tuple[np.ndarray, tuple[float, float] | None, list[str]]:
    """Returns 16-bit values, the slope and intercept if they are scaled, and remarks."""
    low, high = float(pixels.min()), float(pixels.max())
    whole = pixels.dtype.kind in "iu" or bool((pixels == np.rint(pixels)).all())
    if whole and rescale is None:
        for dtype in (np.int16, np.uint16):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return pixels.astype(dtype), None, []
    if modality == "CT":
        raise Rejected("a CT slice cannot be rescaled")
    slope, intercept = rescale or ((high - low) / _LEVELS or 1.0, low)
    # The values of the header have 16 characters; the same numbers must scale the pixels.
    slope, intercept = float(_ds(slope)), float(_ds(intercept))
    if not slope > 0 or not math.isfinite(slope):
        raise Rejected("the values of a slice cannot be stored in 16 bits")
    levels = np.rint((pixels.astype(np.float64) - intercept) / slope)
    if levels.min() < -1 or levels.max() > _LEVELS + 1:
        raise Rejected("the values of a slice lie beyond the rescale of its volume")
    levels = np.clip(levels, 0, _LEVELS).astype(np.uint16)
    return levels, (slope, intercept), [
        "the values are no whole numbers in 16 bits; they were rounded to 65,536 levels "
        f"that are {slope:.3g} apart"
    ]  # fmt: skip


def _patient_and_study(
    ds: pydicom.Dataset, patient: str, study_date: str, uids: ObjectUids
) -> None:
    match = _DATE.fullmatch(study_date)
    if study_date and not match:
        raise Rejected("the shifted date of a study is no date")
    ds.PatientID = ds.PatientName = patient
    ds.StudyInstanceUID = uids.study
    ds.StudyDate = "".join(match.groups()) if match else ""
    # The standard requires these to be there, and allows them to be empty.
    for keyword in (
        "PatientBirthDate", "PatientSex", "StudyTime", "StudyID", "AccessionNumber",
        "ReferringPhysicianName", "Manufacturer", "PositionReferenceIndicator", "PatientPosition",
        "Laterality",
    ):  # fmt: skip
        setattr(ds, keyword, "")


def _image(
    ds: pydicom.Dataset,
    modality: str,
    kept: Mapping[str, Any],
    uids: ObjectUids,
    number: int,
    exact: bool,
) -> list[str]:
    """Adds what the object says about its series and its image; returns remarks."""
    remarks = []
    allowed_now, refused = _allowed_again(kept)
    if refused:
        remarks.append(f"{refused} attributes are not on the allow-list and were left out")
    ds.SeriesNumber = ds.AcquisitionNumber = None
    if modality == "CT":
        ds.KVP = None
    else:
        ds.ScanOptions, ds.MRAcquisitionType, ds.EchoTrainLength = "", "", None
        ds.RepetitionTime = ds.EchoTime = None
        if "ScanningSequence" not in allowed_now:
            remarks.append("ScanningSequence is unknown; it says RM, for research mode")
        ds.ScanningSequence, ds.SequenceVariant = "RM", "NONE"
    for keyword, value in allowed_now.items():
        is_decimal = pydicom.datadict.dictionary_VR(keyword) == "DS"
        several = value if isinstance(value, list) else [value]
        setattr(ds, keyword, [_ds(v) if is_decimal else v for v in several])
    if ds.get("BodyPartExamined") in code_strings.UNPAIRED:
        del ds.Laterality
    if "IR" in ds.get("ScanningSequence", "") and "InversionTime" not in ds:
        ds.InversionTime = None
    if {"CG", "PPG"} & set(allowed_now.get("ScanOptions", ())):
        ds.TriggerTime = None  # Required beside gating; it is not on the allow-list.
    if len(allowed_now.get("WindowCenter", ())) != len(allowed_now.get("WindowWidth", ())):
        for keyword in ("WindowCenter", "WindowWidth"):
            if keyword in ds:
                delattr(ds, keyword)
    words = list(allowed_now.get("ImageType", ["DERIVED", "PRIMARY"]))[:2]
    third = "AXIAL" if modality == "CT" else "OTHER"  # What the standard allows for a slice.
    ds.ImageType = [words[0] if exact else "DERIVED", words[1], third]
    ds.Modality = modality
    ds.SOPClassUID, ds.SOPInstanceUID = _CLASSES[modality], uids.instance
    ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uids.series, uids.frame
    ds.InstanceNumber = int(number)
    return remarks


def _allowed_again(kept: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Returns what of `kept` passes the allow-list, and how many do not."""
    given = pydicom.Dataset()
    refused = 0
    for keyword, value in kept.items():
        known = keyword in allowed.NUMBERS or keyword in (*code_strings.CODES, "ImageType")
        if not known:
            refused += 1
            continue
        vr = pydicom.datadict.dictionary_VR(keyword)
        several = value if isinstance(value, list) else [value]
        try:
            given.add_new(keyword, vr, [_ds(v) if vr == "DS" else v for v in several])
        except (TypeError, ValueError):
            refused += 1
    passed = allowed.kept(given)
    return passed, refused + len(given) - len(passed)


def _what_was_done(
    ds: pydicom.Dataset, study_date: str, burned_in: str, pixels_cleaned: bool
) -> None:
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = METHOD
    ds.LongitudinalTemporalInformationModified = "MODIFIED" if study_date else "REMOVED"
    codes = ["113100", "113105"]
    codes += ["113107"] if study_date else []
    codes += ["113101"] if pixels_cleaned else []
    items = []
    for value in sorted(codes):
        item = pydicom.Dataset()
        item.CodeValue, item.CodingSchemeDesignator = value, "DCM"
        item.CodeMeaning = METHODS[value]
        items.append(item)
    ds.DeidentificationMethodCodeSequence = items
    if burned_in == "NO":  # An absent value means that it is unknown.
        ds.BurnedInAnnotation = "NO"


def _ds(value: float) -> str:
    """Returns a number in the 16 characters of a decimal string, as exactly as they allow."""
    value = float(value) or 0.0  # Never "-0.0".
    return format_number_as_ds(value)


def _written(ds: pydicom.Dataset) -> bytes:
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION
    ds.file_meta.ImplementationVersionName = VERSION
    out = io.BytesIO()
    with objects.guarded("a new object"):
        ds.save_as(out, enforce_file_format=True)
    return out.getvalue()
