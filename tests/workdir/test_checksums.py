import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.workdir import checksums

DTYPES = ("float32", "bfloat16", "int32", "uint8", "bool", "float16")


def draw(shape, dtype, seed=0):
    bits = np.random.default_rng(seed).integers(0, 256, (*shape, 4), np.uint8)
    if dtype == "bool":
        return bits[..., 0] > 127
    dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    raw = np.ascontiguousarray(bits[..., : dtype.itemsize]).view(dtype)
    return raw.reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7, 5), (3, 4, 5)])
def test_device_and_host_agree_on_every_dtype_and_shape(dtype, shape):
    x = draw(shape, dtype)
    for on_host in (0, 1 << 18):
        assert checksums.of({"x": jnp.asarray(x)}, on_host)["x"] == checksums.of_numpy(x)


def test_host_sums_over_blocks_as_over_the_whole():
    x = draw((checksums._BLOCK + 77,), "float32")
    assert checksums.of({"x": jnp.asarray(x)})["x"] == checksums.of_numpy(x)


def test_numbers_of_eight_bytes_have_checksums_on_the_host():
    x = np.arange(10, dtype=np.int64)
    y = x.copy()
    y[3] += 1 << 40
    assert checksums.of_numpy(x) != checksums.of_numpy(y)


@given(place=st.integers(0, 999), bit=st.integers(0, 31), seed=st.integers(0, 5))
def test_any_flipped_bit_changes_it(place, bit, seed):
    x = np.random.default_rng(seed).standard_normal(1000).astype(np.float32)
    y = x.copy()
    y.view(np.uint32)[place] ^= np.uint32(1) << np.uint32(bit)
    assert checksums.of_numpy(x)[:8] != checksums.of_numpy(y)[:8]


@given(pair=st.lists(st.integers(0, 999), min_size=2, max_size=2, unique=True))
def test_swapped_elements_and_a_run_of_zeros_change_it(pair):
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    swapped, erased = x.copy(), x.copy()
    swapped[pair] = x[pair[::-1]]
    erased[min(pair) : max(pair)] = 0
    assert len({checksums.of_numpy(v) for v in (x, swapped, erased)}) == 3


@pytest.mark.slow
def test_eight_devices_give_what_one_gives(on_eight_devices):
    said = on_eight_devices("""
        import jax, numpy as np
        from big_rad import sharding; from big_rad.workdir import checksums
        mesh = sharding.make_mesh((("data", -1),))
        x = np.random.default_rng(0).standard_normal((16, 24)).astype(np.float32)
        split = jax.device_put(x, sharding.batch_sharding(mesh))
        assert len(split.addressable_shards) == 8
        assert checksums.of({"x": split}, 0)["x"] == checksums.of_numpy(x)
        assert checksums.of({"x": split})["x"] == checksums.of_numpy(x)
        print("equal")
    """)
    assert said == "equal"
