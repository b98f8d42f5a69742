"""All that is worth knowing of one GPU, by one command: a list of the others, run one by one.

Each runs in a process of its own and writes its figures, and what it prints, into a folder; one
that fails is recorded, and the rest still run. Nothing here needs data. The comparisons with
transformers are only run where torch finds a GPU.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from tools.benchmarks import sizes

_SHAPE = "--size={size} --dtype={dtype} --batch={batch} --batches={batches} --tile=8192"
_TRAIN = _SHAPE + " --rounds={rounds} --no-data"
_DECODE = "decode --size={size} --dtype={dtype} --rounds={rounds} --no-data"
# Name -> arguments of `tools.bench`; what is in braces comes from the command line.
PLAN = {
    "hlo": f"hlo {_SHAPE} --no-compile",
    "memory": f"memory {_TRAIN}",
    "train_det": f"train --task=det {_TRAIN}",
    "train_seg": f"train --task=seg {_TRAIN}",
    "ladder": f"ladder {_TRAIN}",
    "decode": f"{_DECODE} --peer=none --batch=1,128",
    # Products of one row as reductions are what a single row waits for: do they have to be?
    "decode_dots": f"{_DECODE} --peer=none --batch=1",
    # Logits at all 456 positions: the peer has no room for more rows beside our state.
    "train_hf": f"train --task=det --peer=hf {_TRAIN} --batch=12",
    "decode_hf": f"{_DECODE} --peer=hf --batch=1,8,32",
}
_NEED_PEER = ("train_hf", "decode_hf")
# Two frameworks share the device there, so JAX leaves part of it.
_SHARED = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"}
_ENVIRONMENT = {
    "decode_dots": {"XLA_FLAGS": "--xla_gpu_enable_dot_strength_reduction=false"},
    **dict.fromkeys(_NEED_PEER, _SHARED),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("bench"), help="a folder")
    parser.add_argument("--size", choices=sizes.SIZES, default="3b")
    parser.add_argument("--dtype", choices=sizes.DTYPES, default="bfloat16")
    parser.add_argument("--batch", type=int, default=48, help="rows of a step")
    parser.add_argument("--batches", type=int, default=8, help="steps of a round")
    parser.add_argument("--only", help=f"some of {','.join(PLAN)}")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for each, at most")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Runs the plan and returns, for each command, how it ended and how long it took."""
    wanted = args.only.split(",") if args.only else list(PLAN)
    unknown = [name for name in wanted if name not in PLAN]
    if unknown:
        sys.exit(f"python -m tools.bench gpu: no {', '.join(unknown)}; there are {', '.join(PLAN)}")
    args.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {}
    for name in wanted:
        if name in _NEED_PEER and not _peer_has_gpu():
            result[name] = {"ended": "skipped: no torch that finds a GPU"}
        else:
            result[name] = _run_one(name, args)
        print(f"{name:12s} {result[name].get('seconds', 0):7.1f} s  {result[name]['ended']}")
        (args.out / "summary.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _run_one(name: str, args: argparse.Namespace) -> dict[str, Any]:
    command = PLAN[name].format(**vars(args)).split()
    figures, printed = args.out / f"{name}.json", args.out / f"{name}.txt"
    figures.unlink(missing_ok=True)
    start = time.perf_counter()
    with printed.open("w", encoding="utf-8") as file:
        try:
            code = subprocess.run(
                [sys.executable, "-m", "tools.bench", *command, f"--json={figures}"],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | _ENVIRONMENT.get(name, {}),
                timeout=args.timeout,
                check=False,
            ).returncode
            ended = "ok" if code == 0 else f"failed with {code}, see {printed.name}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {args.timeout} s"
    return {"ended": ended, "seconds": round(time.perf_counter() - start, 1), "command": command}


def _peer_has_gpu() -> bool:
    if not all(importlib.util.find_spec(name) for name in ("torch", "transformers")):
        return False
    import torch

    return torch.cuda.is_available()
