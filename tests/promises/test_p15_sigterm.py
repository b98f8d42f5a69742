"""P15: SIGTERM (and SIGINT) write a checkpoint before exit, which is 0 and names the step."""

import re
import signal

import pytest

from tests.helpers import tiny_run


def stop_at(line, number, command):
    """Runs a command, sends it a signal when a printed line begins with `line`, and waits.

    Returns:
        The exit code and the output.
    """
    process = tiny_run.start(command)
    said = []
    for text in process.stdout:
        said.append(text)
        if text.startswith(line) and process.poll() is None:
            process.send_signal(number)
    return process.wait(), "".join(said)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_step_is_finished_saved_and_named_and_the_exit_code_is_0(data, tmp_path, number):
    command = tiny_run.command(
        data, tmp_path, "--config.log_training_steps=1", "--config.ckpt_steps=1000", arg="steps=400"
    )
    code, said = stop_at("step 3/", number, command)
    assert code == 0, said[-3000:]
    step = int(re.search(r"stopped after step (\d+), which is saved", said)[1])
    assert 3 <= step < 400
    assert tiny_run.steps(tmp_path) == [step]
    assert tiny_run.lines(tmp_path)[-1]["step"] == step


@pytest.mark.slow
def test_an_evaluation_is_broken_off_and_done_at_the_next_start(data, finished, tmp_path):
    code, said = stop_at("training done", signal.SIGTERM, tiny_run.command(data, tmp_path))
    assert code == 0 and "stopped after step 6, which is saved" in said
    assert not (tmp_path / "summary.json").exists()
    assert tiny_run.run(tiny_run.command(data, tmp_path)).returncode == 0
    tiny_run.assert_same(finished(), tmp_path)
