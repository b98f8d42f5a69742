"""Says how far a long reading of many files is, and how long it will take."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from big_rad import quiet

_T = TypeVar("_T")
_FIRST = 10.0  # Seconds without a line; what is done sooner stays silent.
_MOST = 300.0  # Seconds between two lines; fewer in the first hour.


class Progress:
    """Prints a line after ten seconds, and then ever more seldom, up to every five minutes.

    Args:
        what: the work, the start of each line.
        total: its steps; 0 if their number is not known, so that nothing is said of the time left.
        unit: the plural of what is counted.
        log: receives the lines; the error output by default.
        clock: returns seconds.
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
        # Of the first step: processes took their time to start before it.
        self._first: tuple[float, int, int] | None = None

    def step(self, count: int = 1) -> None:
        """Notes that a step is done.

        Args:
            count: how much of `unit` it was.
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
    """Yields items and says how far their work is.

    Args:
        items: of the work; each is done when the next one is asked for.
        what, total, unit: see `Progress`.
        count: how much of `unit` an item is.
    """
    progress = Progress(what, total, unit)
    for item in items:
        yield item
        progress.step(count(item))


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
