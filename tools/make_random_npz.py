"""Writes an npz of random bf16 weights in the original's format, of any size, for tests of loading.

    python -m tools.make_random_npz /tmp/random_3b.npz --variant 3b     # 6.1 GB

Arrays are drawn and written one at a time. The values are scaled so that a forward pass stays
finite.
"""

import argparse
import pathlib

import flax
import jax
import jax.numpy as jnp
import numpy as np

from big_rad.models import paligemma
from big_rad.weights import npz, tensors


def main() -> None:
    """Writes the file and prints its number of parameters and its size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--variant", choices=sorted(paligemma.VARIANTS), default="3b")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    flat = random_weights(args.variant, args.size, args.seed)
    npz.save(args.out, flax.traverse_util.unflatten_dict(flat, sep="/"))
    print(f"{args.out}: {tensors.count(flat):,} parameters, {args.out.stat().st_size / 1e9:.2f} GB")


def random_weights(variant: str, size: int, seed: int = 0) -> dict[str, tensors.Lazy]:
    """Returns flat lazy bf16 arrays with the names and shapes of an original checkpoint.

    Args:
        variant: a name in `paligemma.VARIANTS`.
        size: the side of the image in pixels.
        seed: the seed of the first array; each further array has the next number.
    """
    model = paligemma.Model(**paligemma.VARIANTS[variant])
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    shapes = flax.traverse_util.flatten_dict(shapes, sep="/")
    return {
        name: tensors.Lazy(x.shape, tensors.BFLOAT16, _reader(name, x.shape, seed + i))
        for i, (name, x) in enumerate(shapes.items())
    }


def _reader(name: str, shape: tuple[int, ...], seed: int):
    def draw() -> np.ndarray:
        # Drawn layer by layer, so that no float32 copy of the whole array is made.
        rng = np.random.default_rng(seed)
        out = np.empty(shape, tensors.BFLOAT16)
        gain = 0.1 if len(shape) <= 2 and shape[-1] < 10_000 else 0.02
        for part in out.reshape(-1, shape[-1]) if out.ndim == 1 else out:
            part[...] = gain * rng.standard_normal(part.shape, np.float32)
        if "LayerNorm" in name and name.endswith("scale"):
            out += 1
        return out

    return draw


if __name__ == "__main__":
    main()
