"""Losses, chosen by name in a config; the trainer knows only `(model, params, batch, rng)`.

`config.loss` is a call with literal arguments, such as `"text_xent(positions=160)"`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from big_rad import registry

LOSSES = registry.Registry("loss")
Metrics = dict[str, jax.Array]
Loss = Callable[[nn.Module, Mapping[str, Any], Mapping[str, jax.Array], Any], Any]


def get(call: str) -> Loss:
    """Returns the loss that `call` names, its arguments bound.

    Raises:
        KeyError: no such loss; the message lists those that exist.
    """
    name, args, kwargs = registry.parse_call(call)
    if args:
        raise ValueError(f"loss {call!r}: write the arguments by name")
    return functools.partial(LOSSES.get(name), **kwargs)


@LOSSES.register("text_xent")
def text_xent(
    model: nn.Module,
    params: Mapping[str, Any],
    batch: Mapping[str, jax.Array],
    rng: jax.Array,
    *,
    positions: int | None = None,
    mean: str = "token",
) -> tuple[jax.Array, Metrics]:
    """Next-token cross-entropy of the suffix.

    Args:
        model: a `paligemma.Model`.
        params: its parameters.
        batch: `image` [B, H, W, 3]; `text`, `mask_ar`, `mask_loss` and, for packed rows,
            `segment`, each [B, T + 1]. `mask_loss` marks the tokens to be predicted.
        rng: unused, for losses that draw.
        positions: the most target tokens a row holds; logits are computed only there. None
            computes them everywhere. Tokens past it are counted in `dropped_tokens`, which the
            trainer refuses: `tok(max_loss=...)` makes sure that there are none.
        mean: "token" averages over target tokens, "example" over texts of a token mean each.

    Returns:
        (loss, metrics): `weight` is what the mean divides by, for joining microbatches;
        `token_accuracy` and `dropped_tokens` are scalars.
    """
    del rng
    if mean not in ("token", "example"):
        raise ValueError(f'loss mean {mean!r}: use "token" or "example"')
    text, target = batch["text"][:, :-1], batch["text"][:, 1:]
    mask = batch["mask_loss"][:, 1:] * (target != 0)
    segment = batch.get("segment")
    weights = mask.astype(jnp.float32)
    if mean == "example":
        ids = jnp.ones_like(target) if segment is None else segment[:, 1:]
        same = (ids[:, :, None] == ids[:, None, :]) * mask[:, None, :]
        weights = weights / jnp.maximum(same.sum(axis=-1), 1)
    where = None
    if positions is not None and positions < mask.shape[1]:
        # top_k prefers the lower index among equals: the first `positions` targets, in order.
        _, where = jax.lax.top_k(mask, positions)
        target, weights = (jnp.take_along_axis(x, where, axis=1) for x in (target, weights))
        kept = jnp.take_along_axis(mask, where, axis=1)
    else:
        kept = mask
    logits, _ = model.apply(
        {"params": params},
        batch["image"],
        text,
        batch["mask_ar"][:, :-1],
        segment=None if segment is None else segment[:, :-1],
        logits_pos=where,
        train=True,
    )
    xent = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    chosen = jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
    correct = (chosen >= jax.lax.stop_gradient(logits).max(axis=-1)) * kept  # Cheaper than argmax.
    weight = jnp.maximum(weights.sum(), 1e-6)
    metrics = {
        "weight": weight,
        "token_accuracy": correct.sum() / jnp.maximum(kept.sum(), 1),
        "dropped_tokens": (mask.sum() - kept.sum()).astype(jnp.float32),
    }
    return (xent * weights).sum() / weight, metrics
