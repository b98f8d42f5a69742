"""Compares scores of the same samples before and after training, with confidence intervals.

The trainer calls `keep` after the evaluation before the first step and `compare` after the last
one; `write` puts the comparison into the run directory, and `text` prints it as tables. All samples
of a patient are resampled together; where a dataset names no patient, all samples of an image are.
The names of patients are used for this and never written to a file.
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
COLUMNS = ("before", "after", "difference")


@dataclasses.dataclass(frozen=True)
class Row:
    """One score of one evaluator, before and after training.

    Attributes:
        eval: the name of the evaluator.
        score: the name of the score, as in a sample's `scores`.
        before, after: the mean of the score with its 95 % interval. Only samples that count for
            the score both before and after training are used.
        difference: the mean paired difference over the same samples, with its 95 % interval.
        subjects: the number of patients among these samples; the number of images where the
            records name no patient.
    """

    eval: str
    score: str
    before: bootstrap.Interval
    after: bootstrap.Interval
    difference: bootstrap.Difference
    subjects: int


@dataclasses.dataclass(frozen=True)
class Line:
    """A row as text for a table.

    Attributes:
        name: the title of the evaluator and the title of the score.
        before, after, difference: the figures with their intervals, as text.
        patients: the number of clusters that were resampled, which are the patients, or the
            images where the dataset names no patient.
    """

    name: str
    before: str
    after: str
    difference: str
    patients: int


@dataclasses.dataclass(frozen=True)
class Table:
    """The lines for one kind of data, with the main result first.

    Attributes:
        title: the title of the table; "" for test data.
        lines: the lines of the table.
    """

    title: str
    lines: Sequence[Line]


def keep(evals: Mapping[str, spec_lib.Statement], samples_dir: str | pathlib.Path) -> None:
    """Keeps the samples of evaluators that have just run in the folder `samples_dir`/before.

    Args:
        evals: name -> evaluator.
        samples_dir: the folder of the samples files of the run.
    """
    if jax.process_index() == 0:
        for name, evaluator in evals.items():
            if evaluator.records:
                folder = pathlib.Path(samples_dir) / FOLDER
                sample_files.write(folder, name, evaluator.records, {})


def compare(evals: Mapping[str, spec_lib.Statement], samples_dir: str | pathlib.Path) -> list[Row]:
    """Compares evaluators that have just run with the samples that `keep` kept.

    Args:
        evals: name -> evaluator. An evaluator is left out if its samples were not kept, or if its
            questions have changed since.
        samples_dir: the folder of the samples files of the run.

    Returns:
        One row for each score that at least one sample has both before and after training.
    """
    found = []
    for name, evaluator in evals.items():
        old, _ = sample_files.read(pathlib.Path(samples_dir) / FOLDER, name)
        if old:
            patients = evaluator.data.patients()
            clusters = [patients[r["index"]] for r in evaluator.records]
            found += rows(name, old, evaluator.records, clusters)
    return [r for r in found if r.difference.n]


def rows(
    name: str,
    before: Sequence[Record],
    after: Sequence[Record],
    clusters: Sequence[Hashable] | None,
) -> list[Row]:
    """Compares the records of one evaluator, sample by sample.

    Args:
        name: the name of the evaluator.
        before: the records before training, see `base.Evaluator`.
        after: the records of the same questions after training.
        clusters: the cluster of each sample, whose samples are resampled together, see
            `bootstrap.interval`.

    Returns:
        A row for each score that both lists have; an empty list if the questions differ.
    """
    if not before or [_key(r) for r in before] != [_key(r) for r in after]:
        return []
    scores = [s for s in after[0]["scores"] if s in before[0]["scores"]]
    if not scores:
        return []
    tables = [
        np.array([[r["scores"].get(s) for s in scores] for r in records], np.float64)
        for records in (before, after)
    ]
    # A sample that counts only before or only after training is left out of both means.
    alone = np.isnan(tables[0]) | np.isnan(tables[1])
    tables = [np.where(alone, np.nan, table) for table in tables]
    columns = [bootstrap.interval(table, clusters=clusters) for table in tables]
    columns.append(bootstrap.difference(*tables, clusters=clusters))
    subjects = [sample_files.subject_of(r) for r in after]
    found = []
    for i, score in enumerate(scores):
        seen = {s for s, left_out in zip(subjects, alone[:, i], strict=True) if not left_out}
        found.append(Row(name, score, *(column[i] for column in columns), len(seen)))
    return found


def write(workdir: str | pathlib.Path, found: Sequence[Row]) -> None:
    """Writes `before_after.json` into a run directory.

    The bounds and the p-value of a difference are null if there are fewer clusters than
    `bootstrap.FEWEST`, because they would not support a verdict.

    Args:
        workdir: the run directory.
        found: the rows of `compare`.
    """
    plain = [sample_files.without_nan(dataclasses.asdict(r)) for r in found]
    for row in plain:
        if row["difference"]["clusters"] < bootstrap.FEWEST:
            row["difference"] |= {"low": None, "high": None, "p": None}
    files.write_whole(pathlib.Path(workdir) / FILE, json.dumps(plain, indent=1))


def tables(found: Sequence[Mapping[str, Any]], evals: Mapping[str, Any]) -> list[Table]:
    """Sorts rows into tables, with the names and the order of the page of a run.

    The first table has the scores on test data. The scores on validation data, which choose the
    checkpoint, follow in a second table. The rows of an evaluator begin with its main score. Rows
    without a value are left out, and so are scores that the page does not show.

    Args:
        found: the rows of before_after.json.
        evals: `config.evals`; an evaluator that is not in it counts as one on test data.

    Returns:
        The tables that have at least one row.
    """
    lines: dict[bool, list[tuple[Any, Line]]] = {False: [], True: []}
    order = list(evals)
    for row in found:
        spec, score = evals.get(row["eval"]) or {}, row["score"]
        kind = spec.get("type")
        cls = spec_lib.class_of(kind)
        labels = cls.labels() or {score: score.replace("_", " ")}
        if score not in labels or not all(_has_value(row[column]) for column in COLUMNS):
            continue
        place = order.index(row["eval"]) if row["eval"] in order else len(order)
        scores = list(dict.fromkeys([*cls.main, *labels]))
        key = (headlines.rank(row["eval"], kind), place, scores.index(score))
        validation = str(spec.get("split", "")).startswith("val")
        name = f"{headlines.title(row['eval'], kind)}: {labels[score]}"
        means = (bootstrap.interval_text(row["before"]), bootstrap.interval_text(row["after"]))
        cells = (name, *means, bootstrap.difference_text(row["difference"]))
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
        found: the rows of `compare`.
        evals: `config.evals`; None names the rows by evaluator and score alone.
        step: the step of the checkpoint after training; None does not name it.
    """
    after = "after" if step is None else f"after step {step:,}"
    parts = []
    for table in tables([dataclasses.asdict(r) for r in found], evals or {}):
        parts += [f"{table.title}:\n"] if table.title else []
        parts.append(f"| | before | {after} | difference | patients |\n|---|---|---|---|---|")
        parts += [f"| {' | '.join(map(str, dataclasses.astuple(x)))} |" for x in table.lines]
        parts.append("")
    return "\n".join(parts[:-1])


def _has_value(interval: Mapping[str, Any]) -> bool:
    return bool(interval["n"]) and interval["mean"] is not None and math.isfinite(interval["mean"])


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record.get(k) for k in ("index", "id", "prompt", "reference_text"))
