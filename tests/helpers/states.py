"""A small training state in every dtype that checkpoints hold, and its comparison."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

META = {"config": {"lr": 0.1, "mesh": [["data", -1]]}, "versions": {"jax": "1"}}


def make_state(seed=0):
    """A trainer's state: nested parameters of two dtypes, flat names in the optimizer's part."""
    rng = np.random.default_rng(seed)
    w = jnp.asarray(rng.standard_normal((3, 4)), jnp.float32)
    params = {
        "img": {"head": {"kernel": w.astype(jnp.bfloat16), "bias": jnp.zeros(4, jnp.bfloat16)}},
        "llm": {"w": w, "scalar": w[0, 0]},
    }
    adam = optax.ScaleByAdamState(jnp.int32(7), {"llm/w": w / 3}, {"llm/w": w / 7})
    opt_state = (optax.EmptyState(), adam, {"llm/w": {"v": w}})
    return {"params": params, "opt_state": opt_state, "step": jnp.int32(5)}


def abstract(state):
    def leaf(x):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    return jax.tree.map(leaf, state)


def assert_same(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
