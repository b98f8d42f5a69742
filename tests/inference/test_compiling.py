"""Methods that are compiled for speed or for little memory."""

import dataclasses

import numpy as np

from big_rad.inference import compiling


@dataclasses.dataclass(frozen=True, eq=False)
class Adder:
    lean: bool

    @compiling.Compiled
    def add(self, x):
        """Adds one."""
        return x + 1


def test_both_ways_give_the_same_and_each_is_compiled_once():
    assert Adder.add.__doc__ == "Adds one."
    for lean in (False, True):
        adder, before = Adder(lean), Adder.add._cache_size()
        for x in (1.0, 2.0):
            assert np.asarray(adder.add(np.float32(x))) == x + 1
        assert Adder.add._cache_size() == before + 1


def test_this_cpu_can_save_memory():
    assert compiling.can_be_lean()
