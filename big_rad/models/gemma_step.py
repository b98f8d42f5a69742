"""One new token a row through the Gemma 2 decoder, with nothing copied that is only read.

`gemma.Model` scans over stacked layers, which suits training: at one token a row, though, slicing
a layer's weights and cache out of the stack moves as many bytes as the products themselves. Here
layers are apart, matrices lie in the compute dtype and in the order in which the products read
them, and the cache is updated in place. The blocks are those of `gemma`. Knows nothing of loops.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from big_rad.models import gemma

Cache = list[dict[str, jax.Array]]  # of each layer: `k` and `v`, [B, kv, S, head_dim]


def prepare(dims: gemma.Dims, params: Mapping[str, Any]) -> dict[str, Any]:
    """Takes the decoder's parameters apart.

    Args:
        dims: sizes of the decoder.
        params: its tree, `{"embedder", "layers", "final_norm"}`.

    Returns:
        `layers`, a list with one dict a layer, `final_norm` and `embedder`, for `step`.
    """

    def matrix(w: jax.Array) -> jax.Array:
        return w.astype(dims.dtype_mm)

    def layer(i: int) -> dict[str, Any]:
        one = jax.tree.map(lambda w: w[i], params["layers"])
        attn, mlp = one.pop("attn"), one.pop("mlp")
        return {
            "norms": one,
            "q": matrix(attn["q_einsum"]["w"]).transpose(1, 0, 2),
            "kv": matrix(attn["kv_einsum"]["w"]).transpose(0, 1, 3, 2),
            "out": matrix(attn["attn_vec_einsum"]["w"]).transpose(1, 0, 2),
            "gate": matrix(mlp["gating_einsum"][0]),
            "up": matrix(mlp["gating_einsum"][1]),
            "down": matrix(mlp["linear"]),
        }

    return {
        "layers": [layer(i) for i in range(dims.depth)],
        "final_norm": params["final_norm"],
        "embedder": {"input_embedding": matrix(params["embedder"]["input_embedding"])},
    }


def split_cache(kv: Mapping[str, jax.Array]) -> Cache:
    """Takes keys and values [depth, B, S, kv, head_dim], as `gemma.Model` gives them, apart."""
    return [
        {n: x[i].swapaxes(1, 2) for n, x in kv.items()} for i in range(len(next(iter(kv.values()))))
    ]


def step(
    dims: gemma.Dims,
    weights: Mapping[str, Any],
    token: jax.Array,
    slot: jax.Array,
    cache: Cache,
) -> tuple[jax.Array, Cache, jax.Array]:
    """Runs one token a row.

    Args:
        dims: sizes of the decoder.
        weights: of `prepare`.
        token: i32 [B].
        slot: i32 [B], the token's position and its slot in the cache; all slots before it are
            seen.
        cache: of each layer.

    Returns:
        (logits f32 [B, V], the cache with the token in it, its final hidden state [B, width]).
    """
    embedder, block = gemma.Embedder(dims, parent=None), gemma.Block(dims, parent=None)
    table = {"params": weights["embedder"]}
    x = embedder.apply(table, token[:, None], method="encode")
    slots = cache[0]["k"].shape[2]
    mask = (jnp.arange(slots) <= slot[:, None])[:, None]
    rope, new = gemma.make_rope(slot[:, None], dims.head_dim), []
    for layer, kv in zip(weights["layers"], cache, strict=True):
        variables = {"params": _restore(layer)}
        x, kv = block.apply(variables, x, rope, mask, kv | {"slot": slot})
        new.append(kv)
    norm = gemma.RMSNorm(parent=None)
    hidden = norm.apply({"params": weights["final_norm"]}, x)[:, 0]
    return embedder.apply(table, hidden, method="decode"), new, hidden


def _restore(layer: Mapping[str, Any]) -> dict[str, Any]:
    # The tree of `gemma.Block`. The compiler takes these transposes out again: nothing moves.
    return {
        **layer["norms"],
        "attn": {
            "q_einsum": {"w": layer["q"].transpose(1, 0, 2)},
            "kv_einsum": {"w": layer["kv"].transpose(0, 1, 3, 2)},
            "attn_vec_einsum": {"w": layer["out"].transpose(1, 0, 2)},
        },
        "mlp": {
            "gating_einsum": jnp.stack([layer["gate"], layer["up"]]),
            "linear": layer["down"],
        },
    }
