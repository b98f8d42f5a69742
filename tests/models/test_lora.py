import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import models, trees
from big_rad.models import gemma, lora
from big_rad.training import losses

SPEC = dict(rank=3, alpha=6.0)
LAYERS = tuple(gemma.Model(variant="tiny").dims().layer_shapes())
NAMES = (*LAYERS, lora.TABLE)


@pytest.fixture(scope="module")
def adapted(tiny):
    """A model whose adapters are not zero: (plain model, adapted model, parameters)."""
    model = tiny.make(lora=SPEC)
    tokens = np.ones((1, 4), np.int32)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), tiny.image[:1], tokens, 0 * tokens)
    )
    params = tiny.randomise(shapes["params"], seed=4)
    return tiny.make(), model, params


@pytest.fixture(scope="module")
def batch(tiny):
    text = np.random.default_rng(0).integers(3, 64, (4, 7)).astype(np.int32)
    return tiny.image, text, np.int32(np.arange(7) >= 3) * np.ones_like(text)


def test_the_shapes_are_those_of_the_decoder_and_only_the_subtree_lora_is_new(tiny, adapted):
    _, _, params = adapted
    flat, plain = trees.flatten(params), trees.flatten(tiny.params)
    assert {n: x.shape for n, x in flat.items() if not n.startswith("lora/")} == {
        n: x.shape for n, x in plain.items()
    }
    shapes = gemma.Model(**tiny.make().llm).dims().layer_shapes()
    assert shapes == {n: plain[f"llm/layers/{n}"].shape for n in LAYERS}
    assert sorted(n for n in flat if n.startswith("lora/")) == sorted(
        f"lora/{n}/{part}" for n in NAMES for part in "ab"
    )


def test_new_adapters_change_nothing(tiny, adapted, batch):
    plain, model, _ = adapted
    params = jax.jit(model.init)(jax.random.key(0), *batch)["params"]
    params = {**params, **tiny.params}
    assert any(np.any(a) for a in jax.tree.leaves(params["lora"]))
    np.testing.assert_array_equal(
        model.apply({"params": params}, *batch)[0],
        plain.apply({"params": tiny.params}, *batch)[0],
    )


@pytest.mark.parametrize("last_block", ["all", "wanted"])
def test_merged_and_unmerged_agree_in_logits_to_1e_5(tiny, adapted, batch, last_block):
    plain, model, params = adapted
    model = model.clone(last_block=last_block)
    got = model.apply({"params": params}, *batch)[0]
    want = plain.apply({"params": lora.merge(params, SPEC)}, *batch)[0]
    without = plain.apply({"params": {k: v for k, v in params.items() if k != "lora"}}, *batch)[0]
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
    assert np.abs(want - without).max() > 0.1 * np.abs(want).max()


@pytest.mark.parametrize("name", NAMES)
def test_each_matrix_may_be_the_only_target(tiny, adapted, batch, name):
    plain, _, params = adapted
    spec = dict(SPEC, targets=name)
    one = {n: x for n, x in trees.flatten(params).items() if "lora" not in n or name in n}
    one = trees.unflatten(one)
    got = tiny.make(lora=spec).apply({"params": one}, *batch)[0]
    merged = lora.merge(one, spec)
    changed = [
        n
        for n, x in trees.flatten(merged).items()
        if np.any(np.asarray(x) != np.asarray(trees.flatten(params)[n]))
    ]
    assert changed == [f"llm/{name}" if name == lora.TABLE else f"llm/layers/{name}"]
    want = plain.apply({"params": merged}, *batch)[0]
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_a_row_of_the_tables_adapter_changes_that_token_alone(tiny, adapted):
    _, _, params = adapted
    new = lora.init(jax.random.key(0), {lora.TABLE: (64, 16)}, dict(SPEC, targets=lora.TABLE))
    adapter = new["embedder"]["input_embedding"]
    assert not np.any(adapter["a"]) and np.all(np.any(adapter["b"], axis=1))
    adapter["a"] = adapter["a"].at[7].set(1.0)
    table = params["llm"]["embedder"]["input_embedding"]
    merged = lora.merge({"llm": params["llm"], "lora": new}, dict(SPEC, targets=lora.TABLE))
    changed = np.any(merged["llm"]["embedder"]["input_embedding"] != table, axis=1)
    assert np.flatnonzero(changed).tolist() == [7]


def test_gradients_of_a_frequent_token_add_up_in_float32_whatever_the_products_are_in():
    sizes = dict(width=16, depth=1, mlp_dim=8, num_heads=1, num_kv_heads=1, head_dim=8)
    dims = gemma.Model(**sizes, vocab_size=8, dtype_mm="bfloat16").dims()
    embedder, tokens = gemma.Embedder(dims, parent=None), np.full(4096, 3)
    b = jnp.ones((1, 16), jnp.bfloat16)

    def total(a):
        adapter = {"a": a.astype(jnp.bfloat16), "b": b}
        table = {"params": {"input_embedding": jnp.zeros((8, 16), jnp.bfloat16)}}
        x = embedder.apply(table, tokens, adapter, method="encode")
        return x.astype(jnp.float32).sum()

    grad = jax.grad(total)(jnp.zeros((8, 1)))
    assert grad[3, 0] == pytest.approx(4096 * 16 * 16**0.5, rel=1e-2)


def test_the_loss_in_tiles_and_its_gradients_are_those_of_the_plain_logits(adapted, batch):
    _, model, params = adapted
    image, text, mask_ar = batch
    rows = dict(image=image, text=text, mask_ar=mask_ar, mask_loss=mask_ar)

    def loss(adapters, tile):
        whole = {**params, "lora": adapters}
        return losses.text_xent(model, whole, rows, None, tile=tile)[0]

    (tiled, grads), (plain, want) = (
        jax.jit(jax.value_and_grad(loss), static_argnums=1)(params["lora"], tile)
        for tile in (8, None)
    )
    np.testing.assert_allclose(tiled, plain, rtol=1e-5)
    for x, y in zip(jax.tree.leaves(grads), jax.tree.leaves(want)):
        np.testing.assert_allclose(x, y, atol=1e-5 * max(1, np.abs(y).max()))
    assert np.any(grads["embedder"]["input_embedding"]["a"])


def test_decoding_steps_see_the_adapters(tiny, adapted, batch):
    plain, model, params = adapted
    merged = lora.merge(params, SPEC)
    jax.tree.map(
        np.testing.assert_array_equal, model.decode_weights(params), plain.decode_weights(merged)
    )
    image, text, _ = batch
    got = model.apply({"params": params}, image, text, 0 * text, method=model.prefill)
    want = plain.apply({"params": merged}, image, text, 0 * text, method=plain.prefill)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
        np.testing.assert_allclose(x, y, atol=1e-4 * max(1, np.abs(y).max()))


def test_numpy_trees_merge_to_the_same_numbers(adapted):
    _, _, params = adapted
    device = lora.merge(jax.tree.map(jnp.asarray, params), SPEC)
    host = lora.merge(params, SPEC)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(host))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), device, host)


def test_a_model_without_adapters_is_loaded_into_one_with_new_ones(tiny, adapted, batch):
    _, model, _ = adapted
    init = jax.jit(model.init)(jax.random.key(1), *batch)["params"]
    loaded = models.load("paligemma", init, tiny.params)
    jax.tree.map(np.testing.assert_array_equal, loaded["llm"], tiny.params["llm"])
    jax.tree.map(np.testing.assert_array_equal, loaded["lora"], init["lora"])


@pytest.mark.parametrize(
    "spec", [dict(alpha=1), dict(rank=0), dict(rank=2, target=".*"), dict(rank=2, targets="wq")]
)
def test_a_wrong_setting_names_the_field(spec):
    with pytest.raises(ValueError, match="config.model.lora"):
        lora.check(spec)
