"""Evaluation of a run of seconds: the trainer's own numbers, kept answers, and what is refused."""

import collections
import dataclasses
import json
import pathlib
import re
import shutil
import sys

import numpy as np
import pytest

from big_rad import evaluate, metrics, train
from big_rad.config import recipes as config_lib
from big_rad.datasets.folder import builder
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.inference import answer as answer_lib
from big_rad.pp import tokenizer as tokenizers
from big_rad.workdir import run_dir
from tests.helpers import browser, foreign, html_page, judge_server, tiny_run
from tests.published import folder as published
from tests.published import slake, vqa_rad
from tools import reproduce

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny_run.build_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    """A run with reports and questions evaluated at its end."""
    workdir = tmp_path_factory.mktemp("run")
    config = tiny_run.config(data_dir, "steps=2")
    config.evals = {k: config.evals[k] for k in ("report", "yes_no")}
    config.summary = {}
    train.train(config, workdir, str(data_dir), log=lambda line: None)
    return workdir


@pytest.fixture
def asked(monkeypatch):
    """The calls of a stand-in for the model that writes "yes": (model, tokenizer, never, params)
    of each."""
    calls = []

    def make_answer_requests(model, tokenizer, sharding=None, never=()):
        def answer(params, requests, **options):
            calls.append((model, tokenizer, set(never), params))
            ids = np.array([*tokenizer.encode("yes"), tokenizer.eos_id], np.int32)
            return [dict(tokens=ids, logprob=0.0, length=len(ids) - 1) for _ in requests]

        return answer

    monkeypatch.setattr(answer_lib, "make_answer_requests", make_answer_requests)
    return calls


@pytest.fixture
def questions(monkeypatch):
    """A stand-in for the model that writes "yes": (number of questions of each call, settings).

    It fails after `settings["most"]` calls."""
    calls, settings, tokenizer = [], {"most": 100}, tokenizers.load("tiny")
    ids = np.array([*tokenizer.encode("yes"), tokenizer.eos_id], np.int32)

    def answer(params, requests, **options):
        if len(calls) == params["most"]:
            raise OSError("the memory is gone")
        calls.append(len(requests))
        return [dict(tokens=ids, logprob=0.0, length=len(ids) - 1) for _ in requests]

    def load_model(config, checkpoint, log):
        return evaluate.Model({"queue": answer}, settings, tokenizer)

    monkeypatch.setattr(evaluate, "load_model", load_model)
    return calls, settings


class Killed(BaseException):
    """An exception that no code of the program catches."""


def arguments(trained, data_dir, out, *options):
    places = [f"--checkpoint={trained}", f"--data_dir={data_dir}", f"--out={out}"]
    return [*places, *options, "--resamples=200"]


def run(trained, data_dir, out, *options):
    eval_data.clear_cache()
    assert evaluate.main(arguments(trained, data_dir, out, *options)) == 0
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, trained, data_dir):
    """(folder, summary) of an evaluation with controls."""
    out = tmp_path_factory.mktemp("evaluated")
    return out, run(trained, data_dir, out, "--controls")


@pytest.mark.slow
def test_scores_are_the_trainers_with_intervals_and_controls_beside_them(evaluated, trained):
    folder, summary = evaluated
    assert set(summary["evals"]) == {
        "report", "yes_no", "report_blank", "report_shuffled", "report_mirrored", "yes_no_blank",
        "yes_no_shuffled",
    }  # fmt: skip
    last = run_dir.read_lines(trained / "metrics.jsonl")[-1]
    for name in ("report", "yes_no"):
        entry = summary["evals"][name]
        assert entry["n"] == 4 and entry["dataset"] == "phantom" and entry["split"] == "test"
        for metric, value in entry["metrics"].items():
            assert value == pytest.approx(last[f"{name}/{metric}"], abs=1e-6), metric
        for score, x in entry["intervals"][""].items():
            assert x["low"] <= x["mean"] <= x["high"]
            assert x["mean"] == pytest.approx(entry["metrics"][score], abs=1e-9)
    # The questions are the same with the true image and in each control.
    digests = {summary["evals"][f"report{c}"]["sha256"] for c in ("", "_blank", "_mirrored")}
    assert len(digests) == 1 != summary["evals"]["yes_no"]["sha256"]
    table = (folder / "results.md").read_text(encoding="utf-8")
    assert re.search(r"\| report \| report_f1 \| \d\.\d{3} \(", table)
    assert f"| report | phantom | test | 4 | `{summary['evals']['report']['sha256'][:16]}`" in table
    page = html_page.read(folder / "report.html")
    assert "Scores with intervals" in [h.words for h in page.all("h2")]
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in page.addresses)
    assert "http" not in page.words + page.one("style").children[0]
    assert len((folder / "samples/report.jsonl").read_text().splitlines()) == 4
    assert "patient" not in (folder / "summary.json").read_text()


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_from_its_answers(
    evaluated, trained, data_dir, tmp_path, monkeypatch
):
    asked = []
    make = answer_lib.make_answer_requests

    def in_parts_of_two(*places):
        eval_data.clear_cache()
        job = evaluate.job_of(arguments(*places))
        return evaluate.run(dataclasses.replace(job, part_size=2))

    def dies_after(count):
        def make_answer_requests(*args, **kw):
            queue = make(*args, **kw)

            def ask(params, requests, **options):
                asked.append(len(requests))
                if len(asked) > count:
                    raise Killed
                return queue(params, requests, **options)

            return ask

        return make_answer_requests

    monkeypatch.setattr(answer_lib, "make_answer_requests", dies_after(3))
    with pytest.raises(Killed):
        in_parts_of_two(trained, data_dir, tmp_path)
    assert asked == [2, 2, 2, 2]  # all reports, and half of the questions
    asked.clear()
    monkeypatch.setattr(answer_lib, "make_answer_requests", dies_after(9))
    again = in_parts_of_two(trained, data_dir, tmp_path)
    assert asked == [2]
    whole, summary = evaluated
    for name in ("report", "yes_no"):
        want, got = summary["evals"][name], again["evals"][name]
        assert got["metrics"] == pytest.approx(want["metrics"], abs=1e-5)
        assert got["sha256"] == want["sha256"]
        ours, theirs = (sample_files.read(d / "samples", name)[0] for d in (tmp_path, whole))
        assert [r["prediction"] for r in ours] == [r["prediction"] for r in theirs]
        assert [r["scores"] for r in ours] == [r["scores"] for r in theirs]
    assert not list((tmp_path / "answers").iterdir())
    # The third run asks the model nothing, but a judge can still grade the answers.
    asked.clear()
    with judge_server.running() as (url, server):
        judge = (f"--judge_url={url}", "--judge_model=toy")
        judged = run(trained, data_dir, tmp_path, *judge)
        assert asked == [] and len(server.bodies) == 8
        assert run(trained, data_dir, tmp_path, *judge)["evals"] == judged["evals"]
        assert len(server.bodies) == 8
    without = run(trained, data_dir, tmp_path)  # Grades are kept, with the name of the judge.
    assert without["evals"] == judged["evals"] and without["judge"] == "toy"
    entry = judged["evals"]["report"]
    assert entry["metrics"]["llm_judged"] == 4 and judged["judge"] == "toy"
    assert entry["intervals"][""]["llm_score"]["mean"] == entry["metrics"]["llm_score"]
    records, pixels = sample_files.read(tmp_path / "samples", "report")
    assert {r["judge"]["error"] for r in records} == {""} and pixels
    assert {k: v for k, v in entry["metrics"].items() if "llm" not in k} == again["evals"][
        "report"
    ]["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_one_command_gives_scores_controls_grades_and_a_page_that_opens(
    evaluated, trained, data_dir, tmp_path, width
):
    out = tmp_path / "evaluation"
    shutil.copytree(evaluated[0], out)  # Questions that were answered there are not asked again.
    with judge_server.running() as (url, server):
        summary = run(
            trained, data_dir, out, "--controls", f"--judge_url={url}", "--judge_model=toy"
        )
        assert len(server.bodies) == 8  # Only answers with the true images are graded.
    ids = {r["id"] for r in sample_files.read(out / "samples", "report")[0]}
    whole = (out / "report.html").read_text(encoding="utf-8")
    assert len(ids) == 4 and not any(i in whole for i in ids)
    seen, console = browser.look(
        out / "report.html",
        width,
        """const tile = page.querySelector(".tile");
        const pictures = [...page.querySelectorAll(".stage img")];
        return {tile: tile.innerText, tiles: page.querySelectorAll(".tile").length,
          cards: page.querySelectorAll(".card").length, pictures: pictures.length,
          charts: [...page.querySelectorAll(".chart b")].map(b => b.innerText),
          scores: [...page.querySelectorAll(".scores .group")].length};""",
    )
    assert not console and seen["wide"] == [] and seen["width"] <= width
    assert seen["tiles"] == 2 and seen["cards"] == seen["pictures"] == 8
    assert "Training loss" in seen["charts"]
    entry = summary["evals"]["report"]
    assert f"{entry['intervals']['']['g_iou']['mean']:.3f}" in seen["tile"]
    assert "blank" in seen["tile"] and "mirrored" in seen["tile"]
    assert entry["metrics"]["llm_judged"] == 4
    assert "LLMScore" in [row[0] for row in html_page.parse(whole).cells()]


def test_a_result_whose_samples_are_gone_is_made_again(evaluated, trained, data_dir, tmp_path):
    out = tmp_path / "evaluation"
    shutil.copytree(evaluated[0], out)
    path, result = out / "samples/yes_no.jsonl", out / "results/yes_no.json"

    def age():  # Makes the files look as an older version with other scores wrote them.
        path.write_text(re.sub('"accuracy": [0-9.]+', '"accuracy": 0.5', path.read_text()))
        found = json.loads(result.read_text())
        key, _, version = found["key"].rpartition("-")
        assert version == str(metrics.VERSION)
        result.write_text(json.dumps({**found, "key": key}))

    for spoil in (path.unlink, lambda: path.write_text("{bad\n"), age):
        spoil()
        again = run(trained, data_dir, out, "--only=yes_no")
        assert again["evals"]["yes_no"]["metrics"] == evaluated[1]["evals"]["yes_no"]["metrics"]
        assert len(sample_files.read(out / "samples", "yes_no")[0]) == 4
    records, _ = sample_files.read(path.parent, "yes_no")
    assert all(r["scores"]["accuracy"] in (0, 1) for r in records)


def test_what_is_not_asked_for_again_stays_in_the_summary_and_on_the_page(
    evaluated, trained, data_dir, tmp_path, capsys, questions
):
    first, out = evaluated[1]["evals"], tmp_path / "evaluation"
    shutil.copytree(evaluated[0], out)
    again = run(trained, data_dir, out)  # Without controls.
    said = capsys.readouterr().out
    assert again["evals"] == first and list(again["evals"])[:2] == ["report", "yes_no"]
    assert "stay in the summary and on the page: report_blank, report_" in said
    page = html_page.read(out / "report.html")
    assert "5 of controls" in page.one("dl", "facts").words
    assert "mirrored" in [th.words for th in page.all("th")]
    # All evaluators get intervals of the same kind, also those that are not run again.
    by_sample = run(trained, data_dir, out, "--only=yes_no", "--by=sample")
    assert by_sample["evals"].keys() == first.keys()
    assert {e["bootstrap"]["by"] for e in by_sample["evals"].values()} == {"sample"}
    assert not questions[0]
    # With fewer questions, the controls are dropped, because they were asked other questions.
    fewer = run(trained, data_dir, out, "--only=yes_no", "--limit=2")
    assert fewer["evals"].keys() == {
        n for n in first if n not in ("yes_no_blank", "yes_no_shuffled")
    }
    assert (fewer["evals"]["yes_no"]["n"], questions[0]) == (2, [2])
    said = capsys.readouterr().out
    assert "do not stay: yes_no_blank, yes_no_shuffled (the real images are asked other" in said


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A user's own dataset, built: an English report of one patient in each of two splits."""
    source, built = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("built")
    line = {"modality": "CT", "report": "The liver is normal.", "boxes": [[0, 0, 9, 9, 5]]}
    lines = [line | {"id": s, "image": f"{s}.npy", "split": s} for s in ("train", "test")]
    for line in lines:
        np.save(source / line["image"], np.zeros((28, 28), np.int16))
    published.write_lines(source, lines)
    builder.build(source, built, workers=1)
    return built


def test_what_a_folder_has_is_evaluated_and_what_it_lacks_is_named(
    trained, reports, tmp_path, questions, capsys
):
    summary = run(trained, reports, tmp_path, "--data=folder", "--controls")
    there = {f"folder_report_en{c}" for c in ("", "_blank", "_mirrored")}
    assert summary["evals"].keys() == there and questions[0] == [1, 1, 1]
    said = capsys.readouterr().out
    for task, lang in (("report", "de"), ("vqa", "en"), ("vqa", "de")):
        why = f"folder test: it has no text with task '{task}', lang '{lang}'; its texts are 1 of "
        assert f"folder_{task}_{lang}: left out, {why}report en\n" in said
        assert why in summary["left_out"][f"folder_{task}_{lang}_blank"]
    assert "folder_report_en_shuffled: left out, control shuffled: all images are of one" in said
    assert "limit" not in said
    table = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "folder_vqa_de: left out, folder test: it has no text" in table
    # It is an error if none of the requested evaluators can run.
    place = (f"--data_dir={reports}", f"--out={tmp_path}", "--data=folder", "--only=folder_vqa_de")
    assert evaluate.main([f"--checkpoint={trained}", *place]) == 2
    assert "nothing can be evaluated: every evaluator was left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, wrong",
    [
        (["--data=phantom+slake"], "config.evals.slake: .* holds no dataset; build it: "),
        (["--data=phantom+folder"], "config.evals.folder_report_de: .*tools.build_dataset folder"),
        (
            ["--data=phantom", "--split=tset"],
            "phantom_report_de: no split 'tset' in .*'validation'",
        ),
    ],
)
def test_data_that_are_not_there_are_an_error_before_the_first_question(
    trained, data_dir, tmp_path, questions, capsys, options, wrong
):
    place = (f"--data_dir={data_dir}", f"--out={tmp_path}")
    assert evaluate.main([f"--checkpoint={trained}", *place, *options]) == 2
    err = capsys.readouterr().err
    assert re.search(wrong, err) and not questions[0]


@pytest.mark.parametrize(
    "change, wrong",
    [
        (dict(codec=dict(name="no_codec")), "no_codec"),
        (dict(control="upside_down"), "config.evals.yes_no.control is 'upside_down'"),
        (dict(pp="load|normalize('medgemma')|resize(28)"), "config.evals.yes_no: eval pp leaves"),
        (dict(sha256="0" * 64), "yes_no: phantom test has .*version of the data, another limit"),
        (dict(sha256="0" * 64, limit=None), r"yes_no: phantom test .*version of the data\?\)$"),
    ],
)
def test_settings_of_a_later_evaluator_are_checked_before_the_first_question(
    trained, data_dir, tmp_path, questions, change, wrong
):
    config = evaluate.run_config(trained)
    with config.unlocked():
        config.evals.yes_no = dict(config.evals.yes_no.to_dict(), **change)
    with pytest.raises(ValueError, match=wrong):
        evaluate.evaluate(config, trained, str(data_dir), tmp_path, log=lambda line: None)
    assert not questions[0]


def test_what_is_finished_is_written_though_a_later_evaluator_fails(
    trained, data_dir, tmp_path, questions, capsys
):
    calls, settings = questions
    settings["most"] = 1
    place = (f"--data_dir={data_dir}", f"--out={tmp_path}", "--resamples=50")
    assert evaluate.main([f"--checkpoint={trained}", *place]) == 2
    said = capsys.readouterr()
    assert "finished and written to" in said.out and "not finished: yes_no" in said.out
    assert "the memory is gone" in said.err
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (list(summary["evals"]), summary["unfinished"]) == (["report"], ["yes_no"])
    assert "Not finished: yes_no." in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "not finished" in html_page.read(tmp_path / "report.html").words
    settings["most"] = 2
    whole = run(trained, data_dir, tmp_path)
    assert list(whole["evals"]) == ["report", "yes_no"] and not whole["unfinished"]
    assert calls == [4, 4]


def test_a_control_that_needs_another_patient_is_left_out_by_name(
    trained, data_dir, tmp_path, capsys
):
    options = ("--only=yes_no", "--controls", "--limit=1")  # One question has one patient.
    summary = run(trained, data_dir, tmp_path, *options)
    assert set(summary["evals"]) == {"yes_no", "yes_no_blank"}
    entry = summary["evals"]["yes_no"]
    assert (entry["n"], entry["images"], entry["subjects"], entry["unnamed"]) == (1, 1, 1, 0)
    out = capsys.readouterr().out
    assert "yes_no_shuffled: left out, control shuffled: all images are of one patient" in out
    assert {"accuracy", "accuracy_published"} <= entry["intervals"][""].keys()


def test_a_judge_that_cannot_answer_ends_the_command_before_anything_slow(
    evaluated, trained, data_dir, tmp_path, capsys, monkeypatch
):
    def load_model(*args):
        raise AssertionError("it is slow")

    monkeypatch.setattr(evaluate, "load_model", load_model)
    options = [f"--checkpoint={trained}", f"--data_dir={data_dir}", "--judge_model=toy"]
    dead = "http://127.0.0.1:9/v1"
    with judge_server.running() as (url, server):
        server.trouble = collections.defaultdict(lambda: ["401"] * 9)
        for address, said in ((dead, "Start its server"), (url, "JUDGE_API_KEY")):
            out = tmp_path / said[:5]
            assert evaluate.main([*options, f"--out={out}", f"--judge_url={address}"]) == 1
            err = capsys.readouterr().err
            assert address in err and said in err and not (out / "summary.json").exists()
        assert len(server.bodies) == 1
    # The same holds if all answers and scores are known already.
    shutil.copytree(evaluated[0], tmp_path / "known")
    known = [*options, f"--out={tmp_path / 'known'}", "--only=report"]
    assert evaluate.main([*known, f"--judge_url={dead}"]) == 1
    assert dead in capsys.readouterr().err


def test_a_judge_that_graded_nothing_is_shown_and_is_no_success(
    evaluated, trained, data_dir, tmp_path, capsys
):
    out = tmp_path / "evaluation"
    shutil.copytree(evaluated[0], out)
    options = [f"--checkpoint={trained}", f"--data_dir={data_dir}", f"--out={out}"]
    options += ["--judge_model=toy", "--only=report", "--resamples=200"]
    with judge_server.running() as (url, server):
        server.trouble = collections.defaultdict(lambda: ["says good"] * 9)
        assert evaluate.main([*options, f"--judge_url={url}"]) == 1
        said, err = capsys.readouterr()
        assert "report: 0 of 4 graded by the judge; 4 of 4 not graded, most often: the" in said
        assert f"the judge at {url} graded no answer" in err and str(out) in err
        for text in ((out / "results.md").read_text(), html_page.read(out / "report.html").words):
            assert "0 of 4 graded by the judge" in text
        server.trouble.clear()
        server.trouble.default_factory = list
        assert evaluate.main([*options, f"--judge_url={url}"]) == 0
        assert "report: 4 of 4 graded by the judge\n" in capsys.readouterr().out


def test_a_stop_is_no_crash(trained, data_dir, tmp_path, capsys, monkeypatch):
    def stop(*args, **kw):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "run", stop)
    options = [f"--checkpoint={trained}", f"--data_dir={data_dir}", f"--out={tmp_path}"]
    assert evaluate.main(options) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_named_step_has_a_folder_of_its_own_beside_that_of_the_run(trained):
    paths = [trained / where for where in ("", "checkpoints", "checkpoints/2")]
    places = [evaluate.job_of([f"--checkpoint={path}"]).out for path in paths]
    assert places == [trained / n for n in ("evaluation", "evaluation", "evaluation_step2")]


@pytest.mark.parametrize("task", ["report", "vqa"])
def test_any_checkpoint_is_asked_by_data(trained, data_dir, task):
    config = config_lib.load(f"{ROOT}/configs/evaluate.py:init={trained},data=phantom")
    for lang in ("en", "de"):
        data = eval_data.load(config.evals[f"phantom_{task}_{lang}"].to_dict(), str(data_dir))
        item = data[0]
        assert item["meta"]["lang"] == lang and item["meta"]["task"] == task
        assert item["image"].shape == (112, 112, 3) and (item["text"] != 0).sum() > 8
        assert item["reference"] and not item["mask_ar"].any()


@pytest.mark.slow
def test_the_published_protocol_runs_on_a_checkpoint_in_the_released_format(tmp_path, capsys):
    # The token table of the checkpoint is not padded to 3,200 rows.
    folder = foreign.write_hf(tmp_path / "model.hf", 3156, ("detection",))
    rad = tmp_path / "rad"
    slake.write(tmp_path / "slake")
    vqa_rad.write(rad, rad / "splits")
    options = [f"--checkpoint={folder}", f"--slake={tmp_path / 'slake'}", f"--vqa_rad={rad}"]
    options += [f"--vqa_rad_splits={rad / 'splits'}", "--allow_other_counts"]
    places = [f"--data_dir={tmp_path / 'data'}", f"--out={tmp_path / 'out'}"]
    assert reproduce.main([*options, *places]) == 0
    said = capsys.readouterr().out
    for name, paper, n in (("SLAKE F1", "87.7 ±2.4", 1053), ("VQA-RAD accuracy", "64.7", 735)):
        row = next(x for x in said.splitlines() if x.startswith(f"| {name}, n = "))
        assert paper in row and f"published {n}" in row
    assert "What differs" in said
    assert reproduce.main([f"--checkpoint={folder}"]) == 2
    assert "give --slake=DIR" in capsys.readouterr().err


# ---- Foreign checkpoints -------------------------------------------------------------------


@pytest.mark.parametrize("kind, height, sets", foreign.PLACES)
def test_a_foreign_checkpoint_of_any_height_is_evaluated(
    kind, height, sets, data_dir, tmp_path, asked, capsys
):
    place, out = foreign.write(tmp_path / "model", kind, height, sets), tmp_path / "out"
    only = "--only=phantom_report_en,phantom_vqa_en"
    summary = run(place, data_dir, out, "--data=phantom", "--limit=1", only)
    said = capsys.readouterr().out
    model, tokenizer, never, params = asked[-1]
    assert foreign.table(params).shape == (foreign.PADDED, 16)
    boxes = foreign.points(kind, height, sets)
    lacks = [t for t in ("<p bbox=", "<seg>") if tokenizer.markup.get(t) in never]
    assert ("<p bbox=" not in lacks) == boxes
    assert ("no trained row for" in said) == bool(lacks)
    # Without the box tokens, reports are asked for without boxes, and boxes are not scored.
    entry = summary["evals"]["phantom_report_en"]
    assert ("was not trained to point" in said) == (not boxes)
    assert ("g_iou" in entry["intervals"][""]) == boxes
    assert "report_f1" in entry["intervals"][""] and "phantom_vqa_en" in summary["evals"]
    (record,) = sample_files.read(out / "samples", "phantom_report_en")[0]
    assert ("detect keywords" in record["prompt"]) == boxes == ("<p bbox=" in record["reference"])


@pytest.mark.parametrize("height", (3151, 64))
def test_a_table_of_another_tokenizer_is_an_error_of_the_command(
    height, data_dir, tmp_path, asked, capsys
):
    place = foreign.write_npz(tmp_path, height)
    options = [f"--checkpoint={place}", f"--data_dir={data_dir}", f"--out={tmp_path / 'out'}"]
    assert evaluate.main([*options, "--data=phantom", "--limit=1"]) == 2
    assert f"has {height:,} rows" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_asks_a_folder_of_a_plain_paligemma_2(data_dir, tmp_path):
    place, out = foreign.write_hf(tmp_path / "hf", 3199, ()), tmp_path / "out"
    command = [sys.executable, "-m", "big_rad.evaluate", f"--checkpoint={place}", "--limit=1"]
    command += [f"--data_dir={data_dir}", f"--out={out}", "--data=phantom", "--resamples=20"]
    done = tiny_run.run([*command, "--only=phantom_vqa_en"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no trained row for <p bbox=, </p>, id=, <seg>, </seg>" in done.stdout
    records = sample_files.read(out / "samples", "phantom_vqa_en")[0]
    assert len(records) == 1 and not any(t in records[0]["prediction"] for t in foreign.MARKUP)


def test_another_split_than_the_config_names_is_refused(trained, data_dir, tmp_path):
    config = evaluate.run_config(trained)
    config.evals = {"report": config.evals.report}
    digest = eval_data.load(config.evals.report.to_dict(), str(data_dir)).sha256()
    with config.unlocked():
        config.evals.report.sha256 = "0" * 64
    with pytest.raises(ValueError, match=f"report: phantom test has sha256 {digest}.*names 0000"):
        evaluate.evaluate(config, trained, str(data_dir), tmp_path, log=lambda line: None)


def test_the_hash_is_of_questions_references_and_their_order():
    def source(*texts):
        return [{"id": str(i), "texts": [dict(suffix=t)], "image": i} for i, t in enumerate(texts)]

    def digest(*texts):
        return eval_data.EvalData(source(*texts), lambda x: x).sha256()

    assert digest("a", "b") == digest("a", "b")
    assert len({digest("a", "b"), digest("b", "a"), digest("a"), digest("a", "c")}) == 4


@pytest.mark.parametrize(
    "options, message",
    [
        (["--only=reprot"], "no evaluator reprot; there are report, yes_no"),
        (["--data=phantom", "--config=x.py"], "not both"),
        (["--data=slak"], "there is no slak"),
        (["--data=slake", "--folder=a"], "'folder=a': goes with data=folder"),
        (["--folder=a"], "--folder=a goes with --data=folder"),
        (["--data=folder", "--folder=a b"], "'a b' cannot be the name of a folder"),
        (["--config=nothing.py"], "does not exist"),
        (["--judge_url=http://x/v1"], "go together"),
        (["--limit=-1"], "--limit=-1: give a number of questions from 1; 0 is all"),
        (["--judge_url=http://x/v1", "--judge_model=m", "--judge_max_tokens=0"], "max_tokens"),
    ],
)
def test_what_cannot_be_done_is_an_error_that_says_so(trained, tmp_path, capsys, options, message):
    assert evaluate.main([f"--checkpoint={trained}", f"--out={tmp_path}", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there_is_named(tmp_path, capsys):
    assert evaluate.main([f"--checkpoint={tmp_path / 'no'}", f"--out={tmp_path}"]) == 2
    assert "no" in capsys.readouterr().err


def test_a_folder_is_asked_by_its_name(trained):
    config = evaluate.data_config(trained, "folder+slake", folder="clinic")
    named = {n: dict(e.builder_args) for n, e in config.evals.items() if e.builder == "folder"}
    assert len(named) == 4 and all(args == {"config": "clinic"} for args in named.values())
    assert not config.evals.slake.get("builder_args")
    config = evaluate.data_config(trained, "folder")
    assert not any(e.builder_args for e in config.evals.values())


def test_boxes_that_a_model_with_masks_cannot_use_are_said_before_the_first_question(tmp_path):
    line = {"modality": "CT", "report": "The liver is normal.", "boxes": [[0, 0, 9, 9, 5]]}
    lines = [line | {"id": s, "image": f"{s}.npy", "split": s} for s in ("train", "test")]
    for line in lines:
        np.save(tmp_path / line["image"], np.zeros((28, 28), np.int16))
    published.write_lines(tmp_path, lines)
    builder.build(tmp_path, tmp_path / "data", workers=1)
    checkpoint = tiny_run.mask_checkpoint(tmp_path / "init")
    config, said = evaluate.data_config(checkpoint, "folder"), []
    with pytest.raises(tiny_run.Said):
        log = tiny_run.until("folder test: 0 of 1 images have a mask; boxes are not used", said)
        evaluate.evaluate(config, checkpoint, str(tmp_path / "data"), tmp_path / "out", log=log)
    assert [s for s in said if "boxes are not used" in s] == said[-1:]
    with config.unlocked():
        config.evals.later = dict(config.evals.folder_report_en, split="gone")
    with pytest.raises(ValueError, match="config.evals.later: .*no split 'gone'"):
        evaluate.evaluate(config, checkpoint, str(tmp_path / "data"), tmp_path / "out", log=print)


def test_the_config_of_datasets_follows_the_published_protocol(trained):
    config = config_lib.load(
        f"{ROOT}/configs/evaluate.py:init={trained},data=slake+vqa_rad+refrad2d"
    )
    assert config.evals.slake.split == "validation" and config.evals.vqa_rad.split == "test"
    assert config.evals.refrad2d_report_de.expand.to_dict() == dict(
        task="report", lang="de", items=2000, view="first"
    )
    assert config.evals.refrad2d_report_de.max_new_tokens == 200
    assert config.model.to_dict() == tiny_run_model(trained)


def tiny_run_model(trained):
    return json.loads((trained / "config.json").read_text(encoding="utf-8"))["model"]
