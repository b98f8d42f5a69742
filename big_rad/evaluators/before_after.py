"""What a training changed: scores of the same samples before and after it, with intervals.

Samples of one patient are resampled together, of one image where a dataset names no patient. Knows
no model; patients are used and not written.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad import files
from big_rad.evaluators import headlines
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Record
from big_rad.metrics import bootstrap

FOLDER, FILE = "before", "before_after.json"
SIDES = ("before", "after", "difference")


@dataclasses.dataclass(frozen=True)
class Row:
    """A score of an evaluator.

    Attributes:
        eval: name of the evaluator.
        score: name of a sample's score, of which the mean is taken.
        before, after, difference: with 95 % intervals, all three over the samples that count on
            both sides; the difference is paired.
        subjects: patients among these samples; images where the records name no patient.
    """

    eval: str
    score: str
    before: bootstrap.Interval
    after: bootstrap.Interval
    difference: bootstrap.Difference
    subjects: int


@dataclasses.dataclass(frozen=True)
class Line:
    """A row as it is read: `name` of evaluator and score, three figures, and how many patients."""

    name: str
    before: str
    after: str
    difference: str
    patients: int


@dataclasses.dataclass(frozen=True)
class Table:
    """Lines of one kind of data, with the main result first; the `title` of test data is ""."""

    title: str
    lines: Sequence[Line]


def keep(evals: Mapping[str, spec_lib.Statement], samples_dir: str | pathlib.Path) -> None:
    """Keeps the samples of evaluators that have just run, in `samples_dir`/before."""
    if jax.process_index() == 0:
        for name, evaluator in evals.items():
            if evaluator.records:
                folder = pathlib.Path(samples_dir) / FOLDER
                sample_files.write(folder, name, evaluator.records, {})


def compare(evals: Mapping[str, spec_lib.Statement], samples_dir: str | pathlib.Path) -> list[Row]:
    """Compares evaluators that have just run with the samples that `keep` kept.

    Args:
        evals: name -> evaluator; those that were not kept, or whose samples are others now, are
            left out.
        samples_dir: of the run.

    Returns:
        The rows that have values.
    """
    found = []
    for name, evaluator in evals.items():
        old, _ = sample_files.read(pathlib.Path(samples_dir) / FOLDER, name)
        if old:
            found += rows(name, old, evaluator.records, evaluator.data.patients())
    return [r for r in found if r.difference.n]


def rows(
    name: str,
    before: Sequence[Record],
    after: Sequence[Record],
    clusters: Sequence[Hashable] | None,
) -> list[Row]:
    """Compares the records of one evaluator, sample by sample.

    Args:
        name: of the evaluator.
        before: records, see `base.Evaluator`.
        after: of the same questions.
        clusters: what is resampled together, see `bootstrap.interval`.

    Returns:
        A row for each score that both have; none where the questions are others.
    """
    if not before or [_key(r) for r in before] != [_key(r) for r in after]:
        return []
    scores = [s for s in after[0]["scores"] if s in before[0]["scores"]]
    if not scores:
        return []
    tables = [
        np.array([[r["scores"].get(s) for s in scores] for r in side], np.float64)
        for side in (before, after)
    ]
    alone = np.isnan(tables[0]) | np.isnan(tables[1])  # Such a sample is in neither mean.
    tables = [np.where(alone, np.nan, table) for table in tables]
    of = [bootstrap.interval(table, clusters=clusters) for table in tables]
    of.append(bootstrap.difference(*tables, clusters=clusters))
    subjects = [sample_files.subject_of(r) for r in after]
    found = []
    for i, score in enumerate(scores):
        seen = {s for s, left_out in zip(subjects, alone[:, i], strict=True) if not left_out}
        found.append(Row(name, score, *(side[i] for side in of), len(seen)))
    return found


def write(workdir: str | pathlib.Path, found: Sequence[Row]) -> None:
    """Writes `before_after.json` of a run directory: bounds and p of a difference of fewer clusters
    than `bootstrap.FEWEST` are null, since they could be no verdict."""
    plain = [sample_files.without_nan(dataclasses.asdict(r)) for r in found]
    for row in plain:
        if row["difference"]["clusters"] < bootstrap.FEWEST:
            row["difference"] |= {"low": None, "high": None, "p": None}
    files.write_whole(pathlib.Path(workdir) / FILE, json.dumps(plain, indent=1))


def tables(found: Sequence[Mapping[str, Any]], evals: Mapping[str, Any]) -> list[Table]:
    """Sorts rows into the tables that are shown, as the page of a run names and orders them.

    Scores of held-out test data come first and alone; those of validation data, which choose the
    checkpoint, follow in a table of their own. The main score of each evaluator is its first row.
    Rows without a value are left out, and so are scores that the page does not show.

    Args:
        found: rows of before_after.json.
        evals: `config.evals`; an evaluator that it lacks counts as a test.

    Returns:
        The tables that have rows.
    """
    lines: dict[bool, list[tuple[Any, Line]]] = {False: [], True: []}
    order = list(evals)
    for row in found:
        spec, score = evals.get(row["eval"]) or {}, row["score"]
        kind = spec.get("type")
        cls = spec_lib.class_of(kind)
        labels = cls.labels() or {score: score.replace("_", " ")}
        if score not in labels or not all(_has_value(row[s]) for s in SIDES):
            continue
        place = order.index(row["eval"]) if row["eval"] in order else len(order)
        scores = list(dict.fromkeys([*cls.main, *labels]))
        key = (headlines.rank(row["eval"], kind), place, scores.index(score))
        validation = str(spec.get("split", "")).startswith("val")
        name = f"{headlines.title(row['eval'], kind)}: {labels[score]}"
        sides = (bootstrap.interval_text(row["before"]), bootstrap.interval_text(row["after"]))
        cells = (name, *sides, bootstrap.difference_text(row["difference"]))
        lines[validation].append((key, Line(*cells, row["after"]["clusters"])))
    titles = {False: "", True: "Validation patients, whose scores choose the checkpoint"}
    return [
        Table(titles[validation], [line for _, line in sorted(rows, key=lambda x: x[0])])
        for validation, rows in lines.items()
        if rows
    ]


def text(
    found: Sequence[Row], evals: Mapping[str, Any] | None = None, step: int | None = None
) -> str:
    """Returns the tables in Markdown.

    Args:
        found: of `compare`.
        evals: `config.evals`.
        step: of the checkpoint after the training; None does not name it.
    """
    after = "after" if step is None else f"after step {step:,}"
    parts = []
    for table in tables([dataclasses.asdict(r) for r in found], evals or {}):
        parts += [f"{table.title}:\n"] if table.title else []
        parts.append(f"| | before | {after} | difference | patients |\n|---|---|---|---|---|")
        parts += [f"| {' | '.join(map(str, dataclasses.astuple(x)))} |" for x in table.lines]
        parts.append("")
    return "\n".join(parts[:-1])


def _has_value(side: Mapping[str, Any]) -> bool:
    return bool(side["n"]) and side["mean"] is not None and math.isfinite(side["mean"])


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record.get(k) for k in ("index", "id", "prompt", "reference_text"))
