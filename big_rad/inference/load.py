"""Loads a checkpoint of any format as a model that is ready to answer.

    loaded = load("runs/demo")
    answer_batch = make_answer_batch(loaded.model, loaded.tokenizer, loaded.never)

`load` returns the model and its parameters, the tokenizer, and the settings with which the model
was trained. `open_checkpoint` lists the arrays of a checkpoint without making a model. The formats
themselves are read by `big_rad.weights`.
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
from big_rad.weights import (
    arranged,
    exported,
    hf_config,
    npz,
    sidecar,
    source_config,
    table,
    tensors,
    two_towers,
)
from big_rad.workdir import checkpoint as checkpoints
from big_rad.workdir import run_dir

Log = Callable[[str], None]
CheckpointError = checkpoints.CheckpointError


@dataclasses.dataclass
class Opened:
    """The content of a checkpoint, whose arrays are read when they are needed.

    Attributes:
        kind: one of `weights.KINDS`.
        flat: the lazy arrays by their names, with adapters merged.
        model: the model's arguments that the checkpoint states; empty if it states none.
        run_meta: the data beside the arrays in a run's checkpoint or in an export: `config` and,
            unless the checkpoint predates them, `tokenizer` (a fingerprint) and `classes` (the
            names of the class table). Empty for other kinds.
        other_settings: the content of the file beside an npz, or the parts of a Hugging Face config
            that are not about the model's dimensions.
        tokenizer_folder: the folder that may hold the tokenizer; None if there is no such folder.
    """

    kind: str
    flat: dict[str, tensors.Lazy]
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    run_meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    other_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    tokenizer_folder: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model with its parameters.

    Attributes:
        model: a `paligemma.Model`, `radgrounder.Model` or `two_towers.Model`.
        params: the parameters, on the first device. The parameters of a run that was loaded as it
            is stored are numpy arrays.
        tokenizer: the tokenizer that the model was trained with.
        fields: the `source_config.FIELDS` that the model was made from.
        untrained: the markup tokens of the tokenizer without a trained row in the checkpoint.
    """

    model: nn.Module
    params: dict[str, Any]
    tokenizer: tokenizers.Tokenizer
    fields: Mapping[str, Any]
    untrained: tuple[str, ...] = ()

    @property
    def never(self) -> tuple[int, ...]:
        """The ids that must not be generated: see `never_ids`."""
        return never_ids(self.tokenizer, self.untrained)


def never_ids(tokenizer: tokenizers.Tokenizer, untrained: tuple[str, ...]) -> tuple[int, ...]:
    """Returns the ids of every markup set that has at least one untrained token.

    Args:
        tokenizer: the tokenizer.
        untrained: the markup tokens without a trained row, see `Loaded.untrained`.
    """
    return tuple(tokenizer.markup[t] for t in table.unusable(tokenizer, untrained))


def open_checkpoint(path: str | pathlib.Path, *, log: Log = print) -> Opened:
    """Opens a checkpoint of any kind, image towers included.

    Args:
        path: see `weights.kind`.
        log: receives a line about what is left out and, for a run, about the step that is read.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: the format is unknown, or the checkpoint is damaged.
    """
    kind, folder = weights.kind(path), pathlib.Path(path)
    if kind == "orbax":
        from big_rad.weights import orbax

        flat, meta = orbax.read(path, log=log)
        model = meta["config"].get("model") or {}
        return Opened(kind, flat, model, meta, tokenizer_folder=run_dir.workdir_of(folder))
    if kind == "export":
        flat, meta = exported.read(path, log=log)
        model = meta["config"].get("model") or {}
        return Opened(kind, flat, model, meta, tokenizer_folder=folder)
    if kind == "huggingface":
        from big_rad.weights import huggingface

        model, flat = huggingface.read(path, log=log)
        found = hf_config.read(folder)
        others = dict(
            image_token=found.get("image_token_index"), text=found.get(hf_config.RADGROUNDER_FIELD)
        )
        return Opened(kind, flat, model, other_settings=others, tokenizer_folder=folder)
    flat, file = weights.read(path, log=log), npz.split_subtree(path)[0]
    others = {} if file.is_dir() else sidecar.read(file)
    model = others.pop("model", {})
    if table.TEXT in flat:
        model, folder = two_towers.model_cfg(flat, path), file if file.is_dir() else file.parent
        others |= hf_config.read(folder).get(hf_config.SETTINGS, {}) if file.is_dir() else {}
        return Opened(kind, flat, model, other_settings=others, tokenizer_folder=folder)
    return Opened(kind, flat, model, other_settings=others)


def load(
    checkpoint: str | pathlib.Path,
    fields: Mapping[str, Any] | None = None,
    *,
    dtype: str | None = "float32",
    log: Log = print,
) -> Loaded:
    """Loads a run, one of its steps, an export, a Hugging Face folder or an npz.

    The embedding table of a foreign checkpoint gets the height that the tokenizer needs. Rows for
    markup tokens that the checkpoint never met are appended, and these tokens are never generated.
    Rows that stand for no token are left out. So the answers do not depend on how much padding the
    table came with.

    Args:
        checkpoint: see `weights.kind`; `run_dir.locate` chooses the step of a run.
        fields: the `source_config.FIELDS` of the model; None reads them from the checkpoint.
        dtype: the dtype of the parameters, which are read one by one, with adapters merged. None
            loads a run as it is stored: all at once, in its own dtypes, with its adapters beside
            their matrices. It loads an export in the dtypes in which the model computes, with the
            language model arranged for decoding, see `models.gemma_layout`. Other checkpoints are
            float32 then.
        log: receives lines that say which step of a run is loaded, and what was left out, guessed
            or filled in.

    Returns:
        The model with its parameters and tokenizer.

    Raises:
        CheckpointError: the checkpoint or its tokenizer is missing; the checkpoint is damaged,
            quantised or has values that are not finite; or it belongs to another model, tokenizer
            or class table.
    """
    with _one_error(checkpoint):
        if not weights.exists(checkpoint):
            run_dir.locate(checkpoint)  # Raises an error that says what is missing.
        if dtype is None and weights.kind(checkpoint) == "orbax":
            return _as_stored(checkpoint, fields, log)
        if dtype is None and weights.kind(checkpoint) == "export":
            return _arranged(checkpoint, fields, log)
        return _fitted(checkpoint, fields, dtype or "float32", log)


def read_tree(
    checkpoint: str | pathlib.Path,
    tokenizer: tokenizers.Tokenizer,
    rows: int,
    *,
    trained: bool,
    log: Log = print,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Lists a checkpoint's parameters, with an embedding table that fits a tokenizer.

    `models.load` takes the result.

    Args:
        checkpoint: see `weights.kind`.
        tokenizer: the tokenizer that the model will be used with.
        rows: the number of rows of the model's embedding table.
        trained: whether the model will be trained next, so that every row gets a meaning.
        log: receives a line about everything that is left out or missing.

    Returns:
        The parameters as nested lazy arrays, and the markup tokens without a trained row.

    Raises:
        FileNotFoundError: there is nothing at `checkpoint`.
        ValueError: the checkpoint is damaged, or its table belongs to another tokenizer.
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
    found = source_config.read(checkpoint, log=log)  # Also if `fields` is given: it says guesses.
    fields = found if fields is None else fields
    tokenizer = make_tokenizer(fields)
    # Without adapters: they are merged into the parameters that are read.
    cfg = {k: _plain(v) for k, v in fields["model"].items() if k != "lora"}
    opened = open_checkpoint(checkpoint, log=log)
    _check_meta(opened.run_meta, tokenizer, fields["tokenizer"]["path"])
    name, side = fields["model_name"], int(fields["image"]["size"])
    part = "llm" if "llm" in cfg else "txt"
    if opened.kind in weights.OWN and table.TEXT in opened.flat:
        rows = cfg[part]["vocab_size"] = opened.flat[table.TEXT].shape[0]
    else:
        rows = models.rows(name, tokenizer)
    if opened.kind not in weights.OWN:
        cfg[part].pop("vocab_size", None)  # `rows`, the tokenizer's number, counts instead.
    tree, untrained = _fit(opened, checkpoint, tokenizer, rows, False, log)
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
    except Exception as e:  # Orbax raises many kinds of errors for damaged folders.
        raise CheckpointError(f"{checkpoint}: not a readable checkpoint: {e}") from e
    for name, value in trees.flatten(params).items():
        tensors.check_finite(value, name, checkpoint)
    found = source_config.of_run(checkpoint, meta["config"], log)
    fields = found if fields is None else fields
    tokenizer = make_tokenizer(fields)
    _check_meta(meta, tokenizer, fields["tokenizer"]["path"])
    cfg, name = _plain(fields["model"]), fields["model_name"]
    text = trees.flatten(params).get(table.TEXT)
    if text is not None:  # It may have rows of padding.
        table.check_text(text.shape[0], tokenizer, checkpoint, own=True)
        cfg["txt"]["vocab_size"] = text.shape[0]
    model = models.make(name, cfg, models.rows(name, tokenizer))
    held = meta["config"].get("untrained") or ()
    untrained = tuple(t for t in tokenizer.markup if t in held)
    log(f"{checkpoint}: {place}")
    return Loaded(model, params, tokenizer, fields, untrained)


def _arranged(checkpoint: str | pathlib.Path, fields: Mapping[str, Any] | None, log: Log) -> Loaded:
    fields = source_config.of_export(checkpoint) if fields is None else fields
    tokenizer = make_tokenizer(fields)
    opened = open_checkpoint(checkpoint, log=log)
    _check_meta(opened.run_meta, tokenizer, fields["tokenizer"]["path"])
    cfg = {k: _plain(v) for k, v in fields["model"].items()}
    name, side = fields["model_name"], int(fields["image"]["size"])
    rows = models.rows(name, tokenizer)
    wanted = trees.flatten(_shapes(name, json.dumps(cfg, sort_keys=True), rows, side))
    shapes = {n: tuple(x.shape) for n, x in wanted.items()}
    problems = tensors.problems(opened.flat, shapes, "its config asks for")
    if problems:
        raise ValueError(f"{checkpoint} is not its model:\n  " + "\n  ".join(problems))
    params = arranged.read(opened.flat, cfg)
    untrained = source_config.untrained(checkpoint, rows, tokenizer)
    return Loaded(models.make(name, cfg, rows), params, tokenizer, fields, untrained)


def check_answers(checkpoint: str | pathlib.Path, fields: Mapping[str, Any]) -> None:
    """Checks that a checkpoint is of a model that answers.

    Args:
        checkpoint: the checkpoint, for the message.
        fields: its `source_config.FIELDS`.

    Raises:
        CheckpointError: it is an adapted SigLIP, which embeds images and texts and writes none.
    """
    if fields["model_name"] == "two_towers":
        raise CheckpointError(
            f"{checkpoint} is an adapted SigLIP: it embeds images and texts, and does not answer. "
            f"Search with it: python -m tools.retrieve --checkpoint={checkpoint}; or train a model "
            f"on its image tower: --config.model_init_img={checkpoint}; see docs/siglip.md"
        )


@contextlib.contextmanager
def _one_error(checkpoint: str | pathlib.Path) -> Iterator[None]:
    # Every error about a checkpoint becomes a CheckpointError whose message names the checkpoint.
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


def make_tokenizer(fields: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """Returns the tokenizer that the `source_config.FIELDS` of a checkpoint name."""
    return tokenizers.load(fields["tokenizer"]["path"], tuple(fields["tokenizer"]["sets"]))


def _check_meta(meta: Mapping[str, Any], tokenizer: tokenizers.Tokenizer, path: str) -> None:
    # The meta of a run says which tokenizer and which classes it was trained with.
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


@functools.lru_cache(maxsize=8)  # Tracing the model takes longer than reading a small one.
def _shapes(name: str, cfg: str, rows: int, side: int) -> dict[str, Any]:
    model = models.make(name, json.loads(cfg), rows)
    image, tokens = jnp.zeros((1, side, side, 3)), jnp.ones((1, 4), jnp.int32)
    return jax.eval_shape(model.init, jax.random.key(0), image, tokens, 0 * tokens)["params"]


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if hasattr(value, "items") else value
