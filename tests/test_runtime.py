"""The compilation cache, and the last message of a process that joined others."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import pytest

from big_rad import runtime
from big_rad.datasets.phantom import builder
from tests.helpers import tiny_run

ROOT = pathlib.Path(__file__).parents[1]
# A short run that prints how many programs it had to compile.
RUN = """
import json, sys
from jax import monitoring
missed = []
monitoring.register_event_listener(lambda name, **kw: missed.append(name) if "miss" in name else 0)
from big_rad import train; from big_rad.config import recipes as config_lib
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
    # `run` returns when the pipe is closed, also by the process that reports for a killed one.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: process")]
    assert len(said) == spoken_for
    assert not spoken_for or "was killed" in said[0] and said[0].endswith(runtime.START_AGAIN)


def test_a_lost_process_and_a_failure_of_the_process_itself_are_distinguished(capsys):
    gone = jax.errors.JaxRuntimeError("UNKNOWN: Gloo failed: Connection closed by peer\nmore")
    said = runtime.failure(gone)
    assert said.startswith("error: process cannot go on, as when another one is lost (UNKNOWN: ")
    assert said.endswith(f": Connection closed by peer). {runtime.START_AGAIN}")
    assert not capsys.readouterr().err
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
    for error in (full, KeyError("x")):
        assert runtime.failure(error).startswith("error: process failed (")
        assert type(error).__name__ in capsys.readouterr().err  # the traceback
