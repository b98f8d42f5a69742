"""A stand-in for a model whose logits are a table, to test the loop and the choice of tokens."""

import jax
import jax.numpy as jnp
import numpy as np

from big_rad.inference import decode

EOS = 1


class Table:
    """Stands in for a model: the logits of step s are `logits[s]`, in every row or for each row."""

    prefill = "prefill"

    def __init__(self, logits):
        self.logits = jnp.asarray(logits, jnp.float32)
        self.calls = 0  # The number of calls of `decode_step` from Python.

    def at(self, step, rows):
        logits = self.logits[jnp.minimum(step, self.logits.shape[0] - 1)]
        return jnp.broadcast_to(logits, (rows, self.logits.shape[-1]))

    def apply(self, variables, *args, method):
        del variables
        assert method == "prefill"
        _, text, _ = args
        b, t = text.shape
        kv = {k: jnp.zeros((1, b, t, 1, 1)) for k in "kv"}
        return self.at(0, b), kv, jnp.ones((b, t), bool), None

    def decode_weights(self, params):
        return params

    def decode_step(self, weights, token, slot, cache):
        self.calls += 1
        return self.at(slot[0], len(token)), cache, None


def generate(logits, rows=1, rng=None, **kw):
    """Generates from a table after a prompt of one token; positions count from 1."""
    kw = {"max_new_tokens": len(logits), "vocab_size": len(logits[0]), **kw}
    model = Table(logits)
    text = np.ones((rows, 1), np.int32)
    result = decode.make_generate(model, **kw)({}, np.zeros((rows, 1)), text, 0 * text, rng)
    return jax.tree.map(np.asarray, result) | {"calls": model.calls}


def one_hot(*ids, size=8):
    return 10.0 * np.eye(size)[list(ids)]
