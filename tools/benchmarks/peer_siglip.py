"""The peer of the benchmark of two towers: transformers' SiglipModel on PyTorch, with our weights.

It trains with its own loss, and with PyTorch's fused AdamW, its fastest.
"""

from collections.abc import Mapping

import ml_collections
import numpy as np
import torch
import transformers

from big_rad import runtime
from big_rad.weights import two_towers


class Way:
    """The peer's way to train. A call does one step and returns the loss before its update."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        params: Mapping[str, np.ndarray],
        batch: Mapping[str, np.ndarray],
        attention: str,
    ):
        """Builds the model and its optimizer.

        Args:
            config: the config of our model, which also says how the optimizer is set.
            params: our flat parameters.
            batch: `image` f32 [B, H, W, 3] and `text` i32 [B, T].
            attention: the implementation of the attention, "sdpa" or "eager".
        """
        torch.set_num_threads(runtime.cores())  # The same number as JAX uses.
        self._clip = config.grad_clip_norm
        self._model = _model(config, params, attention).train()
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=config.lr,
            betas=(config.optimizer_args.get("b1", 0.9), config.optimizer_args.get("b2", 0.999)),
            weight_decay=config.wd,
            fused=True,
        )
        image = np.ascontiguousarray(batch["image"].transpose(0, 3, 1, 2))
        self._inputs = {
            "pixel_values": torch.tensor(image),
            "input_ids": torch.tensor(batch["text"]).long(),
        }

    def __call__(self) -> float:
        """Does one step and returns the loss."""
        loss = self._model(**self._inputs, return_loss=True).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.item()


def _model(
    config: ml_collections.ConfigDict, params: Mapping[str, np.ndarray], attention: str
) -> torch.nn.Module:
    # The model of transformers, with our weights.
    img, txt = config.model.img, config.model.txt
    vision, text = (
        dict(
            hidden_size=tower.width,
            num_hidden_layers=tower.depth,
            num_attention_heads=tower.num_heads,
            intermediate_size=tower.mlp_dim,
        )
        for tower in (img, txt)
    )
    vision |= dict(image_size=config.image.size, patch_size=img.patch_size)
    text |= dict(vocab_size=txt.vocab_size, max_position_embeddings=txt.length)
    text |= dict(bos_token_id=None, eos_token_id=None)  # Else it warns of a small vocabulary.
    model = transformers.SiglipModel(
        transformers.SiglipConfig(
            text_config=text, vision_config=vision, attn_implementation=attention
        )
    )
    pieces = two_towers.write(params, "huggingface")
    model.load_state_dict({name: torch.tensor(piece) for name, piece in pieces})
    return model
