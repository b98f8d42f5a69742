"""Models that write a fixed text, and runs of a tiny model, for tests of RadGrounder."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from big_rad import models, predict
from big_rad.dicom import read as dicom_read
from big_rad.grounding import codec as codecs
from big_rad.pp import tokenizer as tokenizers
from big_rad.workdir import checkpoint

SIZE = 28
CONFIG = dict(
    model_name="paligemma",
    model=dict(
        img=dict(variant="tiny", width=16, depth=1, mlp_dim=16, num_heads=2, patch_size=14),
        llm=dict(
            variant="tiny", width=16, depth=1, mlp_dim=16, num_heads=2, num_kv_heads=1, head_dim=8
        ),
        mask_mode="image_isolated",
    ),
    tokenizer=dict(path="tiny", sets=["detection", "segmentation"]),
    codec=dict(name="radgrounder", grid=None),
    image=dict(size=SIZE, normalize="medgemma"),
)
MASKS_CONFIG = CONFIG | dict(
    model_name="radgrounder",
    model=CONFIG["model"] | dict(mask_decoder=dict(dim=16, num_heads=2, mlp_dim=16)),
)


def make_model(config, vocab_size):
    return models.make(config["model_name"], config["model"], vocab_size)


def init_params(model):
    """Random parameters of a model."""
    text, image = jnp.ones((1, 4), jnp.int32), jnp.zeros((1, SIZE, SIZE, 3))
    return jax.jit(model.init)(jax.random.key(0), image, text, jnp.zeros_like(text))["params"]


def save(workdir, params, meta):
    """Writes step 3 of a run."""
    checkpoints = checkpoint.Checkpointer(workdir)
    checkpoints.save(3, {"params": params, "step": jnp.array(3)}, {}, meta)
    checkpoints.close()


def write_run(workdir, config=CONFIG):
    """Writes a run directory with a checkpoint of random weights; returns the directory."""
    model = make_model(config, tokenizers.load("tiny").padded_vocab_size)
    save(workdir, init_params(model), {"config": config})
    return workdir


def build(model, params, tokenizer, **options):
    """A RadGrounder with the settings of `CONFIG`."""
    codec = codecs.get_codec(CONFIG["codec"]["name"])
    return predict.RadGrounder(model, params, tokenizer, codec=codec, image_size=SIZE, **options)


def always(text, batches=None):
    """A function that writes the same text for every row, each token with probability one half."""
    tokenizer = tokenizers.load("tiny")

    def answer_batch(params, batch, *, max_new_tokens):
        if batches is not None:
            batches.append(batch)
        ids = tokenizer.encode(text, eos=True, specials=True)
        tokens = np.zeros((len(batch["text"]), max_new_tokens), np.int32)
        tokens[:, : len(ids)] = ids
        logprob = np.full(len(tokens), len(ids) * math.log(0.5))
        return {"tokens": tokens, "logprob": logprob, "length": np.full(len(tokens), len(ids) - 1)}

    return answer_batch


def fixed(text, batches=None, **options):
    """A model that writes a fixed text. `batches` collects the batches that it is given."""
    tokenizer = tokenizers.load("tiny")
    return build(None, {}, tokenizer, generate_fn=always(text, batches), **options)


def with_masks(text, logits, batches=None):
    """A model that writes a fixed text and gives fixed mask logits [n, SIZE, SIZE]."""
    write, tokenizer, given = always(text, batches), tokenizers.load("tiny"), np.float32(logits)

    def answer_batch(params, batch, *, max_new_tokens, logits=False):
        assert logits  # RadGrounder must ask for logits, which it resizes before the threshold.
        padded = np.concatenate([given, np.full((16 - len(given), SIZE, SIZE), 9.0, np.float32)])
        out = write(params, batch, max_new_tokens=max_new_tokens)
        return out | {"mask_logits": padded[None], "num_masks": np.array([len(given)])}

    model = make_model(MASKS_CONFIG, tokenizer.padded_vocab_size)
    return build(model, {}, tokenizer, generate_fn=answer_batch)


def grey(height, width):
    pixels = np.random.default_rng(0).integers(-900, 900, (height, width)).astype(np.int16)
    return dicom_read.Slice(pixels, "CT", (1.0, 1.0), "axial", "HU")


def rectangle(y1, y2, x1, x2):
    logits = np.full((SIZE, SIZE), -1.0)
    logits[y1:y2, x1:x2] = 1
    return logits


def prompt_of(batch):
    ids = batch["text"][0]
    return tokenizers.load("tiny").decode(ids[ids != 0], skip_special=True)
