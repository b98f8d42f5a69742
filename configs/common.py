"""What the recipes share: the fields of a config, and parts for data and evaluation.

A config is a plain `ml_collections.ConfigDict`. Any field can be set on the command line
(`--config.lr=1e-4`), and `None` unsets one (`--config.total_steps=None`); an unknown field is an
error. `base` returns every field with its default; big_rad/config/defaults.py says what each means.
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
    """Adds an evaluator, and one more for each control, which asks the same questions.

    Args:
        evals: `config.evals`.
        name: the name of the evaluator; controls get the names NAME_CONTROL ("report_blank").
        spec: the entry, without `control`.
        controls: the controls; "none" is the evaluator of real images itself.
    """
    for control in controls:
        suffix = "" if control == "none" else f"_{control}"
        evals[name + suffix] = dict(spec, control=control)
