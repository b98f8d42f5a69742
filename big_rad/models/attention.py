"""Attention of the decoder: grouped queries, soft cap, and several layouts of the same function.

`attend_dense` takes any mask and is the reference. `attend_structured` is for rows of
[image | text]: the image is one block without a mask, the text another, cut so that logits of one
text against another are never computed. `attend_one` is for one token a row against a cache.
`attend_cudnn` is the fused kernel of NVIDIA's library. Knows no parameters.
"""

import functools

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from big_rad.models import attention_parts
from big_rad.models.attention_parts import soft_cap

KINDS = ("xla", "structured", "cudnn", "auto")
_MASKED = attention_parts.MASKED


@flax.struct.dataclass
class StructuredMask:
    """Mask of a row [N image tokens | T text tokens], the text cut into blocks of L tokens.

    All image tokens see each other, and all text sees them.

    Attributes:
        text: bool [B, T / L, L, L]: may text token q of a block see k of the same block.
        prefix: bool [B, T]: the text that the image sees; None: it sees none.
        num_image: N.
    """

    text: Bool[Array, "batch blocks length length"]
    prefix: Bool[Array, "batch text"] | None
    num_image: int = flax.struct.field(pytree_node=False)


@flax.struct.dataclass
class FusedMask:
    """A dense mask bool [B, T, S] for `attend_cudnn`."""

    dense: Bool[Array, "batch queries keys"]


Mask = Bool[Array, "batch queries keys"] | StructuredMask | FusedMask


def choose(kind: str, cap: float, dtype: str, head_dim: int) -> tuple[str, str]:
    """Settles which layout is used.

    Args:
        kind: one of `KINDS`.
        cap: soft cap of the logits, 0 for none.
        dtype: of queries and keys.
        head_dim: their features.

    Returns:
        ("xla", "structured" or "cudnn", why).

    Raises:
        ValueError: an unknown kind, or "cudnn" where it cannot be had.
    """
    if kind not in KINDS:
        raise ValueError(f"config.model.attention {kind!r}; known: {', '.join(KINDS)}")
    if kind in ("xla", "structured"):
        return kind, "the config says so"
    reason = _why_not_cudnn(cap, dtype, head_dim)
    if kind == "cudnn" and reason:
        raise ValueError(f'config.model.attention "cudnn": {reason}; use "structured" or "auto"')
    if reason:
        return "structured", f"no cuDNN kernel: {reason}"
    return "cudnn", "no soft cap, and this device has the kernel"


@functools.cache
def _why_not_cudnn(cap: float, dtype: str, head_dim: int) -> str:
    # Returns what is in the way, or "".
    if cap:
        return f"it has no soft cap, and attn_logits_softcap is {cap:g}"
    if dtype not in ("bfloat16", "float16"):
        return f"it takes bfloat16 or float16, and dtype_mm is {dtype}"
    if jax.default_backend() != "gpu":
        return f"there is no GPU ({jax.default_backend()})"
    # Whether a kernel exists depends on the card and on the versions of both libraries.
    with jax.ensure_compile_time_eval():
        q, k = jnp.ones((1, 64, 2, 1, head_dim), dtype), jnp.ones((1, 64, 2, head_dim), dtype)
        mask = FusedMask(jnp.ones((1, 64, 64), bool))
        try:
            jax.jit(jax.grad(lambda q: attend_cudnn(q, k, k, mask).sum()))(q).block_until_ready()
        except Exception as e:
            return f"the device refuses it ({' '.join(str(e).split())[:200]})"
    return ""


def attend_dense(
    q: Float[Array, "*rows queries kv_heads group head_dim"],
    keys: list[Float[Array, "*rows _ kv_heads head_dim"]],
    values: list[Float[Array, "*rows _ kv_heads head_dim"]],
    mask: Bool[Array, "*rows queries_or_1 all_keys"] | None,
    cap: float,
) -> Float[Array, "*rows queries kv_heads group head_dim"]:
    """Attention over keys that may come in several pieces, which are not copied together.

    Args:
        q: [..., T, kv, group, head_dim], scaled and rotated.
        keys: pieces [..., S_i, kv, head_dim].
        values: the same.
        mask: bool [..., T or 1, sum of S_i], or None where everything is seen.
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
    q: Float[Array, "batch kv_heads group head_dim"],
    keys: Float[Array, "batch kv_heads head_dim slots"],
    values: Float[Array, "batch kv_heads slots head_dim"],
    mask: Bool[Array, "batch slots"],
    cap: float,
) -> Float[Array, "batch kv_heads group head_dim"]:
    """Attention of one query a row over a cache, as `gemma_cache` keeps it.

    Args:
        q: [B, kv, group, head_dim], scaled and rotated.
        keys: [B, kv, head_dim, S].
        values: [B, kv, S, head_dim].
        mask: bool [B, S].
        cap: soft cap of the logits, 0 for none.

    Returns:
        As q; equal to `attend_dense`.
    """
    logits = soft_cap(jnp.matmul(q, keys, preferred_element_type=jnp.float32), cap)
    probs = jax.nn.softmax(jnp.where(mask[:, None, None], logits, _MASKED), axis=-1)
    return jnp.matmul(probs.astype(q.dtype), values)


def attend_structured(
    q: Float[Array, "batch queries kv_heads group head_dim"],
    k: Float[Array, "batch keys kv_heads head_dim"],
    v: Float[Array, "batch keys kv_heads head_dim"],
    mask: StructuredMask,
    cap: float,
) -> Float[Array, "batch queries kv_heads group head_dim"]:
    """Attention under a `StructuredMask`.

    Args:
        q: [B, N + T, kv, group, head_dim], scaled and rotated; or of the text alone, [B, T, ...].
        k: [B, N + T, kv, head_dim].
        v: the same.
        mask: see `StructuredMask`.
        cap: soft cap of the logits, 0 for none.

    Returns:
        As q; equal to `attend_dense` under the dense form of the mask.
    """
    n, (b, blocks, length, _) = mask.num_image, mask.text.shape
    heads_first = lambda x: jnp.moveaxis(x, 1, -2)  # noqa: E731 -- [B, T, ...] -> [B, ..., T, d]
    q, k, v = heads_first(q), heads_first(k), heads_first(v)
    text = q.shape[-2] - blocks * length

    def to_blocks(
        x: Float[Array, "batch kv_heads keys head_dim"],
    ) -> Float[Array, "batch blocks kv_heads length head_dim"]:
        x = x[:, :, n:].reshape(b, x.shape[1], blocks, length, -1)
        return x.swapaxes(1, 2)

    seen_by_all = attention_parts.Part(k[:, :, :n], v[:, :, :n], None)
    block = attention_parts.Part(to_blocks(k), to_blocks(v), mask.text)
    out = attention_parts.attend_parts(q[..., text:, :], (seen_by_all, block), cap)
    if text:
        parts = (seen_by_all,)
        if mask.prefix is not None:
            sees = jnp.concatenate([jnp.ones((b, n), bool), mask.prefix], axis=-1)
            parts = (attention_parts.Part(k, v, sees[:, None]),)
        image = attention_parts.attend_parts(q[..., :text, :], parts, cap)
        out = jnp.concatenate([image, out], axis=-2)
    return jnp.moveaxis(out, -2, 1)


def attend_cudnn(
    q: Float[Array, "batch queries kv_heads group head_dim"],
    k: Float[Array, "batch keys kv_heads head_dim"],
    v: Float[Array, "batch keys kv_heads head_dim"],
    mask: FusedMask,
    implementation: str = "cudnn",
) -> Float[Array, "batch queries kv_heads group head_dim"]:
    """Attention without a soft cap, in one fused kernel.

    Args:
        q: [B, T, kv, group, head_dim], scaled and rotated.
        k: [B, S, kv, head_dim].
        v: the same.
        mask: see `FusedMask`.
        implementation: of `jax.nn.dot_product_attention`.

    Returns:
        As q.
    """
    b, t, kv, group, head_dim = q.shape
    out = jax.nn.dot_product_attention(
        q.reshape(b, t, kv * group, head_dim),
        k,
        v,
        mask=mask.dense[:, None],
        scale=1.0,
        implementation=implementation,
    )
    return out.reshape(q.shape)


def last_rows(mask: Mask, skip: int) -> Mask:
    """Returns the mask of the queries from position `skip` on.

    Raises:
        ValueError: a `StructuredMask`, and `skip` is neither 0 nor the number of image tokens.
    """
    if isinstance(mask, StructuredMask):
        if skip not in (0, mask.num_image):
            raise ValueError(f"the first {mask.num_image} positions are the image, not {skip}")
        return mask
    if isinstance(mask, FusedMask):
        return FusedMask(mask.dense[:, skip:])
    return mask[:, skip:]
