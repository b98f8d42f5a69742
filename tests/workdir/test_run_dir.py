"""Which step a path means, tested on run directories with only names and small files."""

import json

import pytest

from big_rad import weights
from big_rad.workdir import run_dir

STEPS = (10, 20, 30)
VALUES = {0: 0.9, 10: 0.2, 20: 0.5, 30: 0.4}  # There is no checkpoint of step 0.


def make(workdir, steps=STEPS, values=VALUES, config=None, summary=None):
    """Writes a run directory with checkpoints of `steps` and `values` of their scores."""
    for step in steps:
        (workdir / "checkpoints" / str(step) / "state").mkdir(parents=True)
    config = {"ckpt_best": "val/f1"} if config is None else config
    (workdir / "config.json").write_text(json.dumps(config))
    lines = [json.dumps({"step": s, "val/f1": v}) for s, v in values.items()]
    (workdir / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 40, "val')
    if summary is not None:
        (workdir / "summary.json").write_text(json.dumps(summary))
    return workdir


@pytest.mark.parametrize("where", ["", "checkpoints"])
@pytest.mark.parametrize(
    "fields, step, said",
    [
        (dict(), 20, "step 20, the best by val/f1 (0.500); the last is step 30"),
        (dict(config={"ckpt_best": "val/f1", "ckpt_best_mode": "min"}), 10, "(0.200)"),
        (dict(values=VALUES | {30: 0.6}), 30, "step 30, the best by val/f1 (0.600) and the last"),
        (dict(values={10: 0.5, 20: 0.5, 30: None}), 10, "the best by val/f1 (0.500)"),
        (dict(values={10: None}), 30, "step 30, the last"),
        (dict(config={"ckpt_best": ""}), 30, "step 30, the last"),
        # A finished run goes on without `ckpt_best`, or with a score that has no value yet.
        (dict(config={"ckpt_best": ""}, summary={"best_step": 10}), 30, "step 30, the last"),
        (
            dict(config={"ckpt_best": "val/recall"}, summary={"best_step": 10}),
            30,
            "step 30, the last; no checkpoint has a value of val/recall",
        ),
        (dict(config={}), 30, "step 30, the last"),
        # The lines of metrics.jsonl are gone.
        (dict(values={}, summary={"best_step": 10}), 10, "step 10, the best by val/f1; the last"),
        (dict(config={}, summary={"best_step": 20}), 20, "step 20, the best of the run"),
        # The best step has no checkpoint: the run was killed before, or it was damaged and moved.
        (dict(steps=(10, 30)), 30, "(0.400) and the last; the checkpoint of step 20, the best by"),
        (dict(steps=(15,)), 15, "step 15, the last; the checkpoint of step 20"),
        (dict(config={}, summary={"best_step": 5}), 30, "the checkpoint of step 5, the best"),
    ],
)
def test_a_run_means_its_best_checkpoint_or_else_its_last_and_says_which(
    tmp_path, fields, step, said, where
):
    place = run_dir.locate(make(tmp_path, **fields) / where)
    assert (place.workdir, place.step) == (tmp_path, step)
    assert place.folder == tmp_path / "checkpoints" / str(step)
    assert said in str(place)


def test_a_step_that_is_named_is_the_one_that_is_meant(tmp_path):
    make(tmp_path)
    place = run_dir.locate(tmp_path / "checkpoints" / "30")
    assert (place.step, place.named, str(place)) == (30, True, "step 30, as named")
    assert place.workdir == tmp_path == run_dir.workdir_of(tmp_path / "checkpoints" / "10")
    assert run_dir.locate(tmp_path, step=10).step == 10


def test_a_copy_of_the_checkpoints_alone_has_a_last_step_and_no_best(tmp_path):
    (make(tmp_path / "run") / "checkpoints").rename(tmp_path / "copy")
    assert run_dir.locate(tmp_path / "copy").step == 30
    assert run_dir.locate(tmp_path / "copy" / "20").step == 20


def test_a_config_that_is_broken_is_said_and_the_last_step_is_taken(tmp_path):
    (make(tmp_path) / "config.json").write_text("{")
    place = run_dir.locate(tmp_path)
    assert place.step == 30 and "which step is the best is not known" in str(place)
    assert "config.json is broken" in str(place)


@pytest.mark.parametrize("look", [run_dir.locate, weights.kind])
def test_a_step_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path, look):
    make(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no whole .* step 25; steps here: \[10, 20, 30\]"):
        look(tmp_path / "checkpoints" / "25")


def test_the_files_that_count_are_one_step_s_or_those_of_all_where_the_last_may_change(tmp_path):
    best = make(tmp_path / "best") / "checkpoints"
    last = make(tmp_path / "last", config={"ckpt_best": ""}) / "checkpoints"
    assert run_dir.locate(best).files == run_dir.locate(best.parent).files == best / "20"
    assert run_dir.locate(last).files == run_dir.locate(last.parent).files == last
    assert run_dir.locate(last / "10").files == last / "10"
    assert run_dir.has_checkpoints(last.parent) and not run_dir.has_checkpoints(last)


def test_half_a_checkpoint_is_none(tmp_path):
    make(tmp_path, steps=(10,))
    (tmp_path / "checkpoints" / "20.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    assert run_dir.whole_steps(tmp_path) == [10]
    assert run_dir.locate(tmp_path).step == 10
