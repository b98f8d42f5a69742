"""Runs the README's short commands, so that they cannot rot: CI calls it after the tests.

A fenced `sh` block is run if the line before it is `<!-- ci -->`. Blocks run in order, in one
shell each, from the repository's root, with this Python first on the PATH.

    python -m tools.run_readme [FILE]
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

_BLOCK = re.compile(r"^<!-- ci -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """Returns the marked blocks of a Markdown text, in order."""
    return _BLOCK.findall(text)


def main() -> int:
    """Runs all marked blocks; returns 1 at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", default="README.md", type=pathlib.Path)
    file = parser.parse_args().file
    if not file.is_file():
        print(f"error: {file} does not exist here; run this in a checkout", file=sys.stderr)
        return 1
    found = blocks(file.read_text(encoding="utf-8"))
    if not found:
        print(f"error: {file} marks no block with <!-- ci -->", file=sys.stderr)
        return 1
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    for block in found:
        print(f"--- {file}:\n{block}", flush=True)
        start = time.monotonic()
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], env=os.environ | {"PATH": path}
        )
        if result.returncode:
            print(f"error: a block of {file} ended with {result.returncode}", file=sys.stderr)
            return 1
        print(f"--- {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
