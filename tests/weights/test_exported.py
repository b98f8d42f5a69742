"""Reading an export: its sums, its settings and its arrays, also in int8."""

import json
import shutil

import numpy as np
import orbax.checkpoint as ocp
import pytest

from big_rad import weights
from big_rad.weights import exported
from tools.exporting import quantise

ARRAYS = {
    "img/head/bias": np.arange(4, dtype=np.float32),
    "llm/layers/mlp/linear": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 4, 3),
}


def write(folder, arrays=ARRAYS, **more):
    """A small export without a model; returns its folder."""
    folder.mkdir()
    tree = {}
    for name, x in arrays.items():
        *path, last = name.split("/")
        here = tree
        for key in path:
            here = here.setdefault(key, {})
        here[last] = x
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "params").absolute(), tree)
    content = dict(
        format=exported.FORMAT,
        format_version=1,
        dtype="run",
        params={n: [list(x.shape), x.dtype.name] for n, x in arrays.items()},
        meta={"config": {}},
        source={"step": 7},
    )
    (folder / "config.json").write_text(json.dumps(content | more))
    (folder / "tokenizer.model").write_bytes(b"x")
    exported.write_sums(folder)
    return folder


def test_arrays_are_read_as_they_were_written_and_the_step_is_said(tmp_path):
    folder, lines = write(tmp_path / "x"), []
    assert weights.kind(folder) == "export"
    flat, meta = exported.read(folder, log=lines.append)
    assert meta == {"config": {}} and "step 7" in lines[0]
    assert flat.keys() == ARRAYS.keys()
    for _ in range(2):  # A lazy array can be read again.
        for name, x in ARRAYS.items():
            assert flat[name].shape == x.shape and flat[name].dtype == x.dtype
            np.testing.assert_array_equal(np.asarray(flat[name]), x)


def test_int8_is_widened_when_it_is_read(tmp_path):
    stored = quantise.quantised(ARRAYS)
    assert stored["llm/layers/mlp/linear"].dtype == np.int8
    assert stored["img/head/bias"].dtype == np.float32
    flat, _ = exported.read(write(tmp_path / "x", stored))
    assert flat.keys() == ARRAYS.keys()
    got = np.asarray(flat["llm/layers/mlp/linear"])
    want = ARRAYS["llm/layers/mlp/linear"]
    assert got.dtype == np.float32
    half = np.abs(want).max(axis=1, keepdims=True) / 127 / 2
    assert (np.abs(got - want) <= half + 1e-7).all() and (got != want).any()


def test_sums_are_those_of_sha256sum(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    exported.write_sums(tmp_path)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # RFC 6234.
    assert (tmp_path / "SHA256SUMS").read_text() == f"{empty}  a\n"
    assert exported.damaged(tmp_path) == []
    (tmp_path / "b").write_bytes(b"")
    assert exported.damaged(tmp_path) == ["b is not in SHA256SUMS"]
    assert exported.damaged(tmp_path, only=("a",)) == []
    (tmp_path / "SHA256SUMS").unlink()
    assert exported.damaged(tmp_path) == ["SHA256SUMS is missing"]


def test_another_version_and_another_shape_are_errors_that_name_them(tmp_path):
    with pytest.raises(ValueError, match="format_version.*9.*install the version"):
        exported.read(write(tmp_path / "a", format_version=9))
    wrong = {n: [[1, *x.shape], x.dtype.name] for n, x in ARRAYS.items()}
    flat, _ = exported.read(write(tmp_path / "b", params=wrong))
    with pytest.raises(ValueError):
        np.asarray(flat["img/head/bias"])


def test_a_folder_without_its_parameters_or_of_hugging_face_is_no_export(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "paligemma"}')
    assert not exported.is_export(tmp_path)
    (tmp_path / "params").mkdir()
    assert not exported.is_export(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "big_rad export"}')
    assert exported.is_export(tmp_path)


@pytest.mark.parametrize("part", ["params", "config.json", "tokenizer.model"])
def test_an_export_from_which_a_part_was_removed_is_a_damaged_export(tmp_path, part):
    path = write(tmp_path / "x")
    for file in [p for p in path.rglob("*") if p.is_file()]:
        if file.relative_to(path).parts[0] == part:
            file.unlink()
    shutil.rmtree(path / "params") if part == "params" else None
    assert weights.kind(path) == "export"
    with pytest.raises(ValueError, match=f"is damaged: {part}.* is missing"):
        exported.read(path)
