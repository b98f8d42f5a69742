import numpy as np
import pydicom
import pytest
from pydicom import uid as uids
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut

from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import content, dataset

INDEX = np.arange(16, dtype=np.uint8).reshape(4, 4)
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 3))
COLOURS[0] = 255


def indexed(
    tables, pixels=INDEX, *, first=0, bits=8, dtype="u1", segmented=False, count=16, **more
):
    depth = 8 * pixels.dtype.itemsize
    ds = dataset(
        pixels, Modality="US", PhotometricInterpretation="PALETTE COLOR", BitsAllocated=depth,
        BitsStored=depth, HighBit=depth - 1, PixelRepresentation=int(pixels.dtype.kind == "i"),
        RescaleSlope=None, RescaleIntercept=None, **more,
    )  # fmt: skip
    for colour, entries in zip(("Red", "Green", "Blue"), tables, strict=True):
        keyword = f"{colour}PaletteColorLookupTable"
        ds.add_new(f"{keyword}Descriptor", "US", [count, first % 65536, bits])
        data = np.asarray(entries).astype(dtype).tobytes()
        ds.add_new(f"{'Segmented' * segmented}{keyword}Data", "OW", data + b"\0" * (len(data) % 2))
    return ds


def test_a_real_palette_is_that_of_pydicom():
    path = get_testdata_file("examples_palette.dcm")
    ds = pydicom.dcmread(path)
    found = read(path)
    np.testing.assert_array_equal(found.pixels, apply_color_lut(ds.pixel_array, ds) >> 8)
    assert (found.modality, found.units) == ("OT", "rgb")


@pytest.mark.parametrize(
    "bits, dtype, scale",
    [
        (8, "u1", 1),
        (8, "<u2", 1),
        (8, "<u2", 256),
        (16, "<u2", 257),
        (16, "<u2", 1),
        (12, "<u2", 16),
    ],
)
def test_palettes_of_every_depth_give_their_high_bits(bits, dtype, scale):
    data = content(indexed(COLOURS.T * scale, bits=bits, dtype=dtype))
    np.testing.assert_array_equal(read(data).pixels, COLOURS[INDEX])


def test_indices_may_be_negative_and_beyond_the_table():
    pixels = np.array([[-300, -3, -2], [0, 12, 300]], np.int16)
    found = read(content(indexed(COLOURS.T, pixels, first=-3))).pixels
    np.testing.assert_array_equal(found, COLOURS[[[0, 0, 1], [3, 15, 15]]])


@pytest.mark.parametrize("syntax", [uids.RLELossless, uids.JPEGLSLossless])
def test_compressed_indices_are_looked_up(syntax):
    pixels = np.tile(INDEX, (4, 4))
    ds = indexed(COLOURS.T, pixels)
    ds.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read(content(ds)).pixels, COLOURS[pixels])


def test_a_big_endian_palette_of_8_bits_is_put_in_order():
    # Two entries share a word, and big-endian files write the high byte of a word first.
    swapped = [t.reshape(-1, 2)[:, ::-1].ravel() for t in COLOURS.T]
    ds = indexed(swapped)
    ds.file_meta.TransferSyntaxUID = uids.ExplicitVRBigEndian
    ds["PixelData"].VR = "OB"
    np.testing.assert_array_equal(read(content(ds)).pixels, COLOURS[INDEX])


# A segment is (0, n, n values), (1, n, last value), which is a line to that value in n steps, or
# (2, n, low, high), which repeats the n segments at a byte offset.
SEGMENTS = [0, 2, 10, 20, 1, 4, 60, 2, 1, 0, 0, 1, 5, 110, 1, 3, 110]
LINE = [10, 20, 30, 40, 50, 60, 10, 20, 38, 56, 74, 92, 110, 110, 110, 110]


@pytest.mark.parametrize("bits", [8, 16])
def test_segmented_palettes_are_unpacked(bits):
    codes = SEGMENTS if bits == 16 else [*SEGMENTS[:11], 0, 0, *SEGMENTS[11:]]
    tables = [codes] * 3
    data = content(indexed(tables, bits=bits, dtype=f"<u{bits // 8}", segmented=True))
    np.testing.assert_array_equal(read(data).pixels[..., 0].ravel(), LINE)


def test_a_segment_elsewhere_is_found_by_its_bytes():
    codes = [0, 1, 7, 0, 3, 1, 2, 3, 2, 1, 6, 0, 0, 9, *range(9)]  # The second starts at byte 6.
    found = read(content(indexed([codes] * 3, bits=16, dtype="<u2", segmented=True))).pixels
    np.testing.assert_array_equal(found[..., 1].ravel(), [7, 1, 2, 3, 1, 2, 3, *range(9)])


def test_a_palette_does_not_grow_beyond_its_descriptor():
    bomb = [0, 1, 0] + [1, 65535, 9, 1, 65535, 0] * 20_000
    found = read(content(indexed([bomb] * 3, bits=16, dtype="<u2", segmented=True))).pixels
    assert found.shape == (4, 4, 3)


@pytest.mark.parametrize(
    "tables, segmented, named",
    [
        (COLOURS[:5].T, False, "RedPaletteColorLookupTableData"),
        ([[0, 5, 1]] * 3, True, "SegmentedRedPaletteColorLookupTableData"),
        ([[3, 5, 1, 1]] * 3, True, "SegmentedRedPaletteColorLookupTableData"),
        ([[1, 5, 1, 1]] * 3, True, "SegmentedRedPaletteColorLookupTableData"),
        ([[0, 1, 5, 2, 1, 200, 0, 0, 0]] * 3, True, "SegmentedRedPaletteColorLookupTableData"),
    ],
)
def test_damaged_palettes_are_named(tables, segmented, named):
    with pytest.raises(reader.ReadError, match=named):
        read(content(indexed(tables, segmented=segmented)))


def test_a_missing_palette_is_named():
    ds = indexed(COLOURS.T)
    del ds.BluePaletteColorLookupTableData
    with pytest.raises(reader.MissingElementError, match="BluePaletteColorLookupTableData"):
        read(content(ds))


# Colour of 16 bits a sample


def rgb(pixels, stored=16, planar=0, **fields):
    return dataset(
        Rows=pixels.shape[0], Columns=pixels.shape[1], Modality="OT", SamplesPerPixel=3,
        PhotometricInterpretation="RGB", PlanarConfiguration=planar, BitsStored=stored,
        HighBit=stored - 1, PixelRepresentation=0, RescaleSlope=None, RescaleIntercept=None,
        PixelData=(pixels if not planar else np.moveaxis(pixels, -1, 0)).tobytes(), **fields,
    )  # fmt: skip


EIGHT = np.random.default_rng(1).integers(0, 256, (32, 40, 3)).astype(np.uint16)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("stored", [8, 12, 16])
def test_deep_colour_gives_its_high_bits_and_says_so(stored, planar):
    pixels = (EIGHT << (stored - 8)) + (stored > 8) + (stored < 16) * 0x1000 * (EIGHT % 2 << 3)
    found = read(content(rgb(pixels, stored, planar)))
    np.testing.assert_array_equal(found.pixels, EIGHT)
    assert found.units == "rgb" and any("8 bits" in w for w in found.warnings)


@pytest.mark.parametrize("syntax", [uids.RLELossless, uids.JPEG2000Lossless, uids.JPEGLSLossless])
def test_compressed_deep_colour_is_read(syntax):
    ds = rgb(EIGHT * 257)
    ds.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read(content(ds)).pixels, EIGHT)


def test_deep_ybr_is_refused_with_a_remedy():
    ds = rgb(EIGHT)
    ds.PhotometricInterpretation = "YBR_FULL"
    with pytest.raises(reader.UnsupportedError, match="RGB"):
        read(content(ds))
