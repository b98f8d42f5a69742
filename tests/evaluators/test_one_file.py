"""A new evaluator needs one file: checks, lines, tags, summary, pages and curves take it as it is.

That training and `big_rad.evaluate` do, too, is tested in tests/test_train.py.
"""

import datetime
import json
import pathlib

import numpy as np
import pytest

from big_rad import config_check, evaluators
from big_rad.evaluators import before_after, controls, headlines
from big_rad.evaluators import data as eval_data
from big_rad.pages import evaluation as evaluation_page
from big_rad.pages import run as run_page
from big_rad.pages import sections as page_sections
from big_rad.pp import tokenizer as tokenizers
from configs import demo
from tests.helpers import html_page, made_evaluation, made_run
from tests.helpers import lab as lab_lib

ROOT = pathlib.Path(__file__).parents[2]
ENTRY = dict(type=lab_lib.TYPE, builder="phantom", split="validation", pp="load", every=4)
EVALS = {"held_out": ENTRY, "held_out_blank": ENTRY | {"control": "blank"}}
MORNING = datetime.datetime(2026, 1, 3, tzinfo=datetime.UTC)


@pytest.fixture
def lab(tmp_path):
    """The folder of a user's own evaluators, with one evaluator in it."""
    with lab_lib.installed(tmp_path / "lab") as folder:
        yield folder


def checked(**options):
    """Checks the config of the demo with the user's evaluator added to its own."""
    c = demo.get_config()
    pp = c.evals.report.pp.replace(", answer=False", "")
    kept = {k: c.evals.report[k] for k in ("builder", "builder_args", "split", "expand")}
    c.evals.held_out = dict(kept, type=lab_lib.TYPE, pp=pp, **options)
    config_check.check(c)


def test_the_config_check_takes_its_options_and_refuses_others_by_its_signature(lab):
    checked(batch_size=4, scale=2.0, control="none", every=3)
    for wrong, said in (
        (dict(scael=2.0), "config.evals.held_out has no field 'scael'.*did you mean 'scale'"),
        (dict(captions=True), "config.evals.held_out has no field 'captions'"),
        (dict(batch_size=0), "batch_size is 0: it has to be a whole number of at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            checked(**wrong)
    with pytest.raises(ValueError, match="unknown scael; known: .*did you mean 'scale'"):
        evaluators.check("held_out", ENTRY | {"scael": 2.0})


def test_lines_tags_summary_and_the_choice_of_checkpoints_follow_what_it_states(lab):
    metrics = {"held_out/loss": 1.5, "held_out/right": 0.25, "held_out/n": 4.0}
    metrics |= {"held_out_blank/loss": 2.0, "held_out_blank/right": 0.1}
    before = [{"step": 4, "held_out/loss": 1.75}]
    (line,) = headlines.lines(8, metrics, EVALS, before)
    assert line == "eval step 8: held_out loss 1.500 (blank 2.000), best so far"
    (line,) = headlines.lines(8, metrics, EVALS, [{"step": 4, "held_out/loss": 1.25}])
    assert line.endswith("best 1.250 at step 4")  # The lowest loss is the best.
    tag = headlines.board_tag(EVALS)
    assert [tag(n) for n in metrics] == [
        "held_out/loss", "held_out/right", "", "held_out/loss_blank", "",
    ]  # fmt: skip
    assert list(headlines.default_summary(EVALS, metrics)) == [
        "held_out/loss", "held_out/right", "held_out_blank/loss",
    ]  # fmt: skip
    assert headlines.unknown_score("held_out/loss_CT", EVALS) == ""
    assert "did you mean 'loss'" in headlines.unknown_score("held_out/los", EVALS)
    for mode, score, said in (
        ("max", "loss_CT", "min"),
        ("min", "loss", ""),
        ("max", "n", "count"),
    ):
        assert said in headlines.cannot_choose(f"held_out/{score}", EVALS, mode)
        assert bool(said) == bool(headlines.cannot_choose(f"held_out/{score}", EVALS, mode))


def test_controls_are_added_as_it_states(lab):
    c = demo.get_config()
    c.evals = {"held_out": dict(ENTRY)}
    assert controls.add(c.evals) == ["held_out_blank"]


def made(folder):
    """Returns the page of a run with this evaluator."""

    def line(step, value):
        return {"step": step, "held_out/loss": value, "held_out/n": 4, "held_out_blank/loss": 2.5}

    lines = [made_run.line(4), line(4, 2.0), made_run.line(8), line(8, 1.0)]
    config = made_run.config(evals=EVALS)
    workdir = made_run.write(folder, lines=lines, starts=[made_run.start()], config=config)
    return html_page.read(run_page.write(workdir, now=MORNING))


def charts(page):
    """Returns the titles of the page's charts with the names of their lines."""
    heads = [head.all("b")[0].words for head in page.all("figcaption")]
    lines = [[s.words for s in head.all("span", "line")] for head in page.all("figcaption")]
    return dict(zip(heads, lines, strict=True))


def test_a_page_shows_its_titles_and_draws_its_curve_beside_that_of_training(lab, tmp_path):
    page = made(tmp_path / "run")
    assert page.one("table", "scores").one("a").words == "Texts held out"
    assert "raw names" not in page.words
    assert ["token loss", "1.000", "2.500", "–"] in page.cells()
    assert page.one("th", title="loss").words == "token loss"
    lines = charts(page)["Texts held out: token loss"]
    assert [x.rpartition(" ")[0] for x in lines] == ["real image", "blank", "training"]


def test_a_page_of_a_type_that_is_gone_has_raw_names_and_says_so(lab, tmp_path):
    for hide in ("the package", "an error"):
        if hide == "an error":
            (lab / "held_out.py").write_text("raise SystemExit(3)", encoding="utf-8")
        else:
            (lab / "held_out.py").unlink()
        lab_lib.forget()
        page = made(tmp_path / hide)
        said = [p.words for p in page.all("p", "note") if "raw names" in p.words]
        assert len(said) == 1 and lab_lib.TYPE in said[0] and "cannot be imported" in said[0]
        assert ["loss", "1.000", "2.5"] in [row[:3] for row in page.cells()]
        assert page.one("th", title="loss").words == "loss" and "Held out: loss" in charts(page)
        with pytest.raises(ValueError, match="config.evals.x.type is .*cannot be imported"):
            evaluators.check("x", ENTRY)


def test_the_page_of_an_evaluation_does_with_and_without_the_class(lab, tmp_path):
    scores = {"loss": np.linspace(1, 3, 12), "right": made_evaluation.draw(0.5, 12)}
    folder = made_evaluation.write(tmp_path / "e", scores, "held_out", kind=lab_lib.TYPE)
    summary = json.loads((folder / "summary.json").read_text())
    summary |= dict(revision=None, unfinished=[], left_out={}, by="image", seed=0, device="cpu",
                    resamples=200)  # fmt: skip
    entry = summary["evals"]["held_out"]
    entry |= dict(asked=ENTRY, metrics={"loss": 2.0, "right": 0.5})
    for title, label in (("Texts held out", "token loss"), ("Held out", "loss")):
        evaluation_page.write(summary, folder)
        page = html_page.read(folder / "report.html")
        card = page.one("article", "tile")
        assert card.one("h3").words == title
        assert card.one("p", "number").words.startswith(f"2.000 {label} ")
        assert not card.all("div", "bar")  # A bar shows scores from 0 to 1 only, not this loss.
        notes = [p.words for p in page.all("p", "note")]
        assert "12 samples, which are not drawn." in notes or title == "Held out"
        (lab / "held_out.py").unlink(missing_ok=True)
        lab_lib.forget()


def test_the_example_of_the_documentation_is_a_whole_evaluator(lab, tmp_path):
    text = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    code = text.split("## An evaluator of your own")[1].split("```python\n")[1].split("```")[0]
    (lab / "length.py").write_text(code, encoding="utf-8")
    tokenizer = tokenizers.load("tiny")
    row = np.array([*tokenizer.encode("\nWhere?\n", bos=True), 0], np.int32)
    pre = dict(image=np.zeros((8, 8, 3), np.float32), text=row, mask_ar=0 * row)
    source = [dict(id=f"{i}", texts=[dict(task="vqa")]) for i in range(3)]
    data = eval_data.EvalData(source, lambda x: x | pre | {"reference": "left lung"})

    def queue(params, requests, **options):
        says = ("left", "left lung", "in the left lung here")
        ids = (np.array(tokenizer.encode(x, eos=True), np.int32) for x in says)
        return [dict(tokens=x, logprob=0.0, length=1) for _, x in zip(requests, ids)]

    entry = dict(type="my_lab.evals.length", allowed=1, batch_size=3)
    common = dict(predict_fns={"queue": queue}, tokenizer=tokenizer, data_dir="", data=data)
    made = evaluators.build("length", entry, samples_dir=tmp_path / "samples", **common)
    found = dict(made.run({}))
    assert found["words"] == pytest.approx(8 / 3) and found["wrong_length"] == pytest.approx(2 / 3)
    (section,) = page_sections.sections_of(
        {"length": entry}, {"length": found}, {}, tmp_path / "samples"
    )
    page = html_page.parse(page_sections.scores([section]) + page_sections.galleries([section]))
    table = page.one("table", "scores")
    assert table.one("a").words == "Length of answers"
    assert "words too many or too few" in [row[0] for row in table.cells()]
    assert len(page.all("article")) == 3  # One of them is neither the best nor the worst.


def test_data_that_lack_what_a_class_needs_are_an_error_with_the_op_that_adds_it(lab):
    row = np.ones(4, np.int32)
    plain = dict(image=np.zeros((8, 8, 3), np.float32), text=row, mask_ar=row)
    common = dict(predict_fns={}, tokenizer=None, data_dir="")

    def data(**fields):
        return eval_data.EvalData([dict(id="0", texts=[{}])], lambda x: x | plain | fields)

    beside, inside, nothing = data(reference="x"), data(mask_loss=row), data(mask_loss=0 * row)
    for kind, given, said in (
        (lab_lib.TYPE, beside, r"leaves no mask_loss.*end it with tok\(...\) and keep"),
        (lab_lib.TYPE, nothing, "leaves no targets in the row"),
        ("vqa", inside, r"leaves no reference.*answer=False"),  # The answer would be in the prompt.
    ):
        with pytest.raises(ValueError, match=f"^config.evals.x.pp {said}"):
            evaluators.build("x", dict(type=kind), data=given, **common)
    assert evaluators.build("x", dict(type=lab_lib.TYPE), data=inside, **common).name == "x"


def test_its_samples_are_compared_before_and_after(lab, tmp_path):
    class Ran:
        records = [dict(index=i, id=f"{i}", scores={"loss": 2.0}) for i in range(8)]
        data = eval_data.EvalData([dict(id=f"{i}", texts=[{}]) for i in range(8)], None)

    before_after.keep({"held_out": Ran}, tmp_path)
    Ran.records = [r | {"scores": {"loss": 1.0}} for r in Ran.records]
    text = before_after.text(before_after.compare({"held_out": Ran}, tmp_path), EVALS)
    assert "| Texts held out: token loss | 2.000 " in text and "| -1.000 " in text


@pytest.mark.parametrize("kind, model", [("retrieval", "radgrounder"), ("grounded", "two_towers")])
def test_an_evaluator_of_another_kind_of_model_is_refused(kind, model):
    spec = {"type": kind, "builder": "phantom"}
    with pytest.raises(ValueError, match=f"type '{kind}' is not for {model}, which"):
        evaluators.check("x", spec, model)
