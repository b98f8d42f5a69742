"""Writes the page of a run: progress, scores, curves, samples, and how it was run.

    python -m tools.run_page runs/demo
    python -m tools.run_page runs/demo --out=/tmp/demo.html

It reads only the run directory, so it can be used at any time: while the trainer runs, from another
machine that can read the directory, and after a run has failed. The page is one file and needs no
network.

    RUN_DIR  the --workdir of big_rad.train
    --out    the page [RUN_DIR/report.html]
"""

import argparse
import sys
from collections.abc import Sequence

from big_rad.pages import run as run_page


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line and writes the page."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.run_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the --workdir of big_rad.train")
    parser.add_argument("--out", help="the page; default RUN_DIR/report.html")
    args = parser.parse_args(argv)
    try:
        path = run_page.write(args.run_dir, args.out)
    except (ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)
    print(f"page: {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
