"""The sigmoid loss of all pairs of images and texts in a batch, for `two_towers`.

Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training": for image i and text j with
embeddings of length 1,

    logit_ij = t * (image_i . text_j) + b
    loss     = 1/B * sum_ij -log sigmoid(z_ij * logit_ij)

where z_ij is 1 if the two belong together and -1 if they do not. A report sentence is often true of
several images of a batch, and then it would be wrong to push them apart: texts of one image, and
equal sentences of different images, belong together as well (`positives`).

The B x B logits are never in memory at once. The batch is cut into blocks, and the texts' blocks go
round from one to the next, as from one device to the next if there are several:

    block of images   0 1 2 3     0 1 2 3     0 1 2 3     0 1 2 3
    meets texts       0 1 2 3     3 0 1 2     2 3 0 1     1 2 3 0

Only embeddings and keys travel. `Pairs.embed` and `Pairs.of_embeddings` are the two halves of the
loss, with which `step` accumulates gradients over microbatches without losing a pair.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

Batch = Mapping[str, Shaped[Array, "rows ..."]]
Metrics = dict[str, Float[Array, ""]]
Scalar = Float[Array, ""]
Params = Mapping[str, Any]
Blocks = Mapping[str, Array]  # Arrays [blocks, rows, ...]: embeddings and keys.
KEY_FIELDS = ("image_key", "text_keys")


def positives(images: Mapping[str, Array], texts: Mapping[str, Array]) -> Bool[Array, "... i j"]:
    """Returns which images and texts belong together.

    Args:
        images: `image_key` i32 [..., I, 2], equal for rows of the same image, and `text_keys` i32
            [..., I, K, 2], the keys of all texts of the image. A key is a hash of 64 bits, in two
            numbers; (0, 0) stands for no key.
        texts: the same fields of the texts' rows, [..., J, 2] and [..., J, K, 2]; the first of the
            text keys is that of the row's own text.

    Returns:
        A bool [..., I, J]: the text is one of the image, or is equal to one of the image.
    """

    def equal(a: Int[Array, "..."], b: Int[Array, "..."]) -> Bool[Array, "..."]:
        return (a == b).all(-1) & (b != 0).any(-1)

    same = equal(images["image_key"][..., :, None, :], texts["image_key"][..., None, :, :])
    own = texts["text_keys"][..., None, :, None, 0, :]  # [..., 1, J, 1, 2]
    return same | equal(images["text_keys"][..., :, None, :, :], own).any(-1)


def sigmoid_loss(
    image: Float[Array, "rows features"],
    text: Float[Array, "rows *texts features"],
    t: Float[Array, " 1"],
    b: Float[Array, " 1"],
    keys: Mapping[str, Int[Array, "rows ..."]],
    *,
    blocks: int = 1,
) -> tuple[Scalar, Metrics]:
    """Computes the loss over all pairs, block by block; see the head of this module.

    Args:
        image, text: the embeddings f32 [B, D], of length 1; the two of a row belong together. With
            n texts of each image, those of the texts are [B, n, D].
        t, b: the temperature and the bias.
        keys: `image_key` and `text_keys` of the rows, see `positives`, of which the first n are
            those of the row's own texts; and optionally `weight` f32 [B], which is 0 for a row that
            does not count. With `exchanged_key` i32 [B, 2] the last of the n texts is not one of
            the image: it belongs to no row but those with an equal text, and does not count where
            its key is (0, 0).
        blocks: the number of blocks, which divides B. It has to be a multiple of the number of
            devices that the rows are split over, so that a block is on one device.

    Returns:
        (loss, metrics): the loss is divided by the number of texts. `positives` is the mean number
        of texts that belong to an image, and `text_accuracy` and `image_accuracy` are the shares of
        images and texts whose best partner in the batch belongs to them.

    Raises:
        ValueError: the blocks do not divide the rows.
    """
    rows = image.shape[0]
    if rows % blocks:
        raise ValueError(f"{rows} rows do not divide into {blocks} blocks")
    weight = keys.get("weight", jnp.ones(rows, jnp.float32))
    text = text.reshape(rows, -1, text.shape[-1])
    count = text.shape[1]

    def cut(tree: Any) -> Any:
        return jax.tree.map(lambda x: x.reshape(blocks, -1, *x.shape[1:]), tree)

    of_texts = {
        "weight": jnp.repeat(weight[:, None], count, axis=1),
        "image_key": jnp.repeat(keys["image_key"][:, None], count, axis=1),
        "text_keys": keys["text_keys"][:, :count, None],
    }
    if "exchanged_key" in keys:
        key = keys["exchanged_key"]
        of_texts |= {
            "weight": of_texts["weight"].at[:, -1].mul((key != 0).any(axis=1)),
            "image_key": of_texts["image_key"].at[:, -1].set(0),
            "text_keys": jnp.concatenate([keys["text_keys"][:, : count - 1], key[:, None]], axis=1)[
                :, :, None
            ],
        }
    images = cut({"z": image, "weight": weight, **{k: keys[k] for k in KEY_FIELDS}})
    texts = cut(
        {k: x.reshape(rows * count, *x.shape[2:]) for k, x in (of_texts | {"z": text}).items()}
    )

    @jax.checkpoint  # The logits of a block are computed again in the backward pass.
    def meet(texts: Blocks) -> tuple[Any, Any]:
        dots = jnp.einsum("gid,gjd->gij", images["z"], texts["z"])
        logits = t * dots + b
        together = positives(images, texts)
        both = images["weight"][:, :, None] * texts["weight"][:, None, :]
        log_sigmoid = jax.nn.log_sigmoid(jnp.where(together, logits, -logits))
        sums = -(log_sigmoid * both).sum((1, 2)), (together * both).sum((1, 2))
        dots = jax.lax.stop_gradient(jnp.where(both > 0, dots, -jnp.inf))
        return sums, (_best(dots, together, 2), _best(dots, together, 1))

    def hop(carry: Any, _: None) -> tuple[Any, None]:
        texts, (loss, found), by_image, by_text = carry
        (new_loss, new_found), (of_images, of_texts) = meet(texts)
        by_image = _better(by_image, of_images)
        # A text's record of its best image travels with it.
        by_text = jax.tree.map(_pass_on, _better(by_text, of_texts))
        texts = jax.tree.map(_pass_on, texts)
        return (texts, (loss + new_loss, found + new_found), by_image, by_text), None

    zeros = jnp.zeros(blocks, jnp.float32)
    nobody = [
        (jnp.full(x["weight"].shape, -jnp.inf), jnp.zeros(x["weight"].shape, bool))
        for x in (images, texts)
    ]
    start = (texts, (zeros, zeros), *nobody)
    (_, (loss, found), by_image, by_text), _ = jax.lax.scan(hop, start, None, length=blocks)
    total = jnp.maximum(weight.sum(), 1.0)
    has_image = (texts["image_key"] != 0).any(axis=-1)
    own = total * (count - ("exchanged_key" in keys))  # The number of texts of the images.
    metrics = {
        "positives": found.sum() / total,
        "text_accuracy": (by_image[1] * images["weight"]).sum() / total,
        "image_accuracy": (by_text[1] * texts["weight"] * has_image).sum() / own,
    }
    return loss.sum() / own, metrics


def _pass_on(x: Float[Array, "blocks ..."]) -> Float[Array, "blocks ..."]:
    # Gives every block to the next place. Over devices this is one exchange with a neighbour.
    return jnp.roll(x, 1, axis=0)


def _best(
    dots: Float[Array, "g i j"], together: Bool[Array, "g i j"], axis: int
) -> tuple[Float[Array, "g rows"], Bool[Array, "g rows"]]:
    # The best dot product along an axis, and whether it is reached by a pair that belongs together.
    best = dots.max(axis)
    of_pairs = jnp.where(together, dots, -jnp.inf).max(axis)
    return best, of_pairs >= best


def _better(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    # Joins what `_best` says of two sets of partners.
    hit = jnp.where(a[0] == b[0], a[1] | b[1], jnp.where(a[0] > b[0], a[1], b[1]))
    return jnp.maximum(a[0], b[0]), hit


class Pairs:
    """The loss "sigmoid_pairs" of a `two_towers.Model`; see the head of this module.

    Args:
        groups: the number of devices that rows are split over.
        block: the largest number of rows of a block: with B rows, B * block logits are in memory
            at once, divided over the devices.
    """

    def __init__(self, *, groups: int = 1, block: int = 1024):
        self._groups, self._block = groups, block

    def __call__(
        self, model: nn.Module, params: Params, batch: Batch, rng: Key[Array, ""]
    ) -> tuple[Scalar, Metrics]:
        """Returns the loss of a batch and its metrics, see `of_embeddings`."""
        del rng
        return self.of_embeddings(params, self.embed(model, params, batch), batch)

    def embed(self, model: nn.Module, params: Params, batch: Batch) -> dict[str, Array]:
        """Returns the embeddings `image` [B, D] and `text` [B, D] or [B, n, D] of a batch, f32.

        The last of several texts is `exchanged`, if the batch has it. Each row is embedded by
        itself, so a batch may be embedded in parts.
        """
        texts = batch["text"]
        if "exchanged" in batch:
            several = texts.reshape(len(texts), -1, texts.shape[-1])
            texts = jnp.concatenate([several, batch["exchanged"][:, None]], axis=1)
        (image, text), _ = model.apply(
            {"params": params}, batch["image"], texts.reshape(-1, texts.shape[-1])
        )
        return {"image": image, "text": text.reshape(*texts.shape[:-1], -1)}

    def of_embeddings(
        self, params: Params, embedded: Mapping[str, Array], batch: Batch
    ) -> tuple[Scalar, Metrics]:
        """Returns the loss of the embeddings of a whole batch, and its metrics.

        Args:
            params: the parameters, of which `t` and `b` are read.
            embedded: what `embed` returns for the whole batch.
            batch: the batch, of which `image_key`, `text_keys` and `mask_loss` are read. A row
                without any `mask_loss` is one of an example that could not be used, and does not
                count.

        Returns:
            (loss, metrics): those of `sigmoid_loss`, and `weight`, the number of rows that count;
            `temperature`, `bias`, and `cut_texts`, the share of texts that were cut.
        """
        keys = {k: batch[k] for k in (*KEY_FIELDS, "exchanged_key") if k in batch}
        if "mask_loss" in batch:
            used = (batch["mask_loss"] != 0).reshape(len(batch["text"]), -1).any(axis=1)
            keys["weight"] = used.astype(jnp.float32)
        t, b = jnp.exp(params["t"].astype(jnp.float32)), params["b"].astype(jnp.float32)
        loss, metrics = sigmoid_loss(
            embedded["image"], embedded["text"], t, b, keys, blocks=self._blocks(len(batch["text"]))
        )
        weight = keys.get("weight", jnp.ones(len(batch["text"]), jnp.float32))
        metrics |= {"weight": weight.sum(), "temperature": t[0], "bias": b[0]}
        if "cut" in batch:
            share = batch["cut"].reshape(len(weight), -1).mean(axis=1)
            metrics["cut_texts"] = (share * weight).sum() / jnp.maximum(weight.sum(), 1.0)
        return loss, metrics

    def logits(self, rows: int, texts: int = 1) -> int:
        """Returns how many logits are in memory at once, for rows with `texts` texts each."""
        return rows * (rows // self._blocks(rows)) * texts

    def _blocks(self, rows: int) -> int:
        # The smallest number of blocks that each fit, and lie on one device.
        blocks = self._groups
        while rows // blocks > self._block and rows % (2 * blocks) == 0:
            blocks *= 2
        return blocks
