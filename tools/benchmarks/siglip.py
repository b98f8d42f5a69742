"""Measures a training step of two towers against transformers' SiglipModel, in the same run.

Both have the same weights, read the same batch, and train in float32 with AdamW as the recipe
`siglip_refrad2d` does, without a warm-up. No two rows share an image or a text, so that every other
row is a negative of a row, which is the loss of transformers. Before anything is timed, the losses
of the first two steps are compared: the second one shows that the updates are the same too.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from big_rad import models, runtime, trees
from big_rad.training import losses, optim
from big_rad.training import step as train_step
from configs import siglip_refrad2d
from tools.benchmarks import rounds

if TYPE_CHECKING:  # It needs torch.
    from tools.benchmarks import peer_siglip

OURS, HF = "big_rad", "transformers"
_TOTAL_STEPS = 1000
_TOLERANCE = 1e-4  # Relative, for the losses of the first two steps.
_TOWER = dict(width=256, depth=8, mlp_dim=1024, num_heads=4)
SIZES: dict[str, dict[str, Any]] = {
    "tiny": dict(
        pixels=28,
        img=dict(width=32, depth=2, mlp_dim=64, num_heads=2, patch_size=14),
        txt=dict(width=32, depth=2, mlp_dim=64, num_heads=2, vocab_size=64, length=8),
    ),
    "mid": dict(  # 21 million parameters, 196 image tokens.
        pixels=224,
        img=dict(_TOWER, patch_size=16),
        txt=dict(_TOWER, vocab_size=32_000, length=64),
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument("--size", choices=SIZES, default="mid")
    parser.add_argument("--batch", type=int, default=16, help="pairs of a step")
    parser.add_argument(
        "--attention", choices=("sdpa", "eager"), default="sdpa", help="of transformers"
    )
    parser.add_argument("--scan", action="store_true", help="our layers run as a loop")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures both ways, prints a table with the ratio of every round, and returns it.

    Returns:
        The `rounds.summary` of each way, by name. Beside them, `ratio` is our speed over that of
        transformers, `rounds` holds it for each round, and `losses` the compared losses.
    """
    config = make_config(args.size, args.scan)
    batch = make_batch(config, args.batch)
    ours = Way(config, batch)
    theirs = _peer(config, ours.params(), batch, args.attention)
    ways = {OURS: ours, HF: theirs}
    found = check_losses({name: [way(), way()] for name, way in ways.items()})
    seconds = rounds.measure(ways, args.rounds)
    result: dict[str, Any] = {
        name: rounds.summary(times, seconds[HF], args.batch) for name, times in seconds.items()
    }
    ratios = [b / a for a, b in zip(seconds[OURS], seconds[HF], strict=True)]
    img, txt = config.model.img, config.model.txt
    print(
        f"{jax.devices()[0].device_kind}, {runtime.cores()} cores; size {args.size}: {args.batch} "
        f"pairs of {config.image.size} px in patches of {img.patch_size} and {txt.length} text "
        f"tokens; width {img.width}, depth {img.depth}, {ours.count() / 1e6:.1f} million "
        f"parameters, float32; layers {'as a loop' if args.scan else 'unrolled'}; {args.attention} "
        "attention in transformers"
    )
    rounds.show(result, "step", "pairs")
    print("ratio of each round: " + ", ".join(f"{x:.2f}" for x in ratios))
    return result | {"ratio": result[OURS]["ratio"], "rounds": ratios, "losses": found}


def make_config(size: str, scan: bool = False) -> ml_collections.ConfigDict:
    """Returns the config of the recipe, with the dimensions of a size and with plain AdamW.

    Args:
        size: a name in `SIZES`.
        scan: whether the layers run as a loop; False unrolls them, which is faster on a CPU.
    """
    config = siglip_refrad2d.get_config("variant=tiny,data=phantom")
    dims = SIZES[size]
    config.image.size = dims["pixels"]
    config.model.img.update(dims["img"])
    config.model.txt.update(dims["txt"])
    config.model.img.scan = config.model.txt.scan = scan
    config.schedule = ((".*", dict(decay_type="constant")),)
    config.optimizer, config.optimizer_args, config.lr = "adamw", dict(b2=0.95), 1e-3
    config.lr_mults = ((".*", 1.0),)
    return config


def make_batch(config: ml_collections.ConfigDict, rows: int) -> dict[str, np.ndarray]:
    """Returns random pairs, of which no two have an image or a text in common.

    Args:
        config: the config, which gives the image size, the vocabulary and the context length.
        rows: the number of pairs.

    Returns:
        A batch as the trainer gets it: `image` f32 [B, H, W, 3], `text` i32 [B, T], and the keys of
        the images i32 [B, 2] and of their texts i32 [B, 1, 2].
    """
    rng = np.random.default_rng(0)
    size, txt = config.image.size, config.model.txt
    keys = np.repeat(np.arange(1, rows + 1, dtype=np.int32)[:, None], 2, axis=1)
    # Each image has a mean of its own. Images of noise alone would all look the same to the model.
    mean = rng.uniform(-1, 1, (rows, 1, 1, 3))
    return {
        "image": (mean + rng.uniform(-1, 1, (rows, size, size, 3))).astype(np.float32),
        "text": rng.integers(2, txt.vocab_size, (rows, txt.length)).astype(np.int32),
        "image_key": keys,
        "text_keys": keys[:, None],
    }


class Way:
    """Our way to train. A call does one step and returns the loss before its update."""

    def __init__(self, config: ml_collections.ConfigDict, batch: Mapping[str, np.ndarray]):
        """Draws the weights, compiles the step, and puts the batch onto the device.

        Args:
            config: the config, see `make_config`.
            batch: the batch, see `make_batch`.
        """
        model = models.make(config.model_name, config.model, config.model.txt.vocab_size)
        self._batch = jax.device_put(dict(batch))
        draw = jax.jit(lambda x: model.init(jax.random.key(0), x["image"], x["text"])["params"])
        params = draw(self._batch)
        optimizer = optim.make(config, trees.flatten(params), _TOTAL_STEPS)
        self._state = {
            "params": params,
            "opt_state": optimizer.tx.init(trees.flatten(params)),
            "step": jnp.zeros((), jnp.int32),
        }
        step = train_step.make_train_step(model, losses.get(config.loss), optimizer, 1)
        self._step = jax.jit(step, donate_argnums=0)

    def __call__(self) -> float:
        """Does one step, waits for the device, and returns the loss."""
        self._state, metrics = self._step(self._state, self._batch, jax.random.key(1))
        jax.block_until_ready(self._state)
        return float(metrics["training_loss"])

    def params(self) -> dict[str, np.ndarray]:
        """Returns a copy of the flat parameters."""
        flat = trees.flatten(self._state["params"])
        return {name: np.array(value) for name, value in flat.items()}

    def count(self) -> int:
        """Returns the number of parameters."""
        return sum(x.size for x in jax.tree.leaves(self._state["params"]))


def check_losses(found: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Returns the losses of the first steps of each way.

    Args:
        found: the losses, by the name of the way.

    Raises:
        SystemExit: the losses differ, so the ways do not do the same work.
    """
    pairs = zip(found[OURS], found[HF], strict=True)
    if any(abs(a - b) > _TOLERANCE * max(abs(b), 1) for a, b in pairs):
        text = "; ".join(f"{n}: " + ", ".join(f"{x:.6f}" for x in v) for n, v in found.items())
        sys.exit(f"python -m tools.bench: the ways do not compute the same losses ({text})")
    return dict(found)


def _peer(
    config: ml_collections.ConfigDict,
    params: Mapping[str, np.ndarray],
    batch: Mapping[str, np.ndarray],
    attention: str,
) -> "peer_siglip.Way":
    try:
        from tools.benchmarks import peer_siglip
    except ImportError as e:
        sys.exit(
            f"python -m tools.bench: the peer needs torch and transformers ({e}); pip install -r "
            "requirements-dev.txt -c constraints.txt"
        )
    return peer_siglip.Way(config, params, batch, attention)
