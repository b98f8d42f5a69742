"""The Gemma 2 decoder: token embedding, scanned blocks, final norm, and tied output logits.

The decoder runs on embeddings, and masks and positions are arguments, so that image tokens and
text tokens can share a sequence. The names and shapes of the parameters are those of `llm` in the
original PaliGemma 2 checkpoints.
Reference: Gemma Team 2024, "Gemma 2: Improving Open Language Models at a Practical Size".
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from big_rad.models import attention, common, gemma_layout, lora
from big_rad.models.rope import Rope, apply_rope, make_rope

# The keys `k` and the values `v` of one layer, and of all layers.
LayerKV = dict[str, Float[Array, "batch slots kv_heads head_dim"]]
KV = dict[str, Float[Array, "depth batch slots kv_heads head_dim"]]
Tokens = Float[Array, "batch tokens width"]
Wide = Float[Array, "batch tokens mlp_dim"]
UpMatrix = Float[Array, "width mlp_dim"]

VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": dict(width=96, depth=2, mlp_dim=288, num_heads=4, num_kv_heads=2, head_dim=24),
    "gemma2_2b": dict(
        width=2304, depth=26, mlp_dim=9216, num_heads=8, num_kv_heads=4, head_dim=256
    ),
    "gemma2_9b": dict(
        width=3584, depth=42, mlp_dim=14336, num_heads=16, num_kv_heads=8, head_dim=256
    ),
    "gemma2_27b": dict(
        width=4608,
        depth=46,
        mlp_dim=36864,
        num_heads=32,
        num_kv_heads=16,
        head_dim=128,
        query_scale=(4608 / 32) ** -0.5,
    ),
}


# This class is not frozen because a Flax module is not, and so cannot inherit from a frozen one.
@dataclasses.dataclass(kw_only=True, unsafe_hash=True)
class Dims:
    """The sizes and the numerics of the decoder: everything that its layers need to know.

    `Model` has the same fields, and takes a size that is None from its variant. In the result of
    `Model.dims` no size is None.

    Attributes:
        width: The number of features of a token, D.
        depth: The number of layers.
        mlp_dim: The number of inner features of the feed-forward part.
        num_heads: The number of query heads.
        num_kv_heads: The number of heads of keys and values; each serves a group of query heads.
        head_dim: The number of features of a head.
        vocab_size: The number of rows of the token table, V.
        query_scale: The factor on the queries; None means head_dim ** -0.5.
        attn_logits_softcap: The constant c in c * tanh(x / c), where x are the logits of the
            attention; 0 disables the soft cap.
        final_logits_softcap: The same constant for the output logits.
        scan: Whether the layers run as a loop; False unrolls them. The parameters are the same.
        remat_policy: The intermediates that the backward pass keeps; see `common.remat`.
        dtype_mm: The dtype of the matrix products.
    """

    width: int | None = None
    depth: int | None = None
    mlp_dim: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int = 257_152
    query_scale: float | None = None
    attn_logits_softcap: float = 50.0
    final_logits_softcap: float = 0.0
    scan: bool = True
    remat_policy: str = "none"
    dtype_mm: str = "float32"

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the matrices, stacked over layers, by their names in a layer."""
        n, kv, d, h, f = (
            self.num_heads, self.num_kv_heads, self.width, self.head_dim, self.mlp_dim
        )  # fmt: skip
        shapes = {
            "attn/q_einsum/w": (n, d, h),
            "attn/kv_einsum/w": (2, kv, d, h),
            "attn/attn_vec_einsum/w": (n, h, d),
            "mlp/gating_einsum": (2, d, f),
            "mlp/linear": (f, d),
        }
        return {name: (self.depth, *shape) for name, shape in shapes.items()}


class RMSNorm(nn.Module):
    """Root mean square normalisation: x / sqrt(mean(x^2) + 1e-6) * (1 + scale), in float32.

    The mean is over the features of a token, and `scale` is a learned vector.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "*rows width"]) -> Float[Array, "*rows width"]:
        """Returns the normalised array, in the shape and dtype of x."""
        scale = self.param("scale", nn.initializers.zeros_init(), (x.shape[-1],))
        y = x.astype(jnp.float32)
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + 1e-6)
        return (y * (1 + scale.astype(jnp.float32))).astype(x.dtype)


class Einsum(nn.Module):
    """An einsum of the input with one weight `w`.

    Attributes:
        shape: The shape of the weight.
        in_axis: The axes of the weight that are summed over; the initial scale depends on them.
    """

    shape: tuple[int, ...]
    in_axis: tuple[int, ...]

    @nn.compact
    def __call__(
        self, equation: str, x: Float[Array, "batch tokens *_"]
    ) -> Float[Array, "*result"]:
        """Returns einsum(equation, x, w) in the dtype of x, with the weight's adapter if any."""
        w = _weight(self, "w", self.shape, self.in_axis, x.dtype)
        return lora.einsum(equation, x, w, self.get_variable("lora", "w"))


def _weight(
    module: nn.Module, name: str, shape: tuple[int, ...], in_axis: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "*shape"]:
    # The last axis of `shape` is an output axis, `in_axis` names the input axes, and all others
    # count as batch axes for the initial scale.
    out_axis = len(shape) - 1
    batch = tuple(i for i in range(out_axis) if i not in in_axis)
    init = nn.initializers.variance_scaling(
        1.0, "fan_in", "normal", in_axis=in_axis, out_axis=out_axis, batch_axis=batch
    )
    return module.param(name, init, shape).astype(dtype)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions and a soft cap on the logits."""

    dims: Dims

    @nn.compact
    def __call__(
        self,
        x: Tokens,
        rope: Rope,
        mask: attention.Mask,
        cache: LayerKV | None,
        skip: int = 0,
    ) -> tuple[Float[Array, "batch unskipped width"], LayerKV]:
        """Attends from x to the slots of the cache, if there is one, and to x itself.

        Args:
            x: The input [B, T, width].
            rope: The angles of the positions of x.
            mask: A bool [B, T, S + T], which says whether a query may see a key; the S slots of the
                cache come first (S is 0 without a cache). Without a cache it may also be another
                kind of `attention.Mask`.
            cache: The earlier keys `k` and values `v`, each [B, S, kv, head_dim], or None.
            skip: The first position that is a query. All positions are keys.

        Returns:
            A pair: the output [B, T - skip, width], and the keys and values of x, each
            [B, T, kv, head_dim].
        """
        d = self.dims
        q = Einsum((d.num_heads, d.width, d.head_dim), (1,), name="q_einsum")(
            "btd,ndh->btnh", x[:, skip:]
        )
        k, v = Einsum((2, d.num_kv_heads, d.width, d.head_dim), (2,), name="kv_einsum")(
            "btd,ckdh->cbtkh", x
        )
        q = apply_rope(q, Rope(*(r[:, skip:] for r in rope)))
        q = q * (d.query_scale or d.head_dim**-0.5)
        k = apply_rope(k, rope)
        b, t = q.shape[:2]
        q = q.reshape(b, t, d.num_kv_heads, d.num_heads // d.num_kv_heads, d.head_dim)
        mask = attention.last_rows(mask, skip)
        if isinstance(mask, attention.StructuredMask):
            encoded = attention.attend_structured(q, k, v, mask, d.attn_logits_softcap)
        elif isinstance(mask, attention.FusedMask):
            encoded = attention.attend_cudnn(q, k, v, mask)
        else:
            keys, values = ([k], [v]) if cache is None else ([cache["k"], k], [cache["v"], v])
            encoded = attention.attend_dense(q, keys, values, mask, d.attn_logits_softcap)
        encoded = encoded.reshape(b, t, d.num_heads, d.head_dim)
        out = Einsum((d.num_heads, d.head_dim, d.width), (0, 1), name="attn_vec_einsum")
        return out("btnh,nhd->btd", encoded), {"k": k, "v": v}


class FeedForward(nn.Module):
    """The feed-forward part, a GeGLU: (gelu(x W_gate) * (x W_up)) W_down.

    `gating_einsum` holds W_gate and W_up, and `linear` is W_down. Source: Shazeer 2020, "GLU
    Variants Improve Transformer", section 2.
    """

    dims: Dims

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        """Maps each token by itself."""
        d = self.dims
        gating = _weight(self, "gating_einsum", (2, d.width, d.mlp_dim), (1,), x.dtype)
        linear = _weight(self, "linear", (d.mlp_dim, d.width), (0,), x.dtype)
        wide, down = (self.get_variable("lora", n) for n in ("gating_einsum", "linear"))

        def widen(i: int) -> Wide:
            y = up_projection(x, gating[i])
            if wide is not None:
                y += lora.product(x, wide["a"], wide["b"][:, i])
            return y

        h = nn.gelu(widen(0), approximate=True) * widen(1)
        return lora.einsum("btf,fd->btd", h, linear, down)


@jax.custom_vjp
def up_projection(x: Tokens, w: UpMatrix) -> Wide:
    """Returns x w, with a gradient that is faster on a CPU if `x` is narrower than the result.

    With d the gradient of the result, the gradient of `w` is computed as x^T d. JAX would compute
    (d^T x)^T. The product copies its transposed operand on a CPU, and `x` is smaller than d. A GPU
    copies neither.
    """
    return jnp.dot(x, w)


def _up_forward(x: Tokens, w: UpMatrix) -> tuple[Wide, tuple[Tokens, UpMatrix]]:
    return jnp.dot(x, w), (x, w)


def _up_backward(kept: tuple[Tokens, UpMatrix], d: Wide) -> tuple[Tokens, UpMatrix]:
    x, w = kept
    return jnp.dot(d, w.T), jnp.einsum("btd,btf->df", x, d)


up_projection.defvjp(_up_forward, _up_backward)


class Block(nn.Module):
    """A Gemma 2 block: attention and a feed-forward part, each with a norm before and after it."""

    dims: Dims

    @nn.compact
    def __call__(
        self,
        x: Tokens,
        rope: Rope,
        mask: attention.Mask,
        cache: LayerKV | None,
        skip: int = 0,
    ) -> tuple[Float[Array, "batch unskipped width"], LayerKV]:
        """Returns the output [B, T - skip, width], and keys and values; see `Attention`."""
        y, kv = Attention(self.dims, name="attn")(
            RMSNorm(name="pre_attention_norm")(x), rope, mask, cache, skip
        )
        x = x[:, skip:] + RMSNorm(name="post_attention_norm")(y)
        y = FeedForward(self.dims, name="mlp")(RMSNorm(name="pre_ffw_norm")(x))
        return x + RMSNorm(name="post_ffw_norm")(y), kv


class Embedder(nn.Module):
    """The token table, which embeds the input tokens and computes the output logits."""

    dims: Dims

    def setup(self) -> None:
        """Creates the table."""
        init = nn.initializers.normal(self.dims.width**-0.5)
        self.input_embedding = self.param(
            "input_embedding", init, (self.dims.vocab_size, self.dims.width)
        )

    def encode(
        self, tokens: Int[Array, "*rows"], adapter: lora.Adapter | None = None
    ) -> Float[Array, "*rows width"]:
        """Maps token ids to embeddings, scaled by sqrt(width).

        Args:
            tokens: The token ids.
            adapter: The scaled `a` and `b` of the table's adapter, or None.
        """
        dtype = jnp.dtype(self.dims.dtype_mm)
        x = jnp.take(self.input_embedding, tokens, axis=0).astype(dtype)
        if adapter is not None:
            a = adapter["a"].astype(jnp.float32)  # Gradients of a token add up in float32.
            x += jnp.dot(jnp.take(a, tokens, axis=0).astype(dtype), adapter["b"])
        return x * jnp.asarray(self.dims.width**0.5, dtype)

    def decode(
        self, x: Float[Array, "*rows width"], adapter: lora.Adapter | None = None
    ) -> Float[Array, "*rows vocab"]:
        """Maps hidden states to float32 logits, with `final_logits_softcap` applied."""
        table = self.input_embedding.astype(x.dtype)
        logits = jnp.einsum("...d,vd->...v", x, table, preferred_element_type=jnp.float32)
        if adapter is not None:
            low = jnp.dot(x, adapter["b"].T)
            logits += jnp.dot(low, adapter["a"].T, preferred_element_type=jnp.float32)
        return attention.soft_cap(logits, self.dims.final_logits_softcap)


class Model(nn.Module, Dims):
    """The Gemma 2 decoder.

    Attributes:
        variant: A name in `VARIANTS`; explicit fields of `Dims` override its sizes.
    """

    variant: str | None = None

    def dims(self) -> Dims:
        """Returns all sizes; explicit ones override those of the variant."""
        explicit = {f.name: getattr(self, f.name) for f in dataclasses.fields(Dims)}
        scale = explicit.pop("query_scale")  # It may stay None, unlike a size.
        sizes = common.resolve_variant("gemma", VARIANTS, self.variant, **explicit)
        return Dims(**(sizes if scale is None else sizes | {"query_scale": scale}))

    def setup(self) -> None:
        """Creates embedder, layers and final norm, with the names of the original checkpoints."""
        d = self.dims()
        self.embedder = Embedder(d)
        self.final_norm = RMSNorm()
        scanned = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, nn.broadcast, 0),
            out_axes=0,
            length=d.depth,
        )
        self.layers = scanned(d)

    def embed(
        self, tokens: Int[Array, "batch tokens"], adapter: lora.Adapter | None = None
    ) -> Tokens:
        """Maps token ids to scaled embeddings; see `Embedder.encode`."""
        return self.embedder.encode(tokens, adapter)

    def logits(
        self, x: Float[Array, "*rows width"], adapter: lora.Adapter | None = None
    ) -> Float[Array, "*rows vocab"]:
        """Maps final hidden states to float32 logits; see `Embedder.decode`."""
        return self.embedder.decode(x, adapter)

    def __call__(
        self,
        x: Tokens,
        positions: Int[Array, "batch tokens"],
        mask: attention.Mask,
        cache: KV | None = None,
        skip: int = 0,
        adapters: lora.Adapters | None = None,
    ) -> tuple[Float[Array, "batch unskipped width"], dict[str, KV]]:
        """Runs the blocks and the final norm on embeddings.

        Args:
            x: The embeddings [B, T, width].
            positions: The positions i32 [B, T].
            mask: A bool [B, T, S + T], or another mask; see `Attention`.
            cache: The earlier keys `k` and values `v`, each [depth, B, S, kv, head_dim], or None.
            skip: The first position whose hidden state is returned. The last block computes only
                keys and values at the positions before it.
            adapters: The layers' adapters from `lora.scaled`, or None.

        Returns:
            A pair: the hidden states after the final norm [B, T - skip, width], and `out`.
            `out["kv"]` holds the new keys and values, each [depth, B, T, kv, head_dim].
        """
        d = self.dims()
        rope = make_rope(positions, d.head_dim)
        if self.is_initializing():
            self.layers(x, rope, mask, cache)
        own = self.variables.get("params", {})
        if gemma_layout.is_arranged(own):
            x, kv = self._arranged(own[gemma_layout.BLOCKS], x, rope, mask, cache, skip)
            return self.final_norm(x), {"kv": kv}
        params = self.layers.variables["params"]
        # Matrices are cast once here, not in each layer. The scales of norms are not cast.
        params = jax.tree.map(lambda p: p.astype(d.dtype_mm) if p.ndim > 2 else p, params)
        block = Block(d, parent=None)

        def run(skip: int, x: Tokens, layer: tuple[Any, ...]) -> tuple[Tokens, LayerKV]:
            own, kv, added = layer
            variables = {"params": own} | ({} if added is None else {"lora": added})
            return block.apply(variables, x, rope, mask, kv, skip)

        def body(skip: int) -> Callable[..., tuple[Tokens, LayerKV]]:
            return common.remat(functools.partial(run, skip), d.remat_policy)

        layers = (params, cache, adapters)
        if not skip:
            x, kv = jax.lax.scan(body(0), x, layers, unroll=not d.scan)
        else:
            first, last = (jax.tree.map(lambda p: p[i], layers) for i in (slice(-1), -1))  # noqa: B023
            x, kv = jax.lax.scan(body(0), x, first, unroll=not d.scan)
            x, kv_last = body(skip)(x, last)
            kv = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), kv, kv_last)
        return self.final_norm(x), {"kv": kv}

    def _arranged(
        self,
        blocks: Mapping[str, Any],
        x: Tokens,
        rope: Rope,
        mask: attention.Mask,
        cache: KV | None,
        skip: int,
    ) -> tuple[Float[Array, "batch unskipped width"], KV]:
        # Runs the blocks on parameters in the layout of decoding, see `gemma_layout`. The layers
        # are not a loop, because a loop would need them stacked, which is a second copy of them.
        d, kvs = self.dims(), []
        block = Block(d, parent=None)
        for i in range(d.depth):
            own = gemma_layout.block_params(blocks[str(i)], d.num_heads, d.num_kv_heads, d.head_dim)
            own = jax.tree.map(lambda p: p.astype(d.dtype_mm) if p.ndim > 1 else p, own)
            kv = None if cache is None else {n: c[i] for n, c in cache.items()}
            last = skip if i == d.depth - 1 else 0
            x, new = block.apply({"params": own}, x, rope, mask, kv, last)
            kvs.append(new)
        return x, jax.tree.map(lambda *layers: jnp.stack(layers), *kvs)


LOADING = common.Loading(adapt={"embedder/input_embedding": common.extend_embedding})
