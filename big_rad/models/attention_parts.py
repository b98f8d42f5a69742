"""Attention over keys that come in several parts, under one softmax and with its own gradient.

All queries see the keys of a part; or the keys of a part are cut into blocks, and each block of
keys is seen only by the block of queries with the same number. Logits of a query against another
block are then never computed. `attention.attend_structured` uses this for text queries: one part
is the image, and the other part is the text in blocks. Here there are 2 image tokens and 6 text
tokens in blocks of 3 (the same row as in `attention.StructuredMask`):

                 part 0    part 1
                 image     block 0   block 1
    query 0       x x       x . .               x means that the query sees the key, and . that
    query 1       x x       x x .               the part's mask hides it. Where there is neither,
    query 2       x x       x x x               the logit is never computed.
    query 3       x x                 x . .
    query 4       x x                 x x .
    query 5       x x                 . . .     Query 5 is padding.

The logits of part 0 are 6 x 2 numbers and those of part 1 are 2 x 3 x 3 numbers: 30, where a dense
mask needs 6 x 8 = 48. The softmax of a query runs over both parts together: with logits x_p of
part p, maximum m = max over all p of x_p, and sum s = sum over all p of exp(x_p - m), the
probabilities of part p are exp(x_p - m) / s.

The backward pass computes the logits again. Beside its arguments the forward pass keeps only the
result and the m and s of each query (Dao et al. 2022, "FlashAttention", appendix B). Matrix
products are arranged so that the large array of logits is never transposed: where an operand or a
result must be, it is the smaller one.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float

MASKED = -2.3819763e38  # The original's value: close to the lowest float32, but finite.
KEPT = "attended"  # The name under which rematerialisation policies keep the results.


class Part(NamedTuple):
    """Keys and values that all queries see, or that are seen block by block.

    Attributes:
        k: The keys [B, kv, S, head_dim]; in blocks of S keys, [B, blocks, kv, S, head_dim].
        v: The values, of the same shape.
        mask: A bool [B, T or 1, S], in blocks [B, blocks, T / blocks, S], which says whether a
            query may see a key; None if every query sees every key (of its block).
    """

    k: Float[Array, "batch *blocks kv_heads keys head_dim"]
    v: Float[Array, "batch *blocks kv_heads keys head_dim"]
    mask: Bool[Array, "batch *blocks queries_or_1 keys"] | None


Queries = Float[Array, "batch kv_heads group queries head_dim"]
Statistic = Float[Array, "batch kv_heads group queries 1"]  # One number for each query.
# Queries or logits in the layout of a part: cut into its blocks, if it has blocks, and with the
# queries of all heads of a group in one axis, so that one matrix product serves the whole group.
Viewed = Float[Array, "batch *blocks kv_heads grouped_queries features"]
# The arrays that the backward pass needs: queries, parts, result, and the maximum and the sum of
# each softmax.
Kept = tuple[Queries, tuple[Part, ...], Queries, Statistic, Statistic]


def soft_cap(x: Float[Array, "*shape"], cap: float) -> Float[Array, "*shape"]:
    """Returns cap * tanh(x / cap), or x where cap is 0."""
    return cap * jnp.tanh(x / cap) if cap else x


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def attend_parts(q: Queries, parts: tuple[Part, ...], cap: float) -> Queries:
    """Computes the attention of all queries over all parts, with logits and softmax in float32.

    Args:
        q: The queries [B, kv, group, T, head_dim], scaled and rotated.
        parts: The parts of keys and values.
        cap: The soft cap of the logits; 0 disables it.

    Returns:
        An array like `q`.
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
    # The gradient of a softmax p with respect to its logits is p * (d_p - sum(p * d_p)). The sum is
    # over all keys, so it is one number for each query, and it equals sum(d_out * out).
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
            jnp.einsum("...qk,...qd->...kd", x, y)
            for x, y in ((d_logits, _view(q, part)), (probs, d))
        )
        d_parts.append(Part(d_k, d_v, None))
    return d_q.astype(dtype), tuple(d_parts)


attend_parts.defvjp(_forward, _backward)


def _logits(q: Queries, part: Part) -> Viewed:
    # Returns the logits f32 [B, (blocks,) kv, group x T, S].
    k = part.k.swapaxes(-1, -2)
    return jnp.matmul(_view(q, part), k, preferred_element_type=jnp.float32)


def _mask(x: Viewed, part: Part) -> Viewed:
    if part.mask is None:
        return x
    rows = part.mask.shape[-2]  # T (of a block), or 1 if one row of the mask serves all queries.
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
    # The inverse of `_view`; the sizes are those of `q`.
    b, kv, group, t, _ = q.shape
    if part.k.ndim == 4:
        return x.reshape(b, kv, group, t, -1)
    blocks = part.k.shape[1]
    x = x.reshape(b, blocks, kv, group, t // blocks, -1).transpose(0, 2, 3, 1, 4, 5)
    return x.reshape(b, kv, group, t, -1)
