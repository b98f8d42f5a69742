"""Measures the memory and the time of loading a run and its export, and of one answer of each.

A run of random weights in bfloat16 is written and exported, and each of the two is loaded by
`RadGrounder.load` in a process of its own. The peak is that of the process on the host, so on a
GPU the figures are of little use. A run of the size 3b needs about 20 GB of memory and 15 GB of
disk.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np

from big_rad.config import recipes as config_lib
from big_rad.models import common
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import orbax, tensors
from tools import export
from tools.benchmarks import sizes

_STATUS = pathlib.Path("/proc/self/status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument("--size", choices=sorted(sizes.SIZES), default="300m")
    parser.add_argument("--task", choices=sizes.TASKS, default="det")
    parser.add_argument("--dtype", choices=("run", "bfloat16"), default="run")
    parser.add_argument("--dir", help="where the run and the export stay; default: removed")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Writes both, measures them in turn, prints a table and returns it."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(args.dir or folder)
        source, made = place / "run", place / "export"
        if not source.exists():
            write_run(source, args.size, args.task)
        if not made.exists():
            export.export(source, made, dtype=args.dtype)
        size = {p.name: _size(p) for p in (source / "checkpoints", made / "params")}
        found = {name: _child(path) for name, path in (("run", source), ("export", made))}
    stored = size["params"]
    print(f"{'':8s} {'GB':>7s} {'load':>8s} {'peak':>7s} {'answer':>8s} {'peak':>7s}")
    for (name, x), held in zip(found.items(), size.values(), strict=True):
        print(
            f"{name:8s} {held:7.2f} {x['load_seconds']:6.1f} s {x['load_peak']:7.2f} "
            f"{x['answer_seconds']:6.1f} s {x['answer_peak']:7.2f}"
        )
    result = found | dict(
        load_over_file=(found["export"]["load_peak"] - found["export"]["start"]) / stored,
        answer_below_run=1 - found["export"]["answer_peak"] / found["run"]["answer_peak"],
    )
    print(
        f"loading the export takes {result['load_over_file']:.2f} times the file, beside the "
        f"{found['export']['start']:.2f} GB of the process before; its answer peaks "
        f"{result['answer_below_run']:.0%} below that of the run"
    )
    return result


def write_run(workdir: pathlib.Path, size: str, task: str) -> None:
    """Writes a run of random weights in bfloat16.

    Args:
        workdir: the run directory.
        size: a name in `sizes.SIZES`.
        task: one of `sizes.TASKS`.
    """
    tokenizer = tokenizers.load("tiny")
    rows = max(tokenizer.padded_vocab_size, sizes.SIZES[size]["llm"]["vocab_size"])
    config = sizes.make_config(size, task, overrides={"model.llm.vocab_size": rows})
    config.tokenizer.path = "tiny"
    model, side = sizes.model(config), config.image.size
    image, text = np.zeros((1, side, side, 3), np.float32), np.ones((1, 4), np.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, text, 0 * text)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: _drawn(rng, x), shapes)
    orbax.save(workdir, params, json.loads(config_lib.to_json(config)), tokenizer)


def _drawn(rng: np.random.Generator, like: common.ArrayInfo) -> np.ndarray:
    out = np.empty(like.shape, tensors.BFLOAT16)
    for part in out if out.ndim > 1 else [out]:  # Without a float32 copy of the whole.
        part[...] = 0.02 * rng.standard_normal(part.shape, np.float32)
    return out


def _child(path: pathlib.Path) -> dict[str, float]:
    command = [sys.executable, "-m", f"{__package__}.exports", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def _measure(path: str) -> dict[str, float]:
    # Runs in a process of its own.
    from big_rad.predict import RadGrounder

    found = dict(start=_peak())
    start = time.monotonic()
    model = RadGrounder.load(path, compilation_cache="")
    found |= dict(load_seconds=time.monotonic() - start, load_peak=_peak())
    start = time.monotonic()
    image = np.full((64, 64, 3), 100, np.uint8)
    model.report(image, ground="none", constrained=False, max_new_tokens=8)
    return found | dict(answer_seconds=time.monotonic() - start, answer_peak=_peak())


def _size(folder: pathlib.Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e9


def _peak() -> float:
    # Not that of `resource.getrusage`, which counts the process that started this one.
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1])))
