import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from big_rad.datasets import core, files, records
from tests.helpers.small_records import (
    SPLITS,
    build,
    content,
    doubtful,
    fails,
    nearly_all_bad,
    same_id,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("records")
    return data_dir, build(data_dir)


def test_warnings_are_counted_and_said_and_leave_nothing_out(tmp_path, built):
    first = build(tmp_path, doubtful)
    assert (first.counts, first.rejects) == (built[1].counts, 1)
    assert first.notes == ["15 warnings: stays plain", "1 warnings: looks odd"]
    assert (first.folder / "rejects.jsonl").read_text() == (
        built[1].folder / "rejects.jsonl"
    ).read_text()
    again = build(tmp_path, doubtful)
    assert again.reused and again.notes == first.notes


def test_bad_items_are_left_out_listed_and_counted(built):
    _, result = built
    assert (result.counts, result.rejects) == ({"train": 22, "test": 6}, 1)
    (line,) = (result.folder / "rejects.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "file": "data.jsonl", "line": 6, "field": "image", "message": "is missing",
        "level": "error",
    }  # fmt: skip


def test_what_is_read_is_what_was_written(built):
    data_dir, _ = built
    source = records.open_split("things", "default", "1.0.0", "train", data_dir, "")
    by_id = {e["id"]: e for e in source}
    one = by_id["3-1"]
    rng = np.random.default_rng([3, 1])
    np.testing.assert_array_equal(
        core.unpacked(one)["image"], rng.integers(-1000, 1000, (5, 4)).astype(np.int16)
    )
    np.testing.assert_array_equal(core.unpacked(one)["segmap"], rng.integers(0, 121, (5, 4)))
    assert one["boxes"] == [[0, 1, 2, 3, 5]] and one["patient"] == "p3"
    assert one["texts"] == [{"task": "report", "lang": "de", "sentence": "Größe ½"}]
    assert not {"segmap", "boxes", "images"} & set(by_id["3-0"])
    assert [i["id"] for i in by_id["7-0"]["images"]] == ["7-0-0", "7-0-1"]


def test_a_parameter_that_is_newer_than_the_data_has_its_default_there(built):
    data_dir, first = built
    again = build(data_dir, params=(("a", 1), ("b", 2)), defaults={"b": 2})
    assert again.reused and again.counts == first.counts
    with pytest.raises(ValueError, match=r"b=2 \(now 3\)"):
        build(data_dir, params=(("a", 1), ("b", 3)), defaults={"b": 2})


@pytest.mark.parametrize("how", ["processes", "beam"])
def test_processes_and_beam_give_the_same_records(built, tmp_path, how):
    if how == "beam":
        pytest.importorskip("apache_beam")
        result = build(tmp_path, beam=["--runner=DirectRunner"])
    else:
        result = build(tmp_path, workers=2)
    assert (result.counts, result.rejects) == (built[1].counts, 1)
    for split in SPLITS:
        assert content(tmp_path, split) == content(built[0], split)
    rejects = (result.folder / "rejects.jsonl").read_text()
    assert rejects == (built[1].folder / "rejects.jsonl").read_text()


@pytest.mark.parametrize("beam", [None, ["--runner=DirectRunner"]])
def test_too_many_bad_items_fail_the_build_with_the_reasons(tmp_path, beam):
    if beam:
        pytest.importorskip("apache_beam")
    splits = {"train": list(range(30))}
    with pytest.raises(records.BuildError, match=r"30 of 32 items.*\n.*12/x.dcm.zst: item 0"):
        build(tmp_path, nearly_all_bad, splits, beam=beam)
    assert not (tmp_path / "things/default/1.0.0").exists()


def test_two_records_of_one_id_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two records have the id 'same'"):
        build(tmp_path, same_id)


def test_other_parameters_need_overwrite_and_equal_ones_reuse(built):
    data_dir, _ = built
    assert build(data_dir).reused
    with pytest.raises(ValueError, match=r"a=1 \(now 2\).*--overwrite"):
        build(data_dir, params={"a": 2}.items())


def test_a_file_cut_off_is_noticed_on_opening(tmp_path):
    folder = build(tmp_path).folder
    path = next(folder.glob("*train.array_record*"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FileNotFoundError, match=f"{path.name} is missing or not of the .* again"):
        records.open_split("things", "default", "1.0.0", "train", tmp_path, "build it")


def test_a_file_cut_off_is_built_again(tmp_path):
    folder = build(tmp_path).folder
    path = next(folder.glob("*train.array_record*"))
    path.write_bytes(path.read_bytes()[:-9])
    assert not build(tmp_path).reused and len(content(tmp_path, "train")) == 22
    assert build(tmp_path).reused


# Building again


def test_a_build_that_fails_leaves_the_old_dataset_as_it_was(tmp_path):
    build(tmp_path)
    before = content(tmp_path, "train")
    with pytest.raises(RuntimeError, match="disk full"):
        build(tmp_path, fails, params={"a": 2}.items(), overwrite=True)
    assert content(tmp_path, "train") == before and build(tmp_path).reused
    with pytest.raises(records.BuildError):
        build(tmp_path, nearly_all_bad, {"train": range(30)}, {"a": 2}.items(), overwrite=True)
    assert content(tmp_path, "train") == before
    assert [p.name for p in tmp_path.iterdir()] == ["things"]


def test_a_build_that_is_killed_leaves_the_old_dataset_and_the_next_one_cleans_up(tmp_path):
    build(tmp_path)
    before = content(tmp_path, "train")
    code = (
        "from tests.helpers import small_records as t;"
        f"t.build({str(tmp_path)!r}, t.kills, params=[('a', 2)], overwrite=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert content(tmp_path, "train") == before and build(tmp_path).reused
    assert [p.name for p in tmp_path.iterdir() if p.name != "things"]
    splits = {"train": [1], "test": [2]}
    build(tmp_path, splits=splits, params={"a": 2}.items(), overwrite=True)
    assert sorted(content(tmp_path, "train")) == ["1-0", "1-1"]
    assert [p.name for p in tmp_path.rglob("*") if p.is_dir()] == ["things", "default", "1.0.0"]


def test_a_dataset_taken_away_by_a_killed_build_is_put_back(tmp_path):
    folder = build(tmp_path).folder
    before = content(tmp_path, "train")
    scratch = tmp_path / ".building-things-default-1.0.0"
    scratch.mkdir()
    folder.rename(scratch / "old")
    assert build(tmp_path, make=None).reused
    assert content(tmp_path, "train") == before and not scratch.exists()


def test_a_build_in_another_process_gives_the_same_bytes(tmp_path):
    digests = []
    for seed in ("1", "2"):
        code = (
            "from tests.helpers import small_records as t;"
            f"t.build({str(tmp_path / seed)!r}, splits={{'train': [1, 2, 7]}})"
        )
        env = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True, timeout=300)
        folder = tmp_path / seed / "things/default/1.0.0"
        digests.append({p.name: files.sha256(p) for p in folder.iterdir()})
    assert digests[0] == digests[1]


def test_no_path_is_stored_beside_the_records(built):
    data_dir, result = built
    for path in result.folder.glob("*.json*"):
        assert str(data_dir) not in path.read_text()


def test_the_note_has_the_digest_of_every_file(built):
    folder = built[1].folder
    note = json.loads((folder / "build.json").read_text())
    assert set(note["sha256"]) == {p.name for p in folder.glob("*.array_record*")}
    assert all(files.sha256(folder / k) == v for k, v in note["sha256"].items())
