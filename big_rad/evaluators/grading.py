"""Grades the answers of an evaluation with a language model (the judge).

`judges.llm_score` sends the questions to the judge. This module chooses the samples that are
graded, writes the grades into their records, and keeps the grades of an earlier evaluation when no
judge is asked.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from big_rad.evaluators import headlines
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.judges import llm_score
from big_rad.evaluators.records import Record


@dataclasses.dataclass(frozen=True)
class Grades:
    """The grades of the answers of one evaluator.

    Attributes:
        metrics: the mean and the counts, see `llm_score.summarise`; empty without grades.
        judge: the name of the judge; None without grades.
        new: whether the judge has just been asked, so that the records have changed.
    """

    metrics: Mapping[str, float | None]
    judge: str | None
    new: bool = False


def grades(
    judge: llm_score.Judge | None,
    name: str,
    spec: Mapping[str, Any],
    records: Sequence[Record],
    former: Mapping[str, Any],
    log: Callable[[str], None] = print,
) -> Grades:
    """Returns the grades of an evaluator's answers, from a judge or from an earlier evaluation.

    The judge is asked only about answers to questions with real images, and only if the class of
    the evaluator states a `task`. Otherwise the grades of the earlier evaluation are returned.

    Args:
        judge: the judge; None asks no judge and returns the earlier grades.
        name: the name of the evaluator.
        spec: its entry of `config.evals`.
        records: the records of its samples, which are changed in place: a graded record gets the
            score `llm_score` and the field `judge`.
        former: the entry of the evaluator in an earlier summary of the same answers; empty if
            there is no such summary.
        log: receives a line that says how many answers were graded.

    Raises:
        llm_score.Unavailable: the judge cannot be asked.
    """
    task = spec_lib.class_of(spec["type"]).task
    if judge is None or spec_lib.control_of(spec) != "none":
        return _kept(former)
    if not task:
        log(f"{name}: not graded, since its type {spec['type']!r} has no texts for a judge")
        return _kept(former)
    metrics = _grade(judge, records, task)
    log(f"{name}: {headlines.graded(metrics)}{_failures(records)}")
    return Grades(metrics, judge.model, new=True)


def _kept(former: Mapping[str, Any]) -> Grades:
    metrics = {k: v for k, v in former.get("metrics", {}).items() if k.startswith("llm_")}
    return Grades(metrics, former.get("judge") if metrics else None)


def _grade(judge: llm_score.Judge, records: Sequence[Record], task: str) -> dict[str, float]:
    # Writes the grades into the records, and returns their mean and counts.
    items = [
        llm_score.Item(
            question=r["prompt"].strip(),
            candidate=r["prediction_text"],
            reference=r["reference_text"],
            task=task,
            lang="de" if r["lang"] == "de" else "en",
        )
        for r in records
    ]
    judge.probe(items)
    judgements = judge.judge(items)
    for record, found in zip(records, judgements, strict=True):
        record["scores"]["llm_score"] = found.score
        record["judge"] = {"answer": found.answer, "error": found.error}
    return llm_score.summarise(judgements)


def _failures(records: Sequence[Record]) -> str:
    # The most frequent reason for a missing grade; "" if all answers are graded.
    errors = [r["judge"]["error"] for r in records if r["judge"]["error"]]
    if not errors:
        return ""
    most = max(set(errors), key=errors.count)
    return f"; {len(errors)} of {len(records)} not graded, most often: {most}"
