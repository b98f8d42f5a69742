"""Compares two evaluations sample by sample, or one with the paper's table.

    python -m tools.compare runs/a/evaluation runs/b/evaluation
    python -m tools.compare runs/a/evaluation --published=detection

Two: of each score the difference B - A on the same questions, with a paired 95 % interval and p.
With the paper: whether the run's mean lies within the published interval, above or below it. Exit
code 1 if any score is below (of two: surely worse), for CI; 2 if nothing can be compared.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.evaluators import before_after, published
from big_rad.evaluators import samples as sample_files

_LOWER_IS_BETTER = ("hallucination_rate", "laterality_", "blank_masks")
_UNDECIDED = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        if (args.b is None) == (args.published is None):
            raise ValueError("give a second evaluation, or --published=MODEL")
        if args.b is not None:
            return pair(args.a, args.b, args.by_sample)
        return beside(args.a, args.published)
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2


def pair(a: pathlib.Path, b: pathlib.Path, by_sample: bool = False) -> int:
    """Prints the paired differences of two evaluations.

    Args:
        a: folder that `big_rad.evaluate` wrote.
        b: another.
        by_sample: resample samples, not images.

    Returns:
        1 if a score of b is worse and p is below 0.05, else 0.

    Raises:
        ValueError: no evaluator asked both the same questions.
    """
    first, second = read(a), read(b)
    print(f"A {first['checkpoint']}\nB {second['checkpoint']}\n")
    rows, notes = [], []
    for name in [n for n in first["evals"] if n in second["evals"]]:
        ours, theirs = (sample_files.read(x / "samples", name)[0] for x in (a, b))
        ids = None if by_sample else [str(r["id"]) for r in ours]
        found = before_after.rows(name, ours, theirs, ids)
        rows += found
        if not found:
            sizes = f"{len(ours):,} and {len(theirs):,} samples"
            notes.append(f"{name}: other questions, references or prompts ({sizes}); left out")
    missing = sorted(first["evals"].keys() ^ second["evals"].keys())
    notes += [f"{n}: in one of the two alone" for n in missing]
    if not rows:
        raise ValueError(f"nothing to compare: {'; '.join(notes) or 'no evaluators'}")
    print("| score | A | B | B - A (95 %) | p | n |\n|---|---|---|---|---|---|")
    worse = False
    for row in rows:
        d = row.difference
        if not d.n:
            continue
        verdict = ""
        if d.p < _UNDECIDED:
            better = (d.mean > 0) != row.score.startswith(_LOWER_IS_BETTER)
            verdict, worse = (" better" if better else " worse"), worse or not better
        print(
            f"| {row.eval} {row.score} | {row.before.mean:.3f} | {row.after.mean:.3f} | "
            f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f}){verdict} | {d.p:.4f} | {d.n} |"
        )
    for note in notes:
        print(note)
    return int(worse)


def beside(folder: pathlib.Path, model: str, other_n: bool = False) -> int:
    """Prints an evaluation beside the published table, in percent.

    Args:
        folder: that `big_rad.evaluate` wrote.
        model: a name in `published.MODELS`.
        other_n: also print, without a verdict, scores of another number of questions.

    Returns:
        1 if a score is below the published interval, else 0.

    Raises:
        ValueError: an unknown model, or nothing to print.
    """
    if model not in published.MODELS:
        raise ValueError(f"--published={model}: there are {', '.join(published.MODELS)}")
    found = read(folder)
    print(f"{found['checkpoint']}\n")
    peers = [p for p in published.PEERS if p != model]
    print(f"| score | this run (95 %) | {model} | verdict | {' | '.join(peers)} |")
    print("|---|---|---|---|" + "---|" * len(peers))
    compared, below, others = 0, False, []
    for name, paper in published.MODELS[model].items():
        protocol = published.PROTOCOL[name]
        interval, why = _ours(found, protocol)
        if interval is None or (why and not other_n):
            others.append(f"{name}: {why}")
            continue
        compared += 1
        mean, verdict = 100 * interval["mean"], "inside"
        if why:
            verdict = f"none: n = {interval['n']}, published {protocol.n}"
        elif abs(mean - paper.mean) > paper.half:
            verdict = "above" if mean > paper.mean else "below"
        below |= verdict == "below"
        theirs = [published.MODELS[p].get(name) for p in peers]
        cells = " | ".join("–" if x is None else f"{x.mean:.1f}" for x in theirs)
        print(
            f"| {name}, n = {interval['n']} | {mean:.1f} ({100 * interval['low']:.1f} to "
            f"{100 * interval['high']:.1f}) | {paper.mean:.1f} ±{paper.half:.1f} | {verdict} | "
            f"{cells} |"
        )
    for line in others:
        print(f"not compared: {line}")
    for name, why in published.NOT_COMPARED.items():
        print(f"not compared: {name}: {why}")
    if not compared:
        raise ValueError(f"{folder} has no score of the published protocol")
    return int(below)


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the summary of an evaluation.

    Raises:
        ValueError: there is none, or it is broken.
    """
    path = pathlib.Path(folder) / "summary.json"
    if (path.parent / "metrics.jsonl").exists():
        raise ValueError(
            f"{folder} is a run: give its evaluation, such as {path.parent}/evaluation"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"checkpoint": found["checkpoint"], "evals": found["evals"]}
    except FileNotFoundError as e:
        raise ValueError(
            f"{path} does not exist: evaluate first, python -m big_rad.evaluate --out={folder}"
        ) from e
    except (ValueError, KeyError) as e:
        raise ValueError(f"{path} is broken ({e}); evaluate again") from e


def _ours(
    found: Mapping[str, Any], protocol: published.Protocol
) -> tuple[dict[str, Any] | None, str]:
    # The interval of a score on the published questions, and why it is not comparable, or "".
    for entry in found["evals"].values():
        where = (entry["dataset"], entry["split"], entry["control"])
        if where == (protocol.dataset, protocol.split, "none"):
            same = entry["n"] == protocol.n
            why = f"{where[0]} {where[1]} has n = {entry['n']}, published {protocol.n}"
            return entry["intervals"][""][protocol.score], "" if same else why
    return None, f"the run has no {protocol.dataset} {protocol.split}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", type=pathlib.Path, help="folder that big_rad.evaluate wrote")
    parser.add_argument("b", type=pathlib.Path, nargs="?", help="another")
    parser.add_argument("--published", help=f"one of {', '.join(published.MODELS)}")
    parser.add_argument("--by_sample", action="store_true", help="resample samples, not images")
    return parser


if __name__ == "__main__":
    sys.exit(main())
