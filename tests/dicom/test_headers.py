"""Headers of slices and of hostile files, as `series.find` reads them."""

import gzip
import os
import random

import nibabel as nib
import numpy as np
import zstandard
from pydicom import uid as uids

from big_rad.dicom.reader import Reader
from big_rad.dicom.series import find
from tests.helpers import dicom_files
from tests.helpers.series_files import (
    AXIAL,
    SERIES,
    numbers,
    one,
    places,
    series_files,
    slice_file,
)

CLASS = "1.2.840.10008.5.1.4.1.1"


def test_what_is_not_an_image_is_skipped_and_the_rest_goes_on(tmp_path):
    series_files(tmp_path, [0, 5])
    volume = dicom_files.nifti(np.zeros((3, 4, 5), np.int16), np.eye(4))
    dicom = (tmp_path / "IM1.dcm").read_bytes()
    packer = zstandard.ZstdCompressor().compressobj()
    hostile = {
        "DICOMDIR": dicom_files.content(
            dicom_files.dataset(SOPClassUID=None, Rows=None, PixelData=None)
        ).replace(CLASS.encode() + b".2\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0"),
        "a.zip": b"PK\3\4" + bytes(99), "empty.dcm": b"", "notes.txt": b"text",
        "cut.dcm": dicom[:-1], "cut2.dcm": dicom[:200], "cut.nii": volume[:-1],
        "labels.nii": volume[:68] + b"\xea\x03" + volume[70:],
        "x.nii.gz": gzip.compress(b"x" * 999),
        "noise.dcm": bytes(128) + b"DICM" + random.Random(0).randbytes(999),
        "bomb.dcm.zst": b"".join([*map(packer.compress, [bytes(1 << 22)] * 65), packer.flush()]),
    }  # fmt: skip
    for name, data in hostile.items():
        (tmp_path / name).write_bytes(data)
    table = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4))
    names = b'<LabelTable><Label Key="5"><![CDATA[liver]]></Label></LabelTable>'
    table.header.extensions.append(nib.nifti1.Nifti1Extension(0, names))
    nib.save(table, tmp_path / "organs.nii.gz")
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere.dcm").symlink_to(tmp_path / "gone.dcm")
    (tmp_path / "s.json").write_text("{}")
    (tmp_path / "s_overlay.png").write_bytes(dicom_files.picture())
    found = find([tmp_path, tmp_path / "gone2.dcm"])
    assert [places(s) for s in found.series] == [[0, 5]]
    kinds = {s.path.name: s.kind for s in found.skipped}
    faults = {name for name, kind in kinds.items() if kind == "unreadable"}
    assert faults == {
        "cut.dcm", "cut2.dcm", "cut.nii", "empty.dcm", "x.nii.gz", "noise.dcm", "bomb.dcm.zst",
        "nowhere.dcm", "gone2.dcm",
    }  # fmt: skip
    assert kinds["DICOMDIR"] == "other object"
    assert (
        kinds["labels.nii"] == kinds["organs.nii.gz"] == "label map"
        and kinds["s_overlay.png"] == "output"
    )
    assert set(kinds) == {*hostile, "pipe.dcm", "loop", "nowhere.dcm", "gone2.dcm", "s.json",
                          "s_overlay.png", "organs.nii.gz"}  # fmt: skip


def test_a_header_is_read_whatever_lies_before_the_pixels(tmp_path):
    path = slice_file(tmp_path / "a.dcm", 3)
    data = path.read_bytes()
    private = dicom_files.element(0x0029, 0x0010, b"LO", b"SIEMENS CSA HEADER")
    private += dicom_files.element(0x0029, 0x1010, b"OB", bytes(3 << 20))
    at = data.index(b"\x28\x00\x10\x00US")  # Rows: everything about the pixels comes later.
    path.write_bytes(data[:at] + private + data[at:])
    assert places(one(path)) == [3]
    path.write_bytes(path.read_bytes()[:-1])
    assert "truncated" in find(path).skipped[0].reason


def test_headers_of_hostile_files_end_in_bounded_time(tmp_path):
    frames = dict(NumberOfFrames=2**31 - 1, SeriesInstanceUID=SERIES)
    rle = dicom_files.encapsulated([b"\1\0\0\0" * 16], uids.RLELossless, **frames)
    (tmp_path / "frames.dcm").write_bytes(rle)
    far = dict(place=[1e300, -1e300, 1e300], SeriesInstanceUID="1.2.66")
    slice_file(tmp_path / "far.dcm", 0, **far)
    frames = []
    for k in range(120):
        frames.append(dicom_files.pydicom.Dataset())
        frames[-1].PlaneOrientationSequence = [dicom_files.pydicom.Dataset()]
        way = [float(np.cos(k / 99)), float(np.sin(k / 99)), 0, 0, 0, 1]
        frames[-1].PlaneOrientationSequence[0].ImageOrientationPatient = way
    fan = dict(NumberOfFrames=120, PerFrameFunctionalGroupsSequence=frames)
    fan = dicom_files.dataset(np.zeros((120, 3, 4), np.int16), **fan)
    (tmp_path / "x.dcm").write_bytes(dicom_files.content(fan))
    found = find(tmp_path)
    assert "more than 100 sizes, orientations" in found.skipped[1].reason
    assert "NumberOfFrames" in found.skipped[0].reason
    assert places(found.series[0]) == [None]


def test_a_multi_frame_file_is_a_series_of_its_frames(tmp_path):
    def groups(z):
        item = dicom_files.pydicom.Dataset()
        item.PlanePositionSequence = [dicom_files.pydicom.Dataset()]
        item.PlanePositionSequence[0].ImagePositionPatient = [0, 0, z]
        return item

    shared = dicom_files.pydicom.Dataset()
    shared.PlaneOrientationSequence = [dicom_files.pydicom.Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [*map(float, AXIAL)]
    shared.PixelMeasuresSequence = [dicom_files.pydicom.Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [2, 1.5]
    shared.PixelMeasuresSequence[0].SliceThickness = 4
    heights = [10.0, 0.0, 5.0]
    pixels = np.stack([np.full((3, 4), k + 1, np.int16) for k in range(3)])
    enhanced = dict(
        SeriesInstanceUID=SERIES, NumberOfFrames=3, SharedFunctionalGroupsSequence=[shared]
    )
    own = dict(enhanced, PerFrameFunctionalGroupsSequence=[groups(z) for z in heights])
    data = dicom_files.content(dicom_files.dataset(pixels, **own))
    (tmp_path / "a.dcm.zst").write_bytes(zstandard.compress(data))
    found = one(tmp_path)
    assert places(found) == [0, 5, 10] and numbers(found) == [2, 3, 1]
    assert [r.frame for r in found.slices] == [1, 2, 0] and found.thickness == 4
    for ref, image in zip(found.slices, map(Reader(), found.slices), strict=True):
        assert ref.place == image.place and ref.spacing == image.spacing == (2, 1.5)
    # Another file of the same series is a series of its own. Its one position is not that of all
    # its frames.
    alike = dict(enhanced, ImagePositionPatient=[0, 0, 1])
    (tmp_path / "b.dcm").write_bytes(dicom_files.content(dicom_files.dataset(pixels, **alike)))
    first, second = find(tmp_path).series
    assert first.slices == found.slices and second.key == f"{first.key}_2"
    assert places(second) == [None] * 3 and numbers(second) == [1, 2, 3]
