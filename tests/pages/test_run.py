"""Tests the page of a run by the texts and elements that a reader sees."""

import datetime
import os
import re

import pytest

from big_rad.pages import run as run_page
from tests.helpers import browser, html_page, made_run
from tests.helpers.made_run import evaluation, line, start

HOSTILE = "<script>alert(1)</script> \"q\" 'q' & <img src=http://evil.example/x>"
NOW = datetime.datetime(2026, 1, 3, tzinfo=datetime.UTC)


def made(workdir, **kw):
    return html_page.read(run_page.write(workdir, now=NOW, **kw))


def facts(page):
    """Returns the text of the page above the scores."""
    return page.words.partition("Scores")[0]


def charts(page):
    return len(page.all("figure"))


def test_the_page_of_a_finished_run_tells_all_of_it(tmp_path):
    page = made(made_run.whole(tmp_path))
    for words in (
        "Finished: all 12 steps are done and evaluated.",
        "12 of 12 steps, 100%",
        "45.0 s, 53% of it in steps",
        f"2 x {made_run.H100}",
        "Grounded reports step 12, n = 5",
        "G-IoU 0.750 0.188 +0.562",
        "Training loss", "Learning rate", "Examples a second", "L2 norms",
        "Grounded reports: G-IoU",
        "#8 CT · axial · en best", "#0 CT · axial · en worst", "all groups",
        "0123456789ab with changes",
        "--config=configs/radgrounder_det.py",
        "llm/embedder",
        '"grad_clip_norm": 1.0',
        "absl-py 2.1",
        "examples left out 0 steps left out 0",
    ):  # fmt: skip
        assert words in page.words, words
    assert len(page.all("article")) == 18  # Cards of reports and of questions.
    assert "report-8" not in page.words  # The page must not show ids of examples.


def test_the_page_of_an_adapted_siglip_is_called_so_and_has_no_box_codec(tmp_path):
    plain = facts(made(made_run.whole(tmp_path / "a")))
    assert "RadGrounder: a" in plain and "box codec" in plain
    model = dict(img=made_run.config().model.img, txt=dict(width=8, length=4))
    config = made_run.config(model_name="two_towers", model=model)
    towers = facts(made(made_run.whole(tmp_path / "b", config=config)))
    assert "Adapted SigLIP: b" in towers and "box codec" not in towers


def test_the_page_needs_nothing_else_and_runs_its_own_script_alone(tmp_path):
    page = made(made_run.whole(tmp_path))
    assert page.addresses
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in page.addresses)
    assert not {"link", "iframe", "object"} & set(page.tags) and page.one("script")
    style = " ".join(page.one("style").children)
    assert "url(" not in style and "@import" not in style
    policy = page.one("meta", http_equiv="Content-Security-Policy").get("content")
    for rule in ("default-src 'none'", "form-action 'none'", "script-src 'sha256-"):
        assert rule in policy


def test_a_run_that_goes_on_or_died_says_how_far_it_is_and_when_it_last_wrote(tmp_path):
    made_run.write(
        tmp_path, lines=[line(1), line(4), evaluation(4, 0.25), line(8)], starts=[start()],
        config=made_run.config(),
    )  # fmt: skip
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 12, "trai')
    written = NOW.timestamp() - 90
    os.utime(tmp_path / "metrics.jsonl", (written, written))
    page = made(tmp_path)
    assert "Not finished: step 8 of 12. The last line was written 1 min 30 s ago." in page.words
    assert "8 of 12 steps, 67%" in page.words
    assert "steps left at this rate 8.0 s" in page.words


def test_the_page_of_a_failed_run_says_so_on_top_and_each_start_how_it_ended(tmp_path):
    why = "disk <full>\nFree some space"
    ends = [
        {"how": "stopped", "why": "", "step": 4, "time": "2026-01-02T04:00:00+00:00"},
        {"how": "lost", "why": "kill -9", "step": None, "time": None},
        {"how": "failed", "why": why, "step": 8, "time": "2026-01-02T05:00:00+00:00"},
    ]
    starts = [start(4 * i, ended=x, changes={"config.lr": [1, 2]}) for i, x in enumerate(ends)]
    # The last start failed before its parameters and its number of steps were known.
    starts[-1] |= {"parameters": None, "total_steps": None}
    options = dict(lines=[line(1), line(8)], config=made_run.config())
    page = made(made_run.write(tmp_path / "a", starts=starts, **options))
    top = facts(page)
    assert "Failed at step 8 of 12: disk <full>" in top
    assert "The last start failed after step 8, 2026-01-02 05:00:00 UTC" in top
    assert "Free some space" in top and "parameters 3,012,401,000" in top
    for words in (
        "stopped after step 4",
        "lost: kill -9",
        "failed after step 8: disk",
        "config.lr",
    ):
        assert words in page.words, words
    page = made(made_run.write(tmp_path / "b", starts=[*starts, start(8, ended=None)], **options))
    assert "failed" not in facts(page) and "it runs, or was killed" in page.words


def test_no_evaluation_no_metrics_and_no_config_yet(tmp_path):
    page = made(made_run.write(tmp_path / "a", starts=[start()]))
    assert "no step has been logged yet" in page.words and "No metrics yet." in page.words
    assert charts(page) == 0
    page = made(
        made_run.write(tmp_path / "b", lines=[line(1)], starts=[start()], config=made_run.config())
    )
    assert "No evaluation yet." in page.words and charts(page) == 5


def test_one_evaluation_makes_no_curve_and_two_make_one(tmp_path):
    once = [line(1), line(4), evaluation(4, 0.5)]
    for name, lines, count in (("a", once, 5), ("b", [*once, evaluation(8, 0.75)], 6)):
        workdir = made_run.write(tmp_path / name, lines=lines, config=made_run.config())
        assert charts(made(workdir)) == count


def test_nulls_are_gaps_that_are_named_and_no_error(tmp_path):
    empty = dict.fromkeys(line(8), None) | {"step": 8}
    lines = [line(1), line(4), evaluation(4, 0.5), empty]
    lines.append(dict.fromkeys(evaluation(8, 0), None) | {"step": 8})
    page = made(made_run.whole(tmp_path, lines=lines))
    notes = [p for p in page.all("p", "meta") if "no finite value at step 8" in p.words]
    assert len(notes) == 6
    assert "training loss 1 " in facts(page)  # The last value that is not null.
    assert "G-IoU – – –" in page.words
    for name in line(1):
        lines = [line(1) | {name: None}] if name != "step" else [line(1)]
        made(made_run.whole(tmp_path, lines=lines))


def test_an_older_run_directory_without_run_json_or_images_has_its_page(tmp_path):
    made_run.whole(tmp_path, starts=())
    for path in (tmp_path / "samples").glob("*.npz"):
        path.unlink()
    page = made(tmp_path)
    assert "does not say on what it ran" in page.words
    said = [p.words for p in page.all("p", "no-picture")]
    assert said == ["The image of this sample is not in the run directory."] * 18


def test_what_was_left_out_is_counted_and_the_last_are_listed(tmp_path):
    rejects = [
        dict(step=i, dataset="refrad2d", id=f"bad-{i:02d}", error="ReadError", reason="cut short")
        for i in range(30)
    ]
    skipped = [{"step": 7, "ids": ["a", "b"], "reason": "the loss is a spike (9)"}]
    files = {"rejects.jsonl": rejects, "skipped.jsonl": skipped}
    page = made(made_run.whole(tmp_path, files=files))
    assert "examples left out 30 steps left out 1" in page.words
    assert "could not be used: 30, the last 20" in page.words
    assert "bad-29" in page.words and "bad-09" not in page.words
    assert "7 a, b the loss is a spike (9)" in page.words


def test_utilisation_is_shown_only_where_it_is_known(tmp_path):
    assert re.search(r"utilisation \(MFU\) about \d+%", made(made_run.whole(tmp_path)).words)
    page = made(made_run.whole(tmp_path, starts=[start(kind="cpu", devices=1)]))
    assert "utilisation (MFU) not known" in page.words
    assert "The utilisation is not known: no peak rate is known of 'cpu'." in page.words


def test_hostile_text_of_data_model_and_command_line_stays_text(tmp_path):
    rejects = [dict(step=1, dataset=HOSTILE, id=HOSTILE, error=HOSTILE, reason=HOSTILE)]
    skipped = [{"step": 1, "ids": [HOSTILE], "reason": HOSTILE}]
    bad = start(arguments=[HOSTILE], kind=HOSTILE, versions={"python": HOSTILE, HOSTILE: "1"})
    evals = {HOSTILE.replace(".", "").replace("/", ""): made_run.REPORT | {"control": "none"}}
    name = next(iter(evals))
    lines = [line(i) | {f"{name}/g_iou": 0.5} for i in (1, 2)]
    files = {"rejects.jsonl": rejects, "skipped.jsonl": skipped}
    config = made_run.config(codec=dict(name=HOSTILE), evals=evals)
    made_run.write(tmp_path, lines=lines, starts=[bad], config=config, files=files)
    (tmp_path / "parameters.txt").write_text(HOSTILE, encoding="utf-8")
    page = made(tmp_path)
    assert page.one("script") and "http://evil.example/x" not in page.addresses
    assert page.words.count("<script>alert(1)") > 10  # It is text, not an element.


def test_the_best_step_of_a_run_that_goes_on_is_that_of_its_rows_and_not_of_its_last_end(tmp_path):
    summary = {"seconds": 45.0, "steps": 12, "best_step": 4, "reported_step": 4}
    lines = [evaluation(4, 0.5), evaluation(12, 0.25), line(12)]
    config = made_run.config(ckpt_best="report/g_iou", ckpt_best_mode="max")
    page = made(made_run.whole(tmp_path / "a", lines=lines, config=config, summary=summary))
    assert "best step 4, by report/g_iou" in facts(page)
    lines += [evaluation(16, 0.75), line(16)]
    starts = [start(0), start(12, total=24)]
    options = dict(lines=lines, config=config, summary=summary, starts=starts)
    page = made(made_run.whole(tmp_path / "b", **options))
    assert "best step so far 16, by report/g_iou" in facts(page)


def test_the_page_may_go_elsewhere_and_leaves_the_run_directory_as_it_was(tmp_path):
    workdir = made_run.whole(tmp_path / "run")
    before = sorted(p.name for p in workdir.iterdir())
    made(workdir, out=tmp_path / "new" / "page.html")
    assert sorted(p.name for p in workdir.iterdir()) == before
    assert (tmp_path / "new" / "page.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_lays_the_page_out_within_its_window_and_reports_no_error(tmp_path, width):
    starts = [start(arguments=["train.py", "--config.model_init=" + "x" * 300]), start(6)]
    path = run_page.write(made_run.whole(tmp_path / "run", starts=starts), tmp_path / "page.html")
    path.write_text(path.read_text(encoding="utf-8").replace("<details>", "<details open>"))
    seen, console = browser.look(
        path,
        width,
        """return {
        images: [...page.images].map(i => i.loading === "lazy" || i.naturalWidth > 0),
        charts: [...page.querySelectorAll(".chart > svg")].map(
          s => s.getBoundingClientRect().width),
        text: page.body.innerText.includes("Finished")};""",
    )
    assert seen["text"] and all(seen["images"]) and len(seen["charts"]) == 6
    assert seen["width"] <= width and seen["wide"] == []
    assert all(250 < w <= width for w in seen["charts"])
    assert not console
