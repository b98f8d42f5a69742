"""One step of decoding: choose each row's next token, and run it through the model.

The batch loop (`decode`) and the queue (`rows`) both call `Sampler.step`. `Options` says once what
can be asked of either. Rows never look at each other.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from big_rad.inference.pickers import (
    KEY_IMPL,
    Greedy,
    Picker,
    Sampled,
    greedy,
    key_data,
    likeliest,
    make_picker,
)
from big_rad.inference.state import PickerState, State
from big_rad.models import gemma_cache

__all__ = [
    "KEY_IMPL", "Greedy", "Options", "Picker", "PickerState", "Sampled", "Sampler", "State",
    "banned_ids", "greedy", "keep_hidden", "key_data", "likeliest", "make_picker",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked of decoding, the same for all rows.

    `decode.make_generate` and `queue.Queue` take an object of this class, or its fields as
    keyword arguments. Two objects with equal fields stand for the same compiled program.

    Attributes:
        max_new_tokens: the most tokens that a row may get, EOS included.
        vocab_size: rows of the embedding table that stand for tokens; padded rows beyond it are
            never predicted.
        never: further ids that are never predicted, such as padding and the reserved row.
        eos_id: the id that ends a row.
        temperature: 0 is greedy; otherwise logits are divided by it before a token is drawn.
        top_p: nucleus: draw only among the likeliest tokens whose probability adds up to it.
        picker: chooses the tokens; None makes one of `temperature` and `top_p`.
        seg_end_id: the id of `</seg>`, for a model with a mask decoder.
        max_masks: the most masks of a row, one for each of its first `</seg>` tokens. They are made
            once, after the last token; 0 makes none.
        token_logprobs: whether to keep the log probability of each token.
        alternatives: how many of the likeliest ids to keep in the place of each token, with their
            log probabilities; 0 keeps none.

    Raises:
        ValueError: masks without `seg_end_id`, sizes that are not positive, a temperature or
            nucleus that is out of range, or more alternatives than there are ids.
    """

    max_new_tokens: int
    vocab_size: int
    never: Sequence[int] = (0,)
    eos_id: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    picker: Picker | None = None
    seg_end_id: int | None = None
    max_masks: int = 0
    token_logprobs: bool = False
    alternatives: int = 0

    def __post_init__(self):
        object.__setattr__(self, "never", tuple(int(i) for i in self.never))
        make_picker(self.temperature, self.top_p)  # Complains about what is out of range.
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

    @classmethod
    def of(cls, options: "Options | None", fields: Mapping[str, Any]) -> "Options":
        """Returns the options of a caller that takes them as an object, as fields, or as both.

        Args:
            options: the object; None takes all of `fields`.
            fields: fields by name, which replace those of the object.

        Raises:
            TypeError: a name that is no field, or a field without a default that is missing.
            ValueError: see the class.
        """
        return cls(**fields) if options is None else dataclasses.replace(options, **fields)

    def choose_picker(self, impl: str = KEY_IMPL) -> Picker:
        """Returns what chooses the tokens.

        Args:
            impl: JAX's name of the generator that the rows' keys belong to.
        """
        return self.picker or make_picker(self.temperature, self.top_p, impl)


@dataclasses.dataclass(frozen=True, eq=False)
class Sampler:
    """Begins rows, and gives them one token a step.

    Attributes:
        model: a `paligemma.Model` or `radgrounder.Model`.
        options: what is asked of it.
        impl: JAX's name of the generator that the rows' keys belong to.
    """

    model: nn.Module
    options: Options
    impl: str = KEY_IMPL

    @functools.cached_property
    def picker(self) -> Picker:
        """What chooses the tokens."""
        return self.options.choose_picker(self.impl)

    def start(
        self,
        logits: Float[Array, "rows vocab"],
        cache: gemma_cache.Cache,
        slot: Int[Array, " rows"],
        keys: UInt32[Array, "rows words"],
        *,
        limit: Int[Array, ""] | Int[Array, " rows"] | None = None,
        done: Bool[Array, " rows"] | None = None,
        features: Float[Array, "rows patches image_width"] | None = None,
    ) -> State:
        """Begins rows after their prompts.

        Args:
            logits: the scores at the last token of each prompt.
            cache: of image and prompt.
            slot: the number of slots that each row has filled.
            keys: the data of one random key for each row, see `key_data`.
            limit: of all rows or of each, see `State`; at most, and by default, `max_new_tokens`.
            done: rows that shall get no token; by default none.
            features: see `State`.
        """
        options, b = self.options, logits.shape[0]
        new = options.max_new_tokens
        limit = jnp.broadcast_to(jnp.minimum(new if limit is None else limit, new), (b,))
        limit = limit.astype(jnp.int32)
        extra: dict[str, Array] = {}
        if options.token_logprobs:
            extra["token_logprobs"] = jnp.zeros((b, new))
        if options.alternatives:
            shape = (b, new, options.alternatives)
            extra |= dict(top_ids=jnp.zeros(shape, jnp.int32), top_logprobs=jnp.zeros(shape))
        if options.max_masks:
            extra["hidden"] = jnp.zeros((b, options.max_masks, self.model.hidden_width()))
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
        options, live = self.options, ~state.done
        banned = banned_ids(state.logits.shape[-1], options.vocab_size, options.never)
        scores = jnp.where(banned, -jnp.inf, state.logits)
        token, logprob, picker = self.picker.pick(scores, state)
        token = jnp.where(live, token, 0)
        logits, cache, hidden = self.model.decode_step(weights, token, state.slot, state.cache)
        here = live[:, None] & (jnp.arange(options.max_new_tokens) == state.count[:, None])
        count = state.count + live
        new: dict[str, Array] = {}
        if options.token_logprobs:
            new["token_logprobs"] = jnp.where(here, logprob[:, None], state.token_logprobs)
        if options.alternatives:
            ids, logprobs = likeliest(scores, options.alternatives)
            at = here[..., None]
            new["top_ids"] = jnp.where(at, ids[:, None], state.top_ids)
            new["top_logprobs"] = jnp.where(at, logprobs[:, None], state.top_logprobs)
        if options.max_masks:
            new["hidden"], new["num_masks"] = keep_hidden(
                state.hidden, state.num_masks, hidden, live & (token == options.seg_end_id)
            )
        return dataclasses.replace(
            state,
            logits=logits,
            cache=cache,
            slot=state.slot + live,
            tokens=jnp.where(here, token[:, None], state.tokens),
            count=count,
            logprob=state.logprob + jnp.where(live, logprob, 0.0),
            done=~live | (token == options.eos_id) | (count >= state.limit),
            picker=picker,
            **new,
        )

    def step_arrays(self, weights: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Does what `step` does to `State.arrays`; this is the function to export."""
        return self.step(weights, State.from_arrays(arrays)).arrays()

    def finish(self, state: State) -> dict[str, Array]:
        """Takes the answers out of rows.

        Returns:
            `tokens` i32 [rows, max_new_tokens] (EOS kept, zeros after it), `logprob` f32 [rows]
            (summed over the tokens) and `length` i32 [rows] (tokens before EOS). With
            `token_logprobs` also that, f32 [rows, max_new_tokens], and with `alternatives`
            `top_ids` i32 and `top_logprobs` f32, both [rows, max_new_tokens, alternatives].
        """
        tokens = state.tokens
        length = ((tokens != 0) & (tokens != self.options.eos_id)).sum(axis=1)
        extra = ("token_logprobs", "top_ids", "top_logprobs")
        kept = {n: getattr(state, n) for n in extra if getattr(state, n) is not None}
        return dict(tokens=tokens, logprob=state.logprob, length=length) | kept

    def make_masks(
        self,
        params: Mapping[str, Any],
        features: Float[Array, "rows patches image_width"],
        state: State,
        size: tuple[int, int],
    ) -> dict[str, Array]:
        """Makes the masks of rows.

        Args:
            params: the model's parameters.
            features: image features before the projection.
            state: the rows.
            size: (height, width) of the masks.

        Returns:
            `mask_logits` f32 [rows, max_masks, height, width], and `num_masks` i32 [rows], how many
            of them count.
        """
        model, most = self.model, self.options.max_masks
        made = model.apply({"params": params}, features, state.hidden, size, method=model.masks)
        return dict(mask_logits=made, num_masks=jnp.minimum(state.num_masks, most))


def banned_ids(table_rows: int, vocab_size: int, never: Sequence[int]) -> Bool[Array, " vocab"]:
    """Returns which rows of the embedding table are never predicted."""
    banned = jnp.arange(table_rows) >= vocab_size
    return banned.at[jnp.asarray(list(never), jnp.int32)].set(True) if never else banned


def keep_hidden(
    kept: Float[Array, "rows masks width"],
    count: Int[Array, " rows"],
    hidden: Float[Array, "rows width"],
    here: Bool[Array, " rows"],
) -> tuple[Float[Array, "rows masks width"], Int[Array, " rows"]]:
    """Keeps hidden states from which masks will be made.

    Args:
        kept: those kept so far.
        count: how many there were.
        hidden: the new ones.
        here: the rows that keep theirs, behind the earlier ones if there is room.

    Returns:
        The new (kept, count).
    """
    place = here[:, None] & (jnp.arange(kept.shape[1]) == count[:, None])
    kept = jnp.where(place[..., None], hidden[:, None].astype(kept.dtype), kept)
    return kept, count + here
