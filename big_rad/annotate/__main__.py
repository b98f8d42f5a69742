"""The data engine as a program.

    python -m big_rad.annotate [run] --config=configs/annotate.py:manifest=FILE,out=DIR
                                                           volumes and reports -> a dataset
    python -m big_rad.annotate check --config=...          what is wrong with the manifest
    python -m big_rad.annotate text --lang=en|de [FILE]    the anatomy of sentences, as JSON lines

`python -m big_rad.annotate COMMAND --help` says more of one command.
"""

import importlib
import sys
from collections.abc import Sequence

from big_rad.registry import did_you_mean

# Each command is a module with a function `main`, and only the one that is run is imported.
COMMANDS = {
    "run": "big_rad.annotate.run",
    "check": "big_rad.annotate.check",
    "text": "big_rad.annotate.text",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command of the data engine.

    Args:
        argv: the command and its arguments; None takes those of this process.

    Returns:
        The exit code of the command, or 2 if there is no command of that name.
    """
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("--help", "-h", "help"):
        print(__doc__.strip())
        return 0
    if name.startswith("--"):  # `--config=...` alone runs the engine.
        name, rest = "run", [name, *rest]
    if name not in COMMANDS:
        like = did_you_mean(name, COMMANDS)
        print(
            f"error: big_rad.annotate has no command {name!r}; known: {', '.join(COMMANDS)}{like}",
            file=sys.stderr,
        )
        return 2
    try:
        return importlib.import_module(COMMANDS[name]).main(rest)
    except KeyboardInterrupt:  # While the modules were read, for example.
        print("interrupted; nothing is lost, give the same command again", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
