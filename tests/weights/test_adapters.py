"""Adapters as a file: they are saved from a run, and merged into their base model."""

import jax
import numpy as np
import pytest

from big_rad import models, trees, weights
from big_rad.models import common, lora
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import adapters, orbax
from tools import convert

SPEC = dict(rank=3, alpha=6.0)


def config(model):
    tokenizer = dict(path="tiny", sets=["detection"])
    image = dict(size=8, normalize="medgemma")
    codec = dict(name="radgrounder", grid=None)
    return dict(model_name="paligemma", model=model, tokenizer=tokenizer, codec=codec, image=image)


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    """A run without adapters, and one with adapters on its matrices in bfloat16."""
    folder = tmp_path_factory.mktemp("runs")
    model = tiny.make(lora=SPEC)
    tokens = np.ones((1, 4), np.int32)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), tiny.image[:1], tokens, 0 * tokens)
    )
    new = tiny.randomise(shapes["params"], seed=4)["lora"]
    frozen = jax.tree.map(lambda x: jax.numpy.asarray(x, jax.numpy.bfloat16), tiny.params)
    orbax.save(folder / "base", tiny.params, config({}))
    orbax.save(folder / "own", {**frozen, "lora": new}, config(dict(lora=SPEC)))
    return folder


def test_what_is_saved_alone_and_merged_into_its_model_is_what_the_run_merges_to(runs, tmp_path):
    assert convert.main([str(runs / "own"), str(tmp_path / "a.npz"), "--only-adapters"]) == 0
    whole = sum(x.nbytes for x in trees.flatten(weights.load(runs / "own")).values())
    assert (tmp_path / "a.npz").stat().st_size < 0.5 * whole
    base = weights.read(runs / "base")
    merged = adapters.merge(base, tmp_path / "a.npz")
    assert merged.keys() == base.keys()
    wanted = trees.flatten(weights.load(runs / "own"))
    changed = 0
    for name, value in merged.items():
        # The run's own model is in bfloat16, which has 8 significant bits.
        close = dict(rtol=2**-7, atol=2**-7)
        np.testing.assert_allclose(
            np.asarray(value, np.float32), np.asarray(wanted[name], np.float32), **close
        )
        changed += bool(np.any(np.asarray(value) != np.asarray(base[name])))
    assert changed == 6  # Five matrices, and the table.


def test_a_file_that_exists_is_not_written_over(runs, tmp_path):
    (tmp_path / "a.npz").write_text("mine")
    with pytest.raises(FileExistsError, match="a.npz exists"):
        adapters.save(runs / "own", tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_text() == "mine"


def test_adapters_of_another_model_are_refused(runs, tmp_path):
    adapters.save(runs / "own", tmp_path / "a.npz")
    other = weights.read(runs / "base")
    name = "llm/layers/mlp/linear"
    other[name] = np.asarray(other[name]) + 0.1
    with pytest.raises(ValueError, match="belongs to another model: llm/layers/mlp/linear"):
        adapters.merge(other, tmp_path / "a.npz")


def test_adapters_of_new_tokens_fit_a_table_that_lacks_their_rows(tiny, tmp_path, capsys):
    tokenizer, base = tokenizers.load("tiny", ("detection",)), str(tmp_path / "base")
    orbax.save(base, tiny.params, config({}), tokenizer)
    rows = tokenizer.padded_vocab_size
    table = tiny.params["llm"]["embedder"]["input_embedding"]
    assert len(table) < rows
    whole = common.extend_embedding(np.zeros((rows, table.shape[1]), np.float32), table)
    own = weights.load(base)
    own["llm"]["embedder"]["input_embedding"] = whole
    a = np.random.default_rng(0).standard_normal((rows, SPEC["rank"])).astype(np.float32)
    b = np.ones((SPEC["rank"], table.shape[1]), np.float32)
    own["lora"] = {"embedder": {"input_embedding": {"a": a, "b": b}}}
    spec = dict(SPEC, targets=lora.TABLE)
    orbax.save(tmp_path / "own", own, config(dict(lora=spec)))
    adapters.save(tmp_path / "own", tmp_path / "a.npz")
    options = ["--adapters", str(tmp_path / "a.npz")]
    assert convert.main([base, str(tmp_path / "m.npz"), *options]) == 2
    assert f"the model {len(table)}; convert with --to orbax" in capsys.readouterr().err
    assert convert.main([base, str(tmp_path / "m"), "--to", "orbax", *options]) == 0
    told = orbax.read(tmp_path / "m")[1]["config"]
    models.make(told["model_name"], told["model"], rows)  # Does not raise.
    merged = weights.load(tmp_path / "m")["llm"]["embedder"]["input_embedding"]
    np.testing.assert_allclose(merged, whole + spec["alpha"] / spec["rank"] * a @ b, atol=1e-5)


def test_a_run_without_adapters_and_a_file_that_holds_none_are_errors(runs, tmp_path, capsys):
    with pytest.raises(ValueError, match="has no adapters"):
        adapters.save(runs / "base", tmp_path / "b.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for file, kind in (
        (tmp_path / "other.npz", ValueError),
        (tmp_path / "none", FileNotFoundError),
    ):
        with pytest.raises(kind, match="--only-adapters"):
            adapters.merge(weights.read(runs / "base"), file)
    arguments = [str(runs / "base"), str(tmp_path / "c.npz"), "--adapters", str(tmp_path / "none")]
    assert convert.main(arguments) == 2 and "--only-adapters" in capsys.readouterr().err
