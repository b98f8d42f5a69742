"""Two processes on loopback, each with one device and its part of the data."""

import json
import shutil
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest

from big_rad import checkpoint
from tests import tiny_run

OPTIONS = ("--config.log_training_steps=1", "--config.ckpt_steps=2")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_run.build_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def one_process(data, tmp_path_factory):
    """One process with two devices: the same program."""
    workdir = tmp_path_factory.mktemp("one")
    done = tiny_run.run(tiny_run.command(data, workdir, *OPTIONS), devices=2)
    assert done.returncode == 0, done.stderr[-3000:]
    return workdir


def start(command, processes=2):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return [
        subprocess.Popen(
            [
                *command,
                f"--coordinator=127.0.0.1:{port}",
                f"--processes={processes}",
                f"--process={i}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tiny_run.ROOT,
            env=tiny_run.environment(),
        )
        for i in range(processes)
    ]


def finish(processes, timeout=400):
    outputs = [p.communicate(timeout=timeout) for p in processes]
    return [(p.returncode, *o) for p, o in zip(processes, outputs)]


def assert_close(a, b):
    ours, theirs = (checkpoint.load_params(d)[0] for d in (a, b))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), ours, theirs)
    rows, wanted = tiny_run.lines(a), tiny_run.lines(b)
    assert [r.keys() for r in rows] == [r.keys() for r in wanted]
    for row, want in zip(rows, wanted):
        for name, value in want.items():
            if value is not None:
                assert row[name] == pytest.approx(value, rel=1e-4, abs=1e-5), (row["step"], name)


@pytest.mark.slow
def test_two_processes_train_and_evaluate_as_one_and_either_goes_on_from_the_other(
    data, one_process, tmp_path
):
    command = tiny_run.command(data, tmp_path, *OPTIONS)
    ended = finish(start(command))
    for code, _, error in ended:
        assert code == 0, error[-3000:]
    assert "resumed" not in ended[0][1] and "step 1/" not in ended[1][1]  # The first tells all.
    assert_close(tmp_path, one_process)
    for name in ("summary.json", "report.html", "samples/report.jsonl", "config.json"):
        assert (tmp_path / name).exists(), name
    one, two = (
        [json.loads(x)["prediction"] for x in (d / "samples/report.jsonl").open()]
        for d in (one_process, tmp_path)
    )
    assert one == two
    # From step 4 on: written by two processes, gone on with by one, on another mesh.
    shutil.rmtree(tmp_path / "checkpoints/6")
    done = tiny_run.run(command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "step 4" in done.stdout
    assert_close(tmp_path, one_process)


@pytest.mark.slow
def test_when_one_process_dies_the_other_ends_with_a_message_and_both_go_on(
    data, one_process, tmp_path
):
    command = tiny_run.command(data, tmp_path, *OPTIONS)
    first, second = start(command)
    while not tiny_run.steps(tmp_path) and first.poll() is None:
        time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    began = time.monotonic()
    (code, _, error), _ = finish([first, second], timeout=200)
    print(f"noticed after {time.monotonic() - began:.1f} s")
    assert code not in (0, None)
    assert "Start the same command again on every host" in error
    ended = finish(start(command))
    for code, _, error in ended:
        assert code == 0, error[-3000:]
    assert "resumed from" in ended[0][1]
    assert_close(tmp_path, one_process)


@pytest.mark.slow
def test_sigterm_to_one_process_stops_all_at_the_same_step(data, tmp_path):
    command = tiny_run.command(
        data, tmp_path, "--config.log_training_steps=1", "--config.ckpt_steps=1000", arg="steps=500"
    )
    first, second = start(command)
    for line in first.stdout:
        if line.startswith("step 3/"):
            second.send_signal(signal.SIGTERM)
            break
    ended = finish([first, second])
    for code, _, error in ended:
        assert code == 0, error[-3000:]
    assert "which is saved; the same command goes on from there" in ended[0][1]
    (step,) = tiny_run.steps(tmp_path)
    assert 3 <= step < 500
