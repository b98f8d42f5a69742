"""Lazy arrays, which stay on disk until they are used, and functions that check and read them.

A flat dict of `Lazy` arrays describes a whole checkpoint by names, shapes and dtypes. Arrays are
read one at a time, so a large checkpoint needs little memory:

    flat = npz.read("model.npz")  # Reads only headers.
    flat["llm/final_norm/scale"].shape
    params = tensors.materialise(flat, dtype="bfloat16", sharding=sharding)
"""

import hashlib
import math
import pathlib
from collections.abc import Callable, Mapping

import jax
import ml_dtypes
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Shaped

from big_rad.models import common

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_EXPONENT = {"bfloat16": np.uint16(0x7F80), "float16": np.uint16(0x7C00)}  # All ones: not finite.
_PIECE = 2**20
_TOGETHER = 2**20  # The size in bytes up to which arrays are read together.
# One value for all arrays, or a function of an array's name, or None.
Dtypes = DTypeLike | Callable[[str], DTypeLike | None] | None
Shardings = jax.sharding.Sharding | Callable[[str], jax.sharding.Sharding | None] | None


class Lazy:
    """An array that is still on disk, with known shape and dtype; `np.asarray(lazy)` reads it.

    Args:
        shape: The shape of the array.
        dtype: The dtype of the array.
        read: A function that reads and returns the array. It is called each time that the array is
            used, and the result is not kept.
    """

    __slots__ = ("_read", "dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, read: Callable[[], np.ndarray]):
        self.shape, self.dtype, self._read = tuple(shape), np.dtype(dtype), read

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None):
        value = self._read()
        return value if dtype is None else value.astype(dtype, copy=False)

    def cut(self, shape: tuple[int, ...], of: Callable[[np.ndarray], np.ndarray]) -> "Lazy":
        """Returns the lazy array that a function makes of this one, with the shape it will have."""
        return Lazy(shape, self.dtype, lambda: of(np.asarray(self)))

    def __repr__(self):
        return f"Lazy({self.shape}, {self.dtype})"


def share(i: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that gives the i-th of `count` equal shares of the first axis."""
    return lambda x: np.split(x, count)[i]


def lazies(
    stored: Mapping[str, tuple[tuple[int, ...], DTypeLike]],
    read: Callable[[list[str]], Mapping[str, np.ndarray]],
) -> dict[str, Lazy]:
    """Returns lazy arrays for a reader that reads any number of arrays at once.

    Opening a checkpoint takes longer than reading a small array. All small arrays are therefore
    read together when the first of them is used, and each is kept until it is used itself.

    Args:
        stored: The shape and the dtype of each array by its name.
        read: A function from names to the arrays of these names.
    """
    sizes = {n: math.prod(shape) * dtype_of(dtype).itemsize for n, (shape, dtype) in stored.items()}
    small = [n for n, size in sizes.items() if size <= _TOGETHER]
    kept: dict[str, np.ndarray] = {}

    def one(name: str) -> np.ndarray:
        if sizes[name] > _TOGETHER:
            return read([name])[name]
        if name not in kept:
            kept.update(read(small))
        return kept.pop(name)

    return {n: Lazy(x[0], dtype_of(x[1]), lambda n=n: one(n)) for n, x in stored.items()}


def check_when_read(array: Lazy, name: str, where: str | pathlib.Path) -> Lazy:
    """Returns the same array, with a check that its values are finite when it is read.

    Args:
        array: The stored array.
        name: The name of the array, for the message.
        where: The file, for the message.

    Returns:
        A lazy array. Reading it raises a ValueError if a value is NaN or infinite.
    """

    def read() -> np.ndarray:
        value = np.asarray(array)
        check_finite(value, name, where)
        return value

    return Lazy(array.shape, array.dtype, read)


def check_finite(value: Shaped[np.ndarray, "..."], name: str, where: str | pathlib.Path) -> None:
    """Checks that all values of an array are finite.

    Args:
        value: The array; one of integers always passes.
        name: The name of the array, for the message.
        where: The file, for the message.

    Raises:
        ValueError: A value is NaN or infinite; the message names the array and the first such
            value.
    """
    flat = value.reshape(-1)
    bits = _EXPONENT.get(value.dtype.name)
    # The check runs over pieces, since the table of a real model has 600 million values.
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        if bits is None:
            if np.isfinite(piece).all():
                continue
        else:  # Five times as fast as `isfinite`, which converts bfloat16 to float32.
            if not ((piece.view(np.uint16) & bits) == bits).any():
                continue
        first = start + int(np.flatnonzero(~np.isfinite(piece))[0])
        number = sum(
            int((~np.isfinite(flat[i : i + _PIECE])).sum()) for i in range(0, flat.size, _PIECE)
        )
        at = ", ".join(str(i) for i in np.unravel_index(first, value.shape))
        raise ValueError(
            f"{where}: {name} is not finite: {number} of its {flat.size:,} values are NaN or "
            f"infinite, the first ({flat[first]}) at [{at}]. Such a model gives no answers: its "
            "training diverged, or a conversion overflowed or was damaged; take an earlier "
            "checkpoint, or convert the original again in bfloat16 or float32"
        )


def materialise(
    flat: Mapping[str, common.ArrayInfo], dtype: Dtypes = None, sharding: Shardings = None
) -> dict[str, np.ndarray | jax.Array]:
    """Reads arrays one at a time, the largest first, while there is the most memory.

    Args:
        flat: The arrays by name, `Lazy` or not.
        dtype: The dtype to convert to, or a function of an array's name that returns it. None keeps
            the stored dtype.
        sharding: The `jax.sharding.Sharding` of the arrays, or a function of an array's name that
            returns it. None returns numpy arrays.

    Returns:
        The numpy arrays or `jax.Array`s by name, in the order of `flat`.

    Raises:
        ValueError: An array that is checked when read is not finite, or an array has values that
            the new dtype cannot hold.
    """
    done = {}
    for name in sorted(flat, key=lambda n: -nbytes(flat[n])):
        to = dtype_of(_of(dtype, name) or flat[name].dtype)
        done[name] = common.place(flat[name], to, _of(sharding, name), name)
    return {name: done[name] for name in flat}


def sha256(name: str, value: common.ArrayInfo) -> str:
    """Returns the sha256 (hex) of an array's name, dtype, shape and contents in C order."""
    value = np.ascontiguousarray(np.asarray(value)).reshape(value.shape)
    digest = hashlib.sha256(f"{name} {value.dtype} {value.shape}".encode())
    digest.update(value.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def dtype_of(dtype: DTypeLike) -> np.dtype:
    """Returns the numpy dtype for a name, a JAX dtype or a numpy dtype."""
    return BFLOAT16 if str(dtype) == "bfloat16" else np.dtype(dtype)


def nbytes(value: common.ArrayInfo) -> int:
    """Returns the size of an array in bytes, without reading it."""
    return math.prod(value.shape) * np.dtype(value.dtype).itemsize


def count(flat: Mapping[str, common.ArrayInfo]) -> int:
    """Returns the total number of elements of all arrays."""
    return sum(math.prod(x.shape) for x in flat.values())


def _of(by_name: Dtypes | Shardings, name: str) -> DTypeLike | jax.sharding.Sharding | None:
    # Returns `by_name(name)` if `by_name` is a function, and else `by_name` itself. A dtype class
    # such as np.float32 is callable too, but is no such function.
    is_function = callable(by_name) and not isinstance(by_name, type) and not _is_dtype(by_name)
    return by_name(name) if is_function else by_name


def _is_dtype(x: object) -> bool:
    try:
        np.dtype(x)
    except TypeError:
        return False
    return True


def problems(
    held: Mapping[str, common.ArrayInfo],
    wanted: Mapping[str, tuple[int, ...]],
    who: str,
    prefix: str = "",
) -> list[str]:
    """Compares the names and shapes of tensors with those that a model needs.

    Args:
        held: The arrays of the checkpoint by name.
        wanted: The shapes that the model needs, by name.
        who: The subject and verb of a line about a shape, such as "config.json gives".
        prefix: A prefix for the names in the lines.

    Returns:
        A sorted list with a line for each tensor that is missing, unexpected or of another shape.
    """
    lines = [f"missing: {prefix}{n}" for n in wanted if n not in held]
    lines += [f"unexpected: {prefix}{n}" for n in held if n not in wanted]
    lines += [
        f"shape: {prefix}{n} is {tuple(held[n].shape)}, {who} {shape}"
        for n, shape in wanted.items()
        if n in held and tuple(held[n].shape) != shape
    ]
    return sorted(lines)
