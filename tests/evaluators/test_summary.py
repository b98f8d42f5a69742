"""Tests that intervals are by image, whatever the ids of the questions are."""

import numpy as np
import pytest

from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import summary as summaries


def record(image, question, score=0.0, new=True):
    own = {"image": image} if new else {}
    return own | {"id": f"{image}#{question}", "scores": {"f1": score}}


@pytest.mark.parametrize("new", [True, False])
def test_questions_of_an_image_are_one_unit(new):
    records = [record(f"i{k}", q, k / 2, new) for k in range(2) for q in range(3)]
    units = {}
    for by in ("image", "sample"):
        of = summaries.clusters(records, by, ())
        units[by] = summaries.intervals(records, of, resamples=50)[""]["f1"]["clusters"]
    assert units == {"image": 2, "sample": 6}


def test_the_image_s_own_id_may_hold_any_character():
    assert sample_files.image_of({"id": "case#2#0", "image": "case#2"}) == "case#2"
    assert sample_files.image_of({"id": "case#2#0"}) == "case#2"
    assert sample_files.image_of({"id": "case#b"}) == "case#b"


def test_intervals_by_question_are_too_narrow_where_answers_of_an_image_are_alike():
    # 96 images with 11 questions each. An answer is right if a normal variable is below 0.84, which
    # holds for four of five. Within an image the variables have a correlation of 0.2.
    ratios, rng = [], np.random.default_rng(0)
    for seed in range(6):
        shared, own = rng.normal(size=(96, 1)), rng.normal(size=(96, 11))
        right = np.sqrt(0.2) * shared + np.sqrt(0.8) * own < 0.84
        records = [record(f"i{k}", q, float(right[k, q])) for k in range(96) for q in range(11)]
        widths = []
        for by in ("image", "sample"):
            of = summaries.clusters(records, by, ())
            x = summaries.intervals(records, of, resamples=500, seed=seed)[""]["f1"]
            widths.append(x["high"] - x["low"])
        ratios.append(widths[0] / widths[1])
    assert 1.3 < np.mean(ratios) < 1.55


def test_classes_have_intervals_where_the_evaluator_points_whatever_its_scores_are():
    entities = [{"class_name": "liver", "iou": 0.5}, {"class_name": "liver"}, {"class_name": ""}]
    records = [record("i", q) | {"boxes": {"reference": entities}} for q in range(2)]
    for points, has in ((True, True), (False, False), (None, False)):
        found = summaries.intervals(records, None, resamples=20, points=points)
        assert ("class=liver" in found) == has
    assert (
        summaries.intervals(records, None, 20, points=True)["class=liver"]["entity_iou"]["n"] == 4
    )
    assert summaries.intervals([], None) == {"": {}}


@pytest.mark.parametrize(
    "by, unnamed, noun, words",
    [
        ("image", 2, "image", "2 images"),
        ("sample", 0, "sample", "2 samples"),
        ("patient", 0, "patient", "2 patients"),
        ("patient", 2, "image", "2 images"),  # The dataset names no patient at all.
        ("patient", 1, "patient or image", "2 patients or images"),
    ],
)
def test_every_interval_names_what_it_is_over(by, unnamed, noun, words):
    x = {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 4, "clusters": 2}
    entry = {
        "dataset": "slake", "split": "test", "n": 4, "sha256": "0" * 64, "control": "none",
        "intervals": {"": {"f1": x}, "lang=de": {"f1": x | {"clusters": 1}}},
        "unnamed": unnamed, "subjects": 2,
    }  # fmt: skip
    summary = {"checkpoint": "c", "by": by, "resamples": 9, "seed": 0, "evals": {"slake": entry}}
    cells = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in summaries.markdown(summary).splitlines()
        if line.startswith("| slake")
    ]
    assert cells[0][-1] == noun and cells[1][-1] == words
    assert cells[2][-1] == f"1 {noun}"


def test_images_that_name_no_patient_are_said():
    entry = {
        "dataset": "slake", "split": "test", "n": 2, "sha256": "0" * 64, "control": "none",
        "intervals": {"": {}}, "unnamed": 2,
    }  # fmt: skip
    summary = {"checkpoint": "c", "by": "image", "resamples": 9, "seed": 0}
    text = summaries.markdown(summary | {"evals": {"slake": entry}})
    assert "slake: 2 images name no patient; each counts as a patient of its own" in text
    assert "patient" not in summaries.markdown(summary | {"evals": {"x": entry | {"unnamed": 0}}})
