"""Controls beside evaluators: the same questions with other images, added and chosen by name."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from big_rad.evaluators import spec as spec_lib

Evals = MutableMapping[str, Any]


def add(evals: Evals, names: Sequence[str] | None = None) -> list[str]:
    """Adds, beside each evaluator of real images, the same questions with images of controls.

    Args:
        evals: `config.evals`, unlocked.
        names: of the evaluators that get controls; None is all.

    Returns:
        The names of all controls of these evaluators, those that were there already too.
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
    """Leaves in `config.evals` what is asked for.

    Args:
        evals: `config.evals`, unlocked.
        only: names of evaluators, joined by commas; "" is all.
        controls: whether to `add` controls, of what is asked for.
        limit: the most questions of each; 0 leaves that to the entries.

    Raises:
        ValueError: a name that is not there.
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
