"""P3: a full or broken disk is an error that leaves the last checkpoint good."""

import subprocess
import sys

import pytest

from tests.helpers import failing_disk, tiny_run

# A script that trains with a disk that fails after step 4. The checkpoint of step 6 then cannot be
# written.
SCRIPT = """
import pathlib, sys, time
from big_rad import train
from tests.helpers import failing_disk

kind, workdir, run = sys.argv.pop(1), sys.argv.pop(1), train.train

def log(line):
    print(line, flush=True)
    if line.startswith("step 4/"):
        while not (pathlib.Path(workdir) / "checkpoints/3").exists():
            time.sleep(0.01)
        failing_disk.start(kind)

train.train = lambda *args, **kw: run(*args, **{**kw, "log": log})
train.main()
"""
ARG = "evals=False"


@pytest.fixture(scope="module")
def undisturbed(finished):
    return finished(arg=ARG)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, said", [("full", "Free some space"), ("broken", "Look after the disk")]
)
def test_a_write_that_fails_is_one_error_and_the_run_goes_on_from_the_last_checkpoint(
    data, undisturbed, tmp_path, kind, said
):
    if not failing_disk.supported():
        pytest.skip("needs Linux on x86_64 or aarch64")
    command = tiny_run.command(data, tmp_path, arg=ARG)
    failing = [sys.executable, "-c", SCRIPT, kind, str(tmp_path), *command[3:]]
    done = subprocess.run(
        failing,
        capture_output=True,
        text=True,
        cwd=tiny_run.ROOT,
        env=tiny_run.environment(),
        timeout=300,
    )
    if "no seccomp filter" in done.stderr:
        pytest.skip("this machine allows no seccomp filter")
    assert done.returncode == 2, done.stderr[-3000:]
    (message,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    for part in ("the checkpoint of step 6 could not be written", "step 3", said):
        assert part in message
    assert tiny_run.steps(tmp_path) == [3]
    done = tiny_run.run(command)
    assert done.returncode == 0 and "step 3" in done.stdout
    assert not (tmp_path / "damaged").exists()
    tiny_run.assert_same(tmp_path, undisturbed)
