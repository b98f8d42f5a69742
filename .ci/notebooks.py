"""Runs the notebooks and keeps their outputs in the files.

    python .ci/notebooks.py [--keep] [--times] [NAME ...]

Without `--keep` the files stay as they are, and small random weights and data in the real formats
stand in for real ones. Cells with the tag "download" need the network or Colab; they are skipped.
"""

import argparse
import concurrent.futures
import datetime
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

import jax
import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def main() -> int:
    """Runs the notebooks; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="the notebooks; all by default")
    parser.add_argument("--keep", action="store_true", help="write the outputs into the files")
    parser.add_argument("--times", action="store_true", help="print the seconds of each cell")
    args = parser.parse_args()
    paths = [ROOT / "notebooks" / n for n in args.names]
    paths = paths or sorted((ROOT / "notebooks").glob("*.ipynb"))
    # Two at a time: a notebook keeps little more than one core busy.
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        made = pool.map(run, paths, [args.keep] * len(paths), [args.times] * len(paths))
        return 0 if all(list(made)) else 1


def run(path: pathlib.Path, keep: bool, times: bool) -> bool:
    """Runs a notebook, says how that went, and returns whether it went well."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        error = execute(path, work, keep, times)
    said = f"failed: {error}" if error else "ran"
    print(f"{path.name} {said} in {time.monotonic() - start:.0f} s", flush=True)
    return not error


def execute(path: pathlib.Path, work: str, keep: bool, times: bool) -> str:
    """Runs a notebook in a folder of its own; returns what went wrong, or ""."""
    book = nbformat.read(path, as_version=4)
    whole = [cell for cell in book.cells]
    book.cells = [c for c in whole if "download" not in c.metadata.get("tags", ())]
    os.environ["BIG_RAD_NOTEBOOK_WORK"] = work
    if not keep:
        os.environ.update(stand_ins(pathlib.Path(work, "weights")))
    client = NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    try:
        client.execute()
    except CellExecutionError as e:
        return str(e)[-3000:]
    finally:
        for cell in (c for c in book.cells if "execution" in c.metadata and times):
            print(f"  {seconds(cell.metadata.execution):6.1f} s  {cell.source.splitlines()[0]}")
    if keep:
        for cell in whole:
            cell.metadata.pop("execution", None)  # Times, which differ from run to run.
            if "outputs" in cell:
                cell.outputs = joined(cell.outputs)
        book.cells = whole
        text = nbformat.writes(book).replace(work, "notebook_outputs")
        path.write_text(text + "\n", encoding="utf-8")
    return ""


def seconds(execution: dict[str, str]) -> float:
    """Returns how long a cell took, from the times that nbclient notes."""
    start, end = (
        datetime.datetime.fromisoformat(execution[n].replace("Z", "+00:00"))
        for n in ("iopub.status.busy", "iopub.status.idle")
        if n in execution
    )
    return (end - start).total_seconds()


def stand_ins(folder: pathlib.Path) -> dict[str, str]:
    """Writes what the cells of real weights need, small and random, in the real formats.

    Returns:
        The variables of the environment that name them.
    """
    from big_rad.models import paligemma
    from big_rad.pp import tokenizer as tokenizers
    from big_rad.weights import npz
    from tests.helpers import checkpoints
    from tests.published import slake

    size, folder_npz = 28, folder / "paligemma"
    folder_npz.mkdir(parents=True)
    tokenizer = tokenizers.load("tiny")
    variant = paligemma.VARIANTS["tiny"]
    llm = dict(variant["llm"], vocab_size=tokenizer.vocab_size)
    model = paligemma.Model(img=variant["img"], llm=llm)
    image, text = np.zeros((1, size, size, 3), np.float32), np.ones((1, 4), np.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, text, 0 * text)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: 0.1 * rng.standard_normal(x.shape, np.float32), shapes)
    npz.save(folder_npz / "model.npz", params)
    (folder_npz / "paligemma_tokenizer.model").write_bytes(tokenizer.model)
    slake.write(folder / "slake")
    return {
        "BIG_RAD_NOTEBOOK_RELEASED": str(checkpoints.released(folder / "released")),
        "BIG_RAD_NOTEBOOK_PALIGEMMA": str(folder_npz / "model.npz"),
        "BIG_RAD_NOTEBOOK_VARIANT": "tiny",
        "BIG_RAD_NOTEBOOK_PIXELS": str(size),
        "BIG_RAD_NOTEBOOK_SLAKE": str(folder / "slake"),
        "BIG_RAD_NOTEBOOK_SLAKE_STEPS": "4",
    }


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
