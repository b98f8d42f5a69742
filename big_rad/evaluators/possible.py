"""Opens the data of all evaluators before the first question, to find out which of them can run.

A missing dataset or a wrong field is then an error at the start and not after hours. An evaluator
without any question, or a control that the data do not allow, is left out, and a line says so.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from big_rad import evaluators
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import spec as spec_lib


@dataclasses.dataclass(frozen=True)
class Opened:
    """The evaluators of a config, divided into those that can run and those that cannot.

    Attributes:
        data: name -> the data of each evaluator that can run, in the order of the config.
        left_out: name -> the reason, for each evaluator that cannot run.
    """

    data: dict[str, eval_data.EvalData]
    left_out: dict[str, str]

    def by_data(self) -> Iterator[str]:
        """Yields the names so that evaluators with the same data follow one another.

        Preprocessed images are large, so the examples of one set of data are freed before the name
        of the first evaluator of the next set is yielded.
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
        data_dir: the folder of the built datasets.
        log: receives a line for each evaluator that is left out.
        needed: the name of an evaluator that must not be left out, because it chooses the best
            checkpoint; "" if any may be left out.

    Raises:
        FileNotFoundError: a dataset is not built.
        ValueError: a field does not fit, or `needed` cannot run. All messages name the evaluator.
    """
    opened, left_out, empty = {}, {}, {}
    for name, spec in evals.items():
        evaluators.check(name, spec)
        key = spec_lib.data_key(spec, data_dir)
        try:
            if key not in empty:  # If an evaluator has no questions, neither have its controls.
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
    # The reason why a control cannot run on these data; "" if it can.
    if spec.get("control") == "shuffled" and len(set(data.patients())) < 2:
        return (
            "control shuffled: all images are of one patient, so there is no other's image to show"
        )
    return ""


def _open(name: str, spec: Mapping[str, Any], data_dir: str) -> eval_data.EvalData:
    try:
        data = eval_data.load(spec, data_dir)
        data[0]  # Making one example shows whether preprocessing leaves out a field.
    except eval_data.NoData:
        raise
    except FileNotFoundError as e:
        raise FileNotFoundError(f"config.evals.{name}: {e}") from e
    except ValueError as e:
        raise ValueError(f"config.evals.{name}: {e}") from e
    return data
