"""Tables of every height become one model from both formats; foreign ones are refused."""

import json

import numpy as np
import pytest

from big_rad import evaluate, predict, trees
from big_rad.inference import load
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import npz, source_config
from tests.helpers import foreign, siglips, towers
from tools import export

TINY = tokenizers.load("tiny")


def loaded(path):
    lines = []
    return load.load(path, log=lines.append), "\n".join(lines)


@pytest.mark.parametrize("height", foreign.HEIGHTS)
def test_every_height_gives_the_same_table_and_says_what_it_lacks(height, tmp_path):
    found, said = loaded(foreign.write_npz(tmp_path, height))
    table, want = foreign.table(found.params), foreign.table(foreign.params(max(foreign.HEIGHTS)))
    assert table.shape == (foreign.PADDED, 16)
    rows = min(height, foreign.PADDED)
    np.testing.assert_array_equal(table[:rows], want[:rows])
    assert np.isfinite(table).all()
    assert found.untrained == tuple(t for t in foreign.MARKUP if TINY.id_of(t) >= height)
    for token in foreign.MARKUP:
        assert (f"{token}" in said.partition("no trained row for ")[2]) == (
            token in found.untrained
        )
    assert ("1 of 3,201 rows of the embedding table stand for no token" in said) == (height > 3200)
    # If one token of a markup set has no trained row, no token of the set is ever generated.
    detection = {TINY.id_of(t) for t in foreign.MARKUP[:3]} if height < 3156 else set()
    segmentation = {TINY.id_of(t) for t in foreign.MARKUP[3:]} if height < 3158 else set()
    assert set(found.never) == detection | segmentation


@pytest.mark.parametrize(
    "height, sets, untrained",
    [
        (3152, (), foreign.MARKUP),
        (3155, ("segmentation",), ()),
        (3156, ("detection",), ()),
        (3158, ("detection", "segmentation"), ()),
        (3158, ("segmentation", "detection"), ()),
        (3199, (), foreign.MARKUP),  # Padding rows do not count as trained.
        (3200, ("detection",), ()),
        (3201, ("detection", "segmentation"), ()),
    ],
)
def test_a_folder_s_own_tokens_tell_what_was_trained(height, sets, untrained, tmp_path):
    found, said = loaded(foreign.write_hf(tmp_path / "hf", height, sets))
    assert found.tokenizer.sets == (sets or ("detection", "segmentation"))
    assert found.untrained == untrained and ("no trained row" in said) == bool(untrained)
    assert foreign.table(found.params).shape == (foreign.PADDED, 16)


@pytest.mark.parametrize("height", [64, 2000, 3151])
def test_a_table_shorter_than_the_ordinary_vocabulary_is_another_tokenizer_s(height, tmp_path):
    path = foreign.write_npz(tmp_path, height)
    with pytest.raises(ValueError, match=rf"{height:,} rows.*3,152 tokens.*do not belong together"):
        loaded(path)


def test_a_table_many_times_as_tall_is_another_tokenizer_s(tmp_path):
    params = foreign.params(3200)
    table = np.zeros((257_152, 16), np.float16)
    params["llm"]["embedder"] = {"input_embedding": table}
    path = foreign.write_npz(tmp_path, 3200)
    npz.save(path, params)
    with pytest.raises(ValueError, match="257,152 rows.*far more rows"):
        loaded(path)


def test_what_is_guessed_of_an_npz_is_said_and_its_sidecar_is_believed(tmp_path):
    path = foreign.write_npz(tmp_path, 3200)
    assert "boxes are read in the codec 'paligemma'" in loaded(path)[1]
    assert str(tmp_path / "paligemma_tokenizer.model") in loaded(path)[1]
    model = foreign.cfg(3200) | dict(llm=foreign.cfg(3200)["llm"] | dict(final_logits_softcap=20.0))
    codec = dict(name="radgrounder", grid=224)
    beside = dict(model=model, sets=["detection"], codec=codec, normalize="min_max")
    path.with_name("model.npz.json").write_text(json.dumps(beside))
    found, said = loaded(path)
    assert "codec" not in said and found.tokenizer.sets == ("detection",) and not found.untrained
    assert found.model.llm["final_logits_softcap"] == 20.0
    assert found.fields["codec"] == codec and found.fields["image"]["normalize"] == "min_max"
    path.with_name("model.npz.json").write_text("{")
    with pytest.raises(ValueError, match="model.npz.json is no JSON"):
        loaded(path)


@pytest.mark.parametrize(
    "sets, masks, missing, points",
    [
        (("detection", "segmentation"), False, (), True),
        (("detection", "segmentation"), False, ("<seg>", "</seg>"), True),
        (("detection", "segmentation"), True, ("</seg>",), False),
        (("detection", "segmentation"), False, ("id=",), False),
        (("segmentation",), False, (), False),
        (("segmentation",), True, (), True),
        ((), False, (), False),
    ],
)
def test_a_model_points_if_the_tokens_it_needs_are_trained(sets, masks, missing, points):
    tokenizer = tokenizers.load("tiny", sets)
    assert source_config.tokenizer_points(tokenizer, masks, missing) == points


@pytest.mark.parametrize("dtype", ["float32", None])
@pytest.mark.parametrize("padding", [0, 72])
def test_a_run_of_two_towers_is_loaded_with_the_table_that_it_has(dtype, padding, tmp_path):
    run = siglips.run(tmp_path / "run", "tiny", padding=padding)
    found = load.load(run, dtype=dtype, log=lambda _: None)
    assert found.untrained == () and found.fields["model_name"] == "two_towers"
    assert found.tokenizer.fingerprint == TINY.fingerprint
    want = siglips.flat(TINY.text_size + padding)
    flat = trees.flatten(found.params)
    assert flat.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_array_equal(flat[name], value)
    text = np.ones((2, 6), np.int32)
    (_, embedded), _ = found.model.apply({"params": found.params}, None, text)
    assert embedded.shape == (2, 24)


@pytest.mark.parametrize(
    "main, arguments",
    [
        (export.main, "{run} {out}"),
        (predict.main, "--checkpoint={run} --modality=CT {image} --out={out}"),
        (evaluate.main, "--checkpoint={run} --data=phantom --data_dir={out} --out={out}"),
    ],
)
def test_what_needs_answers_refuses_two_towers(main, arguments, tmp_path, capsys):
    places = dict(run=tmp_path / "run", out=tmp_path / "out", image=tmp_path / "x.npy")
    towers.write_run(places["run"])
    np.save(places["image"], np.zeros((28, 28), np.int16))
    try:
        code = main(arguments.format(**places).split())
    except SystemExit as e:
        code = e.code
    assert code == 2
    assert "embeds images and texts" in capsys.readouterr().err.splitlines()[-1]


def test_a_siglip_of_another_program_needs_its_tokenizer_beside_it_and_says_what_it_guesses(
    tmp_path,
):
    spiece = siglips.spiece()
    npz.save(tmp_path / "a.npz", trees.unflatten(siglips.flat(44)))
    with pytest.raises(load.CheckpointError, match=r"holds none of spiece.model"):
        load.load(tmp_path / "a.npz", log=lambda _: None)
    (tmp_path / "spiece.model").write_bytes(spiece)
    found, said = loaded(tmp_path / "a.npz")
    assert "images are normalised as those of RadGrounder" in said
    assert found.fields["image"] == dict(size=siglips.SIDE, normalize="medgemma")
    assert found.model.txt["vocab_size"] == found.tokenizer.vocab_size == 44
    fields = found.fields | dict(tokenizer=dict(path="tiny", sets=[]))
    with pytest.raises(load.CheckpointError, match="has 44 rows, and the tokenizer .* 2,000"):
        load.load(tmp_path / "a.npz", fields, log=lambda _: None)
