"""Runs the marked commands of README and docs, so that CI notices when they no longer work.

A fenced `sh` block is run if the line before it is `<!-- ci -->`. The blocks run in order, each in
a shell of its own, in the working directory (the root of the repository), with this Python first on
the PATH.

    python -m tools.run_readme [FILE ...]
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

_FILES = (pathlib.Path("README.md"), pathlib.Path("docs/start.md"))
_BLOCK = re.compile(r"^<!-- ci -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """Returns the marked blocks of a Markdown text, in order."""
    return _BLOCK.findall(text)


def main() -> int:
    """Runs all marked blocks; stops and returns 1 if one fails, otherwise returns 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=_FILES, type=pathlib.Path)
    for file in parser.parse_args().files:
        if not file.is_file():
            print(f"error: {file} does not exist here; run this in a checkout", file=sys.stderr)
            return 1
        found = blocks(file.read_text(encoding="utf-8"))
        if not found:
            print(f"error: {file} marks no block with <!-- ci -->", file=sys.stderr)
            return 1
        for block in found:
            print(f"--- {file}:\n{block}", flush=True)
            start = time.monotonic()
            code = _run(block)
            if code:
                print(f"error: a block of {file} ended with {code}", file=sys.stderr)
                return 1
            print(f"--- {time.monotonic() - start:.0f} s", flush=True)
    return 0


def _run(block: str) -> int:
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", "-euo", "pipefail", "-c", block]
    return subprocess.run(command, env=os.environ | {"PATH": path}).returncode


if __name__ == "__main__":
    sys.exit(main())
