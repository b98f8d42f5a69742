"""Gives each patient a split: the one that is given, the one from an earlier run, or a new one.

A dataset that grows keeps its patients where they are, because whoever trained on a patient must
not test on that patient later. What earlier runs assigned lies in two places:

    OUT/dataset/provenance.jsonl    the patients of the dataset that is there
    OUT/splits.json                 these, and the patients of earlier datasets, by pseudonym

The dataset appears as a whole, and `splits.json` only ever holds patients of datasets that
appeared. A run that is killed at any moment therefore changes nothing for the next one. The card
holds a digest of everything that decided the splits of its dataset; if a run has the same one, it
takes the same splits, and so the same command gives the same bytes again.
"""

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from big_rad import files
from big_rad.annotate import leaks, place, split
from big_rad.annotate.results import Light
from big_rad.annotate.settings import Settings, key_of

PROVENANCE = "provenance.jsonl"
_ANEW = "--config.keep_splits=False draws all splits anew"


@dataclasses.dataclass(frozen=True)
class Memory:
    """What earlier runs in a folder of results assigned.

    Attributes:
        patients: {patient: split} of all earlier datasets.
        there: {patient: split} of the dataset that is there.
        draw: how these were assigned, see `Assigned`.
    """

    patients: Mapping[str, str] = dataclasses.field(default_factory=dict)
    there: Mapping[str, str] = dataclasses.field(default_factory=dict)
    draw: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Assigned:
    """The splits of a dataset.

    Attributes:
        splits: {patient: "train", "val" or "test"}.
        warnings: sentences about them, for the card.
        draw: the numbers of patients whose splits were "given", "kept" or "drawn", of those that
            "moved" out of the split of an earlier run, and "inputs", a digest of what decided it.
    """

    splits: dict[str, str]
    warnings: list[str]
    draw: dict[str, Any]


def remembered(out: Path, fingerprint: str, keep: bool) -> Memory:
    """Returns what earlier runs assigned.

    Args:
        out: the folder of the results, checked by `place.check`.
        fingerprint: the fingerprint of the key of this run.
        keep: whether patients will keep their splits.

    Raises:
        ValueError: patients shall keep their splits, and the pseudonyms come from another key.
    """
    card = place.own_card(out / place.DATASET)
    ours = card is not None and card["key"] == fingerprint
    there = _of_dataset(out / place.DATASET) if ours else {}
    path, known = out / place.SPLITS, {}
    if path.exists():
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["key"] == fingerprint:
            known = held["patients"]
        elif keep and not ours:
            raise ValueError(_other_key(path.name))
    if keep and card is not None and not ours:
        raise ValueError(_other_key(f"{place.DATASET}/{place.CARD}"))
    return Memory(known | there, there, card.get("draw", {}) if ours else {})


def _other_key(name: str) -> str:
    return (
        f"{name}: the pseudonyms of the earlier run in this folder come from another key, so no "
        "patient would be found again; pass that key with --config.key=FILE, or give another out. "
        "--config.keep_splits=False makes the dataset with the new key"
    )


def remember(out: Path, fingerprint: str, patients: Mapping[str, str]) -> None:
    """Writes what was assigned, for later runs. The dataset must be in its place."""
    content = {"key": fingerprint, "patients": dict(sorted(patients.items()))}
    if patients:
        files.write_whole(out / place.SPLITS, json.dumps(content, indent=0) + "\n")


def earlier(dataset: Path | None, fingerprint: str) -> dict[str, str]:
    """Returns the splits of the patients of another dataset, the setting `splits_from`.

    Args:
        dataset: the folder of the dataset, or None.
        fingerprint: the fingerprint of the key of this run, "" if it has none yet.

    Raises:
        ValueError: the dataset cannot be read, or its pseudonyms come from another key.
    """
    if dataset is None:
        return {}
    try:
        key = json.loads((dataset / place.CARD).read_text(encoding="utf-8"))["key"]
        found = _of_dataset(dataset)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ValueError(
            f"config.splits_from: {place.CARD} or {PROVENANCE} cannot be read "
            f"({type(e).__name__}); give the folder `dataset` of an earlier run"
        ) from None
    if key != fingerprint:
        raise ValueError(
            "config.splits_from: the earlier dataset has pseudonyms of another key, so no patient "
            "would be found again; pass its key, --config.key=EARLIER/secret.key"
        )
    return found


def _of_dataset(dataset: Path) -> dict[str, str]:
    with open(dataset / PROVENANCE, encoding="utf-8") as lines:
        return {x["patient"]: x["split"] for x in map(json.loads, lines)}


def assign(
    light: Sequence[Light], settings: Settings, given: Mapping[str, str], memory: Memory
) -> Assigned:
    """Assigns the patients of a dataset to splits.

    Args:
        light: what is remembered of the items.
        settings: the settings of the run.
        given: the splits that are given, by pseudonym. They win over those of earlier runs.
        memory: what earlier runs assigned.
    """
    joined = leaks.joined(
        leaks.near({i.id: i.phash for i in light}), {i.id: i.patient for i in light}
    )
    patients = _summaries(light)
    here = {p.patient for p in patients}
    given = {p: name for p, name in given.items() if p in here}
    inputs = key_of(
        [dataclasses.astuple(p) for p in patients], sorted(map(sorted, joined)),
        sorted(given.items()), settings.shares, settings.seed, settings.keep_splits,
    )  # fmt: skip
    if memory.draw.get("inputs") == inputs and set(memory.there) == here:
        splits, draw = dict(sorted(memory.there.items())), dict(memory.draw)
    else:
        held = {p: name for p, name in memory.patients.items() if p in here}
        kept = {p: n for p, n in held.items() if p not in given} if settings.keep_splits else {}
        fixed = kept | given
        together = _without_conflicts(joined, fixed)
        splits = split.assign(patients, settings.shares, settings.seed, together, fixed)
        draw = {
            "given": len(given), "kept": len(kept), "drawn": len(here) - len(fixed),
            "moved": sum(splits[p] != name for p, name in held.items()), "inputs": inputs,
        }  # fmt: skip
    warnings = list(split.warnings(patients, splits))
    warnings += _about_shares(splits, settings.shares, draw, joined) + _about_twins(joined, splits)
    return Assigned(splits, warnings, draw)


def _summaries(light: Iterable[Light]) -> list[split.PatientSummary]:
    modalities = collections.defaultdict(collections.Counter)
    classes = collections.defaultdict(collections.Counter)
    for one in light:
        modalities[one.patient][one.modality] += 1
        classes[one.patient].update(one.classes)
    return [
        split.PatientSummary(p, dict(modalities[p]), dict(classes[p])) for p in sorted(modalities)
    ]


def said(assigned: Assigned, memory: Memory) -> list[str]:
    """Returns lines for the user about the patients of earlier runs."""
    held = {p: name for p, name in memory.patients.items() if p in assigned.splits}
    if not held:
        return []
    moved = sum(assigned.splits[p] != name for p, name in held.items())
    lines = [
        f"annotate: {len(held) - moved} patients keep their splits of the earlier run in this "
        f"folder, and {len(assigned.splits) - len(held)} are new; {_ANEW}"
    ]
    if moved:
        lines.append(
            f"annotate: {moved} patients are in another split than in the earlier run in this "
            "folder; do not compare models that were trained before with models that are trained "
            "now"
        )
    return lines


def _about_shares(
    splits: Mapping[str, str],
    shares: Sequence[float],
    draw: Mapping[str, Any],
    joined: Iterable[set[str]],
) -> list[str]:
    """Returns a warning if splits that were not drawn keep the shares from being reached."""
    if not draw["kept"] + draw["given"]:
        return []
    counts = [sum(name == one for one in splits.values()) for name in split.SPLITS]
    most = max([1, *map(len, joined)])
    if all(abs(n - s * len(splits)) <= most for n, s in zip(counts, shares, strict=True)):
        return []
    held = ", ".join(f"{n} in {name}" for n, name in zip(counts, split.SPLITS, strict=True))
    return [
        f"The splits do not have the shares {', '.join(f'{s:g}' for s in shares)}, but {held}, "
        f"because {draw['kept']} patients keep the splits of an earlier run, and those of "
        f"{draw['given']} are given; {_ANEW}."
    ]


def _about_twins(joined: Iterable[set[str]], splits: Mapping[str, str]) -> list[str]:
    groups = _whole(joined)
    found = []
    if groups:
        found.append(
            f"{len(set().union(*groups))} patients share nearly the same image with another "
            "patient, as one person under two names does; such patients are kept in one split"
        )
    if apart := sum(len(g) for g in groups if len({splits[p] for p in g if p in splits}) > 1):
        found.append(
            f"{apart} of them do so over two splits, which were given or are those of an earlier "
            "run; they stay where they were, and count as leaks"
        )
    return found


def _whole(joined: Iterable[set[str]]) -> list[set[str]]:
    """Returns groups of patients, of which those that overlap are one."""
    whole: list[set[str]] = []
    for group in joined:
        touching = [w for w in whole if w & group]
        whole = [w for w in whole if not w & group] + [set().union(group, *touching)]
    return whole


def _without_conflicts(joined: Sequence[set[str]], fixed: Mapping[str, str]) -> list[set[str]]:
    """Returns groups of patients without those whose fixed splits differ."""
    conflicts = {
        p
        for group in _whole(joined)
        if len({fixed[p] for p in group if p in fixed}) > 1
        for p in group
        if p in fixed
    }
    kept = [group - conflicts for group in joined]
    return [group for group in kept if len(group) > 1]
