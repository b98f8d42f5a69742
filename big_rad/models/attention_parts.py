"""Attention over keys in parts under one softmax, with the gradient written out.

A part may have its keys in blocks, each seen by one block of the queries alone, so logits of one
text against another are never computed. Beside the result only the maximum and the sum of each
softmax are kept for the backward pass (Dao et al. 2022, "FlashAttention", appendix B), and
products are arranged so that logits are never transposed: that of each matrix product which has
to be is a small one. Knows no model.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float

MASKED = -2.3819763e38  # What the original uses: close to the lowest float32, and finite.
KEPT = "attended"  # name of what rematerialisation had better keep


class Part(NamedTuple):
    """Keys that are seen by all queries, or block by block.

    Attributes:
        k: [B, kv, S, head_dim]; in blocks [B, blocks, kv, S, head_dim].
        v: the same.
        mask: bool [B, T or 1, S], in blocks [B, blocks, T / blocks, S]; None: all see all.
    """

    k: Float[Array, "batch *blocks kv_heads keys head_dim"]
    v: Float[Array, "batch *blocks kv_heads keys head_dim"]
    mask: Bool[Array, "batch *blocks queries_or_1 keys"] | None


Queries = Float[Array, "batch kv_heads group queries head_dim"]
Statistic = Float[Array, "batch kv_heads group queries 1"]  # One number of each query.
# Seen from a part: in its blocks, if it has any, and with the groups behind each other.
Viewed = Float[Array, "batch *blocks kv_heads grouped_queries features"]
# What the backward pass needs: queries, parts, result, and maximum and sum of each softmax.
Kept = tuple[Queries, tuple[Part, ...], Queries, Statistic, Statistic]


def soft_cap(x: Float[Array, "*shape"], cap: float) -> Float[Array, "*shape"]:
    """Returns cap * tanh(x / cap), or x where cap is 0."""
    return cap * jnp.tanh(x / cap) if cap else x


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def attend_parts(q: Queries, parts: tuple[Part, ...], cap: float) -> Queries:
    """Attention of all queries over all parts.

    Args:
        q: [B, kv, group, T, head_dim], scaled and rotated.
        parts: see `Part`.
        cap: soft cap of the logits, 0 for none.

    Returns:
        As q; logits and softmax are in float32.
    """
    return _forward(q, parts, cap)[0]


def _forward(q: Queries, parts: tuple[Part, ...], cap: float) -> tuple[Queries, Kept]:
    masked = [_mask(soft_cap(_logits(q, p), cap), p) for p in parts]
    high = [_back(x.max(axis=-1, keepdims=True), q, p) for x, p in zip(masked, parts)]
    high = functools.reduce(jnp.maximum, high)
    total, out = jnp.zeros(high.shape, jnp.float32), jnp.zeros(q.shape, jnp.float32)
    for x, p in zip(masked, parts):
        e = jnp.exp(x - _view(high, p))
        total += _back(e.sum(axis=-1, keepdims=True), q, p)
        seen = jnp.matmul(e.astype(q.dtype), p.v, preferred_element_type=jnp.float32)
        out += _back(seen, q, p)
    out = checkpoint_name((out / total).astype(q.dtype), KEPT)
    high, total = checkpoint_name(high, KEPT), checkpoint_name(total, KEPT)
    return out, (q, parts, out, high, total)


def _backward(cap: float, kept: Kept, d_out: Queries) -> tuple[Queries, tuple[Part, ...]]:
    q, parts, out, high, total = kept
    dtype = q.dtype
    # The same for all keys of a query: the softmax's own part of the gradient.
    common = (d_out.astype(jnp.float32) * out.astype(jnp.float32)).sum(axis=-1, keepdims=True)
    d_q, d_parts = jnp.zeros(q.shape, jnp.float32), []
    for part in parts:
        capped = soft_cap(_logits(q, part), cap)
        probs = jnp.exp(_mask(capped, part) - _view(high, part)) / _view(total, part)
        d = _view(d_out, part)
        d_probs = jnp.matmul(d, part.v.swapaxes(-1, -2), preferred_element_type=jnp.float32)
        d_logits = probs * (d_probs - _view(common, part))
        if cap:
            d_logits *= 1 - jnp.square(capped / cap)
        d_logits, probs = d_logits.astype(dtype), probs.astype(dtype)
        d_q += _back(jnp.matmul(d_logits, part.k, preferred_element_type=jnp.float32), q, part)
        d_k, d_v = (
            jnp.matmul(x.swapaxes(-1, -2), y).swapaxes(-1, -2)
            for x, y in ((_view(q, part), d_logits), (d, probs))
        )
        d_parts.append(Part(d_k, d_v, None))
    return d_q.astype(dtype), tuple(d_parts)


attend_parts.defvjp(_forward, _backward)


def _logits(q: Queries, part: Part) -> Viewed:
    # f32 [B, (blocks,) kv, group x T, S].
    k = part.k.swapaxes(-1, -2)
    return jnp.matmul(_view(q, part), k, preferred_element_type=jnp.float32)


def _mask(x: Viewed, part: Part) -> Viewed:
    if part.mask is None:
        return x
    rows = part.mask.shape[-2]  # Of each group; one row stands for all.
    grouped = x.reshape(*x.shape[:-2], -1, rows, x.shape[-1])
    mask = part.mask[..., None, None, :, :]
    return jnp.where(mask, grouped, MASKED).reshape(x.shape)


def _view(x: Float[Array, "batch kv_heads group queries features"], part: Part) -> Viewed:
    # [B, kv, group, T, n] -> [B, kv, group x T, n], or [B, blocks, kv, group x T / blocks, n].
    b, kv, group, t, n = x.shape
    if part.k.ndim == 4:
        return x.reshape(b, kv, group * t, n)
    blocks = part.k.shape[1]
    x = x.reshape(b, kv, group, blocks, t // blocks, n).transpose(0, 3, 1, 2, 4, 5)
    return x.reshape(b, blocks, kv, -1, n)


def _back(
    x: Viewed, q: Queries, part: Part
) -> Float[Array, "batch kv_heads group queries features"]:
    # The inverse of `_view`; `q` tells the sizes.
    b, kv, group, t, _ = q.shape
    if part.k.ndim == 4:
        return x.reshape(b, kv, group, t, -1)
    blocks = part.k.shape[1]
    x = x.reshape(b, blocks, kv, group, t // blocks, -1).transpose(0, 2, 3, 1, 4, 5)
    return x.reshape(b, kv, group, t, -1)
