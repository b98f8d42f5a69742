"""SigLIP: an image tower and a text tower whose embeddings are close where both say the same.

The logit of an image and a text is t * (image . text) + b, with embeddings of length 1, a learned
temperature and a learned bias; its sigmoid is the probability that they belong together. The image
tower is that of PaliGemma with an attention pool in the place of the projector, so an adapted tower
can be put into PaliGemma.

The names and shapes of the parameters are those of big_vision's `two_towers`, stacked over the
layers: `img/...`, `txt/...`, the logarithm of the temperature `t` [1], and the bias `b` [1].
Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training"; Tschannen et al. 2025,
"SigLIP 2".
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from big_rad.models import common, siglip

Embeddings = Float[Array, "batch features"]
Text = Int[Array, "batch text_tokens"]
TEXT_VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": dict(width=96, depth=3, mlp_dim=288, num_heads=4),
    "So400m": dict(width=1152, depth=27, mlp_dim=4304, num_heads=16),
}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": dict(img=dict(variant="tiny"), txt=dict(variant="tiny")),
    "so400m": dict(img=dict(variant="So400m/14"), txt=dict(variant="So400m")),
}


class TextTower(nn.Module):
    """The text tower: a transformer without any mask, pooled at the last token.

    Every token sees every other one, padding included, as in the original: texts are padded to the
    context length with the id that the tokenizer pads with, and the last token sums up the text.

    Attributes:
        num_classes: The width of the embedding.
        variant: A name in `TEXT_VARIANTS`; explicit dimensions override those of the variant.
        width, depth, mlp_dim, num_heads: See `siglip.Model`.
        vocab_size: The number of rows of the token table.
        length: The context length in tokens.
        scan, remat_policy, dtype_mm: See `siglip.Model`.
    """

    num_classes: int
    variant: str | None = None
    width: int | None = None
    depth: int | None = None
    mlp_dim: int | None = None
    num_heads: int | None = None
    vocab_size: int = 32_000
    length: int = 64
    scan: bool = True
    remat_policy: str = "none"
    dtype_mm: str = "float32"

    @nn.compact
    def __call__(self, text: Text) -> tuple[Embeddings, dict[str, Array]]:
        """Embeds texts.

        Args:
            text: The token ids i32 [B, T], with T at most the context length.

        Returns:
            A pair: the embeddings [B, num_classes], not of length 1; and `out`, whose `encoded`
            [B, T, width] holds the tokens after the final norm.

        Raises:
            ValueError: The texts are longer than the context.
        """
        dims, dtype = self.dims(), jnp.dtype(self.dtype_mm)
        if text.shape[1] > self.length:
            raise ValueError(f"texts of {text.shape[1]} tokens, the context has {self.length}")
        table = nn.Embed(self.vocab_size, dims["width"], name="Embed_0")
        init = nn.initializers.normal(dims["width"] ** -0.5)
        position = self.param("pos_embedding", init, (1, self.length, dims["width"]))
        x = table(text).astype(dtype) + position[:, : text.shape[1]].astype(dtype)
        x = siglip.Transformer(
            dims["depth"],
            dims["mlp_dim"],
            dims["num_heads"],
            dtype,
            self.scan,
            self.remat_policy,
            name="Encoder_0",
        )(x).astype(dtype)
        return nn.Dense(self.num_classes, dtype=dtype, name="head")(x[:, -1]), {"encoded": x}

    def dims(self) -> dict[str, Any]:
        """Returns width, depth, mlp_dim and num_heads."""
        return common.resolve_variant(
            "text tower",
            TEXT_VARIANTS,
            self.variant,
            width=self.width,
            depth=self.depth,
            mlp_dim=self.mlp_dim,
            num_heads=self.num_heads,
        )


class Model(nn.Module):
    """The two towers, `img` and `txt`, with the temperature and the bias of the loss.

    Attributes:
        img: The arguments of `siglip.Model`. `num_classes` 0, as in SigLIP, makes the pooled vector
            the embedding.
        txt: The arguments of `TextTower`; `num_classes` is by default the width of the image's
            embedding.
        temperature_init: The temperature of a new model; its logarithm is the parameter.
        bias_init: The bias of a new model. Nearly all pairs of a batch are negatives, so it starts
            low.
    """

    img: Mapping[str, Any]
    txt: Mapping[str, Any]
    temperature_init: float = 10.0
    bias_init: float = -10.0

    def setup(self) -> None:
        """Creates the two towers as `img` and `txt`, and the parameters `t` and `b`."""
        self._img = siglip.Model(**{**self.img, "pool": "map"}, name="img")
        image_width = self._img.num_classes or self._img.dims()["width"]
        self._txt = TextTower(**{"num_classes": image_width, **self.txt}, name="txt")
        if self._txt.num_classes != image_width:
            raise ValueError(
                f"config.model.txt.num_classes is {self._txt.num_classes}, an image's embedding "
                f"has {image_width} features: both must be equal"
            )
        log_t = nn.initializers.constant(math.log(self.temperature_init))
        self._t = self.param("t", log_t, (1,))
        self._b = self.param("b", nn.initializers.constant(self.bias_init), (1,))

    def choose_attention(self) -> tuple[str, str]:
        """Returns the implementation of the attention, and why."""
        return "xla", "the towers have no mask"

    def __call__(
        self, image: siglip.Tokens | None, text: Text | None, *_: Any, train: bool = False
    ) -> tuple[tuple[Embeddings | None, Embeddings | None], dict[str, Any]]:
        """Embeds images and texts; either may be None.

        Args:
            image: The images f32 [B, H, W, 3].
            text: The token ids i32 [B, T].
            train: An argument for the image tower.

        Returns:
            A pair: the embeddings of the images and of the texts, f32 [B, features] and of length
            1; and `out`, which holds the intermediates as `img/...` and `txt/...`, the temperature
            `t` [1] and the bias `b` [1].
        """
        out: dict[str, Any] = {"t": jnp.exp(self._t), "b": self._b}
        z_image = z_text = None
        if image is not None:
            z_image, named = self._img(image, train=train)
            out |= {f"img/{k}": v for k, v in named.items()}
        if text is not None:
            z_text, named = self._txt(text)
            out |= {f"txt/{k}": v for k, v in named.items()}
        return (_unit(z_image), _unit(z_text)), out


def _unit(z: Embeddings | None) -> Embeddings | None:
    # Scales vectors to length 1, in float32.
    if z is None:
        return None
    z = z.astype(jnp.float32)
    return z / (jnp.linalg.norm(z, axis=1, keepdims=True) + 1e-8)


LOADING = common.Loading(
    adapt={
        "img/pos_embedding": common.resize_position_embedding,
        "txt/Embed_0/embedding": common.extend_embedding,
    }
)
