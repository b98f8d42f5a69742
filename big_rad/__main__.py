"""Runs the programs of big_rad by name: `big-rad NAME ...`, or `python -m big_rad NAME ...`.

    big-rad train --config=configs/demo.py --workdir=runs/demo
    big-rad build_dataset phantom --config=demo --data_dir=data

`COMMANDS` are modules of big_rad. Every module of `tools` with a function `main` is a program too,
and needs no entry here. The `main` of a program reads `sys.argv` and may return an exit code. Only
the program that is run is imported.
"""

import ast
import importlib
import os
import sys
from collections.abc import Sequence

import big_rad
from big_rad.config import companions
from big_rad.registry import did_you_mean

COMMANDS = {
    "train": "Trains what a config says, or goes on where an earlier start ended.",
    "evaluate": "Evaluates a checkpoint on datasets: scores with intervals, samples, a page.",
    "annotate": "Turns volumes, masks and reports into a grounded dataset; or reads sentences.",
    "predict": "Asks a checkpoint about images: reports, answers, boxes and masks.",
}
_MAIN = "\ndef main("  # A module of `tools` without this is only a part of programs.


def programs() -> dict[str, str]:
    """Returns the name of every program, with one line that says what it does."""
    files = sorted(companions.folder("tools").glob("[!_]*.py"))
    tools = {p.stem: p.read_text(encoding="utf-8") for p in files}
    return COMMANDS | {n: _first_line(text) for n, text in tools.items() if _MAIN in text}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a program, or lists all programs.

    Args:
        argv: the name of the program and its arguments; None takes those of this process.

    Returns:
        The exit code of the program, or 2 if there is no program of that name.
    """
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    known = programs()
    if name in ("--help", "-h", "help"):
        print(_listing(known))
        return 0
    if name == "--version":
        print(f"big_rad {big_rad.__version__}")
        return 0
    found = name.replace("-", "_")  # Users write build-dataset as well as build_dataset.
    if found not in known:
        like = did_you_mean(found, known)
        print(
            f"error: big-rad has no program {name!r}; known: {', '.join(known)}{like}",
            file=sys.stderr,
        )
        return 2
    return _run(found, rest)


def _run(name: str, arguments: Sequence[str]) -> int:
    # The working directory is on the path, as with `python -m`. Here it comes behind all packages,
    # so that a user's file never hides a package of the same name.
    if not sys.flags.safe_path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    companions.package("configs")  # Tools import recipes.
    parent = "big_rad" if name in COMMANDS else companions.package("tools")
    sys.argv = [f"big-rad {name}", *arguments]
    program = importlib.import_module(f"{parent}.{name}")
    if hasattr(program, "__path__"):  # This is a package, which runs its `__main__`.
        program = importlib.import_module(f"{parent}.{name}.__main__")
    sys.modules["__main__"].__doc__ = program.__doc__  # absl prints this for `--help`.
    return program.main() or 0


def _listing(known: dict[str, str]) -> str:
    width = max(map(len, known))
    return "\n".join(
        [
            "big-rad NAME ...: the programs of big_rad; `big-rad NAME --help` says more of one.",
            "",
            *(f"  {name:{width}}  {line}" for name, line in known.items()),
        ]
    )


def _first_line(text: str) -> str:
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
