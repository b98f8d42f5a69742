import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from big_rad.datasets import core
from big_rad.pp import packed
from tests.helpers import declared


@pytest.fixture(scope="module")
def test_split(built):
    return core.load_source("phantom", "test", built)


def test_an_example_has_the_declared_fields(test_split):
    example = test_split[0]
    assert not any(map(declared.not_of_records, test_split))
    image, segmap = packed.unpack(example["image"]), packed.unpack(example["segmap"])
    assert image.dtype == np.int16 and image.shape == (112, 112)
    assert segmap.dtype == np.uint8 and segmap.shape == (112, 112)
    assert example["modality"] in ("CT", "MR")
    assert example["plane"] in ("axial", "coronal", "sagittal")
    assert all(isinstance(example[k], str) for k in ("id", "patient", "body_part"))
    assert {t["task"] for t in example["texts"]} == {"report", "vqa", "detect"}


def test_ids_are_unique(test_split):
    assert len({e["id"] for e in test_split}) == len(test_split) == 30


def test_split_slicing(built):
    whole = core.load_source("phantom", "train", built)
    first = core.load_source("phantom", "train[:10]", built)
    rest = core.load_source("phantom", "train[10:]", built)
    assert len(first) == 10 and len(rest) == len(whole) - 10
    assert first[3]["id"] == whole[3]["id"] and rest[0]["id"] == whole[10]["id"]


def test_a_part_without_an_example_is_an_error_that_names_it(built):
    with pytest.raises(ValueError, match=r"'test\[:0\]' of .* has no example"):
        core.load_source("phantom", "test[:0]", built)


def test_a_source_survives_pickling(test_split):
    again = pickle.loads(pickle.dumps(test_split))
    assert again[5]["texts"] == test_split[5]["texts"]
    assert again[5]["image"] == test_split[5]["image"]


def test_threads_read_what_one_thread_reads(test_split):
    order = list(range(len(test_split))) * 4
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: test_split[i]["image"], order))
    assert got == [test_split[i]["image"] for i in order]


def test_negative_and_too_large_indices(test_split):
    assert test_split[-1]["id"] == test_split[len(test_split) - 1]["id"]
    with pytest.raises(IndexError, match="example 30 of 30"):
        test_split[30]


def test_missing_data_names_folder_and_command(tmp_path):
    with pytest.raises(FileNotFoundError) as e:
        core.load_source("phantom", "train", tmp_path)
    assert str(tmp_path) in str(e.value) and "tools.build_dataset phantom" in str(e.value)


def test_unknown_names_list_the_known(built):
    with pytest.raises(ValueError, match="known: .*phantom"):
        core.load_source("fantom", "train", built)
    with pytest.raises(ValueError, match="'test', 'train', 'validation'"):
        core.load_source("phantom", "dev", built)


def test_expand_gives_one_matching_text_an_item(test_split):
    items = core.OneTextPerItem(test_split, task="vqa", lang="de", question_type="yesno")
    wanted = sum(
        t["task"] == "vqa" and t["lang"] == "de" and t["question_type"] == "yesno"
        for e in test_split
        for t in e["texts"]
    )
    assert len(items) == wanted > 0
    assert len({e["id"] for e in items}) == len(items)
    for item in items:
        (text,) = item["texts"]
        assert (text["lang"], text["question_type"]) == ("de", "yesno")
        assert item["id"].split("#")[0] == item["image_id"]


def test_expand_can_keep_the_texts_of_an_image_together(test_split):
    items = core.OneTextPerItem(test_split, task="report", lang="de", together=True)
    assert [e["id"] for e in items] == [e["id"] for e in test_split]
    for item, whole in zip(items, test_split, strict=True):
        wanted = [t for t in whole["texts"] if (t["task"], t["lang"]) == ("report", "de")]
        assert item["texts"] == wanted and len(wanted) > 1
    assert len(core.OneTextPerItem(test_split, lang="zh", together=True)) == 0


@pytest.mark.parametrize("option", [{"items": -1}, {"items": 0}, {"per_image": -1}])
def test_expand_refuses_numbers_that_would_drop_texts_unseen(test_split, option):
    (name, count), *_ = option.items()
    with pytest.raises(ValueError, match=f"expand: {name}={count}: give a number from 1"):
        core.OneTextPerItem(test_split, **option)


def test_expand_draws_the_same_texts_for_the_same_seed(test_split):
    draws = [
        [e["id"] for e in core.OneTextPerItem(test_split, task="report", per_image=1, seed=s)]
        for s in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(draws[0]) <= len(test_split)
