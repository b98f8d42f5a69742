"""What a training changed: scores of the same samples before and after it, with intervals.

Samples of one patient are resampled together. Knows no model; patients are used and not written.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from big_rad import runtime
from big_rad.evaluators import samples as sample_files
from big_rad.metrics import bootstrap

FOLDER, FILE = "before", "before_after.json"


@dataclasses.dataclass(frozen=True)
class Row:
    """A score of an evaluator.

    Attributes:
        eval: name of the evaluator.
        score: name of a sample's score, of which the mean is taken.
        before, after, difference: with 95 % intervals; the difference is paired.
    """

    eval: str
    score: str
    before: bootstrap.Interval
    after: bootstrap.Interval
    difference: bootstrap.Interval


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
    rows = []
    for name, evaluator in evals.items():
        old, _ = sample_files.read(pathlib.Path(samples_dir) / FOLDER, name)
        new = evaluator.records
        if not old or [_key(r) for r in old] != [_key(r) for r in new]:
            continue
        scores = list(new[0]["scores"])
        tables = [[[r["scores"].get(s) for s in scores] for r in side] for side in (old, new)]
        patients = evaluator.data.patients()
        of = [bootstrap.interval(table, clusters=patients) for table in tables]
        of.append(bootstrap.difference(*tables, clusters=patients))
        rows += [Row(name, s, *(side[i] for side in of)) for i, s in enumerate(scores)]
    return rows


def write(workdir: str | pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes `before_after.json` of a run directory."""
    content = json.dumps([_plain(dataclasses.asdict(r)) for r in rows], indent=1)
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


def text(rows: Sequence[Row]) -> str:
    """Returns a table in Markdown."""
    lines = ["| | before | after | difference | patients |", "|---|---|---|---|---|"]
    for r in rows:
        cells = [f"{r.eval} {r.score}", *map(_cell, (r.before, r.after, r.difference))]
        lines.append(f"| {' | '.join(cells)} | {r.after.clusters} |")
    return "\n".join(lines)


def _cell(x: bootstrap.Interval) -> str:
    return f"{x.mean:.3f} ({x.low:.3f} to {x.high:.3f})" if x.n else "–"


def _key(record: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return record["index"], record["id"], record["prompt"]


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {k: _plain(v) for k, v in x.items()}
    return None if isinstance(x, float) and not math.isfinite(x) else x
