"""Summarises an evaluation: mean scores with bootstrap intervals, as JSON and as Markdown.

`intervals` computes the mean of each score with a percentile interval: over all samples, over each
language, modality and kind of question, and over the entities of each class. By default all samples
of an image are resampled together. `markdown` writes a summary as text.
"""

import dataclasses
from collections.abc import Collection, Hashable, Sequence

from big_rad.evaluators import headlines
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Entity, Entry, Interval, Record, Summary
from big_rad.metrics import bootstrap

BY = ("image", "sample", "patient")
Table = Sequence[Sequence[float | None]]  # A line for each sample, a column for each score.
_GROUPS = ("lang", "modality", "question_type")


def intervals(
    records: Sequence[Record],
    clusters: Sequence[Hashable] | None,
    resamples: int = 10_000,
    seed: int = 0,
    points: bool | None = None,
) -> dict[str, dict[str, Interval]]:
    """Returns the mean of each score with its interval, for all samples and for groups of them.

    Args:
        records: the records of the samples, see `base.Evaluator`.
        clusters: the cluster of each sample, such as its image; None makes each sample a cluster
            of its own.
        resamples: the number of bootstrap resamples.
        seed: the seed of the bootstrap.
        points: whether the answers point at places, see `spec.Statement`; None assumes it of
            samples that have a score "g_iou".

    Returns:
        group -> score -> `mean`, `low`, `high`, `n`, `clusters`. The group "" has all samples. A
        group such as "lang=de" has the samples of one language, modality or kind of question, if
        there are several. A group such as "class=liver" has the entities of one class in the
        references, with the scores `entity_found` (1 if the entity has a match in the prediction,
        else 0) and `entity_iou` (the IoU with the match; 0 without a match). A score that no sample
        of a group has is left out of the group.
    """
    groups: dict[str, list[int]] = {"": list(range(len(records)))}
    for field in _GROUPS:
        values = [str(r.get(field, "")).strip() for r in records]
        if len(set(values)) > 1:
            for i, value in enumerate(values):
                groups.setdefault(f"{field}={value or 'unknown'}", []).append(i)
    scores = list(records[0]["scores"]) if records else []
    found: dict[str, dict[str, Interval]] = {}

    def add(group: str, names: Sequence[str], members: Sequence[int], table: Table) -> None:
        of = None if clusters is None else [clusters[i] for i in members]
        rows = bootstrap.interval(table, clusters=of, resamples=resamples, seed=seed)
        found[group] = {s: dataclasses.asdict(x) for s, x in zip(names, rows, strict=True) if x.n}

    if not records:
        return {"": {}}
    for group, members in groups.items():
        add(
            group, scores, members, [[records[i]["scores"].get(s) for s in scores] for i in members]
        )
    for name, entities in sorted(_by_class(records, points).items()):
        table = [[float("iou" in e), e.get("iou", 0.0)] for _, e in entities]
        add(f"class={name}", ("entity_found", "entity_iou"), [i for i, _ in entities], table)
    return found


def _by_class(
    records: Sequence[Record], points: bool | None
) -> dict[str, list[tuple[int, Entity]]]:
    # class name -> (index of the record, entity) of the references; empty if answers do not point.
    found: dict[str, list[tuple[int, Entity]]] = {}
    for i, record in enumerate(records):
        pointed = "g_iou" in record["scores"] if points is None else points
        for entity in record["boxes"]["reference"] if pointed else ():
            if entity["class_name"]:
                found.setdefault(entity["class_name"], []).append((i, entity))
    return found


def clusters(
    records: Sequence[Record], by: str, patients: Sequence[Hashable]
) -> Sequence[Hashable] | None:
    """Returns the cluster of each sample, whose samples are resampled together.

    Args:
        records: the records of the samples.
        by: the unit that is resampled: "image", "patient" or "sample".
        patients: the patient of each sample, see `data.EvalData.patients`.

    Returns:
        The image or the patient of each sample; None for "sample".

    Raises:
        ValueError: `by` is not in `BY`.
    """
    check_by(by)
    if by == "sample":
        return None
    return list(patients) if by == "patient" else [sample_files.image_of(r) for r in records]


def check_by(by: str) -> None:
    """Checks the name of the unit that is resampled.

    Raises:
        ValueError: `by` is not in `BY`.
    """
    if by not in BY:
        raise ValueError(f"--by={by}: intervals are by {', '.join(BY)}")


def judged(summary: Summary, names: Collection[str]) -> int:
    """Returns the number of answers of the evaluators in `names` that a judge graded."""
    found = [summary["evals"].get(n, {}).get("metrics", {}) for n in names]
    return int(sum(m.get("llm_judged") or 0 for m in found))


def unit(entry: Entry, by: str) -> str:
    """Returns the noun for the unit that is resampled, such as "image".

    Args:
        entry: the entry of the evaluator in a summary. An image whose patient the dataset does not
            name counts as a patient, and the noun says so.
        by: the unit that was asked for, one of `BY`.
    """
    unnamed = entry.get("unnamed", 0)
    if by != "patient" or not unnamed:
        return by
    return "image" if unnamed == entry.get("subjects") else "patient or image"


def units(number: int, noun: str) -> str:
    """Returns a number with its noun from `unit`, such as "12 images"."""
    plural = noun.replace("patient or image", "patients or image") + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def without_patients(images: int) -> str:
    """Returns a sentence about the number of images whose patients the dataset does not name."""
    return f"{images} images name no patient; each counts as a patient of its own"


def markdown(summary: Summary, groups: bool = True) -> str:
    """Returns a summary as Markdown: what was evaluated, and tables of the scores.

    Args:
        summary: the summary.
        groups: whether to add a table with the scores of groups of samples.
    """
    step = f", step {summary['step']:,}" if summary.get("step") is not None else ""
    nouns = {name: unit(entry, summary["by"]) for name, entry in summary["evals"].items()}
    lines = [f"# Evaluation of {summary['checkpoint']}{step}", ""]
    lines += [
        f"95 % intervals by {summary['by']}, {summary['resamples']:,} resamples, seed "
        f"{summary['seed']}.",
        "",
        "| evaluator | dataset | split | n | sha256 of questions and references | intervals by |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in summary["evals"].items():
        lines.append(
            f"| {name} | {entry['dataset']} | {entry['split']} | {entry['n']} | "
            f"`{entry['sha256'][:16]}` | {nouns[name]} |"
        )
    lines += [
        f"\n{name}: {without_patients(entry['unnamed'])}."
        for name, entry in summary["evals"].items()
        if entry.get("unnamed")
    ]
    if summary.get("unfinished"):
        lines.append(f"\nNot finished: {', '.join(summary['unfinished'])}.")
    lines += [f"\n{n}: left out, {why}." for n, why in (summary.get("left_out") or {}).items()]
    graded = {n: headlines.graded(e.get("metrics", {})) for n, e in summary["evals"].items()}
    lines += [f"\n{name}: {text}." for name, text in graded.items() if text]
    lines += ["", "| evaluator | score | mean (95 %) | n | units |", "|---|---|---|---|---|"]
    for name, entry in summary["evals"].items():
        chances = spec_lib.class_of(entry.get("type")).chances(entry.get("metrics", {}))
        for score, x in entry["intervals"][""].items():
            chance = f" (chance {chances[score]:.3f})" if score in chances else ""
            lines.append(
                f"| {name} | {score}{chance} | {bootstrap.interval_text(x)} | {x['n']} | "
                f"{units(x['clusters'], nouns[name])} |"
            )
    grouped = groups and [
        f"| {name} | {group} | {score} | {bootstrap.interval_text(x)} | {x['n']} | "
        f"{units(x['clusters'], nouns[name])} |"
        for name, entry in summary["evals"].items()
        if entry["control"] == "none"
        for group, scores in entry["intervals"].items()
        if group
        for score, x in scores.items()
    ]
    if grouped:
        lines += ["", "| evaluator | group | score | mean (95 %) | n | units |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += grouped
    return "\n".join(lines) + "\n"
