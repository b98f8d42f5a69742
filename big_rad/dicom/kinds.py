"""Says which DICOM objects are slices that can be predicted on, and why the others are not.

The SOP class says what an object is. The ImageType says how an image came about. Its first value
(ORIGINAL, DERIVED) and its second (PRIMARY, SECONDARY) decide nothing here: reformatted slices and
maps such as ADC are derived, many of them are also called secondary, and all of them are slices of
the patient. The later values decide.
"""

import re

# What objects are by the end of their SOP class, behind `_ROOT`. The longest key that fits counts.
_ROOT = "1.2.840.10008.5.1.4.1.1."
_OBJECTS = {
    "4.2": "MR spectroscopy",
    "9.": "a waveform",
    "11.": "a presentation state",
    "30": "a parametric map",
    "66": "raw data",
    "66.1": "a registration",
    "66.2": "a list of fiducials",
    "66.3": "a registration",
    "66.4": "a segmentation",
    "66.5": "a segmentation",
    "66.6": "a tractography",
    "66.7": "a segmentation",
    "66.8": "a segmentation",
    "67": "a mapping of values",
    "88.": "a structured report",
    "88.59": "a selection of key objects",
    "88.67": "a dose report",
    "88.68": "a dose report",
    "88.73": "a dose report",
    "88.76": "a dose report",
    "104.": "an encapsulated document",
    "200.": "a protocol",
    "481.": "an object of radiotherapy",
}
_RT_IMAGE = _ROOT + "481.1"
_DICOMDIR = "1.2.840.10008.1.3.10"
_CAPTURE = _ROOT + "7"
_MODALITIES = {
    "AU": "a sound",
    "DOC": "an encapsulated document",
    "ECG": "a waveform",
    "KO": "a selection of key objects",
    "PLAN": "an object of radiotherapy",
    "PR": "a presentation state",
    "REG": "a registration",
    "RTDOSE": "an object of radiotherapy",
    "RTPLAN": "an object of radiotherapy",
    "RTRECORD": "an object of radiotherapy",
    "RTSTRUCT": "an object of radiotherapy",
    "RWV": "a mapping of values",
    "SEG": "a segmentation",
    "SR": "a structured report",
}
# Words of ImageType, by what such an image is.
_LOCALISER = frozenset("LOCALIZER LOCALISER SCOUT TOPOGRAM SURVEY SCANOGRAM".split())
_SCREEN = frozenset("SCREEN DOSE REPORT PROT PROTOCOL".split())
_PROJECTION = frozenset(
    "PROJECTION MIP MINIP MNIP MAXIMUM MINIMUM VRT SSD RENDERING RENDERED VOLREN".split()
)
_WORD = re.compile("[A-Z0-9]+")


def no_image(sop_class: str, modality: str) -> str:
    """Returns what an object without an image is, such as "a segmentation"; "" for an image.

    Args:
        sop_class: the SOPClassUID, or "".
        modality: the code of the modality, or "".
    """
    if sop_class == _DICOMDIR:
        return "a directory of other files"
    end = sop_class.removeprefix(_ROOT) if sop_class.startswith(_ROOT) else ""
    if end and sop_class != _RT_IMAGE:
        fits = [key for key in _OBJECTS if end == key or key.endswith(".") and end.startswith(key)]
        if fits:
            return _OBJECTS[max(fits, key=len)]
    return _MODALITIES.get(modality, "")


def no_slice(sop_class: str, image_type: str) -> tuple[str, str]:
    """Returns why an image is not a slice of the patient.

    Args:
        sop_class: the SOPClassUID, or "".
        image_type: the ImageType, with its values between backslashes, or "".

    Returns:
        The kind of image, "localiser", "secondary capture" or "projection", and the reason in
        words; ("", "") for a slice.
    """
    values = image_type.upper().split("\\")[2:]
    words = {word for value in values for word in _WORD.findall(value)}
    if words & _LOCALISER:
        return "localiser", "a localiser, on which the scan was planned (ImageType)"
    if sop_class == _CAPTURE or sop_class.startswith(f"{_CAPTURE}."):
        return "secondary capture", "a secondary capture, such as a picture of a screen"
    if words & _SCREEN:
        return "secondary capture", "a picture of a screen or of a report (ImageType)"
    if words & _PROJECTION:
        return "projection", "a projection or rendering of a volume, not a slice of it (ImageType)"
    return "", ""
