"""The mixture of the published recipe, on data in the published format.

For each sentence, one of its images is drawn. If the image has boxes, and keywords in both
languages, the text is a grounded report; otherwise it is a report or a question. The language, the
context and the question are drawn too.
"""

import collections
import re

import numpy as np
import pytest

from big_rad.datasets.refrad2d import load
from big_rad.pp.builder import get_preprocess_fn
from configs import radgrounder_det
from tests.helpers.refrad2d_records import match

DRAWS = 100
PLAIN = {"en": "Caption this image:", "de": "Beschreibe dieses Bild:"}
GROUNDED = {
    "en": "Caption this image and detect keywords:",
    "de": "Beschreibe dieses Bild und detektiere Schlüsselwörter:",
}
ANSWER = {"en": "Answer:", "de": "Antwort:"}


@pytest.fixture(scope="module")
def drawn(written, built):
    """[(image as written, text as drawn)], with many draws of each training sentence."""
    pp = "view('random')|prompt('report,vqa', ground_share=1.0)|ground('boxes')"
    preprocess = get_preprocess_fn(pp, text_only=True)
    examples = list(load("train", built[0]))
    out = []
    for n, item in enumerate(i for i in written[1] if i["split"] == "train"):
        example = match(examples, item)
        by_id = {image["id"]: image for image in item["images"]}
        for k in range(DRAWS):
            made = preprocess(example | {"rng": np.random.default_rng((n, k))})
            (text,) = made["texts"]
            out.append((by_id[made.get("image_id", item["images"][0]["id"])], text))
    return out


def has_boxes(image):
    entry = image["entry"]
    return bool(entry and entry["keywords_eng"] and entry["keywords_de"])


def test_every_image_of_a_sentence_is_drawn(written, drawn):
    counts = collections.Counter(image["id"] for image, _ in drawn)
    for item in (i for i in written[1] if i["split"] == "train"):
        for image in item["images"]:
            share = counts[image["id"]] / DRAWS
            assert abs(share - 1 / len(item["images"])) < 0.25


def test_images_with_boxes_and_keywords_in_both_languages_are_always_grounded(drawn):
    mine = [(image, text) for image, text in drawn if has_boxes(image)]
    assert len({image["id"] for image, _ in mine}) >= 4
    for image, text in mine:
        assert text["task"] == "report" and text["prefix"].endswith(f"{GROUNDED[text['lang']]} \n")
        keyword, _, class_id = image["entry"][
            "keywords_eng" if text["lang"] == "en" else "keywords_de"
        ][0]
        x1, y1, x2, y2 = next(b[:4] for b in image["entry"]["bboxes"] if b[4] == class_id)
        height, width = image["image"].shape
        bins = [int(v * 512) for v in (x1 / width, y1 / height, x2 / width, y2 / height)]
        loc = "".join(f"<loc{min(v, 511):04d}>" for v in bins)
        assert f"<p bbox={loc} id=<seg{class_id:03d}>>{keyword}</p>" in text["suffix"]
        plain = re.sub(r"<p bbox=.*?>>|</p>", "", text["suffix"])
        column = {"en": "english", "de": "german"}[text["lang"]]
        assert plain == image["row"][column]["CleanedSentence"]


def test_others_give_a_plain_report_or_a_question_equally_often(drawn):
    mine = [text for image, text in drawn if not has_boxes(image)]
    for text in mine:
        line = PLAIN if text["task"] == "report" else ANSWER
        assert text["prefix"].endswith(f"\n{line[text['lang']]} \n")
        assert "<loc" not in text["suffix"]
    tasks = collections.Counter(text["task"] for text in mine)
    assert set(tasks) == {"report", "vqa"}
    assert abs(tasks["vqa"] / len(mine) - 0.5) < 0.08


def test_languages_are_equally_frequent(drawn):
    for grounded in (True, False):
        langs = [text["lang"] for image, text in drawn if has_boxes(image) == grounded]
        assert abs(langs.count("de") / len(langs) - 0.5) < 0.1


def test_prefixes_are_none_clinical_question_or_both(drawn):
    names = {"en": ("Clinical information: ", "Question: "),
             "de": ("Klinische angaben: ", "Fragestellung: ")}  # fmt: skip
    seen = collections.Counter()
    for image, text in drawn:
        row = image["row"][{"en": "english", "de": "german"}[text["lang"]]]
        if text["task"] != "report" or not row["ReportKlinischeAngabenCleaned"]:
            continue
        clinical, question = (
            name + row[field]
            for name, field in zip(
                names[text["lang"]],
                ("ReportKlinischeAngabenCleaned", "ReportFragestellungCleaned"),
            )
        )
        styles = {
            "": "none", clinical: "clinical", question: "question",
            f"{clinical}\n{question}": "both",
        }  # fmt: skip
        seen[styles[text["context"]]] += 1
    assert set(seen) == {"none", "clinical", "question", "both"}
    assert min(seen.values()) > sum(seen.values()) / 6


def test_questions_with_choices_list_them_before_the_answer_line(drawn):
    asked = [text for _, text in drawn if text["task"] == "vqa" and text["choices"]]
    assert asked
    for text in asked:
        choices = "\n".join(text["choices"])
        assert text["prefix"] == f"\n{text['question']}\n{choices}\n{ANSWER[text['lang']]} \n"


@pytest.mark.parametrize("released", [True, False])
def test_evaluation_writes_and_reads_boxes_with_the_codec_of_training(released):
    config = radgrounder_det.get_config(f"variant=tiny,size=28,released={released}")
    ground = re.search(r"ground\('boxes'[^)]*\)", config.input.refrad2d.pp)[0]
    for lang in ("en", "de"):
        spec = config.evals[f"refrad2d_{lang}"]
        assert spec.codec.to_dict() == config.codec.to_dict()
        assert ground in spec.pp and f"grid={224 if released else None}" in ground
