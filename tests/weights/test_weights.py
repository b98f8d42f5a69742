"""`weights.load` reads any format, and fitting to a model never holds two copies of the weights."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import models, trees, weights
from big_rad.weights import huggingface, npz, orbax, tensors

CFG = dict(
    img=dict(width=16, depth=2, mlp_dim=32, num_heads=2, patch_size=4),
    llm=dict(width=16, depth=2, mlp_dim=32, num_heads=4, num_kv_heads=2, head_dim=8, vocab_size=64),
)


def flat(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


def quiet(_):
    pass


@pytest.fixture(scope="module")
def places(tiny, tmp_path_factory):
    """The same parameters as npz, Hugging Face folder and run."""
    root = tmp_path_factory.mktemp("weights")
    npz.save(root / "a.npz", tiny.params)
    huggingface.save(root / "hf", CFG, tiny.params)
    orbax.save(root / "run", tiny.params, {"model": CFG})
    return dict(
        npz=root / "a.npz",
        huggingface=root / "hf",
        orbax=root / "run",
        checkpoints=root / "run/checkpoints",
        step=root / "run/checkpoints/0",
    )


@pytest.mark.parametrize("name", ["npz", "huggingface", "orbax", "checkpoints", "step"])
@pytest.mark.parametrize("lazy", [False, True])
def test_every_format_gives_the_same_tree(name, lazy, places, tiny):
    assert weights.kind(places[name]) == (name if name not in ("checkpoints", "step") else "orbax")
    got, want = flat(weights.load(places[name], lazy=lazy, log=quiet)), flat(tiny.params)
    assert got.keys() == want.keys()
    for n in want:
        assert isinstance(got[n], tensors.Lazy if lazy else np.ndarray)
        np.testing.assert_array_equal(got[n], want[n], err_msg=n)


def test_dtype_and_sharding_hold_for_every_format(places):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    for name in ("npz", "huggingface", "orbax"):
        got = weights.load(places[name], dtype="bfloat16", sharding=device, log=quiet)
        assert all(x.dtype == jnp.bfloat16 and x.sharding == device for x in jax.tree.leaves(got))


def test_a_missing_file_says_where_the_original_is_to_be_had(tmp_path):
    for ask in (weights.check, weights.load, weights.kind):
        with pytest.raises(FileNotFoundError) as e:
            ask(tmp_path / "paligemma2-3b-pt-224.npz")
        message = str(e.value)
        for part in ("paligemma2-3b-pt-224.npz", "Kaggle", "Hugging Face", "licence"):
            assert part in message


def test_an_unknown_format_names_the_known_ones(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"x")
    for path in (tmp_path / "a.h5", tmp_path):
        with pytest.raises(ValueError, match="no known kind: an .npz file, a Hugging Face folder"):
            weights.load(path)


def test_paligemma_1_is_refused_by_name_as_npz(tiny, tmp_path):
    one = {n: x for n, x in flat(tiny.params).items() if "post_" not in n}
    np.savez(tmp_path / "a.npz", **one)
    with pytest.raises(ValueError, match="PaliGemma 1"):
        weights.load(tmp_path / "a.npz")


# ---- Fitting to a model ----


def abstract(model, size, dtype=jnp.float32):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    image = jnp.zeros((1, size, size, 3))
    tokens = jnp.ones((1, 2), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype, sharding=device), shapes)


def test_lazy_arrays_are_fitted_to_shapes_one_at_a_time(places, tiny):
    tree = weights.load(places["npz"], lazy=True)
    got = models.load("paligemma", abstract(tiny.make(), 8, jnp.bfloat16), tree)
    assert all(isinstance(x, jax.Array) and x.dtype == jnp.bfloat16 for x in jax.tree.leaves(got))
    want = jax.tree.map(lambda x: x.astype(jnp.bfloat16), tiny.params)
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_more_rows_and_another_resolution_are_fitted_and_all_else_kept(places, tiny):
    model = tiny.make(llm=dict(vocab_size=80))
    got = flat(
        models.load("paligemma", abstract(model, 16), weights.load(places["npz"], lazy=True))
    )
    want = flat(tiny.params)
    changed = {n for n in want if got[n].shape != want[n].shape}
    assert changed == {"img/pos_embedding", "llm/embedder/input_embedding"}
    table = got["llm/embedder/input_embedding"]
    np.testing.assert_array_equal(table[:64], want["llm/embedder/input_embedding"])
    assert np.isfinite(table).all()
    for name in want.keys() - changed:
        np.testing.assert_array_equal(got[name], want[name])


def test_what_dont_load_keeps_needs_a_value(places, tiny):
    tree = weights.load(places["npz"], lazy=True)
    with pytest.raises(ValueError, match="dont_load keeps img/head/bias, img/head/kernel"):
        models.load("paligemma", abstract(tiny.make(), 8), tree, dont_load=("img/head/.*",))


def test_a_subtree_replaces_the_image_tower(places, tiny):
    tree = weights.load(f"{places['npz']}:img", lazy=True)
    initial = trees.unflatten({n: np.zeros_like(x) for n, x in flat(tiny.params["img"]).items()})
    jax.tree.map(
        np.testing.assert_array_equal, models.load("siglip", initial, tree), tiny.params["img"]
    )
