import json

import pydicom
import pytest
from pydicom import uid

from big_rad.annotate.deidentify import allowed
from tests.helpers import canaries, dicom_files

# The values are wrong on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def header(**fields):
    ds, _ = canaries.header()
    for keyword, value in fields.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def test_numbers_in_range_and_codes_of_the_standard_are_kept():
    assert allowed.kept(header()) == {
        "BodyPartExamined": "ABDOMEN",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "KVP": 120.0,
        "Modality": "CT",
        "PatientPosition": "HFS",
        "SliceThickness": 5.0,
        "WindowCenter": [40.0],
        "WindowWidth": [400.0],
    }


def test_what_is_kept_is_json_and_names_nobody():
    kept = json.dumps(allowed.kept(header(ScanningSequence=["SE", "IR"], SeriesNumber=4)))
    assert not any(word in kept for word in canaries.WORDS)
    assert "1.2.840" not in kept and "2021" not in kept and "1965" not in kept


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("BodyPartExamined", "MUELLER"), ("BodyPartExamined", "Abdomen of J. Doe"),
     ("PatientPosition", "DOE"), ("ScanningSequence", ["SE", "DOE"]), ("KVP", "4711"),
     ("SeriesNumber", 19650403), ("SliceThickness", "0"), ("MagneticFieldStrength", "15000"),
     ("ImageType", ["DOE", "PRIMARY"]), ("Modality", "US"), ("EchoTrainLength", -1)],
)  # fmt: skip
def test_other_values_are_not_kept(keyword, value):
    ds = header(ScanningSequence=["SE"])
    setattr(ds, keyword, value)
    assert keyword not in allowed.kept(ds)


@pytest.mark.parametrize("raw", [b"CANARY", b"1e999", b"nan", b"12\\x"])
def test_a_damaged_number_is_not_kept_and_raises_nothing(raw):
    ds = header()
    del ds.KVP
    dicom_files.raw_element(ds, "KVP", raw)
    assert "KVP" not in allowed.kept(ds)


def test_numbers_keep_six_digits_so_that_none_hides_something_in_the_others():
    assert allowed.kept(header(RepetitionTime="2345.19650403"))["RepetitionTime"] == 2345.2


@pytest.mark.parametrize(
    ("image_type", "burned", "used"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL"], None, True),
        (["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], "NO", True),
        (["ORIGINAL", "PRIMARY", "M", "ND"], "", True),
        (["original", "primary", "axial"], "no", True),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "YES", False),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "yes ", False),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "MAYBE", False),
        (["DERIVED", "SECONDARY", "MPR"], None, False),
        (["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], "NO", False),
        (["ORIGINAL", "SECONDARY", "AXIAL"], None, False),
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], None, False),
        (["DERIVED", "SECONDARY", "SCREEN SAVE"], "NO", False),
        (["ORIGINAL", "PRIMARY", "DOSE_INFO"], None, False),
        (None, None, False),
        (None, "NO", True),
    ],
)
def test_images_with_or_without_text_in_their_pixels(image_type, burned, used):
    ds = header(ImageType=image_type)
    if burned is not None:
        ds.BurnedInAnnotation = burned
    reason = allowed.refusal(ds)
    assert (reason == "") == used
    assert not any(word in reason for word in canaries.WORDS)


def test_derived_images_are_used_on_request_if_the_header_says_that_no_text_is_in():
    ds = header(ImageType=["DERIVED", "SECONDARY", "MPR"])
    assert "derived" in allowed.refusal(ds, derived=True)
    ds.BurnedInAnnotation = "NO"
    assert allowed.refusal(ds, derived=True) == "" and allowed.refusal(ds)


@pytest.mark.parametrize(
    "fields",
    [{"SOPClassUID": uid.SecondaryCaptureImageStorage}, {"SOPClassUID": uid.UltrasoundImageStorage},
     {"SOPClassUID": uid.MultiFrameTrueColorSecondaryCaptureImageStorage}, {"Modality": "SR"},
     {"SamplesPerPixel": 3}, {"ConversionType": "WSD"}, {"Modality": "OT"},
     {"SOPClassUID": uid.EncapsulatedPDFStorage}, {"SOPClassUID": None}],
)  # fmt: skip
def test_other_objects_are_refused(fields):
    assert allowed.refusal(header(**fields))


def test_what_is_dropped_or_unknown_is_counted():
    found = allowed.notes(header())
    assert found == {"icons": 1, "BurnedInAnnotation absent": 1}
    ds = header(BurnedInAnnotation="NO", RecognizableVisualFeatures="YES")
    ds.add_new(0x60000010, "US", 5)
    ds.add_new(0x60020010, "US", 5)
    assert allowed.notes(ds) == {"overlays": 2, "icons": 1, "recognizable features": 1}


def test_an_empty_header_is_refused_and_keeps_nothing():
    assert allowed.kept(pydicom.Dataset()) == {} and allowed.refusal(pydicom.Dataset())


def test_warnings_about_a_value_do_not_get_out(recwarn):
    ds = header()
    for keyword in ("BodyPartExamined", "KVP", "ImageType", "BurnedInAnnotation", "Modality"):
        dicom_files.raw_element(ds, keyword, b"canary of 1965 \\ that is no value at all")
    recwarn.clear()
    allowed.kept(ds), allowed.refusal(ds), allowed.notes(ds)
    assert not recwarn.list
