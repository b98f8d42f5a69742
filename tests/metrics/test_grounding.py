import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import boxes
from big_rad.grounding import codec as codec_lib
from big_rad.grounding.markup import Entity, Mention, parse, render
from big_rad.metrics.grounding import g_iou

CODEC = codec_lib.get_codec("radgrounder")


def entity(class_id, box, phrase="x"):
    return Entity(phrase, class_id, box, None, (0, 1))


intervals = st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True).map(sorted)
box_strategy = st.tuples(intervals, intervals).map(
    lambda xy: (xy[0][0] / 8, xy[1][0] / 8, xy[0][1] / 8, xy[1][1] / 8)
)
entities = st.builds(
    entity, st.integers(1, 5), box_strategy, st.sampled_from(["Leber", "liver", "Niere"])
)
samples = st.lists(entities, max_size=5)
nonempty = st.lists(entities, min_size=1, max_size=5)

A = (0.0, 0.0, 0.5, 0.5)
HALF_A = (0.0, 0.0, 0.25, 0.5)
FAR = (0.75, 0.75, 1.0, 1.0)


def score(pred, ref, **kwargs):
    return g_iou([pred], [ref], **kwargs)["g_iou"]


def same_phrase(a, b):
    return np.array([[float(x == y) for y in b] for x in a])


SIMILARITIES = ["class_id", same_phrase]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(nonempty)
def test_a_text_has_g_iou_1_with_itself(similarity, sample):
    result = g_iou([sample], [sample], similarity=similarity)
    assert result["g_iou"] == pytest.approx(1)
    for key in ("precision", "recall", "f1", "f1_iou50", "mean_iou"):
        assert result[key] == pytest.approx(1)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(samples, nonempty, st.randoms())
def test_the_order_of_entities_does_not_matter(similarity, pred, ref, random):
    before = g_iou([pred], [ref], similarity=similarity)
    random.shuffle(pred)
    random.shuffle(ref)
    after = g_iou([pred], [ref], similarity=similarity)
    for key in ("g_iou", "precision", "recall", "f1"):
        assert after[key] == pytest.approx(before[key], abs=1e-5, nan_ok=True)


@given(st.lists(st.tuples(samples, samples), min_size=1, max_size=5), st.randoms())
def test_the_order_of_samples_does_not_matter(pairs, random):
    before = g_iou(*zip(*pairs, strict=True))
    random.shuffle(pairs)
    after = g_iou(*zip(*pairs, strict=True))
    for result in (before, after):
        result.pop("per_sample")
    classes = before.pop("per_class"), after.pop("per_class")
    assert after == pytest.approx(before, nan_ok=True)
    assert list(classes[0]) == list(classes[1])
    for class_id, row in classes[0].items():
        assert classes[1][class_id] == pytest.approx(row, nan_ok=True)


@given(nonempty, nonempty)
def test_a_hallucinated_entity_lowers_the_score_once_there_are_enough(pred, ref):
    pred = pred + ref  # There are at least as many entities as needed, and some are right.
    before = score(pred, ref)
    assert before > 0
    assert score([*pred, entity(99, FAR)], ref) < before


@given(
    st.lists(entities, min_size=1, max_size=5, unique_by=lambda e: e.class_id),
    st.integers(0, 4),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_score_falls_as_a_box_shrinks_away(ref, k, corner):
    k %= len(ref)
    x1, y1, x2, y2 = ref[k].box
    scores = []
    for share in (1, 0.8, 0.4, 0.1):  # Both sides of the box shrink towards a point inside it.
        x, y = x1 + corner[0] * (x2 - x1) * (1 - share), y1 + corner[1] * (y2 - y1) * (1 - share)
        box = (x, y, x + share * (x2 - x1), y + share * (y2 - y1))
        scores.append(score([*ref[:k], entity(ref[k].class_id, box), *ref[k + 1 :]], ref))
    assert scores[0] == pytest.approx(1)
    assert all(a - b > 0.01 for a, b in zip(scores, scores[1:]))
    assert scores[-1] == pytest.approx((len(ref) - 1 + 0.01) / len(ref))


@given(samples, nonempty)
def test_g_iou_never_exceeds_precision_nor_recall_of_the_sample(pred, ref):
    sample = g_iou([pred], [ref])["per_sample"][0]
    assert 0 <= sample["g_iou"] <= sample["recall"] + 1e-9
    if pred:
        assert sample["g_iou"] <= sample["precision"] + 1e-9


@given(samples, nonempty)
def test_the_score_is_the_best_of_all_matchings(pred, ref):
    """Compares with a search of all matchings within classes for most pairs, then most IoU."""

    def best(i, used):
        if i == len(pred):
            return (0, 0.0)
        options = [best(i + 1, used)]
        for j, r in enumerate(ref):
            if j not in used and r.class_id == pred[i].class_id:
                n, overlap = best(i + 1, used | {j})
                options.append((n + 1, overlap + boxes.iou(pred[i].box, r.box)))
        return max(options)

    n, overlap = best(0, frozenset())
    result = g_iou([pred], [ref])
    assert result["g_iou"] == pytest.approx(overlap / max(len(pred), len(ref)), abs=1e-9)
    assert result["recall"] == n / len(ref)


# By hand: sum of IoU x similarity over pairs / max(n_pred, n_ref).
@pytest.mark.parametrize(
    "pred, ref, expected",
    [
        ([entity(5, HALF_A)], [entity(5, A)], 0.5),
        ([entity(5, A)], [entity(6, A)], 0.0),
        ([entity(5, A), entity(1, A)], [entity(5, A)], 0.5),
        ([entity(5, A)], [entity(5, A), entity(1, FAR), entity(2, FAR)], 1 / 3),
        ([entity(5, HALF_A), entity(5, A)], [entity(5, A)], 0.5),
        ([entity(5, FAR), entity(5, A)], [entity(5, A), entity(5, FAR)], 1.0),
        ([entity(5, None)], [entity(5, A)], 0.0),
        ([entity(0, A)], [entity(0, A)], 0.0),
        ([], [entity(5, A)], 0.0),
    ],
)
def test_goldens(pred, ref, expected):
    assert score(pred, ref) == pytest.approx(expected)


def test_null_cases():
    one = [entity(5, A)]
    result = g_iou([one, [], one, [], []], [one, one, [], [], []])
    assert result["g_iou"] == 0.5
    assert (result["n"], result["n_scored"], result["n_both_empty"]) == (5, 2, 2)
    assert result["hallucination_rate"] == pytest.approx(1 / 3)
    assert [s["g_iou"] for s in result["per_sample"]] == [1, 0, None, None, None]
    assert [s["hallucination"] for s in result["per_sample"]] == [False, False, True, False, False]
    assert (result["precision"], result["recall"], result["f1"]) == (0.5, 0.5, 0.5)


def test_what_is_undefined_is_nan():
    for result in (g_iou([], []), g_iou([[]], [[]])):
        for key in ("g_iou", "precision", "recall", "f1", "f1_iou50", "mean_iou"):
            assert math.isnan(result[key])
    assert math.isnan(g_iou([[]], [[entity(5, A)]])["hallucination_rate"])


def test_precision_recall_and_f1_at_iou_50_count_well_placed_pairs_only():
    pred = [entity(5, HALF_A), entity(1, FAR), entity(2, A)]
    ref = [entity(5, A), entity(1, A)]
    result = g_iou([pred], [ref])
    assert result["precision"] == pytest.approx(2 / 3)
    assert result["recall"] == 1
    assert result["f1"] == pytest.approx(0.8)
    assert result["precision_iou50"] == pytest.approx(1 / 3)
    assert result["recall_iou50"] == 0.5
    assert result["f1_iou50"] == pytest.approx(0.4)
    assert result["mean_iou"] == 0.25


def test_texts_are_read_with_the_codec_and_malformed_markup_is_counted():
    ref = render("Leber und Milz", [Mention("Leber", 5, A), Mention("Milz", 1, FAR)], codec=CODEC)
    broken = ref.removesuffix("</p>")
    result = g_iou([ref, broken, parse(ref, CODEC)], [ref, ref, ref], codec=CODEC)
    assert [s["g_iou"] for s in result["per_sample"]] == [1, 0.5, 1]
    assert [s["valid"] for s in result["per_sample"]] == [True, False, True]
    assert result["valid_markup"] == pytest.approx(2 / 3)
    assert result["invalid_refs"] == 0
    assert g_iou([ref], [broken], codec=CODEC)["invalid_refs"] == 1
    with pytest.raises(ValueError, match="codec"):
        g_iou([ref], [ref])


def test_a_similarity_function_weighs_the_overlap_and_chooses_the_pairs():
    def graded(pred, ref):
        return np.array([[{"liver": 0.8, "Leber": 1.0}.get(p, -0.5) for _ in ref] for p in pred])

    ref = [entity(5, A, "Leber")]
    assert score([entity(9, A, "liver")], ref, similarity=graded) == pytest.approx(0.8)
    assert score([entity(9, HALF_A, "liver")], ref, similarity=graded) == pytest.approx(0.4)
    # The more similar phrase is paired, however bad its box.
    both = [entity(9, A, "liver"), entity(9, FAR, "Leber")]
    assert score(both, ref, similarity=graded) == 0
    # Phrases with a negative similarity are not paired, and score 0.
    unlike = g_iou([[entity(9, A, "Milz")]], [ref], similarity=graded)
    assert unlike["g_iou"] == 0 and unlike["per_sample"][0]["pairs"] == []
    assert unlike["name"] == "g_iou/paper/graded"


@pytest.mark.parametrize(
    "matrix, message", [(np.ones((2, 1)), "shape"), (np.full((1, 1), np.nan), "finite")]
)
def test_a_broken_similarity_is_an_error_that_names_it(matrix, message):
    def broken(pred, ref):
        return matrix

    with pytest.raises(ValueError, match=f"broken.*{message}"):
        score([entity(5, A)], [entity(5, A)], similarity=broken)


def test_unknown_modes_and_similarities_list_what_there_is():
    with pytest.raises(ValueError, match="no mode 'fast'; there are paper, reference_det"):
        g_iou([], [], mode="fast")
    with pytest.raises(ValueError, match="no similarity 'sound'; there are class_id, lexicon"):
        g_iou([], [], similarity="sound")
    with pytest.raises(ValueError, match="'reference_seg' is for masks"):
        g_iou([], [], mode="reference_seg")
    with pytest.raises(ValueError, match="'reference_det' is for boxes"):
        g_iou([], [], mode="reference_det", pred_masks=[], ref_masks=[])
    with pytest.raises(ValueError, match="1 predictions for 0"):
        g_iou([[]], [])


def test_the_name_of_a_number_holds_mode_and_back_end():
    assert g_iou([], [])["name"] == "g_iou/paper/class_id"
