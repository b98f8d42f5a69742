"""Grades of a language model for the answers of an evaluation, put into its samples.

`judges.llm_score` knows how a judge is asked; this module says which samples it is asked about and
what of its grades an evaluation keeps.
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
    """What a judge says of the answers of one evaluator.

    Attributes:
        metrics: see `llm_score.summarise`; empty without grades.
        judge: name of the judge; None without grades.
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

    Only answers about real images are graded, and only texts that a judge can grade. Grades that
    are there stay valid without a judge.

    Args:
        judge: grades the answers; None asks nobody.
        name: of the evaluator.
        spec: its entry of `config.evals`.
        records: of its samples; each that is graded gets the score `llm_score` and `judge`.
        former: its entry in an earlier summary of the same answers; empty if there is none.
        log: receives how many answers were graded.

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
    # Puts the grades into the records.
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
    # The most frequent reason why there is no grade, "" if all are graded.
    errors = [r["judge"]["error"] for r in records if r["judge"]["error"]]
    if not errors:
        return ""
    most = max(set(errors), key=errors.count)
    return f"; {len(errors)} of {len(records)} not graded, most often: {most}"
