"""The table of preprocessing ops.

An op is a function that takes an example (a dict) and returns an example. A factory with the op's
arguments makes it:

    @OPS.register("name")
    def get_name(argument):
        def _op(example): ...
        return _op
"""

from collections.abc import Callable

import numpy as np

from big_rad.pp.example import Example
from big_rad.registry import Registry

Op = Callable[[Example], Example]

OPS = Registry("preprocessing op")


def rng_of(example: Example) -> np.random.Generator:
    """Returns the random generator of an example.

    Raises:
        KeyError: The example has no generator; the input pipeline normally adds it.
    """
    if "rng" not in example:
        raise KeyError(
            "the example has no 'rng', which a random op needs: add "
            "rng=np.random.default_rng((seed, epoch, index)), or make the op deterministic"
        )
    return example["rng"]
