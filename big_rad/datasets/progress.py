"""Prints the progress of a long task on many files, and an estimate of the time left."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from big_rad import quiet

_T = TypeVar("_T")
_FIRST = 10.0  # Seconds before the first line; a shorter task prints nothing.
_MOST = 300.0  # The most seconds between two lines; it is less in the first hour.


class Progress:
    """Prints a line after ten seconds, and then at growing intervals of up to five minutes.

    Args:
        what: the name of the task, which starts each line.
        total: the number of steps; 0 if it is not known, and then the time left is not estimated.
        unit: the things that are counted, as a plural.
        log: a function that receives the lines; by default they go to the standard error output.
        clock: a function that returns the time in seconds.
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str = "images",
        log: Callable[[str], None] = quiet.to_stderr,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._what, self._total, self._unit = what, total, unit
        self._log, self._clock = log, clock
        self._start, self._next = clock(), clock() + _FIRST
        self._steps = self._count = 0
        # (time, steps, count) at the first step. The rate is measured from there, because worker
        # processes need some time to start.
        self._first: tuple[float, int, int] | None = None

    def step(self, count: int = 1) -> None:
        """Notes that a step is done.

        Args:
            count: how many of `unit` it included.
        """
        now = self._clock()
        self._steps, self._count = self._steps + 1, self._count + count
        self._first = self._first or (now, self._steps, self._count)
        if now >= self._next and self._steps < (self._total or self._steps + 1):
            self._next = now + min(_MOST, max(_FIRST, (now - self._start) / 12))
            self._log(self._line(now))

    def _line(self, now: float) -> str:
        start, steps, count = self._first or (now, 0, 0)
        seconds, done = now - start, self._steps - steps
        line = f"{self._what}: {self._count:,} {self._unit}"
        if self._total:
            line += f", {self._steps / self._total:.0%}"
        if seconds > 0 and done:
            line += f", {(self._count - count) / seconds:.1f} {self._unit} a second"
            if self._total:
                line += f", ETA {_time((self._total - self._steps) * seconds / done)}"
        return line


def over(
    items: Iterable[_T], what: str, total: int, unit: str = "images", count: Callable = lambda x: 1
) -> Iterator[_T]:
    """Yields the items of a task and prints its progress.

    Args:
        items: the items; an item counts as done when the next one is requested.
        what: the name of the task, see `Progress`.
        total: the number of items, or 0 if it is not known.
        unit: the things that are counted, as a plural.
        count: a function that returns how many of `unit` an item includes.
    """
    progress = Progress(what, total, unit)
    for item in items:
        yield item
        progress.step(count(item))


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
