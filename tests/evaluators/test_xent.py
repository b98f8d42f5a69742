"""Tests the loss of held-out targets: weights, tasks, controls, and files without names."""

import json

import numpy as np
import pytest

from big_rad.evaluators import data as eval_data
from big_rad.evaluators import xent

TASKS = ["report", "vqa", "vqa", "report", "vqa"]
TOKENS = np.array([6, 1, 2, 3, 8])


class Source:
    """One row for each task, of two patients in turn."""

    def __init__(self, tasks):
        self.tasks = tasks

    def __len__(self):
        return len(self.tasks)

    def __getitem__(self, i):
        texts = [{"task": self.tasks[i], "lang": "en"}]
        return {"id": f"s{i}", "patient": f"Doe^{i % 2}", "modality": "CT", "texts": texts}


def preprocess(example):
    i = int(example["id"][1:])
    text = np.arange(1, 12, dtype=np.int32)
    mask = (np.arange(11) >= 11 - TOKENS[i]).astype(np.int32)
    image = np.full((2, 2, 3), i, np.float32)
    return {"image": image, "text": text, "mask_ar": mask, "mask_loss": mask}


class Loss:
    """A loss of row / 4 for each token of a row; one token of each row is right.

    The pixels of an image have the number of its row as their value.
    """

    def __init__(self):
        self.seen = []

    def __call__(self, params, batch):
        self.seen.append(batch["image"][:, 0, 0, 0])
        tokens = batch["mask_loss"].sum(1).astype(np.float32)
        each = np.maximum(batch["image"][:, 0, 0, 0], 0) / 4
        return {"loss": each * tokens, "correct": np.ones_like(tokens), "tokens": tokens}


def evaluated(folder=None, tasks=TASKS, **options):
    loss = Loss()
    data = eval_data.EvalData(Source(tasks), preprocess)
    made = xent.Evaluator({"loss": loss}, data, name="x", samples_dir=folder, **options)
    return dict(made.run(None)), loss, made


@pytest.mark.parametrize("rows", [2, 5, 16])
def test_means_are_over_tokens_whatever_the_batch_and_the_fill_of_the_last_one_is_left_out(rows):
    found, loss, _ = evaluated(batch_size=rows)
    each = np.arange(5) / 4
    assert found["loss"] == pytest.approx((each * TOKENS).sum() / 20)
    assert found["token_accuracy"] == pytest.approx(5 / 20)
    assert (found["n"], found["n_tokens"]) == (5, 20)
    assert all(len(x) == rows for x in loss.seen)


def test_each_task_has_its_own_where_there_are_several():
    found, _, _ = evaluated()
    for task in ("report", "vqa"):
        of = np.array([t == task for t in TASKS])
        want = (np.arange(5) / 4 * TOKENS)[of].sum() / TOKENS[of].sum()
        assert found[f"loss_{task}"] == pytest.approx(want)
        assert found[f"token_accuracy_{task}"] == pytest.approx(of.sum() / TOKENS[of].sum())
    assert "loss_detect" not in found
    assert not [name for name in evaluated(tasks=["vqa"] * 5)[0] if name.endswith("_vqa")]


def test_a_control_shows_another_image_with_the_same_targets():
    found, loss, _ = evaluated(control="blank", batch_size=5)
    assert loss.seen[0].tolist() == [eval_data.BLANK_VALUE] * 5
    assert found["loss"] == 0 and found["n_tokens"] == 20
    _, loss, _ = evaluated(control="shuffled", batch_size=5)
    # Each row is shown the image of the other patient.
    assert all(int(a) % 2 != b % 2 for b, a in enumerate(loss.seen[0]))


def test_a_line_for_each_row_holds_its_scores_and_no_name(tmp_path):
    _, _, made = evaluated(tmp_path)
    text = (tmp_path / "x.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert "Doe" not in text and [r["subject"] for r in lines] == [0, 1, 0, 1, 0]
    assert [r["scores"]["loss"] for r in lines] == [0, 0.25, 0.5, 0.75, 1.0]
    assert [r["id"] for r in lines] == [f"s{i}" for i in range(5)]
    assert made.stated("loss_vqa").lowest and made.stated("loss").beside == "training_loss"
