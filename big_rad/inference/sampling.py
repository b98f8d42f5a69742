"""One step of decoding: choose the next token of each row, and run it through the model.

`Options` holds the settings of decoding, and `Sampler` decodes with them. Both the batch loop
(`decode`) and the queue (`rows`) use it in the same three moves:

    state = sampler.start(logits, cache, slot, keys)  # After the prefill of the prompts.
    while not state.done.all():
        state = sampler.step(weights, state)  # One more token for each row that has not ended.
    answers = sampler.finish(state)

A row's tokens do not depend on the other rows.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from big_rad.inference.pickers import (
    KEY_IMPL,
    Greedy,
    PerRow,
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
    "KEY_IMPL", "Greedy", "Options", "PerRow", "Picker", "PickerState", "Sampled", "Sampler",
    "State",
    "banned_ids", "greedy", "keep_hidden", "keep_locations", "key_data", "likeliest",
    "make_picker", "mask_change", "mask_scores",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of decoding, which are the same for all rows.

    `decode.make_generate` and `queue.Queue` take an object of this class, or its fields as
    keyword arguments. Two objects with equal fields stand for the same compiled program.

    Attributes:
        max_new_tokens: the largest number of tokens that a row may get, EOS included.
        vocab_size: the number of rows of the embedding table that stand for tokens. The padding
            rows behind them are never predicted.
        never: further ids that are never predicted, such as padding and the reserved row.
        eos_id: the id that ends a row.
        temperature: 0 decodes greedily. Otherwise the logits are divided by the temperature before
            a token is drawn.
        top_p: the probability mass of nucleus sampling, see `pickers.Sampled`; 1 turns it off.
        picker: the object that chooses the tokens; None makes one from `temperature` and `top_p`.
        seg_end_id: the id of `</seg>`, for a model with a mask decoder.
        max_masks: the largest number of masks of a row, one for each of its first `</seg>` tokens.
            They are made once, after the last token; 0 makes no masks.
        token_logprobs: whether to keep the log probability of each token.
        alternatives: how many of the likeliest ids to keep at each step, with their log
            probabilities; 0 keeps none.
        locations: the id of the first location token, and the number of them, which follow it.
        max_boxes: for how many boxes, with four locations each, to keep the probability of every
            location; 0 keeps none.
        without_image: whether the queue runs texts with boxes or masks once more on a blank image,
            which shows what of them comes from the image.

    Raises:
        ValueError: there are masks but no `seg_end_id`, boxes but no `locations`, a size is not
            positive, the temperature or `top_p` is out of range, or there are more alternatives
            than ids.
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
    locations: tuple[int, int] | None = None
    max_boxes: int = 0
    without_image: bool = False

    def __post_init__(self):
        object.__setattr__(self, "never", tuple(int(i) for i in self.never))
        make_picker(self.temperature, self.top_p)  # Raises an error if one is out of range.
        if self.max_masks and self.seg_end_id is None:
            raise ValueError("masks are made at </seg>: give seg_end_id")
        if self.max_boxes and self.locations is None:
            raise ValueError("boxes are written as location tokens: give locations")
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
        """Returns options from an object, from single fields, or from both.

        Args:
            options: the object; None makes the options from `fields` alone.
            fields: values by field name, which replace those of the object.

        Raises:
            TypeError: a name is not a field, or a field without a default is missing.
            ValueError: a value is out of range, see the class.
        """
        return cls(**fields) if options is None else dataclasses.replace(options, **fields)

    def choose_picker(self, impl: str = KEY_IMPL) -> Picker:
        """Returns the picker, which chooses the tokens.

        Args:
            impl: JAX's name of the random number generator that the rows' keys belong to.
        """
        return self.picker or make_picker(self.temperature, self.top_p, impl)


@dataclasses.dataclass(frozen=True, eq=False)
class Sampler:
    """Begins rows, and gives each of them one token per step.

    Attributes:
        model: a `paligemma.Model` or `radgrounder.Model`.
        options: the settings of decoding.
        impl: JAX's name of the random number generator that the rows' keys belong to.
    """

    model: nn.Module
    options: Options
    impl: str = KEY_IMPL

    @functools.cached_property
    def picker(self) -> Picker:
        """The picker, which chooses the tokens."""
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
        settings: Mapping[str, Array] | None = None,
    ) -> State:
        """Begins rows after their prompts.

        Args:
            logits: the model's scores at the last token of each prompt.
            cache: the keys and values of the image and the prompt.
            slot: the number of cache slots that each row has filled.
            keys: the data of one random key for each row, see `key_data`.
            limit: how many tokens a row may get, one number for all rows or one for each. The
                default is `max_new_tokens`, and larger numbers are cut to it.
            done: True for the rows that must not get a token; None lets all rows get tokens.
            features: see `State`.
            settings: what each row sets, for the picker `PerRow`; empty or None sets nothing.
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
        if options.max_boxes:
            shape = (b, 4 * options.max_boxes, options.locations[1])
            extra["location_probs"] = jnp.zeros(shape, jnp.float16)
            extra["num_locations"] = jnp.zeros(b, jnp.int32)
        return State(
            logits=logits,
            cache=cache,
            slot=slot.astype(jnp.int32),
            limit=limit,
            tokens=jnp.zeros((b, new), jnp.int32),
            count=jnp.zeros(b, jnp.int32),
            logprob=jnp.zeros(b),
            done=(limit < 1) if done is None else done | (limit < 1),
            picker=self.picker.start(keys, settings) if settings else self.picker.start(keys),
            features=features,
            **extra,
        )

    def step(self, weights: Mapping[str, Any], state: State) -> State:
        """Gives every row that has not ended one more token.

        Args:
            weights: the parameters as `paligemma.Model.decode_weights` arranges them.
            state: the rows.

        Returns:
            The rows after the step. The keys and values of the new token are in the cache, even if
            the token has ended its row.
        """
        options, live = self.options, ~state.done
        scores = self.scores(state.logits)
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
        if options.max_boxes:
            first, many = options.locations
            new["location_probs"], new["num_locations"] = keep_locations(
                state.location_probs,
                state.num_locations,
                self.location_probs(scores),
                live & (token >= first) & (token < first + many),
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

    def scores(self, logits: Float[Array, "rows vocab"]) -> Float[Array, "rows vocab"]:
        """Returns the model's scores with -inf at the ids that are never predicted."""
        banned = banned_ids(logits.shape[-1], self.options.vocab_size, self.options.never)
        return jnp.where(banned, -jnp.inf, logits)

    def location_probs(self, scores: Float[Array, "rows vocab"]) -> Float[Array, "rows locations"]:
        """Returns the probability of each location among all locations, in float16."""
        first, many = self.options.locations
        among = jax.lax.slice_in_dim(scores, first, first + many, axis=1)
        return jax.nn.softmax(among, axis=-1).astype(jnp.float16)

    def step_arrays(self, weights: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Does the same as `step`, but takes and returns `State.arrays`, so it can be exported."""
        return self.step(weights, State.from_arrays(arrays)).arrays()

    def finish(self, state: State) -> dict[str, Array]:
        """Takes the answers out of rows.

        Returns:
            `tokens` i32 [rows, max_new_tokens] (EOS is kept, and zeros follow it), `logprob` f32
            [rows] (the sum over the tokens) and `length` i32 [rows] (the number of tokens before
            EOS). The option `token_logprobs` adds `token_logprobs` f32 [rows, max_new_tokens]. The
            option `alternatives` adds `top_ids` i32 and `top_logprobs` f32, both [rows,
            max_new_tokens, alternatives]. The option `max_boxes` adds `location_probs` f16 [rows,
            4 * max_boxes, locations] and `num_locations` i32 [rows], see `State`. The picker
            `PerRow` adds what its `report` says.
        """
        tokens = state.tokens
        length = ((tokens != 0) & (tokens != self.options.eos_id)).sum(axis=1)
        extra = (
            "token_logprobs", "top_ids", "top_logprobs", "location_probs", "num_locations"
        )  # fmt: skip
        kept = {n: getattr(state, n) for n in extra if getattr(state, n) is not None}
        if isinstance(self.picker, PerRow):
            kept |= self.picker.report(state.picker)
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
            features: the image features before the projection to the language model.
            state: the rows.
            size: the (height, width) of the masks.

        Returns:
            `mask_logits` f32 [rows, max_masks, height, width], `mask_scores` f32 [rows, max_masks],
            see `mask_scores`, and `num_masks` i32 [rows], the number of masks of each row. The
            entries of the first two behind them mean nothing.
        """
        model, most = self.model, self.options.max_masks
        made = model.apply({"params": params}, features, state.hidden, size, method=model.masks)
        return dict(
            mask_logits=made,
            mask_scores=mask_scores(made),
            num_masks=jnp.minimum(state.num_masks, most),
        )


def banned_ids(table_rows: int, vocab_size: int, never: Sequence[int]) -> Bool[Array, " vocab"]:
    """Returns True for the rows of the embedding table that are never predicted."""
    banned = jnp.arange(table_rows) >= vocab_size
    return banned.at[jnp.asarray(list(never), jnp.int32)].set(True) if never else banned


def mask_change(
    logits: Float[Array, "rows masks height width"], other: Float[Array, "rows masks height width"]
) -> Float[Array, "rows masks"]:
    """Returns how much masks differ, 1 - sum(min(p, q)) / sum(max(p, q)) of their probabilities."""
    return 1 - _soft_iou(jax.nn.sigmoid(logits), jax.nn.sigmoid(other))


def mask_scores(
    logits: Float[Array, "rows masks height width"],
) -> Float[Array, "rows masks"]:
    """Returns how well each mask fits its own probabilities: sum(p m) / sum(max(p, m)).

    Here p is the probability of each pixel, and m the mask, which is 1 where p is above a half. It
    is the soft IoU of the mask with the probabilities, and 0 for a blank mask.
    """
    return _soft_iou(jax.nn.sigmoid(logits), (logits > 0).astype(logits.dtype))


def _soft_iou(
    p: Float[Array, "rows masks height width"], q: Float[Array, "rows masks height width"]
) -> Float[Array, "rows masks"]:
    both, either = jnp.minimum(p, q).sum(axis=(-2, -1)), jnp.maximum(p, q).sum(axis=(-2, -1))
    return both / jnp.maximum(either, jnp.finfo(either.dtype).tiny)


def keep_locations(
    kept: Float[Array, "rows kept locations"],
    count: Int[Array, " rows"],
    probs: Float[Array, "rows locations"],
    here: Bool[Array, " rows"],
) -> tuple[Float[Array, "rows kept locations"], Int[Array, " rows"]]:
    """Keeps the distributions over the locations, from which the confidence of boxes is made.

    Args:
        kept: the distributions kept so far.
        count: the number of location tokens of each row so far. It may exceed the number kept.
        probs: the probabilities of the locations at this step.
        here: True for the rows whose token is a location. Its distribution goes behind the earlier
            ones, and is dropped if there is no room.

    Returns:
        The new `kept` and the new `count`, which grows even if there is no room.
    """
    place = jnp.where(here, count, kept.shape[1])  # Behind the last place, where it is dropped.
    kept = kept.at[jnp.arange(kept.shape[0]), place].set(probs, mode="drop")
    return kept, count + here


def keep_hidden(
    kept: Float[Array, "rows masks width"],
    count: Int[Array, " rows"],
    hidden: Float[Array, "rows width"],
    here: Bool[Array, " rows"],
) -> tuple[Float[Array, "rows masks width"], Int[Array, " rows"]]:
    """Keeps the hidden states from which masks will be made.

    Args:
        kept: the hidden states kept so far.
        count: the number of `</seg>` tokens of each row so far. It may exceed the number kept.
        hidden: the hidden state of each row at this step.
        here: True for the rows whose hidden state is kept. It goes behind the earlier ones, and is
            dropped if there is no room.

    Returns:
        The new `kept` and the new `count`, which grows even if there is no room.
    """
    place = here[:, None] & (jnp.arange(kept.shape[1]) == count[:, None])
    kept = jnp.where(place[..., None], hidden[:, None].astype(kept.dtype), kept)
    return kept, count + here
