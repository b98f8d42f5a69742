import collections
import itertools
import json
import time

import jax
import ml_collections
import numpy as np
import pytest

from big_rad import input_pipeline
from big_rad.input_pipeline import core, pp_builder


class Source:
    """Examples that know where they come from; some are slower than others."""

    def __init__(self, name, length):
        self.name, self.length = name, length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        if not 0 <= i < self.length:
            raise IndexError(i)
        if i % 7 == 0:
            time.sleep(0.001)
        return {"id": f"{self.name}-{i}", "image": np.full((2, 2), i, np.float32)}


def preprocess(example):
    """Adds what was drawn from the example's generator."""
    return {
        "id": example["id"],
        "image": example["image"],
        "drawn": example["rng"].integers(1 << 30),
    }


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    def load_source(builder, split, data_dir, **kw):
        assert (split, data_dir) == ("train", "somewhere")
        return Source(builder, kw["length"])

    monkeypatch.setattr(core, "load_source", load_source)
    monkeypatch.setattr(pp_builder, "get_preprocess_fn", lambda pp: preprocess)


def make(lengths, weights=None, *, batch_size=4, num_threads=2, seed=0):
    config = ml_collections.ConfigDict(dict(input=dict(batch_size=batch_size)))
    config.input.num_threads = num_threads
    config.input.data = dict(weights or dict.fromkeys(lengths, 1.0))
    for name, length in lengths.items():
        config.input[name] = dict(
            builder=name, split="train", pp="x", builder_args=dict(length=length)
        )
    return input_pipeline.make_train(config, seed, "somewhere")


def take(train_input, n):
    return list(itertools.islice(train_input.iterator, n))


def assert_same(got, want):
    assert len(got) == len(want)
    for x, y in zip(got, want):
        assert x.keys() == y.keys()
        for k in x:
            np.testing.assert_array_equal(x[k], y[k])


def ids(batches):
    return [i for b in batches for i in b["id"]]


def test_a_batch_has_stacked_arrays_and_lists_of_the_rest():
    (batch,) = take(make({"a": 10}), 1)
    assert batch["image"].shape == (4, 2, 2) and batch["image"].dtype == np.float32
    assert batch["drawn"].shape == (4,) and isinstance(batch["id"], list)


@pytest.mark.parametrize("num_threads", [0, 1, 5])
def test_batches_do_not_depend_on_the_number_of_threads(num_threads):
    want = take(make({"a": 13, "b": 5}, {"a": 2.0, "b": 1.0}, num_threads=2), 12)
    got = take(make({"a": 13, "b": 5}, {"a": 2.0, "b": 1.0}, num_threads=num_threads), 12)
    assert_same(got, want)


@pytest.mark.parametrize("done", [0, 1, 7])
def test_going_on_from_a_saved_position_gives_the_rest_bit_for_bit(done):
    whole = make({"a": 13, "b": 5})
    take(whole, done)
    position = json.loads(json.dumps(whole.iterator.get_state()))
    rest = take(whole, 6)
    resumed = make({"a": 13, "b": 5}, num_threads=4)
    resumed.iterator.set_state(position)
    assert_same(take(resumed, 6), rest)


def test_an_epoch_holds_every_item_once_and_epochs_differ_in_order_and_draws():
    batches = take(make({"a": 12}), 6)
    first, second = ids(batches[:3]), ids(batches[3:])
    assert sorted(first) == sorted(second) == sorted(f"a-{i}" for i in range(12))
    assert first != second and first != sorted(first)
    drawn = np.concatenate([b["drawn"] for b in batches])
    assert len(set(drawn.tolist())) == 24


def test_another_seed_gives_another_order_and_other_draws():
    one, two = (take(make({"a": 12}, seed=s), 3) for s in (0, 1))
    assert ids(one) != ids(two)
    assert not set(one[0]["drawn"].tolist()) & set(two[0]["drawn"].tolist())


def test_two_sources_of_one_kind_are_shuffled_and_drawn_for_apart():
    batches = take(make({"a": 12, "b": 12}), 6)
    order = {n: [i[2:] for i in ids(batches) if i[0] == n] for n in "ab"}
    assert len(order["a"]) == len(order["b"]) == 12 and order["a"] != order["b"]
    assert len(set(np.concatenate([b["drawn"] for b in batches]).tolist())) == 24


@pytest.mark.parametrize(
    "weights", [{"a": 3.0, "b": 1.0}, {"b": 0.25, "a": 0.75}, {"a": 9, "b": 3}]
)
def test_weights_are_shares_of_the_mixture_whatever_the_sizes(weights):
    counts = collections.Counter(i[0] for i in ids(take(make({"b": 50, "a": 3}, weights), 20)))
    assert counts == {"a": 60, "b": 20}


def test_an_epoch_counts_the_items_of_all_sources():
    assert make({"a": 13, "b": 5}).examples_per_epoch == 18


def test_the_rows_of_all_processes_make_the_batch(monkeypatch):
    whole = take(make({"a": 13}), 3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    parts = []
    for index in range(2):
        monkeypatch.setattr(jax, "process_index", lambda i=index: i)
        parts.append(take(make({"a": 13}), 3))
    joined = [{k: list(x[k]) + list(y[k]) for k in x} for x, y in zip(*parts)]
    assert_same(joined, whole)


def test_a_batch_that_does_not_divide_among_processes_is_an_error(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(ValueError, match="batch_size 4 does not divide among 3 processes"):
        take(make({"a": 13}, num_threads=0), 1)


def test_without_shuffling_examples_come_once_in_order_with_repeatable_draws():
    examples = input_pipeline.dataset(Source("a", 5), "x", seed=3, shuffle=False)
    assert len(examples) == 5
    assert [examples[i]["id"] for i in range(5)] == [f"a-{i}" for i in range(5)]
    again = input_pipeline.dataset(Source("a", 5), "x", seed=3, shuffle=False)
    assert [examples[i]["drawn"] for i in range(5)] == [again[i]["drawn"] for i in range(5)]
    assert len({examples[i]["drawn"] for i in range(5)}) == 5


def test_the_last_batch_of_an_evaluation_is_filled_up_and_masked():
    examples = input_pipeline.dataset(Source("a", 5), "x", seed=0, shuffle=False)
    batches = list(input_pipeline.eval_batches(examples, 2))
    assert [b["id"] for b in batches] == [["a-0", "a-1"], ["a-2", "a-3"], ["a-4", "a-4"]]
    assert [b["_mask"].tolist() for b in batches] == [[1, 1], [1, 1], [1, 0]]
    assert list(input_pipeline.eval_batches([], 2)) == []


def test_expand_and_builder_arguments_reach_the_source(monkeypatch):
    monkeypatch.setattr(core, "expand", lambda source, **kw: (source.length, kw))
    spec = dict(builder="a", split="train", builder_args=dict(length=4), expand=dict(task="vqa"))
    assert input_pipeline.make_source(spec, "somewhere") == (4, {"task": "vqa"})
