import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from big_rad.grounding import boxes

BOXES = st.tuples(*[st.integers(0, 40)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]) + 1, max(b[1], b[3]) + 1)
)
LABEL_MAPS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4)
)


@given(LABEL_MAPS)
def test_a_box_from_a_label_map_is_the_tightest_that_holds_the_class(segmap):
    found = boxes.from_label_map(segmap)
    assert list(found) == sorted(set(segmap.ravel().tolist()) - {0})
    for class_id, (x1, y1, x2, y2) in found.items():
        inside = segmap[y1:y2, x1:x2] == class_id
        assert inside.sum() == (segmap == class_id).sum()
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_components_of_a_class_share_one_box_with_exclusive_ends():
    segmap = np.zeros((10, 20), np.uint8)
    segmap[1, 2] = segmap[8, 15] = 5
    segmap[4:6, 7:9] = 121
    assert boxes.from_label_map(segmap) == {5: (2, 1, 16, 9), 121: (7, 4, 9, 6)}


def test_a_label_map_must_hold_class_ids():
    with pytest.raises(ValueError, match="integer array"):
        boxes.from_label_map(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="integer array"):
        boxes.from_label_map(np.zeros((4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match="-3"):
        boxes.from_label_map(np.full((2, 2), -3, np.int16))
    assert boxes.from_label_map(np.zeros((0, 5), np.uint8)) == {}


@given(BOXES, BOXES)
def test_iou_equals_counting_pixels(a, b):
    masks = np.zeros((2, 48, 48), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, (a, b), strict=True):
        mask[y1:y2, x1:x2] = True
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert boxes.iou(a, b) == pytest.approx(expected)
    assert boxes.iou(a, b) == boxes.iou(b, a)
    assert boxes.iou(a, a) == 1


def test_pairwise_iou_has_a_row_a_box_and_is_zero_for_boxes_without_area():
    a = [(0, 0, 2, 2), (3, 3, 1, 1)]
    b = [(0, 0, 1, 2), (0, 0, 2, 2), (1, 1, 1, 5)]
    assert boxes.pairwise_iou(a, b).tolist() == [[0.5, 1, 0], [0, 0, 0]]
    assert boxes.pairwise_iou([], b).shape == (0, 3)
    assert boxes.pairwise_iou(a, []).shape == (2, 0)
    assert boxes.iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0


@given(LABEL_MAPS, st.data())
def test_a_box_moves_with_its_image(segmap, data):
    height, width = segmap.shape
    flipped = {"x": segmap[:, ::-1], "y": segmap[::-1]}
    x1 = data.draw(st.integers(0, width - 1))
    y1 = data.draw(st.integers(0, height - 1))
    window = (x1, y1, data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height)))
    cropped = boxes.from_label_map(segmap[y1 : window[3], x1 : window[2]])
    enlarged = boxes.from_label_map(segmap.repeat(3, 0).repeat(2, 1))
    for class_id, box in boxes.from_label_map(segmap).items():
        for axis, image in flipped.items():
            assert boxes.from_label_map(image)[class_id] == boxes.flip(box, width, height, axis)
        assert enlarged[class_id] == boxes.scale(box, 2, 3)
        if class_id in cropped:  # The crop of the box holds the box of the crop.
            outer, inner = boxes.crop(box, window), cropped[class_id]
            assert all(a <= b for a, b in zip(outer[:2], inner[:2], strict=True))
            assert all(a >= b for a, b in zip(outer[2:], inner[2:], strict=True))


def test_normalise_and_to_pixels_are_inverse():
    box = (3, 5, 10, 20)
    assert boxes.to_pixels(boxes.normalise(box, 40, 50), 40, 50) == pytest.approx(box)


def test_a_box_outside_the_image_or_crop_is_gone():
    assert boxes.clip((-5, -5, 3, 3), 10, 10) == (0, 0, 3, 3)
    assert boxes.clip((10, 0, 12, 5), 10, 10) is None
    assert boxes.crop((0, 0, 4, 4), (4, 0, 8, 8)) is None
    assert boxes.crop((2, 2, 6, 6), (4, 1, 8, 8)) == (0, 1, 2, 5)


def test_flip_knows_two_axes():
    with pytest.raises(ValueError, match="'x' or 'y'"):
        boxes.flip((0, 0, 1, 1), 1, 1, "z")
