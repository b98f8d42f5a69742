"""Which entries of an earlier summary still hold, in folders written without a model."""

import dataclasses
import json

import pytest

from big_rad import metrics
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import grading, results
from big_rad.evaluators import samples as sample_files
from tests.helpers import sure_records

MARK = "checkpoint"
BOOTSTRAP = dict(by="image", resamples=50, seed=0)


class Source:
    def __init__(self, word="yes"):
        self.word = word

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return {"id": f"i{i}", "patient": f"p{i // 2}", "texts": [{"suffix": self.word}]}


def asked(control="none", word="yes", mark=MARK, **more):
    spec = dict(type="vqa", builder="own", split="test", pp="", control=control, every=3) | more
    data = eval_data.EvalData(Source(word), lambda x: x)
    return results.question_set(control, spec, data, mark, lambda line: None), data


def record(i):
    return {"index": i, "id": f"i{i}", "image": f"i{i}", "subject": i // 2, "scores": {"f1": i / 3},
            "boxes": {"reference": [], "prediction": []}}  # fmt: skip


def entry(out, name, what, data):
    """Writes the files of an evaluator; returns its entry in the summary."""
    records = [record(i) for i in range(4)]
    sample_files.write(out / "samples", name, records, {})
    (out / "results").mkdir(exist_ok=True)
    results.path_of(out, name).write_text(json.dumps({"key": what.key, "metrics": {}}))
    result, grades = {"metrics": {}, "seconds": 1.0}, grading.Grades({}, None)
    return results.entry_of(what, data, records, result, grades, BOOTSTRAP | {"seed": 1})


@pytest.fixture
def summary(tmp_path):
    """A summary with an evaluator, its control with blank images, and another evaluator."""
    evals = {
        "vqa": entry(tmp_path, "vqa", *asked()),
        "vqa_blank": entry(tmp_path, "vqa_blank", *asked("blank")),
        "other": entry(tmp_path, "other", *asked(split="train")),
    }
    return {"fingerprint": MARK, "evals": evals}


def holds(summary, out, **now):
    return results.still_hold(summary, out, MARK, {n: x[0] for n, x in now.items()})


def test_what_has_not_changed_stays_and_fields_that_change_no_score_do_not_count(summary, tmp_path):
    kept, dropped = holds(summary, tmp_path, vqa=asked(every=7, sha256="0"))
    assert kept == summary["evals"] and not dropped
    assert holds(summary, tmp_path)[0] == summary["evals"]


@pytest.mark.parametrize(
    "now", [dict(limit=2), dict(max_new_tokens=9), dict(word="no"), dict(codec={"name": "other"})]
)
def test_controls_do_not_stay_beside_answers_to_other_questions(summary, tmp_path, now):
    kept, dropped = holds(summary, tmp_path, vqa=asked(**now))
    assert list(kept) == ["other"] and dropped.keys() == {"vqa", "vqa_blank"}
    assert "other questions" in dropped["vqa_blank"]


@pytest.mark.parametrize(
    "spoil, why",
    [
        (lambda s, out: s.update(fingerprint="x"), "another checkpoint"),
        (lambda s, out: s["evals"]["other"].update(metrics_version=1), "of version 1 of the"),
        (lambda s, out: s["evals"]["other"].pop("metrics_version"), "of version None of the"),
        (lambda s, out: s["evals"]["other"].pop("asked"), "an earlier version wrote it"),
        (lambda s, out: (out / "samples/other.jsonl").unlink(), "samples are gone"),
        (lambda s, out: (out / "samples/other.jsonl").write_text("{"), "other.jsonl is broken"),
        (lambda s, out: (out / "results/other.json").write_text("{}"), "result is not in"),
    ],
)
def test_what_no_longer_holds_is_dropped_with_its_reason(summary, tmp_path, spoil, why):
    spoil(summary, tmp_path)
    kept, dropped = holds(summary, tmp_path, vqa=asked())
    assert "other" not in kept and why in dropped["other"]


def test_what_stays_and_what_does_not_is_said(summary, tmp_path):
    summary["evals"]["other"]["metrics_version"] = metrics.VERSION - 1
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    said, now = [], {"vqa": asked()[0]}
    assert results.entries_that_stay(tmp_path, MARK, now, {}, said.append).keys() == {
        "vqa",
        "vqa_blank",
    }
    assert said[0].startswith("earlier results that do not stay: other (its scores are of version")
    assert said[1:] == ["earlier results that stay in the summary and on the page: vqa_blank"]
    said.clear()
    assert results.entries_that_stay(
        tmp_path, MARK, now, {"vqa_blank": "x"}, said.append
    ).keys() == {"vqa"}
    assert any("vqa_blank (there is nothing to ask any longer)" in line for line in said)


@pytest.mark.parametrize("content", ["{", "[]", '{"evals": 3}', '{"evals": {"vqa": 3}}'])
def test_a_broken_summary_is_said_and_stops_nothing(tmp_path, content):
    said = []
    assert results.entries_that_stay(tmp_path, MARK, {}, {}, said.append) == {} and not said
    (tmp_path / "summary.json").write_text(content)
    assert results.entries_that_stay(tmp_path, MARK, {}, {}, said.append) == {}
    assert len(said) == 1 and "summary.json is broken" in said[0]


def test_intervals_are_made_again_only_where_others_are_asked_for(summary, tmp_path):
    old = summary["evals"]["vqa"] | {"bootstrap": BOOTSTRAP, "intervals": {}}
    assert results.with_intervals(old, "vqa", tmp_path, BOOTSTRAP) is old
    new = results.with_intervals(old, "vqa", tmp_path, BOOTSTRAP | {"by": "patient"})
    found = new["intervals"][""]["f1"]
    assert (found["n"], found["clusters"], found["mean"]) == (4, 2, pytest.approx(0.5))
    assert new["bootstrap"]["by"] == "patient" and old["intervals"] == {}


def test_the_report_of_confidence_is_made_with_the_intervals_and_again_with_others(tmp_path):
    data = eval_data.EvalData(Source(), lambda x: x)
    records = sure_records.answers(4, patients=2)
    sample_files.write(tmp_path / "samples", "vqa", records, {})
    result, grades = {"metrics": {}, "seconds": 1.0}, grading.Grades({}, None)
    made = results.entry_of(asked()[0], data, records, result, grades, BOOTSTRAP)
    assert made["confidence"]["groups"][0]["clusters"] == 4
    new = results.with_intervals(made, "vqa", tmp_path, BOOTSTRAP | {"by": "patient"})
    assert new["confidence"]["groups"][0]["clusters"] == 2
    json.dumps(new["confidence"], allow_nan=False)
    plain = results.entry_of(asked()[0], data, [record(i) for i in range(4)], result, grades,
                             BOOTSTRAP)  # fmt: skip
    assert "confidence" not in plain


def test_a_result_is_known_by_checkpoint_questions_options_and_version(tmp_path):
    what, _ = asked()
    entry(tmp_path, "vqa", *asked())
    assert results.read_result(tmp_path, "vqa", what.key) == {"key": what.key, "metrics": {}}
    others = [asked(word="no"), asked(mark="other"), asked("blank"), asked(limit=1)]
    keys = {x.key for x, _ in others}
    assert len(keys) == 4 and what.key not in keys
    assert all(results.read_result(tmp_path, "vqa", key) is None for key in keys)
    assert asked(every=9)[0].key == what.key
    assert results.read_result(tmp_path, "none", what.key) is None
    assert dataclasses.replace(what, question="x").key == f"x-{metrics.VERSION}"
