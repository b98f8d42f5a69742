"""Small SigLIPs: a tokenizer with the special pieces of the original, and whole checkpoints."""

import io
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import sentencepiece as spm

from big_rad import models, trees
from big_rad.models import two_towers
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import orbax, source_config
from big_rad.weights import two_towers as weights

SIDE = 14
IMG = dict(width=24, depth=2, mlp_dim=40, num_heads=2, patch_size=7)
TXT = dict(width=24, depth=2, mlp_dim=32, num_heads=3)

LINES = [
    f"the {organ} is {state} and {size} cm."
    for organ in ("liver", "spleen", "left kidney", "lung")
    for state in ("normal", "enlarged", "small")
    for size in ("1.2", "3", "4.5")
]


def spiece(pieces: int = 90) -> bytes:
    """Returns a real SentencePiece model with the special pieces and the settings of SigLIP's."""
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=out,
        model_type="unigram",
        vocab_size=pieces,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        pad_piece="<pad>",
        eos_piece="</s>",
        unk_piece="<unk>",
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def flat(rows: int, length: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns random parameters of a whole SigLIP of two layers, by name.

    Args:
        rows: The number of rows of its token table.
        length: The context length in tokens.
        seed: The seed of the values.
    """
    rng, cfg = np.random.default_rng(seed), {"img": IMG, "txt": dict(TXT, vocab_size=rows)}
    model = two_towers.Model(img=IMG, txt=dict(cfg["txt"], length=length))
    image, text = jnp.zeros((1, SIDE, SIDE, 3)), jnp.zeros((1, length), jnp.int32)
    shapes = trees.flatten(jax.eval_shape(model.init, jax.random.key(0), image, text)["params"])
    return {n: rng.standard_normal(x.shape).astype(np.float32) for n, x in shapes.items()}


def run(
    folder: pathlib.Path, tokenizer: str | pathlib.Path, padding: int = 0, **options: int
) -> pathlib.Path:
    """Writes a run of two towers with random parameters.

    Args:
        folder: The run directory.
        tokenizer: The name or file of its tokenizer.
        padding: The number of rows of the token table that stand for no token.
        options: The `length` and `seed` of `flat`.
    """
    tok = tokenizers.load(tokenizer)
    params = flat(models.rows("two_towers", tok) + padding, **options)
    cfg = weights.model_cfg(params, folder)
    config = source_config.of_towers(cfg, SIDE, tokenizer)
    config["tokenizer"]["sets"] = list(tok.sets)
    orbax.save(folder, trees.unflatten(params), config, tok)
    return folder
