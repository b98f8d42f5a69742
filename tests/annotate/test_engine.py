"""Tests what an interruption from the keyboard does to a run with several processes."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from tests.helpers import processes, small_studies

SLOW = "--config.scrubber=tests.helpers.slow_scrubber:find"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return small_studies.write(tmp_path_factory.mktemp("source"), 8)


def children(number):
    """Returns the child processes of a process."""
    try:
        return list(
            map(int, pathlib.Path(f"/proc/{number}/task/{number}/children").read_text().split())
        )
    except FileNotFoundError:
        return []


@pytest.mark.parametrize("when", ["as workers start", "soon after", "at work"])
def test_an_interruption_is_one_line_and_leaves_no_process(source, tmp_path, when):
    out = tmp_path / "out"
    command = small_studies.command(source, out, "--config.workers=2", SLOW)
    env = os.environ | {"PYTHONPATH": str(small_studies.ROOT)}
    process = subprocess.Popen(
        command, cwd=small_studies.ROOT, env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    made = out / "stage" / "items"
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        started = len(children(process.pid)) > 1
        if started if when != "at work" else any(made.glob("*/*/items.jsonl")):
            break
        time.sleep(0.002)
    time.sleep(0.3 if when == "soon after" else 0)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # As the terminal does it.
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, (said, errors)
    lines = [line for line in errors.splitlines() if not line.startswith("annotate: ")]  # Progress.
    assert lines == ["interrupted; the same command goes on from there"]
    assert workers and processes.all_gone(workers)
    assert not (out / "dataset").exists()
