"""Tests what an evaluation says about the confidence in its records."""

import numpy as np
import pytest

from big_rad.evaluators import confidence, confidence_text
from tests.helpers import sure_records as made


def report(records, **bootstrap):
    people = [r["subject"] for r in records]
    return confidence.report(records, people, made.BOOTSTRAP | bootstrap)


def only(records, **bootstrap):
    (group,) = report(records, **bootstrap)["groups"]
    return group


def value(group, name):
    return group["figures"][name]["value"]


def test_an_honest_model_is_found_honest():
    group = only(made.answers(2000))
    assert abs(value(group, "ece_debiased")) < 0.015
    assert value(group, "slope") == pytest.approx(1, abs=0.15)
    slope, gain = group["figures"]["slope"], group["figures"]["brier_gain"]
    assert slope["low"] < 1 < slope["high"] and gain["low"] > 0
    assert value(group, "brier_gain") == pytest.approx(
        value(group, "brier_base") - value(group, "brier")
    )
    said = confidence_text.verdict(group)
    assert "worth more than the base rate" in said and "too extreme" not in said


def test_an_overconfident_model_is_found_too_extreme():
    records = made.answers(1500, calibrated=False)
    for r in records:
        p = r["confidence"]["score"]
        r["confidence"]["score"] = p**3 / (p**3 + (1 - p) ** 3)  # Three times the logit.
    group = only(records)
    assert value(group, "slope") == pytest.approx(1 / 3, abs=0.1)
    assert value(group, "ece_debiased") > 0.05
    assert "too extreme" in confidence_text.verdict(group)


def test_a_perfect_ranking_has_the_auroc_one_and_no_slope():
    group = only(made.boxes(np.linspace(0.3, 0.9, 40), [0.1] * 20 + [0.9] * 20))
    assert value(group, "auroc") == 1
    same = only(made.boxes(np.linspace(0.3, 0.9, 40), [0.0] * 20 + [1.0] * 20))
    assert value(same, "auroc") == 1 and "slope" not in same["figures"]
    assert value(same, "aurc") < value(same, "brier_base")


def test_every_interval_holds_its_figure():
    group = only(made.answers(150))
    for name, x in group["figures"].items():
        assert x["low"] <= x["value"] <= x["high"], name
    assert group["resamples"] == 200


def test_an_entity_without_a_match_has_the_outcome_zero_and_its_record_gives_the_token():
    records = [
        made.record(i, entities=[(made.sure("box", 0.9, 0.8), 0.75), (made.sure("box", 0.2), None)],
                    answer=made.sure("text", 0.5, token=0.25))
        for i in range(2)
    ]  # fmt: skip
    first, second, *_ = confidence.items(records)
    assert (first.calibrated, first.value, first.outcome, first.token) == (True, 0.8, 0.75, 0.25)
    assert (second.calibrated, second.value, second.outcome) == (False, 0.2, 0)
    # The confidence of the whole report is no item, since no accuracy is scored.
    assert [x.kind for x in confidence.items(records)] == ["box"] * 4


def test_what_has_no_place_no_number_or_another_kind_is_no_item():
    blank = made.record(0, entities=[(made.sure("mask", 0.5), None)])
    blank["boxes"]["prediction"][0]["box"] = None
    words = made.record(1, entities=[(made.sure("text", 0.5), 1.0), (None, 1.0)])
    nan = made.record(2, accuracy=1.0, answer=made.sure("yes_no", 0.25, float("nan")))
    new = made.record(3, accuracy=1.0, answer=made.sure("side", 0.75))
    (first, second) = confidence.items([blank, words, nan, new])
    assert (first.value, first.calibrated, second.kind) == (0.25, False, "side")
    assert [g["kind"] for g in report([nan, new])["groups"]] == ["yes_no", "side"]


def test_ranking_by_place_is_compared_with_ranking_by_token_probability():
    rng = np.random.default_rng(0)
    values = rng.random(120)
    records = made.boxes(values, values)
    for r in records:
        r["confidence"]["features"]["mean_token"] = float(rng.random())
    group = only(records)
    gain = group["figures"]["auroc_gain"]
    assert gain["value"] == pytest.approx(1 - value(group, "auroc_token"))
    assert gain["low"] > 0.2 and "better than token" in confidence_text.verdict(group)


def test_the_limit_and_what_it_keeps_of_blank_images_by_hand():
    # Of the five right boxes, four have at least 0.5; with the wrong one of 0.7 it keeps five.
    values, outcomes = [0.9, 0.8, 0.6, 0.5, 0.3, 0.7, 0.2], [1, 0.9, 0.5, 0.7, 0.6, 0.4, None]
    real = made.boxes(values, outcomes)
    blank = made.boxes([0.55, 0.5, 0.49, 0.1, 0.0], [None] * 5)
    evals = made.summary({"report": real, "report_blank": blank})["evals"]
    (group,) = evals["report"]["confidence"]["groups"]
    limit = group["limit"]
    assert limit["min_score"] == 0.5
    assert limit["precision"] == pytest.approx(4 / 5) and limit["coverage"] == pytest.approx(5 / 7)
    assert limit["blank"] == {"n": 5, "kept": 2, "share": 0.4}
    assert "keeps 40 %" in confidence_text.limit(group)
    # Without the control its figures do not stay.
    alone = confidence.with_blanks({"report": evals["report"]}, lambda name: [])
    assert "blank" not in alone["report"]["confidence"]["groups"][0]["limit"]


@pytest.mark.parametrize("other", [{"sha256": "1" * 64}, {"asked": {"control": "blank"}}])
def test_blank_images_count_for_the_same_questions_only(other):
    real = made.boxes([0.9] * 7, [1.0] * 7)
    blank = made.boxes([0.95] * 7, [None] * 7)
    evals = {
        "report": made.entry(real, kind="grounded"),
        "report_blank": made.entry(blank, "blank", "grounded", **other),
    }
    found = confidence.with_blanks(evals, lambda name: blank)
    assert "blank" not in found["report"]["confidence"]["groups"][0]["limit"]


def test_calibrated_and_uncalibrated_ones_are_never_mixed():
    records = made.answers(40) + made.answers(30, calibrated=False, seed=1)
    groups = report(records)["groups"]
    assert [(g["kind"], g["calibrated"], g["n"]) for g in groups] == [
        ("yes_no", True, 40), ("yes_no", False, 30)
    ]  # fmt: skip
    assert [confidence_text.name(g).rpartition(", ")[2] for g in groups] == [
        "calibrated", "uncalibrated"
    ]  # fmt: skip


def test_kinds_and_languages_have_groups_of_their_own():
    records = made.answers(60, langs=("de", "en")) + made.answers(30, kind="text", seed=1)
    names = [(g["kind"], g["lang"], g["n"]) for g in report(records)["groups"]]
    assert names == [
        ("yes_no", "", 60), ("yes_no", "en", 30), ("yes_no", "de", 30), ("text", "", 30)
    ]  # fmt: skip


def test_records_without_any_confidence_have_no_report_and_missing_ones_are_counted():
    plain = [made.record(i, accuracy=1.0) for i in range(8)]
    assert report(plain) is None and "confidence" not in made.entry(plain)
    assert report([{"id": "1", "scores": {"loss": 2.0}, "subject": 0, "image": "1"}]) is None
    some = made.answers(20) + plain
    assert report(some)["without"] == {"answers": 8}
    entry = made.entry(some)
    assert confidence_text.without(entry) == "8 answers have no confidence and are left out."
    nothing = [made.record(0, accuracy=1.0, answer=made.sure("text", None))]
    assert report(nothing) is None


@pytest.mark.parametrize("by, wider", [("patient", True), ("sample", False)])
def test_the_unit_of_resampling_is_that_of_the_evaluation(by, wider):
    # The four answers of a patient are alike: all are right or all wrong, and equally sure.
    records = made.answers(100, patients=25)
    for r in records:
        r["confidence"] = records[r["subject"]]["confidence"]
        r["scores"]["accuracy"] = float(r["subject"] % 2)
    found = only(records, by=by)
    assert found["clusters"] == (25 if wider else 100) and found["subjects"] == 25
    x = found["figures"]["auroc"]
    one = only(records, by="sample")["figures"]["auroc"]
    assert x["value"] == one["value"]
    ratio = (x["high"] - x["low"]) / (one["high"] - one["low"])
    assert (ratio > 1.4) if wider else ratio == 1


def test_a_curve_has_at_most_a_hundred_points_and_ends_with_everything():
    group = only(made.answers(700))
    assert len(group["curve"]) == 100 and group["curve"][-1][0] == 1
    assert group["curve"][-1][1] == pytest.approx(1 - group["right"], abs=1e-4)
    assert sum(b["count"] for b in group["bins"]) == 700 and len(group["bins"]) == 15


def test_the_tables_say_what_is_not_calibrated_and_which_control_has_no_verdict():
    records = {"vqa": made.answers(40, calibrated=False), "vqa_blank": made.answers(40, seed=1)}
    text = confidence_text.markdown(made.summary(records))
    real, blank = [line for line in text.splitlines() if line.startswith("| vqa")]
    assert "| yes/no answers, uncalibrated | 40 | 40 patients |" in real
    assert blank.endswith("| a control |") and "it is" not in blank
    assert confidence_text.markdown(made.summary({"vqa": [made.record(0, accuracy=1.0)]})) == ""


def test_every_figure_has_a_heading_and_an_explanation_in_the_same_order():
    assert tuple(confidence_text.FIGURES) == confidence.FIGURES
