"""One prepared run on a GPU, within a budget of seconds, with the most important figures first.

The parts (see `gpu_parts`) run one after another, each in a process of its own, so that memory and
failures of one part do not touch the others. A part that no longer fits the budget is skipped. Its
time is predicted as its usual seconds, times the seconds of the parts so far over the usual seconds
of these parts. `OUT/gpu.json` is written after every part. A second call with the same `--out`
keeps the parts that ended well and goes on with the others. `--dry-run` runs every part at the
smallest size, also on a CPU.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax

from big_rad import files, runtime
from tools.benchmarks import gpu_decoding, gpu_parts, gpu_training

# The seconds that each part took on one H200 with 16 cores, compilation included. Another machine
# may be slower or faster: the times of the first parts of a run correct the later predictions.
PARTS = {
    "recipe": 245,
    "train_hf": 28,
    "decode_one": 51,
    "texts": 239,
    "queue": 52,
    "masks": 163,
}
_FUNCTIONS: dict[str, Callable[[gpu_parts.Settings, gpu_parts.Emit], None]] = {
    "recipe": gpu_training.recipe,
    "train_hf": gpu_training.train_hf,
    "decode_one": gpu_decoding.decode_one,
    "texts": gpu_training.texts,
    "queue": gpu_decoding.queue,
    "masks": gpu_training.masks,
}
_QUICK_COMPILATION = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
)
# JAX must not use the GPU in this part, so that the peer has it for itself.
_ENVIRONMENT = {"train_hf": {"JAX_PLATFORMS": "cpu"}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument("--seconds", type=float, default=500.0, help="budget of the whole run")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("bench"), help="a folder")
    parser.add_argument("--dry-run", action="store_true", help="tiny, to see that all parts run")
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--peak_tflops", type=float, help="of the device, if not in the table")
    parser.add_argument("--bandwidth_gbs", type=float, help="of the device, if not in the table")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # For child processes.


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Runs the parts and returns the content of `OUT/gpu.json`.

    Returns:
        `parts` has the `ended`, `seconds`, `packages` and `rows` (see `gpu_parts`) of each part, by
        its name. `device` is the name of the GPU. `dry_run` is True for a dry run.
    """
    settings = _settings(args)
    if args.dry_run:  # The figures do not count, so the programs need not be fast.
        os.environ.setdefault("XLA_FLAGS", _QUICK_COMPILATION)
    if args.part:
        return _part(args.part, settings, args.out)
    wanted = args.only.split(",") if args.only else list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(
            f"python -m tools.bench gpu: no {', '.join(unknown)}; there are {', '.join(PARTS)}"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    result = _before(args.out / "gpu.json", args.dry_run)
    kept = [n for n in wanted if result["parts"].get(n, {}).get("ended") == "ok"]
    if kept:
        print(f"kept from an earlier run, see {args.out / 'gpu.json'}: {', '.join(kept)}")

    def report(name: str, part: dict[str, Any]) -> None:
        device = part.pop("device", None)
        if name not in _ENVIRONMENT and device:  # In the others, JAX does not see the GPU.
            result["device"] = device
        result["parts"][name] = part
        files.write_whole(args.out / "gpu.json", json.dumps(result, indent=1))
        print(table(result), flush=True)

    left = [n for n in wanted if n not in kept]
    if args.dry_run:  # At once and, except for the peer, in this process: no figure counts.

        def start(name: str) -> dict[str, Any]:
            begin = time.monotonic()
            own = name in _ENVIRONMENT
            part = _child(name, args, None) if own else _part(name, settings, args.out)
            return part | {"seconds": round(time.monotonic() - begin, 1)}

        with concurrent.futures.ThreadPoolExecutor(1 + runtime.cores()) as pool:
            # The last parts take the longest at this size, so they start first.
            made = {name: pool.submit(start, name) for name in reversed(left)}
            for name in left:
                report(name, made[name].result())
    else:
        usual = {n: PARTS[n] for n in left}
        within_budget(usual, args.seconds, lambda n, rest: _child(n, args, rest), report)
    return result


def within_budget(
    usual: Mapping[str, float],
    seconds: float,
    start: Callable[[str, float], dict[str, Any]],
    report: Callable[[str, dict[str, Any]], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Runs parts in their order while they fit a budget.

    Example: the budget is 100 s, and the usual seconds are a: 20, b: 30, c: 20. If a took 40 s,
    this machine is twice as slow as usual. So b is predicted to need 60 s, which fits the 60 s
    left. If b takes 55 s, c is predicted to need 20 * 95 / 50 = 38 s. Only 5 s are left, so c is
    skipped.

    Args:
        usual: the seconds that each part usually takes, by its name.
        seconds: the budget.
        start: a function of a part's name and the seconds left that runs the part and returns its
            result, a dict with `ended`.
        report: a function that is called with the name and the result of each part, also of a
            part that was skipped.
        clock: a function that returns the seconds since some moment.
    """
    begin, took, expected = clock(), 0.0, 0.0
    for name, guess in usual.items():
        left = seconds - (clock() - begin)
        need = guess * (took / expected if took else 1.0)
        if need > left:
            why = (
                f"skipped: needs about {need:.0f} s, and {max(left, 0):.0f} of the budget are left"
            )
            report(name, {"ended": why, "seconds": 0.0, "rows": []})
            continue
        before = clock()
        found = start(name, left)
        found["seconds"] = round(clock() - before, 1)
        if found["ended"] == "ok":  # A failed part does not show how fast this machine is.
            took, expected = took + found["seconds"], expected + guess
        report(name, found)


def table(result: Mapping[str, Any]) -> str:
    """Returns a result as a table to print, with empty cells for figures that a part lacks.

    Args:
        result: see `run`.
    """
    head = ("part", "", "ms", "rate", "MFU", "HFU", "bandwidth", "GiB", "of target", "compile, s")
    lines, notes = [head], []
    for name, part in result["parts"].items():
        if part["ended"] != "ok":
            notes.append(f"{name}: {part['ended']}")
        for row in part["rows"]:
            lines.append((name, *_cells(row)))
            if row.get("note"):
                notes.append(f"{name}, {row['what']}: {row['note']}")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    about = "; a dry run, whose figures say nothing" if result["dry_run"] else ""
    text = [f"\n{result.get('device', 'no part has run on a GPU yet')}{about}"]
    for line in lines:
        left = [cell.ljust(w) for cell, w in zip(line[:2], widths)]
        text.append("  ".join([*left, *map(str.rjust, line[2:], widths[2:])]).rstrip())
    return "\n".join([*text, *notes])


def _cells(row: Mapping[str, Any]) -> list[str]:
    def cell(key: str, form: str) -> str:
        return format(row[key], form) if row.get(key) is not None else ""

    rate = (
        f"{row['rate']:,.{1 if row['rate'] < 1000 else 0}f} {row['unit']}" if "rate" in row else ""
    )
    target = f"{row['of_target']:.2f} of {row['target']}" if "target" in row else ""
    shares = [cell(key, ".1%") for key in ("mfu", "hfu", "bandwidth")]
    sizes = [cell("gib", ".1f"), target, cell("compile", ".0f")]
    return [row["what"], cell("ms", ",.2f"), rate, *shares, *sizes]


def _before(path: pathlib.Path, dry_run: bool) -> dict[str, Any]:
    # Returns the result of an earlier run in the same folder, or a new result without parts.
    if not path.exists():
        return {"dry_run": dry_run, "parts": {}}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["dry_run"] != dry_run:
        kinds = {True: "a dry run", False: "a run on a GPU"}
        sys.exit(
            f"python -m tools.bench gpu: {path} is of {kinds[found['dry_run']]}, this is "
            f"{kinds[dry_run]}: give another --out, or delete it"
        )
    return found


def _child(name: str, args: argparse.Namespace, left: float | None) -> dict[str, Any]:
    # Runs a part in a process of its own. It is stopped after `left` seconds, if that is not None.
    figures, printed = (args.out / f"{name}.{kind}" for kind in ("json", "txt"))
    figures.unlink(missing_ok=True)
    # Not `-m tools.bench`: the working directory may have another package called `tools`.
    bench = [sys.executable, "-m", "big_rad", "bench"]
    command = [*bench, "gpu", f"--part={name}", f"--out={args.out}"]
    if args.dry_run:
        command.append("--dry-run")
    for option in ("peak_tflops", "bandwidth_gbs"):
        if getattr(args, option):
            command.append(f"--{option}={getattr(args, option)}")
    with printed.open("w", encoding="utf-8") as file:
        try:
            code = subprocess.run(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | _ENVIRONMENT.get(name, {}),
                timeout=left,
                check=False,
            ).returncode
            ended = f"failed with {code}, see {printed.name}"
        except subprocess.TimeoutExpired:
            ended = f"stopped at the end of the budget, after {left:.0f} s"
    found = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {"rows": []}
    return {"ended": ended} | found


def _part(name: str, settings: gpu_parts.Settings, out: pathlib.Path) -> dict[str, Any]:
    # Runs a part in this process and writes its rows as they come. The last write adds `ended`.
    if not jax.config.jax_compilation_cache_dir:  # A later run may need the same programs.
        runtime.use_compilation_cache(str(out / "compiled"))
    found: dict[str, Any] = {"rows": [], "packages": _versions()}

    def write() -> None:
        files.write_whole(out / f"{name}.json", json.dumps(found, indent=1))

    def emit(row: dict[str, Any]) -> None:
        found["rows"].append(row)
        write()

    try:
        _FUNCTIONS[name](settings, emit)
        ended = "ok"
    except gpu_parts.SkippedError as e:
        ended = f"skipped: {e}"
    found |= {"ended": ended, "device": jax.devices()[0].device_kind}
    write()
    return found


def _versions() -> dict[str, str]:
    found = {}
    for name in ("jax", "jaxlib", "flax", "optax", "numpy", "torch", "transformers"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _settings(args: argparse.Namespace) -> gpu_parts.Settings:
    return dataclasses.replace(
        gpu_parts.DRY if args.dry_run else gpu_parts.FULL,
        peak_tflops=args.peak_tflops,
        bandwidth_gbs=args.bandwidth_gbs,
    )
