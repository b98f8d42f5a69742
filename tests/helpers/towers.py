"""Runs of two tiny towers with random weights."""

import jax
import jax.numpy as jnp
import numpy as np

from big_rad import models
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import orbax

SIZE, LENGTH = 28, 16
_DIMS = dict(width=16, depth=1, mlp_dim=16, num_heads=2)
CONFIG = dict(
    model_name="two_towers",
    model=dict(img=dict(_DIMS, patch_size=14), txt=dict(_DIMS, length=LENGTH)),
    tokenizer=dict(path="tiny", sets=["detection", "segmentation"]),
    codec=dict(name="radgrounder", grid=None),
    image=dict(size=SIZE, normalize="medgemma"),
    text=dict(clean="", max_text=200),
)


def write_run(workdir, seed=0, **fields):
    """Writes a run directory with random weights; `fields` replace those of `CONFIG`."""
    config, tokenizer = CONFIG | fields, tokenizers.load("tiny")
    model = models.make(config["model_name"], config["model"], models.rows("two_towers", tokenizer))
    image, text = jnp.zeros((1, SIZE, SIZE, 3)), jnp.ones((1, LENGTH), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, text)["params"]
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda x: rng.standard_normal(x.shape, np.float32), shapes)
    orbax.save(workdir, params, config, tokenizer)
    return workdir
