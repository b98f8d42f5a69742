import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from big_rad import trees
from big_rad.models import common


def tree():
    return {
        "a": {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(3, np.float32)},
        "c": np.ones(2, np.float32),
    }


def test_flatten_and_unflatten_are_inverse():
    flat = trees.flatten(tree())
    assert sorted(flat) == ["a/b", "a/w", "c"]
    np.testing.assert_equal(trees.unflatten(flat), tree())


def test_variant_dimensions_are_overridden_by_explicit_ones():
    variants = {"s": dict(width=1, depth=2)}
    resolved = common.resolve_variant("x", variants, "s", width=None, depth=7)
    assert resolved == dict(width=1, depth=7)


def test_unknown_variant_and_missing_dimension_are_named():
    with pytest.raises(ValueError, match="'huge'.*known: s"):
        common.resolve_variant("x", {"s": {}}, "huge")
    with pytest.raises(ValueError, match="set depth, heads"):
        common.resolve_variant("x", {}, None, width=3, depth=None, heads=None)


def test_unknown_remat_policy_is_named():
    with pytest.raises(ValueError, match="'everything'.*full"):
        common.remat(object, "everything")


def test_merge_takes_loaded_values_in_the_dtype_of_the_model():
    loaded = tree()
    loaded["a"]["w"] = (loaded["a"]["w"] + 1).astype(ml_dtypes.bfloat16)
    merged = common.merge(tree(), loaded)
    assert merged["a"]["w"].dtype == np.float32
    np.testing.assert_array_equal(merged["a"]["w"], tree()["a"]["w"] + 1)


def test_merge_names_every_missing_unexpected_and_misshaped_tensor():
    loaded = {"a": {"w": np.zeros((3, 2)), "extra": np.zeros(1)}, "d": np.zeros(1)}
    with pytest.raises(ValueError) as e:
        common.merge(tree(), loaded)
    message = str(e.value)
    for line in (
        "missing: a/b",
        "missing: c",
        "unexpected: a/extra",
        "unexpected: d",
        "shape: a/w is (3, 2), the model has (2, 3)",
    ):
        assert line in message
    assert "dont_load" in message


def test_dont_load_keeps_initial_values_of_full_matches_only():
    loaded = tree()
    loaded["a"]["w"] += 5
    loaded["c"] += 5
    merged = common.merge(tree(), loaded, dont_load=("a/.*",))
    np.testing.assert_array_equal(merged["a"]["w"], tree()["a"]["w"])
    np.testing.assert_array_equal(merged["c"], tree()["c"] + 5)
    with pytest.raises(ValueError, match="missing: a/w"):
        common.merge(tree(), {"c": tree()["c"]}, dont_load=("a/b", "w"))


def test_merge_adapts_only_the_named_tensor_and_reports_one_that_does_not_fit():
    adapt = {"c": lambda old, new: np.resize(new, old.shape) if len(new) > 1 else None}
    loaded = tree() | {"c": np.arange(4.0)}
    np.testing.assert_array_equal(common.merge(tree(), loaded, adapt=adapt)["c"], [0, 1])
    with pytest.raises(ValueError, match=r"shape: c is \(1,\)"):
        common.merge(tree(), tree() | {"c": np.zeros(1)}, adapt=adapt)


def test_position_embedding_of_bf16_is_resized_in_float32():
    # Bilinear interpolation reproduces a plane, except at the edges, where it repeats the border.
    m, n = 4, 8
    y, x = np.mgrid[:m, :m]
    plane = np.stack([y, x, 10 * y + x], axis=-1).astype(ml_dtypes.bfloat16).reshape(1, m * m, 3)
    got = common.resize_position_embedding(np.zeros((1, n * n, 3)), plane)
    assert got.dtype == jnp.float32
    at = np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
    y, x = np.meshgrid(at, at, indexing="ij")
    want = np.stack([y, x, 10 * y + x], axis=-1).reshape(1, n * n, 3)
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("new", [(1, 15, 3), (1, 16, 4), (16, 3)])
def test_position_embedding_that_is_no_square_or_of_other_width_is_refused(new):
    assert common.resize_position_embedding(np.zeros((1, 64, 3)), np.zeros(new)) is None


def test_extended_rows_lie_near_the_mean_and_differ_from_each_other():
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((200, 8)) + 3).astype(ml_dtypes.bfloat16)
    got = np.asarray(common.extend_embedding(np.zeros((208, 8)), table))
    assert got.dtype == np.float32 and got.shape == (208, 8)
    np.testing.assert_array_equal(got[:200], table.astype(np.float32))
    mean, std = table.astype(np.float32).mean(0), table.astype(np.float32).std(0)
    assert (np.abs(got[200:] - mean) < 0.06 * std).all()
    assert len(np.unique(got[200:].round(6), axis=0)) == 8
    np.testing.assert_array_equal(got, common.extend_embedding(np.zeros((208, 8)), table))


@pytest.mark.parametrize("new", [(9, 4), (8, 5), (8,), (1, 8, 4)])
def test_embedding_that_is_larger_or_of_another_rank_or_width_is_a_named_error(new):
    init = {"e": np.zeros((8, 4), np.float32)}
    with pytest.raises(ValueError, match="shape: e is"):
        common.merge(init, {"e": np.zeros(new)}, adapt={"e": common.extend_embedding})
