import json

import numpy as np
import pytest

from big_rad.datasets import core
from big_rad.datasets.phantom import builder
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES
from big_rad.datasets.phantom.body.scanner import Scanner
from big_rad.datasets.phantom.body.slices import make_slices
from big_rad.pp import packed


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if ".array_record" in p.name}


def test_the_number_of_workers_does_not_change_a_byte(built, tmp_path):
    sizes = json.loads((built / "phantom/demo/2.0.0/build.json").read_text())["params"]
    sizes = {k: sizes[k] for k in ("train", "validation", "test")}
    again = builder.build("demo", tmp_path, workers=1, **sizes)
    assert not again.reused and again.counts == sizes
    assert files(again.folder) == files(built / "phantom/demo/2.0.0")
    assert len(files(again.folder)) == 3


def test_no_patient_is_in_two_splits(built):
    patients = [
        {e["patient"] for e in core.load_source("phantom", s, built)}
        for s in ("train", "validation", "test")
    ]
    assert [len(p) for p in patients] == [30, 30, 30]
    assert len(set.union(*patients)) == 90


def test_what_is_read_is_what_was_made(built):
    source = core.load_source("phantom", "train", built)
    config = builder.CONFIGS["demo"]
    for example in (source[0], source[57]):
        number, k = (int(v) for v in example["id"].removeprefix("P").split("-"))
        piece = make_slices(config.seed, number, config.per_patient, 112, DEMO_CLASSES, True)[k]
        np.testing.assert_array_equal(packed.unpack(example["image"]), piece.image)
        np.testing.assert_array_equal(packed.unpack(example["segmap"]), piece.segmap)
        assert example["texts"] == builder.texts_of(piece, config.seed, number, k, True)
        assert example["plane"] == piece.plane.name


def test_building_again_reuses_and_other_sizes_are_refused(built):
    before = files(built / "phantom/demo/2.0.0")
    assert builder.build("demo", built, train=120, validation=30, test=30).reused
    with pytest.raises(ValueError, match=r"train=120 \(now 124\).*--overwrite"):
        builder.build("demo", built, train=124, validation=30, test=30)
    assert files(built / "phantom/demo/2.0.0") == before


def test_the_usual_look_is_not_stored_so_that_older_data_are_not_refused(built):
    sizes = dict(train=120, validation=30, test=30)
    params = json.loads((built / "phantom/demo/2.0.0/build.json").read_text())["params"]
    assert not {"noise", "contrast", "fov"} & set(params)
    assert builder.build("demo", built, noise=100, contrast=100, fov=100, **sizes).reused
    with pytest.raises(ValueError, match=r"noise=100 \(now 200\).*--overwrite"):
        builder.build("demo", built, noise=200, **sizes)


def test_another_look_is_built_stored_and_reused(tmp_path):
    sizes = dict(train=2, validation=1, test=2, workers=1)
    look = dict(noise=200, contrast=60, fov=120)
    first = builder.build("demo", tmp_path, **look, **sizes)
    stored = json.loads((first.folder / "build.json").read_text())["params"]
    assert {k: stored[k] for k in look} == look
    source = core.load_source("phantom", "test", tmp_path)
    for example in source:
        number = int(example["id"].removeprefix("P").split("-")[0])
        piece = make_slices(0, number, 1, 112, DEMO_CLASSES, True, Scanner(**look))[0]
        np.testing.assert_array_equal(packed.unpack(example["image"]), piece.image)
        np.testing.assert_array_equal(packed.unpack(example["segmap"]), piece.segmap)
        assert example["texts"] == builder.texts_of(piece, 0, number, 0, True)
    assert builder.build("demo", tmp_path, **look, **sizes).reused
    with pytest.raises(ValueError, match=r"contrast=60 \(now 100\), fov=120 \(now 100\)"):
        builder.build("demo", tmp_path, **sizes)


def test_data_that_other_code_has_made_are_built_again(tmp_path, monkeypatch):
    sizes = dict(train=2, validation=1, test=1, workers=1)
    first = builder.build("demo", tmp_path, **sizes)
    monkeypatch.setattr(builder, "code_digest", lambda: "other")
    again = builder.build("demo", tmp_path, **sizes)
    assert again == first and not again.reused
    assert json.loads((first.folder / "build.json").read_text())["params"]["code"] == "other"


def test_the_full_configuration_has_fine_classes(tmp_path):
    builder.build("full", tmp_path, workers=1, train=8, validation=1, test=1)
    source = core.load_source("phantom", "train", tmp_path, config="full")
    seen = set()
    for example in source:
        assert packed.unpack(example["image"]).shape == (224, 224)
        seen |= set(np.unique(packed.unpack(example["segmap"])).tolist())
    assert len(seen) > 24 and max(seen) <= 121
    assert not seen & {118, 119, 121}


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no config 'tiny'; there are demo, full"):
        builder.build("tiny", tmp_path)
    with pytest.raises(ValueError, match="no parameter .'trian'.*'train'"):
        builder.build("demo", tmp_path, trian=3)


def test_at_least_24_classes_are_in_the_anatomy():
    assert len(DEMO_CLASSES) == 20
    assert len(builder.FULL_CLASSES) >= 40
