"""Measures time and peak memory of loading a checkpoint, and of one forward pass with it.

    python -m tools.measure_load random_3b.npz                  # everything in bf16
    python -m tools.measure_load random_3b.npz --trained        # as trained: img bf16, rest float32
    python -m tools.measure_load random_3b.npz --forward        # and one forward pass in bf16

Weights are loaded straight onto the first device. The peak memory is that of this process on the
host.
"""

import argparse
import pathlib
import resource
import time

import flax
import jax
import numpy as np

from big_rad import weights
from big_rad.models import radgrounder
from big_rad.weights import infer, tensors


def main() -> None:
    """Loads the checkpoint and prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path")
    parser.add_argument("--trained", action="store_true", help="language model in float32")
    parser.add_argument("--forward", action="store_true", help="one image and eight tokens")
    args = parser.parse_args()
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    print(f"before: peak {_peak():.2f} GB on {jax.devices()[0].device_kind}")

    start = time.monotonic()
    tree = weights.load(args.path, dtype=_trained if args.trained else "bfloat16", sharding=device)
    jax.block_until_ready(tree)
    seconds = time.monotonic() - start
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    held = sum(tensors.nbytes(x) for x in flat.values()) / 1e9
    print(f"loaded: {tensors.count(flat):,} parameters, {held:.2f} GB, {seconds:.1f} s")
    line = f"loaded: peak {_peak():.2f} GB = {_peak() / held:.3f} of the parameters"
    if pathlib.Path(args.path).is_file():
        line += f", {_peak() * 1e9 / pathlib.Path(args.path).stat().st_size:.3f} of the file"
    print(line)
    if args.forward:
        _forward(tree, flat, args.path)


def _forward(tree: dict, flat: dict, path: str) -> None:
    cfg = infer.model_cfg(flat, path)
    for tower in ("img", "llm"):
        cfg[tower]["dtype_mm"] = "bfloat16"
    side = infer.image_size(flat, path)
    model = radgrounder.Model(**cfg)
    image = np.random.default_rng(0).uniform(-1, 1, (1, side, side, 3)).astype(np.float32)
    text = np.arange(2, 10, dtype=np.int32)[None]

    def forward(params: dict) -> jax.Array:
        return model.apply({"params": params}, image, text, 0 * text)[0]

    # On a CPU, XLA computes in float32. By default it converts all layers at once, ahead of the
    # loop over layers, which needs much more memory; the option switches that off.
    on_cpu = jax.devices()[0].platform == "cpu"
    options = {"xla_disable_hlo_passes": "while-loop-invariant-code-motion"} if on_cpu else None
    run = jax.jit(forward, compiler_options=options)
    for name in ("compile and forward", "forward"):
        start = time.monotonic()
        logits = np.asarray(run(tree))
        print(f"{name}: {time.monotonic() - start:.1f} s, peak {_peak():.2f} GB")
    finite = bool(np.isfinite(logits).all())
    print(f"logits {logits.shape}: finite {finite}, std {logits.std():.3f}")


def _trained(name: str) -> str:
    # As in the published recipe: the image tower is frozen, so it is bfloat16; its projector and
    # the language model are trained, so they are float32.
    return "bfloat16" if name.startswith("img/") and "/head/" not in name else "float32"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
