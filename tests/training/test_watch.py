import json
import math

import pytest

from big_rad.config import defaults
from big_rad.training import watch
from big_rad.workdir import metric_writer, run_dir

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
    found = watch.Watch(config(), tmp_path, 0)
    found.ran(6, ["a", "b"], GOOD)
    found.ran(7, ["c", "d"], metrics)
    with pytest.raises(watch.TrainingError, match=rf"{what}.* at step 7, batch ids c, d.*skip"):
        found.look()


def test_skipped_steps_are_counted_listed_and_too_many_of_them_stop(tmp_path):
    found = watch.Watch(config(action="skip"), tmp_path, 0)
    for step, metrics in ((1, NAN), (2, GOOD)):
        found.ran(step, [f"id{step}"], metrics)
    values = found.look()
    assert (
        values["skipped_steps"] == 1 and values["training_loss"] == 1 and "bad_step" not in values
    )
    assert [(r["step"], r["ids"]) for r in lines(tmp_path / "skipped.jsonl")] == [(1, ["id1"])]
    # Gone on from step 2; a third one is more than the two that are allowed.
    again = watch.Watch(config(action="skip"), tmp_path, 2)
    again.ran(3, ["id3"], SPIKE)
    assert again.look()["skipped_steps"] == 2
    again.ran(4, ["id4"], NAN)
    with pytest.raises(watch.TrainingError, match=r"3 steps were left out.*most=2.*batch ids id4"):
        again.look()
    assert [r["step"] for r in lines(tmp_path / "skipped.jsonl")] == [1, 3, 4]
    # What was skipped after the restored step is skipped, and listed, again.
    watch.Watch(config(action="skip"), tmp_path, 1)
    assert [r["step"] for r in lines(tmp_path / "skipped.jsonl")] == [1]


def best_of(workdir, name, first_step=100, mode="max"):
    c = defaults.base()
    c.ckpt_best, c.ckpt_best_mode = name, mode
    return watch.Best(c, workdir, first_step)


@pytest.mark.parametrize("mode, step", [("max", 20), ("min", 10)])
def test_the_best_step_is_told_by_the_lines_of_the_run_also_after_a_restart(tmp_path, mode, step):
    writer = metric_writer.MetricWriter(tmp_path)
    best = best_of(tmp_path, "val/f1", mode=mode)
    assert best.step is None
    for at, value in ((10, 0.3), (20, 0.6), (30, math.nan), (40, 0.6), (50, 0.5)):
        best.see(at, {"val/f1": value})
        writer.write(at, {"val/f1": value})
    writer.close()
    assert best.step == step == best_of(tmp_path, "val/f1", mode=mode).step
    assert best_of(tmp_path, "val/f1", first_step=10, mode=mode).step == 10


@pytest.mark.parametrize("mode, steps", [("max", [20, 40, 50, 10]), ("min", [10, 50, 20, 40])])
def test_steps_are_ranked_as_a_run_directory_falls_back_on_them(tmp_path, mode, steps):
    best, rows = best_of(tmp_path, "val/f1", mode=mode), []
    for at, value in ((10, 0.3), (20, 0.6), (30, math.nan), (40, 0.6), (50, 0.5)):
        best.see(at, {"val/f1": value})
        rows.append({"step": at, "val/f1": value})
    assert best.steps == steps
    (tmp_path / "config.json").write_text(
        json.dumps({"ckpt_best": "val/f1", "ckpt_best_mode": mode})
    )
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for i, step in enumerate(steps):
        folders = [tmp_path / "checkpoints" / str(s) for s in (30, *steps[i:])]
        for folder in folders:
            folder.mkdir(parents=True)
        assert run_dir.locate(tmp_path).step == step
        for folder in folders:
            folder.rmdir()


@pytest.mark.parametrize("mode, step", [("max", 20), ("min", 10)])
def test_what_the_model_came_with_is_no_best_step_before_or_after_a_restart(tmp_path, mode, step):
    # There is no checkpoint of step 0, which eval_before evaluates.
    rows = [{"step": s, "val/f1": v} for s, v in ((0, 0.4), (10, 0.2), (20, 0.3))]
    rows[0]["val/f1"] = 0.9 if mode == "max" else 0.1
    text = "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "metrics.jsonl").write_text(text)
    assert best_of(tmp_path, "val/f1", mode=mode).step == step


def test_the_share_of_rejects_is_of_at_least_a_thousand_examples_and_says_so(tmp_path):
    found = watch.Watch(config(), tmp_path, 0)
    rejected = [{"dataset": "d", "id": "a", "error": "ReadError", "reason": "torn"}]
    found.rejects(4, rejected * 10)
    with pytest.raises(watch.TrainingError, match="11 of 16 .*max_reject_share=0.01 of 1000;"):
        found.rejects(4, rejected)
    (tmp_path / "later").mkdir()
    later = watch.Watch(config(), tmp_path / "later", 0)
    later.rejects(500, rejected * 20)
    with pytest.raises(watch.TrainingError, match="21 of 2000 .*max_reject_share=0.01 of 2000;"):
        later.rejects(500, rejected)
