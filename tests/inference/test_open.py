"""Every kind of checkpoint states the settings that it must be used with, also after a conversion,
and every unusable checkpoint raises the same kind of error."""

import json

import numpy as np
import pytest

from big_rad import evaluate, predict, trees
from big_rad.inference import load
from big_rad.weights import hf_config, source_config
from big_rad.workdir import checkpoint as checkpoint_files
from tests.helpers import checkpoints, foreign
from tools import convert

RELEASED, AS_WRITTEN = dict(clean="released", max_text=200), dict(clean="", max_text=200)


def silent(line):
    del line


def converted(source, folder, to, **options):
    convert.convert(source, folder, to=to, log=silent, allow_other_mask=True, **options)
    return folder


def source_of(kind, folder):
    """Writes a checkpoint; returns its path and its text settings."""
    if kind == "released":
        return checkpoints.released(folder), RELEASED
    cleaned = kind == "cleaned"
    arguments = "variant=tiny,data=folder,size=28" + ",released=True" * cleaned
    config = checkpoints.fields(arguments, text=kind != "predates the field")
    return checkpoints.own(folder, config), RELEASED if cleaned else AS_WRITTEN


@pytest.mark.parametrize("kind", ["predates the field", "cleaned", "released"])
def test_text_settings_go_along_in_every_conversion(kind, tmp_path):
    source, want = source_of(kind, tmp_path / "source")
    npz = converted(source, tmp_path / "a.npz", "npz")
    tokenizer = dict(tokenizer=source)
    folder = converted(npz, tmp_path / "hf", "huggingface", **tokenizer)
    again = converted(folder, tmp_path / "b.npz", "npz")
    found = [source, npz, folder, again]
    if kind == "released":
        found.append(converted(npz, tmp_path / "run", "orbax", **tokenizer))
    assert [source_config.read(place)["text"] for place in found] == [want] * len(found)
    named = hf_config.read(folder).get(hf_config.RADGROUNDER_FIELD)
    assert named == (None if want == RELEASED else want)  # What a reader assumes is not written.


def test_a_run_of_before_keeps_its_config_but_for_the_new_field(tmp_path):
    source, want = source_of("predates the field", tmp_path / "source")
    old, new = (
        checkpoint_files.load_params(place)[1]["config"]
        for place in (source, converted(source, tmp_path / "run", "orbax"))
    )
    assert new.pop("text") == want and "text" not in old
    del new["model"], old["model"]  # The new one has dimensions in place of a variant's name.
    assert new == old


def test_an_npz_whose_sidecar_predates_the_field_is_used_as_its_codec_tells(tmp_path):
    path = foreign.write_npz(tmp_path, foreign.PADDED)
    # Without a sidecar it is PaliGemma itself.
    assert source_config.read(path)["text"] == AS_WRITTEN
    for grid, want in ((None, AS_WRITTEN), (224, RELEASED)):
        beside = dict(model=foreign.cfg(foreign.PADDED), codec=dict(name="radgrounder", grid=grid))
        path.with_name("model.npz.json").write_text(json.dumps(beside), encoding="utf-8")
        assert source_config.read(path)["text"] == want


def test_that_reports_are_cleaned_without_the_field_is_said(tmp_path):
    config = checkpoints.fields("variant=tiny,data=folder,size=28,released=True", text=False)
    path, said = checkpoints.own(tmp_path / "run", config), []
    for read in (
        lambda: load.load(path, dtype=None, log=said.append),
        lambda: source_config.read(path, log=said.append),
    ):
        said.clear()
        read()
        assert sum("predates the field `text`" in line for line in said) == 1


def test_evaluation_and_prediction_load_the_same_model(tmp_path):
    run = checkpoints.own(tmp_path / "run", checkpoints.fields(text=False))
    config = evaluate.data_config(run, "phantom")
    asked = evaluate.load_model(config, run, log=silent)
    stored = load.load(run, dtype=None, log=silent)
    for name, value in trees.flatten(stored.params).items():
        np.testing.assert_array_equal(value, trees.flatten(asked.params)[name])
    assert asked.tokenizer.fingerprint == stored.tokenizer.fingerprint
    assert stored.fields["text"] == config.text.to_dict() == AS_WRITTEN


def broken(kind, folder):
    """Writes a checkpoint that cannot be used; returns its path."""
    if kind == "nothing":
        return folder / "nothing"
    if kind in ("an empty folder", "a folder of something else"):
        folder.mkdir(exist_ok=True)
        if "empty" not in kind:
            (folder / "notes.txt").write_text("nothing", encoding="utf-8")
        return folder
    if kind == "an npz of something else":
        np.savez(folder / "a.npz", w=np.zeros(3))
        return folder / "a.npz"
    config = checkpoints.fields()
    if kind == "a config that lacks a field":
        del config["codec"]
    if kind == "settings of a newer version":
        config["text"]["clean"] = "next"
    run = checkpoints.own(folder / "run", config)
    if kind == "another tokenizer":
        tokenizer = (run / "tokenizer.model").read_bytes()
        (run / "tokenizer.model").write_bytes(tokenizer.replace(b"liver", b"livre"))
    if kind == "a damaged array":
        files = [p for p in (run / "checkpoints/0/state").rglob("*") if p.is_file()]
        largest = max(files, key=lambda p: p.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 255
        largest.write_bytes(content)
    return run


@pytest.mark.parametrize("dtype", [None, "float32"])
@pytest.mark.parametrize(
    "kind, said",
    [
        ("nothing", "no checkpoint here"),
        ("an empty folder", "is an empty folder"),
        ("a folder of something else", "of no known kind"),
        ("an npz of something else", "a.npz"),
        ("a config that lacks a field", "its config has no codec; it needs model_name"),
        ("settings of a newer version", "`clean` has to be one of '', 'released'"),
        ("another tokenizer", "put the tokenizer.model of its run"),
        ("a damaged array", "is not what was written|finite|checkpoint"),
    ],
)
def test_whatever_is_wrong_with_a_checkpoint_is_one_kind_of_error_that_names_it(
    kind, said, dtype, tmp_path
):
    path = broken(kind, tmp_path)
    with pytest.raises(load.CheckpointError, match=said) as e:
        load.load(path, dtype=dtype, log=silent)
    assert str(e.value).count(str(path)) == 1
    assert predict.CheckpointError is load.CheckpointError and isinstance(e.value, ValueError)
