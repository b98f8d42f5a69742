"""The decoder's attention, with grouped queries and a soft cap on the logits.

There are four implementations of the same function. They differ in speed and in the kind of mask
that they take:

- `attend_dense` takes any mask. It is the reference.
- `attend_structured` is for rows of [image | text]. It never computes the logits of one text
  against another; see `StructuredMask`.
- `attend_one` is for one token in each row against a KV cache.
- `attend_cudnn` is the fused kernel of NVIDIA's cuDNN library. It has no soft cap.
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
    """A mask for rows of N image tokens and T text tokens, the text cut into blocks of L tokens.

    All image tokens see each other, and every text token sees all of them. A text token sees no
    text outside its own block. So two things have to be stored: the blocks on the diagonal, and
    which text tokens the image tokens see.

    In this example N = 2, T = 6 and L = 3. The row holds a text of three tokens, a text of two, and
    one token of padding, and all text is causal. The dense mask of `row_masks.make_attn_mask` is
    this (rows are queries, columns are keys, and x means that the query sees the key):

        image | block 0 | block 1
         x x  |  . . .  |  . . .    The two image tokens. They see no text here, so `prefix` is
         x x  |  . . .  |  . . .    None.
        ------+---------+--------
         x x  |  x . .  |  . . .    Block 0, with the three tokens of the first text. `text[0, 0]`
         x x  |  x x .  |  . . .    is the 3 x 3 matrix in the column of block 0.
         x x  |  x x x  |  . . .
        ------+---------+--------
         x x  |  . . .  |  x . .    Block 1, with the two tokens of the second text, and padding.
         x x  |  . . .  |  x x .    `text[0, 1]` is the 3 x 3 matrix in the column of block 1.
         . .  |  . . .  |  . . .

    The results differ from those under the dense mask only at padding. There a structured query
    sees the image tokens, and nothing reads its result.

    Attributes:
        text: A bool [B, T / L, L, L], which says whether text token q of a block may see text token
            k of the same block.
        prefix: A bool [B, T], true at the text tokens that the image tokens see; None if they see
            no text.
        num_image: The number of image tokens, N.
    """

    text: Bool[Array, "batch blocks length length"]
    prefix: Bool[Array, "batch text"] | None
    num_image: int = flax.struct.field(pytree_node=False)


@flax.struct.dataclass
class FusedMask:
    """A dense mask, marked for `attend_cudnn`.

    Attributes:
        dense: A bool [B, T, S], which says whether query t may see key s.
    """

    dense: Bool[Array, "batch queries keys"]


Mask = Bool[Array, "batch queries keys"] | StructuredMask | FusedMask


def choose(kind: str, cap: float, dtype: str, head_dim: int) -> tuple[str, str]:
    """Decides which implementation of the attention a model uses.

    Args:
        kind: One of `KINDS`; "auto" is "cudnn" where it is available, and "structured" elsewhere.
        cap: The soft cap of the logits; 0 disables it.
        dtype: The dtype of queries and keys.
        head_dim: The number of features of a head.

    Returns:
        A pair: "xla", "structured" or "cudnn", and the reason as a text.

    Raises:
        ValueError: The kind is unknown, or it is "cudnn" and that is not available.
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
    # Returns the reason why cuDNN cannot be used, or "" if it can.
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
    """Computes attention under any mask; the keys may come in several pieces.

    The pieces are not copied together. Logits and softmax are computed in float32.

    Args:
        q: The queries [..., T, kv, group, head_dim], scaled and rotated.
        keys: The pieces of the keys, each [..., S_i, kv, head_dim].
        values: The pieces of the values, of the same shapes.
        mask: A bool [..., T or 1, sum of S_i], which says whether a query may see a key; None if
            all queries see all keys.
        cap: The soft cap of the logits; 0 disables it.

    Returns:
        An array like `q`.
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
    """Computes the attention of one query in each row over the KV cache of `gemma_cache`.

    Args:
        q: The queries [B, kv, group, head_dim], scaled and rotated.
        keys: The keys [B, kv, head_dim, S] of all S slots of the cache.
        values: The values [B, kv, S, head_dim].
        mask: A bool [B, S], which says whether the query may see a slot.
        cap: The soft cap of the logits; 0 disables it.

    Returns:
        An array like `q`, with the result of `attend_dense`.
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
    """Computes attention under a `StructuredMask`.

    Args:
        q: The queries [B, N + T, kv, group, head_dim], scaled and rotated; or only those of the
            text, [B, T, kv, group, head_dim].
        k: The keys [B, N + T, kv, head_dim].
        v: The values, of the same shape.
        mask: The mask.
        cap: The soft cap of the logits; 0 disables it.

    Returns:
        An array like `q`, with the result of `attend_dense` under the dense form of the mask
        (except at padding, see `StructuredMask`).
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
    """Computes attention without a soft cap, in one fused kernel.

    Args:
        q: The queries [B, T, kv, group, head_dim], scaled and rotated.
        k: The keys [B, S, kv, head_dim].
        v: The values, of the same shape.
        mask: The mask.
        implementation: The argument of that name of `jax.nn.dot_product_attention`.

    Returns:
        An array like `q`.
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
    """Returns the mask without its first `skip` queries.

    Raises:
        ValueError: The mask is a `StructuredMask`, and `skip` is neither 0 nor the number of image
            tokens.
    """
    if isinstance(mask, StructuredMask):
        if skip not in (0, mask.num_image):
            raise ValueError(f"the first {mask.num_image} positions are the image, not {skip}")
        return mask
    if isinstance(mask, FusedMask):
        return FusedMask(mask.dense[:, skip:])
    return mask[:, skip:]
