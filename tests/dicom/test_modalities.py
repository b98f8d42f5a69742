import numpy as np
import pytest
from pydicom import uid as uids
from pydicom.datadict import tag_for_keyword

from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import PIXELS, before_pixels, content, dataset, element, raw_element


def warned(found, *words):
    return any(all(word in w for word in words) for w in found.warnings)


@pytest.mark.parametrize(
    "sop_class, modality",
    [
        (uids.CTImageStorage, "CT"),
        (uids.EnhancedCTImageStorage, "CT"),
        (uids.MRImageStorage, "MR"),
        (uids.EnhancedMRImageStorage, "MR"),
        (uids.SecondaryCaptureImageStorage, "OT"),
    ],
)
@pytest.mark.parametrize("said", [None, "", "MRI", "XYZ"])
def test_without_a_modality_the_sop_class_decides_and_it_is_said(sop_class, modality, said):
    ds = dataset(Modality=said, SOPClassUID=sop_class)
    found = read(content(ds))
    assert (found.modality, found.stated) == (modality, "")
    assert warned(found, "Modality", "missing" if not said else "not a code")
    assert not warned(found, "XYZ")  # Values are never quoted.


def test_the_file_meta_information_says_the_sop_class_too():
    found = read(content(dataset(Modality=None, SOPClassUID=None)))
    assert found.modality == "CT" and warned(found, "Modality")


def test_a_missing_sop_class_refuses_nothing():
    found = read(content(dataset(SOPClassUID=None)))
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)
    assert found.warnings == ()


@pytest.mark.parametrize("said, modality", [(b"ct", "CT"), (b"Mr", "MR"), (b"mr\\ct ", "MR")])
def test_lower_case_is_read_and_said(said, modality):
    found = read(content(raw_element(dataset(), "Modality", said)))
    assert (found.modality, found.stated) == (modality, modality)
    assert warned(found, "Modality", modality)
    with pytest.raises(reader.UnsupportedError, match="Modality"):
        read(content(raw_element(dataset(), "Modality", b"seg ")))


@pytest.mark.parametrize("said", ["US", "Z_EFF", "MGML", "HU_MOD", "SOMETHING^ELSE"])
def test_ct_of_another_unit_is_said(said):
    found = read(content(dataset(RescaleType=said)))
    assert (found.modality, found.units, found.stated) == ("CT", "HU", "")
    assert warned(found, "RescaleType", "OT") and not warned(found, "ELSE")
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)


@pytest.mark.parametrize("said", [None, "HU", "hu"])
def test_ct_in_hu_warns_of_nothing(said):
    ds = dataset() if said is None else raw_element(dataset(), "RescaleType", said.encode())
    assert read(content(ds)).warnings == ()
    mr = dataset(Modality="MR", RescaleType="US")
    assert read(content(mr)).warnings == ()


@pytest.mark.parametrize("said", ["CT", "MR", "DX", None])
@pytest.mark.parametrize("given", ["CT", "MR", "OT"])
def test_a_given_modality_overrides_the_file(said, given):
    found = read(content(dataset(Modality=said)), modality=given)
    assert found.modality == given
    assert found.units == ("HU" if given == "CT" else "raw")
    assert found.stated == {"CT": "CT", "MR": "MR", "DX": "OT", None: ""}[said]
    other = found.stated not in ("", given)
    assert other == warned(found, f"{given} was given, though")


def test_ct_without_a_rescale_can_be_read_as_something_else():
    ds = dataset(RescaleSlope=None, RescaleIntercept=None)
    with pytest.raises(reader.MissingElementError, match='modality "OT"'):
        read(content(ds))
    np.testing.assert_array_equal(read(content(ds), modality="OT").pixels, PIXELS)


# Damaged elements that the image can do without


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("PixelSpacing", b"0,5\\0,5 "),
        ("PixelSpacing", b"abc "),
        ("PixelSpacing", b"0.5 "),
        ("PixelSpacing", b"0\\0 "),
        ("PixelSpacing", b"nan\\1 "),
        ("PixelSpacing", b"\xff\xfe"),
        ("ImagerPixelSpacing", b"1;1 "),
        ("ImageOrientationPatient", b"1\\0\\0\\0\\1\\0,0 "),
        ("ImageOrientationPatient", b"1\\0\\0 "),
        ("ImageOrientationPatient", b"0\\0\\0\\0\\0\\0 "),
        ("ImageOrientationPatient", b"inf\\0\\0\\0\\1\\0 "),
    ],
)
def test_damaged_elements_that_are_not_needed_are_ignored_with_a_warning(keyword, value):
    found = read(content(raw_element(dataset(), keyword, value)))
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)
    assert found.spacing is None and found.plane == ""
    assert warned(found, keyword, "ignored")


def test_a_damaged_spacing_gives_way_to_a_sound_one():
    ds = raw_element(dataset(ImagerPixelSpacing=[2, 3]), "PixelSpacing", b"0,5\\0,5 ")
    found = read(content(ds))
    assert found.spacing == (2, 3) and warned(found, "PixelSpacing")


@pytest.mark.parametrize(
    "modality, keywords",
    [
        ("CT", ["WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"]),
        ("CT", ["ModalityLUTSequence", "PlanarConfiguration", "RedPaletteColorLookupTableData"]),
        ("MR", ["WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"]),
        ("MR", ["PlanarConfiguration", "RescaleType", "RedPaletteColorLookupTableDescriptor"]),
    ],
)
@pytest.mark.parametrize("value", [b"", b"?", b"1,5 ", b"\xff" * 7])
def test_elements_that_a_modality_does_not_use_refuse_nothing(modality, keywords, value):
    tags = [tag_for_keyword(keyword) for keyword in keywords]
    extra = b"".join(element(tag >> 16, tag & 0xFFFF, b"UN", value) for tag in tags)
    found = read(before_pixels(content(dataset(Modality=modality)), extra))
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)
