"""The trainer from end to end, on a tiny model and a few phantom slices."""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from big_rad import evaluate, train
from big_rad.config import recipes as config_lib
from big_rad.datasets import core
from big_rad.dicom.errors import ReadError
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.pages import run as run_page
from big_rad.weights import npz
from big_rad.workdir import checkpoint, run_dir
from big_rad.workdir import info as run_info
from tests.helpers import events, lab, tiny_run

ROOT, lines = tiny_run.ROOT, tiny_run.lines
STEPS = 6


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tiny_run.build_data(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def make_config(data_dir):
    return functools.partial(tiny_run.config, pathlib.Path(data_dir), f"steps={STEPS}")


def run(config, workdir, data_dir, **kw):
    eval_data.clear_cache()
    return train.train(config, workdir, data_dir, log=kw.pop("log", lambda line: None), **kw)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir, make_config):
    """An uninterrupted run: (metrics, run directory)."""
    workdir = tmp_path_factory.mktemp("whole")
    return run(make_config(), workdir, data_dir), workdir


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    handlers = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.slow
def test_the_loss_falls_and_the_run_directory_holds_everything(whole):
    _, workdir = whole
    losses = [row["training_loss"] for row in lines(workdir) if "training_loss" in row]
    assert len(losses) == 1 + STEPS // 2 and losses[-1] < losses[0] - 0.2
    summary = json.loads((workdir / "summary.json").read_text())
    assert set(summary) == {"g_iou", "yes_no", "seconds", "steps"} and summary["steps"] == STEPS
    data = checkpoint.newest_meta(workdir)[1]["data"]["phantom"]
    assert data["items"] == 24 and len(data["sha256"]) == 64
    config = config_lib.from_json((workdir / "config.json").read_text())
    assert config.model.mask_mode == "image_isolated"
    for name in ("tokenizer.model", "samples/report.jsonl", "tensorboard", "parameters.txt"):
        assert (workdir / name).exists(), name
    text = (workdir / "report.html").read_text(encoding="utf-8")
    assert f"Finished: all {STEPS} steps are done and evaluated." in text
    # There are reports and questions, each of as many slices as `limit` allows.
    assert text.count("<article") == text.count('<div class="stage"><img') == 8


@pytest.mark.slow
def test_rates_are_of_real_text_and_the_time_grows_from_line_to_line(whole):
    rows = run_dir.read_lines(whole[1] / "metrics.jsonl")
    rows = [row for row in rows if "training_loss" in row]
    assert [r["seconds"] for r in rows] == sorted({r["seconds"] for r in rows})
    for row in rows:
        examples, tokens, targets = (row[name] for name in tiny_run.RATES)
        # A row of the demo has at most 3 blocks of 80 tokens, and 136 targets.
        assert 8 < tokens / examples <= 240 and 1 <= targets / examples <= 136
        assert targets < tokens


@pytest.mark.slow
def test_a_stopped_run_lists_both_starts_and_its_page_can_be_made_in_between(
    data_dir, tmp_path, make_config
):
    run(make_config(), tmp_path, data_dir, stop_after=4)
    assert not (tmp_path / "report.html").exists()
    text = run_page.write(tmp_path).read_text(encoding="utf-8")
    assert f"Not finished: step 4 of {STEPS}." in text and "No evaluation yet." in text
    run(make_config(), tmp_path, data_dir)
    starts = run_info.read(tmp_path)
    assert [(s["step"], s["total_steps"]) for s in starts] == [(0, STEPS), (4, STEPS)]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Starts (2)" in text and "started again from step 4" in text


@pytest.fixture(scope="module")
def told(tmp_path_factory, data_dir, make_config):
    """A run that evaluates twice, with an evaluator from outside big_rad.

    An evaluator without questions and a control that needs a second patient do not stop it.
    Returns (metrics, directory, lines)."""
    config = make_config()
    config.evals.report.every, config.summary, said = 4, {}, []
    config.evals.chinese = dict(config.evals.yes_no, expand=dict(task="vqa", lang="zh"))
    config.evals.alone = dict(config.evals.yes_no, limit=1, control="shuffled")
    whole_row = config.evals.report.pp.replace(", answer=False", "")
    names = ("builder", "builder_args", "split", "expand")
    held_out = {k: config.evals.report[k] for k in names}
    held_out |= dict(type=lab.TYPE, pp=whole_row, batch_size=3, limit=4, every=4)
    config.evals.held_out = held_out
    config.evals.held_out_blank = held_out | {"control": "blank"}
    workdir = tmp_path_factory.mktemp("told")
    with lab.installed(tmp_path_factory.mktemp("lab")), pytest.MonkeyPatch.context() as m:
        m.chdir(ROOT)
        metrics = run(config, workdir, data_dir, log=said.append)
        yield metrics, workdir, said


@pytest.mark.slow
def test_an_evaluator_of_somebody_else_is_one_file(told, data_dir, tmp_path):
    metrics, workdir, said = told
    found = {k.removeprefix("held_out/"): v for k, v in metrics.items() if "held_out/" in k}
    assert set(found) == {"loss", "right", "n"} and found["n"] == 4
    assert 0 < found["loss"] < 16 and 0 <= found["right"] <= 1
    shown = [x for x in said if x.startswith("eval step") and "held_out" in x]
    assert [x.partition(" loss ")[0] for x in shown] == [f"eval step {s}: held_out" for s in (4, 6)]
    assert "(blank " in shown[0] and shown[1].endswith("best so far")  # It learns.
    boards = {name for name, _ in events.scalars(workdir / "tensorboard")}
    assert {"held_out/loss", "held_out/loss_blank"} <= boards and "held_out/n" not in boards
    summary = json.loads((workdir / "summary.json").read_text())
    assert {"held_out/loss", "held_out/right", "held_out_blank/loss"} <= set(summary)
    text = (workdir / "report.html").read_text(encoding="utf-8")
    curve = text.split("<b>Texts held out: token loss</b>")[1].split("</figcaption>")[0]
    assert "training" in curve and "blank" in curve
    # The checkpoint is evaluated on one device, without a mesh; no text is generated.
    eval_data.clear_cache()
    command = [f"--checkpoint={workdir}", f"--data_dir={data_dir}", f"--out={tmp_path}"]
    assert evaluate.main([*command, "--only=held_out", "--resamples=50"]) == 0
    entry = json.loads((tmp_path / "summary.json").read_text())["evals"]["held_out"]
    assert entry["metrics"]["loss"] == pytest.approx(found["loss"], rel=1e-4)
    assert entry["intervals"][""]["loss"]["n"] == 4 and not (tmp_path / "answers").exists()


@pytest.mark.slow
def test_tensorboard_has_the_same_slices_with_boxes_at_every_evaluation(told):
    _, workdir, said = told
    told = [x for x in said if x.startswith("eval step") and "report" in x]
    assert [x.partition(": report g_iou")[0] for x in told] == [
        f"eval step {s}" for s in (4, STEPS)
    ]
    lacking = [x for x in said if "left out" in x]
    assert len(lacking) == 2 and lacking[0].startswith("alone: left out, control shuffled: all")
    assert lacking[1].startswith("chinese: left out, phantom/demo test: it has no text with task")
    assert told[0].endswith(", best so far") and "(blank " in told[1]
    summary = json.loads((workdir / "summary.json").read_text())
    assert {"report/g_iou", "report/report_f1", "report_blank/g_iou", "yes_no/f1"} < set(summary)
    assert not any(name.startswith(("chinese", "alone")) for name in summary)
    shown = events.images(workdir / "tensorboard")
    tags = [f"report/sample_{i}" for i in range(4)]
    assert [(step, tag) for step, tag, _ in shown] == [(s, t) for s in (4, STEPS) for t in tags]
    for _, _, picture in shown:
        assert picture.shape == (448, 448, 3)
    records, pixels = sample_files.read(workdir / "samples", "report")
    marked = [r["index"] for r in records if r["boxes"]["reference"]]
    assert marked
    for (_, _, picture), record in zip(shown[-4:], records, strict=True):
        expected = sample_files.overlay(record, pixels[record["index"]])
        np.testing.assert_array_equal(picture, np.asarray(expected))


@pytest.mark.slow
def test_a_finished_run_started_again_evaluates_again_and_writes_no_line_twice(
    whole, data_dir, make_config
):
    metrics, workdir = whole
    before = lines(workdir)
    np.testing.assert_equal(run(make_config(), workdir, data_dir), metrics)
    np.testing.assert_equal(lines(workdir), before)


@pytest.mark.slow
def test_a_finished_run_that_is_to_have_fewer_steps_is_evaluated_at_the_step_that_it_has(
    whole, data_dir, make_config
):
    metrics, workdir = whole
    before, said = lines(workdir), []
    config = make_config(total_steps=4)
    np.testing.assert_equal(run(config, workdir, data_dir, log=said.append), metrics)
    np.testing.assert_equal(lines(workdir), before)
    assert json.loads((workdir / "summary.json").read_text())["steps"] == STEPS
    assert run_info.read(workdir)[-1]["changes"] == {"config.total_steps": [STEPS, 4]}
    assert any("more steps than the 4 asked for" in line for line in said)


@pytest.mark.slow
def test_sigterm_writes_a_checkpoint_of_the_step_it_came_in(data_dir, tmp_path, make_config):
    def log(line):
        if line.startswith("step 2/"):
            os.kill(os.getpid(), signal.SIGTERM)

    said = []
    run(make_config(), tmp_path, data_dir, log=lambda line: (said.append(line), log(line)))
    assert checkpoint.Checkpointer(tmp_path).latest_step() == 2
    assert said[-1].startswith("stopped after step 2")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_batch_ids(
    data_dir, tmp_path, make_config
):
    with pytest.raises(train.TrainingError, match=r"not finite at step 2, batch ids P\d+-\d, P\d+"):
        run(make_config(lr=1e38), tmp_path, data_dir)
    ended = run_info.read(tmp_path)[-1]["ended"]
    assert (ended["how"], ended["step"]) == ("failed", 2) and "not finite" in ended["why"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The last start failed after step 2" in page.partition("Scores")[0]


@pytest.mark.slow
def test_a_run_directory_of_another_model_is_refused(whole, data_dir, make_config):
    config, starts = make_config(), run_info.read(whole[1])
    config.model.llm.width = 48
    with pytest.raises(train.TrainingError, match="config.model.llm.width was 32, now 48"):
        run(config, whole[1], data_dir)
    assert run_info.read(whole[1]) == starts  # The refused start has no entry.


@pytest.mark.slow
def test_a_run_starts_from_a_whole_model_and_an_image_tower_of_another_file(
    whole, data_dir, tmp_path, make_config
):
    old, _ = checkpoint.load_params(whole[1])
    tower = jax.tree.map(lambda x: x + 1, {k: v for k, v in old["img"].items() if k != "head"})
    npz.save(tmp_path / "model.npz", old)
    npz.save(tmp_path / "tower.npz", {"img": tower})
    config = make_config(lr_mults=((".*", 0.0),), total_steps=1, evals={}, summary={})
    config.model_init = str(tmp_path / "model.npz")
    config.model_init_img = str(tmp_path / "tower.npz")
    run(config, tmp_path / "run", data_dir)
    new, _ = checkpoint.load_params(tmp_path / "run")
    expected = {**old, "img": {**old["img"], **tower}}
    jax.tree.map(np.testing.assert_array_equal, new, expected)


@pytest.mark.slow
def test_the_published_recipe_runs_shrunk_to_the_phantom(data_dir, tmp_path):
    config = config_lib.load("configs/radgrounder_det.py:variant=tiny,data=phantom,size=56")
    config.total_epochs, config.total_steps = None, 3
    config.input.batch_size, config.grad_accum = 4, 2
    config.ckpt_steps, config.log_training_steps, config.lr = 3, 1, 1e-2
    assert config.optimizer == "adafactor" and config.model.get("mask_mode") is None
    assert run(config, tmp_path, data_dir) == {}
    losses = [row["training_loss"] for row in lines(tmp_path)]
    assert len(losses) == 3 and losses[-1] < losses[0]


class Damaged:
    """A source some of whose records cannot be read."""

    def __init__(self, source, bad):
        self._source, self._bad = source, bad

    def __len__(self):
        return len(self._source)

    def __getitem__(self, i):
        if i in self._bad:
            raise ReadError("scan.dcm: truncated; export it again")
        return self._source[i]


@pytest.fixture
def damaged(monkeypatch):
    """Makes items of the training split unreadable."""
    bad = set()
    load = core.load_source

    def load_source(name, split, data_dir, **kw):
        source = load(name, split, data_dir, **kw)
        return Damaged(source, bad) if split == "train" else source

    monkeypatch.setattr(core, "load_source", load_source)
    return bad


@pytest.mark.slow
def test_bad_examples_are_skipped_listed_once_and_training_goes_on_also_after_a_stop(
    whole, data_dir, tmp_path, damaged, make_config
):
    damaged |= {3, 11}
    rejects = {}
    for name, stops in (("straight", ()), ("stopped", (2, 4))):
        workdir = tmp_path / name
        for stop in (*stops, None):
            run(make_config(), workdir, data_dir, stop_after=stop)
        rejects[name] = (workdir / "rejects.jsonl").read_text()
    assert rejects["straight"] == rejects["stopped"]
    listed = [json.loads(line) for line in rejects["straight"].splitlines()]
    assert sorted(r["id"] for r in listed) == ["item 11", "item 3"]
    assert {(r["dataset"], r["error"], r["reason"]) for r in listed} == {
        ("phantom", "ReadError", "scan.dcm: truncated; export it again")
    }
    rows = [r for r in lines(tmp_path / "straight") if "training_loss" in r]
    assert rows[-1]["step"] == STEPS and rows[-1]["rejected_examples"] == 2
    clean = [r for r in lines(whole[1]) if "training_loss" in r]
    assert rows[-1]["training_loss"] != clean[-1]["training_loss"]
    assert lines(tmp_path / "stopped") == lines(tmp_path / "straight")


@pytest.mark.slow
def test_training_stops_when_too_many_examples_are_bad(data_dir, tmp_path, damaged, make_config):
    damaged |= set(range(0, 24, 2))
    config = make_config()
    config.input.max_reject_share = 0.004  # The share is taken of at least 1,000 examples.
    with pytest.raises(train.TrainingError) as stopped:
        run(config, tmp_path, data_dir)
    for part in ("5 of ", "max_reject_share=0.004", "rejects.jsonl", "of phantom: ReadError: scan"):
        assert part in str(stopped.value)


def test_settings_that_cannot_be_leave_no_run_directory(data_dir, tmp_path, make_config):
    with pytest.raises(ValueError, match="config.ckpt_keep is 0"):
        run(make_config(ckpt_keep=0), tmp_path / "run", data_dir)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_microbatches_that_do_not_divide_the_batch_are_refused(data_dir, tmp_path, make_config):
    with pytest.raises(ValueError, match="config.input.batch_size 4 does not divide into"):
        run(make_config(grad_accum=3), tmp_path, data_dir)


def command(*args):
    return subprocess.run(
        [sys.executable, "-m", "big_rad.train", *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": tiny_run.PATH},
    )


@pytest.mark.slow
def test_missing_weights_are_an_error_that_names_the_file_and_how_to_get_it(tmp_path):
    result = command(
        "--config=configs/radgrounder_det.py",
        "--config.model_init=MISSING.npz",
        f"--workdir={tmp_path}",
    )
    assert result.returncode == 2
    message = result.stderr.strip().splitlines()[-1]
    for part in ("MISSING.npz", "does not exist", "Kaggle", "Hugging Face"):
        assert part in message
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--config=configs/demo.py", "--config.lr=fast"], "error: --config.lr=fast: could not"),
        (["--config=configs/demo.py", "--config.ckpt_keep=0"], "error: config.ckpt_keep is 0: it"),
        ([], "--config"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(args, said):
    result = command(*args)
    assert result.returncode == 2
    assert said in result.stderr.splitlines()[-1] and "Traceback" not in result.stderr
