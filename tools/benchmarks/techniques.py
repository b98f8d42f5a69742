"""The techniques that make training fast, as data: rungs of a ladder, each on top of the last.

An option is a field of the recipe (`model.llm.remat_policy`), an argument of the loss
(`loss.tile`), or one of `buckets`, `donate` and `texts`, which `training` reads.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tools.benchmarks import workload


@dataclasses.dataclass(frozen=True)
class Rung:
    """A technique.

    Attributes:
        name: what is switched on.
        options: what it sets; the last word on an option counts.
        exact: the loss stays the same number; False where image tokens no longer see the prompt.
    """

    name: str
    options: Mapping[str, Any]
    exact: bool = True


# The original's way first.
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
    """Returns the options of rungs that stand on each other."""
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
    """Returns every rung with all options up to it."""
    return [(rung, merged(RUNGS[: i + 1])) for i, rung in enumerate(RUNGS)]
