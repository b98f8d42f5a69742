"""The fast step trains as the plain one does, on phantom slices.

CI trains for 24 steps; `make prove` sets BIG_RAD_LOSS_STEPS for the 200 steps of docs/training.md.
"""

import functools
import os

import jax
import numpy as np
import pytest

from big_rad import input_pipeline, models, trees
from big_rad.config import recipes as config_lib
from big_rad.datasets.phantom import builder
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import losses, optim
from big_rad.training import step as train_step

STEPS = int(os.environ.get("BIG_RAD_LOSS_STEPS", "24"))
# Unlike in other tests, optimised compilation pays off if the step runs often.
COMPILER = {"xla_backend_optimization_level": 1} if STEPS > 100 else {}
# A row of the demo has several texts of an image. A row of the published recipe has one text, with
# the attention mask of the original code.
RECIPES = {
    "recipe": "configs/radgrounder_det.py:variant=tiny,data=phantom,size=56",
    "demo": "configs/demo.py:batch=2,texts=4",
}
PLAIN = dict(attention="xla", last_block="all", text_block=0)
FAST = dict(attention="auto", last_block="wanted")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builder.build("demo", folder, workers=1, train=40, validation=2, test=2)
    return str(folder)


def make_config(name):
    config = config_lib.load(RECIPES[name])
    config.model.img.update(width=32, depth=1, mlp_dim=64, num_heads=2)
    config.model.llm.update(width=48, depth=2, mlp_dim=96, num_heads=4, head_dim=12)
    config.lr, config.total_epochs, config.total_steps = 3e-4, None, STEPS
    if name == "recipe":
        config.input.batch_size = 4
        config.input.buckets = (96,)  # Every row fits, so that one program is compiled.
    return config


def curve(config, data_dir, loss, settings):
    """Returns the loss of every step."""
    tokenizer = tokenizers.load(config.tokenizer.path, tuple(config.tokenizer.sets))
    model_cfg = {**config.model, **settings}
    model = models.make(config.model_name, model_cfg, tokenizer.padded_vocab_size)
    params = jax.jit(functools.partial(models.init_params, model, config))(jax.random.key(0))
    flat = trees.flatten(params)
    optimizer = optim.make(config, flat, STEPS)
    step = jax.jit(
        train_step.make_train_step(model, losses.get(loss), optimizer, 1),
        donate_argnums=0,
        compiler_options=COMPILER,
    )
    state = {"params": params, "opt_state": optimizer.tx.init(flat), "step": np.int32(0)}
    batches = input_pipeline.make_train(config, 0, data_dir).iterator
    values = []
    for _ in range(STEPS):
        batch = {k: v for k, v in next(batches).items() if k not in ("id", "rejects")}
        state, metrics = step(state, batch, jax.random.key(1))
        values.append(metrics["training_loss"])
    batches.close()
    return np.asarray(jax.device_get(values))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_loss_curves_of_the_fast_and_the_plain_step_agree_to_1e_4(name, data_dir):
    config = make_config(name)
    call = config.loss.replace(")", ", tile={})").replace("(,", "(")
    fast = curve(config, data_dir, call.format(64), FAST)
    plain = curve(config, data_dir, call.format(None), PLAIN)
    third = STEPS // 3
    assert fast[-third:].mean() < fast[:third].mean() - 0.1  # It learns, so that steps matter.
    np.testing.assert_allclose(fast, plain, atol=1e-4)
    print(f"largest difference in {STEPS} steps, {name}: {np.abs(fast - plain).max():.1e}")
