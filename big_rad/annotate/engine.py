"""Runs the tasks of the data engine, in this process, in worker processes or on Apache Beam.

Only the ids and keys of results come back from workers; everything else lies in the store. The
results therefore do not depend on the number of workers, nor on the order in which they finish.

A worker that dies, because the system ran out of memory for example, costs the tasks that were
handed out. They are tried once more, one after the other in a single process; a task that kills
this process as well has failed.
"""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from big_rad.annotate import sources, studies
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.settings import Settings, Source
from big_rad.annotate.studies import Outcome, Task
from big_rad.datasets import on_beam, progress

_AHEAD = 4  # Tasks that are handed out for each worker.
_DIED = "the process that worked on it was killed; it may need more memory"


def run(
    tasks: Sequence[Task],
    settings: Settings,
    workers: int = 1,
    beam: Sequence[str] | None = None,
) -> list[Outcome]:
    """Runs tasks, and prints the progress.

    Args:
        tasks: the tasks.
        settings: the settings of the run.
        workers: the number of processes; 1 uses this process alone.
        beam: options of Apache Beam, such as ["--runner=FnApiRunner"]; None does without Beam.

    Returns:
        The outcomes, in the order of the tasks.
    """
    if beam is not None:
        found = _on_beam(tasks, settings, beam)
    elif workers <= 1:
        found = map(functools.partial(studies.process, settings=settings), tasks)
    else:
        found = _in_processes(tasks, settings, workers)
    try:
        seen = progress.over(found, "annotate", len(tasks), "images of studies")
        by_id = {o.task: o for o in seen}
    finally:
        if hasattr(found, "close"):  # Ends the workers also if this loop was interrupted.
            found.close()
    return [by_id[task.id] for task in tasks]


def _in_processes(tasks: Sequence[Task], settings: Settings, workers: int) -> Iterator[Outcome]:
    again: list[Task] = []
    todo = list(reversed(tasks))
    while todo:
        with processes(workers) as pool:
            running: dict[concurrent.futures.Future, Task] = {}
            try:
                while todo or running:
                    while todo and len(running) < _AHEAD * workers:
                        running[pool.submit(studies.process, todo[-1], settings)] = todo[-1]
                        todo.pop()
                    done, _ = concurrent.futures.wait(
                        running, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    for future in done:
                        outcome = future.result()  # Raises an error if the worker has died.
                        del running[future]
                        yield outcome
            except BrokenProcessPool:
                again += running.values()
    while again:
        with processes(1) as pool:
            try:
                while again:
                    yield pool.submit(studies.process, again[0], settings).result()
                    again.pop(0)
            except BrokenProcessPool:
                yield Outcome(again.pop(0).id, "", _DIED)


def processes(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    """Returns a pool of processes that end with this one, even if it is killed or interrupted."""
    # The processes are spawned, because forking a process that has threads is not safe.
    return _Pool(workers, multiprocessing.get_context("spawn"), _end_with, (os.getpid(),))


class _Pool(concurrent.futures.ProcessPoolExecutor):
    """A pool whose processes never see Ctrl-C; whoever leaves it with an exception ends them.

    The terminal sends Ctrl-C to all processes, and each would print a traceback, above all while it
    starts. The programs that a worker has started end with it (see `segment.guard`).
    """

    def __init__(self, *args: Any):
        self._others = set(multiprocessing.active_children())
        super().__init__(*args)

    def submit(self, *args: Any, **options: Any) -> concurrent.futures.Future:
        with _without_interrupts():  # This call starts the processes.
            return super().submit(*args, **options)

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> bool | None:
        if kind is not None and not issubclass(kind, BrokenProcessPool):
            self.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - self._others:
                child.kill()
        return super().__exit__(kind, *rest)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Puts Ctrl-C off until the end of the block; processes that start in it never see it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Interrupts come to the main thread only.
        return
    held: list[tuple] = []
    handler = signal.signal(signal.SIGINT, lambda *args: held.append(args))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Processes inherit it.
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if held and callable(handler):
        handler(*held[0])


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent has ended, even if that one was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_beam(
    tasks: Sequence[Task], settings: Settings, arguments: Sequence[str]
) -> Iterator[Outcome]:
    """Runs tasks on Beam; all workers must see the folders of sources and results."""
    options = on_beam.options(arguments)
    import apache_beam as beam

    outcomes = settings.out / "stage" / "tmp" / "outcomes"

    def work(name: str) -> str:
        # Only the id crosses the shuffle. Reports would fill the memory of the runner, and would
        # lie in its files.
        o = studies.process(_tasks(settings.source, settings.key)[name], settings)
        return "\t".join((o.task, o.key, str(o.items), o.fault))

    with beam.Pipeline(options=options) as pipeline:
        (
            pipeline
            | "tasks" >> beam.Create([task.id for task in tasks])
            | "spread" >> beam.Reshuffle()
            | "work" >> beam.Map(work)
            | "outcomes" >> beam.io.WriteToText(str(outcomes), num_shards=1)
        )
    for path in sorted(outcomes.parent.glob("outcomes-*")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, key, items, fault = line.split("\t")
            yield Outcome(name, key, fault, int(items))
        path.unlink()


@functools.lru_cache(1)
def _tasks(source: Source, key: Path) -> dict[str, Task]:
    """Returns the tasks of a run by id; each worker process reads the manifest once."""
    return {task.id: task for task in studies.tasks(sources.read(source).rows, Keys.load(key))}


def faults(outcomes: Sequence[Outcome], tasks: Mapping[str, Task]) -> list[dict]:
    """Returns the rejects of the tasks that failed."""
    return [
        {"line": row.line, "stage": "run", "what": "study", "reason": o.fault, "count": 1}
        for o in outcomes
        if o.fault
        for row in tasks[o.task].rows
    ]
