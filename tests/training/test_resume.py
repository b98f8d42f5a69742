"""Which settings may change when a run is resumed."""

import json

import ml_collections
import pytest

from big_rad.config import recipes as config_lib
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import resume
from big_rad.workdir import info, sealing
from configs import demo

TOKENIZER = tokenizers.load("tiny", ("detection", "segmentation"))
DATA = {"phantom": {"items": 40, "sha256": "a" * 64}}


def run_of(workdir, config, step=4, data=DATA):
    """Writes the files of a checkpoint that `newest_meta` reads."""
    meta = {"config": json.loads(config_lib.to_json(config)), "tokenizer": TOKENIZER.fingerprint}
    meta |= {"data": data} if data else {}
    sealed = {"position": {}, "arrays": {}}
    sealed["digest"] = sealing.digest(sealed, meta)
    for item, content in (("data", sealed), ("meta", meta)):
        folder = workdir / "checkpoints" / str(step) / item
        folder.mkdir(parents=True)
        (folder / "metadata").write_text(json.dumps(content), encoding="utf-8")


def config(**fields):
    c = demo.get_config("steps=9")
    c.input.batch_size = 4
    with c.unlocked():
        c.update_from_flattened_dict(fields)
    return c


def past(workdir, allow=False, **fields):
    said = []
    found = resume.Past(config(**fields), workdir, allow, said.append)
    return found, "\n".join(said)


REFUSED = {
    "model.llm.width": 48,
    "model_name": "radgrounder",
    "tokenizer.sets": ("detection",),
    "codec.grid": 28,
    "image.size": 56,
    "seed": 1,
    "optimizer": "adamw",
    "optimizer_args.rms": 0.1,
    "optimizer_state_dtype": "bfloat16",
    "grad_accum": 2,
    "input.batch_size": 8,
    "input.weights": "epochs",
    "input.data.phantom": 2.0,
    "input.buckets": (64,),
    "input.phantom.split": "validation",
    "input.phantom.builder_args.config": "full",
    "input.phantom.pp": "load",
}
ALLOWED = {
    "total_steps": 99,
    "lr": 1e-4,
    "wd": 0.5,
    "schedule": ((".*", dict(decay_type="constant")),),
    "log_training_steps": 7,
    "ckpt_steps": 7,
    "ckpt_keep": 7,
    "evals.vqa.limit": 3,
    "input.num_threads": 5,
    "input.prefetch": 5,
    "mesh": (("data", 1),),
    "grad_clip_norm": 0.0,
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_of(folder, config())
    return folder


def test_the_same_settings_change_nothing(workdir):
    found, said = past(workdir)
    assert (found.step, found.changes, said) == (4, {}, "")
    assert found.position({"next_index": 4}, 40) == {"next_index": 4}


@pytest.mark.parametrize("field", REFUSED)
def test_what_makes_it_another_run_is_refused_with_field_values_and_remedy(workdir, field):
    with pytest.raises(info.TrainingError) as refused:
        past(workdir, **{field: REFUSED[field]})
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(f"{workdir} holds a run (step 4)")
    assert len(lines) == 3 and lines[1].startswith(f"  config.{field} was ")
    assert "--workdir" in lines[2] and "--allow_changes" in lines[2]
    found, said = past(workdir, allow=True, **{field: REFUSED[field]})
    assert list(found.changes) == [f"config.{field}"] and f"config.{field} was" in said


@pytest.mark.parametrize("field", ALLOWED)
def test_other_changes_go_through_are_said_and_move_no_data(workdir, field):
    found, said = past(workdir, **{field: ALLOWED[field]})
    assert list(found.changes)[0].startswith(f"config.{field}")
    assert said.startswith(f"changed since step 4: config.{field}")
    assert found.position({"next_index": 4}, 40) == {"next_index": 4}


def test_of_preprocessing_the_ops_that_differ_are_shown(workdir):
    pp = config().input.phantom.pp
    with pytest.raises(info.TrainingError, match=r"was augment\(shift=4\), now augment\(shift=2"):
        past(workdir, **{"input.phantom.pp": pp.replace("shift=4", "shift=2")})


@pytest.mark.parametrize(
    "fields, seen, index, twice",
    [
        ({"input.batch_size": 8}, 5, 2, 4),
        ({"input.batch_size": 2}, 5, 10, 0),
        ({"input.batch_size": 6, "grad_accum": 2}, 6, 4, 0),
        # A window has 2 batches of 4. The third window was begun by 5 batches, and starts again.
        ({"input.buckets": (64,), "input.bucket_window": 2}, 5, 4, 4),
        ({"seed": 3}, 15, 0, 20),  # 60 items were seen, and an epoch has 40.
    ],
)
def test_items_that_are_skipped_or_seen_twice_are_counted(workdir, fields, seen, index, twice):
    said = []
    found = resume.Past(config(**fields), workdir, True, said.append)
    assert found.position({"next_index": seen}, 40) == {"next_index": index}
    assert f"data: {4 * seen} items were seen in {seen} batches of 4" in said[-1]
    assert said[-1].endswith(f"0 items are skipped, {twice} are seen twice")


def test_no_item_is_skipped_whatever_the_batches_were_and_are(tmp_path):
    run_of(tmp_path, config(**{"input.buckets": (64,), "input.bucket_window": 3}))
    for batch in (1, 3, 7, 12):
        for window in (1, 2, 5):
            fields = {"input.buckets": (64,), "input.bucket_window": window}
            found, _ = past(tmp_path, allow=True, **fields, **{"input.batch_size": batch})
            for at in range(9):
                index = found.position({"next_index": at}, 40)["next_index"]
                # All items before the new position belong to windows that were seen completely,
                # and the new position is the start of a window.
                assert index * batch <= at // 3 * 3 * 4 and index % window == 0


def test_other_data_under_the_same_name_are_refused_and_old_checkpoints_say_nothing(
    workdir, tmp_path
):
    past(workdir)[0].check_data(DATA)
    for other in (DATA["phantom"] | {"items": 41}, DATA["phantom"] | {"sha256": "b" * 64}):
        with pytest.raises(info.TrainingError, match=r"data phantom was 40 items \(sha256 aaaa"):
            past(workdir)[0].check_data({"phantom": other})
        found, _ = past(workdir, allow=True)
        found.check_data({"phantom": other})
        assert found.position({"next_index": 3}, 40) == {"next_index": 0}
    run_of(tmp_path, config(), data=None)
    past(tmp_path)[0].check_data(DATA)


def test_a_field_that_a_version_of_the_code_added_or_dropped_is_no_change(tmp_path):
    old = config().to_dict()
    del old["optimizer_state_dtype"], old["input"]["bucket_window"], old["card"]
    del old["bad_steps"]["most"]
    old["gone"], old["input"]["gone"] = 1, 2
    run_of(tmp_path, ml_collections.ConfigDict(old))
    assert past(tmp_path)[0].changes == {}


def test_the_same_tokenizer_may_lie_elsewhere_and_another_may_not_take_its_place(workdir, tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(TOKENIZER.model)
    assert past(workdir, **{"tokenizer.path": str(path)})[0].changes == {}
    run_of(tmp_path, config())
    meta = tmp_path / "checkpoints/4/meta/metadata"
    content = json.loads(meta.read_text()) | {"tokenizer": "f" * 64}
    data = tmp_path / "checkpoints/4/data/metadata"
    sealed = json.loads(data.read_text())
    sealed["digest"] = sealing.digest({k: sealed[k] for k in ("position", "arrays")}, content)
    meta.write_text(json.dumps(content)), data.write_text(json.dumps(sealed))
    with pytest.raises(info.TrainingError, match="config.tokenizer.path was sha256 ffff"):
        past(tmp_path)


def test_settings_of_a_damaged_checkpoint_do_not_count(tmp_path):
    run_of(tmp_path, config(), step=4)
    run_of(tmp_path, config(seed=5), step=8)
    meta = tmp_path / "checkpoints/8/meta/metadata"
    meta.write_text(meta.read_text().replace('"seed": 5', '"seed": 7'))
    assert past(tmp_path)[0].step == 4


def test_before_the_first_checkpoint_only_another_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(config_lib.to_json(config()), encoding="utf-8")
    past(tmp_path, **{"model.llm.width": 48})  # Without a folder of checkpoints there is no run.
    (tmp_path / "checkpoints").mkdir()
    assert past(tmp_path, **{"input.batch_size": 8, "seed": 1})[0].changes == {}
    with pytest.raises(info.TrainingError, match="config.model.llm.width was 96, now 48"):
        past(tmp_path, **{"model.llm.width": 48})
