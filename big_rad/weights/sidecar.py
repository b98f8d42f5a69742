"""`<name>.npz.json`: what the shapes of an npz do not tell, beside it.

`tools.convert` writes it. Knows no tensors.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from big_rad import files
from big_rad.pp import strings

KEPT = ("image_token", "cc_by_nc_sa", "sets", "codec", "normalize", "text")


def path(file: pathlib.Path) -> pathlib.Path:
    """Returns the file beside an npz."""
    return file.with_name(file.name + ".json")


def read(file: pathlib.Path) -> dict[str, Any]:
    """Reads what lies beside an npz.

    Args:
        file: the npz.

    Returns:
        `model` (arguments of `radgrounder.Model`) and any of `KEPT`: the id of image tokens, the
        licence, the markup sets that it was trained with, the box codec, the normalisation of
        images, the text settings. Empty if there is no such file.

    Raises:
        ValueError: it is damaged.
    """
    beside = path(file)
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{beside} is no JSON ({e}); remove it to go by the shapes alone") from e
    if not isinstance(found, dict):
        raise ValueError(f"{beside} is no JSON object; remove it to go by the shapes alone")
    return found


def write(file: pathlib.Path, model: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    """Writes what lies beside an npz.

    Args:
        file: the npz.
        model: arguments of `radgrounder.Model`.
        extra: of which `KEPT` is kept where it says something.
    """
    kept = {k: extra[k] for k in KEPT if extra.get(k)}
    text = json.dumps(dict(model=dict(model), **kept), indent=1)
    files.write_whole(path(file), text + "\n")


def apply(fields: dict[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Puts what was read into the fields of a checkpoint.

    Args:
        fields: of `source_config.foreign`.
        found: of `read`.

    Returns:
        The fields, with sets, codec, normalisation and text settings as they were trained with.
    """
    if found.get("sets"):
        fields["tokenizer"] = dict(fields["tokenizer"], sets=list(found["sets"]))
    if found.get("codec"):
        fields["codec"] = dict(found["codec"])
    if found.get("codec") or found.get("text"):  # A codec alone predates the text settings.
        fields["text"] = strings.text_of(found)
    if found.get("normalize"):
        fields["image"] = dict(fields["image"], normalize=found["normalize"])
    return fields
