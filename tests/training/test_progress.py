"""Lines of progress with rates and the time that is left, and traces of steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.training import progress as progress_lib


@pytest.mark.parametrize("window", ["3", "3:3", "a:b", "5:2", ":4", "-1:4"])
def test_a_window_that_is_none_is_refused_with_an_example(window, tmp_path):
    with pytest.raises(ValueError, match="START:STOP, such as 20:23"):
        progress_lib.Profiler(window, tmp_path)


def test_the_trace_holds_the_steps_of_the_window_and_waits_for_the_last(tmp_path, monkeypatch):
    said, state = [], jnp.ones(3)
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *a, **kw: said.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: said.append("stop"))
    monkeypatch.setattr(
        jax, "block_until_ready", lambda x: said.append("wait" if x is state else "nothing")
    )
    profiler = progress_lib.Profiler("2:4", tmp_path)
    for number in range(1, 6):
        with profiler.step(number, state):
            said.append(number)
    profiler.close()
    assert said == [1, "wait", "start", 2, 3, "wait", "stop", 4, 5]


def test_a_trace_that_the_end_of_the_run_cuts_short_is_written(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *a, **kw: said.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: said.append("stop"))
    profiler = progress_lib.Profiler("2:9", tmp_path)
    for number in (1, 2):
        profiler.step(number)
    profiler.close()
    assert said == ["start", "stop"]


def test_rates_are_of_the_time_since_the_last_line_and_leave_padding_and_evaluations_out(
    monkeypatch,
):
    clock = [0.0]
    monkeypatch.setattr(progress_lib.time, "monotonic", lambda: clock[0])
    progress = progress_lib.Progress(0, 10, batch_size=4, log=lambda line: None)
    text = np.array([[2, 5, 6, 1, 0], [2, 7, 1, 0, 0]])
    batch = {"text": text, "mask_loss": np.array([[0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])}

    def rates(step):
        values = progress.line(step, {"training_loss": 1.0, "l2_grads": 1.0})
        names = ("examples", "tokens", "targets")
        return tuple(values.pop(f"{n}_per_second") for n in names), values

    progress.saw(batch)
    progress.saw(batch)
    clock[0] = 2.0
    assert rates(2) == ((4.0, 7.0, 4.0), {})
    progress.saw(batch)
    clock[0] = 50.0  # An evaluation.
    progress.restart(3)
    progress.saw({"image": text})  # A model without text.
    clock[0] = 54.0
    assert rates(4) == ((1.0, 0.0, 0.0), {})


@pytest.mark.parametrize(
    "values, said",
    [
        ({"token_accuracy": 0.25}, "0.250"),
        ({"text_accuracy": 0.5}, "0.500"),
        ({}, "nan"),
    ],
)
def test_the_accuracy_of_a_line_is_that_of_tokens_or_of_pairs(values, said):
    lines = []
    progress = progress_lib.Progress(0, 10, batch_size=4, log=lines.append)
    progress.line(2, {"training_loss": 1.0, "l2_grads": 1.0, **values})
    assert f"acc {said} " in lines[0]


def test_the_time_left_is_shown_after_a_few_steps_and_does_not_count_compilation(monkeypatch):
    clock, said = [0.0], []
    monkeypatch.setattr(progress_lib.time, "monotonic", lambda: clock[0])
    progress = progress_lib.Progress(0, 63, batch_size=4, log=said.append)

    def step(seconds, length=8):
        progress.saw({"text": np.ones((4, length), np.int32)})
        clock[0] += seconds

    def left(step):
        progress.line(step, {"training_loss": 1.0, "l2_grads": 1.0})
        return said[-1].partition("ETA ")[2]

    step(300.0)  # It compiles.
    assert left(1) == "in a few steps"
    step(60.0)
    step(60.0)
    assert left(3) == "in a few steps"
    clock[0] += 60.0  # Waiting for data or for a checkpoint is part of the time of a step.
    step(60.0)
    assert left(4) == "78.7 min"  # 59 steps are left; the three timed steps took 4 min.
    step(500.0, length=16)  # Another length of rows compiles again.
    assert left(5) == "77.3 min"
    clock[0] += 5000.0
    progress.restart(5)  # An evaluation.
    for _ in range(4):
        step(30.0)
    assert left(9) == "27.0 min"  # 54 steps are left; the four since the last line took 2 min.
