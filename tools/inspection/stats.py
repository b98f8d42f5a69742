"""Collects what a config's training or evaluation data look like to the model: rows and counts.

Examples come out of the very pipeline that training and evaluation use. A bad one is listed, with
its id and the reason, and the rest goes on. Draws nothing.
"""

import collections
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from big_rad import input_pipeline
from big_rad.config import defaults
from big_rad.datasets import core
from big_rad.evaluators import data as eval_data
from big_rad.pp import builder as pp_builder
from big_rad.pp.example import Example
from big_rad.pp.ops import Op
from tools.inspection import rows as inspect_rows
from tools.inspection.rows import ABSENT, Row

_BAD = (ValueError, KeyError, OSError)  # What a bad example raises; anything else is a defect.
_FOLDER = re.compile(r"(?:(?<![\w<:/.])/|\b[A-Za-z]:\\)(?:[^/\\\n'\"<>|]+[/\\])+")
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclasses.dataclass
class Counts:
    """Counts over rows; every Counter is value -> how often.

    Attributes:
        rows: rows read.
        row_tokens, text_tokens: tokens a row (up to the last that is not padding) and a text.
        filled: tokens that are not padding, in all rows.
        modalities, planes: of rows.
        tasks, langs, styles, question_types: of texts; styles of reports only.
        grounded, marked: texts that are asked for boxes or masks; those that have some.
        classes: class ids of grounded phrases.
        absent, unmarked: class ids of keywords left out because the slice does not show the
            class, and for other reasons (cut off, within a longer keyword, not in the sentence).
        cut, unplaced: texts that lost tokens; that found no room.
        problems: texts with markup that cannot be read.
    """

    rows: int = 0
    filled: int = 0
    grounded: int = 0
    marked: int = 0
    cut: int = 0
    unplaced: int = 0
    problems: int = 0
    row_tokens: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    text_tokens: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    modalities: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    planes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    tasks: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    langs: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    styles: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    question_types: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    classes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    absent: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    unmarked: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    @property
    def texts(self) -> int:
        """Texts in the rows."""
        return sum(self.text_tokens.values())

    def add(self, row: Row) -> None:
        """Counts a row."""
        self.rows += 1
        self.row_tokens[row.used] += 1
        self.filled += sum(t.role != "pad" for t in row.tokens)
        self.modalities[row.modality] += 1
        self.planes[row.plane] += 1
        self.unplaced += row.unplaced
        for text in row.texts:
            self.text_tokens[text.tokens] += 1
            self.tasks[text.task] += 1
            self.langs[text.lang] += 1
            if text.task == "report":
                self.styles[text.style] += 1
            if text.task == "vqa":
                self.question_types[text.question_type] += 1
            self.grounded += text.grounded
            self.marked += bool(text.entities)
            self.cut += text.cut
            self.problems += bool(text.problems)
            self.classes.update(e.class_id for e in text.entities)
            for _, class_id, reason in text.left_out:
                (self.absent if reason == ABSENT else self.unmarked)[class_id] += 1


@dataclasses.dataclass
class Inspection:
    """One dataset of the mixture, or one evaluation, as the model sees it.

    Attributes:
        name: as the config calls it.
        evaluation: whether its rows are without the answer.
        builder, split: where it comes from.
        size: examples of the source (an evaluation's: those evaluated).
        mixture: its weight in the mixture, in words.
        pp: the preprocessing string.
        length: positions of a row that the model sees.
        buckets: row lengths that rows are sorted into; empty without.
        codec: spec of the box codec; "" if nothing is grounded.
        seed: of the order and of everything random.
        rows: the examples shown, in the order of training.
        counts: over all rows read.
        bad: (id, reason) of the examples that could not be used.
    """

    name: str
    evaluation: bool
    builder: str
    split: str
    size: int
    pp: str
    length: int
    buckets: tuple[int, ...]
    codec: str
    seed: int
    rows: list[Row] = dataclasses.field(default_factory=list)
    counts: Counts = dataclasses.field(default_factory=Counts)
    bad: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    mixture: str = "–"

    def add(self, row: Row, n: int) -> None:
        """Counts a row, and keeps it if fewer than n are kept."""
        self.counts.add(row)
        if len(self.rows) < n:
            self.rows.append(row)


def training(
    config: Any, name: str, data_dir: str, *, n: int = 12, limit: int = 500, seed: int | None = None
) -> Inspection:
    """Reads what training would see first of a dataset of the mixture.

    Args:
        config: the whole config.
        name: one of `config.input.data`.
        data_dir: where the datasets lie.
        n: examples to keep for looking at.
        limit: rows to count, at most those of one epoch.
        seed: of the run; None takes the config's.

    Raises:
        ValueError: no such dataset; the message lists the known ones.
    """
    _check_known(name, config.input.data, "config.input.data", "dataset")
    seed = int(config.seed if seed is None else seed)
    spec, reader, alone = _alone(config, name)
    position = list(config.input.data).index(name)
    data = input_pipeline.make_train(alone, seed + position, data_dir)
    found = _blank(name, spec, reader, seed=seed, size=data.examples_per_epoch)
    found.mixture = _mixture(config.input, name)
    found.buckets = tuple(int(b) for b in config.input.buckets)
    for _ in range(min(max(limit, n), found.size)):
        try:
            batch = next(data.iterator)
        except ValueError as e:  # No example near this one can be used.
            found.bad.append(("and those after it", _reason(e)))
            break
        if batch["rejects"]:
            found.bad += [(r["id"], _line(r["error"], r["reason"])) for r in batch["rejects"]]
        else:
            found.add(reader.row({k: v[0] for k, v in batch.items() if k != "rejects"}), n)
    return found


def evaluation(
    config: Any, name: str, data_dir: str, *, n: int = 12, limit: int = 500, seed: int | None = None
) -> Inspection:
    """Reads what an evaluator asks: rows without the answer, the reference beside them.

    Args:
        config: the whole config.
        name: one of `config.evals`.
        data_dir: where the datasets lie.
        n: examples to keep for looking at.
        limit: rows to count.
        seed: which of the evaluated examples are read; None takes the config's.

    Raises:
        ValueError: no such evaluation; the message lists the known ones.
    """
    _check_known(name, config.evals, "config.evals", "evaluation")
    spec = config.evals[name]
    seed = int(config.seed if seed is None else seed)
    reader = inspect_rows.Reader(spec.pp)
    source = _Watched(core.make_source(spec, data_dir))
    last = _Last(pp_builder.get_preprocess_fn(inspect_rows.without_keep(spec.pp)))
    examples = eval_data.EvalData(source, last, spec.get("limit"))
    found = _blank(name, spec, reader, seed=seed, size=len(examples))
    found.evaluation = True
    order = np.random.default_rng(seed).permutation(len(examples))[: max(limit, n)]

    for k in map(int, order):
        try:
            examples[k]  # Leaves the whole example, of which an evaluator keeps less, in `last`.
        except _BAD as e:
            found.bad.append((source.id, _reason(e)))
        else:
            found.add(reader.row(last.example), n)
    return found


def facts(part: Inspection) -> dict[str, str]:
    """Returns what stands above a dataset, in words; the terminal prints the same."""
    c = part.counts
    positions = c.rows * (part.length + 1)
    texts = max(c.texts, 1)
    return {
        "data": f"{part.builder}, {part.split}: {part.size:,} examples",
        "read for the counts": f"{c.rows:,} rows, {c.texts:,} texts",
        "in the mixture": part.mixture,
        "bad examples": f"{len(part.bad):,}",
        "filled positions": f"{c.filled / max(positions, 1):.0%} of {part.length + 1} a row",
        "texts cut to fit": f"{c.cut:,} ({c.cut / texts:.1%})",
        "drawn, but no room in the row": f"{c.unplaced:,}",
        "markup that cannot be read": f"{c.problems:,}",
        "box codec": part.codec or "–",
        "seed": str(part.seed),
    }


def histogram(
    counter: Mapping[int, int], most: int = 24, top: int = 0
) -> list[tuple[int, int, int]]:
    """Sorts values into at most `most` bins of equal, round width from 0.

    Args:
        counter: value -> how often.
        most: bins.
        top: the bins reach at least as far.

    Returns:
        [(first value, last value, how often)]; the counts sum to the counter's.
    """
    if not counter:
        return []
    top = max(top, *counter)
    width = next((s for s in _STEPS if (top + 1) / s <= most), -(-(top + 1) // most))
    bins = [0] * (top // width + 1)
    for value, count in counter.items():
        bins[value // width] += count
    return [(i * width, (i + 1) * width - 1, count) for i, count in enumerate(bins)]


def in_buckets(
    row_tokens: Mapping[int, int], buckets: Sequence[int], length: int
) -> list[tuple[int, int]]:
    """Returns [(length, rows that fit it and none before)], ending with that of `tok`.

    Args:
        row_tokens: tokens a row -> rows. A bucket of L positions takes a row of L + 1 tokens,
            since the model sees all but the last.
        buckets: row lengths.
        length: of rows that are in no bucket.
    """
    ordered = sorted({*buckets, length})
    result = collections.Counter()
    for tokens, rows in row_tokens.items():
        result[next((b for b in ordered if tokens <= b + 1), ordered[-1])] += rows
    return [(b, result[b]) for b in ordered]


def scrub(text: str) -> str:
    """Returns a text in which absolute paths have lost their folders, with blanks in them too.

    Of a sentence with a path and a later slash, more is lost: hiding too much beats telling a name.
    """
    return _FOLDER.sub("", text)


def _check_known(name: str, known: Mapping[str, object], where: str, what: str) -> None:
    if name not in known:
        names = ", ".join(known) or "none"
        raise ValueError(f"no {what} {name!r} in {where}; known: {names}")


def _blank(name: str, spec: Any, reader: inspect_rows.Reader, **fields: Any) -> Inspection:
    return Inspection(
        name=name,
        evaluation=False,
        builder=str(spec["builder"]),
        split=str(spec["split"]),
        pp=scrub(spec["pp"]),
        length=reader.length,
        buckets=(),
        codec=reader.codec.spec if reader.mode == "boxes" else "",
        **fields,
    )


def _alone(config: Any, name: str) -> tuple[Any, inspect_rows.Reader, Any]:
    """Returns a dataset's spec, its reader, and the config with it alone, a row a batch.

    The generator of an example depends on the seed and its place in the dataset alone, so batch i
    is the dataset's i-th example of training.
    """
    spec = config.input[name].copy_and_resolve_references()
    spec.pp = inspect_rows.without_keep(spec.pp)
    alone = config.copy_and_resolve_references()
    with alone.unlocked():
        alone.input = {"data": {name: 1.0}, name: spec, "batch_size": 1, "num_threads": 0}
    defaults.fill(alone)  # So the run's other settings of the input, such as buckets, do not count.
    return spec, inspect_rows.Reader(spec.pp), alone


def _mixture(inputs: Any, name: str) -> str:
    weight = float(inputs.data[name])
    if inputs.weights == "epochs":
        return "once an epoch" if weight == 1 else f"{weight:g} times an epoch"
    return f"{weight / sum(map(float, inputs.data.values())):.1%}"


def _reason(error: Exception) -> str:
    """Returns an error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return _line(type(error).__name__, error.strerror)
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return _line(type(error).__name__, text)


def _line(kind: str, reason: str) -> str:
    """Returns a reason without line breaks and folders (one may be a patient's name)."""
    return f"{kind}: {scrub(' '.join(reason.split()))}"


class _Watched:
    """A source that remembers the id of the example read last."""

    def __init__(self, source: core.Source):
        self._source, self.id = source, ""

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        self.id = f"item {index}"  # If it cannot even be read.
        example = self._source[index]
        self.id = str(example.get("id", self.id))
        return example


class _Last:
    """A preprocessing that remembers the example it made last."""

    def __init__(self, preprocess: Op):
        self._preprocess, self.example = preprocess, {}

    def __call__(self, example: Example) -> Example:
        self.example = self._preprocess(example)
        return self.example | {"image": np.zeros(0, np.float32)}  # EvalData would keep them all.
