import json

import nibabel as nib
import numpy as np
import pydicom
import pytest

from big_rad.datasets.phantom import export
from big_rad.dicom import read as dicom_read

SPACING_Z = 10.0


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    export.export(folder, patients=6, size=72, thickness=SPACING_Z)
    return folder


def series(folder, patient):
    files = sorted((folder / "dicom" / patient).glob("*.dcm"))
    return [pydicom.dcmread(f) for f in files]


def patients(out):
    return sorted(p.name for p in (out / "dicom").iterdir())


def test_both_modalities_are_written(out):
    found = {series(out, p)[0].Modality for p in patients(out)}
    assert found == {"CT", "MR"}


def test_a_voxel_has_the_same_place_and_value_in_nifti_and_dicom(out):
    for patient in patients(out):
        volume = nib.load(out / "nifti" / f"{patient}.nii.gz")
        data = np.asarray(volume.dataobj)
        slices = series(out, patient)
        assert data.shape == (72, 72, len(slices))
        for k in (0, len(slices) // 2, len(slices) - 1):
            ds = slices[k]
            column, row = 50, 20
            spacing = np.array(ds.PixelSpacing, float)
            along_row, along_column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
            lps = np.array(ds.ImagePositionPatient, float)
            lps = lps + along_row * column * spacing[1] + along_column * row * spacing[0]
            ras = volume.affine @ (column, row, k, 1)
            np.testing.assert_allclose(ras[:3], lps * (-1, -1, 1), atol=1e-3)
            value = ds.pixel_array[row, column] * float(ds.get("RescaleSlope", 1))
            assert value + float(ds.get("RescaleIntercept", 0)) == data[column, row, k]


def test_left_organs_have_a_larger_dicom_x_and_lie_on_the_viewers_right(out):
    checked = 0
    for patient in patients(out):
        labels = nib.load(out / "nifti" / f"{patient}_labels.nii.gz")
        data = np.asarray(labels.dataobj)
        for left, right in ((1, 5), (10, 12), (75, 76)):
            sides = [np.argwhere(data == c) for c in (left, right)]
            if min(map(len, sides)) < 20:
                continue
            columns = [s[:, 0].mean() for s in sides]
            assert columns[0] > columns[1]
            ras = [labels.affine @ (*s.mean(0), 1) for s in sides]
            assert ras[0][0] < ras[1][0]  # In RAS coordinates, the left is negative.
            checked += 1
    assert checked >= 2


def test_labels_share_the_image_grid(out):
    for patient in patients(out):
        image, labels = (
            nib.load(out / "nifti" / f"{patient}{suffix}.nii.gz") for suffix in ("", "_labels")
        )
        np.testing.assert_array_equal(image.affine, labels.affine)
        assert image.shape == labels.shape
        assert labels.get_data_dtype() == np.uint8 and np.asarray(labels.dataobj).max() <= 121
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")


def test_series_are_consistent(out):
    seen = set()
    for patient in patients(out):
        slices = series(out, patient)
        assert len({ds.SeriesInstanceUID for ds in slices}) == 1
        uids = {ds.SOPInstanceUID for ds in slices}
        assert len(uids) == len(slices) and not uids & seen
        seen |= uids
        assert all(pydicom.uid.UID(u).is_valid for u in uids)
        z = [float(ds.ImagePositionPatient[2]) for ds in slices]
        np.testing.assert_allclose(np.diff(z), SPACING_Z, atol=1e-4)
        assert [int(ds.InstanceNumber) for ds in slices] == list(range(1, len(slices) + 1))
        assert slices[0].PatientID == patient


def test_the_projects_own_reader_reads_them(out):
    for patient in patients(out):
        data = np.asarray(nib.load(out / "nifti" / f"{patient}.nii.gz").dataobj)
        read = dicom_read.read(out / "dicom" / patient / "IM0003.dcm")
        np.testing.assert_array_equal(read.pixels, data[:, :, 2].T)
        assert read.plane == "axial"
        assert read.units == ("HU" if read.modality == "CT" else "raw")


def test_reports_name_what_their_slice_shows(out):
    reports = json.loads((out / "reports.json").read_text())
    assert [r["patient"] for r in reports] == patients(out)
    for report in reports:
        data = np.asarray(nib.load(out / "nifti" / f"{report['patient']}_labels.nii.gz").dataobj)
        merged = export.DEMO_LABELS[data]
        for lang in ("en", "de"):
            part = report[lang]
            assert part["findings"] and part["clinical"] and part["question"]
            for finding in part["findings"]:
                assert finding["sentence"] in part["text"]
                for phrase, label in finding["keywords"]:
                    assert phrase in finding["sentence"]
                    assert (merged[:, :, finding["instance"] - 1] == label).any()


def test_the_same_seed_writes_the_same_bytes(out, tmp_path):
    export.export(tmp_path, patients=1, size=72, thickness=SPACING_Z)
    for name in ("IM0001.dcm", "IM0007.dcm"):
        path = f"dicom/P000000/{name}"
        assert (tmp_path / path).read_bytes() == (out / path).read_bytes()


def test_the_list_names_slices_whose_labels_hold_what_the_sentences_say(out):
    lines = [json.loads(line) for line in (out / "data.jsonl").read_text().splitlines()]
    reports = json.loads((out / "reports.json").read_text())
    findings = [f for r in reports for lang in ("en", "de") for f in r[lang]["findings"]]
    assert [x["report"] for x in lines] == [f["sentence"] for f in findings]
    for line in lines:
        labels = np.load(out / line["mask"], allow_pickle=False)
        assert dicom_read.read(out / line["image"]).pixels.shape == labels.shape
        assert {c for _, c in line["keywords"]} <= set(np.unique(labels).tolist())
