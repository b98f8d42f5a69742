import json
import math

import numpy as np
import pytest

from big_rad import evaluators
from big_rad.evaluators import base, grounded, vqa
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.grounding import classes
from big_rad.grounding import codec as codecs
from tests.helpers.answered import CODEC, Model, Source, preprocess, tiny

ANSWERS = ["yes", "no", "left kidney", "spleen", "axial", "two", "no", "yes", "liver", "coronal"]


def evaluator(kind, references, answers, tmp_path=None, **options):
    data = eval_data.EvalData(Source(references), preprocess)
    model = Model(answers)
    made = kind.Evaluator(
        {"generate": model},
        data,
        name="test",
        tokenizer=tiny(),
        samples_dir=tmp_path,
        **{"batch_size": 4, "max_new_tokens": 48, "codec": CODEC, **options},
    )
    return made, model


def box(class_id, phrase, corners):
    return f"<p bbox={codecs.get_codec(CODEC).encode(corners)} id=<seg{class_id:03d}>>{phrase}</p>"


@pytest.mark.parametrize("patients", [["a", "b"], list("aabbbc"), list("abcdefg") * 3])
def test_shuffled_never_gives_the_same_patient_and_is_deterministic(patients):
    donors = eval_data.shuffled_indices(patients)
    assert all(patients[i] != patients[d] for i, d in enumerate(donors))
    assert (donors == eval_data.shuffled_indices(patients)).all()


def test_shuffled_gives_each_patient_one_other_and_leaves_none_out():
    patients = list("abcdefgh")
    assert sorted(eval_data.shuffled_indices(patients)) == list(range(8))


def test_shuffled_needs_two_patients():
    with pytest.raises(ValueError, match="two patients"):
        eval_data.shuffled_indices(["a", "a"])


def test_shuffled_images_are_of_other_patients_and_prompts_stay():
    data = eval_data.EvalData(Source(ANSWERS), preprocess)
    view = eval_data.View(data, "shuffled")
    for i in range(len(data)):
        assert view[i]["image"].max() != data[i]["image"].max()
        assert (view[i]["text"] == data[i]["text"]).all()


def test_blank_images_are_constant_at_the_lowest_value():
    view = eval_data.View(eval_data.EvalData(Source(ANSWERS), preprocess), "blank")
    assert all((view[i]["image"] == -1).all() for i in range(len(view)))


def test_unknown_control_names_the_known_ones():
    with pytest.raises(ValueError, match="shuffled"):
        evaluator(vqa, ANSWERS, ANSWERS, control="noise")


def test_padding_examples_are_not_scored_and_batches_keep_their_shape():
    made, model = evaluator(vqa, ANSWERS, ANSWERS)
    metrics = dict(made.run({}))
    assert metrics["n"] == len(made.records) == 10
    assert {b["text"].shape for b in model.batches} == {(4, 33)}
    assert metrics["accuracy"] == metrics["f1"] == metrics["recall"] == 1.0


def test_vqa_groups_by_the_dataset_field_and_counts():
    answers = ["no"] + ANSWERS[1:]  # One yes/no answer is wrong.
    made, _ = evaluator(vqa, ANSWERS, answers)
    metrics = dict(made.run({}))
    assert metrics["accuracy"] == pytest.approx(0.9)
    assert metrics["accuracy_yes_no"] == pytest.approx(0.75)
    counts = {k: metrics[f"n_{k}"] for k in ("yes_no", "multiple", "closed", "open")}
    assert counts == {"yes_no": 4, "multiple": 1, "closed": 2, "open": 3}
    assert metrics["n_de"] + metrics["n_en"] == 10
    assert metrics["n_CT"] + metrics["n_MR"] == 10


@pytest.mark.parametrize("control", eval_data.CONTROLS)
def test_sample_scores_average_to_the_yielded_values(control, tmp_path):
    made, _ = evaluator(vqa, ANSWERS, ANSWERS[::-1], tmp_path, control=control)
    metrics = dict(made.run({}))
    records, _ = sample_files.read(tmp_path, "test")
    assert len(records) == 10
    for name in ("f1", "recall", "accuracy"):
        assert base.mean([r["scores"][name] for r in records]) == pytest.approx(metrics[name])


def test_grounded_samples_average_to_the_yielded_values_and_hold_pixel_boxes(tmp_path):
    liver, spleen = box(5, "liver", (0.25, 0.25, 0.5, 0.75)), box(1, "spleen", (0, 0, 0.5, 0.5))
    references = [f"The {liver}.", f"A {spleen}.", "Nothing.", "Nothing.", f"{liver}"] * 2
    answers = [f"The {liver}.", f"A {liver}.", f"A {spleen}.", "Nothing.", "The <p bbox="] * 2
    made, _ = evaluator(grounded, references, answers, tmp_path)
    metrics = dict(made.run({}))
    records, _ = sample_files.read(tmp_path, "test")
    for name in ("g_iou", "report_f1", "hallucination_rate", "valid_markup"):
        expected = base.mean([r["scores"][name] for r in records])
        assert metrics[name] == pytest.approx(expected), name
    assert metrics["g_iou"] == pytest.approx(1 / 3)
    assert metrics["hallucination_rate"] == 0.5
    (entity,) = records[0]["boxes"]["prediction"]
    assert entity["class_name"] == "liver"
    assert entity["box"] == pytest.approx([0.25, 0.25, 0.5, 0.75], abs=1e-4)
    # The image of the model has 8 x 8 pixels.
    assert entity["box_pixels"] == pytest.approx([2, 2, 4, 6], abs=1e-2)
    a, b = entity["span"]
    assert records[0]["prediction_text"][a:b] == "liver"
    assert records[0]["reference_text"] == "The liver."


def test_a_side_that_is_wrong_is_seen_in_word_and_place():
    left, right = (classes.by_name(f"kidney_{side}").id for side in ("left", "right"))
    on_the_right, on_the_left = (0.6, 0.2, 0.9, 0.5), (0.1, 0.2, 0.4, 0.5)
    reference = f"The {box(left, 'left kidney', on_the_right)} is small."
    wrong = f"The {box(right, 'right kidney', on_the_right)} is small."
    other = f"The {box(left, 'left kidney', on_the_left)} is small."
    rest = ["Nothing."] * 7
    answers = [reference, wrong, other, *rest]
    made, _ = evaluator(grounded, [reference] * 3 + rest, answers, max_new_tokens=64)
    metrics = dict(made.run({}))
    want = {"entity": 1 / 3, "box": 2 / 3, "text": 1 / 3}
    assert {k: metrics[f"laterality_{k}"] for k in want} == pytest.approx(want)
    for name in want:
        each = [r["scores"][f"laterality_{name}"] for r in made.records]
        assert metrics[f"laterality_{name}"] == base.mean(each) and each[3:] == [None] * 7


def test_captions_are_scored_where_they_are_asked_for():
    texts = [f"The liver has a lesion of {i} cm." for i in range(10)]
    plain, _ = evaluator(grounded, texts, texts)
    made, _ = evaluator(grounded, texts, [*texts[:5], *["Normal spleen."] * 5], captions=True)
    metrics = dict(made.run({}))
    assert not [n for n in dict(plain.run({})) if "cider" in n]
    for name in ("report_cider", "report_cider_normalized", "report_rouge_l"):
        each = [r["scores"][name] for r in made.records]
        assert min(each[:5]) > 0.99 and max(each[5:]) < 0.2
        assert metrics[name] == pytest.approx(base.mean(each))
    assert 0 < metrics["report_bleu4"] < 1 and 0 < metrics["report_bleu1"] < 1


def test_a_mirrored_image_changes_left_and_right_alone():
    def sloped(example):
        return preprocess(example) | {"image": np.random.default_rng(1).random((8, 8, 3))}

    data = eval_data.EvalData(Source(ANSWERS), sloped)
    real, mirrored = eval_data.View(data), eval_data.View(data, "mirrored")
    np.testing.assert_array_equal(mirrored.image(3), real.image(3)[:, ::-1])
    assert not np.array_equal(mirrored.image(3), real.image(3))
    np.testing.assert_array_equal(mirrored[3]["text"], real[3]["text"])
    assert mirrored.shown_id(3) == real.shown_id(3)


def test_samples_file_has_strict_json_and_no_patient(tmp_path):
    made, _ = evaluator(grounded, ["Nothing."] * 10, ["Nothing."], tmp_path)
    metrics = dict(made.run({}))
    assert math.isnan(metrics["g_iou"])
    text = (tmp_path / "test.jsonl").read_text(encoding="utf-8")
    assert "patient" not in text
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))


def test_the_answer_is_not_in_the_prompt(tmp_path):
    answers = [f"unique{i}" for i in range(10)]
    made, model = evaluator(vqa, answers, answers, tmp_path)
    list(made.run({}))
    for record in made.records:
        assert record["reference"] not in record["prompt"]
        assert record["prompt"].startswith("\nQuestion")
    for batch in model.batches:
        assert set(batch) == {"image", "text", "mask_ar", "_mask"}


def test_samples_name_the_image_that_was_shown():
    real, _ = evaluator(vqa, ANSWERS, ANSWERS)
    shuffled, _ = evaluator(vqa, ANSWERS, ANSWERS, control="shuffled")
    blank, _ = evaluator(vqa, ANSWERS, ANSWERS, control="blank")
    for made in (real, shuffled, blank):
        list(made.run({}))
    assert all(r["image_id"] == r["id"] for r in real.records)
    assert all(r["image_id"] != r["id"] for r in shuffled.records)
    assert all(r["image_id"] == "" for r in blank.records)


class Shared:
    """Three questions about each image, in the form of `datasets.core.OneTextPerItem`."""

    def __init__(self, patients):
        self.patients = patients

    def __len__(self):
        return 3 * len(self.patients)

    def __getitem__(self, i):
        image = f"s{i // 3}"
        own = {"patient": self.patients[i // 3], "image_id": image, "id": f"{image}#{i % 3}"}
        return Source(ANSWERS)[i % 10] | own


@pytest.mark.parametrize(
    "patients, subjects, unnamed",
    [
        (["p1", "p2", "p1"], [0, 1, 0], 0),
        (["", "", ""], [0, 1, 2], 3),  # As in refrad2d, which names no patients.
        (["s0", "s1", "s2"], [0, 1, 2], 3),  # As in SLAKE and VQA-RAD.
        (["p", "", "p"], [0, 1, 0], 1),
        (["s0", "s0", "s2"], [0, 0, 1], 1),  # `folder` names a group after one of its images.
        (["s2", "s1", "s2"], [0, 1, 0], 1),
    ],
)
def test_samples_say_which_image_and_patient_they_share(patients, subjects, unnamed):
    data = eval_data.EvalData(Shared(patients), preprocess)
    made = vqa.Evaluator({"generate": Model(ANSWERS)}, data, name="test", tokenizer=tiny())
    list(made.run({}))
    assert [r["image"] for r in made.records] == [f"s{i}" for i in range(3) for _ in range(3)]
    assert [r["subject"] for r in made.records] == [s for s in subjects for _ in range(3)]
    assert data.unnamed() == unnamed and len(set(data.patients())) == len(set(subjects))
    donors = eval_data.shuffled_indices(data.patients())
    assert all(subjects[i // 3] != subjects[d // 3] for i, d in enumerate(donors))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_an_error(limit):
    with pytest.raises(ValueError, match=f"limit is {limit}: give a number"):
        eval_data.EvalData(Source(ANSWERS), preprocess, limit=limit)


def test_answers_that_never_end_are_counted():
    model = Model(ANSWERS)

    def endless(params, batch, *, max_new_tokens, masks=True):
        out = model(params, batch, max_new_tokens=max_new_tokens)
        out["tokens"][:] = tiny().encode("x")[-1]
        return out

    data = eval_data.EvalData(Source(ANSWERS), preprocess)
    made = vqa.Evaluator({"generate": endless}, data, name="test", tokenizer=tiny())
    assert dict(made.run({}))["unfinished"] == 1.0


def test_limit_takes_a_fixed_subset_and_keeps_order():
    one = eval_data.EvalData(Source(ANSWERS), preprocess, limit=4)
    two = eval_data.EvalData(Source(ANSWERS), preprocess, limit=4)
    ids = [one[i]["meta"]["id"] for i in range(len(one))]
    assert ids == [two[i]["meta"]["id"] for i in range(len(two))]
    assert len(set(ids)) == 4


def test_examples_are_preprocessed_once_for_several_evaluators():
    calls = []

    def counted(example):
        calls.append(example["id"])
        return preprocess(example)

    data = eval_data.EvalData(Source(ANSWERS), counted)
    for control in eval_data.CONTROLS:
        view = eval_data.View(data, control)
        [view[i] for i in range(len(view))]
    assert len(calls) == len(set(calls)) == 10


def test_several_texts_an_item_is_an_error_that_names_expand():
    source = Source(ANSWERS)
    example = source[0]
    example["texts"] *= 2
    with pytest.raises(ValueError, match="expand"):
        eval_data.EvalData([example], preprocess)[0]


def test_pp_that_drops_a_field_is_an_error_that_names_it():
    def dropping(example):
        out = preprocess(example)
        del out["reference"]
        return out

    with pytest.raises(ValueError, match="reference"):
        eval_data.EvalData(Source(ANSWERS), dropping)[0]


def test_build_refuses_unknown_types_and_fields():
    common = dict(predict_fns={}, tokenizer=None, data_dir="")
    with pytest.raises(ValueError, match="grounded, retrieval"):
        evaluators.build("x", dict(type="nope"), **common)
    with pytest.raises(ValueError, match="unknown contrl"):
        evaluators.build("x", dict(type="vqa", contrl="blank"), **common)


def test_a_queue_is_preferred_to_batches_and_gets_unpadded_prompts_one_by_one():
    data = eval_data.EvalData(Source(ANSWERS), preprocess)
    model, asked = Model(ANSWERS), []

    def queue(params, requests, *, rows, max_new_tokens):
        assert rows == 4
        for request in requests:
            asked.append(request)
            assert len(asked) <= 10 and request.text.all()
        batch = {"text": np.zeros((len(asked), 1))}
        out = model(params, batch, max_new_tokens=max_new_tokens)
        return [{k: v[i] for k, v in out.items()} for i in range(len(asked))]

    options = dict(batch_size=4, max_new_tokens=48)
    got = base.run({"queue": queue}, {}, data, tiny(), **options)
    assert got == base.run({"generate": Model(ANSWERS)}, {}, data, tiny(), **options)
    assert len(asked) == len(got) == 10
    for i, request in enumerate(asked):
        np.testing.assert_array_equal(request.image, data[i]["image"])
        np.testing.assert_array_equal(request.text, data[i]["text"][: len(request.text)])
