import json
import math

import numpy as np
from PIL import Image

from big_rad.workdir import metric_writer, run_dir
from tests.helpers import events


def write(folder, steps, resume_step=None):
    writer = metric_writer.MetricWriter(folder, resume_step)
    for step in steps:
        writer.write(step, {"training_loss": step / 10})
    writer.close()
    return folder / "metrics.jsonl"


def steps_of(path):
    return [row["step"] for row in run_dir.read_lines(path)]


def test_a_line_is_json_with_the_step_and_the_values(tmp_path):
    writer = metric_writer.MetricWriter(tmp_path / "new" / "run")
    writer.write(3, {"training_loss": 0.5, "vqa/f1": 1})
    line = (tmp_path / "new" / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    assert json.loads(line) == {"step": 3, "training_loss": 0.5, "vqa/f1": 1.0}
    assert line.endswith("\n")  # Written at once, not only on close.
    writer.close()


def test_what_is_no_finite_number_becomes_null_so_that_lines_stay_json(tmp_path):
    writer = metric_writer.MetricWriter(tmp_path)
    writer.write(1, {"a": math.nan, "b": math.inf, "c": 1.0})
    writer.close()
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    assert "NaN" not in text and "Infinity" not in text
    assert run_dir.read_lines(tmp_path / "metrics.jsonl") == [
        {"step": 1, "a": None, "b": None, "c": 1.0}
    ]


def test_a_line_is_there_already_only_with_the_same_values(tmp_path):
    writer = metric_writer.MetricWriter(tmp_path)
    writer.write(7, {"vqa/f1": 0.1 + 0.2, "vqa/n": 3, "vqa/nan": math.nan})
    assert writer.has(7, {"vqa/f1": 0.1 + 0.2, "vqa/nan": math.nan})
    assert not writer.has(7, {"vqa/f1": 0.5}) and not writer.has(7, {"other/f1": 0.1 + 0.2})
    assert not writer.has(6, {"vqa/n": 3})
    writer.close()


def test_on_resume_no_line_is_missing_or_doubled(tmp_path):
    write(tmp_path, [1, 2, 3, 4, 5])  # Died after step 5, its last checkpoint is of step 3.
    path = write(tmp_path, [4, 5, 6], resume_step=3)
    assert steps_of(path) == [1, 2, 3, 4, 5, 6]


def test_several_lines_of_the_restored_step_stay(tmp_path):
    write(tmp_path, [1, 2, 2, 3])
    assert steps_of(write(tmp_path, [3], resume_step=2)) == [1, 2, 2, 3]


def test_a_line_that_was_cut_short_is_dropped(tmp_path):
    path = write(tmp_path, [1, 2, 3])
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-7], encoding="utf-8")
    assert steps_of(path) == [1, 2]
    assert steps_of(write(tmp_path, [3, 4], resume_step=2)) == [1, 2, 3, 4]


def test_a_new_run_starts_over(tmp_path):
    write(tmp_path, [0, 1, 2])
    assert steps_of(write(tmp_path, [1])) == [1]
    assert steps_of(write(tmp_path, [1, 2], resume_step=0)) == [1, 2]


def test_pictures_stand_in_tensorboard_as_they_were_drawn(tmp_path):
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 256, (5, 7, 3), dtype=np.uint8) for _ in range(2)]
    pictures = [(f"report/{i}", Image.fromarray(x)) for i, x in enumerate(drawn)]
    writer = metric_writer.MetricWriter(tmp_path)
    writer.pictures(40, pictures)
    writer.close()
    found = events.images(tmp_path / "tensorboard")
    assert [(step, tag) for step, tag, _ in found] == [(40, "report/0"), (40, "report/1")]
    for (_, _, pixels), expected in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(pixels, expected)


def test_a_run_that_is_killed_leaves_its_curves_in_tensorboard_in_groups(tmp_path):
    writer = metric_writer.MetricWriter(tmp_path, tag=lambda n: "" if n == "vqa/n" else n.upper())
    values = {"training_loss": 0.5, "l2_grads": 1.0, "examples_per_second": 8.0, "seconds": 3.0}
    writer.write(3, values | {"rejected_examples": 1, "masks": 2, "token_accuracy": math.nan})
    writer.write(3, {"vqa/f1": 0.25, "vqa/n": 4})
    # Nothing is closed: this is what stands on the disk now.
    assert events.scalars(tmp_path / "tensorboard") == {
        ("training/training_loss", 3): 0.5,
        ("norms/l2_grads", 3): 1.0,
        ("speed/examples_per_second", 3): 8.0,
        ("speed/seconds", 3): 3.0,
        ("left_out/rejected_examples", 3): 1.0,
        ("batch/masks", 3): 2.0,
        ("VQA/F1", 3): 0.25,
    }
    writer.close()


def test_tensorboard_drops_the_later_steps_that_a_killed_run_wrote(tmp_path):
    write(tmp_path / "a", [1, 2])
    assert events.begun(tmp_path / "a/tensorboard") == []
    write(tmp_path / "b", [3], resume_step=2)
    assert events.begun(tmp_path / "b/tensorboard") == [3]


def test_a_board_that_cannot_be_written_does_not_stop_the_lines(tmp_path, monkeypatch):
    def broken(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(metric_writer.EventsWriter, "flush", broken)
    assert steps_of(write(tmp_path, [1, 2])) == [1, 2]


def test_other_processes_do_not_draw(tmp_path, monkeypatch):
    monkeypatch.setattr(metric_writer.jax, "process_index", lambda: 1)
    writer = metric_writer.MetricWriter(tmp_path)
    writer.pictures(40, (1 / 0 for _ in range(2)))
    writer.close()
    assert list(tmp_path.iterdir()) == []
