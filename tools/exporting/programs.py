"""The programs of an export: StableHLO that any program can call without big_rad.

    arrange.bin   (one layer of the language model) -> its matrices as decoding needs them
    prefill.bin   (params, image [b, S, S, 3], text [b, t], limit [b]) -> state
    decode.bin    (params, state) -> state, after `CHUNK` more tokens
    masks.bin     (params, state) -> the masks of the texts; only of a model with a mask decoder

`params` are the parameters of the export, in which the layers of the language model are arranged
one by one: `llm/blocks/<i>` in place of `llm/layers`. `b`, the number of rows, may be any number.
`t`, the padded length of the prompts, may be any number from 8 to the longest. The state is a dict;
`tokens` [b, new], `token_logprobs` [b, new] and `done` [b] are what a caller reads.

Attention is in its plain layout, and no program calls a kernel of a library, because JAX promises
to read only such programs in later versions. `run.py` in the export calls them.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array

from big_rad.inference import sampling
from big_rad.models import gemma_cache, gemma_layout

FOLDER, CHUNK, PLATFORMS = "hlo", 8, ("cpu", "cuda", "tpu")
_SHORTEST = 8  # Of a padded prompt; without a bound, comparisons of lengths are inconclusive.
Tree = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Programs:
    """The functions that become programs.

    Attributes:
        model: the model.
        options: the settings of decoding, which must be greedy.
        side: the side of the images in pixels.
        longest: the largest padded length of a prompt.
    """

    model: nn.Module
    options: sampling.Options
    side: int
    longest: int

    @property
    def sampler(self) -> sampling.Sampler:
        """The object that begins rows and gives them tokens."""
        return sampling.Sampler(self.model.clone(attention="xla"), self.options)

    def prefill(self, params: Tree, image: Array, text: Array, limit: Array) -> dict[str, Any]:
        """Runs images and prompts, and returns the state."""
        sampler = self.sampler
        logits, kv, valid, features = sampler.model.apply(
            {"params": params}, image, text, jnp.zeros_like(text), method=sampler.model.prefill
        )
        # New tokens replace the padding of the prompt, and follow it without a gap.
        cache = gemma_cache.add_slots(gemma_cache.split_cache(kv), self.options.max_new_tokens)
        return sampler.start(
            logits,
            cache,
            valid.sum(axis=1),
            jnp.zeros((text.shape[0], 2), jnp.uint32),
            limit=limit,
            features=features if self.options.max_masks else None,
        ).arrays()

    def decode(self, params: Tree, state: Tree) -> dict[str, Any]:
        """Gives every row that has not ended up to `CHUNK` more tokens."""
        sampler = self.sampler
        weights = sampler.model.decode_weights(params)
        return jax.lax.fori_loop(0, CHUNK, lambda _, s: sampler.step_arrays(weights, s), state)

    def masks(self, params: Tree, state: Tree) -> dict[str, Array]:
        """Returns the masks of all rows, see `sampling.Sampler.make_masks`."""
        whole = sampling.State.from_arrays(state)
        return self.sampler.make_masks(params, whole.features, whole, (self.side, self.side))

    def arrange(self, layer: Tree) -> dict[str, Any]:
        """Arranges one layer, see `gemma_layout.arrange_layer`."""
        return gemma_layout.arrange_layer(layer)


def write(folder: pathlib.Path, programs: Programs, params: Tree, layer: Tree) -> dict[str, Any]:
    """Exports the programs.

    Args:
        folder: the folder of the files, which is made.
        programs: the functions.
        params: the nested parameters with arranged layers, or their shapes.
        layer: one layer of the language model as in a checkpoint, or its shapes.

    Returns:
        What config.json says of the programs: `jax`, `calling_convention`, `platforms`, `chunk`,
        `longest_prompt`, `shortest_prompt`, `max_new_tokens`, and whether there are `masks`.
    """
    folder.mkdir(parents=True)
    params, layer = (jax.tree.map(_shape, x) for x in (params, layer))
    limits = (f"t>={_SHORTEST}", f"t<={programs.longest}")
    b, t = export.symbolic_shape("b, t", constraints=limits)
    side = programs.side
    image = jax.ShapeDtypeStruct((b, side, side, 3), jnp.float32)
    text, limit = (jax.ShapeDtypeStruct(s, jnp.int32) for s in ((b, t), (b,)))
    state = jax.eval_shape(programs.prefill, params, image, text, limit)
    made: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "arrange": (programs.arrange, (layer,)),
        "prefill": (programs.prefill, (params, image, text, limit)),
        "decode": (programs.decode, (params, state)),
    }
    if programs.options.max_masks:
        made["masks"] = (programs.masks, (params, state))
    versions = set()
    for name, (function, args) in made.items():
        exported = export.export(jax.jit(function), platforms=PLATFORMS)(*args)
        versions.add(exported.calling_convention_version)
        (folder / f"{name}.bin").write_bytes(bytes(exported.serialize()))
    return dict(
        jax=jax.__version__,
        calling_convention=max(versions),
        platforms=list(PLATFORMS),
        chunk=CHUNK,
        shortest_prompt=_SHORTEST,
        longest_prompt=programs.longest,
        max_new_tokens=programs.options.max_new_tokens,
        masks=bool(programs.options.max_masks),
    )


def load(folder: pathlib.Path) -> dict[str, Callable[..., Any]]:
    """Returns the programs of an export as functions, by name."""
    return {
        p.stem: jax.jit(export.deserialize(bytearray(p.read_bytes())).call)
        for p in sorted(folder.glob("*.bin"))
    }


def answer(
    programs: Mapping[str, Callable[..., Any]],
    params: Tree,
    image: np.ndarray,
    text: np.ndarray,
    new: int,
) -> dict[str, np.ndarray]:
    """Answers a batch with the programs alone.

    Args:
        programs: the result of `load`.
        params: the parameters with arranged layers.
        image: the images f32 [b, S, S, 3].
        text: the prompts i32 [b, t], each followed by zeros.
        new: the most tokens of an answer.

    Returns:
        The arrays of the state that are not of the model's inner workings, and those of the masks.
    """
    limit = np.full(len(text), new, np.int32)
    state = programs["prefill"](params, image, text, limit)
    while not np.asarray(state["done"]).all():
        state = programs["decode"](params, state)
    masks = programs["masks"](params, state) if "masks" in programs else {}
    kept = ("tokens", "token_logprobs", "logprob")
    return jax.device_get({n: state[n] for n in kept} | masks)


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
