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
from tests.dicom.files import SECRET, npy, peak_memory, picture, png, png_chunk


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
