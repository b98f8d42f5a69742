"""Settings of JAX for a run: the cache of compiled programs, and the profiler.

Knows no model and no config.
"""

import pathlib
from typing import Any

import jax


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


class Profiler:
    """Writes a trace of some steps, for https://ui.perfetto.dev or TensorBoard.

    Args:
        window: "START:STOP", the first step that is traced and the first that is not; "" traces
            none.
        folder: where the trace is put.

    Raises:
        ValueError: a window that is none.
    """

    def __init__(self, window: str, folder: str | pathlib.Path):
        start, _, stop = window.partition(":")
        if window and not (start.isdigit() and stop.isdigit() and int(start) < int(stop)):
            raise ValueError(f"--profile={window}: write it as START:STOP, such as 20:23")
        self._steps = range(int(start), int(stop)) if window else range(0)
        self._folder, self._running = pathlib.Path(folder), False

    def step(self, number: int, state: Any = None) -> Any:
        """Returns a context for a step; the trace starts or ends before it, `state` computed."""
        if number in self._steps and not self._running:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._running = True
        elif self._running and number >= self._steps.stop:
            self.close(state)
        return jax.profiler.StepTraceAnnotation("train", step_num=number)

    def close(self, state: Any = None) -> None:
        """Ends the trace, if one runs, when `state`, arrays of the last step, is computed."""
        if self._running:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._running = False
