"""The interface of evaluators, and how the `type` of an entry of `config.evals` names one.

The `type` is the name of a module of this package ("grounded") or the dotted name of any module
that can be imported ("my_lab.evals.dice"). That module has a class `Evaluator`, derived from
`Statement` here or from `base.Evaluator`. The class attributes of `Statement` describe the
evaluator: the config check, the lines of progress, TensorBoard, summaries, pages and curves read
everything that they need from there.

This module must not import modules of data or of models, so that pages can be made without them.
"""

import dataclasses
import functools
import importlib
import inspect
import json
import pathlib
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from big_rad.evaluators.records import Interval, Record
from big_rad.registry import did_you_mean

CONTROLS = ("none", "blank", "shuffled", "mirrored")
DATA_FIELDS = ("builder", "split", "builder_args", "only", "asked", "expand", "pp", "limit")
COMMON = ("type", *DATA_FIELDS, "every", "sha256")  # Fields that every entry may have.
_GIVEN = ("name", "tokenizer", "samples_dir")  # Arguments that `evaluators.build` gives by name.
_POSITIONAL = 3  # self, functions of the model, data
_FOLDER = pathlib.Path(__file__).parent
_ABSTRACT = "base"
_OWN_MODULE = "the dotted name of a module of yours that has a class Evaluator"


@dataclasses.dataclass(frozen=True)
class Score:
    """One score that an evaluator yields.

    Attributes:
        name: the name under which `run` yields it.
        title: its name on pages and in tables. A score without a title is written to metrics.jsonl
            only, and not shown on pages or in TensorBoard.
        lowest: whether its lowest value is the best.
        count: whether it is a number of things, which says nothing about the model.
        groups: the names of groups of samples for which the score may be yielded as well, as
            NAME_GROUP (`f1_de`).
        whole: whether it is yielded for all samples; False if it is yielded for groups only.
        option: the option of the entry that must be set for the score to be yielded, such as
            "captions"; "" if it is always yielded.
        judged: whether it comes from a judge in `big_rad.evaluate`, and never from `run`.
        beside: the figure of training that is drawn together with its curve, such as
            "training_loss"; "" draws it alone.
        chance: what the score would be by chance: a number, or the name of the score that says it.
            Pages show it beside the score. "" if it is not known.
    """

    name: str
    title: str = ""
    lowest: bool = False
    count: bool = False
    groups: Collection[str] = ()
    whole: bool = True
    option: str = ""
    judged: bool = False
    beside: str = ""
    chance: float | str = ""


class Statement:
    """The base class of all evaluators, whose class attributes describe the evaluator.

    An evaluator is made as `Evaluator(functions, data, name=..., tokenizer=..., samples_dir=...,
    **options)`: `functions` maps the names in `needs` to functions of the model, `data` is a
    `data.EvalData`, and the options are the fields of the entry that the signature names.
    `run(params)` yields (score, value) and, unless `samples_dir` is None, writes one line for each
    sample with `samples.write`. If there are several processes, only the first one writes.

    docs/evaluation.md has an example of a whole evaluator.

    Attributes:
        scores: the scores that it may yield, in the order of pages; those with a title come first.
        main: the names of the main scores. The first one is used where one score must stand for
            the evaluator; the others are shown beside it, or in its place if it has no value.
        titles: usual names of entries of this type -> their headings on pages, in the order of the
            page.
        place: the order of the types on pages; a type with a smaller number comes first.
        controls: the controls that `--controls` adds, some of `CONTROLS`.
        needs: the names of the functions of the model that it calls, see `functions.MAKERS`.
        fields: the fields that an example must have besides image and prompt: "reference" is the
            answer as text (made by `tok(..., answer=False)`), and "mask_loss" marks the tokens of
            the answer in the row (made by `tok(...)`).
        task: "report" or "vqa" if the answers are such texts, which a judge can grade; else "".
        points: whether the answers point at places, which are then drawn on the images.
        missing: why the class cannot be imported; "" for every class that can be imported.
        data: the `data.EvalData` of the evaluator.
        records: the lines of the samples file of the last run.
        pixels: index of a sample -> the image that the model saw, see `draw.seen`; only the samples
            that a page may show are in it.
    """

    scores: ClassVar[tuple[Score, ...]] = ()
    main: ClassVar[tuple[str, ...]] = ()
    titles: ClassVar[Mapping[str, str]] = {}
    place: ClassVar[int] = 100
    controls: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    task: ClassVar[str] = ""
    points: ClassVar[bool] = False
    missing: ClassVar[str] = ""

    data: Any
    records: Sequence[Record] = ()
    pixels: Mapping[int, np.ndarray] = {}

    def run(self, params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """Evaluates the model with these parameters and yields (name of a score, value)."""
        raise NotImplementedError

    @classmethod
    def groups(cls, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Returns the samples that pages show, in groups by name; no groups by default."""
        del records
        return {}

    @classmethod
    def resampled(
        cls, records: Sequence[Record], clusters: Sequence[Hashable], resamples: int, seed: int
    ) -> dict[str, Interval]:
        """Returns the intervals of scores that are no mean over samples; none by default.

        Args:
            records: the records of the samples.
            clusters: the cluster of each sample, whose samples are resampled together.
            resamples: the number of bootstrap resamples. Fewer may be made where they are slow.
            seed: the seed of the bootstrap.

        Returns:
            name of a score -> its value with its interval.
        """
        del records, clusters, resamples, seed
        return {}

    @classmethod
    def labels(cls) -> dict[str, str]:
        """Returns name -> title of the scores that pages show, in their order."""
        return {s.name: s.title for s in cls.scores if s.title}

    @classmethod
    def names(cls, entry: Mapping[str, Any]) -> list[str]:
        """Returns the names of the scores that `run` yields for all samples, for an entry."""
        return [
            s.name
            for s in cls.scores
            if s.whole and not s.judged and (not s.option or entry.get(s.option))
        ]

    @classmethod
    def chances(cls, metrics: Mapping[str, float | None]) -> dict[str, float]:
        """Returns name of a score -> what it would be by chance, where that is known.

        Args:
            metrics: name -> value of an evaluation.
        """
        found = {
            s.name: metrics.get(s.chance) if isinstance(s.chance, str) else s.chance
            for s in cls.scores
        }
        return {k: float(x) for k, x in found.items() if x is not None}

    @classmethod
    def stated(cls, metric: str) -> Score | None:
        """Returns the `Score` of a metric, which may be that of a group, or None if it is unknown.

        For example, the metric "f1_de" belongs to the score "f1" with the group "de".
        """
        for score in cls.scores:
            if score.whole and score.name == metric:
                return score
        for score in cls.scores:
            group = metric.removeprefix(f"{score.name}_")
            if group != metric and group in score.groups:
                return score
        return None

    @classmethod
    def lowest(cls, metric: str) -> bool:
        """Returns whether the lowest value of a score is the best."""
        score = cls.stated(metric)
        return score is not None and score.lowest


Type = str | type[Statement]  # The `type` of an entry, or the class that it names.


def find(kind: object) -> type[Statement]:
    """Returns the class that the `type` of an entry names, by importing it.

    Raises:
        ValueError: there is no such module, it cannot be imported, it has no class `Evaluator`, or
            the class attributes are incomplete or wrong. The message begins with the name.
    """
    known = f"known: {', '.join(names())}, or {_OWN_MODULE}"
    if not isinstance(kind, str) or not all(part.isidentifier() for part in kind.split(".")):
        raise ValueError(f"{kind!r}; {known}{did_you_mean(str(kind), names())}")
    if "." not in kind and kind not in names():
        raise ValueError(f"{kind!r}; {known}{did_you_mean(kind, names())}")
    place = kind if "." in kind else f"{__package__}.{kind}"
    try:
        module = importlib.import_module(place)
    except (Exception, SystemExit) as e:  # A user's own module may raise any error.
        raise ValueError(
            f"{kind!r}, which cannot be imported ({type(e).__name__}: {e}); {known}"
        ) from e
    found = getattr(module, "Evaluator", None)
    if not (isinstance(found, type) and issubclass(found, Statement)):
        raise ValueError(
            f"{kind!r}, and that module has no class Evaluator that derives from {__name__}."
            f"Statement; {known}"
        )
    if wrong := _misstated(found):
        raise ValueError(f"{kind!r}, whose class Evaluator {wrong}")
    return found


def class_of(kind: object) -> type[Statement]:
    """Returns the class that a `type` names, or a class without scores if it cannot be imported.

    Pages use it in place of `find`, because they must also show results of an evaluator whose
    module is no longer there. The class then has the reason in `missing`. A class given as `kind`
    is returned as it is.
    """
    if isinstance(kind, type):
        return kind
    try:
        return find(kind)
    except ValueError as e:
        return type("Missing", (Statement,), {"missing": str(e).partition("; known: ")[0]})


@functools.cache
def names() -> tuple[str, ...]:
    """Returns the types of this package. They are read from its files, so no module is imported."""
    return tuple(
        path.stem
        for path in sorted(_FOLDER.glob("*.py"))
        if path.stem != _ABSTRACT and "\nclass Evaluator(" in path.read_text(encoding="utf-8")
    )


def options(cls: type[Statement]) -> dict[str, Any]:
    """Returns the options of a class of evaluators, from its signature and those of its bases.

    Returns:
        name -> default value; `inspect.Parameter.empty` for an option without a default.
    """
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in base.__dict__ or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())
        kinds = [p.kind for p in parameters]
        by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        for p in parameters:
            by_name = p.kind is p.KEYWORD_ONLY or p.name in by_place[_POSITIONAL:]
            if by_name and p.name not in _GIVEN:
                found.setdefault(p.name, p.default)
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return found


def control_of(entry: Mapping[str, Any]) -> str:
    """Returns the control of an entry, or "none" if it names no control."""
    return entry.get("control") or "none"


def data_key(spec: Mapping[str, Any], data_dir: str = "") -> str:
    """Returns a text that is equal for two entries if and only if their data are the same.

    Data are the same if they have the same examples and the same preprocessing.
    """
    part = {k: spec.get(k) for k in DATA_FIELDS}
    return json.dumps([str(data_dir), part], sort_keys=True, default=dict)


def questions_key(asked: Mapping[str, Any], sha256: str) -> str:
    """Returns a text that is equal for two entries that ask the same questions with other images.

    Args:
        asked: the entry of `config.evals`, as `records.Entry.asked` has it.
        sha256: the hash of its questions and references.
    """
    rest = {k: v for k, v in asked.items() if k != "control"}
    return json.dumps([rest, sha256], sort_keys=True)


def _misstated(cls: type[Statement]) -> str:
    # The first mistake in the class attributes; "" if there is no mistake.
    if not cls.main:
        return "states no main score: give `main`, a tuple of names of its `scores`"
    if isinstance(cls.main, str):
        return f"states main = {cls.main!r}: give a tuple, ({cls.main!r},)"
    known = [s.name for s in cls.scores]
    unknown = [name for name in cls.main if name not in known]
    if unknown:
        return (
            f"has {unknown[0]!r} as a main score, and its `scores` are {', '.join(known) or 'none'}"
        )
    if wrong := [c for c in cls.controls if c not in CONTROLS]:
        return f"states the control {wrong[0]!r}; known: {', '.join(CONTROLS)}"
    return ""
