"""Converting SigLIPs: whole ones among all formats, and image towers alone to timm."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from big_rad import trees
from big_rad.models import common
from big_rad.pp import siglip_tokenizer, strings
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import infer, siglip_export, source_config, table, two_towers

Log = Callable[[str], None]
Flat = Mapping[str, common.ArrayInfo]
TARGETS = ("open_clip", "timm")  # Files that only SigLIPs become.
_ONLY_TOWER = ("img/head/", "img/MAPHead_0/")  # They follow the tower, and timm's has no place.


def is_whole(flat: Flat) -> bool:
    """Returns whether parameters are those of a whole SigLIP."""
    return table.TEXT in flat


def target_of(file: pathlib.Path) -> str | None:
    """Returns the format that the suffix of a new file names, or None if it names none."""
    return "open_clip" if file.suffix in siglip_export.SUFFIXES else None


def image_tower(flat: Mapping[str, Any], where: str, log: Log) -> dict[str, Any]:
    """Returns the parameters of an image tower alone, and logs what is left out.

    Args:
        flat: The arrays of any checkpoint by name.
        where: The name of the checkpoint.
        log: Receives a line for each subtree that is left out.
    """
    tower = {
        n: x for n, x in flat.items() if n.startswith("img/") and not n.startswith(_ONLY_TOWER)
    }
    others = (n.split("/") for n in flat if n not in tower)
    for name in sorted({"/".join(n[: 2 if n[0] == "img" else 1]) for n in others}):
        log(f"left out: {name} of {where}: timm's file is the image tower without its pool")
    return tower


def without_padding(
    flat: Mapping[str, Any],
    tokenizer: tokenizers.Tokenizer | siglip_tokenizer.SiglipTokenizer | None,
    own: bool,
    where: str,
    log: Log,
) -> dict[str, Any]:
    """Returns the parameters, with a table that has exactly the rows of the tokenizer.

    Args:
        flat: The arrays by name.
        tokenizer: The tokenizer; None leaves the table as it is.
        own: Whether the checkpoint is a run, whose table may have rows of padding.
        where: The name of the checkpoint.
        log: Receives a line if rows are removed.

    Raises:
        ValueError: The table belongs to another tokenizer.
    """
    if tokenizer is None:
        return dict(flat)
    table.check_text(flat[table.TEXT].shape[0], tokenizer, where, own)
    return trees.flatten(table.cut(trees.unflatten(flat), tokenizer.text_size, where, log))


def account(flat: Flat, to: str, where: str) -> None:
    """Compares names and shapes with those of the model.

    Args:
        flat: The arrays by name.
        to: The new format.
        where: The name of the checkpoint.

    Raises:
        ValueError: A tensor is missing, unexpected or of another shape, or the format has no place
            for it.
    """
    two_towers.check_ours(flat, where, foreign=to in ("huggingface", "open_clip"))


def settings(said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that formats of others have no place for: of images and of texts.

    Args:
        said: The config of a run, or the settings in the file beside another checkpoint.
    """
    normalize = said.get("normalize") or (said.get("image") or {}).get("normalize")
    found = dict(normalize=normalize) if normalize else {}
    return found | (dict(text=strings.text_of(said)) if said.get("text") else {})


def run_config(
    flat: Flat, tokenizer: pathlib.Path, said: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Returns the config of a new run.

    Args:
        flat: The arrays by name.
        tokenizer: The file or folder of the tokenizer.
        said: The settings in the file beside the checkpoint.
        where: The name of the checkpoint.
    """
    model, side = two_towers.model_cfg(flat, where), infer.image_size(flat, where)
    return source_config.of_towers(model, side, tokenizer, settings(said))
