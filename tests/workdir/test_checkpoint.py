import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.workdir import checkpoint
from tests.helpers.states import META, abstract, assert_same, make_state


@pytest.fixture
def saved(tmp_path):
    """A run directory with checkpoints of steps 1, 2 and 3, of which two are kept."""
    writer = checkpoint.Checkpointer(tmp_path, keep=2)
    assert writer.latest_step() is None
    for step in (1, 2, 3):
        writer.save(step, make_state(step), {"iterator": {"next_index": 10 * step}}, META)
    writer.close()
    return tmp_path


def test_what_is_restored_is_bit_identical_names_with_slashes_included(saved):
    reader = checkpoint.Checkpointer(saved)
    _, state, data, meta = reader.restore(abstract(make_state()))
    reader.close()
    assert_same(state, make_state(3))
    assert data == {"iterator": {"next_index": 30}} and meta == META


def test_the_newest_checkpoints_are_kept(saved):
    steps = sorted(p.name for p in (saved / "checkpoints").iterdir() if p.name.isdigit())
    assert steps == ["2", "3"]
    reader = checkpoint.Checkpointer(saved)
    assert reader.latest_step() == 3
    reader.close()


def test_the_best_checkpoint_stays_beside_the_newest_also_after_a_restart(tmp_path):
    writer = checkpoint.Checkpointer(tmp_path, keep=1)
    for step in (1, 2, 3):
        writer.best_step = min(step, 2)
        writer.save(step, make_state(step), {}, META)
    writer.close()
    again = checkpoint.Checkpointer(tmp_path, keep=1)
    again.best_step = 2
    again.save(4, make_state(4), {}, META)
    again.wait()
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["2", "4"]
    again.best_step = 5
    again.save(5, make_state(5), {}, META)
    again.close()
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["5"]


def test_a_checkpoint_goes_on_after_a_restart(saved):
    again = checkpoint.Checkpointer(saved, keep=2)
    again.save(3, make_state(9), {}, META)  # Step 3 has a checkpoint, which is kept.
    again.save(4, make_state(4), {"iterator": {}}, META)
    again.wait()
    assert_same(again.restore(abstract(make_state())).state, make_state(4))
    again.close()
    assert_same(checkpoint.load_params(saved, step=3)[0], make_state(3)["params"])


def test_the_state_may_be_overwritten_right_after_saving(tmp_path):
    # The trainer donates the state to the next step while the checkpoint is still being written.
    advance = jax.jit(lambda x: x + 1, donate_argnums=0)
    writer = checkpoint.Checkpointer(tmp_path)
    state = {"params": {"w": jnp.zeros((1000, 1000))}}
    writer.save(1, state, {}, {})
    for _ in range(20):
        state = jax.tree.map(advance, state)
    writer.close()
    params, _ = checkpoint.load_params(tmp_path)
    assert not params["w"].any()


def test_parameters_alone_come_as_numpy_arrays_with_the_meta(saved):
    params, meta = checkpoint.load_params(saved)
    assert all(type(x) is np.ndarray for x in jax.tree.leaves(params))
    assert_same(params, make_state(3)["params"])
    assert meta == META


@pytest.mark.parametrize("where, step", [("checkpoints", 3), ("checkpoints/2", 2)])
def test_a_run_its_checkpoints_or_one_step_can_be_named(saved, where, step):
    assert_same(checkpoint.load_params(saved / where)[0], make_state(step)["params"])


def test_the_best_step_is_read_and_training_goes_on_from_the_last(saved):
    (saved / "config.json").write_text('{"ckpt_best": "val/f1"}')
    (saved / "metrics.jsonl").write_text('{"step": 2, "val/f1": 0.5}\n{"step": 3, "val/f1": 0.4}\n')
    assert_same(checkpoint.load_params(saved)[0], make_state(2)["params"])
    assert_same(checkpoint.load_params(saved, step=3)[0], make_state(3)["params"])
    reader = checkpoint.Checkpointer(saved)
    assert reader.restore(abstract(make_state())).step == 3
    assert reader.restore(abstract(make_state()), first=2).step == 2
    # If the best step has no checkpoint, the next best one is taken, as by `run_dir.locate`.
    assert reader.restore(abstract(make_state()), first=[1, 2, 3]).step == 2
    reader.close()


def test_a_missing_run_or_step_is_an_error_that_names_the_path(saved, tmp_path_factory):
    with pytest.raises(
        FileNotFoundError, match="nowhere: does not exist: no checkpoint.*--workdir"
    ):
        checkpoint.load_params(saved / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"step 1; steps here: \[2, 3\]"):
        checkpoint.load_params(saved, step=1)
    with pytest.raises(FileNotFoundError, match="no whole checkpoint.*none"):
        checkpoint.load_params(tmp_path_factory.mktemp("empty"))
    checkpoint.Checkpointer(saved / "fresh").close()
    with pytest.raises(FileNotFoundError, match="no whole checkpoint"):
        checkpoint.load_params(saved / "fresh")


def test_a_checkpoint_that_was_not_finished_does_not_count(saved):
    # Orbax writes into a folder with another name and renames it at the end.
    half = saved / "checkpoints" / "4.orbax-checkpoint-tmp-0" / "state"
    half.mkdir(parents=True)
    reader = checkpoint.Checkpointer(saved)
    assert reader.latest_step() == 3
    reader.close()
    assert_same(checkpoint.load_params(saved)[0], make_state(3)["params"])


def test_a_state_that_does_not_fit_is_refused_and_each_tensor_named(saved):
    other = make_state()
    other["params"]["llm"]["w"] = jnp.zeros((4, 3))
    other["params"]["img"]["head"]["bias"] = jnp.zeros(4)  # float32: it is no longer frozen.
    other["params"]["new"] = jnp.zeros(2)
    other["opt_state"] = other["opt_state"][:2]
    reader = checkpoint.Checkpointer(saved)
    with pytest.raises(ValueError, match="checkpoints/3 was written by another model") as e:
        reader.restore(abstract(other))
    reader.close()
    message = str(e.value)
    for name in ("params.llm.w", "params.img.head.bias", "params.new", "opt_state.2.llm/w.v"):
        assert name + ": " in message
    assert message.count("in the checkpoint") == 4 and "--workdir" in message


def test_versions_name_what_decides_results():
    assert {"jax", "flax", "optax", "orbax-checkpoint", "numpy"} <= set(
        checkpoint.make_meta({})["versions"]
    )


def test_a_write_that_another_process_broke_off_is_not_blamed_on_the_disk(tmp_path, monkeypatch):
    def lost():
        raise jax.errors.JaxRuntimeError("UNKNOWN: Gloo failed: Connection closed by peer")

    for processes, error in ((1, checkpoint.CheckpointError), (2, jax.errors.JaxRuntimeError)):
        writer = checkpoint.Checkpointer(tmp_path / str(processes))
        writer.save(1, make_state(), {"iterator": {}}, META)
        monkeypatch.setattr(jax, "process_count", lambda n=processes: n)
        monkeypatch.setattr(writer._manager, "wait_until_finished", lost)
        with pytest.raises(error, match="Connection closed by peer"):
            writer.wait()
        monkeypatch.undo()
        writer.close()
