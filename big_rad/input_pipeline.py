"""Input: sources -> shuffled, preprocessed examples -> weighted mixture -> batches, with Grain.

Batch i is a function of the config, the seed and i alone, whatever the number of threads, and the
position is one small dict that belongs into the checkpoint. Knows no model.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import jax
import numpy as np

from big_rad.datasets import core
from big_rad.pp import builder as pp_builder

Example = dict[str, Any]


@dataclasses.dataclass
class TrainInput:
    """The training input.

    Attributes:
        iterator: Grain iterator over batches; `get_state` and `set_state` are its position.
        examples_per_epoch: items of the sources, each weighted dataset once.
    """

    iterator: Any
    examples_per_epoch: int


def make_train(config: Any, seed: int, data_dir: str) -> TrainInput:
    """Builds the mixture of `config.input`.

    Args:
        config: the whole config; reads `input.data` {name: weight}, `input.batch_size`,
            `input.num_threads` and `input[name]` with `builder`, `split` and `pp`.
        seed: of shuffling, mixing and every example's own generator.
        data_dir: where the datasets lie.

    Returns:
        The input; a batch is a dict of stacked arrays and, under "id", a list of ids. Each
        process gets its own rows of the batch.
    """
    inputs = config.input
    sources = {name: make_source(inputs[name], data_dir) for name in inputs.data}
    parts = [
        dataset(source, inputs[name].pp, seed=seed + i, shuffle=True)
        for i, (name, source) in enumerate(sources.items())
    ]
    weights = [float(w) for w in inputs.data.values()]
    mixed = grain.MapDataset.mix(parts, weights=weights) if len(parts) > 1 else parts[0]
    batches = mixed.batch(inputs.batch_size, drop_remainder=True, batch_fn=_collate_local)
    options = grain.ReadOptions(
        num_threads=inputs.get("num_threads", 2), prefetch_buffer_size=inputs.get("prefetch", 16)
    )
    return TrainInput(
        iterator=iter(batches.to_iter_dataset(options)),
        examples_per_epoch=sum(len(s) for s in sources.values()),
    )


def make_source(spec: Mapping[str, Any], data_dir: str) -> Any:
    """Returns the random-access source that a dataset's config names.

    Args:
        spec: `builder`, `split`, optionally `builder_args`, and `expand` (arguments of
            `datasets.core.expand`: one text an item, for evaluation).
        data_dir: where the datasets lie.
    """
    source = core.load_source(
        spec["builder"], spec["split"], data_dir, **dict(spec.get("builder_args", {}))
    )
    if spec.get("expand"):
        source = core.expand(source, **dict(spec["expand"]))
    return source


def dataset(source: Any, pp: str, *, seed: int, shuffle: bool) -> grain.MapDataset:
    """Returns preprocessed examples: endless and shuffled anew each epoch, or once in order.

    Each example gets a generator `rng` that is seeded by the seed, the epoch and the index.
    """
    preprocess = pp_builder.get_preprocess_fn(pp)
    ds = grain.MapDataset.source(source).seed(seed)
    if shuffle:
        ds = ds.shuffle().repeat()
    return ds.random_map(_Preprocess(preprocess))


def eval_batches(examples: Sequence[Example] | Any, batch_size: int) -> Iterator[dict[str, Any]]:
    """Yields batches in order, the last filled up with copies that `_mask` marks with 0.

    Args:
        examples: preprocessed examples of equal shapes.
        batch_size: rows of every batch.
    """
    for start in range(0, len(examples), batch_size):
        rows = [examples[i] for i in range(start, min(start + batch_size, len(examples)))]
        mask = np.arange(batch_size) < len(rows)
        batch = collate(rows + [rows[-1]] * (batch_size - len(rows)))
        yield batch | {"_mask": mask.astype(np.int32)}


def collate(rows: Sequence[Example]) -> dict[str, Any]:
    """Stacks arrays; everything else becomes a list."""
    return {
        k: np.stack([r[k] for r in rows])
        if isinstance(rows[0][k], np.ndarray | np.generic)
        else [r[k] for r in rows]
        for k in rows[0]
    }


class _Preprocess(grain.transforms.RandomMap):
    def __init__(self, preprocess: Callable[[Example], Example]):
        self._preprocess = preprocess

    def random_map(self, element: Example, rng: np.random.Generator) -> Example:
        return self._preprocess({**element, "rng": rng})


def _collate_local(rows: Sequence[Example]) -> dict[str, Any]:
    count, index = jax.process_count(), jax.process_index()
    if len(rows) % count:
        raise ValueError(
            f"config.input.batch_size {len(rows)} does not divide among {count} processes"
        )
    each = len(rows) // count
    return collate(rows[index * each : (index + 1) * each])
