"""One step of decoding: choose each row's next token, and run it through the model.

The batch loop (`decode`) and the queue (`rows`) both call `Sampler.step`. How a token is chosen
is the business of a picker, a small object, so that a new way to choose needs no new loop. Rows
never look at each other.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from big_rad.models import gemma_cache

PickerState = dict[str, jax.Array]  # Every array has the rows as its first axis.
KEY_IMPL = "threefry2x32"  # JAX's default; it gives the same numbers on every device


class Picker(Protocol):
    """Chooses the next token of every row.

    A picker holds settings only. What it must remember of a row (a key, the state of a grammar) it
    keeps in arrays of its own, which travel with the row.

    Attributes:
        draws: whether it needs a random key for each row.
    """

    draws: bool

    def start(self, keys: jax.Array) -> PickerState:
        """Returns what the picker remembers of rows that begin.

        Args:
            keys: u32 [B, 2], the data of one random key a row; zeros where nothing is sampled.
        """

    def pick(self, logits: jax.Array, state: "State") -> tuple[jax.Array, jax.Array, PickerState]:
        """Chooses a token a row.

        Args:
            logits: f32 [B, V], -inf where an id is never predicted.
            state: the rows; `count` is the step of each, `limit` its budget, and `picker` what
                this picker gave last.

        Returns:
            (token i32 [B], its log probability under the unscaled logits f32 [B], what the picker
            remembers next). Rows that have ended get some token, which nobody reads.
        """


@dataclasses.dataclass(frozen=True)
class Greedy:
    """Picks the likeliest token, the lowest id of several."""

    draws: ClassVar[bool] = False

    def start(self, keys: jax.Array) -> PickerState:
        """Remembers nothing."""
        del keys
        return {}

    def pick(self, logits: jax.Array, state: "State") -> tuple[jax.Array, jax.Array, PickerState]:
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

    def start(self, keys: jax.Array) -> PickerState:
        """Remembers each row's key."""
        return {"key": keys}

    def pick(self, logits: jax.Array, state: "State") -> tuple[jax.Array, jax.Array, PickerState]:
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


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=(
        "logits", "cache", "slot", "limit", "tokens", "count", "logprob", "done", "picker",
        "token_logprobs", "top_ids", "top_logprobs", "hidden", "num_masks", "features",
    ),
    meta_fields=(),
)  # fmt: skip
@dataclasses.dataclass(frozen=True)
class State:
    """Rows in the middle of their answers; everywhere the rows are the first axis.

    B rows, V rows of the embedding table, S slots of the cache, L tokens that a row may get at
    most, A alternatives of a token, K masks, N image tokens of width C, D the width of the language
    model.

    Attributes:
        logits: f32 [B, V], the model's scores of each row's next token.
        cache: for each layer `k` [B, kv, head_dim, S] and `v` [B, kv, S, head_dim], the keys and
            values of everything before that token.
        slot: i32 [B], the position of that token and the slot that it takes in the cache.
        limit: i32 [B], how many tokens a row may get, EOS included.
        tokens: i32 [B, L], the tokens so far, EOS kept, then zeros.
        count: i32 [B], how many tokens these are, which is also the row's step.
        logprob: f32 [B], the sum of their log probabilities.
        done: bool [B], True for a row that has ended or is free; a step leaves all of it that
            `finish` reads as it is.
        picker: what the picker remembers of each row, such as `key` u32 [B, 2].
        token_logprobs: f32 [B, L], the log probability of each token, zeros behind the last; None
            if it is not asked for.
        top_ids: i32 [B, L, A], the likeliest ids in the place of each token, the likeliest first;
            None if they are not asked for.
        top_logprobs: f32 [B, L, A], their log probabilities; None if they are not asked for.
        hidden: f32 [B, K, D], the final hidden states at each row's first K `</seg>`, from which
            masks are made; None without masks.
        num_masks: i32 [B], how many `</seg>` there were; None without masks.
        features: [B, N, C], what the mask decoder needs of the image; None if the caller keeps it.
    """

    logits: jax.Array
    cache: gemma_cache.Cache
    slot: jax.Array
    limit: jax.Array
    tokens: jax.Array
    count: jax.Array
    logprob: jax.Array
    done: jax.Array
    picker: PickerState
    token_logprobs: jax.Array | None = None
    top_ids: jax.Array | None = None
    top_logprobs: jax.Array | None = None
    hidden: jax.Array | None = None
    num_masks: jax.Array | None = None
    features: jax.Array | None = None

    def arrays(self) -> dict[str, Any]:
        """Returns the fields that are not None as a dict of arrays, and of dicts and lists of them.

        `jax.export` can store functions of these, which it cannot do for functions of a `State`.
        """
        fields = (f.name for f in dataclasses.fields(self))
        return {n: getattr(self, n) for n in fields if getattr(self, n) is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "State":
        """The inverse of `arrays`."""
        return cls(**arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class Sampler:
    """Begins rows, and gives them one token a step.

    Attributes:
        model: a `paligemma.Model` or `radgrounder.Model`.
        max_new_tokens: L, the most tokens a row may get, EOS included.
        vocab_size: rows of the embedding table that stand for tokens; padded rows beyond it are
            never predicted.
        never: further ids that are never predicted, such as padding and the reserved row.
        eos_id: the id that ends a row.
        picker: chooses the tokens.
        seg_end_id: id of `</seg>`, for a model with a mask decoder.
        max_masks: K > 0 keeps what a row's first K `</seg>` need for their masks.
        token_logprobs: keep the log probability of each token.
        alternatives: A > 0 keeps the A likeliest ids in the place of each token.

    Raises:
        ValueError: masks without `seg_end_id`, sizes that are not positive, or more alternatives
            than there are ids.
    """

    model: nn.Module
    max_new_tokens: int
    vocab_size: int
    never: tuple[int, ...] = (0,)
    eos_id: int = 1
    picker: Picker = Greedy()
    seg_end_id: int | None = None
    max_masks: int = 0
    token_logprobs: bool = False
    alternatives: int = 0

    def __post_init__(self):
        object.__setattr__(self, "never", tuple(int(i) for i in self.never))
        if self.max_masks and self.seg_end_id is None:
            raise ValueError("masks are made at </seg>: give seg_end_id")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be positive, got {self.max_new_tokens}")
        ids = self.vocab_size - len({i for i in self.never if i < self.vocab_size})
        if not 0 <= self.alternatives <= ids:
            raise ValueError(
                f"alternatives: {self.alternatives} are asked for, and {ids} ids can be predicted; "
                "use 0 for no alternatives"
            )

    def start(
        self,
        logits: jax.Array,
        cache: gemma_cache.Cache,
        slot: jax.Array,
        keys: jax.Array,
        *,
        limit: jax.Array | None = None,
        done: jax.Array | None = None,
        features: jax.Array | None = None,
    ) -> State:
        """Begins rows after their prompts.

        Args:
            logits: f32 [B, V] at the last token of each prompt.
            cache: of image and prompt, S slots.
            slot: i32 [B], the number of slots that each row has filled.
            keys: u32 [B, 2], see `key_data`.
            limit: i32 [] or [B], see `State`; at most, and by default, `max_new_tokens`.
            done: bool [B], rows that shall get no token; by default none.
            features: [B, N, C], see `State`.
        """
        b, new = logits.shape[0], self.max_new_tokens
        limit = jnp.broadcast_to(jnp.minimum(new if limit is None else limit, new), (b,))
        limit = limit.astype(jnp.int32)
        extra: dict[str, Any] = {}
        if self.token_logprobs:
            extra["token_logprobs"] = jnp.zeros((b, new))
        if self.alternatives:
            shape = (b, new, self.alternatives)
            extra |= dict(top_ids=jnp.zeros(shape, jnp.int32), top_logprobs=jnp.zeros(shape))
        if self.max_masks:
            extra["hidden"] = jnp.zeros((b, self.max_masks, self.model.hidden_width()))
            extra["num_masks"] = jnp.zeros(b, jnp.int32)
        return State(
            logits=logits,
            cache=cache,
            slot=slot.astype(jnp.int32),
            limit=limit,
            tokens=jnp.zeros((b, new), jnp.int32),
            count=jnp.zeros(b, jnp.int32),
            logprob=jnp.zeros(b),
            done=(limit < 1) if done is None else done | (limit < 1),
            picker=self.picker.start(keys),
            features=features,
            **extra,
        )

    def step(self, weights: Mapping[str, Any], state: State) -> State:
        """Gives every row that has not ended one more token.

        Args:
            weights: of `paligemma.Model.decode_weights`.
            state: the rows.

        Returns:
            The rows after it. The token is in the cache as well, also one that ends its row.
        """
        live = ~state.done
        banned = banned_ids(state.logits.shape[-1], self.vocab_size, self.never)
        scores = jnp.where(banned, -jnp.inf, state.logits)
        token, logprob, picker = self.picker.pick(scores, state)
        token = jnp.where(live, token, 0)
        logits, cache, hidden = self.model.decode_step(weights, token, state.slot, state.cache)
        here = live[:, None] & (jnp.arange(self.max_new_tokens) == state.count[:, None])
        count = state.count + live
        new: dict[str, Any] = {}
        if self.token_logprobs:
            new["token_logprobs"] = jnp.where(here, logprob[:, None], state.token_logprobs)
        if self.alternatives:
            ids, logprobs = likeliest(scores, self.alternatives)
            at = here[..., None]
            new["top_ids"] = jnp.where(at, ids[:, None], state.top_ids)
            new["top_logprobs"] = jnp.where(at, logprobs[:, None], state.top_logprobs)
        if self.max_masks:
            new["hidden"], new["num_masks"] = keep_hidden(
                state.hidden, state.num_masks, hidden, live & (token == self.seg_end_id)
            )
        return dataclasses.replace(
            state,
            logits=logits,
            cache=cache,
            slot=state.slot + live,
            tokens=jnp.where(here, token[:, None], state.tokens),
            count=count,
            logprob=state.logprob + jnp.where(live, logprob, 0.0),
            done=~live | (token == self.eos_id) | (count >= state.limit),
            picker=picker,
            **new,
        )

    def step_arrays(self, weights: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Does what `step` does to `State.arrays`; this is the function to export."""
        return self.step(weights, State.from_arrays(arrays)).arrays()

    def finish(self, state: State) -> dict[str, jax.Array]:
        """Takes the answers out of rows.

        Returns:
            `tokens` i32 [B, L] (EOS kept, zeros after it), `logprob` f32 [B] (summed over the
            tokens) and `length` i32 [B] (tokens before EOS). With `token_logprobs` also that, f32
            [B, L], and with `alternatives` `top_ids` i32 and `top_logprobs` f32, both [B, L, A].
        """
        tokens = state.tokens
        length = ((tokens != 0) & (tokens != self.eos_id)).sum(axis=1)
        extra = ("token_logprobs", "top_ids", "top_logprobs")
        kept = {n: getattr(state, n) for n in extra if getattr(state, n) is not None}
        return dict(tokens=tokens, logprob=state.logprob, length=length) | kept

    def make_masks(
        self, params: Mapping[str, Any], features: jax.Array, state: State, size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """Makes the masks of rows.

        Args:
            params: the model's parameters.
            features: [B, N, C], image features before the projection.
            state: the rows.
            size: (H, W) of the masks.

        Returns:
            `mask_logits` f32 [B, K, H, W], and `num_masks` i32 [B], how many of them count.
        """
        model = self.model
        made = model.apply({"params": params}, features, state.hidden, size, method=model.masks)
        return dict(mask_logits=made, num_masks=jnp.minimum(state.num_masks, self.max_masks))


def key_data(key: jax.Array) -> jax.Array:
    """Returns the data u32 [..., n] of typed keys, or of keys that `jax.random.PRNGKey` made."""
    typed = jnp.issubdtype(getattr(key, "dtype", int), jax.dtypes.prng_key)
    return jax.random.key_data(key) if typed else key


def greedy(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the likeliest ids i32 [B] of logits [B, V], and their log probabilities [B]."""
    # `argmax` and `log_softmax` say the same, but on a CPU they are slow for large vocabularies.
    high = logits.max(axis=-1, keepdims=True)
    ids, last = jnp.arange(logits.shape[-1]), logits.shape[-1] - 1
    token = jnp.where(logits == high, ids, last).min(axis=-1)
    return token, -jnp.log(jnp.exp(logits - high).sum(axis=-1))


def likeliest(logits: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Returns the k likeliest ids of logits [B, V], and their log probabilities, both [B, k]."""
    top, ids = jax.lax.top_k(logits, k)
    high = top[:, :1]
    return ids, (top - high) - jnp.log(jnp.exp(logits - high).sum(axis=-1, keepdims=True))


def banned_ids(table_rows: int, vocab_size: int, never: Sequence[int]) -> jax.Array:
    """Returns bool [table_rows]: which rows of the embedding table are never predicted."""
    banned = jnp.arange(table_rows) >= vocab_size
    return banned.at[jnp.asarray(list(never), jnp.int32)].set(True) if never else banned


def keep_hidden(
    kept: jax.Array, count: jax.Array, hidden: jax.Array, here: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Keeps hidden states from which masks will be made.

    Args:
        kept: [B, K, D], those kept so far.
        count: i32 [B], how many there were.
        hidden: [B, D], the new ones.
        here: bool [B], the rows that keep theirs, behind the earlier ones if there is room.

    Returns:
        The new (kept, count).
    """
    place = here[:, None] & (jnp.arange(kept.shape[1]) == count[:, None])
    kept = jnp.where(place[..., None], hidden[:, None].astype(kept.dtype), kept)
    return kept, count + here
