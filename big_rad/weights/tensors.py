"""Arrays of foreign checkpoints that are read when they are wanted, and moved one at a time.

A flat dict of `Lazy` arrays describes a whole file by names, shapes and dtypes; only the array in
hand is in memory. Knows nothing of formats or of models.
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
_EXPONENT = {"bfloat16": np.uint16(0x7F80), "float16": np.uint16(0x7C00)}  # All set: not finite.
_PIECE = 2**20
# One value for all arrays, or a function of an array's name, or None.
Dtypes = DTypeLike | Callable[[str], DTypeLike | None] | None
Shardings = jax.sharding.Sharding | Callable[[str], jax.sharding.Sharding | None] | None


class Lazy:
    """An array on disk: shape and dtype are known, `np.asarray(lazy)` reads it.

    Args:
        shape: of the array.
        dtype: of the array.
        read: returns it; called anew each time.
    """

    __slots__ = ("_read", "dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, read: Callable[[], np.ndarray]):
        self.shape, self.dtype, self._read = tuple(shape), np.dtype(dtype), read

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None):
        value = self._read()
        return value if dtype is None else value.astype(dtype, copy=False)

    def __repr__(self):
        return f"Lazy({self.shape}, {self.dtype})"


def check_when_read(array: Lazy, name: str, where: str | pathlib.Path) -> Lazy:
    """Returns the same array, whose reading refuses values that are not finite.

    Args:
        array: a stored tensor.
        name: its name, for the message.
        where: the file, for the message.

    Returns:
        A lazy array; reading it raises ValueError where a value is NaN or infinite.
    """

    def read() -> np.ndarray:
        value = np.asarray(array)
        check_finite(value, name, where)
        return value

    return Lazy(array.shape, array.dtype, read)


def check_finite(value: Shaped[np.ndarray, "..."], name: str, where: str | pathlib.Path) -> None:
    """Refuses an array with values that are not finite.

    Args:
        value: the array; integers always pass.
        name: its name, for the message.
        where: the file, for the message.

    Raises:
        ValueError: a value is NaN or infinite; the message names the array and the first one.
    """
    flat = value.reshape(-1)
    bits = _EXPONENT.get(value.dtype.name)
    # In pieces, since the table of a real model has 600 million values.
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        if bits is None:
            if np.isfinite(piece).all():
                continue
        else:  # Five times as fast as `isfinite`, whose bfloat16 goes by way of float32.
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
    """Reads arrays one after another, the largest first, while there is most room.

    Args:
        flat: name -> array or `Lazy`.
        dtype: what to convert to; None keeps what is stored. A value, or a function of the name.
        sharding: a `jax.sharding.Sharding` to put arrays onto; None leaves numpy arrays. A value,
            or a function of the name.

    Returns:
        name -> numpy array or `jax.Array`, in the order of `flat`.

    Raises:
        ValueError: an array is not finite, or has values that the new dtype cannot hold.
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
    """Returns the numpy dtype of a name, a jax or a numpy dtype."""
    return BFLOAT16 if str(dtype) == "bfloat16" else np.dtype(dtype)


def nbytes(value: common.ArrayInfo) -> int:
    """Returns the size of an array in bytes, without reading it."""
    return math.prod(value.shape) * np.dtype(value.dtype).itemsize


def count(flat: Mapping[str, common.ArrayInfo]) -> int:
    """Returns the number of elements of all arrays."""
    return sum(math.prod(x.shape) for x in flat.values())


def _of(by_name: Dtypes | Shardings, name: str) -> DTypeLike | jax.sharding.Sharding | None:
    # A dtype class such as np.float32 is callable too, so functions are told by their kind.
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
    """Accounts for tensors by name and shape.

    Args:
        held: name -> array.
        wanted: name -> shape.
        who: what gives the shapes and its verb, for the lines.
        prefix: put before the names in the lines.

    Returns:
        A line for each tensor that is missing, unexpected or of another shape, sorted.
    """
    lines = [f"missing: {prefix}{n}" for n in wanted if n not in held]
    lines += [f"unexpected: {prefix}{n}" for n in held if n not in wanted]
    lines += [
        f"shape: {prefix}{n} is {tuple(held[n].shape)}, {who} {shape}"
        for n, shape in wanted.items()
        if n in held and tuple(held[n].shape) != shape
    ]
    return sorted(lines)
