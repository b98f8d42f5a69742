"""Lists every problem of a dataset's source before anything is built or trained.

    python -m tools.validate_data folder --source=my_data
    python -m tools.validate_data slake --source=Slake1.0 --no_pixels

It prints one line for each problem: file, line, field, what is wrong and what to do. Then it prints
what can be used of each split: patients, images, texts in each language, boxes, masks and classes.
Exit code 1 means that there is an error, 0 that there are only warnings or no problems, and 2 that
the source cannot be checked at all.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.build_dataset import DATASETS, at_least_one, builder_of, said

if TYPE_CHECKING:
    from big_rad.datasets.contents import Contents
    from big_rad.datasets.records import Problem

_COMMON = ("dataset", "source", "no_pixels", "workers", "json")
_WITH_PATIENTS = ("folder", "refrad2d")  # Datasets that may say whose an image is.


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, checks the source and prints the problems.

    Raises:
        SystemExit: with code 1 if there is an error, and 2 if the source cannot be checked.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m tools.validate_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub = parser.add_subparsers(dest="dataset", required=True)
    for name, what in DATASETS.items():
        one = sub.add_parser(name, help=what, description=what)
        one.add_argument(
            "--source",
            type=Path,
            required=True,
            help="folder as published, or your own with data.jsonl",
        )
        one.add_argument("--no_pixels", action="store_true", help="do not open images (quick)")
        one.add_argument("--workers", type=at_least_one, default=1, help="processes, or threads")
        one.add_argument("--json", type=Path, metavar="FILE", help="also write the problems here")
        if argv[:1] == [name]:  # Imports only the builder of the chosen dataset.
            builder_of(name).add_arguments(one)
    args = parser.parse_args(argv)
    from big_rad.datasets import contents, prepare  # Imported here, so that --help is quick.

    own = {k: v for k, v in vars(args).items() if k not in _COMMON}
    notes: list[str] = []
    held: dict[str, Contents] = {}
    try:
        builder = builder_of(args.dataset)
        takes = inspect.signature(builder.validate).parameters
        own = prepare.taken(builder.validate, own)  # Some options are of the build alone.
        own |= {k: v for k, v in (("notes", notes), ("contents", held)) if k in takes}
        found = builder.validate(
            args.source, pixels=not args.no_pixels, workers=args.workers, **own
        )
        problems = sorted(found, key=_place)
        errors = sum(p.level == "error" for p in problems)
        counted = {s: contents.summary(c, args.dataset in _WITH_PATIENTS) for s, c in held.items()}
        if args.json is not None:
            _write(args.json, args.dataset, problems, errors, notes, counted)
    except (ValueError, OSError) as e:
        parser.error(said(e))
    for problem in problems:
        print(f"{problem.level}: {problem}")
    for line in contents.lines(counted):
        print(f"{args.dataset}: {line}")
    warnings = len(problems) - errors
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    print("; ".join([f"{args.dataset}: {counts if problems else 'no problem found'}", *notes]))
    if errors:
        raise SystemExit(1)


def _place(problem: "Problem") -> tuple:
    return problem.file, problem.line or 0, problem.field, problem.message


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _write(
    path: Path,
    dataset: str,
    problems: Sequence["Problem"],
    errors: int,
    notes: Sequence[str],
    counted: dict[str, Any],
) -> None:
    report = {
        "dataset": dataset,
        "errors": errors,
        "warnings": len(problems) - errors,
        "notes": list(notes),
        "contents": counted,
        "problems": [p.to_dict() for p in problems],
    }
    path.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
