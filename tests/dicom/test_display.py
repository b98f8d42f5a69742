"""Tests that slices are turned to their usual display, with an asymmetric letter as the image."""

import itertools

import numpy as np
import pytest

from big_rad.dicom import image as image_lib
from big_rad.dicom.image import Slice, to_display
from big_rad.dicom.read import read
from tests.helpers.dicom_files import content, dataset

LETTER = np.array([[9, 9, 9], [9, 0, 0], [9, 9, 0], [9, 0, 0], [9, 0, 0]], np.int16)
USUAL = {
    "axial": ([1, 0, 0], [0, 1, 0]),
    "coronal": ([1, 0, 0], [0, 0, -1]),
    "sagittal": ([0, 1, 0], [0, 0, -1]),
}
WAYS = list(itertools.product([False, True], repeat=3))


def stored(plane, way, tilt=None):
    """Reads the letter from a DICOM file that stores it in another way, with its directions."""
    exchanged, up, left = way
    columns, rows = (np.array(v, float) for v in USUAL[plane])
    if tilt is not None:
        columns, rows = tilt @ columns, tilt @ rows
    pixels, origin = LETTER, np.array([10.0, 20.0, 30.0])
    if up:
        pixels, origin, rows = pixels[::-1], origin + rows * 0.5 * (len(pixels) - 1), -rows
    if left:
        pixels, columns = pixels[:, ::-1], -columns
        origin = origin - columns * 0.7 * (pixels.shape[1] - 1)
    spacing = [0.5, 0.7]
    if exchanged:
        pixels, columns, rows, spacing = pixels.T, rows, columns, spacing[::-1]
    return read(content(dataset(
        np.ascontiguousarray(pixels), RescaleIntercept=0, PixelSpacing=spacing,
        ImageOrientationPatient=[*map(float, columns), *map(float, rows)],
        ImagePositionPatient=[*map(float, origin)],
    )))  # fmt: skip


def points(image):
    """{position in the patient, rounded to 0.1 mm: value} of a slice's pixels."""
    place, found = image.place, {}
    for (row, column), value in np.ndenumerate(image.pixels):
        at = np.array(place.origin) + np.array(place.rows) * row * image.spacing[0]
        at = at + np.array(place.columns) * column * image.spacing[1]
        found[tuple(np.round(at, 1) + 0.0)] = value
    return found


@pytest.mark.parametrize("plane", USUAL)
@pytest.mark.parametrize("way", WAYS)
def test_the_letter_is_shown_as_a_letter_however_it_is_stored(plane, way):
    image = stored(plane, way)
    assert image.pixels.shape == (LETTER.T if way[0] else LETTER).shape  # `read` turns nothing.
    shown, inverse = to_display(image)
    np.testing.assert_array_equal(shown.pixels, LETTER)
    assert shown.plane == plane and shown.spacing == (0.5, 0.7)
    assert shown.orientation == {"axial": "LP", "coronal": "LF", "sagittal": "PF"}[plane]
    assert points(shown) == points(image)
    assert bool(inverse.words) == any(way)
    np.testing.assert_array_equal(inverse.array(shown.pixels), image.pixels)
    assert to_display(shown)[0] is shown


@pytest.mark.parametrize("way", WAYS)
def test_boxes_and_masks_come_back_to_stored_pixels(way):
    image = stored("coronal", way)
    shown, inverse = to_display(image)
    mask = np.zeros(shown.pixels.shape, bool)
    mask[1:3, 0:2] = True  # A box (0, 1, 2, 3) around some of the letter
    x1, y1, x2, y2 = (int(v) for v in inverse.box((0, 1, 2, 3), mask.shape))
    there = inverse.array(mask)
    np.testing.assert_array_equal(np.argwhere(there).min(axis=0), [y1, x1])
    np.testing.assert_array_equal(np.argwhere(there).max(axis=0), [y2 - 1, x2 - 1])
    assert there.sum() == (x2 - x1) * (y2 - y1) == mask.sum()
    np.testing.assert_array_equal(image.pixels[there], inverse.array(shown.pixels)[there])


@pytest.mark.parametrize("degrees", [10, 30, 40])
def test_an_oblique_slice_is_turned_by_its_nearest_axis(degrees):
    turn = np.deg2rad(degrees)
    tilt = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    for way in WAYS:
        image = stored("axial", way, tilt)
        assert image.plane == ("axial" if degrees < 37 else "")
        shown, _ = to_display(image)
        np.testing.assert_array_equal(shown.pixels, LETTER)


def test_the_two_letters_never_name_one_axis():
    columns, rows = [0.7, 0.5, 0.5099], [0.714, -0.4902, -0.5]
    assert set(image_lib.orientation_of(columns, rows)) <= set("LRPAHF")
    assert len(image_lib.orientation_of(columns, rows)) == 2
    for bad in ([0, 0, 0], [float("nan"), 0, 0], [1, 0, 0]):
        assert image_lib.orientation_of([1, 0, 0], bad) == ""


def test_a_slice_that_says_nothing_stays_as_it_is():
    for orientation in (None, [1, 0, 0, 1, 0, 0], [0] * 6):
        image = read(content(dataset(ImageOrientationPatient=orientation)))
        shown, inverse = to_display(image)
        assert shown is image and inverse.words == ""


def test_a_picture_is_turned_by_its_exif_orientation():
    picture = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    shown, inverse = to_display(Slice(picture, "OT", None, "", "rgb", exif=6))
    np.testing.assert_array_equal(shown.pixels, np.rot90(picture, -1))
    assert shown.exif == 1
    np.testing.assert_array_equal(inverse.array(shown.pixels), picture)


def test_an_offset_makes_hu_before_they_are_clipped(tmp_path):
    values = np.array([[31768, 32768, 34268]], np.uint16)
    np.save(tmp_path / "a.npy", values)
    found = read(tmp_path / "a.npy", modality="CT", offset=-32768)
    np.testing.assert_array_equal(found.pixels, [[-1000, 0, 1500]])
    assert (found.modality, found.units, found.pixels.dtype) == ("CT", "HU", np.int16)
    found = read(content(dataset(RescaleIntercept=0)), offset=-1024)
    np.testing.assert_array_equal(found.pixels, read(content(dataset())).pixels)
    with pytest.raises(ValueError, match="offset"):
        read(tmp_path / "a.npy", modality="CT", offset=float("nan"))
