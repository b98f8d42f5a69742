"""The file `<name>.npz.json` beside an npz, with the settings that its shapes do not show.

`tools.convert` writes it.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from big_rad import files
from big_rad.pp import strings

KEPT = ("image_token", "cc_by_nc_sa", "sets", "codec", "normalize", "text")


def path(file: pathlib.Path) -> pathlib.Path:
    """Returns the path of the file beside an npz."""
    return file.with_name(file.name + ".json")


def read(file: pathlib.Path) -> dict[str, Any]:
    """Reads the settings beside an npz.

    Args:
        file: The npz.

    Returns:
        A dict of `model`, the arguments of `radgrounder.Model`, and any fields of `KEPT`: the id of
        image tokens, the licence, the markup sets of the training, the box codec, the normalisation
        of images, and the text settings. It is empty if there is no such file.

    Raises:
        ValueError: The file is damaged.
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
    """Writes the settings beside an npz.

    Args:
        file: The npz.
        model: The arguments of `radgrounder.Model`.
        extra: Further settings. Those in `KEPT` that are not empty are written.
    """
    kept = {k: extra[k] for k in KEPT if extra.get(k)}
    text = json.dumps(dict(model=dict(model), **kept), indent=1)
    files.write_whole(path(file), text + "\n")


def apply(fields: dict[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the settings beside an npz into the config fields of the checkpoint.

    Args:
        fields: The result of `source_config.foreign`, which is changed in place.
        found: The result of `read`.

    Returns:
        The fields, with the markup sets, codec, normalisation and text settings of the training.
    """
    if found.get("sets"):
        fields["tokenizer"] = dict(fields["tokenizer"], sets=list(found["sets"]))
    if found.get("codec"):
        fields["codec"] = dict(found["codec"])
    if found.get("codec") or found.get("text"):  # Files with only a codec predate text settings.
        fields["text"] = strings.text_of(found)
    if found.get("normalize"):
        fields["image"] = dict(fields["image"], normalize=found["normalize"])
    return fields
