"""Tests the assignment of patients to splits."""

import collections
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from big_rad.annotate import split
from big_rad.annotate.split import PatientSummary

some_patients = st.dictionaries(
    st.text("0123456789abcdef", min_size=1, max_size=4),
    st.tuples(st.sets(st.sampled_from(["CT", "MR"]), min_size=1), st.sets(st.integers(1, 12))),
    max_size=60,
).map(
    lambda found: [
        PatientSummary(name, dict.fromkeys(kinds, 2), dict.fromkeys(classes, 1))
        for name, (kinds, classes) in found.items()
    ]
)


def made(count, seed=0):
    rng = np.random.default_rng(seed)
    often = rng.uniform(0.02, 0.6, 20)
    return [
        PatientSummary(
            f"{k:020x}",
            {"CT" if rng.random() < 0.7 else "MR": 5},
            {int(c) + 1: 3 for c in np.flatnonzero(rng.random(20) < often)},
        )
        for k in range(count)
    ]


def sizes(assigned):
    counts = collections.Counter(assigned.values())
    return tuple(counts[name] for name in split.SPLITS)


@settings(max_examples=25)
@given(some_patients)
def test_each_split_has_its_share_of_patients_as_nearly_as_whole_patients_allow(patients):
    assigned = split.assign(patients)
    assert set(assigned) == {p.patient for p in patients}
    count = len(patients)
    for size, share in zip(sizes(assigned), split.SHARES):
        assert abs(size - share * count) <= 1 or count < 10
        assert size >= 1 or count < 3


@settings(max_examples=25)
@given(some_patients, st.randoms(use_true_random=False))
def test_the_order_of_the_patients_does_not_count(patients, random):
    shuffled = list(patients)
    random.shuffle(shuffled)
    joined = [{p.patient for p in patients[k : k + 2]} for k in range(0, len(patients) // 2, 2)]
    there = split.assign(patients, joined=joined)
    again = split.assign(shuffled, joined=reversed(joined))
    assert list(there.items()) == list(again.items())


@settings(max_examples=25)
@given(some_patients, st.data())
def test_joined_patients_stay_together_also_over_several_sets(patients, data):
    names = [p.patient for p in patients]
    groups = data.draw(st.lists(st.sets(st.sampled_from(names + ["elsewhere"]), max_size=5)))
    assigned = split.assign(patients, joined=groups)
    for group in groups:
        assert len({assigned[m] for m in group if m in assigned}) <= 1
    for a in groups:
        for b in groups:
            if a & b:
                assert len({assigned[m] for m in a | b if m in assigned}) <= 1


@settings(max_examples=25)
@given(some_patients, st.data())
def test_fixed_patients_stay_where_they_were_and_take_those_joined_to_them_along(patients, data):
    names = [p.patient for p in patients] + ["earlier"]
    fixed = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from(split.SPLITS)))
    free = [n for n in names if n not in fixed]
    joined = [{next(iter(fixed)), *free[:2]}] if fixed else []
    assigned = split.assign(patients, joined=joined, fixed=fixed)
    for patient, name in assigned.items():
        assert fixed.get(patient, name) == name
    for group in joined:
        for member in group & set(assigned):
            assert assigned[member] == fixed[next(iter(fixed))]


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=12),
    st.sampled_from([split.SHARES, (0.6, 0.2, 0.2)]),
)
def test_large_groups_leave_no_split_empty_and_exceed_it_by_less_than_a_group(groups, shares):
    patients, joined, count = [], [], 0
    for size in groups:
        names = [f"p{count + k}" for k in range(size)]
        patients += [PatientSummary(n, {"CT": 1}, {1: 1}) for n in names]
        joined.append(set(names))
        count += size
    found = sizes(split.assign(patients, shares, joined=joined))
    assert min(found) > 0
    for size, share in zip(found, shares):
        assert size < share * count + 1 + max(groups)


def test_modalities_and_classes_are_spread_evenly():
    patients = made(2000)
    assigned = split.assign(patients)
    assert sizes(assigned) == (1600, 200, 200)
    for has in [lambda p: "MR" in p.modalities] + [
        lambda p, c=c: c in p.classes for c in range(1, 21)
    ]:
        counts = collections.Counter(assigned[p.patient] for p in patients if has(p))
        total = sum(counts.values())
        for name, share in zip(split.SPLITS, split.SHARES):
            assert abs(counts[name] - share * total) <= 2


def test_the_seed_changes_the_assignment_and_nothing_else_does():
    patients = made(100)
    assert split.assign(patients, seed=1) != split.assign(patients, seed=2)
    code = (
        "from big_rad.annotate import split\n"
        "p = [split.PatientSummary(str(k), {'CT': 1}, {k % 7: 1, k % 3: 2}) for k in range(40)]\n"
        "print(split.assign(p))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1 and "train" in found.pop()


@pytest.mark.parametrize(
    "count, expected",
    [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))],
)
def test_small_sets_are_split_as_documented(count, expected):
    assert sizes(split.assign(made(count))) == expected


def test_a_share_of_zero_gives_an_empty_split():
    assert sizes(split.assign(made(40), (0.75, 0.0, 0.25))) == (30, 0, 10)


def test_entries_of_one_patient_are_added_up():
    once = [PatientSummary(f"p{k}", {"CT": 1}, {k: 1}) for k in range(1, 21)]
    parts = [PatientSummary(p.patient, p.modalities, {}) for p in once] + [
        PatientSummary(p.patient, {}, p.classes) for p in once
    ]
    assert split.assign(once) == split.assign(parts)


@pytest.mark.parametrize("shares", [(0.8, 0.2), (0.8, 0.3, -0.1), (0.5, 0.2, 0.2)])
def test_wrong_shares_are_refused(shares):
    with pytest.raises(ValueError, match="shares must be three numbers"):
        split.assign(made(3), shares)


def test_contradictions_of_fixed_and_joined_patients_are_refused():
    patients = made(4)
    a, b = patients[0].patient, patients[1].patient
    with pytest.raises(ValueError, match="1 groups .* fixed to several splits"):
        split.assign(patients, joined=[{a, b}], fixed={a: "train", b: "test"})
    with pytest.raises(ValueError, match="train, val or test, got 'validation'"):
        split.assign(patients, fixed={a: "validation"})


def test_warnings_name_what_a_split_lacks():
    patients = [PatientSummary(f"p{k}", {"CT": 1}, {5: 1, 2: int(k < 2)}) for k in range(30)]
    assigned = {p.patient: "train" if k < 20 else "val" for k, p in enumerate(patients)}
    assert split.warnings(patients, assigned) == (
        "The split test has no patient.",
        "In too few patients to be in every split (1): right kidney.",
    )
    patients += [PatientSummary(f"m{k}", {"MR": 1}, {}) for k in range(10)]
    assigned |= {f"m{k}": "train" for k in range(10)}
    assert (
        "No patient with MR is in the split val, although 10 patients have it."
        in split.warnings(patients, assigned)
    )
    assert not split.warnings(made(500), split.assign(made(500)))
