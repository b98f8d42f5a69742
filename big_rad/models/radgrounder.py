"""RadGrounder: a PaliGemma 2 for grounded radiology texts, with an optional mask decoder.

Without a mask decoder it computes the same as `paligemma.Model` and has the same parameter tree
`{"img", "llm"}`, so both can load each other's checkpoints. With a mask decoder the tree also has
`mask_decoder`.
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
    """RadGrounder; it adds masks to the attributes and methods of `paligemma.Model`.

    Attributes:
        mask_decoder: The arguments of `mask_decoder.Model`; None for a model without masks.
    """

    mask_decoder: Mapping[str, Any] | None = None

    def setup(self) -> None:
        """Creates the towers, and the mask decoder if there is one."""
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
        """Runs images and texts through the model; see `paligemma.Model` for the other arguments.

        Args:
            mask_pos: The positions of `</seg>` in `text`, i32 [B, K]. An entry of -1 stands for no
                mask, and its logits have no meaning. None computes no masks.

        Returns:
            The logits and `out`, as in `paligemma.Model`. If `mask_pos` is given,
            `out["mask_logits"]` holds the logits of the masks f32 [B, K, H, W].

        Raises:
            ValueError: `mask_pos` is given, and the model has no mask decoder.
        """
        logits, out = super().__call__(
            image, text, mask_ar, segment=segment, logits_pos=logits_pos, train=train
        )
        if mask_pos is None and self.mask_decoder is not None and self.is_initializing():
            mask_pos = jnp.zeros((text.shape[0], 1), jnp.int32)  # Creates the parameters.
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
            features: The image features [B, N, C], from `out["img/encoded"]` or from `prefill`.
            hidden: The final hidden states at the input token `</seg>`, [B, K, D].
            size: The height and width (H, W) of the masks in pixels.

        Returns:
            The logits f32 [B, K, H, W].

        Raises:
            ValueError: This model has no mask decoder.
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
    """Checks that loading would not drop the trained mask decoder of a checkpoint.

    A checkpoint without a mask decoder, such as PaliGemma's own, passes. A model with a
    mask decoder loads it with `dont_load=("mask_decoder/.*",)`, and keeps the initial values there.

    Args:
        init_params: The nested parameters of the model.
        tree: The nested tree of the checkpoint.
        dont_load: The patterns of names that keep their initial values.

    Raises:
        ValueError: The tree has a mask decoder, and the model has none or `dont_load` excludes it.
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
