"""A run of a few seconds: a tiny model on phantom slices, in this process or in another one."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp

from big_rad.config import recipes as config_lib
from big_rad.datasets.phantom import builder
from big_rad.weights import orbax
from big_rad.workdir import run_dir
from configs import radgrounder_seg

ROOT = pathlib.Path(__file__).parents[2]
# The PYTHONPATH of the processes that are started.
PATH = os.pathsep.join((str(ROOT / "tests" / "without_torch"), str(ROOT)))
# Metrics of speed, which differ between two runs that are equal otherwise.
RATES = ("examples_per_second", "tokens_per_second", "targets_per_second")
UNSTABLE = (*RATES, "seconds")
CONFIG = """
from big_rad.config import recipes as config_lib
from configs import demo

def get_config(arg=None):
    a = config_lib.parse_arg(arg, steps=6, batch=4, evals=True)
    c = demo.get_config(f"steps={a.steps},limit=4,batch={a.batch}")
    c.model.img.update(width=32, depth=1, mlp_dim=48, num_heads=2)
    c.model.llm.update(width=32, depth=1, mlp_dim=48, num_heads=2, num_kv_heads=1, head_dim=16)
    c.log_training_steps = 2
    c.ckpt_steps = 3
    kept = {}
    for name in ("report", "report_blank", "report_shuffled", "yes_no"):
        every = 5 if name == "yes_no" else 0
        kept[name] = dict(c.evals[name], max_new_tokens=4, batch_size=4, every=every)
    c.evals = kept
    c.summary = {"g_iou": "report/g_iou", "yes_no": "yes_no/accuracy"}
    if not a.evals:
        c.evals, c.summary = {}, {}
    return c
"""


def build_data(folder):
    """Builds the slices, writes the config file `tiny.py` beside them, and returns the folder."""
    builder.build("demo", folder, workers=1, train=24, validation=2, test=6)
    (folder / "tiny.py").write_text(CONFIG, encoding="utf-8")
    return folder


def config(folder, arg="", **overrides):
    """Returns the config, with some fields replaced."""
    c = config_lib.load(f"{folder / 'tiny.py'}:{arg}")
    c.update(overrides)
    return c


class Said(Exception):
    """The line that `until` waits for has come."""


def until(text, said):
    """Returns a log that adds its lines to `said`, and raises `Said` at a line with `text`."""

    def log(line):
        said.append(line)
        if text in line:
            raise Said(line)

    return log


def mask_checkpoint(folder):
    """Writes a checkpoint of a model with masks, with one tiny array, and returns its folder."""
    config = radgrounder_seg.get_config("variant=tiny,size=28,data=phantom")
    fields = json.loads(config_lib.to_json(config))
    orbax.save(folder, {"w": np.zeros(1, np.float32)}, fields)
    return folder


def command(folder, workdir, *args, arg="", config="tiny.py"):
    """Returns the command that trains with a config file of a folder."""
    return [
        sys.executable,
        "-m",
        "big_rad.train",
        f"--config={folder / config}:{arg}",
        f"--data_dir={folder}",
        f"--workdir={workdir}",
        *args,
    ]


def environment(devices=1):
    """Returns the environment of a training command, with this number of devices."""
    flags = os.environ.get("XLA_FLAGS", "")
    return os.environ | {
        "PYTHONPATH": PATH,
        "PYTHONUNBUFFERED": "1",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
    }


def start(command, devices=1, variables=None):
    """Starts a training command, with further variables of the environment. Its output and its
    errors are one stream of text."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment(devices) | (variables or {}),
    )


def run(command, devices=1, timeout=300):
    """Runs a training command to its end."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(devices),
        timeout=timeout,
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done


def lines(workdir):
    """Returns the lines of metrics.jsonl without the fields that depend on the speed of a run."""
    rows = run_dir.read_lines(pathlib.Path(workdir) / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in UNSTABLE} for row in rows]


def steps(workdir):
    """Returns the steps of the whole checkpoints."""
    folder = pathlib.Path(workdir) / "checkpoints"
    names = [p.name for p in folder.iterdir()] if folder.exists() else []
    return sorted(int(n) for n in names if n.isdigit())


def state(workdir):
    """Returns the state and the data position of the newest checkpoint, read without our code."""
    where = pathlib.Path(workdir).absolute() / "checkpoints" / str(steps(workdir)[-1])
    reader = ocp.PyTreeCheckpointer()
    # Read as numpy arrays, so that it does not matter on which devices it was written.
    as_numpy = jax.tree.map(
        lambda x: ocp.RestoreArgs(restore_type=np.ndarray),
        reader.metadata(where / "state").item_metadata.tree,
    )
    tree = reader.restore(where / "state", restore_args=as_numpy)
    data = json.loads((where / "data" / "metadata").read_text(encoding="utf-8"))
    return tree, data["position"]["iterator"], data["arrays"]


def named(tree):
    """Returns (name, array) of every leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path), x) for path, x in leaves]


def assert_same(a, b):
    """Asserts that two runs ended with equal parameters, optimizer, data position and metrics."""
    (ours, data, sums), (theirs, data2, sums2) = state(a), state(b)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert (data, sums) == (data2, sums2)
    assert lines(a) == lines(b)
