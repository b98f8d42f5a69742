import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.models import attention


def naive(q, k, v, mask, cap):
    """Grouped-query attention in plain loops; q [B, T, heads, d], k and v [B, S, kv, d]."""
    b, t, heads, d = q.shape
    group = heads // k.shape[2]
    out = np.zeros((b, t, heads, d))
    for i in range(b):
        for h in range(heads):
            for j in range(t):
                logits = k[i, :, h // group] @ q[i, j, h]
                logits = cap * np.tanh(logits / cap) if cap else logits
                logits = np.where(mask[i, j], logits, -np.inf)
                weights = np.exp(logits - logits.max())
                out[i, j, h] = weights / weights.sum() @ v[i, :, h // group]
    return out


def draw(seed, b, t, s, kv=2, group=3, d=4):
    rng = np.random.default_rng(seed)
    q = 2 * rng.standard_normal((b, t, kv * group, d), np.float32)
    k, v = (rng.standard_normal((b, s, kv, d), np.float32) for _ in range(2))
    return q, k, v


@pytest.mark.parametrize("cap", [0.0, 2.0])
def test_grouped_queries_are_ordered_kv_then_group_and_match_plain_loops(cap):
    q, k, v = draw(0, 2, 3, 5)
    mask = np.random.default_rng(1).random((2, 3, 5)) < 0.6
    mask[..., 0] = True
    got = attention.attend_dense(q.reshape(2, 3, 2, 3, 4), [k], [v], jnp.asarray(mask), cap)
    np.testing.assert_allclose(np.reshape(got, (2, 3, 6, 4)), naive(q, k, v, mask, cap), atol=1e-5)


def test_keys_in_pieces_equal_keys_in_one_piece():
    q, k, v = draw(2, 2, 3, 7)
    mask = jnp.asarray(np.random.default_rng(3).random((2, 3, 7)) < 0.7).at[..., 0].set(True)
    q = q.reshape(2, 3, 2, 3, 4)
    whole = attention.attend_dense(q, [k], [v], mask, 5.0)
    parts = [slice(0, 2), slice(2, 3), slice(3, 7)]
    pieces = attention.attend_dense(
        q, [k[:, p] for p in parts], [v[:, p] for p in parts], mask, 5.0
    )
    np.testing.assert_allclose(whole, pieces, atol=1e-6)


def test_no_mask_equals_a_mask_of_ones():
    q, k, v = draw(4, 1, 3, 3)
    q = q.reshape(1, 3, 2, 3, 4)
    ones = jnp.ones((1, 3, 3), bool)
    np.testing.assert_array_equal(
        attention.attend_dense(q, [k], [v], None, 50.0),
        attention.attend_dense(q, [k], [v], ones, 50.0),
    )


def test_a_query_that_sees_nothing_gives_finite_values_and_gradients():
    q, k, v = draw(5, 1, 2, 3)
    q = q.reshape(1, 2, 2, 3, 4)
    mask = jnp.zeros((1, 2, 3), bool)

    def total(q, k, v):
        return attention.attend_dense(q, [k], [v], mask, 50.0).sum()

    value, grads = jax.jit(jax.value_and_grad(total, (0, 1, 2)))(q, k, v)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)


def test_logits_and_softmax_are_float32_for_bf16_inputs():
    # Logits 256 and 257 are the same number in bf16, but not in float32.
    q = jnp.asarray([[[[[16.0, 1.0]]]]], jnp.bfloat16)
    k = jnp.asarray([[[[16.0, 0.0]], [[16.0, 1.0]]]], jnp.bfloat16)
    v = jnp.asarray([[[[0.0, 0.0]], [[1.0, 1.0]]]], jnp.bfloat16)
    out = attention.attend_dense(q, [k], [v], None, 0.0)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(out).ravel(), 1 / (1 + np.exp(-1)), rtol=4e-3)


def test_soft_cap_has_the_values_of_the_formula_and_zero_turns_it_off():
    x = jnp.asarray([-1000.0, -50.0, 0.0, 1.0, 50.0, 1000.0])
    want = [-50, -50 * np.tanh(1), 0, 50 * np.tanh(0.02), 50 * np.tanh(1), 50]
    np.testing.assert_allclose(attention.soft_cap(x, 50.0), want, rtol=1e-6)
    np.testing.assert_array_equal(attention.soft_cap(x, 0.0), x)


# ---- Other implementations of the same function ----

N, LENGTH, BLOCKS = 3, 4, 2
T = LENGTH * BLOCKS


def layout(prefix_seen):
    """Two rows of [3 image | 8 text tokens]: (structured mask, dense mask, valid)."""
    # Block 1 of row 0 holds one text of 3 and padding; row 1 has two texts in its first block.
    segment = np.array([[1, 1, 1, 0, 2, 2, 2, 2], [1, 1, 2, 2, 0, 0, 0, 0]])
    prefix = np.array([[1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]], bool)
    small = np.zeros((2, BLOCKS, LENGTH, LENGTH), bool)
    dense = np.zeros((2, N + T, N + T), bool)
    dense[:, :N, :N] = True
    if prefix_seen:
        dense[:, :N, N:] = prefix[:, None]
    for i in range(2):
        for x in range(T):
            for y in range(T):
                if segment[i, x] and segment[i, x] == segment[i, y] and y <= x:
                    dense[i, N + x, N + y] = True
                    small[i, x // LENGTH, x % LENGTH, y % LENGTH] = True
            if segment[i, x]:
                dense[i, N + x, :N] = True
    seen = np.concatenate([np.ones((2, N), bool), segment > 0], axis=1)[..., None, None, None]
    mask = attention.StructuredMask(
        jnp.asarray(small), jnp.asarray(prefix) if prefix_seen else None, N
    )
    return mask, jnp.asarray(dense), seen


def assert_equal_with_gradients(one, other, q, k, v):
    got, got_vjp = jax.vjp(jax.jit(one), q, k, v)
    want, want_vjp = jax.vjp(jax.jit(other), q, k, v)
    np.testing.assert_allclose(got, want, atol=1e-5)
    weight = np.random.default_rng(7).standard_normal(got.shape, np.float32)
    for x, y in zip(got_vjp(weight), want_vjp(weight)):
        np.testing.assert_allclose(x, y, atol=1e-5)


@pytest.mark.parametrize("skip", [0, N])
@pytest.mark.parametrize("prefix_seen", [False, True])
def test_structured_attention_equals_dense_in_value_and_gradient_on_ragged_blocks(
    prefix_seen, skip
):
    q, k, v = draw(6, 2, N + T, N + T)
    q = q.reshape(2, N + T, 2, 3, 4)
    mask, dense, seen = layout(prefix_seen)
    seen = seen[:, skip:]

    def structured(q, k, v):
        rows = attention.last_rows(mask, skip)
        return attention.attend_structured(q[:, skip:], k, v, rows, 3.0) * seen

    def reference(q, k, v):
        rows = attention.last_rows(dense, skip)
        return attention.attend_dense(q[:, skip:], [k], [v], rows, 3.0) * seen

    assert_equal_with_gradients(structured, reference, q, k, v)


@pytest.mark.parametrize("skip", [0, N])
def test_the_fused_layout_equals_dense_without_a_cap_in_value_and_gradient(skip):
    # The same function and arguments as with cuDNN, but XLA carries them out.
    q, k, v = draw(8, 2, N + T, N + T)
    q = q.reshape(2, N + T, 2, 3, 4)
    _, dense, seen = layout(True)
    seen = seen[:, skip:]

    def fused(q, k, v):
        rows = attention.last_rows(attention.FusedMask(dense), skip)
        return attention.attend_cudnn(q[:, skip:], k, v, rows, implementation="xla") * seen

    def reference(q, k, v):
        rows = attention.last_rows(dense, skip)
        return attention.attend_dense(q[:, skip:], [k], [v], rows, 0.0) * seen

    assert_equal_with_gradients(fused, reference, q, k, v)


def test_a_structured_mask_can_leave_out_the_image_and_nothing_else():
    mask, _, _ = layout(True)
    with pytest.raises(ValueError, match="first 3 positions are the image, not 2"):
        attention.last_rows(mask, 2)


def test_auto_says_what_it_chose_and_why():
    kind, why = attention.choose("auto", 50.0, "bfloat16", 256)
    assert kind == "structured" and "soft cap" in why and "50" in why
    kind, why = attention.choose("auto", 0.0, "float32", 256)
    assert kind == "structured" and "bfloat16 or float16" in why
    kind, why = attention.choose("auto", 0.0, "bfloat16", 256)
    assert kind == "structured" and "no GPU (cpu)" in why  # Tests run on a CPU.
    assert attention.choose("xla", 50.0, "float32", 8)[0] == "xla"


def test_a_kernel_that_cannot_be_had_is_an_error_with_the_remedy():
    with pytest.raises(ValueError, match='"cudnn".*attn_logits_softcap is 50; use "structured"'):
        attention.choose("cudnn", 50.0, "bfloat16", 256)
    with pytest.raises(ValueError, match="config.model.attention 'flash'; known: xla"):
        attention.choose("flash", 0.0, "bfloat16", 256)


@pytest.mark.parametrize("cap", [0.0, 2.0])
def test_one_query_a_row_over_a_cache_matches_plain_loops(cap):
    q, k, v = draw(6, 3, 1, 7)
    mask = np.arange(7) <= np.array([[0], [4], [6]])
    keys, values = jnp.moveaxis(k, 1, 3), jnp.moveaxis(v, 1, 2)
    got = attention.attend_one(q.reshape(3, 2, 3, 4), keys, values, jnp.asarray(mask), cap)
    want = naive(q, k, v, mask[:, None], cap)
    np.testing.assert_allclose(np.reshape(got, (3, 1, 6, 4)), want, atol=1e-5)
