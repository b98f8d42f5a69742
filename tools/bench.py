"""Speed, as ratios against a peer in the same run.

    python -m tools.bench step  [--rounds=5] [--json=FILE]   # training step on packed rows
    python -m tools.bench input [--source=DIR] [--images=64] # DICOM.zst -> 224 px, whole pipeline

Ways are run in turn; medians over rounds, and the lowest and highest ratio. docs/data.md has
the figures of one machine.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {  # name -> module in tools/benchmarks, what it measures
    "step": ("step", "training step: one text a row against packed rows"),
    "input": ("images", "input: DICOM.zst to 224 px against pydicom and torch; whole pipeline"),
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
        if argv[:1] == [name]:  # Only the chosen one is imported.
            chosen = importlib.import_module(f"tools.benchmarks.{module}")
            getattr(chosen, "add_arguments", lambda parser: None)(one)
    args = parser.parse_args(argv)
    from tools.benchmarks import rounds

    rounds.write(chosen.run(args), args.json)


if __name__ == "__main__":
    main()
