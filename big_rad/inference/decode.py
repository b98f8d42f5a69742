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

from big_rad.inference import sampling
from big_rad.models import gemma_cache

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
    token_logprobs: bool = False,
    alternatives: int = 0,
    picker: sampling.Picker | None = None,
) -> Generate:
    """Builds the jitted generator of a model.

    Args:
        model: a `paligemma.Model`.
        max_new_tokens, vocab_size, never, eos_id: see `sampling.Sampler`.
        temperature: 0 is greedy; otherwise logits are divided by it before sampling.
        top_p: nucleus: sample only among the likeliest tokens whose probability adds up to it.
        seg_end_id: id of `</seg>`, for a model with a mask decoder.
        max_masks: K > 0 makes masks of a row's first K `</seg>`, once, after the last token.
        token_logprobs: also give the log probability of each token.
        alternatives: A > 0 also gives the A likeliest ids in the place of each token.
        picker: chooses the tokens; None makes one of `temperature` and `top_p`.

    Returns:
        A function (params, image [B, H, W, 3], text i32 [B, T], mask_ar i32 [B, T], rng=None,
        limit=None) -> dict of `tokens` i32 [B, max_new_tokens] (EOS kept, zeros after it),
        `logprob` f32 [B] (summed over the tokens) and `length` i32 [B] (tokens before EOS). With
        masks also `mask_logits` f32 [B, K, H, W], at the size of the image, and `num_masks` i32
        [B], how many of them count. With `token_logprobs` also `token_logprobs` f32
        [B, max_new_tokens], and with `alternatives` `top_ids` i32 and `top_logprobs` f32, both
        [B, max_new_tokens, A]; all are zero behind the last token.
        `rng` is needed only to sample: one key, from which each row's own is derived by its number
        (`jax.random.fold_in`), or B keys, one for each row. `limit` i32 [] or [B] stops all rows
        after that many tokens, in the same program.

    Raises:
        ValueError: settings out of range, or masks without `seg_end_id`.
    """
    sampling.make_picker(temperature, top_p)  # Complains at once.
    make_sampler = functools.partial(
        sampling.Sampler,
        model,
        max_new_tokens=max_new_tokens,
        vocab_size=vocab_size,
        never=never,
        eos_id=eos_id,
        seg_end_id=seg_end_id,
        max_masks=max_masks,
        token_logprobs=token_logprobs,
        alternatives=alternatives,
    )
    make_sampler()

    @jax.jit
    def generate(
        params: Mapping[str, Any],
        image: jax.Array,
        text: jax.Array,
        mask_ar: jax.Array,
        rng: jax.Array | None = None,
        limit: jax.Array | None = None,
    ) -> dict[str, jax.Array]:
        keys = _row_keys(rng, text.shape[0])
        impl = str(jax.random.key_impl(keys))
        sampler = make_sampler(picker=picker or sampling.make_picker(temperature, top_p, impl))
        logits, kv, valid, features = model.apply(
            {"params": params}, image, text, mask_ar, method=model.prefill
        )
        weights = model.decode_weights(params)
        # New tokens follow the prompt without a gap: those of its padding are written over.
        slots = kv["k"].shape[2] + max_new_tokens
        state = sampler.start(
            logits,
            gemma_cache.resize_cache(gemma_cache.split_cache(kv), slots),
            valid.sum(axis=1),
            sampling.key_data(keys),
            limit=limit,
            done=~(text != 0).any(axis=1),  # Rows without a prompt are padding examples.
        )
        step = functools.partial(sampler.step, weights)
        state = jax.lax.while_loop(lambda s: ~s.done.all(), step, state)
        result = sampler.finish(state)
        if max_masks:
            result |= sampler.make_masks(params, features, state, tuple(image.shape[1:3]))
        return result

    return generate


def _row_keys(rng: jax.Array | None, rows: int) -> jax.Array:
    # One typed key a row: rows draw from their own stream, so batch-mates do not matter.
    rng = jax.random.key(0) if rng is None else rng
    if not jnp.issubdtype(rng.dtype, jax.dtypes.prng_key):
        rng = jax.random.wrap_key_data(rng)
    if rng.ndim:
        if rng.shape != (rows,):
            raise ValueError(
                f"rng has keys of shape {rng.shape} for {rows} rows: give one key, or one a row"
            )
        return rng
    return jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(rows))
