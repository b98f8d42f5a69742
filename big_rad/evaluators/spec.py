"""What an evaluator states of itself, and how an entry of `config.evals` names one.

The `type` of an entry is the name of a module of this package ("grounded") or the dotted name of
any module that can be imported ("my_lab.evals.dice"). That module has a class `Evaluator`, derived
from `Statement` here or from `base.Evaluator`, and the class says all that others need to know of
it: the config check, the lines of progress, TensorBoard, summaries, pages and curves read it from
there. Nothing of data and models is imported here, so that pages can read it too.
"""

import dataclasses
import functools
import importlib
import inspect
import json
import pathlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from big_rad.evaluators.records import Record
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
    """A figure that an evaluator yields.

    Attributes:
        name: the name under which `run` yields it.
        title: its name on pages and in tables; a score without a title is in metrics.jsonl alone,
            and not on pages or in TensorBoard.
        lowest: whether its lowest value is the best.
        count: whether it is a number of things, which says nothing about the model.
        groups: names of groups of samples; the score may also be yielded as NAME_GROUP (`f1_de`).
        whole: False if it is yielded of groups alone.
        option: the field of the entry without which it is not yielded, such as "captions".
        judged: whether it comes from a judge in `big_rad.evaluate`, and never from `run`.
        beside: a figure of training that its curve is drawn with, such as "training_loss".
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


class Statement:
    """What a class of evaluators states of itself; every evaluator derives from it.

    A class is made as `Evaluator(functions, data, name=..., tokenizer=..., samples_dir=...,
    **options)`: `functions` maps names of `needs` to functions of the model, `data` is a
    `data.EvalData`, and the options are the fields of the entry that the signature names.
    `run(params)` yields (score, value) and, if there is a `samples_dir`, writes one line for each
    sample with `samples.write`; of several processes the first one writes.

    docs/evaluation.md has an example of a whole evaluator.

    Attributes:
        scores: the scores it may yield, in the order of pages; those with a title come first.
        main: the main score, then those to look at beside it or where it has no value.
        titles: usual names of entries of this type -> their headings on pages, in order.
        place: types with titles are shown in the order of this number.
        controls: the controls that `--controls` adds, of `CONTROLS`.
        needs: names of the functions of the model that it calls, see `functions.MAKERS`.
        fields: what an example needs besides image and prompt: "reference" is the answer as text
            (`tok(..., answer=False)`), "mask_loss" marks its tokens in the row (`tok(...)`).
        task: "report" or "vqa" if the answers are such texts, which a judge can grade.
        points: whether the answers point at places, which are then drawn.
        missing: why the class cannot be imported; "" for every class that can.
        records: the lines of the samples file of the last run.
        pixels: index of a sample -> what the model saw, see `draw.seen`, of those that are shown.
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
        """Evaluates parameters; yields (name of a score, value)."""
        raise NotImplementedError

    @classmethod
    def groups(cls, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Returns the samples that are looked at, in groups by name; nothing is shown without."""
        del records
        return {}

    @classmethod
    def labels(cls) -> dict[str, str]:
        """Returns the titles of the scores that pages show, in their order."""
        return {s.name: s.title for s in cls.scores if s.title}

    @classmethod
    def names(cls, entry: Mapping[str, Any]) -> list[str]:
        """Returns the scores that an entry of this type yields, without those of groups."""
        return [
            s.name
            for s in cls.scores
            if s.whole and not s.judged and (not s.option or entry.get(s.option))
        ]

    @classmethod
    def stated(cls, metric: str) -> Score | None:
        """Returns what the class states of a score, or of the one whose group it is (`f1_de`)."""
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
        ValueError: there is no such module, it cannot be imported, or its class states too little;
            the message begins with the name.
    """
    known = f"known: {', '.join(names())}, or {_OWN_MODULE}"
    if not isinstance(kind, str) or not all(part.isidentifier() for part in kind.split(".")):
        raise ValueError(f"{kind!r}; {known}{did_you_mean(str(kind), names())}")
    if "." not in kind and kind not in names():
        raise ValueError(f"{kind!r}; {known}{did_you_mean(kind, names())}")
    place = kind if "." in kind else f"{__package__}.{kind}"
    try:
        module = importlib.import_module(place)
    except (Exception, SystemExit) as e:  # A module of somebody else may do anything.
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
    """Returns the class that a `type` names, as `find`, for those who show what was found before.

    What cannot be imported gets a class that states nothing, with the reason in `missing`. A class
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
    """Returns the types of this package, read from its files, so that none is imported."""
    return tuple(
        path.stem
        for path in sorted(_FOLDER.glob("*.py"))
        if path.stem != _ABSTRACT and "\nclass Evaluator(" in path.read_text(encoding="utf-8")
    )


def options(cls: type[Statement]) -> dict[str, Any]:
    """Returns the options of a class of evaluators, from its signature and those of its bases.

    Returns:
        name -> default; `inspect.Parameter.empty` for one that has to be given.
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
    """Returns the control of an entry, "none" if it does not name one."""
    return entry.get("control") or "none"


def data_key(spec: Mapping[str, Any], data_dir: str = "") -> str:
    """Returns a text that is equal exactly for specs over the same preprocessed data."""
    part = {k: spec.get(k) for k in DATA_FIELDS}
    return json.dumps([str(data_dir), part], sort_keys=True, default=dict)


def _misstated(cls: type[Statement]) -> str:
    # What is wrong with what a class states; "" if nothing is.
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
