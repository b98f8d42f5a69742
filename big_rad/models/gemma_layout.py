"""The two layouts of the decoder's parameters: stacked over layers, and arranged for decoding.

The layout `stacked` is that of the original checkpoints: one array for each kind of matrix, whose
first axis is the layer. `gemma_cache.step` needs the other one: separate arrays for each layer, in
which the matrices that read the same input are one matrix. A program that holds both has the
language model in memory twice. `gemma.Model` takes either of them, so that a program that only
answers can keep the arranged one alone:

    llm = {"embedder": ..., "final_norm": ..., "layers": {...}}         # stacked
    llm = {"embedder": ..., "final_norm": ..., "blocks": {"0": {...}}}  # arranged

In the arranged layout the parameters of layer i are `blocks[str(i)]`, with `norms`, `qkv` [width,
(heads + 2 kv_heads) * head_dim], `out` [heads * head_dim, width], `wide` [width, 2 mlp_dim] and
`down` [mlp_dim, width].
"""

from collections.abc import Mapping
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

BLOCKS = "blocks"
# The matrices of a layer that each arranged matrix is made of.
PARTS = {
    "qkv": ("attn/q_einsum/w", "attn/kv_einsum/w"),
    "out": ("attn/attn_vec_einsum/w",),
    "wide": ("mlp/gating_einsum",),
    "down": ("mlp/linear",),
}
Matrix = np.ndarray | Array


def is_arranged(llm: Mapping[str, Any]) -> bool:
    """Returns whether the parameters of a language model are arranged for decoding."""
    return BLOCKS in llm


def arrange(part: str, *matrices: Float[Matrix, "..."]) -> Float[Matrix, "rows columns"]:
    """Arranges one matrix of a layer for decoding.

    Args:
        part: The name of the arranged matrix, one of `PARTS`.
        *matrices: The matrices of the layer that it is made of, as `PARTS` names them, all of them
            numpy arrays or all of them JAX arrays.

    Returns:
        The arranged matrix, in the dtype and of the kind of the given ones.
    """
    first = matrices[0]
    xp = np if isinstance(first, np.ndarray) else jnp
    if part == "qkv":
        q, kv = first.transpose(1, 0, 2), matrices[1].transpose(2, 0, 1, 3)
        return xp.concatenate([w.reshape(q.shape[0], -1) for w in (q, kv)], axis=1)
    if part == "out":
        return first.reshape(-1, first.shape[-1])
    return xp.concatenate(list(first), axis=1) if part == "wide" else first


def arrange_layer(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Arranges the parameters of one layer for decoding.

    Args:
        layer: The parameters of `gemma.Block`, nested as in a checkpoint, as numpy or JAX arrays.

    Returns:
        `norms`, `qkv`, `out`, `wide` and `down`, in the dtypes and of the kind of the given arrays.
    """
    flat = flax.traverse_util.flatten_dict(dict(layer), sep="/")
    made = {part: arrange(part, *(flat[n] for n in names)) for part, names in PARTS.items()}
    norms = {n.removesuffix("/scale"): x for n, x in flat.items() if n.endswith("/scale")}
    return {"norms": norms} | made


def block_params(
    layer: Mapping[str, Any], num_heads: int, num_kv_heads: int, head_dim: int
) -> dict[str, Any]:
    """Returns the parameters of `gemma.Block` from those of an arranged layer.

    Args:
        layer: The result of `arrange_layer`.
        num_heads: The number of query heads.
        num_kv_heads: The number of heads of keys and values.
        head_dim: The number of features of a head.
    """
    qkv = layer["qkv"]
    width, cut = qkv.shape[0], num_heads * head_dim
    q, kv = qkv[:, :cut], qkv[:, cut:]
    norms = {name: {"scale": scale} for name, scale in layer["norms"].items()}
    return norms | {
        "attn": {
            "q_einsum": {"w": q.reshape(width, num_heads, head_dim).transpose(1, 0, 2)},
            "kv_einsum": {"w": kv.reshape(width, 2, num_kv_heads, head_dim).transpose(1, 2, 0, 3)},
            "attn_vec_einsum": {"w": layer["out"].reshape(num_heads, head_dim, width)},
        },
        "mlp": {
            "gating_einsum": jnp.stack(jnp.split(layer["wide"], 2, axis=1)),
            "linear": layer["down"],
        },
    }
