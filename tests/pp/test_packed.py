"""Packed arrays come back bit for bit, in any thread, and damaged ones are errors."""

import ast
import io

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from big_rad.pp import packed

DTYPES = ("uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64", "bool")


@given(st.sampled_from(DTYPES).flatmap(lambda d: arrays.arrays(d, arrays.array_shapes())))
def test_an_array_comes_back_bit_for_bit(array):
    found = packed.unpack(packed.pack(array))
    assert found.dtype == array.dtype and found.shape == array.shape
    assert found.tobytes() == np.ascontiguousarray(array).tobytes()


def test_unpacking_does_not_parse_python(monkeypatch):
    # In Python 3.11 that can fail while another thread does the same.
    data = packed.pack(np.arange(6, dtype=np.int16).reshape(2, 3))

    def fails(*args, **kw):
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(ast, "literal_eval", fails)
    np.testing.assert_array_equal(packed.unpack(data), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.ones((2, 3))), np.zeros(2, [("a", "i4"), ("b", "f4")])]
)
def test_another_layout_is_an_error(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    with pytest.raises(ValueError, match="unknown header"):
        packed.unpack(zstandard.ZstdCompressor().compress(buffer.getvalue()))


@pytest.mark.parametrize("cut", [0, 1, 10])
def test_damaged_bytes_are_an_error(cut):
    with pytest.raises(ValueError):
        packed.unpack(packed.pack(np.arange(50))[:cut])
