"""Our side of the training benchmarks: ways to train, each with its config and fixed examples.

All ways of a run share one training state, which each way passes on to the next, so that a large
model is in memory only once. This module must import only packages that `tools.bench` names, so
that the benchmarks run on any GPU machine.
"""

import argparse
import concurrent.futures
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from big_rad import models, registry, runtime, trees
from big_rad.models import counts
from big_rad.training import head_loss, losses, optim
from big_rad.training import step as train_step
from tools.benchmarks import sizes, workload

_OWN = ("buckets", "donate", "texts")  # The options that are not fields of the config.
_TOTAL_STEPS = 1000  # The length of the schedule of the learning rate.
_shapes: dict[str, Any] = {}  # The shapes of parameters, by the text of the config.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say which model is trained, and on how many examples."""
    parser.add_argument("--size", choices=sizes.SIZES, default="mid")
    parser.add_argument("--task", choices=sizes.TASKS, default="det", help="seg has masks")
    parser.add_argument("--dtype", choices=sizes.DTYPES, default="float32")
    parser.add_argument("--batch", type=int, default=8, help="rows of a step")
    parser.add_argument("--batches", type=int, default=4, help="steps of a round")
    parser.add_argument("--grad_accum", type=int, default=1, help="microbatches of a step")
    parser.add_argument("--remat", help="remat_policy of the decoder, where it is not plain's full")
    parser.add_argument("--tile", type=int, default=1024, help="of the head, where it has tiles")
    parser.add_argument("--softcap", type=float, default=50.0, help="of attention; 0 turns it off")
    parser.add_argument(
        "--no-data", action="store_true", help="synthetic examples (there are no others here)"
    )


@dataclasses.dataclass
class Shared:
    """The data that all ways of a run share.

    Attributes:
        examples: the lengths of the texts.
        state: the training state. Each run of a way replaces it.
    """

    examples: workload.Examples
    state: dict[str, Any]


class Way:
    """A way to train on the examples. A call runs all of them once and returns the last loss.

    Attributes:
        config: the config of the way.
        hardware_flops: the FLOPs that the device does in one call, see
            `counts.hardware_train_flops`.
    """

    def __init__(self, args: argparse.Namespace, options: Mapping[str, Any], shared: Shared):
        """Compiles the steps and puts the batches onto the device.

        Args:
            args: see `add_arguments`.
            options: see `techniques`.
            shared: the data that all ways share.
        """
        self.config = make_config(args, options)
        self._shared, self._donates = shared, options["donate"]
        host = make_batches(args, options, self.config, shared.examples)
        by_length = {b["text"].shape[1] - 1: b for b in host}
        self._batches = [jax.device_put(b) for b in host]
        self.hardware_flops = sum(hardware_flops(self.config, options, b) for b in host)

        def compiled(text: int) -> jax.stages.Compiled:
            step = make_step(self.config, options, text)
            return step.lower(shared.state, by_length[text], jax.random.key(1)).compile()

        with concurrent.futures.ThreadPoolExecutor(runtime.cores()) as pool:
            steps = dict(zip(by_length, pool.map(compiled, by_length), strict=True))
        self._steps = [steps[b["text"].shape[1] - 1] for b in host]

    def __call__(self) -> float:
        """Runs all batches, waits for the device, and returns the last loss."""
        metrics = {}
        for step, batch in zip(self._steps, self._batches):
            self._shared.state, metrics = step(self._shared.state, batch, jax.random.key(1))
        jax.block_until_ready(self._shared.state)
        return float(metrics["training_loss"])

    def first_loss(self) -> float:
        """Returns the loss of the first batch without changing the training state."""
        state = self._shared.state
        if self._donates:
            state = jax.tree.map(jnp.copy, state)
        return float(self._steps[0](state, self._batches[0], jax.random.key(1))[1]["training_loss"])


def make_ways(
    args: argparse.Namespace, options: Mapping[str, Mapping[str, Any]], shared: Shared
) -> dict[str, Way]:
    """Makes several ways at once.

    For a GPU, a step of a large model compiles for minutes on one core, so the ways compile side by
    side.

    Args:
        args: see `add_arguments`.
        options: the options of each way, by its name.
        shared: the data that all ways share.
    """
    with concurrent.futures.ThreadPoolExecutor(runtime.cores()) as pool:
        made = pool.map(lambda own: Way(args, own, shared), options.values())
        return dict(zip(options, made, strict=True))


def examples_of(args: argparse.Namespace) -> workload.Examples:
    """Returns the examples of a round."""
    return workload.draw(args.batch * args.batches)


def make_batches(
    args: argparse.Namespace,
    options: Mapping[str, Any],
    config: ml_collections.ConfigDict,
    examples: workload.Examples,
) -> list[workload.Batch]:
    """Deals examples into the batches of a way.

    Args:
        args: see `add_arguments`; `args.batch` texts are one batch.
        options: see `techniques`. With `texts` n, a batch has n times fewer rows.
        config: the config of the way.
        examples: the examples.
    """
    return workload.batches(
        examples,
        config,
        rows=max(args.batch // options["texts"], 1),
        buckets=options["buckets"],
        texts=options["texts"],
    )


def make_config(args: argparse.Namespace, options: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """Returns the config for the arguments of the command line and the options of a way.

    Args:
        args: see `add_arguments`.
        options: see `techniques`.
    """
    fields = {k: v for k, v in options.items() if k not in _OWN and not k.startswith("loss.")}
    if args.remat and fields["model.llm.remat_policy"] != "full":
        fields["model.llm.remat_policy"] = args.remat
    fields |= {"model.llm.attn_logits_softcap": args.softcap, "grad_accum": args.grad_accum}
    config = sizes.make_config(args.size, args.task, args.dtype, fields)
    of_loss = {k.removeprefix("loss."): v for k, v in options.items() if k.startswith("loss.")}
    if of_loss["tile"]:
        of_loss["tile"] = args.tile
    config.loss = registry.with_args(config.loss, **of_loss)
    return config


def make_step(
    config: ml_collections.ConfigDict, options: Mapping[str, Any], text: int
) -> Callable[..., Any]:
    """Returns the jitted training step (state, batch, rng) -> (state, metrics) for one shape.

    Args:
        config: the config of the way.
        options: see `techniques`.
        text: the number of text positions of a row.
    """
    config = config.copy_and_resolve_references()
    if options["texts"] > 1:
        config.model.text_block = text // options["texts"]
    loss = losses.get(config.loss)
    optimizer = optim.make(config, trees.flatten(shapes(config)), _TOTAL_STEPS)
    step = train_step.make_train_step(sizes.model(config), loss, optimizer, config.grad_accum)
    return jax.jit(step, donate_argnums=(0,) if options["donate"] else ())


def hardware_flops(
    config: ml_collections.ConfigDict, options: Mapping[str, Any], batch: Mapping[str, np.ndarray]
) -> float:
    """Returns the FLOPs that the device does for a batch, see `counts.hardware_train_flops`.

    Args:
        config: the config of the way.
        options: see `techniques`.
        batch: a batch of a way with these options.
    """
    rows, text, texts = batch["text"].shape[0], batch["text"].shape[1] - 1, options["texts"]
    return counts.hardware_train_flops(
        counts.dims_of(config),
        rows=rows,
        text=text,
        head=head_positions(config, batch),
        remat=config.model.llm.remat_policy,
        block=text // texts if texts > 1 else None,
        last_block_positions=text if options["model.last_block"] == "wanted" else None,
    )


def head_positions(config: ml_collections.ConfigDict, batch: Mapping[str, np.ndarray]) -> int:
    """Returns the number of positions of a batch at which logits are computed.

    The head computes logits in tiles of positions. The unused places of the last tiles count too.

    Args:
        config: the config of the way, whose loss says how large a tile is.
        batch: a batch of the way.
    """
    rows = batch["text"].shape[0] * (batch["text"].shape[1] - 1)
    tile = registry.parse_call(config.loss)[2].get("tile", 1024)
    if tile is None:
        return rows
    targets = int(batch["mask_loss"][:, 1:].sum())
    small = head_loss.tile_sizes(tile, rows)[-1]
    whole = targets // tile * tile if tile <= rows else 0
    return whole + -(-(targets - whole) // small) * small


def shapes(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the nested parameters of a config as shapes, with the dtypes that training keeps."""
    key = config.to_json_best_effort()
    if key not in _shapes:  # Tracing the model's initialisation takes about a second.
        abstract = trees.flatten(models.init_shapes(sizes.model(config), config))
        trainable = optim.make(config, abstract, _TOTAL_STEPS).trainable
        _shapes[key] = trees.unflatten(train_step.kept_shapes(config, abstract, trainable))
    return _shapes[key]


def init_state(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns a training state with random weights, made on the device."""
    return jax.jit(lambda: _state(config))()


def state_shapes(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the training state as shapes, without allocating it."""
    return jax.eval_shape(lambda: _state(config))


def _state(config: ml_collections.ConfigDict) -> dict[str, Any]:
    flat = {
        name: _weights(name, shape, seed)
        for seed, (name, shape) in enumerate(trees.flatten(shapes(config)).items())
    }
    optimizer = optim.make(config, flat, _TOTAL_STEPS)
    trained = {n: p for n, p in flat.items() if optimizer.trainable[n]}
    return {
        "params": trees.unflatten(flat),
        "opt_state": optimizer.tx.init(trained),
        "step": jnp.zeros((), jnp.int32),
    }


def _weights(name: str, shape: jax.ShapeDtypeStruct, seed: int) -> jax.Array:
    # Returns uniform random numbers, made from a hash of their indices (the finalizer of
    # MurmurHash3). The model's own initialisation would compile as slowly as its step. The numbers
    # are scaled so that activations keep their size from layer to layer.
    x = jax.lax.iota(jnp.uint32, math.prod(shape.shape)) + jnp.uint32(seed * 0x9E3779B9 % 2**32)
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    uniform = (x ^ (x >> 16)).astype(jnp.float32) / 2.0**31 - 1
    last = name.rpartition("/")[2]
    gain = 0.02 if last in ("scale", "bias") else max(shape.shape[-3:-1], default=1) ** -0.5
    centre = float(last == "scale" and not name.startswith("llm/"))  # Gemma adds the 1 itself.
    return (centre + gain * 3**0.5 * uniform).reshape(shape.shape).astype(shape.dtype)
