"""What a checkpoint has to be used with: model, tokenizer, codec, image and text, as config fields.

A run says it in its own config; of a foreign checkpoint it follows from shapes, from its config
and from the tokens that it has. Reads no weights.
"""

import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import ml_collections

from big_rad import weights
from big_rad.config import defaults
from big_rad.pp import strings, tokenizer_json
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import hf_config, infer, npz, sidecar, table
from big_rad.workdir import run_dir

FIELDS = defaults.OF_CHECKPOINT
_TOKENIZER = "paligemma_tokenizer.model"  # Of an npz with none beside it.


def read(
    path: str | pathlib.Path, *, log: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Returns the `FIELDS` of a run, a Hugging Face folder of PaliGemma 2, or an original npz.

    Adapters count as merged: the model has none. The tokenizer of an npz lies beside it, or else
    in the working directory; what its shapes do not tell is read from `<name>.npz.json`.

    Args:
        path: the checkpoint.
        log: receives what is guessed.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: an image tower alone, or no known format.
    """
    kind, folder = weights.kind(path), pathlib.Path(path)
    if kind == "orbax":
        from big_rad.weights import orbax

        return of_run(path, orbax.read(path)[1]["config"], log)
    if kind == "huggingface":
        from big_rad.weights import huggingface

        model, flat = huggingface.read(path, log=lambda _: None)
        side, text = infer.image_size(flat, str(path)), hf_config.read(folder).get(hf_config.TEXT)
        return foreign(model, side, folder, text)
    if kind == "npz":
        flat = weights.read(path, log=lambda _: None)
        if any(n.startswith("llm/") for n in flat):
            return _of_npz(path, flat, log)
    raise ValueError(f"{path} is an image tower alone; give a whole model")


def of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `FIELDS` of a whole config, which may predate the text settings."""
    return {f: config[f] for f in FIELDS[:-1]} | dict(text=strings.text_of(config))


def of_run(
    path: str | pathlib.Path,
    config: Mapping[str, Any],
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Returns the `FIELDS` of a run; the tokenizer is that of its directory, if one is there.

    Args:
        path: as `run_dir.locate` takes it.
        config: that of the checkpoint.
        log: receives what is guessed.

    Raises:
        ValueError: the config lacks a field.
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


def _tokenizer_of(file: pathlib.Path) -> pathlib.Path:
    places = (file.parent / name for name in tokenizers.IN_FOLDER)
    return next((p for p in places if p.is_file()), pathlib.Path(_TOKENIZER))


def untrained(
    path: str | pathlib.Path, rows: int, tokenizer: tokenizers.Tokenizer
) -> tuple[str, ...]:
    """Returns the markup tokens that a checkpoint has no trained row for.

    Args:
        path: the checkpoint.
        rows: of its embedding table.
        tokenizer: what it is to be used with.
    """
    kind = weights.kind(path)
    if kind == "orbax":  # Made by tools.convert; a training trains them all.
        from big_rad.weights import orbax

        held = set(orbax.read(path)[1]["config"].get("untrained") or ())
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
    """Brings the table of a foreign checkpoint to a height, and says what that means for tokens.

    Args:
        tree: nested parameters of the checkpoint, lazy ones included.
        path: the checkpoint.
        tokenizer: what it is to be used with.
        rows: of the model's table; spare ones of the checkpoint are left out, and missing ones are
            for `models.load` to append.
        trained: whether the model is about to be trained.
        log: receives a line for each change.

    Returns:
        (the tree, the markup tokens without a trained row).

    Raises:
        ValueError: the table belongs to another tokenizer.
    """
    found = tree.get("llm", {}).get("embedder", {}).get("input_embedding")
    if found is None:  # An image tower alone: fitting says what is missing.
        return dict(tree), ()
    missing = untrained(path, found.shape[0], tokenizer)
    if weights.kind(path) != "orbax":
        table.check(found.shape[0], tokenizer, path)
        tree = table.cut(tree, rows, path, log)
    table.say(missing, path, log, trained)
    return dict(tree), missing


def points(path: str | pathlib.Path, fields: Mapping[str, Any]) -> bool:
    """Returns whether a checkpoint was trained to point: with masks if it makes some, else boxes.

    Args:
        path: the checkpoint.
        fields: its `FIELDS`.
    """
    spec = fields["tokenizer"]
    tokenizer = tokenizers.load(spec["path"], tuple(spec["sets"]))
    rows = fields["model"]["llm"].get("vocab_size") or tokenizer.padded_vocab_size
    missing = untrained(path, rows, tokenizer)
    return tokenizer_points(tokenizer, bool(fields["model"].get("mask_decoder")), missing)


def tokenizer_points(
    tokenizer: tokenizers.Tokenizer, masks: bool, missing: Collection[str]
) -> bool:
    """Returns whether all tokens are there and trained that a model needs to point.

    Args:
        tokenizer: the model's.
        masks: whether it makes masks; boxes otherwise.
        missing: of `untrained`.
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
    """Returns `config.evals` of a run; none of another checkpoint."""
    if weights.kind(path) != "orbax":
        return {}
    from big_rad.weights import orbax

    return dict(orbax.read(path)[1]["config"].get("evals") or {})


def foreign(
    model: Mapping[str, Any],
    side: int,
    tokenizer: pathlib.Path,
    text: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the `FIELDS` of a foreign checkpoint.

    Args:
        model: arguments of `radgrounder.Model`.
        side: pixels a side of its image.
        tokenizer: file or folder; markup tokens in a folder tell a released RadGrounder.
        text: `text` of the config, where the checkpoint holds it; None takes that of the released
            model for a released RadGrounder.
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
    """Returns the markup sets that a tokenizer's folder names, by id; all where it names none."""
    return named_sets(tokenizer) or tuple(tokenizers.MARKUP_SETS)


def named_sets(tokenizer: pathlib.Path) -> tuple[str, ...]:
    """Returns the markup sets that a tokenizer's folder names, by id; a file names none."""
    added = tokenizer_json.read_added(tokenizer) if tokenizer.is_dir() else {}
    held = [s for s, names in tokenizers.MARKUP_SETS.items() if set(names) <= added.keys()]
    return tuple(sorted(held, key=lambda s: added[tokenizers.MARKUP_SETS[s][0]]))
