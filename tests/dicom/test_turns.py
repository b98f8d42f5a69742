import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from big_rad.dicom.image import Slice, to_display
from big_rad.dicom.turns import EXIF, Turn

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
TURNS = [Turn(*(bool(n >> k & 1) for k in range(3))) for n in range(8)]


def marked(box, shape):
    """Returns the mask [H, W] of the pixels in a box."""
    mask = np.zeros(shape, bool)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.mark.parametrize("code", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(code):
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = code
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    want = np.asarray(ImageOps.exif_transpose(Image.open(out)))
    found, inverse = to_display(Slice(PIXELS, "OT", (2.0, 3.0), "", "raw", exif=code))
    np.testing.assert_array_equal(found.pixels, want)
    assert found.exif == 1 and inverse.inverse() == EXIF[code]
    assert found.spacing == ((3.0, 2.0) if code > 4 else (2.0, 3.0))


@pytest.mark.parametrize("turn", TURNS)
def test_boxes_go_with_their_pixels_and_come_back(turn):
    box = (1, 0, 3, 2)
    moved = turn.box(box, PIXELS.shape)
    shown = turn.array(marked(box, PIXELS.shape))
    np.testing.assert_array_equal(marked(moved, shown.shape), shown)
    assert turn.inverse().box(moved, shown.shape) == box
    np.testing.assert_array_equal(turn.inverse().array(turn.array(PIXELS)), PIXELS)


def test_two_turns_are_one():
    for first in TURNS:
        for second in TURNS:
            want = second.array(first.array(PIXELS))
            np.testing.assert_array_equal(first.then(second).array(PIXELS), want)
