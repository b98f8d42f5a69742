import collections
import functools
import itertools
import json
import time
import zlib

import jax
import ml_collections
import numpy as np
import pytest

from big_rad import input_pipeline
from big_rad.config import defaults
from big_rad.datasets import core
from big_rad.dicom.errors import ReadError
from big_rad.pp import builder as pp_builder


class Source:
    """Examples whose id contains the name of their source; some are slower than others."""

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


def preprocess(example, text_only=False):
    """Adds a number drawn from the example's generator, and a row of one to twenty tokens."""
    if int(example["id"].split("-")[1]) in BAD:
        raise ReadError("scan.dcm: damaged")
    length = 1 + hash_of(example["id"]) % 20
    text = (np.arange(24) <= length).astype(np.int32)
    rows = {"text": text, "mask_ar": text, "mask_loss": text}
    if text_only:
        return {"text_bound": length + 1}
    return rows | {
        "id": example["id"],
        "image": example["image"],
        "drawn": example["rng"].integers(1 << 30),
    }


BAD = set()
FAKES = {"x": preprocess}


def hash_of(text):
    return zlib.crc32(text.encode())


@pytest.fixture
def bad():
    """The numbers of the items that cannot be used."""
    yield BAD
    BAD.clear()


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    def load_source(builder, split, data_dir, **kw):
        assert (split, data_dir) == ("train", "somewhere")
        return Source(builder, kw["length"])

    monkeypatch.setattr(core, "load_source", load_source)
    monkeypatch.setattr(
        pp_builder, "get_preprocess_fn", lambda pp, **kw: functools.partial(FAKES[pp], **kw)
    )


def make(lengths, data=None, *, batch_size=4, num_threads=2, seed=0, **inputs):
    config = ml_collections.ConfigDict(dict(input=dict(batch_size=batch_size)))
    defaults.fill(config)
    config.input.num_threads = num_threads
    config.input.update(inputs)
    config.input.data = dict(data or dict.fromkeys(lengths, 1.0))
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
        for k in x.keys() - {"rejects"}:
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


def test_the_last_batch_of_an_evaluation_is_filled_up_and_masked():
    examples = Source("a", 5)
    batches = list(input_pipeline.eval_batches(examples, 2))
    assert [b["id"] for b in batches] == [["a-0", "a-1"], ["a-2", "a-3"], ["a-4", "a-4"]]
    assert [b["_mask"].tolist() for b in batches] == [[1, 1], [1, 1], [1, 0]]
    assert list(input_pipeline.eval_batches([], 2)) == []


def test_expand_and_builder_arguments_reach_the_source(monkeypatch):
    monkeypatch.setattr(core, "OneTextPerItem", lambda source, **kw: (source.length, kw))
    spec = dict(builder="a", split="train", builder_args=dict(length=4), expand=dict(task="vqa"))
    assert core.make_source(spec, "somewhere") == (4, {"task": "vqa"})


@pytest.mark.parametrize("num_threads", [0, 3])
def test_a_bad_example_weighs_nothing_and_is_listed(bad, num_threads):
    want = take(make({"a": 12}), 3)
    bad |= {4, 9}
    got = take(make({"a": 12}, num_threads=num_threads), 3)
    assert ids(got) == ids(want)
    rejects = [r for b in got for r in b["rejects"]]
    assert sorted(rejects, key=lambda r: r["id"]) == [
        {"dataset": "a", "id": f"a-{i}", "error": "ReadError", "reason": "scan.dcm: damaged"}
        for i in (4, 9)
    ]
    for g, w in zip(got, want):
        for row, name in enumerate(g["id"]):
            if name in ("a-4", "a-9"):
                assert not g["mask_loss"][row].any() and g["text"][row].any()
            else:
                for k in ("image", "drawn", "text", "mask_loss"):
                    np.testing.assert_array_equal(g[k][row], w[k][row])


def test_a_batch_of_bad_examples_only_has_rows_that_weigh_nothing(bad):
    bad |= set(range(12)) - {7}
    batches = take(make({"a": 12}), 3)
    assert sum(b["mask_loss"].any(axis=1).sum() for b in batches) == 1
    assert sum(len(b["rejects"]) for b in batches) == 11


def test_if_nothing_can_be_used_the_first_reason_is_raised(bad):
    bad |= set(range(12))
    with pytest.raises(ValueError, match=r"no example.*'a-\d+' of a: ReadError: scan.dcm"):
        take(make({"a": 12}, num_threads=0), 1)


def test_an_item_that_the_source_cannot_read_is_a_reject(monkeypatch):
    def read(self, i):
        if i == 3:
            raise OSError("record is cut off")
        return {"id": f"a-{i}", "image": np.zeros((2, 2), np.float32)}

    monkeypatch.setattr(Source, "__getitem__", read)
    (reject,) = [r for b in take(make({"a": 8}), 2) for r in b["rejects"]]
    assert (reject["id"], reject["reason"]) == ("item 3", "record is cut off")


BUCKETS = dict(buckets=(6, 12, 16), bucket_window=4)


def test_buckets_hold_the_same_examples_of_a_window_in_shorter_rows():
    plain, bucketed = (take(make({"a": 13, "b": 50}, **kw), 12) for kw in ({}, BUCKETS))
    for w in range(0, 12, 4):
        assert sorted(ids(bucketed[w : w + 4])) == sorted(ids(plain[w : w + 4]))
    rows = {(i, d): t for b in plain for i, d, t in zip(b["id"], b["drawn"].tolist(), b["text"])}
    for batch in bucketed:
        length = batch["text"].shape[1] - 1
        assert length in (6, 12, 16, 23)
        for i, d, text in zip(batch["id"], batch["drawn"].tolist(), batch["text"]):
            row = rows[i, d]
            np.testing.assert_array_equal(text, row[: length + 1])
            assert not row[length + 1 :].any()
    assert np.mean([b["text"].shape[1] for b in bucketed]) < 18
    assert len({b["text"].shape[1] for b in bucketed}) > 2


def test_buckets_are_the_shortest_that_fit():
    for batch in take(make({"a": 50}, **BUCKETS), 12):
        longest = max(input_pipeline.row_length(t) for t in batch["text"])
        fits = [b for b in (6, 12, 16, 23) if b >= longest]
        assert batch["text"].shape[1] - 1 == fits[0]


def test_bucketed_batches_do_not_depend_on_threads_or_where_one_starts():
    want = take(make({"a": 13, "b": 5}, **BUCKETS), 14)
    assert_same(take(make({"a": 13, "b": 5}, num_threads=5, **BUCKETS), 14), want)
    resumed = make({"a": 13, "b": 5}, **BUCKETS)
    resumed.iterator.set_state({"next_index": 9})
    assert_same(take(resumed, 5), want[9:])


def test_all_processes_cut_to_the_same_bucket(monkeypatch):
    whole = take(make({"a": 40}, **BUCKETS), 8)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    parts = []
    for index in range(2):
        monkeypatch.setattr(jax, "process_index", lambda i=index: i)
        parts.append(take(make({"a": 40}, **BUCKETS), 8))
    joined = [{k: list(x[k]) + list(y[k]) for k in x} for x, y in zip(*parts)]
    assert_same(joined, whole)


def test_a_process_reads_only_its_own_rows(monkeypatch):
    read = []
    original = Source.__getitem__

    def noting(self, i):
        if self.name == "noted":  # Threads of other tests may still be prefetching.
            read.append(i)
        return original(self, i)

    monkeypatch.setattr(Source, "__getitem__", noting)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    batches = take(make({"noted": 40}, num_threads=0), 5)
    assert read == [int(i.split("-")[1]) for i in ids(batches)] and len(read) == 10


def test_weights_by_epoch_count_how_often_an_epoch_holds_an_item():
    made = make({"a": 60, "b": 40}, {"a": 1.0, "b": 2.0}, batch_size=7, weights="epochs")
    assert made.examples_per_epoch == 140
    counts = collections.Counter(i[0] for i in ids(take(made, 20)))
    assert abs(counts["a"] - 60) <= 1 and abs(counts["b"] - 80) <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(weights="share"), "config.input.weights 'share' is none of shares, epochs"),
        (dict(buckets=(12, 6)), "must be rising"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make({"a": 6}, **settings)


def test_a_weight_of_nothing_is_refused():
    with pytest.raises(ValueError, match="config.input.data.b is 0.0; leave the dataset out"):
        make({"a": 6, "b": 4}, {"a": 1.0, "b": 0.0})
