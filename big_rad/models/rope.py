"""Rotary position embeddings, in the half-split layout of Gemma.

Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding".
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Rope(NamedTuple):
    """Sine and cosine of each position's angles, in float32; all heads and layers share them."""

    sin: Float[Array, "batch tokens 1 half_head_dim"]
    cos: Float[Array, "batch tokens 1 half_head_dim"]


def make_rope(positions: Int[Array, "batch tokens"], head_dim: int, base: float = 10_000.0) -> Rope:
    """Returns the angles of 0-based positions; the longest wavelength is 2 pi * base."""
    half = head_dim // 2
    timescale = base ** (jnp.arange(half, dtype=jnp.float32) / half)
    radians = positions[..., None, None].astype(jnp.float32) / timescale
    return Rope(jnp.sin(radians), jnp.cos(radians))


def apply_rope(
    x: Float[Array, "batch tokens heads head_dim"], rope: Rope
) -> Float[Array, "batch tokens heads head_dim"]:
    """Turns the features of each head by the angles of its position.

    Args:
        x: queries or keys; feature i of the first half is paired with feature i of the second.
        rope: angles of the positions of `x`.

    Returns:
        As `x`, in its dtype.
    """
    x1, x2 = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    sin, cos = rope
    return jnp.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis=-1).astype(x.dtype)
