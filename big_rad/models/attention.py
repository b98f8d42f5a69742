"""Attention of the decoder: grouped queries, soft cap, and three layouts of the same function.

`attend` takes any mask. `attend_one` is for one token a row against a cache. `attend_blocks` is
for rows of [image | text in blocks]: image tokens see the image, a text token sees the image and
its own block, so the logits of text against other blocks are never computed. Knows no parameters.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

_MASKED = -2.3819763e38  # What the original uses: close to the lowest float32, and finite.


@flax.struct.dataclass
class BlockMask:
    """Mask of a row [N image tokens | T text tokens], the text cut into blocks of L tokens.

    Attributes:
        mask: bool [B, T / L, L, L]: may text token q of a block see k of the same block.
        num_image: N; all image tokens see each other, and all text sees them.
    """

    mask: jax.Array
    num_image: int = flax.struct.field(pytree_node=False)


def soft_cap(x: jax.Array, cap: float) -> jax.Array:
    """Returns cap * tanh(x / cap), or x where cap is 0."""
    return cap * jnp.tanh(x / cap) if cap else x


def attend(
    q: jax.Array,
    keys: list[jax.Array],
    values: list[jax.Array],
    mask: jax.Array | None,
    cap: float,
) -> jax.Array:
    """Attention over keys that may come in several pieces, which are not copied together.

    Args:
        q: [..., T, kv, group, head_dim], scaled and rotated.
        keys: pieces [..., S_i, kv, head_dim].
        values: the same.
        mask: bool [..., T, sum of S_i], or None where everything is seen.
        cap: soft cap of the logits, 0 for none.

    Returns:
        [..., T, kv, group, head_dim]; logits and softmax are in float32.
    """
    logits = [
        jnp.einsum("...tkgh,...skh->...kgts", q, k, preferred_element_type=jnp.float32)
        for k in keys
    ]
    logits = soft_cap(jnp.concatenate(logits, axis=-1) if len(keys) > 1 else logits[0], cap)
    if mask is not None:
        logits = jnp.where(mask[..., None, None, :, :], logits, _MASKED)
    probs = jax.nn.softmax(logits, axis=-1).astype(q.dtype)
    cuts = [sum(k.shape[-3] for k in keys[: i + 1]) for i in range(len(keys) - 1)]
    pieces = jnp.split(probs, cuts, axis=-1) if cuts else [probs]
    return sum(jnp.einsum("...kgts,...skh->...tkgh", p, v) for p, v in zip(pieces, values))


def attend_one(
    q: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array, cap: float
) -> jax.Array:
    """Attention of one query a row over a cache that has its heads before its slots.

    Args:
        q: [B, kv, group, head_dim], scaled and rotated.
        keys: [B, kv, S, head_dim].
        values: the same.
        mask: bool [B, S].
        cap: soft cap of the logits, 0 for none.

    Returns:
        As q; equal to `attend`.
    """
    # Which operand comes first is of no account on a GPU; on a CPU `attend` takes nine times as
    # long for the second product.
    logits = jnp.matmul(keys, q.swapaxes(2, 3), preferred_element_type=jnp.float32)
    logits = soft_cap(logits.swapaxes(2, 3), cap)
    probs = jax.nn.softmax(jnp.where(mask[:, None, None], logits, _MASKED), axis=-1)
    return jnp.matmul(probs.astype(q.dtype), values)


def attend_blocks(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: BlockMask, cap: float
) -> jax.Array:
    """Attention under a `BlockMask`.

    Args:
        q: [B, N + T, kv, group, head_dim], scaled and rotated.
        k: [B, N + T, kv, head_dim].
        v: the same.
        mask: see `BlockMask`.
        cap: soft cap of the logits, 0 for none.

    Returns:
        As q; equal to `attend` under the dense form of the mask.
    """
    n, (b, blocks, length, _) = mask.num_image, mask.mask.shape

    def to_blocks(x: jax.Array) -> jax.Array:
        return x[:, n:].reshape(b, blocks, length, *x.shape[2:])

    def for_blocks(x: jax.Array) -> jax.Array:
        return jnp.broadcast_to(x[:, None, :n], (b, blocks, n, *x.shape[2:]))

    image = attend(q[:, :n], [k[:, :n]], [v[:, :n]], None, cap)
    sees = jnp.concatenate([jnp.ones((b, blocks, length, n), bool), mask.mask], axis=-1)
    text = attend(
        to_blocks(q), [for_blocks(k), to_blocks(k)], [for_blocks(v), to_blocks(v)], sees, cap
    )
    return jnp.concatenate([image, text.reshape(b, blocks * length, *q.shape[2:])], axis=1)


Mask = Any  # A dense bool array [B, T, S] or a BlockMask.
