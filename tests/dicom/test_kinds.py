"""Which DICOM objects are slices, as `series.find` tells them apart."""

import pathlib

import pytest
from pydicom import uid as uids
from pydicom.data import get_testdata_file

from big_rad.dicom import series as series_lib
from big_rad.dicom.series import find
from tests.helpers import dicom_files
from tests.helpers.series_files import (
    one,
    places,
    series_files,
    slice_file,
)

CLASS = "1.2.840.10008.5.1.4.1.1"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"]}, "localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCOUT"]}, "localiser"),
        ({"SOPClassUID": uids.SecondaryCaptureImageStorage}, "secondary capture"),
        ({"SOPClassUID": f"{CLASS}.7.4"}, "secondary capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "secondary capture"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PROJECTION IMAGE"]}, "projection"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]}, "projection"),
        ({"SOPClassUID": uids.SegmentationStorage, "Modality": "SEG"}, "other object"),
        ({"SOPClassUID": f"{CLASS}.66.7", "Modality": "SEG"}, "other object"),
        ({"Modality": "SEG"}, "other object"),
        ({"SOPClassUID": uids.Comprehensive3DSRStorage, "PixelData": None}, "other object"),
        ({"SOPClassUID": uids.XRayRadiationDoseSRStorage, "PixelData": None}, "other object"),
        ({"SOPClassUID": f"{CLASS}.11.1", "PixelData": None}, "other object"),
        ({"SOPClassUID": uids.EncapsulatedPDFStorage, "PixelData": None}, "other object"),
        ({"SOPClassUID": uids.RTStructureSetStorage, "PixelData": None}, "other object"),
        ({"SOPClassUID": f"{CLASS}.481.2"}, "other object"),
        ({"PixelData": None}, "unreadable"),
        ({"Rows": None}, "unreadable"),
        ({"Columns": 4000}, "unreadable"),
    ],
)
def test_what_is_no_slice_is_skipped_with_its_reason(tmp_path, fields, kind):
    series_files(tmp_path, [0, 5, 10])
    slice_file(tmp_path / "IM9.dcm", 15, **fields)
    found = find(tmp_path)
    assert [places(s) for s in found.series] == [[0, 5, 10]]
    (skipped,) = found.skipped
    assert (skipped.path.name, skipped.kind) == ("IM9.dcm", kind)
    assert len(skipped.reason) > 10 and "IM9" not in skipped.reason
    kept = find(tmp_path, keep=series_lib.KEEP)
    assert len(kept.skipped) == (kind not in series_lib.KEEP)
    if not kept.skipped:
        assert any(skipped.reason in w for s in kept.series for w in s.warnings)


@pytest.mark.parametrize(
    "values",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"],
        ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MPR"],
        ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"],
        ["DERIVED", "PRIMARY", "SUBTRACTION"],
        ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"],
        ["DERIVED", "PRIMARY"],
        "ORIGINAL",
        None,
    ],
)
def test_derived_slices_of_the_patient_stay(tmp_path, values):
    slice_file(tmp_path / "IM1.dcm", 0, ImageType=values)
    assert one(tmp_path).count == 1


def test_real_scouts_and_projections_are_skipped_and_real_slices_are_sorted():
    # Files of several scanners that come with pydicom. What they are is in their SeriesDescription,
    # which `find` does not read.
    folder = pathlib.Path(get_testdata_file("DICOMDIR")).parent
    found = find([folder / patient for patient in ("77654033/CT2", "98892001", "98892003")])
    words = {"localiser": ("PILOT", "Scout"), "projection": ("Projected",)}
    assert [s.kind for s in found.skipped].count("projection") == 7
    for skipped in found.skipped:
        said = dicom_files.pydicom.dcmread(skipped.path).SeriesDescription
        assert any(word in said for word in words[skipped.kind])
    assert len(found.skipped) == 15 and sorted(s.count for s in found.series) == [1] * 4 + [4, 5]
    for series in found.series:
        for ref in series.slices:
            ds = dicom_files.pydicom.dcmread(ref.path)
            axis = ["sagittal", "coronal", "axial"].index(series.plane)
            assert ref.position == pytest.approx(ds.ImagePositionPatient[axis])
            assert (ref.sop_instance_uid, series.thickness) == (
                ds.SOPInstanceUID, ds.SliceThickness,
            )  # fmt: skip
