"""Writes the folder of an evaluation as `big_rad.evaluate` does, without a model."""

import json

import numpy as np

from big_rad import metrics
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import summary as summaries


def write(folder, scores, name="slake", **options):
    """Writes an evaluation with one evaluator, and returns its folder.

    Args:
        folder: the folder, which is created.
        scores: {score: [values, None where a sample does not count]}.
        name: the name of the evaluator.
        options: see `add`.
    """
    return add(folder, name, scores, **options)


def add(
    folder,
    name,
    scores,
    *,
    kind="vqa",
    dataset="slake",
    split="validation",
    control="none",
    reference="yes",
    per_image=2,
    images_each=1,
    version=metrics.VERSION,
):
    """Adds an evaluator to an evaluation.

    Args:
        folder, name, scores: see `write`.
        kind, dataset, split, control: the fields of the entry.
        reference: the reference of all samples.
        per_image: the number of questions about each image.
        images_each: the number of images of each patient.
        version: the version of the metrics; 1 writes the records and the entry as version 1 did.
    """
    n = len(next(iter(scores.values())))
    records = [_record(i, reference, per_image, images_each, version) for i in range(n)]
    for i, record in enumerate(records):
        record["scores"] = {k: None if v[i] is None else float(v[i]) for k, v in scores.items()}
    sample_files.write(folder / "samples", name, records, {})
    images = [r["id"] if version < 2 else r["image"] for r in records]
    entry = {
        "type": kind, "dataset": dataset, "split": split, "control": control, "n": n,
        "intervals": summaries.intervals(records, images, resamples=200),
    }  # fmt: skip
    entry |= {"metrics_version": version} if version > 1 else {}
    path = folder / "summary.json"
    summary = json.loads(path.read_text()) if path.exists() else {"evals": {}}
    summary["checkpoint"] = folder.name
    summary["evals"][name] = entry
    path.write_text(json.dumps(summary))
    return folder


def _record(i, reference, per_image, images_each, version):
    image = i // per_image
    own = {"image": f"image-{image}", "subject": image // images_each} if version > 1 else {}
    return own | {
        "index": i, "id": f"image-{image}#{i % per_image}", "prompt": f"Question {i}?",
        "reference_text": reference, "lang": "en", "modality": "CT", "question_type": "open",
        "boxes": {"reference": [], "prediction": []},
    }  # fmt: skip


def draw(mean, n=400, seed=0):
    """Returns n random scores, 0 or 1, with about this mean."""
    return (np.random.default_rng(seed).random(n) < mean).astype(float)
