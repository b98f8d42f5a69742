import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from big_rad.annotate.segment import process
from tests.helpers import processes

ROOT = pathlib.Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
# Starts a child, notes the numbers of both, and waits.
LONG = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
pathlib.Path("part").write_text(f"[{os.getpid()}, {child.pid}]")
os.rename("part", "numbers")
time.sleep(60)
"""
CALL = """
import sys, pathlib
sys.path.insert(0, {root!r})
from big_rad.annotate.segment import process
folder = pathlib.Path({folder!r})
process.run([sys.executable, "-c", {code!r}], env={{}}, timeout_s=60, folder=folder)
"""


def run(code, folder, timeout_s=20.0):
    command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]
    return process.run(
        command, env={"PATH": os.environ["PATH"]}, timeout_s=timeout_s, folder=folder
    )


def numbers(folder, seconds=10.0):
    until = time.monotonic() + seconds
    while not (folder / "numbers").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    return json.loads((folder / "numbers").read_text())


def test_exit_codes_signals_and_the_last_output_are_returned(tmp_path):
    ended = run("print('x' * 100_000); print('the end'); raise SystemExit(7)", tmp_path)
    assert (ended.code, ended.timed_out) == (7, False)
    assert ended.output.endswith(b"the end\n") and len(ended.output) < 40_000
    assert run("import os; os.kill(os.getpid(), 15)", tmp_path).code == -15
    assert run("pass", tmp_path).code == 0
    assert "the end" not in repr(ended)


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path):
    ended = run(LONG, tmp_path, timeout_s=1.0)
    assert ended.timed_out and ended.code == -signal.SIGKILL
    assert processes.all_gone(numbers(tmp_path))


def test_children_that_a_program_leaves_behind_are_killed(tmp_path):
    assert run(LONG.rpartition("time.sleep")[0], tmp_path).code == 0
    assert processes.all_gone(numbers(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_process_that_called(tmp_path, number):
    call = CALL.format(root=str(ROOT), code=LONG, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.DEVNULL) as caller:
        started = numbers(tmp_path)
        caller.send_signal(number)
        caller.wait(10)
    assert processes.all_gone(started)


def test_a_program_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(OSError, match="could not be started"):
        process.run(["/nowhere/program"], env={}, timeout_s=5, folder=tmp_path)
