"""Models that write a fixed text, and runs of a tiny model, for tests of RadGrounder."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from big_rad import models, predict
from big_rad.dicom import read as dicom_read
from big_rad.grounding import classes
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


def build(model, params, tokenizer, *, image_size=SIZE, **options):
    """A RadGrounder with the settings of `CONFIG`."""
    codec, size = codecs.get_codec(CONFIG["codec"]["name"]), image_size
    return predict.RadGrounder(model, params, tokenizer, codec=codec, image_size=size, **options)


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


def looking(marks, size, *, masks=True, batches=None):
    """A model that marks what is bright in the image that it sees.

    Args:
        marks: for each organ, the levels between which a pixel of the model's first channel, in
            -1..1, is marked.
        size: the side of the model's image.
        masks: whether it points with masks, or with the boxes around them.
        batches: collects the batches that it is given.
    """
    codec = codecs.get_codec(CONFIG["codec"]["name"])

    def answer_batch(params, batch, *, max_new_tokens, logits=False):
        seen = batch["image"][0, ..., 0]
        # Above 0 between the levels.
        found = {name: np.minimum(seen - low, high - seen) for name, (low, high) in marks.items()}
        found = {name: x for name, x in found.items() if (x > 0).any()}
        if masks:
            each = [f"<seg>{name}</seg>" for name in found]
        else:
            each = [
                f"<p bbox={codec.encode(np.divide(box_of(x > 0), size))}"
                f" id=<seg{classes.lookup(name).id:03d}>>{name}</p>"
                for name, x in found.items()
            ]
        text = f"Seen: {', '.join(each)}." if each else "Nothing."
        out = always(text, batches)(params, batch, max_new_tokens=max_new_tokens)
        if masks:
            padded = np.full((1, 16, size, size), 9.0, np.float32)
            for n, x in enumerate(found.values()):
                padded[0, n] = x
            out |= {"mask_logits": padded, "num_masks": np.array([len(found)])}
        return out

    tokenizer = tokenizers.load("tiny")
    model = make_model(MASKS_CONFIG, tokenizer.padded_vocab_size) if masks else None
    return build(model, {}, tokenizer, generate_fn=answer_batch, image_size=size)


def box_of(mask):
    """The box (x1, y1, x2, y2) around a mask, with exclusive ends."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


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
