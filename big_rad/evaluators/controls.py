"""Adds controls to a config, and chooses which of its evaluators run.

A control is an evaluator that asks the same questions with other images (blank, another patient's
or mirrored), to show how much of a score comes from the image.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

from big_rad.evaluators import spec as spec_lib

Evals = MutableMapping[str, Any]


def add(evals: Evals, names: Sequence[str] | None = None) -> list[str]:
    """Adds the controls of each evaluator of real images, as NAME_CONTROL ("vqa_blank").

    Args:
        evals: `config.evals`, unlocked.
        names: the names of the evaluators that get controls; None is all of them.

    Returns:
        The names of all controls of these evaluators, including those that were already there.
    """
    found = []
    for name, spec in list(evals.items()):
        if spec_lib.control_of(spec) != "none" or (names is not None and name not in names):
            continue
        for control in spec_lib.class_of(spec.type).controls:
            found.append(f"{name}_{control}")
            if found[-1] not in evals:
                evals[found[-1]] = dict(spec.to_dict(), control=control)
    return found


def choose(evals: Evals, only: str = "", controls: bool = False, limit: int = 0) -> None:
    """Removes from `config.evals` the evaluators that are not asked for.

    Args:
        evals: `config.evals`, unlocked.
        only: the names of the evaluators to keep, joined by commas; "" keeps all.
        controls: whether to `add` the controls of the evaluators that are kept.
        limit: the maximum number of questions of each evaluator; 0 keeps the limit of each entry.

    Raises:
        ValueError: there is no evaluator of a name in `only`.
    """
    names = only.split(",") if only else list(evals)
    known = [*evals, *(add(evals) if controls else ())]
    unknown = [n for n in names if n not in known]
    if unknown:
        raise ValueError(
            f"--only: no evaluator {', '.join(unknown)}; there are "
            f"{', '.join(dict.fromkeys(known))}"
        )
    if controls:
        names += [n for n in add(evals, names) if n not in names]
    for name in [n for n in evals if n not in names]:
        del evals[name]
    for entry in evals.values() if limit else ():
        entry.limit = limit
