"""What the recipes share: the fields of a config, and parts for data and evaluation.

A config is a plain `ml_collections.ConfigDict`; any field can be set on the command line
(`--config.lr=1e-4`, `--config.total_steps=None` unsets it), and an unknown one is an error. `base`
returns every field with its default; big_rad/config/defaults.py says what each means.
"""

from typing import Any

import ml_collections

from big_rad.config.defaults import CODEC, base
from big_rad.pp.strings import eval_pp, ground, train_pp
from big_rad.recipe_parts import built_folder, xent_eval

__all__ = [
    "CODEC",
    "CONTROLS",
    "add_eval",
    "base",
    "built_folder",
    "eval_pp",
    "ground",
    "train_pp",
    "xent_eval",
]
CONTROLS = ("none", "blank", "shuffled")


def add_eval(
    evals: ml_collections.ConfigDict,
    name: str,
    spec: dict[str, Any],
    controls: tuple[str, ...] = CONTROLS,
) -> None:
    """Adds an evaluator, and beside it the same questions with blank and shuffled images."""
    for control in controls:
        suffix = "" if control == "none" else f"_{control}"
        evals[name + suffix] = dict(spec, control=control)
