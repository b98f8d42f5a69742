"""Ways to choose each row's next token.

A new way to choose is a new picker, a small object that the batch loop and the queue both take.
"""

import dataclasses
import math
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32

from big_rad.inference.state import PickerState, State

KEY_IMPL = "threefry2x32"  # JAX's default; it gives the same numbers on every device


class Picker(Protocol):
    """Chooses the next token of every row.

    A picker holds settings only. What it must remember of a row (a key, the state of a grammar) it
    keeps in arrays of its own, which travel with the row.

    Attributes:
        draws: whether it needs a random key for each row.
    """

    draws: bool

    def start(self, keys: UInt32[Array, "rows words"]) -> PickerState:
        """Returns what the picker remembers of rows that begin.

        Args:
            keys: the data of one random key for each row; zeros where nothing is sampled.
        """

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """Chooses one token for each row.

        Args:
            logits: the model's scores, -inf where an id is never predicted.
            state: the rows; `count` is the step of each, `limit` its budget, and `picker` what
                this picker gave last.

        Returns:
            (the tokens, their log probabilities under the unscaled logits, what the picker
            remembers next). Rows that have ended get some token, which nobody reads.
        """


@dataclasses.dataclass(frozen=True)
class Greedy:
    """Picks the likeliest token, the lowest id of several."""

    draws: ClassVar[bool] = False

    def start(self, keys: UInt32[Array, "rows words"]) -> PickerState:
        """Remembers nothing."""
        del keys
        return {}

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """See `Picker.pick`."""
        return *greedy(logits), state.picker


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Draws a token from softmax(logits / temperature), each row from a stream of its own.

    The token at step s of a row depends on its key, s and its logits, and on nothing else.

    Attributes:
        temperature: above 0.
        top_p: nucleus: draw only among the likeliest tokens whose probability adds up to it; it is
            taken after the temperature.
        impl: JAX's name of the generator that the rows' keys belong to.
    """

    draws: ClassVar[bool] = True
    temperature: float = 1.0
    top_p: float = 1.0
    impl: str = KEY_IMPL

    def start(self, keys: UInt32[Array, "rows words"]) -> PickerState:
        """Remembers each row's key."""
        return {"key": keys}

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """See `Picker.pick`."""
        scaled = logits / self.temperature
        if self.top_p < 1:
            ordered = jnp.sort(scaled, axis=-1, descending=True)
            probs = jax.nn.softmax(ordered, axis=-1)
            before = jnp.cumsum(probs, axis=-1) - probs
            kept = jnp.where(before < self.top_p, ordered, jnp.inf)
            scaled = jnp.where(scaled < kept.min(axis=-1, keepdims=True), -jnp.inf, scaled)
        keys = jax.random.wrap_key_data(state.picker["key"], impl=self.impl)
        keys = jax.vmap(jax.random.fold_in)(keys, state.count)
        token = jax.vmap(jax.random.categorical)(keys, scaled)
        logprob = jax.nn.log_softmax(logits, axis=-1)
        return token, jnp.take_along_axis(logprob, token[:, None], axis=-1)[:, 0], state.picker


def make_picker(temperature: float = 0.0, top_p: float = 1.0, impl: str = KEY_IMPL) -> Picker:
    """Returns `Greedy()` for temperature 0, and otherwise `Sampled` with these settings.

    Raises:
        ValueError: a setting that is out of range.
    """
    if not (0 <= temperature < math.inf and 0 < top_p <= 1):
        raise ValueError(f"need temperature >= 0 and 0 < top_p <= 1, got {temperature}, {top_p}")
    return Greedy() if temperature == 0 else Sampled(temperature, top_p, impl)


def key_data(key: Key[Array, "..."] | UInt32[Array, "... words"]) -> UInt32[Array, "... words"]:
    """Returns the data of typed keys, or of keys that `jax.random.PRNGKey` made."""
    typed = jnp.issubdtype(getattr(key, "dtype", int), jax.dtypes.prng_key)
    return jax.random.key_data(key) if typed else key


def greedy(
    logits: Float[Array, "rows vocab"],
) -> tuple[Int[Array, " rows"], Float[Array, " rows"]]:
    """Returns the likeliest id of each row, and its log probability."""
    # `argmax` and `log_softmax` say the same, but on a CPU they are slow for large vocabularies.
    high = logits.max(axis=-1, keepdims=True)
    ids, last = jnp.arange(logits.shape[-1]), logits.shape[-1] - 1
    token = jnp.where(logits == high, ids, last).min(axis=-1)
    return token, -jnp.log(jnp.exp(logits - high).sum(axis=-1))


def likeliest(
    logits: Float[Array, "rows vocab"], k: int
) -> tuple[Int[Array, "rows k"], Float[Array, "rows k"]]:
    """Returns the k likeliest ids of each row, the likeliest first, and their log probabilities."""
    top, ids = jax.lax.top_k(logits, k)
    high = top[:, :1]
    return ids, (top - high) - jnp.log(jnp.exp(logits - high).sum(axis=-1, keepdims=True))
