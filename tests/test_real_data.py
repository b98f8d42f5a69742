"""Every published format, from files to twenty training steps, through the command lines."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from big_rad import evaluators, input_pipeline, models, train, trees
from big_rad.datasets import core
from big_rad.evaluators import data as eval_data
from big_rad.pp import tokenizer
from big_rad.training import losses, optim
from big_rad.training import step as train_step
from configs import public_vqa, radgrounder_det, radgrounder_seg
from tests.published import folder, refrad2d, slake, vqa_rad
from tools import build_dataset, inspect_data, validate_data

STEPS = 20
WRITERS = {
    "refrad2d": (lambda root: refrad2d.write(root), []),
    "slake": (lambda root: slake.write(root), ["--allow_other_counts"]),
    "vqa_rad": (
        lambda root: vqa_rad.write(root, root / "splits"),
        ["--split_dir={root}/splits", "--allow_other_counts"],
    ),
    "folder": (lambda root: folder.write(root), []),
}
ROOTS = {}  # Where the fixtures' own files lie.
ABLATIONS = [
    "",
    "siglip=unfrozen",
    "siglip=original",
    "ground=none",
    "data=external,ground=none",
    "data=internal,ground=none",
    "data=internal",
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """All four datasets, validated and built from fixtures in their published formats."""
    data_dir = tmp_path_factory.mktemp("built")
    for name, (write, options) in WRITERS.items():
        ROOTS[name] = root = tmp_path_factory.mktemp(name)
        write(root)
        options = [o.format(root=root) for o in options]
        assert validate_data.main([name, f"--source={root}", *options]) in (0, None)
        build_dataset.main(
            [name, f"--source={root}", f"--data_dir={data_dir}", "--workers=1", *options]
        )
    return data_dir


LOSSES = {"refrad2d_xent", "slake_xent", "vqa_rad_xent"}


def shrink(config, steps=STEPS):
    """Makes a recipe small enough to run here."""
    config.total_epochs, config.total_steps = None, steps
    config.log_training_steps = 10
    config.input.batch_size, config.grad_accum = 4, 1
    if config.input.get("buckets"):
        config.input.buckets = (64,)  # Each length is compiled.
    if "mask_decoder" in config.model:
        config.model.mask_decoder.depth = 1
    for spec in config.evals.values():
        spec.batch_size, spec.limit = 2, 2
        if "max_new_tokens" in spec:  # Evaluators without this option generate no text.
            spec.max_new_tokens = 4
    return config


def run(config, workdir, data_dir):
    lines = []
    train.train(config, workdir, str(data_dir), log=lines.append)
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [r for r in rows if "training_loss" in r]


@pytest.mark.slow
def test_the_published_mixture_trains_with_reports_boxes_and_questions(data_dir, tmp_path):
    config = shrink(radgrounder_det.get_config("variant=tiny,size=28"))
    config.schedule = ((".*", dict(decay_type="constant")),)
    config.optimizer, config.lr = "adamw", 3e-3
    rows = run(config, tmp_path / "run", data_dir)
    assert rows[-1]["step"] == STEPS
    assert rows[-1]["training_loss"] < 0.8 * rows[0]["training_loss"]
    assert rows[-1]["rejected_examples"] == 0
    assert not (tmp_path / "run/rejects.jsonl").exists()
    samples = {p.stem for p in (tmp_path / "run/samples").glob("*.jsonl")}
    assert samples == {"refrad2d_en", "refrad2d_de", "slake", "vqa_rad"} | LOSSES


@pytest.mark.slow
def test_detection_and_questions_of_public_data_train_together(data_dir, tmp_path):
    config = shrink(public_vqa.get_config("variant=tiny,size=28,ground=boxes"))
    rows = run(config, tmp_path / "run", data_dir)
    assert rows[-1]["step"] == STEPS and np.isfinite(rows[-1]["training_loss"])
    assert rows[-1]["rejected_examples"] == 0


@pytest.mark.slow
def test_masks_of_public_data_train_through_the_same_code(data_dir, tmp_path):
    config = shrink(public_vqa.get_config("variant=tiny,size=28,ground=masks"))
    config.log_training_steps = 1
    rows = run(config, tmp_path / "run", data_dir)
    assert rows[-1]["step"] == STEPS and rows[-1]["rejected_examples"] == 0
    assert sum(r["masks"] for r in rows) > 5
    assert all(np.isfinite(r["mask_loss"]) for r in rows)
    samples = {p.stem for p in (tmp_path / "run/samples").glob("*.jsonl")}
    assert samples == {"slake", "vqa_rad", "slake_organs"} | LOSSES - {"refrad2d_xent"}


@pytest.mark.slow
def test_the_segmentation_recipe_is_evaluated_on_every_dataset(data_dir, tmp_path):
    config = shrink(radgrounder_seg.get_config("variant=tiny,size=28"), steps=1)
    run(config, tmp_path / "run", data_dir)
    samples = {p.stem for p in (tmp_path / "run/samples").glob("*.jsonl")}
    assert samples == {"refrad2d_en", "refrad2d_de", "slake", "vqa_rad"} | LOSSES
    assert (tmp_path / "run/report.html").is_file()


def test_released_segmentation_has_the_token_ids_of_the_released_model():
    config = radgrounder_seg.get_config("variant=tiny,size=28,released=True")
    t = tokenizer.load("tiny", tuple(config.tokenizer.sets))
    assert (t.markup["<seg>"], t.markup["</seg>"]) == (t.reserved_id + 1, t.reserved_id + 2)
    assert "crop=" in config.input.slake.pp and "crop=" in config.input.refrad2d.pp


def test_masks_of_public_data_are_evaluated_through_the_same_code(data_dir, tmp_path):
    """A stand-in that writes SLAKE's reference answers and masks has a score of 1."""
    spec = dict(public_vqa.get_config("variant=tiny,size=28,ground=masks").evals.slake_organs)
    made = eval_data.load(spec, str(data_dir))
    references = [made[i]["reference"] for i in range(len(made))]
    assert sum("<seg>" in r for r in references) > 2
    assert len({made[i]["meta"]["id"] for i in range(len(made))}) == len(made)
    done = 0

    def generate(params, batch, *, max_new_tokens):
        nonlocal done
        t, count = tokenizer.load("tiny"), len(batch["text"])
        tokens = np.zeros((count, max_new_tokens), np.int32)
        masks, num = np.zeros((count, 8, 28, 28), bool), np.zeros(count, np.int32)
        for row in range(min(count, len(made) - done)):
            ids = t.encode(references[done], eos=True, specials=True)
            tokens[row, : len(ids)] = ids
            name = re.search("xmlab[0-9]+", made[done]["meta"]["id"])[0]
            grey = np.asarray(Image.open(ROOTS["slake"] / f"imgs/{name}/mask.png"))
            at = [((np.arange(28) + 0.5) * n / 28).astype(int) for n in grey.shape[:2]]
            grey = grey[at[0][:, None], at[1]]
            for k, phrase in enumerate(re.findall("<seg>(.*?)</seg>", references[done])):
                masks[row, k], num[row] = grey == slake.ORGANS[phrase.title()][1], k + 1
            done += 1
        return dict(tokens=tokens, logprob=np.zeros(count), masks=masks, num_masks=num)

    evaluator = evaluators.build(
        "slake_organs",
        spec,
        predict_fns={"generate": generate},
        tokenizer=tokenizer.load("tiny"),
        data_dir=str(data_dir),
        samples_dir=tmp_path,
    )
    metrics = dict(evaluator.run({}))
    assert done == len(made)
    for name in ("g_iou", "mean_iou", "mean_dice", "valid_markup", "report_f1"):
        assert metrics[name] == 1, name
    assert metrics["blank_masks"] == 0 and metrics["mean_iou_liver"] == 1


@pytest.mark.parametrize("data", ["all", "folder"])
def test_the_segmentation_recipe_has_masks_beside_texts_of_every_dataset(data_dir, data):
    config = shrink(radgrounder_seg.get_config(f"variant=tiny,size=28,data={data}"))
    made = input_pipeline.make_train(config, 0, str(data_dir))
    batches = [next(made.iterator) for _ in range(20)]
    made.iterator.close()
    assert not any(b["rejects"] for b in batches)
    end = tokenizer.load("tiny").markup["</seg>"]
    found = 0
    for b in batches:
        assert b["segmap"].shape == (4, 28, 28) and b["segmap"].dtype == np.uint8
        rows, k = np.nonzero(b["mask_pos"] >= 0)
        assert (b["text"][rows, b["mask_pos"][rows, k]] == end).all()
        assert (b["text"] == end).sum() == len(rows)
        for row, class_id in zip(rows, b["mask_class"][rows, k], strict=True):
            assert (b["segmap"][row] == class_id).any()
        found += len(rows)
    assert found > 3


@pytest.mark.slow
def test_a_folder_of_ones_own_trains(data_dir, tmp_path):
    config = shrink(radgrounder_det.get_config("variant=tiny,size=28,data=folder"))
    config.evals = {}
    rows = run(config, tmp_path / "run", data_dir)
    assert rows[-1]["step"] == STEPS and rows[-1]["rejected_examples"] == 0


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_row_of_the_published_table_has_its_batches(data_dir, ablation):
    config = shrink(radgrounder_det.get_config(f"variant=tiny,size=28,{ablation}".rstrip(",")))
    made = input_pipeline.make_train(config, 0, str(data_dir))
    external = [len(core.load_source(n, "train", data_dir)) for n in ("slake", "vqa_rad")]
    assert all(external)
    batches = [next(made.iterator) for _ in range(30)]
    made.iterator.close()
    assert not any(b["rejects"] for b in batches)
    assert batches[0]["image"].shape == (4, 28, 28, 3)
    boxes = tokenizer.load("tiny").loc_ids
    assert any(np.isin(b["text"], boxes).any() for b in batches) == ("none" not in ablation)


@pytest.mark.parametrize("name", ["refrad2d", "slake", "vqa_rad"])
def test_the_page_of_what_the_model_sees_is_written(data_dir, tmp_path, name, capsys):
    out = tmp_path / "page.html"
    inspect_data.main(
        [
            "--config=configs/radgrounder_det.py:variant=tiny,size=28",
            f"--data_dir={data_dir}",
            f"--dataset={name}",
            "--n=2",
            f"--out={out}",
        ]
    )
    assert "<img" in out.read_text() and name in capsys.readouterr().out


def test_five_steps_of_the_segmentation_recipe_move_all_that_is_trained_and_nothing_else(data_dir):
    config = shrink(radgrounder_seg.get_config("variant=tiny,size=28,data=folder"))
    cosine = dict(decay_type="cosine", warmup_percent=0.1)  # As `siglip=frozen` sets it for 3b.
    config.schedule = (("img/head/.*", cosine), ("img/.*", None), (".*", cosine))
    # All parameters are drawn at random, so that every norm has inputs other than 0 and changes.
    vocab = tokenizer.load("tiny").padded_vocab_size
    model = models.make(config.model_name, config.model, vocab)
    rng = np.random.default_rng(0)
    shapes = trees.flatten(models.init_shapes(model, config))
    first = {n: rng.uniform(-0.1, 0.1, x.shape).astype(np.float32) for n, x in shapes.items()}
    optimizer = optim.make(config, first, 5)
    trained = {n: first[n] for n in first if optimizer.trainable[n]}
    state = {
        "params": trees.unflatten(first),
        "opt_state": optimizer.tx.init(trained),
        "step": jnp.zeros((), jnp.int32),
    }
    step = jax.jit(train_step.make_train_step(model, losses.get(config.loss), optimizer, 2))
    data = input_pipeline.make_train(config, 0, str(data_dir)).iterator
    masks = 0
    for _ in range(5):
        batch = {k: v for k, v in next(data).items() if k not in ("id", "rejects")}
        state, metrics = step(state, batch, jax.random.key(0))
        masks += float(metrics["masks"])
    data.close()
    assert masks > 0
    last = trees.flatten(jax.device_get(state["params"]))
    moved = {n for n in first if last[n].tobytes() != first[n].tobytes()}
    frozen = {n for n in first if n.startswith("img/") and not n.startswith("img/head/")}
    assert moved == first.keys() - frozen
    assert any(n.startswith("mask_decoder/") for n in moved) and len(frozen) > 10
