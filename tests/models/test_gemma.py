import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from big_rad import models, trees
from big_rad.models import gemma, rope

DIMS = dict(width=16, depth=2, mlp_dim=32, num_heads=4, num_kv_heads=2, head_dim=8, vocab_size=64)


def model(**kw):
    return gemma.Model(**{**DIMS, **kw})


def whole(m, tokens, positions, mask):
    """Runs embedding, blocks and logits of a bound model."""
    hidden, out = m(m.embed(tokens), positions, mask)
    return m.logits(hidden), (hidden, out)


@pytest.fixture(scope="module")
def row():
    tokens = np.random.default_rng(0).integers(3, 64, (2, 6))
    positions = np.broadcast_to(np.arange(6), (2, 6))
    return tokens, positions, np.broadcast_to(np.tri(6, dtype=bool), (2, 6, 6))


@pytest.fixture(scope="module")
def params(tiny, row):
    shapes = jax.eval_shape(lambda: model().init(jax.random.key(0), *row, method=whole))
    return tiny.randomise(shapes["params"])


def run(params, row, **kw):
    return jax.jit(lambda p: model(**kw).apply({"params": p}, *row, method=whole))(params)


@pytest.fixture(scope="module")
def reference(params, row):
    return run(params, row)


def rms_norm(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * (1 + scale)


def rotate(x, positions):
    """Rotates [T, d] pair by pair, feature i with feature i + d / 2."""
    half = x.shape[-1] // 2
    out = np.zeros_like(x)
    for t, position in enumerate(positions):
        for i in range(half):
            a = position / 10_000 ** (i / half)
            turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
            out[t, i], out[t, i + half] = turn @ [x[t, i], x[t, i + half]]
    return out


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def naive(params, tokens, positions, mask, scale=8**-0.5, cap=50.0):
    """The decoder for one row in plain numpy, float64; returns logits [T, vocab]."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    table = p["embedder"]["input_embedding"]
    x = table[tokens] * np.sqrt(table.shape[1])
    for layer in range(2):
        b = jax.tree.map(lambda w: w[layer], p["layers"])  # noqa: B023 -- used at once
        y = rms_norm(x, b["pre_attention_norm"]["scale"])
        out = np.zeros_like(x)
        for h in range(4):
            q = rotate(y @ b["attn"]["q_einsum"]["w"][h], positions) * scale
            k = rotate(y @ b["attn"]["kv_einsum"]["w"][0, h // 2], positions)
            v = y @ b["attn"]["kv_einsum"]["w"][1, h // 2]
            logits = q @ k.T
            logits = np.where(mask, cap * np.tanh(logits / cap) if cap else logits, -np.inf)
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            out += weights @ v @ b["attn"]["attn_vec_einsum"]["w"][h]
        x = x + rms_norm(out, b["post_attention_norm"]["scale"])
        y = rms_norm(x, b["pre_ffw_norm"]["scale"])
        gate, up = b["mlp"]["gating_einsum"]
        y = gelu_tanh(y @ gate) * (y @ up) @ b["mlp"]["linear"]
        x = x + rms_norm(y, b["post_ffw_norm"]["scale"])
    return rms_norm(x, p["final_norm"]["scale"]) @ table.T


SIZES = {
    "gemma2_2b": (2304, 26, 9216, 8, 4, 256),
    "gemma2_9b": (3584, 42, 14336, 16, 8, 256),
    "gemma2_27b": (4608, 46, 36864, 32, 16, 128),
}


@pytest.mark.parametrize("variant", SIZES)
def test_variants_have_the_names_and_shapes_of_the_original_checkpoints(variant):
    width, depth, mlp, heads, kv, head = SIZES[variant]
    m = gemma.Model(variant=variant)
    tokens = jnp.ones((1, 2), jnp.int32)
    mask = jnp.ones((1, 2, 2), bool)
    shapes = jax.eval_shape(lambda: m.init(jax.random.key(0), tokens, tokens, mask, method=whole))
    want = {
        "embedder/input_embedding": (257152, width),
        "final_norm/scale": (width,),
        "layers/attn/q_einsum/w": (depth, heads, width, head),
        "layers/attn/kv_einsum/w": (depth, 2, kv, width, head),
        "layers/attn/attn_vec_einsum/w": (depth, heads, head, width),
        "layers/mlp/gating_einsum": (depth, 2, width, mlp),
        "layers/mlp/linear": (depth, mlp, width),
        "layers/pre_attention_norm/scale": (depth, width),
        "layers/post_attention_norm/scale": (depth, width),
        "layers/pre_ffw_norm/scale": (depth, width),
        "layers/post_ffw_norm/scale": (depth, width),
    }
    assert {k: v.shape for k, v in trees.flatten(shapes["params"]).items()} == want
    if variant == "gemma2_2b":
        assert sum(x.size for x in jax.tree.leaves(shapes)) == 2_616_996_096


def test_queries_are_scaled_by_head_dim_except_in_27b_by_width_over_heads():
    dims = {v: gemma.Model(variant=v).dims() for v in SIZES}
    assert dims["gemma2_2b"].query_scale is None and dims["gemma2_9b"].query_scale is None
    assert dims["gemma2_27b"].query_scale == pytest.approx(1 / 12)


def test_explicit_fields_win_over_the_variant_and_missing_sizes_are_named():
    dims = gemma.Model(variant="gemma2_27b", depth=3, query_scale=0.5, scan=False).dims()
    assert (dims.depth, dims.query_scale, dims.scan, dims.width) == (3, 0.5, False, 4608)
    with pytest.raises(ValueError, match="set depth, mlp_dim, num_heads, num_kv_heads, head_dim"):
        gemma.Model(width=8).dims()


def test_caps_are_50_for_attention_and_off_for_logits_by_default():
    dims = gemma.Model(variant="gemma2_2b").dims()
    assert (dims.attn_logits_softcap, dims.final_logits_softcap) == (50.0, 0.0)


@pytest.mark.parametrize(
    "kw, naive_kw",
    [
        ({}, {}),
        (dict(query_scale=0.9, attn_logits_softcap=1.5), dict(scale=0.9, cap=1.5)),
        (dict(attn_logits_softcap=0.0), dict(cap=0.0)),
    ],
)
def test_forward_equals_a_plain_numpy_decoder(params, row, kw, naive_kw):
    tokens, positions, mask = row
    logits, _ = run(params, row, **kw)
    for i in range(2):
        want = naive(params, tokens[i], positions[i], mask[i], **naive_kw)
        np.testing.assert_allclose(logits[i], want, atol=2e-4)


def test_a_small_attention_cap_changes_the_logits(params, row, reference):
    assert np.abs(run(params, row, attn_logits_softcap=0.5)[0] - reference[0]).max() > 1e-2


def test_final_cap_is_cap_times_tanh_of_the_logits(params, row, reference):
    logits, (hidden, _) = run(params, row, final_logits_softcap=3.0)
    np.testing.assert_array_equal(hidden, reference[1][0])
    np.testing.assert_allclose(logits, 3 * np.tanh(reference[0] / 3), atol=1e-5)


def test_output_logits_are_the_unscaled_product_with_the_tied_table(params, reference):
    logits, (hidden, _) = reference
    table = params["embedder"]["input_embedding"]
    np.testing.assert_allclose(logits, np.asarray(hidden) @ table.T, atol=1e-5)


def test_text_embeddings_are_rows_of_the_table_times_the_root_of_the_width(params):
    got = model().apply({"params": params}, jnp.asarray([[5, 7]]), method="embed")
    np.testing.assert_allclose(got[0], 4 * params["embedder"]["input_embedding"][[5, 7]], rtol=1e-6)


# ---- Rotary positions ----


def rotated(x, positions):
    return rope.apply_rope(x, rope.make_rope(positions, x.shape[-1]))


def test_position_zero_is_not_rotated():
    x = np.random.default_rng(0).standard_normal((1, 3, 2, 8), np.float32)
    np.testing.assert_array_equal(rotated(x, np.zeros((1, 3), np.int32)), x)


def test_rotation_golden_pairs_first_half_with_second_half():
    # Position 3 and four features: features 0 and 2 are rotated by 3 radians, and features 1 and 3
    # by 3 / 100 radians.
    x = np.array([1.0, 2.0, 3.0, 4.0], np.float32).reshape(1, 1, 1, 4)
    got = np.ravel(rotated(x, np.array([[3]])))
    want = [
        1 * np.cos(3) - 3 * np.sin(3),
        2 * np.cos(0.03) - 4 * np.sin(0.03),
        3 * np.cos(3) + 1 * np.sin(3),
        4 * np.cos(0.03) + 2 * np.sin(0.03),
    ]
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(
        got, [-1.41335252, 1.87911819, -2.82885748, 4.05819114], rtol=1e-5
    )  # The same values, as numbers.


def test_query_key_products_depend_on_the_distance_only():
    rng = np.random.default_rng(1)
    q, k = (rng.standard_normal((1, 1, 1, 16), np.float32) for _ in range(2))

    def product(i, j):
        i, j = np.array([[i]]), np.array([[j]])
        return float((rotated(q, i) * rotated(k, j)).sum())

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-4)
    assert product(7, 3) != pytest.approx(product(8, 3), abs=1e-2)
    assert product(3, 7) != pytest.approx(product(7, 3), abs=1e-2)


def test_rotation_of_bf16_is_computed_in_float32():
    x = np.random.default_rng(2).standard_normal((1, 4, 1, 8), np.float32)
    x = x.astype(ml_dtypes.bfloat16)
    positions = np.array([[1000, 1001, 1002, 4095]])
    got = rotated(jnp.asarray(x), positions)
    want = rotated(x.astype(np.float32), positions)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_array_equal(got, want.astype(jnp.bfloat16))


# ---- Products, norms and precision ----


@pytest.mark.parametrize("dtype, atol", [("float32", 1e-5), ("bfloat16", 0.1)])
def test_the_widening_product_has_the_gradients_of_a_plain_one(dtype, atol):
    rng = np.random.default_rng(5)
    shapes = ((2, 3, 4), (4, 7), (2, 3, 7))
    x, w, d = (jnp.asarray(rng.standard_normal(s), dtype) for s in shapes)
    got, got_vjp = jax.vjp(gemma.up_projection, x, w)
    want, want_vjp = jax.vjp(jnp.dot, x, w)
    np.testing.assert_array_equal(got, want)
    for a, b in zip(got_vjp(d), want_vjp(d), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(np.float32(a), np.float32(b), atol=atol)


def test_norm_multiplies_by_one_plus_scale_in_float32():
    x = np.random.default_rng(3).standard_normal((2, 16), np.float32)
    scale = np.linspace(-0.5, 0.5, 16, dtype=np.float32)
    got = gemma.RMSNorm().apply({"params": {"scale": scale}}, x)
    np.testing.assert_allclose(got, rms_norm(x, scale), rtol=1e-5)
    got = gemma.RMSNorm().apply({"params": {"scale": scale}}, jnp.asarray(x, jnp.bfloat16))
    want = rms_norm(np.float32(x.astype(ml_dtypes.bfloat16)), scale).astype(ml_dtypes.bfloat16)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.float32(got), np.float32(want))


def test_a_scale_below_bf16_resolution_is_not_lost():
    x = jnp.ones((1, 16), jnp.float32)
    got = gemma.RMSNorm().apply({"params": {"scale": jnp.full(16, 1e-3)}}, x)
    np.testing.assert_allclose(got, 1.001, rtol=1e-5)


def test_bf16_compute_is_bf16_with_float32_logits_and_stays_close(params, row, reference):
    logits, (hidden, _) = run(params, row, dtype_mm="bfloat16")
    assert hidden.dtype == jnp.bfloat16 and logits.dtype == jnp.float32
    error = np.abs(logits - reference[0])
    assert error.max() < 0.1 * np.abs(reference[0]).max()


# ---- Loops, recomputation, cache ----


def test_unrolled_layers_have_the_same_parameters_and_values(params, row, reference):
    logits, (_, out) = run(params, row, scan=False)
    np.testing.assert_allclose(logits, reference[0], atol=1e-5)
    np.testing.assert_allclose(out["kv"]["k"], reference[1][1]["kv"]["k"], atol=1e-5)


def test_every_remat_policy_gives_the_same_gradient(params, row):
    def grad(**kw):
        def loss(p):
            return jnp.square(model(**kw).apply({"params": p}, *row, method=whole)[0]).mean()

        return jax.jit(jax.grad(loss))(params)

    want = grad()
    for policy in ("full", "dots", "dots_no_batch"):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5, rtol=1e-4),
            grad(remat_policy=policy),
            want,
        )


def test_attending_to_a_cache_equals_the_whole_sequence(params, row, reference):
    tokens, positions, mask = row
    logits, (_, out) = reference
    cache = jax.tree.map(lambda x: x[:, :, :4], out["kv"])

    def rest(m, cache):
        hidden, _ = m(m.embed(tokens[:, 4:]), positions[:, 4:], mask[:, 4:], cache)
        return m.logits(hidden)

    got = jax.jit(lambda p, c: model().apply({"params": p}, c, method=rest))(params, cache)
    np.testing.assert_allclose(got, logits[:, 4:], atol=1e-5)


def test_load_extends_the_table_and_names_what_does_not_fit(params):
    init = dict(params, embedder={"input_embedding": np.zeros((72, 16), np.float32)})
    got = models.load("gemma", init, params)["embedder"]["input_embedding"]
    np.testing.assert_array_equal(got[:64], params["embedder"]["input_embedding"])
    with pytest.raises(ValueError, match="shape: embedder/input_embedding"):
        models.load("gemma", params, init)
