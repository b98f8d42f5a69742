"""Writes a run directory as the trainer does, without training."""

import json

import numpy as np

from big_rad.config import recipes as config_lib
from big_rad.evaluators import samples as sample_files
from configs import radgrounder_det

H100 = "NVIDIA H100 80GB HBM3"
VOCAB = 258_432
REPORT = dict(type="grounded", builder="phantom", split="test", pp="load")
EVALS = {
    "report": REPORT | {"control": "none", "every": 4},
    "report_blank": REPORT | {"control": "blank", "every": 4},
    "vqa": dict(REPORT, type="vqa", control="none", every=0),
}


def config(**fields):
    """Returns the config of the published recipe with other evaluations and batch size."""
    c = radgrounder_det.get_config()
    c.total_epochs, c.total_steps = None, 12
    c.evals, c.input.batch_size = EVALS, 4
    for name, value in fields.items():
        c[name] = value
    return c


def start(step=0, kind=H100, devices=2, total=12, tower=0, lora=False, **fields):
    """Returns an entry of run.json; `tower` is the share of the image tower that is trained."""
    decoder, size = 2_600_000_000, 412_400_000
    sizes = {
        "img": [size + 1000, round(tower * size) + 1000],
        "img/head": [1000, 1000],
        "llm": [decoder, 0 if lora else decoder],
        "llm/embedder": [VOCAB * 2304, VOCAB * 2304],
    }
    sizes["all"] = [size + 1000 + decoder, sizes["img"][1] + sizes["llm"][1]]
    return {
        "time": f"2026-01-02T03:04:{step:02d}+00:00",
        "step": step,
        "total_steps": total,
        "arguments": ["train.py", "--config=configs/radgrounder_det.py"],
        "git": {"revision": "0123456789abcdef" * 2, "dirty": step > 0},
        "hardware": {"device_kind": kind, "devices": devices, "device_memory": None, "cores": 2},
        "parameters": sizes,
        "versions": {"python": "3.12.1", "jax": "0.10.2", "absl-py": "2.1"},
    } | fields


def line(step, **fields):
    """Returns a line of a training step."""
    return {
        "step": step,
        "training_loss": 4.0 / step,
        "token_accuracy": 0.5,
        "l2_grads": 1.0,
        "l2_params": 200.0,
        "l2_updates": 1e-4,
        "learning_rate": 1e-5,
        "examples_per_second": 2.0,
        "tokens_per_second": 100.0,
        "targets_per_second": 40.0,
        "seconds": 3.0 * step,
    } | fields


def evaluation(step, score):
    """Returns a line of an evaluation with its control."""
    return {"step": step, "report/g_iou": score, "report/n": 5, "report_blank/g_iou": score / 4}


def record(i, name="report"):
    """Returns a sample."""
    box = {"phrase": "liver", "class_id": 5, "class_name": "liver", "box": None, "span": [4, 9]}
    box["box_pixels"] = [10.0, 10.0, 30.0, 40.0]
    return dict(
        index=i, id=f"{name}-{i}", prompt="\nDescribe:\n", reference_text="The liver.",
        prediction_text="The liver.", modality="CT", plane="axial", lang="en", question_type="",
        scores={"g_iou": i / 9, "f1": 0.5, "accuracy": float(i % 2)},
        boxes={"reference": [box], "prediction": [box]},
    )  # fmt: skip


def write(workdir, *, lines=(), starts=(), config=None, summary=None, samples_of=(), files=()):
    """Writes the files of a run directory that are asked for, and returns the directory."""
    workdir.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (workdir / "config.json").write_text(config_lib.to_json(config), encoding="utf-8")
    if starts:
        (workdir / "run.json").write_text(json.dumps({"starts": starts}), encoding="utf-8")
        (workdir / "parameters.txt").write_text("| llm/embedder |", encoding="utf-8")
    if lines:
        text = "".join(json.dumps(x) + "\n" for x in lines)
        (workdir / "metrics.jsonl").write_text(text, encoding="utf-8")
    if summary is not None:
        (workdir / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    for name in samples_of:
        records = [record(i, name) for i in range(9)]
        pixels = {i: np.full((56, 56), 20 * i, np.uint8) for i in range(9)}
        sample_files.write(workdir / "samples", name, records, pixels)
    for name, rows in dict(files).items():
        text = "".join(json.dumps(x) + "\n" for x in rows)
        (workdir / name).write_text(text, encoding="utf-8")
    return workdir


def whole(workdir, **fields):
    """Writes a finished run of twelve steps that was started twice."""
    lines = [line(1), line(4), evaluation(4, 0.25), line(8), evaluation(8, 0.5), line(12)]
    lines.append(evaluation(12, 0.75) | {"vqa/f1": 0.625})
    options = dict(
        lines=lines,
        starts=[start(0), start(6)],
        config=config(),
        summary={"seconds": 45.0, "steps": 12},
        samples_of=("report", "report_blank", "vqa"),
    )
    return write(workdir, **(options | fields))
