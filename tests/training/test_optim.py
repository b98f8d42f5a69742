import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from big_rad import trees
from big_rad.config import defaults
from big_rad.training import optim

NORMS = (r".*/(scale|bias)", 0.0)


def make_config(**kw):
    config = ml_collections.ConfigDict(
        dict(
            optimizer="adafactor",
            optimizer_args={},
            lr=0.01,
            wd=0.1,
            grad_clip_norm=0.0,
            schedule=((".*", dict(decay_type="constant")),),
            lr_mults=((".*", 1.0),),
            wd_mults=(NORMS, (".*", 1.0)),
        )
        | kw
    )
    return defaults.filled(config)


def make_params(seed=0):
    """A matrix, a norm, a bias, and a stack of two layers, as in the models."""
    rng = np.random.default_rng(seed)
    shapes = {
        "llm/table": (6, 4),
        "llm/final_norm/scale": (4,),
        "img/head/bias": (4,),
        "llm/layers/mlp/linear": (2, 3, 5),
        "llm/layers/norm/scale": (2, 4),
    }
    return {n: jnp.asarray(rng.standard_normal(s), jnp.float32) for n, s in shapes.items()}


def trained(optimizer, params):
    return {n: p for n, p in params.items() if optimizer.trainable[n]}


def run(config, params, all_grads, total_steps=10):
    """Returns the parameters after each step."""
    optimizer = optim.make(config, params, total_steps)
    params = trained(optimizer, params)
    state, history = optimizer.tx.init(params), []
    step = jax.jit(optimizer.tx.update)
    for grads in all_grads:
        updates, state = step({n: grads[n] for n in params}, state, params)
        params = {n: p + updates[n] for n, p in params.items()}
        history.append(params)
    return history


# ---- Rules ----


def test_the_first_full_match_counts():
    rules = (("a/.*", 1), (".*b", 2), (".*", 3))
    assert trees.match(["a/b", "b", "bc"], rules, "x") == {"a/b": 1, "b": 2, "bc": 3}


def test_an_unmatched_parameter_and_an_idle_pattern_are_errors():
    with pytest.raises(ValueError, match="config.lr_mults: no pattern matches parameter 'b'"):
        trees.match(["a", "b"], (("a", 1),), "config.lr_mults")
    with pytest.raises(ValueError, match="config.lr_mults: pattern 'c.*' matches no parameter"):
        trees.match(["a", "b"], (("c.*", 1), (".*", 2)), "config.lr_mults")


@pytest.mark.parametrize("field", ["schedule", "lr_mults", "wd_mults"])
def test_a_misspelt_pattern_in_any_rule_list_is_an_error(field):
    value = dict(decay_type="constant") if field == "schedule" else 1.0
    config = make_config(**{field: (("lmm/.*", value), (".*", value))})
    with pytest.raises(ValueError, match=f"config.{field}: pattern 'lmm/"):
        optim.make(config, make_params(), 10)


def test_freezing_everything_and_unknown_optimizers_are_errors():
    with pytest.raises(ValueError, match="freezes every parameter"):
        optim.make(make_config(schedule=((".*", None),)), make_params(), 10)
    with pytest.raises(ValueError, match="'sgd'; known: adafactor, adamw, muon"):
        optim.make(make_config(optimizer="sgd"), make_params(), 10)


# ---- Schedules ----


@pytest.mark.parametrize(
    "kw, points",
    [
        # step -> factor; with a warm-up of 10 steps the first step already moves.
        (dict(warmup_steps=10), {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 100: 0.0}),
        (dict(warmup_percent=0.1, end=0.2), {9: 1.0, 55: 0.6, 100: 0.2}),
        (dict(decay_type="linear", warmup_steps=10), {9: 1.0, 10: 1.0, 55: 0.5, 100: 0.0}),
        (dict(decay_type="linear", end=0.5), {0: 1.0, 50: 0.75, 100: 0.5}),
        (dict(decay_type="constant", warmup_steps=4), {0: 0.25, 3: 1.0, 70: 1.0}),
        (dict(decay_type="rsqrt", warmup_steps=4), {3: 1.0, 4: 1.0, 16: 0.5}),
        (dict(), {0: 1.0, 50: 0.5, 100: 0.0}),
    ],
)
def test_schedules_at_known_points(kw, points):
    schedule = optim.make_schedule(100, **kw)
    for step, want in points.items():
        np.testing.assert_allclose(schedule(jnp.asarray(step)), want, atol=1e-6)


def test_during_the_warm_up_of_rsqrt_a_step_may_be_a_python_number():
    schedule = optim.make_schedule(100, decay_type="rsqrt", warmup_steps=4)
    assert [float(schedule(i)) for i in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_warm_up_that_does_not_end_before_the_run_is_refused():
    rules = (("img/.*", None), ("a.*", dict(warmup_percent=0.5)), (".*", dict(warmup_steps=5)))
    optim.check_warmup(rules, 6)
    for total in (5, 3):
        with pytest.raises(ValueError, match=rf"'\.\*' has 5 steps, and the run has {total}"):
            optim.check_warmup(rules, total)


def test_schedule_arguments_that_make_no_sense_are_errors():
    with pytest.raises(ValueError, match="warmup_steps or warmup_percent"):
        optim.make_schedule(10, warmup_steps=1, warmup_percent=0.1)
    with pytest.raises(ValueError, match="'step'; known: cosine"):
        optim.make_schedule(10, decay_type="step")


def test_the_schedule_and_the_multipliers_scale_the_update():
    params = make_params()
    grads = [jax.tree.map(jnp.ones_like, params)] * 3
    config = make_config(
        optimizer="adamw",
        wd=0.0,
        schedule=(
            ("img/.*", dict(decay_type="linear", warmup_steps=0)),
            (".*", dict(decay_type="constant")),
        ),
        lr_mults=((".*/linear", 0.5), (".*", 1.0)),
    )
    after = run(config, params, grads, total_steps=4)
    # Adam moves by the learning rate when all gradients are the same.
    moved = jax.tree.map(lambda x, y: np.mean(x - y), params, after[2])
    np.testing.assert_allclose(moved["llm/table"], 3 * 0.01, rtol=1e-3)
    np.testing.assert_allclose(moved["llm/layers/mlp/linear"], 3 * 0.005, rtol=1e-3)
    np.testing.assert_allclose(moved["img/head/bias"], (1 + 0.75 + 0.5) * 0.01, rtol=1e-3)
    optimizer = optim.make(config, params, 4)
    # What is logged is the rate of the largest array, llm/layers/mlp/linear.
    assert float(optimizer.learning_rate(0)) == pytest.approx(0.005)


# ---- Decay, freezing, precision ----


@pytest.mark.parametrize("name", ["adafactor", "adamw", "muon"])
def test_without_gradient_a_weight_shrinks_by_lr_times_wd_and_norms_and_biases_stay(name):
    params = make_params()
    zeros = [jax.tree.map(jnp.zeros_like, params)]
    (after,) = run(make_config(optimizer=name), params, zeros)
    for n, p in params.items():
        factor = 1 if n.endswith(("scale", "bias")) else 1 - 0.01 * 0.1
        np.testing.assert_allclose(after[n], p * factor, rtol=1e-6, err_msg=n)


def test_frozen_parameters_get_no_update_and_no_state():
    params = make_params()
    config = make_config(optimizer="adamw", schedule=(("img/.*|llm/table", None), (".*", dict())))
    optimizer = optim.make(config, params, 10)
    assert not optimizer.trainable["llm/table"] and not optimizer.trainable["img/head/bias"]
    state = optimizer.tx.init(trained(optimizer, params))
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert any("mlp/linear" in p for p in paths)
    assert not any("table" in p or "img/" in p for p in paths)


def test_float32_weights_move_at_a_rate_where_bf16_would_not():
    params = make_params()
    grads = [jax.tree.map(jnp.ones_like, params)]
    (after,) = run(make_config(lr=1e-5, wd=0.0), params, grads)
    before, now = params["llm/table"], after["llm/table"]
    assert (now != before).all()
    same = now.astype(jnp.bfloat16) == before.astype(jnp.bfloat16)
    assert same.mean() > 0.95


def test_gradients_are_clipped_by_their_norm_over_all_trained_parameters():
    params, grads = make_params(), make_params(seed=1)
    frozen = make_config(
        optimizer="adamw",
        optimizer_args=dict(b1=0.0, b2=0.0, eps=1.0),
        wd=0.0,
        grad_clip_norm=0.5,
        schedule=(("img/.*", None), (".*", dict(decay_type="constant"))),
    )
    (after,) = run(frozen, params, [grads])
    kept = {n: np.float64(g) for n, g in grads.items() if not n.startswith("img/")}
    norm = np.sqrt(sum((g**2).sum() for g in kept.values()))
    assert norm > 0.5
    for n, g in kept.items():
        g = g * 0.5 / norm
        np.testing.assert_allclose(
            after[n], params[n] - 0.01 * g / (np.abs(g) + 1), rtol=1e-5, atol=1e-6
        )


# ---- Adafactor ----


class NaiveAdafactor:
    """Hugging Face's rule for one tensor, float64: relative_step=False, scale_parameter=False,
    beta1=None, clip_threshold=1.0, decay_rate=-0.8, eps[0]=1e-30."""

    def __init__(self, shape, factored):
        self.factored, self.step = factored, 0
        self.row, self.col, self.full = np.zeros(shape[:-1]), np.zeros(shape[-1:]), np.zeros(shape)

    def update(self, grad, param, lr, wd):
        self.step += 1
        beta = 1 - self.step**-0.8
        square = grad**2 + 1e-30
        if self.factored:
            self.row = beta * self.row + (1 - beta) * square.mean(-1)
            self.col = beta * self.col + (1 - beta) * square.mean(-2)
            update = grad / np.sqrt(self.row / self.row.mean())[:, None] / np.sqrt(self.col)
        else:
            self.full = beta * self.full + (1 - beta) * square
            update = grad / np.sqrt(self.full)
        update = update / max(1.0, np.sqrt((update**2).mean()) / 1.0)
        return param - lr * wd * param - lr * update


@pytest.mark.parametrize("factored", [True, False])
def test_adafactor_follows_the_rule_of_hugging_face_for_each_layer_of_a_stack(factored):
    params = make_params()
    rng = np.random.default_rng(3)
    # The gradients grow and differ much between the two layers, so that each layer is clipped.
    grads = [
        {n: (i + 1) ** 2 * rng.standard_normal(p.shape) for n, p in params.items()}
        for i in range(4)
    ]
    for g in grads:
        g["llm/layers/mlp/linear"][1] *= 100
    args = dict(min_dim_size_to_factor=2 if factored else 128)
    history = run(
        make_config(optimizer_args=args),
        params,
        [jax.tree.map(lambda x: x.astype(np.float32), g) for g in grads],
    )
    for n, p in params.items():
        stacked = "/layers/" in n
        for i in range(2 if stacked else 1):
            at = (i,) if stacked else ()
            value = np.float64(p[at])
            rule = NaiveAdafactor(value.shape, factored and value.ndim > 1)
            for step, after in enumerate(history):
                wd = 0 if n.endswith(("scale", "bias")) else 0.1
                value = rule.update(grads[step][n][at], value, 0.01, wd)
                np.testing.assert_allclose(after[n][at], value, rtol=1e-4, atol=1e-6, err_msg=n)


def test_adafactor_keeps_rows_and_columns_of_each_layer_only():
    params = {"llm/layers/mlp/linear": jnp.zeros((3, 200, 130)), "table": jnp.zeros((300, 128))}
    optimizer = optim.make(make_config(wd_mults=((".*", 1.0),)), params, 10)
    state = jax.eval_shape(optimizer.tx.init, params)
    sizes = sum(x.size for x in jax.tree.leaves(state))
    assert 3 * (200 + 130) + 300 + 128 <= sizes < 3 * (200 + 130) + 300 + 128 + 30


# ---- Muon ----


def test_muon_makes_the_update_of_every_layers_matrix_nearly_orthogonal():
    rng = np.random.default_rng(0)
    # Heads and their width together are one axis of a query projection: [layer, head, in, dim].
    params = {
        "llm/layers/attn/q_einsum/w": jnp.zeros((2, 4, 24, 6)),
        "img/Transformer/encoderblock/MlpBlock_0/Dense_0/kernel": jnp.zeros((2, 8, 32)),
    }
    grads = {n: jnp.asarray(rng.standard_normal(p.shape), jnp.float32) for n, p in params.items()}
    args = dict(optimizer_args=dict(rms=0.5), lr=1.0, wd=0.0, wd_mults=((".*", 1.0),))
    config = make_config(optimizer="muon", **args)
    (after,) = run(config, params, [grads])
    query = np.asarray(after["llm/layers/attn/q_einsum/w"]).transpose(0, 2, 1, 3).reshape(2, 24, 24)
    dense = np.asarray(after["img/Transformer/encoderblock/MlpBlock_0/Dense_0/kernel"])
    for update, longest in ((query, 24), (dense, 32)):
        # Five Newton-Schulz steps bring singular values near 1, not to 1.
        singular = np.linalg.svd(update, compute_uv=False) / (0.5 * longest**0.5)
        assert singular.min() > 0.3 and singular.max() < 1.4
        assert np.sqrt((update**2).mean()) == pytest.approx(0.5, rel=0.3)


def test_muon_treats_layers_apart_and_all_else_as_adam_does():
    params = make_params()
    grads = [{n: jnp.sin(p * (i + 1)) for n, p in params.items()} for i in range(3)]
    first_layer = [
        {n: g.at[1].multiply(-3.0) if n == "llm/layers/mlp/linear" else g for n, g in each.items()}
        for each in grads
    ]
    muon = make_config(optimizer="muon", optimizer_args=dict(b2=0.98), wd=0.0)
    ours, other = run(muon, params, grads)[-1], run(muon, params, first_layer)[-1]
    adam = run(make_config(optimizer="adamw", optimizer_args=dict(b2=0.98), wd=0.0), params, grads)
    name = "llm/layers/mlp/linear"
    np.testing.assert_allclose(ours[name][0], other[name][0], atol=1e-6)
    assert not np.allclose(ours[name][1], other[name][1])
    for n in params:
        assert np.allclose(ours[n], adam[-1][n]) == (n != name)


# ---- State in bfloat16 ----


def test_rounding_at_random_keeps_the_mean_and_lands_on_the_neighbours():
    x = jnp.full((200_000,), 1.0 + 2**-10)  # An eighth of the way between two bfloat16.
    rounded = optim.round_at_random(x, jax.random.key(0)).astype(jnp.float32)
    assert set(np.unique(rounded)) == {1.0, 1.0 + 2**-7}
    share = float((rounded > 1).mean())
    assert share == pytest.approx(1 / 8, abs=5 * (1 / 8 * 7 / 8 / x.size) ** 0.5)
    exact = jnp.asarray([0.0, -1.5, jnp.inf, -jnp.inf, jnp.nan], jnp.float32)
    np.testing.assert_array_equal(
        optim.round_at_random(exact, jax.random.key(1)).astype(jnp.float32), exact
    )


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_bfloat16_state_halves_memory_and_follows_float32(name):
    params, rng = make_params(), np.random.default_rng(0)
    steps = [
        {
            n: p + jnp.asarray(rng.standard_normal(p.shape) * 0.1, jnp.float32)
            for n, p in params.items()
        }
        for _ in range(60)
    ]
    config = make_config(optimizer=name, wd=0.0)
    narrow = make_config(optimizer=name, wd=0.0, optimizer_state_dtype="bfloat16")
    state = optim.make(narrow, params, 60).tx.init(params)
    large = [x for x in jax.tree.leaves(state) if x.ndim > 1]
    assert large and all(x.dtype == jnp.bfloat16 for x in large)
    wide, small = (run(c, params, steps, 60)[-1] for c in (config, narrow))
    for n, p in params.items():
        moved = float(jnp.abs(wide[n] - p).mean())
        assert float(jnp.abs(wide[n] - small[n]).mean()) < 0.02 * moved, n


def test_a_slow_running_mean_in_bfloat16_does_not_stand_still():
    # Adam's second moment after 1,000 gradients of 1 is 1 - 0.999 ** 1000. With rounding to the
    # nearest number it would stop at about 0.2, where a change is below half a unit in the last
    # place.
    config = make_config(
        optimizer="adamw",
        optimizer_args=dict(b2=0.999),
        optimizer_state_dtype="bfloat16",
        wd=0.0,
        wd_mults=((".*", 0.0),),
    )
    params = {"w": jnp.zeros((40, 50))}
    tx = optim.make(config, params, 10).tx

    def step(state, _):
        return tx.update({"w": jnp.ones((40, 50))}, state, params)[1], None

    state = jax.jit(lambda s: jax.lax.scan(step, s, None, 1000)[0])(tx.init(params))
    (nu,) = [x for path, x in jax.tree_util.tree_leaves_with_path(state) if "nu" in str(path)]
    assert float(nu.astype(jnp.float32).mean()) == pytest.approx(1 - 0.999**1000, rel=0.01)


def test_an_unknown_dtype_of_the_state_is_an_error():
    with pytest.raises(ValueError, match="optimizer_state_dtype 'float16'"):
        optim.make(make_config(optimizer_state_dtype="float16"), make_params(), 10)
