"""PaliGemma: image tokens and text in one Gemma sequence, under a prefix-LM attention mask.

Two mask modes. "paligemma" is the original: image and prefix see each other fully, the suffix is
causal. In "image_isolated" the image tokens see only the image, so several texts of one image can
share a row: each text segment sees the image and itself, and its positions restart after the
image. Knows nothing of tokenizers, prompts or sampling (that is `big_rad.inference.sampling`).
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
Features = Float[Array, "batch image_tokens features"]  # Of the image tower, before the projection.
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
    """Builds the mask over [image | text].

    With c the running sum of `mask_ar` (0 on the image), q sees k iff c[k] <= c[q] and both are
    valid. In "image_isolated" image tokens also see no text, and text sees no other segment.

    Args:
        num_image: N, the number of image tokens; all are valid.
        text_valid: bool [B, T].
        mask_ar: i32 [B, T]; 1 where a token may not be seen by those before it.
        segment: i32 [B, T] of text ids from 1 on, 0 on padding; None means one text a row.
        mask_mode: one of `MASK_MODES`.

    Returns:
        bool [B, N + T, N + T], queries first.

    Raises:
        ValueError: unknown mode, or segments in a mode where they cannot be kept apart.
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
    """Returns the mask of `make_attn_mask` without the parts that are all True or all False.

    Args:
        num_image: N.
        text_valid: bool [B, T].
        mask_ar: i32 [B, T].
        segment: i32 [B, T] or None.
        mask_mode: one of `MASK_MODES`.
        block: texts never cross a border of this many tokens, which divides T; 0: they may.

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
    # Blocks of a row as rows of their own: [B, T] -> [B * T / block, block].
    return None if x is None else x.reshape(-1, block)


def make_positions(
    num_image: int,
    text_valid: TextValid,
    segment: Text | None = None,
) -> Int[Array, "batch row"]:
    """Positions over [image | text]: 0-based, skipping padding, restarting for each segment.

    Args:
        num_image: N.
        text_valid: bool [B, T].
        segment: i32 [B, T] with ascending ids, or None for one text a row.

    Returns:
        i32 [B, N + T]; each text starts at N. Padding gets some position that nothing sees.
    """
    b, t = text_valid.shape
    count = jnp.cumsum(text_valid.astype(jnp.int32), axis=1)
    if segment is not None:
        # The running count at the last token before the present segment began.
        starts = jnp.diff(segment, axis=1, prepend=jnp.zeros((b, 1), segment.dtype)) != 0
        before = jnp.where(starts, count - text_valid, 0)
        count = count - jax.lax.cummax(before, axis=1)
    image = jnp.broadcast_to(jnp.arange(num_image), (b, num_image))
    return jnp.concatenate([image, num_image + jnp.maximum(count - 1, 0)], axis=1)


class Model(nn.Module):
    """PaliGemma.

    Attributes:
        img: arguments of `siglip.Model`; `num_classes` follows from the language model.
        llm: arguments of `gemma.Model`.
        mask_mode: one of `MASK_MODES`.
        text_block: with segments, texts never cross a border of this many tokens (see
            `tok(block=...)`), so attention is computed block by block; 0 allows any packing.
        attention: layout of the attention, one of `attention.KINDS`: all give the same. "xla" is
            the reference, under a dense mask; "auto" takes the best that this device has.
        last_block: "wanted" leaves out what the last block would compute at image tokens, since
            nobody looks at it there; "all" computes it (with `scan`, one block less to compile).
        lora: None, or `rank`, `alpha` and `targets` of adapters, see `lora.check`; they are the
            subtree `lora` of the parameters.
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
        """Runs image and text through the model.

        Args:
            image: f32 [B, H, W, 3].
            text: i32 [B, T]; 0 is padding.
            mask_ar: i32 [B, T].
            segment: i32 [B, T], for rows with several texts ("image_isolated" only).
            mask_pos: unused here; `radgrounder.Model` reads hidden states at these positions.
            logits_pos: where logits are wanted, i32 [M] in the flattened [B * T] text; None means
                everywhere. Losses want none: see `head`.
            train: passed to the image tower.

        Returns:
            (logits, out): logits are f32 [B, T, V], or [M, V] at `logits_pos`;
            `out["img/..."]` holds the tower's intermediates and `out["hidden"]` [B, T, width]
            the final hidden states of the text.
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
        """Returns the table [V, width] of the output logits, their soft cap (0: none), and the
        table's adapter, `a` [V, rank] and `b` [rank, width], scaled (None: none)."""
        dims, adapter = self._dims(), None
        if self.lora is not None:
            adapters = lora_lib.scaled(params["lora"], self.lora, dims.dtype_mm)
            adapter = lora_lib.split(adapters)[1]
        return params["llm"]["embedder"]["input_embedding"], dims.final_logits_softcap, adapter

    def choose_attention(self) -> tuple[str, str]:
        """Returns the layout of the attention on this device, and why; see `attention.choose`."""
        d = self._dims()
        return attention.choose(self.attention, d.attn_logits_softcap, d.dtype_mm, d.head_dim)

    def _dims(self) -> gemma.Dims:
        return gemma.Model(**self.llm, parent=None).dims()

    def embed_image(
        self, image: Image, *, train: bool = False
    ) -> tuple[ImageTokens, dict[str, Array]]:
        """Encodes images into (tokens, intermediates of the tower)."""
        tokens, out = self._img(image, train=train)
        return tokens, {f"img/{k}": v for k, v in out.items()}

    def prefill(
        self, image: Image, text: Text, mask_ar: Text
    ) -> tuple[Float[Array, "batch vocab"], gemma.KV, Bool[Array, "batch slots"], Features]:
        """Runs the prompt and keeps its keys and values.

        Args:
            image: f32 [B, H, W, 3].
            text: i32 [B, T], valid tokens first, then zeros; at least one valid token a row.
            mask_ar: i32 [B, T].

        Returns:
            (logits f32 [B, V] at the last valid token, keys and values of all N + T slots
            [depth, B, N + T, kv, head_dim], valid slots bool [B, N + T], image features before
            the projection [B, N, C]).
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
        """Runs images alone; in "image_isolated" that is all that a text sees of them.

        Args:
            image: f32 [B, H, W, 3].

        Returns:
            (keys and values [depth, B, N, kv, head_dim], image features before the projection
            [B, N, C]).
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
        """Runs prompts against the keys and values of their images ("image_isolated" only).

        Args:
            text: i32 [B, T], a prefix of at least one token a row, then zeros.
            image_kv: of `prefill_image`, a row for each text.

        Returns:
            (logits f32 [B, V] at the last valid token, keys and values of the text
            [depth, B, T, kv, head_dim]).
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
        """Runs one new token a row against the cache; called as it is, without `apply`.

        Args:
            weights: of `decode_weights`.
            token: i32 [B].
            slot: i32 [B], the token's position, and where the cache takes its key and value; all
                slots before it are seen.
            cache: see `gemma_cache.Cache`.

        Returns:
            (logits f32 [B, V], the cache with the token in it, its final hidden state [B, width]).
        """
        return gemma_cache.step(self._dims(), weights, token, slot, cache)

    def _forward(
        self,
        image_tokens: ImageTokens,
        text: Text,
        mask_ar: Text,
        segment: Text | None,
    ) -> tuple[Float[Array, "batch text width"], dict[str, gemma.KV]]:
        # Returns the hidden states of the text, and what the decoder gives beside them.
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
