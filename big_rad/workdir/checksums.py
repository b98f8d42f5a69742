"""Checksums of arrays: two sums modulo 2^32 over the bits of all elements, weighted by position.

A sum does not depend on the order of its terms. An array therefore has the same checksum however
it is split over devices and processes, and the checksum is computed on the devices that hold it.

Any single flipped bit changes the first sum: a bijection turns it into one or two flipped bits of
the element's word, and the word is multiplied by an odd number. Other damage is missed with a
probability of about 1 in 2^64. The checksum does not protect against deliberate changes.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt32

Words = Array | np.ndarray
_GOLDEN = 0x9E3779B1
_BLOCK = 1 << 18  # The number of words of a numpy array that are summed at once.


def of(arrays: Mapping[str, jax.Array], on_host: int = 1 << 18) -> dict[str, str]:
    """Returns the checksum of each array as 16 hexadecimal digits.

    Args:
        arrays: the arrays by name.
        on_host: the most bytes of an array whose checksum the host computes. On its devices each
            shape needs a program of its own, which takes longer than to copy a small array.
    """
    # One array after another: several programs that run at once and communicate between devices
    # can deadlock.
    return {name: _of(arrays[name], on_host) for name in sorted(arrays)}


def of_numpy(x: Shaped[np.ndarray, "..."]) -> str:
    """Returns the checksum of one array on the host, which is equal to that of `of`."""
    flat = np.ascontiguousarray(x).reshape(-1)
    unsigned = np.dtype(f"u{min(flat.dtype.itemsize, 4)}")
    words = flat.view(unsigned)  # An element of eight bytes becomes two words.
    first, second = 0, 0
    for start in range(0, len(words), _BLOCK):
        bits = words[start : start + _BLOCK].astype(np.uint32)
        place = np.arange(start, start + len(bits), dtype=np.uint64).astype(np.uint32)
        a, b = _mixed(bits, place)
        first += int(a.sum(dtype=np.uint32))
        second += int(b.sum(dtype=np.uint32))
    return _text(first % 2**32, second % 2**32)


def _of(x: jax.Array, on_host: int) -> str:
    if x.nbytes > on_host or not (x.is_fully_addressable or x.is_fully_replicated):
        return _text(*jax.device_get(_sum(x)))
    held = x if x.is_fully_addressable else x.addressable_data(0)
    return of_numpy(np.asarray(held))


def _text(first: int, second: int) -> str:
    return f"{int(first):08x}{int(second):08x}"


@jax.jit  # A program for one array is reused for equal shapes; one for all arrays compiles long.
def _sum(x: Shaped[Array, "..."]) -> tuple[UInt32[Array, ""], UInt32[Array, ""]]:
    if x.dtype == jnp.bool_:
        x = x.astype(jnp.uint8)
    size = min(x.dtype.itemsize, 4)
    bits = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * size}")).astype(jnp.uint32)
    # The flat index of each element, without a reshape, which would gather an array that is split
    # over devices.
    place = jnp.zeros(bits.shape, jnp.uint32)
    for axis, length in enumerate(bits.shape):
        along = jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis)
        place = place * jnp.uint32(length % 2**32) + along
    return tuple(jnp.sum(m, dtype=jnp.uint32) for m in _mixed(bits, place))


def _mixed(
    bits: UInt32[Words, "..."], place: UInt32[Words, "..."]
) -> tuple[UInt32[Words, "..."], UInt32[Words, "..."]]:
    # Returns the terms of both sums for each element. All are uint32, so products are modulo 2^32.
    weight = place * np.uint32(2) + np.uint32(1)
    bits = bits ^ (bits >> np.uint32(16))
    other = bits * np.uint32(_GOLDEN)
    return bits * weight, (other ^ (other >> np.uint32(15))) * weight
