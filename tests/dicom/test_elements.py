import glob
import os
import time
import warnings

import numpy as np
import pydicom
import pytest
from pydicom import uid as uids
from pydicom.data import get_testdata_file

from big_rad.dicom import elements
from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import PIXELS, before_pixels, content, dataset, element

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED = b"\xff\xff\xff\xff"


def parsed(data):
    meta = elements.DataSet(elements.Source(data, "x"), 132, len(data), False, group=2)
    little = meta.get("TransferSyntaxUID") != uids.ExplicitVRBigEndian
    source = elements.Source(data, "x", little)
    implicit = not elements.starts_with_vr(data, meta.end)
    return elements.DataSet(source, meta.end, len(data), implicit)


def real_files():
    folder = os.path.dirname(get_testdata_file("CT_small.dcm"))
    for path in sorted(glob.glob(folder + "/**/*.dcm", recursive=True)):
        with open(path, "rb") as f:
            data = f.read()
        if data[128:132] == b"DICM" and b"1.2.840.10008.1.2.1.99" not in data[:500]:
            yield os.path.basename(path), data


def test_elements_of_real_files_are_those_that_pydicom_finds():
    compared = 0
    for name, data in real_files():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
            try:
                found = parsed(data)
            except reader.ReadError:
                assert name in ("MR_truncated.dcm", "rtplan_truncated.dcm", "badVR.dcm") or (
                    "TransferSyntaxUID" not in ds.file_meta
                ), name
                continue
            for keyword, (tag, kind) in elements.TAGS.items():
                if kind in ("items", "bytes", "words") or keyword == "TransferSyntaxUID":
                    assert (found.span(keyword) is not None) == (tag in ds), (name, keyword)
                    continue
                if name == "badVR.dcm":
                    continue
                want = ds.get(keyword)
                got = found.get(keyword)
                if want is None or want == "":
                    assert got is None, (name, keyword)
                elif kind == "numbers":
                    assert got == pytest.approx([float(v) for v in np.atleast_1d(want)])
                elif kind == "text" and ds[keyword].VM > 1:
                    assert got.split("\\") == list(want)
                else:
                    assert got == want, (name, keyword)
                compared += got is not None
    assert compared > 500


def nested(depth, defined):
    """Returns nested private sequences with explicit VR, and Rows in the innermost item."""
    inside = element(0x0028, 0x0010, b"US", b"\x09\x00")
    for _ in range(depth):
        item = ITEM + (len(inside).to_bytes(4, "little") if defined else UNDEFINED) + inside
        item += b"" if defined else ITEM_END + bytes(4)
        if defined:
            inside = element(0x0009, 0x1001, b"SQ", item)
        else:
            inside = b"\x09\x00\x01\x10SQ\0\0" + UNDEFINED + item + SEQUENCE_END + bytes(4)
    return inside


@pytest.mark.parametrize("defined", [True, False])
def test_elements_of_items_are_not_taken_for_the_files_own(defined):
    data = before_pixels(content(dataset()), nested(5, defined))
    np.testing.assert_array_equal(read(data).pixels, PIXELS - 1024)


def test_an_icon_in_the_header_is_not_taken_for_the_image():
    ds = dataset()
    icon = pydicom.Dataset()
    icon.Rows = icon.Columns = 2
    icon.BitsAllocated = icon.BitsStored = 8
    icon.PixelData = b"\1\2\3\4"
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = [icon]
    np.testing.assert_array_equal(read(content(ds)).pixels, PIXELS - 1024)
    fragments = ITEM + bytes(4) + ITEM + b"\4\0\0\0abcd" + SEQUENCE_END + bytes(4)
    item = ITEM + UNDEFINED + b"\xe0\x7f\x10\x00OB\0\0" + UNDEFINED + fragments
    item += ITEM_END + bytes(4)
    icon = b"\x88\x00\x00\x02SQ\0\0" + UNDEFINED + item + SEQUENCE_END + bytes(4)
    data = before_pixels(content(dataset()), icon)
    np.testing.assert_array_equal(read(data).pixels, PIXELS - 1024)


def test_sequences_of_unknown_vr_are_implicit_inside():
    inside = b"\x28\x00\x10\x00\x02\x00\x00\x00\x09\x00"
    item = ITEM + UNDEFINED + inside + ITEM_END + bytes(4)
    data = b"\x09\x00\x01\x10UN\0\0" + UNDEFINED + item + SEQUENCE_END + bytes(4)
    found = read(before_pixels(content(dataset()), data))
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)


def test_sequences_nested_too_deep_are_refused_without_a_recursion_error():
    data = before_pixels(content(dataset()), nested(3000, defined=False))
    with pytest.raises(reader.NotAnImageError, match="nested"):
        read(data)


@pytest.mark.parametrize(
    "extra",
    [
        element(0x0009, 0x1001, b"UN", b"") * 1_500_000,
        b"\x09\x00\x01\x10SQ\0\0" + UNDEFINED + (ITEM + bytes(4)) * 1_500_000,
        b"\x00\x52\x30\x92SQ\0\0" + UNDEFINED + (ITEM + UNDEFINED + ITEM_END + bytes(4)) * 900_000,
        element(0x0028, 0x1050, b"UN", b"1\\" * 2_000_000),
    ],
    ids=["elements", "items", "frames", "values"],
)
def test_countless_elements_are_refused_in_time(extra):
    data = before_pixels(content(dataset(Modality="DX")), extra)
    start = time.process_time()
    with pytest.raises(reader.TooLargeError, match="elements"):
        read(data)
    assert time.process_time() - start < 5


def test_the_header_of_a_thousand_enhanced_frames_is_within_the_limit():
    ds = dataset(np.zeros((1000, 2, 2), np.int16), NumberOfFrames=1000, RescaleSlope=None)
    groups = []
    for k in range(1000):
        group = pydicom.Dataset()
        for name, fields in {
            "PixelValueTransformation": {"RescaleSlope": 1, "RescaleIntercept": -k},
            "PlaneOrientation": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            "PlanePosition": {"ImagePositionPatient": [0, 0, k]},
            "PixelMeasures": {"PixelSpacing": [1, 1], "SliceThickness": 1},
            "FrameContent": {"InStackPositionNumber": k + 1, "StackID": "1"},
        }.items():
            item = pydicom.Dataset()
            for keyword, value in fields.items():
                setattr(item, keyword, value)
            setattr(group, f"{name}Sequence", [item])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    data = content(ds)
    start = time.process_time()
    assert (read(data, frame=999).pixels == -999).all()
    assert time.process_time() - start < 1


@pytest.mark.parametrize("keyword", ["Rows", "NumberOfFrames", "RescaleSlope"])
def test_a_value_of_another_kind_is_named(keyword):
    data = content(dataset(NumberOfFrames=1))
    at = data.index(b"\x28\x00" + (pydicom.tag.Tag(keyword).element).to_bytes(2, "little"))
    bad = bytearray(data)
    if keyword == "Rows":  # A value of one byte instead of two.
        bad[at + 6 : at + 10] = b"\x01\x00A" + bad[at + 10 :][:0]
    else:
        bad[at + 8] = ord("?")
    with pytest.raises(reader.MissingElementError, match=keyword):
        read(bytes(bad))
