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
        A function (params, image [B, H, W, 3], text i32 [B, T], mask_ar i32 [B, T], rng=None)
        -> dict of `tokens` i32 [B, max_new_tokens] (EOS kept, zeros after it), `logprob` f32 [B]
        (summed over the tokens) and `length` i32 [B] (tokens before EOS). With masks also
        `mask_logits` f32 [B, K, H, W], at the size of the image, and `num_masks` i32 [B], how
        many of them count. `rng` is needed only to sample.
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
    ) -> dict[str, jax.Array]:
        variables = {"params": params}
        logits, kv, valid, features = model.apply(
            variables, image, text, mask_ar, method=model.prefill
        )
        first_slot = valid.shape[1]
        cache, valid = _grow(kv, valid, max_new_tokens)
        rng = jax.random.key(0) if rng is None else rng
        # Rows draw from their own stream, so batch-mates do not matter.
        keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, jnp.arange(text.shape[0]))
        pick = functools.partial(_pick, keys=keys, temperature=temperature, top_p=top_p)
        banned = _banned(logits.shape[-1], vocab_size, never)
        num_valid = valid.sum(axis=1)

        def body(state: dict[str, Any]) -> dict[str, Any]:
            step = state["step"]
            token, logprob = pick(jnp.where(banned, -jnp.inf, state["logits"]), step=step)
            token = jnp.where(state["done"], 0, token)
            logits, kv, hidden = model.apply(
                variables,
                token,
                num_valid + step,
                state["cache"],
                state["valid"],
                method=model.decode_step,
            )
            slot = first_slot + step
            masks = {}
            if max_masks:
                masks = _keep(state["masks"], hidden, (token == seg_end_id) & ~state["done"])
            return dict(
                masks=masks,
                step=step + 1,
                logits=logits,
                cache=jax.tree.map(
                    lambda c, new: jax.lax.dynamic_update_slice_in_dim(c, new, slot, axis=2),
                    state["cache"],
                    kv,
                ),
                valid=state["valid"].at[:, slot].set(True),
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
            cache=cache,
            valid=valid,
            tokens=jnp.zeros((b, max_new_tokens), jnp.int32),
            logprob=jnp.zeros(b),
            done=~(text != 0).any(axis=1),  # Rows without a prompt are padding examples.
        )
        state = jax.lax.while_loop(
            lambda s: (s["step"] < max_new_tokens) & ~s["done"].all(), body, state
        )
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


def _keep(masks: dict[str, jax.Array], hidden: jax.Array, here: jax.Array) -> dict[str, jax.Array]:
    # Stores hidden states [B, D] of the rows where `here`, each behind the row's earlier ones.
    k = masks["hidden"].shape[1]
    place = here[:, None] & (jnp.arange(k) == masks["count"][:, None])
    kept = jnp.where(
        place[..., None], hidden[:, None].astype(masks["hidden"].dtype), masks["hidden"]
    )
    return {"hidden": kept, "count": masks["count"] + here}


def _grow(
    kv: dict[str, jax.Array], valid: jax.Array, slots: int
) -> tuple[dict[str, jax.Array], jax.Array]:
    # Adds empty slots behind the prefilled ones.
    pad = [(0, 0), (0, 0), (0, slots), (0, 0), (0, 0)]
    cache = jax.tree.map(lambda x: jnp.pad(x, pad), kv)
    return cache, jnp.pad(valid, [(0, 0), (0, slots)])


def _banned(table_rows: int, vocab_size: int, never: Sequence[int]) -> jax.Array:
    banned = jnp.arange(table_rows) >= vocab_size
    return banned.at[jnp.asarray(list(never), jnp.int32)].set(True) if never else banned


def _pick(
    logits: jax.Array, *, step: jax.Array, keys: jax.Array, temperature: float, top_p: float
) -> tuple[jax.Array, jax.Array]:
    # Returns the chosen ids [B] and their log probabilities [B] under the unscaled model.
    if temperature == 0:
        token = jnp.argmax(logits, axis=-1)
    else:
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
