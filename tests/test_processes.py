"""Several processes on loopback, each with its devices and its part of the data.

The optimizer is Adafactor, as in the recipes, with a learning rate for a model of this size. The
bias of the image tower's keys is frozen: it adds the same number to all logits of a query, so it
changes no softmax, and its gradient is only rounding error. An optimizer that normalises gradients
would turn this error into full steps.
"""

import json
import re
import shutil
import signal
import socket
import threading

import numpy as np
import pytest

from tests.helpers import tiny_run

STEPS = 12
BATCH = 4
# A recipe that writes down each row that a process makes, with its id and the key of its random
# numbers. Each row takes some time, so that a signal arrives in the middle of a run.
CONFIG = """
import json, os, pathlib, time
import jax
from big_rad.config import recipes as config_lib
from big_rad.pp import ops

@ops.OPS.register("noted")
def get_noted():
    def _noted(example):
        time.sleep(float(os.environ["SECONDS_A_ROW"]))
        key = example["rng"].bit_generator.state["state"]["key"].tolist()
        with (pathlib.Path(os.environ["NOTES"]) / f"{jax.process_index()}.rows").open("a") as file:
            print(json.dumps([example["id"], *key]), file=file)
        return example
    return _noted

def get_config(arg=None):
    a = config_lib.parse_arg(arg, evals=False)
    c = config_lib.load(f"{pathlib.Path(__file__).parent}/tiny.py:steps=STEPS,batch=BATCH")
    c.optimizer, c.optimizer_args, c.lr = "adafactor", dict(min_dim_size_to_factor=16), 1e-3
    c.schedule = (("img/.*/key/bias", None), *c.schedule)
    spec = c.input.phantom
    spec.pp = spec.pp.replace("|keep", "|noted|keep")
    c.input.num_threads = 0  # Rows are made when they are needed, and not before.
    c.log_training_steps, c.ckpt_steps = 1, 2
    if not a.evals:
        c.evals, c.summary = {}, {}
    else:
        c.evals = {k: dict(c.evals[k], every=6) for k in ("report", "yes_no")}
    return c
""".replace("STEPS", str(STEPS)).replace("BATCH", str(BATCH))


class Run:
    """Processes that train together, with their outputs, which are read as they come.

    Args:
        data: the folder of the data, whose config is used.
        workdir: the run directory, in which the rows are noted as well.
        processes, devices: the number of processes, and the number of devices of each.
        options: further words of the command line.
        seconds: the time that each row takes.
        evals: whether to evaluate at step 6 and at the end.
    """

    def __init__(self, data, workdir, processes, devices, *options, seconds=0.0, evals=False):
        workdir.mkdir(exist_ok=True)
        command = tiny_run.command(
            data, workdir, *options, arg=f"evals={evals}", config="processes.py"
        )
        noted = {"NOTES": str(workdir), "SECONDS_A_ROW": str(seconds)}
        joined = [[]]
        if processes > 1:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                together = (f"--coordinator=127.0.0.1:{s.getsockname()[1]}", "--processes=2")
            joined = [[*together, f"--process={i}"] for i in range(processes)]
        self.said = [""] * processes
        self._line = threading.Condition()
        self._processes = [tiny_run.start([*command, *j], devices, noted) for j in joined]
        self._readers = [threading.Thread(target=self._read, args=(i,)) for i in range(processes)]
        for reader in self._readers:
            reader.start()

    def wait_for(self, reached):
        """Waits until `reached(output of the first process)` is true."""
        with self._line:
            assert self._line.wait_for(lambda: reached(self.said[0]) or self._gone(), 300)
        assert reached(self.said[0]), self.said

    def send(self, process, number):
        """Sends a signal to a process that must be running."""
        assert self._processes[process].poll() is None, self.said
        self._processes[process].send_signal(number)

    def ends(self, timeout=300):
        """Waits for the end of all processes and returns their exit codes."""
        codes = [p.wait(timeout) for p in self._processes]
        for reader in self._readers:
            reader.join(timeout)
        return codes

    def _gone(self):
        return all(p.poll() is not None for p in self._processes)

    def _read(self, i):
        for line in self._processes[i].stdout:
            with self._line:
                self.said[i] += line
                self._line.notify_all()
        with self._line:
            self._line.notify_all()


def last_step(said):
    return max((int(n) for n in re.findall(r"^step (\d+)/", said, re.M)), default=0)


def stopped_after(said):
    return int(re.search(r"stopped after step (\d+), which is saved", said)[1])


def resumed_from(said):
    found = re.search(r"resumed from .*, step (\d+)", said)
    return int(found[1]) if found else 0


def rows(workdir, process):
    """Returns the rows that a process made, in order."""
    path = workdir / f"{process}.rows"
    return path.read_text().splitlines() if path.exists() else []


def training_lines(workdir):
    return [line for line in tiny_run.lines(workdir) if "training_loss" in line]


def assert_equal_to_rounding(a, b):
    """Asserts that two runs have the same metrics and the same parameters, up to 1e-5."""
    ours, theirs = (tiny_run.state(d)[0]["params"] for d in (a, b))
    pairs = zip(*map(tiny_run.named, (ours, theirs)), strict=True)
    for (name, x), (_, y) in pairs:
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-5, err_msg=name)
    assert tiny_run.state(a)[1] == tiny_run.state(b)[1]  # The positions in the data are equal.
    assert_lines_equal_to_rounding(training_lines(a), training_lines(b))


def assert_lines_equal_to_rounding(lines, wanted):
    for line, want in zip(lines, wanted, strict=True):
        absent = [k for k, v in want.items() if v is None]  # Metrics without a finite value.
        assert [k for k, v in line.items() if v is None] == absent and line.keys() == want.keys()
        for name in want.keys() - set(absent):
            close = pytest.approx(want[name], rel=1e-5, abs=1e-5)
            assert line[name] == close, (want["step"], name)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tiny_run.build_data(tmp_path_factory.mktemp("data"))
    (folder / "processes.py").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """The directory of a run of one process with two devices."""
    workdir = tmp_path_factory.mktemp("alone")
    run = Run(data, workdir, 1, 2, evals=True)
    assert run.ends() == [0], run.said
    return workdir


@pytest.fixture(scope="module")
def together(data, tmp_path_factory):
    """An undisturbed run of two processes with one device each: (directory, their outputs)."""
    workdir = tmp_path_factory.mktemp("together")
    run = Run(data, workdir, 2, 1, evals=True)
    assert run.ends() == [0, 0], run.said
    return workdir, run.said


@pytest.mark.slow
def test_two_processes_train_and_evaluate_as_one_with_as_many_devices(alone, together):
    workdir, _ = together
    assert_equal_to_rounding(workdir, alone)
    # The initial parameters and the first batch are equal bit by bit.
    first, wanted = training_lines(workdir)[0], training_lines(alone)[0]
    assert first["training_loss"] == wanted["training_loss"]
    assert first["l2_grads"] == wanted["l2_grads"]
    evaluated = [
        [line for line in tiny_run.lines(d) if "training_loss" not in line]
        for d in (workdir, alone)
    ]
    assert [line["step"] for line in evaluated[0]] == [6, STEPS]
    assert_lines_equal_to_rounding(*evaluated)
    for name in ("report", "yes_no"):
        ours, theirs = (
            [json.loads(x)["prediction"] for x in (d / f"samples/{name}.jsonl").open()]
            for d in (workdir, alone)
        )
        assert ours == theirs and ours


@pytest.mark.slow
def test_of_two_processes_the_first_alone_reports_and_writes_once(together):
    workdir, said = together
    assert last_step(said[0]) == STEPS and "g_iou" in said[0]
    assert "step" not in said[1] and "error" not in "".join(said)
    steps = [line["step"] for line in training_lines(workdir)]
    assert steps == list(range(1, STEPS + 1))
    assert len(list((workdir / "tensorboard").iterdir())) == 1
    for name in ("config.json", "summary.json", "report.html"):
        assert (workdir / name).exists(), name


@pytest.mark.slow
def test_each_process_makes_only_its_own_rows_of_every_batch(alone, together):
    workdir, _ = together
    mine, yours, wanted = rows(workdir, 0), rows(workdir, 1), rows(alone, 0)
    each = BATCH // 2
    assert len(set(wanted)) == len(wanted) == STEPS * BATCH
    for step in range(STEPS):
        here = slice(step * each, (step + 1) * each)
        batch = wanted[step * BATCH : (step + 1) * BATCH]
        assert mine[here] + yours[here] == batch, step
    assert len(mine) == len(yours) == STEPS * each


@pytest.mark.slow
def test_whichever_process_is_killed_the_other_says_what_to_do_and_the_run_goes_on_bit_for_bit(
    data, together, tmp_path
):
    for victim, saved in ((1, 2), (0, 4)):
        run = Run(data, tmp_path, 2, 1, seconds=0.15)
        run.wait_for(lambda said: saved in tiny_run.steps(tmp_path))  # noqa: B023
        run.send(victim, signal.SIGKILL)
        # The other process notices a closed connection at once, and a silent host after 30 s.
        codes = run.ends(timeout=60)
        assert codes[victim] == -signal.SIGKILL and codes[1 - victim] != 0
        assert last_step(run.said[0]) < STEPS
        last = run.said[1 - victim].splitlines()[-1]
        assert last.startswith("error: process")
        assert last.endswith(
            "Start the same command again on every host; all go on from the last checkpoint."
        )
    run = Run(data, tmp_path, 2, 1)
    assert run.ends() == [0, 0], run.said
    assert resumed_from(run.said[0]) >= 4
    (ours, *position), (theirs, *wanted) = tiny_run.state(tmp_path), tiny_run.state(together[0])
    for (name, x), (_, y) in zip(tiny_run.named(ours), tiny_run.named(theirs), strict=True):
        np.testing.assert_array_equal(x, y, err_msg=name)
    assert position == wanted
    assert training_lines(tmp_path) == training_lines(together[0])


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
    """A run that one process with one device begins, and two processes continue until one of them
    receives SIGTERM.

    Returns the directory, the steps after which they stopped, and the outputs of the last two.
    """
    workdir, steps = tmp_path_factory.mktemp("stopped"), []
    # JAX looks for a signal once a second. A step of two processes takes a third of a second, so
    # that the run is not finished before the signal is noticed.
    for processes, seconds in ((1, 0.05), (2, 0.15)):
        run = Run(data, workdir, processes, 1, seconds=seconds)
        begun = steps[-1] if steps else 0
        run.wait_for(lambda said: last_step(said) >= begun + 2)  # noqa: B023
        run.send(processes - 1, signal.SIGTERM)
        assert run.ends() == [0] * processes, run.said
        steps.append(stopped_after(run.said[0]))
    return workdir, steps, run.said


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_stops_both_after_the_same_step_which_is_saved(stopped):
    workdir, (first, second), said = stopped
    assert "stopped" not in said[1] and "error" not in "".join(said)
    assert resumed_from(said[0]) == first and first + 2 <= second < STEPS
    assert tiny_run.steps(workdir)[-1] == second == training_lines(workdir)[-1]["step"]
    # No process made a row of a step that the other process did not train.
    assert len(rows(workdir, 1)) == (second - first) * BATCH // 2
    assert len(rows(workdir, 0)) == first * BATCH + (second - first) * BATCH // 2


@pytest.mark.slow
def test_a_run_of_two_processes_that_one_began_goes_on_in_one_as_if_nothing_had_changed(
    data, stopped, together, tmp_path
):
    workdir, (_, step), _ = stopped
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    run = Run(data, tmp_path, 1, 1)
    assert run.ends() == [0], run.said
    assert resumed_from(run.said[0]) == step
    assert_equal_to_rounding(tmp_path, together[0])
    # Each row was made exactly once, by any of the processes.
    made, wanted = (rows(d, 0) + rows(d, 1) for d in (tmp_path, together[0]))
    assert sorted(made) == sorted(wanted)


@pytest.mark.slow
def test_going_on_with_devices_that_do_not_divide_the_batch_is_an_error_that_names_the_field(
    data, together, tmp_path
):
    shutil.copytree(together[0], tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints" / str(STEPS))
    run = Run(data, tmp_path, 1, 3)
    assert run.ends() == [2]
    assert "error: config.input.batch_size: 4 rows do not divide over the 3 parts" in run.said[0]
    assert "use a multiple of 3, or another config.mesh" in run.said[0]
