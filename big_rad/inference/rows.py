"""The device's side of `queue`: rows that decode at their own places, all state donated.

A row's cache holds its image, its prompt and its new tokens without a gap, so a token's slot is
its position and everything before it is seen. Knows of no request and of no order among them.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from big_rad import sharding as sharding_lib
from big_rad.inference import sampling
from big_rad.models import gemma, gemma_cache

T = TypeVar("T")
RowNumbers = Int[np.ndarray, " new_rows"]  # numbers of rows in a state
# An image that has run alone: its keys `k` and values `v`, and its features.
Prefilled = tuple[
    dict[str, Float[Array, "depth patches kv_heads head_dim"]], Float[Array, "patches image_width"]
]


@dataclasses.dataclass(frozen=True, eq=False)  # Compared by identity: a model has no hash.
class Rows:
    """Compiled functions over a `sampling.State` of B rows.

    Each object has compiled programs of its own, which it can use for any number of states.

    Attributes:
        sampler: begins rows and gives them tokens.
        chunk: steps of one call of `advance`.
        logits: give masks as logits instead of bool.
        sharding: of the rows over devices; None leaves all on one.
    """

    sampler: sampling.Sampler
    chunk: int = 8
    logits: bool = False
    sharding: jax.sharding.Sharding | None = None

    @functools.partial(jax.jit, static_argnums=0)
    def prepare(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Arranges the model's parameters for `advance`."""
        return self.sampler.model.decode_weights(params)

    def image_features(
        self, params: Mapping[str, Any], image: Float[np.ndarray, "height width 3"]
    ) -> jax.ShapeDtypeStruct:
        """Returns the shape [patches, image_width] and dtype of an image's features.

        The features themselves are not made.
        """
        model = self.sampler.model
        make = functools.partial(model.apply, method=model.prefill_image)
        _, features = jax.eval_shape(make, {"params": params}, image[None])
        return jax.ShapeDtypeStruct(features.shape[1:], features.dtype)

    @functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
    def empty(self, rows: int, slots: int, features: jax.ShapeDtypeStruct) -> sampling.State:
        """Returns a state in which every row is free.

        Args:
            rows: how many rows it has.
            slots: of the cache.
            features: of `image_features`.
        """
        dims = gemma.Model(**self.sampler.model.llm, parent=None).dims()
        zeros = jnp.zeros((rows, *features.shape), features.dtype)
        state = self.sampler.start(
            jnp.zeros((rows, dims.vocab_size)),
            gemma_cache.empty_cache(dims, rows, slots),
            jnp.zeros(rows, jnp.int32),
            jnp.zeros((rows, 2), jnp.uint32),
            done=jnp.ones(rows, bool),
            features=zeros if self.sampler.options.max_masks else None,
        )
        return self._place(state)

    @functools.partial(jax.jit, static_argnums=0)
    def prefill(
        self,
        params: Mapping[str, Any],
        image: Float[Array, "new_rows height width 3"],
        text: Int[Array, "new_rows prompt"],
        keys: UInt32[Array, "new_rows words"],
    ) -> sampling.State:
        """Begins rows, images and prompts together, in either mask mode.

        Args:
            params: the model's parameters.
            image: an image for each row.
            text: prompts, then zeros.
            keys: see `sampling.Sampler.start`.

        Returns:
            Rows to `insert`.
        """
        model = self.sampler.model
        logits, kv, valid, features = model.apply(
            {"params": params}, image, text, jnp.zeros_like(text), method=model.prefill
        )
        return self._begin(logits, gemma_cache.split_cache(kv), valid.sum(axis=1), keys, features)

    @functools.partial(jax.jit, static_argnums=0)
    def prefill_image(
        self, params: Mapping[str, Any], image: Float[Array, "images height width 3"]
    ) -> list[Prefilled]:
        """Runs images alone; returns for each what `prefill_text` needs."""
        model = self.sampler.model
        kv, features = model.apply({"params": params}, image, method=model.prefill_image)
        return [
            ({n: x[:, i] for n, x in kv.items()}, row)
            for i, row in enumerate(jnp.unstack(features))
        ]

    @functools.partial(jax.jit, static_argnums=0)
    def prefill_text(
        self,
        params: Mapping[str, Any],
        images: list[Prefilled],
        text: Int[Array, "new_rows prompt"],
        keys: UInt32[Array, "new_rows words"],
    ) -> sampling.State:
        """Begins rows whose images have run ("image_isolated" only).

        Args:
            params: the model's parameters.
            images: what `prefill_image` gave for the image of each row.
            text: prompts, then zeros.
            keys: see `sampling.Sampler.start`.

        Returns:
            Rows to `insert`.
        """
        kv, features = jax.tree.map(lambda *x: jnp.stack(x), *images)
        kv = jax.tree.map(lambda x: x.swapaxes(0, 1), kv)
        model = self.sampler.model
        logits, new = model.apply({"params": params}, text, kv, method=model.prefill_text)
        cache = gemma_cache.join_caches(gemma_cache.split_cache(kv), gemma_cache.split_cache(new))
        length = kv["k"].shape[2] + (text != 0).sum(axis=1)
        return self._begin(logits, cache, length, keys, features)

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
    def insert(
        self, state: sampling.State, rows: RowNumbers, new: sampling.State
    ) -> sampling.State:
        """Puts rows that begin into a state, which is donated.

        Args:
            state: the rows that there are.
            rows: where to put the new ones; numbers beyond the last row of `state` are left out.
            new: the rows that begin, with no more slots than the state.
        """
        # Whole but for the cache, whose slots are fewer: the others keep what they have.
        put = lambda x, y: x.at[rows].set(y, mode="drop")  # noqa: E731
        cache = gemma_cache.insert_rows(state.cache, rows, new.cache)
        rest = jax.tree.map(put, _without_cache(state), _without_cache(new))
        return self._place(dataclasses.replace(rest, cache=cache))

    @functools.partial(jax.jit, static_argnums=(0, 2))
    def resize(self, state: sampling.State, slots: int) -> sampling.State:
        """Returns a state with more slots, or with fewer if no live row needs them."""
        cache = gemma_cache.resize_cache(state.cache, slots)
        return self._place(dataclasses.replace(state, cache=cache))

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
    def advance(
        self, weights: Mapping[str, Any], state: sampling.State
    ) -> tuple[sampling.State, Bool[Array, " rows"]]:
        """Runs a chunk of steps on a state, which is donated.

        Args:
            weights: of `prepare`.
            state: the rows.

        Returns:
            (the rows after the chunk, their `done` as an array of its own for the host).
        """
        step = lambda state, _: (self.sampler.step(weights, state), None)  # noqa: E731
        state, _ = jax.lax.scan(step, state, length=self.chunk)
        return self._place(state), self._for_host(state.done.copy())

    def collect(
        self,
        params: Mapping[str, Any],
        state: sampling.State,
        rows: RowNumbers,
        size: tuple[int, int],
    ) -> dict[str, Array]:
        """Takes the answers of some rows out of a state.

        Args:
            params: the model's parameters.
            state: all rows.
            rows: the numbers of those whose answers are taken.
            size: (height, width) of an image and its masks.

        Returns:
            What `sampling.Sampler.finish` gives, and with masks `masks` bool [new_rows, max_masks,
            height, width], or `mask_logits` f32, and `num_masks` i32 [new_rows].
        """
        # Without the cache, whose size varies and would have it compiled again.
        return self._collect(params, _without_cache(state), rows, size)

    @functools.partial(jax.jit, static_argnums=(0, 4))
    def _collect(
        self,
        params: Mapping[str, Any],
        state: sampling.State,
        rows: RowNumbers,
        size: tuple[int, int],
    ) -> dict[str, Array]:
        chosen = jax.tree.map(lambda x: x[rows], state)
        out = self.sampler.finish(chosen)
        if self.sampler.options.max_masks:
            made = self.sampler.make_masks(params, chosen.features, chosen, size)
            if not self.logits:  # An eighth of the bytes for the host.
                made["masks"] = made.pop("mask_logits") > 0
            out |= made
        return self._for_host(out)

    def _begin(
        self,
        logits: Float[Array, "new_rows vocab"],
        cache: gemma_cache.Cache,
        length: Int[Array, " new_rows"],
        keys: UInt32[Array, "new_rows words"],
        features: Float[Array, "new_rows patches image_width"],
    ) -> sampling.State:
        kept = features if self.sampler.options.max_masks else None
        return self.sampler.start(logits, cache, length, keys, features=kept)

    def _place(self, tree: T) -> T:
        if self.sharding is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self.sharding)

    def _for_host(self, tree: T) -> T:
        # Whole on every device, so that every process can look at it.
        if self.sharding is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, sharding_lib.replicated(self.sharding.mesh))


def compiled() -> dict[str, int]:
    """Returns how many programs each function of `Rows` was compiled to in this process."""
    jitted = {
        n: getattr(Rows, n)
        for n in ("prefill", "prefill_image", "prefill_text", "insert", "resize", "advance")
    }
    jitted["collect"] = Rows._collect
    return {n: f._cache_size() for n, f in jitted.items()}


def _without_cache(state: sampling.State) -> sampling.State:
    return dataclasses.replace(state, cache=[])
