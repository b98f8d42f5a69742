"""The losses that `config.loss` can name: of texts, of texts and masks, or of pairs.

`config.loss` is a call with literal arguments, such as `"text_xent(mean='example')"`. `get` turns
it into a function (model, params, batch, rng) -> (loss, metrics), which is all that the trainer
uses; a new loss is registered in `LOSSES`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Num, Shaped

from big_rad import extras, registry
from big_rad.training import contrastive, head_loss

with extras.needed("train"):
    import optax

LOSSES = registry.Registry("loss")
LOSSES.register("sigmoid_pairs")(contrastive.Pairs)
ROW_FIELDS = ("image", "text", "mask_ar", "mask_loss")
Metrics = dict[str, Float[Array, ""]]
Batch = Mapping[str, Shaped[Array, "rows ..."]]  # See docs/design.md for its fields.
Scalar = Float[Array, ""]
Loss = Callable[[nn.Module, Mapping[str, Any], Batch, Key[Array, ""]], tuple[Scalar, Metrics]]


def get(call: str, **more: Any) -> Loss:
    """Returns the loss that a call such as "text_xent(mean='example')" names.

    Args:
        call: the name of the loss with its arguments.
        more: further arguments; those of `call` win.

    Returns:
        The loss as a function of (model, params, batch, rng), with all other arguments bound.

    Raises:
        KeyError: No loss has this name; the message lists those that exist.
        ValueError: An argument is not given by name.
    """
    name, args, kwargs = registry.parse_call(call)
    if args:
        raise ValueError(f"loss {call!r}: write the arguments by name")
    loss = LOSSES.get(name)
    return (
        loss(**{**more, **kwargs})
        if isinstance(loss, type)
        else functools.partial(loss, **{**more, **kwargs})
    )


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
        batch: the batch: `image` [B, H, W, 3]; `text`, `mask_ar`, `mask_loss` and, for packed
            rows, `segment`, each [B, T + 1]. `mask_loss` is 1 at the tokens to be predicted.
        rng: unused; every loss has this argument, for losses that draw random numbers.
        mean: "token" averages over all target tokens; "example" first averages over the tokens of
            each text and then over texts, so that a long text counts as much as a short one.
        tile: the number of target tokens whose logits are computed at once (see `head_loss.xent`);
            None computes the logits of all positions in one product.
        groups: the number of devices that rows are split over.

    Returns:
        (loss, metrics): the metric `weight` is the divisor of the mean, by which microbatches are
        joined (see `step.make_train_step`); `token_accuracy` is the share of target tokens that
        have the highest logit.
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
    """Loss of texts and of the masks at their `</seg>` tokens.

    The loss is L = L_txt + lambda_seg * L_mask (the RadGrounder paper). L_txt is `text_xent`.
    L_mask is the mean over the masks of the batch, and 0 if it has no masks. The loss of one mask
    is a mean over its pixels, so large images and large organs have no larger weight. The target
    masks are computed here: mask k of a row is 1 where `segmap` equals `mask_class[k]`.

    Args:
        model: a `radgrounder.Model` with a mask decoder.
        params: its parameters.
        batch: as for `text_xent`, and in addition `segmap`, class ids u8 [B, H, W] in the size of
            the image, and `mask_class` and `mask_pos`, i32 [B, K]: the class id of the k-th mask
            and the position of its `</seg>` in `text`. Unused places have the class 0 and the
            position -1. A microbatch needs the fields that `with_totals` adds to the whole batch.
        rng: unused.
        mean, tile, groups: see `text_xent`.
        lambda_seg: the weight of L_mask; at 0 no masks are predicted, and only the texts are
            trained.
        masks: "focal_dice" (as in the paper) or "bce_dice" (as for the released weights).
        gamma: the exponent of the focal loss, see `focal`.
        alpha: the weight of mask pixels in the focal loss, see `focal`.

    Returns:
        (loss, metrics): the metrics of `text_xent`, and `text_loss`; unless `lambda_seg` is 0, also
        `mask_loss` and `masks`, the number of masks.
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
    if f"masks_per_{mean}" in batch:  # Microbatches are joined by text weight, see `with_totals`.
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
    """Next-token cross-entropy of the suffix as in `text_xent`, for each row separately.

    Args:
        model: a `paligemma.Model`.
        params: its parameters.
        batch: see `text_xent`.
        tile: the number of positions whose logits are computed at once, see `head_loss.xent_rows`.

    Returns:
        Three arrays f32 [B]: `loss`, the sum over the target tokens of a row; `correct`, the number
        of target tokens that have the highest logit; and `tokens`, the number of target tokens.
    """
    target, (mask, weights) = batch["text"][:, 1:], _weights(batch, "token")
    _, out = _applied(model, params, batch, jnp.zeros(0, jnp.int32))
    hidden, (table, cap, more) = out["hidden"], _head(model, params, out["hidden"])
    sums = head_loss.xent_rows(hidden, table, target, weights, cap=cap, tile=tile, more=more)
    tokens = mask.sum(axis=1).astype(jnp.float32)
    return {"loss": sums.loss, "correct": sums.correct, "tokens": tokens}


def with_totals(batch: Batch) -> dict[str, jax.Array]:
    """Adds to a batch the totals that the loss of one of its microbatches needs.

    The losses of microbatches are joined by the weight of their texts, w_i. A mean over the masks
    of each microbatch would then count a mask more beside long texts than beside short ones. So
    microbatch i divides the sum of its mask losses, S_i, by (N / W) w_i, where N is the number of
    masks and W the text weight of the whole batch. Joined by w_i, this is the mean over all masks:

        sum_i (w_i / W) * S_i / ((N / W) w_i) = sum_i S_i / N

    Args:
        batch: see `text_and_masks`; a batch without masks is returned unchanged.

    Returns:
        The batch with `masks_per_token` and `masks_per_example`, f32 [B], which hold N / W for the
        two kinds of `mean`, the same value in all rows.
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
        logits: the logits of the masks [..., H, W].
        target: the target masks in the same shape, 0 or 1.

    Returns:
        The loss of each mask, f32 [...].
    """
    return focal(logits, target, gamma=0.0)


def focal(
    logits: Float[Array, "*masks height width"],
    target: Num[Array, "*masks height width"],
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Float[Array, "*masks"]:
    """Focal loss of masks, averaged over pixels: -alpha_t (1 - p_t)^gamma log(p_t).

    Here p_t is the predicted probability of the true value of a pixel: sigmoid(logit) where the
    target is 1, and 1 - sigmoid(logit) where it is 0. Source: Lin et al. 2017, "Focal Loss for
    Dense Object Detection", eq. 5. It is computed from logarithms, so that values and gradients
    stay finite for logits of any size.

    Args:
        logits: the logits of the masks [..., H, W].
        target: the target masks in the same shape, 0 or 1.
        gamma: the exponent; 0 gives the plain cross-entropy.
        alpha: the weight alpha_t of pixels whose target is 1; the other pixels have the weight
            1 - alpha. None gives all pixels the weight 1.

    Returns:
        The loss of each mask, f32 [...].
    """
    logits, target = logits.astype(jnp.float32), target.astype(jnp.float32)
    towards = jnp.where(target > 0, logits, -logits)  # p_t = sigmoid(towards).
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
    """Dice loss of masks: 1 - 2 sum(p t) / (sum(p) + sum(t) + eps).

    Here p is the sigmoid of the logits, t the target, and the sums are over the pixels of a mask.
    Source: Milletari et al. 2016, "V-Net", who have sums of squares in the denominator; here they
    are plain sums.

    Args:
        logits: the logits of the masks [..., H, W].
        target: the target masks in the same shape, 0 or 1.
        eps: a small number, added only to the denominator, as in the released code. An empty
            prediction for an empty target therefore has the loss 1.

    Returns:
        The loss of each mask, f32 [...].
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
    # The loss and metrics of `text_xent`, and the other outputs of the model.
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
        best = jax.lax.stop_gradient(logits).max(axis=-1)  # A maximum is cheaper than an argmax.
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
    # Applies the model, in training mode, to all tokens but the last, which is only a target.
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
    # Returns the output table, its soft cap, and the inputs and table of its LoRA adapter, or None
    # if it has no adapter: the argument `more` of `head_loss.xent`.
    table, cap, adapter = model.head(params)
    if adapter is None:
        return table, cap, None
    return table, cap, (jnp.dot(hidden, adapter["b"].T), adapter["a"])


def _weights(
    batch: Batch, mean: str
) -> tuple[Int[Array, "rows tokens"], Float[Array, "rows tokens"]]:
    # Returns for the tokens [B, T] after the first whether each is a target, and its weight. With
    # mean="example" the weights of the tokens of one text (a segment of a packed row) sum to 1.
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
    # Returns f32 [B, K]: 1 where a place holds a mask, 0 where it is unused.
    return ((batch["mask_pos"] >= 0) & (batch["mask_class"] > 0)).astype(jnp.float32)
