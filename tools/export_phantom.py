"""Writes phantom patients as NIfTI volumes, DICOM series and reports.

python -m tools.export_phantom --out=phantom_files --patients=3
"""

import argparse
import time
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and writes the files."""
    parser = argparse.ArgumentParser(prog="python -m tools.export_phantom", description=__doc__)
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--patients", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="decides everything random")
    parser.add_argument("--size", type=int, default=160, help="rows and columns of a slice")
    parser.add_argument("--thickness", type=float, default=5.0, help="slice distance in mm")
    args = parser.parse_args(argv)
    from big_rad.datasets.phantom import export  # Imported here, so that --help is quick.

    start = time.time()
    reports = export.export(args.out, args.patients, args.seed, args.size, args.thickness)
    print(f"{len(reports)} patients in {time.time() - start:.1f} s; {args.out}")


if __name__ == "__main__":
    main()
