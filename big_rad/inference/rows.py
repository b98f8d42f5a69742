"""The device programs of the decode queue: begin rows, advance them, and take their answers out.

Each row is at a position of its own. The KV cache of a row holds the image, the prompt and the new
tokens without a gap. So the slot of a token is its position, and a new token attends to all slots
up to its own. Here is one row of an image with 4 tokens (I) and a prompt with 3 tokens (P), padded
to a bucket of 5, before and after 3 new tokens (N):

    slot                   0   1   2   3   4   5   6   7   8   9  10  11
                         +---------------+-------------------+------------+
    after `insert`       | I   I   I   I | P   P   P   -   - | -   -   -  |   next slot: 7
    after three steps    | I   I   I   I | P   P   P   N   N | N   -   -  |   next slot: 10
                         +---------------+-------------------+------------+

The first new tokens replace the padding of the prompt. Slots marked "-" may hold anything, such as
the keys and values of an earlier request in this row: they lie at or behind the next slot, so they
are overwritten before a token attends to them.

`queue` decides which request begins when and in which row. The large states are donated, so XLA
updates them in place.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from big_rad import sharding as sharding_lib
from big_rad.inference import sampling
from big_rad.inference.compiling import Compiled
from big_rad.models import gemma, gemma_cache, gemma_layout

BLANK = -1.0  # The value of an empty slice after normalisation, which is the lowest value.
MASK_LOGITS = "mask_logits, kept"  # The name of an array that stays on the device.
T = TypeVar("T")
RowNumbers = Int[np.ndarray, " new_rows"]  # The numbers of rows in a state.
# The result of running one image alone: its keys `k` and values `v`, and its features.
Prefilled = tuple[
    dict[str, Float[Array, "depth patches kv_heads head_dim"]], Float[Array, "patches image_width"]
]


class Asked(NamedTuple):
    """What the requests of rows that begin ask for, beside their prompts.

    Attributes:
        keys: the data of each row's random key, see `sampling.Sampler.start`.
        limit: how many tokens each row may get.
        settings: what each row sets for the picker, by name, see `pickers.PerRow`.
    """

    keys: UInt32[Array, "new_rows words"]
    limit: Int[Array, " new_rows"]
    settings: Mapping[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)  # Compared by identity: a model has no hash.
class Rows:
    """Compiled functions over a `sampling.State`.

    Each object has its own compiled programs, which it can use for any number of states.

    Attributes:
        sampler: the object that begins rows and gives them tokens.
        chunk: the number of steps in one call of `advance`.
        logits: whether masks are returned as logits instead of bool.
        sharding: how the rows are split over devices; None keeps them all on one device.
        lean: whether programs need little memory on a CPU, and more time, see `compiling`.
    """

    sampler: sampling.Sampler
    chunk: int = 8
    logits: bool = False
    sharding: jax.sharding.Sharding | None = None
    lean: bool = False

    def prepare(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Arranges the model's parameters for `advance`.

        Parameters that are arranged already, as those of an export are, are not copied.
        """
        if gemma_layout.is_arranged(params.get("llm", {})):
            return self.sampler.model.decode_weights(params)
        return self._arrange(params)

    @functools.partial(jax.jit, static_argnums=0)
    def _arrange(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return self.sampler.model.decode_weights(params)

    def image_features(
        self, params: Mapping[str, Any], image: Float[np.ndarray, "height width 3"]
    ) -> jax.ShapeDtypeStruct:
        """Returns the shape [patches, image_width] and dtype of an image's features.

        The features themselves are not computed.
        """
        model = self.sampler.model
        make = functools.partial(model.apply, method=model.prefill_image)
        _, features = jax.eval_shape(make, {"params": params}, image[None])
        return jax.ShapeDtypeStruct(features.shape[1:], features.dtype)

    @functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
    def empty(self, rows: int, slots: int, features: jax.ShapeDtypeStruct) -> sampling.State:
        """Returns a state in which every row is free.

        Args:
            rows: the number of rows.
            slots: the number of cache slots of each row.
            features: the shape and dtype that `image_features` returns.
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

    @Compiled
    def prefill(
        self,
        params: Mapping[str, Any],
        image: Float[Array, "new_rows height width 3"],
        text: Int[Array, "new_rows prompt"],
        asked: Asked,
    ) -> sampling.State:
        """Begins rows by running images and prompts together, which works in either mask mode.

        Args:
            params: the model's parameters.
            image: one image for each row.
            text: the prompts, each followed by zeros.
            asked: what else the requests of the rows ask for.

        Returns:
            Rows to `insert`.
        """
        model = self.sampler.model
        logits, kv, valid, features = model.apply(
            {"params": params}, image, text, jnp.zeros_like(text), method=model.prefill
        )
        return self._begin(logits, gemma_cache.split_cache(kv), valid.sum(axis=1), asked, features)

    @Compiled
    def prefill_image(
        self, params: Mapping[str, Any], image: Float[Array, "images height width 3"]
    ) -> list[Prefilled]:
        """Runs images alone, and returns the keys, values and features of each image."""
        model = self.sampler.model
        kv, features = model.apply({"params": params}, image, method=model.prefill_image)
        return [
            ({n: x[:, i] for n, x in kv.items()}, row)
            for i, row in enumerate(jnp.unstack(features))
        ]

    @Compiled
    def prefill_text(
        self,
        params: Mapping[str, Any],
        images: list[Prefilled],
        text: Int[Array, "new_rows prompt"],
        asked: Asked,
    ) -> sampling.State:
        """Begins rows whose images have been run before, in mask mode "image_isolated" only.

        Args:
            params: the model's parameters.
            images: the result of `prefill_image` for the image of each row.
            text: the prompts, each followed by zeros.
            asked: what else the requests of the rows ask for.

        Returns:
            Rows to `insert`.
        """
        kv, features = jax.tree.map(lambda *x: jnp.stack(x), *images)
        kv = jax.tree.map(lambda x: x.swapaxes(0, 1), kv)
        model = self.sampler.model
        logits, new = model.apply({"params": params}, text, kv, method=model.prefill_text)
        cache = gemma_cache.join_caches(gemma_cache.split_cache(kv), gemma_cache.split_cache(new))
        length = kv["k"].shape[2] + (text != 0).sum(axis=1)
        return self._begin(logits, cache, length, asked, features)

    @Compiled
    def score(
        self,
        weights: Mapping[str, Any],
        state: sampling.State,
        candidates: Int[Array, "new_rows candidates length"],
    ) -> Float[Array, "new_rows candidates"]:
        """Returns the log probability of each candidate text after the prompt of its row.

        Args:
            weights: the parameters as `prepare` arranges them.
            state: rows that have just begun, see `prefill`; they are not changed.
            candidates: the tokens of each text, its end included, and then zeros. A candidate of
                zeros alone has the log probability 0.
        """
        sampler = self.sampler

        def added(
            logits: Float[Array, "new_rows vocab"], token: Int[Array, " new_rows"]
        ) -> Float[Array, " new_rows"]:
            logprob = jax.nn.log_softmax(sampler.scores(logits), axis=-1)
            own = jnp.take_along_axis(logprob, token[:, None], axis=-1)[:, 0]
            return jnp.where(token != 0, own, 0.0)

        def step(carry: Any, pair: Int[Array, "2 new_rows"]) -> tuple[Any, None]:
            (cache, slot, total), (before, token) = carry, pair
            logits, cache, _ = sampler.model.decode_step(weights, before, slot, cache)
            return (cache, slot + (before != 0), total + added(logits, token)), None

        def one(ids: Int[Array, "length new_rows"]) -> Float[Array, " new_rows"]:
            cache = gemma_cache.add_slots(state.cache, ids.shape[0])
            start = (cache, state.slot, added(state.logits, ids[0]))
            (_, _, total), _ = jax.lax.scan(step, start, jnp.stack([ids[:-1], ids[1:]], axis=1))
            return total

        # One candidate after the other, so that the cache is not copied for each of them.
        each = jax.lax.map(one, candidates.transpose(1, 2, 0))
        return self._for_host(each.transpose())

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
    def insert(
        self, state: sampling.State, rows: RowNumbers, new: sampling.State
    ) -> sampling.State:
        """Puts rows that begin into a state, which is donated.

        Args:
            state: the state that receives the rows.
            rows: the row of `state` that each new row replaces. A new row whose number is beyond
                the last row of `state` is dropped.
            new: the rows that begin, with at most as many slots as `state`.

        Returns:
            The state with the new rows in it.
        """
        # The other arrays of a row are replaced whole. The cache of a new row may have fewer slots;
        # the remaining slots keep their old content, which no token attends to.
        put = lambda x, y: x.at[rows].set(y, mode="drop")  # noqa: E731
        cache = gemma_cache.insert_rows(state.cache, rows, new.cache)
        rest = jax.tree.map(put, _without_cache(state), _without_cache(new))
        return self._place(dataclasses.replace(rest, cache=cache))

    @functools.partial(jax.jit, static_argnums=(0, 2))
    def resize(self, state: sampling.State, slots: int) -> sampling.State:
        """Returns a state with another number of slots.

        Args:
            state: the rows.
            slots: the new number, which may be smaller if no live row needs the slots cut off.
        """
        cache = gemma_cache.resize_cache(state.cache, slots)
        return self._place(dataclasses.replace(state, cache=cache))

    @functools.partial(Compiled, donate_argnums=2)
    def advance(
        self, weights: Mapping[str, Any], state: sampling.State
    ) -> tuple[sampling.State, Bool[Array, " rows"]]:
        """Runs a chunk of steps on a state, which is donated.

        Args:
            weights: the parameters as `prepare` arranges them.
            state: the rows.

        Returns:
            The rows after the chunk, and a copy of their `done`. The host can read the copy after
            the state has been donated to the next chunk.
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
            rows: the numbers of the rows whose answers are taken.
            size: the (height, width) of an image and its masks.

        Returns:
            The arrays of `sampling.Sampler.finish`. With masks also those of
            `sampling.Sampler.make_masks`, but unless `logits` is True, `masks` bool of the shape
            of `mask_logits` in the place of these. With the option `without_image`, the logits are
            there as `MASK_LOGITS` too, for the function of this name.
        """
        # Without the cache: its size changes, and each size would be another compilation.
        return self._collect(params, _without_cache(state), rows, size)

    @functools.partial(Compiled, static_argnums=(0, 4))
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
            if self.sampler.options.without_image:
                made[MASK_LOGITS] = made["mask_logits"]
            if not self.logits:  # Bool needs a quarter of the bytes on the way to the host.
                made["masks"] = made.pop("mask_logits") > 0
            out |= made
        return self._for_host(out)

    @functools.partial(Compiled, static_argnums=(0, 2))
    def without_image(
        self,
        params: Mapping[str, Any],
        shape: tuple[int, ...],
        text: Int[Array, "rows text"],
        mask_ar: Int[Array, "rows text"],
        locations: Int[Array, "rows locations"],
        ends: Int[Array, "rows masks"],
        masks: Float[Array, "rows masks height width"] | None,
    ) -> dict[str, Array]:
        """Runs whole texts with their answers on a blank image.

        Args:
            params: the model's parameters.
            shape: the shape of an image, [height, width, 3].
            text: the prompts with the answers behind them, and then zeros.
            mask_ar: 1 on the tokens of the answers.
            locations: the positions in `text` of location tokens, then zeros.
            ends: the positions of `</seg>` tokens, then zeros.
            masks: the logits of the masks with the real image; None without masks.

        Returns:
            `blank_location_probs` f16 [rows, locations, all locations], the distribution at each
            of these tokens as in `location_probs`; and with masks `mask_change` f32 [rows, masks],
            see `sampling.mask_change`. Entries behind the last token mean nothing.
        """
        sampler, model, out = self.sampler, self.sampler.model, {}
        width = text.shape[1]
        before = jnp.maximum(locations - 1, 0) + width * jnp.arange(text.shape[0])[:, None]
        image = self._place(jnp.full((text.shape[0], *shape), BLANK))
        logits, inner = model.apply(
            {"params": params}, image, text, mask_ar, logits_pos=before.reshape(-1)
        )
        if sampler.options.max_boxes:
            probs = sampler.location_probs(sampler.scores(logits))
            out["blank_location_probs"] = probs.reshape(*locations.shape, -1)
        if masks is not None:
            hidden = jnp.take_along_axis(inner["hidden"], ends[..., None], axis=1)
            hidden = hidden.astype(jnp.float32)
            made = model.apply(
                {"params": params},
                inner["img/encoded"],
                hidden,
                shape[:2],
                method=model.masks,
            )
            out["mask_change"] = sampling.mask_change(masks, made)
        return self._for_host(out)

    def _begin(
        self,
        logits: Float[Array, "new_rows vocab"],
        cache: gemma_cache.Cache,
        length: Int[Array, " new_rows"],
        asked: Asked,
        features: Float[Array, "new_rows patches image_width"],
    ) -> sampling.State:
        kept = features if self.sampler.options.max_masks else None
        return self.sampler.start(
            logits,
            cache,
            length,
            asked.keys,
            limit=asked.limit,
            features=kept,
            settings=asked.settings,
        )

    def _place(self, tree: T) -> T:
        if self.sharding is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self.sharding)

    def _for_host(self, tree: T) -> T:
        # Copied whole to every device, so that every process can read it.
        if self.sharding is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, sharding_lib.replicated(self.sharding.mesh))


def compiled() -> dict[str, int]:
    """Returns the number of compiled programs of each function of `Rows` in this process."""
    jitted = {
        n: getattr(Rows, n)
        for n in (
            "prefill",
            "prefill_image",
            "prefill_text",
            "score",
            "insert",
            "resize",
            "advance",
        )  # fmt: skip
    }
    jitted["collect"] = Rows._collect
    return {n: f._cache_size() for n, f in jitted.items()}


def _without_cache(state: sampling.State) -> sampling.State:
    return dataclasses.replace(state, cache=[])
