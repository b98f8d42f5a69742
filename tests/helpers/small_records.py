"""A small dataset that tests build: the jobs, and functions that make their records."""

import os
import pickle
import signal

import numpy as np

from big_rad.datasets import build as build_lib
from big_rad.datasets import records

SPLITS = {"train": list(range(12)), "test": list(range(100, 103))}


def make(job):
    """Two records a job; job 5 has a bad item, job 7 a record of two images."""
    if job == 5:
        yield records.Problem("data.jsonl", 6, "image", "is missing")
        return
    for k in range(2):
        rng = np.random.default_rng([job, k])
        images = [
            records.make_image_record(
                f"{job}-{k}-{i}",
                "CT",
                rng.integers(-1000, 1000, (5, 4 + i)).astype(np.int16),
                plane="axial",
                segmap=rng.integers(0, 121, (5, 4 + i)) if k else None,
                boxes=[[0, 1, 2, 3, 5]] if k else [],
                texts=[{"task": "report", "lang": "de", "sentence": "Größe ½"}],
            )
            for i in range(2 if job == 7 else 1)
        ]
        yield records.make_record(f"{job}-{k}", f"p{job}", images)


def doubtful(job):
    """Records with a warning each; a warning leaves nothing out."""
    yield records.Problem("data.jsonl", job, "report", "stays plain", "warning")
    if job == 3:
        yield records.Problem("data.jsonl", job, "report", "looks odd", "warning")
    yield from make(job)


def nearly_all_bad(job):
    yield records.Problem("12/x.dcm.zst", None, "", f"item {job} is damaged")
    if job == 3:
        yield from make(job)


def same_id(job):
    yield records.make_record(
        "same", "p", [records.make_image_record("i", "CT", np.zeros((2, 2), np.int16))]
    )


def build(data_dir, make=make, splits=SPLITS, params=(("a", 1),), **kw):
    return build_lib.build(
        "things", version="1.0.0", description="Things.", splits=splits, make=make,
        params=dict(params), data_dir=data_dir, **{"workers": 1, **kw},
    )  # fmt: skip


def content(data_dir, split):
    source = records.open_split("things", "default", "1.0.0", split, data_dir, "build it")
    return {e["id"]: pickle.dumps(e) for e in source}


def fails(job):
    yield from make(job)
    if job == 7:
        raise RuntimeError("disk full")


def kills(job):
    yield from make(job)
    if job == 7:
        os.kill(os.getpid(), signal.SIGKILL)
