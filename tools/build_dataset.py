"""Builds a dataset.

    python -m tools.build_dataset phantom --config=demo --data_dir=data
    python -m tools.build_dataset slake --source=Slake1.0 --data_dir=data --workers=4

Prints the number of examples, the time and the folder, and for each split its contents and the
digest of its list. The progress of a long build goes to the error output. A dataset that is already
built with the same parameters is left as it is. The exit code is 1 if too much of the source cannot
be used, and 2 if the source cannot be found. docs/data.md says how to get each source.
"""

import argparse
import importlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from big_rad.datasets.records import Built

DATASETS = {
    "refrad2d": "RefRad2D as published: DICOM slices, sentences, questions, boxes",
    "slake": "SLAKE 1.0: questions on CT, MR and X-ray, with boxes and masks",
    "vqa_rad": "VQA-RAD: questions on radiographs, CT and MR",
    "folder": "your own images and texts, listed in data.jsonl",
}
_SIZES = (
    ("train", "slices in the training split"),
    ("validation", "slices, one a patient"),
    ("test", "slices, one a patient"),
    ("size", "pixels a side"),
    ("per_patient", "training slices a patient"),
    ("seed", "decides everything random"),
)
_LOOK = (
    ("noise", "standard deviation of the noise"),
    ("contrast", "how far soft tissues and organs lie from their common middle"),
    ("fov", "size of the field of view"),
)
_COMMON = ("dataset", "source", "data_dir", "workers", "overwrite", "max_reject_share", "beam")


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and builds."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m tools.build_dataset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub = parser.add_subparsers(dest="dataset", required=True)
    _add_phantom(sub.add_parser("phantom", help="procedural CT and MR slices"))
    for name, what in DATASETS.items():
        one = sub.add_parser(name, help=what, description=what)
        _add_common(one)
        if argv[:1] == [name]:  # Imports only the builder of the chosen dataset.
            builder_of(name).add_arguments(one)
    args = parser.parse_args(argv)
    from big_rad.datasets.records import BuildError  # Imported here, so that --help is quick.

    start = time.time()
    try:
        built = _build_phantom(args) if args.dataset == "phantom" else _build(args)
    except BuildError as e:
        print(f"{parser.prog}: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    except (ValueError, OSError) as e:
        parser.error(said(e))
    _show(built, args, time.time() - start)


def builder_of(name: str) -> ModuleType:
    """Returns the builder module of a dataset, with `build`, `validate` and `add_arguments`."""
    return importlib.import_module(f"big_rad.datasets.{name}.builder")


def said(error: Exception) -> str:
    """Returns the message of an error on one line, without the folders of a path.

    The operating system's messages have whole paths, and a folder may be named after a patient. So
    only the name of the file is kept.
    """
    if not isinstance(error, OSError) or error.errno is None:
        return " ".join(str(error).split())
    name = error.filename if isinstance(error.filename, str) else ""
    what = f"{type(error).__name__}: {error.strerror or 'cannot be used'}"
    return f"{what}: {Path(name).name[:80]}" if name else what


def at_least_one(text: str) -> int:
    """Reads a whole number from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return value


def _add_phantom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="demo", choices=["demo", "full"])
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--workers", type=at_least_one, default=2)
    parser.add_argument("--overwrite", action="store_true")
    for name, what in _SIZES:
        kind = int if name == "seed" else at_least_one
        parser.add_argument(f"--{name}", type=kind, help=what)
    look = parser.add_argument_group(
        "as from another scanner", "whole numbers in percent of the usual look, which is 100"
    )
    for name, what in _LOOK:
        look.add_argument(f"--{name}", type=int, help=what)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        type=Path,
        required=True,
        help="folder as published, or your own with data.jsonl",
    )
    parser.add_argument("--data_dir", default="data", help="where built datasets lie")
    parser.add_argument("--workers", type=at_least_one, default=2, help="processes")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace one built with other parameters"
    )
    parser.add_argument(
        "--max_reject_share", type=_share,
        help="fail if more than this share of a split, or of all, cannot be used (0.01 if not "
        "given); one bad item always may be, two of at least 20, unless this is 0",
    )  # fmt: skip
    parser.add_argument(
        "--beam", action="append", metavar="OPTIONS",
        help='build with Apache Beam and these options, e.g. --beam="--runner=DirectRunner"',
    )  # fmt: skip


def _build(args: argparse.Namespace) -> "Built":
    own = {k: v for k, v in vars(args).items() if k not in _COMMON}
    if args.max_reject_share is not None:
        own["max_reject_share"] = args.max_reject_share
    beam = None if args.beam is None else [o for part in args.beam for o in shlex.split(part)]
    return builder_of(args.dataset).build(
        args.source,
        args.data_dir,
        workers=args.workers,
        overwrite=args.overwrite,
        beam=beam,
        **own,
    )


def _build_phantom(args: argparse.Namespace) -> "Built":
    names = [name for name, _ in (*_SIZES, *_LOOK)]
    given = {p: getattr(args, p) for p in names if getattr(args, p) is not None}
    builder = builder_of("phantom")
    return builder.build(args.config, args.data_dir, args.workers, args.overwrite, **given)


def _show(built: "Built", args: argparse.Namespace, seconds: float) -> None:
    counts = ", ".join(f"{n} {split}" for split, n in built.counts.items())
    how = "already built" if built.reused else f"built in {seconds:.1f} s"
    config = built.folder.parent.name
    print(f"{args.dataset}/{config}: {counts} examples; {how}; {built.folder}")
    for note in [*built.contents, *built.notes]:
        print(f"  {note}")
    if args.dataset == "folder" and config != "default":
        print(f"  read by recipes with data=folder,folder={config}")
    if built.rejects:
        print(f"  {built.rejects} left out; {built.folder / 'rejects.jsonl'} says which and why")


if __name__ == "__main__":
    main()
