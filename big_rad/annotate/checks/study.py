"""Checks one image of one study with all its rows of the manifest.

    found = check(task, settings, "manifest.csv", secret, pixels=False)

No message names a path, a patient, a study or a text.
"""

import collections
import dataclasses
import re
import tempfile
import warnings
from pathlib import Path

from big_rad import quiet
from big_rad.annotate import canonical, links, volumes
from big_rad.annotate.canonical import Stored
from big_rad.annotate.checks import facts as facts_lib
from big_rad.annotate.checks import texts as text_checks
from big_rad.annotate.checks.facts import Facts
from big_rad.annotate.deidentify import texts
from big_rad.annotate.deidentify.identifiers import Identifiers
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.faults import Failed, Rejected, unexpected
from big_rad.annotate.manifest import Row
from big_rad.annotate.segment import precomputed
from big_rad.annotate.sentences import Report
from big_rad.annotate.settings import Settings
from big_rad.annotate.studies import Task
from big_rad.annotate.volumes import Catalogue, Volume
from big_rad.datasets.records import Problem
from big_rad.dicom.grid import Grid
from big_rad.dicom.image import PLANES

_FILL_IN = "fill in the column series"


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a volume is.

    Attributes:
        kind: "dicom" or "nifti".
        slices: the number of slices.
        voxels: the number of voxels.
    """

    kind: str
    slices: int
    voxels: int


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found about an image.

    Attributes:
        problems: the problems, in the order of the rows.
        facts: what tells whose image it is.
        sizes: the volumes that would be used.
        texts: the number of reports and sentences that can be read.
        sentences: the number of sentences that may become captions.
        unnumbered: the rows whose reports refer to images of a NIfTI volume by numbers, of which
            it is not known how they count.
        reports: {line: digest of the report}.
    """

    problems: tuple[Problem, ...]
    facts: Facts = Facts()
    sizes: tuple[Size, ...] = ()
    texts: int = 0
    sentences: int = 0
    unnumbered: tuple[int, ...] = ()
    reports: dict[int, str] = dataclasses.field(default_factory=dict)


def check(task: Task, settings: Settings, table: str, secret: bytes, pixels: bool) -> Found:
    """Checks an image of a study.

    It never raises an exception, and writes nothing but temporary files, with `pixels`.

    Args:
        task: the image with its rows.
        settings: the settings of the run.
        table: the name of the manifest.
        secret: the key of all digests, 32 random bytes.
        pixels: whether all voxels of volumes and masks are read.
    """
    work = _Work(task, settings, table, secret, pixels)
    line = task.rows[0].line
    # Libraries quote values of headers in their warnings.
    with warnings.catch_warnings(), quiet.without_warnings("pydicom"):
        warnings.simplefilter("ignore")
        try:
            work.run()
        except (Rejected, Failed) as e:
            work.say(line, "image", str(e))
        except OSError as e:
            kind = e.strerror or type(e).__name__
            work.say(line, "image", f"the disk refused ({kind}); check the permissions")
        except Exception as e:
            work.say(line, "image", f"{unexpected(e)}; please report it")
    return work.found()


class _Work:
    """The check of one image."""

    def __init__(self, task: Task, settings: Settings, table: str, secret: bytes, pixels: bool):
        self._rows, self._set, self._table = task.rows, settings, table
        self._secret, self._pixels = secret, pixels
        self._problems: dict[Problem, None] = {}
        self._facts = Facts()
        self._sizes: list[Size] = []
        self._reports: dict[int, Report] = {}
        self._digests: dict[int, str] = {}
        self._unnumbered: list[int] = []

    def say(self, line: int, field: str, message: str, level: str = "error") -> None:
        """Notes a problem, once."""
        self._problems[Problem(self._table, line, field, message, level)] = None

    def found(self) -> Found:
        """Returns what was found so far."""
        sentences = sum(len(report.sentences) for report in self._reports.values())
        return Found(
            tuple(sorted(self._problems, key=lambda p: p.line or 0)), self._facts,
            tuple(self._sizes), len(self._reports), sentences,
            tuple(self._unnumbered), self._digests,
        )  # fmt: skip

    def run(self) -> None:
        """Checks texts, masks and the image."""
        self._texts()
        for row in self._rows:
            if self._set.segment == "precomputed" and row.mask is None:
                self.say(
                    row.line, "mask",
                    "no mask is given; fill in the column mask, or pass segment=totalsegmentator",
                )  # fmt: skip
        first = self._rows[0]
        found = volumes.catalogue(first.image, first.modality)
        for reason, count in sorted(found.left_out.items()):
            self.say(first.line, "image", f"files left out: {count}: {reason}", "warning")
        self._whose(found)
        for volume, rows in self._by_volume(found):
            self._of_volume(volume, rows)

    def _texts(self) -> None:
        scrubber = texts.Scrubber(Identifiers(), patterns=self._set.patterns)
        keys = Keys(self._secret)
        for row in self._rows:
            found = text_checks.read(
                row, scrubber, lambda *problem, row=row: self.say(row.line, *problem)
            )
            if found is None:
                continue
            text, report = found
            self._reports[row.line] = report
            if not row.sentence and report.sentences:
                self._digests[row.line] = keys.digest("report", " ".join(text.split()))

    def _whose(self, found: Catalogue) -> None:
        """Collects what tells whose image it is."""
        first = self._rows[0]
        self._facts, patients = facts_lib.of_image(first.image, found.volumes, self._secret)
        if patients > 1:  # Those that `volumes.catalogue` does not see.
            self.say(
                first.line, "image",
                f"the folder has files of {patients} patients (PatientID); give the folder of one",
            )  # fmt: skip
        if len(self._facts.studies) > 1:
            self.say(
                first.line, "image",
                f"the folder has files of {len(self._facts.studies)} studies (StudyInstanceUID); "
                "give the folder of one",
                "warning",
            )  # fmt: skip

    def _by_volume(self, found: Catalogue) -> list[tuple[Volume, list[Row]]]:
        """Returns the volumes that are needed with their rows."""
        chosen: dict[int, list[Row]] = collections.defaultdict(list)
        several = len(found.volumes) > 1
        for row in self._rows:
            report = self._reports.get(row.line)
            named = {s.series or row.series for s in report.sentences} if report else set()
            for number in sorted(named | {row.series} if row.series else named or {""}):
                if not number and several:
                    self.say(
                        row.line, "series",
                        f"the image has {len(found.volumes)} series and none is named, so the "
                        f"longest is used; {_FILL_IN}",
                        "warning",
                    )  # fmt: skip
                try:
                    volume = volumes.chosen(found, number)
                except Rejected:
                    self._no_series(found, row, number)
                    continue
                rows = chosen[found.volumes.index(volume)]
                if row not in rows:
                    rows.append(row)
        return [(found.volumes[k], rows) for k, rows in sorted(chosen.items())]

    def _no_series(self, found: Catalogue, row: Row, number: str) -> None:
        if number == row.series:
            message = "the image has no series of this number; correct it"
            if volumes.shared(found, number):
                message = volumes.SHARED
            self.say(row.line, "series", message)
        elif volumes.shared(found, number):
            self.say(row.line, "report", volumes.SHARED, "warning")
        else:
            self.say(
                row.line, "report",
                f"{links.NO_SERIES}; give the folder with all series of the study", "warning",
            )  # fmt: skip

    def _of_volume(self, volume: Volume, rows: list[Row]) -> None:
        """Checks a volume, its masks and the slices that its rows name."""
        line = rows[0].line
        for warning in volume.warnings:
            self.say(line, "image", warning, "warning")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                if self._pixels:
                    stored = canonical.prepare(volume, Path(scratch))
                    for warning in stored.about["warnings"]:
                        self.say(line, "image", warning, "warning")
                else:
                    stored = canonical.grid(volume)
                content = facts_lib.content(volume, self._secret, stored if self._pixels else None)
            except Rejected as e:
                self.say(line, "image", str(e))
                return
            if content:
                contents = self._facts.contents | {content}
                self._facts = dataclasses.replace(self._facts, contents=contents)
            x, y, z = stored.shape
            self._sizes.append(Size("dicom" if volume.series else "nifti", z, x * y * z))
            if self._set.segment == "precomputed":
                self._masks(stored, volume, rows)
        grid = Grid(stored.shape, stored.affine)
        self._date(volume, rows)
        for row in rows:
            self._slices(volume, grid, row)

    def _date(self, volume: Volume, rows: list[Row]) -> None:
        """Compares the dates of rows with the date of the images."""
        if volume.series is None or not any(row.date for row in rows):
            return
        said = str(volumes.header(volume.paths[0], ["StudyDate"]).get("StudyDate") or "").strip()
        if not re.fullmatch(r"\d{8}", said):
            return
        for row in rows:
            if row.date and row.date.replace("-", "") != said:
                self.say(
                    row.line, "date",
                    "is another day than the StudyDate of the images; check that report and image "
                    "belong together",
                    "warning",
                )  # fmt: skip

    def _masks(self, stored: Stored, volume: Volume, rows: list[Row]) -> None:
        seen: dict[tuple, int] = {}
        for row in rows:
            if row.mask is None or (row.mask, row.names_of_labels) in seen:
                continue
            if seen:
                other = next(iter(seen.values()))
                message = f"differs from that of line {other} of the same image; give one mask"
                self.say(row.line, "mask", message)
            seen[row.mask, row.names_of_labels] = row.line
            try:
                of = row.mask, stored, row.names_of_labels, volume
                if self._pixels:
                    said = precomputed.read(*of).warnings
                else:
                    said = precomputed.check(*of)
            except (Rejected, Failed) as e:
                names = str(e).startswith("the names file")
                self.say(row.line, "mask_names" if names else "mask", str(e))
                continue
            for warning in said:
                self.say(row.line, "mask", warning, "warning")

    def _slices(self, volume: Volume, grid: Grid, row: Row) -> None:
        """Checks that the slices exist that a row and its report name."""
        own = next(p for p in PLANES if grid.axis(p) == 2)
        dicom = volume.series is not None
        if row.slice is not None:
            plane = row.plane or own
            count = grid.shape[grid.axis(plane)]
            if dicom and plane == own:
                if row.slice not in (volume.instances or ()):
                    message = "no image of the series has this InstanceNumber; correct it"
                    self.say(row.line, "slice", message)
            elif row.slice >= count:
                self.say(
                    row.line, "slice",
                    f"the volume has {count} {plane} slices, which count from 0; correct it",
                )  # fmt: skip
            return
        report = self._reports.get(row.line)
        numbers = {
            n
            for s in (report.sentences if report else ())
            if (s.series or row.series) in ("", volume.number) or not dicom
            for n in s.images
        }
        if not numbers:
            return
        known = volume.instances if dicom else range(1, grid.shape[2] + 1)
        if not dicom and not self._set.nifti_image_numbers:
            self._unnumbered.append(row.line)
        elif absent := len(numbers - set(known or ())):
            self.say(
                row.line, "sentence" if row.sentence else "report",
                f"refers to images that the series does not have: {absent} numbers; check that "
                "report and series belong together",
                "warning",
            )  # fmt: skip
