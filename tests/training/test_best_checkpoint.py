import json
import math

import pytest

from big_rad.config import defaults
from big_rad.training import best_checkpoint
from big_rad.workdir import metric_writer, run_dir


def best_of(workdir, name, first_step=100, mode="max"):
    c = defaults.base()
    c.ckpt_best, c.ckpt_best_mode = name, mode
    return best_checkpoint.BestStep(c, workdir, first_step)


@pytest.mark.parametrize("mode, step", [("max", 20), ("min", 10)])
def test_the_best_step_follows_from_the_lines_of_the_run_also_after_a_restart(tmp_path, mode, step):
    writer = metric_writer.MetricWriter(tmp_path)
    best = best_of(tmp_path, "val/f1", mode=mode)
    assert best.step is None and best.description == ""
    for at, value in ((10, 0.3), (20, 0.6), (30, math.nan), (40, 0.6), (50, 0.5)):
        best.add(at, {"val/f1": value})
        writer.write(at, {"val/f1": value})
    writer.close()
    assert best.step == step == best_of(tmp_path, "val/f1", mode=mode).step
    first = best_of(tmp_path, "val/f1", first_step=10, mode=mode)
    assert first.step == 10 and first.description == "the best by val/f1 (0.300)"


@pytest.mark.parametrize("mode, steps", [("max", [20, 40, 50, 10]), ("min", [10, 50, 20, 40])])
def test_steps_are_ranked_as_a_run_directory_falls_back_on_them(tmp_path, mode, steps):
    best, rows = best_of(tmp_path, "val/f1", mode=mode), []
    for at, value in ((10, 0.3), (20, 0.6), (30, math.nan), (40, 0.6), (50, 0.5)):
        best.add(at, {"val/f1": value})
        rows.append({"step": at, "val/f1": value})
    assert best.ranked_steps == steps
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
