"""The way through a real archive: images are stored, fetched back, and results are found."""

import dataclasses

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from big_rad.dicom import read, web
from tests.helpers import dicom_files, orthanc
from tests.helpers.dicomweb_calls import ACCESS, PASSWORD, fails, left

pytest.importorskip("dicomweb_client", reason="pip install 'big_rad[dicom]'")
pytestmark = [
    pytest.mark.skipif(not (orthanc.PROGRAM and orthanc.PLUGIN), reason=orthanc.MISSING),
    pytest.mark.usefixtures("nothing_leaks"),
]
STUDY = "1.2.826.0.1.3680043.8.498.1"
REAL = ("CT_small.dcm", "MR_small_RLE.dcm", "J2K_pixelrep_mismatch.dcm", "image_dfl.dcm")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with orthanc.running(tmp_path_factory.mktemp("orthanc"), "alice", PASSWORD) as found:
        yield found


def slices(folder, count):
    """Writes a series of slices, of which the numbers do not follow the names."""
    paths = []
    for number in range(count):
        uid = f"{STUDY}.2.{count - number}"
        ds = dicom_files.dataset(
            dicom_files.PIXELS + number, StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.2",
            SOPInstanceUID=uid, InstanceNumber=number + 1, SeriesNumber=7,
        )  # fmt: skip
        ds.file_meta.MediaStorageSOPInstanceUID = uid
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(dicom_files.content(ds))
    return paths


def test_a_study_goes_there_and_comes_back_with_its_results(url, tmp_path):
    paths = slices(tmp_path, 3)
    assert len(web.send(url, paths, access=ACCESS).stored) == 3
    fetched = web.fetch(url, study=STUDY, folder=tmp_path / "study", access=ACCESS)
    assert (fetched.new, fetched.kept, fetched.failed) == (3, 0, ())
    for path, back in zip(paths, fetched.paths, strict=True):
        np.testing.assert_array_equal(read.read(path).pixels, read.read(back).pixels)

    result = pydicom.dcmread(get_testdata_file("liver_1frame.dcm"))
    result.StudyInstanceUID = STUDY
    assert not web.find(url, study=STUDY, instance=result.SOPInstanceUID, access=ACCESS)
    sent = web.send(url, result, access=ACCESS)
    assert sent.stored == (result.SOPInstanceUID,) and not sent.changed
    series = web.find(url, study=STUDY, access=ACCESS)
    assert {(x.modality, x.count) for x in series} == {("CT", 3), ("SEG", 1)}
    (found,) = web.find(url, study=STUDY, instance=result.SOPInstanceUID, access=ACCESS)
    assert found.series == result.SeriesInstanceUID
    assert web.send(url, result, access=ACCESS).stored == sent.stored  # It is there already.

    again = web.fetch(url, study=STUDY, folder=tmp_path / "study", access=ACCESS)
    assert (again.new, again.kept) == (1, 3) and len(left(tmp_path / "study")) == 4
    (new,) = set(again.paths) - set(fetched.paths)
    assert pydicom.dcmread(new).PixelData == result.PixelData


@pytest.mark.parametrize("name", REAL)
def test_real_images_come_back_as_they_were(url, tmp_path, name):
    path = get_testdata_file(name)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    web.send(url, path, access=ACCESS)
    (back,) = web.fetch(
        url, study=header.StudyInstanceUID, series=header.SeriesInstanceUID, folder=tmp_path,
        access=ACCESS,
    ).paths  # fmt: skip
    assert pydicom.dcmread(back).file_meta.TransferSyntaxUID == header.file_meta.TransferSyntaxUID
    np.testing.assert_array_equal(read.read(path).pixels, read.read(back).pixels)


def test_what_the_archive_refuses_is_an_error(url, tmp_path):
    wrong = dataclasses.replace(ACCESS, password="wrong")
    assert "not accepted" in fails(web.AccessError, web.find, url, study=STUDY, access=wrong)
    needed = web.Access()
    assert "are needed" in fails(web.AccessError, web.find, url, study=STUDY, access=needed)
    call = dict(study=f"{STUDY}.9", folder=tmp_path, access=ACCESS)
    assert "no such study" in fails(web.NotFoundError, web.fetch, url, **call)
    elsewhere = url.replace("dicom-web", "elsewhere")
    assert "root of the DICOMweb" in fails(web.NotFoundError, web.fetch, elsewhere, **call)
    assert not left(tmp_path)
