"""Rows in the middle of their answers: the state that one step of decoding takes and gives."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, Int

from big_rad.models import gemma_cache

# What a picker remembers of each row, by name. Every array has the rows as its first axis.
PickerState = dict[str, Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Rows in the middle of their answers; everywhere the rows are the first axis.

    The axis `vocab` has an entry for each row of the embedding table, `tokens` one for each token
    that a row may get at most, `patches` one for each image token, and `width` is that of the
    language model.

    Attributes:
        logits: the model's scores of each row's next token.
        cache: the keys and values of everything before that token, for each layer.
        slot: the position of that token, which is also the slot that it takes in the cache.
        limit: how many tokens a row may get, EOS included.
        tokens: the tokens so far, EOS kept, then zeros.
        count: how many tokens these are, which is also the row's step.
        logprob: the sum of their log probabilities.
        done: True for a row that has ended or is free. A step changes nothing of such a row that
            `Sampler.finish` reads.
        picker: what the picker remembers of each row, such as its random key.
        token_logprobs: the log probability of each token, zeros behind the last; None if it is not
            asked for.
        top_ids: the likeliest ids in the place of each token, the likeliest first; None if they
            are not asked for.
        top_logprobs: the log probabilities of `top_ids`; None if they are not asked for.
        hidden: the final hidden states at each row's first `</seg>` tokens, from which masks are
            made; None without masks.
        num_masks: how many `</seg>` tokens there were; None without masks.
        features: what the mask decoder needs of the image; None if the caller keeps it.
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
