"""PaliGemma 2: image tokens and text tokens in one sequence of the Gemma 2 decoder.

The attention mask is that of a prefix language model, in one of two modes; `row_masks` explains and
draws both.

This module runs single decoding steps. `big_rad.inference.sampling` has the loop over them.
Reference: Steiner et al. 2024, "PaliGemma 2: A Family of Versatile VLMs for Transfer".
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from big_rad.models import attention, common, gemma, gemma_cache, siglip
from big_rad.models import lora as lora_lib
from big_rad.models.row_masks import (
    MASK_MODES,
    Text,
    make_attn_mask,
    make_positions,
    make_structured_mask,
)

__all__ = [
    "LOADING", "MASK_MODES", "VARIANTS", "Model", "make_attn_mask", "make_positions",
    "make_structured_mask",
]  # fmt: skip

Image = Float[Array, "batch height_px width_px 3"]
ImageTokens = Float[Array, "batch image_tokens width"]
Features = Float[Array, "batch image_tokens features"]  # The tower's output, unprojected.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": dict(img=dict(variant="tiny"), llm=dict(variant="tiny")),
    "3b": dict(img=dict(variant="So400m/14"), llm=dict(variant="gemma2_2b")),
    "10b": dict(img=dict(variant="So400m/14"), llm=dict(variant="gemma2_9b")),
    "28b": dict(img=dict(variant="So400m/14"), llm=dict(variant="gemma2_27b")),
}


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
        """Arranges the model's parameters for `decode_step`; see `gemma_cache.decode_weights`."""
        if self.lora is not None:
            params = lora_lib.merge(params, self.lora)
        return gemma_cache.decode_weights(self._dims(), params["llm"])

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
