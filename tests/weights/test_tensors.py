import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from big_rad.weights import tensors


def lazy(value, reads):
    def read():
        reads.append(value.shape)
        return value

    return tensors.Lazy(value.shape, value.dtype, read)


def test_lazy_arrays_are_read_only_when_asked_for_and_the_largest_first():
    reads = []
    flat = {f"a{n}": lazy(np.ones(n, np.float32), reads) for n in (2, 5, 3)}
    assert [(x.shape, x.ndim, x.nbytes) for x in flat.values()][0] == ((2,), 1, 8)
    assert reads == []
    assert list(tensors.materialise(flat)) == ["a2", "a5", "a3"]
    assert reads == [(5,), (3,), (2,)]


def test_dtype_and_sharding_are_given_for_all_or_by_name():
    flat = {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    for dtype in ("bfloat16", jnp.bfloat16, ml_dtypes.bfloat16, np.dtype("bfloat16")):
        assert tensors.materialise(flat, dtype)["a"].dtype == tensors.BFLOAT16
    assert tensors.materialise(flat, np.float16)["a"].dtype == np.float16
    got = tensors.materialise(flat, lambda n: "bfloat16" if n == "a" else None, one)
    assert (got["a"].dtype, got["b"].dtype) == (jnp.bfloat16, jnp.float32)
    assert all(isinstance(x, jax.Array) and x.sharding == one for x in got.values())
    got = tensors.materialise(flat, None, lambda n: one if n == "a" else None)
    assert isinstance(got["a"], jax.Array) and isinstance(got["b"], np.ndarray)


def test_sha256_tells_name_dtype_shape_and_values_but_not_memory_layout():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = tensors.sha256("a", np.asfortranarray(x))
    assert tensors.sha256("a", x) == same
    others = [("b", x), ("a", x + 1), ("a", x.reshape(3, 2)), ("a", x.view(np.int32))]
    assert len({same, *(tensors.sha256(*o) for o in others)}) == 5
    assert tensors.sha256("a", np.float32(1).reshape(())) != tensors.sha256("a", np.ones(1, "f4"))
