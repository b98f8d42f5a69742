"""Saving the LoRA adapters of a run as a small file, and merging them into their base model.

The file is an npz with the arrays `lora/...` and an array `meta`, the bytes of a JSON text. `meta`
says rank, alpha and targets, and for each matrix with an adapter the sha256 of the base matrix in
bfloat16. So `merge` can check that a model is the one that the adapters were trained on.
"""

import hashlib
import json
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import flax
import ml_dtypes
import numpy as np

from big_rad import files
from big_rad.models import lora
from big_rad.weights import tensors
from big_rad.workdir import checkpoint, run_dir

_META = "meta"


def save(
    run: str | pathlib.Path,
    file: str | pathlib.Path,
    log: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Writes the adapters of a run's checkpoint to a file.

    Args:
        run: The run directory, its `checkpoints` folder, or the folder of one step;
            `run_dir.locate` chooses the step.
        file: The new npz.
        log: A function that receives a line with the chosen step.

    Returns:
        The names of the arrays.

    Raises:
        FileNotFoundError: The run has no checkpoint.
        FileExistsError: The file already exists.
        ValueError: The run has no adapters.
    """
    file = pathlib.Path(file)
    if file.exists():
        raise FileExistsError(f"{file} exists; name a new file, or remove it")
    where = run_dir.locate(run)
    log(f"{run}: {where}")
    with checkpoint.ParamsReader(where.folder) as reader:
        spec = reader.meta()["config"].get("model", {}).get("lora")
        if not spec:
            raise ValueError(f"{run} has no adapters: its config.model has no lora")
        shapes = flax.traverse_util.flatten_dict(reader.shapes, sep="/")
        adapter_names = list(lora.matrices(shapes).values())
        wanted = {n: shapes[n] for names in adapter_names for n in names}
        read = reader.read(flax.traverse_util.unflatten_dict(wanted, sep="/"))
    flat = flax.traverse_util.flatten_dict(read, sep="/")
    base_digests = {matrix: _digest(flat[matrix]) for matrix, _, _ in adapter_names}
    arrays = {n: np.asarray(x) for n, x in flat.items() if n.startswith(lora.PREFIX)}
    meta = json.dumps({**lora.check(spec), "base": base_digests}).encode()
    partial = file.with_name(file.name + ".partial.npz")
    np.savez(partial, **arrays, **{_META: np.frombuffer(meta, np.uint8)})
    files.write_whole(file, partial.read_bytes())
    partial.unlink()
    return sorted(arrays)


def merge(flat: Mapping[str, tensors.Lazy], file: str | pathlib.Path) -> dict[str, tensors.Lazy]:
    """Adds adapters to the model that they were trained on.

    Args:
        flat: The lazy arrays of that model by name. Matrices with an adapter are read once here,
            to compare them with the base matrices.
        file: A file that `save` wrote.

    Returns:
        Lazy arrays with the same names. An adapter is added to its matrix when that is read.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file does not hold adapters, or they belong to another model.
    """
    spec, arrays = _read(pathlib.Path(file))
    base_digests = spec.pop("base")
    result = dict(flat)
    for name, (matrix, a, b) in lora.matrices({**flat, **arrays}).items():
        if name == lora.TABLE and matrix in flat and flat[matrix].shape[0] < len(arrays[a]):
            raise ValueError(
                f"{file}: its embedding table has {len(arrays[a])} rows, that of the model "
                f"{flat[matrix].shape[0]}; convert with --to orbax, which adds rows for new tokens"
            )
        if matrix not in flat or _digest(flat[matrix]) != base_digests.get(matrix):
            raise ValueError(
                f"{file} belongs to another model: {matrix} is not the one that the adapters were "
                "trained on; give that run or checkpoint"
            )

        def read(name: str = name, matrix: str = matrix, a: str = a, b: str = b) -> np.ndarray:
            return lora.merged(name, np.asarray(flat[matrix]), arrays[a], arrays[b], spec)

        result[matrix] = tensors.Lazy(flat[matrix].shape, flat[matrix].dtype, read)
    return result


def _read(file: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    hint = f"{file} is no file of adapters, as `tools.convert RUN FILE --only-adapters` writes them"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; {hint}")
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {n: stored[n] for n in stored.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        return {k: meta[k] for k in ("rank", "alpha", "targets", "base")}, arrays
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as e:
        raise ValueError(hint) from e


def _digest(matrix: tensors.Lazy | np.ndarray) -> str:
    # The digest is that of the values in bfloat16, because frozen weights are kept in bfloat16. It
    # does not depend on the dtype of the checkpoint.
    values = np.ascontiguousarray(np.asarray(matrix).astype(ml_dtypes.bfloat16))
    return hashlib.sha256(values.view(np.uint16).tobytes()).hexdigest()
