"""Writes how good the model's confidence is as text: figures, verdicts and tables.

The groups come from `evaluators.confidence`. Wherever scores are not calibrated, the text says
"uncalibrated". With fewer patients than `bootstrap.FEWEST` there are no intervals, and "too few" is
in the place of a verdict.
"""

from collections.abc import Sequence

from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.confidence import KEPT, PLACES
from big_rad.evaluators.records import ConfidenceGroup, Entry, Figure, Summary
from big_rad.metrics import bootstrap

KINDS = {
    "yes_no": "yes/no answers",
    "multiple": "multiple-choice answers",
    "text": "other answers",
    "box": "boxes",
    "mask": "masks",
}
LANGUAGES = {"en": "English", "de": "German"}
# The figures of tables: name -> (heading, what it says).
FIGURES = {
    "ece": ("ECE", "mean distance of confidence and outcome over bins; 0 is honest"),
    "ece_debiased": ("ECE less chance", "ECE less what an honest model of this size would have"),
    "brier": ("Brier", "mean squared distance of confidence and outcome; 0 is best"),
    "brier_base": ("Brier of the base rate", "the same for one confidence for all"),
    "brier_gain": ("better than the base rate by", "above 0, the confidence is worth more"),
    "slope": ("slope", "1 is honest; below 1 the confidence is too extreme"),
    "intercept": ("intercept", "0 is honest, if the slope is 1; below 0 it is too high"),
    "auroc": ("AUROC", "how often a right one is surer than a wrong one; 0.5 is chance"),
    "aurc": ("AURC", "area below the risk-coverage curve; 0 is best"),
    "augrc": ("AUGRC", "share that is wrong and accepted, over all limits; 0 is best"),
    "auroc_token": ("AUROC of token probability", "the same for the words of the text"),
    "auroc_gain": ("better than token probability by", "AUROC minus that of token probability"),
}
_SIGNED = ("brier_gain", "auroc_gain", "ece_debiased", "intercept")
# Of each verdict: the figure, its value without an effect, and what is said if the interval is
# above this value, below it, or on both sides.
_VERDICTS = (
    (
        "brier_gain",
        0,
        "it is worth more than the base rate",
        "it is worth less than the base rate",
        "it is not shown to be worth more than the base rate",
    ),
    ("slope", 1, "it is too cautious (slope above 1)", "it is too extreme (slope below 1)", ""),
    (
        "auroc",
        0.5,
        "it is higher for right ones than for wrong ones",
        "it is lower for right ones than for wrong ones",
        "it is not shown to tell right from wrong",
    ),
    (
        "auroc_gain",
        0,
        "it ranks better than token probability",
        "it ranks worse than token probability",
        "it is not shown to rank better than token probability",
    ),
)
_TOKEN = ("auroc_token", "auroc_gain")  # Of boxes and masks only, in a table of their own.


def name(group: ConfidenceGroup) -> str:
    """Returns what a group is about, such as "boxes, uncalibrated, German"."""
    parts = [KINDS.get(group["kind"], group["kind"]), state(group)]
    return ", ".join(parts + [language(group)] * bool(group["lang"]))


def state(group: ConfidenceGroup) -> str:
    """Returns "calibrated" or "uncalibrated"."""
    return "calibrated" if group["calibrated"] else "uncalibrated"


def language(group: ConfidenceGroup) -> str:
    """Returns the language of a group, or "all"."""
    return LANGUAGES.get(group["lang"], group["lang"]) or "all"


def figure(group: ConfidenceGroup, which: str) -> str:
    """Returns a figure of a group as text, such as "0.021 (0.013 to 0.034)"; "–" without a value.

    Args:
        group: the group.
        which: the name of the figure. Differences have a sign.
    """
    value, bounds = value_and_bounds(group, which)
    return f"{value} ({bounds})" if bounds else value


def value_and_bounds(group: ConfidenceGroup, which: str) -> tuple[str, str]:
    """Returns the two parts of `figure`; the second one is "" without an interval."""
    x = group["figures"].get(which)
    if x is None:
        return "–", ""
    form = "+.3f" if which in _SIGNED else ".3f"
    if x["low"] is None or x["high"] is None:
        return f"{x['value']:{form}}", ""
    return f"{x['value']:{form}}", f"{x['low']:{form}} to {x['high']:{form}}"


def verdict(group: ConfidenceGroup, patients: str = "patients") -> str:
    """Returns in words what the intervals of a group allow to say.

    Args:
        group: the group.
        patients: the plural noun for its patients, see `patients_of`.
    """
    if group["subjects"] < bootstrap.FEWEST:
        return f"too few for a verdict: {bootstrap.few(group['subjects'], patients)}"
    found = [_side(group["figures"].get(name), *rest) for name, *rest in _VERDICTS]
    return "; ".join(filter(None, found)) or "no verdict: these data allow no interval"


def limit(group: ConfidenceGroup) -> str:
    """Returns a sentence about the lowest confidence to accept; "" if the group has none."""
    found = group.get("limit")
    if found is None:
        return ""
    blank = found.get("blank")
    text = (
        f"min_score {_limit_figure(found['min_score'])} keeps {_percent(KEPT)} of the right "
        f"{KINDS[group['kind']]} (IoU of at least 0.5): it keeps {_percent(found['coverage'])} "
        f"of all, and {_percent(found['precision'])} of these are right."
    )
    if blank:
        text += f" Of the {blank['n']:,} on blank images it keeps {_percent(blank['share'])}."
    return text


def patients_of(entry: Entry) -> str:
    """Returns the plural noun for the patients of an entry, such as "patients"."""
    return summaries.units(0, summaries.unit(entry, "patient")).removeprefix("0 ")


def without(entry: Entry) -> str:
    """Returns a sentence about what has no confidence; "" if everything has one."""
    missing = (entry.get("confidence") or {}).get("without") or {}
    words = " and ".join(f"{n:,} {what}" for what, n in missing.items() if n)
    return f"{words} have no confidence and are left out." if words else ""


def markdown(summary: Summary) -> str:
    """Returns tables of all figures as Markdown; "" if no evaluator has a confidence."""
    rows, limits, notes = [], [], []
    for evaluator, entry in summary["evals"].items():
        for group in (entry.get("confidence") or {}).get("groups", ()):
            noun = summaries.unit(entry, summary["by"])
            cells = [figure(group, f) for f in _of_all()]
            said = _said(group, entry)
            rows.append(
                [evaluator, name(group), f"{group['n']:,}"]
                + [summaries.units(group["clusters"], noun), f"{group['right']:.3f}", *cells, said]
            )
            if group["kind"] in PLACES and not group["lang"] and _is_real(entry):
                limits.append([evaluator, name(group), *_limits(group, patients_of(entry))])
        notes += [f"{evaluator}: {text}" for text in [without(entry)] if text]
    if not rows:
        return ""
    heads = ["evaluator", "confidence of", "n", "units", "right"]
    parts = ["", "## How sure the model is", ""]
    if summary.get("calibration"):
        parts += [f"Calibrated on {summary['calibration']}.", ""]
    parts += _table([*heads, *(FIGURES[f][0] for f in _of_all()), "verdict"], rows)
    if limits:
        heads = ["evaluator", "confidence of", FIGURES["auroc_gain"][0], "min_score", "precision"]
        parts += ["", *_table([*heads, "coverage", "kept on blank images"], limits)]
    return "\n".join(parts + [f"\n{note}" for note in notes]) + "\n"


def _said(group: ConfidenceGroup, entry: Entry) -> str:
    # The verdict of a table. A part of the data has no verdict of its own, so that not every one of
    # many comparisons can be found by chance.
    if not _is_real(entry):
        return "a control"
    few = group["subjects"] < bootstrap.FEWEST
    return verdict(group, patients_of(entry)) if few or not group["lang"] else "–"


def _limits(group: ConfidenceGroup, patients: str) -> list[str]:
    found = group.get("limit")
    gain = figure(group, "auroc_gain")
    if found is None:
        few = group["subjects"] < bootstrap.FEWEST
        why = f"too few: {bootstrap.few(group['subjects'], patients)}" if few else "none is right"
        return [gain, why, "–", "–", "–"]
    blank = found.get("blank")
    kept = "–" if blank is None else f"{blank['share']:.3f} ({blank['kept']} of {blank['n']})"
    return [
        gain,
        _limit_figure(found["min_score"]),
        f"{found['precision']:.3f}",
        f"{found['coverage']:.3f}",
        kept,
    ]


def _limit_figure(value: float) -> str:
    # Rounded down, since a higher limit would keep less than it says.
    return f"{int(value * 1000) / 1000:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _side(x: Figure | None, middle: float, above: str, below: str, neither: str) -> str:
    if x is None or x["low"] is None or x["high"] is None:
        return ""
    return above if x["low"] > middle else below if x["high"] < middle else neither


def _of_all() -> list[str]:
    return [f for f in FIGURES if f not in _TOKEN]


def _is_real(entry: Entry) -> bool:
    return spec_lib.control_of(entry) == "none"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
