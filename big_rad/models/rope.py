"""Rotary position embeddings, in the layout of Gemma.

A pair of features is rotated by an angle that is proportional to the position. In Gemma's layout
feature i of the first half of a head is paired with feature i of the second half.
Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding".
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Rope(NamedTuple):
    """The sines and cosines of each position's angles, in float32, for all heads and layers."""

    sin: Float[Array, "batch tokens 1 half_head_dim"]
    cos: Float[Array, "batch tokens 1 half_head_dim"]


def make_rope(positions: Int[Array, "batch tokens"], head_dim: int, base: float = 10_000.0) -> Rope:
    """Returns the angles of positions.

    The angle of feature pair i at position p is p / base^(2 i / head_dim), for i from 0 up to
    head_dim / 2 - 1. So the wavelengths, in positions, grow from 2 pi to almost 2 pi * base.

    Args:
        positions: The positions, which count from 0.
        head_dim: The number of features of a head, which must be even.
        base: The base of the wavelengths.
    """
    half = head_dim // 2
    timescale = base ** (jnp.arange(half, dtype=jnp.float32) / half)
    radians = positions[..., None, None].astype(jnp.float32) / timescale
    return Rope(jnp.sin(radians), jnp.cos(radians))


def apply_rope(
    x: Float[Array, "batch tokens heads head_dim"], rope: Rope
) -> Float[Array, "batch tokens heads head_dim"]:
    """Rotates the feature pairs of each head by the angles of the token's position.

    Args:
        x: The queries or keys.
        rope: The angles of the positions of `x`.

    Returns:
        The rotated array, in the shape and dtype of `x`.
    """
    x1, x2 = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    sin, cos = rope
    return jnp.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis=-1).astype(x.dtype)
