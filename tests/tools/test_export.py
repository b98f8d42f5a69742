"""tools.export: its options and refusals, int8, the model card, and the comparison of answers."""

import json
import pathlib

import numpy as np
import pytest

from big_rad.workdir import run_dir
from tests.helpers import exports, imports
from tools import export
from tools.exporting import card, goldens, programs, quantise, verify


def refused(*arguments, capsys):
    assert export.main(list(map(str, arguments))) == 2
    return capsys.readouterr().err


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    out = tmp_path / "out"
    assert "no checkpoint here" in refused(run / "x", out, capsys=capsys)
    assert "--data=NAME" in refused(run, out, "--dtype=int8", capsys=capsys)
    assert "belongs to --dtype=int8" in refused(run, out, "--data=phantom", capsys=capsys)
    assert "give RUN and OUT" in refused(run, capsys=capsys)
    assert "takes one folder" in refused(run, "--verify", run, capsys=capsys)
    assert "not exist" in refused("--verify", out, capsys=capsys)
    (tmp_path / "model.npz").write_bytes(b"")
    said = refused(tmp_path / "model.npz", out, capsys=capsys)
    assert "tools.convert" in said and "--to orbax" in said
    out.mkdir()
    assert "exists; name a new folder" in refused(run, out, capsys=capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.npz", "out", "run"]


def test_a_mask_mode_that_transformers_does_not_compute_is_refused_with_hf(tmp_path, capsys):
    run = exports.write_run(tmp_path / "run", exports.config("image_isolated", masks=False))
    said = refused(run, tmp_path / "out", "--hf", capsys=capsys)
    assert "'image_isolated'" in said and "--allow-other-mask" in said
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("module", ["big_rad.predict", "tools.export"])
def test_predicting_from_an_export_and_exporting_need_no_data_packages(module):
    found = {name.partition(".")[0] for name in imports.along_with(module)}
    assert "orbax" in found
    heavy = {
        "grain",
        "tensorflow_datasets",
        "pyarrow",
        "optax",
        "clu",
        "array_record",
        "tensorflow",
    }
    assert not found & heavy


def test_run_py_is_short_and_imports_nothing_of_big_rad():
    path = pathlib.Path(export.__file__).parent / "exporting" / "run.py"
    found = {name.partition(".")[0] for name in imports.along_with("tools.exporting.run")}
    own = {"tools", "argparse", "functools", "hashlib", "json", "pathlib", "re", "sys", "typing",
           "collections"}  # fmt: skip
    assert found - own == {"jax", "numpy", "orbax", "sentencepiece", "PIL"}
    assert len(list(filter(None, path.read_text().splitlines()))) < 150


# ---- int8 ----


@pytest.mark.parametrize("axes, channels", [((1,), (5, 1, 3)), ((1, 2), (5, 1, 1))])
def test_int8_is_symmetric_per_output_channel_and_off_by_half_a_step_at_most(axes, channels):
    w = np.random.default_rng(0).standard_normal((5, 64, 3)).astype(np.float32)
    w[0, :, 0] = 0
    values, scale = quantise.to_int8(w, axes)
    assert values.dtype == np.int8 and scale.shape == channels and scale.dtype == np.float32
    assert values.min() >= -127
    assert (np.abs(values * scale - w) <= scale / 2 * 1.001).all()
    np.testing.assert_array_equal(quantise.to_int8(-w, axes)[0], -values)
    error = np.linalg.norm(values * scale - w) / np.linalg.norm(w)
    assert error < 0.01


def figures(**changes):
    same = dict(tokens=100, agreement=0.995, locations=8, agreement_locations=0.9, kl=1e-4)
    return quantise.Figures(
        **same | dict(kl_locations=1e-3, pairs=10, g_iou=0.5, g_iou_change=-0.009) | changes
    )


def test_int8_is_refused_below_the_agreement_or_when_boxes_get_worse():
    figures().check()
    figures(pairs=0, g_iou=None, g_iou_change=None).check()
    with pytest.raises(quantise.Refused, match="agreement is 0.9890, below 0.99"):
        figures(agreement=0.989).check()
    with pytest.raises(quantise.Refused, match="G-IoU falls by 0.0110, more than 0.01"):
        figures(g_iou_change=-0.011).check()
    assert "location tokens alone 0.9000" in figures().sentence()


# ---- Answers ----


def answered(tokens, logprobs, gaps):
    arrays = dict(tokens=[tokens], token_logprobs=[logprobs], gap=[gaps])
    return {n: np.array(x) for n, x in arrays.items()}


def test_a_token_may_differ_only_where_rounding_decides():
    want = answered([5, 6, 7], [-1.0, -1.0, -1.0], [2.0, 1e-6, 2.0])
    same = goldens.differences(want, answered([5, 6, 7], [-1, -1, -1.00001], []), 1e-4)
    assert same[0] == [] and same[1] == pytest.approx(1e-5)
    lines, _ = goldens.differences(want, answered([5, 6, 8], [-1, -1, -1], []), 1e-4)
    assert lines == ["answer 0: token 2 is 8, and 7 was written"]
    lines, _ = goldens.differences(want, answered([5, 9, 8], [-1, -1, -1], []), 1e-4)
    assert lines == []
    for off in (-1.001, np.nan):
        lines, _ = goldens.differences(want, answered([5, 6, 7], [off, -1, -1], []), 1e-4)
        assert "a log probability differs" in lines[0]


def test_other_masks_and_another_number_of_them_are_noticed():
    want = answered([5], [-1.0], [1.0]) | dict(num_masks=[1], mask_logits=np.ones((1, 2, 3, 3)))
    for change in (dict(num_masks=[0]), dict(mask_logits=np.full((1, 2, 3, 3), 1.1))):
        assert goldens.differences(want, {**want, **change}, 1e-4)[0]
    behind = want["mask_logits"].copy()
    behind[:, 1] = np.nan  # What is behind the last mask means nothing.
    assert goldens.differences(want, want | dict(mask_logits=behind), 1e-4)[0] == []


def test_preprocessing_that_differs_is_noticed():
    said = []
    batch = goldens.Batch(np.zeros((1, 40, 40, 3), np.float32), np.ones((1, 4), np.int32))
    stored = dict(pixels=goldens.thinned(batch.image, goldens.SAMPLED, (1, 2)), text=batch.text)
    check = lambda arrays: verify.check_pixels(batch, arrays, lambda *x: said.append(x[1]))  # noqa: E731
    check(stored)
    check(stored | dict(pixels=stored["pixels"] + 1e-4))
    check(stored | dict(text=batch.text + 1))
    assert said == ["ok", "failed", "failed"]


def test_an_older_jax_is_older_by_its_numbers():
    assert verify.older("0.7.2", "0.10.2") and verify.older("0.10.2", "0.11.0")
    assert not verify.older("0.10.2", "0.10.2") and not verify.older("0.11.0.dev1", "0.10.2")


# ---- The model card ----


def test_the_card_shows_intervals_and_controls_of_the_exported_step_alone(tmp_path):
    interval = dict(mean=0.5, low=0.4, high=0.6, n=9, clusters=9)
    entry = dict(dataset="phantom", split="test", n=9, sha256="c" * 64)
    entry["intervals"] = {"": {"g_iou": interval}}
    evals = {"report": entry | dict(control="none"), "report_blank": entry | dict(control="blank")}
    summary = dict(step=3, by="patient", resamples=1000, evals=evals)
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/summary.json").write_text(json.dumps(summary))
    scores = {"vqa/accuracy": 0.25, "vqa/accuracy_en": 0.5, "detect/valid_markup": 1, "lr": 1}
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 4} | scores) + "\n")
    content = dict(
        params={"llm/x": [[2, 3], "float32"]},
        dtype="run",
        hlo=None,
        written_with={"jax": "1"},
        meta=dict(config=dict(model={}, image=dict(size=28)), versions={"jax": "0"}),
    )
    texts = {}
    for step in (3, 4, 5):
        place = run_dir.Place(tmp_path, tmp_path, step, 5)
        out = tmp_path / str(step)
        out.mkdir()
        card.write(out, place, content, ["It is rounded."])
        texts[step] = (out / "README.md").read_text()
    assert "0.500 (0.400 to 0.600)" in texts[3] and "a blank image" in texts[3]
    assert "by patient, 1,000 resamples" in texts[3] and "`cccccccccccccccc`" in texts[3]
    assert "| vqa | accuracy | 0.25 |" in texts[4] and "without intervals" in texts[4]
    assert "| detect | valid_markup | 1 |" in texts[4] and "accuracy_en" not in texts[4]
    assert "no scores of this step" in texts[5]
    assert "| g_iou | 0.500 (0.400 to 0.600) | 9 |" in texts[3]
    assert all("It is rounded." in x and "6 parameters" in x for x in texts.values())


def test_programs_are_for_three_platforms_and_do_eight_steps():
    assert programs.PLATFORMS == ("cpu", "cuda", "tpu") and programs.CHUNK == 8
