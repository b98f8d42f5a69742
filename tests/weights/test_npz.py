import pickle
import tracemalloc
import zipfile

import flax
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from big_rad import models
from big_rad.weights import npz


def flat(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


@pytest.fixture
def file(tiny, tmp_path):
    """An npz with arrays of three dtypes, stored as in the original."""
    arrays = flat(tiny.params)
    arrays = {
        n: x.astype(ml_dtypes.bfloat16).view("V2") if n.startswith("img") else x
        for n, x in arrays.items()
    }
    arrays["llm/final_norm/scale"] = arrays["llm/final_norm/scale"].astype(np.float16)
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


@pytest.mark.parametrize("prefix", ["", "params/"])
@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_names_and_values_are_those_of_the_file(prefix, writer, tiny, tmp_path):
    want = flat(tiny.params)
    writer(tmp_path / "a.npz", **{prefix + n: x for n, x in want.items()})
    got = flat(npz.load(tmp_path / "a.npz"))
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])


def test_void_arrays_are_bf16_and_f16_and_f32_stay_what_they_are(file, tiny):
    got = npz.load(file)
    assert got["img"]["head"]["bias"].dtype == ml_dtypes.bfloat16
    assert got["llm"]["final_norm"]["scale"].dtype == np.float16
    assert got["llm"]["embedder"]["input_embedding"].dtype == np.float32
    want = tiny.params["img"]["head"]["kernel"].astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(got["img"]["head"]["kernel"], want)


def test_a_colon_addresses_a_subtree(file):
    whole = npz.load(file)
    head = npz.load(f"{file}:img/head")
    assert sorted(head) == ["bias", "kernel"]
    np.testing.assert_array_equal(head["bias"], whole["img"]["head"]["bias"])
    assert sorted(npz.load(f"{file}:img")) == sorted(whole["img"])
    assert list(npz.load(f"{file}:img/head/bias")) == ["bias"]
    with pytest.raises(ValueError, match="nothing under 'img/hea'"):
        npz.load(f"{file}:img/hea")


def test_arrays_go_onto_the_target_dtype_and_device(file):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    got = npz.load(
        file, dtype=lambda n: "float32" if n.startswith("llm") else "bfloat16", sharding=device
    )
    for name, value in flat(got).items():
        assert isinstance(value, jax.Array)
        assert value.dtype == (jnp.float32 if name.startswith("llm") else jnp.bfloat16)


def test_what_is_written_is_what_the_original_looks_like(file, tmp_path):
    npz.save(tmp_path / "b.npz", npz.load(file))
    with np.load(tmp_path / "b.npz", allow_pickle=False) as b, np.load(file) as a:
        assert set(a.files) == set(b.files)
        for name in a.files:
            assert a[name].dtype == b[name].dtype
            assert a[name].tobytes() == b[name].tobytes()
        assert b["img/head/bias"].dtype == np.dtype("V2")


def test_the_same_parameters_in_any_order_give_the_same_bytes(tmp_path):
    a, b = np.ones(3, np.float32), np.zeros((2, 2), np.float32)
    npz.save(tmp_path / "a.npz", {"x": {"b": b, "a": a}, "c": a})
    npz.save(tmp_path / "b.npz", {"c": a, "x": {"a": a, "b": b}})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    class Broken:
        shape, dtype = (1,), np.dtype("f4")

        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        npz.save(tmp_path / "a.npz", {"a": np.ones(3), "b": Broken()})
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_named(file):
    whole = file.read_bytes()
    for keep in (len(whole) // 2, len(whole) - 10, 0):
        file.write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r"a\.npz.*no readable npz.*download it again"):
            npz.load(file)


def test_a_flipped_byte_in_an_array_is_noticed(file):
    name = "llm/embedder/input_embedding.npy"
    with zipfile.ZipFile(file) as archive:
        at = archive.getinfo(name).header_offset + 600
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}.*CRC"):
        npz.load(file)


def test_pickles_are_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return pytest.fail, ("a pickle was run",)

    (tmp_path / "a.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="no readable npz"):
        npz.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", a=np.ones(2), b=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        npz.load(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", np.ones(2))
    (tmp_path / "c.npy").rename(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="no readable npz"):
        npz.load(tmp_path / "c.npz")


@pytest.mark.parametrize("change", ["dropped", "renamed", "extra", "transposed"])
def test_a_tensor_that_is_dropped_renamed_extra_or_transposed_is_named(change, tiny, tmp_path):
    name, arrays = "llm/layers/mlp/linear", flat(tiny.params)
    if change == "dropped":
        del arrays[name]
        want = [f"missing: {name}"]
    elif change == "renamed":
        arrays[name + "/w"] = arrays.pop(name)
        want = [f"missing: {name}", f"unexpected: {name}/w"]
    elif change == "extra":
        arrays["llm/layers/extra"] = np.zeros(3)
        want = ["unexpected: llm/layers/extra"]
    else:
        arrays[name] = arrays[name].transpose(0, 2, 1)
        want = [f"shape: {name} is (2, 16, 32), the model has (2, 32, 16)"]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError) as e:
        models.load("paligemma", tiny.params, npz.load(tmp_path / "a.npz"))
    problems = [line.strip() for line in str(e.value).splitlines()[1:-1]]
    assert problems == want


def test_loading_never_holds_two_copies(tmp_path):
    arrays = {f"a{i}": np.ones((512, 1024), np.float32) for i in range(16)}
    np.savez(tmp_path / "a.npz", **arrays)
    size = sum(x.nbytes for x in arrays.values())
    del arrays
    tracemalloc.start()
    loaded = npz.load(tmp_path / "a.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(loaded) == 16 and peak < 1.1 * size
