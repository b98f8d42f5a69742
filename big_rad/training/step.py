"""The training step: gradients, their accumulation over microbatches, and the update.

This module must import little more than JAX and Flax, so that `tools.bench` can run it on a machine
that lacks the other requirements.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from big_rad import trees
from big_rad.config.defaults import Config
from big_rad.training import contrastive, losses, optim

Flat = Mapping[str, jax.Array]
GuardState = dict[str, Float[Array, ""] | Int[Array, ""]]
Grads = Callable[[Flat, Flat, losses.Batch, Key[Array, ""]], tuple[Flat, losses.Metrics]]
# Metrics that are summed over microbatches; all others are means weighted by `weight`.
_COUNTS = ("weight", "masks")
_ACTIONS = ("stop", "skip")
_MEMORY = 50  # The number of steps that the running mean of the loss looks back.
_FIRST = 20  # The number of good steps before a loss can be a spike.


@dataclasses.dataclass(frozen=True)
class Guard:
    """Finds bad steps, on the device and within the compiled step.

    A step is bad if its loss or gradient is not finite, or if its loss is a spike: larger than
    `spike` times the running mean of the loss.

    Attributes:
        skip: whether a bad step leaves parameters and optimizer state as they are.
        spike: the factor over the running mean above which a loss is a spike; 0 disables the check
            for spikes.
    """

    skip: bool
    spike: float

    def init(self) -> GuardState:
        """Returns the first state: the running `mean` of the loss, and `seen`, the number of good
        steps so far."""
        return {"mean": jnp.zeros((), jnp.float32), "seen": jnp.zeros((), jnp.int32)}

    def look(
        self, state: GuardState, loss: losses.Scalar, l2_grads: losses.Scalar
    ) -> tuple[Bool[Array, ""], GuardState]:
        """Returns whether a step is good, and the state of the guard after it.

        Args:
            state: the state after the step before.
            loss: the loss of the step.
            l2_grads: the L2 norm of its gradients.
        """
        good = jnp.isfinite(loss) & jnp.isfinite(l2_grads)
        if self.spike:
            good &= (state["seen"] < _FIRST) | (loss <= self.spike * state["mean"])
        share = 1.0 / jnp.minimum(state["seen"] + 1, _MEMORY)
        mean = state["mean"] + jnp.where(good, (loss - state["mean"]) * share, 0.0)
        return good, {"mean": mean, "seen": state["seen"] + good}


def make_guard(config: Config) -> Guard | None:
    """Returns the guard that `config.bad_steps` asks for.

    Returns:
        The guard; None if bad steps stop the run and spikes are not looked for, because
        `bad_steps.BadStepMonitor` then finds them on the host.

    Raises:
        ValueError: The action is unknown, or `spike` is neither 0 nor above 1.
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
    """Returns the shapes of flat parameters in the dtypes that the trainer keeps them in.

    Args:
        config: the config. Frozen parameters are kept in `frozen_dtype`, trained ones in float32.
        params: the flat parameters (shapes suffice).
        trainable: a dict from the name of each parameter to whether it is trained.
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
    """Builds the function of a training step: (state, batch, rng) -> (state, metrics).

    With `grad_accum` > 1 a batch is cut into microbatches, which are run one after another to save
    memory. The loss of a microbatch is a mean, and the metric `weight` is its divisor: the number
    of target tokens, or the number of texts for `mean="example"`. Gradients and mean metrics are
    averaged with these weights, so that the result is the mean over the whole batch:

        microbatch    targets (weight)    mean loss    weight * loss
        0                   3                2.0            6.0
        1                   1                6.0            6.0
        whole batch         4                3.0           12.0 / 4

    An average without the weights would be 4.0, in which the single target of microbatch 1 counts
    as much as the three targets of microbatch 0.

    Rows are dealt to the microbatches in turn. With 8 rows and 2 microbatches, microbatch 0 has the
    rows 0, 2, 4, 6 and microbatch 1 the rows 1, 3, 5, 7. If 2 devices hold the rows 0-3 and 4-7,
    each device has two rows of each microbatch, and no row moves to another device.

    A loss of pairs of rows (`contrastive.Pairs`) is no mean over rows, and microbatches by
    themselves would lose the pairs between them. Its gradients are accumulated in two passes, see
    `_cached`.

    Args:
        model: the Flax module.
        loss_fn: the loss, a function (model, params, batch, rng) -> (loss, metrics); the metrics
            contain `weight`.
        optimizer: the optimizer, which says what is trained and how.
        grad_accum: the number of microbatches of a batch; it has to divide the number of rows.
        guard: finds bad steps, and leaves out their update if its `skip` is True. With a guard the
            state has an entry `guard` and the metrics have `bad_step`. None checks nothing.

    Returns:
        The step. Its state has `step`, `params` and `opt_state`; the metrics are those of the loss,
        `training_loss`, and the L2 norms `l2_grads`, `l2_params` and `l2_updates` of all trained
        parameters.
    """

    grads_of = _make_grads(model, loss_fn)
    if grad_accum == 1:
        compute = grads_of
    elif isinstance(loss_fn, contrastive.Pairs):
        compute = _cached(model, loss_fn, grad_accum)
    else:
        compute = _accumulated(grads_of, grad_accum)

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
    # Returns a function (trained, frozen, batch, rng) -> (gradients of the trained parameters,
    # metrics).
    def grads_of(
        trained: Flat, frozen: Flat, batch: losses.Batch, rng: Key[Array, ""]
    ) -> tuple[Flat, losses.Metrics]:
        def of(trained: Flat) -> tuple[losses.Scalar, losses.Metrics]:
            return loss_fn(model, trees.unflatten({**frozen, **trained}), batch, rng)

        (loss, metrics), grads = jax.value_and_grad(of, has_aux=True)(trained)
        return grads, metrics | {"training_loss": loss}

    return grads_of


def _accumulated(grads_of: Grads, grad_accum: int) -> Grads:
    # Returns a function like `grads_of` that takes a whole batch, and computes the means over it
    # microbatch by microbatch; see `make_train_step`.
    traced = jax.jit(grads_of)  # It is then traced once for both eval_shape and the loop.

    def accumulated(
        trained: Flat, frozen: Flat, batch: losses.Batch, rng: Key[Array, ""]
    ) -> tuple[Flat, losses.Metrics]:
        # Each microbatch takes every grad_accum-th row, so that no row moves to another device.
        micro = _dealt(losses.with_totals(batch), grad_accum)

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


def _cached(model: nn.Module, loss_fn: contrastive.Pairs, grad_accum: int) -> Grads:
    # Returns a function like that of `_make_grads` for a loss of pairs. It embeds the batch
    # microbatch by microbatch, takes the loss and the gradients of all embeddings together, and
    # then goes through the microbatches again to take these gradients on to the parameters. The
    # result is exact, since a row is embedded by itself; the price is one more forward pass. (Gao
    # et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".)
    def cached(
        trained: Flat, frozen: Flat, batch: losses.Batch, rng: Key[Array, ""]
    ) -> tuple[Flat, losses.Metrics]:
        del rng
        micro = _dealt(batch, grad_accum)

        def embed(trained: Flat, rows: losses.Batch) -> PyTree:
            return loss_fn.embed(model, trees.unflatten({**frozen, **trained}), rows)

        def of(trained: Flat, embedded: PyTree) -> tuple[losses.Scalar, losses.Metrics]:
            params = trees.unflatten({**frozen, **trained})
            return loss_fn.of_embeddings(params, _gathered(embedded), batch)

        embedded = jax.lax.map(functools.partial(embed, trained), micro)
        (loss, metrics), (grads, of_embedded) = jax.value_and_grad(of, (0, 1), has_aux=True)(
            trained, embedded
        )

        def body(grads: Flat, part: tuple[losses.Batch, PyTree]) -> tuple[Flat, None]:
            rows, cotangent = part
            (more,) = jax.vjp(lambda p: embed(p, rows), trained)[1](cotangent)
            return jax.tree.map(jnp.add, grads, more), None

        grads, _ = jax.lax.scan(body, grads, (micro, of_embedded))
        return grads, metrics | {"training_loss": loss}

    return cached


def _dealt(batch: PyTree, count: int) -> PyTree:
    # Deals the rows of a batch to microbatches in turn: [B, ...] -> [count, B / count, ...].
    return jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)


def _gathered(micro: PyTree) -> PyTree:
    # Undoes `_dealt`.
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), micro)


def _l2(tree: PyTree) -> Float[Array, ""]:
    return jnp.sqrt(sum(jnp.sum(jnp.square(x.astype(jnp.float32))) for x in jax.tree.leaves(tree)))
