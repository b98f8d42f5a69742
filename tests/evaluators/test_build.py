import ml_collections
import numpy as np
import pytest

from big_rad import evaluators
from big_rad.datasets import core
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import headlines
from big_rad.evaluators import samples as sample_files
from big_rad.inference import draw
from big_rad.pages import sections as page_sections
from big_rad.pp import tokenizer as tokenizers
from tests.helpers import html_page

PP = (
    "load|normalize('medgemma')|resize(28)|prompt(style='both', grounded='always')"
    "|ground('boxes')|tok(length=64, max_text=64, answer=False)"
)


class Source:
    """Six CT slices of three patients with a label map that shows a liver (class 5)."""

    def __init__(self, task):
        self.task = task

    def __len__(self):
        return 6

    def __getitem__(self, i):
        segmap = np.zeros((56, 56), np.uint8)
        segmap[8 : 20 + i, 10:40] = 5
        image = np.full((56, 56), -1000, np.int16)
        image[segmap == 5] = 60
        lang = "de" if i % 2 else "en"
        texts = {
            "report": dict(
                sentence=f"Sentence{i} about the liver.",
                clinical="",
                question=f"Number {i}?",
                keywords=[["liver", 5]],
            ),
            "vqa": dict(
                question=f"Is it {i}?", answer=f"reply{i}", question_type="yesno", choices=[]
            ),
        }
        text = dict(task=self.task, lang=lang, template="t", **texts[self.task])
        return dict(
            id=f"s{i}",
            patient=f"p{i % 3}",
            image=image,
            modality="CT",
            plane="axial",
            body_part="abdomen",
            segmap=segmap,
            texts=[text],
        )


def oracle(params, batch, *, max_new_tokens, masks=True):
    """Answers with the reference if the liver is visible in the image, and "nothing" otherwise."""
    tokenizer = tokenizers.load("tiny")
    tokens = np.zeros((len(batch["text"]), max_new_tokens), np.int32)
    for row, text in enumerate(batch["text"]):
        seen = batch["image"][row, ..., 1].max() > 0
        answer = params[tuple(text)] if seen else "nothing"
        ids = tokenizer.encode(answer, eos=True, specials=True)
        tokens[row, : len(ids)] = ids
    return {"tokens": tokens, "logprob": np.zeros(len(tokens)), "length": (tokens > 1).sum(1)}


@pytest.fixture
def build(monkeypatch, tmp_path):
    eval_data.clear_cache()
    made = []

    def make_source(spec, data_dir):
        made.append(spec["builder"])
        return Source(spec["expand"]["task"])

    monkeypatch.setattr(core, "make_source", make_source)

    def build(kind, task):
        evals = ml_collections.ConfigDict()
        for control in eval_data.CONTROLS:
            evals[f"{task}_{control}"] = dict(
                type=kind, builder="fake", split="test", expand=dict(task=task), pp=PP,
                batch_size=4, max_new_tokens=48, control=control, every=0,
                codec=dict(name="radgrounder", grid=None),
            )  # fmt: skip
        build.specs = evals
        common = dict(predict_fns={"generate": oracle}, tokenizer=tokenizers.load("tiny"))
        return {
            name: evaluators.build(name, spec, data_dir="d", samples_dir=tmp_path, **common)
            for name, spec in evals.items()
        }

    build.made = made
    yield build
    eval_data.clear_cache()


def answers(data):
    return {tuple(data[i]["text"]): data[i]["reference"] for i in range(len(data))}


@pytest.mark.parametrize("kind, task", [("grounded", "report"), ("vqa", "vqa")])
def test_controls_share_data_and_a_seeing_oracle_is_perfect_but_blind_on_blank(build, kind, task):
    evals = build(kind, task)
    assert build.made == ["fake"]
    real = evals[f"{task}_none"]
    assert all(e.data is real.data for e in evals.values())
    results = {n: dict(e.run(answers(real.data))) for n, e in evals.items()}
    names = [f"{n}/{score}" for n, found in results.items() for score in found]
    assert not [n for n in names if headlines.unknown_score(n, build.specs)]
    main = {"grounded": "g_iou", "vqa": "accuracy"}[kind]
    assert results[f"{task}_none"][main] == pytest.approx(1.0)
    assert results[f"{task}_blank"][main] == 0
    assert results[f"{task}_none"]["valid_markup" if kind == "grounded" else "n_yes_no"] > 0


@pytest.mark.parametrize("kind, task", [("grounded", "report"), ("vqa", "vqa")])
def test_no_word_of_the_answer_is_in_the_prompt(build, kind, task):
    evaluator = build(kind, task)[f"{task}_none"]
    list(evaluator.run(answers(evaluator.data)))
    for i, record in enumerate(evaluator.records):
        assert f"{i}?" in record["prompt"]
        assert f"Sentence{i}" not in record["prompt"] and f"reply{i}" not in record["prompt"]
        assert "<loc" not in record["prompt"]


def test_page_of_evaluators_that_ran_shows_their_samples(build, tmp_path):
    evals = build("grounded", "report")
    data = next(iter(evals.values())).data
    results = {n: dict(e.run(answers(data))) for n, e in evals.items()}
    sections = page_sections.sections_of(build.specs, results, {}, tmp_path)
    page = html_page.parse(page_sections.scores(sections) + page_sections.galleries(sections))
    pictures = [stage.all("img") for stage in page.all("div", "stage")]
    assert len(page.all("article")) == len(pictures) == 6 and all(pictures)
    assert ["G-IoU", "1.000", "0.000"] in [row[:3] for row in page.cells()]


def test_images_are_kept_of_what_is_shown_and_of_real_images_alone(build, tmp_path):
    evals = build("grounded", "report")
    for name, evaluator in evals.items():
        list(evaluator.run(answers(evaluator.data)))
        records, pixels = sample_files.read(tmp_path, name)
        assert len(records) == 6
        assert sorted(pixels) == (list(range(6)) if name == "report_none" else [])
    shown = draw.seen(evals["report_none"].image(2), "CT")
    np.testing.assert_array_equal(sample_files.read(tmp_path, "report_none")[1][2], shown)


def test_metrics_of_samples_files_carry_the_image_shown(build):
    evaluator = build("vqa", "vqa")["vqa_shuffled"]
    list(evaluator.run(answers(evaluator.data)))
    patients = {f"s{i}": f"p{i % 3}" for i in range(6)}
    assert all(patients[r["id"]] != patients[r["image_id"]] for r in evaluator.records)
