import math

import pytest

from big_rad.evaluators import headlines

DATA = dict(builder="phantom", split="validation", pp="load", every=15)
EVALS = {
    "val": dict(DATA, type="grounded", control="none"),
    "val_blank": dict(DATA, type="grounded", control="blank"),
    "vqa": dict(DATA, type="vqa", every=0),
}
METRICS = {
    "val/g_iou": 0.0734,
    "val/report_f1": 0.5,
    "val/n": 20,
    "val/n_ref_liver": 3,
    "val_blank/g_iou": 0.01,
    "val_blank/report_f1": 0.2,
    "vqa/f1": 0.25,
    "vqa/accuracy": 0.5,
    "vqa/f1_de": 0.5,
}
BEFORE = [{"step": 15, "val/g_iou": 0.05}, {"step": 30, "val/g_iou": None}, {"step": 30, "x": 1}]


def lines(metrics=METRICS, before=BEFORE, **kw):
    return list(headlines.lines(45, metrics, EVALS, before, **kw))


def test_a_line_for_each_question_says_the_main_score_the_controls_and_whether_it_is_the_best():
    assert lines() == [
        "eval step 45: val g_iou 0.073 (blank 0.010), best so far",
        "eval step 45: vqa f1 0.250",
    ]
    assert lines(before=[]) == lines()
    better = [*BEFORE, {"step": 40, "val/g_iou": 0.2}, {"step": 45, "val/g_iou": 0.9}]
    assert lines(before=better)[0].endswith(", best 0.200 at step 40")


def test_step_0_has_no_checkpoint_so_it_is_never_the_best_and_a_better_value_there_is_said():
    first = {"step": 0, "val/g_iou": 0.3}
    (line, _) = lines(before=[first])
    assert line.endswith("(blank 0.010), best so far, 0.300 before training")
    (line, _) = lines(before=[first, {"step": 15, "val/g_iou": 0.2}])
    assert line.endswith("best 0.200 at step 15, 0.300 before training")
    (line, _) = lines(before=[first | {"val/g_iou": 0.01}])
    assert line.endswith("(blank 0.010), best so far")
    lowest = dict(chosen="val/report_f1", lowest=True)
    (line, _) = lines(before=[{"step": 0, "val/report_f1": 0.4}], **lowest)
    assert line.endswith("best so far, 0.400 before training")
    (line, _) = headlines.lines(0, METRICS, EVALS)
    assert line == "eval step 0: val g_iou 0.073 (blank 0.010)"


def test_what_chooses_checkpoints_is_shown_in_its_place_and_may_be_best_when_lowest():
    before = [{"step": 15, "val/report_f1": 0.6}]
    (first, _) = lines(before=before, chosen="val/report_f1", lowest=True)
    assert first == "eval step 45: val report_f1 0.500 (blank 0.200), best so far"
    assert "best 0.600 at step 15" in lines(before=before, chosen="val/report_f1")[0]


def test_a_score_without_a_value_gives_way_to_the_next_and_alone_is_nan():
    unboxed = METRICS | {"val/g_iou": math.nan}
    assert lines(unboxed)[0] == "eval step 45: val report_f1 0.500 (blank 0.200), best so far"
    assert lines({"val/g_iou": math.nan}) == ["eval step 45: val g_iou nan"]
    assert lines({}) == []


def test_without_a_summary_the_main_scores_are_one():
    assert headlines.default_summary(EVALS, METRICS) == {
        "val/g_iou": 0.0734, "val/report_f1": 0.5, "val_blank/g_iou": 0.01,
        "vqa/f1": 0.25, "vqa/accuracy": 0.5,
    }  # fmt: skip
    assert headlines.default_summary(EVALS, {"vqa/f1": 1.0}) == {"vqa/f1": 1.0}


def test_tensorboard_shows_headlines_and_of_controls_the_main_score_beside_the_real_one():
    tag = headlines.board_tag(EVALS)
    shown = {name: tag(name) for name in METRICS}
    assert shown == {
        "val/g_iou": "val/g_iou", "val/report_f1": "val/report_f1", "val/n": "",
        "val/n_ref_liver": "", "val_blank/g_iou": "val/g_iou_blank", "val_blank/report_f1": "",
        "vqa/f1": "vqa/f1", "vqa/accuracy": "vqa/accuracy", "vqa/f1_de": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, said",
    [
        ("val/g_iou", ""), ("val/laterality_box", ""), ("val/mean_iou_liver", ""),
        ("val/report_f1_de", ""), ("val/n_ref_spleen", ""), ("val/unfinished", ""),
        ("vqa/accuracy_yes_no", ""), ("vqa/f1_CT", ""), ("vqa/n_closed", ""),
        ("val/report_cider", "has no score"),  # It is yielded only with `captions`.
        ("val/f1_opn", "has no score"), ("vqa/g_iou", "has no score"),
        ("vqa/accuracy_yesno", "did you mean 'accuracy_yes_no'"),
        ("vqaa/f1", "did you mean 'vqa'"), ("vqa", "EVALUATOR/METRIC"), ("vqa/", "EVALUATOR"),
    ],
)  # fmt: skip
def test_a_score_that_no_evaluation_yields_and_one_that_may_come_are_distinguished(name, said):
    wrong = headlines.unknown_score(name, EVALS)
    assert said in wrong and bool(wrong) == bool(said)
