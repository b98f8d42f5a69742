"""A checkpoint of any format as a model that can be asked: weights, tokenizer, and how to use it.

Knows the formats through `big_rad.weights`, and nothing of questions, images or scores.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from big_rad import checkpoint as checkpoints
from big_rad import models, run_dir, weights
from big_rad.grounding import classes
from big_rad.models import common
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import recipe, table, tensors


class CheckpointError(Exception):
    """The checkpoint is missing or cannot be run; the message says which and why."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model with its parameters.

    Attributes:
        model: a `paligemma.Model` or `radgrounder.Model`.
        params: its parameters, on the first device.
        tokenizer: what it was trained with.
        fields: the `recipe.FIELDS` that it was made from.
        untrained: markup tokens of the tokenizer that the checkpoint has no trained row for.
    """

    model: nn.Module
    params: dict[str, Any]
    tokenizer: tokenizers.Tokenizer
    fields: Mapping[str, Any]
    untrained: tuple[str, ...] = ()

    @property
    def never(self) -> tuple[int, ...]:
        """Ids that must not be generated: of every markup set that is not trained whole."""
        return never_ids(self.tokenizer, self.untrained)


def never_ids(tokenizer: tokenizers.Tokenizer, untrained: tuple[str, ...]) -> tuple[int, ...]:
    """Returns the ids of every markup set of which a token is untrained."""
    return tuple(tokenizer.markup[t] for t in table.unusable(tokenizer, untrained))


def load(
    checkpoint: str | pathlib.Path,
    fields: Mapping[str, Any] | None = None,
    *,
    dtype: str = "float32",
    log: Callable[[str], None] = print,
) -> Loaded:
    """Loads a run, a Hugging Face folder or an npz, with adapters merged.

    The table of a foreign checkpoint is brought to the height that the tokenizer needs: rows for
    markup tokens that it never met are appended, and are never written; rows that stand for no
    token are left out. So its answers do not depend on how much padding its table came with.

    Args:
        checkpoint: see `weights.kind`.
        fields: its `recipe.FIELDS`; None reads them from the checkpoint.
        dtype: of the parameters.
        log: receives what was left out, guessed or filled.

    Returns:
        The model, ready to be asked.

    Raises:
        FileNotFoundError: nothing there, or no tokenizer.
        ValueError: tensors that do not fit, are not finite or are quantised; or a table that
            belongs to another tokenizer.
    """
    if fields is None:
        fields = recipe.read(checkpoint)
    spec, name = fields["tokenizer"], fields["model_name"]
    tokenizer = tokenizers.load(spec["path"], tuple(spec["sets"]))
    # Adapters come merged.
    cfg = {k: _plain(v) for k, v in fields["model"].items() if k != "lora"}
    tree = weights.load(checkpoint, lazy=True, log=log)
    kind, rows = weights.kind(checkpoint), tokenizer.padded_vocab_size
    if kind != "orbax":
        cfg["llm"].pop("vocab_size", None)  # The tokenizer's, as everywhere.
    tree, untrained = recipe.fit_table(tree, checkpoint, tokenizer, rows, trained=False, log=log)
    if kind == "npz":
        recipe.read(checkpoint, log=log)  # Says what is guessed.
    model = models.make(name, cfg, rows)
    side = int(fields["image"]["size"])
    target = _target(_shapes(name, json.dumps(cfg, sort_keys=True), rows, side), dtype)
    params = models.get(name).load(target, tree, cfg)
    return Loaded(model, params, tokenizer, fields, untrained)


def load_as_stored(checkpoint: str | pathlib.Path, *, log: Callable[[str], None] = print) -> Loaded:
    """Loads as `load`, but a run whole, at once, and in the dtypes that it is stored in.

    Args:
        checkpoint: see `load`.
        log: see `load`.

    Raises:
        CheckpointError: it is missing, damaged, or of another model or version.
    """
    try:
        if weights.exists(checkpoint) and weights.kind(checkpoint) != "orbax":
            return load(checkpoint, log=log)
        place = run_dir.locate(checkpoint)
        params, meta = checkpoints.load_params(place.folder)
    except FileNotFoundError as e:
        raise CheckpointError(str(e)) from e
    except ValueError as e:
        raise CheckpointError(f"{checkpoint}: {e}") from e
    except Exception as e:  # Orbax raises many kinds for damaged folders.
        raise CheckpointError(f"{checkpoint}: not a readable checkpoint: {e}") from e
    try:
        for name, value in common.flatten(params).items():
            tensors.check_finite(value, name, checkpoint)
        loaded = _of_run(params, meta, place.workdir)
    except KeyError as e:
        raise CheckpointError(
            f"{checkpoint}: its config has no {e}; it needs model_name, model, tokenizer, codec "
            "and image (was it written by big_rad.train?)"
        ) from e
    except (ValueError, OSError) as e:
        raise CheckpointError(f"{checkpoint}: {e}") from e
    log(f"{checkpoint}: {place}")
    return loaded


def _of_run(params: dict[str, Any], meta: Mapping[str, Any], workdir: pathlib.Path) -> Loaded:
    fields = {name: meta["config"][name] for name in recipe.FIELDS}
    path, spec = workdir / "tokenizer.model", fields["tokenizer"]
    path = str(path if path.is_file() else spec["path"])
    fields["tokenizer"] = dict(spec, path=path)
    tokenizer = tokenizers.load(path, sets=tuple(spec["sets"]))
    if meta.get("tokenizer", tokenizer.fingerprint) != tokenizer.fingerprint:
        raise ValueError(
            f"it was not trained with the tokenizer {path}; put the tokenizer.model of its run "
            "into the run directory"
        )
    names = [c.name for c in classes.CLASSES]
    if meta.get("classes", names) != names:
        raise ValueError("its classes differ from those of this version of big_rad")
    model = models.make(fields["model_name"], fields["model"], tokenizer.padded_vocab_size)
    held = meta["config"].get("untrained") or ()
    untrained = tuple(t for t in tokenizer.markup if t in held)
    return Loaded(model, params, tokenizer, fields, untrained)


def _target(shapes: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    # The parameters as shapes, on the first device.
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype, sharding=place), shapes)


@functools.lru_cache(maxsize=8)  # Drawing them up takes longer than reading a small model.
def _shapes(name: str, cfg: str, rows: int, side: int) -> dict[str, Any]:
    model = models.make(name, json.loads(cfg), rows)
    image, tokens = jnp.zeros((1, side, side, 3)), jnp.ones((1, 4), jnp.int32)
    return jax.eval_shape(model.init, jax.random.key(0), image, tokens, 0 * tokens)["params"]


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if hasattr(value, "items") else value
