"""RadGrounder: PaliGemma 2 that writes grounded radiology texts, with masks if it has a decoder.

Without a mask decoder it is the function of `paligemma.Model`, with the same parameter tree
`{"img", "llm"}`, so checkpoints of either serve both; with one the tree has `mask_decoder` beside
them. Knows no tokens, prompts or files.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from big_rad import trees
from big_rad.models import mask_decoder, paligemma

VARIANTS = paligemma.VARIANTS


class Model(paligemma.Model):
    """RadGrounder; attributes and methods are those of `paligemma.Model`, and these.

    Attributes:
        mask_decoder: arguments of `mask_decoder.Model`, or None for a model without masks.
    """

    mask_decoder: Mapping[str, Any] | None = None

    def setup(self) -> None:
        """Creates the towers, and the decoder if there is one."""
        super().setup()
        if self.mask_decoder is not None:
            self._masks = mask_decoder.Model(**self.mask_decoder, name="mask_decoder")

    def __call__(
        self,
        image: paligemma.Image,
        text: paligemma.Text,
        mask_ar: paligemma.Text,
        *,
        segment: paligemma.Text | None = None,
        mask_pos: Int[Array, "batch masks"] | None = None,
        logits_pos: Int[Array, " positions"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, "*positions vocab"], dict[str, Any]]:
        """Runs image and text through the model; see `paligemma.Model`.

        Args:
            mask_pos: i32 [B, K], where `</seg>` stands in `text`; -1 where there is none (what
                comes out there means nothing). None makes no masks.

        Returns:
            (logits, out), with `out["mask_logits"]` f32 [B, K, H, W] if `mask_pos` is given.

        Raises:
            ValueError: `mask_pos` for a model without a mask decoder.
        """
        logits, out = super().__call__(
            image, text, mask_ar, segment=segment, logits_pos=logits_pos, train=train
        )
        if mask_pos is None and self.mask_decoder is not None and self.is_initializing():
            mask_pos = jnp.zeros((text.shape[0], 1), jnp.int32)  # So that the decoder is made.
        if mask_pos is not None:
            at = jnp.maximum(mask_pos, 0)[..., None]
            hidden = jnp.take_along_axis(out["hidden"], at, axis=1)
            out["mask_logits"] = self.masks(out["img/encoded"], hidden, tuple(image.shape[1:3]))
        return logits, out

    def masks(
        self,
        features: paligemma.Features,
        hidden: Float[Array, "batch masks width"],
        size: tuple[int, int],
    ) -> Float[Array, "batch masks height_px width_px"]:
        """Decodes several masks of each image.

        Args:
            features: [B, N, C], `out["img/encoded"]` or what `prefill` gives.
            hidden: [B, K, D], final hidden states where `</seg>` is the input.
            size: (H, W) of the masks.

        Returns:
            Logits f32 [B, K, H, W].

        Raises:
            ValueError: this model has no mask decoder.
        """
        if self.mask_decoder is None:
            raise ValueError(
                "masks are asked for, but config.model.mask_decoder is None; give it a value such "
                'as dict(variant="paper"), with config.model_name = "radgrounder"'
            )
        b, k = hidden.shape[:2]
        logits, _ = self._masks(features, hidden.reshape(b * k, -1), size=size)
        return logits.reshape(b, k, *size)


def check_mask_decoder(
    init_params: Mapping[str, Any], tree: Mapping[str, Any], dont_load: Sequence[str]
) -> None:
    """Refuses to leave the trained mask decoder of a checkpoint out.

    A tree without one, such as PaliGemma's own, is completed by `dont_load=("mask_decoder/.*",)`.

    Args:
        init_params: nested parameters of the model.
        tree: nested tree of the checkpoint.
        dont_load: patterns of names that keep their initial value.

    Raises:
        ValueError: the tree has a mask decoder, and the model has none or `dont_load` leaves it
            out.
    """
    if "mask_decoder" not in init_params and "mask_decoder" in tree:
        raise ValueError(
            "the checkpoint has a mask decoder and the model has none; set model_name to "
            '"radgrounder" and model.mask_decoder to what made it, or leave it out by name'
        )
    held = [f"mask_decoder/{n}" for n in trees.flatten(tree.get("mask_decoder", {}))]
    left = [n for n in held if any(re.fullmatch(p, n) for p in dont_load)]
    if left:
        raise ValueError(
            f"the checkpoint has a trained mask decoder, and dont_load leaves {len(left)} tensors "
            f'of it out ({left[0]}); load it with --config.dont_load="()", or start another from '
            "random weights with a checkpoint converted by tools.convert --without-masks"
        )


LOADING = dataclasses.replace(paligemma.LOADING, check=check_mask_decoder)
