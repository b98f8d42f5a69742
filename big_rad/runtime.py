"""What a run needs of JAX and of the machine: processes, compiled programs, signals.

Knows no model and no config.
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
_HEARTBEAT = 30
# A shell that waits for the end of the process that has its other end of the pipe, and speaks in
# its place unless it got a line.
_WITNESS = 'trap "" HUP INT TERM; read -r line || echo "$0" >&2'
_witness: subprocess.Popen[bytes] | None = None


class Stopped(Exception):
    """A signal asked for the end while there was no step to finish."""


def start_processes(coordinator: str = "", processes: int = 0, process: int = -1) -> None:
    """Joins the processes of a run on several hosts (or several on one); call before all else.

    When one of them is lost, JAX ends the others as soon as it notices, from within and with words
    of its own. So that people read what to do, whatever ends this process, a witness says it after
    its end, unless `end_processes` or `leave` was called.

    Args:
        coordinator: host:port of process 0; "" finds all three out from Slurm, Open MPI, Kubernetes
            or the TPU's own environment.
        processes: how many there are.
        process: which this is, from 0.

    Raises:
        ValueError: part of the three is missing, or nothing was found out.
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
        start_new_session=True,  # A signal to the whole group is not for it.
    )
    # A host that is gone is noticed within so many seconds.
    jax.distributed.initialize(**options, heartbeat_timeout_seconds=_HEARTBEAT)


def joined() -> bool:
    """Returns whether this process has called `start_processes`."""
    return _witness is not None


def end_processes() -> None:
    """Parts from the other processes at the end of a run; waits until all are there.

    Raises:
        jax.errors.JaxRuntimeError: one of them is lost.
    """
    if joined():
        jax.distributed.shutdown()
        _dismiss()


def failure(error: Exception) -> str:
    """Returns what to say, after `start_processes`, of an error that ends this process.

    The traceback of one that the loss of another process cannot bring about is printed first.
    """
    lost = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error)
    if not lost:
        traceback.print_exception(error)
    first = str(error).partition("\n")[0][:200]
    rank = f" {jax.process_index()}" if jax.distributed.is_initialized() else ""
    what = "cannot go on, as when another one is lost" if lost else "failed"
    return f"error: process{rank} {what} ({first}). {START_AGAIN}"


def leave(code: int) -> NoReturn:
    """Ends this process now, where Python's own exit would wait for other processes or threads."""
    _dismiss()
    sys.stdout.flush()
    os._exit(code)


def _dismiss() -> None:
    global _witness
    if _witness is not None:
        _witness.communicate(b"\n")
        _witness = None


def agree(ok: bool) -> bool:
    """Returns whether all processes say yes; all of them have to ask."""
    if jax.process_count() == 1:
        return ok
    return bool(multihost_utils.process_allgather(np.asarray(ok)).all())


def quiet_libraries() -> None:
    """Keeps TFDS, Orbax and asyncio from printing what is no news, or comes as an exception too."""
    logging.set_verbosity(logging.WARNING)  # TFDS tells every step at INFO.
    logging.get_absl_logger().addFilter(lambda record: "orbax" not in record.pathname)
    standard_logging.getLogger("asyncio").setLevel(standard_logging.CRITICAL)
    tell = sys.unraisablehook

    def hook(what: Any) -> None:
        # Reads of a damaged checkpoint that were under way when the first of them failed.
        code = getattr(what.object, "cr_code", None)
        if code is None or "orbax" not in code.co_filename:
            tell(what)

    sys.unraisablehook = hook


class StopSignal:
    """Notes SIGTERM and SIGINT, so that a run ends after a whole step; a second one ends it now.

    With several processes JAX notes SIGTERM in any of them, and all stop at the same step.

    Attributes:
        noted: whether a signal came to this process.
    """

    def __init__(self):
        self.noted = False
        self._alone = jax.process_count() == 1
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
            if self._alone:
                signal.signal(signal.SIGTERM, self._note)

    def requested(self, step: int) -> bool:
        """Returns whether the run is to end after this step; all processes ask at each step."""
        return self.noted if self._alone else multihost_utils.reached_preemption_sync_point(step)

    def watch(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yields the items until a signal comes, then raises `Stopped`."""
        for item in items:
            if self.noted and self._alone:
                raise Stopped
            yield item

    def _note(self, number: int, frame: Any) -> None:
        del frame
        self.noted = True
        signal.signal(number, signal.SIG_DFL)
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)  # The one that JAX notes.


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_compilation_cache(folder: str) -> None:
    """Keeps compiled programs on disk, so that the next start with the same shapes compiles none.

    Args:
        folder: created; `~` is the home directory. "" leaves JAX's own setting alone, and so does
            a cache that the environment names (`JAX_COMPILATION_CACHE_DIR`).
    """
    if not folder or jax.config.jax_compilation_cache_dir:
        return
    jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(folder).expanduser()))
    # Small programs too: a start compiles a hundred of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
