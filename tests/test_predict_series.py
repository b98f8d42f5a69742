"""The command `predict` on folders, series and volumes: their files, resuming, DICOM results."""

import csv
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
from PIL import Image

from big_rad import predict
from big_rad.datasets.phantom import export
from big_rad.inference import jobs, on_beam
from tests.helpers import predict_looking, radgrounders
from tests.helpers.dicom_files import nifti
from tests.helpers.series_files import series_files

# A box around the upper left quarter of the image, whatever the image is.
TEXT = "The <p bbox=<loc0000><loc0000><loc0256><loc0256> id=<seg005>>liver</p>."
HEIGHTS = [10.0, 13.0, 16.0, 19.0, 22.0]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs the command with a model that writes TEXT; returns code, JSON lines and errors."""
    seen = []
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(b"weights")
    monkeypatch.setattr(jobs.dicom_results.weights, "check", lambda path: None)
    monkeypatch.setattr(jobs.dicom_results.calibration, "digest_of", lambda path: "")
    monkeypatch.setattr(predict.RadGrounder, "load", lambda _: radgrounders.fixed(TEXT, seen))

    def command(*args):
        code = predict.main([f"--checkpoint={checkpoint}", *map(str, args)])
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    command.seen = seen
    return command


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "study" / "ct"
    series_files(folder, HEIGHTS, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    return tmp_path / "study"


def _rounded(x):
    if isinstance(x, dict):
        return {k: _rounded(v) for k, v in x.items()}
    if isinstance(x, list):
        return [_rounded(v) for v in x]
    return float(f"{x:.5g}") if isinstance(x, float) else x


def files_of(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_folder_gives_a_line_a_slice_and_the_files_of_its_series(run, folder, tmp_path):
    out = tmp_path / "out"
    code, lines, err = run(folder, f"--out={out}")
    assert code == 0, err
    assert [x["position_mm"] for x in lines] == HEIGHTS
    (key,) = {x["series"] for x in lines}
    place = out / key
    assert [json.loads(x) for x in (place / "slices.jsonl").read_text().splitlines()] == lines
    with open(place / "entities.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(r["slice"]) for r in table] == [0, 1, 2, 3, 4]
    assert {(r["class_name"], r["region"], r["phrase"]) for r in table} == {("liver", "1", "liver")}
    series = json.loads((place / "series.json").read_text())
    (region,) = series["regions"]
    assert region["class_name"] == "liver" and region["slices"] == [0, 1, 2, 3, 4]
    # Half of 4 x 3 pixels of 1.5 x 2 mm, over five slices of 3 mm.
    assert region["extent_mm"] == {"x": 3.0, "y": 3.0, "z": 15.0}
    assert (series["predicted"], series["failed"]) == (5, [])
    for k in range(5):
        with Image.open(place / f"slices/{k:04d}_overlay.png") as picture:
            assert max(picture.size) >= 448


def test_without_out_nothing_is_written_and_each_second_slice_may_be_left_out(
    run, folder, tmp_path
):
    before = files_of(tmp_path)
    code, lines, _ = run(folder, "--every=2")
    assert code == 0 and [x["slice"] for x in lines] == [0, 2, 4]
    assert files_of(tmp_path) == before


def test_resuming_gives_the_same_files_and_asks_only_about_what_is_missing(run, folder, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(folder, f"--out={whole}")[0] == 0
    shutil.copytree(whole, out)
    (key,) = (p.name for p in out.iterdir())
    for name in ("series.json", "entities.csv", "slices.jsonl", "slices/0001.json"):
        (out / key / name).unlink()
    (out / key / "slices/0003_overlay.png").unlink()
    (out / key / "slices/0003.json").unlink()
    run.seen.clear()
    code, lines, err = run(folder, f"--out={out}", "--resume")
    assert code == 0 and "3 of 5 slices are there already" in err
    assert [x["slice"] for x in lines] == [1, 3] and len(run.seen) == 2
    assert files_of(out) == files_of(whole)


def test_a_series_that_has_grown_is_not_mixed_up_with_its_earlier_slices(run, folder, tmp_path):
    """Slices are numbered by their positions, so new ones give the others new numbers."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    later = folder / "ct" / "IM1.dcm"
    content = later.read_bytes()
    later.unlink()
    assert run(folder, f"--out={out}")[0] == 0
    later.write_bytes(content)
    code, lines, err = run(folder, f"--out={out}", "--resume")
    assert code == 0 and [x["position_mm"] for x in lines] == HEIGHTS
    assert "4 slices had predictions of other images" in err
    assert run(folder, f"--out={whole}")[0] == 0
    assert files_of(out) == files_of(whole)


def test_another_volume_of_the_same_name_is_predicted_again(run, tmp_path):
    path, out = tmp_path / "in" / "ct.nii", tmp_path / "out"
    path.parent.mkdir()
    for fill in (0, 100):
        path.write_bytes(nifti(np.full((4, 3, 2), fill, np.int16), np.eye(4)))
        _, lines, _ = run(path, "--modality=CT", f"--out={out}", "--resume")
        assert len(lines) == 2
        assert {x["source"] for x in lines} == {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}
    assert not run(path, "--modality=CT", f"--out={out}", "--resume")[1]


def test_nothing_of_an_earlier_prediction_stays_in_the_folder(run, folder, tmp_path, monkeypatch):
    out, whole = tmp_path / "out", tmp_path / "whole"
    with monkeypatch.context() as m:
        predict_looking.patch(m.setattr)
        assert run(folder, f"--out={out}", "--dicom=seg,sr")[0] == 0
    (place,) = out.iterdir()
    (place / "slices" / "notes of mine.txt").write_text("kept")
    for where in (out, whole):
        assert run(folder, f"--out={where}", "--every=2")[0] == 0
    (place / "slices" / "notes of mine.txt").unlink()  # It is not ours to delete.
    assert files_of(out) == files_of(whole)


def test_outputs_in_the_folder_of_the_input_are_not_predicted_on(run, folder):
    out = folder / "out"
    assert run(folder, f"--out={out}")[0] == 0
    for _ in range(2):
        code, lines, err = run(folder, f"--out={out}")
        assert code == 0 and len(lines) == 5
        said = [line for line in err.splitlines() if "skipped" in line]
        assert len(said) == 1 and "the outputs of an earlier prediction" in said[0]


def test_what_cannot_be_done_is_said_before_anything_is_predicted(run, folder, tmp_path):
    out = tmp_path / "out"
    volume = tmp_path / "ct.nii"
    volume.write_bytes(nifti(np.zeros((4, 3, 5), np.int16), np.eye(4)))
    code, lines, err = run(volume, f"--out={out}")
    assert code == 2 and not lines and err.count("--modality") == 1
    assert not list(out.iterdir())
    _, _, err = run(volume, "--modality=CT", f"--out={out}", "--dicom=sr")
    assert err.count("no DICOM objects will be written") == 1
    picture = tmp_path / "a.png"
    Image.new("L", (40, 30)).save(picture)
    _, _, err = run(picture, f"--out={out}", "--dicom=sr")
    assert err.count("add sc to --dicom") == 1
    for options, said in (
        ([picture, "--dicom=sc"], "--dicom=sc needs --now"),
        ([volume, "--frame=0", "--dicom=sr"], "--frame names one slice"),
        ([folder, "--frame=0"], "--frame names a slice of one file"),
    ):
        code, lines, err = run(*options, f"--out={out}")
        assert code == 2 and not lines and said in err


def test_slices_of_other_options_are_not_resumed(run, folder, tmp_path):
    out = tmp_path / "out"
    assert run(folder, f"--out={out}")[0] == 0
    code, _, err = run(folder, f"--out={out}", "--resume", "--lang=de")
    assert code == 2 and "with other options" in err and "--resume" in err
    code, lines, _ = run(folder, f"--out={out}", "--lang=de")  # Without it they are made again.
    assert code == 0 and {x["lang"] for x in lines} == {"de"} and len(lines) == 5


def test_a_bad_file_is_listed_and_the_rest_goes_on(run, folder, tmp_path):
    (folder / "ct" / "IM9.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"broken")
    (folder / "notes.txt").write_text("no image")
    code, lines, err = run(folder, f"--out={tmp_path / 'out'}")
    assert code == 2 and len(lines) == 5
    assert "IM9.dcm: skipped" in err and "notes.txt: skipped" in err
    (tmp_path / "empty").mkdir()
    code, lines, err = run(tmp_path / "empty")
    assert code == 2 and not lines and "empty: the folder is empty" in err


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """The folder of a phantom patient of 60 slices, as DICOM and as NIfTI."""
    folder = tmp_path_factory.mktemp("volume")
    export.export(folder, 2, size=32, thickness=4.55)
    files = sorted((folder / "dicom" / "P000001").iterdir())
    assert len(files) == 60 and pydicom.dcmread(files[0]).Modality == "CT"
    return folder


def test_a_volume_and_the_same_slices_as_dicom_give_the_same_regions(
    run, volume, tmp_path, monkeypatch
):
    predict_looking.patch(monkeypatch.setattr)
    found = []
    for given in ("dicom/P000001", "nifti/P000001.nii.gz"):
        out = tmp_path / f"out_{len(found)}"
        code, lines, err = run(volume / given, "--modality=CT", f"--out={out}")
        assert code == 0 and len(lines) == 60, err
        (place,) = out.iterdir()
        found.append(json.loads((place / "series.json").read_text())["regions"])
    first, second = found
    assert len(first) > 3 and {r["class_name"] for r in first} == {"liver", "aorta", "heart"}
    # NIfTI has its geometry in float32, so the last digit of a volume may differ.
    assert _rounded(first) == _rounded(second)


def test_a_prediction_that_is_killed_and_resumed_gives_the_same_bytes(
    volume, tmp_path, monkeypatch, capsys
):
    """`make prove` kills more often. The moments are spread over the whole run."""
    pytest.importorskip("highdicom")
    kills = int(os.environ.get("BIG_RAD_PREDICT_KILLS", "2"))
    wanted = "seg" if kills == 2 else "seg,sr"  # highdicom takes its time for an SR.
    options = [f"--checkpoint={tmp_path}", str(volume / "dicom" / "P000001"), f"--dicom={wanted}"]
    command = [sys.executable, "-m", "tests.helpers.predict_looking", *options]
    predict_looking.patch(monkeypatch.setattr)
    start = time.monotonic()
    assert predict.main([*options, f"--out={tmp_path / 'whole'}"]) == 0
    lasted = time.monotonic() - start
    expected = files_of(tmp_path / "whole")
    assert any(name.endswith("seg.dcm") for name in expected)
    rng, reached = random.Random(0), []
    for k in range(kills):
        out = tmp_path / f"killed_{k // 2}"  # A prediction may be killed several times.
        process = subprocess.Popen(
            [*command, f"--out={out}", "--resume"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # While slices are predicted, or at any moment after the first ones.
        enough = rng.randint(1, 50) if k % 2 == 0 else 1
        while process.poll() is None and len(list(out.glob("*/slices/*.json"))) < enough:
            time.sleep(0.005)
        try:
            process.wait(0.01 if k % 2 == 0 else rng.uniform(0, lasted))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reached.append((len(list(out.glob("*/slices/*.json"))), process.returncode))
        if k % 2 or k == kills - 1:
            done = subprocess.run([*command, f"--out={out}", "--resume"], capture_output=True)
            assert done.returncode == 0, done.stderr
            assert files_of(out) == expected
    capsys.readouterr()
    print(
        f"killed {[n for n, code in reached if code]} of 60, ended {sum(not c for _, c in reached)}"
    )
    assert any(code for _, code in reached)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--every=0"], "--every=0"),
        (["--rows=0"], "--rows=0"),
        (["--dicom=seg,pdf", "--out=o"], "pdf is unknown"),
        (["--dicom=seg"], "--dicom needs --out"),
        (["--resume"], "--resume needs --out"),
        (["--now=2026-01-01T00:00:00", "--out=o"], "--now is the date of DICOM objects"),
    ],
)
def test_options_of_series_that_do_not_fit_are_errors(run, folder, tmp_path, options, said):
    options = [o.replace("--out=o", f"--out={tmp_path / 'o'}") for o in options]
    code, lines, err = run(folder, *options)
    assert code == 2 and not lines and said in err


def test_boxes_give_an_sr_and_no_seg_with_the_reason(run, folder, tmp_path):
    pytest.importorskip("highdicom")
    out = tmp_path / "out"
    code, _, err = run(folder, f"--out={out}", "--dicom=seg,sr", "--now=2026-02-03T04:05:06")
    assert code == 0, err
    (place,) = out.iterdir()
    said = json.loads((place / "series.json").read_text())["dicom"]
    if said["sr"].startswith("not written"):  # The made-up headers lack what an SR has to say.
        assert "lacks" in said["sr"] or "SliceThickness" in said["sr"], said
    else:
        report = pydicom.dcmread(place / "sr.dcm")
        assert report.Modality == "SR" and report.ContentDate == "20260203"
    assert "a box is never drawn as a mask" in said["seg"] and not (place / "seg.dcm").exists()
    assert "seg: not written" in err


def test_beam_gives_the_same_answers_in_shards_and_names_no_file_that_failed(
    run, folder, tmp_path, monkeypatch
):
    pytest.importorskip("apache_beam")
    archive = tmp_path / "archive"
    for k in range(3):
        heights = [10.0 * k + z for z in HEIGHTS[: 2 + k]]
        series_files(archive / f"Doe^John_{k}", heights, SeriesInstanceUID=f"1.2.3.{k}")
    bad = archive / "Doe^John_1" / "Doe^John.dcm"
    bad.write_bytes(b"\0" * 128 + b"DICM" + b"broken")
    (archive / "Doe^John_2" / "Doe^John.txt").write_text("a report")
    _, plain, _ = run(archive)
    monkeypatch.setattr(on_beam, "_models", {})
    out = tmp_path / "out"
    for _ in range(2):  # The second run replaces the files of the first one.
        code, lines, err = run(archive, f"--out={out}", "--beam=--runner=FnApiRunner", "--shards=2")
        assert code == 2 and not lines
        assert "9 slices predicted, 1 failures, 1 notes" in err
    names = sorted(p.name for p in out.iterdir())
    assert names == [
        "failed-00000-of-00001.jsonl",
        "notes-00000-of-00001.jsonl",
        "predictions-00000-of-00002.jsonl",
        "predictions-00001-of-00002.jsonl",
    ]
    made = [json.loads(x) for n in names[2:] for x in (out / n).read_text().splitlines()]
    assert {m.pop("study") for m in made} == {0, 1, 2}
    place = lambda x: (x["series"], x["slice"])  # noqa: E731
    assert sorted(made, key=place) == sorted(plain, key=place)
    for name, study, reason in ((names[0], 1, "skipped"), (names[1], 2, "skipped, neither DICOM")):
        (said,) = (out / name).read_text().splitlines()
        assert json.loads(said)["study"] == study and reason in said
        assert "Doe" not in said and "John" not in said


def test_beam_names_no_volume_that_failed(run, tmp_path):
    """A series of NIfTI is called after its file."""
    pytest.importorskip("apache_beam")
    archive, out = tmp_path / "archive", tmp_path / "out"
    for folder in ("one", "one/two"):
        path = archive / folder / "Doe John.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(nifti(np.zeros((4, 3, 2), np.int16), np.eye(4)))
    code, _, err = run(archive, f"--out={out}", "--beam=--runner=FnApiRunner")
    assert code == 2 and "0 slices predicted, 2 failures" in err
    said = (out / "failed-00000-of-00001.jsonl").read_text()
    assert said.count("does not say its modality") == 2
    assert "Doe" not in said and "John" not in said


def test_beam_does_not_go_with_options_of_other_outputs(run, folder, tmp_path):
    for more, said in (
        (["--resume"], "--resume does not go with --beam"),
        (["--shards=0"], "--shards=0"),
    ):
        options = [f"--out={tmp_path / 'o'}", "--beam=--runner=FnApiRunner", *more]
        code, _, err = run(folder, *options)
        assert code == 2 and said in err
    code, _, err = run(folder, "--beam=--runner=FnApiRunner")
    assert code == 2 and "--beam needs --out" in err
