"""The main scores of evaluators: their names, their lines of progress, and their order on pages.

Everything here works on names and figures alone. The trainer uses it to check the score that
chooses the best checkpoint and to print progress; pages and TensorBoard use it for titles and
order.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from big_rad.evaluators import spec as spec_lib
from big_rad.registry import did_you_mean

Specs = Mapping[str, Mapping[str, Any]]


def unknown_score(name: str, evals: Specs) -> str:
    """Says what is wrong with the name of a score, such as "report_val/g_iou".

    Args:
        name: EVALUATOR/METRIC.
        evals: `config.evals`.

    Returns:
        "" if the evaluator exists and can yield this score; otherwise a message that lists the
        names that exist.
    """
    evaluator, slash, metric = name.partition("/")
    if not slash or not metric:
        return "name a score as EVALUATOR/METRIC"
    if evaluator not in evals:
        there = ", ".join(evals) or "there are no evaluators at all"
        like = did_you_mean(evaluator, evals)
        return f"config.evals has no evaluator {evaluator!r}; known: {there}{like}"
    spec = evals[evaluator]
    cls = spec_lib.class_of(spec.get("type"))
    if cls.missing:  # `evaluators.check` reports this error.
        return ""
    known = cls.names(spec)
    if metric in known or _is_of_a_group(cls, metric):
        return ""
    return (
        f"evaluator {evaluator!r} (type {spec['type']!r}) has no score {metric!r}; known: "
        f"{', '.join(known)}{did_you_mean(metric, known)}"
    )


def cannot_choose(name: str, evals: Specs, mode: str) -> str:
    """Says why a known score cannot choose the best checkpoint.

    Args:
        name: EVALUATOR/METRIC, for which `unknown_score` returns "".
        evals: `config.evals`.
        mode: `config.ckpt_best_mode`, "max" or "min".

    Returns:
        "" if the score can choose; otherwise the reason. A count says nothing about the model, and
        a score whose lowest value is the best cannot be chosen by its maximum.
    """
    evaluator, _, metric = name.partition("/")
    cls = spec_lib.class_of(evals[evaluator].get("type"))
    score = cls.stated(metric)
    if score is None:
        return ""
    if score.count:
        return f"this is a count and says nothing about the model; use {evaluator}/{cls.main[0]}"
    if mode == "max" and score.lowest:
        return "its lowest value is the best; set config.ckpt_best_mode=min"
    return ""


def default_summary(evals: Specs, metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the scores that a summary holds if `config.summary` names no scores.

    Args:
        evals: `config.evals`.
        metrics: "EVALUATOR/METRIC" -> value of an evaluation.

    Returns:
        A part of `metrics`: all main scores of each evaluator of real images, and the first main
        score of each control.
    """
    found = {}
    for evaluator, spec in evals.items():
        scores = spec_lib.class_of(spec.get("type")).main
        for score in scores if spec_lib.control_of(spec) == "none" else scores[:1]:
            name = f"{evaluator}/{score}"
            found |= {name: metrics[name]} if name in metrics else {}
    return found


def lines(
    step: int,
    metrics: Mapping[str, float],
    evals: Specs,
    before: Sequence[Mapping[str, Any]] = (),
    chosen: str = "",
    lowest: bool = False,
) -> Iterator[str]:
    """Yields a line for each evaluator that has just run, with its controls in brackets.

        eval step 45: report_val g_iou 0.073 (blank 0.010), best so far

    Args:
        step: the step that was evaluated.
        metrics: "EVALUATOR/METRIC" -> value.
        evals: `config.evals`.
        before: the lines of metrics.jsonl; the value is compared with those of earlier steps. Step
            0 has no checkpoint, so its value cannot be the best; if it is better than all others,
            it is shown as "before training".
        chosen: `config.ckpt_best`; it is shown instead of the main score of its evaluator.
        lowest: whether the lowest value of `chosen` is the best.
    """
    earlier = [r for r in before if r["step"] < step]
    for evaluator, spec in evals.items():
        score = _score_to_show(evaluator, spec, metrics, chosen)
        if not score or spec_lib.control_of(spec) != "none":
            continue
        name = f"{evaluator}/{score}"
        value = metrics[name]
        controls = ", ".join(
            f"{control} {_figure(metrics[f'{other}/{score}'])}"
            for control, other in _controls(evaluator, evals).items()
            if f"{other}/{score}" in metrics
        )
        text = f"eval step {step}: {evaluator} {score} {_figure(value)}"
        text += f" ({controls})" if controls else ""
        least = lowest if name == chosen else spec_lib.class_of(spec.get("type")).lowest(score)
        yield text + _compared(name, step, value, earlier, spec, least)


def board_tag(evals: Specs) -> Callable[[str], str]:
    """Returns a function from the name of a score to its tag in TensorBoard.

    The scores of real images that have a title are shown, grouped by evaluator (`report/g_iou`),
    and beside them the main score of each control (`report/g_iou_blank`). The function returns ""
    for a score that TensorBoard does not show.

    Args:
        evals: `config.evals`.
    """
    real = {
        other: (evaluator, control)
        for evaluator, spec in evals.items()
        if spec_lib.control_of(spec) == "none"
        for control, other in _controls(evaluator, evals).items()
    }

    def tag(name: str) -> str:
        evaluator, _, metric = name.partition("/")
        cls = spec_lib.class_of(evals.get(evaluator, {}).get("type"))
        if cls.missing:
            return name
        if spec_lib.control_of(evals[evaluator]) == "none":
            return name if metric in cls.labels() else ""
        if metric != cls.main[0]:
            return ""
        group, control = real.get(evaluator, (evaluator, spec_lib.control_of(evals[evaluator])))
        return f"{group}/{metric}_{control}"

    return tag


def _is_of_a_group(cls: type[spec_lib.Statement], metric: str) -> bool:
    # Whether this is the score of a group, such as f1_de, accuracy_yes_no or mean_iou_liver.
    score = cls.stated(metric)
    return score is not None and score.name != metric


def _score_to_show(
    evaluator: str, spec: Mapping[str, Any], metrics: Mapping[str, float], chosen: str
) -> str:
    # The score to show of an evaluator: the one that chooses checkpoints, or else its first main
    # score with a finite value; "" if the evaluator has not run.
    if chosen in metrics and chosen.partition("/")[0] == evaluator:
        return chosen.partition("/")[2]
    there = [s for s in spec_lib.class_of(spec.get("type")).main if f"{evaluator}/{s}" in metrics]
    finite = [s for s in there if math.isfinite(metrics[f"{evaluator}/{s}"])]
    return next(iter(finite + there), "")


def _compared(
    name: str,
    step: int,
    value: float,
    earlier: Sequence[Mapping[str, Any]],
    spec: Mapping[str, Any],
    lowest: bool,
) -> str:
    # Compares a value with those of earlier steps; "" for an evaluator that runs only once. Step 0
    # has no checkpoint, so it cannot be the best.
    if not spec.get("every") or not math.isfinite(value) or not step:
        return ""
    values = {r["step"]: r[name] for r in earlier if r.get(name) is not None}
    first = values.pop(0, None)
    sign = -1 if lowest else 1
    best = max(values, key=lambda s: sign * values[s], default=None)
    if best is None or sign * value > sign * values[best]:
        text = ", best so far"
    else:
        text = f", best {_figure(values[best])} at step {best}"
    reached = max(sign * v for v in (value, *values.values()))
    if first is not None and sign * first > reached:
        text += f", {_figure(first)} before training"
    return text


def _controls(evaluator: str, evals: Specs) -> dict[str, str]:
    # control -> the evaluator that asks the same questions with other images
    spec = evals[evaluator]
    same = (spec.get("type"), spec_lib.data_key(spec))
    return {
        spec_lib.control_of(other): name
        for name, other in evals.items()
        if spec_lib.control_of(other) != "none"
        and (other.get("type"), spec_lib.data_key(other)) == same
    }


def _figure(value: float) -> str:
    return f"{value:.3f}"


def rank(name: str, kind: spec_lib.Type) -> tuple[int, int, int]:
    """Returns a sort key for the place of an evaluator on pages.

    Evaluators with the same key keep their order.

    Args:
        name: the name of the evaluator.
        kind: its type.
    """
    cls, base = spec_lib.class_of(kind), name.removesuffix("_val")
    order = list(cls.titles)
    return (int(base != name), cls.place, order.index(base)) if base in order else (2, 0, 0)


def title(name: str, kind: spec_lib.Type) -> str:
    """Returns the heading of an evaluator on pages.

    Args:
        name: the name of the evaluator.
        kind: its type.
    """
    titles, base = spec_lib.class_of(kind).titles, name.removesuffix("_val")
    if base != name and base in titles:
        return f"{titles[base]}, validation"
    return titles.get(name, name.replace("_", " ").strip().capitalize())


def graded(metrics: Mapping[str, float | None]) -> str:
    """Returns a text that says how many answers a judge graded, or "" if no judge was asked."""
    judged, failed = metrics.get("llm_judged"), metrics.get("llm_failed")
    if judged is None or failed is None:
        return ""
    return f"{judged:.0f} of {judged + failed:.0f} graded by the judge"
