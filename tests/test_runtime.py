"""The compilation cache, the profiler, and the last words of one of several processes."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import runtime
from big_rad.datasets.phantom import builder
from big_rad.training import progress
from tests import tiny_run

ROOT = pathlib.Path(__file__).parents[1]
# A short run that tells how many programs it had to compile.
RUN = """
import json, sys
from jax import monitoring
missed = []
monitoring.register_event_listener(lambda name, **kw: missed.append(name) if "miss" in name else 0)
from big_rad import config as config_lib, train
config = config_lib.load("configs/demo.py:steps=2,limit=2,batch=2")
config.model.img.update(width=32, depth=1, mlp_dim=48, num_heads=2)
config.model.llm.update(width=32, depth=1, mlp_dim=48, num_heads=2, num_kv_heads=1, head_dim=16)
config.evals = {"yes_no": dict(config.evals.yes_no, max_new_tokens=2, batch_size=2)}
config.summary = {}
data, workdir, config.compilation_cache, profile = sys.argv[1:]
train.train(config, workdir, data, log=lambda line: None, profile=profile)
print(json.dumps(len(missed)))
"""


def start(*args):
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    env["PYTHONPATH"] = tiny_run.PATH
    command = [sys.executable, "-c", RUN, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_second_start_compiles_nothing_and_steps_asked_for_are_traced(tmp_path):
    builder.build("demo", tmp_path / "data", workers=1, train=8, validation=2, test=2)
    first = start(tmp_path / "data", tmp_path / "one", tmp_path / "cache", "2:3")
    second = start(tmp_path / "data", tmp_path / "two", tmp_path / "cache", "")
    assert first > 10 and second == 0
    traces = list((tmp_path / "one" / "profile").rglob("perfetto_trace.json.gz"))
    assert len(traces) == 1 and not (tmp_path / "two" / "profile").exists()


@pytest.mark.parametrize("window", ["3", "3:3", "a:b", "5:2", ":4", "-1:4"])
def test_a_window_that_is_none_is_refused_with_an_example(window, tmp_path):
    with pytest.raises(ValueError, match="START:STOP, such as 20:23"):
        progress.Profiler(window, tmp_path)


def test_the_trace_holds_the_steps_of_the_window_and_waits_for_the_last(tmp_path, monkeypatch):
    said, state = [], jnp.ones(3)
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *a, **kw: said.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: said.append("stop"))
    monkeypatch.setattr(
        jax, "block_until_ready", lambda x: said.append("wait" if x is state else "nothing")
    )
    profiler = progress.Profiler("2:4", tmp_path)
    for number in range(1, 6):
        with profiler.step(number, state):
            said.append(number)
    profiler.close()
    assert said == [1, "wait", "start", 2, 3, "wait", "stop", 4, 5]


def test_a_trace_that_the_end_of_the_run_cuts_short_is_written(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *a, **kw: said.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: said.append("stop"))
    profiler = progress.Profiler("2:9", tmp_path)
    for number in (1, 2):
        profiler.step(number)
    profiler.close()
    assert said == ["start", "stop"]


def test_a_cache_that_is_set_already_stays(tmp_path, monkeypatch):
    updates = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: updates.append((name, value)))
    monkeypatch.setattr(type(jax.config), "jax_compilation_cache_dir", "mine", raising=False)
    runtime.use_compilation_cache(str(tmp_path))
    assert not updates
    monkeypatch.setattr(type(jax.config), "jax_compilation_cache_dir", None, raising=False)
    runtime.use_compilation_cache("")
    assert not updates
    runtime.use_compilation_cache("~/cache")
    assert ("jax_compilation_cache_dir", str(pathlib.Path("~/cache").expanduser())) in updates


def test_rates_are_of_the_time_since_the_last_line_and_leave_padding_and_evaluations_out(
    monkeypatch,
):
    clock = [0.0]
    monkeypatch.setattr(runtime.time, "monotonic", lambda: clock[0])
    progress = progress.Progress(0, 10, batch_size=4, log=lambda line: None)
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


def test_the_time_that_is_left_leaves_compiling_out_and_is_told_after_a_few_steps(monkeypatch):
    clock, said = [0.0], []
    monkeypatch.setattr(runtime.time, "monotonic", lambda: clock[0])
    progress = progress.Progress(0, 63, batch_size=4, log=said.append)

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
    clock[0] += 60.0  # The wait for data counts, and for a checkpoint.
    step(60.0)
    assert left(4) == "78.7 min"  # 59 steps, as the three so far: 4 min in 3 steps.
    step(500.0, length=16)  # Another length of rows compiles again.
    assert left(5) == "77.3 min"
    clock[0] += 5000.0
    progress.restart(5)  # An evaluation.
    for _ in range(4):
        step(30.0)
    assert left(9) == "27.0 min"  # 54 steps, as the four since the last line.


@pytest.mark.parametrize(
    "end, spoken_for",
    [
        ("os.kill(os.getpid(), 9)", True),
        ("runtime.end_processes()", False),
        ("runtime.leave(3)", False),
    ],
)
def test_a_process_that_ends_without_a_word_has_it_said_what_to_do(end, spoken_for):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        here = f"127.0.0.1:{s.getsockname()[1]}"
    code = f"import os; from big_rad import runtime; runtime.start_processes({here!r}, 1, 0); {end}"
    # Done once the pipe is closed, also by whoever speaks for the process.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: process")]
    assert len(said) == spoken_for
    assert not spoken_for or "was killed" in said[0] and said[0].endswith(runtime.START_AGAIN)


def test_a_lost_process_is_told_from_a_failure_of_ones_own(capsys):
    gone = jax.errors.JaxRuntimeError("UNKNOWN: Gloo failed: Connection closed by peer\nmore")
    said = runtime.failure(gone)
    assert said.startswith("error: process cannot go on, as when another one is lost (UNKNOWN: ")
    assert said.endswith(f": Connection closed by peer). {runtime.START_AGAIN}")
    assert not capsys.readouterr().err
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
    for error in (full, KeyError("x")):
        assert runtime.failure(error).startswith("error: process failed (")
        assert type(error).__name__ in capsys.readouterr().err  # the traceback
