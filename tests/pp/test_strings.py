"""One text gets the same prompt tokens from evaluation and prediction, for every checkpoint."""

import json
import pathlib
import types

import ml_collections
import numpy as np
import pytest

from big_rad import config_check, predict
from big_rad.config import recipes as config_lib
from big_rad.dicom import read as dicom_read
from big_rad.grounding import codec as codecs
from big_rad.pp import builder, check, prompts, strings
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import source_config
from configs import common, public_vqa, radgrounder_det, radgrounder_seg
from tests.helpers import checkpoints, finetuning

ROOT = pathlib.Path(__file__).parents[2]
TINY = tokenizers.load("tiny")
# Cleaning changes both strings: they have white space before marks and none after them, a decimal
# number, and no full stop at the end.
CLINICAL, QUESTION = "Pain ,  1.2 cm", "Cyst ?Or not"
TEXTS = {
    "report": dict(task="report", sentence="", clinical=CLINICAL, question=QUESTION),
    "open": dict(task="vqa", question=QUESTION, answer="", question_type="open"),
    "multiple": dict(
        task="vqa", question=QUESTION, answer="", question_type="multiple", choices=["a .b", "c"]
    ),
    "detect": dict(task="detect", question=QUESTION, answer=""),
}
CASES = [("report", style) for style in prompts.STYLES]
CASES += [(name, "none") for name in TEXTS if name != "report"]
KINDS = ("own", "cleaned", "old", "old_cleaned", "released")


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, tmp_path_factory):
    """(whether reports are cleaned, path) of a checkpoint; old configs have no `text`."""
    folder = tmp_path_factory.mktemp(request.param) / "model"
    if request.param == "released":
        return True, checkpoints.released(folder)
    cleaned = request.param.endswith("cleaned")
    arguments = "variant=tiny,data=folder,size=28" + ",released=True" * cleaned
    text = not request.param.startswith("old")
    return cleaned, checkpoints.own(folder, checkpoints.fields(arguments, text))


def of_fields(fields, masks=None, **options):
    """A model that is only used for its prompts."""
    codec = codecs.get_codec(fields["codec"]["name"], fields["codec"].get("grid"))
    return predict.RadGrounder(
        types.SimpleNamespace(mask_decoder=masks),
        {},
        tokenizers.load("tiny", tuple(fields["tokenizer"]["sets"])),
        codec=codec,
        image_size=fields["image"]["size"],
        generate_fn=lambda *args, **kw: None,
        **options,
    )


def evaluated(pp, text, lang):
    """The row that evaluation makes of a record that shows the liver."""
    pixels, shown = np.full((40, 40), 30, np.int16), np.zeros((40, 40), np.uint8)
    shown[5:20, 5:20] = 5
    example = {
        "id": "1", "patient": "1", "image": pixels, "modality": "CT", "plane": "axial",
        "body_part": "", "segmap": shown, "rng": np.random.default_rng(0),
        "texts": [{"keywords": [["liver", 5]], "template": "", "lang": lang, **text}],
    }  # fmt: skip
    return builder.get_preprocess_fn(pp)(example)


def tokens(row):
    row = np.asarray(row)
    return row[row != 0].tolist()


def asked(model, text, lang, style):
    image = dicom_read.Slice(np.full((40, 40), 30, np.int16), "CT", (1.0, 1.0), "axial", "HU")
    return model.preprocess(image, text, lang, style, text["task"] != "vqa")


@pytest.mark.parametrize("lang", prompts.LANGS)
def test_evaluation_and_prediction_give_the_same_tokens(checkpoint, lang):
    cleaned, path = checkpoint
    model = predict.RadGrounder.load(path, log=lambda line: None)
    c = config_lib.load(f"{ROOT}/configs/evaluate.py:init={path},data=phantom")
    pps = {task: c.evals[f"phantom_{task}_{lang}"].pp for task in ("report", "vqa")}
    detect = dict(prompt="prompt('detect')", tok=strings.tok(c, answer=False))
    pps["detect"] = strings.eval_pp(c, ground=strings.ground(c), **detect)
    for name, style in CASES:
        text = TEXTS[name]
        pp = pps[text["task"]].replace("style='both'", f"style={style!r}")
        want, got = evaluated(pp, text, lang), asked(model, text, lang, style)
        assert tokens(got["text"][0]) == tokens(want["text"]), (name, style)
        np.testing.assert_array_equal(got["image"][0], want["image"])
        context = prompts.context(TEXTS[name] | dict(lang=lang), style)
        whole = prompts.prefix(text["task"], lang, context, "boxes")
        spec = dict(text, lang=lang) | {
            k: prompts.clean(text[k])
            for k in ("clinical", "question")
            if k in text and text["task"] == "report" and cleaned
        }
        seen = prompts.prefix(text["task"], lang, prompts.context(spec, style), "boxes")
        assert tokens(got["text"][0]) == [model.tokenizer.bos_id, *model.tokenizer.encode(seen)]
        assert (seen != whole) == (cleaned and name == "report" and style != "none")


@pytest.mark.parametrize("arguments", ["", "released=True", "released=True,vqa_per_image=1"])
@pytest.mark.parametrize("recipe_of", [radgrounder_det, radgrounder_seg])
def test_a_recipe_s_own_evaluation_asks_as_predict_does(recipe_of, arguments):
    c = recipe_of.get_config(f"variant=tiny,size=28,data=folder,{arguments}".rstrip(","))
    model = of_fields(c, c.model.get("mask_decoder"), **c.text)
    for lang in prompts.LANGS:
        want = evaluated(c.evals[f"folder_{lang}"].pp, TEXTS["report"], lang)
        got = asked(model, TEXTS["report"], lang, "both")
        assert tokens(got["text"][0]) == tokens(want["text"])
    config_check.check(c)


def test_only_the_field_tells_that_reports_are_cleaned():
    grid = dict(name="radgrounder", grid=224)
    for clean in strings.CLEANERS:
        for codec in (grid, dict(name="radgrounder", grid=None)):
            c = dict(codec=codec, text=dict(clean=clean, max_text=200))
            assert strings.clean(c) == ("clean('released')" if clean else "")
    released = radgrounder_det.get_config("variant=tiny,data=folder,released=True")
    own = radgrounder_det.get_config("variant=tiny,data=phantom,released=True")
    assert released.codec.grid == own.codec.grid == 224
    # This is how the data of the two are made.
    assert (released.text.clean, own.text.clean) == ("released", "")


@pytest.mark.parametrize(
    "pp, grid, clean",
    [
        ("view('random')|load|clean('released')|prompt('report,vqa', n=1)", None, "released"),
        ("load|clean|prompt()", None, "released"),
        ("load|prompt('report,vqa', n=1)", 224, ""),
        ("load|prompt(n=8)|tok(length=80)", 224, ""),
        ("load|prompt('vqa')", 224, "released"),  # The string has no reports.
        ("load|prompt('vqa')", None, ""),
        (None, 224, "released"),
        (None, 56, ""),
        (None, None, ""),
    ],
)
def test_a_config_without_the_field_is_used_as_it_was_trained(pp, grid, clean):
    config = dict(codec=dict(name="radgrounder", grid=grid))
    if pp is not None:
        config["input"] = dict(batch_size=8, data=dict(a=1.0), a=dict(builder="x", pp=pp))
    for given in (config, ml_collections.ConfigDict(config)):
        assert strings.text_of(given) == dict(clean=clean, max_text=200)


def test_the_limit_of_a_text_is_that_of_the_checkpoint():
    for limit in (40, 400):
        model = of_fields(checkpoints.fields(), max_text=limit)
        fits = "why " * 500
        while len(TINY.encode(prompts.prefix("vqa", "en", fits))) > limit:
            fits = fits.removesuffix("why ")
        text = dict(TEXTS["open"], question=fits)
        used = tokens(asked(model, text, "en", "none")["text"][0])
        assert 0 <= limit - (len(used) - 1) < 3
        with pytest.raises(ValueError, match=f"tokens, {limit} fit"):
            asked(model, dict(text, question=fits + "why why why"), "en", "none")


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(clean="released"), "reports are cleaned by '', but config.text.clean is 'released'"),
        (dict(max_text=100), "max_text=200, but config.text.max_text is 100"),
        (dict(clean="punctuation"), "config.text.clean is 'punctuation'"),
        (dict(max_text=0), "config.text.max_text is 0"),
    ],
)
def test_text_settings_that_are_not_those_of_the_data_are_refused(change, said):
    c = radgrounder_det.get_config("variant=tiny,data=phantom,size=28")
    config_check.check(c)
    c.text.update(change)
    with pytest.raises(ValueError, match=said):
        config_check.check(c)


def test_a_string_that_cleans_needs_a_config_that_says_so():
    c = radgrounder_det.get_config("variant=tiny,data=folder,released=True")
    pp = c.input.folder.pp
    check.check_pp(c, "config.input.folder.pp", pp)
    c.text.clean = ""
    with pytest.raises(ValueError, match="cleaned by 'released', but config.text.clean is ''"):
        check.check_pp(c, "config.input.folder.pp", pp)
    # Questions are never cleaned, and they may be trained together with cleaned reports.
    c.text.clean = "released"
    questions = strings.train_pp(c, prompt="prompt('vqa')", tok=strings.tok(c))
    check.check_pp(c, "config.input.slake.pp", questions)
    with pytest.raises(ValueError, match="cleaned by '', but config.text.clean is 'released'"):
        both = questions.replace("'vqa'", "'vqa, report'")
        check.check_pp(c, "config.input.slake.pp", both)


def test_recipes_and_their_users_find_the_writer_where_it_was():
    assert common.train_pp is strings.train_pp and common.eval_pp is strings.eval_pp
    assert common.ground is strings.ground and radgrounder_det.tok is strings.tok
    assert public_vqa.get_config("variant=tiny").text == common.base().text


def test_fine_tuning_trains_on_texts_as_they_are_written(tmp_path):
    folder = checkpoints.released(tmp_path / "released")
    assert source_config.read(folder)["text"]["clean"] == "released"
    source = tmp_path / "source"
    source.mkdir()
    lines = []
    for i, split in enumerate(("train", "train", "validation", "test")):
        np.save(source / f"{i}.npy", np.zeros((9, 9), np.int16))
        lines.append(
            dict(
                id=str(i),
                patient=str(i),
                image=f"{i}.npy",
                modality="CT",
                plane="axial",
                language="en",
                split=split,
                report=f"Liver, 1.{i} cm.",
            )
        )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (source / "data.jsonl").write_text(text, encoding="utf-8")
    c = finetuning.config(f"source={source},init={folder},lora=0")
    assert c.text.to_dict() == dict(clean="", max_text=200) and c.codec.grid == 224
    assert not any("clean(" in s.pp for s in (c.input.folder, *c.evals.values()))
    config_check.check(c)
