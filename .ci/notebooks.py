"""Runs the notebooks and keeps their outputs in the files.

    python .ci/notebooks.py [--keep] [NAME ...]

Without `--keep` the files stay as they are. Cells with the tag "download" need the network or
Colab; they are skipped.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = pathlib.Path(__file__).parents[1]


def main() -> int:
    """Runs the notebooks; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="the notebooks; all by default")
    parser.add_argument("--keep", action="store_true", help="write the outputs into the files")
    args = parser.parse_args()
    paths = [ROOT / "notebooks" / n for n in args.names]
    failed = 0
    for path in paths or sorted((ROOT / "notebooks").glob("*.ipynb")):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            error = run(path, work, args.keep)
        said = f"failed: {error}" if error else "ran"
        print(f"{path.name} {said} in {time.monotonic() - start:.0f} s", flush=True)
        failed += bool(error)
    return 1 if failed else 0


def run(path: pathlib.Path, work: str, keep: bool) -> str:
    """Runs a notebook in a folder of its own; returns what went wrong, or ""."""
    book = nbformat.read(path, as_version=4)
    whole = [cell for cell in book.cells]
    book.cells = [c for c in whole if "download" not in c.metadata.get("tags", ())]
    os.environ["BIG_RAD_NOTEBOOK_WORK"] = work
    client = NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    try:
        client.execute()
    except CellExecutionError as e:
        return str(e)[-3000:]
    if keep:
        for cell in whole:
            cell.metadata.pop("execution", None)  # Times, which differ from run to run.
            if "outputs" in cell:
                cell.outputs = joined(cell.outputs)
        book.cells = whole
        text = nbformat.writes(book).replace(work, "notebook_outputs")
        path.write_text(text + "\n", encoding="utf-8")
    return ""


def joined(outputs: Sequence[dict]) -> list[dict]:
    """Joins what was printed bit by bit, so that it reads as one text."""
    found = []
    for output in outputs:
        before = found[-1] if found else {}
        if output["output_type"] == "stream" and output["name"] == before.get("name"):
            before["text"] += output["text"]
        else:
            found.append(output)
    return found


if __name__ == "__main__":
    sys.exit(main())
