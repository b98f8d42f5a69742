"""The SigLIP image tower: a pre-norm ViT without class token, and a pooling or a linear head.

PaliGemma reads the tokens through the linear head `head`. SigLIP itself pools them with the
attention of a learned query (`MAPHead_0`), see `two_towers`. The names and shapes of the parameters
are those of `img` in the original checkpoints of both, stacked over the layers.
Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training".
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from big_rad.models import attention_parts, common

Tokens = Float[Array, "batch tokens width"]
VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": dict(width=96, depth=3, mlp_dim=288, num_heads=4, patch_size=14),
    "So400m/14": dict(width=1152, depth=27, mlp_dim=4304, num_heads=16, patch_size=14),
}


def sincos2d(
    rng: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "1 tokens width"]:
    """Initialises a position embedding with the sines and cosines of row and column.

    It follows Chen et al. 2021 (MoCo v3), with a longest wavelength of 2 pi * 100 patches.

    Args:
        rng: Unused, since the values are fixed.
        shape: The shape (1, n * n, width), where width is a multiple of 4.
        dtype: The dtype of the result.

    Returns:
        The embedding, with values in [-1, 1].
    """
    del rng
    n, width = round(shape[1] ** 0.5), shape[2]
    frequency = 100.0 ** -jnp.linspace(0, 1, width // 4)
    row, column = jnp.mgrid[:n, :n].reshape(2, n * n, 1) * frequency
    waves = [jnp.sin(column), jnp.cos(column), jnp.sin(row), jnp.cos(row)]
    return jnp.concatenate(waves, axis=1).astype(dtype)[None]


def _flat(x: Tokens) -> Float[Array, "rows width"]:
    # The gradient of a weight sums over all tokens. If these have two axes, XLA on a CPU copies and
    # transposes the tokens for it.
    return x.reshape(-1, x.shape[-1])


class Attention(nn.Module):
    """Multi-head attention with biases, and with the softmax in float32."""

    num_heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tokens, queries: Tokens | None = None) -> Tokens:
        """Lets every token, or each of other `queries`, attend to all tokens of its row."""
        rows, _, width = x.shape
        heads = self.num_heads, width // self.num_heads
        queries = x if queries is None else queries

        def project(name: str, x: Tokens) -> Float[Array, "batch heads tokens head_dim"]:
            y = nn.DenseGeneral(heads, dtype=self.dtype, name=name)(_flat(x))
            return y.reshape(rows, -1, *heads).swapaxes(1, 2)

        q, k, v = project("query", queries), project("key", x), project("value", x)
        part = attention_parts.Part(k, v, None)
        q = (q * heads[1] ** -0.5)[:, :, None]
        encoded = attention_parts.attend_parts(q, (part,), 0.0)[:, :, 0].swapaxes(1, 2)
        out = nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")
        return out(encoded.reshape(-1, *heads)).reshape(queries.shape)


class MlpBlock(nn.Module):
    """Two dense layers with a tanh-approximated GELU between them."""

    mlp_dim: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        """Maps each token by itself."""
        y = nn.gelu(nn.Dense(self.mlp_dim, dtype=self.dtype)(_flat(x)), approximate=True)
        return nn.Dense(x.shape[-1], dtype=self.dtype)(y).reshape(x.shape)


class EncoderBlock(nn.Module):
    """A pre-norm transformer block."""

    mlp_dim: int
    num_heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tokens, _: None) -> tuple[Tokens, None]:
        """Returns the tokens after the block, and the None that `nn.scan` expects."""
        y = nn.LayerNorm(epsilon=1e-6, dtype=jnp.float32)(x).astype(self.dtype)
        y = Attention(self.num_heads, self.dtype, name="MultiHeadDotProductAttention_0")(y)
        x = x + y
        y = nn.LayerNorm(epsilon=1e-6, dtype=jnp.float32)(x).astype(self.dtype)
        return x + MlpBlock(self.mlp_dim, self.dtype)(y), None


class Transformer(nn.Module):
    """The blocks, scanned over the layers, and the final norm."""

    depth: int
    mlp_dim: int
    num_heads: int
    dtype: DTypeLike
    scan: bool
    remat_policy: str

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        """Returns the tokens after all blocks and the final norm."""
        layers = nn.scan(
            common.remat(EncoderBlock, self.remat_policy),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=self.depth,
            unroll=1 if self.scan else self.depth,
        )
        x, _ = layers(self.mlp_dim, self.num_heads, self.dtype, name="encoderblock")(x, None)
        return nn.LayerNorm(epsilon=1e-6, dtype=jnp.float32, name="encoder_norm")(x)


class AttentionPool(nn.Module):
    """Pools tokens into one vector: the attention of a learned query, then an MLP block."""

    mlp_dim: int
    num_heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tokens) -> Float[Array, "batch width"]:
        """Returns one vector for each row of tokens."""
        shape = (1, 1, x.shape[-1])
        probe = self.param("probe", nn.initializers.xavier_uniform(), shape)
        probe = jnp.broadcast_to(probe.astype(self.dtype), (x.shape[0], *shape[1:]))
        attention = Attention(self.num_heads, self.dtype, name="MultiHeadDotProductAttention_0")
        x = attention(x, probe)
        y = nn.LayerNorm(epsilon=1e-6, dtype=jnp.float32)(x).astype(self.dtype)
        return (x + MlpBlock(self.mlp_dim, self.dtype)(y))[:, 0]


class Model(nn.Module):
    """The image tower.

    Attributes:
        variant: A name in `VARIANTS`; explicit dimensions override those of the variant.
        width: The number of features of a token.
        depth: The number of layers.
        mlp_dim: The inner width of the MLP.
        num_heads: The number of heads of the attention.
        patch_size: The side of a patch in pixels; each patch becomes a token.
        num_classes: The output width of `head`; 0 leaves the head out.
        pool: "none" returns the tokens of an image, as PaliGemma needs them; "map" pools them into
            one vector with `AttentionPool`, as SigLIP does, before the head.
        posemb_init: The initial values of the position embedding, "normal" or "sincos2d". They
            matter only without a checkpoint.
        scan: Whether the layers run as a loop; False unrolls them. The parameters are the same.
        remat_policy: The intermediates that the backward pass keeps, "none", "full", "dots" or
            "dots_no_batch"; see `common.remat`.
        dtype_mm: The dtype of the matrix products; norms and softmax stay in float32.
    """

    variant: str | None = None
    width: int | None = None
    depth: int | None = None
    mlp_dim: int | None = None
    num_heads: int | None = None
    patch_size: int | None = None
    num_classes: int = 0
    pool: str = "none"
    posemb_init: str = "normal"
    scan: bool = True
    remat_policy: str = "none"
    dtype_mm: str = "float32"

    @nn.compact
    def __call__(
        self, image: Float[Array, "batch height_px width_px 3"], *, train: bool = False
    ) -> tuple[Float[Array, "batch *tokens features"], dict[str, Array]]:
        """Encodes images.

        Args:
            image: The images, with values in the range of the configured normalisation.
            train: Unused, since the tower has no dropout; the models share this interface.

        Returns:
            A pair: the tokens [B, N, num_classes] ([B, N, width] without a head), or one vector
            [B, ...] of this width if they are pooled; and `out`. `out["encoded"]` [B, N, width]
            holds the tokens after the final norm, before pooling and head.
        """
        del train
        dims = self.dims()
        dtype = jnp.dtype(self.dtype_mm)
        patch = dims["patch_size"]
        out = {}
        x = nn.Conv(
            dims["width"], (patch, patch), (patch, patch), "VALID", dtype=dtype, name="embedding"
        )(image.astype(dtype))
        x = x.reshape(x.shape[0], -1, dims["width"])
        inits = {"normal": nn.initializers.normal(dims["width"] ** -0.5), "sincos2d": sincos2d}
        if self.posemb_init not in inits:
            raise ValueError(f"no posemb_init {self.posemb_init!r}; known: {', '.join(inits)}")
        shape = (1, x.shape[1], dims["width"])
        position = self.param("pos_embedding", inits[self.posemb_init], shape)
        x = out["stem"] = x + position.astype(dtype)
        x = Transformer(
            dims["depth"],
            dims["mlp_dim"],
            dims["num_heads"],
            dtype,
            self.scan,
            self.remat_policy,
            name="Transformer",
        )(x)
        x = out["encoded"] = x.astype(dtype)
        if self.pool == "map":
            x = out["pooled"] = AttentionPool(
                dims["mlp_dim"], dims["num_heads"], dtype, name="MAPHead_0"
            )(x)
        elif self.pool != "none":
            raise ValueError(f'no pool {self.pool!r}; known: "none", "map"')
        if self.num_classes:
            x = out["tokens"] = nn.Dense(self.num_classes, dtype=dtype, name="head")(x)
        return x, out

    def dims(self) -> dict[str, Any]:
        """Returns width, depth, mlp_dim, num_heads and patch_size."""
        return common.resolve_variant(
            "siglip",
            VARIANTS,
            self.variant,
            width=self.width,
            depth=self.depth,
            mlp_dim=self.mlp_dim,
            num_heads=self.num_heads,
            patch_size=self.patch_size,
        )


LOADING = common.Loading(adapt={"pos_embedding": common.resize_position_embedding})
