"""The allow-list: what a new image object may take from the header of its source.

An attribute is taken if its name is here and its value is a number in a sane range or one of the
codes that the standard lists. Nothing else is taken: no free text, no date, no UID, no number of a
device, nothing private, nothing nested.

`refusal` says which images must not be used at all, because text may be drawn into their pixels.
"""

import math
from collections.abc import Iterable

import pydicom
from pydicom import uid

from big_rad.annotate.deidentify import code_strings
from big_rad.dicom import kinds, objects

# The lowest and the highest value of attributes that are numbers, and how many values they have.
NUMBERS: dict[str, tuple[float, float, int]] = {
    "SliceThickness": (0.001, 200, 1),
    "KVP": (10, 300, 1),
    "XRayTubeCurrent": (0, 2000, 1),
    "ExposureTime": (0, 200_000, 1),
    "Exposure": (0, 20_000, 1),
    "GantryDetectorTilt": (-90, 90, 1),
    "TableHeight": (-2000, 2000, 1),
    "ReconstructionDiameter": (1, 2000, 1),
    "DataCollectionDiameter": (1, 2000, 1),
    "SpiralPitchFactor": (0, 20, 1),
    "SingleCollimationWidth": (0.01, 200, 1),
    "TotalCollimationWidth": (0.01, 500, 1),
    "RepetitionTime": (0, 60_000, 1),
    "EchoTime": (0, 10_000, 1),
    "InversionTime": (0, 20_000, 1),
    "FlipAngle": (0, 360, 1),
    "EchoTrainLength": (0, 2000, 1),
    "EchoNumbers": (0, 100, 1),
    "NumberOfAverages": (0, 200, 1),
    "MagneticFieldStrength": (0.01, 25, 1),
    "NumberOfPhaseEncodingSteps": (0, 5000, 1),
    "PercentSampling": (0, 200, 1),
    "PercentPhaseFieldOfView": (0, 200, 1),
    "PixelBandwidth": (0, 20_000, 1),
    "DiffusionBValue": (0, 50_000, 1),
    "TemporalPositionIdentifier": (0, 5000, 1),
    "NumberOfTemporalPositions": (0, 5000, 1),
    "SeriesNumber": (0, 9999, 1),
    "AcquisitionNumber": (0, 9999, 1),
    "InstanceNumber": (0, 99_999, 1),
    "WindowCenter": (-65_536, 65_536, 8),
    "WindowWidth": (0, 131_072, 8),
}
_WHOLE = frozenset(
    """
    EchoTrainLength EchoNumbers NumberOfPhaseEncodingSteps TemporalPositionIdentifier
    NumberOfTemporalPositions SeriesNumber AcquisitionNumber InstanceNumber ExposureTime Exposure
    XRayTubeCurrent
    """.split()
)
_DIGITS = 6  # Significant digits; more could hide something and say nothing.
_SLICES = (uid.CTImageStorage, uid.MRImageStorage)
_FRAMES = (
    uid.EnhancedCTImageStorage, uid.EnhancedMRImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage, uid.LegacyConvertedEnhancedMRImageStorage,
)  # fmt: skip


@objects.guarded("a header")  # Warnings of pydicom quote values.
def kept(ds: pydicom.Dataset) -> dict[str, str | float | list]:
    """Returns the attributes of an image that a new object may have.

    Args:
        ds: the header of the source.

    Returns:
        The values by keyword, as JSON has them, in the order of the keywords: a number or a code,
        or a list of them for ImageType, ScanningSequence, SequenceVariant, ScanOptions,
        WindowCenter and WindowWidth. A value that is not allowed is missing; of an attribute with
        several values, one such value leaves out all.
    """
    found: dict[str, str | float | list] = {}
    for keyword, (low, high, most) in NUMBERS.items():
        numbers = _numbers(ds, keyword, low, high)
        if numbers and len(numbers) <= most:
            found[keyword] = numbers if most > 1 else numbers[0]
    for keyword, (codes, several) in code_strings.CODES.items():
        words = [str(v).strip(" \0") for v in _values(ds, keyword)]
        if words and all(w in codes for w in words) and (several or len(words) == 1):
            found[keyword] = words if several else words[0]
    words = _image_type(ds)
    if len(words) >= 2 and words[0] in ("ORIGINAL", "DERIVED"):
        if words[1] in ("PRIMARY", "SECONDARY"):
            # Further words are the maker's own; only those that the standard lists are codes.
            found["ImageType"] = words[:2] + [w for w in words[2:] if w in code_strings.IMAGE_TYPE]
    return dict(sorted(found.items()))


@objects.guarded("a header")
def refusal(ds: pydicom.Dataset, derived: bool = False) -> str:
    """Returns why an image must not be used; "" if it may be used.

    Used are slices of CT and MR whose ImageType begins with ORIGINAL\\PRIMARY, which is what
    scanners write ("ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI", "ORIGINAL\\PRIMARY\\M\\ND"), unless
    BurnedInAnnotation says YES or anything but NO. If it says NO, ImageType may be missing.

    Not used are: what BurnedInAnnotation warns of; secondary captures, pictures of screens, dose
    reports and whatever has a ConversionType; colour; localisers; projections; and derived or
    secondary images, such as the reformations "DERIVED\\SECONDARY\\MPR" and maps
    "DERIVED\\PRIMARY\\DIFFUSION\\ADC", because workstations make them and may write into them.

    Args:
        ds: the header of the image.
        derived: whether DERIVED and SECONDARY images are used as well. They are only if
            BurnedInAnnotation says NO.
    """
    sop_class, modality = str(ds.get("SOPClassUID", "")), _word(ds, "Modality")
    burned, image_type = _word(ds, "BurnedInAnnotation"), _image_type(ds)
    if burned not in ("", "NO"):
        return "the header says that text is burned into the image (BurnedInAnnotation)"
    other = kinds.no_image(sop_class, modality)
    if other:
        return f"{other}, not an image"
    _, reason = kinds.no_slice(sop_class, "\\".join(image_type))
    if reason:
        return reason
    if "ConversionType" in ds:
        return "a secondary capture, such as a picture of a screen (ConversionType)"
    if sop_class not in (*_SLICES, *_FRAMES) or modality not in ("CT", "MR"):
        return "neither a CT nor an MR image (SOPClassUID, Modality)"
    if ds.get("SamplesPerPixel", 1) != 1:
        return "a colour image, such as a picture of a screen (SamplesPerPixel)"
    if image_type[:2] == ["ORIGINAL", "PRIMARY"]:
        return ""
    if not image_type:
        return (
            ""
            if burned == "NO"
            else "it is unknown whether text is burned in (no ImageType, no BurnedInAnnotation)"
        )
    if derived and burned == "NO":
        return ""
    return (
        "a derived or secondary image, such as a reformation (ImageType); give the original series"
    )


@objects.guarded("a header")
def notes(ds: pydicom.Dataset) -> dict[str, int]:
    """Returns what should be counted about an object that is used: things dropped or unknown.

    Returns:
        Counts by name: "overlays" (drawings above the image), "icons" (small pictures of it),
        "BurnedInAnnotation absent" and "recognizable features", if the header says that a face may
        be recognised.
    """
    found = {
        "overlays": sum(0x6000 <= t.group <= 0x60FF and t.element == 0x0010 for t in ds.keys()),
        "icons": int("IconImageSequence" in ds),
        "BurnedInAnnotation absent": int(not _word(ds, "BurnedInAnnotation")),
        "recognizable features": int(_word(ds, "RecognizableVisualFeatures") == "YES"),
    }
    return {name: count for name, count in found.items() if count}


def _values(ds: pydicom.Dataset, keyword: str) -> list:
    try:
        value = ds[keyword].value if keyword in ds else None
    except Exception:  # pydicom could not read the value, and its message would quote it.
        return []
    if value is None or value == "":
        return []
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    return list(value) if several else [value]


def _numbers(ds: pydicom.Dataset, keyword: str, low: float, high: float) -> list[float]:
    try:
        numbers = [float(f"{float(v):.{_DIGITS}g}") for v in _values(ds, keyword)]
    except (TypeError, ValueError):
        return []
    if not all(math.isfinite(n) and low <= n <= high for n in numbers):
        return []
    if keyword in _WHOLE:
        return [int(n) for n in numbers] if all(n == int(n) for n in numbers) else []
    return numbers


def _word(ds: pydicom.Dataset, keyword: str) -> str:
    values = _values(ds, keyword)
    return str(values[0]).strip(" \0").upper() if values else ""


def _image_type(ds: pydicom.Dataset) -> list[str]:
    return [str(v).strip(" \0").upper() for v in _values(ds, "ImageType")]
