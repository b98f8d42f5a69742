"""P18: the data engine loses nothing and gives the same bytes after any kill, with any workers.

CI kills twice and works on few studies; `make prove` sets BIG_RAD_ENGINE_KILLS and BIG_RAD_STUDIES.
"""

import csv
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from big_rad.annotate import reports
from tests.helpers import small_studies, totalsegmentator_stand_in

KILLS = int(os.environ.get("BIG_RAD_ENGINE_KILLS", "2"))
STUDIES = int(os.environ.get("BIG_RAD_STUDIES", "8"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return small_studies.write(tmp_path_factory.mktemp("source"), STUDIES)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """The results of a run in one process, and its seconds."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    start = time.monotonic()
    done = small_studies.run(source, out)
    assert done.returncode == 0, done.stderr
    return out, time.monotonic() - start


def started_with_key_of(undisturbed, out):
    out.mkdir()
    shutil.copy2(undisturbed / "secret.key", out / "secret.key")
    return out


def test_two_workers_give_the_same_bytes_as_one(source, undisturbed, tmp_path):
    out = started_with_key_of(undisturbed[0], tmp_path / "out")
    done = small_studies.run(source, out, "--config.workers=2")
    assert done.returncode == 0, done.stderr
    assert small_studies.digests(out) == small_studies.digests(undisturbed[0])


def test_beam_gives_the_same_bytes(source, undisturbed, tmp_path):
    pytest.importorskip("apache_beam")
    out = started_with_key_of(undisturbed[0], tmp_path / "out")
    done = small_studies.run(source, out, "--beam=--runner=FnApiRunner")
    assert done.returncode == 0, done.stderr
    assert small_studies.digests(out) == small_studies.digests(undisturbed[0])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(source, undisturbed, tmp_path, workers):
    expected, seconds = small_studies.digests(undisturbed[0]), undisturbed[1]
    for number in range(workers, KILLS + 1, 2):  # The kills are shared by both cases.
        rng = random.Random(number)
        out = started_with_key_of(undisturbed[0], tmp_path / f"out{number}")
        command = small_studies.command(source, out, f"--config.workers={workers}")
        cwd, env = small_studies.ROOT, os.environ | {"PYTHONPATH": str(small_studies.ROOT)}
        process = subprocess.Popen(command, cwd=cwd, env=env, stderr=subprocess.DEVNULL)
        # Half of the kills hit the work itself, and the others any moment of the run.
        if number % 2:
            made = out / "stage" / "items"  # Beside it folders come and go.
            while process.poll() is None and not any(made.glob("*/*/items.jsonl")):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.3))
        else:
            time.sleep(rng.uniform(0.2, 1) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = small_studies.run(source, out, f"--config.workers={workers}")
        assert done.returncode == 0, done.stderr
        assert small_studies.digests(out) == expected
        assert list((out / "stage" / "tmp").iterdir()) == []
        shutil.rmtree(out)


def test_every_sentence_is_in_the_dataset_or_among_the_rejects(source, undisturbed):
    out = undisturbed[0]
    kept, left_out = {}, {}
    for line in (out / "dataset" / "provenance.jsonl").read_text().splitlines():
        for text in json.loads(line)["texts"].values():
            kept.setdefault(text["line"], set()).add(text["sentence"])
    for line in (out / "rejects.jsonl").read_text().splitlines():
        one = json.loads(line)
        if one["what"] == "sentence":
            left_out[one["line"]] = left_out.get(one["line"], 0) + one["count"]
    for number, row in small_studies.lines_of(source).items():
        sections = reports.sections(row["report"])
        said = sum(len(reports.sentences(s.text, row["language"])) for s in sections)
        assert said >= 4
        assert len(kept[number]) + left_out.get(number, 0) == said


@pytest.mark.slow
def test_one_bad_study_of_each_kind_leaves_the_others_whole(tmp_path):
    hanging, corrupt, latin = 3, 5, 6
    manifest = small_studies.write(tmp_path / "in", STUDIES, marked=[hanging], masks=False)
    volume = tmp_path / "in" / f"i{corrupt}.nii.gz"
    volume.write_bytes(volume.read_bytes()[: volume.stat().st_size // 2])
    report = tmp_path / "in" / "befund.txt"
    report.write_bytes(small_studies.TEXTS["de"].format(n=2).encode("latin-1"))
    rows = small_studies.lines_of(manifest)
    line_of_latin = next(k for k, r in rows.items() if r["study"] == f"S{latin}")
    rows[line_of_latin]["report"] = report.name
    with open(manifest, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, small_studies.COLUMNS)
        writer.writeheader()
        writer.writerows(rows.values())
    rows = small_studies.lines_of(manifest)
    options = stand_in(tmp_path / "program")
    done = small_studies.run(
        manifest, tmp_path / "out", *options, "--config.workers=2", segment="totalsegmentator"
    )
    assert done.returncode == 1, done.stderr  # One study may be tried again.
    rejects = [
        json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()
    ]
    faults = {}
    for one in rejects:
        if one["what"] != "sentence" and one["what"] != "mention":
            faults.setdefault(rows[one["line"]]["study"], set()).add(one["reason"])
    assert set(faults) == {f"S{n}" for n in (hanging, corrupt, latin)}
    assert all(len(reasons) == 1 for reasons in faults.values())
    assert "did not finish within" in faults[f"S{hanging}"].pop()
    assert "UTF-8" in faults[f"S{latin}"].pop()
    assert "truncated" in faults[f"S{corrupt}"].pop()
    lines = (tmp_path / "out" / "dataset" / "provenance.jsonl").read_text().splitlines()
    used = {t["line"] for line in lines for t in json.loads(line)["texts"].values()}
    lost = {k for k, r in rows.items() if r["study"] in (f"S{hanging}", f"S{corrupt}")}
    assert used == set(rows) - lost - {line_of_latin}


@pytest.mark.slow
def test_a_study_that_kills_its_worker_costs_itself_alone(tmp_path):
    manifest = small_studies.write(tmp_path / "in", 6)
    text = manifest.read_text(encoding="utf-8")
    bad = {"S2": "tödlich", "S4": "kaputt"}
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["study"] in bad:
            row["report"] = f"Befund: Magen {bad[row['study']]}."
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, small_studies.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    assert text != manifest.read_text(encoding="utf-8")
    done = small_studies.run(
        manifest, tmp_path / "out", "--config.workers=2",
        "--config.scrubber=tests.helpers.deadly_scrubber:find",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    rows = small_studies.lines_of(manifest)
    lines = (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()
    faults = {
        rows[one["line"]]["study"]: one["reason"]
        for one in map(json.loads, lines)
        if one["stage"] == "run"
    }
    assert set(faults) == set(bad)
    assert "was killed" in faults["S2"]
    # The message of an unexpected error may quote a report, so only its kind and place are said.
    assert "RuntimeError" in faults["S4"] and "cannot read" not in "".join(lines) + done.stderr
    provenance = (tmp_path / "out" / "dataset" / "provenance.jsonl").read_text()
    used = {
        t["line"] for x in map(json.loads, provenance.splitlines()) for t in x["texts"].values()
    }
    assert {rows[n]["study"] for n in used} == {"S0", "S1", "S3", "S5"}


def stand_in(folder):
    """Installs a program with TotalSegmentator's command line that hangs if it sees a pancreas."""
    folder.mkdir()
    settings = totalsegmentator_stand_in.install(folder)
    program = folder / "Hanging"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, time\n"
        "import numpy as np\n"
        "data = open(sys.argv[sys.argv.index('-i') + 1], 'rb').read()\n"
        f"if (np.frombuffer(data, '<i2', offset=352) == {small_studies.PANCREAS}).any():\n"
        "    time.sleep(60)\n"
        f"os.environ.update({dict(settings.env)!r})\n"
        f"os.execv({str(settings.command[0])!r}, [{str(settings.command[0])!r}, *sys.argv[1:]])\n"
    )
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH={settings.env["PYTHONPATH"]} exec {sys.executable} "$@"\n'
    )
    for path in (program, python):
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return [
        f"--config.totalsegmentator.python={python}",
        f"--config.totalsegmentator.command=('{program}',)",
        f"--config.totalsegmentator.weights={settings.weights}",
        "--config.totalsegmentator.device=cpu",
        "--config.totalsegmentator.timeout_s=4.0",
    ]
