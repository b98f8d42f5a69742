"""Saves, restores and reads the checkpoints of a run, with Orbax.

The folder `checkpoints/<step>/` of a run has three items: `state` (parameters, optimizer state,
step), `data` (the position in the training data, and a checksum of every array) and `meta` (the
config with its box codec, the tokenizer's fingerprint, the identity of the data, the class schema,
and the versions of packages). A checkpoint is written under a temporary name and renamed when it is
whole. `Checkpointer.restore` moves a checkpoint that does not match its checksums to `damaged/`,
and restores an older one.
"""

import contextlib
import errno
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from big_rad import quiet, runtime
from big_rad.grounding import classes
from big_rad.workdir import checksums, info, run_dir, sealing

# The packages that can change results; `meta` records their versions.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "grain")
_USE_ANOTHER = "use another step, or copy it again"


CheckpointError = sealing.CheckpointError
Damaged = sealing.Damaged


class Misfit(ValueError):
    """A checkpoint belongs to another model or optimizer than the config."""


class Restored(NamedTuple):
    """A restored checkpoint.

    Attributes:
        step: the step of the checkpoint.
        state: the tree of arrays.
        data: the position in the training data.
        meta: the item `meta`, see `make_meta`.
    """

    step: int
    state: PyTree
    data: dict[str, Any]
    meta: dict[str, Any]


class Checkpointer:
    """Saves and restores the checkpoints of one run directory.

    Args:
        workdir: the run directory.
        keep: the number of newest checkpoints that are kept.
        log: receives a line for each damaged checkpoint.

    Attributes:
        best_step: a step whose checkpoint is kept in addition to the newest ones, or None.
    """

    def __init__(
        self, workdir: str | pathlib.Path, keep: int = 2, log: Callable[[str], None] = print
    ):
        self.best_step: int | None = None
        self._workdir, self._keep, self._log = pathlib.Path(workdir).absolute(), keep, log
        self._writing: int | None = None  # The step that may not be on disk yet.
        self._failed = False
        self._manager = self._open()

    def latest_step(self) -> int | None:
        """Returns the step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def save(
        self, step: int, state: PyTree, data: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> None:
        """Starts to save a checkpoint, and returns as soon as the arrays are copied.

        Args:
            step: the step; if it already has a checkpoint, that one is kept and nothing is saved.
            state: the tree of arrays.
            data: the position in the training data.
            meta: the item `meta`, see `make_meta`.

        Raises:
            CheckpointError: This checkpoint or the one before could not be written.
        """
        if step in self._manager.all_steps():
            return
        self.wait()
        with self._explained(step):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    data=ocp.args.JsonSave(sealing.seal(state, data, meta)),
                    meta=ocp.args.JsonSave(dict(meta)),
                ),
                force=True,
            )
        self._writing = step

    def restore(
        self, abstract_state: PyTree, first: int | Sequence[int] | None = None
    ) -> Restored | None:
        """Restores the newest checkpoint that can be read.

        Damaged checkpoints that were tried before it are moved to `damaged/`.

        Args:
            abstract_state: the state as a tree of `jax.ShapeDtypeStruct` with shardings.
            first: steps to try before the newest, in this order, such as the steps of a run sorted
                by their score (`BestStep.ranked_steps`); or a single step.

        Returns:
            The checkpoint, or None if the run has no checkpoint.

        Raises:
            Misfit: Tensors are missing in the checkpoint, are too many, or have another shape or
                dtype; the message lists them.
            CheckpointError: There are checkpoints, but none can be read. All stay where they are.
        """
        problems: dict[int, str] = {}
        there = sorted(self._manager.all_steps(), reverse=True)
        wanted = [first] if isinstance(first, int) else first or ()
        for step in dict.fromkeys([*(s for s in wanted if s in there), *there]):
            found, problem = None, ""
            try:
                found = self._read(step, abstract_state)
            except (Misfit, PermissionError, MemoryError):  # These do not mean that it is damaged.
                raise
            except Exception as e:  # Readers of damaged bytes raise errors of many types.
                problem = " ".join(str(e).split())[:300] or type(e).__name__
            if runtime.agree(not problem):
                self._set_aside(problems)
                return found
            problems[step] = problem or "another process could not read it"
        if problems:  # If all fail, the disk may be the cause, so no checkpoint is moved.
            listed = "".join(f"\n  step {step}: {problem}" for step, problem in problems.items())
            raise CheckpointError(
                f"{self._workdir}: no checkpoint can be read:{listed}\nIf the disk is well, put "
                "back a copy of one, or choose another --workdir to start anew."
            )
        return None

    def wait(self) -> None:
        """Waits until the checkpoint that is being saved is on disk.

        Raises:
            CheckpointError: It could not be written.
        """
        if self._writing is not None:
            with self._explained(self._writing):
                self._manager.wait_until_finished()
            self._writing = None

    def close(self) -> None:
        """Waits for the checkpoint that is being saved, and closes Orbax's manager."""
        try:
            self.wait()
        finally:
            # After a failure that was already raised, closing raises it again in other words.
            with contextlib.suppress(*[Exception] * self._failed):
                self._manager.close()

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._workdir / run_dir.CHECKPOINTS,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=_NewestAndBest(self), create=True, cleanup_tmp_directories=True
            ),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "data": ocp.JsonCheckpointHandler(),
                "meta": ocp.JsonCheckpointHandler(),
            },
        )

    def _read(self, step: int, wanted: PyTree) -> Restored:
        where = pathlib.Path(self._manager.directory) / str(step)
        beside = self._manager.restore(
            step, args=ocp.args.Composite(data=ocp.args.JsonRestore(), meta=ocp.args.JsonRestore())
        )
        data, arrays = sealing.unseal(beside.data, beside.meta)
        if arrays is None:
            stored = sealing.described(self._manager.item_metadata(step).state.tree)
        else:
            stored = {n: (tuple(shape), dtype) for n, (shape, dtype, _) in arrays.items()}
        _check_fits(stored, sealing.described(wanted), where)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(wanted))
        state = self._manager.restore(step, args=args).state
        if arrays is not None:
            now = checksums.of(sealing.named(state))
            for name, (_, _, checksum) in arrays.items():
                if now[name] != checksum:
                    raise Damaged(f"{name} is not what was written")
        return Restored(step, state, data, beside.meta)

    def _set_aside(self, problems: Mapping[int, str]) -> None:
        if not problems:
            return
        folder = self._workdir / "damaged"
        self._manager.close()
        for step, problem in problems.items():
            target = folder / str(step)
            while target.exists():
                target = target.with_name(target.name + "_")
            self._log(f"the checkpoint of step {step} is damaged ({problem}); moved to {target}")
            if jax.process_index() == 0:
                folder.mkdir(exist_ok=True)
                (self._workdir / run_dir.CHECKPOINTS / str(step)).rename(target)
        runtime.agree(True)  # All processes wait until the folders are renamed.
        self._manager = self._open()

    @contextlib.contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        # Turns an error of writing into one that names the last whole checkpoint and a remedy.
        try:
            yield
        except Exception as e:
            self._writing, self._failed = None, True
            if jax.process_count() > 1 and isinstance(e, jax.errors.JaxRuntimeError):
                raise  # Another process has died; this is no error of the disk.
            whole = run_dir.whole_steps(self._workdir)
            there = f"step {whole[-1]}" if whole else "there is none"
            full = isinstance(e, OSError) and e.errno == errno.ENOSPC
            full = full or "No space left" in str(e) or "ENOSPC" in str(e)
            remedy = "Free some space" if full else "Look after the disk"
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to "
                f"{self._manager.directory}: {' '.join(str(e).split())[:300]}. The last whole "
                f"checkpoint: {there}. {remedy} and start the same command again."
            ) from e


class _NewestAndBest:
    """The policy by which Orbax keeps checkpoints: the newest ones, and the best one."""

    def __init__(self, owner: Checkpointer):
        self._owner = owner

    def should_preserve(self, checkpoints: Sequence[Any], *, context: object) -> list[bool]:
        """Returns for each checkpoint, oldest first, whether it is kept."""
        del context
        first = len(checkpoints) - self._owner._keep
        return [i >= first or c.step == self._owner.best_step for i, c in enumerate(checkpoints)]


def load_params(
    path: str | pathlib.Path, step: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads only the parameters of a run's checkpoint, as numpy arrays.

    Args:
        path: a run directory, its `checkpoints` folder, or the folder of one step.
        step: the step to read; None takes the one that `run_dir.locate` chooses.

    Returns:
        (nested parameters, meta).

    Raises:
        FileNotFoundError: There is no checkpoint.
        Damaged: An array does not match its checksum.
    """
    with ParamsReader(path, step) as reader:
        return reader.read(reader.shapes), reader.meta()


def newest_meta(workdir: str | pathlib.Path) -> tuple[int, dict[str, Any]] | None:
    """Reads only the item `meta` of a run's newest checkpoint.

    It reads two small files and no arrays, and one process may call it without the others.

    Args:
        workdir: the run directory.

    Returns:
        (step, meta), or None if there is no checkpoint. A checkpoint whose `meta` or `data` is
        damaged is skipped without a message; `Checkpointer.restore` reports it.
    """
    folder = pathlib.Path(workdir) / run_dir.CHECKPOINTS
    for step in reversed(run_dir.whole_steps(workdir)):
        try:
            data, meta = (
                json.loads((folder / str(step) / item / "metadata").read_text(encoding="utf-8"))
                for item in ("data", "meta")
            )
            sealing.unseal(data, meta)
        except (OSError, ValueError, TypeError, Damaged):
            continue
        return step, meta
    return None


class ParamsReader:
    """Reads all or some parameters of a run's checkpoint as numpy arrays.

    Args:
        path: as for `load_params`.
        step: as for `load_params`.

    Raises:
        FileNotFoundError: There is no checkpoint.
        Damaged: The items `data` and `meta` do not match their digest.
    """

    @quiet.without_warnings()
    def __init__(self, path: str | pathlib.Path, step: int | None = None):
        place = run_dir.locate(path, step)
        folder = place.folder.parent
        handlers = {
            "state": ocp.PyTreeCheckpointHandler(),
            "data": ocp.JsonCheckpointHandler(),
            "meta": ocp.JsonCheckpointHandler(),
        }
        options = ocp.CheckpointManagerOptions(read_only=True)
        self._manager = ocp.CheckpointManager(folder, options=options, item_handlers=handlers)
        self._step = place.step
        json_items = dict.fromkeys(("data", "meta"), ocp.args.JsonRestore())
        beside = self._manager.restore(self._step, args=ocp.args.Composite(**json_items))
        self._where, self._meta = folder / str(self._step), beside.meta
        try:
            _, self._checksums = sealing.unseal(beside.data, beside.meta)
        except Damaged as e:
            self._manager.close()
            raise Damaged(f"{self._where}: {e}; {_USE_ANOTHER}") from e

    @functools.cached_property  # Reading the shapes is slow compared with reading one array.
    @quiet.without_warnings()
    def shapes(self) -> dict[str, Any]:
        """The parameters as a nested dict of `jax.ShapeDtypeStruct`."""
        stored = self._manager.item_metadata(self._step).state.tree["params"]
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), stored)

    @quiet.without_warnings()
    def read(self, shapes: Mapping[str, Any]) -> dict[str, Any]:
        """Returns arrays of the checkpoint.

        Args:
            shapes: the nested shapes of the arrays to read: the property `shapes`, or a part of it.

        Raises:
            Damaged: An array does not match its checksum.
        """
        target = {"params": dict(shapes)}
        as_numpy = jax.tree.map(lambda x: ocp.RestoreArgs(restore_type=np.ndarray), target)
        args = ocp.args.PyTreeRestore(item=target, restore_args=as_numpy, partial_restore=True)
        restored = self._manager.restore(self._step, args=ocp.args.Composite(state=args)).state
        for name, x in sealing.named({"params": restored["params"]}).items():
            if self._checksums and checksums.of_numpy(x) != self._checksums[name][-1]:
                raise Damaged(f"{self._where}: {name} is not what was written; {_USE_ANOTHER}")
        return restored["params"]

    def meta(self) -> dict[str, Any]:
        """Returns the item `meta` with config, tokenizer and versions, see `make_meta`."""
        return self._meta

    def __enter__(self):
        return self

    @quiet.without_warnings()
    def __exit__(self, *exc: object):
        self._manager.close()


def make_meta(
    config: Mapping[str, Any],
    tokenizer: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the item `meta` of a checkpoint: everything that its arrays must be used with.

    Args:
        config: the whole config as plain values, or only the fields that inference needs.
        tokenizer: the fingerprint of the tokenizer; None leaves it out.
        data: a dict from each dataset to its identity, see `datasets.core.identity`; None leaves
            it out.
    """
    meta = {
        "config": dict(config),
        "tokenizer": tokenizer,
        "data": data,
        "classes": [c.name for c in classes.CLASSES],
        "versions": info.versions(PACKAGES),
    }
    return {name: value for name, value in meta.items() if value is not None}


def _check_fits(old: Mapping[str, Any], new: Mapping[str, Any], where: pathlib.Path) -> None:
    differ = [
        f"{n}: {old.get(n, 'missing')} in the checkpoint, {new.get(n, 'none')} in this config"
        for n in sorted({**old, **new})
        if old.get(n) != new.get(n)
    ]
    if differ:
        raise Misfit(
            f"{where} was written by another model or optimizer than this config's:\n  "
            + "\n  ".join(differ)
            + "\nUse the config that is beside it, or choose another --workdir."
        )
