"""Settings that would do harm without an error later are refused before anything is read."""

import pathlib

import ml_collections
import pytest

from big_rad import config_check, fields
from big_rad.config import recipes as config_lib
from big_rad.training import optim
from configs import common, demo

ROOT = pathlib.Path(__file__).parents[1]
RECIPES = (
    "demo", "demo:ground=masks", "demo:alone", "demo:held_out", "demo:init=x,lora=4",
    "radgrounder_det", "radgrounder_det:siglip=original", "radgrounder_det:ground=none",
    "radgrounder_det:data=folder,texts=3", "radgrounder_det:data=external,lora=16",
    "radgrounder_det:released=True", "radgrounder_seg", "radgrounder_seg:released=True",
    "radgrounder_seg:variant=tiny,data=phantom,size=112", "public_vqa", "public_vqa:ground=masks",
    "public_vqa:data=slake,lora=16", "public_vqa:data=vqa_rad", "siglip_refrad2d",
    "siglip_refrad2d:data=folder,init=a.npz,texts=2", "siglip_refrad2d:variant=tiny,data=phantom",
    "siglip_refrad2d:variant=tiny,data=phantom,init=runs/a,sides",
)  # fmt: skip


def config(**changes):
    """The demo with an evaluation while training, and with some fields replaced."""
    c = demo.get_config("steps=100")
    c.evals.val = dict(c.evals.report, split="validation", every=20)
    with c.unlocked(), c.ignore_type():
        for path, value in changes.items():
            *parents, name = path.split(".")
            holder = c
            for parent in parents:
                holder = holder[parent]
            holder[name] = value
    return c


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_passes_also_read_back_from_a_run_directory(recipe):
    name, _, arg = recipe.partition(":")
    found = config_lib.load(f"{ROOT / 'configs' / name}.py:{arg}")
    config_check.check(found)
    config_check.check(config_lib.from_json(config_lib.to_json(found)))


def test_public_questions_of_one_dataset_alone():
    path = f"{ROOT / 'configs/public_vqa'}.py"
    with pytest.raises(ValueError, match="'ground=boxes': VQA-RAD has no boxes"):
        config_lib.load(f"{path}:data=vqa_rad,ground=boxes")
    found = config_lib.load(f"{path}:data=slake,ground=boxes,lora=4")
    assert set(found.input.data) == {"slake", "slake_organs"} and found.model.lora.rank == 4
    assert not any("vqa_rad" in name for name in found.evals)


def test_every_field_that_has_a_default_has_a_rule_and_no_other():
    def names(section, place=""):
        for name, value in section.items():
            nested = hasattr(value, "items") and set(value) - {fields.ANY}
            yield from names(value, f"{place}{name}.") if nested else [f"{place}{name}"]

    ruled = {n for n in names(fields.FIELDS) if f".{fields.ANY}." not in n}
    assert set(names(common.base())) == ruled


@pytest.mark.parametrize(
    "recipe, argument, said",
    [
        ("finetune", "batch=0", "a whole number of at least 1"),
        ("finetune", "epochs=0.0", "a finite number above 0"),
        ("finetune", "epochs=nan", "a finite number above 0"),
        ("finetune", "limit=0", "at least 1"),
        ("finetune", "card=-1.0", "at least 0"),
        ("finetune", "lora=-2", "at least -1"),
        ("demo", "steps=0", "a whole number of at least 1"),
        ("demo", "steps=-5", "at least 1"),
        ("demo", "texts=0", "at least 1"),
        ("demo", "batch=0", "at least 1"),
        ("demo", "lora=-1", "at least 0"),
        ("public_vqa", "accum=0", "at least 1"),
        ("public_vqa", "lora=-1", "at least 0"),
        ("radgrounder_det", "texts=0", "at least 1"),
        ("radgrounder_det", "size=0", "at least 1"),
        ("radgrounder_det", "ground_share=1.5", "at most 1"),
        ("radgrounder_seg", "lora=-4", "at least 0"),
        ("evaluate", "limit=-1", "at least 0"),
        ("siglip_refrad2d", "texts=17", "at most 16"),
        ("siglip_refrad2d", "size=-1", "at least 0"),
    ],
)
def test_a_recipes_argument_outside_its_range_is_refused_by_its_name(recipe, argument, said):
    with pytest.raises(ValueError, match=f"config argument '{argument}': .*{said}"):
        config_lib.load(f"{ROOT / 'configs' / recipe}.py:{argument}")


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("ckpt_keep", 0, "a whole number of at least 1"),
        ("ckpt_steps", 0, "at least 1"),
        ("ckpt_steps", -5, "at least 1"),
        ("log_training_steps", 0, "at least 1"),
        ("grad_accum", 0, "at least 1"),
        ("input.batch_size", 0, "at least 1"),
        ("input.batch_size", 4.0, "a whole number"),
        ("input.num_threads", -1, "at least 0"),
        ("input.max_reject_share", 1.5, "at most 1"),
        ("input.buckets", (64, 32), "rising lengths"),
        ("input.data.phantom", 0.0, "above 0"),
        ("lr", 0.0, "above 0"),
        ("lr", -1e-3, "above 0"),
        ("lr", float("nan"), "a finite number"),
        ("lr", float("inf"), "a finite number"),
        ("lr", None, "missing"),
        ("wd", -0.1, "at least 0"),
        ("grad_clip_norm", -1.0, "at least 0"),
        ("total_steps", 0, "at least 1"),
        ("seed", -1, "at least 0"),
        ("eval_before", 1, "True or False"),
        ("bad_steps.action", "skp", "did you mean 'skip'"),
        ("bad_steps.spike", 0.5, "above 1"),
        ("optimizer", "adam", "did you mean 'adamw'"),
        ("ckpt_best_mode", "maximum", "one of 'max', 'min'"),
        ("lr_mults", ((".*", -1.0),), "at least 0"),
        ("lr_mults", (("(", 1.0),), "a regular expression"),
        ("schedule", "cosine", "a list of (pattern, value)"),
        ("schedule", ((".*", dict(warmup_percent=10)),), "below 1"),
        ("schedule", ((".*", dict(warmup_steps=-1)),), "at least 0"),
        ("schedule", ((".*", dict(decay_type="cosin")),), "did you mean 'cosine'"),
        ("schedule", ((".*", dict(warmup_precent=0.1)),), "did you mean 'warmup_percent'"),
        ("tokenizer.sets", ("detektion",), "a tuple of detection, segmentation"),
        ("mesh", (("data", 0),), "(name, size)"),
        ("evals.val.limit", 0, "at least 1"),
        ("evals.val.every", -1, "at least 0"),
        ("evals.val.batch_size", 0, "at least 1"),
        ("model.llm.width", 0, "at least 1"),
        ("model.llm.remat_policy", "some", "one of 'none'"),
        ("dont_load", "mask_decoder/.*", "a tuple of regular expressions"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_the_fields_name(field, value, said):
    with pytest.raises(ValueError) as refused:
        config_check.check(config(**{field: value}))
    assert f"config.{field} is" in str(refused.value) and said in str(refused.value)


@pytest.mark.parametrize(
    "optimizer, name, value, said",
    [
        ("adamw", "b1", 2.0, "below 1"),
        ("adamw", "b2", 1.0, "below 1"),
        ("adamw", "b2", "x", "a finite number"),
        ("adamw", "eps", -1.0, "above 0"),
        ("adamw", "eps_root", -1.0, "at least 0"),
        ("adamw", "mu_dtype", "bfloat", "did you mean 'bfloat16'"),
        ("adamw", "nesterov", 1, "True or False"),
        ("adafactor", "clip_threshold", 0.0, "above 0"),
        ("adafactor", "decay_rate", 0.0, "above 0"),
        ("adafactor", "min_dim_size_to_factor", 0, "at least 1"),
        ("muon", "rms", -0.2, "above 0"),
        ("muon", "rms", None, "a finite number"),
        ("muon", "beta", 1.0, "below 1"),
        ("muon", "b2", 1.5, "below 1"),
        ("muon", "ns_steps", 2.5, "a whole number"),
    ],
)
def test_an_argument_of_the_optimizer_has_a_range(optimizer, name, value, said):
    changes = {"optimizer": optimizer, "optimizer_args": {name: value}}
    with pytest.raises(ValueError, match=f"config.optimizer_args.{name} is .*{said}"):
        config_check.check(config(**changes))


def test_every_argument_of_an_optimizer_has_a_rule():
    known = {n for o in ("adafactor", "adamw", "muon") for n in optim.arguments(o)}
    assert known == set(fields.OPTIMIZER)


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("learning_rate", 1.0, "config has no field 'learning_rate'"),
        ("ckpt_step", 1, "did you mean 'ckpt_steps'"),
        ("input.batchsize", 4, "config.input has no field 'batchsize'; known: .*'batch_size'"),
        ("input.phantom.splt", "train", "config.input.phantom has no field 'splt'; .*'split'"),
        ("input.phantom.builder", "phantm", "did you mean 'phantom'"),
        ("input.data", {"phantm": 1.0}, "names 'phantm', .* did you mean 'phantom'"),
        ("evals.val.evry", 5, "config.evals.val has no field 'evry'; .*'every'"),
        ("evals.val.type", "grunded", "did you mean 'grounded'"),
        ("model_name", "two_towers", "not for two_towers, which embeds"),
        ("evals.val.control", "blnk", "did you mean 'blank'"),
        ("evals.val.expand", {"tsk": "vqa"}, "did you mean 'task'"),
        ("model.llm.widht", 8, "config.model.llm has no 'widht'; .*'width'"),
        ("model.lora", {"rnk": 4}, "config.model.lora"),
        ("model_name", "paligema", "did you mean 'paligemma'"),
        ("loss", "text_xnt()", "did you mean 'text_xent'"),
        ("loss", "text_xent(maen='token')", "has no 'maen'; .*'mean'"),
        ("loss", "text_xent(mean='tokn')", "mean is 'tokn'.*'token'"),
        ("loss", "text_xent(groups=2)", "has no 'groups'"),
        ("optimizer_args.rsm", 0.1, "config.optimizer_args has no 'rsm'; .*'rms'"),
        ("bad_steps.mots", 3, "did you mean 'most'"),
        ("sources", {"foldr": {"source": "x"}}, "did you mean 'folder'"),
    ],
)
def test_an_unknown_name_at_any_level_is_refused_with_the_nearest_known(field, value, said):
    with pytest.raises(ValueError, match=said):
        config_check.check(config(**{field: value}))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"evals": {}}, "config.evals is empty, and config.summary names scores of it"),
        ({"summary": {"x": "reprt/g_iou"}}, "did you mean 'report'"),
        ({"summary": {"x": "report/giou"}}, "did you mean 'g_iou'"),
        ({"ckpt_best": "val/TYPO"}, "evaluator 'val' .* has no score 'TYPO'; known: g_iou"),
        ({"ckpt_best": "vall/g_iou"}, "did you mean 'val'"),
        ({"ckpt_best": "val"}, "EVALUATOR/METRIC"),
        ({"ckpt_best": "vqa/f1"}, "has `every`"),
        ({"ckpt_best": "val/laterality_text"}, "lowest value is the best; .*ckpt_best_mode=min"),
        ({"ckpt_best": "val/hallucination_rate"}, "lowest value is the best"),
        ({"ckpt_best": "val/blank_masks"}, "lowest value is the best"),
        ({"ckpt_best": "val/unfinished"}, "lowest value is the best"),
        ({"ckpt_best": "val/n"}, "a count .* use val/g_iou"),
        ({"ckpt_best": "val/n_scored"}, "a count"),
        ({"ckpt_best": "val/n_de"}, "a count"),
        ({"ckpt_best": "val/n_ref_liver", "ckpt_best_mode": "min"}, "a count"),
        ({"ckpt_best": "val/matched_liver"}, "a count"),
        ({"ckpt_best": "val/g_iou_xx"}, "has no score 'g_iou_xx'"),
        ({"ckpt_best": "val/n_xx"}, "has no score 'n_xx'"),
        ({"ckpt_best": "val/g_iou_ct"}, "has no score 'g_iou_ct'"),
        ({"summary": {"x": "report/report_f1_DE"}}, "has no score 'report_f1_DE'"),
        ({"total_epochs": 2.0}, "exactly one of total_steps, total_epochs"),
        ({"total_steps": None}, "exactly one of total_steps, total_epochs"),
        ({"grad_accum": 3}, "batch_size 8 does not divide into config.grad_accum 3"),
        ({"schedule": ((".*", dict(warmup_steps=100)),)}, "has 100 steps, and the run has 100"),
        (
            {
                **{"total_steps": None, "total_examples": 800},
                "schedule": ((".*", dict(warmup_steps=100)),),
            },
            "has 100 steps, and the run has 100",
        ),
        ({"schedule": ((".*", None),)}, "freezes every parameter"),
        ({"schedule": ((".*", dict(warmup_steps=1, warmup_percent=0.1)),)}, "not both"),
        ({"tokenizer.sets": ("detection",)}, r"tok has sets=\('detection', 'segmentation'\), but"),
        ({"tokenizer.sets": ("segmentation", "detection")}, "tok has sets="),
        ({"image.size": 56}, "resize has size=112"),
        ({"loss": "text_and_masks()"}, "has no config.model.mask_decoder"),
        ({"input.data": {}}, "config.input.data is empty"),
        ({"codec.name": "typo"}, "config.codec: no box codec named 'typo'"),
        ({"evals.val.codec": "typo"}, "config.evals.val.codec: no box codec named 'typo'"),
        ({"evals.val.codec": {"name": "typo", "grid": None}}, "config.evals.val.codec: no box"),
        ({"evals.val.expand": {"task": "reprt"}}, "expand.task is 'reprt'.*did you mean 'report'"),
        ({"evals.val.expand": {"per_image": 0}}, "expand.per_image is 0"),
        ({"evals.val.expand": {"lang": "fr"}}, "expand.lang is 'fr'"),
        ({"input.phantom.expand": {"task": "reprt"}}, "config.input.phantom.expand.task"),
        ({"model.img.patch_size": 15}, "config.image.size is 112: .* a multiple of 15"),
        ({"model.llm.num_kv_heads": 3}, "num_heads 4 has to be a multiple of num_kv_heads 3"),
        ({"model.llm.variant": "tinny"}, "config.model.llm: no gemma variant 'tinny'"),
        ({"model.img.variant": "tinny"}, "config.model.img: no siglip variant 'tinny'"),
        ({"sharding_strategy": ((".*", "fsdq"),)}, "'fsdq'; known: replicate, .* mean 'fsdp'"),
        ({"sharding_strategy": ((".*", "shard(0)"),)}, "'shard.0.'; known: replicate"),
        ({"sharding_strategy": ((".*", "shard(0, 'model')"),)}, "mesh axis 'model'; config.mesh"),
        ({"mesh": ()}, "config.mesh needs distinct axes"),
        ({"mesh": (("model", -1),)}, 'one called "data"'),
        ({"mesh": (("data", -1), ("model", -1))}, "one size alone may be -1"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        config_check.check(config(**changes))


@pytest.mark.parametrize(
    "name, mode",
    [
        ("g_iou_de", "max"),
        ("g_iou_CT", "max"),
        ("report_f1_no_lang", "max"),
        ("mean_iou_liver", "max"),
        ("laterality_text", "min"),
        ("unfinished", "min"),
    ],
)
def test_a_score_of_a_real_group_in_its_own_direction_may_choose(name, mode):
    config_check.check(config(ckpt_best=f"val/{name}", ckpt_best_mode=mode))


@pytest.mark.parametrize("where", ["input.phantom", "evals.val"])
@pytest.mark.parametrize(
    "old, new, said",
    [
        ("resize(112)", "resize(56)", "resize has size=56, but config.image.size is 112"),
        ("resize(", "rezise(", "did you mean 'resize'"),
        ("tok(length", "tok(lenght", "did you mean 'length'"),
        ("tok(", "tok('tiny', ('segmentation',), ", "tok has sets="),
    ],
)
def test_preprocessing_is_checked_in_training_and_in_evaluation(where, old, new, said):
    c = config()
    part, name = where.split(".")
    c[part][name].pp = c[part][name].pp.replace(old, new)
    with pytest.raises(ValueError, match=f"config.{where}.pp: .*{said}"):
        config_check.check(c)


@pytest.mark.parametrize(
    "where, old, new, said",
    [
        ("evals.val", "style='question'", "style='qestion'", "style='qestion'"),
        ("input.phantom", "style='question'", "style='qestion'", "style='qestion'"),
        ("evals.val", "prompt('report', ", "prompt('reprt', ", "tasks='reprt'"),
        ("input.phantom", "n=8", "n=0", "n=0 must be a positive number"),
        ("evals.val", "length=64", "length=0", "length=0 has to be a whole number of at least 2"),
        ("evals.val", "length=64", "length=-1", "length=-1 has to be"),
        ("evals.val", "length=64", "length='64'", "length='64' has to be"),
        ("evals.val", "max_text=64", "max_text=0", "max_text=0 has to be"),
        ("input.phantom", "block=80", "block=-80", "block=-80 has to be"),
        ("input.phantom", "block=80", "block=77", "block=77 needs .* a length"),
        ("input.phantom", "block=80", "block=0", "text_block is 80, and tok has block=0"),
        ("input.phantom", "block=80", "block=120", "text_block is 80, and tok has block=120"),
        ("input.phantom", "max_loss=136", "max_loss=-1", "max_loss=-1 has to be"),
        ("input.phantom", "shift=4", "shift=-1", "shift=-1 must be at least 0"),
        ("input.phantom", "augment(", "without('livr')|augment(", "livr"),
        ("evals.val", "ground('boxes')", "ground('boxs')", "'boxs' is none of"),
        ("evals.val", "ground('boxes')", "ground('boxes', grid=9999)", "BoxCodec.grid is 9999"),
    ],
)
def test_a_value_that_an_op_does_not_take_is_refused_before_anything_is_read(where, old, new, said):
    c = config()
    part, name = where.split(".")
    assert old in c[part][name].pp
    c[part][name].pp = c[part][name].pp.replace(old, new)
    with pytest.raises(ValueError, match=f"config.{where}.pp: .*{said}"):
        config_check.check(c)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("texts=2", "texts=65", "texts=65 is more than keys=64"),
        ("texts=2", "texts=0", "texts=0 has to be a whole number of at least 1"),
        ("length=64", "length=1", "length=1 has to be a whole number of at least 2"),
        ("style='both'", "style='reports'", "style='reports'; .*did you mean 'report'"),
    ],
)
def test_a_caption_is_checked_without_its_tokenizer(old, new, said):
    c = config_lib.load(f"{ROOT / 'configs/siglip_refrad2d'}.py:texts=2")
    assert old in c.input.refrad2d.pp and not pathlib.Path(c.tokenizer.path).exists()
    c.input.refrad2d.pp = c.input.refrad2d.pp.replace(old, new)
    with pytest.raises(ValueError, match=rf"config.input.refrad2d.pp: caption: {said}"):
        config_check.check(c)


def test_a_tiny_siglip_keeps_what_it_is_given_and_the_phantom_needs_it():
    c = config_lib.load(f"{ROOT / 'configs/siglip_refrad2d'}.py:variant=tiny,init=runs/a,size=224")
    assert (c.model_init, c.tokenizer.path, c.image.size) == ("runs/a", "runs/a", 224)
    with pytest.raises(ValueError, match="'data=phantom' needs 'variant=tiny'"):
        config_lib.load(f"{ROOT / 'configs/siglip_refrad2d'}.py:data=phantom")


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match="^3 settings cannot be used") as refused:
        config_check.check(config(lr=-1.0, ckpt_keep=0, seed=-1))
    assert all(f"\n  config.{n} is" in str(refused.value) for n in ("lr", "ckpt_keep", "seed"))


@pytest.mark.parametrize(
    "name, mode, said",
    [
        ("test/f1", "max", "a checkpoint chosen by test data has no test left"),
        ("final/f1", "max", "that has `every`"),
        ("nothing/f1", "max", "no evaluator 'nothing'"),
        ("val/f1", "up", "ckpt_best_mode"),
    ],
)
def test_a_metric_that_cannot_choose_is_refused(name, mode, said):
    evals = dict(
        val=dict(split="validation", every=5),
        final=dict(split="validation"),
        test=dict(split="test[:50%]", every=5),
    )
    fields = dict(ckpt_best=name, ckpt_best_mode=mode, evals=evals)
    with pytest.raises(ValueError, match=said):
        config_check.check_best(ml_collections.ConfigDict(fields))
