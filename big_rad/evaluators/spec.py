"""An entry of `config.evals`: which data it names, and with which images."""

import json
from collections.abc import Mapping
from typing import Any

CONTROLS = ("none", "blank", "shuffled", "mirrored")
DATA_FIELDS = ("builder", "split", "builder_args", "only", "asked", "expand", "pp", "limit")


def data_key(spec: Mapping[str, Any], data_dir: str = "") -> str:
    """Returns a text that is equal exactly for specs over the same preprocessed data."""
    part = {k: spec.get(k) for k in DATA_FIELDS}
    return json.dumps([str(data_dir), part], sort_keys=True, default=dict)
