"""What a training changed: scores of the same samples before and after it, with intervals.

Samples of one patient are resampled together, of one image where a dataset names no patient. Knows
no model; patients are used and not written.
"""

import dataclasses
import json
import pathlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad import runtime
from big_rad.evaluators import page_parts
from big_rad.evaluators import samples as sample_files
from big_rad.metrics import bootstrap

FOLDER, FILE = "before", "before_after.json"


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


def keep(evals: Mapping[str, Any], samples_dir: str | pathlib.Path) -> None:
    """Keeps the samples of evaluators that have just run, in `samples_dir`/before."""
    if jax.process_index() == 0:
        for name, evaluator in evals.items():
            sample_files.write(pathlib.Path(samples_dir) / FOLDER, name, evaluator.records, {})


def compare(evals: Mapping[str, Any], samples_dir: str | pathlib.Path) -> list[Row]:
    """Compares evaluators that have just run with the samples that `keep` kept.

    Args:
        evals: name -> evaluator; those that were not kept, or whose samples are others now, are
            left out.
        samples_dir: of the run.
    """
    found = []
    for name, evaluator in evals.items():
        old, _ = sample_files.read(pathlib.Path(samples_dir) / FOLDER, name)
        if old:
            found += rows(name, old, evaluator.records, evaluator.data.patients())
    return found


def rows(
    name: str,
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    clusters: Sequence[Hashable] | None,
) -> list[Row]:
    """Compares the records of one evaluator, sample by sample.

    Args:
        name: of the evaluator.
        before: records, see `generate.Evaluator`.
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
    """Writes `before_after.json` of a run directory."""
    content = json.dumps([sample_files.finite(dataclasses.asdict(r)) for r in found], indent=1)
    runtime.write_whole(pathlib.Path(workdir) / FILE, content)


def read(workdir: str | pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of `before_after.json`, intervals as dicts; none without such a file.

    Raises:
        ValueError: a file that is broken.
    """
    path = pathlib.Path(workdir) / FILE
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    except ValueError as e:
        raise ValueError(f"{path} is broken ({e}); remove it") from e


def text(found: Sequence[Row]) -> str:
    """Returns a table in Markdown."""
    lines = ["| | before | after | difference | patients |", "|---|---|---|---|---|"]
    for r in found:
        cells = [
            f"{r.eval} {r.score}",
            *(page_parts.interval(vars(x)) for x in (r.before, r.after)),
            page_parts.difference(vars(r.difference)),
        ]
        lines.append(f"| {' | '.join(cells)} | {r.after.clusters} |")
    return "\n".join(lines)


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[k] for k in ("index", "id", "prompt", "reference_text"))
