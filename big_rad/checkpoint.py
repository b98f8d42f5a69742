"""Checkpoints: Orbax, with the data position, and all that is needed to run one alone.

A run's `checkpoints/<step>/` holds `state` (parameters, optimizer, step), `data` (position of the
input) and `meta` (config, tokenizer, box codec, class schema, versions). Knows no model.
"""

import functools
import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp


class Checkpointer:
    """Saves and restores the checkpoints of one run directory.

    Args:
        workdir: the run directory.
        keep: how many of the newest checkpoints stay.
    """

    def __init__(self, workdir: str | pathlib.Path, keep: int = 2):
        self._manager = ocp.CheckpointManager(
            _folder(workdir),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "data": ocp.JsonCheckpointHandler(),
                "meta": ocp.JsonCheckpointHandler(),
            },
        )

    def latest_step(self) -> int | None:
        """Returns the newest whole checkpoint's step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, data: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Starts saving; returns once the arrays are copied, and a step saved before is kept."""
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=ocp.args.JsonSave(dict(data)),
                meta=ocp.args.JsonSave(dict(meta)),
            ),
            force=True,
        )

    def restore(self, abstract_state: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Restores the newest checkpoint.

        Args:
            abstract_state: tree of `jax.ShapeDtypeStruct` with shardings.

        Returns:
            (state, data position, meta).

        Raises:
            ValueError: tensors that the checkpoint lacks, has too many of, or has in another shape
                or dtype; the message lists them.
        """
        step = self._manager.latest_step()
        where = pathlib.Path(self._manager.directory) / str(step)
        _check_fits(self._manager.item_metadata(step).state.tree, abstract_state, where)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract_state),
                data=ocp.args.JsonRestore(),
                meta=ocp.args.JsonRestore(),
            ),
        )
        return restored.state, restored.data, restored.meta

    def wait(self) -> None:
        """Waits until what was started is written."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and releases the manager."""
        self._manager.close()


def load_params(
    path: str | pathlib.Path, step: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads only the parameters of a run's checkpoint, as numpy arrays.

    Args:
        path: a run directory, its `checkpoints` folder, or one step's folder.
        step: which step; None is the newest (or the one that the path names).

    Returns:
        (nested parameters, meta).

    Raises:
        FileNotFoundError: no checkpoint there.
    """
    with ParamsReader(path, step) as reader:
        return reader.read(reader.shapes), reader.meta()


class ParamsReader:
    """Reads parameters of a run's checkpoint, all or some, as numpy arrays.

    Args:
        path: as `load_params`.
        step: as `load_params`.

    Attributes:
        shapes: nested `jax.ShapeDtypeStruct`s of the parameters.

    Raises:
        FileNotFoundError: no checkpoint there.
    """

    def __init__(self, path: str | pathlib.Path, step: int | None = None):
        folder = pathlib.Path(path).absolute()
        if folder.name.isdigit() and (folder / "state").is_dir():
            folder, step = folder.parent, int(folder.name)
        if (folder / "checkpoints").is_dir():
            folder = folder / "checkpoints"
        if not folder.is_dir():
            raise FileNotFoundError(f"{path}: no checkpoint here; give a run directory (--workdir)")
        handlers = {"state": ocp.PyTreeCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
        options = ocp.CheckpointManagerOptions(read_only=True)
        self._manager = ocp.CheckpointManager(folder, options=options, item_handlers=handlers)
        self._step = self._manager.latest_step() if step is None else step
        if self._step is None or self._step not in self._manager.all_steps():
            steps = sorted(self._manager.all_steps()) or "none"
            self._manager.close()
            raise FileNotFoundError(
                f"{path}: no whole checkpoint{'' if step is None else f' of step {step}'}; "
                f"steps here: {steps}"
            )
        stored = self._manager.item_metadata(self._step).state.tree["params"]
        self.shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), stored)

    def read(self, shapes: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arrays of a nested tree that is all or part of `shapes`."""
        target = {"params": dict(shapes)}
        as_numpy = jax.tree.map(lambda x: ocp.RestoreArgs(restore_type=np.ndarray), target)
        args = ocp.args.PyTreeRestore(item=target, restore_args=as_numpy, partial_restore=True)
        restored = self._manager.restore(self._step, args=ocp.args.Composite(state=args))
        return restored.state["params"]

    def meta(self) -> dict[str, Any]:
        """Returns what lies beside the parameters: config, tokenizer, versions."""
        args = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return self._manager.restore(self._step, args=args).meta

    def __enter__(self):
        return self

    def __exit__(self, *exc: object):
        self._manager.close()


def versions() -> dict[str, str]:
    """Returns the versions of the packages that decide results."""
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "grain")
    return {n: importlib.metadata.version(n) for n in names}


def _check_fits(stored: Any, wanted: Any, where: pathlib.Path) -> None:
    def tensors(tree: Any) -> dict[str, tuple[Any, ...]]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        name = functools.partial(jax.tree_util.keystr, simple=True, separator=".")
        return {name(path): (tuple(x.shape), np.dtype(x.dtype).name) for path, x in leaves}

    old, new = tensors(stored), tensors(wanted)
    differ = [
        f"{n}: {old.get(n, 'missing')} in the checkpoint, {new.get(n, 'none')} in this config"
        for n in sorted(old | new)
        if old.get(n) != new.get(n)
    ]
    if differ:
        raise ValueError(
            f"{where} was written by another model or optimizer than this config's:\n  "
            + "\n  ".join(differ)
            + "\nUse the config that is beside it, or choose another --workdir."
        )


def _folder(workdir: str | pathlib.Path) -> pathlib.Path:
    return pathlib.Path(workdir).absolute() / "checkpoints"
