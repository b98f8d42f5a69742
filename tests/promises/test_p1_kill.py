"""P1: kill -9 at any moment of training or saving; the next start resumes, and ends the same.

CI kills twice; `make prove` sets BIG_RAD_KILLS for the full matrix.
"""

import os
import pathlib
import random
import re
import signal
import threading
import time

import pytest

from tests.helpers import tiny_run

KILLS = int(os.environ.get("BIG_RAD_KILLS", "2"))
STEPS = 7 + 3 * KILLS
OPTIONS = (
    "--config.log_training_steps=1",
    "--config.ckpt_steps=2",
    "--config.evals.yes_no.every=7",
)


@pytest.fixture(scope="module")
def undisturbed(finished):
    return finished(*OPTIONS, arg=f"steps={STEPS}")


def is_saving(workdir):
    folder = pathlib.Path(workdir) / "checkpoints"
    return folder.exists() and any("tmp" in p.name for p in folder.iterdir())


def kill_once(command, workdir, rng, in_save):
    """Starts a run and kills it.

    Returns:
        The step that it resumed from, whether it was saving, and whether it had already ended.
    """
    process = tiny_run.start(command)
    said = []
    reader = threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")))
    reader.start()
    wanted, end = rng.randint(1, 5), time.monotonic() + 240
    while process.poll() is None and time.monotonic() < end:
        trained = sum(bool(re.match(r"step \d+/", line)) for line in list(said))
        if trained >= wanted and (not in_save or is_saving(workdir)):
            time.sleep(rng.uniform(0, 0.005 if in_save else 0.2))
            break
        time.sleep(0.0005)
    saving = is_saving(workdir)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reader.join()
    text = "".join(said)
    assert "Traceback" not in text, text[-3000:]
    resumed = re.search(r"resumed from .*, step (\d+)", text)
    return int(resumed[1]) if resumed else 0, saving, process.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(600 + 120 * KILLS)  # For two shared CPU cores.
def test_a_run_killed_again_and_again_ends_bit_for_bit_as_the_undisturbed_one(
    data, undisturbed, tmp_path
):
    rng = random.Random(0)
    command = tiny_run.command(data, tmp_path, *OPTIONS, arg=f"steps={STEPS}")
    kills, in_saves = 0, 0
    while kills < KILLS:
        whole = tiny_run.steps(tmp_path)
        resumed, saving, ended = kill_once(command, tmp_path, rng, in_save=kills % 2 == 0)
        assert resumed == (whole[-1] if whole else 0)
        assert not ended, "the run is too short for so many kills"
        kills, in_saves = kills + 1, in_saves + saving
        assert tiny_run.steps(tmp_path)[-1:] >= whole[-1:]  # No complete checkpoint was lost.
    done = tiny_run.run(command)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "damaged").exists()
    tiny_run.assert_same(tmp_path, undisturbed)
    print(f"{kills} kills, {in_saves} of them while a checkpoint was written")
    assert in_saves
