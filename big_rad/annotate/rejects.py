"""Puts what was left out into words and into order, for rejects.jsonl and for the user."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.datasets.records import Problem

_SAID = 9  # The most reasons that are printed at the end of a run.


def nothing(rejects: Sequence[Mapping[str, Any]]) -> str:
    """Returns the message of a run that would make an empty dataset."""
    reasons = collections.Counter()
    for one in rejects:
        reasons[one["reason"]] += one["count"]
    most = "; ".join(f"{reason} ({n:,})" for reason, n in reasons.most_common(5))
    return f"no sentence could be tied to a slice, so nothing was written: {most or 'no rows'}"


def said(rejects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns lines for the user with the most frequent reasons."""
    reasons = collections.Counter()
    for one in rejects:
        reasons[one["what"], one["reason"]] += one["count"]
    return [
        f"  left out: {n:,} x {what}: {reason}" for (what, reason), n in reasons.most_common(_SAID)
    ]


def order(reject: Mapping[str, Any]) -> tuple:
    """Returns a key by which rejects are sorted."""
    return reject["line"] or 0, reject["stage"], reject["what"], reject["reason"]


def of_problem(problem: Problem, table: str) -> dict[str, Any]:
    """Returns a problem of the table of a source as a reject."""
    reason = f"{problem.field}: {problem.message}" if problem.field else problem.message
    if problem.file != table:
        reason = f"{problem.file}: {reason}"
    what = "row" if problem.level == "error" else "warning"
    return {
        "line": problem.line or 0, "stage": "manifest", "what": what, "reason": reason, "count": 1,
    }  # fmt: skip
