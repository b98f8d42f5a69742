import io
import unicodedata

import numpy as np
import pytest
from PIL import Image

from big_rad.grounding import classes
from big_rad.inference import draw
from big_rad.pp import ops_image

BLUE, ORANGE = (0, 0x72, 0xB2), (0xE6, 0x9F, 0)


def where(picture, colour):
    ys, xs = np.nonzero((np.asarray(picture) == colour).all(-1))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def test_box_lands_where_it_should_at_the_picture_scale():
    picture = draw.overlay(np.zeros((56, 56), np.uint8), [draw.reference((10, 20, 30, 50))], 448)
    assert picture.size == (448, 448)
    assert where(picture, BLUE) == (80, 160, 240, 400)


def test_predicted_box_is_dashed_and_within_its_bounds():
    picture = draw.overlay(np.zeros((448, 448), np.uint8), [draw.prediction((100, 50, 300, 200))])
    x1, y1, x2, y2 = where(picture, ORANGE)
    assert abs(x1 - 100) <= 2 and abs(y1 - 50) <= 2 and abs(x2 - 300) <= 2 and abs(y2 - 200) <= 2
    row = (np.asarray(picture)[50, 100:300] == ORANGE).all(-1)
    assert 0.3 < row.mean() < 0.9


def test_a_mask_is_tinted_with_a_contour_and_has_no_rectangle():
    mask = np.zeros((56, 56), bool)
    mask[10:20, 20:40] = mask[20:30, 20:30] = True  # An L: its box has an empty corner.
    picture = draw.overlay(np.zeros((56, 56), np.uint8), [draw.Mark((20, 10, 40, 30), mask=mask)])
    pixels, scale = np.asarray(picture), 8
    assert where(picture, ORANGE) == (20 * scale, 10 * scale, 40 * scale, 30 * scale)
    assert not pixels[25 * scale :, 32 * scale :].any()
    assert tuple(pixels[15 * scale, 30 * scale]) == tuple(round(c * 0.25) for c in ORANGE)


def labelled(text):
    """The picture of a box with this label, as bytes."""
    mark = draw.Mark((10, 60, 50, 90), text)
    return draw.overlay(np.zeros((112, 112), np.uint8), [mark], min_side=112).tobytes()


LETTERS = "ÄÖÜäöüßẞÀÉÈÇÑéèêçñåøœłšžčğµ²³½–—„“”’…°±×≤≥§αβΩ"
LETTERS += "".join({c for known in classes.CLASSES for c in known.en + known.de} - set(" "))


def test_every_letter_of_a_label_is_drawn_as_itself():
    unknown = labelled("x\uffffx")  # The font lacks this letter and draws a crossed box.
    letters = sorted(set(LETTERS))
    pictures = [labelled(f"x{c}x") for c in letters]
    assert [c for c, p in zip(letters, pictures, strict=True) if p == unknown] == []
    assert labelled("xx") not in pictures  # No letter is left out.
    assert len(set(pictures)) == len(pictures)


def test_an_umlaut_looks_the_same_however_it_is_encoded_and_is_not_spelled_out():
    composed = "Wirbelsäule, Größe"
    assert labelled(composed) == labelled(unicodedata.normalize("NFD", composed))
    assert labelled(composed) != labelled("Wirbelsaeule, Groesse")


def test_a_letter_that_the_font_lacks_is_seen_to_be_missing():
    assert labelled("Leber 肝") not in (labelled("Leber"), labelled("Leber "))


def test_large_images_keep_their_size():
    assert draw.overlay(np.zeros((600, 500), np.uint8)).size == (500, 600)


def test_labels_of_equal_boxes_do_not_cover_each_other():
    marks = [draw.reference((50, 50, 90, 90), "liver"), draw.prediction((50, 50, 90, 90), "liver")]
    both = np.asarray(draw.overlay(np.zeros((112, 112), np.uint8), marks))
    alone = np.asarray(draw.overlay(np.zeros((112, 112), np.uint8), marks[:1]))
    blue = [(x == BLUE).all(-1).sum() for x in (both, alone)]
    assert blue[0] > 0.6 * blue[1]  # The dashes cover a part of the solid line, not the label.


def test_ct_is_seen_in_three_windows_and_drawn_on_in_that_of_soft_tissue():
    hu = np.linspace(-3000, 3000, 48, dtype=np.float32).reshape(4, 12)
    windows = ops_image.ct_windows(hu)
    seen = draw.seen(windows, "CT")
    assert seen.shape == (3, 4, 12)
    for k in range(3):
        np.testing.assert_allclose(seen[k], (windows[..., k] + 1) * 127.5, atol=0.51)
    np.testing.assert_array_equal(draw.displayable(seen), seen[1])


@pytest.mark.parametrize("modality", ["CT", "MR", "OT"])
def test_a_colour_picture_of_any_modality_is_seen_in_its_colours(modality):
    colours = np.random.default_rng(0).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    colours[0, 0], colours[7, 5] = 0, 255  # Pictures usually have black and white pixels.
    image = colours.astype(np.float32) / 127.5 - 1
    seen = draw.seen(image, modality)
    np.testing.assert_array_equal(seen, colours)
    assert draw.displayable(seen) is seen


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_slice_with_one_grey_in_all_channels_is_one_picture(modality):
    image = np.repeat(np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4, 1), 3, axis=-1)
    seen = draw.seen(image, modality)
    assert seen.shape == (4, 4) and draw.displayable(seen) is seen
    assert (seen.min(), seen.max()) == (0, 255)


def test_window_of_hounsfield_units_is_width_350_level_40():
    shown = draw.window(np.array([[-1000, -135], [40, 215]], np.int16), "CT")
    assert shown.tolist() == [[0, 0], [128, 255]]


def test_data_uri_is_a_png():
    import base64

    uri = draw.data_uri(draw.overlay(np.zeros((8, 8), np.uint8)))
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (448, 448)
