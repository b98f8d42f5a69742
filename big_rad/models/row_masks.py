"""The attention mask and the positions of rows [image | text].

The mask is that of a prefix language model, in one of two modes. In "paligemma", the original's,
image and prefix see each other fully, and the suffix is causal. In "image_isolated" the image
tokens see only the image, so that several texts of one image can share a row: each text is a
segment, which sees the image and itself, and its positions restart after the image.
`make_attn_mask` draws both modes.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from big_rad.models import attention

MASK_MODES = ("paligemma", "image_isolated")
Text = Int[Array, "batch text"]
TextValid = Bool[Array, "batch text"]


def make_attn_mask(
    num_image: int,
    text_valid: TextValid,
    mask_ar: Text,
    segment: Text | None = None,
    mask_mode: str = "paligemma",
) -> Bool[Array, "batch row row"]:
    """Builds the attention mask of rows [image | text].

    Let c be the running sum of `mask_ar`, which counts as 0 on the image. A query q sees a key k if
    c[k] <= c[q] and both are valid. A token with `mask_ar` 0 therefore joins the group of the
    token before it, whose members all see each other, and a 1 begins a new group, which the tokens
    before it do not see. Mode "image_isolated" hides two more kinds of keys: image tokens see no
    text, and text tokens see no text of another segment.

    Mode "paligemma", with two image tokens (i), a prefix of two tokens (p), a suffix of two tokens
    (s) and one token of padding (-). Rows are queries, columns are keys, and x means that the query
    sees the key:

        key           i i  p p s s -
        mask_ar            0 0 1 1 0
        c             0 0  0 0 1 2 2

        query i       x x  x x . . .    Image and prefix see each other fully,
              i       x x  x x . . .
              p       x x  x x . . .
              p       x x  x x . . .
              s       x x  x x x . .    and the suffix is causal.
              s       x x  x x x x .
              -       . .  . . . . .    Padding sees nothing and is not seen.

    Mode "image_isolated", with two image tokens and two texts of that image: the first has a prefix
    of one token and a suffix of two, the second a prefix of two tokens and a suffix of one:

        key           i i  p s s  p p s  -
        mask_ar            0 1 1  0 0 1  0
        c             0 0  0 1 2  2 2 3  3
        segment            1 1 1  2 2 2  0

        query i       x x  . . .  . . .  .    The image sees only itself,
              i       x x  . . .  . . .  .
              p       x x  x . .  . . .  .    the first text sees the image and itself,
              s       x x  x x .  . . .  .
              s       x x  x x x  . . .  .
              p       x x  . . .  x x .  .    and so does the second text.
              p       x x  . . .  x x .  .
              s       x x  . . .  x x x  .
              -       . .  . . .  . . .  .

    Args:
        num_image: The number of image tokens, N; all of them are valid.
        text_valid: A bool [B, T], false on padding.
        mask_ar: An i32 [B, T], which is 1 on a token that the tokens before it may not see.
        segment: The number of the text that each token belongs to, i32 [B, T], from 1 on, and 0 on
            padding; None means that each row holds one text.
        mask_mode: One of `MASK_MODES`.

    Returns:
        A bool [B, N + T, N + T], which says whether query [b, q] sees key [b, k].

    Raises:
        ValueError: The mode is unknown, or there are segments in mode "paligemma", whose mask
            cannot separate them.
    """
    if mask_mode not in MASK_MODES:
        raise ValueError(f"no mask_mode {mask_mode!r}; known: {', '.join(MASK_MODES)}")
    if mask_mode == "paligemma" and segment is not None:
        raise ValueError(
            'mask_mode "paligemma" has image tokens that see the text, so a row holds one text: '
            'drop "segment" from the batch (tok(pack=False)) or use mask_mode "image_isolated"'
        )
    b = text_valid.shape[0]
    image = jnp.ones((b, num_image), bool)
    valid = jnp.concatenate([image, text_valid], axis=1)
    c = jnp.cumsum(jnp.concatenate([jnp.zeros_like(image, mask_ar.dtype), mask_ar], axis=1), axis=1)
    mask = (c[:, None, :] <= c[:, :, None]) & valid[:, None, :] & valid[:, :, None]
    if mask_mode == "image_isolated":
        if segment is None:
            segment = text_valid.astype(jnp.int32)
        row = jnp.concatenate([jnp.zeros_like(image, segment.dtype), segment], axis=1)
        is_image = jnp.arange(row.shape[1]) < num_image
        mask &= is_image[None, None, :] | (row[:, None, :] == row[:, :, None])
    return mask


def make_structured_mask(
    num_image: int,
    text_valid: TextValid,
    mask_ar: Text,
    segment: Text | None = None,
    mask_mode: str = "paligemma",
    block: int = 0,
) -> attention.StructuredMask:
    """Builds the mask of `make_attn_mask` without the parts that are all true or all false.

    Args:
        num_image: The number of image tokens, N.
        text_valid: A bool [B, T], false on padding.
        mask_ar: An i32 [B, T]; see `make_attn_mask`.
        segment: An i32 [B, T], or None; see `make_attn_mask`.
        mask_mode: One of `MASK_MODES`.
        block: The length of a block in tokens. It divides T, and no text may be in two blocks. 0
            makes the whole text of a row one block.

    Returns:
        The mask for `attention.attend_structured`.

    Raises:
        ValueError: `block` does not divide T.
    """
    t = text_valid.shape[1]
    block = block or t
    if t % block:
        raise ValueError(f"rows of {t} text tokens are not made of blocks of {block}: text_block")
    mask = make_attn_mask(
        0, *(_blocks(x, block) for x in (text_valid, mask_ar, segment)), mask_mode
    )
    prefix = None
    if mask_mode == "paligemma":
        prefix = text_valid & (jnp.cumsum(mask_ar, axis=1) == 0)
    return attention.StructuredMask(mask.reshape(-1, t // block, block, block), prefix, num_image)


def _blocks(x: Text | TextValid | None, block: int) -> Array | None:
    # Makes each block of a row a row of its own: [B, T] -> [B * T / block, block].
    return None if x is None else x.reshape(-1, block)


def make_positions(
    num_image: int,
    text_valid: TextValid,
    segment: Text | None = None,
) -> Int[Array, "batch row"]:
    """Returns the positions of the tokens of rows [image | text].

    Positions count from 0 and skip padding, and each text starts at N. For the second example of
    `make_attn_mask`, with two image tokens and texts of three tokens each, they are
    [0 1  2 3 4  2 3 4  2].

    Args:
        num_image: The number of image tokens, N.
        text_valid: A bool [B, T], false on padding.
        segment: The number of the text that each token belongs to, i32 [B, T], where the tokens of
            a text follow each other; None means that each row holds one text.

    Returns:
        The positions i32 [B, N + T]. Those of padding have no meaning.
    """
    b, t = text_valid.shape
    count = jnp.cumsum(text_valid.astype(jnp.int32), axis=1)
    if segment is not None:
        # The running count at the last token before the segment of each token.
        starts = jnp.diff(segment, axis=1, prepend=jnp.zeros((b, 1), segment.dtype)) != 0
        before = jnp.where(starts, count - text_valid, 0)
        count = count - jax.lax.cummax(before, axis=1)
    image = jnp.broadcast_to(jnp.arange(num_image), (b, num_image))
    return jnp.concatenate([image, num_image + jnp.maximum(count - 1, 0)], axis=1)
