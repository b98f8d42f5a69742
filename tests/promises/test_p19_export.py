"""P19: an export answers as its run does, and a changed byte is noticed."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from big_rad import predict
from big_rad.inference import decode, load
from big_rad.inference.asks import Ask
from big_rad.weights import exported, source_config
from tests.helpers import exports
from tools import export
from tools.exporting import goldens, verify

NEW = 12


def silent(line):
    del line


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return exports.write_run(tmp_path_factory.mktemp("run"), exports.config(masks=False))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "x"
    return export.export(run, out, hlo=True, hf=True, log=silent)


def test_run_py_and_radgrounder_answer_as_the_run_in_batches_of_five_and_of_one(
    run, made, tmp_path
):
    program, rng = exports.program_of(made), np.random.default_rng(0)
    paths = [str(tmp_path / f"{i}.png") for i in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)).save(path)
    asks = [Ask(p, ground="none", constrained=False, max_new_tokens=NEW) for p in paths]
    prompt = program.CONFIG["prompts"]["report_en"].replace(" and detect keywords", "")

    model = predict.RadGrounder.load(made, rows=8, alternatives=0, log=silent)
    requests = [model.prepare(ask).request for ask in asks]
    images = [program.read_image(p) for p in paths]
    np.testing.assert_allclose(images, [r.image for r in requests], atol=1e-6)
    text = np.zeros((5, 32), np.int32)
    for row, request in zip(text, requests, strict=True):
        row[: len(request.text)] = request.text
    first = load.load(run, dtype=None, log=silent)
    options = goldens.options(first, NEW)
    want = decode.make_generate(first.model, options)(
        first.params, np.stack(images), text, 0 * text
    )
    assert len({str(row) for row in np.asarray(want["tokens"])}) > 1

    params = program.load()
    for rows in (5, 1):
        got, _ = program.answer(params, images[:rows], [prompt] * rows, NEW)
        np.testing.assert_array_equal(got["tokens"][:, :NEW], want["tokens"][:rows])
        np.testing.assert_allclose(
            got["token_logprobs"][:, :NEW], want["token_logprobs"][:rows], atol=1e-5
        )
    for k, found in enumerate(model.ask(asks)):  # Four in one batch, and one alone.
        texts = [first.tokenizer.decode([i]) for i in np.asarray(want["tokens"][k]) if i]
        assert [d.text for d in found.details] == texts
        logprobs = [d.logprob for d in found.details]
        np.testing.assert_allclose(logprobs, want["token_logprobs"][k][: len(texts)], atol=1e-5)


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


def test_no_file_names_a_folder_of_the_machine_that_wrote_it(made, run):
    for name in files_of(made):
        content = (made / name).read_bytes()
        for folder in (made.parent, run.parent):
            assert str(folder).encode() not in content, name


def test_a_flipped_byte_in_any_file_is_noticed(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    assert len(files_of(copy)) > 15
    program = exports.program_of(copy)
    program.check()
    used = ("params", "hlo", "config.json", "tokenizer.model")
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
            if name.parts[0] in used:
                with pytest.raises(SystemExit, match="missing or changed"):
                    program.check()
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
    for part in ("| tiny |", "| 12 |", "`abababababababab`", "step 3", "points with boxes",
                 "not for diagnosis", "uncalibrated", f"JAX {jax.__version__}"):  # fmt: skip
        assert part in text, part
    assert "Gemma Terms of Use" in (made / "NOTICE").read_text()
    table = json.loads((made / "classes.json").read_text())
    assert len(table) == 121 and table[4]["name"] == "liver"


def test_the_hugging_face_folder_is_that_of_tools_convert(made):
    config = json.loads((made / "hf/config.json").read_text())
    assert config["text_config"]["layer_types"] == ["sliding_attention"]
    assert config["text_config"]["model_type"] == "gemma2"
    tokenizer = json.loads((made / "hf/tokenizer_config.json").read_text())
    assert tokenizer["add_bos_token"] is False
    first, second = load.load(made / "hf", log=silent), load.load(made, log=silent)
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
