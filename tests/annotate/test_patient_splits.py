"""Which split a patient gets when a dataset is made again, or grows."""

import json
import os
import subprocess
import sys

import pytest

from big_rad.annotate import patient_splits, results
from big_rad.annotate.patient_splits import Memory
from big_rad.annotate.settings import Settings, Source
from big_rad.datasets import files as dataset_files
from tests.helpers import small_studies
from tests.helpers.series_studies import go


def light(count, start=0):
    """One image of each patient, none like another."""
    return [
        results.Light(
            f"i{n}", f"p{n:03d}", "CT" if n % 3 else "MR", "axial", (1 + n % 5, 7),
            f"{(0x9E3779B97F4A7C15F39CC0605CEDC834 ** (n + 2)) % 2**256:064x}", None, 0,
        )
        for n in range(start, start + count)
    ]  # fmt: skip


def assign(items, memory=None, given=None, **options):
    settings = Settings(Source(), None, None, **options)
    return patient_splits.assign(items, settings, given or {}, memory or Memory())


def memory_of(assigned):
    return Memory(assigned.splits, assigned.splits, assigned.draw)


def sizes(splits):
    return [list(splits.values()).count(name) for name in ("train", "val", "test")]


def test_patients_of_an_earlier_run_stay_and_the_new_ones_fill_the_shares():
    first = assign(light(40))
    grown = assign(light(60), memory_of(first))
    assert {p: grown.splits[p] for p in first.splits} == first.splits
    assert sizes(grown.splits) == [48, 6, 6]
    numbers = {k: v for k, v in grown.draw.items() if k != "inputs"}
    assert numbers == {"given": 0, "kept": 40, "drawn": 20, "moved": 0}
    lines = patient_splits.said(grown, memory_of(first))
    assert "40 patients keep their splits" in lines[0] and "20 are new" in lines[0]
    assert len(lines) == 1


def test_the_same_inputs_give_the_same_splits_and_numbers_again():
    first = assign(light(40))
    assert assign(light(40), memory_of(first)) == first
    grown = assign(light(60), memory_of(first))
    assert assign(light(60), memory_of(grown)) == grown
    # Patients of other datasets in the same folder do not matter either.
    more = Memory(grown.splits | {"elsewhere": "val"}, grown.splits, grown.draw)
    assert assign(light(60), more) == grown


def test_patients_that_were_away_come_back_to_their_splits():
    first = assign(light(40))
    fewer = assign(light(20), memory_of(first))
    held = Memory(first.splits | fewer.splits, fewer.splits, fewer.draw)
    again = assign(light(60), held)
    assert {p: again.splits[p] for p in first.splits} == first.splits


def test_a_draw_anew_is_the_draw_of_a_new_folder_and_is_said():
    first = assign(light(40))
    anew = assign(light(60), memory_of(first), keep_splits=False)
    assert anew.splits == assign(light(60)).splits
    moved = sum(anew.splits[p] != name for p, name in first.splits.items())
    assert moved > 0 and anew.draw["moved"] == moved and anew.draw["kept"] == 0
    assert any(f"{moved} patients are in another split" in s
               for s in patient_splits.said(anew, memory_of(first)))  # fmt: skip
    # Later runs keep what was drawn anew.
    assert assign(light(70), memory_of(anew)).draw["kept"] == 60


def test_given_splits_win_over_earlier_ones():
    first = assign(light(40))
    other = {p: "test" for p, name in first.splits.items() if name == "train"}
    given = dict(list(other.items())[:3])
    now = assign(light(41), memory_of(first), given)
    assert all(now.splits[p] == "test" for p in given)
    assert now.draw["given"] == 3 and now.draw["kept"] == 37 and now.draw["moved"] == 3


def test_shares_that_kept_splits_do_not_reach_are_said():
    first = assign(light(40))
    now = assign(light(44), memory_of(first), shares=(0.2, 0.4, 0.4))
    assert any("do not have the shares 0.2, 0.4, 0.4, but 32 in train" in w for w in now.warnings)
    assert not any("shares" in w for w in assign(light(60), memory_of(first)).warnings)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return small_studies.write(tmp_path_factory.mktemp("source"), 16)


def part(table, count):
    """The manifest of the first studies; the folder of the results is not in its bytes."""
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    starts = [k for k, line in enumerate(lines) if line.startswith("P")] + [len(lines)]
    path = table.with_name(f"first{count}.csv")
    path.write_text("".join(lines[: starts[2 * count]]), encoding="utf-8")
    return path


KILLED_BETWEEN = """
import os, pathlib, sys
from big_rad.datasets import files
from tests.annotate import test_patient_splits as made

def put(new, whole, scratch):
    whole.rename(scratch / "old")
    os._exit(9)

files.put = put
table, out, key = map(pathlib.Path, sys.argv[1:])
made.go(table, out, key=key)
"""


def test_kills_of_a_growing_run_change_neither_it_nor_the_next_one(tmp_path, table, monkeypatch):
    first, out, clean = part(table, 8), tmp_path / "out", tmp_path / "clean"
    go(first, clean)
    key = clean / "secret.key"
    before = small_studies.digests(clean)
    lines = []
    go(table, clean, log=lines.append)
    assert any("4 patients keep their splits" in line and "4 are new" in line for line in lines)
    assert "4 were kept" in (clean / "dataset" / "card.md").read_text()
    grown = small_studies.digests(clean)
    go(table, clean)
    assert small_studies.digests(clean) == grown
    whole_put, whole_remember = dataset_files.put, patient_splits.remember

    def killed(*_):
        raise KeyboardInterrupt

    def killed_later(*args):
        monkeypatch.setattr(patient_splits, "remember", killed)  # With the dataset in its place.
        whole_put(*args)

    for kill in (killed, killed_later, None):
        go(first, out, key=key)
        assert small_studies.digests(out) == before
        if kill is None:  # A process that ends between the two renames.
            command = [sys.executable, "-c", KILLED_BETWEEN, table, out, key]
            env = os.environ | {"PYTHONPATH": str(small_studies.ROOT)}
            assert subprocess.run(list(map(str, command)), env=env).returncode == 9
        else:
            monkeypatch.setattr(dataset_files, "put", kill)
            with pytest.raises(KeyboardInterrupt):
                go(table, out, key=key)
        monkeypatch.setattr(dataset_files, "put", whole_put)
        monkeypatch.setattr(patient_splits, "remember", whole_remember)
        if kill is not killed_later:  # As if the killed run had never been.
            copy = json.loads((out / "splits.json").read_text())["patients"]
            assert len(copy) == 4
        go(table, out, key=key)
        assert small_studies.digests(out) == grown
        os.rename(out, tmp_path / f"done {kill}")


def test_splits_survive_the_dataset_and_another_key_is_refused(tmp_path, table):
    out, first = tmp_path / "out", part(table, 8)
    go(first, out)
    held = json.loads((out / "splits.json").read_text())["patients"]
    os.rename(out / "dataset", tmp_path / "away")
    go(table, out)
    now = json.loads((out / "splits.json").read_text())["patients"]
    assert len(now) == 8 and held.items() <= now.items()
    os.rename(out / "secret.key", tmp_path / "earlier.key")
    with pytest.raises(ValueError, match="the key of the dataset that is there is gone"):
        go(first, out)
    go(first, tmp_path / "other")
    other = tmp_path / "other" / "secret.key"
    with pytest.raises(ValueError, match="come from another key.*--config.key"):
        go(first, out, key=other)
    go(first, out, key=other, keep_splits=False)
    assert len(json.loads((out / "splits.json").read_text())["patients"]) == 4
