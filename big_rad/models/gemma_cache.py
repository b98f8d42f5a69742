"""The KV cache, and a decoding step: the Gemma 2 decoder on one new token in each row.

`gemma.Model` scans over stacked layers, which is good for training. With one token in each row,
however, slicing the weights and the cache of a layer out of the stack moves as many bytes as the
matrix products do. Here each layer has its own arrays, and the cache is updated in place. The
products of a block with its weights are four: one for queries, keys and values together, one for
the output of the attention, one for gate and up together, and one for down. The result is that of
`gemma.Block`.

    weights = gemma_cache.decode_weights(dims, params["llm"])
    cache = gemma_cache.split_cache(kv)  # From `gemma.Model`, run on the prompt.
    cache = gemma_cache.resize_cache(cache, slots)  # Adds empty slots for new tokens.
    logits, cache, hidden = gemma_cache.step(dims, weights, token, slot, cache)
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from big_rad.models import attention, gemma, gemma_layout
from big_rad.models.rope import Rope, apply_rope, make_rope

# The cache of one layer: `k` [B, kv, head_dim, S] and `v` [B, kv, S, head_dim]. Each has its axes
# in the order in which its matrix product reads them; on a CPU the other order is twice as slow.
LayerCache = dict[
    str,
    Float[Array, "batch kv_heads head_dim slots"] | Float[Array, "batch kv_heads slots head_dim"],
]
Cache = list[LayerCache]
_SLOTS = {"k": 3, "v": 2}  # The axis of the S slots.


def decode_weights(dims: gemma.Dims, params: Mapping[str, Any]) -> dict[str, Any]:
    """Arranges the decoder's parameters for `step`, with separate arrays for each layer.

    Args:
        dims: The sizes of the decoder.
        params: The parameters of `gemma.Model`, `{"embedder", "layers", "final_norm"}`, or arranged
            before, see `gemma_layout`; these are not copied if their dtype is that of the products.

    Returns:
        A dict of `layers`, which is a list with one dict for each layer, `final_norm` and
        `embedder`.
    """

    def matrix(w: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
        return w.astype(dims.dtype_mm)

    def cast(layer: dict[str, Any]) -> dict[str, Any]:
        return {n: x if n == "norms" else matrix(x) for n, x in layer.items()}

    def layer(i: int) -> dict[str, Any]:
        if gemma_layout.is_arranged(params):
            return cast(params[gemma_layout.BLOCKS][str(i)])
        return cast(gemma_layout.arrange_layer(jax.tree.map(lambda w: w[i], params["layers"])))

    return {
        "layers": [layer(i) for i in range(dims.depth)],
        "final_norm": params["final_norm"],
        "embedder": {"input_embedding": matrix(params["embedder"]["input_embedding"])},
    }


def split_cache(kv: gemma.KV) -> Cache:
    """Converts the keys and values that `gemma.Model` returns into a cache."""
    return [
        {n: jnp.moveaxis(x[i], 1, _SLOTS[n]) for n, x in kv.items()}
        for i in range(next(iter(kv.values())).shape[0])
    ]


def empty_cache(dims: gemma.Dims, rows: int, slots: int) -> Cache:
    """Returns a cache of zeros with the given numbers of rows and slots."""
    shape = (dims.depth, rows, slots, dims.num_kv_heads, dims.head_dim)
    return split_cache({n: jnp.zeros(shape, dims.dtype_mm) for n in "kv"})


def resize_cache(cache: Cache, slots: int) -> Cache:
    """Returns a cache with `slots` slots: drops the last slots, or appends slots of zeros."""

    def fit(x: Float[Array, "batch kv_heads _ _"], axis: int) -> Float[Array, "batch kv_heads _ _"]:
        x = jax.lax.slice_in_dim(x, 0, min(slots, x.shape[axis]), axis=axis)
        more = slots - x.shape[axis]
        return jnp.pad(x, [(0, more if i == axis else 0) for i in range(x.ndim)])

    return [{n: fit(x, _SLOTS[n]) for n, x in kv.items()} for kv in cache]


def add_slots(cache: Cache, more: int) -> Cache:
    """Returns a cache with `more` slots of zeros behind its own."""
    return resize_cache(cache, cache[0]["v"].shape[_SLOTS["v"]] + more)


def join_caches(first: Cache, second: Cache) -> Cache:
    """Returns a cache with the slots of `first` and then of `second`, for the same rows."""
    return [
        {n: jnp.concatenate([x, b[n]], axis=_SLOTS[n]) for n, x in a.items()}
        for a, b in zip(first, second, strict=True)
    ]


def insert_rows(cache: Cache, rows: Int[Array, " new_rows"], new: Cache) -> Cache:
    """Returns a cache in which some rows are replaced by the rows of another cache.

    Args:
        cache: The cache.
        rows: i32 [new rows], the row of `cache` that each row of `new` replaces. A row of `new` is
            dropped if its number is beyond the last row of `cache`.
        new: The other cache. If it has fewer slots, the remaining slots of `cache` stay as they
            are.
    """

    def put(
        x: Float[Array, "batch kv_heads _ _"], y: Float[Array, "new_rows kv_heads _ _"], axis: int
    ) -> Float[Array, "batch kv_heads _ _"]:
        where = [slice(None)] * x.ndim
        where[axis] = slice(y.shape[axis])
        return x.at[(rows, *where[1:])].set(y, mode="drop")

    return [
        {n: put(x, b[n], _SLOTS[n]) for n, x in a.items()} for a, b in zip(cache, new, strict=True)
    ]


def step(
    dims: gemma.Dims,
    weights: Mapping[str, Any],
    token: Int[Array, " batch"],
    slot: Int[Array, " batch"],
    cache: Cache,
) -> tuple[Float[Array, "batch vocab"], Cache, Float[Array, "batch width"]]:
    """Runs the decoder on one token in each row.

    Args:
        dims: The sizes of the decoder.
        weights: The result of `decode_weights`.
        token: The token ids, i32 [B].
        slot: The slot of each token in the cache, i32 [B], which is also its position. The token
            sees its own slot and all slots before it.
        cache: The cache.

    Returns:
        The logits f32 [B, V], the cache with the token in it, and the token's final hidden state
        [B, width].
    """
    embedder = gemma.Embedder(dims, parent=None)
    table = {"params": weights["embedder"]}
    x = embedder.apply(table, token, method="encode")
    slots = cache[0]["v"].shape[2]
    mask = jnp.arange(slots) <= slot[:, None]
    rope, new = make_rope(slot[:, None], dims.head_dim), []
    for layer, kv in zip(weights["layers"], cache, strict=True):
        x, kv = _block(dims, layer, x, rope, mask, slot, kv)
        new.append(kv)
    hidden = _norm(x, weights["final_norm"]["scale"])
    return embedder.apply(table, hidden, method="decode"), new, hidden


def _block(
    dims: gemma.Dims,
    layer: Mapping[str, Any],
    x: Float[Array, "batch width"],
    rope: Rope,
    mask: Bool[Array, "batch slots"],
    slot: Int[Array, " batch"],
    kv: LayerCache,
) -> tuple[Float[Array, "batch width"], LayerCache]:
    norms, heads, kv_heads = layer["norms"], dims.num_heads, dims.num_kv_heads
    y = _norm(x, norms["pre_attention_norm"]) @ layer["qkv"]
    y = y.reshape(x.shape[0], 1, heads + 2 * kv_heads, dims.head_dim)
    q, k, v = jnp.split(y, (heads, heads + kv_heads), axis=2)
    q = apply_rope(q, rope) * (dims.query_scale or dims.head_dim**-0.5)
    # The cache is written before it is read. In the other order XLA copies it at every step.
    kv = _write(kv, {"k": apply_rope(k, rope), "v": v}, slot)
    q = q.reshape(x.shape[0], kv_heads, heads // kv_heads, dims.head_dim)
    encoded = attention.attend_one(q, kv["k"], kv["v"], mask, dims.attn_logits_softcap)
    y = encoded.reshape(x.shape[0], -1) @ layer["out"]
    x = x + _norm(y, norms["post_attention_norm"])
    gate, up = jnp.split(_norm(x, norms["pre_ffw_norm"]) @ layer["wide"], 2, axis=-1)
    y = (nn.gelu(gate, approximate=True) * up) @ layer["down"]
    return x + _norm(y, norms["post_ffw_norm"]), kv


def _norm(
    x: Float[Array, "batch width"], scale: Float[Array, " width"]
) -> Float[Array, "batch width"]:
    return gemma.RMSNorm(parent=None).apply({"params": {"scale": scale}}, x)


def _write(
    kv: LayerCache,
    new: dict[str, Float[Array, "batch 1 kv_heads head_dim"]],
    slot: Int[Array, " batch"],
) -> LayerCache:
    # Writes `k` and `v` into the cache of a layer, each row at its own slot.
    def put(
        x: Float[Array, "batch kv_heads _ _"],
        y: Float[Array, "batch 1 kv_heads head_dim"],
        axis: int,
    ) -> Float[Array, "batch kv_heads _ _"]:
        one = lambda x, y, at: jax.lax.dynamic_update_slice_in_dim(x, y, at, axis - 1)  # noqa: E731
        return jax.vmap(one)(x, jnp.moveaxis(y, 1, axis), slot)

    return {n: put(kv[n], y, _SLOTS[n]) for n, y in new.items()}
