"""Speed of the training step on packed rows, as ratios against the plain path.

The same texts of the same images, three ways: one text a row; all texts of an image in a row; the
latter with attention block by block and logits at targets only, as the demo does. Needs no data.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from big_rad import losses, optim, train_step
from big_rad.models import common, paligemma
from tools.benchmarks import rounds

_IMAGES, _TEXTS, _PREFIX, _SUFFIX, _VOCAB = 8, 8, 18, 12, 3200
_SLOT = 30  # tokens of a text: prefix and suffix
_BLOCK = 60
_SIZE = 112


def make_batch(packed: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns the same images and texts, one text a row or all of an image's in a row."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, (_IMAGES, _SIZE, _SIZE, 3)).astype(np.float32)
    text = rng.integers(4, _VOCAB, (_IMAGES, _TEXTS, _SLOT)).astype(np.int32)
    learned = np.broadcast_to(np.arange(_SLOT) >= _PREFIX, text.shape).astype(np.int32)
    segment = np.broadcast_to(np.arange(1, _TEXTS + 1)[:, None], text.shape).astype(np.int32)
    rows = _IMAGES if packed else _IMAGES * _TEXTS

    def row(x: np.ndarray) -> np.ndarray:
        return np.pad(x.reshape(rows, -1), ((0, 0), (0, 1)))

    batch = {"image": image if packed else image.repeat(_TEXTS, axis=0)}
    batch |= {"text": row(text), "mask_ar": row(learned), "mask_loss": row(learned)}
    return batch | ({"segment": row(segment)} if packed else {})


def make_step(packed: bool, block: int, tile: int | None) -> Callable[[], float]:
    """Returns a function that runs one training step and waits for it; it gives the loss."""
    cfg = paligemma.VARIANTS["tiny"]
    model = paligemma.Model(
        img=dict(cfg["img"], scan=False),
        llm=dict(cfg["llm"], scan=False, vocab_size=_VOCAB),
        mask_mode="image_isolated",
        text_block=block,
    )
    batch = make_batch(packed)
    tokens = batch["text"][:1, :-1]
    init = jax.jit(lambda rng: model.init(rng, batch["image"][:1], tokens, 0 * tokens)["params"])
    params = init(jax.random.key(0))
    flat = common.flatten(params)
    optimizer = optim.make(_optimizer_config(), flat, 1000)
    loss = losses.get(f"text_xent(tile={tile})")
    step = jax.jit(train_step.make_train_step(model, loss, optimizer, 1), donate_argnums=0)
    state = {"params": params, "opt_state": optimizer.tx.init(flat), "step": np.int32(0)}

    def run() -> float:
        nonlocal state
        state, metrics = step(state, batch, jax.random.key(1))
        return float(metrics["training_loss"])

    return run


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints a table, and returns it."""
    steps = {
        "plain": make_step(packed=False, block=0, tile=None),
        "packed": make_step(packed=True, block=0, tile=None),
        "blocks": make_step(packed=True, block=_BLOCK, tile=256),
    }
    seconds = rounds.measure(steps, args.rounds, repeat=3)
    result = {
        name: rounds.summary(times, seconds["plain"], _IMAGES * _TEXTS)
        for name, times in seconds.items()
    }
    print(f"{jax.devices()[0].device_kind}; {_IMAGES} images with {_TEXTS} texts each a step")
    rounds.show(result, "step", "texts")
    return result


def _optimizer_config() -> ml_collections.ConfigDict:
    return ml_collections.ConfigDict(
        dict(
            optimizer="adamw",
            lr=1e-3,
            wd=0.01,
            grad_clip_norm=1.0,
            schedule=((".*", dict(decay_type="constant")),),
            lr_mults=((".*", 1.0),),
            wd_mults=((r".*/(scale|bias)", 0.0), (".*", 1.0)),
        )
    )
