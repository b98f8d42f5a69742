"""Collects rows and counts of a config's training or evaluation data, as the model sees them.

The examples come from the same pipeline that training and evaluation use. A bad example is listed
with its id and the reason, and the others are still read.
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

# The errors of a bad example; any other error is a defect of the code.
_BAD = (ValueError, KeyError, OSError)
_FOLDER = re.compile(r"(?:(?<![\w<:/.])/|\b[A-Za-z]:\\)(?:[^/\\\n'\"<>|]+[/\\])+")
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclasses.dataclass
class Counts:
    """Counts over rows. Every Counter has how often each value occurs.

    Attributes:
        rows: the number of rows.
        filled: the number of tokens in all rows that are not padding.
        grounded: the number of texts that ask for boxes or masks.
        marked: the number of texts that have boxes or masks.
        cut: the number of texts that lost tokens because they were too long.
        unplaced: the number of texts that found no room in their row.
        problems: the number of texts with markup that cannot be read.
        row_tokens: the number of tokens in a row, up to the last one that is not padding.
        text_tokens: the number of tokens in a text.
        modalities, planes: the modality and the plane of a row.
        tasks, langs: the task and the language of a text.
        styles: the style of a report's prompt.
        question_types: the question type of a question.
        classes: the class id of a grounded phrase.
        absent: the class id of a keyword that was left out because the slice does not show it.
        unmarked: the class id of a keyword that was left out for another reason: it is cut off, a
            part of a longer keyword, or not in the sentence.
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
        """The number of texts in all rows."""
        return sum(self.text_tokens.values())

    def add(self, row: Row) -> None:
        """Adds a row to the counts."""
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
        name: its name in the config.
        evaluation: whether it is an evaluation, whose rows do not have the answer.
        builder, split: the dataset and the split that it is read from.
        size: the number of examples; for an evaluation, of those that are evaluated.
        pp: the preprocessing string.
        length: the number of positions of a row that the model sees.
        buckets: the length buckets; empty if batches are not cut to buckets.
        codec: the box codec with its options; "" if no boxes are written.
        seed: the seed of the order and of everything random.
        rows: the examples that are shown, in the order of training.
        counts: the counts over all rows that were read.
        bad: (id, reason) of each example that could not be used.
        mixture: its weight in the mixture, in words.
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
        """Adds a row to the counts, and to the rows that are shown if there are fewer than n."""
        self.counts.add(row)
        if len(self.rows) < n:
            self.rows.append(row)


def training(
    config: Any, name: str, data_dir: str, *, n: int = 12, limit: int = 500, seed: int | None = None
) -> Inspection:
    """Reads the rows of a dataset that training would see first.

    Args:
        config: the whole config.
        name: the name of a dataset in `config.input.data`.
        data_dir: the folder of the built datasets.
        n: the number of examples to keep, so that they can be shown.
        limit: the number of rows to count, at most those of one epoch.
        seed: the seed of the run; None takes the config's.

    Raises:
        ValueError: there is no such dataset; the message lists the known ones.
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
        except ValueError as e:  # Neither this example nor the next ones can be used.
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
    """Reads rows of an evaluator, which do not have the answer, with their references.

    Args:
        config: the whole config.
        name: the name of an evaluator in `config.evals`.
        data_dir: the folder of the built datasets.
        n: the number of examples to keep, so that they can be shown.
        limit: the number of rows to count.
        seed: the seed that chooses which of the evaluated examples are read; None takes the
            config's.

    Raises:
        ValueError: there is no such evaluator; the message lists the known ones.
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
            examples[k]  # Leaves the example in `last`, with fields that `EvalData` drops.
        except _BAD as e:
            found.bad.append((source.id, _reason(e)))
        else:
            found.add(reader.row(last.example), n)
    return found


def facts(part: Inspection) -> dict[str, str]:
    """Returns the facts that the page and the terminal show about a dataset, as text."""
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
        counter: value -> how often it occurs.
        most: the maximum number of bins.
        top: a value that the bins must cover.

    Returns:
        (first value, last value, count) of each bin; the counts add up to those of the counter.
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
    """Counts the rows of each length bucket.

    A bucket of L positions takes rows of up to L + 1 tokens, since the model sees all tokens but
    the last. For example, buckets (4, 8) and the length 16:

        row_tokens            {5: 1, 6: 2, 20: 3}
        returned              [(4, 1), (8, 2), (16, 3)]

    Args:
        row_tokens: number of tokens in a row -> number of rows.
        buckets: the row lengths of the buckets.
        length: the length of the op `tok`, for rows that fit no bucket.

    Returns:
        (row length, number of rows whose shortest fitting length it is), in rising order.
    """
    ordered = sorted({*buckets, length})
    result = collections.Counter()
    for tokens, rows in row_tokens.items():
        result[next((b for b in ordered if tokens <= b + 1), ordered[-1])] += rows
    return [(b, result[b]) for b in ordered]


def scrub(text: str) -> str:
    """Removes the folders of absolute paths from a text, because one may be a patient's name.

    The names of folders may contain spaces. So if another slash follows in the same sentence, the
    words up to it are removed as well: it is better to hide too much than to show a name.
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
    """Returns the entry of a dataset, its reader, and a config with only this dataset.

    A batch of this config has one row. The random generator of an example depends only on the seed
    and on the example's place in the dataset, so batch i is the i-th example of the dataset that
    training sees.
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
    """Returns an error on one line."""
    if isinstance(error, OSError) and error.strerror:
        return _line(type(error).__name__, error.strerror)
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return _line(type(error).__name__, text)


def _line(kind: str, reason: str) -> str:
    """Returns an error on one line without folders, since one may be a patient's name."""
    return f"{kind}: {scrub(' '.join(reason.split()))}"


class _Watched:
    """A source that remembers the id of the last example that was read."""

    def __init__(self, source: core.Source):
        self._source, self.id = source, ""

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        self.id = f"item {index}"  # For an example that cannot be read at all.
        example = self._source[index]
        self.id = str(example.get("id", self.id))
        return example


class _Last:
    """A preprocessing function that remembers the last example that it made."""

    def __init__(self, preprocess: Op):
        self._preprocess, self.example = preprocess, {}

    def __call__(self, example: Example) -> Example:
        self.example = self._preprocess(example)
        # `EvalData` keeps its examples, so it gets an empty image to save memory.
        return self.example | {"image": np.zeros(0, np.float32)}
