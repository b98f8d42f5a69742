"""Text generation: prefill, then one token a step against a key/value cache, inside one jit.

Greedy or sampled, with early stop. Knows nothing of images on disk, prompts or markup; a row's
result does not depend on the other rows of its batch or on padding.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from big_rad.models import gemma_step

Generate = Callable[..., dict[str, jax.Array]]


def make_generate(
    model: nn.Module,
    *,
    max_new_tokens: int,
    vocab_size: int,
    never: Sequence[int] = (0,),
    eos_id: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seg_end_id: int | None = None,
    max_masks: int = 0,
) -> Generate:
    """Builds the jitted generator of a model.

    Args:
        model: a `paligemma.Model`.
        max_new_tokens: the most tokens a row may get, EOS included.
        vocab_size: rows of the embedding table that stand for tokens; padded rows beyond it are
            never predicted.
        never: further ids that are never predicted, such as padding and the reserved row.
        eos_id: the id that ends a row.
        temperature: 0 is greedy; otherwise logits are divided by it before sampling.
        top_p: nucleus: sample only among the likeliest tokens whose probability adds up to it.
        seg_end_id: id of `</seg>`, for a model with a mask decoder.
        max_masks: K > 0 makes masks of a row's first K `</seg>`, once, after the last token.

    Returns:
        A function (params, image [B, H, W, 3], text i32 [B, T], mask_ar i32 [B, T], rng=None,
        limit=None) -> dict of `tokens` i32 [B, max_new_tokens] (EOS kept, zeros after it),
        `logprob` f32 [B] (summed over the tokens) and `length` i32 [B] (tokens before EOS). With
        masks also `mask_logits` f32 [B, K, H, W], at the size of the image, and `num_masks` i32
        [B], how many of them count. `rng` is needed only to sample. `limit` i32 [] stops all rows
        after that many tokens, in the same program.
    """
    if max_masks and seg_end_id is None:
        raise ValueError("masks are made at </seg>: give seg_end_id")
    if temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(f"need temperature >= 0 and 0 < top_p <= 1, got {temperature}, {top_p}")

    @jax.jit
    def generate(
        params: Mapping[str, Any],
        image: jax.Array,
        text: jax.Array,
        mask_ar: jax.Array,
        rng: jax.Array | None = None,
        limit: jax.Array | None = None,
    ) -> dict[str, jax.Array]:
        variables = {"params": params}
        logits, kv, valid, features = model.apply(
            variables, image, text, mask_ar, method=model.prefill
        )
        weights = model.decode_weights(params)
        rng = jax.random.key(0) if rng is None else rng
        # Rows draw from their own stream, so batch-mates do not matter.
        keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(text.shape[0]))
        pick = functools.partial(_pick, keys=keys, temperature=temperature, top_p=top_p)
        banned = banned_ids(logits.shape[-1], vocab_size, never)
        num_valid = valid.sum(axis=1)

        def body(state: dict[str, Any]) -> dict[str, Any]:
            step = state["step"]
            token, logprob = pick(jnp.where(banned, -jnp.inf, state["logits"]), step=step)
            token = jnp.where(state["done"], 0, token)
            # New tokens follow the prompt without a gap: those of its padding are written over.
            logits, cache, hidden = model.decode_step(
                weights, token, num_valid + step, state["cache"]
            )
            masks = {}
            if max_masks:
                masks = keep_hidden(state["masks"], hidden, (token == seg_end_id) & ~state["done"])
            return dict(
                masks=masks,
                step=step + 1,
                logits=logits,
                cache=cache,
                tokens=state["tokens"].at[:, step].set(token),
                logprob=state["logprob"] + jnp.where(state["done"], 0.0, logprob),
                done=state["done"] | (token == eos_id),
            )

        b = text.shape[0]
        masks = {}
        if max_masks:
            hidden = jnp.zeros((b, max_masks, model.hidden_width()), jnp.float32)
            masks = {"hidden": hidden, "count": jnp.zeros(b, jnp.int32)}
        state = dict(
            masks=masks,
            step=0,
            logits=logits,
            cache=gemma_step.resize_cache(
                gemma_step.split_cache(kv), kv["k"].shape[2] + max_new_tokens
            ),
            tokens=jnp.zeros((b, max_new_tokens), jnp.int32),
            logprob=jnp.zeros(b),
            done=~(text != 0).any(axis=1),  # Rows without a prompt are padding examples.
        )
        stop = max_new_tokens if limit is None else jnp.minimum(limit, max_new_tokens)
        state = jax.lax.while_loop(lambda s: (s["step"] < stop) & ~s["done"].all(), body, state)
        tokens = state["tokens"]
        length = ((tokens != 0) & (tokens != eos_id)).sum(axis=1)
        result = dict(tokens=tokens, logprob=state["logprob"], length=length)
        if max_masks:
            size = tuple(image.shape[1:3])
            hidden, count = state["masks"]["hidden"], state["masks"]["count"]
            result |= {
                "mask_logits": model.apply(variables, features, hidden, size, method=model.masks),
                "num_masks": jnp.minimum(count, max_masks),
            }
        return result

    return generate


def keep_hidden(
    masks: dict[str, jax.Array], hidden: jax.Array, here: jax.Array
) -> dict[str, jax.Array]:
    """Keeps hidden states of which masks will be made.

    Args:
        masks: `hidden` [B, K, D], those kept so far, and `count` i32 [B], how many there were.
        hidden: [B, D], the new ones.
        here: bool [B], the rows that keep theirs, behind the earlier ones if there is room.

    Returns:
        As `masks`.
    """
    k = masks["hidden"].shape[1]
    place = here[:, None] & (jnp.arange(k) == masks["count"][:, None])
    kept = jnp.where(
        place[..., None], hidden[:, None].astype(masks["hidden"].dtype), masks["hidden"]
    )
    return {"hidden": kept, "count": masks["count"] + here}


def banned_ids(table_rows: int, vocab_size: int, never: Sequence[int]) -> jax.Array:
    """Returns bool [table_rows]: which rows of the embedding table are never predicted."""
    banned = jnp.arange(table_rows) >= vocab_size
    return banned.at[jnp.asarray(list(never), jnp.int32)].set(True) if never else banned


def greedy(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the likeliest ids i32 [B] of logits [B, V], and their log probabilities [B]."""
    # `argmax` and `log_softmax` say the same, but on a CPU they are slow for large vocabularies.
    high = logits.max(axis=-1, keepdims=True)
    ids, last = jnp.arange(logits.shape[-1]), logits.shape[-1] - 1
    token = jnp.where(logits == high, ids, last).min(axis=-1)
    return token, -jnp.log(jnp.exp(logits - high).sum(axis=-1))


def _pick(
    logits: jax.Array, *, step: jax.Array, keys: jax.Array, temperature: float, top_p: float
) -> tuple[jax.Array, jax.Array]:
    # Returns the chosen ids [B] and their log probabilities [B] under the unscaled model.
    if temperature == 0:
        return greedy(logits)
    scaled = logits / temperature
    if top_p < 1:
        ordered = jnp.sort(scaled, axis=-1, descending=True)
        probs = jax.nn.softmax(ordered, axis=-1)
        before = jnp.cumsum(probs, axis=-1) - probs
        cut = jnp.min(jnp.where(before < top_p, ordered, jnp.inf), axis=-1, keepdims=True)
        scaled = jnp.where(scaled < cut, -jnp.inf, scaled)
    step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
    token = jax.vmap(jax.random.categorical)(step_keys, scaled)
    logprob = jax.nn.log_softmax(logits, axis=-1)
    return token, jnp.take_along_axis(logprob, token[:, None], axis=-1)[:, 0]
