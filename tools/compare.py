"""Compares two evaluations sample by sample, or one evaluation with the paper's table.

    python -m tools.compare runs/a/evaluation runs/b/evaluation
    python -m tools.compare runs/a/evaluation --published=detection

For two evaluations A and B, it prints the difference B - A on the same questions, with a paired
95 % interval and a p-value. Main scores come first (G-IoU of grounded texts, F1 of answers), then
all other scores, then the controls. The means of A and B are over the samples that count in both.
The p-values are corrected by Holm's method over the scores of a table. A verdict needs a corrected
p below 0.05 and at least 6 patients (or images, if no patients are named). Controls get no verdict.

With --published, it prints whether the mean of the run is within the published interval, above it
or below it.

Exit codes, for CI:
  0  no main score is worse, or a verdict is not possible; with --published no score is below
  1  a main score is worse; with --published a score is below the published interval
  2  nothing can be compared
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.evaluators import before_after
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators import summary as summaries
from big_rad.metrics import bootstrap
from tools import published

_UNDECIDED = 0.05
_ENTRY = ("type", "dataset", "split", "control", "n", "intervals")
_ASKED = {
    "index": "questions",
    "id": "questions",
    "prompt": "prompts",
    "reference_text": "references",
}
_TABLES = {
    "main": "Main scores. Exit code 1 if one of them is worse.",
    "others": "Other scores. They do not change the exit code.",
    "controls": "Controls, without the true image: no verdict.",
}


@dataclasses.dataclass(frozen=True)
class Compared:
    """The comparison of two evaluations.

    Attributes:
        tables: "main", "others" and "controls" -> the rows of this table.
        notes: lines about evaluators that were left out, and other remarks.
    """

    tables: dict[str, list[before_after.Row]]
    notes: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        if (args.b is None) == (args.published is None):
            raise ValueError("give a second evaluation, or --published=MODEL")
        if args.b is not None:
            return pair(args.a, args.b, "sample" if args.by_sample else args.by)
        return with_published(args.a, args.published)
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2


def pair(a: pathlib.Path, b: pathlib.Path, by: str = "image") -> int:
    """Prints the paired differences of two evaluations.

    Args:
        a: the folder of an evaluation, which `big_rad.evaluate` wrote.
        b: the folder of another evaluation.
        by: the unit that is resampled, see `summary.BY`.

    Returns:
        1 if a main score of b is worse, else 0.

    Raises:
        ValueError: no evaluator asked the same questions in both, or a file is broken.
    """
    first, second = read(a), read(b)
    found = compared(a, b, first["evals"], second["evals"], by)
    if not any(found.tables.values()):
        raise ValueError(f"nothing to compare: {'; '.join(found.notes) or 'no evaluators'}")
    print(f"A {first['checkpoint']}\nB {second['checkpoint']}")
    worse = False
    for table, rows in found.tables.items():
        if rows:
            kinds = {n: x["type"] for n, x in first["evals"].items()}
            verdicts = _print(table, rows, by, kinds)
            worse |= table == "main" and "worse" in verdicts
    print()
    for note in found.notes:
        print(note)
    return int(worse)


def compared(
    a: pathlib.Path,
    b: pathlib.Path,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    by: str = "image",
) -> Compared:
    """Returns the paired differences of the evaluators that two evaluations share.

    Args:
        a, b: the folders of the two evaluations.
        first, second: the `evals` of their summaries, see `read`.
        by: the unit that is resampled, see `summary.BY`.

    Raises:
        ValueError: a samples file is broken.
    """
    found = Compared({table: [] for table in _TABLES}, [])
    for name in [n for n in first if n in second]:
        entry = first[name]
        ours, theirs = (sample_files.read(x / "samples", name)[0] for x in (a, b))
        subjects = [sample_files.subject_of(r) for r in ours]
        paired = before_after.rows(name, ours, theirs, summaries.clusters(ours, by, subjects))
        rows = [r for r in paired if r.difference.n]
        if not rows:
            why = _why_not((entry, second[name]), (ours, theirs))
            found.notes.append(f"{name}: left out, {why}")
        elif entry["control"] != "none":
            found.tables["controls"] += rows
        else:
            scores = [r.score for r in rows]
            cls = spec_lib.class_of(entry["type"])
            main_score = next((s for s in cls.main if s in scores), None)
            if cls.missing:
                found.notes.append(
                    f"{name}: its type is {cls.missing}; which of its scores are main ones, and "
                    "which are better when lower, is not known, so they have no verdict"
                )
            for row in rows:
                found.tables["main" if row.score == main_score else "others"].append(row)
        kinds = [_kind(x[name]) for x in (first, second)]
        if rows and kinds[0] != kinds[1]:
            found.notes.append(f"{name}: A is of {kinds[0]}, B of {kinds[1]}, with equal questions")
        versions = [x[name]["metrics_version"] for x in (first, second)]
        if rows and versions[0] != versions[1]:
            found.notes.append(
                f"{name}: scored by versions {versions[0]} and {versions[1]} of the metrics, so "
                "only names that mean the same in both are compared; evaluate the older one again "
                "for all"
            )
    for side, other, evals in (("A", "B", first), ("B", "A", second)):
        for name in sorted(evals.keys() - (first.keys() & second.keys())):
            what = f"{name}: in {side} alone ({_kind(evals[name])})"
            found.notes.append(f"{what}; {other} asked nothing under this name")
    return found


def _kind(entry: Mapping[str, Any]) -> str:
    # The type, the data and the control of an evaluator, in words.
    control = f", control {entry['control']}" if entry["control"] != "none" else ""
    return f"type {entry['type']!r} on {entry['dataset']} {entry['split']}{control}"


def _why_not(
    entries: Sequence[Mapping[str, Any]], sides: Sequence[Sequence[sample_files.Record]]
) -> str:
    # The reason why two evaluators of the same name have no score to compare.
    kinds = [_kind(entry) for entry in entries]
    if kinds[0] != kinds[1]:
        return f"they are of different kinds: A is of {kinds[0]}, B of {kinds[1]}"
    counts = [len(side) for side in sides]
    if counts[0] != counts[1]:
        return f"other questions: A has {counts[0]:,} samples, B has {counts[1]:,}"
    for field, noun in _ASKED.items():
        differ = [i for i, (x, y) in enumerate(zip(*sides)) if x.get(field) != y.get(field)]
        if differ:
            return (
                f"other {noun} in {len(differ):,} of {counts[0]:,} samples, first in "
                f"#{differ[0]}: only answers to the same questions are compared"
            )
    named = [", ".join(sorted({s for r in side for s in r["scores"]})) for side in sides]
    return f"no score counts in both: A has {named[0] or 'none'}, B has {named[1] or 'none'}"


def _print(
    table: str, rows: Sequence[before_after.Row], by: str, kinds: Mapping[str, str]
) -> list[str]:
    # Prints a table and returns its verdicts. `kinds` are the types of the evaluators, by name.
    decidable = [table != "controls" and r.subjects >= bootstrap.FEWEST for r in rows]
    ps = [r.difference.p if d else float("nan") for r, d in zip(rows, decidable, strict=True)]
    corrected, verdicts = bootstrap.holm(ps), []
    print(f"\n{_TABLES[table]}\n")
    print(f"| score | A | B | B - A (95 %) | p | p, corrected | n | {by}s |")
    print("|---|---|---|---|---|---|---|---|")
    for row, p, possible in zip(rows, corrected, decidable, strict=True):
        d, verdict = row.difference, ""
        cls = spec_lib.class_of(kinds[row.eval])
        if possible and p < _UNDECIDED and not cls.missing:
            better = (d.mean > 0) != _lowest(cls, row.score)
            verdict = "better" if better else "worse"
        verdicts.append(verdict)
        change = f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f})"
        if row.subjects < bootstrap.FEWEST:
            change = f"{d.mean:+.3f}, no verdict: {bootstrap.few(row.subjects)}"
        figures = f"{d.p:.4f} | {p:.4f}" if possible else "– | –"
        print(
            f"| {row.eval} {row.score} | {row.before.mean:.3f} | {row.after.mean:.3f} | "
            f"{' '.join(filter(None, (change, verdict)))} | {figures} | {d.n} | {d.clusters} |"
        )
    return verdicts


def _lowest(cls: type[spec_lib.Statement], score: str) -> bool:
    # In an evaluation of an earlier version, a score may be one that another class states today.
    stated = (x.stated(score) for x in (cls, *map(spec_lib.class_of, spec_lib.names())))
    found = next(filter(None, stated), None)
    return found is not None and found.lowest


def with_published(folder: pathlib.Path, model: str, other_n: bool = False) -> int:
    """Prints an evaluation beside the published table, in percent.

    Args:
        folder: the folder of an evaluation, which `big_rad.evaluate` wrote.
        model: the name of a model in `published.MODELS`.
        other_n: whether to print scores with another number of questions as well, without a
            verdict.

    Returns:
        1 if a score is below the published interval, else 0.

    Raises:
        ValueError: the model is unknown, or the evaluation has no score of the published protocol.
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
    if any(e["metrics_version"] < 2 for e in found["evals"].values()):
        print(
            "evaluated by an earlier version: its accuracy and recall are the published forms, and "
            "its intervals, by question, are too narrow; evaluate again for those by image"
        )
    for name, why in published.NOT_COMPARED.items():
        print(f"not compared: {name}: {why}")
    if not compared:
        raise ValueError(f"{folder} has no score of the published protocol")
    return int(below)


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Returns `checkpoint` and `evals` of an evaluation's summary.

    Entries of earlier versions, which have no `metrics_version`, get the version 1.

    Raises:
        ValueError: the folder has no summary, or the summary is broken.
    """
    path = pathlib.Path(folder) / "summary.json"
    if (path.parent / "metrics.jsonl").exists():
        raise ValueError(
            f"{folder} is a run: give its evaluation, such as {path.parent}/evaluation"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        evals = {name: {"metrics_version": 1} | entry for name, entry in found["evals"].items()}
        for name, entry in evals.items():
            missing = [k for k in _ENTRY if k not in entry]
            if missing or "" not in entry["intervals"]:
                raise ValueError(f"evals.{name}: no {', '.join(missing or ['intervals of all'])}")
            for score, x in entry["intervals"][""].items():
                if not x.keys() >= {"mean", "low", "high", "n"}:
                    raise ValueError(f"evals.{name}: {score} has no interval")
        return {"checkpoint": found["checkpoint"], "evals": evals}
    except FileNotFoundError as e:
        raise ValueError(
            f"{path} does not exist: evaluate first, python -m big_rad.evaluate --out={folder}"
        ) from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"{path} is broken ({e}); evaluate again") from e


def _ours(
    found: Mapping[str, Any], protocol: published.Protocol
) -> tuple[dict[str, Any] | None, str]:
    # The interval of a score on the published questions, and the reason why it is not comparable;
    # "" if it is comparable.
    place = f"{protocol.dataset} {protocol.split}"
    lacking = []
    for name, entry in found["evals"].items():
        where = (entry["dataset"], entry["split"], entry["control"])
        if where != (protocol.dataset, protocol.split, "none"):
            continue
        score = protocol.score
        if entry["metrics_version"] < 2:  # In version 1 the published form had the plain name.
            score = score.removesuffix("_published")
        interval = entry["intervals"][""].get(score)
        if interval is None:
            lacking.append(f"no {score} in {name} ({place})")
            continue
        same = entry["n"] == protocol.n
        why = f"{place} has n = {entry['n']}, published {protocol.n}"
        return interval, "" if same else why
    return None, ", ".join(lacking) or f"the run has no {place}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", type=pathlib.Path, help="folder that big_rad.evaluate wrote")
    parser.add_argument("b", type=pathlib.Path, nargs="?", help="another")
    parser.add_argument("--published", help=f"one of {', '.join(published.MODELS)}")
    parser.add_argument("--by", choices=summaries.BY, default="image", help="what is resampled")
    parser.add_argument("--by_sample", action="store_true", help="the same as --by=sample")
    return parser


if __name__ == "__main__":
    sys.exit(main())
