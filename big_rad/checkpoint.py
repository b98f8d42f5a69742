"""Checkpoints: Orbax, with the data position, and all that is needed to run one alone.

A run's `checkpoints/<step>/` holds `state` (parameters, optimizer, step), `data` (position of the
input) and `meta` (config, tokenizer, box codec, class schema, versions). Knows no model.
"""

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
            item_names=("state", "data", "meta"),
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
        """
        restored = self._manager.restore(
            self._manager.latest_step(),
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
    folder = pathlib.Path(path).absolute()
    if folder.name.isdigit() and (folder / "state").is_dir():
        folder, step = folder.parent, int(folder.name)
    if (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no checkpoint here; give a run directory (--workdir)")
    with ocp.CheckpointManager(
        folder,
        options=ocp.CheckpointManagerOptions(read_only=True),
        item_handlers={"state": ocp.PyTreeCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()},
    ) as manager:
        step = manager.latest_step() if step is None else step
        if step is None or step not in manager.all_steps():
            raise FileNotFoundError(
                f"{path}: no whole checkpoint{'' if step is None else f' of step {step}'}; "
                f"steps here: {sorted(manager.all_steps()) or 'none'}"
            )
        shapes = manager.item_metadata(step).state.tree["params"]
        target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), shapes)
        restore = ocp.args.PyTreeRestore(
            item={"params": target},
            restore_args=jax.tree.map(
                lambda x: ocp.RestoreArgs(restore_type=np.ndarray), {"params": target}
            ),
            partial_restore=True,
        )
        restored = manager.restore(
            step, args=ocp.args.Composite(state=restore, meta=ocp.args.JsonRestore())
        )
    return restored.state["params"], restored.meta


def versions() -> dict[str, str]:
    """Returns the versions of the packages that decide results."""
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "grain")
    return {n: importlib.metadata.version(n) for n in names}


def _folder(workdir: str | pathlib.Path) -> pathlib.Path:
    return pathlib.Path(workdir).absolute() / "checkpoints"
