"""PaliGemma 2: image tokens and text tokens in one sequence of the Gemma 2 decoder.

The attention mask is that of a prefix language model, in one of two modes; `make_attn_mask` draws
both. "paligemma" is the original's: image and prefix see each other fully, and the suffix is
causal. In "image_isolated" the image tokens see only the image. So several texts of one image can
share a row: each text is a segment, which sees the image and itself, and its positions restart
after the image.

This module runs single decoding steps. `big_rad.inference.sampling` has the loop over them.
Reference: Steiner et al. 2024, "PaliGemma 2: A Family of Versatile VLMs for Transfer".
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from big_rad.models import attention, common, gemma, gemma_cache, siglip
from big_rad.models import lora as lora_lib

MASK_MODES = ("paligemma", "image_isolated")
Image = Float[Array, "batch height_px width_px 3"]
ImageTokens = Float[Array, "batch image_tokens width"]
Features = Float[Array, "batch image_tokens features"]  # The tower's output, unprojected.
Text = Int[Array, "batch text"]
TextValid = Bool[Array, "batch text"]
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": dict(img=dict(variant="tiny"), llm=dict(variant="tiny")),
    "3b": dict(img=dict(variant="So400m/14"), llm=dict(variant="gemma2_2b")),
    "10b": dict(img=dict(variant="So400m/14"), llm=dict(variant="gemma2_9b")),
    "28b": dict(img=dict(variant="So400m/14"), llm=dict(variant="gemma2_27b")),
}


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


class Model(nn.Module):
    """PaliGemma 2: the image tower `img`, whose tokens the language model `llm` reads.

    Attributes:
        img: The arguments of `siglip.Model`; `num_classes` is by default the width of the language
            model.
        llm: The arguments of `gemma.Model`.
        mask_mode: One of `MASK_MODES`; see `make_attn_mask`.
        text_block: The length in tokens of the blocks of packed rows. No text may be in two blocks
            (`tok(block=...)` packs them so), and attention is computed block by block. 0 allows any
            packing.
        attention: The implementation of the attention, one of `attention.KINDS`. All give the same
            result. "xla" is the reference under a dense mask; "auto" takes the fastest one that
            this device has.
        last_block: "wanted" leaves out the outputs of the last block at image tokens, which are not
            used. "all" computes them; with `scan`, one block less has to be compiled.
        lora: The settings `rank`, `alpha` and `targets` of adapters, see `lora.check`; None for a
            model without adapters. The adapters are the subtree `lora` of the parameters.
    """

    img: Mapping[str, Any]
    llm: Mapping[str, Any]
    mask_mode: str = "paligemma"
    text_block: int = 0
    attention: str = "auto"
    last_block: str = "all"
    lora: Mapping[str, Any] | None = None

    def setup(self) -> None:
        """Creates the two towers as `img` and `llm`."""
        llm = gemma.Model(**self.llm)
        self._llm = llm.copy(name="llm")
        img = {"num_classes": llm.dims().width, **self.img}
        self._img = siglip.Model(**img, name="img")
        adapters = None
        if self.lora is not None:
            dims = llm.dims()
            shapes = dims.layer_shapes() | {lora_lib.TABLE: (dims.vocab_size, dims.width)}
            new = self.param("lora", lora_lib.init, shapes, self.lora)
            adapters = lora_lib.scaled(new, self.lora, dims.dtype_mm)
        self._adapters, self._table = lora_lib.split(adapters)

    def __call__(
        self,
        image: Image,
        text: Text,
        mask_ar: Text,
        *,
        segment: Text | None = None,
        mask_pos: Int[Array, "batch masks"] | None = None,
        logits_pos: Int[Array, " positions"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, "*positions vocab"], dict[str, Any]]:
        """Runs images and texts through the model.

        Args:
            image: The images f32 [B, H, W, 3].
            text: The token ids i32 [B, T]; 0 is padding.
            mask_ar: An i32 [B, T]; see `make_attn_mask`.
            segment: The number of the text that each token belongs to, i32 [B, T], for rows with
                several texts (only in mode "image_isolated").
            mask_pos: Unused here; `radgrounder.Model` reads hidden states at these positions.
            logits_pos: The positions whose logits are computed, i32 [M], as indices into the
                flattened text [B * T]; None means all positions. A loss may compute the logits
                itself and pass an empty array; see `head`.
            train: An argument for the image tower.

        Returns:
            A pair: the logits f32 [B, T, V], or [M, V] at `logits_pos`; and `out`. `out["img/..."]`
            holds the intermediates of the image tower, and `out["hidden"]` [B, T, width] the final
            hidden states of the text.
        """
        del mask_pos
        tokens, out = self.embed_image(image, train=train)
        hidden, _ = self._forward(tokens, text, mask_ar, segment)
        out["hidden"] = hidden
        if logits_pos is not None:
            hidden = jnp.take(hidden.reshape(-1, hidden.shape[-1]), logits_pos, axis=0)
        return self._llm.logits(hidden, self._table), out

    def hidden_width(self) -> int:
        """Returns the width of the language model's hidden states."""
        return self._dims().width

    def head(
        self, params: Mapping[str, Any]
    ) -> tuple[Float[Array, "vocab width"], float, lora_lib.Adapter | None]:
        """Returns the parts of the output head, for a loss that computes the logits itself.

        Args:
            params: The nested parameters of the model.

        Returns:
            The table [V, width] of the output logits; their soft cap, which is 0 without a cap; and
            the scaled adapter of the table, `a` [V, rank] and `b` [rank, width], which is None
            without an adapter.
        """
        dims, adapter = self._dims(), None
        if self.lora is not None:
            adapters = lora_lib.scaled(params["lora"], self.lora, dims.dtype_mm)
            adapter = lora_lib.split(adapters)[1]
        return params["llm"]["embedder"]["input_embedding"], dims.final_logits_softcap, adapter

    def choose_attention(self) -> tuple[str, str]:
        """Returns the implementation of the attention, and why; see `attention.choose`."""
        d = self._dims()
        return attention.choose(self.attention, d.attn_logits_softcap, d.dtype_mm, d.head_dim)

    def _dims(self) -> gemma.Dims:
        return gemma.Model(**self.llm, parent=None).dims()

    def embed_image(
        self, image: Image, *, train: bool = False
    ) -> tuple[ImageTokens, dict[str, Array]]:
        """Encodes images, and returns their tokens and the intermediates of the tower."""
        tokens, out = self._img(image, train=train)
        return tokens, {f"img/{k}": v for k, v in out.items()}

    def prefill(
        self, image: Image, text: Text, mask_ar: Text
    ) -> tuple[Float[Array, "batch vocab"], gemma.KV, Bool[Array, "batch slots"], Features]:
        """Runs images and prompts, and returns what decoding needs.

        Args:
            image: The images f32 [B, H, W, 3].
            text: The token ids of the prompts i32 [B, T]. Each row has at least one token, and then
                zeros.
            mask_ar: An i32 [B, T]; see `make_attn_mask`.

        Returns:
            Four values: the logits f32 [B, V] at the last token of each prompt; the keys and values
            of all N + T slots [depth, B, N + T, kv, head_dim]; a bool [B, N + T], which is false at
            slots of padding; and the image features before the projection [B, N, C].
        """
        tokens, image_out = self.embed_image(image)
        hidden, out = self._forward(tokens, text, mask_ar, None)
        valid = text != 0
        last = jnp.maximum(valid.sum(axis=1) - 1, 0)
        hidden = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
        image_valid = jnp.ones(tokens.shape[:2], bool)
        return (
            self._llm.logits(hidden, self._table),
            out["kv"],
            jnp.concatenate([image_valid, valid], axis=1),
            image_out["img/encoded"],
        )

    def prefill_image(self, image: Image) -> tuple[gemma.KV, Features]:
        """Runs images without a text, so that several prompts can share them.

        In mode "image_isolated" the keys and values of the image do not depend on the text.

        Args:
            image: The images f32 [B, H, W, 3].

        Returns:
            The keys and values of the image tokens [depth, B, N, kv, head_dim], and the image
            features before the projection [B, N, C].
        """
        tokens, image_out = self.embed_image(image)
        b, n = tokens.shape[:2]
        positions = jnp.broadcast_to(jnp.arange(n), (b, n))
        x = tokens.astype(self._llm.dtype_mm)
        mask = jnp.ones((b, n, n), bool)
        _, out = self._llm(x, positions, mask, adapters=self._adapters)
        return out["kv"], image_out["img/encoded"]

    def prefill_text(
        self, text: Text, image_kv: gemma.KV
    ) -> tuple[Float[Array, "batch vocab"], gemma.KV]:
        """Runs prompts on the keys and values of their images (only in mode "image_isolated").

        Args:
            text: The token ids of the prefixes i32 [B, T]. Each row has at least one token, and
                then zeros.
            image_kv: The keys and values from `prefill_image`, with one row for each text.

        Returns:
            The logits f32 [B, V] at the last token of each prefix, and the keys and values of the
            text [depth, B, T, kv, head_dim].
        """
        n, valid = image_kv["k"].shape[2], text != 0
        mask = jnp.pad(
            valid[:, None, :] & valid[:, :, None], [(0, 0), (0, 0), (n, 0)], constant_values=True
        )
        positions = make_positions(n, valid)[:, n:]
        x, adapters = self._llm.embed(text, self._table), self._adapters
        hidden, out = self._llm(x, positions, mask, image_kv, adapters=adapters)
        last = jnp.maximum(valid.sum(axis=1) - 1, 0)
        hidden = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
        return self._llm.logits(hidden, self._table), out["kv"]

    def decode_weights(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Arranges the model's parameters for `decode_step`; see `gemma_cache.prepare`."""
        if self.lora is not None:
            params = lora_lib.merge(params, self.lora)
        return gemma_cache.prepare(self._dims(), params["llm"])

    def decode_step(
        self,
        weights: Mapping[str, Any],
        token: Int[Array, " batch"],
        slot: Int[Array, " batch"],
        cache: gemma_cache.Cache,
    ) -> tuple[Float[Array, "batch vocab"], gemma_cache.Cache, Float[Array, "batch width"]]:
        """Runs one new token in each row against the cache.

        This method is called directly, not through Flax's `apply`, since `weights` holds all
        parameters that it needs.

        Args:
            weights: The result of `decode_weights`.
            token: The token ids i32 [B].
            slot: The slot of each token in the cache, i32 [B], which is also its position. The
                token sees its own slot and all slots before it.
            cache: The cache; see `gemma_cache.Cache`.

        Returns:
            The logits f32 [B, V], the cache with the token in it, and the token's final hidden
            state [B, width].
        """
        return gemma_cache.step(self._dims(), weights, token, slot, cache)

    def _forward(
        self,
        image_tokens: ImageTokens,
        text: Text,
        mask_ar: Text,
        segment: Text | None,
    ) -> tuple[Float[Array, "batch text width"], dict[str, gemma.KV]]:
        # Returns the hidden states of the text, and the decoder's other outputs.
        n = image_tokens.shape[1]
        valid = text != 0
        x = self._llm.embed(text, self._table)
        x = jnp.concatenate([image_tokens.astype(x.dtype), x], axis=1)
        kind, _ = self.choose_attention()
        if kind == "structured":
            block = self.text_block if segment is not None else 0
            mask = make_structured_mask(n, valid, mask_ar, segment, self.mask_mode, block)
        else:
            mask = make_attn_mask(n, valid, mask_ar, segment, self.mask_mode)
            mask = attention.FusedMask(mask) if kind == "cudnn" else mask
        if self.last_block not in ("all", "wanted"):
            raise ValueError(f'config.model.last_block {self.last_block!r}: use "wanted" or "all"')
        skip = n if self.last_block == "wanted" else 0
        positions = make_positions(n, valid, segment)
        hidden, out = self._llm(x, positions, mask, skip=skip, adapters=self._adapters)
        return hidden if skip else hidden[:, n:], out


LOADING = common.Loading(
    adapt={f"img/{name}": adapt for name, adapt in siglip.LOADING.adapt.items()}
    | {f"llm/{name}": adapt for name, adapt in gemma.LOADING.adapt.items()},
    may_lack=("lora",),
)
