"""Methods that are compiled, in one of two ways: for speed, or for little memory on a CPU.

On a CPU, XLA computes in float32. Weights of another dtype are widened, and by default all of them
at once: ahead of the loop over steps, and all layers before the first one runs. The widened copy is
twice as large as weights in bfloat16. Compiled for little memory, a program widens each matrix
where it is used, which it then does in every step.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# Both are needed: the first keeps the conversions inside the loop, the second in the order of use.
_LEAN = {
    "xla_disable_hlo_passes": "while-loop-invariant-code-motion",
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
}


class Compiled:
    """A compiled method of an object with an attribute `lean`.

    The object is a static argument.

    Args:
        function: the method.
        **options: options of `jax.jit`.
    """

    def __init__(self, function: Callable[..., Any], **options: Any):
        functools.update_wrapper(self, function)
        options.setdefault("static_argnums", 0)
        self._fast = jax.jit(function, **options)
        self._lean = jax.jit(function, compiler_options=_LEAN, **options)

    def __get__(self, owner: Any, kind: type | None = None):
        if owner is None:
            return self
        return functools.partial(self._lean if owner.lean and can_be_lean() else self._fast, owner)

    def _cache_size(self) -> int:
        return self._fast._cache_size() + self._lean._cache_size()


@functools.cache
def can_be_lean() -> bool:
    """Returns whether the device is a CPU whose compiler knows how to save memory."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda x: x + 1, compiler_options=_LEAN)(jnp.zeros(())).block_until_ready()
    except Exception:  # An older or a newer XLA, without these options.
        return False
    return True
