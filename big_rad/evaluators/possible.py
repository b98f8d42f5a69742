"""Which evaluators can run: the data of all are opened before the first question is asked.

What is missing or wrong is then an error at the start, and not after hours. An evaluator that has
nothing to ask, or a control that these data do not allow, is left out by name. Knows no model.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from big_rad import evaluators
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import spec as spec_lib


@dataclasses.dataclass(frozen=True)
class Opened:
    """The evaluators of a config, by whether they can run.

    Attributes:
        data: name -> data of those that can, in the config's order.
        left_out: name -> why, of the others.
    """

    data: dict[str, eval_data.EvalData]
    left_out: dict[str, str]

    def by_data(self) -> Iterator[str]:
        """Yields the names, those of the same data one after the other.

        Preprocessed images are large, so those of a set are freed before the next one's turn.
        """
        groups: dict[int, list[str]] = {}
        for name, data in self.data.items():
            groups.setdefault(id(data), []).append(name)
        for names in groups.values():
            yield from names
            self.data[names[0]].forget()


def open_all(
    evals: Mapping[str, Mapping[str, Any]],
    data_dir: str,
    log: Callable[[str], None] = print,
    needed: str = "",
) -> Opened:
    """Opens the data of evaluators, and makes the first example of each.

    Args:
        evals: name -> entry of `config.evals`.
        data_dir: where the built datasets lie.
        log: receives a line for each evaluator that is left out.
        needed: name of an evaluator that must not be left out, because it chooses the best
            checkpoint; "" if there is none.

    Raises:
        FileNotFoundError: a dataset is not built.
        ValueError: a field does not fit, or `needed` cannot run. All messages name the evaluator.
    """
    opened, left_out, empty = {}, {}, {}
    for name, spec in evals.items():
        evaluators.check(name, spec)
        key = spec_lib.data_key(spec, data_dir)
        try:
            if key not in empty:  # A control asks for the same data, which are read only once.
                opened[name] = _open(name, spec, data_dir)
        except eval_data.NoData as e:
            empty[key] = str(e)
        why = empty.get(key) or _impossible(spec, opened[name])
        if not why:
            continue
        opened.pop(name, None)
        if name == needed:
            raise ValueError(
                f"config.evals.{name} chooses the best checkpoint (config.ckpt_best) and cannot be "
                f"evaluated: {why}. Name a score of another evaluator there, or set it to ''"
            )
        left_out[name] = why
        log(f"{name}: left out, {why}")
    return Opened(opened, left_out)


def _impossible(spec: Mapping[str, Any], data: eval_data.EvalData) -> str:
    # Why a control cannot be asked of these data; "" if it can.
    if spec.get("control") == "shuffled" and len(set(data.patients())) < 2:
        return (
            "control shuffled: all images are of one patient, so there is no other's image to show"
        )
    return ""


def _open(name: str, spec: Mapping[str, Any], data_dir: str) -> eval_data.EvalData:
    try:
        data = eval_data.load(spec, data_dir)
        data[0]  # Preprocessing that leaves a field out shows here.
    except eval_data.NoData:
        raise
    except FileNotFoundError as e:
        raise FileNotFoundError(f"config.evals.{name}: {e}") from e
    except ValueError as e:
        raise ValueError(f"config.evals.{name}: {e}") from e
    return data
