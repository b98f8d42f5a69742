"""A batch depends only on config, seed and number, not on processes, threads or the first batch.

CI compares 150 batches, which are five passes over the data; `make prove` sets BIG_RAD_BATCHES.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from big_rad import input_pipeline
from big_rad.datasets.phantom import builder
from configs import radgrounder_det

BATCHES = int(os.environ.get("BIG_RAD_BATCHES", "150"))
ROOT = pathlib.Path(__file__).parents[1]
SIZE = 28


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builder.build("demo", folder, workers=1, train=60, validation=2, test=2, size=56)
    return str(folder)


def open_input(data_dir, *, num_threads=0, num_workers=0, start=0, seed=5):
    config = radgrounder_det.get_config(f"variant=tiny,data=phantom,size={SIZE}")
    config.input.phantom.pp = config.input.phantom.pp.replace("load|", "load|augment(shift=3)|")
    config.input.batch_size = 2
    config.input.prefetch = 8
    config.input.buckets, config.input.bucket_window = (40, 80, 120), 8
    config.input.num_threads, config.input.num_workers = num_threads, num_workers
    iterator = input_pipeline.make_train(config, seed, data_dir).iterator
    iterator.set_state({"next_index": start})
    return iterator


def digest(batch):
    made = hashlib.sha256()
    for key in sorted(batch):
        value = batch[key]
        made.update(key.encode())
        made.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return made.hexdigest()


def digests(iterator, n):
    found = [digest(next(iterator)) for _ in range(n)]
    iterator.close()
    return found


@pytest.fixture(scope="module")
def wanted(data_dir):
    return digests(open_input(data_dir), BATCHES)


def test_batches_differ_from_each_other_and_from_another_seed(data_dir, wanted):
    assert len(set(wanted)) == BATCHES
    assert not set(digests(open_input(data_dir, seed=6), 20)) & set(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["num_threads", "num_workers"])
@pytest.mark.parametrize("count", [1, 4])
def test_threads_and_processes_make_the_same_batches(data_dir, wanted, how, count):
    assert digests(open_input(data_dir, **{how: count}), BATCHES) == wanted


@pytest.mark.parametrize("start", [1, 7, 8, BATCHES // 2, BATCHES - 7])
def test_a_fresh_process_goes_on_bit_for_bit_wherever_the_last_stopped(data_dir, wanted, start):
    count = min(12, BATCHES - start)
    done = subprocess.run(
        [sys.executable, __file__, data_dir, str(start), str(count)],
        capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == wanted[start : start + count]


def test_stopping_after_any_batch_and_going_on_gives_the_rest(data_dir, wanted):
    iterator = open_input(data_dir, num_threads=2)
    for start in range(30):
        next(iterator)
        state = json.loads(json.dumps(iterator.get_state()))
        resumed = open_input(data_dir)
        resumed.set_state(state)
        assert digests(resumed, 2) == wanted[start + 1 : start + 3]
    iterator.close()


if __name__ == "__main__":
    where, first, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(digests(open_input(where, start=first, num_threads=2), number)))
