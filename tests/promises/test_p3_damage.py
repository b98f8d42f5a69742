"""P3: a damaged latest checkpoint is noticed, and the one before is used, with a message."""

import random
import shutil

import jax
import numpy as np
import pytest

from big_rad.workdir import checkpoint, sealing
from tests.helpers import tiny_run
from tests.helpers.states import META, abstract, assert_same, make_state


def flip(path, rng):
    data = bytearray(path.read_bytes())
    if not data:
        return False
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return True


def cut(path, rng):
    data = path.read_bytes()
    if not data:
        return False
    path.write_bytes(data[: rng.randrange(len(data))])
    return True


def remove(path, rng):
    path.unlink()
    return True


DAMAGES = {"a flipped bit": (flip, 3), "a truncated file": (cut, 2), "a missing file": (remove, 1)}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    writer = checkpoint.Checkpointer(workdir)
    for step in (1, 2):
        writer.save(step, make_state(step), {"iterator": {"next_index": 10 * step}}, META)
    writer.close()
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_of_any_file_is_noticed_or_harmless(run_dir, tmp_path, kind):
    damage, times = DAMAGES[kind]
    rng, noticed, harmless = random.Random(kind), 0, 0
    names = sorted(
        p.relative_to(run_dir) for p in (run_dir / "checkpoints/2").rglob("*") if p.is_file()
    )
    assert len(names) > 8
    for i, name in enumerate(names * times):
        copy = tmp_path / str(i)
        shutil.copytree(run_dir, copy)
        if not damage(copy / name, rng):
            continue
        said = []
        reader = checkpoint.Checkpointer(copy, log=said.append)
        found = reader.restore(abstract(make_state()))
        reader.close()
        assert_same(found.state, make_state(found.step))
        assert found.data == {"iterator": {"next_index": 10 * found.step}} and found.meta == META
        if found.step == 1:
            assert "step 2 is damaged" in said[0] and str(copy / "damaged/2") in said[0]
            assert (copy / "damaged/2").is_dir() and not (copy / "checkpoints/2").exists()
            noticed += 1
        else:
            assert not said
            harmless += 1
        shutil.rmtree(copy)
    print(f"{kind}: {noticed} noticed, {harmless} harmless")
    assert noticed >= 4


def overwrite_array(workdir, step, name, value):
    """Imitates silent damage: writes an array with other values, but keeps the old checksums."""
    state = make_state(step)
    state["params"]["llm"][name] = value(state["params"]["llm"][name])
    other = checkpoint.Checkpointer(workdir / "other")
    other.save(step, state, {"iterator": {"next_index": 10 * step}}, META)
    other.close()
    target = workdir / "checkpoints" / str(step) / "state"
    shutil.rmtree(target)
    shutil.copytree(workdir / "other/checkpoints" / str(step) / "state", target)
    shutil.rmtree(workdir / "other")


def test_numbers_that_changed_within_sound_files_are_noticed_and_named(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    overwrite_array(copy, 2, "w", lambda w: w.at[1, 2].add(1e-6))
    with pytest.raises(checkpoint.Damaged, match=r"checkpoints/2: params\.llm\.w is not what was"):
        checkpoint.load_params(copy)
    said = []
    reader = checkpoint.Checkpointer(copy, log=said.append)
    assert reader.restore(abstract(make_state())).step == 1
    assert "params.llm.w is not what was written" in said[0]
    reader.close()
    params, _ = checkpoint.load_params(copy)
    np.testing.assert_array_equal(params["llm"]["w"], make_state(1)["params"]["llm"]["w"])


def test_where_no_checkpoint_can_be_read_all_stay_and_each_is_named(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    for step in (1, 2):
        overwrite_array(copy, step, "w", lambda w: w + 1)
    reader = checkpoint.Checkpointer(copy)
    with pytest.raises(checkpoint.CheckpointError) as e:
        reader.restore(abstract(make_state()))
    reader.close()
    for part in ("step 1: params.llm.w", "step 2: params.llm.w", "--workdir"):
        assert part in str(e.value)
    assert tiny_run.steps(copy) == [1, 2] and not (copy / "damaged").exists()


def test_a_damaged_step_is_saved_again_when_the_run_reaches_it_again(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    overwrite_array(copy, 2, "w", lambda w: w + 1)
    runner = checkpoint.Checkpointer(copy, log=lambda line: None)
    runner.restore(abstract(make_state()))
    runner.save(2, make_state(2), {"iterator": {"next_index": 20}}, META)
    runner.wait()
    assert_same(runner.restore(abstract(make_state())).state, make_state(2))
    runner.close()


def test_checkpoints_from_before_there_were_checksums_are_still_read(
    run_dir, tmp_path, monkeypatch
):
    with monkeypatch.context() as m:
        m.setattr(sealing, "seal", lambda state, position, meta: dict(position))
        writer = checkpoint.Checkpointer(tmp_path)
        writer.save(5, make_state(5), {"iterator": {"next_index": 50}}, META)
        writer.close()
    reader = checkpoint.Checkpointer(tmp_path)
    found = reader.restore(abstract(make_state()))
    reader.close()
    assert_same(found.state, make_state(5))
    assert found.data == {"iterator": {"next_index": 50}}
    jax.tree.map(
        np.testing.assert_array_equal, checkpoint.load_params(tmp_path)[0], found.state["params"]
    )


@pytest.mark.slow
def test_a_run_with_a_damaged_latest_checkpoint_ends_as_the_undisturbed_one(
    data, finished, tmp_path
):
    whole, damaged = finished(), tmp_path / "damaged_run"
    shutil.copytree(whole, damaged)
    largest = max((damaged / "checkpoints/6/state").rglob("*"), key=lambda p: p.stat().st_size)
    assert cut(largest, random.Random(0))
    done = tiny_run.run(tiny_run.command(data, damaged))
    assert done.returncode == 0, done.stderr
    assert "step 6 is damaged" in done.stdout and "step 3" in done.stdout
    assert (damaged / "damaged/6").is_dir()
    tiny_run.assert_same(whole, damaged)
