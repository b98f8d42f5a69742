"""Imports every module of the packages, and names those that cannot be imported.

Run from the root of the repository with the interpreter of the environment that is to be tried.
"""

import importlib
import pathlib
import sys

PACKAGES = ("big_rad", "tools", "configs")


def main() -> int:
    """Imports all; returns the exit code."""
    sys.path.insert(0, str(pathlib.Path.cwd()))
    files = [f for package in PACKAGES for f in sorted(pathlib.Path(package).rglob("*.py"))]
    failed = 0
    for file in files:
        name = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        try:
            importlib.import_module(name)
        except Exception as e:  # Whatever a library raises, and the rest is still tried.
            failed += 1
            print(f"{name}: {type(e).__name__}: {' '.join(str(e).split())[:300]}")
    print(f"{len(files) - failed} of {len(files)} modules can be imported")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
