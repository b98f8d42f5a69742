"""The techniques that make training fast, as rungs of a ladder, each on top of the one before.

A rung sets options. An option is a field of the config (`model.llm.remat_policy`), an argument of
the loss (`loss.tile`), or one of these, which `training` reads:

- `buckets`: the lengths to which the texts of a batch are padded; () pads to 200 tokens.
- `donate`: whether the step may overwrite the training state.
- `texts`: the number of texts in a row.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tools.benchmarks import workload


@dataclasses.dataclass(frozen=True)
class Rung:
    """A technique.

    Attributes:
        name: the name of the technique.
        options: the options that it sets. They replace those of earlier rungs.
        exact: whether the loss stays the same number. It changes where image tokens no longer
            attend to the prompt.
    """

    name: str
    options: Mapping[str, Any]
    exact: bool = True


# The first rung is the original's way.
RUNGS = (
    Rung(
        "plain",
        {
            "model.llm.remat_policy": "full",
            "model.img.remat_policy": "full",
            "model.attention": "xla",
            "model.last_block": "all",
            "loss.tile": None,
            "buckets": (),
            "donate": False,
            "texts": 1,
        },
    ),
    Rung(
        "keep matmul outputs",
        {
            "model.llm.remat_policy": "dots_no_batch",
            "model.img.remat_policy": "none",
            "donate": True,
        },
    ),
    Rung("head at targets", {"loss.tile": 1024}),
    Rung("length buckets", {"buckets": workload.BUCKETS}),
    Rung("structured attention", {"model.attention": "structured"}),
    Rung("last block at text", {"model.last_block": "wanted"}),
    *(
        Rung(f"{n} texts an image", {"model.mask_mode": "image_isolated", "texts": n}, exact=False)
        for n in (2, 6, 16)
    ),
)


def merged(rungs: Sequence[Rung]) -> dict[str, Any]:
    """Returns the options of rungs on top of each other; a later rung replaces options."""
    options: dict[str, Any] = {}
    for rung in rungs:
        options |= rung.options
    return options


def plain() -> dict[str, Any]:
    """Returns the options with every technique off."""
    return merged(RUNGS[:1])


def best() -> dict[str, Any]:
    """Returns the options with every exact technique on."""
    return merged([r for r in RUNGS if r.exact])


def ladder() -> list[tuple[Rung, dict[str, Any]]]:
    """Returns every rung with the merged options of all rungs up to it."""
    return [(rung, merged(RUNGS[: i + 1])) for i, rung in enumerate(RUNGS)]
