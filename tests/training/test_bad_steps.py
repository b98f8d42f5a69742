import json
import math

import pytest

from big_rad.config import defaults
from big_rad.training import bad_steps

GOOD = dict(training_loss=1.0, l2_grads=0.5, bad_step=False)
NAN = dict(training_loss=math.nan, l2_grads=0.5, bad_step=True)
SPIKE = dict(training_loss=90.0, l2_grads=0.5, bad_step=True)


def config(**spec):
    c = defaults.base()
    c.bad_steps.update(dict(most=2) | spec)
    c.input.batch_size = 4
    return c


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("metrics, what", [(NAN, "not finite"), (SPIKE, r"a spike \(90\)")])
def test_stopping_names_the_step_the_ids_and_what_to_do(tmp_path, metrics, what):
    found = bad_steps.BadStepMonitor(config(), tmp_path, 0)
    found.add_step(6, ["a", "b"], GOOD)
    found.add_step(7, ["c", "d"], metrics)
    with pytest.raises(bad_steps.TrainingError, match=rf"{what}.* at step 7, batch ids c, d.*skip"):
        found.check()


def test_skipped_steps_are_counted_listed_and_too_many_of_them_stop(tmp_path):
    found = bad_steps.BadStepMonitor(config(action="skip"), tmp_path, 0)
    for step, metrics in ((1, NAN), (2, GOOD)):
        found.add_step(step, [f"id{step}"], metrics)
    values = found.check()
    assert (
        values["skipped_steps"] == 1 and values["training_loss"] == 1 and "bad_step" not in values
    )
    assert [(r["step"], r["ids"]) for r in lines(tmp_path / "skipped.jsonl")] == [(1, ["id1"])]
    # The run goes on from step 2. Two skipped steps are allowed, and the third ends it.
    again = bad_steps.BadStepMonitor(config(action="skip"), tmp_path, 2)
    again.add_step(3, ["id3"], SPIKE)
    assert again.check()["skipped_steps"] == 2
    again.add_step(4, ["id4"], NAN)
    with pytest.raises(bad_steps.TrainingError, match=r"3 steps were left.*most=2.*batch ids id4"):
        again.check()
    assert [r["step"] for r in lines(tmp_path / "skipped.jsonl")] == [1, 3, 4]
    # A run restored at step 1 removes the steps after it from the list.
    bad_steps.BadStepMonitor(config(action="skip"), tmp_path, 1)
    assert [r["step"] for r in lines(tmp_path / "skipped.jsonl")] == [1]


def test_the_share_of_rejects_is_of_at_least_a_thousand_examples_and_says_so(tmp_path):
    found = bad_steps.BadStepMonitor(config(), tmp_path, 0)
    rejected = [{"dataset": "d", "id": "a", "error": "ReadError", "reason": "torn"}]
    found.add_rejects(4, rejected * 10)
    with pytest.raises(bad_steps.TrainingError, match="11 of 16 .*max_reject_share=0.01 of 1000;"):
        found.add_rejects(4, rejected)
    (tmp_path / "later").mkdir()
    later = bad_steps.BadStepMonitor(config(), tmp_path / "later", 0)
    later.add_rejects(500, rejected * 20)
    with pytest.raises(bad_steps.TrainingError, match="21 of 2000 .*_reject_share=0.01 of 2000;"):
        later.add_rejects(500, rejected)
