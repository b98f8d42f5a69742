"""Measures speed and memory, as ratios against a peer where there is one.

    python -m tools.bench train  [--size=mid] [--task=det|seg] [--peer=plain|hf]
    python -m tools.bench ladder [--size=mid]         # the techniques of training, one by one
    python -m tools.bench decode [--size=mid] [--batch=1,8,32] [--tokens=32] [--peer=hf|none]
    python -m tools.bench siglip [--batch=16]         # a step of two towers against transformers
    python -m tools.bench memory [--size=mid]         # peak memory of the training step
    python -m tools.bench hlo    [--size=3b] [--device=h100]  # the ceiling; nothing is run
    python -m tools.bench input  [--source=DIR]       # DICOM.zst -> 224 px, and whole pipeline
    python -m tools.bench export [--size=300m]        # memory of a run and of its export
    python -m tools.bench annotate [--studies=20,200]  # the stages of the data engine, and memory
    python -m tools.bench gpu    [--seconds=500] [--out=DIR] [--dry-run]  # one prepared GPU run

All commands take --json=FILE, and those that measure time take --rounds=5. The ways that are
compared are timed in turn, within one run. The tables give medians over the rounds, and the lowest
and highest ratio. `--peer=hf` and `siglip` need requirements-dev.txt, and `input` needs all
requirements. The rest needs jax, flax, optax, ml_collections, einops, jaxtyping and numpy, and no
data.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from tools import benchmarks

COMMANDS = {  # Name -> (module in tools/benchmarks, what it measures).
    "train": ("train", "training steps against a peer"),
    "ladder": ("ladder", "training: what each technique is worth"),
    "decode": ("decode", "greedy decoding against a peer"),
    "siglip": ("siglip", "a training step of two towers against transformers"),
    "memory": ("memory", "peak memory of the training step"),
    "hlo": ("hlo", "the predicted ceiling of the training step on a device"),
    "input": ("images", "input: DICOM.zst to 224 px against pydicom and torch; whole pipeline"),
    "export": ("exports", "memory and time of a run and of its export, loaded and asked"),
    "annotate": (
        "data_engine",
        "the data engine: seconds of each stage, and memory of many studies",
    ),
    "gpu": ("gpu", "one prepared run on a GPU, within a budget of seconds"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and runs one benchmark."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub = parser.add_subparsers(dest="command", required=True)
    for name, (module, what) in COMMANDS.items():
        one = sub.add_parser(name, help=what, description=what)
        one.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
        one.add_argument("--json", help="also write the figures to this file")
        if argv[:1] == [name]:  # Only the module of the chosen command is imported.
            chosen = importlib.import_module(f"{benchmarks.__name__}.{module}")
            chosen.add_arguments(one)
    args = parser.parse_args(argv)
    from tools.benchmarks import rounds

    rounds.write(chosen.run(args), args.json)


if __name__ == "__main__":
    main()
