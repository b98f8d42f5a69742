"""Tests the counts of the benchmarks against published figures and against the compiler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import trees
from big_rad.models import counts, two_towers
from big_rad.training import losses, optim
from tools.benchmarks import hlo, sizes, techniques, training, workload


@pytest.fixture(scope="module")
def paligemma2():
    """The dimensions of PaliGemma 2 3B as published, without added tokens."""
    return counts.dims_of(sizes.make_config("3b", overrides={"model.llm.vocab_size": 257_152}))


def test_the_published_counts_of_paligemma_2_are_met(paligemma2):
    d = paligemma2
    assert round(counts.body_params(d) / 1e9, 4) == 2.0245
    assert round(counts.embedding_params(d) / 1e9, 4) == 0.5925
    assert round(counts.siglip_params(d) / 1e9, 4) == 0.4124
    assert round(counts.projector_params(d) / 1e6, 2) == 2.66
    assert round(counts.token_flops(d) / 1e9, 2) == 4.05
    assert round(counts.head_flops(d) / 1e9, 3) == 1.185
    assert round(counts.siglip_flops(d) / 1e12, 3) == 0.219
    assert round(counts.decode_bytes(d) / 1e9, 2) == 5.23
    assert counts.kv_bytes(d) == 106_496


def test_an_example_costs_what_is_published(paligemma2):
    original = counts.hardware_train_flops(paligemma2, rows=1, text=200, head=456)
    assert round(original / 1e12, 1) == 7.5
    useful = counts.useful_train_flops(paligemma2, prefix=[30], suffix=[23])
    assert round(useful / 1e12, 1) == 4.1
    trained = counts.useful_example_flops(paligemma2, 30, 23, tower=True)
    tower = 2 * counts.siglip_flops(paligemma2) + counts.projector_flops(paligemma2)
    assert trained == pytest.approx(useful + tower)


def test_the_mean_of_examples_is_about_that_of_their_mean_length(paligemma2):
    prefix, suffix = [12, 25, 40, 80], [2, 10, 30, 60]
    each = counts.useful_train_flops(paligemma2, prefix, suffix) / 4
    mean = counts.useful_example_flops(paligemma2, np.mean(prefix), np.mean(suffix))
    assert mean == pytest.approx(each, rel=1e-3)


def test_a_pair_of_towers_costs_what_the_compiler_counts():
    dims = dict(width=192, depth=2, mlp_dim=768, num_heads=3)
    img, txt = dict(dims, patch_size=14), dict(dims, width=128, num_heads=2, mlp_dim=512)
    model = two_towers.Model(
        img=dict(img, scan=False), txt=dict(txt, vocab_size=64, length=32, scan=False)
    )
    batch = jnp.zeros((2, 112, 112, 3)), jnp.zeros((2, 32), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *batch)
    lowered = jax.jit(lambda p, *x: model.apply(p, *x)[0]).lower(shapes, *batch)
    found = lowered.compile().cost_analysis()["flops"] / 2
    assert counts.pair_of_towers_flops(img, txt, 112, 32) == pytest.approx(found, rel=0.05)


def test_parameters_are_counted_as_the_model_has_them():
    config = sizes.make_config("tiny")
    d = counts.dims_of(config)
    found = {k: sum(x.size for x in jax.tree.leaves(v)) for k, v in training.shapes(config).items()}
    assert found["llm"] == counts.body_params(d) + counts.embedding_params(d)
    assert found["img"] == counts.siglip_params(d) + counts.projector_params(d)


def test_allowed_attention_pairs_are_those_of_the_mask():
    from big_rad.models import paligemma

    n, prefix, suffix = 5, 3, 4
    mask_ar = jnp.array([[0] * prefix + [1] * suffix])
    mask = paligemma.make_attn_mask(n, jnp.ones_like(mask_ar, bool), mask_ar)
    assert counts.useful_pairs(n, prefix, suffix) == mask.sum()


WIDE = {  # Much wider than the text is long, so that nearly all operations are matrix products.
    "model.llm.width": 256,
    "model.llm.mlp_dim": 2048,
    "model.llm.head_dim": 64,
    "model.llm.vocab_size": 4096,
    "model.llm.scan": False,
    "model.img.width": 256,
    "model.img.mlp_dim": 2048,
    "model.img.scan": False,
    "model.attention": "xla",
}


@pytest.mark.parametrize(
    "remat, last_block", [("none", "all"), ("full", "all"), ("none", "wanted")]
)
def test_hardware_flops_are_those_the_compiler_counts_without_loops(remat, last_block):
    config = sizes.make_config("tiny", dtype="float32", overrides=WIDE)
    config.model.llm.remat_policy, config.model.last_block = remat, last_block
    rows, text = 2, 40
    batch = {
        "image": jax.ShapeDtypeStruct((rows, 56, 56, 3), jnp.float32),
        **{
            k: jax.ShapeDtypeStruct((rows, text + 1), jnp.int32)
            for k in ("text", "mask_ar", "mask_loss")
        },
    }
    flat = trees.flatten(training.shapes(config))
    trainable = optim.make(config, flat, 10).trainable
    trained = {n: p for n, p in flat.items() if trainable[n]}
    frozen = {n: p for n, p in flat.items() if not trainable[n]}

    def loss(trained, frozen, batch):
        params = trees.unflatten({**frozen, **trained})
        return losses.text_xent(sizes.model(config), params, batch, None, tile=None)[0]

    found = jax.jit(jax.grad(loss)).lower(trained, frozen, batch).cost_analysis()["flops"]
    counted = counts.hardware_train_flops(
        counts.dims_of(config),
        rows=rows,
        text=text,
        head=rows * text,
        remat=remat,
        last_block_positions=text if last_block == "wanted" else None,
    )
    assert abs(counted / found - 1) < 0.03


def test_skipping_work_of_the_last_block_saves_no_more_than_that_block(paligemma2):
    given = dict(rows=1, text=64, head=23)
    all_of_it = counts.hardware_train_flops(paligemma2, **given)
    fewer = counts.hardware_train_flops(paligemma2, **given, last_block_positions=23)
    assert 0 < 1 - fewer / all_of_it < 1 / paligemma2.llm["depth"]


def test_lengths_have_the_mean_that_is_promised_and_a_long_tail():
    examples = workload.draw(2000)
    read = examples.stored - 1
    assert abs(read.mean() - 52) < 0.5 and abs(examples.suffix.mean() - 23) < 0.5
    assert 190 < examples.stored.max() <= workload.LONGEST
    few = workload.draw(32)
    assert abs((few.stored - 1).mean() - 52) < 1.5


@pytest.mark.parametrize("texts", [1, 2])
def test_every_way_gets_the_same_texts(texts):
    config, examples = sizes.make_config("tiny"), workload.draw(8)
    plain = workload.batches(examples, config, rows=4)
    other = workload.batches(
        examples, config, rows=4 // texts, buckets=workload.BUCKETS, texts=texts
    )

    def learned(batches):
        return np.concatenate([b["text"][b["mask_loss"] == 1] for b in batches])

    np.testing.assert_array_equal(learned(plain), learned(other))
    assert all(b["text"].shape[1] == 201 for b in plain)
    if texts == 1:
        for a, b in zip(plain, other):
            np.testing.assert_array_equal(a["image"], b["image"])
            assert b["text"].shape[1] < 201
    else:
        assert all(b["segment"].max() == texts for b in other)


def test_targets_of_the_roofline_are_the_published_multiples_of_the_original():
    options = techniques.best()
    config, examples = sizes.make_config("3b"), workload.draw(48)
    batches = workload.batches(examples, config, rows=48, buckets=workload.BUCKETS)
    found = hlo.ceiling(config, options, examples, batches, 989e12, 3.35e12)
    assert round(found["targets"]["ship"]["of_r0"], 1) == 3.4
    assert round(found["targets"]["ahead of every peer"]["of_r0"], 1) == 4.3
    assert found["useful_flops"] < found["hardware_flops"]
    assert found["bound"] == "arithmetic"


def test_decoding_is_bound_by_memory_and_has_the_published_counts():
    config = sizes.make_config("3b", "det")
    one, many = (hlo.decode_ceiling(config, n, 989e12, 3.35e12) for n in (1, 128))
    assert one["bound"] == many["bound"] == "memory"
    # The 3B model reads 5.23 GB of weights in a step, and 106,496 bytes of cache for each token.
    assert one["bytes"] == pytest.approx(5.23e9 + 292 * 106_496, rel=2e-3)
    assert one["seconds"] == pytest.approx(1.57e-3, rel=1e-2)
    assert many["per_second"] > 40_000
