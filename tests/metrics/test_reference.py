"""Tests of the released scripts' G-IoU, by hand.

L is the box of the liver and S the box of the spleen. They are far apart.
"""

import numpy as np
import pytest

from big_rad.grounding.markup import Entity
from big_rad.metrics.grounding import g_iou

L, S, HALF_L = (0.0, 0.0, 0.4, 0.4), (0.6, 0.6, 1.0, 1.0), (0.0, 0.0, 0.2, 0.4)
LIVER, SPLEEN = ("liver", 5), ("spleen", 1)


def boxed(*pairs):
    return [Entity(name, i, box, None, (0, 1)) for (name, i), box in pairs]


def masked(*names):
    return [Entity(n, 0, None, k, (0, 1)) for k, (n, _) in enumerate(names)]


def det(pred, ref, similarity="class_id"):
    return g_iou([pred], [ref], mode="reference_det", similarity=similarity)["g_iou"]


def seg(pred, ref, pred_masks, ref_masks, similarity="lexicon"):
    masks = dict(pred_masks=[pred_masks], ref_masks=[ref_masks])
    return g_iou([pred], [ref], mode="reference_seg", similarity=similarity, **masks)["g_iou"]


def test_reference_det_reads_the_box_of_a_phrase_that_was_struck_off():
    # All entities are right, but their order differs. The livers are paired first, and the script
    # removes their phrases from the lists, but not their boxes. The spleens are then scored with
    # the first box of each list: the predicted box of the spleen and the reference box of the
    # liver, which do not overlap.
    pred, ref = boxed((SPLEEN, S), (LIVER, L)), boxed((LIVER, L), (SPLEEN, S))
    assert det(pred, ref) == 0.5
    assert g_iou([pred], [ref])["g_iou"] == 1
    assert det(ref, ref) == 1  # In the same order, the boxes of the liver are scored twice.


def test_reference_det_can_credit_a_wrong_box():
    # The predicted box of the spleen is wrong, but the boxes of the liver are scored in its place.
    pred, ref = boxed((LIVER, L), (SPLEEN, L)), boxed((LIVER, L), (SPLEEN, S))
    assert det(pred, ref) == 1
    assert g_iou([pred], [ref])["g_iou"] == 0.5


def test_reference_det_takes_negative_similarities_and_divides_by_the_longer_side():
    def opposite(a, b):
        return np.full((len(a), len(b)), -0.5)

    assert det(boxed((LIVER, HALF_L)), boxed((LIVER, L)), opposite) == pytest.approx(-0.25)
    assert g_iou([boxed((LIVER, L))], [boxed((LIVER, L))], similarity=opposite)["g_iou"] == 0
    assert det(boxed((LIVER, L)), boxed((LIVER, L), (SPLEEN, S))) == 0.5
    assert det(boxed((LIVER, L), (SPLEEN, S)), boxed((LIVER, L))) == 0.5


def test_reference_det_null_cases():
    both, only_pred, only_ref = ([], []), (boxed((LIVER, L)), []), ([], boxed((LIVER, L)))
    preds, refs = zip(both, only_pred, only_ref, (only_ref[1], only_ref[1]), strict=True)
    found = g_iou(preds, refs, mode="reference_det")
    assert found["g_iou"] == 0.5 and found["n_scored"] == 2
    assert found["name"] == "g_iou/reference_det/class_id"
    assert found["hallucination_rate"] == 0.5  # As in every mode.


def masks(*columns):
    # Masks [1, 8] with ones in the given columns.
    return [np.isin(np.arange(8), c)[None] for c in columns]


def test_reference_seg_divides_by_pairs_so_that_phrases_left_alone_cost_nothing():
    liver, spleen = [0, 1], [6, 7]
    args = (masked(LIVER), masked(LIVER, SPLEEN), masks(liver), masks(liver, spleen))
    assert seg(*args) == 1
    paper = g_iou([args[0]], [args[1]], pred_masks=[args[2]], ref_masks=[args[3]])
    assert paper["g_iou"] == 0.5


def test_reference_seg_is_one_to_one_and_greedy_by_similarity_alone():
    def alike(pred, ref):
        # The similarities are a-x 0.9, a-y 0.8, b-x 0.8, b-y 0. The greedy choice takes a-x first,
        # and then only b-y is left.
        return np.array([[0.9, 0.8], [0.8, 0.0]])

    x, y = [0, 1], [6, 7]
    args = (masked(LIVER, SPLEEN), masked(LIVER, SPLEEN), masks(y, x), masks(x, y))
    assert seg(*args, similarity=alike) == 0  # a-x has no overlap, b-y similarity 0.
    best = g_iou([args[0]], [args[1]], similarity=alike, pred_masks=[args[2]], ref_masks=[args[3]])
    assert best["g_iou"] == pytest.approx(0.8)


def test_reference_seg_cuts_logits_at_a_half_and_takes_two_blank_masks_for_the_same():
    logits = [np.array([[0.4, 0.6, 3.0, -1.0]])]
    ref = [np.array([[True, True, True, False]])]
    assert seg(masked(LIVER), masked(LIVER), logits, ref) == pytest.approx(2 / 3)
    blank = [np.zeros((1, 4), bool)]
    assert seg(masked(LIVER), masked(LIVER), blank, blank) == 1
    assert seg(masked(LIVER), masked(LIVER), [], ref) == 0  # A missing mask is blank.


def test_reference_seg_null_cases():
    one = masks([0])
    assert seg([], [], [], []) == 1
    assert seg(masked(LIVER), [], one, []) == 0 == seg([], masked(LIVER), [], one)
    found = g_iou(
        [[], masked(LIVER)],
        [[], []],
        mode="reference_seg",
        pred_masks=[[], one],
        ref_masks=[[], []],
    )
    assert found["g_iou"] == 0.5 and found["n_scored"] == 2
