import numpy as np
import pydicom
import pytest
import zstandard
from pydicom.data import get_testdata_file

from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import PIXELS, content, dataset, picture

# Values and warnings of files that are read


def test_ct_becomes_hu():
    path = get_testdata_file("CT_small.dcm")
    ds = pydicom.dcmread(path)
    found = read(path)
    want = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    np.testing.assert_array_equal(found.pixels, want)
    assert found.pixels.dtype == np.int16
    assert (found.modality, found.units, found.plane) == ("CT", "HU", "axial")
    assert found.spacing == pytest.approx((0.661468, 0.661468))


def test_mr_keeps_raw_values():
    path = get_testdata_file("MR_small.dcm")
    found = read(path)
    np.testing.assert_array_equal(found.pixels, pydicom.dcmread(path).pixel_array)
    assert found.pixels.dtype == np.int16
    assert (found.modality, found.units) == ("MR", "raw")


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm"],
)
def test_transfer_syntaxes_give_the_same_pixels(name):
    expected = read(get_testdata_file("MR_small.dcm"))
    np.testing.assert_array_equal(read(get_testdata_file(name)).pixels, expected.pixels)


@pytest.mark.parametrize("name", ["examples_overlay.dcm", "image_dfl.dcm"])
def test_other_real_files_are_read(name):
    assert read(get_testdata_file(name)).pixels.ndim == 2


def test_pixels_stay_where_they_are_stored():
    # A mark in the upper left: no flip, no transposition.
    pixels = np.zeros((4, 6), np.int16)
    pixels[0, 1] = 500
    found = read(content(dataset(pixels, RescaleIntercept=0)))
    np.testing.assert_array_equal(found.pixels, pixels)


def test_hu_are_rounded_and_kept_in_int16():
    found = read(content(dataset(RescaleSlope="1.5", RescaleIntercept="-1000.2")))
    np.testing.assert_array_equal(found.pixels, np.rint(PIXELS * 1.5 - 1000.2))
    found = read(content(dataset(RescaleSlope="1000", RescaleIntercept="0")))
    assert found.pixels.max() == 32767


def test_the_stored_window_of_ct_is_ignored():
    found = read(content(dataset(WindowCenter=["40", "300"], WindowWidth=["80", "1500"])))
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)


def test_mr_rescale_is_applied_and_kept_as_float_if_fractional():
    fields = {"Modality": "MR", "RescaleSlope": "0.5", "RescaleIntercept": "1"}
    found = read(content(dataset(PIXELS + 1, **fields)))
    np.testing.assert_allclose(found.pixels, (PIXELS + 1) * 0.5 + 1)
    assert found.pixels.dtype == np.float32
    assert read(content(dataset(PIXELS, **fields))).pixels.dtype == np.int16


def test_values_beyond_int16_stay_whole():
    pixels = np.array([[0, 65535]], np.uint16)
    fields = {"Modality": "MR", "PixelRepresentation": 0, "RescaleSlope": None}
    found = read(content(dataset(pixels, RescaleIntercept=None, **fields)))
    np.testing.assert_array_equal(found.pixels, pixels)


@pytest.mark.parametrize("modality", ["MR", "DX"])
def test_monochrome1_is_inverted(modality):
    fields = {"Modality": modality, "RescaleSlope": None, "RescaleIntercept": None}
    ds = dataset(PhotometricInterpretation="MONOCHROME1", **fields)
    np.testing.assert_array_equal(read(content(ds)).pixels, PIXELS.max() - PIXELS)


def test_hu_are_physical_and_never_inverted():
    found = read(content(dataset(PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_array_equal(found.pixels, PIXELS - 1024)


def test_radiographs_get_their_stored_window():
    fields = {"Modality": "DX", "RescaleSlope": None, "RescaleIntercept": None}
    ds = dataset(WindowCenter="600", WindowWidth="400", PixelRepresentation=0, **fields)
    found = read(content(ds))
    assert found.modality == "OT" and found.units == "raw"
    low, high = found.pixels.min(), found.pixels.max()
    assert (found.pixels[PIXELS <= 400] == low).all() and (
        found.pixels[PIXELS >= 800] == high
    ).all()


def test_colour_dicom_is_rgb():
    rgb = np.random.default_rng(0).integers(0, 255, (4, 6, 3)).astype(np.uint8)
    ds = dataset(
        Rows=4, Columns=6, Modality="US", SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0,
        PixelData=rgb.tobytes(),
    )  # fmt: skip
    found = read(content(ds))
    np.testing.assert_array_equal(found.pixels, rgb)
    assert (found.modality, found.units) == ("OT", "rgb")


@pytest.mark.parametrize(
    "orientation, plane",
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([-1, 0, 0, 0, -1, 0], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([1, 0, 0, 0, 0.94, 0.34], "axial"),
        ([1, 0, 0, 0, 0.71, 0.71], ""),
        (None, ""),
    ],
)
def test_plane_follows_the_orientation(orientation, plane):
    assert read(content(dataset(ImageOrientationPatient=orientation))).plane == plane


@pytest.mark.parametrize(
    "orientation, unusual",
    [
        ([1, 0, 0, 0, 1, 0], ""),
        ([-1, 0, 0, 0, 1, 0], "left and right"),
        ([1, 0, 0, 0, -1, 0], "up and down"),
        ([-1, 0, 0, 0, -1, 0], "left and right, up and down"),
        ([0, 1, 0, 1, 0, 0], "rows and columns"),
        ([1, 0, 0, 0, 0, -1], ""),
        ([-1, 0, 0, 0, 0, -1], "left and right"),
        ([0, 1, 0, 0, 0, -1], ""),
        ([0, -1, 0, 0, 0, -1], ""),
        ([1, 0, 0, 0, 0.71, 0.71], ""),
        (None, ""),
    ],
)
def test_slices_that_are_not_stored_as_usually_displayed_are_recognised(orientation, unusual):
    found = read(content(dataset(ImageOrientationPatient=orientation)))
    assert reader.unusual(found.orientation, found.plane) == unusual


@pytest.mark.parametrize(
    "fields, spacing",
    [
        ({"PixelSpacing": [0.5, 0.75]}, (0.5, 0.75)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_spacing_is_row_then_column_or_none(fields, spacing):
    assert read(content(dataset(**fields))).spacing == spacing


def test_content_decides_and_not_the_name(tmp_path):
    (tmp_path / "a.dcm").write_bytes(picture())
    assert read(tmp_path / "a.dcm").units == "rgb"
    (tmp_path / "a.png").write_bytes(content(dataset()))
    assert read(str(tmp_path / "a.png")).units == "HU"


def test_zstd_packed_dicom_is_read_also_in_several_frames(tmp_path):
    data = content(dataset())
    pack = zstandard.ZstdCompressor().compress
    for packed in (pack(data), pack(data[:200]) + pack(data[200:])):
        (tmp_path / "a.dcm.zst").write_bytes(packed)
        np.testing.assert_array_equal(read(tmp_path / "a.dcm.zst").pixels, PIXELS - 1024)


# Frames


def multi_frame():
    pixels = np.stack([PIXELS, PIXELS + 1, PIXELS + 2])
    ds = dataset(pixels, NumberOfFrames=3, RescaleSlope=None, RescaleIntercept=None)
    groups = []
    for i, orientation in enumerate(([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])):
        value, plane, group = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 1, -1000 * i, "HU"
        plane.ImageOrientationPatient = orientation
        group.PixelValueTransformationSequence = [value]
        group.PlaneOrientationSequence = [plane]
        groups.append(group)
    shared, measures = pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing = [0.5, 0.6]
    shared.PixelMeasuresSequence = [measures]
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.SharedFunctionalGroupsSequence = [shared]
    return ds


def test_a_frame_carries_its_own_rescale_and_orientation():
    data = content(multi_frame())
    for i, plane in enumerate(("axial", "coronal", "sagittal")):
        found = read(data, frame=i)
        np.testing.assert_array_equal(found.pixels, PIXELS + i - 1000 * i)
        assert found.plane == plane and found.spacing == (0.5, 0.6)


@pytest.mark.parametrize("frame", [None, 3, -1])
def test_a_frame_must_be_named_and_exist(frame):
    with pytest.raises(reader.FrameError, match="frame"):
        read(content(multi_frame()), frame=frame)


def test_a_single_frame_file_has_frame_zero_only():
    assert read(content(dataset()), frame=0).units == "HU"
    for data in (content(dataset()), picture()):
        with pytest.raises(reader.FrameError):
            read(data, frame=1)


# Files that are rejected


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "PixelData"])
def test_required_elements_are_named_when_missing(keyword):
    with pytest.raises(reader.MissingElementError, match=keyword):
        read(content(dataset(**{keyword: None})))


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_ct_without_rescale_is_refused(keyword):
    with pytest.raises(reader.MissingElementError, match=keyword):
        read(content(dataset(**{keyword: None})))


def test_truncated_files_are_refused():
    with pytest.raises(reader.MissingElementError, match="truncated"):
        read(get_testdata_file("MR_truncated.dcm"))
    data = content(dataset())
    for n in range(0, len(data), 7):
        with pytest.raises(reader.ReadError):
            read(data[:n])


@pytest.mark.parametrize("modality", ["SEG", "RTDOSE"])
def test_objects_that_are_no_images_are_refused(modality):
    with pytest.raises(reader.UnsupportedError, match="Modality"):
        read(content(dataset(Modality=modality)))
    for name in ("liver_1frame.dcm", "reportsi.dcm", "rtplan.dcm"):
        with pytest.raises(reader.ReadError):
            read(get_testdata_file(name))


def test_more_pixels_than_the_cap_are_refused_before_decoding():
    ds = dataset(Rows=65535, Columns=65535)
    with pytest.raises(reader.TooLargeError, match="65535"):
        read(content(ds))


@pytest.mark.parametrize("slope", ["nan", "inf", "abc"])
def test_impossible_numbers_are_refused(slope):
    # The value is written into the bytes, because pydicom would refuse to write it.
    data = content(dataset(RescaleSlope="1.25")).replace(b"1.25", slope.ljust(4).encode())
    with pytest.raises(reader.ReadError):
        read(data)


@pytest.mark.parametrize("data", [b"", b"\x00" * 200, b"GIF89a" + b"\x00" * 300, b"PK\x03\x04"])
def test_other_content_is_refused(data):
    with pytest.raises(reader.NotAnImageError, match="DICOM"):
        read(data)
    for fmt in ("GIF", "TIFF", "BMP", "PPM"):
        with pytest.raises(reader.NotAnImageError):
            read(picture(fmt=fmt))


def test_a_missing_file_is_an_error_with_its_name_but_not_its_folder(tmp_path):
    with pytest.raises(reader.NotAnImageError, match="a.dcm") as e:
        read(tmp_path / "a.dcm")
    assert str(tmp_path) not in str(e.value)
    with pytest.raises(reader.NotAnImageError):
        read(tmp_path)
