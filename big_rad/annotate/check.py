"""Checks everything that a run needs before it starts, and estimates its time and disk.

    python -m big_rad.annotate check --config=configs/annotate.py:manifest=FILE,out=DIR
    python -m big_rad.annotate check --config=... --pixels --config.workers=4

Every problem is printed with the file and the line of the manifest. Headers are read, and with
`--pixels` all pixels and masks as well. Nothing is written, and nothing that is printed names a
patient.
"""

import collections
import dataclasses
import functools
import hashlib
import hmac
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from big_rad.annotate import check_texts, engine, run, sources, studies, volumes
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.faults import Failed, Rejected
from big_rad.annotate.manifest import Manifest, Row
from big_rad.annotate.segment import installation, nifti_mask, precomputed
from big_rad.annotate.settings import Settings
from big_rad.annotate.studies import Task
from big_rad.datasets import progress
from big_rad.datasets.records import Problem
from big_rad.dicom import identity
from big_rad.dicom.grid import Grid

_HEAD = 1 << 18  # The bytes by which the contents of images are compared.
_SIZE = 12


@dataclasses.dataclass(frozen=True)
class Rates:
    """What the estimate rests on: measured on one core of a cloud machine, see docs/annotate.md.

    Attributes:
        study: seconds of a study beside its voxels.
        megavoxel: seconds of a million voxels, which are read, compared with a mask and searched.
        report: seconds of a report.
        segmentation: seconds of TotalSegmentator on a GPU, for each million voxels.
        items: slices that a report gives.
        kilobytes: kilobytes of a slice of 512 x 512 pixels with its label map.
    """

    study: float = 0.3
    megavoxel: float = 0.06
    report: float = 0.1
    segmentation: float = 1.0
    items: float = 6.0
    kilobytes: float = 150.0


@dataclasses.dataclass(frozen=True)
class Looked:
    """What was seen of one image with its rows.

    Attributes:
        problems: (line, field, message, level).
        voxels: the number of voxels of the volume that is used.
        slice_pixels: the pixels of one of its slices.
        people, studies: keyed digests of the identifiers in the image.
        content: a digest of the beginning of the image.
    """

    problems: tuple[tuple[int, str, str, str], ...]
    voxels: int = 0
    slice_pixels: int = 0
    people: frozenset[bytes] = frozenset()
    studies: frozenset[bytes] = frozenset()
    content: bytes = b""


@dataclasses.dataclass
class Result:
    """All problems, in the order of lines, and what the estimate counts."""

    problems: list[Problem]
    images: int
    patients: int
    voxels: int
    slice_pixels: float
    reports: int

    @property
    def errors(self) -> int:
        """The number of errors."""
        return sum(p.level == "error" for p in self.problems)

    def estimate(self, settings: Settings, workers: int, rates: Rates | None = None) -> str:
        """Returns a sentence on the time and disk that a run needs."""
        r = rates or Rates()
        mega = self.voxels / 1e6
        seconds = self.images * r.study + mega * r.megavoxel + self.reports * r.report
        if settings.segment == "totalsegmentator":
            seconds += mega * r.segmentation
        items = self.reports * r.items
        size = items * r.kilobytes * self.slice_pixels / 512**2 / 1e6
        if settings.segment == "totalsegmentator":
            size += self.voxels / 100 / 1e9  # Label maps are packed to about a hundredth.
        return (
            f"estimate: about {_time(seconds / workers)} with {workers} "
            f"{'worker' if workers == 1 else 'workers'}, and {size:.2g} GB on the disk; from "
            f"{mega:,.0f} million voxels, {self.reports:,} reports and rates measured on another "
            "machine, so take it as a magnitude"
        )


def check(found: Manifest, settings: Settings, *, workers: int = 1, pixels: bool = False) -> Result:
    """Checks the rows of a source.

    Args:
        found: the rows with the problems of their table.
        settings: the settings of the run.
        workers: the number of processes.
        pixels: whether pixels and masks are read.
    """
    table = sources.table(settings.source)
    key = secrets.token_bytes(32)  # It is forgotten, so nothing can be compared with another run.
    with tempfile.TemporaryDirectory() as folder:
        tasks = studies.tasks(found.rows, Keys.load(Path(folder) / "key"))
    look = functools.partial(_look, settings=settings, key=key, pixels=pixels)
    looked = list(progress.over(engine.mapped(look, tasks, workers), "check", len(tasks), "images"))
    problems = list(found.problems)
    for one in looked:
        problems += [Problem(table, *p) for p in one.problems]
    problems += [Problem(table, *p) for p in _across(tasks, looked)]
    problems += [Problem(table, *p) for p in _same_reports(found.rows)]
    known = [one for one in looked if one.voxels]
    return Result(
        sorted(set(problems), key=lambda p: (p.file, p.line or 0, p.field, p.message)),
        len(tasks),
        len({row.patient for row in found.rows}),
        sum(one.voxels for one in known),
        sum(one.slice_pixels for one in known) / max(len(known), 1),
        len(found.rows),
    )


def _look(task: Task, *, settings: Settings, key: bytes, pixels: bool) -> Looked:
    """Looks at one image with its rows."""
    problems: list[tuple[int, str, str, str]] = []
    numbers = bool(settings.nifti_image_numbers)
    for row in task.rows:
        problems += [(row.line, *p) for p in check_texts.of_row(row, numbers)]
    first = task.rows[0]
    try:
        found = volumes.catalogue(first.image, first.modality)
    except Rejected as e:
        return Looked((*problems, (first.line, "image", str(e), "error")))
    for reason, count in sorted(found.left_out.items()):
        problems.append((first.line, "image", f"files left out: {count}, {reason}", "warning"))
    for row in task.rows:
        problems += [(row.line, *p) for p in _of_row(row, found, settings, pixels)]
    if len(found.volumes) > 1 and not any(row.series for row in task.rows):
        problems.append((
            first.line, "series", f"the image has {len(found.volumes)} series; the one with the "
            "most slices is used, unless a sentence names another", "warning",
        ))  # fmt: skip
    people, uids = set(), set()
    for volume in found.volumes:
        held = identity.digests(volume.paths[0], key)
        people |= {v for k, v in held.items() if k == "PatientID"}
        uids |= {v for k, v in held.items() if k == "StudyInstanceUID"}
    if len(people) > 1:
        problems.append((first.line, "image", "the files are of several patients", "error"))
    try:
        shape, _ = volumes.grid(found.volumes[0])
    except Rejected as e:
        return Looked((*problems, (first.line, "image", str(e), "error")))
    size = shape[0] * shape[1]
    return Looked(
        tuple(problems), size * shape[2], size, frozenset(people), frozenset(uids),
        _content(found.volumes[0].paths, key),
    )  # fmt: skip


def _of_row(
    row: Row, found: volumes.Catalogue, settings: Settings, pixels: bool
) -> Iterator[tuple[str, str, str]]:
    """Yields (field, message, level) about series, slice and mask of a row."""
    try:
        volume = volumes.chosen(found, row.series)
    except Rejected:
        yield "series", "the image has no series of this number; correct it", "error"
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            stored = volumes.prepare(volume, Path(folder)) if pixels else volumes.unread(volume)
            yield from _of_slice(row, volume, stored)
            if settings.segment == "precomputed":
                yield from _of_mask(row, stored, pixels)
    except Rejected as e:
        yield "image", str(e), "error"
    except (Failed, OSError) as e:
        yield "image", f"could not be read ({type(e).__name__}); try again", "error"


def _of_slice(
    row: Row, volume: volumes.Volume, stored: volumes.Stored
) -> Iterator[tuple[str, str, str]]:
    if row.slice is None:
        return
    grid = Grid(stored.shape, stored.affine)
    across = grid.axis(row.plane) if row.plane else 2
    if volume.series is not None and across == 2:
        if volume.instances is None:
            yield "slice", "the series has no InstanceNumbers, or repeats them", "error"
        elif row.slice not in volume.instances:
            low, high = min(volume.instances), max(volume.instances)
            yield "slice", f"the series has no such InstanceNumber ({low} to {high})", "error"
    elif row.slice >= stored.shape[across]:
        yield "slice", f"the volume has slices 0 to {stored.shape[across] - 1} there", "error"


def _of_mask(row: Row, stored: volumes.Stored, pixels: bool) -> Iterator[tuple[str, str, str]]:
    if row.mask is None:
        yield "mask", "is empty; fill it in, or use segment=totalsegmentator", "error"
        return
    try:
        if pixels:
            for warning in precomputed.read(row.mask, stored, row.mask_names).warnings:
                yield "mask", warning, "warning"
        elif row.mask.is_file() and not _is_dicom(row.mask):
            nifti_mask.of_same_grid(row.mask, stored)
        elif not row.mask.exists():
            yield "mask", "does not exist; correct its path", "error"
    except (Rejected, Failed) as e:
        yield "mask", str(e), "error"


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _content(paths: Sequence[Path], key: bytes) -> bytes:
    """Returns a digest of the beginning and the size of the files of a volume."""
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for path in paths[:: max(1, len(paths) // 4)]:
        with path.open("rb") as file:
            digest.update(str(path.stat().st_size).encode() + b"\0" + file.read(_HEAD))
    return digest.digest()[:_SIZE]


def _across(tasks: Sequence[Task], looked: Sequence[Looked]) -> Iterator[tuple[int, str, str, str]]:
    """Yields what only a comparison of images shows: one patient or study under two names."""
    kinds = (
        (
            "people",
            "patient",
            "another row has the same PatientID in its image and another patient",
        ),
        ("studies", "patient", "the same study is in another row with another patient"),
    )
    for field, column, message in kinds:
        seen: dict[bytes, dict[str, int]] = collections.defaultdict(dict)
        for task, one in zip(tasks, looked, strict=True):
            for name in getattr(one, field):
                seen[name].setdefault(task.rows[0].patient, task.rows[0].line)
        for lines in seen.values():
            yield from _each(lines, column, message, "error")
    contents: dict[bytes, dict[str, int]] = collections.defaultdict(dict)
    people: dict[bytes, set[str]] = collections.defaultdict(set)
    for task, one in zip(tasks, looked, strict=True):
        if one.content:
            row = task.rows[0]
            contents[one.content].setdefault(f"{row.patient}\0{row.study}", row.line)
            people[one.content].add(row.patient)
    for content, lines in contents.items():
        level = "error" if len(people[content]) > 1 else "warning"
        what = "patients" if level == "error" else "studies"
        yield from _each(lines, "image", f"the same image is in rows of several {what}", level)
    uids: dict[bytes, dict[str, int]] = collections.defaultdict(dict)
    for task, one in zip(tasks, looked, strict=True):
        for name in one.studies:
            uids[name].setdefault(task.rows[0].study, task.rows[0].line)
    for lines in uids.values():
        message = "another row has an image of the same study, and another name for the study"
        yield from _each(lines, "study", message, "warning")


def _each(
    lines: dict[str, int], column: str, message: str, level: str
) -> Iterator[tuple[int, str, str, str]]:
    if len(lines) < 2:
        return
    where = sorted(lines.values())
    for line in where:
        others = ", ".join(str(n) for n in where if n != line)
        yield line, column, f"{message}; see line {others}", level


def _same_reports(rows: Iterable[Row]) -> Iterator[tuple[int, str, str, str]]:
    seen: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for row in rows:
        if row.report and len(row.report) > 80:
            name = hashlib.sha256(row.report.encode()).hexdigest()
            seen[name].setdefault(f"{row.patient}\0{row.study}", row.line)
    for lines in seen.values():
        yield from _each(lines, "report", "the same report is in rows of other studies", "warning")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 200_000 else f"{seconds / 86400:.1f} days"


def main(argv: Sequence[str]) -> int:
    """Runs `python -m big_rad.annotate check`.

    Args:
        argv: the arguments behind `check`.

    Returns:
        The exit code: 0 without errors, 1 with errors, 2 for a wrong command.
    """
    if "--help" in argv or "-h" in argv:
        print(__doc__.strip())
        return 0
    pixels = "--pixels" in argv
    try:
        config, _ = run.parsed(
            [a for a in argv if a != "--pixels"], "annotate check",
            "give --config=configs/annotate.py:manifest=FILE,out=DIR",
        )  # fmt: skip
        settings = run.settings_of(config)
        found = sources.read(settings.source)
        if settings.segment == "totalsegmentator":
            for line in installation.check(
                settings.totalsegmentator, {row.modality for row in found.rows}
            ):
                print(f"warning: TotalSegmentator: {line}")
        result = check(found, settings, workers=config.workers, pixels=pixels)
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, Failed) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    for problem in result.problems:
        print(f"{problem.level}: {problem}")
    warnings = len(result.problems) - result.errors
    print(
        f"{len(found.rows)} rows, {result.images} images of studies, {result.patients} patients: "
        f"errors: {result.errors}, warnings: {warnings}"
    )
    print(result.estimate(settings, config.workers))
    return 1 if result.errors else 0
