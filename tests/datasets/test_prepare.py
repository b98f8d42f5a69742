"""Sources of a config are checked and built before training, or refused."""

import json

import numpy as np
import pytest

from big_rad.datasets import prepare


def write(root, missing, images=30):
    """A folder of small images with a report in two languages; the first images are missing."""
    root.mkdir()
    lines = []
    for n in range(images):
        line = {"id": f"s{n}", "patient": f"p{n // 2}", "image": f"s{n}.npy", "modality": "CT"}
        line |= {"split": ("train", "train", "validation", "test")[n // 2 % 4]}
        lines.append(line | {"report": "The liver is normal.", "boxes": [[0, 0, 4, 4, "liver"]]})
        lines.append(line | {"report": "Die Leber ist normal.", "language": "de"})
        if n >= missing:
            np.save(root / line["image"], np.zeros((8, 8), np.int16))
    (root / "data.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return root


def prepared(root, data_dir, **options):
    said = []
    spec = {"source": str(root), "workers": 1} | options
    prepare.prepare({"folder": spec}, data_dir, said.append)
    return said


def test_8_of_30_images_missing_stop_training_with_the_option_of_the_config(tmp_path):
    root = write(tmp_path / "own", missing=8)
    with pytest.raises(ValueError, match="cannot be used, more than max_reject_share=0.01") as e:
        prepared(root, tmp_path)
    said = str(e.value)
    assert "data.jsonl:1: image: s0.npy: there is no such file" in said
    assert f"python -m tools.validate_data folder --source={root}" in said
    assert "--config.sources.folder.max_reject_share=0." in said
    assert not (tmp_path / "folder").exists()


def test_a_share_over_all_splits_binds_where_each_split_has_one_bad_item(tmp_path):
    root = write(tmp_path / "own", missing=0, images=16)
    lines = (root / "data.jsonl").read_text().splitlines()
    one_each = [line for line in lines if "language" not in json.loads(line)]
    (root / "data.jsonl").write_text("\n".join(one_each) + "\n")
    for name in ("s0", "s4", "s6"):
        (root / f"{name}.npy").unlink()
    with pytest.raises(ValueError, match="folder, all splits: 3 of 16 items cannot be used"):
        prepared(root, tmp_path)


def test_one_missing_image_is_left_out_and_said_and_said_again_when_it_is_reused(tmp_path):
    root = write(tmp_path / "own", missing=1)
    first = "\n".join(prepared(root, tmp_path))
    assert "folder: 1 examples or lines are left out:" in first and "s0.npy: there is no" in first
    held = "folder: train: 15 images of 8 patients; en: 15 reports (15 grounded); de: 15 reports"
    assert held in first
    again = "\n".join(prepared(root, tmp_path))
    assert held in again and "folder: 1 errors left something out" in again
    assert "rejects.jsonl" in again
