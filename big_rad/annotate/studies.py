"""Turns one image of a study, with all that is said about it, into items of the dataset.

    outcome = process(Task(id, rows), settings)

The result lies under a key in the store (see `store`): `items.jsonl`, `rejects.jsonl` and
`audit.json`, and beside them a DICOM object and a label map for each item. Nothing in it names a
patient. A fault of the input is part of the result; a fault that may pass leaves no result.
"""

import collections
import dataclasses
import functools
import json
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from big_rad import files
from big_rad.annotate import (
    digests,
    items,
    manifest,
    match,
    sentences,
    templates,
    volumes,
)
from big_rad.annotate.deidentify import identifiers as identifier_lib
from big_rad.annotate.deidentify import texts
from big_rad.annotate.deidentify.audit import Audit
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.faults import Failed, Rejected
from big_rad.annotate.manifest import Row
from big_rad.annotate.segment import installation, precomputed, totalsegmentator
from big_rad.annotate.segment.result import Segmented
from big_rad.annotate.settings import Settings, code, key_of
from big_rad.annotate.slices import Stack
from big_rad.annotate.store import Store

ITEMS, REJECTS, AUDIT = "items.jsonl", "rejects.jsonl", "audit.json"
STAGE = "items"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
NO_SERIES = "refers to a series that the image does not have"
NOT_USED = "refers to an image by a number that its volume does not have; a slice was proposed"


@dataclasses.dataclass(frozen=True)
class Task:
    """One image of one study with all its rows of the manifest.

    Attributes:
        id: the pseudonym of the image.
        rows: the rows, in the order of the manifest.
    """

    id: str
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: the id of the task.
        key: the key of the result in the store; "" if there is none.
        fault: why there is no result; "" if there is one.
        items: the number of items.
    """

    task: str
    key: str
    fault: str = ""
    items: int = 0


def tasks(rows: Iterable[Row], keys: Keys) -> list[Task]:
    """Groups the rows of a manifest by image, in the order of the images' pseudonyms."""
    groups: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        groups[keys.pseudonym("volume", row.patient, row.study, row.image_name)].append(row)
    return [Task(name, tuple(some)) for name, some in sorted(groups.items())]


def process(task: Task, settings: Settings) -> Outcome:
    """Makes the items of a task, unless the store has them already.

    Never raises an exception: what goes wrong is in the outcome or in the stored rejects.
    """
    try:
        work = _Work(task, settings)
        key = work.key()
        count = _counted(work.store, key)
        if count is None:
            with work.store.writing(STAGE, key) as folder:
                count = work.write(folder)
        return Outcome(task.id, key, items=count)
    except Failed as e:
        return Outcome(task.id, "", str(e))
    except MemoryError:
        return Outcome(task.id, "", "the memory was not enough; use fewer workers")
    except OSError as e:
        return Outcome(task.id, "", f"the disk refused ({e.strerror or type(e).__name__})")
    except Exception as e:  # The message may quote the input, the place in the code does not.
        frames = [f for f in traceback.extract_tb(e.__traceback__) if "big_rad" in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        return Outcome(task.id, "", f"an unexpected {type(e).__name__} at {where}")


def _counted(store: Store, key: str) -> int | None:
    if not store.has(STAGE, key):
        return None
    with open(store.folder(STAGE, key) / ITEMS, "rb") as lines:
        return sum(1 for _ in lines)


class _Work:
    """The work on one task."""

    def __init__(self, task: Task, settings: Settings):
        self.task, self._set = task, settings
        self.store = Store(settings.out / "stage")
        self._keys = _keys(settings.key)
        self._first = task.rows[0]
        self._rejects: collections.Counter[tuple[int, str, str, str]] = collections.Counter()
        self._audit = Audit()
        self._seen: dict[str, collections.Counter[str]] = {
            "files_left_out": collections.Counter(),
            "warnings": collections.Counter(),
            "objects": collections.Counter(),
        }

    def key(self) -> str:
        """Returns the key of the result."""
        self._reports = {row.line: _report(row) for row in self.task.rows}
        inputs = [
            digests.of(path, self.store, self._keys)
            for path in [self._first.image, *self._masks(), *self._names()]
        ]
        said = [
            {k: v.name if isinstance(v, Path) else v for k, v in dataclasses.asdict(row).items()}
            | {"text": str(self._reports[row.line])}
            for row in self.task.rows
        ]
        return key_of(
            STAGE, volumes.VERSION, code(), self._keys.fingerprint, self.task.id,
            self._set.content(), inputs, self._keys.digest(json.dumps(said, sort_keys=True)),
        )  # fmt: skip

    def write(self, folder: Path) -> int:
        """Writes the result into a folder, and returns the number of items."""
        lines: list[dict[str, Any]] = []
        try:
            found = volumes.catalogue(self._first.image, self._first.modality)
            self._seen["files_left_out"].update(found.left_out)
            for volume, rows in self._by_volume(found):
                try:
                    lines += self._of_volume(volume, rows, folder)
                except Rejected as e:
                    for line in sorted({row.line for row, _ in rows}):
                        self._reject(line, "volume", "study", str(e))
        except Rejected as e:
            for row in self.task.rows:
                self._reject(row.line, "volume", "study", str(e))
        _write_lines(folder / ITEMS, lines)
        rejects = [
            {"line": line, "stage": stage, "what": what, "reason": reason, "count": count}
            for (line, stage, what, reason), count in sorted(self._rejects.items())
        ]
        _write_lines(folder / REJECTS, rejects)
        done = json.loads(self._audit.line(image=self.task.id))
        files.write_whole(folder / AUDIT, json.dumps(done | self._seen, sort_keys=True) + "\n")
        return len(lines)

    def _by_volume(
        self, found: volumes.Catalogue
    ) -> list[tuple[volumes.Volume, list[tuple[Row, sentences.Report]]]]:
        """Returns the volumes that are needed, each with its rows and their sentences."""
        known = identifier_lib.of_row(self._first)
        for row in self.task.rows[1:]:
            known = known | identifier_lib.of_row(row)
        for volume in found.volumes:
            if volume.series is None:
                known = known | identifier_lib.of_nifti(volume.paths[0])
            else:
                known = known | identifier_lib.of_dicom(volume.paths[:1])
                self._audit.header(volumes.header(volume.paths[0]))
        scrubber = texts.Scrubber(
            known, patterns=self._set.patterns, model=_model(self._set.scrubber)
        )
        groups: dict[str, list[tuple[Row, sentences.Report]]] = {}
        for row in self.task.rows:
            report = self._sentences(row, scrubber)
            if report is None:
                continue
            by_series: dict[str, list[sentences.Sentence]] = collections.defaultdict(list)
            for sentence in report.sentences:
                by_series[sentence.series or row.series].append(sentence)
            for number, some in by_series.items() or {row.series: []}.items():
                part = dataclasses.replace(report, sentences=tuple(some))
                groups.setdefault(number, []).append((row, part))
        chosen: dict[int, list[tuple[Row, sentences.Report]]] = {}
        for number, rows in groups.items():
            try:
                volume = volumes.chosen(found, number)
            except Rejected:
                for row, part in rows:
                    self._reject(row.line, "text", "sentence", NO_SERIES, len(part.sentences))
                continue
            chosen.setdefault(found.volumes.index(volume), []).extend(rows)
        return [(found.volumes[k], rows) for k, rows in sorted(chosen.items())]

    def _sentences(self, row: Row, scrubber: texts.Scrubber) -> sentences.Report | None:
        """Returns the sentences of a row, or None, with a reject, if it has none that is used."""
        text = self._reports[row.line]
        if isinstance(text, Rejected):
            self._reject(row.line, "text", "report", str(text))
            return None
        of = sentences.of_sentence if row.sentence else sentences.of_report
        made = of(row.sentence or text, row.language, scrubber)
        context = {}
        for field in ("clinical", "indication"):
            given = scrubber.all(getattr(row, field), row.language)
            self._audit.text(given.found)
            context[field] = given.text or getattr(made, field)
        self._audit.text(made.removed)
        for reason, count in sorted(made.dropped.items()):
            self._reject(row.line, "text", "sentence", reason, count)
        return dataclasses.replace(made, **context)

    def _of_volume(
        self,
        volume: volumes.Volume,
        rows: Sequence[tuple[Row, sentences.Report]],
        folder: Path,
    ) -> list[dict[str, Any]]:
        """Writes the items of one volume, and returns their lines."""
        if not any(report.sentences for _, report in rows) and not self._set.templates:
            return []
        with self.store.scratch() as scratch:
            stored = volumes.prepare(volume, scratch)
            self._warn(stored.about["warnings"])
            segmented = self._segmented(stored, rows, volume, scratch)
            self._warn(segmented.warnings)
            stack = Stack(stored, segmented.labels)
            wanted = [w for row, report in rows for w in self._wanted(stack, volume, row, report)]
            if self._set.templates:
                wanted += templates.wanted(
                    stack, self.task.id, self._first.line, self._set.templates, self._set.matching
                )
            found, drops = match.items(stack, wanted, self._set.matching)
            for drop in drops:
                self._reject(drop.line, "match", drop.what, drop.reason)
            names = items.Names.of(self._keys, self._first, self.task.id, volume.number)
            date = self._keys.shifted(_date(self.task.rows, volume), self._first.patient)
            lines = []
            for item in found:
                line, remarks = items.write(item, stack, names, date, segmented.about, folder)
                self._seen["objects"].update(remarks)
                lines.append(line)
            return lines

    def _segmented(
        self,
        stored: volumes.Stored,
        rows: Sequence[tuple[Row, sentences.Report]],
        volume: volumes.Volume,
        scratch: Path,
    ) -> Segmented:
        if self._set.segment == "precomputed":
            masks = {(row.mask, row.mask_names) for row, _ in rows if row.mask}
            if len(masks) != 1:
                raise Rejected(
                    "its rows name several masks; give one"
                    if masks
                    else "no mask is given; fill in the column mask, or pass "
                    "segment=totalsegmentator"
                )
            (mask, names) = masks.pop()
            return precomputed.read(mask, stored, names)
        settings = self._set.totalsegmentator
        key = key_of(
            "labels", volumes.VERSION, installation.installed(settings)["version"],
            settings.fast, volume.number, volume.modality,
            digests.of(self._first.image, self.store, self._keys),
        )  # fmt: skip
        if not self.store.has("labels", key):
            made = totalsegmentator.run(stored, volume.modality, settings, scratch)
            with self.store.writing("labels", key) as place:
                made.save(place)
        return Segmented.load(self.store.folder("labels", key))

    def _wanted(
        self, stack: Stack, volume: volumes.Volume, row: Row, report: sentences.Report
    ) -> list[match.Wanted]:
        """Returns the sentences of a row with their slices."""
        out = []
        own = stack.own_plane
        count = stack.count(own)
        numbers = _numbers(volume, count, self._set.nifti_image_numbers)
        for sentence in report.sentences:
            slices, link = (), "proposed"
            if row.slice is not None:
                plane = row.plane or own
                # InstanceNumbers count the slices that were acquired, and no others.
                counted = volume.series is not None and plane == own
                k = numbers.get(row.slice, -1) if counted else row.slice
                slices, link = ((plane, k),), "given"
            elif sentence.images and numbers:
                slices = tuple((own, numbers.get(n, -1)) for n in sentence.images)
                link = "reference"
            elif sentence.images:
                self._reject(row.line, "match", "link", NOT_USED)
            planes = (row.plane,) if row.plane else ()
            out.append(
                match.Wanted(
                    row.line, row.language, sentence, report.clinical, report.indication, slices,
                    planes, link,
                )
            )  # fmt: skip
        return out

    def _masks(self) -> list[Path]:
        return sorted({row.mask for row in self.task.rows if row.mask is not None})

    def _names(self) -> list[Path]:
        return sorted({row.mask_names for row in self.task.rows if row.mask_names is not None})

    def _warn(self, warnings: Iterable[str]) -> None:
        # Numbers differ from volume to volume, and the warnings are counted over all of them.
        self._seen["warnings"].update(_NUMBER.sub("N", w) for w in warnings)

    def _reject(self, line: int, stage: str, what: str, reason: str, count: int = 1) -> None:
        if count:
            self._rejects[line, stage, what, reason] += count


def _date(rows: Sequence[Row], volume: volumes.Volume) -> str:
    """Returns the date of a study as the manifest or else the image has it, or ""."""
    given = next((row.date for row in rows if row.date), "")
    if given or volume.series is None:
        return given
    return str(volumes.header(volume.paths[0], ["StudyDate"]).get("StudyDate") or "")


def _numbers(volume: volumes.Volume, count: int, nifti: str) -> dict[int, int]:
    """Returns {image number: index of the slice}; {} if the numbers are not known."""
    if volume.series is not None:
        return {n: k for k, n in enumerate(volume.instances or ())}
    if nifti == "ascending":
        return {k + 1: k for k in range(count)}
    return {count - k: k for k in range(count)} if nifti == "descending" else {}


def _report(row: Row) -> "str | Rejected":
    try:
        return manifest.report_text(row)
    except Rejected as e:
        return e


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(x, ensure_ascii=False, sort_keys=True) + "\n" for x in lines)
    path.write_bytes(text.encode())


@functools.lru_cache(4)
def _keys(path: Path) -> Keys:
    return Keys.load(path)


@functools.lru_cache(4)
def _model(name: str) -> Any:
    return texts.load_model(name) if name else None
