"""The calibration of a checkpoint: from features of confidence to probabilities that hold.

A model says how sure it is by probabilities of its own, such as the mean probability of the tokens
of an answer. Such a number need not be the share of answers that are right. A calibration is made
from questions with known answers (`python -m tools.calibrate`) and is stored with the checkpoint:

    run directory         RUN/calibration/<step>.json
    export, or HF folder  FOLDER/calibration.json
    model.npz             model.npz.calibration.json

`of(checkpoint)` reads it, and `Calibration.apply` returns the calibrated probability. The kinds are
those of `inference.confidence`. The fits are made in `inference.calibration_fits`.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from big_rad import files, weights
from big_rad.inference import confidence
from big_rad.weights import exported, npz
from big_rad.workdir import run_dir

FOLDER = "calibration"  # In a run directory.
FILE = "calibration.json"  # In an export or a Hugging Face folder.
EPSILON = 1e-6  # Probabilities of 0 and 1 have no logit.
ALL = ""  # The language of a fit over all languages.
_FORMAT = "big_rad calibration"
_VERSION = 1
_REMEDY = "remove the file, or make it again: python -m tools.calibrate"


@dataclasses.dataclass(frozen=True)
class Figures:
    """How well a fit does on patients that it was not fitted to.

    Attributes:
        n: the number of items that it was fitted to.
        patients: the number of their patients.
        incomplete: the number of further items that lacked a feature and were left out.
        ece: its expected calibration error without bias, see `metrics.calibration.debiased_ece`.
        brier: its Brier score.
        raw_ece, raw_brier: the same for the scores without calibration.
        base_brier: the Brier score of the mean outcome, which is the same for every item.
    """

    n: int
    patients: int
    incomplete: int
    ece: float
    brier: float
    raw_ece: float
    raw_brier: float
    base_brier: float


@dataclasses.dataclass(frozen=True)
class Fit:
    """A function from features to the probability that an answer or a place is right.

    The logistic regression is z = intercept + sum over features f of weights[f] * logit(f), and the
    result is sigmoid(z). With knots, the result is the piecewise linear function of z through them
    in place of the sigmoid.

    Attributes:
        weights: the weight of each feature.
        intercept: the intercept.
        least: the result is between `least` and 1 - `least`. It is 1 / (n + 2) for n items: without
            a single error among n answers, the next one may still be wrong.
        knots: pairs (z, probability) of an isotonic regression, in rising order; empty for the
            logistic regression alone.
        figures: how well it does; None if that was not measured.
    """

    weights: Mapping[str, float]
    intercept: float
    least: float
    knots: tuple[tuple[float, float], ...] = ()
    figures: Figures | None = None

    @property
    def method(self) -> str:
        """The name of the method: "logistic" or "isotonic"."""
        return "isotonic" if self.knots else "logistic"

    def apply(self, features: Mapping[str, float | None]) -> float | None:
        """Returns the calibrated probability, in (0, 1).

        Args:
            features: name -> probability, in 0..1. Features without a weight are ignored.

        Returns:
            The probability; None if a feature is missing or not a finite number.
        """
        values = [features.get(name) for name in self.weights]
        if any(x is None or not math.isfinite(x) for x in values):
            return None
        return float(self.values(np.array([values], float))[0])

    def values(self, features: Float[np.ndarray, "items features"]) -> Float[np.ndarray, " items"]:
        """Returns the calibrated probabilities of many items.

        Args:
            features: the probabilities, in the order of `weights`.
        """
        z = self.intercept + logits(features) @ np.array(list(self.weights.values()), float)
        if self.knots:
            found = np.interp(z, *np.array(self.knots).T)
        else:
            found = np.exp(-np.logaddexp(0, -z))
        return np.clip(found, self.least, 1 - self.least)


@dataclasses.dataclass(frozen=True)
class Source:
    """The questions of one evaluator that a calibration was made from.

    Attributes:
        evaluator: the name of the evaluator.
        dataset, builder_args, split: the data.
        sha256: the SHA-256 of its questions and references, see `evaluators.data.EvalData`.
        n: the number of its questions.
    """

    evaluator: str
    dataset: str
    builder_args: Mapping[str, Any]
    split: str
    sha256: str
    n: int


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The calibration of one checkpoint.

    Attributes:
        fits: kind -> language -> fit. The language "" is the fit over all languages.
        left_out: kind -> language -> the reason why there is no fit.
        sources: the questions that it was made from.
        step: the training step of the checkpoint that answered them; None if it is not known.
        digest: identifies the weights of a run's checkpoint, see `digest_of`; "" if there is no
            digest.
        date: the date on which it was made, as YYYY-MM-DD.
        version: the version of big_rad that made it.
        notes: sentences on its limits.
    """

    fits: Mapping[str, Mapping[str, Fit]]
    left_out: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    step: int | None = None
    digest: str = ""
    date: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()

    def about(self) -> str:
        """Returns what it was made from, such as "phantom validation (9 questions), 2026-11-28"."""
        found: dict[str, int] = {}
        for source in self.sources:
            name = f"{source.dataset} {source.split}"
            found[name] = found.get(name, 0) + source.n
        parts = [f"{name} ({n:,} questions)" for name, n in found.items()]
        return ", ".join(filter(None, (*parts, self.date)))

    def apply(self, kind: str, lang: str, features: Mapping[str, float | None]) -> float | None:
        """Returns the calibrated probability of an answer or a place, in (0, 1).

        Args:
            kind: what it is about, one of `inference.confidence.KINDS`.
            lang: the language. One without a fit of its own takes the fit over all languages.
            features: name -> probability, in 0..1.

        Returns:
            The probability; None if there is no fit, or if a feature is missing.
        """
        fits = self.fits.get(kind, {})
        fit = fits.get(lang, fits.get(ALL))
        return None if fit is None else fit.apply(features)

    def write(self, path: str | pathlib.Path) -> None:
        """Writes the calibration as JSON, atomically; missing folders are made.

        Raises:
            OSError: the file cannot be written.
        """
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": _FORMAT, "format_version": _VERSION} | dataclasses.asdict(self)
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        files.write_whole(path, text + "\n")


def read(path: str | pathlib.Path) -> Calibration:
    """Reads a calibration.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or is something else. The message names file and field.
    """
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{path} is no JSON ({e}); {_REMEDY}") from e
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: its field `format` is not {_FORMAT!r}, so it is no calibration; {_REMEDY}"
        )
    if content.get("format_version") != _VERSION:
        raise ValueError(
            f"{path}: its field `format_version` is {content.get('format_version')!r}, and this "
            f"version of big_rad reads {_VERSION}; install the version of big_rad that wrote it, "
            f"or {_REMEDY}"
        )
    try:
        return _parsed(content)
    except _Wrong as e:
        raise ValueError(f"{path}: its field {e}; {_REMEDY}") from e


def path_of(checkpoint: str | pathlib.Path) -> pathlib.Path:
    """Returns the path of a checkpoint's calibration, whether or not it has one.

    Args:
        checkpoint: a run directory or one of its steps, a Hugging Face folder or an npz. Each step
            of a run has a calibration of its own; `run_dir.locate` chooses the step.

    Raises:
        FileNotFoundError: there is no checkpoint at this path.
        ValueError: it is an image tower alone, or its format is unknown.
    """
    kind, file = weights.kind(checkpoint), npz.split_subtree(checkpoint)[0]
    if kind == "orbax":
        place = run_dir.locate(checkpoint)
        return place.workdir / FOLDER / f"{place.step}.json"
    if kind in ("huggingface", "export"):
        return file / FILE
    if kind == "npz":
        return file.with_name(f"{file.name}.{FILE}")
    raise ValueError(f"{checkpoint} is an image tower alone, which gives no answers to calibrate")


def of(checkpoint: str | pathlib.Path) -> Calibration | None:
    """Returns the calibration of a checkpoint; None if it has none.

    Args:
        checkpoint: see `path_of`.

    Raises:
        FileNotFoundError: there is no checkpoint at this path.
        ValueError: the calibration is damaged, or was made for other weights of the same step.
    """
    path = path_of(checkpoint)
    if weights.kind(checkpoint) == "export" and (wrong := exported.damaged(path.parent, (FILE,))):
        raise ValueError(f"{path}: {'; '.join(wrong)}; copy the export again, or {_REMEDY}")
    if not path.is_file():
        return None
    found, digest = read(path), digest_of(checkpoint)
    if found.digest and digest and found.digest != digest:
        raise ValueError(
            f"{path}: its field `digest` names other weights than those of the checkpoint, which "
            f"was trained again since; {_REMEDY}"
        )
    return found


def digest_of(checkpoint: str | pathlib.Path) -> str:
    """Returns the digest with which a run's checkpoint was sealed; "" for other checkpoints.

    It depends on the checksums of all arrays, see `workdir.sealing`. It is "" also for checkpoints
    that predate it.
    """
    if weights.kind(checkpoint) != "orbax":
        return ""
    try:
        text = (run_dir.locate(checkpoint).folder / "data" / "metadata").read_text("utf-8")
        return str(json.loads(text).get("digest", ""))
    except (OSError, ValueError, AttributeError):
        return ""  # Whether a checkpoint is damaged is for those to say who load it.


def carry(source: str | pathlib.Path, made: str | pathlib.Path) -> pathlib.Path | None:
    """Copies the calibration of a checkpoint to a checkpoint with the same weights.

    Args:
        source: the checkpoint.
        made: the other checkpoint, which may have another format.

    Returns:
        The path of the copy; None if the source has no calibration.

    Raises:
        ValueError: see `of`.
    """
    found = of(source)
    if found is None:
        return None
    path = path_of(made)
    dataclasses.replace(found, digest=digest_of(made)).write(path)
    return path


def logits(probabilities: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Returns log(p / (1 - p)), with p kept `EPSILON` away from 0 and 1."""
    p = np.clip(probabilities, EPSILON, 1 - EPSILON)
    return np.log(p) - np.log1p(-p)


class _Wrong(Exception):
    # A field has a wrong value. The message begins with the name of the field.
    def __init__(self, field: str, value: object, expected: str):
        super().__init__(f"`{field}` is {value!r:.80}, and it should be {expected}")


def _parsed(content: Mapping[str, Any]) -> Calibration:
    fits = {
        kind: {lang: _fit(x, f"fits.{kind}.{lang}") for lang, x in by_lang.items()}
        for kind, by_lang in _kinds(content, "fits").items()
    }
    left_out = _kinds(content, "left_out")
    for kind, by_lang in left_out.items():
        for lang in by_lang:
            _text(by_lang, lang, f"left_out.{kind}.")
    step = content.get("step")
    if step is not None and (not isinstance(step, int) or isinstance(step, bool)):
        raise _Wrong("step", step, "a whole number or null")
    sources = enumerate(_list(content, "sources"))
    notes = _list(content, "notes")
    if wrong := [x for x in notes if not isinstance(x, str)]:
        raise _Wrong("notes", wrong[0], "a list of texts")
    said = {k: _text(content, k) for k in ("digest", "date", "version")}
    return Calibration(
        fits, left_out, tuple(_source(x, f"sources[{i}]") for i, x in sources), step,
        notes=tuple(notes), **said,
    )  # fmt: skip


def _fit(found: Any, where: str) -> Fit:
    _object(found, where)
    named = _object(found.get("weights"), f"{where}.weights")
    if not named:
        raise _Wrong(f"{where}.weights", named, "a weight for each feature")
    knots = [_pair(x, f"{where}.knots") for x in _list(found, "knots", f"{where}.")]
    for a, b in zip(knots, knots[1:], strict=False):
        if a[0] >= b[0] or a[1] > b[1]:
            raise _Wrong(f"{where}.knots", [a, b], "a list of pairs in rising order")
    least = _finite(found.get("least"), f"{where}.least")
    if not 0 < least < 0.5:
        raise _Wrong(f"{where}.least", least, "between 0 and 0.5")
    figures = found.get("figures")
    return Fit(
        weights={k: _finite(v, f"{where}.weights.{k}") for k, v in named.items()},
        intercept=_finite(found.get("intercept"), f"{where}.intercept"),
        least=least,
        knots=tuple(knots),
        figures=None if figures is None else _figures(figures, f"{where}.figures"),
    )


def _figures(found: Any, where: str) -> Figures:
    _object(found, where)
    values = {}
    for field in dataclasses.fields(Figures):
        value = _finite(found.get(field.name), f"{where}.{field.name}")
        values[field.name] = field.type(value)
    return Figures(**values)


def _source(found: Any, where: str) -> Source:
    _object(found, where)
    texts = ("evaluator", "dataset", "split", "sha256")
    return Source(
        builder_args=_object(found.get("builder_args"), f"{where}.builder_args"),
        n=int(_finite(found.get("n"), f"{where}.n")),
        **{k: _text(found, k, f"{where}.") for k in texts},
    )


def _kinds(content: Mapping[str, Any], field: str) -> dict[str, dict[str, Any]]:
    found = _object(content.get(field), field)
    for kind, by_lang in found.items():
        if kind not in confidence.KINDS:
            raise _Wrong(f"{field}.{kind}", kind, f"one of {', '.join(confidence.KINDS)}")
        _object(by_lang, f"{field}.{kind}")
    return found


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(where, value, "an object")
    return value


def _list(found: Mapping[str, Any], field: str, where: str = "") -> list[Any]:
    if not isinstance(found.get(field), list):
        raise _Wrong(where + field, found.get(field), "a list")
    return found[field]


def _text(found: Mapping[str, Any], field: str, where: str = "") -> str:
    if not isinstance(found.get(field), str):
        raise _Wrong(where + field, found.get(field), "a text")
    return found[field]


def _finite(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise _Wrong(where, value, "a finite number")
    return float(value)


def _pair(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise _Wrong(where, value, "a list of pairs of numbers")
    return _finite(value[0], where), _finite(value[1], where)
