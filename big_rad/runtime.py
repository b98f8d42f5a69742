"""Starts, joins and stops the processes of a run, and sets up the machine for them.

`start_processes` and `end_processes` frame a run on several hosts, `StopSignal` lets a run end
after a whole step, and `use_compilation_cache` makes the next start quick.
"""

import logging as standard_logging
import os
import pathlib
import platform
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

START_AGAIN = "Start the same command again on every host; all go on from the last checkpoint."
COMPILATION_CACHE = "~/.cache/big_rad"  # The default of `use_compilation_cache`.
_HEARTBEAT = 30
# A shell that reads from a pipe to this process. The pipe closes when the process ends, for
# whatever reason. Then the shell prints its message, unless it has read a line before.
_WITNESS = 'trap "" HUP INT TERM; read -r line || echo "$0" >&2'
_witness: subprocess.Popen[bytes] | None = None


class Stopped(Exception):
    """A signal asked the run to end while it was not in the middle of a step."""


def start_processes(coordinator: str = "", processes: int = 0, process: int = -1) -> None:
    """Joins the processes of a run, on several hosts or on one. Call it before all other functions.

    When one process is lost, JAX ends the others as soon as it notices, with an error message of
    its own. The user must still read what to do. So a second program, the witness, prints it after
    the end of this process, whatever ended it, unless `end_processes` or `leave` was called.

    Args:
        coordinator: the address host:port of process 0; "" finds out all three arguments from
            Slurm, Open MPI, Kubernetes or the environment of a TPU.
        processes: the number of processes.
        process: the number of this process, from 0.

    Raises:
        ValueError: only a part of the three arguments is given, or they could not be found out.
    """
    given = (bool(coordinator), processes > 0, process >= 0)
    if any(given) and not all(given):
        raise ValueError(
            "--coordinator=HOST:PORT, --processes=N and --process=I go together: give all three, "
            "or --distributed alone where Slurm, Open MPI, Kubernetes or a TPU tells them"
        )
    options: dict[str, Any] = {}
    if coordinator:
        options = dict(coordinator_address=coordinator, num_processes=processes, process_id=process)
    global _witness
    message = (
        f"error: process {os.getpid()} on {platform.node()} has ended without a word: it was "
        "killed, was out of memory, or JAX ended it because another one was lost or never came "
        f"(see the lines above, and what the others say). {START_AGAIN}"
    )
    _witness = subprocess.Popen(
        ["/bin/sh", "-c", _WITNESS, message],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # So that a signal to this process's group does not reach it.
    )
    # JAX notices a lost host within this number of seconds.
    jax.distributed.initialize(**options, heartbeat_timeout_seconds=_HEARTBEAT)


def joined() -> bool:
    """Returns whether this process has called `start_processes`."""
    return _witness is not None


def end_processes() -> None:
    """Leaves the other processes at the end of a run, after waiting until all have come this far.

    Raises:
        jax.errors.JaxRuntimeError: another process is lost.
    """
    if joined():
        jax.distributed.shutdown()
        _dismiss()


def failure(error: Exception) -> str:
    """Returns the message about an error that ends this process, after `start_processes`.

    The traceback is printed as well, unless the loss of another process may have caused the error.

    Args:
        error: the error.
    """
    lost = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error)
    if not lost:
        traceback.print_exception(error)
    first = str(error).partition("\n")[0][:200]
    rank = f" {jax.process_index()}" if jax.distributed.is_initialized() else ""
    what = "cannot go on, as when another one is lost" if lost else "failed"
    return f"error: process{rank} {what} ({first}). {START_AGAIN}"


def leave(code: int) -> NoReturn:
    """Ends this process now, without waiting for other processes or threads as `sys.exit` does.

    Args:
        code: the exit code.
    """
    _dismiss()
    sys.stdout.flush()
    os._exit(code)


def _dismiss() -> None:
    global _witness
    if _witness is not None:
        _witness.communicate(b"\n")
        _witness = None


def agree(ok: bool) -> bool:
    """Returns whether `ok` is True in all processes. All of them must call this function."""
    if jax.process_count() == 1:
        return ok
    return bool(multihost_utils.process_allgather(np.asarray(ok)).all())


def quiet_libraries() -> None:
    """Keeps TFDS, Orbax and asyncio from logging progress, and errors that are raised anyway."""
    logging.set_verbosity(logging.WARNING)  # TFDS logs everything it does at INFO.
    logging.get_absl_logger().addFilter(lambda record: "orbax" not in record.pathname)
    standard_logging.getLogger("asyncio").setLevel(standard_logging.CRITICAL)
    tell = sys.unraisablehook

    def hook(what: Any) -> None:
        # Silences the reads of a damaged checkpoint that were under way when the first one failed.
        code = getattr(what.object, "cr_code", None)
        if code is None or "orbax" not in code.co_filename:
            tell(what)

    sys.unraisablehook = hook


class StopSignal:
    """Notes SIGTERM and SIGINT, so that a run ends after a whole step. A second signal ends it now.

    With several processes, JAX notes a SIGTERM to any of them, and all stop at the same step.

    Attributes:
        noted: whether this process has received a signal.
    """

    def __init__(self):
        self.noted = False
        self._alone = jax.process_count() == 1
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
            if self._alone:
                signal.signal(signal.SIGTERM, self._note)

    def requested(self, step: int) -> bool:
        """Returns whether the run must end after this step.

        Args:
            step: the number of the step. All processes must ask at each step.
        """
        return self.noted if self._alone else multihost_utils.reached_preemption_sync_point(step)

    def watch(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yields the items until a signal comes.

        Args:
            items: the items, such as the batches of an evaluation.

        Raises:
            Stopped: a signal came, and this is the only process.
        """
        for item in items:
            if self.noted and self._alone:
                raise Stopped
            yield item

    def _note(self, number: int, frame: Any) -> None:
        del frame
        self.noted = True
        signal.signal(number, signal.SIG_DFL)
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)  # JAX notes this signal and stops all processes.


def cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_compilation_cache(folder: str) -> None:
    """Keeps compiled programs on disk, so that the next start with the same shapes compiles none.

    Args:
        folder: the folder of the cache, which is created; `~` stands for the home directory. "", or
            a cache that the environment names (`JAX_COMPILATION_CACHE_DIR`), leaves JAX's setting
            as it is.
    """
    if not folder or jax.config.jax_compilation_cache_dir:
        return
    jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(folder).expanduser()))
    # Small programs are kept too, since a start compiles about a hundred of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
