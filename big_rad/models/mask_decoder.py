"""Mask decoder: from image features and a hidden state at `</seg>` to the logits of one mask.

A two-way transformer, as in SAM: a few tokens and the image attend to each other. Two variants of
one set of blocks. "paper": the hidden state becomes a prompt of 256 numbers beside a learned mask
token, positions are added to the image, and masks are upsampled by learned steps. "released": the
function of the published RadGrounder weights, whose one token is the hidden state itself and whose
mask is upsampled bilinearly. Knows no tokens, texts or losses.
References: Kirillov et al. 2023, "Segment Anything"; the RadGrounder paper, "Segmentation head".
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from big_rad.models import common

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": dict(dim=256, depth=2, num_heads=8, mlp_dim=2048),
    "released": dict(dim=2304, depth=2, num_heads=8, mlp_dim=9216),
}
# Of each mask: its tokens, its image, and the positions of either.
Tokens = Float[Array, "masks tokens dim"]
Image = Float[Array, "masks cells dim"]
ImagePositions = Float[Array, "cells dim"] | float
_CROSS_SHARE = 2  # "paper": cross attention works in dim / 2, as SAM's does.


class Attention(nn.Module):
    """Multi-head attention with biases; softmax in float32.

    Attributes:
        dim: width in and out.
        inner: width that the heads share.
        num_heads: heads.
        dtype: of the matrix products.
    """

    dim: int
    inner: int
    num_heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        q: Float[Array, "masks queries dim"],
        k: Float[Array, "masks keys dim"],
        v: Float[Array, "masks keys dim"],
    ) -> Float[Array, "masks queries dim"]:
        """Lets queries attend to keys."""
        q, k, v = (
            _dense(self.inner, self.dtype, f"{name}_proj")(x).reshape(
                *x.shape[:2], self.num_heads, -1
            )
            for name, x in (("q", q), ("k", k), ("v", v))
        )
        logits = jnp.einsum("mqhd,mnhd->mhqn", q, k, preferred_element_type=jnp.float32)
        probs = jax.nn.softmax(logits * q.shape[-1] ** -0.5, axis=-1).astype(v.dtype)
        mixed = jnp.einsum("mhqn,mnhd->mqhd", probs, v)
        return _dense(self.dim, self.dtype, "out_proj")(mixed.reshape(*mixed.shape[:2], self.inner))


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the image, pass an MLP, and the image attends to them.

    Attributes:
        dim, inner, num_heads, mlp_dim: sizes; `inner` is that of the cross attention.
        first: the tokens' position is left out of their self-attention.
        dtype: of the matrix products.
    """

    dim: int
    inner: int
    num_heads: int
    mlp_dim: int
    first: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, tokens: Tokens, image: Image, tokens_at: Tokens, image_at: ImagePositions
    ) -> tuple[Tokens, Image]:
        """Returns tokens and image after the block, given the positions of both."""
        attend = _attend(self.dim, self.num_heads, self.dtype)
        q = tokens if self.first else tokens + tokens_at
        tokens = tokens + attend(self.dim, "self_attn")(q, q, tokens)
        tokens = _norm("norm1")(tokens)
        cross = attend(self.inner, "cross_attn_token_to_image")
        tokens = tokens + cross(tokens + tokens_at, image + image_at, image)
        tokens = _norm("norm2")(tokens)
        hidden = nn.gelu(_dense(self.mlp_dim, self.dtype, "mlp_0")(tokens), approximate=False)
        tokens = _norm("norm3")(tokens + _dense(self.dim, self.dtype, "mlp_2")(hidden))
        cross = attend(self.inner, "cross_attn_image_to_token")
        image = image + cross(image + image_at, tokens + tokens_at, tokens)
        return tokens, _norm("norm4")(image)


class Model(nn.Module):
    """The mask decoder.

    Attributes:
        variant: "paper" or "released"; explicit dimensions override its.
        dim: width of tokens and image; "released" needs that of the hidden states.
        depth: two-way blocks.
        num_heads: heads of every attention.
        mlp_dim: width of the blocks' MLP.
        min_side: "paper": learned steps double the grid until it has this many cells a side.
        image_size: pixels a side of the masks, unless the call says otherwise.
        dtype_mm: dtype of the matrix products; norms and softmax stay in float32.
    """

    variant: str = "paper"
    dim: int | None = None
    depth: int | None = None
    num_heads: int | None = None
    mlp_dim: int | None = None
    min_side: int = 56
    image_size: int = 224
    dtype_mm: str = "float32"

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "images cells features"],
        hidden: Float[Array, "masks width"],
        *,
        size: tuple[int, int] | None = None,
    ) -> tuple[Float[Array, "masks height_px width_px"], dict[str, Array]]:
        """Decodes one mask for each hidden state.

        Args:
            features: [M, N, C], SigLIP's tokens after its final norm, N a square number; or of
                M / k images, [M / k, N, C], each with k masks that follow each other.
            hidden: [M, D], the language model's final hidden state where `</seg>` is its input.
            size: (H, W) of the masks; None is `image_size`.

        Returns:
            (logits f32 [M, H, W], out) with `out["small"]` f32 [M, h, w] the logits before the
            bilinear resize. A pixel belongs to the mask where its logit is above 0.

        Raises:
            ValueError: sizes that do not fit each other.
        """
        dims = self.dims()
        masks, images = hidden.shape[0], features.shape[0]
        if not images or masks % images:
            raise ValueError(f"mask_decoder: {masks} hidden states for {images} images")
        grid = math.isqrt(features.shape[1])
        if grid**2 != features.shape[1]:
            raise ValueError(f"mask_decoder: {features.shape[1]} image tokens are no square grid")
        dtype = jnp.dtype(self.dtype_mm)
        features, hidden = features.astype(dtype), hidden.astype(dtype)
        image = _dense(dims["dim"], dtype, "img_projection")(features)
        image = jnp.repeat(image, masks // images, axis=0)
        decode = self._released if self.variant == "released" else self._paper
        small = decode(image, hidden, grid, dims, dtype).astype(jnp.float32)
        shape = (small.shape[0], *(size or (self.image_size, self.image_size)))
        return jax.image.resize(small, shape, "bilinear", antialias=False), {"small": small}

    def dims(self) -> dict[str, int]:
        """Returns dim, depth, num_heads and mlp_dim.

        Raises:
            ValueError: an unknown variant, or a width that the heads do not divide.
        """
        dims = common.resolve_variant(
            "mask_decoder",
            VARIANTS,
            self.variant,
            dim=self.dim,
            depth=self.depth,
            num_heads=self.num_heads,
            mlp_dim=self.mlp_dim,
        )
        share = 1 if self.variant == "released" else _CROSS_SHARE
        if dims["dim"] % (dims["num_heads"] * share):
            raise ValueError(
                f"mask_decoder: dim {dims['dim']} must be a multiple of {share} x num_heads "
                f"({dims['num_heads']})"
            )
        return dims

    def _released(
        self,
        image: Image,
        hidden: Float[Array, "masks width"],
        grid: int,
        dims: Mapping[str, int],
        dtype: DTypeLike,
    ) -> Float[Array, "masks grid grid"]:
        if hidden.shape[-1] != dims["dim"]:
            raise ValueError(
                f"mask_decoder: the released variant uses the hidden state of width "
                f"{hidden.shape[-1]} as it is, so dim must be that, not {dims['dim']}"
            )
        token = hidden[:, None]
        tokens, image = self._two_way(token, image, 0.0, dims, dims["dim"], dtype)
        logits = _dense(1, dtype, "output_proj")(image + tokens)
        return logits.reshape(-1, grid, grid)

    def _paper(
        self,
        image: Image,
        hidden: Float[Array, "masks width"],
        grid: int,
        dims: Mapping[str, int],
        dtype: DTypeLike,
    ) -> Float[Array, "masks side side"]:
        # The side of the logits is that of the grid after the learned steps.
        dim = dims["dim"]
        prompt = _dense(dim, dtype, "prompt_projection")(hidden)
        mask_token = self.param("mask_token", nn.initializers.normal(1.0), (dim,)).astype(dtype)
        tokens = jnp.stack([jnp.broadcast_to(mask_token, prompt.shape), prompt], axis=1)
        image_at = jnp.asarray(fourier_positions(grid, dim), dtype)
        inner = dim // _CROSS_SHARE
        tokens, image = self._two_way(tokens, image, image_at, dims, inner, dtype)
        # A step maps each cell by itself, so the cells stay nested ([M, N, 4, 4, .., width], SAM's
        # transposed convolutions of stride 2) until the logits, which are all that is transposed.
        steps = max(0, math.ceil(math.log2(self.min_side / grid)))
        x = image
        for step in range(steps):
            width = max(8, dim // (4 if step == 0 else 8))
            x = _dense(4 * width, dtype, f"upscale_{step}")(x).reshape(*x.shape[:-1], 4, width)
            if step < steps - 1:
                x = _norm(f"upscale_norm_{step}")(x)
            x = nn.gelu(x, approximate=False)
        weights = tokens[:, 0]
        for layer in range(2):
            weights = nn.relu(_dense(dim, dtype, f"mask_mlp_{layer}")(weights))
        weights = _dense(x.shape[-1], dtype, "mask_mlp_2")(weights)
        logits = jnp.einsum("mc,m...c->m...", weights, x, preferred_element_type=jnp.float32)
        return unnest(logits, grid)

    def _two_way(
        self,
        tokens: Tokens,
        image: Image,
        image_at: ImagePositions,
        dims: Mapping[str, int],
        inner: int,
        dtype: DTypeLike,
    ) -> tuple[Tokens, Image]:
        # The tokens as they come in are their own positions throughout.
        tokens_at = tokens
        for i in range(dims["depth"]):
            block = TwoWayBlock(
                dims["dim"], inner, dims["num_heads"], dims["mlp_dim"], i == 0, dtype,
                name=f"block_{i}",
            )  # fmt: skip
            tokens, image = block(tokens, image, tokens_at, image_at)
        attend = _attend(dims["dim"], dims["num_heads"], dtype)
        q = tokens if self.variant == "released" else tokens + tokens_at
        last = attend(inner, "final_attn_token_to_image")(q, image + image_at, image)
        return _norm("norm_final_attn")(tokens + last), image


def unnest(
    cells: Float[Array, "masks cells *quarters"], grid: int
) -> Float[Array, "masks side side"]:
    """Lays nested cells out as a picture.

    Args:
        cells: [M, grid * grid, 4, .., 4], each 4 the quarters of the cell before: upper left, upper
            right, lower left, lower right.
        grid: cells a side before the steps.

    Returns:
        [M, side, side], side = grid * 2^(number of 4s).
    """
    m, steps = cells.shape[0], cells.ndim - 2
    x = cells.reshape(m, grid, grid, *(2, 2) * steps)
    rows = [1, *range(3, x.ndim, 2)]
    return x.transpose(0, *rows, *(r + 1 for r in rows)).reshape(m, grid << steps, grid << steps)


def fourier_positions(grid: int, dim: int) -> Float[np.ndarray, "cells dim"]:
    """Positions of a grid's cells: sines and cosines of fixed random directions.

    Args:
        grid: cells a side.
        dim: width, even.

    Returns:
        float32 [grid * grid, dim], row by row. Source: Tancik et al. 2020, "Fourier Features",
        with deviation 1 over coordinates in -1..1, as in SAM. The directions have a fixed seed.
    """
    directions = np.random.default_rng(0).standard_normal((2, dim // 2))
    at = (np.arange(grid) + 0.5) / grid * 2 - 1
    y, x = np.meshgrid(at, at, indexing="ij")
    phase = 2 * np.pi * (np.stack([x.ravel(), y.ravel()], axis=1) @ directions)
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=1).astype(np.float32)


def shapes(model: Model, tokens: int, features: int, width: int) -> dict[str, Any]:
    """Returns a decoder's nested parameters as shapes.

    Args:
        model: the decoder.
        tokens: image tokens, a square number.
        features: numbers of an image token.
        width: of the hidden states.
    """
    image = jax.ShapeDtypeStruct((1, tokens, features), jnp.float32)
    hidden = jax.ShapeDtypeStruct((1, width), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image, hidden)["params"]


LOADING = common.Loading()


def _dense(width: int, dtype: DTypeLike, name: str) -> nn.Dense:
    return nn.Dense(width, dtype=dtype, kernel_init=nn.initializers.xavier_uniform(), name=name)


def _norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-5, name=name)


def _attend(dim: int, num_heads: int, dtype: DTypeLike) -> Callable[[int, str], Attention]:
    return lambda inner, name: Attention(dim, inner, num_heads, dtype, name=name)
