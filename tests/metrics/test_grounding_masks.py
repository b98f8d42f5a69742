"""Tests of G-IoU with hand-made masks whose overlaps can be counted."""

import math

import numpy as np
import pytest

from big_rad.grounding import codec, masks
from big_rad.metrics import grounding

CODEC = codec.get_codec("radgrounder")


def block(x1, x2):
    mask = np.zeros((4, 10), bool)
    mask[:, x1:x2] = True
    return mask


BLANK = np.zeros((4, 10), bool)


def g_iou(preds, pred_masks, refs, ref_masks, **kw):
    return grounding.g_iou(
        preds, refs, codec=CODEC, pred_masks=pred_masks, ref_masks=ref_masks, **kw
    )


def test_overlap_is_that_of_counted_pixels():
    iou, dice = masks.pairwise_overlap([block(0, 4), BLANK, None], [block(2, 6), block(0, 4)])
    np.testing.assert_allclose(iou, [[2 / 6, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(dice, [[4 / 8, 1], [0, 0], [0, 0]])
    assert masks.pairwise_overlap([], [BLANK])[0].shape == (0, 1)
    assert masks.pairwise_overlap([BLANK], [BLANK])[0].tolist() == [[0]]
    with pytest.raises(ValueError, match="one size"):
        masks.pairwise_overlap([BLANK], [BLANK[:2]])


def test_masks_pair_by_the_class_of_their_phrase_in_the_order_of_the_text():
    pred = "<seg>Milz</seg> and <seg>liver</seg> are normal."
    ref = "The <seg>liver</seg> and the <seg>spleen</seg> are normal."
    found = g_iou([pred], [[block(0, 4), block(2, 6)]], [ref], [[block(0, 4), block(0, 4)]])
    assert found["name"] == "g_iou/paper/class_id"
    assert found["g_iou"] == pytest.approx((2 / 6 + 1) / 2)
    assert found["mean_iou"] == pytest.approx((2 / 6 + 1) / 2)
    assert found["mean_dice"] == pytest.approx((4 / 8 + 1) / 2)
    assert found["precision"] == found["recall"] == 1 and found["precision_iou50"] == 0.5
    assert found["blank_masks"] == 0
    assert found["per_class"] == {
        1: dict(n_pred=1, n_ref=1, matched=1, mean_iou=1, mean_dice=1),
        5: dict(n_pred=1, n_ref=1, matched=1, mean_iou=pytest.approx(1 / 3), mean_dice=0.5),
    }


def test_a_phrase_that_the_lexicon_does_not_know_matches_nothing():
    text = "<seg>gubernaculum</seg>"
    found = g_iou([text], [[block(0, 4)]], [text], [[block(0, 4)]])
    assert found["g_iou"] == 0 and found["precision"] == 0
    assert found["per_class"][0]["n_pred"] == 1 and math.isnan(found["per_class"][0]["mean_iou"])


def test_blank_and_missing_masks_score_nothing_and_are_counted():
    text = "<seg>liver</seg>, <seg>spleen</seg>, <seg>aorta</seg>"
    want = [block(0, 4), block(4, 8), block(8, 9)]
    found = g_iou([text], [[block(0, 4), BLANK]], [text], [want])
    assert found["g_iou"] == pytest.approx(1 / 3)
    assert found["blank_masks"] == pytest.approx(2 / 3)
    assert found["per_sample"][0]["blank"] == 2


def test_a_broken_tag_still_takes_its_place_among_the_masks():
    pred = "liver</seg> and <seg>spleen</seg>"
    found = g_iou([pred], [[block(0, 4), block(4, 8)]], ["<seg>spleen</seg>"], [[block(4, 8)]])
    assert found["g_iou"] == 1 and found["valid_markup"] == 0


def test_samples_without_a_reference_are_hallucinations_or_left_out():
    preds, refs = ["<seg>liver</seg>", "Normal."], ["Normal.", "Normal."]
    found = g_iou(preds, [[block(0, 4)], []], refs, [[], []])
    assert math.isnan(found["g_iou"]) and found["hallucination_rate"] == 0.5
    assert found["n_both_empty"] == 1


def test_another_similarity_weighs_masks_too():
    def half(pred, ref):
        return np.full((len(pred), len(ref)), 0.5)

    texts = ["<seg>gubernaculum</seg>"]
    found = g_iou(texts, [[block(0, 4)]], texts, [[block(0, 4)]], similarity=half)
    assert found["g_iou"] == 0.5


@pytest.mark.parametrize(
    "kw, message",
    [
        (dict(pred_masks=[[BLANK]]), "both sides"),
        (dict(pred_masks=[], ref_masks=[[BLANK]]), "pred_masks are of 0 samples"),
        (dict(pred_masks=[[BLANK]], ref_masks=[[BLANK[:1]]]), "one size"),
    ],
)
def test_masks_that_do_not_fit_are_refused(kw, message):
    texts = ["<seg>liver</seg>"]
    with pytest.raises(ValueError, match=message):
        grounding.g_iou(texts, texts, codec=CODEC, **kw)


def test_a_phrase_without_a_side_has_the_class_that_its_clause_names():
    right = "Rechts im <seg>Unterlappen</seg> ein Herd, links ist der <seg>Unterlappen</seg> frei."
    left = right.replace("Rechts", "Links").replace(", links", ", rechts")
    both = [[block(0, 4), block(6, 9)]]
    same = g_iou([right], both, [right], both)
    assert same["g_iou"] == 1 and set(same["per_class"]) == {11, 14}
    # The masks stay in their places, but the sides in the text are exchanged.
    assert g_iou([left], both, [right], both)["g_iou"] == 0
    bare = "Im <seg>Unterlappen</seg> ein Herd."
    assert set(g_iou([bare], both, [bare], both)["per_class"]) == {0}
