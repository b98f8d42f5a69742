import io
import pickle
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import (
    SECRET,
    npy,
    peak_memory,
    picture,
    png,
    png_chunk,
    tiff,
    with_exif,
)


def test_pictures_are_rgb():
    data = picture()
    found = read(data)
    np.testing.assert_array_equal(found.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert (found.modality, found.units, found.plane, found.spacing) == ("OT", "rgb", "", None)
    for mode, fmt in (("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG")):
        found = read(picture(mode, fmt=fmt))
        assert found.pixels.shape == (5, 6, 3) and found.pixels.dtype == np.uint8


@pytest.mark.parametrize("modality, units", [("CT", "HU"), ("MR", "raw"), (None, "raw")])
def test_a_grey_png_of_16_bits_keeps_its_full_depth(modality, units):
    values = np.array([[0, 1, 255, 256], [3000, 32767, 4095, 2]], np.uint16)
    found = read(png(values, 16, 0), modality=modality)
    np.testing.assert_array_equal(found.pixels, values)
    assert found.pixels.dtype == np.int16
    assert (found.modality, found.units) == (modality or "OT", units)
    values[0, 0] = 65535
    found = read(png(values, 16, 0))
    np.testing.assert_array_equal(found.pixels, values)
    assert found.pixels.dtype == np.float32


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
def test_truncated_pictures_are_refused(fmt):
    data = picture(size=(64, 64), fmt=fmt)
    with pytest.raises(reader.NotAnImageError):
        read(data[: len(data) // 2])


@pytest.mark.parametrize("colour_type", [2, 4, 6])
def test_a_png_of_16_bits_that_is_not_grey_is_refused_not_cut_to_8(colour_type):
    with pytest.raises(reader.UnsupportedError, match="16 bits"):
        read(png(np.zeros((4, 4, 3 if colour_type == 2 else 4), np.uint16), 16, colour_type))


def test_a_png_of_too_many_pixels_is_refused_before_decoding():
    header = picture(size=(16, 16))
    side = (20_000).to_bytes(4, "big")
    chunk = b"IHDR" + side + side + header[24:29]
    data = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    assert peak_memory(data) < 16 << 20


def test_a_modality_given_for_a_picture_of_8_bits_is_kept_but_makes_no_hu():
    found = read(picture("L"), modality="CT")
    assert (found.modality, found.units) == ("CT", "rgb")


def test_a_frame_of_a_picture_or_array_is_refused():
    for data in (picture(), picture(fmt="JPEG"), npy(np.zeros((2, 3)))):
        assert read(data, frame=0).pixels.shape[:2] in ((5, 6), (2, 3))
        with pytest.raises(reader.FrameError):
            read(data, frame=1)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_text_and_colour_profiles_of_a_png_are_not_even_unpacked(kind):
    bomb = b"Comment\0\0" + zlib.compress(b"\0" * (100 << 20), 9)
    data = png(np.zeros((4, 4), np.uint8), 8, 0, png_chunk(kind, bomb))
    tracemalloc.start()
    try:
        assert read(data).pixels.shape == (4, 4, 3)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_countless_scans_is_refused():
    data = picture(fmt="JPEG", progressive=True)
    assert read(data).units == "rgb"
    at = data.rindex(b"\xff\xda")
    with pytest.raises(reader.TooLargeError, match="scans"):
        read(data[:at] + (data[at:-2] * 100) + data[-2:])


def test_a_jpeg_of_too_many_pixels_is_refused_before_decoding():
    data = picture(fmt="JPEG")
    at = data.index(b"\xff\xc0")
    data = data[: at + 5] + b"\xff\xf0\xff\xf0" + data[at + 9 :]
    with pytest.raises(reader.TooLargeError, match="pixels"):
        read(data)


# Maps of labels

SMALL = np.array([[0, 1, 1, 0, 1], [1, 0, 1, 0, 0], [0, 0, 1, 1, 1]])


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_labels_are_the_numbers_that_are_stored(depth, interlaced):
    values = SMALL * min((1 << depth) - 1, 117)
    found = read(png(values, depth, 0, interlaced=interlaced), labels=True)
    np.testing.assert_array_equal(found.pixels, values)
    assert found.units == "raw" and found.warnings == ()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("alpha", [b"", b"\0", b"\0\xff"])
def test_labels_of_a_palette_are_its_indices(depth, interlaced, alpha):
    count = 1 << depth
    values = SMALL * (count - 1)
    rng = np.random.default_rng(0)
    extra = png_chunk(b"PLTE", rng.integers(0, 255, 3 * count).astype(np.uint8).tobytes())
    extra += png_chunk(b"tRNS", alpha) if alpha else b""
    found = read(png(values, depth, 3, extra, interlaced), labels=True)
    np.testing.assert_array_equal(found.pixels, values)
    assert bool(alpha) == any("transparency" in w for w in found.warnings)


def test_a_palette_of_other_greys_than_its_indices_is_said():
    extra = png_chunk(b"PLTE", bytes([0] * 3 + [23] * 3))
    found = read(png(SMALL, 8, 3, extra), labels=True)
    np.testing.assert_array_equal(found.pixels, SMALL)
    assert any("palette" in w for w in found.warnings)
    same = png_chunk(b"PLTE", bytes([0] * 3 + [1] * 3))
    assert read(png(SMALL, 8, 3, same), labels=True).warnings == ()


def test_labels_with_alpha_are_the_grey_values():
    values = np.stack([SMALL * 5, np.full_like(SMALL, 255)], -1)
    found = read(png(values, 8, 4), labels=True)
    np.testing.assert_array_equal(found.pixels, SMALL * 5)
    assert found.warnings == ()
    values[0, 0, 1] = 7
    assert any("transparency" in w for w in read(png(values, 8, 4), labels=True).warnings)


def test_pictures_of_few_bits_are_shown_with_their_full_range():
    for depth in (1, 2, 4):
        found = read(png(SMALL * ((1 << depth) - 1), depth, 0)).pixels
        np.testing.assert_array_equal(found, np.repeat(SMALL[..., None] * 255, 3, -1))


def test_a_palette_that_is_not_there_is_named():
    with pytest.raises(reader.NotAnImageError, match="PLTE|PNG"):
        read(png(SMALL, 8, 3), labels=True)


# EXIF


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("data", [picture(fmt="JPEG"), picture(), png(SMALL, 16, 0)])
def test_the_exif_orientation_is_read_and_said_and_pixels_stay_as_stored(data, code, order):
    found = read(with_exif(data, tiff(code, order, before=[(0x010F, 3, 1, 6)])))
    np.testing.assert_array_equal(found.pixels, read(data).pixels)
    assert found.exif == code and read(data).exif == 1
    assert (code > 1) == any("EXIF" in w for w in found.warnings)


def test_exif_as_pillow_writes_it_is_read():
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x0132] = SECRET, 6, "2020:01:01 00:00:00"
    for fmt in ("JPEG", "PNG"):
        found = read(picture(fmt=fmt, exif=exif))
        assert found.exif == 6 and SECRET not in str(found.warnings)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "block",
    [
        b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", tiff(6)[:-8],
        tiff(6)[:15], tiff(6, kind=7), b"XX" + tiff(6)[2:], tiff(0),
    ],
)  # fmt: skip
def test_exif_that_says_nothing_turns_nothing(fmt, block):
    found = read(with_exif(picture(fmt=fmt), block))
    assert found.exif == 1 and found.warnings == ()


@pytest.mark.parametrize("code", [9, 255, 65535])
def test_an_impossible_orientation_is_ignored_and_said(code):
    found = read(with_exif(picture(fmt="JPEG"), tiff(code)))
    assert found.exif == 1 and any("EXIF" in w for w in found.warnings)


def test_damaged_pictures_are_named_as_what_they_are():
    data = picture(size=(64, 64), fmt="JPEG")
    with pytest.raises(reader.NotAnImageError, match="JPEG that is damaged, cut off"):
        read(data[: len(data) // 2])
    data = bytearray(picture(size=(64, 64)))
    data[200:400] = bytes(200)
    with pytest.raises(reader.NotAnImageError, match="PNG that is damaged"):
        read(bytes(data))


def test_a_jpeg_of_12_bits_is_refused_as_such():
    data = bytearray(picture(fmt="JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(reader.UnsupportedError, match="12 bits"):
        read(bytes(data))


# NPY


@pytest.mark.parametrize(
    "array, dtype",
    [
        (np.array([[0, 255]], np.uint8), np.int16),
        (np.array([[-1000, 3000]], ">i2"), np.int16),
        (np.array([[1.0, 2.0]], np.float64), np.int16),
        (np.array([[1.5, 2.0]], np.float16), np.float32),
        (np.array([[0, 65535]], np.uint16), np.float32),
        (np.asfortranarray(np.arange(6).reshape(2, 3)), np.int16),
    ],
)
def test_arrays_keep_their_values(array, dtype):
    found = read(npy(array))
    np.testing.assert_array_equal(found.pixels, array)
    assert found.pixels.dtype == dtype and found.pixels.flags.c_contiguous
    assert (found.modality, found.units, found.orientation) == ("OT", "raw", "")


def test_an_array_said_to_be_ct_becomes_hu():
    found = read(npy(np.array([[-1000.4, 40000]], np.float32)), modality="CT")
    np.testing.assert_array_equal(found.pixels, np.array([[-1000, 32767]], np.int16))
    assert (found.modality, found.units) == ("CT", "HU")


def test_a_colour_array_is_rgb():
    array = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    found = read(npy(array))
    np.testing.assert_array_equal(found.pixels, array)
    assert found.units == "rgb"


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4), np.int16), np.zeros(5), np.zeros((2, 3, 3), np.float32),
        np.zeros((2, 2), np.complex64), np.zeros((2, 2), "U5"), np.zeros((2, 2), bool),
        np.zeros((2, 2), [("a", "i2")]), np.array(1.0), np.zeros((0, 4)),
        np.array([[np.nan, 1]]), np.array([[np.inf, 1]]),
    ],
)  # fmt: skip
def test_arrays_that_are_no_image_are_refused(array):
    with pytest.raises(reader.ReadError):
        read(npy(array))


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_pickles_are_never_opened(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as f:
        f.writestr("archive/data.pkl", pickle.dumps(Trap()))
    bad = {
        "a.npy": npy(np.array([[Trap()]], object), allow_pickle=True),
        "b.npy": pickle.dumps(Trap()),
        "c.ckpt": pickle.dumps(Trap(), protocol=4),
        "d.bin": archive.getvalue(),
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(reader.ReadError, match=name):
            read(tmp_path / name)
    np.savez(tmp_path / "e.npz", a=np.zeros((2, 2)))
    with pytest.raises(reader.NotAnImageError, match="archives and pickles are not opened"):
        read(tmp_path / "e.npz")


def npy_header(text, version=b"\x01\x00"):
    text = text.ljust(118) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "header, error",
    [
        ("{'descr': '<i2', 'fortran_order': False, 'shape': (65535, 65535), }", "TooLargeError"),
        ("{'descr': '<i2', 'fortran_order': False, 'shape': (-4, -4), }", "NotAnImageError"),
        ("{'descr': '<i2', 'fortran_order': False, 'shape': (4, 4), }", "NotAnImageError"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }", "UnsupportedError"),
        ("{'descr': '<i2', 'fortran_order': False, 'shape': (4, 4)", "NotAnImageError"),
        ("[" * 4000, "NotAnImageError"),
        (
            "{'descr': '<V2000000000', 'fortran_order': False, 'shape': (1, 1), }",
            "UnsupportedError",
        ),
        ("{'descr': '<i2', 'fortran_order': False, 'shape': (4, 4), }" + " " * 20000, "NotAnImage"),
        ("{'descr': '" + SECRET + "', 'fortran_order': False, 'shape': (4, 4), }", "NotAnImage"),
    ],
)
def test_headers_of_arrays_are_checked_before_reading(header, error):
    with pytest.raises(reader.ReadError) as e:
        read(npy_header(header))
    assert type(e.value).__name__.startswith(error)
    assert SECRET not in str(e.value)


def test_a_truncated_array_is_refused():
    with pytest.raises(reader.NotAnImageError, match="truncated"):
        read(npy(np.zeros((4, 4)))[:-1])
