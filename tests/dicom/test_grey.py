"""Padding, windows and lookup tables of grey DICOM images."""

import numpy as np
import pydicom
import pytest
from pydicom import uid as uids

from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import before_pixels, content, dataset, element, raw_element

RAMP = np.arange(16, dtype=np.int16).reshape(4, 4) * 50 + 100  # 100 to 850
RIM = np.zeros((4, 4), bool)
RIM[0] = RIM[:, 0] = True
PLAIN = {"RescaleSlope": None, "RescaleIntercept": None}


def grey(pixels, modality, **fields):
    signed = int(pixels.dtype.kind == "i")
    more = {} if modality == "CT" else PLAIN
    return dataset(
        pixels, **{"Modality": modality, "PixelRepresentation": signed, **more, **fields}
    )


def padded(value, dtype=np.int16):
    return np.where(RIM, np.array(value).astype(dtype), RAMP.astype(dtype))


# Rescale


@pytest.mark.parametrize("slope", ["0", "0.0", "-0"])
def test_ct_of_a_slope_of_0_is_refused_and_the_element_named(slope):
    with pytest.raises(reader.NotAnImageError, match="RescaleSlope is 0"):
        read(content(grey(RAMP, "CT", RescaleSlope=slope)))


@pytest.mark.parametrize("modality", ["MR", "DX"])
def test_a_slope_of_0_is_ignored_in_other_modalities_and_said(modality):
    found = read(content(grey(RAMP, modality, RescaleSlope=0, RescaleIntercept=5)))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert any("RescaleSlope is 0" in w for w in found.warnings)
    given = read(content(grey(RAMP, "CT", RescaleSlope=0)), modality="OT")
    np.testing.assert_array_equal(given.pixels, RAMP)


# Padding


@pytest.mark.parametrize("modality", ["MR", "DX", "US"])
@pytest.mark.parametrize("value", [-32768, 0, 32767])
def test_padding_has_the_lowest_value_of_the_rest(modality, value):
    found = read(content(grey(padded(value), modality, PixelPaddingValue=value)))
    assert (found.pixels[RIM] == RAMP[~RIM].min()).all()
    np.testing.assert_array_equal(found.pixels[~RIM], RAMP[~RIM])
    assert any("padding" in w for w in found.warnings)


@pytest.mark.parametrize(
    "value, hu",
    [(-2000, -3024), (0, -1024), (500, -1000), (32767, -1000)],
)
def test_padding_of_ct_is_air(value, hu):
    found = read(content(grey(padded(value), "CT", PixelPaddingValue=value)))
    assert (found.pixels[RIM] == hu).all()
    np.testing.assert_array_equal(found.pixels[~RIM], RAMP[~RIM] - 1024)
    assert any("padding" in w for w in found.warnings) == (hu == -1000)


@pytest.mark.parametrize(
    "modality, dtype, vr, background",
    [
        ("MR", np.int16, "US", 300), ("MR", np.uint16, "SS", 300), ("DX", np.uint16, "SS", 300),
        ("CT", np.int16, "US", -3024), ("CT", np.uint16, "SS", -1000),
    ],
)  # fmt: skip
def test_padding_written_with_the_wrong_sign_is_found(modality, dtype, vr, background):
    # The element and the padded pixels have the same bits, but one is signed and the other is not.
    pixels = np.where(RIM, np.int16(-2000), RAMP + 300 - RAMP[~RIM].min()).astype(dtype)
    word = np.array(-2000, "<i2").tobytes()
    found = read(content(raw_element(grey(pixels, modality), "PixelPaddingValue", word, vr)))
    assert (found.pixels[RIM] == background).all()


def test_a_range_of_padding_may_be_given_from_either_end():
    pixels = RAMP.copy()
    for ends in ((100, 200), (200, 100)):
        fields = {"PixelPaddingValue": ends[0], "PixelPaddingRangeLimit": ends[1]}
        found = read(content(grey(pixels, "MR", **fields))).pixels
        np.testing.assert_array_equal(found, np.maximum(pixels, 250))


def test_a_signed_range_is_compared_with_its_signs():
    pixels = np.where(RIM, np.int16(-1500), RAMP)
    fields = {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1025}
    found = read(content(grey(pixels, "MR", **fields))).pixels
    assert (found[RIM] == RAMP[~RIM].min()).all() and (found[~RIM] == RAMP[~RIM]).all()


@pytest.mark.parametrize("value", [4095, 0])
def test_padding_is_black_after_inversion(value):
    ds = grey(padded(value), "DX", PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=value)
    found = read(content(ds)).pixels
    low, high = RAMP[~RIM].min(), RAMP[~RIM].max()
    np.testing.assert_array_equal(found[~RIM], low + high - RAMP[~RIM])
    assert (found[RIM] == low).all()


def test_padding_is_found_before_the_rescale():
    pixels = padded(850)
    ds = grey(pixels, "MR", RescaleSlope=-2, RescaleIntercept=10, PixelPaddingValue=850)
    found = read(content(ds)).pixels
    inside = pixels != 850  # One pixel inside the image also has the padding value.
    assert (found[~inside] == found[inside].min()).all()
    np.testing.assert_array_equal(found[inside], pixels[inside] * -2 + 10)


def test_padding_does_not_count_for_a_window():
    ds = grey(padded(3000), "DX", WindowCenter=500, WindowWidth=200, PixelPaddingValue=3000)
    found = read(content(ds)).pixels
    assert (found[RIM] == found[~RIM].min()).all() and np.ptp(found[~RIM]) > 0


@pytest.mark.parametrize("modality, value", [("MR", 7), ("CT", -1000), ("DX", 7)])
def test_an_image_that_is_all_padding_is_blank_and_says_so(modality, value):
    pixels = np.full((4, 4), 7, np.int16)
    fields = {"RescaleIntercept": 500} if modality == "CT" else {}
    found = read(content(grey(pixels, modality, PixelPaddingValue=7, **fields)))
    assert (found.pixels == value).all() and any("blank" in w for w in found.warnings)


def test_each_frame_has_the_background_of_its_own():
    frames = np.stack([padded(0), padded(0) + np.int16(1000) * ~RIM])
    data = content(grey(frames, "MR", NumberOfFrames=2, PixelPaddingValue=0))
    for k, low in enumerate((RAMP[~RIM].min(), RAMP[~RIM].min() + 1000)):
        assert (read(data, frame=k).pixels[RIM] == low).all()


@pytest.mark.parametrize(
    "stored, signed, word, padding",
    [
        (12, 1, -2000, -2000),
        (12, 1, 0x0830, -2000),  # The same value in 12 bits, without sign extension.
        (12, 0, 4000, 4000),
        (12, 0, 0xF830, 0xF830),  # Both the element and the pixels have bits above BitsStored.
    ],
)
def test_padding_of_fewer_stored_bits(stored, signed, word, padding):
    pixels = padded(padding, np.uint16)
    ds = grey(pixels, "MR", BitsStored=stored, HighBit=stored - 1, PixelRepresentation=signed)
    raw_element(ds, "PixelPaddingValue", (word & 0xFFFF).to_bytes(2, "little"))
    found = read(content(ds)).pixels
    np.testing.assert_array_equal(found, np.where(RIM, RAMP[~RIM].min(), RAMP))


def test_padding_that_no_pixel_has_changes_nothing_and_says_nothing():
    found = read(content(grey(RAMP, "MR", PixelPaddingValue=-5)))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert found.warnings == ()


def test_padding_of_8_bits_and_of_big_endian_files():
    fields = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelPaddingValue": 255}
    pixels = np.where(RIM, 255, RAMP // 5).astype(np.uint8)
    found = read(content(grey(pixels, "MR", **fields))).pixels
    assert (found[RIM] == found[~RIM].min()).all()
    ds = grey(padded(-2000).astype(">i2"), "MR", PixelPaddingValue=-2000)
    ds.file_meta.TransferSyntaxUID = uids.ExplicitVRBigEndian
    found = read(content(ds)).pixels
    np.testing.assert_array_equal(found, np.where(RIM, RAMP[~RIM].min(), RAMP))


@pytest.mark.parametrize("value", [b"", b"\0"])
def test_padding_that_is_damaged_is_ignored(value):
    data = before_pixels(content(grey(RAMP, "MR")), element(0x0028, 0x0120, b"US", value))
    found = read(data)
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert bool(value) == any("PixelPaddingValue" in w for w in found.warnings)


def test_a_limit_without_a_value_is_ignored_and_said():
    found = read(content(grey(RAMP, "MR", PixelPaddingRangeLimit=200)))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert any("PixelPaddingRangeLimit" in w for w in found.warnings)


# Windows


@pytest.mark.parametrize(
    "centre, width, function",
    [
        ("500", "0", None), ("0.1", "0.2", None), ("500", "NaN", None), ("500", "-5", None),
        ("nan", "100", None), ("500", "inf", None), ("500", "0", "LINEAR_EXACT"),
        ("500", "0", "SIGMOID"), ("500", "-1", "SIGMOID"),
    ],
)  # fmt: skip
def test_a_window_against_the_standard_is_named(centre, width, function):
    ds = grey(RAMP, "DX", VOILUTFunction=function)
    raw_element(ds, "WindowCenter", centre.encode())
    raw_element(ds, "WindowWidth", width.encode())
    with pytest.raises(reader.ReadError, match="WindowWidth.*remove"):
        read(content(ds))
    for modality in ("CT", "MR"):  # These modalities do not use the window.
        ds.Modality, ds.RescaleSlope, ds.RescaleIntercept = modality, 1, 0
        np.testing.assert_array_equal(read(content(ds)).pixels, RAMP)


def test_a_function_that_is_none_is_named():
    ds = grey(RAMP, "DX", WindowCenter=500, WindowWidth=100, VOILUTFunction="QUADRATIC")
    with pytest.raises(reader.ReadError, match="VOILUTFunction"):
        read(content(ds))
    raw_element(ds, "VOILUTFunction", b"sigmoid ")
    assert np.ptp(read(content(ds)).pixels) > 0


def test_a_width_of_one_is_a_threshold_and_less_needs_another_function():
    found = read(content(grey(RAMP, "DX", WindowCenter=500.5, WindowWidth=1))).pixels
    low, high = found.min(), found.max()
    np.testing.assert_array_equal(found, np.where(RAMP <= 500, low, high))
    fields = {"WindowCenter": 500, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"}
    found = read(content(grey(RAMP, "DX", **fields))).pixels
    middle = (low + high) / 2
    np.testing.assert_allclose(found, np.select([RAMP < 500, RAMP > 500], [low, high], middle))


def test_the_first_window_that_is_allowed_is_used_and_said():
    two = {"WindowCenter": [0, 500], "WindowWidth": [0, 100]}
    found = read(content(grey(RAMP, "DX", **two)))
    want = read(content(grey(RAMP, "DX", WindowCenter=500, WindowWidth=100)))
    np.testing.assert_array_equal(found.pixels, want.pixels)
    assert any("window 2" in w for w in found.warnings) and want.warnings == ()


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_half_a_window_is_ignored_and_said(keyword):
    found = read(content(grey(RAMP, "DX", **{keyword: 100})))
    np.testing.assert_array_equal(found.pixels, RAMP)
    assert any(keyword in w for w in found.warnings)


# Lookup tables


def table(entries, first=0, bits=16, packed=False, count=None):
    item = pydicom.Dataset()
    count = len(entries) if count is None else count
    item.add_new("LUTDescriptor", "US", [count % 65536, first % 65536, bits])
    kind = "u1" if packed else "<u2"
    item.add_new("LUTData", "OW", np.asarray(entries).astype(kind).tobytes())
    return [item]


INDEX = np.arange(16, dtype=np.uint16).reshape(4, 4)
SQUARES = np.arange(16) ** 2


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("bits, packed", [(8, True), (8, False), (12, False), (16, False)])
def test_tables_of_every_depth_are_looked_up(keyword, bits, packed):
    ds = grey(INDEX, "DX", **{keyword: table(SQUARES, bits=bits, packed=packed)})
    np.testing.assert_array_equal(read(content(ds)).pixels, SQUARES.reshape(4, 4))


def test_a_table_of_many_entries_of_8_bits():
    entries = np.arange(4096) // 16
    pixels = np.linspace(0, 5000, 16).astype(np.uint16).reshape(4, 4)
    found = read(content(grey(pixels, "DX", VOILUTSequence=table(entries, bits=8, packed=True))))
    np.testing.assert_array_equal(found.pixels, entries[np.minimum(pixels, 4095)])


def test_values_beyond_a_table_get_its_ends():
    pixels = np.array([[-32768, -3, -2], [0, 1, 32767]], np.int16)
    found = read(content(grey(pixels, "DX", VOILUTSequence=table([7, 8, 9, 10], first=-2))))
    np.testing.assert_array_equal(found.pixels, [[7, 7, 7], [9, 10, 10]])


def test_a_table_wins_over_a_window_even_a_damaged_one():
    ds = grey(INDEX, "DX", VOILUTSequence=table(SQUARES), WindowCenter=0, WindowWidth=0)
    np.testing.assert_array_equal(read(content(ds)).pixels, SQUARES.reshape(4, 4))


@pytest.mark.parametrize(
    "item, named",
    [
        (table(SQUARES, count=100), "LUTData"),
        (table(SQUARES, bits=32), "LUTDescriptor"),
        (table(SQUARES, bits=8, packed=True, count=40), "LUTData"),
    ],
)
def test_damaged_tables_are_named(item, named):
    with pytest.raises(reader.ReadError, match=named):
        read(content(grey(INDEX, "DX", VOILUTSequence=item)))
    np.testing.assert_array_equal(
        read(content(grey(INDEX, "MR", VOILUTSequence=item))).pixels, INDEX
    )


def test_a_table_without_entries_is_ignored_and_said():
    empty = pydicom.Dataset()
    empty.add_new("LUTDescriptor", "US", [4, 0, 16])
    found = read(content(grey(INDEX, "DX", VOILUTSequence=[empty])))
    np.testing.assert_array_equal(found.pixels, INDEX)
    assert any("VOILUTSequence" in w for w in found.warnings)
