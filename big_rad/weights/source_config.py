"""The settings that a checkpoint has to be used with: model, tokenizer, codec, image and text.

`read` returns them as fields of a config. A run has them in its own config. For a foreign
checkpoint they follow from its shapes, its config and its tokens. The values of the weights are not
read.
"""

import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import ml_collections

from big_rad import weights
from big_rad.config import defaults
from big_rad.pp import strings, tokenizer_json
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import exported, hf_config, infer, npz, sidecar, table, two_towers
from big_rad.workdir import run_dir

FIELDS = defaults.OF_CHECKPOINT
_TOKENIZER = "paligemma_tokenizer.model"  # For an npz without a tokenizer beside it.


def read(
    path: str | pathlib.Path, *, log: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Returns the `FIELDS` of a run, an export, a PaliGemma 2, or a whole SigLIP.

    The adapters of a run are merged, so the model config has none. The tokenizer of an npz is
    beside it, or else in the working directory; that of a SigLIP is in its folder. The settings
    that the shapes of a file do not show are read from `<name>.json` beside it.

    Args:
        path: The checkpoint.
        log: A function that receives a line for each setting that is guessed.

    Raises:
        FileNotFoundError: The path does not exist.
        ValueError: The checkpoint is an image tower alone, or its format is unknown.
    """
    kind, folder = weights.kind(path), pathlib.Path(path)
    if kind == "orbax":
        from big_rad.weights import orbax

        return of_run(path, orbax.read(path)[1]["config"], log)
    if kind == "export":
        return of_export(path)
    if kind == "huggingface":
        from big_rad.weights import huggingface

        model, flat = huggingface.read(path, log=lambda _: None)
        side = infer.image_size(flat, str(path))
        text = hf_config.read(folder).get(hf_config.RADGROUNDER_FIELD)
        return foreign(model, side, folder, text)
    flat = weights.read(path, log=lambda _: None)
    if kind == "npz" and any(n.startswith("llm/") for n in flat):
        return _of_npz(path, flat, log)
    if table.TEXT in flat:
        return _of_towers(path, flat, log)
    raise ValueError(f"{path} is an image tower alone; give a whole model")


def of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `FIELDS` of a whole config, which may predate the text settings."""
    return {f: config[f] for f in FIELDS[:-1]} | dict(text=strings.text_of(config))


def of_run(
    path: str | pathlib.Path,
    config: Mapping[str, Any],
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Returns the `FIELDS` of a run, with the tokenizer in its run directory if there is one.

    Args:
        path: A path that `run_dir.locate` accepts.
        config: The config in the checkpoint.
        log: A function that receives a line for each setting that is guessed.

    Raises:
        ValueError: The config lacks a field.
    """
    missing = [f for f in FIELDS if f not in config and f != "text"]
    if missing:
        raise ValueError(
            f"{path}: its config has no {', '.join(missing)}; it needs {', '.join(FIELDS[:-1])} "
            "(was it written by big_rad.train?)"
        )
    fields = of_config(config)
    kept = run_dir.workdir_of(path) / "tokenizer.model"
    if kept.is_file():
        fields["tokenizer"] = dict(fields["tokenizer"], path=str(kept))
    if "text" not in config and fields["text"]["clean"]:
        log(
            f"{path}: its config predates the field `text`; reports are cleaned, as those that "
            "the model was trained on"
        )
    return fields


def of_export(path: str | pathlib.Path) -> dict[str, Any]:
    """Returns the `FIELDS` of an export, with the tokenizer in its folder."""
    fields = of_config(exported.read_config(path)["meta"]["config"])
    kept = pathlib.Path(path) / exported.TOKENIZER
    return fields | dict(tokenizer=dict(fields["tokenizer"], path=str(kept)))


def _of_npz(
    path: str | pathlib.Path, flat: Mapping[str, Any], log: Callable[[str], None]
) -> dict[str, Any]:
    file, where = npz.split_subtree(path)[0], str(path)
    beside, tokenizer = sidecar.read(file), _tokenizer_of(file)
    model = infer.model_cfg(flat, where)
    if beside.get("model"):
        model = infer.explicit(beside["model"], model["llm"]["vocab_size"])
    elif any(n.startswith("mask_decoder/") for n in flat):
        raise ValueError(
            f"{where} holds a mask decoder, whose heads its shapes do not tell; put the "
            f"{file.name}.json of its conversion beside it"
        )
    fields = sidecar.apply(foreign(model, infer.image_size(flat, where), tokenizer), beside)
    if not beside:
        log(
            f"{where}: without {file.name}.json beside it, soft caps and query scale are those of "
            f"PaliGemma 2, boxes are read in the codec {fields['codec']['name']!r}, and the "
            f"tokenizer is {tokenizer}"
        )
    return fields


def of_towers(
    model: Mapping[str, Any],
    side: int,
    tokenizer: str | pathlib.Path,
    beside: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the `FIELDS` of a whole SigLIP that another program wrote.

    Args:
        model: The arguments of `two_towers.Model`.
        side: The side of the images in pixels.
        tokenizer: The tokenizer, a file or a folder.
        beside: The settings in the file beside the checkpoint, see `sidecar.read`.
    """
    fields = dict(
        model_name="two_towers",
        model=dict(model),
        tokenizer=dict(path=str(tokenizer), sets=[]),
        codec=dict(name="radgrounder", grid=None),  # No text of this model holds a box.
        image=dict(size=side, normalize="medgemma"),
        text=strings.text_of(dict(text=strings.TEXT)),
    )
    return sidecar.apply(fields, beside or {})


def _of_towers(
    path: str | pathlib.Path, flat: Mapping[str, Any], log: Callable[[str], None]
) -> dict[str, Any]:
    file = npz.split_subtree(path)[0]
    if file.is_dir():
        beside = hf_config.read(file).get(hf_config.SETTINGS, {})
    else:
        beside = sidecar.read(file)
    model, side = two_towers.model_cfg(flat, path), infer.image_size(flat, str(path))
    folder = file if file.is_dir() else file.parent
    if not beside:
        log(
            f"{path}: no file says how its images and texts were made; images are normalised as "
            "those of RadGrounder, with the windows of CT"
        )
    return of_towers(model, side, folder, beside)


def _tokenizer_of(file: pathlib.Path) -> pathlib.Path:
    places = (file.parent / name for name in tokenizers.IN_FOLDER)
    return next((p for p in places if p.is_file()), pathlib.Path(_TOKENIZER))


def untrained(
    path: str | pathlib.Path, rows: int, tokenizer: tokenizers.Tokenizer
) -> tuple[str, ...]:
    """Returns the markup tokens for which a checkpoint has no trained embedding.

    Args:
        path: The checkpoint.
        rows: The number of rows of its embedding table.
        tokenizer: The tokenizer that it is to be used with.
    """
    kind = weights.kind(path)
    if kind in weights.OWN:  # Only tools.convert leaves tokens untrained; training trains all.
        held = set(_own_config(path, kind).get("untrained") or ())
        return tuple(t for t in tokenizer.markup if t in held)
    if kind == "huggingface":
        return table.untrained(rows, tokenizer, tokenizer_json.read_added(pathlib.Path(path)))
    sets = sidecar.read(npz.split_subtree(path)[0]).get("sets")
    named = None if sets is None else {t for s in sets for t in tokenizers.MARKUP_SETS[s]}
    return table.untrained(rows, tokenizer, named)


def fit_table(
    tree: Mapping[str, Any],
    path: str | pathlib.Path,
    tokenizer: tokenizers.Tokenizer,
    rows: int,
    *,
    trained: bool,
    log: Callable[[str], None],
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Fits the embedding table of a checkpoint to a tokenizer, and reports untrained tokens.

    Spare rows of a foreign checkpoint are removed. Missing rows are not added here, but by
    `models.load`. The table of a run stays as it is, except that of a text tower, which loses rows
    of padding that the model does not have.

    Args:
        tree: The nested parameters of the checkpoint, which may be lazy.
        path: The checkpoint.
        tokenizer: The tokenizer that it is to be used with.
        rows: The number of rows of the model's table.
        trained: Whether the model is about to be trained, for the messages.
        log: A function that receives a line for each change, and one for untrained tokens.

    Returns:
        The tree, and the markup tokens that have no trained embedding.

    Raises:
        ValueError: The table belongs to another tokenizer.
    """
    text = tree.get("txt", {}).get("Embed_0", {}).get("embedding")
    if text is not None:
        table.check_text(text.shape[0], tokenizer, path, weights.kind(path) in weights.OWN)
        return table.cut(tree, rows, path, log), ()
    found = tree.get("llm", {}).get("embedder", {}).get("input_embedding")
    if found is None:  # An image tower alone; `models.load` reports what is missing.
        return dict(tree), ()
    missing = untrained(path, found.shape[0], tokenizer)
    if weights.kind(path) not in weights.OWN:
        table.check(found.shape[0], tokenizer, path)
        tree = table.cut(tree, rows, path, log)
    table.say(missing, path, log, trained)
    return dict(tree), missing


def points(path: str | pathlib.Path, fields: Mapping[str, Any]) -> bool:
    """Returns whether a checkpoint was trained to point at regions.

    A model with a mask decoder points with masks, and any other with boxes.

    Args:
        path: The checkpoint.
        fields: Its `FIELDS`.
    """
    if "llm" not in fields["model"]:
        return False  # The two towers write nothing.
    spec = fields["tokenizer"]
    tokenizer = tokenizers.load(spec["path"], tuple(spec["sets"]))
    rows = fields["model"]["llm"].get("vocab_size") or tokenizer.padded_vocab_size
    missing = untrained(path, rows, tokenizer)
    return tokenizer_points(tokenizer, bool(fields["model"].get("mask_decoder")), missing)


def tokenizer_points(
    tokenizer: tokenizers.Tokenizer, masks: bool, missing: Collection[str]
) -> bool:
    """Returns whether a model has a trained embedding for each token that it needs to point.

    Args:
        tokenizer: The model's tokenizer.
        masks: Whether the model points with masks; if not, it points with boxes.
        missing: The markup tokens without a trained embedding, from `untrained`.
    """
    needed = tokenizers.MARKUP_SETS["segmentation" if masks else "detection"]
    return set(needed) <= tokenizer.markup.keys() - set(missing)


def put(
    config: ml_collections.ConfigDict,
    path: str | pathlib.Path,
    log: Callable[[str], None] = lambda _: None,
) -> None:
    """Sets the `FIELDS` of a config to those of a checkpoint; see `read`."""
    fields = read(path, log=log)
    for name in FIELDS:
        value = fields[name]
        config[name] = value if isinstance(value, str) else ml_collections.ConfigDict(value)
    config.tokenizer.sets = tuple(config.tokenizer.sets)


def evals(path: str | pathlib.Path) -> dict[str, Any]:
    """Returns `config.evals` of a run or an export; an empty dict for any other checkpoint."""
    kind = weights.kind(path)
    return dict(_own_config(path, kind).get("evals") or {}) if kind in weights.OWN else {}


def _own_config(path: str | pathlib.Path, kind: str) -> Mapping[str, Any]:
    if kind == "export":
        return exported.read_config(path)["meta"]["config"]
    from big_rad.weights import orbax

    return orbax.read(path)[1]["config"]


def foreign(
    model: Mapping[str, Any],
    side: int,
    tokenizer: pathlib.Path,
    text: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the `FIELDS` of a foreign checkpoint.

    Args:
        model: The arguments of `radgrounder.Model`.
        side: The side of the images in pixels.
        tokenizer: The tokenizer, a file or a folder. A folder that names markup tokens shows that
            the checkpoint is a released RadGrounder.
        text: The text settings in the checkpoint, or None if it has none, as a Hugging Face folder
            without `hf_config.RADGROUNDER_FIELD`. They are then those of the released model for a
            released RadGrounder, and the defaults for any other.
    """
    released = bool(named_sets(tokenizer))
    codec = dict(name="paligemma", grid=None)
    if released:
        codec = dict(name="radgrounder", grid=strings.RELEASED_GRID)
    return dict(
        model_name="radgrounder",
        model=dict(model),
        tokenizer=dict(path=str(tokenizer), sets=list(held_sets(tokenizer))),
        codec=codec,
        image=dict(size=side, normalize="medgemma"),
        text=strings.text_of(dict(codec=codec, text=text)),
    )


def held_sets(tokenizer: pathlib.Path) -> tuple[str, ...]:
    """Returns the markup sets in a tokenizer's folder, in the order of ids; all sets if none."""
    return named_sets(tokenizer) or tuple(tokenizers.MARKUP_SETS)


def named_sets(tokenizer: pathlib.Path) -> tuple[str, ...]:
    """Returns the markup sets whose tokens a tokenizer's folder names, in the order of ids.

    The result is empty for a tokenizer file, which names no markup tokens.
    """
    added = tokenizer_json.read_added(tokenizer) if tokenizer.is_dir() else {}
    held = [s for s, names in tokenizers.MARKUP_SETS.items() if set(names) <= added.keys()]
    return tuple(sorted(held, key=lambda s: added[tokenizers.MARKUP_SETS[s][0]]))
