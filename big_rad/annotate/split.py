"""Assigns patients to the splits of a data set: training, validation and test.

All images of a patient are in one split, and the classes and modalities are spread over the splits
as evenly as this allows (iterative stratification, Sechidis et al. 2011: the rarest class first).
The result depends on the patients and on the seed, and on nothing else: not on the order in which
the patients come, nor on the process that runs it. 200,000 patients with about 25 classes each took
15 seconds on one core.

    assigned = split.assign(patients, joined=leaks.joined(groups, patient_of))
    for sentence in split.warnings(patients, assigned):
        ...
"""

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from big_rad.grounding import classes

SPLITS = ("train", "val", "test")
SHARES = (0.8, 0.1, 0.1)
_TINY = 1e-6  # Instead of 0 patients, where a share is 0.


@dataclasses.dataclass(frozen=True)
class PatientSummary:
    """What a patient would bring into a split.

    Attributes:
        patient: the pseudonym.
        modalities: {"CT": number of images}.
        classes: {class id: number of images in which the class is marked}. Entries of 0 do not
            count.
    """

    patient: str
    modalities: Mapping[str, int]
    classes: Mapping[int, int]


@dataclasses.dataclass
class _Units:
    # What is assigned as a whole: a patient, or patients that must stay together.
    members: list[list[str]]  # Ordered by a hash, as are all other fields.
    sizes: np.ndarray  # The numbers of patients [units].
    # The numbers of patients that have each label [units, labels]. The last label is that of all
    # patients, so that patients without a class are also spread.
    counts: np.ndarray
    fixed: np.ndarray  # The number of the split that is given, or -1 [units].


def assign(
    patients: Iterable[PatientSummary],
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    joined: Iterable[Iterable[str]] = (),
    fixed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Assigns each patient to a split.

    If no patients are joined or fixed, the numbers of patients are exactly the shares, rounded.
    Joined patients can make a split too large by fewer patients than the largest group has.

    Small sets: three patients or more give each split at least one, if its share is not 0 and if
    they are not all joined or fixed. Of two patients one is in "train" and one in "test". A single
    patient is in "train".

    Args:
        patients: the patients. Entries of the same patient are added up.
        shares: the shares of "train", "val" and "test" in the patients.
        seed: another seed gives another assignment.
        joined: sets of patients that must be in one split, such as one person under two
            pseudonyms. Sets that overlap are one. They may name patients that are not given.
        fixed: {patient: split} of an earlier version of the data set. These patients stay where
            they are, and those that are joined to them come to the same split. It may name
            patients that are not given; they do not count in the shares.

    Returns:
        {patient: "train", "val" or "test"}, ordered by the patient.

    Raises:
        ValueError: the shares are not three numbers that are at least 0 and add up to 1; a fixed
            split has another name; or joined patients are fixed to several splits.
    """
    shares = _checked(shares)
    fixed = dict(fixed or {})
    for name in fixed.values():
        if name not in SPLITS:
            raise ValueError(f"a fixed split must be train, val or test, got {name!r}")
    units = _units(patients, seed, joined, fixed)
    home = units.fixed.copy()
    targets = _targets(int(units.sizes.sum()), shares)
    room = [int(targets[k] - units.sizes[home == k].sum()) for k in range(len(SPLITS))]
    _distribute(units, home, room, shares)
    _fill_empty(units, home, shares)
    found = {m: SPLITS[k] for members, k in zip(units.members, home, strict=True) for m in members}
    return dict(sorted(found.items()))


def warnings(patients: Iterable[PatientSummary], assigned: Mapping[str, str]) -> tuple[str, ...]:
    """Returns sentences about splits that lack a patient, a modality or a class.

    Args:
        patients: the patients.
        assigned: the result of `assign`.
    """
    with_label: dict[Hashable, dict[str, set[str]]] = {}
    for one in patients:
        for label in _labels(one):
            where = with_label.setdefault(label, {})
            where.setdefault(assigned[one.patient], set()).add(one.patient)
    sizes = {name: 0 for name in SPLITS}
    for name in assigned.values():
        sizes[name] += 1
    total = sum(sizes.values())
    said = [f"The split {name} has no patient." for name in SPLITS if total and not sizes[name]]
    rare: list[Hashable] = []
    for label, where in sorted(with_label.items(), key=lambda item: _order(item[0])):
        count = sum(map(len, where.values()))
        missing = [name for name in SPLITS if sizes[name] and name not in where]
        enough = [name for name in missing if count * sizes[name] >= total]
        if enough:
            said.append(
                f"No patient with {_name(label)} is in the split {' or '.join(enough)}, although "
                f"{count} patients have it."
            )
        elif missing:
            rare.append(label)
    if rare:
        names = ", ".join(_name(label) for label in rare)
        said.append(f"In too few patients to be in every split ({len(rare)}): {names}.")
    return tuple(said)


def _checked(shares: Sequence[float]) -> np.ndarray:
    found = np.asarray(list(shares), np.float64)
    if found.shape != (3,) or not (found >= 0).all() or abs(found.sum() - 1) > 1e-6:
        raise ValueError(
            "shares must be three numbers for train, val and test that are at least 0 and add up "
            f"to 1, got {tuple(shares)}"
        )
    return found


def _labels(one: PatientSummary) -> list[Hashable]:
    return [m for m, n in one.modalities.items() if n] + [c for c, n in one.classes.items() if n]


def _order(label: Hashable) -> tuple[bool, int, str]:
    number = label if isinstance(label, int) else 0
    return isinstance(label, int), number, str(label)


def _name(label: Hashable) -> str:
    if not isinstance(label, int):
        return str(label)
    known = 1 <= label <= classes.NUM_CLASSES
    return classes.by_id(label).en if known else f"class {label}"


def _units(
    patients: Iterable[PatientSummary],
    seed: int,
    joined: Iterable[Iterable[str]],
    fixed: Mapping[str, str],
) -> _Units:
    labels: dict[str, set[Hashable]] = {}
    for one in patients:
        labels.setdefault(one.patient, set()).update(_labels(one))
    root = _union(joined)
    splits: dict[str, set[str]] = {}
    for patient, name in fixed.items():
        splits.setdefault(root.get(patient, patient), set()).add(name)
    if several := sum(len(names) > 1 for names in splits.values()):
        raise ValueError(
            f"{several} groups of patients that must stay together are fixed to several splits; "
            "leave the patients of one of the splits out of `fixed`"
        )
    groups: dict[str, list[str]] = {}
    for patient in labels:
        groups.setdefault(root.get(patient, patient), []).append(patient)
    hashed = [(min(_hash(m, seed) for m in members), key) for key, members in groups.items()]
    keys = [key for _, key in sorted(hashed)]
    members = [sorted(groups[key]) for key in keys]
    names = sorted({label for some in labels.values() for label in some}, key=_order)
    column = {label: k for k, label in enumerate(names)}
    counts = np.zeros((len(keys), len(names) + 1), np.float32)
    for row, some in zip(counts, members, strict=True):
        row[-1] = len(some)
        for member in some:
            row[[column[label] for label in labels[member]]] += 1
    places = [SPLITS.index(next(iter(splits[key]))) if key in splits else -1 for key in keys]
    sizes = np.array([len(some) for some in members], np.int64)
    return _Units(members, sizes, counts, np.array(places, np.int64))


def _union(joined: Iterable[Iterable[str]]) -> dict[str, str]:
    # Each patient that is joined to others -> one of its group, the same for all of the group.
    parent: dict[str, str] = {}

    def find(x: str) -> str:
        while parent.setdefault(x, x) != x:
            parent[x] = x = parent[parent[x]]
        return x

    for group in joined:
        first, *others = sorted(group) or [""]
        for other in others:
            parent[find(other)] = find(first)
    return {x: find(x) for x in list(parent)}


def _hash(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{patient}".encode()).digest()


def _targets(count: int, shares: np.ndarray) -> np.ndarray:
    # The numbers of patients: the shares, rounded by the largest remainders, the first split first;
    # then at least one for each split, of the largest.
    exact = shares * count
    found = np.floor(exact + 1e-9).astype(np.int64)
    for k in np.argsort(found - exact, kind="stable")[: count - found.sum()]:
        found[k] += 1
    if count == 2 and shares[0] and shares[2]:
        return np.array([1, 0, 1])
    for k in np.flatnonzero((found == 0) & (shares > 0)):
        if found.max() > 1:
            found[np.argmax(found)] -= 1
            found[k] = 1
    return found


def _distribute(units: _Units, home: np.ndarray, room: list[int], shares: np.ndarray) -> None:
    # Gives each unit without a split a home. Labels come by the number of the units that are left
    # and have them, the rarest first. A unit goes to the split with room for it that lowers
    # sum((patients - expected)**2 / expected) over all labels and splits most: so a patient with a
    # rare class goes where this class is missing, and one without goes where other labels are.
    # A label of a unit with one patient lowers it by `gain`; see the loop for larger units.
    totals = units.counts.sum(axis=0)
    weight = 1 / np.maximum(np.outer(totals, shares), _TINY)
    placed = np.stack([units.counts[home == k].sum(axis=0) for k in range(3)], axis=1)
    gain = 2 * (1 - placed * weight) - weight
    rows, columns = np.nonzero(units.counts)
    bounds = np.searchsorted(rows, np.arange(len(home) + 1)).tolist()
    left = (units.counts[home < 0] > 0).sum(axis=0)
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, left.max() + 1)))
        chosen = np.flatnonzero((home < 0) & (units.counts[:, label] > 0))
        # Large units come first, since they need most room. Others come in the order of the hash.
        for unit in chosen[np.argsort(-units.sizes[chosen], kind="stable")].tolist():
            size, own = int(units.sizes[unit]), columns[bounds[unit] : bounds[unit + 1]]
            added = units.counts[unit, own, None]
            each = gain[own] if size == 1 else added * (gain[own] - (added - 1) * weight[own])
            better = each.sum(axis=0).tolist()
            fits = [k for k in range(3) if room[k] >= size]
            best = max(fits or range(3), key=lambda k: (better[k] if fits else 0, room[k], -k))
            home[unit] = best
            room[best] -= size
            gain[own, best] -= 2 * added[:, 0] * weight[own, best]
            left[own] -= 1


def _fill_empty(units: _Units, home: np.ndarray, shares: np.ndarray) -> None:
    # Gives an empty split the smallest unit of the split with the most units. Only large groups
    # and fixed patients leave a split empty.
    if len(home) < 3:
        return
    for k in range(3):
        if shares[k] == 0 or (home == k).any():
            continue
        movable = [np.flatnonzero((home == j) & (units.fixed < 0)) for j in range(3)]
        givers = [j for j in range(3) if len(movable[j]) and (home == j).sum() > 1]
        if givers:
            source = max(givers, key=lambda j: (len(movable[j]), -j))
            home[movable[source][np.argmin(units.sizes[movable[source]])]] = k
