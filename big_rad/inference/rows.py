"""The device's side of `queue`: rows that decode at their own places, all state donated.

A row's cache holds its image, its prompt and its new tokens without a gap, so a token's slot is
its position and everything before it is seen. Knows of no request and of no order among them.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from big_rad import sharding as sharding_lib
from big_rad.inference import decode
from big_rad.models import gemma, gemma_step

State = dict[str, Any]  # Every array has the rows as its first axis.
Filled = dict[str, Any]  # What a prefill gives to be inserted, rows first as well.


class Rows:
    """Compiled functions over a state of B rows.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        max_new_tokens, vocab_size, never, eos_id, seg_end_id, max_masks: see
            `decode.make_generate`.
        chunk: steps of one call of `advance`.
        logits: give masks as logits instead of bool.
        sharding: of the rows over devices; None leaves all on one.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        max_new_tokens: int,
        vocab_size: int,
        never: Sequence[int],
        eos_id: int,
        seg_end_id: int | None,
        max_masks: int,
        chunk: int,
        logits: bool,
        sharding: jax.sharding.Sharding | None,
    ):
        self._model, self._sharding = model, sharding
        self._dims = gemma.Model(**model.llm, parent=None).dims()
        self._new, self._eos, self._chunk = max_new_tokens, eos_id, chunk
        self._seg_end, self._max_masks, self._logits = seg_end_id, max_masks, logits
        banned = functools.partial(decode.banned_ids, vocab_size=vocab_size, never=never)
        self._pick = lambda x: decode.greedy(jnp.where(banned(x.shape[-1]), -jnp.inf, x))
        self.prepare = jax.jit(model.decode_weights)
        self.empty = jax.jit(self._empty, static_argnums=(0, 1, 2))
        self.prefill = jax.jit(self._prefill)
        self.prefill_image = jax.jit(self._prefill_image)
        self.prefill_text = jax.jit(self._prefill_text)
        self.insert = jax.jit(self._insert, donate_argnums=0)
        self.resize = jax.jit(self._resize, static_argnums=1)
        self.advance = jax.jit(self._advance, donate_argnums=1)
        self._jitted_collect = jax.jit(self._collect, static_argnums=3)

    def collect(self, params: Any, state: State, rows: Any, size: tuple[int, int]) -> Any:
        """Takes the results of rows [R] out of a state, masks at the image's size (H, W)."""
        # Without the cache, whose size varies and would have it compiled again.
        kept = {k: v for k, v in state.items() if k != "cache"}
        return self._jitted_collect(params, kept, rows, size)

    def cache_sizes(self) -> dict[str, int]:
        """Returns how many programs each function was compiled to."""
        names = ("prefill", "prefill_image", "prefill_text", "insert", "resize", "advance")
        sizes = {n: getattr(self, n)._cache_size() for n in names}
        return sizes | {"collect": self._jitted_collect._cache_size()}

    def _place(self, tree: Any) -> Any:
        if self._sharding is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self._sharding)

    def _for_host(self, tree: Any) -> Any:
        # Whole on every device, so that every process can look at it.
        if self._sharding is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, sharding_lib.replicated(self._sharding.mesh))

    def image_features(self, params: Any, image: Any) -> jax.ShapeDtypeStruct:
        """Returns the shape [N, C] and dtype of an image's features, without making them."""
        ((_, features),) = jax.eval_shape(self._prefill_image, params, image[None])
        return features

    def _empty(self, rows: int, slots: int, features: jax.ShapeDtypeStruct) -> State:
        # A state in which every row is free.
        d = self._dims
        state = dict(
            cache=gemma_step.empty_cache(d, rows, slots),
            slot=jnp.zeros(rows, jnp.int32),
            next=jnp.zeros(rows, jnp.int32),
            next_logprob=jnp.zeros(rows),
            tokens=jnp.zeros((rows, self._new), jnp.int32),
            count=jnp.zeros(rows, jnp.int32),
            logprob=jnp.zeros(rows),
            done=jnp.ones(rows, bool),
        )
        if self._max_masks:
            hidden = jnp.zeros((rows, self._max_masks, d.width))
            state["masks"] = {"hidden": hidden, "count": jnp.zeros(rows, jnp.int32)}
            state["features"] = jnp.zeros((rows, *features.shape), features.dtype)
        return self._place(state)

    def _prefill(self, params: Any, image: jax.Array, text: jax.Array) -> Filled:
        # Images [R, H, W, 3] and prompts [R, T] together, in either mask mode.
        model = self._model
        logits, kv, valid, features = model.apply(
            {"params": params}, image, text, jnp.zeros_like(text), method=model.prefill
        )
        return self._filled(logits, gemma_step.split_cache(kv), valid.sum(axis=1), features)

    def _prefill_image(self, params: Any, image: jax.Array) -> list[Any]:
        # Images [R, H, W, 3] alone: of each, what `_prefill_text` needs.
        model = self._model
        kv, features = model.apply({"params": params}, image, method=model.prefill_image)
        return [
            ({n: x[:, i] for n, x in kv.items()}, row)
            for i, row in enumerate(jnp.unstack(features))
        ]

    def _prefill_text(self, params: Any, images: list[Any], text: jax.Array) -> Filled:
        # Prompts [R, T], each with what `_prefill_image` gave for its image.
        kv, features = jax.tree.map(lambda *x: jnp.stack(x), *images)
        kv = jax.tree.map(lambda x: x.swapaxes(0, 1), kv)
        model = self._model
        logits, new = model.apply({"params": params}, text, kv, method=model.prefill_text)
        cache = gemma_step.join_caches(gemma_step.split_cache(kv), gemma_step.split_cache(new))
        length = kv["k"].shape[2] + (text != 0).sum(axis=1)
        return self._filled(logits, cache, length, features)

    def _filled(
        self, logits: jax.Array, cache: gemma_step.Cache, length: jax.Array, features: jax.Array
    ) -> Filled:
        token, logprob = self._pick(logits)
        filled = dict(cache=cache, slot=length, next=token, next_logprob=logprob)
        return filled | ({"features": features} if self._max_masks else {})

    def _insert(self, state: State, rows: jax.Array, filled: Filled) -> State:
        # Rows i32 [R] start anew from a prefill; those beyond the last row are left out.
        def put(x: jax.Array, new: Any) -> jax.Array:
            return x.at[rows].set(new, mode="drop")

        fresh = dict(tokens=0, count=0, logprob=0.0, done=False)
        if self._max_masks:
            fresh["masks"] = {"hidden": 0.0, "count": 0}
        fresh |= {k: v for k, v in filled.items() if k != "cache"}
        cache = gemma_step.insert_rows(state["cache"], rows, filled["cache"])
        new = {k: jax.tree.map(put, state[k], v) for k, v in fresh.items()}
        return self._place(new | {"cache": cache})

    def _resize(self, state: State, slots: int) -> State:
        # More slots, or fewer if no live row needs them.
        return self._place(state | {"cache": gemma_step.resize_cache(state["cache"], slots)})

    def _advance(self, weights: Mapping[str, Any], state: State) -> tuple[State, jax.Array]:
        # Runs a chunk of steps; also gives `done` [B], as an array of its own for the host.
        def body(state: State, _: None) -> tuple[State, None]:
            live = ~state["done"]
            token = jnp.where(live, state["next"], 0)
            logits, cache, hidden = self._model.decode_step(
                weights, token, state["slot"], state["cache"]
            )
            following, logprob = self._pick(logits)
            count, rows = state["count"], jnp.arange(len(token))
            new = dict(
                cache=cache,
                slot=state["slot"] + live,
                next=following,
                next_logprob=logprob,
                tokens=state["tokens"].at[rows, count].set(token, mode="drop"),
                count=count + live,
                logprob=state["logprob"] + jnp.where(live, state["next_logprob"], 0.0),
                done=~live | (token == self._eos) | (count + 1 >= self._new),
            )
            if self._max_masks:
                ends = live & (token == self._seg_end)
                new["masks"] = decode.keep_hidden(state["masks"], hidden, ends)
            return state | new, None

        state, _ = jax.lax.scan(body, state, length=self._chunk)
        return self._place(state), self._for_host(state["done"].copy())

    def _collect(
        self, params: Any, state: State, rows: jax.Array, size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        tokens = state["tokens"][rows]
        length = ((tokens != 0) & (tokens != self._eos)).sum(axis=1)
        out = dict(tokens=tokens, logprob=state["logprob"][rows], length=length)
        if self._max_masks:
            model, hidden = self._model, state["masks"]["hidden"][rows]
            features = state["features"][rows]
            made = model.apply({"params": params}, features, hidden, size, method=model.masks)
            out |= {"mask_logits": made} if self._logits else {"masks": made > 0}
            out["num_masks"] = jnp.minimum(state["masks"]["count"][rows], self._max_masks)
        return self._for_host(out)
