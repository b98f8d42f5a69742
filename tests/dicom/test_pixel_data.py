import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid as uids
from pydicom.data import get_testdata_file

from big_rad.dicom import codestream, pixel_data
from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import PIXELS, content, dataset, encapsulated, picture

GREY_8 = {
    "Rows": 5, "Columns": 6, "Modality": "OT", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
    "PixelRepresentation": 0, "RescaleSlope": None, "RescaleIntercept": None,
}  # fmt: skip


def needs(syntax):
    return pytest.mark.skipif(
        not pixel_data.can_decode(syntax), reason=f"no plugin for {uids.UID(syntax).name}"
    )


def needs_param(syntax):
    return pytest.param(syntax, marks=needs(syntax))


# Real files in compressed syntaxes. Goldens: the same image uncompressed, or pydicom's own tests.


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        pytest.param("MR_small_jp2klossless.dcm", marks=needs(uids.JPEG2000Lossless)),
        pytest.param("MR_small_jpeg_ls_lossless.dcm", marks=needs(uids.JPEGLSLossless)),
    ],
)
def test_lossless_syntaxes_give_the_pixels_of_the_uncompressed_file(name):
    expected = read(get_testdata_file("MR_small.dcm"))
    found = read(get_testdata_file(name))
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert (found.modality, found.spacing) == (expected.modality, expected.spacing)


@needs(uids.JPEG2000Lossless)
def test_the_sign_of_jpeg_2000_is_corrected_where_file_and_codestream_disagree():
    found = read(get_testdata_file("J2K_pixelrep_mismatch.dcm"))
    assert found.pixels.shape == (512, 512) and found.units == "HU"
    # Stored values of pydicom's tests of this file; its rescale is 1, 0.
    assert found.pixels[0, 0] == -2000
    column = found.pixels[47:57, 279].tolist()
    assert column == [621, 412, 138, -193, -520, -767, -907, -966, -988, -995]


@needs(uids.JPEG2000)
def test_a_real_lossy_ct_becomes_hu():
    path = get_testdata_file("693_J2KI.dcm")
    ds = pydicom.dcmread(path)
    want = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    np.testing.assert_array_equal(read(path).pixels, want)


@pytest.mark.parametrize(
    "name, tolerance",
    [
        ("SC_rgb_rle.dcm", 0),
        pytest.param("SC_rgb_jpeg_gdcm.dcm", 0, marks=needs(uids.JPEGLosslessSV1)),
        pytest.param("SC_rgb_jpeg_dcmtk.dcm", 6, marks=needs(uids.JPEGBaseline8Bit)),
        pytest.param("SC_rgb_jls_lossy_line.dcm", 6, marks=needs(uids.JPEGLSNearLossless)),
    ],
)
def test_colours_are_those_of_the_test_card(name, tolerance):
    # The bars of pydicom's test card, from its description of these files.
    bars = [(255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255),
            (128, 128, 255), (0, 0, 0), (64, 64, 64), (192, 192, 192), (255, 255, 255)]  # fmt: skip
    found = read(get_testdata_file(name))
    assert found.units == "rgb" and found.pixels.shape == (100, 100, 3)
    rows = found.pixels[5::10, 50].astype(int)
    np.testing.assert_allclose(rows, bars, atol=tolerance)


def test_a_missing_plugin_is_named(monkeypatch):
    monkeypatch.setattr(pixel_data, "can_decode", lambda syntax: False)
    for name, package in (
        ("J2K_pixelrep_mismatch.dcm", "pylibjpeg-openjpeg"),
        ("MR_small_jpeg_ls_lossless.dcm", "pyjpegls"),
        ("JPGExtended.dcm", "python-gdcm"),
    ):
        with pytest.raises(reader.UnsupportedError, match=f"pip install .*{package}"):
            read(get_testdata_file(name))


def test_a_kind_that_no_plugin_decodes_is_refused_with_a_remedy():
    # These are JPEG of 12 bits. Only a decoder under the GPL reads them, and it is not used here.
    for name in ("JPGExtended.dcm", "JPEG-lossy.dcm"):
        with pytest.raises(reader.UnsupportedError, match="convert the file to uncompressed"):
            read(get_testdata_file(name))
        # The message does not propose the plugin that reads only 8 bits.
        with pytest.raises(reader.UnsupportedError, match="dcmdjpeg.*pylibjpeg-libjpeg"):
            read(get_testdata_file(name))
    with pytest.raises(reader.UnsupportedError, match="uncompressed"):
        read(encapsulated([b"\0" * 100], uids.MPEG2MPML))


def test_a_big_endian_file_gives_the_same_pixels():
    expected = read(get_testdata_file("SC_rgb_small_odd.dcm"))
    found = read(get_testdata_file("SC_rgb_small_odd_big_endian.dcm"))
    np.testing.assert_array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_bits_stored_are_ignored(signed):
    pixels = np.array([[-5, 7], [2000, -2048]], np.int16) if signed else np.array([[5, 4095]] * 2)
    stored = (pixels.astype(np.uint16) & 0x0FFF) | 0xA000
    ds = dataset(stored, BitsStored=12, HighBit=11, PixelRepresentation=signed, RescaleIntercept=0)
    np.testing.assert_array_equal(read(content(ds)).pixels, pixels)


LOSSLESS = {"JPEG 2000": uids.JPEG2000Lossless, "JPEG-LS": uids.JPEGLSLossless}


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("syntax", [uids.RLELossless, *map(needs_param, LOSSLESS.values())])
def test_bits_above_bits_stored_are_ignored_in_compressed_pixels(syntax, signed):
    values = np.linspace(-2048, 2047, 1024).astype(np.int16).reshape(32, 32) + 2048 * (1 - signed)
    words = (values.view(np.uint16) & 0x0FFF) | 0xA000
    ds = dataset(words, Modality="MR", PixelRepresentation=0, RescaleSlope=None)
    ds.compress(syntax, generate_instance_uid=False)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, signed
    found = read(content(ds))
    np.testing.assert_array_equal(found.pixels, values)
    assert any("BitsStored" in w for w in found.warnings)


def test_zeros_and_signs_above_bits_stored_warn_of_nothing():
    pixels = np.array([[-5, 7], [2000, -2048]], np.int16)
    for words in (pixels, pixels & 0x0FFF):
        ds = dataset(words, Modality="MR", BitsStored=12, HighBit=11, RescaleIntercept=0)
        found = read(content(ds))
        np.testing.assert_array_equal(found.pixels, pixels)
        assert found.warnings == ()


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("stored", [8, 16])
@pytest.mark.parametrize("syntax", [*map(needs_param, LOSSLESS.values())])
def test_8_bits_compressed_in_16_allocated_ones_are_read(syntax, stored, signed):
    values = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    ds = dataset(values, Modality="MR", BitsAllocated=8, BitsStored=8, HighBit=7,
                 PixelRepresentation=0, RescaleSlope=None)  # fmt: skip
    ds.compress(syntax, generate_instance_uid=False)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, stored, stored - 1
    ds.PixelRepresentation = signed
    want = values.view(np.int8) if signed else values
    np.testing.assert_array_equal(read(content(ds)).pixels, want)


@pytest.mark.parametrize("stored", [8, 12, 16])
@pytest.mark.parametrize("syntax", [uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit])
def test_a_jpeg_of_8_bits_in_16_allocated_ones_is_read(syntax, stored):
    fields = GREY_8 | {"BitsAllocated": 16, "BitsStored": stored, "HighBit": stored - 1}
    found = read(encapsulated([jpeg()], syntax, **fields))
    with Image.open(io.BytesIO(jpeg())) as image:
        np.testing.assert_array_equal(found.pixels, np.asarray(image))


def test_a_jpeg_in_colour_of_8_bits_in_16_allocated_ones_is_read():
    fields = GREY_8 | {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "Modality": "US"}
    fields["PhotometricInterpretation"] = "YBR_FULL_422"
    frame = picture(fmt="JPEG")
    want = read(encapsulated([frame], uids.JPEGBaseline8Bit, **fields)).pixels
    fields["BitsAllocated"] = 16
    found = read(encapsulated([frame], uids.JPEGBaseline8Bit, **fields))
    np.testing.assert_array_equal(found.pixels, want)


@needs(uids.JPEGLosslessSV1)
@pytest.mark.parametrize("stored", [8, 10, 16])
def test_a_lossless_jpeg_of_another_depth_than_its_file_says_is_read(stored):
    ds = pydicom.dcmread(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    want = read(content(ds)).pixels
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (8 if stored == 8 else 16), stored, stored - 1
    found = read(content(ds)).pixels
    np.testing.assert_array_equal(found, want if stored == 8 else want >> (stored - 8))


@pytest.mark.parametrize("high", [15, 10, 0])
def test_values_elsewhere_in_their_words_are_refused_with_a_remedy(high):
    with pytest.raises(reader.UnsupportedError, match="HighBit is not BitsStored - 1.*export"):
        read(content(dataset(BitsStored=12, HighBit=high)))


def test_a_file_without_high_bit_is_read():
    ds = dataset(PIXELS, BitsStored=12, HighBit=None, RescaleIntercept=0)
    np.testing.assert_array_equal(read(content(ds)).pixels, PIXELS)


@pytest.mark.parametrize("signed, dtype", [(0, np.uint16), (1, np.int16)])
@pytest.mark.parametrize("slope, intercept", [(1, -1024), (1, 0), (1, 500.0), (2, -3), (0.5, 0.25)])
def test_hu_are_the_formula_for_all_stored_values(signed, dtype, slope, intercept):
    pixels = np.arange(1 << 16).astype(np.uint16).view(dtype).reshape(256, 256)
    ds = dataset(pixels, PixelRepresentation=signed, RescaleSlope=slope, RescaleIntercept=intercept)
    want = np.clip(np.rint(pixels.astype(float) * slope + intercept), -32768, 32767)
    np.testing.assert_array_equal(read(content(ds)).pixels, want)


# Frames


def rle(plane):
    """A frame of 8 bits in RLE: literal runs only (PS3.5 Annex G)."""
    body = b"".join(
        bytes([len(plane[i : i + 128]) - 1]) + plane[i : i + 128] for i in range(0, len(plane), 128)
    )
    return np.array([1, 64, *[0] * 14], "<u4").tobytes() + body + b"\0" * (len(body) % 2)


def frames_of(n):
    return [np.full((5, 6), 10 * k + 1, np.uint8) for k in range(n)]


def test_compressed_frames_are_separated_by_fragments_or_by_the_offset_table():
    frames = frames_of(3)
    one_each = encapsulated([rle(f.tobytes()) for f in frames], uids.RLELossless, **GREY_8)
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(read(one_each, frame=k).pixels, frame)
    # Each frame has two fragments, so that the offset table is needed.
    ds = dataset(**GREY_8, NumberOfFrames=3)
    ds.file_meta.TransferSyntaxUID = uids.RLELossless
    ds.PixelData = pydicom.encaps.encapsulate(
        [rle(f.tobytes()) for f in frames], fragments_per_frame=2, has_bot=True
    )
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(read(content(ds), frame=k).pixels, frame)
    ds.PixelData = pydicom.encaps.encapsulate(
        [rle(f.tobytes()) for f in frames], fragments_per_frame=2, has_bot=False
    )
    with pytest.raises(reader.MissingElementError, match="where its frames are"):
        read(content(ds), frame=1)


def test_a_frame_in_several_fragments_is_joined():
    ds = dataset(**GREY_8)
    ds.file_meta.TransferSyntaxUID = uids.RLELossless
    frame = frames_of(2)[1]
    ds.PixelData = pydicom.encaps.encapsulate([rle(frame.tobytes())], fragments_per_frame=3)
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    np.testing.assert_array_equal(read(content(ds)).pixels, frame)


# Sizes that compressed frames claim in their own header


def jpeg(size=(6, 5)):
    return picture("L", size=size, fmt="JPEG")


def test_a_jpeg_frame_of_the_size_of_its_file_is_read():
    found = read(encapsulated([jpeg()], uids.JPEGBaseline8Bit, **GREY_8))
    with Image.open(io.BytesIO(jpeg())) as image:
        np.testing.assert_array_equal(found.pixels, np.asarray(image))


@pytest.mark.parametrize("size", [(7, 5), (6, 4), (300, 3000)])
def test_a_frame_of_another_size_than_its_file_says_is_refused(size):
    with pytest.raises(reader.NotAnImageError, match="another size"):
        read(encapsulated([jpeg(size)], uids.JPEGBaseline8Bit, **GREY_8))


def test_a_frame_of_other_samples_is_refused():
    with pytest.raises(reader.NotAnImageError, match="another size"):
        read(encapsulated([picture(fmt="JPEG")], uids.JPEGBaseline8Bit, **GREY_8))


def jpeg2000(**kwargs):
    return picture("L", fmt="JPEG2000", no_jp2=True, irreversible=False, **kwargs)


@needs(uids.JPEG2000Lossless)
def test_jpeg_2000_is_read_bare_and_in_boxes():
    expected = np.asarray(Image.open(io.BytesIO(picture("L"))))
    for frame in (jpeg2000(), picture("L", fmt="JPEG2000", irreversible=False)):
        found = read(encapsulated([frame], uids.JPEG2000Lossless, **GREY_8))
        np.testing.assert_array_equal(found.pixels, expected)


@needs(uids.JPEG2000Lossless)
@pytest.mark.parametrize("at, value", [(8, 40_000), (12, 40_000), (40, 0), (40, 3)])
def test_jpeg_2000_of_another_size_or_depth_is_refused(at, value):
    frame = bytearray(jpeg2000())
    frame[at : at + (4 if at < 40 else 2)] = value.to_bytes(4 if at < 40 else 2, "big")
    with pytest.raises(reader.ReadError):
        read(encapsulated([bytes(frame)], uids.JPEG2000Lossless, **GREY_8))


def test_jpeg_2000_of_countless_tiles_is_refused():
    frame = bytearray(jpeg2000(size=(64, 64)))
    frame[24:32] = (1).to_bytes(4, "big") * 2
    with pytest.raises(reader.TooLargeError, match="tiles"):
        codestream.jpeg2000_size(bytes(frame), "x")


def test_the_size_in_a_frame_is_that_of_the_image():
    assert codestream.jpeg_size(jpeg((31, 17)), "x") == codestream.Size(17, 31, 1, 8)
    assert codestream.jpeg2000_size(jpeg2000(size=(31, 17)), "x") == codestream.Size(17, 31, 1, 8)
    colour = picture(size=(31, 17), fmt="JPEG", progressive=True)
    assert codestream.jpeg_size(colour, "x") == codestream.Size(17, 31, 3, 8)
    ds = pydicom.dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm"))
    frame = pydicom.encaps.get_frame(ds.PixelData, 0)
    assert codestream.jpeg_size(frame, "x") == codestream.Size(64, 64, 1, 16)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\xff\xd8\0\0\0\0" * 9])
def test_frames_without_a_size_are_refused(data):
    for function in (codestream.jpeg_size, codestream.jpeg2000_size, codestream.bare_jpeg2000):
        with pytest.raises(reader.ReadError, match="x: "):
            function(data, "x")


def test_pixel_data_larger_than_uncompressed_is_refused():
    with pytest.raises(reader.TooLargeError, match="larger than uncompressed"):
        read(encapsulated([jpeg() + b"\0" * (2 << 20)], uids.JPEGBaseline8Bit, **GREY_8))


# RLE


def test_rle_of_16_bits_and_runs_is_decoded():
    # As in the example of the standard: a header of 16 words, then high bytes, then low bytes.
    high = bytes([257 - 12, 0x12])
    low = bytes([3, 1, 2, 3, 4]) + bytes([128]) + bytes([257 - 8, 9])  # 4 literal, no-op, run of 8
    frame = np.array([2, 64, 66, *[0] * 13], "<u4").tobytes() + high + low
    found = codestream.rle_frame(frame, 3, 4, 1, 16, "x")
    want = np.array([1, 2, 3, 4, *[9] * 8], np.uint16).reshape(3, 4) + 0x1200
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    "offsets",
    [[2, 64, 66], [1, 2000], [1, 0], [1, 63], [16, 64], [0, 64], [4_000_000_000, 64]],
)
def test_damaged_rle_headers_are_refused(offsets):
    header = np.array([*offsets, *[0] * (16 - len(offsets))], "<u4").tobytes()
    with pytest.raises(reader.ReadError):
        codestream.rle_frame(header + b"\0" * 10, 3, 4, 1, 8, "x")


def test_rle_that_goes_on_for_ever_stops_at_the_last_pixel():
    bomb = np.array([1, 64, *[0] * 14], "<u4").tobytes() + b"\x81\x07" * (1 << 20)
    found = codestream.rle_frame(bomb, 3, 4, 1, 8, "x")
    np.testing.assert_array_equal(found, np.full((3, 4), 7))


def test_truncated_rle_is_refused():
    data = encapsulated([rle(PIXELS.tobytes())[:70]], uids.RLELossless, **GREY_8)
    with pytest.raises(reader.MissingElementError, match="truncated"):
        read(data)
