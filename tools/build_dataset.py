"""Builds a dataset.

    python -m tools.build_dataset phantom --config=demo --data_dir=data

Prints the number of examples, the seconds and the folder. A dataset already built with the same
parameters is left as it is.
"""

import argparse
import time
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and builds."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_dataset", description=__doc__)
    sub = parser.add_subparsers(dest="dataset", required=True)
    phantom = sub.add_parser("phantom", help="procedural CT and MR slices")
    phantom.add_argument("--config", default="demo", choices=["demo", "full"])
    phantom.add_argument("--data_dir", default="data")
    phantom.add_argument("--workers", type=int, default=2)
    phantom.add_argument("--overwrite", action="store_true")
    for name, what in (
        ("train", "slices in the training split"),
        ("validation", "slices, one a patient"),
        ("test", "slices, one a patient"),
        ("size", "pixels a side"),
        ("per_patient", "training slices a patient"),
        ("seed", "decides everything random"),
    ):
        phantom.add_argument(f"--{name}", type=int, help=what)
    args = parser.parse_args(argv)
    from big_rad.datasets.phantom import builder  # after parsing: --help is quick

    params = ("train", "validation", "test", "size", "per_patient", "seed")
    given = {p: getattr(args, p) for p in params if getattr(args, p) is not None}
    small = [p for p in params if p != "seed" and given.get(p, 1) < 1]
    if small:
        parser.error(f"--{small[0]}={given[small[0]]}: must be at least 1")
    start = time.time()
    try:
        built = builder.build(args.config, args.data_dir, args.workers, args.overwrite, **given)
    except ValueError as e:
        parser.error(str(e))
    shown = ", ".join(f"{n} {split}" for split, n in built.counts.items())
    how = "already built" if built.reused else f"built in {time.time() - start:.1f} s"
    print(f"phantom/{args.config}: {shown} examples; {how}; {built.folder}")


if __name__ == "__main__":
    main()
