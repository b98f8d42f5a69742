"""Writes a picture as a DICOM Secondary Capture, so that a SEG or SR has an image to refer to.

A PNG or JPEG names no patient, no study and no place in the body. So the image begins a new study,
and it lies nowhere: a SEG of it fits its pixels, and nothing else. Call this only if the user asks
for it.
"""

import hashlib
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16

from big_rad.dicom import objects
from big_rad.dicom.errors import WriteError
from big_rad.dicom.objects import Origin, Written

_UNKNOWN = dict.fromkeys(
    ("patient_birth_date", "patient_sex", "accession_number", "study_id")
    + ("referring_physician_name",),
    "",
)


def secondary_capture(
    pixels: UInt8[np.ndarray, "height width"]
    | UInt16[np.ndarray, "height width"]
    | UInt8[np.ndarray, "height width 3"],
    origin: Origin,
    patient_id: str = "",
    patient_name: str = "",
    series_number: int = 900,
) -> Written:
    """Returns a picture as a DICOM Secondary Capture image of a new study.

    Its UIDs are derived from the pixels, the patient and the origin. The dataset is a source for
    `segmentation` and `structured_report`.

    Args:
        pixels: grey values [H, W] as uint8 or uint16, or red, green, blue [H, W, 3] as uint8, as
            they are stored in the picture.
        origin: what asks for the image; its date is that of the new study.
        patient_id: the PatientID; "" leaves it empty.
        patient_name: the PatientName; "" leaves it empty.
        series_number: the number of the new series.

    Returns:
        The object with remarks.

    Raises:
        WriteError: the pixels are of another kind.
        MissingPackageError: highdicom is not installed.
    """
    _check_pixels(pixels)
    bits = pixels.dtype.itemsize * 8
    about = hashlib.sha256(f"{pixels.shape} {bits} {patient_id!r} {patient_name!r} ".encode())
    about.update(np.ascontiguousarray(pixels).data)
    names = {what: objects.uid(origin, (about.hexdigest(),), f"SC {what}")
             for what in ("study", "series", "instance")}  # fmt: skip
    with objects.guarded("a DICOM Secondary Capture"):
        made = objects.package("sc").SCImage(
            pixel_array=pixels,
            photometric_interpretation="MONOCHROME2" if pixels.ndim == 2 else "RGB",
            bits_allocated=bits,
            coordinate_system="PATIENT",
            study_instance_uid=names["study"],
            series_instance_uid=names["series"],
            series_number=series_number,
            sop_instance_uid=names["instance"],
            instance_number=1,
            patient_id=patient_id,
            patient_name=patient_name,
            study_date=origin.created.date(),
            study_time=origin.created.time(),
            patient_orientation=("L", "P"),  # highdicom needs one; it is removed below.
            series_description="Picture without place in the patient",
            **_UNKNOWN,
            **objects.equipment(origin),
        )
        made.PatientOrientation = None  # Type 2: nobody knows it.
        made.Laterality = ""
        wrong = objects.finish(made, origin)
    remarks = ["the picture names no study: the image begins a new one"]
    if not patient_id:
        remarks.append("the picture names no patient: PatientID and PatientName are empty")
    return Written(made, (*remarks, *wrong))


def _check_pixels(pixels: Any) -> None:
    grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    if not (grey or colour) or 0 in pixels.shape or max(pixels.shape) > 65535:
        raise WriteError(
            f"pixels are {pixels.dtype} {pixels.shape}; a Secondary Capture has uint8 or uint16 "
            "[H, W], or uint8 [H, W, 3], of at most 65535 rows and columns"
        )
