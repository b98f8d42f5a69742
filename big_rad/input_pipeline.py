"""Makes the batches of training and evaluation, with Grain.

    source "a" -> shuffled, repeated --+
    source "b" -> shuffled, repeated --+-> mixture -> example i -> row -> batch of B rows
    ...                                     (by weight)   (each dataset's `pp`)

`pp.example` shows what happens between a record and a row. Batch i depends only on the config, the
seed and i, not on the number of threads and processes. The position in the stream is therefore one
number, which is stored in the checkpoint. A bad example does not stop training: its row has no
weight in the loss, and the reason is listed in the batch under "rejects".
"""

import dataclasses
import itertools
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import jax
import numpy as np
from absl import flags

from big_rad import extras
from big_rad.datasets import core
from big_rad.pp import builder as pp_builder
from big_rad.pp import check as pp_check
from big_rad.pp.example import Example, TokenRow

with extras.needed("train"):
    import grain

# Arrays whose first axis is the row, lists with one entry for each row, and under "rejects" a list
# of `Reject`.
Batch = dict[str, np.ndarray | list]
WEIGHT_MODES = ("shares", "epochs")
_ROW_FIELDS = ("text", "mask_ar", "mask_loss", "segment")
_REASON = 300  # The number of characters of a reject's reason that are kept.
_TRIES = 100  # The number of further examples that are tried if a whole batch is bad.
_PLANS = 4  # The number of windows whose plan is kept.


class Reject(TypedDict):
    """An example that cannot be used: its dataset and id, the type of the error and its message."""

    dataset: str
    id: str
    error: str
    reason: str


@dataclasses.dataclass
class TrainInput:
    """The training input.

    Attributes:
        iterator: the iterator over batches; `get_state` and `set_state` read and set its position.
        examples_per_epoch: the number of examples in an epoch.
        identity: {dataset: number of items and digest of its files}, see `datasets.core.identity`.
    """

    iterator: "BatchIterator"
    examples_per_epoch: int
    identity: dict[str, core.Identity]


def make_train(config: Any, seed: int, data_dir: str) -> TrainInput:
    """Builds the mixture of `config.input`.

    Args:
        config: the whole config. These fields are needed (see big_rad/config/defaults.py):
            - `config.input.data`: {name of a dataset: weight};
            - `config.input[name]` for each of these names, with `builder`, `split` and `pp`;
            - in `config.input` itself: `weights`, `batch_size`, `num_threads`, `num_workers`,
              `prefetch`, `buckets` and `bucket_window`.
        seed: the seed of shuffling, of batch order and of each example's own generator.
        data_dir: the folder in which the datasets lie.

    Returns:
        the input. A batch is a dict of stacked arrays, with a list of ids under "id", and a list of
        {"dataset", "id", "error", "reason"} under "rejects". Each process gets its own rows of
        every batch.

    Raises:
        ValueError: A setting has an impossible value, or a `pp` does not fit the config.
    """
    inputs = config.input
    names = list(inputs.data)
    for name in names:
        pp_check.check_pp(config, f"config.input.{name}.pp", inputs[name].pp)
    sources = {name: core.make_source(inputs[name], data_dir) for name in names}
    weights, per_epoch = _weights(inputs, {name: len(s) for name, s in sources.items()})
    parts = [
        grain.MapDataset.source(_NamedSource(name, source))
        .seed(seed + i)
        .shuffle()
        .repeat()
        .random_map(_WithRng())
        for i, (name, source) in enumerate(sources.items())
    ]
    batches = _Batches(
        grain.MapDataset.mix(parts, weights=weights) if len(parts) > 1 else parts[0],
        {name: inputs[name].pp for name in names},
        batch_size=inputs.batch_size,
        buckets=tuple(inputs.buckets),
        window=inputs.bucket_window,
        seed=seed,
    )
    iterator = BatchIterator(
        batches,
        num_threads=inputs.num_threads,
        num_workers=inputs.num_workers,
        prefetch=inputs.prefetch,
    )
    identity = {name: core.identity(source) for name, source in sources.items()}
    return TrainInput(iterator, per_epoch, identity)


def eval_batches(examples: Sequence[Example], batch_size: int) -> Iterator[Batch]:
    """Yields batches in order; copies of the last example fill up the last batch.

    The array "_mask", int32 [B], marks the real rows: 1 for an example and 0 for such a copy.

    Args:
        examples: the preprocessed examples, of equal shapes.
        batch_size: the number of rows B of every batch.
    """
    for start in range(0, len(examples), batch_size):
        rows = [examples[i] for i in range(start, min(start + batch_size, len(examples)))]
        mask = np.arange(batch_size) < len(rows)
        batch = collate(rows + [rows[-1]] * (batch_size - len(rows)))
        yield batch | {"_mask": mask.astype(np.int32)}


def collate(rows: Sequence[Example]) -> Batch:
    """Stacks the arrays of rows; any other field becomes a list with one entry for each row."""
    return {
        k: np.stack([r[k] for r in rows])
        if isinstance(rows[0][k], np.ndarray | np.generic)
        else [r[k] for r in rows]
        for k in rows[0]
    }


class BatchIterator:
    """An endless iterator over batches that can be set to any position.

    Args:
        batches: the random access to batches.
        num_threads: the number of threads that make batches; 0 makes them in the caller's thread.
        num_workers: the number of processes that make batches, each with `num_threads` threads; 0
            makes them in this process.
        prefetch: the number of batches that are made in advance.
    """

    def __init__(self, batches: "_Batches", num_threads: int, num_workers: int, prefetch: int):
        self._batches = batches
        self._read = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=prefetch)
        self._workers = num_workers
        self.set_state({"next_index": 0})

    def __iter__(self) -> "BatchIterator":
        return self

    def __next__(self) -> Batch:
        batch = next(self._iterator)
        self._next += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Returns the position, as a dict that JSON can store."""
        return {"next_index": self._next}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Goes to a position that `get_state` returned, of this or of another iterator.

        The other iterator may have had other numbers of threads and workers.
        """
        self._next = int(state["next_index"])
        source = _BatchesFrom(self._batches, self._next)
        dataset = grain.MapDataset.source(source).to_iter_dataset(self._read)
        if self._workers:
            # Grain reads its own flags when it starts processes, and these must be parsed.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=self._workers))
        self.close()
        self._iterator = iter(dataset)

    def close(self) -> None:
        """Ends the worker processes, if there are any."""
        close = getattr(getattr(self, "_iterator", None), "close", None)
        if close is not None:
            close()


class _NamedSource:
    """A source of (dataset name, example); an unreadable item gives an example with its error."""

    def __init__(self, name: str, source: core.Source):
        self._name, self._source = name, source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[str, Example]:
        try:
            return self._name, self._source[index]
        except Exception as e:
            return self._name, {"id": f"item {index}", "error": e}


class _WithRng(grain.transforms.RandomMap):
    """Gives each item its own generator, because Grain reuses the generator that it passes in."""

    def random_map(
        self, element: tuple[str, Example], rng: np.random.Generator
    ) -> tuple[str, Example]:
        name, example = element
        key = rng.integers(1 << 63, size=2, dtype=np.uint64)
        return name, {**example, "rng": np.random.Generator(np.random.Philox(key=key))}


class _BatchesFrom:
    """The batches from index `start` on."""

    def __init__(self, batches: "_Batches", start: int):
        self._batches, self._start = batches, start

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> Batch:
        return self._batches[self._start + index]


class _Batches:
    """Random access to an infinite number of batches.

    With `buckets`, the examples of a window of batches are sorted by the length of their rows and
    divided into batches, and each batch is cut to the shortest bucket that holds all its rows. For
    example, with a window of 2 batches of 3 rows and the buckets (128, 256):

        example             0    1    2    3    4    5
        length             90  200  110  120  250  100
        sorted by length    0    5    2  | 3    1    4
        batches             [0, 5, 2] cut to 128, and [3, 1, 4] cut to 256, in random order

    A batch with a row that is longer than every bucket is not cut. A length is the largest that any
    augmentation of the example can give (`text_bound` of `tok`). It is computed without pixels, and
    it is the same in all processes, so all make the same plan.
    """

    def __init__(
        self,
        examples: grain.MapDataset,
        pps: Mapping[str, str],
        *,
        batch_size: int,
        buckets: Sequence[int],
        window: int,
        seed: int,
    ):
        processes = jax.process_count()
        if batch_size % processes:
            raise ValueError(
                f"config.input.batch_size {batch_size} does not divide among {processes} "
                f"processes; use a multiple of {processes}"
            )
        if list(buckets) != sorted(set(buckets)) or min((1, *buckets)) < 1:
            raise ValueError(f"config.input.buckets {tuple(buckets)} must be rising lengths")
        each = batch_size // processes
        self._mine = slice(jax.process_index() * each, (jax.process_index() + 1) * each)
        self._examples, self._pps, self._size = examples, dict(pps), batch_size
        self._buckets, self._window, self._seed = tuple(buckets), window, seed
        self._prepare()

    def _prepare(self) -> None:
        self._full = {k: pp_builder.get_preprocess_fn(pp) for k, pp in self._pps.items()}
        self._text = {}
        if self._buckets:
            self._text = {
                k: pp_builder.get_preprocess_fn(pp, text_only=True) for k, pp in self._pps.items()
            }
        self._plans: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        built = ("_full", "_text", "_plans", "_lock")
        return {k: v for k, v in self.__dict__.items() if k not in built}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def __getitem__(self, index: int) -> Batch:
        if not self._buckets:
            wanted, length = np.arange(index * self._size, (index + 1) * self._size), None
        else:
            order, lengths = self._plan(index // self._window)
            k = index % self._window
            wanted, length = order[k], int(lengths[k])
        made = [self._make(int(i)) for i in wanted[self._mine]]
        rejects = [r for _, r in made if r is not None]
        template = self._template(made, index) if rejects else {}
        rows = [e if r is None else _weightless(template, r["id"]) for e, r in made]
        if length is not None:
            rows = [_cut(row, length) for row in rows]
        return collate(rows) | {"rejects": rejects}

    def _template(self, made: Sequence[tuple[Example, Reject | None]], batch: int) -> Example:
        """Returns a usable example, from this batch if possible; bad rows become copies of it."""
        start = (batch + 1) * self._size
        others = (self._make(i) for i in range(start, start + _TRIES))
        for example, reason in itertools.chain(made, others):
            if reason is None:
                return example
        first = made[0][1]
        raise ValueError(
            f"no example can be used; the first is {first['id']!r} of {first['dataset']}: "
            f"{first['error']}: {first['reason']}"
        )

    def _make(self, index: int) -> tuple[Example, Reject | None]:
        """Returns (example, None), or ({}, reject) if the example cannot be used."""
        name, raw = self._examples[index]
        try:
            if "error" in raw:
                raise raw["error"]
            return self._full[name](raw), None
        except Exception as e:
            reason = " ".join([str(e), *getattr(e, "__notes__", ())])[:_REASON]
            id = str(raw.get("id", "?"))
            return {}, {"dataset": name, "id": id, "error": type(e).__name__, "reason": reason}

    def _plan(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the plan of a window of W batches of B rows.

        Returns:
            the example numbers, int [W, B], and the length to which each batch is cut, int [W].
        """
        with self._lock:
            if window in self._plans:
                return self._plans[window]
            start = window * self._window * self._size
            numbers = np.arange(start, start + self._window * self._size)
            lengths = np.array([self._length(int(i)) for i in numbers])
            order = np.argsort(lengths, kind="stable").reshape(self._window, self._size)
            longest = lengths[order].max(axis=1)
            # The batches are shuffled, so that training does not go from short to long rows.
            shuffled = np.random.default_rng([self._seed, window]).permutation(self._window)
            bucket = np.searchsorted(self._buckets, longest)
            lengths = np.array([*self._buckets, sys.maxsize])[bucket]
            self._plans[window] = numbers[order][shuffled], lengths[shuffled]
            while len(self._plans) > _PLANS:
                del self._plans[min(self._plans)]
            return self._plans[window]

    def _length(self, index: int) -> int:
        name, raw = self._examples[index]
        try:
            if "error" in raw:
                return 0
            # The model reads all tokens but the last.
            return int(self._text[name](raw)["text_bound"]) - 1
        except Exception:
            return 0  # `_make` fails for the same reason and reports it.


def row_length(tokens: TokenRow) -> int:
    """Returns how many positions of a row the model has to read: all tokens but the last."""
    used = np.flatnonzero(tokens)
    return int(used[-1]) if used.size else 0


def _cut(row: Example, length: int) -> Example:
    if row_length(row["text"]) > length:
        raise AssertionError(f"row of {row['id']!r} is longer than was planned: {length}")
    return row | {k: row[k][: length + 1] for k in _ROW_FIELDS if k in row}


def _weightless(template: Example, id: str) -> Example:
    """Returns a copy of an example whose row has no weight in the loss."""
    row = dict(template)
    if "mask_loss" in row:
        row["mask_loss"] = np.zeros_like(row["mask_loss"])
    for name, empty in (("mask_class", 0), ("mask_pos", -1)):
        if name in row:
            row[name] = np.full_like(row[name], empty)
    return row | ({"id": id} if "id" in row else {})


def _weights(inputs: Any, lengths: Mapping[str, int]) -> tuple[list[float], int]:
    """Returns each dataset's weight in the mixture, and the number of examples in an epoch."""
    given = {name: float(w) for name, w in inputs.data.items()}
    how = inputs.weights
    if how not in WEIGHT_MODES:
        raise ValueError(f"config.input.weights {how!r} is none of {', '.join(WEIGHT_MODES)}")
    if bad := [name for name, w in given.items() if w <= 0]:
        raise ValueError(f"config.input.data.{bad[0]} is {given[bad[0]]}; leave the dataset out")
    if how == "shares":
        return list(given.values()), sum(lengths.values())
    rows = {name: w * lengths[name] for name, w in given.items()}
    return list(rows.values()), round(sum(rows.values()))
