import dataclasses
import json
import logging
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from big_rad import models, predict
from big_rad.dicom import read as dicom_read
from big_rad.grounding import codec as codecs
from big_rad.inference import answer as answer_lib
from big_rad.inference import predictions
from big_rad.models import paligemma
from big_rad.pp import tokenizer as tokenizers
from big_rad.workdir import checkpoint
from tests.helpers import foreign, tiny_run

SIZE = 28
CODEC = dict(name="radgrounder", grid=None)
CONFIG = dict(
    model_name="paligemma",
    model=dict(
        img=dict(variant="tiny", width=16, depth=1, mlp_dim=16, num_heads=2, patch_size=14),
        llm=dict(
            variant="tiny", width=16, depth=1, mlp_dim=16, num_heads=2, num_kv_heads=1, head_dim=8
        ),
        mask_mode="image_isolated",
    ),
    tokenizer=dict(path="tiny", sets=["detection", "segmentation"]),
    codec=CODEC,
    image=dict(size=SIZE, normalize="medgemma"),
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run directory with a checkpoint of random weights."""
    workdir = tmp_path_factory.mktemp("run")
    vocab = tokenizers.load("tiny").padded_vocab_size
    model = models.make(CONFIG["model_name"], CONFIG["model"], vocab)
    assert isinstance(model, paligemma.Model)
    text = jnp.ones((1, 4), jnp.int32)
    image = jnp.zeros((1, SIZE, SIZE, 3))
    params = jax.jit(model.init)(jax.random.key(0), image, text, jnp.zeros_like(text))["params"]
    checkpoints = checkpoint.Checkpointer(workdir)
    checkpoints.save(3, {"params": params, "step": jnp.array(3)}, {}, {"config": CONFIG})
    checkpoints.close()
    return workdir


@pytest.fixture(scope="module")
def model(run_dir):
    return predict.RadGrounder.load(run_dir)


def always(text, batches=None):
    """A generate that writes the same text for every row, each token with probability one half."""
    tokenizer = tokenizers.load("tiny")

    def generate(params, batch, *, max_new_tokens):
        if batches is not None:
            batches.append(batch)
        ids = tokenizer.encode(text, eos=True, specials=True)
        tokens = np.zeros((len(batch["text"]), max_new_tokens), np.int32)
        tokens[:, : len(ids)] = ids
        logprob = np.full(len(tokens), len(ids) * math.log(0.5))
        return {"tokens": tokens, "logprob": logprob, "length": np.full(len(tokens), len(ids) - 1)}

    return generate


def fixed(text, batches=None, **options):
    return predict.RadGrounder(
        None,
        {},
        tokenizers.load("tiny"),
        codec=codecs.get_codec("radgrounder"),
        image_size=SIZE,
        generate_fn=always(text, batches),
        **options,
    )


def grey(height, width):
    pixels = np.random.default_rng(0).integers(-900, 900, (height, width)).astype(np.int16)
    return dicom_read.Slice(pixels, "CT", (1.0, 1.0), "axial", "HU")


def prompt_of(batch):
    ids = batch["text"][0]
    return tokenizers.load("tiny").decode(ids[ids != 0], skip_special=True)


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


def test_the_score_is_that_of_the_whole_answer_and_no_entity_has_one():
    box = "<p bbox=<loc0128><loc0064><loc0256><loc0512> id=<seg005>>{}</p>"
    for text in ("nothing", box.format("liver"), box.format("liver") + box.format("spleen")):
        result = fixed(text).report(grey(20, 30))
        tokens = tokenizers.load("tiny").encode(text, eos=True, specials=True)
        assert result.tokens == len(tokens)
        assert result.answer_score == pytest.approx(0.5)
        assert result.logprob == pytest.approx(len(tokens) * math.log(0.5))
        plain = predictions.to_json(result, grey(20, 30))
        assert plain["answer_score"] == 0.5 and plain["tokens"] == len(tokens)
        fields = {f.name for e in result.entities for f in dataclasses.fields(e)}
        fields |= {k for e in plain["entities"] for k in e}
        assert not [k for k in fields if "score" in k or "prob" in k or "confidence" in k]


def test_answers_about_several_organs_have_one_score_over_all_their_tokens():
    answers = iter([("liver", 0.9), ("no", 0.25), ("the spleen is here", 0.5)])
    made = []

    def generate(params, batch, *, max_new_tokens):
        text, each = next(answers)
        out = always(text)(params, batch, max_new_tokens=max_new_tokens)
        count = int(out["length"][0]) + 1
        made.append((count, each))
        return out | {"logprob": np.array([count * math.log(each)])}

    options = dict(codec=codecs.get_codec("radgrounder"), image_size=SIZE, generate_fn=generate)
    model = predict.RadGrounder(None, {}, tokenizers.load("tiny"), **options)
    result = model.detect(grey(64, 64), ["liver", "kidney_left", "spleen"])
    assert len(made) == 3
    assert result.tokens == sum(n for n, _ in made)
    want = math.prod(each**n for n, each in made) ** (1 / result.tokens)
    assert result.answer_score == pytest.approx(want)


def test_a_prediction_without_tokens_has_no_score():
    empty = predictions.Prediction("", (), 0.0)
    assert empty.answer_score is None
    assert predictions.to_json(empty, grey(9, 9))["answer_score"] is None


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


def test_the_command_says_what_a_name_of_several_organs_asks_for(tmp_path, capsys):
    options = [f"--checkpoint={tmp_path}", "--task=detect", f"{tmp_path / 'no.dcm'}"]
    assert predict.main([*options, "--organ=kidneys", "--organ=spleen"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "--organ=kidneys: asked for as right kidney, left kidney"
    assert "spleen" not in "".join(said)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--organ=kidneys"], "--organ belongs to --task=detect, and the task is report"),
        (["--task=detect", "--organ=liver", "--choice=yes"], "--choice belongs to --task=vqa"),
        (["--task=vqa", "--question=Where?", "--clinical=Pain."], "--clinical belongs to --task="),
        (["--task=detect", "--organ=liver", "--question=Where?"], "--organ or --question"),
        (["--task=vqa"], "give --question"),
    ],
)
def test_an_option_that_the_task_does_not_use_is_an_error(tmp_path, capsys, options, said):
    image = str(tmp_path / "no.dcm")
    assert predict.main([f"--checkpoint={tmp_path}", image, *options]) == 2
    assert said in capsys.readouterr().err


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
    import shutil

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
    checkpoints = checkpoint.Checkpointer(tmp_path)
    checkpoints.save(3, {"params": params}, {}, {**meta, field: value})
    checkpoints.close()
    with pytest.raises(predict.CheckpointError, match=said):
        predict.RadGrounder.load(tmp_path)


def test_repeated_calls_do_not_compile_again(model, caplog):
    def compilations(max_new_tokens):
        caplog.clear()
        with jax.log_compiles():
            model.report(grey(61, 80), max_new_tokens=max_new_tokens)
        return sum("ompil" in r.getMessage() for r in caplog.records)

    compilations(4)
    assert compilations(4) == 0
    assert compilations(5) > 0  # so compilations are seen when they happen


# ---- Masks ---------------------------------------------------------------------------------

MASKS_CONFIG = CONFIG | dict(
    model_name="radgrounder",
    model=CONFIG["model"] | dict(mask_decoder=dict(dim=16, num_heads=2, mlp_dim=16)),
)


def with_masks(text, logits, batches=None):
    """A model that writes a fixed text and gives fixed mask logits [n, SIZE, SIZE]."""
    write = always(text, batches)

    def generate(params, batch, *, max_new_tokens, logits=False, of=np.float32(logits)):
        assert logits  # to be resized before the threshold
        padded = np.concatenate([of, np.full((16 - len(of), SIZE, SIZE), 9.0, np.float32)])
        out = write(params, batch, max_new_tokens=max_new_tokens)
        return out | {"mask_logits": padded[None], "num_masks": np.array([len(of)])}

    vocab = tokenizers.load("tiny").padded_vocab_size
    return predict.RadGrounder(
        models.make(MASKS_CONFIG["model_name"], MASKS_CONFIG["model"], vocab),
        {},
        tokenizers.load("tiny"),
        codec=codecs.get_codec("radgrounder"),
        image_size=SIZE,
        generate_fn=generate,
    )


def rectangle(y1, y2, x1, x2):
    logits = np.full((SIZE, SIZE), -1.0)
    logits[y1:y2, x1:x2] = 1
    return logits


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
        # An even blend of 1 and -1 is on the edge; a cell may fall on either side of it.
        assert (entity.mask != want).mean() < 0.03
        assert np.abs(np.subtract(entity.box, (x1, y1, x2, y2))).max() <= 1
    assert not other.mask.any() and other.box is None and other.phrase == "something"


def test_a_model_whose_tokenizer_has_boxes_only_writes_without_masks():
    tokenizer = tokenizers.load("tiny", sets=("detection",))
    assert "</seg>" not in tokenizer.markup
    text, image = jnp.ones((1, 4), jnp.int32), jnp.zeros((1, SIZE, SIZE, 3))
    made = models.make(CONFIG["model_name"], CONFIG["model"], tokenizer.padded_vocab_size)
    params = jax.jit(made.init)(jax.random.key(0), image, text, jnp.zeros_like(text))["params"]
    options = dict(codec=codecs.get_codec("radgrounder"), image_size=SIZE)
    model = predict.RadGrounder(made, params, tokenizer, **options)
    assert model.pointing == "boxes"
    assert math.isfinite(model.report(grey(30, 40), max_new_tokens=2).logprob)
    with pytest.raises(ValueError, match='config.tokenizer.sets "segmentation"'):
        vocab = tokenizer.padded_vocab_size
        masks = models.make(MASKS_CONFIG["model_name"], MASKS_CONFIG["model"], vocab)
        predict.RadGrounder(masks, params, tokenizer, **options)


def test_logits_are_resized_before_the_threshold():
    ramp = np.broadcast_to(np.arange(SIZE) - 9.25, (SIZE, SIZE))  # 0 at 9.75 cells from the left
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
    tokenizer = tokenizers.load("tiny")
    model = models.make("radgrounder", MASKS_CONFIG["model"], tokenizer.padded_vocab_size)
    text, image = jnp.ones((1, 4), jnp.int32), jnp.zeros((1, SIZE, SIZE, 3))
    params = jax.jit(model.init)(jax.random.key(0), image, text, jnp.zeros_like(text))["params"]
    checkpoints = checkpoint.Checkpointer(tmp_path)
    checkpoints.save(3, {"params": params}, {}, {"config": MASKS_CONFIG})
    checkpoints.close()
    loaded = predict.RadGrounder.load(tmp_path)
    assert loaded.pointing == "masks"
    # Its own masks, tied to a text that holds some.
    made, write, kept = loaded._generate, always("<seg>liver</seg>, <seg>spleen</seg>"), []

    def generate(params, batch, *, max_new_tokens, **options):
        out = made(params, batch, max_new_tokens=max_new_tokens, **options)
        assert out["mask_logits"].shape == (1, 16, SIZE, SIZE)
        out["num_masks"] = np.array([2])
        kept.append(out["mask_logits"][0])
        return out | write(params, batch, max_new_tokens=max_new_tokens)

    loaded._generate = generate
    entities = loaded.report(grey(SIZE, SIZE), max_new_tokens=16).entities
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


# ---- Command line --------------------------------------------------------------------------


def run_cli(capsys, *args):
    code = predict.main([str(a) for a in args])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_cli_writes_json_and_overlay(run_dir, tmp_path, capsys, name):
    image = get_testdata_file(name)
    code, out, err = run_cli(
        capsys, f"--checkpoint={run_dir}", image, f"--out={tmp_path}", "--max_new_tokens=8"
    )
    assert code == 0, err
    stem = name.removesuffix(".dcm")
    plain = json.loads((tmp_path / f"{stem}.json").read_text(encoding="utf-8"))
    assert plain == json.loads(out)
    assert list(plain) == [
        "file", "task", "lang", "modality", "plane", "width", "height", "orientation",
        "text", "entities", "answer_score", "logprob", "tokens", "warnings", "note",
    ]  # fmt: skip
    assert "not for diagnostic use" in plain["note"]
    with Image.open(tmp_path / f"{stem}_overlay.png") as picture:
        assert max(picture.size) >= 448


def test_cli_writes_masks_as_one_array_and_as_pictures_of_one_bit(
    run_dir, tmp_path, capsys, monkeypatch
):
    logits = [rectangle(7, 14, 14, 28), np.full((SIZE, SIZE), -2.0)]
    model = with_masks("<seg>liver</seg> <seg>spleen</seg> <seg>kidney</seg>", logits)
    monkeypatch.setattr(predict.RadGrounder, "load", lambda _: model)
    image, out = get_testdata_file("CT_small.dcm"), tmp_path / "out"
    code, text, err = run_cli(
        capsys, f"--checkpoint={run_dir}", image, "--ground=masks", f"--out={out}"
    )
    assert code == 0, err
    plain = json.loads((out / "CT_small.json").read_text(encoding="utf-8"))
    assert plain == json.loads(text)
    masks = np.load(out / plain["masks"])
    assert masks.shape == (3, plain["height"], plain["width"]) and masks.dtype == bool
    for i, (entity, mask) in enumerate(zip(plain["entities"], masks, strict=True)):
        with Image.open(out / entity["mask"]) as picture:
            assert picture.mode == "1" and (np.asarray(picture) == mask).all()
        assert entity.get("mask_pixels", 0) == mask.sum()
        assert ("mask_pixels" in entity) == (i < 2)  # The third was never made.
    assert masks[0].any() and not masks[1:].any()
    with Image.open(out / "CT_small_overlay.png") as picture:
        colours = np.asarray(picture).astype(int)
    assert (np.ptp(colours, axis=-1) > 30).mean() > 0.02  # The mask is drawn in colour.


def test_masks_of_an_earlier_run_do_not_stay_and_other_files_do(tmp_path):
    two = with_masks("<seg>liver</seg> <seg>spleen</seg>", [rectangle(0, 9, 0, 9)] * 2)
    predictions.write(two.report(grey(28, 28)), grey(28, 28), tmp_path, "x")
    (tmp_path / "x_mask7.png").write_bytes(b"not ours")
    assert (tmp_path / "x_mask2.png").exists()
    one = with_masks("<seg>liver</seg>", [rectangle(0, 9, 0, 9)])
    predictions.write(one.report(grey(28, 28)), grey(28, 28), tmp_path, "x")
    names = {"x.json", "x_overlay.png", "x_masks.npy", "x_mask1.png", "x_mask7.png"}
    assert {p.name for p in tmp_path.iterdir()} == names
    none = with_masks("Normal.", np.zeros((0, SIZE, SIZE)))
    predictions.write(none.report(grey(28, 28)), grey(28, 28), tmp_path, "x")
    assert {p.name for p in tmp_path.iterdir()} == {"x.json", "x_overlay.png", "x_mask7.png"}
    assert (tmp_path / "x_mask7.png").read_bytes() == b"not ours"


def test_cli_does_not_overwrite_its_input(run_dir, tmp_path, capsys):
    for name in ("a.png", "a_overlay.png"):
        Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / name)
    before = (tmp_path / "a_overlay.png").read_bytes()
    images = [tmp_path / "a.png", tmp_path / "a_overlay.png"]
    code, _, err = run_cli(capsys, f"--checkpoint={run_dir}", *images, f"--out={tmp_path}")
    assert code == 2 and "a_overlay.png would be overwritten" in err and "--out" in err
    assert (tmp_path / "a_overlay.png").read_bytes() == before


def test_cli_outputs_hold_no_identity(run_dir, tmp_path, capsys):
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Zzyzx^Quuxbert", "PID-55512", "ACC-77123"
    path = tmp_path / "anonymous.dcm"
    ds.save_as(path)
    code, out, err = run_cli(
        capsys, f"--checkpoint={run_dir}", path, f"--out={tmp_path / 'o'}", "--max_new_tokens=4"
    )
    assert code == 0
    written = b"".join(p.read_bytes() for p in (tmp_path / "o").iterdir()).decode("latin1")
    for secret in ("Zzyzx", "Quuxbert", "PID-55512", "ACC-77123", str(ds.SOPInstanceUID)):
        assert secret not in out + err + written


def test_cli_takes_several_images_of_the_same_name(run_dir, tmp_path, capsys):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / folder / "x.png")
    code, _, err = run_cli(
        capsys,
        f"--checkpoint={run_dir}",
        tmp_path / "a/x.png",
        tmp_path / "b/x.png",
        f"--out={tmp_path / 'out'}",
        "--task=vqa",
        "--question=What is it?",
        "--max_new_tokens=4",
    )
    assert code == 0, err
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"x.json", "x_overlay.png", "x_2.json", "x_2_overlay.png"}


def _truncated(tmp_path):
    path = tmp_path / "truncated.dcm"
    data = open(get_testdata_file("CT_small.dcm"), "rb").read()
    path.write_bytes(data[: len(data) // 2])
    return path


def _text(tmp_path):
    path = tmp_path / "text.dcm"
    path.write_text("This is no image.\n" * 50)
    return path


@pytest.mark.parametrize("make", [lambda p: p / "missing.dcm", _text, _truncated])
def test_cli_bad_image_is_one_line_with_the_file_and_exit_code_2(run_dir, tmp_path, capsys, make):
    path = make(tmp_path)
    code, out, err = run_cli(capsys, f"--checkpoint={run_dir}", path)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and path.name in err


def test_cli_missing_checkpoint_is_one_line_and_exit_code_2(tmp_path, capsys):
    image = get_testdata_file("CT_small.dcm")
    code, out, err = run_cli(capsys, f"--checkpoint={tmp_path / 'nowhere'}", image)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and "nowhere" in err and "--workdir" in err


def test_cli_damaged_checkpoint_is_one_line_and_exit_code_2(run_dir, tmp_path, capsys):
    import shutil

    copy = tmp_path / "damaged"
    shutil.copytree(run_dir, copy)
    for path in (copy / "checkpoints/3/state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    code, _, err = run_cli(capsys, f"--checkpoint={copy}", get_testdata_file("CT_small.dcm"))
    assert code == 2 and err.count("\n") == 1 and "damaged" in err


def test_cli_question_is_needed_for_vqa(run_dir, capsys):
    image = get_testdata_file("CT_small.dcm")
    code, _, err = run_cli(capsys, f"--checkpoint={run_dir}", image, "--task=vqa")
    assert code == 2 and err.count("\n") == 1 and "question" in err


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


def test_cli_prints_a_line_an_image_for_several(run_dir, capsys):
    files = [str(get_testdata_file(n)) for n in ("CT_small.dcm", "MR_small.dcm")]
    code, out, _ = run_cli(capsys, f"--checkpoint={run_dir}", "--max_new_tokens=3", *files)
    assert code == 0
    assert [json.loads(line)["modality"] for line in out.splitlines()] == ["CT", "MR"]


# ---- Foreign checkpoints -------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """What a stand-in that writes a box was made of and asked: (never, params, batch)."""
    calls = []

    def make_generate_fn(model, tokenizer, never=()):
        write = always("<p bbox=<loc0000><loc0000><loc0256><loc0256> id=<seg005>>liver</p>")

        def generate(params, batch, *, max_new_tokens):
            calls.append((set(never), params, batch))
            return write(params, batch, max_new_tokens=max_new_tokens)

        return generate

    monkeypatch.setattr(answer_lib, "make_generate_fn", make_generate_fn)
    return calls


@pytest.mark.parametrize("kind, height, sets", foreign.PLACES)
def test_cli_takes_a_foreign_checkpoint_of_any_height(kind, height, sets, tmp_path, asked, capsys):
    place, image = (
        foreign.write(tmp_path / "m", kind, height, sets),
        get_testdata_file("CT_small.dcm"),
    )
    code, out, err = run_cli(capsys, f"--checkpoint={place}", image)
    assert code == 0, err
    never, params, batch = asked[-1]
    assert foreign.table(params).shape == (foreign.PADDED, 16)
    points = foreign.points(kind, height, sets)
    assert ("no trained row for" in err) == bool(never)
    # By default it points if it can, and nothing is asked of it that it never learnt.
    assert ("detect keywords" in prompt_of(batch)) == points
    assert bool(json.loads(out)["entities"]) == points
    code, out, err = run_cli(
        capsys, f"--checkpoint={place}", image, "--task=detect", "--organ=liver"
    )
    assert code == (0 if points else 2)
    if not points:
        assert out == "" and "was never trained on the tokens of boxes" in err
        code, _, err = run_cli(capsys, f"--checkpoint={place}", image, "--ground=boxes")
        assert code == 2 and "was never trained on the tokens of boxes" in err


def test_answers_do_not_depend_on_how_a_table_is_padded(tmp_path):
    results = []
    for height in (3152, 3199):
        model = predict.RadGrounder.load(foreign.write_hf(tmp_path / str(height), height, ()))
        results.append(model.answer(grey(40, 40), "Is the liver enlarged?", max_new_tokens=8))
        assert model.pointing == "none"
    assert results[0] == results[1]
    assert math.isfinite(results[0].logprob)


@pytest.mark.slow
def test_the_command_runs_on_a_folder(tmp_path):
    place = foreign.write_hf(tmp_path / "hf", 3156, ("detection",))
    command = [sys.executable, "-m", "big_rad.predict", f"--checkpoint={place}"]
    command += [get_testdata_file("CT_small.dcm"), "--max_new_tokens=4"]
    done = tiny_run.run(command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["modality"] == "CT"


def test_cli_says_what_is_wrong_with_a_foreign_checkpoint(tmp_path, capsys):
    image, place = get_testdata_file("CT_small.dcm"), foreign.write_npz(tmp_path / "a", 64)
    code, out, err = run_cli(capsys, f"--checkpoint={place}", image)
    assert code == 2 and out == "" and "64 rows" in err
    (tmp_path / "a/paligemma_tokenizer.model").unlink()
    code, out, err = run_cli(capsys, f"--checkpoint={place}", image)
    assert code == 2 and out == "" and "no tokenizer file paligemma_tokenizer.model" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run_cli(capsys, f"--checkpoint={tmp_path / 'empty'}", image)
    assert code == 2 and err.count("\n") == 1 and "no known kind" in err


def test_a_run_that_is_not_finite_is_named_by_its_tensor(run_dir, tmp_path, capsys):
    params, meta = checkpoint.load_params(run_dir)
    params["llm"]["final_norm"]["scale"] = np.full(16, np.nan, np.float32)
    checkpoints = checkpoint.Checkpointer(tmp_path)
    checkpoints.save(3, {"params": params}, {}, meta)
    checkpoints.close()
    code, _, err = run_cli(capsys, f"--checkpoint={tmp_path}", get_testdata_file("CT_small.dcm"))
    assert code == 2 and "llm/final_norm/scale is not finite" in err
