"""Lists every problem of a manifest and of its files before anything is made.

    python -m big_rad.annotate check --config=configs/annotate.py:manifest=FILE,out=DIR
    python -m big_rad.annotate check --config=... --pixels --workers=4

It takes the arguments of `run`. Each problem is one line: the manifest, the line in it, the field,
and what to do; no line names a patient, a path or words of a report. Then it prints what there is,
and estimates the time and the disk that a run needs. Headers are read, and with `--pixels` also the
voxels of all volumes and masks. Nothing is written.

Exit code 1 means that there is an error, 0 that there are only warnings or no problems, and 2 that
the command is wrong or the manifest cannot be read.
"""

import dataclasses
import functools
import secrets
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from absl import flags

from big_rad.annotate import engine, run, sources, studies
from big_rad.annotate.checks import across, study
from big_rad.annotate.checks import estimate as estimate_lib
from big_rad.annotate.checks.study import Found
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.faults import Failed
from big_rad.annotate.manifest import Manifest, Row
from big_rad.annotate.segment import installation
from big_rad.annotate.segment.settings import SettingsError
from big_rad.annotate.settings import Settings
from big_rad.annotate.studies import Task
from big_rad.datasets import progress
from big_rad.datasets.records import Problem

_USAGE = "give --config=configs/annotate.py:manifest=FILE,out=DIR"
_AHEAD = 256  # Images that wait for a worker.


@dataclasses.dataclass
class Seen:
    """Collects what `check` saw, for a summary and an estimate.

    Attributes:
        pairs: the images with what was found about each.
    """

    pairs: list[tuple[Task, Found]] = dataclasses.field(default_factory=list)


def check(
    source: Manifest,
    settings: Settings,
    *,
    pixels: bool = False,
    workers: int = 1,
    seen: Seen | None = None,
) -> Iterator[Problem]:
    """Yields the problems of a manifest and of its files.

    The problems of the table come first, then those of each image in the order of the manifest, and
    last what is wrong between images. Nothing is written, and the key of the run is neither read
    nor made: digests use a random key that is forgotten.

    Args:
        source: the rows with the problems of their table.
        settings: the settings of the run.
        pixels: whether all voxels are read.
        workers: the number of processes.
        seen: receives what was seen of each image.

    Raises:
        Failed: a worker process died.
    """
    table = sources.table(settings.source)
    seen = Seen() if seen is None else seen
    yield from source.problems
    yield from _two_modalities(source, table)
    yield from _program(source, settings, table)
    secret = secrets.token_bytes(32)
    tasks = sorted(studies.tasks(source.rows, Keys(secret)), key=lambda task: task.rows[0].line)
    work = functools.partial(
        study.check, settings=settings, table=table, secret=secret, pixels=pixels
    )
    results = map(work, tasks) if workers <= 1 else _in_processes(work, tasks, workers)
    results = progress.over(results, "annotate check", len(tasks), "images of studies")
    for task, found in zip(tasks, results):
        yield from found.problems
        seen.pairs.append((task, found))
    yield from across.compare(seen.pairs, table, settings.nifti_image_numbers)


def _two_modalities(source: Manifest, table: str) -> Iterator[Problem]:
    """Yields the rows that give a file another modality than an earlier row does."""
    seen: dict[Path, Row] = {}
    for row in source.rows:
        first = seen.setdefault(row.image, row)
        if row.modality != first.modality and row.image.is_file():
            message = f"differs from line {first.line}, the same image"
            yield Problem(table, row.line, "modality", message)


def estimate(
    seen: Seen, settings: Settings, rates: estimate_lib.Rates = estimate_lib.Rates()
) -> estimate_lib.Estimate:
    """Estimates what a run needs, from what `check` saw; see `checks.estimate`."""
    return estimate_lib.estimate((found for _, found in seen.pairs), settings, rates)


def _program(source: Manifest, settings: Settings, table: str) -> Iterator[Problem]:
    """Yields what is wrong with the installed TotalSegmentator."""
    if settings.segment != "totalsegmentator":
        return
    try:
        modalities = {row.modality for row in source.rows}
        for line in installation.check(settings.totalsegmentator, modalities):
            yield Problem(table, None, "segment", line, "warning")
    except SettingsError as e:
        yield Problem(table, None, "segment", str(e))


def _in_processes(work: functools.partial, tasks: Sequence[Task], workers: int) -> Iterator[Found]:
    pool = engine.processes(workers)
    try:
        for start in range(0, len(tasks), _AHEAD * workers):
            yield from pool.map(work, tasks[start : start + _AHEAD * workers])
    except BrokenProcessPool:
        raise Failed("a worker process died, perhaps for lack of memory; use fewer") from None
    finally:
        pool.shutdown(cancel_futures=True)


def main(argv: Sequence[str]) -> int:
    """Runs `python -m big_rad.annotate check`.

    Args:
        argv: the arguments behind `check`.

    Returns:
        The exit code: 0, 1 if there is an error, 2 if the command is wrong.
    """
    if "--help" in argv or "-h" in argv:
        print(__doc__.strip())
        return 0
    seen, count = Seen(), {"error": 0, "warning": 0}
    try:
        config, values = run.parsed(argv, "annotate check", _USAGE, _flags)
        settings = run.settings_of(config)
        workers = values.workers or config.workers
        source = sources.read(settings.source)
        found = check(source, settings, pixels=values.pixels, workers=workers, seen=seen)
        for problem in found:
            print(f"{problem.level}: {problem}")
            count[problem.level] += 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, Failed) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    have = across.counts(seen.pairs)
    print(
        f"check: {have['rows']:,} rows about {have['images']:,} images of {have['studies']:,} "
        f"studies of {have['patients']:,} patients; {_counted(count['error'], 'error')}, "
        f"{_counted(count['warning'], 'warning')}"
    )
    for line in estimate_lib.lines(estimate(seen, settings), config.workers):
        print(line)
    return 1 if count["error"] else 0


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _flags(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean("pixels", False, "read all voxels", flag_values=values)
    flags.DEFINE_integer(
        "workers", None, "processes of the check; those of the run by default", 1,
        flag_values=values,
    )  # fmt: skip
