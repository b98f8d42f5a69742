"""Runs of a tiny model and their exports, for tests."""

import importlib.util
import json

import jax
import numpy as np

from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import exported
from tests.conftest import randomise
from tests.helpers import radgrounders

DATA = {"tiny": {"items": 12, "sha256": "ab" * 32}}
EVALS = {"report": {"type": "grounded", "builder": "phantom", "split": "validation"}}


def config(mask_mode="paligemma", masks=True, **model):
    """The config of a run."""
    base = radgrounders.MASKS_CONFIG if masks else radgrounders.CONFIG
    both = dict(base["model"], mask_mode=mask_mode, **model)
    return base | dict(model=both, text=dict(clean="", max_text=60), evals=EVALS)


def write_run(workdir, settings=None, dtype=np.float32):
    """Writes a run of random weights whose answers are several tokens long; returns it."""
    settings = settings or config()
    tokenizer = tokenizers.load("tiny")
    model = radgrounders.make_model(settings, tokenizer.padded_vocab_size)
    image = np.zeros((1, radgrounders.SIZE, radgrounders.SIZE, 3), np.float32)
    text = np.ones((1, 4), np.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, text, 0 * text)["params"]
    params = jax.tree.map(lambda x: x.astype(dtype), randomise(shapes))
    meta = dict(config=settings, data=DATA, tokenizer=tokenizer.fingerprint)
    radgrounders.save(workdir, params, meta)
    (workdir / "tokenizer.model").write_bytes(tokenizer.model)
    return workdir


def change(folder, name, change):
    """Changes the content of config.json, and makes the sums right again."""
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    exported.write_sums(folder)


def program_of(folder):
    """The module run.py of an export."""
    spec = importlib.util.spec_from_file_location("run_of_an_export", folder / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
