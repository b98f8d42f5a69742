"""What a run does with a folder of results that holds files of somebody else."""

import json
import os
import subprocess
import sys

import pytest

from big_rad.annotate import place
from tests.helpers import small_studies
from tests.helpers.series_studies import body, go, manifest, write_mask, write_series

LABELS, VALUES = body()


def simple(root):
    write_series(root / "dcm", VALUES, 4)
    write_mask(root / "m.nii.gz", LABELS)
    return manifest(root, dict(mask="m.nii.gz", report="Normal liver."))


def put(path, content="precious"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    "name",
    ["dataset/mine.txt", "dataset/sub/card.json", "dataset/card.json", "dataset", "rejects.jsonl",
     "splits.json", "stage/tmp/mine.txt"],
)  # fmt: skip
def test_files_of_somebody_else_are_refused_before_anything_is_written(tmp_path, name):
    table = simple(tmp_path)
    mine = put(tmp_path / "out" / name)
    before = sorted((tmp_path / "out").rglob("*"))
    with pytest.raises(ValueError, match=f"config.out: .*{name.split('/')[0]}.*give another out"):
        go(table, tmp_path / "out")
    assert mine.read_text() == "precious" and sorted((tmp_path / "out").rglob("*")) == before


def test_files_that_a_user_put_into_a_dataset_are_named_and_stay(tmp_path):
    table = simple(tmp_path)
    go(table, tmp_path / "out")
    for n in range(7):
        put(tmp_path / "out" / "dataset" / "notes" / f"n{n}.txt")
    put(tmp_path / "out" / "dataset" / ".DS_Store")
    with pytest.raises(ValueError, match="holds notes/n0.txt, .*notes/n4.txt and 2 more, which"):
        go(table, tmp_path / "out")
    assert len(list((tmp_path / "out" / "dataset" / "notes").iterdir())) == 7


def test_a_file_that_comes_into_the_dataset_during_the_run_stays(tmp_path):
    table, mine = simple(tmp_path), tmp_path / "out" / "dataset" / "mine.txt"
    go(table, tmp_path / "out")
    with pytest.raises(ValueError, match=r"holds mine\.txt"):
        go(table, tmp_path / "out", log=lambda _: put(mine))
    assert mine.read_text() == "precious"


def test_a_dataset_without_a_card_or_behind_a_link_is_not_replaced(tmp_path):
    table, out = simple(tmp_path), tmp_path / "out"
    go(table, out)
    os.rename(out / "dataset", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", out / "dataset")
    with pytest.raises(ValueError, match="is no folder that this program wrote"):
        go(table, out)
    os.unlink(out / "dataset")
    os.rename(tmp_path / "elsewhere", out / "dataset")
    (out / "dataset" / "card.json").write_text(json.dumps({"title": "somebody's"}))
    with pytest.raises(ValueError, match="has no card.json of this program"):
        go(table, out)


def test_an_empty_folder_and_our_own_files_are_no_obstacle(tmp_path):
    table = simple(tmp_path)
    (tmp_path / "out" / "dataset").mkdir(parents=True)
    go(table, tmp_path / "out")
    go(table, tmp_path / "out")


def test_a_manifest_that_is_not_there_or_empty_leaves_no_trace(tmp_path):
    table = simple(tmp_path)
    with pytest.raises((ValueError, OSError), match="none.csv"):
        go(tmp_path / "none.csv", tmp_path / "out")
    head = table.read_text().splitlines()[0]
    (tmp_path / "empty.csv").write_text(head + "\n")
    with pytest.raises(ValueError, match="has no rows"):
        go(tmp_path / "empty.csv", tmp_path / "out")
    bad = manifest(tmp_path / "bad", dict(modality="US", report="Normal liver."))
    with pytest.raises(ValueError, match="nothing was written.*modality"):
        go(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path):
    table, out = simple(tmp_path), put(tmp_path / "out")
    with pytest.raises(ValueError, match="config.out: .*out is a file; give the path of a folder"):
        go(table, out)
    with pytest.raises(ValueError, match="config.out: .*out is a file"):
        go(table, out / "below")
    assert out.read_text() == "precious"


def test_a_folder_that_may_not_be_written_is_said(tmp_path, monkeypatch):
    table, out = simple(tmp_path), tmp_path / "out"
    go(table, out)
    monkeypatch.setattr(os, "access", lambda path, mode: path != out / "stage")  # Tests are root.
    with pytest.raises(
        ValueError, match="config.out: .*stage may not be read or written .*permissions"
    ):
        go(table, out)


def test_an_error_of_the_system_in_the_folder_says_what_to_do(tmp_path):
    inside = PermissionError(13, "Permission denied", str(tmp_path / "out" / "x"))
    assert "change its owner or its permissions" in place.said(inside, tmp_path / "out")
    full = OSError(28, "No space left on device", str(tmp_path / "out" / "x"))
    assert "No space left on device; look after the disk" in place.said(full, tmp_path / "out")
    outside = PermissionError(13, "Permission denied", "/elsewhere")
    assert place.said(outside, tmp_path / "out") == str(outside)


def test_a_second_process_is_told_to_wait_or_to_give_another_out(tmp_path):
    table, out = simple(tmp_path), tmp_path / "out"
    code = (
        "import pathlib, sys\nfrom big_rad.datasets import files\n"
        "with files.workplace(pathlib.Path(sys.argv[1]), 'run'):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="another process; wait for it, or give another out$"):
            go(table, out)
        other.stdin.close()


@pytest.mark.parametrize(
    "given",
    [
        "(dict(source='own',licence='none',note='',pass_on=True),)",  # The text of a Python call.
        "({'source':'own','licence':''},)",
        "({'source':'own','licence':'none','pas_on':True},)",
    ],
)
def test_licences_are_checked_before_the_work(tmp_path, given):
    done = small_studies.run(
        small_studies.write(tmp_path / "in", 1), tmp_path / "out", f"--config.licences={given}"
    )
    assert done.returncode == 2 and "config.licences" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()
