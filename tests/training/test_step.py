"""The trainer's step: microbatches, frozen weights, what the metrics mean."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from big_rad.config import defaults
from big_rad.training import optim
from big_rad.training import step as train_step


def loss_fn(model, params, batch, rng):
    """A weighted mean of squares; rows have weights of very different size."""
    del model, rng
    y = batch["x"] @ params["llm"]["w"] * params["img"]["gain"].astype(jnp.float32)
    weight = batch["weight"].sum()
    metrics = {
        "weight": weight,
        "token_accuracy": (batch["weight"] * (y > 0)).sum() / weight,
        "masks": batch["masks"].sum(),
    }
    return (batch["weight"] * jnp.square(y - 1)).sum() / weight, metrics


def make(grad_accum, loss=loss_fn, guard=None):
    params = {
        "img": {"gain": jnp.asarray([0.7], jnp.bfloat16)},
        "llm": {"w": jnp.asarray([0.3, -0.2, 0.5])},
    }
    flat = {"img/gain": params["img"]["gain"], "llm/w": params["llm"]["w"]}
    config = ml_collections.ConfigDict(
        dict(
            optimizer="adamw",
            lr=1e-2,
            wd=0.0,
            grad_clip_norm=0.0,
            schedule=(("img/.*", None), (".*", dict(decay_type="constant"))),
            lr_mults=((".*", 1.0),),
            wd_mults=((".*", 1.0),),
        )
    )
    chosen = optim.make(defaults.filled(config), flat, 10)
    state = {
        "params": params,
        "opt_state": chosen.tx.init({"llm/w": flat["llm/w"]}),
        "step": jnp.int32(0),
    }
    if guard is not None:
        state["guard"] = guard.init()
    return jax.jit(train_step.make_train_step(None, loss, chosen, grad_accum, guard)), state


def make_batch():
    rng = np.random.default_rng(0)
    return {
        "x": rng.standard_normal((8, 3)).astype(np.float32),
        "weight": rng.integers(1, 200, 8).astype(np.float32),
        "masks": np.array([0, 0, 3, 0, 0, 1, 0, 0], np.float32),
    }


@pytest.mark.parametrize("grad_accum", [2, 4, 8])
def test_microbatches_give_the_step_and_the_metrics_of_the_whole_batch(grad_accum):
    results = []
    for accum in (1, grad_accum):
        step, state = make(accum)
        results.append(step(state, make_batch(), jax.random.key(0)))
    (want, want_metrics), (got, metrics) = results
    np.testing.assert_allclose(got["params"]["llm"]["w"], want["params"]["llm"]["w"], rtol=1e-6)
    assert metrics.keys() == want_metrics.keys()
    for name, value in want_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    assert metrics["masks"] == 4


def test_frozen_weights_stay_bit_identical_and_trained_ones_stay_float32():
    step, state = make(2)
    before = np.asarray(state["params"]["img"]["gain"])
    for _ in range(3):
        state, _ = step(state, make_batch(), jax.random.key(0))
    after = np.asarray(state["params"]["img"]["gain"])
    assert after.dtype == before.dtype and after.tobytes() == before.tobytes()
    assert state["params"]["llm"]["w"].dtype == jnp.float32 and state["step"] == 3


def test_each_microbatch_and_each_step_draws_new_numbers():
    seen = []

    def drawing(model, params, batch, rng):
        if not isinstance(rng, jax.core.Tracer):  # eval_shape calls it with a tracer.
            seen.append(tuple(jax.random.key_data(rng).tolist()))
        return loss_fn(model, params, batch, rng)

    with jax.disable_jit():  # The scan runs in Python.
        step, state = make(4, drawing)
        for _ in range(2):
            state, _ = step(state, make_batch(), jax.random.key(0))
    assert len(seen) == len(set(seen)) == 8


def spoilt(batch, factor):
    return batch | {"x": batch["x"] * np.float32(factor)}


def train(guard, batches, grad_accum=1):
    step, state = make(grad_accum, guard=guard)
    bad = []
    for batch in batches:
        state, metrics = step(state, batch, jax.random.key(0))
        bad.append(bool(metrics["bad_step"]) if guard else None)
    return state, bad


@pytest.mark.parametrize("grad_accum", [1, 4])
@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e30])
def test_a_step_that_is_not_finite_is_left_out_as_if_its_batch_had_not_been(grad_accum, factor):
    guard, batch = train_step.Guard(skip=True, spike=0.0), make_batch()
    got, bad = train(guard, [batch, spoilt(batch, factor), batch], grad_accum)
    want, _ = train(guard, [batch, batch], grad_accum)
    assert bad == [False, True, False]
    assert int(got["step"]) == 3 and int(got["guard"]["seen"]) == 2
    for name in ("params", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, got[name], want[name])


def test_a_guard_changes_no_good_step():
    batch = make_batch()
    with_guard, _ = train(train_step.Guard(skip=True, spike=3.0), [batch] * 5)
    without, _ = train(None, [batch] * 5)
    jax.tree.map(np.testing.assert_array_equal, with_guard["params"], without["params"])


def test_a_spike_is_measured_by_the_running_mean_and_there_is_none_at_the_start():
    guard, batch = train_step.Guard(skip=True, spike=4.0), make_batch()
    spike = spoilt(batch, 100)
    _, bad = train(guard, [spike, *[batch] * 60, spike, batch])
    assert bad == [False] + [False] * 60 + [True, False]
    noting = train_step.Guard(skip=False, spike=4.0)
    state, bad = train(noting, [*[batch] * 21, spike])
    kept, _ = train(guard, [*[batch] * 21, spike])
    assert bad[-1] and np.any(state["params"]["llm"]["w"] != kept["params"]["llm"]["w"])


@pytest.mark.parametrize(
    "spec, said", [(dict(action="ignore"), "action is 'ignore'"), (dict(spike=0.5), "spike is 0.5")]
)
def test_a_wrong_setting_names_the_field(spec, said):
    with pytest.raises(ValueError, match=f"config.bad_steps.{said}"):
        train_step.make_guard(defaults.filled(ml_collections.ConfigDict(dict(bad_steps=spec))))


def test_there_is_no_guard_where_the_host_sees_enough():
    assert train_step.make_guard(defaults.base()) is None
