"""Text generation for one batch: the prefill, then one token per step, compiled as one program.

The loop ends as soon as all rows have ended. Tokens are chosen greedily or sampled. The result of a
row does not depend on the other rows of its batch or on padding. To answer more requests than fit
one batch, use `queue`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32

from big_rad.inference import sampling
from big_rad.models import gemma_cache

Generate = Callable[..., dict[str, Array]]


def make_generate(
    model: nn.Module, options: sampling.Options | None = None, **fields: Any
) -> Generate:
    """Builds the compiled function that generates text with a model.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        options: the settings of decoding.
        **fields: fields of `sampling.Options`, which replace those of `options` or stand alone.

    Returns:
        A function (params, image [rows, height, width, 3], text i32 [rows, prompt], mask_ar i32
        [rows, prompt], rng=None, limit=None, settings=None) -> dict of the arrays of
        `sampling.Sampler.finish`. With masks also those of `sampling.Sampler.make_masks`.
        `rng` is used only to sample. It is one key for each row, or a single key, from which the
        key of each row is derived by the number of the row (`jax.random.fold_in`).
        `limit` i32 [] or [rows] stops rows after this number of tokens. Another value needs no
        compilation.
        `settings` is what each row sets for the picker `pickers.PerRow`, which must have been made
        with the `impl` of the keys.

    Raises:
        TypeError: a name is not an option.
        ValueError: an option is out of range, see `sampling.Options`.

    Example:
        generate = make_generate(model, max_new_tokens=64, vocab_size=tokenizer.vocab_size)
        tokens = generate(params, image, text, mask_ar)["tokens"]
    """
    options = sampling.Options.of(options, fields)

    @jax.jit
    def generate(
        params: Mapping[str, Any],
        image: Float[Array, "rows height width 3"],
        text: Int[Array, "rows prompt"],
        mask_ar: Int[Array, "rows prompt"],
        rng: Key[Array, "..."] | UInt32[Array, " words"] | None = None,
        limit: Int[Array, ""] | Int[Array, " rows"] | None = None,
        settings: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        keys = _row_keys(rng, text.shape[0])
        sampler = sampling.Sampler(model, options, str(jax.random.key_impl(keys)))
        start = dict(keys=sampling.key_data(keys), limit=limit, settings=settings)
        state, features = _start(sampler, params, (image, text, mask_ar), start)
        step = functools.partial(sampler.step, model.decode_weights(params))
        state = jax.lax.while_loop(lambda s: ~s.done.all(), step, state)
        result = sampler.finish(state)
        if options.max_masks:
            result |= sampler.make_masks(params, features, state, tuple(image.shape[1:3]))
        return result

    return generate


def _start(
    sampler: sampling.Sampler,
    params: Mapping[str, Any],
    batch: tuple[Array, Array, Array],
    options: Mapping[str, Any],
) -> tuple[sampling.State, Float[Array, "rows patches image_width"]]:
    # Runs the prompts of a batch (image, text, mask_ar), with further arguments of
    # `Sampler.start`. Returns the rows and the image features.
    _, text, _ = batch
    logits, kv, valid, features = sampler.model.apply(
        {"params": params}, *batch, method=sampler.model.prefill
    )
    # New tokens follow the prompt without a gap, so they replace the padding of the prompt.
    slots = kv["k"].shape[2] + sampler.options.max_new_tokens
    state = sampler.start(
        logits,
        gemma_cache.resize_cache(gemma_cache.split_cache(kv), slots),
        valid.sum(axis=1),
        **options,
        done=~(text != 0).any(axis=1),  # Rows without a prompt are padding examples.
    )
    return state, features


def _row_keys(
    rng: Key[Array, "..."] | UInt32[Array, " words"] | None, rows: int
) -> Key[Array, " rows"]:
    # One typed key for each row, so that its samples do not depend on the other rows.
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
