"""Losses, chosen by name in a config; the trainer knows only `(model, params, batch, rng)`.

`config.loss` is a call with literal arguments, such as `"text_xent(mean='example')"`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, Num, Shaped

from big_rad import registry
from big_rad.training import head_loss

LOSSES = registry.Registry("loss")
ROW_FIELDS = ("image", "text", "mask_ar", "mask_loss")
Metrics = dict[str, Float[Array, ""]]
Batch = Mapping[str, Shaped[Array, "rows ..."]]  # See docs/design.md for its fields.
Scalar = Float[Array, ""]
Loss = Callable[[nn.Module, Mapping[str, Any], Batch, Key[Array, ""]], tuple[Scalar, Metrics]]


def get(call: str, **more: Any) -> Loss:
    """Returns the loss that `call` names, its arguments and `more` bound.

    Raises:
        KeyError: no such loss; the message lists those that exist.
    """
    name, args, kwargs = registry.parse_call(call)
    if args:
        raise ValueError(f"loss {call!r}: write the arguments by name")
    return functools.partial(LOSSES.get(name), **{**more, **kwargs})


@LOSSES.register("text_xent")
def text_xent(
    model: nn.Module,
    params: Mapping[str, Any],
    batch: Batch,
    rng: Key[Array, ""],
    *,
    mean: str = "token",
    tile: int | None = 1024,
    groups: int = 1,
) -> tuple[Scalar, Metrics]:
    """Next-token cross-entropy of the suffix.

    Args:
        model: a `paligemma.Model`.
        params: its parameters.
        batch: `image` [B, H, W, 3]; `text`, `mask_ar`, `mask_loss` and, for packed rows,
            `segment`, each [B, T + 1]. `mask_loss` marks the tokens to be predicted.
        rng: unused, for losses that draw.
        mean: "token" averages over target tokens, "example" over texts of a token mean each.
        tile: logits are computed only at targets, so many at once (see `head_loss.xent`); None
            computes them everywhere, the plain way.
        groups: devices that rows are split over.

    Returns:
        (loss, metrics): `weight` is what the mean divides by, for joining microbatches;
        `token_accuracy` is a scalar.
    """
    del rng
    loss, metrics, _ = _text(model, params, batch, mean, tile, groups)
    return loss, metrics


@LOSSES.register("text_and_masks")
def text_and_masks(
    model: nn.Module,
    params: Mapping[str, Any],
    batch: Batch,
    rng: Key[Array, ""],
    *,
    mean: str = "token",
    tile: int | None = 1024,
    groups: int = 1,
    lambda_seg: float = 0.1,
    masks: str = "focal_dice",
    gamma: float = 2.0,
    alpha: float | None = None,
) -> tuple[Scalar, Metrics]:
    """L = L_txt + lambda_seg * L_mask (the RadGrounder paper): `text_xent`, and masks at `</seg>`.

    L_mask is the mean over the masks of the batch, 0 if it has none; pixels of a mask are averaged,
    so large images and large organs count no more. Binary masks are made here.

    Args:
        model: a `radgrounder.Model` with a mask decoder.
        params: its parameters.
        batch: as for `text_xent`, and `segmap` u8 [B, H, W] of class ids, as large as the image;
            `mask_class`, `mask_pos` i32 [B, K]: class id of the k-th mask and position of its
            `</seg>` in `text`, 0 and -1 where unused. A microbatch needs what `with_totals` adds.
        rng: unused.
        mean, tile, groups: see `text_xent`.
        lambda_seg: weight of the masks; at 0 none are made, and the text is trained alone.
        masks: "focal_dice" (the paper's) or "bce_dice" (that of the released weights).
        gamma: of the focal loss.
        alpha: of the focal loss, see `focal`.

    Returns:
        (loss, metrics): those of `text_xent`, `text_loss` and, unless `lambda_seg` is 0,
        `mask_loss` and the count `masks`.
    """
    del rng
    if masks not in ("focal_dice", "bce_dice"):
        raise ValueError(f'loss masks {masks!r}: use "focal_dice" or "bce_dice"')
    mask_pos = batch["mask_pos"] if lambda_seg else None
    loss, metrics, out = _text(model, params, batch, mean, tile, groups, mask_pos)
    if not lambda_seg:
        return loss, metrics | {"text_loss": loss}
    logits, wanted = out["mask_logits"], batch["mask_class"][..., None, None]
    used = _used(batch)
    target = (batch["segmap"][:, None].astype(wanted.dtype) == wanted).astype(jnp.float32)
    pixels = focal(logits, target, gamma, alpha) if masks == "focal_dice" else bce(logits, target)
    each = pixels + dice(logits, target)
    divisor = used.sum()
    if f"masks_per_{mean}" in batch:  # Joined by text weight, microbatches give the mean over all.
        divisor = batch[f"masks_per_{mean}"][0] * metrics["weight"]
    mask_loss = (each * used).sum() / jnp.maximum(divisor, 1e-6)
    metrics |= {"text_loss": loss, "mask_loss": mask_loss, "masks": used.sum()}
    return loss + lambda_seg * mask_loss, metrics


def each_row(
    model: nn.Module,
    params: Mapping[str, Any],
    batch: Batch,
    *,
    tile: int = 1024,
) -> dict[str, jax.Array]:
    """Next-token cross-entropy of the suffix as in `text_xent`, for each row alone.

    Args:
        model: a `paligemma.Model`.
        params: its parameters.
        batch: see `text_xent`.
        tile: positions whose logits are computed at once, see `head_loss.xent_rows`.

    Returns:
        f32 [B] each: `loss` is the sum over the target tokens of a row, `correct` counts those of
        which the model holds no other token for more likely, and `tokens` counts all of them.
    """
    target, (mask, weights) = batch["text"][:, 1:], _weights(batch, "token")
    _, out = _applied(model, params, batch, jnp.zeros(0, jnp.int32))
    hidden, (table, cap, more) = out["hidden"], _head(model, params, out["hidden"])
    sums = head_loss.xent_rows(hidden, table, target, weights, cap=cap, tile=tile, more=more)
    tokens = mask.sum(axis=1).astype(jnp.float32)
    return {"loss": sums.loss, "correct": sums.correct, "tokens": tokens}


def with_totals(batch: Batch) -> dict[str, jax.Array]:
    """Adds what losses of its parts need to know of a whole batch.

    A batch is cut into microbatches whose losses are joined by the weight of their texts. So that
    each mask counts the same wherever it is, the loss is told the batch's number of masks.

    Args:
        batch: see `text_and_masks`; one without masks stays as it is.

    Returns:
        The batch with `masks_per_token` and `masks_per_example`, f32 [B], the same for all rows:
        masks over the text weight by that `mean`.
    """
    if "mask_pos" not in batch:
        return dict(batch)
    rows, count = batch["text"].shape[0], _used(batch).sum()
    totals = {mean: _weights(batch, mean)[1].sum() for mean in ("token", "example")}
    return batch | {
        f"masks_per_{mean}": jnp.full(rows, count / jnp.maximum(w, 1e-6))
        for mean, w in totals.items()
    }


def bce(
    logits: Float[Array, "*masks height width"], target: Num[Array, "*masks height width"]
) -> Float[Array, "*masks"]:
    """Binary cross-entropy of masks, averaged over pixels.

    Args:
        logits: [..., H, W].
        target: the same shape, 0 or 1.

    Returns:
        f32 [...].
    """
    return focal(logits, target, gamma=0.0)


def focal(
    logits: Float[Array, "*masks height width"],
    target: Num[Array, "*masks height width"],
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Float[Array, "*masks"]:
    """Focal loss of masks, averaged over pixels: (1 - p_t)^gamma times the cross-entropy.

    Args:
        logits: [..., H, W].
        target: the same shape, 0 or 1.
        gamma: 0 is the plain cross-entropy.
        alpha: weight of pixels of the mask, 1 - alpha of the others; None weights none.

    Returns:
        f32 [...]. Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 5; in
        logarithms, so that values and gradients stay finite however sure the logits are.
    """
    logits, target = logits.astype(jnp.float32), target.astype(jnp.float32)
    towards = jnp.where(target > 0, logits, -logits)  # p_t is its sigmoid
    loss = jax.nn.softplus(-towards)
    if gamma:
        loss = loss * jnp.exp(-gamma * jax.nn.softplus(towards))
    if alpha is not None:
        loss = loss * jnp.where(target > 0, alpha, 1 - alpha)
    return loss.mean(axis=(-2, -1))


def dice(
    logits: Float[Array, "*masks height width"],
    target: Num[Array, "*masks height width"],
    eps: float = 1e-6,
) -> Float[Array, "*masks"]:
    """Dice loss of masks: 1 - 2 sum(p t) / (sum(p) + sum(t) + eps), p the sigmoid of the logits.

    Args:
        logits: [..., H, W].
        target: the same shape, 0 or 1.
        eps: in the denominator alone, as in the released code; nothing predicted for nothing is 1.

    Returns:
        f32 [...]. Source: Milletari et al. 2016, "V-Net", with plain sums in the denominator.
    """
    p, target = jax.nn.sigmoid(logits.astype(jnp.float32)), target.astype(jnp.float32)
    both = (p * target).sum(axis=(-2, -1))
    return 1 - 2 * both / (p.sum(axis=(-2, -1)) + target.sum(axis=(-2, -1)) + eps)


def _text(
    model: nn.Module,
    params: Mapping[str, Any],
    batch: Batch,
    mean: str,
    tile: int | None,
    groups: int,
    mask_pos: Int[Array, "rows masks"] | None = None,
) -> tuple[Scalar, Metrics, dict[str, Any]]:
    # See `text_xent`; also returns what else the model gave.
    target, (mask, weights) = batch["text"][:, 1:], _weights(batch, mean)
    logits_pos = jnp.zeros(0, jnp.int32) if tile else None
    more = {} if mask_pos is None else {"mask_pos": mask_pos}
    logits, out = _applied(model, params, batch, logits_pos, **more)
    if tile:
        hidden = out["hidden"].reshape(-1, out["hidden"].shape[-1])
        table, cap, added = _head(model, params, hidden)
        options = dict(cap=cap, tile=tile, groups=groups, more=added)
        loss, correct = head_loss.xent(hidden, table, target.ravel(), weights.ravel(), **options)
    else:
        xent = optax.softmax_cross_entropy_with_integer_labels(logits, target)
        chosen = jnp.take_along_axis(logits, target[..., None], axis=-1)[..., 0]
        best = jax.lax.stop_gradient(logits).max(axis=-1)  # Cheaper than argmax.
        loss, correct = (xent * weights).sum(), ((chosen >= best) * mask).sum()
    weight = jnp.maximum(weights.sum(), 1e-6)
    metrics = {"weight": weight, "token_accuracy": correct / jnp.maximum(mask.sum(), 1)}
    return loss / weight, metrics, out


def _applied(
    model: nn.Module,
    params: Mapping[str, Any],
    batch: Batch,
    logits_pos: Int[Array, " positions"] | None,
    **more: Int[Array, "rows masks"],
) -> tuple[Float[Array, "rows tokens vocab"] | None, dict[str, Any]]:
    # The model on all tokens but the last, as in training.
    segment = batch.get("segment")
    return model.apply(
        {"params": params},
        batch["image"],
        batch["text"][:, :-1],
        batch["mask_ar"][:, :-1],
        segment=None if segment is None else segment[:, :-1],
        logits_pos=logits_pos,
        train=True,
        **more,
    )


def _head(
    model: nn.Module, params: Mapping[str, Any], hidden: Float[Array, "tokens width"]
) -> tuple[
    Float[Array, "vocab width"],
    float,
    tuple[Float[Array, "tokens rank"], Float[Array, "vocab rank"]] | None,
]:
    # The output table, its soft cap, and what an adapter adds: see `more` of `head_loss.xent`.
    table, cap, adapter = model.head(params)
    if adapter is None:
        return table, cap, None
    return table, cap, (jnp.dot(hidden, adapter["b"].T), adapter["a"])


def _weights(
    batch: Batch, mean: str
) -> tuple[Int[Array, "rows tokens"], Float[Array, "rows tokens"]]:
    # Returns which of the tokens [B, T] after the first are targets, and the weight of each.
    if mean not in ("token", "example"):
        raise ValueError(f'loss mean {mean!r}: use "token" or "example"')
    target = batch["text"][:, 1:]
    mask = batch["mask_loss"][:, 1:] * (target != 0)
    weights = mask.astype(jnp.float32)
    if mean == "example":
        segment = batch.get("segment")
        ids = jnp.ones_like(target) if segment is None else segment[:, 1:]
        same = (ids[:, :, None] == ids[:, None, :]) * mask[:, None, :]
        weights = weights / jnp.maximum(same.sum(axis=-1), 1)
    return mask, weights


def _used(batch: Batch) -> Float[Array, "rows masks"]:
    # Returns f32 [B, K], 1 where there is a mask.
    return ((batch["mask_pos"] >= 0) & (batch["mask_class"] > 0)).astype(jnp.float32)
