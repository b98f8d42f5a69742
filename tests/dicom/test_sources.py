import copy
import datetime

import pydicom
import pytest

from big_rad.dicom import copied, sources
from big_rad.dicom.errors import SourceError
from tests.helpers import dicom_objects as made

pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
CT = made.sample("CT_small.dcm")
GEOMETRY = [
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness",
]  # fmt: skip
ALWAYS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows",
    "Columns",
]  # fmt: skip


def without(ds, *keywords, **values):
    ds = copy.deepcopy(ds)
    for keyword in keywords:
        delattr(ds, keyword)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("kind", sources.KINDS)
@pytest.mark.parametrize("keyword", ALWAYS + GEOMETRY)
def test_a_missing_attribute_is_named(kind, keyword):
    if (kind, keyword) == ("SR", "FrameOfReferenceUID"):
        sources.check([without(CT, keyword)], kind)  # Boxes lie in pixels: it is not needed.
        return
    with pytest.raises(SourceError, match=rf"{keyword} \(image 1\).*geometry is never invented"):
        sources.check([without(CT, keyword)], kind)


def test_one_error_names_all_that_is_missing_and_where():
    series = [without(CT, "SliceThickness", "PixelSpacing"), CT, without(CT, "PixelSpacing")]
    with pytest.raises(SourceError) as e:
        sources.check(series, "SR")
    assert "PixelSpacing (images 1 and 3); SliceThickness (image 1)" in str(e.value)
    with pytest.raises(SourceError, match=r"Modality \(all 2 images\)"):
        sources.check([without(CT, "Modality")] * 2, "SR")


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("ImageOrientationPatient", [1, 0, 0, 0, 1]),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImagePositionPatient", [1, 2]),
        ("PixelSpacing", [0, 1]),
        ("PixelSpacing", [-1, 1]),
        ("SliceThickness", None),
        ("SliceThickness", 0),
    ],
)
def test_a_geometry_that_is_impossible_counts_as_missing(keyword, value):
    with pytest.raises(SourceError, match=keyword):
        sources.check([without(CT, **{keyword: value})], "SEG")


def test_only_the_images_that_are_shown_must_say_everything():
    series = [without(CT, "PixelSpacing"), CT]
    assert sources.check(series, "SEG", used=[1]).header.PixelSpacing == CT.PixelSpacing
    with pytest.raises(SourceError, match="no image or frame 2"):
        sources.check(series, "SEG", used=[2])


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("SeriesInstanceUID", "1.2.9"),
        ("StudyInstanceUID", "1.2.9"),
        ("FrameOfReferenceUID", "1.2.9"),
        ("Rows", 64),
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
        ("PixelSpacing", [0.5, 0.6]),
    ],
)
def test_images_that_differ_are_no_series(keyword, value):
    other = without(CT, ImagePositionPatient=[0, 0, 0])
    sources.check([CT, other], "SEG")
    with pytest.raises(SourceError, match=f"differ in {keyword}"):
        sources.check([CT, without(other, **{keyword: value})], "SEG")


@pytest.mark.parametrize("kind", sources.KINDS)
def test_an_image_of_an_unknown_kind_is_refused(kind):
    with pytest.raises(SourceError, match=r"SOPClassUID \(image 1\)"):
        sources.check([without(CT, SOPClassUID="1.2.3.4")], kind)


def test_masks_of_two_time_points_need_two_objects():
    with pytest.raises(SourceError, match="time points"):
        sources.check([CT, CT], "SEG")


def test_a_multi_frame_image_is_alone():
    frames = made.multiframe([CT])
    sources.check([frames], "SEG")
    with pytest.raises(SourceError, match="multi-frame"):
        sources.check([CT, frames], "SEG")
    with pytest.raises(SourceError, match="PixelSpacing .frame 1"):
        broken = copy.deepcopy(frames)
        del broken.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        sources.check([broken], "SEG")


@pytest.mark.parametrize("keyword", copied.MAY_BE_EMPTY)
def test_attributes_that_may_be_empty_are_filled_up_and_this_is_said(keyword):
    ds = copy.deepcopy(CT)
    if keyword in ds:
        delattr(ds, keyword)
    found = sources.check([ds], "SEG")
    assert found.header[keyword].value in ("", None)
    assert any(keyword in remark for remark in found.remarks)
    assert keyword not in ds


@pytest.mark.parametrize("keyword", ["PatientBirthDate", "StudyDate", "StudyTime", "PatientSex"])
def test_values_that_the_standard_does_not_allow_are_left_out_and_not_quoted(keyword):
    found = sources.check([made.raw(copy.deepcopy(CT), keyword, b"PLANTED ")], "SEG")
    assert not found.header.get(keyword)
    [remark] = [r for r in found.remarks if keyword in r]
    assert "PLANTED" not in remark


def test_the_date_is_the_first_complete_one():
    ds = pydicom.Dataset()
    assert sources.created([ds]) is None
    ds.StudyDate, ds.StudyTime = "20200102", "101112.5"
    assert sources.created([ds]) == datetime.datetime(2020, 1, 2, 10, 11, 12, 500000)
    ds.ContentDate = "20210203"
    assert sources.created([ds]) == datetime.datetime(2021, 2, 3)
    assert sources.created([made.raw(ds, "ContentDate", b"02.03.21")]).year == 2020


def test_the_distance_of_slices_is_that_of_their_places():
    series = [without(CT, ImagePositionPatient=[0, 0, z]) for z in (9, 3, 6, 3)]
    assert sources.check(series, "SR").apart == 3
    series.append(without(CT, ImagePositionPatient=[0, 0, 11]))
    assert sources.check(series, "SR").apart is None
    assert sources.check([CT], "SR").apart is None
