"""The training step: gradients, accumulation over microbatches, the update, in one function.

Knows neither data nor devices; needs little more than JAX, so that `tools.bench` can carry it
anywhere.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from big_rad import trees
from big_rad.config.defaults import Config
from big_rad.training import losses, optim

Flat = Mapping[str, jax.Array]
GuardState = dict[str, Float[Array, ""] | Int[Array, ""]]
Grads = Callable[[Flat, Flat, losses.Batch, Key[Array, ""]], tuple[Flat, losses.Metrics]]
# Metrics that add up over microbatches; others are means, weighted by `weight`.
_COUNTS = ("weight", "masks")
_ACTIONS = ("stop", "skip")
_MEMORY = 50  # steps that the running mean of the loss looks back
_FIRST = 20  # steps before there are spikes


@dataclasses.dataclass(frozen=True)
class Guard:
    """Tells good steps from bad ones, within the step.

    A step is bad when its loss or gradient is not finite, or when the loss is a spike, many times
    its running mean.

    Attributes:
        skip: leave a bad step's update out.
        spike: a loss above so many times its running mean is bad; 0 looks only for what is not
            finite.
    """

    skip: bool
    spike: float

    def init(self) -> GuardState:
        """Returns the state: the running `mean` of the loss, and the good steps `seen` so far."""
        return {"mean": jnp.zeros((), jnp.float32), "seen": jnp.zeros((), jnp.int32)}

    def look(
        self, state: GuardState, loss: losses.Scalar, l2_grads: losses.Scalar
    ) -> tuple[Bool[Array, ""], GuardState]:
        """Returns whether a step is good, and the state after it."""
        good = jnp.isfinite(loss) & jnp.isfinite(l2_grads)
        if self.spike:
            good &= (state["seen"] < _FIRST) | (loss <= self.spike * state["mean"])
        share = 1.0 / jnp.minimum(state["seen"] + 1, _MEMORY)
        mean = state["mean"] + jnp.where(good, (loss - state["mean"]) * share, 0.0)
        return good, {"mean": mean, "seen": state["seen"] + good}


def make_guard(config: Config) -> Guard | None:
    """Returns the guard of `config.bad_steps`, or None where the host's own look is enough.

    Raises:
        ValueError: an unknown action, or a spike that is no factor above 1.
    """
    action, spike = config.bad_steps.action, float(config.bad_steps.spike)
    if action not in _ACTIONS:
        raise ValueError(f"config.bad_steps.action is {action!r}; known: {', '.join(_ACTIONS)}")
    if spike and spike <= 1:
        raise ValueError(
            f"config.bad_steps.spike is {spike:g}: give the factor over the running mean of the "
            "loss, such as 5, or 0 for none"
        )
    return Guard(action == "skip", spike) if action == "skip" or spike else None


def kept_shapes(
    config: Config, params: Mapping[str, Any], trainable: Mapping[str, bool]
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns flat parameters as shapes in the dtypes that the trainer keeps them in.

    Args:
        config: reads `frozen_dtype`; trained parameters are float32.
        params: flat parameters (shapes suffice).
        trainable: name -> whether it is trained.
    """
    kept = {True: jnp.dtype("float32"), False: jnp.dtype(config.frozen_dtype)}
    return {n: jax.ShapeDtypeStruct(p.shape, kept[trainable[n]]) for n, p in params.items()}


def make_train_step(
    model: nn.Module,
    loss_fn: losses.Loss,
    optimizer: optim.Optimizer,
    grad_accum: int,
    guard: Guard | None = None,
) -> Callable[..., tuple[dict[str, Any], losses.Metrics]]:
    """Builds (state, batch, rng) -> (state, metrics).

    Args:
        model: the Flax module.
        loss_fn: (model, params, batch, rng) -> (loss, metrics with `weight`).
        optimizer: what to train and how.
        grad_accum: microbatches of a batch, run one after another; joined by `weight`, so that
            the result is the mean over the whole batch.
        guard: tells bad steps, which it may leave out; then the state has its `guard`, and the
            metrics `bad_step`.
    """

    grads_of = _make_grads(model, loss_fn)
    compute = grads_of if grad_accum == 1 else _accumulated(grads_of, grad_accum)

    def split(params: Mapping[str, Any]) -> tuple[Flat, Flat]:
        flat = trees.flatten(params)
        trained = {n: p for n, p in flat.items() if optimizer.trainable[n]}
        return trained, {n: p for n, p in flat.items() if not optimizer.trainable[n]}

    def train_step(
        state: dict[str, Any], batch: losses.Batch, rng: Key[Array, ""]
    ) -> tuple[dict[str, Any], losses.Metrics]:
        rng = jax.random.fold_in(rng, state["step"])
        trained, frozen = split(state["params"])
        grads, metrics = compute(trained, frozen, batch, rng)
        l2_grads = _l2(grads)

        def update(trained: Flat, opt_state: PyTree) -> tuple[Flat, PyTree, losses.Scalar]:
            updates, opt_state = optimizer.tx.update(grads, opt_state, trained)
            trained = jax.tree.map(jnp.add, trained, updates)
            return trained, opt_state, _l2(updates)

        def leave(trained: Flat, opt_state: PyTree) -> tuple[Flat, PyTree, losses.Scalar]:
            return trained, opt_state, jnp.zeros(())

        new: dict[str, Any] = {"step": state["step"] + 1}
        arguments = (trained, state["opt_state"])
        if guard is not None:
            good, new["guard"] = guard.look(state["guard"], metrics["training_loss"], l2_grads)
            metrics |= {"bad_step": ~good}
        if guard is not None and guard.skip:
            trained, opt_state, l2_updates = jax.lax.cond(good, update, leave, *arguments)
        else:
            trained, opt_state, l2_updates = update(*arguments)
        metrics |= {"l2_grads": l2_grads, "l2_params": _l2(trained), "l2_updates": l2_updates}
        return new | {
            "params": trees.unflatten({**frozen, **trained}),
            "opt_state": opt_state,
        }, metrics

    return train_step


def _make_grads(model: nn.Module, loss_fn: losses.Loss) -> Grads:
    # (trained, frozen, batch, rng) -> (gradients of the trained parameters, metrics).
    def grads_of(
        trained: Flat, frozen: Flat, batch: losses.Batch, rng: Key[Array, ""]
    ) -> tuple[Flat, losses.Metrics]:
        def of(trained: Flat) -> tuple[losses.Scalar, losses.Metrics]:
            return loss_fn(model, trees.unflatten({**frozen, **trained}), batch, rng)

        (loss, metrics), grads = jax.value_and_grad(of, has_aux=True)(trained)
        return grads, metrics | {"training_loss": loss}

    return grads_of


def _accumulated(grads_of: Grads, grad_accum: int) -> Grads:
    # The same over a whole batch, microbatch by microbatch, joined by their `weight`.
    traced = jax.jit(grads_of)  # Once for both its shapes and the loop over microbatches.

    def accumulated(
        trained: Flat, frozen: Flat, batch: losses.Batch, rng: Key[Array, ""]
    ) -> tuple[Flat, losses.Metrics]:
        # Rows are dealt out like cards, so that each device keeps its own.
        micro = jax.tree.map(
            lambda x: x.reshape(-1, grad_accum, *x.shape[1:]).swapaxes(0, 1),
            losses.with_totals(batch),
        )

        def body(
            total: PyTree, i_and_batch: tuple[Int[Array, ""], losses.Batch]
        ) -> tuple[PyTree, losses.Metrics]:
            i, batch = i_and_batch
            grads, metrics = traced(trained, frozen, batch, jax.random.fold_in(rng, i))
            weighted = jax.tree.map(lambda x: x * metrics["weight"], (grads, metrics))
            counts = {k: metrics[k] for k in _COUNTS if k in metrics}
            return jax.tree.map(jnp.add, total, weighted), counts

        shapes = jax.eval_shape(traced, trained, frozen, jax.tree.map(lambda x: x[0], micro), rng)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), shapes)
        total, each = jax.lax.scan(body, zeros, (jnp.arange(grad_accum), micro))
        counts = {k: v.sum() for k, v in each.items()}
        grads, metrics = jax.tree.map(lambda x: x / counts["weight"], total)
        return grads, metrics | counts

    return accumulated


def _l2(tree: PyTree) -> Float[Array, ""]:
    return jnp.sqrt(sum(jnp.sum(jnp.square(x.astype(jnp.float32))) for x in jax.tree.leaves(tree)))
