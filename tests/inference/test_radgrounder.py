"""RadGrounder: the prompts that it gives to a model, and the predictions from its answers."""

import json
import logging
import math
import shutil

import jax
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from big_rad import predict
from big_rad.dicom import read as dicom_read
from big_rad.inference import answer as answer_lib
from big_rad.inference import load as load_lib
from big_rad.inference import predictions
from big_rad.pp import tokenizer as tokenizers
from big_rad.workdir import checkpoint
from tests.helpers import foreign, radgrounders
from tests.helpers.radgrounders import (
    CONFIG,
    MASKS_CONFIG,
    SIZE,
    always,
    build,
    fixed,
    grey,
    init_params,
    make_model,
    prompt_of,
    rectangle,
    with_masks,
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return radgrounders.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def model(run_dir):
    return predict.RadGrounder.load(run_dir)


def test_boxes_land_in_pixels_of_the_original_image():
    # Bins of 512, x first: 128 -> 1/4, 64 -> 1/8, 256 -> 1/2, 512 would be the edge.
    text = "The <p bbox=<loc0128><loc0064><loc0256><loc0512> id=<seg005>>liver</p>."
    result = fixed(text).report(grey(100, 200))
    (entity,) = result.entities
    assert entity.box == pytest.approx((50, 12.5, 100, 100))
    assert (entity.phrase, entity.class_id, entity.class_name) == ("liver", 5, "liver")
    assert result.text == "The liver."


def test_unreadable_box_keeps_the_words_and_unknown_class_has_no_name():
    result = fixed("A <p bbox=<loc0200><loc0200><loc0100><loc0100> id=<seg000>>x</p>").report(
        grey(50, 50)
    )
    (entity,) = result.entities
    assert entity.box is None and entity.class_id == 0 and entity.class_name == ""
    assert result.text == "A x"


def test_the_answer_score_is_that_of_the_whole_answer():
    box = "<p bbox=<loc0128><loc0064><loc0256><loc0512> id=<seg005>>{}</p>"
    for text in ("nothing", box.format("liver"), box.format("liver") + box.format("spleen")):
        result = fixed(text).report(grey(20, 30))
        tokens = tokenizers.load("tiny").encode(text, eos=True, specials=True)
        assert result.tokens == len(tokens)
        assert result.answer_score == pytest.approx(0.5)
        assert result.logprob == pytest.approx(len(tokens) * math.log(0.5))
        plain = predictions.to_json(result, grey(20, 30))
        assert plain["answer_score"] == 0.5 and plain["tokens"] == len(tokens)
        assert plain["confidence"]["value"] == 0.5
        assert plain["confidence"]["status"] == "uncalibrated"


def test_answers_about_several_organs_have_one_score_over_all_their_tokens():
    answers = iter([("liver", 0.9), ("no", 0.25), ("the spleen is here", 0.5)])
    made = []

    def answer_batch(params, batch, *, max_new_tokens):
        text, each = next(answers)
        out = always(text)(params, batch, max_new_tokens=max_new_tokens)
        count = int(out["length"][0]) + 1
        made.append((count, each))
        return out | {"logprob": np.array([count * math.log(each)])}

    model = build(None, {}, tokenizers.load("tiny"), generate_fn=answer_batch)
    result = model.detect(grey(64, 64), ["liver", "kidney_left", "spleen"])
    assert len(made) == 3
    assert result.tokens == sum(n for n, _ in made)
    want = math.prod(each**n for n, each in made) ** (1 / result.tokens)
    assert result.answer_score == pytest.approx(want)


def test_prompts_are_those_of_training():
    batches = []
    model = fixed("yes", batches)
    image = grey(40, 40)
    model.report(image, clinical="Pain.", question="Cyst?")
    model.report(image, lang="de", ground="none")
    model.answer(image, "Which organ?", choices=["liver", "spleen"])
    model.detect(image, "Where is the liver?")
    assert [prompt_of(b) for b in batches] == [
        "\nClinical information: Pain.\nQuestion: Cyst?\n"
        "Caption this image and detect keywords: \n",
        "\n\nBeschreibe dieses Bild: \n",
        "\nWhich organ?\nliver\nspleen\nAnswer: \n",
        "\nWhere is the liver? \n",
    ]


def test_prompts_are_padded_to_few_lengths():
    batches = []
    model = fixed("yes", batches)
    for n in range(1, 60):
        model.answer(grey(30, 30), "why " * n)
    lengths = {b["text"].shape for b in batches}
    assert len(lengths) <= 4
    assert all(b["image"].shape == (1, SIZE, SIZE, 3) for b in batches)


def test_organs_are_asked_for_one_by_one_in_the_language():
    batches = []
    text = "<p bbox=<loc0000><loc0000><loc0256><loc0256> id=<seg005>>liver</p>"
    result = fixed(text, batches).detect(grey(64, 64), ["Leber", "spleen"], lang="en")
    assert len(result.entities) == len(batches) == 2
    assert "liver" in prompt_of(batches[0]) and "spleen" in prompt_of(batches[1])
    assert result.warnings == ("asked for spleen, and the answer marks liver",)


@pytest.mark.parametrize(
    "names, meant",
    [
        (["kidneys"], ["kidney_right", "kidney_left"]),
        (["Nieren"], ["kidney_right", "kidney_left"]),
        (["lungs", "left lung", "Milz"], ["lung_left", "lung_right", "spleen"]),
        (["linke Niere"], ["kidney_left"]),
    ],
)
def test_a_name_of_several_organs_asks_for_each_once(names, meant):
    assert [c.name for c in predict.organs(names)] == meant
    batches = []
    fixed("None.", batches).detect(grey(64, 64), names)
    asked = [predict.detect_question(c.en) for c in predict.organs(names)]
    assert [q in prompt_of(b) for q, b in zip(asked, batches, strict=True)] == [True] * len(meant)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.answer(grey(9, 9), " "),
        lambda m: m.detect(grey(9, 9), []),
        lambda m: m.detect(grey(9, 9), ""),
        lambda m: m.report(grey(9, 9), lang="fr"),
        lambda m: m.report(grey(9, 9), ground="masks"),
    ],
)
def test_wrong_requests_are_value_errors(call):
    with pytest.raises(ValueError):
        call(fixed("yes"))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_loaded_model_writes_valid_predictions(model, name):
    path = get_testdata_file(name)
    image = dicom_read.read(path)
    result = model.report(path, max_new_tokens=8)
    assert math.isfinite(result.logprob) and isinstance(result.text, str)
    plain = predictions.to_json(result, image, file="x")
    json.dumps(plain, allow_nan=False)
    assert plain["modality"] == name[:2]
    assert (plain["height"], plain["width"]) == image.pixels.shape


@pytest.mark.parametrize("where", ["", "checkpoints", "checkpoints/3"])
def test_load_takes_a_run_its_checkpoints_or_one_step(run_dir, where, model):
    other = predict.RadGrounder.load(run_dir / where)
    image = grey(60, 60)
    assert other.report(image, max_new_tokens=4) == model.report(image, max_new_tokens=4)


def test_loading_logs_nothing_and_leaves_the_users_log_alone(run_dir, caplog):
    logger = logging.getLogger("absl")
    before = (logger.level, list(logger.filters), list(logger.handlers), logger.disabled)
    with caplog.at_level(logging.INFO):
        predict.RadGrounder.load(run_dir)
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert before == (logger.level, list(logger.filters), list(logger.handlers), logger.disabled)
    logger.warning("of the user's own program")
    assert caplog.messages[-1] == "of the user's own program"


def test_tokenizer_of_the_run_directory_comes_first(run_dir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    (copy / "tokenizer.model").write_bytes(tokenizers.load("tiny").model)
    loaded = predict.RadGrounder.load(copy)
    assert loaded.tokenizer.source == str(copy / "tokenizer.model")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("tokenizer", "0" * 64, "tokenizer.model"), ("classes", ["spleen"], "its classes differ")],
)
def test_a_checkpoint_of_another_tokenizer_or_class_table_is_refused(
    run_dir, tmp_path, field, value, said
):
    params, meta = checkpoint.load_params(run_dir)
    radgrounders.save(tmp_path, params, {**meta, field: value})
    with pytest.raises(predict.CheckpointError, match=said):
        predict.RadGrounder.load(tmp_path)


def test_repeated_calls_do_not_compile_again(model, caplog):
    def compilations(max_new_tokens):
        caplog.clear()
        with jax.log_compiles():
            model.report(grey(61, 80), max_new_tokens=max_new_tokens)
        return sum("ompil" in r.getMessage() for r in caplog.records)

    compilations(4)
    assert compilations(4) == compilations(5) == 0
    assert compilations(65) > 0  # So the test would see a compilation.


def test_masks_come_at_the_size_of_the_original_tied_to_their_phrases_in_order():
    batches = []
    text = "The <seg>liver</seg>, the <seg>Milz</seg> and <seg>something</seg>."
    logits = [rectangle(7, 14, 14, 28), rectangle(0, 28, 0, 7), np.full((SIZE, SIZE), -2.0)]
    result = with_masks(text, logits, batches).report(grey(56, 84))
    assert prompt_of(batches[0]) == "\n\nCaption this image and segment keywords: \n"
    assert result.text == "The liver, the Milz and something."
    liver, spleen, other = result.entities
    assert [e.class_name for e in result.entities] == ["liver", "spleen", ""]
    assert all(e.mask.shape == (56, 84) and e.mask.dtype == bool for e in result.entities)
    for entity, (x1, y1, x2, y2) in ((liver, (42, 14, 84, 28)), (spleen, (0, 0, 21, 56))):
        want = np.zeros((56, 84), bool)
        want[y1:y2, x1:x2] = True
        # On the edge the resized logit is 0, so a pixel there may fall on either side.
        assert (entity.mask != want).mean() < 0.03
        assert np.abs(np.subtract(entity.box, (x1, y1, x2, y2))).max() <= 1
    assert not other.mask.any() and other.box is None and other.phrase == "something"


def test_a_model_whose_tokenizer_has_boxes_only_writes_without_masks():
    tokenizer = tokenizers.load("tiny", sets=("detection",))
    assert "</seg>" not in tokenizer.markup
    without = make_model(CONFIG, tokenizer.padded_vocab_size)
    params = init_params(without)
    model = build(without, params, tokenizer)
    assert model.pointing == "boxes"
    assert math.isfinite(model.report(grey(30, 40), max_new_tokens=2).logprob)
    with pytest.raises(ValueError, match='config.tokenizer.sets "segmentation"'):
        build(make_model(MASKS_CONFIG, tokenizer.padded_vocab_size), params, tokenizer)


def test_logits_are_resized_before_the_threshold():
    # The logit is 0 at 9.75 cells from the left.
    ramp = np.broadcast_to(np.arange(SIZE) - 9.25, (SIZE, SIZE))
    (entity,) = with_masks("<seg>liver</seg>", [ramp]).report(grey(100, 280)).entities
    assert (entity.mask == (np.arange(280) + 0.5 > 97.5)).all()


def test_phrases_beyond_the_masks_that_are_made_have_none():
    result = with_masks("<seg>liver</seg>, <seg>spleen</seg>", [rectangle(0, 9, 0, 9)]).detect(
        grey(28, 28), "Where?"
    )
    assert result.entities[0].mask.sum() == 81
    assert result.entities[1].mask is None and result.entities[1].box is None
    assert result.entities[1].class_name == "spleen"


def test_a_model_points_in_one_way_or_not_at_all():
    model = with_masks("The <seg>liver</seg>.", [rectangle(0, 9, 0, 9)])
    assert model.report(grey(9, 9), ground="none").entities == ()
    assert len(model.report(grey(9, 9), ground="masks").entities) == 1
    with pytest.raises(ValueError, match='this model knows "masks" and "none"'):
        model.report(grey(9, 9), ground="boxes")
    with pytest.raises(ValueError, match='this model knows "boxes" and "none"'):
        fixed("yes").report(grey(9, 9), ground="masks")


def test_a_checkpoint_with_a_mask_decoder_loads_and_points_with_masks(tmp_path):
    radgrounders.write_run(tmp_path, MASKS_CONFIG)
    assert predict.RadGrounder.load(tmp_path).pointing == "masks"
    # The masks of the loaded model, with a text that has two `</seg>` tokens.
    loaded = load_lib.load(tmp_path, dtype=None)
    own = answer_lib.make_answer_batch(loaded.model, loaded.tokenizer, loaded.never)
    write, kept = always("<seg>liver</seg>, <seg>spleen</seg>"), []

    def answer_batch(params, batch, *, max_new_tokens, **options):
        out = own(params, batch, max_new_tokens=max_new_tokens, **options)
        assert out["mask_logits"].shape == (1, 16, SIZE, SIZE)
        out["num_masks"] = np.array([2])
        kept.append(out["mask_logits"][0])
        return out | write(params, batch, max_new_tokens=max_new_tokens)

    model = build(loaded.model, loaded.params, loaded.tokenizer, generate_fn=answer_batch)
    entities = model.report(grey(SIZE, SIZE), max_new_tokens=16).entities
    assert [e.class_name for e in entities] == ["liver", "spleen"]
    for k, entity in enumerate(entities):
        np.testing.assert_array_equal(entity.mask, kept[0][k] > 0)


def test_several_organs_asked_together_get_the_answers_they_get_alone(model):
    image, organs = grey(SIZE, SIZE), ["liver", "spleen", "left kidney"]
    together = model.detect(image, organs, max_new_tokens=12)
    alone = [model.detect(image, predict.detect_question(n), max_new_tokens=12) for n in organs]
    assert together.raw == "; ".join(p.raw for p in alone)
    assert together.logprob == pytest.approx(sum(p.logprob for p in alone), abs=1e-3)
    assert together.text == "; ".join(p.text for p in alone)


def test_a_report_without_grounding_has_no_boxes_even_if_the_model_writes_some():
    boxed = "The <p bbox=<loc0100><loc0100><loc0200><loc0200> id=<seg005>>liver</p>."
    result = fixed(boxed).report(grey(50, 50), ground="none")
    assert result.text == "The liver." and result.entities == ()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.report(grey(9, 9), clinical="pain " * 300, question="Liver?"), "tokens"),
        (lambda m: m.detect(grey(9, 9), ["pacemaker"]), "'pacemaker' is none of the 121"),
        (lambda m: m.detect(grey(9, 9), [""]), "is none of the 121"),
        (lambda m: m.answer(grey(9, 9), "Is it?", choices="yes"), "one string"),
        (lambda m: m.report(grey(9, 9), max_new_tokens=-3), "positive"),
    ],
)
def test_requests_that_would_be_answered_wrongly_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(fixed("no matter"))


def test_answers_do_not_depend_on_how_a_table_is_padded(tmp_path):
    results = []
    for height in (3152, 3199):
        model = predict.RadGrounder.load(foreign.write_hf(tmp_path / str(height), height, ()))
        results.append(model.answer(grey(40, 40), "Is the liver enlarged?", max_new_tokens=8))
        assert model.pointing == "none"
    assert results[0] == results[1]
    assert math.isfinite(results[0].logprob)
