"""How honest and how useful the model's confidence is, from the records of an evaluation.

An item is an answer whose accuracy is scored, or a predicted entity with a box or a mask. It has a
confidence between 0 and 1 and an outcome: the accuracy of the answer, or the IoU of the entity with
the entity of the reference that it was matched with (0 without a match). An item is right if its
outcome is at least 0.5. Items of different kinds, and calibrated and uncalibrated ones, are never
mixed. The figures are those of `metrics.calibration`; `confidence_text` writes them as text.
"""

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.records import (
    Bootstrap,
    Confidence,
    ConfidenceGroup,
    ConfidenceReport,
    Entity,
    Entry,
    Figure,
    Limit,
    Record,
    ReliabilityBin,
)
from big_rad.inference.confidence import KINDS
from big_rad.metrics import bootstrap as bootstrap_lib
from big_rad.metrics import calibration, resampled

# The names of the figures: see `metrics.calibration` for those without an explanation here.
FIGURES = (
    "ece",
    "ece_debiased",
    "brier",
    "brier_base",  # The Brier score of one confidence for all items, the mean of their outcomes.
    "brier_gain",  # brier_base - brier: above 0 the confidence knows more than that mean.
    "slope",
    "intercept",
    "auroc",
    "aurc",
    "augrc",
    "auroc_token",  # For boxes and masks: the AUROC of the mean token probability of the text.
    "auroc_gain",  # auroc - auroc_token, over the items that have both.
)
RIGHT = 0.5  # The lowest outcome of a right item.
KEPT = 0.8  # The share of right entities that a limit has to keep.
PLACES = ("box", "mask")  # The kinds of entities; the others are of answers.
_FIRST = "en"  # The language that comes first in tables.
_RESAMPLES = (200, 1000)  # The fewest and the most for the intervals of a group.
_COUNTS = 2_000_000  # About the most resamples times items, so that a group takes seconds.
_MOST_POINTS = 100  # Of a curve.
_VALUED = 0.975  # The least share of resamples that must have a value, for an interval.


@dataclasses.dataclass(frozen=True)
class Item:
    """An answer or an entity with a confidence.

    Attributes:
        kind: one of `inference.confidence.KINDS`.
        lang: the language of the text; "" if it is not known.
        calibrated: whether `value` is calibrated.
        value: the calibrated confidence, or the score without calibration.
        outcome: the accuracy or the IoU, in 0..1.
        token: the mean token probability of the whole text; None if the record has none.
        record: the position of its record.
    """

    kind: str
    lang: str
    calibrated: bool
    value: float
    outcome: float
    token: float | None
    record: int


def items(records: Sequence[Record]) -> list[Item]:
    """Returns the answers and entities that have a confidence, in the order of the records.

    An entity counts only if it has a box or a mask, and its confidence only if it is of its place.
    """
    return [item for i, record in enumerate(records) for item in _items(record, i)]


def report(
    records: Sequence[Record], patients: Sequence[Hashable], bootstrap: Bootstrap
) -> ConfidenceReport | None:
    """Returns how good the confidence in records is; None if no record has a confidence.

    Args:
        records: the records of an evaluator.
        patients: the patient of each record.
        bootstrap: how intervals are computed. At most 1,000 resamples are made, and fewer (from
            200) of more than 2,000 items.
    """
    found = items(records)
    if not found:
        return None
    clusters = summaries.clusters(records, bootstrap["by"], patients)
    clusters = range(len(records)) if clusters is None else clusters
    groups: list[ConfidenceGroup] = []
    for kind in dict.fromkeys((*KINDS, *(x.kind for x in found))):
        for calibrated in (True, False):
            same = [x for x in found if (x.kind, x.calibrated) == (kind, calibrated)]
            langs = sorted({x.lang for x in same}, key=lambda n: (n != _FIRST, n))
            parts = {"": same}
            if len(langs) > 1:
                parts |= {n or "unknown": [x for x in same if x.lang == n] for n in langs}
            for lang, members in parts.items():
                if members:
                    group = _group(members, clusters, patients, bootstrap)
                    groups.append({**group, "lang": lang})
                    if not lang and kind in PLACES and (limit := _limit(members, group)):
                        groups[-1]["limit"] = limit
    return {"groups": groups, "without": _without(records, found)}


def with_blanks(
    evals: Mapping[str, Entry], read: Callable[[str], Sequence[Record]]
) -> dict[str, Entry]:
    """Adds to each limit how many entities of blank images it keeps.

    Args:
        evals: name -> entry of all evaluators.
        read: returns the records of an evaluator by name.

    Returns:
        The entries. One without a limit, or whose questions were not asked with blank images, is
        the same as before, without the figures of an earlier control.
    """
    blank = {
        spec_lib.questions_key(e["asked"], e["sha256"]): name
        for name, e in evals.items()
        if "confidence" in e and spec_lib.control_of(e["asked"]) == "blank"
    }
    found = dict(evals)
    for name, entry in evals.items():
        limited = [g for g in entry.get("confidence", {}).get("groups", ()) if "limit" in g]
        if not limited or spec_lib.control_of(entry["asked"]) != "none":
            continue
        control = blank.get(spec_lib.questions_key(entry["asked"], entry["sha256"]))
        others = items(read(control)) if control else []
        groups = [_with_blank(g, others) for g in entry["confidence"]["groups"]]
        found[name] = {**entry, "confidence": {**entry["confidence"], "groups": groups}}
    return found


def _items(record: Record, place: int) -> Iterator[Item]:
    sure, lang = record.get("confidence"), str(record.get("lang") or "")
    accuracy = record["scores"].get("accuracy")
    token = (sure or {}).get("features", {}).get("mean_token")
    rows = [] if accuracy is None else [(sure, float(accuracy), None, False)]
    rows += [(e.get("confidence"), float(e.get("iou") or 0), token, True) for e in _places(record)]
    for given, outcome, beside, is_place in rows:
        value, calibrated = _value(given)
        if value is not None and (given["kind"] in PLACES) == is_place:
            yield Item(given["kind"], lang, calibrated, value, outcome, beside, place)


def _value(sure: Confidence | None) -> tuple[float | None, bool]:
    # The confidence and whether it is calibrated; None if there is no number.
    for name in ("calibrated", "score"):
        value = (sure or {}).get(name)
        if value is not None and math.isfinite(value):
            return float(value), name == "calibrated"
    return None, False


def _without(records: Sequence[Record], found: Sequence[Item]) -> dict[str, int]:
    # How many answers and entities have no confidence, where others have one.
    answers = sum(x.kind not in PLACES for x in found)
    entities = len(found) - answers
    scored = sum(r["scores"].get("accuracy") is not None for r in records)
    placed = sum(len(_places(r)) for r in records)
    counted = {"answers": (answers, scored), "entities": (entities, placed)}
    return {name: whole - part for name, (part, whole) in counted.items() if 0 < part < whole}


def _places(record: Record) -> list[Entity]:
    # The predicted entities with a box or a mask.
    there = (record.get("boxes") or {}).get("prediction") or ()
    return [e for e in there if e.get("box") is not None or e.get("mask") is not None]


def _group(
    members: Sequence[Item],
    clusters: Sequence[Hashable],
    patients: Sequence[Hashable],
    bootstrap: Bootstrap,
) -> ConfidenceGroup:
    # The group of items of one kind, for all languages or one.
    values = np.array([x.value for x in members])
    outcomes = np.array([x.outcome for x in members])
    units = [clusters[x.record] for x in members]
    people = len({patients[x.record] for x in members})
    tokens = np.array([np.nan if x.token is None else x.token for x in members])
    figures = _values(values, outcomes, tokens)
    bounds: dict[str, tuple[float, float] | None] = {}
    fewest, most = _RESAMPLES
    resamples = min(bootstrap["resamples"], max(fewest, min(most, _COUNTS // len(members))))
    if people >= bootstrap_lib.FEWEST and len(set(units)) > 1:
        bounds = _bounds(values, outcomes, tokens, units, figures, resamples, bootstrap["seed"])
    made: dict[str, Figure] = {}
    for name in FIGURES:
        if name in figures and math.isfinite(figures[name]):
            low, high = bounds.get(name) or (None, None)
            made[name] = {"value": figures[name], "low": low, "high": high}
    curve = calibration.risk_coverage(values, outcomes)
    shown = np.unique(np.linspace(0, len(curve) - 1, _MOST_POINTS).round().astype(int))
    bins: list[ReliabilityBin] = [
        {"count": b.count, "score": b.score, "outcome": b.outcome}
        for b in calibration.bins(values, outcomes)
    ]
    return {
        "kind": members[0].kind,
        "lang": "",
        "calibrated": members[0].calibrated,
        "n": len(members),
        "clusters": len(set(units)),
        "subjects": people,
        "resamples": resamples if bounds else 0,
        "right": float((outcomes >= RIGHT).mean()),
        "figures": made,
        "bins": bins,
        "curve": [[round(float(c), 4), round(float(r), 4)] for c, r in curve[shown]],
    }


def _values(
    values: Float[np.ndarray, " items"],
    outcomes: Float[np.ndarray, " items"],
    tokens: Float[np.ndarray, " items"],
) -> dict[str, float]:
    # The figures of all items; NaN where there is no value.
    right = outcomes >= RIGHT
    base, own = float(outcomes.var()), calibration.brier(values, outcomes)
    auroc = calibration.auroc(values, right)
    found = {
        "ece": calibration.ece(values, outcomes),
        "ece_debiased": calibration.debiased_ece(values, outcomes),
        "brier": own,
        "brier_base": base,
        "brier_gain": base - own,
        "auroc": auroc,
        "aurc": calibration.aurc(values, outcomes),
        "augrc": calibration.augrc(values, outcomes),
    }
    if _can_be_fitted(values, outcomes):
        fit = calibration.recalibration(values, outcomes)
        found |= {"slope": fit.slope, "intercept": fit.intercept}
    both = _with_tokens(tokens)
    if both.any():
        found["auroc_token"] = calibration.auroc(tokens[both], right[both])
        found["auroc_gain"] = calibration.auroc(values[both], right[both]) - found["auroc_token"]
    return found


def _bounds(
    values: Float[np.ndarray, " items"],
    outcomes: Float[np.ndarray, " items"],
    tokens: Float[np.ndarray, " items"],
    units: Sequence[Hashable],
    figures: Mapping[str, float],
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float] | None]:
    # name -> interval of a figure; None where too many resamples have no value.
    right, both = (outcomes >= RIGHT).astype(float), _with_tokens(tokens)
    start = calibration.Recalibration(figures.get("slope", 1), figures.get("intercept", 0))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in figures}

    def add(**found: np.ndarray) -> None:
        for name, part in found.items():
            parts[name].append(part)

    for counts in resampled.draws(units, resamples, seed):
        brier = resampled.mean((values - outcomes) ** 2, counts)
        base = resampled.mean(outcomes**2, counts) - resampled.mean(outcomes, counts) ** 2
        add(brier=brier, brier_base=base, brier_gain=base - brier)
        gap = resampled.ece(values, outcomes, counts)
        add(ece=gap, ece_debiased=gap, auroc=resampled.auroc(values, right, counts))
        add(aurc=resampled.aurc(values, outcomes, counts))
        add(augrc=resampled.augrc(values, outcomes, counts))
        if "slope" in figures:
            fit = resampled.recalibration(values, outcomes, counts, start)
            add(slope=fit.slope, intercept=fit.intercept)
        if "auroc_gain" in figures:
            some = counts[:, both]
            token = resampled.auroc(tokens[both], right[both], some)
            own = resampled.auroc(values[both], right[both], some)
            add(auroc_token=token, auroc_gain=own - token)
    drawn = {name: np.concatenate(part) for name, part in parts.items()}
    for name in ("ece", "ece_debiased"):
        # The error grows with noise, and a resample has more noise than the data. So the resamples
        # give the width of the interval, and the data its place.
        drawn[name] = drawn[name] - drawn[name].mean() + figures[name]
    drawn["ece"] = np.maximum(drawn["ece"], 0)
    return {name: _percentiles(x) for name, x in drawn.items()}


def _percentiles(drawn: Float[np.ndarray, " resamples"]) -> tuple[float, float] | None:
    valued = np.isfinite(drawn)
    if valued.mean() < _VALUED:
        return None
    low, high = np.percentile(drawn[valued], (2.5, 97.5))
    return float(low), float(high)


def _with_tokens(tokens: Float[np.ndarray, " items"]) -> Bool[np.ndarray, " items"]:
    return np.isfinite(tokens)


def _can_be_fitted(
    values: Float[np.ndarray, " items"], outcomes: Float[np.ndarray, " items"]
) -> bool:
    # A logistic regression has no finite fit if some value separates what counts as right from
    # what counts as wrong. An outcome between 0 and 1 counts as both.
    ones, zeros = values[outcomes > 0], values[outcomes < 1]
    if not len(ones) or not len(zeros):
        return False
    return ones.min() < zeros.max() and zeros.min() < ones.max()


def _limit(members: Sequence[Item], group: ConfidenceGroup) -> Limit | None:
    # The highest value that enough right entities have.
    right = sorted((x.value for x in members if x.outcome >= RIGHT), reverse=True)
    if not right or group["subjects"] < bootstrap_lib.FEWEST:
        return None
    limit = right[math.ceil(KEPT * len(right) - 1e-9) - 1]
    kept = [x for x in members if x.value >= limit]
    return {
        "min_score": limit,
        "precision": sum(x.outcome >= RIGHT for x in kept) / len(kept),
        "coverage": len(kept) / len(members),
    }


def _with_blank(group: ConfidenceGroup, others: Sequence[Item]) -> ConfidenceGroup:
    if "limit" not in group:
        return group
    key = (group["kind"], group["calibrated"])
    values = [x.value for x in others if (x.kind, x.calibrated) == key]
    limit: Limit = {k: v for k, v in group["limit"].items() if k != "blank"}
    if values:
        kept = sum(v >= limit["min_score"] for v in values)
        limit["blank"] = {"n": len(values), "kept": kept, "share": kept / len(values)}
    return {**group, "limit": limit}
