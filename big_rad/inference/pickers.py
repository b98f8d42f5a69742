"""Pickers: small objects that choose the next token of each row.

`Greedy` and `Sampled` are the two that big_rad has. To choose tokens in another way, for example
under a grammar, write a class with the methods of `Picker` and give an object of it as
`sampling.Options.picker`. The batch loop and the queue both take it.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from big_rad.inference import constrain
from big_rad.inference.state import PickerState, State

# What a row of `PerRow` may set, with its default.
SETTINGS = {"temperature": np.float32(0), "top_p": np.float32(1), "constrained": np.bool_(True)}
KEY_IMPL = "threefry2x32"  # JAX's default generator; it gives the same numbers on every device.


class Picker(Protocol):
    """Chooses the next token of every row.

    The object itself holds only settings. The picker keeps data of the rows (a random key, the
    state of a grammar) in arrays, which are a part of the state (`State.picker`) and move with the
    rows.

    Attributes:
        draws: whether the picker needs a random key for each row.
    """

    draws: bool

    def start(self, keys: UInt32[Array, "rows words"]) -> PickerState:
        """Returns the picker's arrays for rows that begin.

        Args:
            keys: the data of one random key for each row; zeros if `draws` is False.
        """

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """Chooses one token for each row.

        Args:
            logits: the model's scores, with -inf at the ids that are never predicted.
            state: the rows. `state.count` is the number of tokens that each row has, `state.limit`
                the number that it may get, and `state.picker` the arrays that this picker returned
                last.

        Returns:
            The tokens, their log probabilities under the unscaled logits, and the picker's new
            arrays. Rows that have ended get a token too, which the sampler ignores.
        """


@dataclasses.dataclass(frozen=True)
class Greedy:
    """Picks the likeliest token of each row; of several equally likely ones, the lowest id."""

    draws: ClassVar[bool] = False

    def start(self, keys: UInt32[Array, "rows words"]) -> PickerState:
        """Returns no arrays, since greedy decoding needs none."""
        del keys
        return {}

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """See `Picker.pick`."""
        return *greedy(logits), state.picker


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Draws the next token of each row from softmax(logits / temperature).

    Each row has a random key k of its own, and its token at step s = 0, 1, ... is drawn with
    `jax.random.fold_in(k, s)`. So the token depends on k, s and the row's logits alone.

    With `top_p` below 1 this is nucleus sampling (Holtzman et al., 2020,
    https://arxiv.org/abs/1904.09751): sort the tokens by their probability p, the likeliest first,
    and draw from the shortest beginning of the list whose probabilities add up to at least `top_p`.
    Example: with p = 0.5, 0.3, 0.15, 0.05 and `top_p=0.7`, the first two tokens can be drawn. A
    token that is exactly as likely as the last one of the nucleus can be drawn as well.

    Attributes:
        temperature: a number above 0. Lower temperatures prefer the likeliest tokens more.
        top_p: the probability mass of the nucleus, in (0, 1]. Probabilities are those after the
            division by the temperature. 1 draws among all tokens.
        impl: JAX's name of the random number generator that the rows' keys belong to.
    """

    draws: ClassVar[bool] = True
    temperature: float = 1.0
    top_p: float = 1.0
    impl: str = KEY_IMPL

    def start(self, keys: UInt32[Array, "rows words"]) -> PickerState:
        """Returns the key of each row."""
        return {"key": keys}

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """See `Picker.pick`."""
        scaled = logits / self.temperature
        if self.top_p < 1:
            scaled = nucleus(scaled, self.top_p)
        token = draw(scaled, state.picker["key"], state.count, self.impl)
        logprob = jax.nn.log_softmax(logits, axis=-1)
        return token, jnp.take_along_axis(logprob, token[:, None], axis=-1)[:, 0], state.picker


@dataclasses.dataclass(frozen=True)
class PerRow:
    """Lets every row have its own way to choose: greedy or sampled, with or without a grammar.

    Settings of a row, arrays by name, all optional:

        temperature  f32 [rows]   0 (the default) is greedy, otherwise as in `Sampled`
        top_p        f32 [rows]   the nucleus, as in `Sampled`; the default is 1
        constrained  bool [rows]  whether the grammar limits the row; by default it does

    A row keeps the choice that it would make alone if the grammar allows it. Otherwise it chooses
    once more, in the same way and with the same key, among the ids that are allowed. Its log
    probability is that without the grammar, and `changed` i32 [rows] in the answers says how often
    this happened. What is slow (sorting for a nucleus, drawing, a second choice) is done only at
    steps at which a row needs it.

    Attributes:
        grammar: what may follow; None limits no row.
        impl: JAX's name of the random number generator that the rows' keys belong to.
    """

    draws: ClassVar[bool] = True
    grammar: constrain.Grammar | None = None
    impl: str = KEY_IMPL

    def start(
        self, keys: UInt32[Array, "rows words"], settings: Mapping[str, Array] | None = None
    ) -> PickerState:
        """Returns the key and the settings of each row, and where it is in the grammar.

        Args:
            keys: see `Picker.start`.
            settings: the settings of the rows; None leaves all at their defaults.
        """
        rows, settings = keys.shape[0], settings or {}
        arrays = {n: settings.get(n, jnp.full(rows, x)) for n, x in SETTINGS.items()}
        if self.grammar is None:
            del arrays["constrained"]
            return {"key": keys} | arrays
        own = {"key": keys, "changed": jnp.zeros(rows, jnp.int32)}
        return arrays | own | self.grammar.start(rows)

    def pick(
        self, logits: Float[Array, "rows vocab"], state: State
    ) -> tuple[Int[Array, " rows"], Float[Array, " rows"], PickerState]:
        """See `Picker.pick`."""
        mine, live = state.picker, ~state.done
        likeliest_id, logprob = greedy(logits)
        token = self._choose(logits, state, live)
        new = dict(mine)
        if self.grammar is not None:
            limits = self.grammar.limits(logits.shape[-1], mine, state.limit - state.count)
            broken = live & mine["constrained"] & ~limits.allow(token)
            token = jax.lax.cond(
                broken.any(),
                lambda: jnp.where(
                    broken,
                    self._choose(jnp.where(limits.all(), logits, -jnp.inf), state, broken),
                    token,
                ),
                lambda: token,
            )
            moved = self.grammar.move(token, mine, limits)
            new |= {n: jnp.where(mine["constrained"], x, mine[n]) for n, x in moved.items()}
            new["changed"] = mine["changed"] + broken
        pair = jnp.take_along_axis(logits, jnp.stack([likeliest_id, token], axis=1), axis=1)
        return token, logprob + pair[:, 1] - pair[:, 0], new

    def report(self, arrays: PickerState) -> dict[str, Array]:
        """Returns `changed`, how many tokens of each row the grammar has changed."""
        return {} if self.grammar is None else {"changed": arrays["changed"]}

    def _choose(
        self, logits: Float[Array, "rows vocab"], state: State, rows: Bool[Array, " rows"]
    ) -> Int[Array, " rows"]:
        # The choice of each of `rows`; other rows get some id.
        mine = state.picker
        samples = rows & (mine["temperature"] > 0)

        def sampled() -> Int[Array, " rows"]:
            warm = jnp.where(mine["temperature"] > 0, mine["temperature"], 1.0)
            scaled = logits / warm[:, None]
            scaled = jax.lax.cond(
                (samples & (mine["top_p"] < 1)).any(),
                lambda: nucleus(scaled, mine["top_p"][:, None]),
                lambda: scaled,
            )
            return draw(scaled, mine["key"], state.count, self.impl)

        token = jax.lax.cond(samples.any(), sampled, lambda: jnp.zeros_like(state.count))
        return jnp.where(samples, token, greedy(logits)[0])


def make_picker(temperature: float = 0.0, top_p: float = 1.0, impl: str = KEY_IMPL) -> Picker:
    """Returns `Greedy()` for temperature 0, and otherwise `Sampled` with these settings.

    Raises:
        ValueError: a setting is out of range.
    """
    if not (0 <= temperature < math.inf and 0 < top_p <= 1):
        raise ValueError(f"need temperature >= 0 and 0 < top_p <= 1, got {temperature}, {top_p}")
    return Greedy() if temperature == 0 else Sampled(temperature, top_p, impl)


def nucleus(
    scaled: Float[Array, "rows vocab"], top_p: float | Float[Array, "rows 1"]
) -> Float[Array, "rows vocab"]:
    """Returns the scores with -inf outside the nucleus, see `Sampled`; with 1, nothing changes."""
    ordered = jnp.sort(scaled, axis=-1, descending=True)
    probs = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(probs, axis=-1) - probs
    kept = jnp.where((before < top_p) | (jnp.asarray(top_p) >= 1), ordered, jnp.inf)
    return jnp.where(scaled < kept.min(axis=-1, keepdims=True), -jnp.inf, scaled)


def draw(
    scaled: Float[Array, "rows vocab"],
    keys: UInt32[Array, "rows words"],
    step: Int[Array, " rows"],
    impl: str,
) -> Int[Array, " rows"]:
    """Draws one id for each row from softmax(scaled), with the row's key and its step."""
    typed = jax.random.wrap_key_data(keys, impl=impl)
    typed = jax.vmap(jax.random.fold_in)(typed, step)
    return jax.vmap(jax.random.categorical)(typed, scaled)


def key_data(key: Key[Array, "..."] | UInt32[Array, "... words"]) -> UInt32[Array, "... words"]:
    """Returns the data of random keys, which may be typed or made by `jax.random.PRNGKey`."""
    typed = jnp.issubdtype(getattr(key, "dtype", int), jax.dtypes.prng_key)
    return jax.random.key_data(key) if typed else key


def greedy(
    logits: Float[Array, "rows vocab"],
) -> tuple[Int[Array, " rows"], Float[Array, " rows"]]:
    """Returns the likeliest id of each row, and its log probability."""
    # `argmax` and `log_softmax` give the same result, but are slow on a CPU for large vocabularies.
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
