import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.models import mask_decoder
from big_rad.trees import flatten

FEATURES = np.random.default_rng(0).normal(size=(3, 64, 20)).astype(np.float32)
HIDDEN = np.random.default_rng(1).normal(size=(3, 24)).astype(np.float32)


def model(**kw):
    return mask_decoder.Model(**{**dict(dim=32, num_heads=4, mlp_dim=48, image_size=112), **kw})


def init(m, features=FEATURES, hidden=HIDDEN):
    return jax.jit(m.init)(jax.random.key(0), features, hidden)


@pytest.mark.parametrize("grid, side", [(4, 64), (8, 64), (16, 64), (32, 64), (60, 60)])
def test_learned_steps_double_the_grid_until_it_has_56_cells_a_side(grid, side):
    m = model()
    features = jax.ShapeDtypeStruct((3, grid**2, 20), jnp.float32)
    (logits, out), _ = jax.eval_shape(m.init_with_output, jax.random.key(0), features, HIDDEN)
    assert out["small"].shape == (3, side, side) and logits.shape == (3, 112, 112)


@pytest.mark.parametrize("kw", [dict(), dict(variant="released", dim=24, num_heads=4)])
def test_each_mask_depends_on_its_own_image_and_hidden_state_alone(kw):
    m = model(**kw)
    params = init(m)
    apply = jax.jit(lambda f, h: m.apply(params, f, h)[0])
    logits = apply(FEATURES, HIDDEN)
    assert logits.dtype == jnp.float32
    alone = apply(FEATURES[1:2], HIDDEN[1:2])
    np.testing.assert_allclose(alone[0], logits[1], atol=1e-5)
    for changed in (apply(FEATURES[::-1].copy(), HIDDEN), apply(FEATURES, HIDDEN[::-1].copy())):
        assert jnp.abs(changed[0] - logits[0]).max() > 1e-3
        np.testing.assert_allclose(changed[1], logits[1], atol=1e-5)


def test_positions_tell_the_cells_of_a_grid_apart_and_are_fixed():
    at = mask_decoder.fourier_positions(8, 32)
    assert at.shape == (64, 32) and np.abs(at).max() <= 1
    distance = np.linalg.norm(at[:, None] - at[None], axis=-1) + 100 * np.eye(64)
    assert distance.min() > 0.1
    np.testing.assert_array_equal(at, mask_decoder.fourier_positions(8, 32))


def test_the_paper_variant_knows_where_a_feature_lies():
    m = model()
    params = init(m)
    blank = np.zeros((1, 64, 20), np.float32)
    out = [
        m.apply(params, np.where(np.arange(64)[:, None] == k, 3.0, blank), HIDDEN[:1])[1]["small"]
        for k in (0, 63)
    ]
    assert jnp.abs(out[0] - out[1]).max() > 1e-3


def test_the_default_is_the_papers_size():
    m = mask_decoder.Model()
    assert m.variant == "paper"
    assert m.dims() == dict(dim=256, depth=2, num_heads=8, mlp_dim=2048)
    shapes = jax.eval_shape(
        m.init, jax.random.key(0), jnp.zeros((1, 256, 1152)), jnp.zeros((1, 2304))
    )
    flat = flatten(shapes["params"])
    assert flat["prompt_projection/kernel"].shape == (2304, 256)
    assert flat["block_0/cross_attn_token_to_image/q_proj/kernel"].shape == (256, 128)


def test_bfloat16_stays_near_float32_and_finite():
    exact, rough = model(), model(dtype_mm="bfloat16")
    params = init(exact)
    a, b = (m.apply(params, FEATURES, HIDDEN)[0] for m in (exact, rough))
    assert b.dtype == jnp.float32 and jnp.isfinite(b).all()
    assert jnp.abs(a - b).mean() < 0.05 * jnp.abs(a).mean() + 0.05


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_masks_of_one_image_follow_each_other(variant):
    m = model(variant=variant, dim=32 if variant == "paper" else 24)
    hidden = np.random.default_rng(2).normal(size=(6, 24)).astype(np.float32)
    params = init(m)
    got, _ = m.apply(params, FEATURES, hidden)
    want, _ = m.apply(params, FEATURES.repeat(2, axis=0), hidden)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    assert np.abs(got[0] - got[1]).max() > 1e-3
    with pytest.raises(ValueError, match="7 hidden states for 3 images"):
        m.apply(params, FEATURES, np.zeros((7, 24), np.float32))


def test_nested_cells_are_laid_out_by_row_and_column():
    grid, steps = 3, 2
    row, column = np.divmod(np.arange(grid * grid), grid)
    for _ in range(steps):  # A step cuts each cell into two by two.
        row, column = (
            2 * x[..., None] + np.array(quarter)
            for x, quarter in ((row, [0, 0, 1, 1]), (column, [0, 1, 0, 1]))
        )
    side = grid * 4
    got = mask_decoder.unnest(jnp.asarray(row * side + column)[None], grid)
    np.testing.assert_array_equal(got[0], np.arange(side * side).reshape(side, side))


@pytest.mark.parametrize(
    "kw, features, message",
    [
        (dict(variant="sam"), FEATURES, "mask_decoder variant 'sam'"),
        (dict(dim=30), FEATURES, "dim 30 must be a multiple of 2 x"),
        (dict(variant="released", dim=26), FEATURES, "dim 26 must be a multiple of 1 x"),
        (dict(variant="released"), FEATURES, "dim must be that, not 32"),
        (dict(), FEATURES[:, :63], "63 image tokens are no square grid"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(kw, features, message):
    with pytest.raises(ValueError, match=message):
        init(model(**kw), features)
