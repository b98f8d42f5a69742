"""The state of decoding: all that one step takes and returns, for rows of different progress."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, Int

from big_rad.models import gemma_cache

# The arrays that a picker keeps for the rows, by name. The first axis of each array is the row.
PickerState = dict[str, Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """The rows of a batch in the middle of their answers.

    The first axis of every array is the row. The axis `vocab` has one entry for each row of the
    embedding table, `tokens` has `Options.max_new_tokens` entries, `patches` has one entry for each
    image token, and `width` is the width of the language model.

    Example: `max_new_tokens` is 5, the prefill filled 7 slots of a row, and the row has got the
    tokens 40, 41 and EOS (1). Then:

        slot = 10, tokens = [40, 41, 1, 0, 0], count = 3, done = True

    Attributes:
        logits: the model's scores for the next token of each row.
        cache: the keys and values of everything before the next token, for each layer.
        slot: the position of the next token, which is also the cache slot that it will take.
        limit: how many tokens a row may get, EOS included.
        tokens: the tokens so far (EOS is kept), then zeros.
        count: the number of tokens so far, which is also the number of steps of the row.
        logprob: the sum of the log probabilities of the tokens so far.
        done: True for a row that has ended or is free. A step may change such a row, but nothing in
            it that `Sampler.finish` reads.
        picker: the arrays that the picker keeps for the rows, such as their random keys.
        token_logprobs: the log probability of each token, with zeros behind the last token; None
            without the option `token_logprobs`.
        top_ids: the likeliest ids at each step, the likeliest first; None without the option
            `alternatives`.
        top_logprobs: the log probabilities of `top_ids`; None without the option `alternatives`.
        hidden: the final hidden states at each row's first `</seg>` tokens, from which masks are
            made; None without masks.
        num_masks: the number of `</seg>` tokens so far, which may exceed the number of masks; None
            without masks.
        features: the image features that the mask decoder needs; None if the caller keeps them.
        location_probs: for each location token so far, the probability of each location at that
            step, among all locations; None without the option `max_boxes`.
        num_locations: the number of location tokens so far, which may exceed those kept; None
            without the option `max_boxes`.
    """

    logits: Float[Array, "rows vocab"]
    cache: gemma_cache.Cache
    slot: Int[Array, " rows"]
    limit: Int[Array, " rows"]
    tokens: Int[Array, "rows tokens"]
    count: Int[Array, " rows"]
    logprob: Float[Array, " rows"]
    done: Bool[Array, " rows"]
    picker: PickerState
    token_logprobs: Float[Array, "rows tokens"] | None = None
    top_ids: Int[Array, "rows tokens alternatives"] | None = None
    top_logprobs: Float[Array, "rows tokens alternatives"] | None = None
    hidden: Float[Array, "rows masks width"] | None = None
    num_masks: Int[Array, " rows"] | None = None
    features: Float[Array, "rows patches image_width"] | None = None
    location_probs: Float[Array, "rows kept locations"] | None = None
    num_locations: Int[Array, " rows"] | None = None

    def arrays(self) -> dict[str, Any]:
        """Returns the fields that are not None as a plain dict of arrays, lists and dicts.

        `jax.export` can store a function of this dict. It cannot store a function of a `State`.
        """
        fields = (f.name for f in dataclasses.fields(self))
        return {n: getattr(self, n) for n in fields if getattr(self, n) is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "State":
        """Returns the state whose `arrays` are given."""
        return cls(**arrays)
