"""P19: an export answers as its run does, and a changed byte is noticed."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from big_rad import predict
from big_rad.inference import load
from big_rad.inference.asks import Ask
from big_rad.weights import exported, source_config
from tests.helpers import exports
from tools import export
from tools.exporting import verify

NEW = 12


def silent(line):
    del line


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return exports.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    return export.export(run, tmp_path_factory.mktemp("out") / "x", hlo=True, log=silent)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five PNG of different sizes."""
    folder, rng = tmp_path_factory.mktemp("png"), np.random.default_rng(0)
    for i in range(5):
        pixels = rng.integers(0, 255, (30 + i, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(5)]


def answers(checkpoint, pictures):
    model = predict.RadGrounder.load(checkpoint, rows=8, alternatives=0, log=silent)
    asks = [
        Ask(p, task="vqa", question=f"Question {i}?", constrained=False, max_new_tokens=NEW)
        for i, p in enumerate(pictures)
    ]
    return [
        ([d.text for d in x.details], [d.logprob for d in x.details]) for x in model.ask(asks)
    ]


def test_run_py_and_the_export_answer_as_the_run_in_batches_of_five_and_of_one(
    run, made, pictures
):
    want, got = (answers(x, pictures) for x in (run, made))
    program = exports.program_of(made)
    params = program.load()
    images = [program.read_image(p) for p in pictures]
    prompts = [
        program.CONFIG["prompts"]["vqa_en"].replace("{question}", f"Question {i}?")
        for i in range(5)
    ]
    five, _ = program.answer(params, images, prompts, NEW)
    one, _ = program.answer(params, images[:1], prompts[:1], NEW)
    decode = load.load(made, dtype=None, log=silent).tokenizer.decode
    assert len({str(tokens) for tokens, _ in want}) > 1
    for k, (tokens, logprobs) in enumerate(want):
        assert got[k][0] == tokens
        np.testing.assert_allclose(got[k][1], logprobs, atol=1e-5)
        for found in (five, one)[: 1 + (k == 0)]:
            ids = found["tokens"][k][found["tokens"][k] != 0]
            assert [decode([i]) for i in ids] == tokens
            np.testing.assert_allclose(
                found["token_logprobs"][k][: len(ids)], logprobs, atol=1e-5
            )


def test_the_arrays_are_those_of_the_run_so_an_evaluation_gives_the_same_figures(run, made):
    first, second = (load.load(x, log=silent) for x in (run, made))
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
    assert first.tokenizer.fingerprint == second.tokenizer.fingerprint
    assert first.never == second.never
    own, exported_fields = (source_config.read(x) for x in (run, made))
    for name in source_config.FIELDS:
        if name != "tokenizer":
            assert own[name] == exported_fields[name], name
    assert source_config.evals(made) == source_config.evals(run) != {}


def files_of(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def test_a_flipped_byte_in_any_file_is_noticed(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    assert len(files_of(copy)) > 15
    for name in files_of(copy):
        path = copy / name
        good = path.read_bytes()
        assert good, name
        for place in {0, len(good) // 2, len(good) - 1}:
            bad = bytearray(good)
            bad[place] ^= 0x20
            path.write_bytes(bad)
            checks = verify.verify(copy, log=silent)
            assert verify.failed(checks), (name, place)
        path.unlink()
        assert f"{name.name}" in " ".join(verify.failed(verify.verify(copy, log=silent)))
        path.write_bytes(good)
    (copy / "params" / "new").write_bytes(b"x")
    assert "params/new is not in SHA256SUMS" in str(verify.failed(verify.verify(copy, log=silent)))


@pytest.mark.parametrize("part", ["config.json", "tokenizer.model", "params", "SHA256SUMS"])
def test_a_changed_byte_of_what_a_model_needs_is_an_error_when_it_is_loaded(made, tmp_path, part):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    paths = [copy / part]
    if part == "params":
        paths = [p for p in (copy / part).rglob("*") if p.is_file()]
    for path in paths:
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        for dtype in (None, "float32"):
            with pytest.raises(load.CheckpointError, match="damaged|not what was written"):
                load.load(copy, dtype=dtype, log=silent)
        path.write_bytes(good)


def test_verify_says_that_the_programs_are_not_tried_by_an_older_jax(made, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    exports.change(copy, "config.json", lambda c: c["hlo"].update(jax="99.1.0"))
    assert export.main(["--verify", str(copy)]) == 0
    said = capsys.readouterr().out
    assert "HLO not tried: JAX 99.1.0 wrote it" in said and jax.__version__ in said
    assert said.count("\n") == 4 and "failed" not in said
    (copy / "NOTICE").write_text("other")
    assert export.main(["--verify", str(copy)]) == 1
    assert "files failed: NOTICE is not what was written" in capsys.readouterr().out


def test_verify_notices_other_answers_and_another_preprocessing(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)

    def zoom(c):
        c["meta"]["config"]["image"]["normalize"] = "min_max"

    exports.change(copy, "config.json", zoom)
    said = " ".join(verify.failed(verify.verify(copy, log=silent)))
    assert "preprocessing failed" in said and "answers failed" in said and "HLO failed" in said


def test_the_language_model_is_in_memory_once(made):
    params = load.load(made, dtype=None, log=silent).params
    content = exported.read_config(made)
    held = sum(x.nbytes for x in jax.tree.leaves(params))
    wanted = sum(
        np.prod(shape) * np.dtype(content["computed"][n]).itemsize
        for n, (shape, _) in content["params"].items()
    )
    assert held == wanted and "layers" not in params["llm"]
    weights = load.load(made, dtype=None, log=silent).model.decode_weights(params)
    buffers = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(params["llm"])}
    assert {x.unsafe_buffer_pointer() for x in jax.tree.leaves(weights)} <= buffers


def test_the_card_says_what_the_run_says(made):
    text = (made / "README.md").read_text(encoding="utf-8")
    for part in ("| tiny |", "| 12 |", "`abababababababab`", "step 3", "points with masks",
                 "not for diagnosis", "uncalibrated", f"JAX {jax.__version__}"):  # fmt: skip
        assert part in text, part
    assert "Gemma Terms of Use" in (made / "NOTICE").read_text()
    table = json.loads((made / "classes.json").read_text())
    assert len(table) == 121 and table[4]["name"] == "liver"
