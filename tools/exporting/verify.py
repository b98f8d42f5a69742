"""Verifies an export: its files, its preprocessing, its answers, and those of its programs."""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from big_rad.inference import load
from big_rad.weights import exported
from tools.exporting import goldens, programs

Log = Callable[[str], None]
STATUSES = ("ok", "failed", "not tried")


@dataclasses.dataclass(frozen=True)
class Check:
    """One check of an export.

    Attributes:
        name: what was checked: "files", "preprocessing", "answers" or "HLO".
        status: one of `STATUSES`.
        text: what was found, in words.
    """

    name: str
    status: str
    text: str

    def __str__(self):
        mark = "" if self.status == "ok" else f" {self.status}"
        return f"{self.name}{mark}: {self.text}"


def verify(
    folder: str | pathlib.Path,
    *,
    within: float | None = None,
    wanted: Mapping[str, np.ndarray] | None = None,
    log: Log = print,
) -> list[Check]:
    """Verifies an export in this environment.

    Args:
        folder: the export.
        within: by how much the log probability of a token may differ; None takes the tolerance for
            another environment, see `goldens.tolerance`.
        wanted: the answers that it must give; None takes those of its goldens.
        log: receives each check as soon as it is done.

    Returns:
        The checks. If a file was changed, nothing else is tried.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: it is not an export.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; give a folder that tools.export wrote")
    checks: list[Check] = []

    def done(name: str, status: str, text: str) -> None:
        checks.append(Check(name, status, text))
        log(str(checks[-1]))

    problems = exported.damaged(folder)
    if problems:
        for problem in problems:
            done("files", "failed", problem)
        return checks
    if not exported.is_export(folder):
        raise ValueError(f"{folder} is not an export; give a folder that tools.export wrote")
    number = sum(1 for p in folder.rglob("*") if p.is_file()) - 1
    done("files", "ok", f"{number} files are as {exported.SUMS} says")
    found = load.load(folder, dtype=None, log=lambda _: None)
    images, asks, arrays = goldens.read(folder)
    batch = goldens.prepared(found, images, asks)
    check_pixels(batch, arrays, done)
    stored = {n.removeprefix("answer_"): x for n, x in arrays.items() if n.startswith("answer_")}
    stored = dict(wanted or stored)
    within = goldens.tolerance(found) if within is None else within
    _report("answers", stored, goldens.answers(found, batch), within, done)
    _check_programs(folder, found, batch, stored, within, done)
    return checks


def check_pixels(
    batch: goldens.Batch, arrays: Mapping[str, np.ndarray], done: Callable[[str, str, str], None]
) -> None:
    """Compares what the model sees of the goldens with what it saw where they were written.

    Args:
        batch: what it sees here.
        arrays: the arrays of the goldens, see `goldens.read`.
        done: receives the name, the status and the text of the check.
    """
    pixels = goldens.thinned(batch.image, goldens.SAMPLED, (1, 2))
    same = batch.text.shape == arrays["text"].shape and (batch.text == arrays["text"]).all()
    if not same:
        done("preprocessing", "failed", "the tokens of a prompt are others")
        return
    off = float(np.abs(pixels - arrays["pixels"]).max())
    status = "ok" if off <= goldens.PIXELS else "failed"
    done("preprocessing", status, f"{len(pixels)} questions, pixels within {off:.2g}")


def _check_programs(
    folder: pathlib.Path,
    found: load.Loaded,
    batch: goldens.Batch,
    stored: Mapping[str, np.ndarray],
    within: float,
    done: Callable[[str, str, str], None],
) -> None:
    said = exported.read_config(folder).get("hlo")
    if said is None:
        return
    if older(jax.__version__, said["jax"]):
        done(
            "HLO",
            "not tried",
            f"JAX {said['jax']} wrote it and this is {jax.__version__}, which is older; all the "
            "rest was checked",
        )
        return
    new = stored["tokens"].shape[1]
    try:
        made = programs.load(folder / programs.FOLDER)
        got = programs.answer(made, found.params, batch.image, batch.text, new)
    except Exception as e:  # JAX raises errors of many kinds for programs that it cannot read.
        why = " ".join(str(e).split())[:200]
        done("HLO", "failed", f"JAX {jax.__version__} cannot run it ({type(e).__name__}: {why})")
        return
    got = {n: x[:, :new] if n in ("tokens", "token_logprobs") else x for n, x in got.items()}
    masks = goldens.mask_samples(got)
    _report("HLO", stored, {**got, **masks}, within, done)


def _report(
    name: str,
    wanted: Mapping[str, np.ndarray],
    got: Mapping[str, np.ndarray],
    within: float,
    done: Callable[[str, str, str], None],
) -> None:
    lines, largest = goldens.differences(wanted, got, within)
    for line in lines:
        done(name, "failed", line)
    if not lines:
        many = int((wanted["tokens"] != 0).sum())
        number = len(wanted["tokens"])
        done(
            name,
            "ok",
            f"{number} answers of {many} tokens, log probabilities within {largest:.2g}",
        )


def older(version: str, other: str) -> bool:
    """Returns whether a version such as "0.7.2" is older than another."""
    return _parts(version) < _parts(other)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def failed(checks: Any) -> list[str]:
    """Returns the texts of the checks that failed."""
    return [str(c) for c in checks if c.status == "failed"]
