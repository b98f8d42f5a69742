"""Tests that masks are scored, written to files and drawn from the same arrays."""

import json

import numpy as np
import pytest

from big_rad.evaluators import data as eval_data
from big_rad.evaluators import grounded, vqa
from big_rad.grounding import masks
from big_rad.pages import sections as page_sections
from tests.helpers import answered as shared
from tests.helpers import html_page

REFERENCES = ["The <seg>liver</seg> and the <seg>spleen</seg>.", "No <seg>aorta</seg>.", "Normal."]
ANSWERS = ["The <seg>spleen</seg>, <seg>liver</seg>.", "No <seg>aorta</seg>.", "A <seg>rib</seg>."]
CLASSES = [[5, 1], [52], []]
SEGMAP = np.zeros((8, 8), np.uint8)
SEGMAP[:, :4], SEGMAP[:4, 6:], SEGMAP[6:, 6:] = 5, 1, 52


def answering_with_masks():
    """Returns a function that answers from a table with masks, of which one is too large."""
    answers = shared.Model(ANSWERS)

    def generate(params, batch, **kw):
        out = answers(params, batch, **kw)
        made = np.zeros((len(batch["text"]), 3, 8, 8), bool)
        made[0, 0], made[0, 1] = SEGMAP == 1, SEGMAP > 0  # The spleen is right, the liver too big.
        return out | {"masks": made, "num_masks": np.array([2, 1, 1, 0])[: len(made)]}

    return generate


@pytest.fixture
def made(tmp_path):
    def preprocess(example):
        k = int(example["id"].split("-")[1])
        out = shared.preprocess(example)
        return out | {"segmap": SEGMAP, "mask_classes": CLASSES[k]}

    data = eval_data.EvalData(shared.Source(REFERENCES, task="report"), preprocess)
    evaluator = grounded.Evaluator(
        {"generate": answering_with_masks()}, data, name="test", tokenizer=shared.tiny(),
        samples_dir=tmp_path, batch_size=4, max_new_tokens=48, codec=shared.CODEC,
    )  # fmt: skip
    return evaluator, dict(evaluator.run({})), tmp_path


def test_masks_are_scored_by_phrase(made):
    _, metrics, _ = made
    liver = 32 / (SEGMAP > 0).sum()
    assert metrics["g_iou"] == pytest.approx(((1 + liver) / 2 + 0) / 2)
    assert metrics["mean_iou_spleen"] == 1
    assert metrics["mean_iou_liver"] == pytest.approx(liver)
    assert metrics["mean_iou_aorta"] == 0
    spleen, too_much = made[0].records[0]["boxes"]["prediction"]
    assert spleen["iou"] == 1 and too_much["iou"] == pytest.approx(liver, abs=1e-5)
    assert [e["iou"] for e in made[0].records[0]["boxes"]["reference"]] == [too_much["iou"], 1]
    # The reference of this sample has no entity to match.
    assert "iou" not in made[0].records[2]["boxes"]["prediction"][0]
    assert metrics["blank_masks"] == pytest.approx(2 / 4)  # The masks of aorta and rib are blank.
    assert metrics["hallucination_rate"] == 1


def test_the_samples_file_holds_the_masks_and_the_classes_of_the_lexicon(made):
    evaluator, _, folder = made
    lines = [json.loads(x) for x in (folder / "test.jsonl").read_text().splitlines()]
    assert lines == json.loads(json.dumps(evaluator.records))
    spleen, liver = lines[0]["boxes"]["prediction"]
    assert (spleen["class_name"], liver["class_name"]) == ("spleen", "liver")
    np.testing.assert_array_equal(masks.from_runs(spleen["mask"]), SEGMAP == 1)
    assert spleen["box_pixels"] == [6, 0, 8, 4]
    (aorta,) = lines[1]["boxes"]["prediction"]
    assert aorta["mask"] is None and aorta["box_pixels"] is None
    (aorta,) = lines[1]["boxes"]["reference"]
    np.testing.assert_array_equal(masks.from_runs(aorta["mask"]), SEGMAP == 52)


def test_the_page_draws_masks_in_place_of_rectangles(made):
    evaluator, metrics, folder = made
    spec = {"test": dict(type="grounded")}
    sections = page_sections.sections_of(spec, {"test": metrics}, {}, folder)
    page = html_page.parse(page_sections.scores(sections) + page_sections.galleries(sections))
    assert not page.all("rect")
    drawn = {path.get("d") for path in page.all("path", "in")}
    # The masks of the reference, with one rectangle for each line of pixels.
    liver = "".join(f"M0 {y}h4v1h-4z" for y in range(8))
    spleen = "".join(f"M6 {y}h2v1h-2z" for y in range(4))
    assert {liver, spleen} <= drawn
    assert {"blank masks", "mean Dice of matched masks"} <= {row[0] for row in page.cells()}
    (by_class,) = [d for d in page.all("details") if d.one("summary").words == "By class (3)"]
    assert ["spleen", "1", "1", "1", "1.000"] in [row[:5] for row in by_class.cells()]
    assert "rib" not in by_class.words  # It is not a class of the table.


def test_a_text_without_masks_in_the_data_and_questions_need_none(tmp_path):
    def plain(example):  # Without masks, as after ground('boxes') or without a label map.
        return shared.preprocess(example)

    data = eval_data.EvalData(shared.Source(REFERENCES, task="report"), plain)
    options = dict(tokenizer=shared.tiny(), batch_size=4, max_new_tokens=48, codec=shared.CODEC)
    asked = []

    def fns():
        answers = shared.Model(ANSWERS)

        def generate(params, batch, *, masks=True, **kw):
            asked.append(masks)
            made = np.ones((4, 3, 8, 8), bool), np.array([2, 1, 1, 0])
            return answers(params, batch, **kw) | (
                dict(zip(("masks", "num_masks"), made)) if masks else {}
            )

        return {"generate": generate}

    metrics = dict(grounded.Evaluator(fns(), data, name="plain", **options).run({}))
    assert metrics["mean_iou"] == 0 and metrics["matched_liver"] == 1
    one = vqa.Evaluator(fns(), data, name="vqa", samples_dir=tmp_path, **options)
    assert "f1" in dict(one.run({})) and "mask" not in one.records[0]["boxes"]["prediction"][0]
    assert asked == [True, False]


def test_references_with_boxes_for_a_model_with_masks_are_an_error():
    box = "The <p bbox=<loc0000><loc0000><loc0100><loc0100> id=<seg005>>liver</p>."
    data = eval_data.EvalData(shared.Source([box] * 3, task="report"), shared.preprocess)
    other = grounded.Evaluator(
        {"generate": answering_with_masks()}, data, name="mixed", tokenizer=shared.tiny(),
        batch_size=4, max_new_tokens=48, codec=shared.CODEC,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"config.evals.mixed.pp .* give it ground\('masks'\)"):
        dict(other.run({}))


def test_run_lengths_give_the_mask_back():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (5, 3), (8, 8)):
        for mask in (rng.random(shape) < 0.5, np.zeros(shape, bool), np.ones(shape, bool)):
            runs = masks.to_runs(mask)
            assert sum(runs["counts"]) == mask.size
            np.testing.assert_array_equal(masks.from_runs(json.loads(json.dumps(runs))), mask)
    # As COCO writes it: column by column, zeros first.
    assert masks.to_runs(np.array([[0, 1], [1, 1]], bool))["counts"] == [1, 3]
