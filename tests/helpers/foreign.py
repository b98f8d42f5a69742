"""Foreign checkpoints of a tiny model, whose tables differ in height but begin with equal rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from big_rad.models import paligemma
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import huggingface, npz

# The rows of the tiny tokenizer: those of text, loc and seg tokens, and all rows with padding.
ORDINARY, PADDED = 3152, 3200
HEIGHTS = (3152, 3155, 3156, 3157, 3158, 3199, 3200, 3201)
SIZE = 28
CFG = dict(
    img=dict(width=16, depth=1, mlp_dim=16, num_heads=2, patch_size=14),
    llm=dict(width=16, depth=1, mlp_dim=16, num_heads=2, num_kv_heads=1, head_dim=8),
)
# The kind, the height, and the markup sets that the files name. The files of an npz name no sets.
PLACES = (
    ("npz", 3152, None),
    ("npz", 3155, None),
    ("npz", 3157, None),
    ("npz", 3158, None),
    ("npz", 3201, None),
    ("hf", 3152, ()),
    ("hf", 3156, ("detection",)),
    ("hf", 3199, ()),
    ("hf", 3200, ("detection", "segmentation")),
)
MARKUP = ("<p bbox=", "</p>", "id=", "<seg>", "</seg>")


@functools.cache
def _params():
    model = paligemma.Model(img=CFG["img"], llm=dict(CFG["llm"], vocab_size=max(HEIGHTS)))
    image, tokens = jnp.zeros((1, SIZE, SIZE, 3)), jnp.ones((1, 2), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: 0.3 * rng.standard_normal(x.shape, np.float32), shapes)


def params(height):
    """Returns nested parameters; the first rows of the table are the same for every height."""
    whole = _params()
    table = whole["llm"]["embedder"]["input_embedding"][:height]
    return whole | {"llm": whole["llm"] | {"embedder": {"input_embedding": table}}}


def cfg(height):
    """Returns the model config of a height."""
    return CFG | dict(llm=dict(CFG["llm"], vocab_size=height))


def write_hf(folder, height, sets=("detection", "segmentation")):
    """Writes a Hugging Face folder whose tokenizer names the tokens of some markup sets."""
    tokenizer = tokenizers.load("tiny", sets)
    huggingface.save(folder, cfg(height), params(height), tokenizer)
    return folder


def write_npz(folder, height):
    """Writes an npz with the tokenizer's model beside it, as Google's files come."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "paligemma_tokenizer.model").write_bytes(tokenizers.load("tiny").model)
    npz.save(folder / "model.npz", params(height))
    return folder / "model.npz"


def table(tree):
    """Returns the embedding table of nested parameters."""
    return np.asarray(tree["llm"]["embedder"]["input_embedding"])


def write(folder, kind, height, sets):
    """Writes one of `PLACES`."""
    return write_npz(folder, height) if kind == "npz" else write_hf(folder, height, sets)


def points(kind, height, sets):
    """Returns whether one of `PLACES` knows boxes."""
    return height >= 3156 if kind == "npz" else "detection" in sets


def untrained(kind, height, sets):
    """Returns the markup tokens without a trained row of one of `PLACES`."""
    if kind == "npz":
        return MARKUP[max(0, height - ORDINARY - 1) :]
    return () if sets else MARKUP
