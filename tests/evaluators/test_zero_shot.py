"""Tests the questions to images with embeddings that are given by hand."""

import json

import numpy as np
import pytest

from big_rad.evaluators import grading, results, zero_shot
from big_rad.grounding import classes, exchanged_sides
from tests.helpers import pairs

N = 40
SIDE = 12  # The axis of the embedding that says the side.
TABLE = {  # Words of prompts -> the axis of the embedding.
    "CT": (0, ("ct ", "ct-", "computed tomography", "computertomographie")),
    "MR": (1, ("mr ", "mr-", "mri", "mrt", "magnetic resonance", "kernspin")),
    "axial": (2, ("axial",)),
    "coronal": (3, ("coronal", "koronar")),
    "liver": (4, ("liver", "leber")),
    "spleen": (5, ("spleen", "milz")),
}
DENIALS = ("not", "nicht")
TEXTS = {"en": "Cyst of the {} kidney.", "de": "Zyste der {}en Niere."}
WORDS = {"en": ("left", "right"), "de": ("link", "recht")}


def row(i, lang="en", **fields):
    """The pair i; its modality, plane, organs and side change with i."""
    organs = {v for k, v in enumerate(("liver", "spleen")) if (i >> k) % 2}
    segmap = np.zeros((4, 4), np.uint8)
    for n, v in enumerate(sorted(organs)):
        segmap[n] = classes.by_name(v).id
    text = TEXTS[lang].format(WORDS[lang][i % 2])
    return {
        "text": text, "lang": lang, "modality": ("CT", "MR")[i // 4 % 2],
        "plane": ("axial", "coronal")[i // 8 % 2], "segmap": segmap, **fields,
    }  # fmt: skip


def axes(*on):
    vector = np.full(16, 1e-3)
    vector[list(on)] = 1
    return vector


def of_text(text):
    """The embedding of a text by a model that reads all words of the table."""
    vector = np.full(16, 1e-3)
    for axis, words in TABLE.values():
        if any(w in f" {text} " for w in words):
            vector[axis] = -1 if any(w in text.split() for w in DENIALS) else 1
    for side, words in zip((1, -1), zip(*WORDS.values())):
        if any(w in text for w in words):
            vector[SIDE] = side
    return vector


def of_image(rows):
    """The embeddings of images by a model that sees everything that the rows say."""

    def embedding(i):
        if i is None:
            return axes(15)
        fields = rows[i]
        seen = {fields["modality"], fields["plane"]}
        shown = np.unique(fields["segmap"]) if "segmap" in fields else ()
        seen |= {classes.by_id(c).name for c in shown if c}
        vector = axes(*(TABLE[v][0] for v in seen if v in TABLE))
        vector[SIDE] = 1 if i % 2 == 0 else -1
        return vector

    return embedding


def constant(_):
    return axes(0)


def found(rows, image=None, text=of_text, **options):
    """Returns the evaluator after its run, and its scores."""
    functions = pairs.towers(image or of_image(rows), text)
    options = {"name": "x", "tokenizer": pairs.TOKENIZER, "batch_size": 16, **options}
    made = zero_shot.Evaluator(functions, pairs.data(rows), **options)
    return made, dict(made.run(None))


def rows(lang="en", **fields):
    return [row(i, lang, **fields) for i in range(N)]


@pytest.mark.parametrize("lang", ["en", "de"])
def test_a_perfect_model_answers_everything(lang):
    made, scores = found(rows(lang))
    assert not made.left_out
    for name in ("modality", "plane", "organ"):
        assert scores[f"auroc_{name}"] == 1
    assert scores["accuracy_modality"] == scores["accuracy_plane"] == scores["side"] == 1
    assert scores["auroc_organ_liver"] == scores["auroc_organ_spleen"] == 1
    counts = {k: v for k, v in scores.items() if k.startswith("n")}
    assert counts == {"n": N, "n_modality": N, "n_plane": N, "n_side": N, "n_organ": 2}


def test_a_constant_model_has_exactly_the_level_of_chance():
    made, scores = found(rows(), constant, constant)
    assert all(v == 0.5 for k, v in scores.items() if not k.startswith("n")
               and not k.startswith("chance_plane"))  # fmt: skip
    assert made.chances(scores)["accuracy_plane"] == 24 / 40


def test_on_blank_images_the_answers_do_not_depend_on_the_image():
    _, scores = found(rows(), control="blank")
    assert [scores[f"auroc_{x}"] for x in ("organ", "modality", "plane")] == [0.5] * 3
    assert scores["side"] == 0.5
    blind = found(rows(), constant)[1]  # It answers "CT" to every image.
    assert blind["accuracy_modality"] == 0.5 and blind["auroc_modality"] == 0.5


def test_an_image_of_another_patient_gives_no_answer_that_is_better_than_chance():
    _, scores = found(rows(), control="shuffled")
    for name in ("auroc_organ", "auroc_modality", "side"):
        assert 0.2 < scores[name] < 0.8


@pytest.mark.parametrize("lang", ["en", "de"])
def test_a_model_that_takes_each_side_for_the_other_loses_every_pair(lang):
    _, scores = found(rows(lang), text=lambda text: of_text(exchanged_sides.exchanged(text)))
    assert scores["side"] == 0 and scores["auroc_organ"] == 1


def test_only_texts_that_name_one_side_count_for_the_side():
    texts = ("Both kidneys.", "The liver.", "Left and right kidney.", "No fluid left.")
    some = [row(i, text=texts[i // 2]) if i < 8 else row(i) for i in range(N)]
    made, scores = found(some)
    assert scores["n_side"] == N - 8 and scores["side"] == 1
    assert [r["scores"]["side"] for r in made.records[:9]] == [None] * 8 + [1.0]
    long = [row(i, text="Cyst. " * 80 + "Left kidney.") for i in range(N)]
    made, scores = found(long)  # The side is cut off.
    assert "side" not in scores and "no text names" in made.left_out["side"]


def test_a_question_with_a_single_answer_is_left_out_with_its_reason(capsys):
    made, scores = found(rows(modality="CT"))
    assert not [k for k in scores if "modality" in k] and scores["auroc_plane"] == 1
    assert "are CT" in made.left_out["modality"]
    assert "x: no score of modality, all images that say it are CT" in capsys.readouterr().out
    assert all("accuracy_modality" not in r["scores"] for r in made.records)


def test_images_without_an_answer_do_not_count():
    some = rows()
    for i in range(8):
        some[i] |= {"plane": "", "modality": "OT"}
        del some[i]["segmap"]
    some[8]["unsure"] = [classes.by_name("liver").id]  # Neither shown nor known to be missing.
    made, scores = found(some)
    assert scores["n_modality"] == scores["n_plane"] == N - 8 and scores["auroc_organ"] == 1
    pairs_of_liver = [r["margins"]["organ"]["liver"][1] for r in made.records]
    assert np.isnan(pairs_of_liver[:9]).all() and not np.isnan(pairs_of_liver[9:]).any()
    for x in some:
        x.pop("segmap", None)
    made, scores = found(some)
    assert "auroc_organ" not in scores and "label map" in made.left_out["organ"]


def test_a_rare_value_has_no_auroc():
    some = rows()
    for i, x in enumerate(some):
        x["modality"] = "MR" if i < 3 else "CT"
    made, scores = found(some, fewest=4)
    assert scores["accuracy_modality"] == 1 and "auroc_modality" not in scores
    assert "at least 4" in made.left_out["modality (AUROC)"]
    assert found(some, fewest=3)[1]["auroc_modality"] == 1


def test_one_image_of_each_patient_is_asked():
    several = [x | {"patient": f"p{i // 2}"} for i, x in enumerate(rows())]
    made, scores = found(several, fewest=1)
    assert scores["n"] == N / 2 and [r["index"] for r in made.records] == list(range(0, N, 2))


def test_texts_of_several_languages_are_refused():
    mixed = [row(i, ("en", "de")[i % 2]) for i in range(N)]
    with pytest.raises(ValueError, match="config.evals.x: .* set one `lang` in `expand`"):
        found(mixed)


def test_lines_have_readable_texts_and_no_name_and_intervals_are_made_of_them(tmp_path):
    made, scores = found(rows(), samples_dir=tmp_path)
    text = (tmp_path / "x.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert "Doe" not in text and len(lines) == N
    assert lines[7]["prompt"] == "Cyst of the right kidney."
    assert lines[7]["reference"] == "MR, axial; spleen, liver; side as in the text"
    assert lines[7]["prediction"] == lines[7]["reference"]
    read = made.resampled(lines, list(range(N)), 50, 0)
    assert set(read) == {"auroc_organ", "auroc_modality", "auroc_plane"}
    assert all(x["mean"] == x["low"] == x["high"] == 1 and x["n"] == N for x in read.values())


def test_the_interval_of_an_auroc_resamples_patients():
    noise = np.random.default_rng(0).standard_normal((N, 16))
    some = rows()
    sees = of_image(some)
    made, scores = found(some, lambda i: sees(i) + noise[i])
    each = made.resampled(made.records, list(range(N)), 400, 0)["auroc_modality"]
    assert each["low"] < each["mean"] < each["high"] and each["mean"] == scores["auroc_modality"]
    # With each sample twice there is no more to be known: whole patients are drawn.
    twice = made.resampled([*made.records] * 2, [*range(N)] * 2, 400, 0)["auroc_modality"]
    assert twice["low"] == pytest.approx(each["low"]) and twice["clusters"] == N


def test_an_evaluation_has_intervals_of_means_and_of_aurocs_over_the_patients_that_were_asked():
    several = [x | {"patient": f"p{i // 2}"} for i, x in enumerate(rows())]
    made, scores = found(several, fewest=1)
    questions = results.QuestionSet({"type": "zero_shot", "builder": "b", "split": "s"}, "", "")
    result = {"key": "", "metrics": scores, "seconds": 0.0}
    bootstrap = {"by": "patient", "resamples": 20, "seed": 0}
    grades = grading.Grades({}, None)
    entry = results.entry_of(questions, made.data, made.records, result, grades, bootstrap)
    assert (entry["n"], entry["subjects"]) == (N / 2, N / 2)
    for name in ("side", "accuracy_plane", "auroc_organ"):
        assert entry["intervals"][""][name]["clusters"] == N / 2
        assert entry["intervals"][""][name]["mean"] == scores[name]


def test_sentences_that_are_true_of_either_side_can_be_left_out():
    some = rows()
    for i, x in enumerate(some):  # An odd image has a true sentence, a wrong one, and a plain one.
        side, other = ("left", "right")[:: 1 if i % 2 == 0 else -1]
        wrong = [f"Cyst of the {other} kidney."] * (i % 2)
        x["text"] = [f"Cyst of the {side} kidney.", *wrong, f"The {other} lung is normal."]
    made, scores = found(some, sentences="^(?!.*normal)")
    assert [r["scores"]["side_sentences"] for r in made.records] == [1.0, 0.5] * (N // 2)
    assert scores["side_sentences"] == 0.75 and scores["n_side_sentences"] == N
    assert "side" not in scores and "side" in made.left_out  # The whole reports name both sides.
    assert "side_sentences" in found(some, sentences="Spleen")[0].left_out
    assert "side_sentences" in made.names({"sentences": "a"}) and made.names({}).count("side") == 1
    assert "side_sentences" not in found(some)[1] and "side_sentences" not in made.names({})
    with pytest.raises(ValueError, match=r"evals.x.sentences is '\(', which is no regular"):
        found(some, sentences="(")
