import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import models, trees
from big_rad.models import siglip

DIMS = dict(width=16, depth=2, mlp_dim=32, num_heads=2, patch_size=4)


def model(**kw):
    return siglip.Model(**{**DIMS, "num_classes": 6, **kw})


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def params(tiny, image):
    return tiny.randomise(jax.eval_shape(model().init, jax.random.key(0), image)["params"])


@pytest.fixture(scope="module")
def reference(params, image):
    return jax.jit(model().apply)({"params": params}, image)


def layer_norm(x, p):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * p["scale"] + p["bias"]


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def naive(params, image, heads=2, patch=4):
    """The tower for one image in plain numpy, float64; returns (encoded, tokens)."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    rows = []
    for y in range(0, image.shape[0] - patch + 1, patch):
        for x in range(0, image.shape[1] - patch + 1, patch):
            window = image[y : y + patch, x : x + patch]
            rows.append(np.tensordot(window, p["embedding"]["kernel"], 3) + p["embedding"]["bias"])
    x = np.stack(rows) + p["pos_embedding"][0]
    blocks = p["Transformer"]["encoderblock"]
    for layer in range(blocks["LayerNorm_0"]["scale"].shape[0]):
        b = jax.tree.map(lambda w: w[layer], blocks)  # noqa: B023 -- used at once
        attn, mlp = b["MultiHeadDotProductAttention_0"], b["MlpBlock_0"]
        y = layer_norm(x, b["LayerNorm_0"])
        out = np.zeros_like(x) + attn["out"]["bias"]
        for h in range(heads):
            q, k, v = (
                y @ attn[n]["kernel"][:, h] + attn[n]["bias"][h] for n in ("query", "key", "value")
            )
            weights = np.exp(q @ k.T / np.sqrt(q.shape[-1]))
            out += weights / weights.sum(-1, keepdims=True) @ v @ attn["out"]["kernel"][h]
        x = x + out
        y = layer_norm(x, b["LayerNorm_1"])
        y = gelu_tanh(y @ mlp["Dense_0"]["kernel"] + mlp["Dense_0"]["bias"])
        x = x + y @ mlp["Dense_1"]["kernel"] + mlp["Dense_1"]["bias"]
    encoded = layer_norm(x, p["Transformer"]["encoder_norm"])
    return encoded, encoded @ p["head"]["kernel"] + p["head"]["bias"]


@pytest.mark.parametrize("size, tokens", [(224, 256), (448, 1024), (896, 4096)])
def test_so400m_has_the_names_and_shapes_of_the_original_checkpoints(size, tokens):
    tower = siglip.Model(variant="So400m/14", num_classes=2304)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    shapes = jax.eval_shape(tower.init, jax.random.key(0), image)["params"]
    attn = "Transformer/encoderblock/MultiHeadDotProductAttention_0"
    want = {
        "embedding/kernel": (14, 14, 3, 1152),
        "embedding/bias": (1152,),
        "pos_embedding": (1, tokens, 1152),
        "Transformer/encoderblock/LayerNorm_0/scale": (27, 1152),
        "Transformer/encoderblock/LayerNorm_0/bias": (27, 1152),
        "Transformer/encoderblock/LayerNorm_1/scale": (27, 1152),
        "Transformer/encoderblock/LayerNorm_1/bias": (27, 1152),
        f"{attn}/query/kernel": (27, 1152, 16, 72),
        f"{attn}/query/bias": (27, 16, 72),
        f"{attn}/key/kernel": (27, 1152, 16, 72),
        f"{attn}/key/bias": (27, 16, 72),
        f"{attn}/value/kernel": (27, 1152, 16, 72),
        f"{attn}/value/bias": (27, 16, 72),
        f"{attn}/out/kernel": (27, 16, 72, 1152),
        f"{attn}/out/bias": (27, 1152),
        "Transformer/encoderblock/MlpBlock_0/Dense_0/kernel": (27, 1152, 4304),
        "Transformer/encoderblock/MlpBlock_0/Dense_0/bias": (27, 4304),
        "Transformer/encoderblock/MlpBlock_0/Dense_1/kernel": (27, 4304, 1152),
        "Transformer/encoderblock/MlpBlock_0/Dense_1/bias": (27, 1152),
        "Transformer/encoder_norm/scale": (1152,),
        "Transformer/encoder_norm/bias": (1152,),
        "head/kernel": (1152, 2304),
        "head/bias": (2304,),
    }
    assert {k: v.shape for k, v in trees.flatten(shapes).items()} == want
    if size == 224:
        assert sum(x.size for x in jax.tree.leaves(shapes)) == 415_098_864


def test_forward_equals_a_plain_numpy_transformer(reference, params, image):
    tokens, out = reference
    for i in range(2):
        encoded, want = naive(params, image[i])
        np.testing.assert_allclose(out["encoded"][i], encoded, atol=1e-4)
        np.testing.assert_allclose(tokens[i], want, atol=1e-4)


def test_pixels_beyond_the_last_whole_patch_are_ignored(reference, params, image):
    wider = np.pad(image, [(0, 0), (0, 3), (0, 2), (0, 0)], constant_values=9.0)
    got = jax.jit(model().apply)({"params": params}, wider)
    np.testing.assert_array_equal(got[0], reference[0])


def test_without_classes_there_is_no_head(params, image):
    headless = model(num_classes=0)
    rest = {k: v for k, v in params.items() if k != "head"}
    shapes = jax.eval_shape(headless.init, jax.random.key(0), image)["params"]
    assert jax.tree.structure(shapes) == jax.tree.structure(rest)
    tokens, out = jax.eval_shape(headless.apply, {"params": rest}, image)
    assert tokens.shape == out["encoded"].shape == (2, 4, 16)


def test_unrolled_layers_have_the_same_parameters_and_values(reference, params, image):
    unrolled = model(scan=False)
    shapes = jax.eval_shape(unrolled.init, jax.random.key(0), image)["params"]
    assert jax.tree.map(lambda x: x.shape, shapes) == jax.tree.map(lambda x: x.shape, params)
    got = jax.jit(unrolled.apply)({"params": params}, image)
    np.testing.assert_allclose(got[0], reference[0], atol=1e-5)


def test_recomputation_gives_the_same_gradient(params, image):
    def grad(**kw):
        def loss(p):
            return jnp.square(model(**kw).apply({"params": p}, image)[0]).mean()

        return jax.jit(jax.grad(loss))(params)

    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5, rtol=1e-4),
        grad(remat_policy="full"),
        grad(),
    )


def test_bf16_compute_is_bf16_and_stays_close(reference, params, image):
    got = jax.jit(model(dtype_mm="bfloat16").apply)({"params": params}, image)
    assert got[0].dtype == got[1]["encoded"].dtype == jnp.bfloat16
    error = np.abs(np.float32(got[0]) - reference[0]).max()
    assert error < 0.05 * np.abs(reference[0]).max()


def test_load_resizes_the_position_embedding_and_names_what_does_not_fit(params):
    init = dict(params, pos_embedding=np.zeros((1, 16, 16), np.float32))
    got = models.load("siglip", init, params)
    assert got["pos_embedding"].shape == (1, 16, 16)
    np.testing.assert_array_equal(got["head"]["kernel"], params["head"]["kernel"])
    with pytest.raises(ValueError, match="shape: pos_embedding"):
        models.load("siglip", init, dict(params, pos_embedding=np.zeros((1, 3, 16), np.float32)))
    with pytest.raises(ValueError, match="missing: head/bias"):
        models.load("siglip", init, dict(params, head={"kernel": params["head"]["kernel"]}))
