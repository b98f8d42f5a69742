"""Measures on phantom data what an adapted image tower is worth to a model that points.

    python -m tools.compare_towers --out=runs/towers --data_dir=data
    python -m tools.compare_towers --out=runs/towers --siglip=runs/siglip --steps=1500 --seeds=3

The two towers are trained with `configs/siglip_refrad2d.py:variant=tiny,data=phantom`, unless
`--siglip` names a run. Then the demo is trained from three image towers:

- adapted: the tower of that run, frozen;
- random: a tower of random values, frozen, which is the floor;
- unfrozen: a tower of random values that is trained along, which is the ceiling.

All three have as many layers as the adapted tower, which may be fewer than the demo's own.
It prints the G-IoU of each and writes the figures to `OUT/towers.json`. Every run has its own
directory in OUT. The same command goes on after an interruption, and does not repeat finished runs.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from big_rad import runtime, train
from big_rad.config.defaults import Config
from big_rad.workdir import run_dir
from configs import demo, siglip_refrad2d

Log = Callable[[str], None]
TOWERS = ("adapted", "random", "unfrozen")
_SCORES = ("g_iou", "g_iou_detect")
_ASKED = ("report", "detect")  # The evaluators that these scores come from.


def compare(
    out: pathlib.Path,
    data_dir: str,
    siglip: str = "",
    siglip_steps: int = 700,
    steps: int = 1500,
    seeds: int = 3,
    log: Log = print,
) -> dict[str, Any]:
    """Trains the demo from the three towers and compares them.

    Args:
        out: the folder of the run directories.
        data_dir: the folder of the built datasets.
        siglip: a finished run of two towers; "" trains one of `siglip_steps` steps.
        siglip_steps: the number of steps of that run.
        steps: the number of steps of each demo.
        seeds: how many demos have a frozen tower of each kind; one has the trained tower.
        log: receives the lines of progress.

    Returns:
        `runs`, a list of dicts with `tower`, `seed`, `g_iou` and `g_iou_detect`; and for each of
        the two scores its means by tower, `of_unfrozen`, the mean of the adapted tower divided by
        that of the trained one, and `over_random`, the difference to the random tower.

    Raises:
        ValueError: a number is below 1, or `siglip` is no run directory.
    """
    for name, value in dict(siglip_steps=siglip_steps, steps=steps, seeds=seeds).items():
        if value < 1:
            raise ValueError(f"--{name}={value}: give a whole number from 1")
    if siglip and not (pathlib.Path(siglip) / "config.json").is_file():
        raise ValueError(f"--siglip={siglip} is no run directory: it has no config.json")
    if not siglip:
        config = siglip_refrad2d.get_config(f"variant=tiny,data=phantom,steps={siglip_steps}")
        siglip = str(out / "siglip")
        _trained(config, pathlib.Path(siglip), data_dir, log)
    depth = run_dir.read_json(pathlib.Path(siglip) / "config.json")["model"]["img"]["depth"]
    runs = []
    for tower in TOWERS:
        for seed in range(1 if tower == "unfrozen" else seeds):
            frozen = "unfrozen" if tower == "unfrozen" else "frozen"
            config = demo.get_config(f"steps={steps},seed={seed},tower={frozen}")
            with config.unlocked():
                config.evals = {n: e for n, e in config.evals.items() if n in _ASKED}
                config.summary = {n: config.summary[n] for n in _SCORES}
                config.model.img.depth = depth
            if tower == "adapted":
                config.model_init_img = siglip
            summary = _trained(config, out / f"{tower}_{seed}", data_dir, log)
            runs.append(dict(tower=tower, seed=seed, **{n: summary[n] for n in _SCORES}))
            log(f"{tower}, seed {seed}: " + ", ".join(f"{n} {summary[n]:.3f}" for n in _SCORES))
    result = {"siglip": siglip, "steps": steps, "runs": runs} | {n: _of(runs, n) for n in _SCORES}
    (out / "towers.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def table(result: dict[str, Any]) -> str:
    """Returns the figures as a table in Markdown."""
    lines = ["| score | " + " | ".join(TOWERS) + " | adapted / unfrozen | adapted - random |"]
    lines.append("|---" * (len(TOWERS) + 3) + "|")
    for name in _SCORES:
        of = result[name]
        cells = [
            ", ".join(f"{r[name]:.3f}" for r in result["runs"] if r["tower"] == t) for t in TOWERS
        ]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {of['of_unfrozen']:.2f} | {of['over_random']:+.3f} |"
        )
    return "\n".join(lines)


def _trained(config: Config, workdir: pathlib.Path, data_dir: str, log: Log) -> dict[str, Any]:
    # The summary of a run, which is trained first unless it is finished.
    summary = run_dir.read_json(workdir / "summary.json")
    if summary and summary.get("steps") == config.total_steps:
        log(f"{workdir}: finished before")
        return summary
    train.train(config, workdir, data_dir, log=log)
    return run_dir.read_json(workdir / "summary.json") or {}


def _of(runs: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    means = {t: float(np.mean([r[name] for r in runs if r["tower"] == t])) for t in TOWERS}
    return means | {
        "of_unfrozen": means["adapted"] / max(means["unfrozen"], 1e-9),
        "over_random": means["adapted"] - means["random"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the command line, compares the towers and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the runs")
    parser.add_argument("--data_dir", default="data", help="folder of the built datasets")
    parser.add_argument("--siglip", default="", help="a finished run of two towers")
    parser.add_argument("--siglip_steps", type=int, default=700, help="steps of the two towers")
    parser.add_argument("--steps", type=int, default=1500, help="steps of each demo")
    parser.add_argument("--seeds", type=int, default=3, help="runs with each frozen tower")
    args = parser.parse_args(argv)
    runtime.quiet_libraries()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        result = compare(
            args.out, args.data_dir, args.siglip, args.siglip_steps, args.steps, args.seeds
        )
    except (OSError, ValueError, train.TrainingError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
