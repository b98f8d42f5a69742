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
import posixpath
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from big_rad import files, quiet
from big_rad.annotate import (
    canonical,
    digests,
    items,
    links,
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
from big_rad.annotate.faults import Failed, Rejected, refused, unexpected
from big_rad.annotate.links import Part
from big_rad.annotate.manifest import Row
from big_rad.annotate.results import AUDIT, ITEMS, REJECTS
from big_rad.annotate.segment import installation, precomputed, totalsegmentator
from big_rad.annotate.segment.result import Segmented
from big_rad.annotate.settings import Settings, code, key_of
from big_rad.annotate.slices import Stack
from big_rad.annotate.store import Store

STAGE = "items"
IMAGE, MASK, RESULTS = "the image", "the mask", "the folder of the results"
NAMES = "the file with the names of the mask"
_MEMORY = "use fewer workers"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
NOT_READ = "its volume is not used"
NO_SENTENCE = "has no sentence that describes the images"
SEVERAL = "the image has several series, and a row names none; the one with the most slices is used"
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
        image = posixpath.normpath(row.image_name.replace("\\", "/"))
        groups[keys.pseudonym("volume", row.patient, row.study, image, row.modality)].append(row)
    return [Task(name, tuple(some)) for name, some in sorted(groups.items())]


def process(task: Task, settings: Settings) -> Outcome:
    """Makes the items of a task, unless the store has them already.

    Never raises an exception: what goes wrong is in the outcome or in the stored rejects.
    """
    # Libraries quote values of headers in their warnings.
    with warnings.catch_warnings(), quiet.without_warnings("pydicom"):
        warnings.simplefilter("ignore")
        return _guarded(task, settings)


def _guarded(task: Task, settings: Settings) -> Outcome:
    doing = _Doing()
    try:
        work = _Work(task, settings, doing)
        key = work.key()
        count = _counted(work.store, key)
        if count is None:
            doing.what = RESULTS
            with work.store.writing(STAGE, key) as folder:
                count = work.write(folder)
                doing.what = RESULTS
        return Outcome(task.id, key, items=count)
    except Failed as e:
        return Outcome(task.id, "", str(e))
    except MemoryError:
        return Outcome(task.id, "", f"the memory was not enough for {doing.what}; {_MEMORY}")
    except OSError as e:
        return Outcome(task.id, "", refused(e, _places(task, settings), doing.what, RESULTS))
    except Exception as e:
        return Outcome(task.id, "", unexpected(e))


@dataclasses.dataclass
class _Doing:
    what: str = RESULTS  # What is being worked with, in words for a message.


def _places(task: Task, settings: Settings) -> list[tuple[str, Path]]:
    """Returns the files and folders of a task, with what a message calls them."""
    places = [(RESULTS, settings.out)]
    for row in task.rows:
        places += [(IMAGE, row.image), (MASK, row.mask), (NAMES, row.mask_names)]
    return [(what, path) for what, path in places if path is not None]


def _counted(store: Store, key: str) -> int | None:
    if not store.has(STAGE, key):
        return None
    with open(store.folder(STAGE, key) / ITEMS, "rb") as lines:
        return sum(1 for _ in lines)


class _Work:
    """The work on one task."""

    def __init__(self, task: Task, settings: Settings, doing: _Doing):
        self.task, self._set, self._doing = task, settings, doing
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
        self._reports = [_report(row) for row in self.task.rows]
        said = []
        for row, text in zip(self.task.rows, self._reports, strict=True):
            # Paths are told apart by what is there, and their names may hold identifiers.
            held = {
                k: v.name if isinstance(v, Path) else v for k, v in dataclasses.asdict(row).items()
            }
            del held["line"]  # A row that is inserted above must not change the key.
            for field in ("mask", "mask_names"):
                path, self._doing.what = getattr(row, field), MASK
                digest = "" if path is None else digests.of(path, self.store, self._keys)
                held[f"{field} content"] = digest
            said.append(held | {"text": str(text)})
        self._doing.what = IMAGE
        return key_of(
            STAGE, volumes.VERSION, code(), self._keys.fingerprint, self.task.id,
            self._set.content(), self._program(),
            digests.of(self._first.image, self.store, self._keys),
            self._keys.digest(json.dumps(said, sort_keys=True)),
        )  # fmt: skip

    def _program(self) -> str:
        """Returns the version of TotalSegmentator, or "" if it is not used."""
        if self._set.segment != "totalsegmentator":
            return ""
        return installation.installed(self._set.totalsegmentator)["version"]

    def write(self, folder: Path) -> int:
        """Writes the result into a folder, and returns the number of items."""
        lines: list[dict[str, Any]] = []
        self._doing.what = IMAGE
        try:
            found = volumes.catalogue(self._first.image, self._first.modality)
            self._seen["files_left_out"].update(found.left_out)
            for volume, parts in self._by_volume(found):
                try:
                    lines += self._of_volume(volume, parts, folder)
                except Rejected as e:
                    for part in parts:
                        lost = len(part.report.sentences)
                        self._reject(part.number, "volume", "study", str(e))
                        self._reject(part.number, "volume", "sentence", NOT_READ, lost)
        except Rejected as e:
            for number in range(len(self.task.rows)):
                self._reject(number, "volume", "study", str(e))
        _write_lines(folder / ITEMS, lines)
        rejects = [
            {"row": number, "stage": stage, "what": what, "reason": reason, "count": count}
            for (number, stage, what, reason), count in sorted(self._rejects.items())
        ]
        _write_lines(folder / REJECTS, rejects)
        done = json.loads(self._audit.line(image=self.task.id))
        files.write_whole(folder / AUDIT, json.dumps(done | self._seen, sort_keys=True) + "\n")
        return len(lines)

    def _by_volume(self, found: volumes.Catalogue) -> list[tuple[volumes.Volume, list[Part]]]:
        """Returns the volumes that are needed, each with what the rows say about it."""
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
        if len(found.volumes) > 1 and not all(row.series for row in self.task.rows):
            self._warn([SEVERAL])
        reports = (
            (number, row, self._sentences(number, row, scrubber))
            for number, row in enumerate(self.task.rows)
        )
        return links.by_volume(found, [r for r in reports if r[2] is not None], self._reject)

    def _sentences(
        self, number: int, row: Row, scrubber: texts.Scrubber
    ) -> sentences.Report | None:
        """Returns the sentences of a row, or None, with a reject, if its text cannot be read."""
        text = self._reports[number]
        if isinstance(text, Rejected):
            self._reject(number, "text", "report", str(text))
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
            self._reject(number, "text", "sentence", reason, count)
        if text and not made.sentences and not made.dropped:
            self._reject(number, "text", "report", NO_SENTENCE)
        return dataclasses.replace(made, **context)

    def _of_volume(
        self, volume: volumes.Volume, parts: Sequence[Part], folder: Path
    ) -> list[dict[str, Any]]:
        """Writes the items of one volume, and returns their lines."""
        if not any(part.report.sentences for part in parts) and not self._set.templates:
            return []
        with self.store.scratch() as scratch:
            self._doing.what = IMAGE
            stored = canonical.prepare(volume, scratch)
            self._warn(stored.about["warnings"])
            self._doing.what = MASK
            segmented = self._segmented(stored, parts, volume, scratch)
            self._warn(segmented.warnings)
            self._doing.what = "the slices of the image"
            stack = Stack(stored, segmented.labels)
            wanted = [w for part in parts for w in self._wanted(stack, volume, part)]
            if self._set.templates:
                wanted += templates.wanted(
                    stack, self.task.id, 0, self._set.templates, self._set.matching
                )
            found, drops = match.items(stack, wanted, self._set.matching)
            for drop in drops:
                self._reject(drop.row, "match", drop.what, drop.reason)
            names = items.Names.of(self._keys, self._first, self.task.id, volume.number)
            date = self._date(volume)
            lines = []
            for item in found:
                line, remarks = items.write(item, stack, names, date, segmented.about, folder)
                self._seen["objects"].update(remarks)
                lines.append(line)
            return lines

    def _segmented(
        self,
        stored: canonical.Stored,
        parts: Sequence[Part],
        volume: volumes.Volume,
        scratch: Path,
    ) -> Segmented:
        if self._set.segment == "precomputed":
            # A mask is that of its row's own volume; another row's may fit as well.
            masks = {(p.row.mask, p.row.names_of_labels) for p in parts if p.row.mask and p.own}
            masks = masks or {(p.row.mask, p.row.names_of_labels) for p in parts if p.row.mask}
            if len(masks) != 1:
                raise Rejected(
                    "its rows name several masks; give one"
                    if masks
                    else "no mask is given; fill in the column mask, or pass "
                    "segment=totalsegmentator"
                )
            (mask, names) = masks.pop()
            return precomputed.read(mask, stored, names, volume)
        settings = self._set.totalsegmentator
        key = key_of(
            "labels", volumes.VERSION, self._program(), settings.fast, volume.modality,
            self._keys.digest(volume.series.series_instance_uid if volume.series else ""),
            digests.of(self._first.image, self.store, self._keys),
        )  # fmt: skip
        if not self.store.has("labels", key):
            made = totalsegmentator.run(stored, volume.modality, settings, scratch)
            with self.store.writing("labels", key) as place:
                made.save(place)
        return Segmented.load(self.store.folder("labels", key))

    def _wanted(self, stack: Stack, volume: volumes.Volume, part: Part) -> list[match.Wanted]:
        """Returns the sentences of a row with their slices."""
        row, own, out = part.row, stack.own_plane, []
        numbers = _numbers(volume, stack, self._set.nifti_image_numbers)
        for sentence in part.report.sentences:
            slices, link = (), "proposed"
            if row.slice is not None and part.own:
                plane = row.plane or own
                # InstanceNumbers count the slices that were acquired, and no others.
                counted = volume.series is not None and plane == own
                k = numbers.get(row.slice, -1) if counted else row.slice
                slices, link = ((plane, k),), "given"
            elif sentence.images and numbers:
                slices = tuple((own, numbers.get(n, -1)) for n in sentence.images)
                link = "reference"
            elif sentence.images:
                self._reject(part.number, "match", "link", NOT_USED)
            out.append(
                match.Wanted(
                    part.number, row.language, sentence, part.report.clinical,
                    part.report.indication, slices, (row.plane,) if row.plane else (), link,
                )
            )  # fmt: skip
        return out

    def _date(self, volume: volumes.Volume) -> str:
        """Returns the shifted date of the study, as the manifest or else the image has it."""
        given = next((row.date for row in self.task.rows if row.date), "")
        if not given and volume.series is not None:
            given = str(volumes.header(volume.paths[0], ["StudyDate"]).get("StudyDate") or "")
        try:
            return self._keys.shifted(given, self._first.patient)
        except Rejected:  # Programs that remove identifiers leave such dates.
            self._warn(["the date of the study is impossible, so the objects have none"])
            return ""

    def _warn(self, warnings: Iterable[str]) -> None:
        # Numbers differ from volume to volume, and the warnings are counted over all of them.
        self._seen["warnings"].update(_NUMBER.sub("N", w) for w in warnings)

    def _reject(self, row: int, stage: str, what: str, reason: str, count: int = 1) -> None:
        if count:
            self._rejects[row, stage, what, reason] += count


def _numbers(volume: volumes.Volume, stack: Stack, nifti: str) -> dict[int, int]:
    """Returns {image number: index of the slice}; {} if the numbers are not known."""
    if volume.series is not None:
        return {n: k for k, n in enumerate(volume.instances or ())}
    if not nifti or stack.own_plane != "axial":
        return {}
    count = stack.count("axial")
    from_feet = nifti == "ascending"
    if stack.stored.affine[2, 2] < 0:  # The first stored slice is next to the head.
        from_feet = not from_feet
    return {k + 1 if from_feet else count - k: k for k in range(count)}


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
