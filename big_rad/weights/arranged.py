"""Reads parameters with the language model arranged for decoding, in little memory.

The language model is never in memory twice: its matrices are read one kind after another, the
largest first, and each is arranged layer by layer as soon as it is read.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax
import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Shaped

from big_rad.models import common, gemma_layout
from big_rad.weights import computed, tensors

_LAYERS = "llm/layers/"


def read(
    flat: Mapping[str, tensors.Lazy],
    model: Mapping[str, Any],
    sharding: jax.sharding.Sharding | None = None,
) -> dict[str, Any]:
    """Reads parameters in the dtypes in which the model computes.

    Args:
        flat: The lazy arrays of a whole model by name, stacked over layers.
        model: The arguments of the model.
        sharding: Where the arrays are put; None puts them on the first device.

    Returns:
        The nested parameters; `llm` has the arranged layout of `models.gemma_layout`.

    Raises:
        ValueError: An array is not finite, or has values that the dtype cannot hold.
    """
    place = sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    jobs = [(part, tuple(_LAYERS + n for n in names)) for part, names in gemma_layout.PARTS.items()]
    single = set(flat).difference(*(names for _, names in jobs))
    jobs += [("", (name,)) for name in single]
    done: dict[str, Any] = {}
    # Largest first: the array that is being read is in memory beside its arranged parts.
    for part, names in sorted(jobs, key=lambda j: (-sum(flat[n].nbytes for n in j[1]), j[1])):
        done |= _job(flat, model, part, names, place)
    return flax.traverse_util.unflatten_dict(done, sep="/")


def _job(
    flat: Mapping[str, tensors.Lazy],
    model: Mapping[str, Any],
    part: str,
    names: tuple[str, ...],
    place: jax.sharding.Sharding,
) -> dict[str, Array]:
    # Reads the arrays of one arranged matrix of all layers, or a single array.
    values = [_computed(flat, n, model) for n in names]
    put = functools.partial(jax.device_put, device=place)
    if part:
        return {
            f"llm/{gemma_layout.BLOCKS}/{i}/{part}": put(
                _own(gemma_layout.arrange(part, *(x[i] for x in values)))
            )
            for i in range(values[0].shape[0])
        }
    name, value = names[0], values[0]
    if name.startswith(_LAYERS):  # The scales of a norm.
        norm = name.removeprefix(_LAYERS).removesuffix("/scale")
        return {
            f"llm/{gemma_layout.BLOCKS}/{i}/norms/{norm}": put(_own(x)) for i, x in enumerate(value)
        }
    return {name: put(value)}


def _computed(
    flat: Mapping[str, tensors.Lazy], name: str, model: Mapping[str, Any]
) -> Shaped[np.ndarray, "..."]:
    lazy = flat[name]
    to: DTypeLike = computed.dtype_of(name, lazy.dtype, model)
    return common.cast(np.asarray(lazy), to, name)


def _own(x: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    # A view would keep the array of all layers alive.
    return x if x.base is None else x.copy()
