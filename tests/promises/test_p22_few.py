"""P22: no verdict from too few patients.

These tests compare two evaluations with the largest possible difference on few patients, for every
unit of resampling, and they check the tables before and after training and those of confidence. The
statistics are tested in tests/metrics/test_bootstrap.py.
"""

import re

import numpy as np
import pytest

from big_rad.evaluators import before_after, confidence_text
from big_rad.evaluators import samples as sample_files
from tests.helpers import made_evaluation, sure_records
from tools import compare

VERDICTS = re.compile(r"\b(worse|better)\b")


def table(out):
    return [line for line in out.splitlines() if line.startswith("| slake")]


@pytest.mark.parametrize("by", ["image", "sample", "patient"])
@pytest.mark.parametrize(
    "patients, images_each, per_image, version",
    [(1, 1, 1, 2), (1, 1, 30, 2), (1, 30, 3, 2), (3, 20, 2, 2), (5, 1, 8, 2), (5, 4, 1, 2),
     (5, 1, 8, 1)],
)  # fmt: skip
def test_p22_few_patients_give_no_verdict_and_the_line_says_why(
    tmp_path, capsys, patients, images_each, per_image, version, by
):
    n = patients * images_each * per_image
    sizes = dict(images_each=images_each, per_image=per_image, version=version)
    scores = (np.ones(n), np.zeros(n))
    a, b = (
        str(made_evaluation.write(tmp_path / k, {"f1": x, "laterality_text": 1 - x}, **sizes))
        for k, x in zip("ab", scores)
    )
    for first, second in ((a, b), (b, a)):
        assert compare.main([first, second, f"--by={by}"]) == 0
        rows = table(capsys.readouterr().out)
        assert len(rows) == 2 and not any(map(VERDICTS.search, rows))
        unit = "patient" if patients == 1 else "patients"
        why = f"1.000, no verdict: {patients} {unit}, and at least 6 are needed"
        assert all(why in row for row in rows)


def test_p22_six_patients_that_all_agree_are_enough(tmp_path, capsys):
    scores = (np.ones(12), np.zeros(12))
    a, b = (str(made_evaluation.write(tmp_path / k, {"f1": x})) for k, x in zip("ab", scores))
    assert compare.main([a, b]) == 1
    (row,) = table(capsys.readouterr().out)
    assert "worse" in row and "| 0.0312 | 0.0312 |" in row  # 2 / 2**6


def test_p22_six_patients_that_do_not_agree_are_not(tmp_path, capsys):
    x = np.ones(12)
    y = np.array([0.0] * 10 + [1.5] * 2)
    a, b = (str(made_evaluation.write(tmp_path / k, {"f1": s})) for k, s in zip("ab", (x, y)))
    assert compare.main([a, b]) == 0
    (row,) = table(capsys.readouterr().out)
    assert not VERDICTS.search(row)


def test_p22_a_training_on_few_patients_has_no_interval_that_looks_like_one(tmp_path):
    def records(folder, x):
        scores = {"f1": x}
        made_evaluation.write(folder, scores, "vqa", per_image=10)
        return sample_files.read(folder / "samples", "vqa")[0]

    before, after = (records(tmp_path / k, np.full(30, float(i))) for i, k in enumerate("ab"))
    found = before_after.rows("vqa", before, after, [sample_files.subject_of(r) for r in after])
    assert found[0].subjects == 3
    text = before_after.text(found)
    assert "| +1.000, no verdict: 3 patients, and at least 6 are needed | 3 |" in text


@pytest.mark.parametrize("by", ["image", "sample", "patient"])
def test_p22_the_confidence_of_few_patients_has_no_interval_verdict_or_limit(by):
    records = sure_records.boxes(np.linspace(0.1, 0.9, 60), np.linspace(0.1, 0.9, 60))
    for i, r in enumerate(records):
        r["subject"] = i % 5
    bootstrap = {"by": by, "resamples": 50, "seed": 0}
    summary = sure_records.summary({"report": records}, bootstrap)
    (group,) = summary["evals"]["report"]["confidence"]["groups"]
    assert group["subjects"] == 5 and "limit" not in group
    assert all(x["low"] is None and x["high"] is None for x in group["figures"].values())
    text = confidence_text.markdown(summary)
    assert text.count("too few") == 2 and " to " not in text and "it is" not in text
    for r in records:
        r["subject"] = r["index"] % 6
    text = confidence_text.markdown(sure_records.summary({"report": records}, bootstrap))
    assert "too few" not in text and "it is worth more than the base rate" in text
