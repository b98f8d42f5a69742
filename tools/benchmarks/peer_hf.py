"""The peer of the benchmarks: PaliGemma 2 of transformers on PyTorch, with our random weights.

There are two ways to train it:

- The original's way: rows padded to 200 tokens, logits at all positions, gradient checkpointing,
  and eager attention.
- At equal shapes: our batches, logits only where there is loss, no checkpointing, and the fastest
  attention that computes the same function. The `sdpa` attention of transformers has no soft cap,
  so a model with a soft cap uses eager attention here too.

Both ways use transformers' Adafactor without relative steps, clip gradients at 1, and freeze
SigLIP. Weights and matrix products have one dtype, as in the original.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
import torch
import transformers
from transformers import optimization

from big_rad import runtime, trees
from big_rad.weights import hf_config, hf_layout, infer
from tools.benchmarks import sizes, workload

OutOfMemoryError = torch.cuda.OutOfMemoryError
_LR_START = 0.01  # Our learning rate begins at this share of its peak.


def device() -> str:
    """Returns "cuda", or "cpu" where torch finds no GPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Peer:
    """The model on its device, with an optimizer.

    Attributes:
        device: "cuda" or "cpu".
        device_name: the name that the driver gives to the GPU; "cpu" without a GPU.
        attention: the name of the attention that is used at equal shapes.
    """

    def __init__(self, config: ml_collections.ConfigDict, params: Mapping[str, Any] | None):
        """Builds the model.

        Args:
            config: the config of our model.
            params: our nested parameters; None keeps the random ones of transformers.
        """
        self._image_token = sizes.image_token(config)
        torch.set_num_threads(runtime.cores())  # The same number as JAX uses.
        self.device = device()
        self.device_name = torch.cuda.get_device_name() if self.device == "cuda" else "cpu"
        self._dtype = getattr(torch, config.model.llm.dtype_mm)
        cfg = infer.explicit(config.model.to_dict(), config.model.llm.vocab_size)
        self.attention = "eager" if cfg["llm"]["attn_logits_softcap"] else "sdpa"
        with torch.device(self.device):  # Its own initial weights are drawn on the device.
            self.model = _model(config, cfg, params).to(self._dtype)
        self.model.model.vision_tower.requires_grad_(False)
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = optimization.Adafactor(
            self._trained,
            lr=config.lr * _LR_START,
            scale_parameter=False,
            relative_step=False,
            warmup_init=False,
            weight_decay=config.wd,
        )

    def way(self, batches: Sequence[workload.Batch], original: bool) -> "Way":
        """Returns a way to train on batches.

        Args:
            batches: batches as for our own ways. For the original's way they are padded to 200.
            original: True for the original's way, False for equal shapes.
        """
        return Way(self, [self.inputs(b) for b in batches], original)

    def inputs(self, batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """Returns a training batch in the form that transformers takes, on the device.

        Args:
            batch: `image` [B, H, W, 3]; `text`, `mask_ar`, `mask_loss` [B, T + 1].
        """
        text, target = batch["text"][:, :-1], batch["text"][:, 1:]
        learned = (batch["mask_loss"][:, 1:] * target) != 0
        # A label stands at the place of its own token, and the model shifts all labels by one. The
        # first token is never learned.
        labels = np.where(batch["mask_loss"][:, :-1] != 0, text, -100).astype(int)
        found = self.prompt(batch["image"], text, batch["mask_ar"][:, :-1])
        n = found["input_ids"].shape[1] - text.shape[1]
        where = np.flatnonzero(np.pad(learned, ((0, 0), (n, 0))))
        return found | {
            "labels": self._put(np.pad(labels, ((0, 0), (n, 0)), constant_values=-100)),
            "where": self._put(where),
            "targets": self._put(target[learned].astype(int)),
        }

    def prompt(
        self, image: np.ndarray, text: np.ndarray, mask_ar: np.ndarray
    ) -> dict[str, torch.Tensor]:
        """Returns the model's inputs, on the device.

        Args:
            image: f32 [B, H, W, 3].
            text: i32 [B, T].
            mask_ar: i32 [B, T].
        """
        patch = self.model.config.vision_config.patch_size
        head = (text.shape[0], (image.shape[1] // patch) ** 2)
        fill = [(text, self._image_token), (text != 0, True), (mask_ar, 0)]
        ids, valid, kinds = (
            np.concatenate([np.full(head, value, int), x.astype(int)], axis=1) for x, value in fill
        )
        return {
            "input_ids": self._put(ids),
            "attention_mask": self._put(valid),
            "token_type_ids": self._put(kinds),
            "pixel_values": self._put(image.transpose(0, 3, 1, 2)).to(self._dtype),
        }

    def step(self, inputs: Mapping[str, torch.Tensor], original: bool) -> torch.Tensor:
        """Does one training step and returns its loss."""
        loss = self.gradients(inputs, original)
        self.update()
        return loss

    def gradients(self, inputs: Mapping[str, torch.Tensor], original: bool) -> torch.Tensor:
        """Adds the gradients of one microbatch and returns its loss."""
        loss = self._loss(inputs, original)
        loss.backward()
        return loss.detach()

    def update(self) -> None:
        """Clips the gradients and applies them."""
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def first_loss(self, inputs: Mapping[str, torch.Tensor], original: bool) -> float:
        """Returns the loss of a batch without training on it."""
        with torch.no_grad():
            return self._loss(inputs, original).item()

    @contextlib.contextmanager
    def mode(self, original: bool) -> Iterator[None]:
        """Sets checkpointing and attention for a way; use it in a `with` statement."""
        self.model.train()
        self.model.set_attn_implementation("eager" if original else self.attention)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if original:
                self.model.gradient_checkpointing_enable(dict(use_reentrant=False))
            else:
                self.model.gradient_checkpointing_disable()
        yield

    def decoder(self, tokens: int, cache: str) -> Callable[..., np.ndarray]:
        """Returns a function that decodes greedily.

        Args:
            tokens: the number of new tokens of each row. No token ends a row earlier.
            cache: "dynamic", or "static", with which transformers compiles the model if it can.

        Returns:
            A function (image [B, H, W, 3], text [B, T]) -> new tokens [B, `tokens`].
        """
        self.model.eval()
        self.model.set_attn_implementation(self.attention)
        self.model.generation_config.eos_token_id = None
        kept = {} if cache == "dynamic" else {"cache_implementation": cache}

        def run(image: np.ndarray, text: np.ndarray) -> np.ndarray:
            inputs = self.prompt(image, text, np.zeros_like(text))
            with torch.no_grad():
                out = self.model.generate(
                    **inputs,
                    max_new_tokens=tokens,
                    min_new_tokens=tokens,
                    do_sample=False,
                    pad_token_id=0,
                    **kept,
                )
            return out[:, inputs["input_ids"].shape[1] :].cpu().numpy()

        return run

    def free(self) -> None:
        """Drops the gradients and gives cached memory back to the device."""
        self._optimizer.zero_grad()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def peak_gib(self) -> float | None:
        """Returns the device's peak memory so far; None on a CPU."""
        return torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else None

    def wait(self) -> None:
        """Waits until the device has finished all its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _loss(self, inputs: Mapping[str, torch.Tensor], original: bool) -> torch.Tensor:
        given = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")
        theirs = {k: inputs[k] for k in given}
        if original:
            return self.model(**theirs, labels=inputs["labels"], use_cache=False).loss
        hidden = self.model.model(**theirs, use_cache=False).last_hidden_state
        logits = self.model.lm_head(hidden.flatten(0, 1)[inputs["where"]])
        return torch.nn.functional.cross_entropy(logits.float(), inputs["targets"])

    def _put(self, x: np.ndarray) -> torch.Tensor:
        return torch.tensor(x, device=self.device)


class Way:
    """One way to train the peer, with fixed batches. A call runs all batches once."""

    def __init__(self, peer: Peer, batches: list[dict[str, torch.Tensor]], original: bool):
        self._peer, self._batches, self._original = peer, batches, original

    def __call__(self) -> float:
        """Runs all batches, waits for the device, and returns the last loss."""
        loss = None
        with self._peer.mode(self._original):
            for batch in self._batches:
                loss = self._peer.step(batch, self._original)
        self._peer.wait()
        return loss.item()

    def first_loss(self) -> float:
        """Returns the loss of the first batch without training on it."""
        with self._peer.mode(self._original):
            return self._peer.first_loss(self._batches[0], self._original)


def _model(
    config: ml_collections.ConfigDict, cfg: Mapping[str, Any], params: Mapping[str, Any] | None
) -> torch.nn.Module:
    # The model of transformers in float32, with our weights unless `params` is None. `cfg` has all
    # dimensions of our model.
    size = config.image.size
    axes = hf_layout.sizes(cfg, (size // cfg["img"]["patch_size"]) ** 2)
    made = hf_config.from_model_cfg(cfg, size, "float32", sizes.image_token(config))
    model = transformers.PaliGemmaForConditionalGeneration(
        transformers.PaliGemmaConfig(**made, attn_implementation="eager")
    )
    if params is None:
        return model
    flat = trees.flatten(params)
    names, _ = hf_layout.canonical(model.state_dict())
    theirs = {canonical: name for name, canonical in names.items()}
    state = {
        theirs[name]: torch.tensor(piece)
        for rule in hf_layout.RULES
        for name, piece in hf_layout.to_theirs(
            rule, np.asarray(flat[rule.ours], np.float32), axes[rule.ours.split("/")[0]]
        )
    }
    missing, _ = model.load_state_dict(state, strict=False)
    if missing != ["lm_head.weight"]:  # The head is tied to the embedding table.
        raise ValueError(f"transformers' model has other tensors too: {', '.join(missing)}")
    return model
