"""Reading the checkpoints of big_rad's own runs as lazy arrays, and writing one without training.

`big_rad.workdir.checkpoint` defines the files of a run directory.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import flax
import numpy as np

from big_rad.models import lora
from big_rad.pp.tokenizer import Tokenizer
from big_rad.weights import tensors
from big_rad.workdir import checkpoint, run_dir


def read(
    path: str | pathlib.Path, *, log: Callable[[str], None] = lambda line: None
) -> tuple[dict[str, tensors.Lazy], dict[str, Any]]:
    """Lists the parameters of a run's checkpoint as flat lazy arrays, with adapters merged.

    Args:
        path: The run directory, its `checkpoints` folder, or the folder of one step;
            `run_dir.locate` chooses the step.
        log: A function that receives a line with the chosen step.

    Returns:
        The arrays by name, and the metadata of the checkpoint, whose config has no adapters.

    Raises:
        FileNotFoundError: The run has no checkpoint.
    """
    place = run_dir.locate(path)
    log(f"{path}: {place}")
    with checkpoint.ParamsReader(place.folder) as reader:
        shapes = flax.traverse_util.flatten_dict(reader.shapes)
        meta = reader.meta()

    def some(names: list[str]) -> dict[str, np.ndarray]:
        wanted = {tuple(n.split("/")): shapes[tuple(n.split("/"))] for n in names}
        with checkpoint.ParamsReader(place.folder) as reader:
            found = reader.read(flax.traverse_util.unflatten_dict(wanted))
        return flax.traverse_util.flatten_dict(found, sep="/")

    stored = {"/".join(keys): (x.shape, x.dtype) for keys, x in shapes.items()}
    lazy = tensors.lazies(stored, some)
    flat = {name: tensors.check_when_read(x, name, path) for name, x in lazy.items()}
    return _merged(flat, meta)


def _merged(
    flat: dict[str, tensors.Lazy], meta: dict[str, Any]
) -> tuple[dict[str, tensors.Lazy], dict[str, Any]]:
    # Returns arrays and metadata without adapters. An adapter is added when its matrix is read.
    model_cfg = meta["config"].get("model", {})
    if not model_cfg.get("lora"):
        return flat, meta
    spec = lora.check(model_cfg["lora"])
    result = {n: x for n, x in flat.items() if not n.startswith(lora.PREFIX)}
    for name, place in lora.matrices(flat).items():
        arrays = [flat[n] for n in place]

        def read(name: str = name, arrays: list[tensors.Lazy] = arrays) -> np.ndarray:
            return lora.merged(name, *map(np.asarray, arrays), spec)

        result[place[0]] = tensors.Lazy(arrays[0].shape, arrays[0].dtype, read)
    without = {k: v for k, v in model_cfg.items() if k != "lora"}
    return result, meta | {"config": meta["config"] | {"model": without}}


def save(
    workdir: str | pathlib.Path,
    params: Mapping[str, Any],
    config: Mapping[str, Any],
    tokenizer: Tokenizer | None = None,
) -> None:
    """Writes parameters as step 0 of a run directory, for `predict` and `config.model_init`.

    Args:
        workdir: The run directory, which is created.
        params: The nested numpy arrays.
        config: The fields that `predict` needs: model_name, model, tokenizer, codec and image.
        tokenizer: A `pp.tokenizer.Tokenizer` that is stored in the run directory, or None.
    """
    workdir = pathlib.Path(workdir)
    state = {"params": dict(params), "step": np.zeros([], np.int32)}
    meta = checkpoint.make_meta(config, None if tokenizer is None else tokenizer.fingerprint)
    checkpoints = checkpoint.Checkpointer(workdir)
    checkpoints.save(0, state, {}, meta)
    checkpoints.close()
    if tokenizer is not None:
        (workdir / "tokenizer.model").write_bytes(tokenizer.model)
