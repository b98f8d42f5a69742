"""Every published format, from files to twenty training steps, through the command lines."""

import json

import numpy as np
import pytest

from big_rad import input_pipeline, train
from big_rad.datasets import core
from big_rad.pp import tokenizer
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
        root = tmp_path_factory.mktemp(name)
        write(root)
        options = [o.format(root=root) for o in options]
        assert validate_data.main([name, f"--source={root}", *options]) in (0, None)
        build_dataset.main(
            [name, f"--source={root}", f"--data_dir={data_dir}", "--workers=1", *options]
        )
    return data_dir


def shrink(config, steps=STEPS):
    """Makes a recipe small enough to run here."""
    config.total_epochs, config.total_steps = None, steps
    config.log_training_steps = 10
    config.input.batch_size, config.grad_accum = 4, 1
    for spec in config.evals.values():
        spec.batch_size, spec.max_new_tokens, spec.limit = 2, 4, 2
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
    assert samples == {"refrad2d_en", "refrad2d_de", "slake", "vqa_rad"}


@pytest.mark.slow
def test_detection_and_questions_of_public_data_train_together(data_dir, tmp_path):
    config = shrink(public_vqa.get_config("variant=tiny,size=28,ground=boxes"))
    rows = run(config, tmp_path / "run", data_dir)
    assert rows[-1]["step"] == STEPS and np.isfinite(rows[-1]["training_loss"])
    assert rows[-1]["rejected_examples"] == 0


@pytest.mark.slow
def test_masks_of_public_data_train_through_the_same_code(data_dir, tmp_path):
    config = shrink(public_vqa.get_config("variant=tiny,size=28,ground=masks"))
    config.log_training_steps, config.evals = 1, {}
    rows = run(config, tmp_path / "run", data_dir)
    assert rows[-1]["step"] == STEPS and rows[-1]["rejected_examples"] == 0
    assert sum(r["masks"] for r in rows) > 5
    assert all(np.isfinite(r["mask_loss"]) for r in rows)


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
