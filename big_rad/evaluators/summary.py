"""What an evaluation found: scores with intervals, as JSON and as a table to read.

Of each score the mean over samples, for all of them and for each language, modality and kind of
question, with percentile intervals. Samples of one image are resampled together unless asked
otherwise. Knows records; no model and no dataset.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.evaluators import page
from big_rad.evaluators.page_parts import esc, interval
from big_rad.metrics import bootstrap

BY = ("image", "sample", "patient")
_GROUPS = ("lang", "modality", "question_type")


def intervals(
    records: Sequence[Mapping[str, Any]],
    clusters: Sequence[str] | None,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns intervals of all scores of samples.

    Args:
        records: of the samples, see `generate.Evaluator`.
        clusters: what each belongs to; None takes each alone.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        group -> score -> `mean`, `low`, `high`, `n`, `clusters`. The group "" has all samples,
        "lang=de" those of a language, if there are several. Scores that no sample has are left out.
    """
    groups: dict[str, list[int]] = {"": list(range(len(records)))}
    for field in _GROUPS:
        values = [str(r.get(field, "")).strip() for r in records]
        if len(set(values)) > 1:
            for i, value in enumerate(values):
                groups.setdefault(f"{field}={value or 'unknown'}", []).append(i)
    scores = list(records[0]["scores"]) if records else []
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for group, members in groups.items():
        table = [[records[i]["scores"].get(s) for s in scores] for i in members]
        of = None if clusters is None else [clusters[i] for i in members]
        rows = bootstrap.interval(table, clusters=of, resamples=resamples, seed=seed)
        found[group] = {s: dataclasses.asdict(x) for s, x in zip(scores, rows, strict=True) if x.n}
    return found


def clusters(records: Sequence[Mapping[str, Any]], by: str, patients: Sequence[str]) -> Any:
    """Returns what samples are resampled by: the images, the patients, or None for each alone.

    Raises:
        ValueError: another `by`.
    """
    if by not in BY:
        raise ValueError(f"--by={by}: intervals are by {', '.join(BY)}")
    if by == "sample":
        return None
    return list(patients) if by == "patient" else [str(r["id"]) for r in records]


def markdown(summary: Mapping[str, Any], groups: bool = True) -> str:
    """Returns a summary as Markdown: what was evaluated, scores, and those of groups."""
    lines = [f"# Evaluation of {summary['checkpoint']}", ""]
    lines += [
        f"95 % intervals by {summary['by']}, {summary['resamples']:,} resamples, seed "
        f"{summary['seed']}.",
        "",
        "| evaluator | dataset | split | n | sha256 of questions and references |",
        "|---|---|---|---|---|",
    ]
    for name, entry in summary["evals"].items():
        lines.append(
            f"| {name} | {entry['dataset']} | {entry['split']} | {entry['n']} | "
            f"`{entry['sha256'][:16]}` |"
        )
    lines += ["", "| evaluator | score | mean (95 %) | n | units |", "|---|---|---|---|---|"]
    for name, entry in summary["evals"].items():
        for score, x in entry["intervals"][""].items():
            lines.append(f"| {name} | {score} | {interval(x)} | {x['n']} | {x['clusters']} |")
    grouped = groups and [
        f"| {name} | {group} | {score} | {interval(x)} | {x['n']} |"
        for name, entry in summary["evals"].items()
        if entry["control"] == "none"
        for group, scores in entry["intervals"].items()
        if group
        for score, x in scores.items()
    ]
    if grouped:
        lines += ["", "| evaluator | group | score | mean (95 %) | n |", "|---|---|---|---|---|"]
        lines += grouped
    return "\n".join(lines) + "\n"


def html(summary: Mapping[str, Any]) -> str:
    """Returns the scores with intervals as a section of a page."""
    rows = []
    for name, entry in summary["evals"].items():
        if entry["control"] != "none":
            continue
        labels = dict(page.HEADLINES.get(entry["type"], ()))
        what = f"{entry['dataset']} {entry['split']}, n = {entry['n']}"
        rows.append(
            f'<tr class="group"><th colspan="3" scope="rowgroup">{esc(page.title(name))} '
            f"<small>{esc(what)}</small></th></tr>"
        )
        for score, x in entry["intervals"][""].items():
            label = labels.get(score, score)
            rows.append(
                f'<tr><th scope="row">{esc(label)}</th><td>{interval(x)}</td><td>{x["n"]}</td></tr>'
            )
    return (
        '<section><h2>Scores with intervals</h2><div class="scroll"><table class="scores"><thead>'
        "<tr><th>score</th><th>mean (95 %)</th><th>samples</th></tr></thead>"
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="note">Bootstrap by '
        f"{esc(summary['by'])}, {summary['resamples']:,} resamples.</p></section>"
    )
