"""What a checkpoint has to be used with: model, tokenizer, box codec and image, as config fields.

A run says it in its own config; of a foreign checkpoint it follows from shapes, from its config
and from the tokens that it has. Reads no weights.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from big_rad import weights
from big_rad.pp import tokenizer as tokenizers
from big_rad.pp import tokenizer_json
from big_rad.weights import infer

FIELDS = ("model_name", "model", "tokenizer", "codec", "image")
_TOKENIZER = "paligemma_tokenizer.model"  # An npz has none beside it.


def read(path: str | pathlib.Path) -> dict[str, Any]:
    """Returns the `FIELDS` of a run, a Hugging Face folder of PaliGemma 2, or an original npz.

    Adapters count as merged: the model has none.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: an image tower alone, or no known format.
    """
    kind, folder = weights.kind(path), pathlib.Path(path)
    if kind == "orbax":
        from big_rad.weights import orbax

        config = orbax.read(path)[1]["config"]
        missing = [f for f in FIELDS if f not in config]
        if missing:
            raise ValueError(f"{path}: its config has no {', '.join(missing)}")
        fields = {f: config[f] for f in FIELDS}
        places = (p / "tokenizer.model" for p in (folder, *folder.parents[:2]))
        kept = next((p for p in places if p.is_file()), None)
        if kept is not None:
            fields["tokenizer"] = dict(fields["tokenizer"], path=str(kept))
        return fields
    if kind == "huggingface":
        from big_rad.weights import huggingface

        model, flat = huggingface.read(path, log=lambda _: None)
        return foreign(model, infer.image_size(flat, str(path)), folder)
    if kind == "npz":
        flat = weights.read(path, log=lambda _: None)
        if any(n.startswith("llm/") for n in flat):
            model = infer.model_cfg(flat, str(path))
            return foreign(model, infer.image_size(flat, str(path)), pathlib.Path(_TOKENIZER))
    raise ValueError(f"{path} is an image tower alone; give a whole model")


def put(config: ml_collections.ConfigDict, path: str | pathlib.Path) -> None:
    """Sets the `FIELDS` of a config to those of a checkpoint; see `read`."""
    fields = read(path)
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


def foreign(model: Mapping[str, Any], side: int, tokenizer: pathlib.Path) -> dict[str, Any]:
    """Returns the `FIELDS` of a foreign checkpoint.

    Args:
        model: arguments of `radgrounder.Model`.
        side: pixels a side of its image.
        tokenizer: file or folder; markup tokens in a folder tell a released RadGrounder.
    """
    added = tokenizer_json.read_added(tokenizer) if tokenizer.is_dir() else {}
    released = any(set(names) <= added.keys() for names in tokenizers.MARKUP_SETS.values())
    codec = dict(name="radgrounder", grid=224) if released else dict(name="paligemma", grid=None)
    return dict(
        model_name="radgrounder",
        model=dict(model),
        tokenizer=dict(path=str(tokenizer), sets=list(held_sets(tokenizer))),
        codec=codec,
        image=dict(size=side, normalize="medgemma"),
    )


def held_sets(tokenizer: pathlib.Path) -> tuple[str, ...]:
    """Returns the markup sets that a tokenizer's folder names, by id; all where it names none."""
    added = tokenizer_json.read_added(tokenizer) if tokenizer.is_dir() else {}
    held = [s for s, names in tokenizers.MARKUP_SETS.items() if set(names) <= added.keys()]
    held.sort(key=lambda s: added[tokenizers.MARKUP_SETS[s][0]])
    return tuple(held or tokenizers.MARKUP_SETS)
