"""The mask decoder: it turns image features and the hidden state at `</seg>` into a mask.

It is a two-way transformer as in SAM, in which a few tokens and the image attend to each other.
Both variants use the same blocks:

- "paper": The hidden state is projected to a prompt of 256 numbers, which joins a learned mask
  token. Positions are added to the image, and learned steps upsample the mask.
- "released": The function of the published RadGrounder weights. The hidden state itself is the only
  token, and the mask is upsampled bilinearly.

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
# Each mask has tokens, a copy of the image's cells, and positions of both.
Tokens = Float[Array, "masks tokens dim"]
Image = Float[Array, "masks cells dim"]
ImagePositions = Float[Array, "cells dim"] | float
_CROSS_SHARE = 2  # "paper": The heads of a cross attention share dim / 2 features, as in SAM.


class Attention(nn.Module):
    """Multi-head attention with biases, and with the softmax in float32.

    Attributes:
        dim: The width of input and output.
        inner: The width that all heads share.
        num_heads: The number of heads.
        dtype: The dtype of the matrix products.
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
    """A two-way block: it updates the tokens, and then the image.

    The tokens attend to each other, then to the image, and pass an MLP. Then the image attends to
    the tokens.

    Attributes:
        dim: The width of tokens and image.
        inner: The width that the heads of a cross attention share.
        num_heads: The number of heads of every attention.
        mlp_dim: The inner width of the MLP.
        first: Whether this is the first block, whose self-attention does not add the tokens'
            positions.
        dtype: The dtype of the matrix products.
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
        """Returns tokens and image after the block; the last two arguments are their positions."""
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
        variant: "paper" or "released"; explicit dimensions override those of the variant.
        dim: The width of tokens and image; in "released" it must be that of the hidden states.
        depth: The number of two-way blocks.
        num_heads: The number of heads of every attention.
        mlp_dim: The inner width of the blocks' MLP.
        min_side: The side in cells that the grid must reach in "paper"; learned steps double it
            until it has at least this many cells.
        image_size: The side of the masks in pixels, if a call does not say otherwise.
        dtype_mm: The dtype of the matrix products; norms and softmax stay in float32.
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
            features: SigLIP's tokens after its final norm, [images, N, C]. N is a square number.
                The number of images divides the number of masks M, and each image has equally many
                masks, which follow each other.
            hidden: The language model's final hidden states at the input token `</seg>`, [M, D].
            size: The height and width (H, W) of the masks in pixels; None means `image_size`.

        Returns:
            A pair: the logits f32 [M, H, W], and `out`. A pixel belongs to the mask if its logit is
            above 0. `out["small"]` f32 [M, h, w] holds the logits before the bilinear resize.

        Raises:
            ValueError: The sizes of the arguments or of the model do not fit each other.
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
            ValueError: The variant is unknown, or the heads do not divide the width.
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
        # The side of the result is that of the grid after the learned steps.
        dim = dims["dim"]
        prompt = _dense(dim, dtype, "prompt_projection")(hidden)
        mask_token = self.param("mask_token", nn.initializers.normal(1.0), (dim,)).astype(dtype)
        tokens = jnp.stack([jnp.broadcast_to(mask_token, prompt.shape), prompt], axis=1)
        image_at = jnp.asarray(fourier_positions(grid, dim), dtype)
        inner = dim // _CROSS_SHARE
        tokens, image = self._two_way(tokens, image, image_at, dims, inner, dtype)
        # A step is SAM's transposed convolution of stride 2, which maps each cell on its own to
        # four. So the cells may stay nested ([M, N, 4, 4, .., width]), and only the logits have to
        # be transposed into a picture.
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
        # As in SAM, the initial tokens serve as the tokens' positions in all blocks.
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
    """Arranges nested cells as a picture.

    With a grid of side 1 and two axes of length 4, `cells[m, 0, i, j]` is the number `ij` here:

        00 01 | 10 11
        02 03 | 12 13
        ------+------
        20 21 | 30 31
        22 23 | 32 33

    Args:
        cells: The cells [M, grid * grid, 4, .., 4]. Each axis of length 4 holds the quarters of the
            cell before it: upper left, upper right, lower left, lower right.
        grid: The side of the grid in cells, before the quarters.

    Returns:
        The picture [M, side, side], where side = grid * 2^(number of axes of length 4).
    """
    m, steps = cells.shape[0], cells.ndim - 2
    x = cells.reshape(m, grid, grid, *(2, 2) * steps)
    rows = [1, *range(3, x.ndim, 2)]
    return x.transpose(0, *rows, *(r + 1 for r in rows)).reshape(m, grid << steps, grid << steps)


def fourier_positions(grid: int, dim: int) -> Float[np.ndarray, "cells dim"]:
    """Returns position embeddings of a grid's cells: random Fourier features.

    The features of a cell with centre c are sin(2 pi c B) and cos(2 pi c B). Both coordinates of c
    are in [-1, 1], and B is a matrix [2, dim / 2] of normal random numbers with standard deviation
    1 and a fixed seed. Source: Tancik et al. 2020, "Fourier Features"; the coordinates and the
    deviation are those of SAM.

    Args:
        grid: The side of the grid in cells.
        dim: The number of features, which must be even.

    Returns:
        The embeddings f32 [grid * grid, dim], row by row.
    """
    directions = np.random.default_rng(0).standard_normal((2, dim // 2))
    at = (np.arange(grid) + 0.5) / grid * 2 - 1
    y, x = np.meshgrid(at, at, indexing="ij")
    phase = 2 * np.pi * (np.stack([x.ravel(), y.ravel()], axis=1) @ directions)
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=1).astype(np.float32)


def shapes(model: Model, tokens: int, features: int, width: int) -> dict[str, Any]:
    """Returns the nested parameters of a mask decoder as shapes.

    Args:
        model: The mask decoder.
        tokens: The number of image tokens, a square number.
        features: The number of features of an image token.
        width: The width of the hidden states.
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
