"""The one loader: a checkpoint of any format as a model that can be asked.

`open_checkpoint` lists what a checkpoint holds, and `load` makes the model of it, with its
tokenizer and with how it must be used. Knows the formats through `big_rad.weights`, and nothing of
questions, images or scores.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp

from big_rad import models, trees, weights
from big_rad.grounding import classes
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import hf_config, npz, sidecar, source_config, table, tensors
from big_rad.workdir import checkpoint as checkpoints
from big_rad.workdir import run_dir

Log = Callable[[str], None]
CheckpointError = checkpoints.CheckpointError


@dataclasses.dataclass
class Opened:
    """What a checkpoint holds; its arrays are read when they are needed.

    Attributes:
        kind: one of `weights.KINDS`.
        flat: name -> lazy array, adapters merged.
        model: arguments of the model as the checkpoint says them; empty if it does not.
        meta: what lies in a run's checkpoint beside its arrays: `config`, and since it is written
            the fingerprint of the tokenizer and the class table. Empty for other kinds.
        beside: what a file beside an npz says, or a Hugging Face config beyond the model.
        tokenizer: folder that may hold the tokenizer, or None.
    """

    kind: str
    flat: dict[str, tensors.Lazy]
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    beside: dict[str, Any] = dataclasses.field(default_factory=dict)
    tokenizer: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model with its parameters.

    Attributes:
        model: a `paligemma.Model` or `radgrounder.Model`.
        params: its parameters, on the first device; those of a run as it is stored are numpy
            arrays.
        tokenizer: what it was trained with.
        fields: the `source_config.FIELDS` that it was made from.
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


def open_checkpoint(path: str | pathlib.Path, *, log: Log = print) -> Opened:
    """Opens a checkpoint of any kind, image towers included.

    Args:
        path: see `weights.kind`.
        log: receives what is left out, and of a run which step it is.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no known format, or damaged.
    """
    kind, folder = weights.kind(path), pathlib.Path(path)
    if kind == "orbax":
        from big_rad.weights import orbax

        flat, meta = orbax.read(path, log=log)
        model = meta["config"].get("model") or {}
        return Opened(kind, flat, model, meta, tokenizer=run_dir.workdir_of(folder))
    if kind == "huggingface":
        from big_rad.weights import huggingface

        model, flat = huggingface.read(path, log=log)
        found = hf_config.read(folder)
        beside = dict(image_token=found.get("image_token_index"), text=found.get(hf_config.TEXT))
        return Opened(kind, flat, model, beside=beside, tokenizer=folder)
    flat = weights.read(path, log=log)
    if kind != "npz":
        return Opened(kind, flat)
    beside = sidecar.read(npz.split_subtree(path)[0])
    return Opened(kind, flat, beside.pop("model", {}), beside=beside)


def load(
    checkpoint: str | pathlib.Path,
    fields: Mapping[str, Any] | None = None,
    *,
    dtype: str | None = "float32",
    log: Log = print,
) -> Loaded:
    """Loads a run, one of its steps, a Hugging Face folder or an npz.

    The table of a foreign checkpoint is brought to the height that the tokenizer needs: rows for
    markup tokens that it never met are appended, and are never written; rows that stand for no
    token are left out. So its answers do not depend on how much padding its table came with.

    Args:
        checkpoint: see `weights.kind`; `run_dir.locate` chooses the step of a run.
        fields: its `source_config.FIELDS`; None reads them from the checkpoint.
        dtype: of the parameters, which are then read one by one, with adapters merged. None takes a
            run as it is stored: whole, in its own dtypes, its adapters beside their matrices; other
            checkpoints are then float32.
        log: receives which step of a run it is, and what was left out, guessed or filled.

    Returns:
        The model, ready to be asked.

    Raises:
        CheckpointError: nothing there or no tokenizer; damaged, quantised or not finite; of another
            model, tokenizer or class table.
    """
    with _one_error(checkpoint):
        if not weights.exists(checkpoint):
            run_dir.locate(checkpoint)  # Says what is missing.
        if dtype is None and weights.kind(checkpoint) == "orbax":
            return _as_stored(checkpoint, fields, log)
        return _fitted(checkpoint, fields, dtype or "float32", log)


def read_tree(
    checkpoint: str | pathlib.Path,
    tokenizer: tokenizers.Tokenizer,
    rows: int,
    *,
    trained: bool,
    log: Log = print,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Lists a checkpoint's parameters with a table that fits a tokenizer, for `models.load`.

    Args:
        checkpoint: see `weights.kind`.
        tokenizer: what the model is to be used with.
        rows: of the model's table.
        trained: whether the model is about to be trained, which gives every row a meaning.
        log: receives what is left out or missing.

    Returns:
        (nested lazy arrays, markup tokens without a trained row).

    Raises:
        FileNotFoundError: nothing there.
        ValueError: damaged, or the table belongs to another tokenizer.
    """
    opened = open_checkpoint(checkpoint, log=log)
    return _fit(opened, checkpoint, tokenizer, rows, trained, log)


def _fit(
    opened: Opened,
    checkpoint: str | pathlib.Path,
    tokenizer: tokenizers.Tokenizer,
    rows: int,
    trained: bool,
    log: Log,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    tree = flax.traverse_util.unflatten_dict(opened.flat, sep="/")
    return source_config.fit_table(tree, checkpoint, tokenizer, rows, trained=trained, log=log)


def _fitted(
    checkpoint: str | pathlib.Path, fields: Mapping[str, Any] | None, dtype: str, log: Log
) -> Loaded:
    found = source_config.read(checkpoint, log=log)  # Says what is guessed.
    fields = found if fields is None else fields
    tokenizer = _tokenizer(fields)
    # Adapters come merged.
    cfg = {k: _plain(v) for k, v in fields["model"].items() if k != "lora"}
    opened = open_checkpoint(checkpoint, log=log)
    _check_meta(opened.meta, tokenizer, fields["tokenizer"]["path"])
    rows = tokenizer.padded_vocab_size
    if opened.kind != "orbax":
        cfg["llm"].pop("vocab_size", None)  # The tokenizer's, as everywhere.
    tree, untrained = _fit(opened, checkpoint, tokenizer, rows, False, log)
    name, side = fields["model_name"], int(fields["image"]["size"])
    model = models.make(name, cfg, rows)
    target = _target(_shapes(name, json.dumps(cfg, sort_keys=True), rows, side), dtype)
    params = models.load(name, target, tree)
    return Loaded(model, params, tokenizer, fields, untrained)


def _as_stored(
    checkpoint: str | pathlib.Path, fields: Mapping[str, Any] | None, log: Log
) -> Loaded:
    place = run_dir.locate(checkpoint)
    try:
        params, meta = checkpoints.load_params(place.folder)
    except (OSError, ValueError):
        raise
    except Exception as e:  # Orbax raises many kinds for damaged folders.
        raise CheckpointError(f"{checkpoint}: not a readable checkpoint: {e}") from e
    for name, value in trees.flatten(params).items():
        tensors.check_finite(value, name, checkpoint)
    found = source_config.of_run(checkpoint, meta["config"], log)
    fields = found if fields is None else fields
    tokenizer = _tokenizer(fields)
    _check_meta(meta, tokenizer, fields["tokenizer"]["path"])
    model = models.make(fields["model_name"], fields["model"], tokenizer.padded_vocab_size)
    held = meta["config"].get("untrained") or ()
    untrained = tuple(t for t in tokenizer.markup if t in held)
    log(f"{checkpoint}: {place}")
    return Loaded(model, params, tokenizer, fields, untrained)


@contextlib.contextmanager
def _one_error(checkpoint: str | pathlib.Path) -> Iterator[None]:
    # Whatever is wrong with a checkpoint is one kind of error, and names it.
    try:
        yield
    except (OSError, ValueError) as e:
        text = str(e)
        named = str(checkpoint) in text
        if named and isinstance(e, CheckpointError):
            raise
        raise CheckpointError(text if named else f"{checkpoint}: {text}") from e
    except KeyError as e:
        raise CheckpointError(f"{checkpoint}: its config has no {e}") from e


def _tokenizer(fields: Mapping[str, Any]) -> tokenizers.Tokenizer:
    return tokenizers.load(fields["tokenizer"]["path"], tuple(fields["tokenizer"]["sets"]))


def _check_meta(meta: Mapping[str, Any], tokenizer: tokenizers.Tokenizer, path: str) -> None:
    # A run says which tokenizer and which classes it was trained with.
    if meta.get("tokenizer", tokenizer.fingerprint) != tokenizer.fingerprint:
        raise ValueError(
            f"it was not trained with the tokenizer {path}; put the tokenizer.model of its run "
            "into the run directory"
        )
    names = [c.name for c in classes.CLASSES]
    if meta.get("classes", names) != names:
        raise ValueError("its classes differ from those of this version of big_rad")


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
