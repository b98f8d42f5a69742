"""Tests that a checkpoint is identified by its files."""

import json

from big_rad.evaluators import identity
from big_rad.inference import calibration
from tests.helpers import foreign


def fingerprint(path):
    return identity.identify(path).fingerprint


def test_another_best_step_is_another_checkpoint(tmp_path):
    for step in (1, 2):
        (tmp_path / "checkpoints" / str(step) / "state").mkdir(parents=True)
        (tmp_path / "checkpoints" / str(step) / "state" / "w").write_text(str(step))
    (tmp_path / "config.json").write_text('{"ckpt_best": "val/f1"}')
    marks = [fingerprint(tmp_path)]
    for values in ((2, 1), (1, 2)):
        lines = [json.dumps({"step": i + 1, "val/f1": v}) + "\n" for i, v in enumerate(values)]
        (tmp_path / "metrics.jsonl").write_text("".join(lines))
        marks.append(fingerprint(tmp_path))
    assert len(set(marks)) == 3
    assert marks[1] == fingerprint(tmp_path / "checkpoints" / "1")


def test_a_fingerprint_of_an_npz_changes_with_what_lies_beside_it(tmp_path):
    path = foreign.write_npz(tmp_path, 3158)
    before = fingerprint(path)
    path.with_name("model.npz.json").write_text("{}")
    assert fingerprint(path) != before


def test_a_fingerprint_changes_with_the_files(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = fingerprint(tmp_path)
    assert before == fingerprint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"12")
    assert fingerprint(tmp_path) != before


def test_a_calibration_does_not_make_it_another_checkpoint(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(tmp_path)
    calibration.Calibration({}).write(calibration.path_of(tmp_path))
    assert fingerprint(tmp_path) == before
