"""Speed of the training step, as ratios in one run against the same work done the plain way.

    python -m tools.bench [--rounds=5] [--json=FILE]

Both sides train the tiny model on the same random texts, eight to an image, and are timed in turn,
so that a machine's mood falls on both. `plain` has one text a row and logits at every position;
`packed` has all texts of an image in a row under a dense mask; `blocks` computes attention block by
block and logits only at targets, as the demo does. Needs no data.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from big_rad import losses, optim, train
from big_rad.models import common, paligemma

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


def make_step(packed: bool, block: int, positions: int | None) -> Callable[[], float]:
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
    loss = losses.get(f"text_xent(positions={positions})")
    step = jax.jit(train.make_train_step(model, loss, optimizer, 1), donate_argnums=0)
    state = {"params": params, "opt_state": optimizer.tx.init(flat), "step": np.int32(0)}

    def run() -> float:
        nonlocal state
        state, metrics = step(state, batch, jax.random.key(1))
        return float(metrics["training_loss"])

    return run


def measure(steps: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Times the steps in turn; returns seconds a step of each round."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for name in steps:
        steps[name]()  # Compiles.
    for _ in range(rounds):
        for name, run in steps.items():
            start = time.perf_counter()
            for _ in range(3):
                run()
            seconds[name].append((time.perf_counter() - start) / 3)
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table: milliseconds a step, texts a second, ratio to `plain` and its spread."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args(argv)
    targets = _TEXTS * _SUFFIX
    steps = {
        "plain": make_step(packed=False, block=0, positions=None),
        "packed": make_step(packed=True, block=0, positions=None),
        "blocks": make_step(packed=True, block=_BLOCK, positions=targets),
    }
    seconds = measure(steps, args.rounds)
    result = {name: _summary(times, seconds["plain"]) for name, times in seconds.items()}
    print(f"{jax.devices()[0].device_kind}; {_IMAGES} images with {_TEXTS} texts each a step")
    print(f"{'':8s} {'ms/step':>8s} {'texts/s':>8s} {'ratio':>6s}  spread of the ratio")
    for name, r in result.items():
        low, high = r["spread"]
        print(
            f"{name:8s} {r['ms']:8.1f} {r['texts_per_second']:8.0f} {r['ratio']:6.2f}  "
            f"{low:.2f} to {high:.2f}"
        )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


def _summary(times: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    ratios = [p / t for p, t in zip(plain, times)]
    median = statistics.median(times)
    return {
        "ms": median * 1e3,
        "texts_per_second": _IMAGES * _TEXTS / median,
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
    }


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


if __name__ == "__main__":
    main()
