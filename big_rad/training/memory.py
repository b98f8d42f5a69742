"""Predicts the memory of a training step on one device from shapes, without allocating anything.

The sizes of state and gradients are exact. The arrays that the forward pass keeps for the backward
pass are found by tracing the derivative of the loss with the config's own model, loss and
`remat_policy`; the arrays that a block recomputes follow from two such traces. Temporary arrays
inside fused operations are not counted, so a compiler that fuses less needs more memory than
predicted. The number of rows and their length come from `batch_size`, `grad_accum` and the op `tok`
or `caption` of the config, so no dataset is opened:

    prediction = predict(config, models.rows(config.model_name, tokenizer))
    prediction.peak, prediction.fits(card=80)
"""

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from numpy.typing import DTypeLike

from big_rad import models, registry, trees
from big_rad.config import recipes as config_lib
from big_rad.config.defaults import Config
from big_rad.models import lora
from big_rad.training import contrastive, head_loss, losses, optim
from big_rad.training import step as train_step

Shapes = Mapping[str, jax.ShapeDtypeStruct]
GIB = 2**30
# The usable share of a card's memory; the driver and gaps between arrays take the rest.
USABLE = 0.92
_DEPTHS = (2, 3)  # Two numbers of blocks; the difference of their memory is that of one block.


@dataclasses.dataclass(frozen=True)
class Part:
    """A row of the memory table.

    Attributes:
        what: a description of the arrays in words.
        dtype: the dtype of the arrays; "" if they have several.
        size: the number of their elements; 0 if they have several dtypes.
        gib: their memory in GiB (2^30 bytes).
    """

    what: str
    dtype: str
    size: int
    gib: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The memory of a training step.

    Attributes:
        state: the parts that are in memory all the time: weights, optimizer state, the batch.
        meanwhile: the parts that a step adds at the moment when it needs the most memory.
    """

    state: list[Part]
    meanwhile: list[Part]

    @property
    def peak(self) -> float:
        """The largest memory of the step in GiB."""
        return sum(p.gib for p in (*self.state, *self.meanwhile))

    def fits(self, card: float) -> bool:
        """Returns whether the step fits a card.

        Args:
            card: the memory of the card in GB, as its maker states it.
        """
        return self.peak <= USABLE * card


def predict(config: Config, vocab_size: int, batch: Shapes | None = None) -> Prediction:
    """Predicts the peak memory of a training step on one device that holds the whole state.

    Args:
        config: the whole config.
        vocab_size: the number of rows of the embedding table that the tokenizer needs.
        batch: the shapes of a whole batch; None takes those of `batch_shapes`.

    Returns:
        The parts of the peak. A step needs the most memory in the head, in the backward pass of a
        block, or in the update; the parts are those of the largest of these three moments.

    Raises:
        ValueError: The config has neither op, or the batch does not divide into the microbatches.
    """
    params = _shapes(config, vocab_size)
    batch = batch_shapes(config) if batch is None else batch
    micro = {k: _rows(x, config.grad_accum) for k, x in batch.items()}
    kept = _kept(config, vocab_size, micro)
    block = _block(config, vocab_size, micro)
    state, grads = state_parts(config, params)
    state.append(Part("a batch", "", 0, _bytes(batch) / GIB))
    updates = [dataclasses.replace(g, what="updates") for g in grads]
    summed = []
    if config.grad_accum > 1:
        what = "gradients, summed over microbatches"
        summed = [dataclasses.replace(g, what=what) for g in grads]
    own = Part("kept for the backward pass", "", 0, kept / GIB)
    pairs = _pairs(config)
    if pairs is None:
        head = Part("logits in hand", "", 0, _head(config, vocab_size, micro) / GIB)
    else:  # All pairs of the whole batch meet, also if it is embedded in microbatches.
        rows, texts = batch["text"].shape[0], math.prod(batch["text"].shape[1:-1])
        texts += "exchanged" in batch
        head = Part("logits in hand", "", 0, 4 * 4 * pairs.logits(rows, texts) / GIB)
        if config.grad_accum > 1:
            state.append(
                Part("embeddings and their gradients", "float32", *_embeddings(config, texts))
            )
    moments = (
        [*summed, own, head],
        [*grads, *summed, own, Part("recomputed in a block", "", 0, block / GIB)],
        [*grads, *updates],
    )
    return Prediction(state, max(moments, key=lambda parts: sum(p.gib for p in parts)))


def check(config: Config, vocab_size: int, log: Callable[[str], None] = print) -> None:
    """Checks that a training step fits a card with the memory `config.card`.

    Args:
        config: the whole config.
        vocab_size: the number of rows of the embedding table that the tokenizer needs.
        log: receives the prediction.

    Raises:
        ValueError: The step does not fit.
    """
    found = predict(config, vocab_size)
    line = f"memory: {found.peak:.1f} GiB predicted, of {USABLE * config.card:.1f} usable"
    if not found.fits(config.card):
        raise ValueError(
            f"{line} on a card of {config.card:g} GB (config.card). What would fit is shown by: "
            f"python -m tools.inspect_model --config=... --card={config.card:g}"
        )
    log(line)


def state_parts(config: Config, params: Mapping[str, Any]) -> tuple[list[Part], list[Part]]:
    """Returns the parts of weights and optimizer state, and those of the gradients.

    Args:
        config: the whole config.
        params: the flat parameters (shapes suffice).
    """
    optimizer, trained, frozen = _split(config, params)
    trees = {
        "weights, trained": trained,
        "weights, frozen": frozen,
        f"optimizer state ({config.optimizer})": jax.eval_shape(optimizer.tx.init, trained),
    }
    state = [part for what, tree in trees.items() for part in parts(what, tree)]
    return state, parts("gradients", trained)


def parts(what: str, tree: PyTree, dtype: DTypeLike | None = None) -> list[Part]:
    """Returns a part for each dtype among the leaves of a tree.

    Args:
        what: the description of the parts.
        tree: a tree of arrays or shapes.
        dtype: the dtype to count all leaves in; None takes their own.
    """
    sizes: dict[Any, int] = {}
    for leaf in jax.tree.leaves(tree):
        kind = np.dtype(dtype or leaf.dtype)
        sizes[kind] = sizes.get(kind, 0) + math.prod(leaf.shape)
    return [Part(what, k.name, n, n * k.itemsize / GIB) for k, n in sizes.items()]


def batch_shapes(config: Config) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a whole batch whose rows have the longest length of the config.

    Raises:
        ValueError: No entry of `config.input` has the op `tok` or `caption`.
    """
    from big_rad.pp import builder  # Imported late: benchmarks lack its libraries, and need none.

    rows, side = config.input.batch_size, config.image.size
    calls = [
        registry.parse_call(op)
        for name in config.input.data
        for op in builder.split(config.input[name].pp)
    ]
    toks = [kwargs for name, _, kwargs in calls if name == "tok"]
    captions = [kwargs for name, _, kwargs in calls if name == "caption"]
    if not toks and not captions:
        raise ValueError(
            "config.input: no entry of `data` has the op tok or caption, which make the rows"
        )
    image = {"image": jax.ShapeDtypeStruct((rows, side, side, 3), np.float32)}
    if captions:
        text = max(t.get("length", 64) for t in captions)
        texts = max(t.get("texts", 1) for t in captions)
        several = (texts,) if texts > 1 else ()
        keys = max(t.get("keys", 64) for t in captions)
        sizes = dict.fromkeys(("text", "mask_ar", "mask_loss"), (*several, text))
        sizes |= {"cut": several, "image_key": (2,), "text_keys": (keys, 2)}
        if any(t.get("exchanged") for t in captions):
            sizes |= {"exchanged": (text,), "exchanged_key": (2,)}
        return image | {
            k: jax.ShapeDtypeStruct((rows, *size), np.int32) for k, size in sizes.items()
        }
    text = max(t.get("length", 256) for t in toks) + 1
    masks = max(t.get("masks", 0) for t in toks)
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {}
    names = ["text", "mask_ar", "mask_loss"] + ["segment"] * any(t.get("pack") for t in toks)
    shapes |= {name: ((rows, text), np.int32) for name in names}
    if masks:
        shapes["segmap"] = (rows, side, side), np.uint8
        shapes |= {name: ((rows, masks), np.int32) for name in ("mask_class", "mask_pos")}
    return image | {k: jax.ShapeDtypeStruct(shape, dtype) for k, (shape, dtype) in shapes.items()}


def fit(config: Config, vocab_size: int, card: float) -> dict[str, Any] | None:
    """Finds the fastest settings with which the same training fits a card.

    The batch is cut into more microbatches first; only if single rows do not fit, blocks are
    recomputed in full.

    Args:
        config: the whole config.
        vocab_size: the number of rows of the embedding table that the tokenizer needs.
        card: the memory of the card in GB.

    Returns:
        The fields to change with their new values; empty if the config fits as it is. None if even
        single rows with full recomputation do not fit.
    """
    rows, now = config.input.batch_size, config.grad_accum
    accums = [n for n in range(now, rows + 1) if rows % n == 0]
    as_it_is = config.model[_recomputed(config)[0]].get("remat_policy", "none")

    def changes(policy: str, accum: int) -> dict[str, Any]:
        return {"grad_accum": accum, **_with_policy(config, policy)}

    def fits(policy: str, accum: int) -> bool:
        changed = config_lib.changed(config, changes(policy, accum))
        return predict(changed, vocab_size).fits(card)

    if fits(as_it_is, now):
        return {}
    for policy in dict.fromkeys((as_it_is, "full")):
        if fits(policy, accums[-1]):
            # Smaller microbatches never need more memory, so a binary search finds the largest.
            first = bisect.bisect_left(accums, True, key=lambda n: fits(policy, n))
            return dict(changes(policy, accums[first]).items() - changes(as_it_is, now).items())
    return None


def _recomputed(config: Config) -> tuple[str, ...]:
    # The parts of the model whose blocks may be recomputed, as far as this module changes it.
    return ("llm",) if config.model.get("llm") else ("img", "txt")


def _with_policy(config: Config, policy: str) -> dict[str, Any]:
    return {f"model.{part}.remat_policy": policy for part in _recomputed(config)}


def _pairs(config: Config) -> contrastive.Pairs | None:
    loss = losses.get(config.loss)
    return loss if isinstance(loss, contrastive.Pairs) else None


def _embeddings(config: Config, texts: int) -> tuple[int, float]:
    # The number of elements of a batch's embeddings and their gradients, and their GiB.
    features = config.model.img.get("num_classes") or config.model.img.width
    size = 2 * (1 + texts) * config.input.batch_size * features
    return size, 4 * size / GIB


def _split(config: Config, params: Mapping[str, Any]) -> tuple[optim.Optimizer, Shapes, Shapes]:
    # Returns the optimizer, the shapes of the trained parameters, and those of the frozen ones,
    # in the dtypes that the trainer keeps them in.
    optimizer = optim.make(config, params, total_steps=1000)  # The length changes no shape.
    held = train_step.kept_shapes(config, params, optimizer.trainable)
    trained = {n: p for n, p in held.items() if optimizer.trainable[n]}
    return optimizer, trained, {n: p for n, p in held.items() if n not in trained}


def _rows(x: jax.ShapeDtypeStruct, accum: int) -> jax.ShapeDtypeStruct:
    if x.shape[0] % accum:
        raise ValueError(
            f"config.input.batch_size {x.shape[0]} does not divide into config.grad_accum {accum} "
            "microbatches"
        )
    return jax.ShapeDtypeStruct((x.shape[0] // accum, *x.shape[1:]), x.dtype)


def _bytes(tree: PyTree) -> int:
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))


def _shapes(config: Config, vocab_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    # The shapes of the flat parameters. They are cached, because `fit` tries many batch sizes and
    # remat policies, none of which changes a parameter.
    plain = config_lib.changed(config, _with_policy(config, "none")).to_dict()
    fields = {k: plain[k] for k in ("model_name", "model", "image")}
    return dict(_shapes_of(config_lib.to_json(fields), vocab_size))


@functools.lru_cache(maxsize=16)
def _shapes_of(fields: str, vocab_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    config = config_lib.from_json(fields)
    model = models.make(config.model_name, config.model, vocab_size)
    return trees.flatten(models.init_shapes(model, config))


def _kept(config: Config, vocab_size: int, batch: Shapes) -> int:
    # Returns the bytes of the arrays that the forward pass keeps for the backward pass of the loss,
    # without the parameters and the batch, which are inputs. They are cached, because tracing takes
    # a second, and `fit` and `_block` ask for the same configs again.
    fields = config_lib.to_json(config_lib.changed(config, {"grad_accum": 1}))
    shapes = tuple((name, x.shape, np.dtype(x.dtype)) for name, x in sorted(batch.items()))
    return _kept_by(fields, vocab_size, shapes)


@functools.lru_cache(maxsize=64)
def _kept_by(
    fields: str, vocab_size: int, shapes: tuple[tuple[str, tuple[int, ...], np.dtype], ...]
) -> int:
    config = config_lib.from_json(fields)
    batch = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape, dtype in shapes}
    model = models.make(config.model_name, config.model, vocab_size)
    _, trained, frozen = _split(config, _shapes(config, vocab_size))
    loss = losses.get(config.loss)

    def residuals(trained: Shapes, frozen: Shapes, batch: Shapes) -> list[jax.Array]:
        batch = losses.with_totals(batch)

        def of(trained: Shapes) -> tuple[jax.Array, losses.Metrics]:
            params = trees.unflatten({**frozen, **trained})
            return loss(model, params, batch, jax.random.key(0))

        return jax.tree.leaves(jax.vjp(of, trained, has_aux=True)[1])

    jaxpr = jax.make_jaxpr(residuals)(trained, frozen, batch).jaxpr
    inputs = {id(v) for v in jaxpr.invars}
    own = {id(v): v.aval for v in jaxpr.outvars if id(v) not in inputs}
    arrays = [a for a in own.values() if isinstance(a.dtype, np.dtype)]  # No random keys.
    return _bytes(arrays)


def _block(config: Config, vocab_size: int, batch: Shapes) -> int:
    # Returns the bytes that the backward pass of one block recomputes: those that it would keep
    # without recomputation, minus those that it keeps.
    def of_a_block(part: str, policy: str) -> int:
        few, more = (
            _kept(
                config_lib.changed(
                    config, {f"model.{part}.depth": n, f"model.{part}.remat_policy": policy}
                ),
                vocab_size,
                batch,
            )
            for n in _DEPTHS
        )
        return (more - few) // (_DEPTHS[1] - _DEPTHS[0])

    policies = {
        part: config.model[part].get("remat_policy", "none") for part in _recomputed(config)
    }
    return max(
        of_a_block(part, "none") - of_a_block(part, policy) if policy != "none" else 0
        for part, policy in policies.items()
    )


def _head(config: Config, vocab_size: int, batch: Shapes) -> int:
    # Returns the bytes of the logits of a tile in float32, their exponentials, and their gradient.
    # Without tiles the first two are already counted by `_kept`. An adapter of the output table
    # adds logits of its own.
    rows = batch["text"].shape[0] * (batch["text"].shape[1] - 1)
    tile = registry.parse_call(config.loss)[2].get("tile", 1024)
    arrays, tile = (1, rows) if tile is None else (3, head_loss.tile_sizes(tile, rows)[0])
    spec = config.model.get("lora")
    arrays += bool(spec) and lora.has_table(spec)
    return arrays * 4 * tile * max(vocab_size, config.model.llm.get("vocab_size") or 0)
