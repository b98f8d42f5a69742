"""What a prediction works through: images one by one, and series slice by slice.

`Jobs.asks` yields everything that is asked, and remembers for each slice where its answer belongs.
`Jobs.take` receives the answers in this order.
"""

import collections
import dataclasses
import datetime
import functools
import hashlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad.dicom import read as dicom_read
from big_rad.dicom import reader as reader_lib
from big_rad.dicom import series as series_lib
from big_rad.dicom.errors import WriteError
from big_rad.grounding.unicode import nfc
from big_rad.inference import calibration, dicom_results, inputs, predictions
from big_rad.inference.asks import Ask
from big_rad.inference.predictions import Prediction
from big_rad.inference.series_files import SeriesFiles, without_name

Log = Callable[[str], None]
Page = Callable[[series_lib.Series, SeriesFiles, reader_lib.Reader], None]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be done with images and their predictions.

    Attributes:
        paths: files and folders.
        asks: returns what is asked about a slice.
        reading: the arguments of `inputs.read`: `frame`, `plane`, `modality` and `offset`.
        every: each `every`-th slice of a series is predicted.
        out: the folder of the outputs; None writes no files.
        resume: whether slices of series that have been predicted stay.
        dicom: the DICOM objects to write, of `dicom_results.WANTED`.
        now: the date and time of the DICOM objects; None takes those of the source.
        checkpoint: the checkpoint that predicts.
        loading: arguments of `RadGrounder.load`, such as `rows`.
        asked: everything that the predictions depend on besides the images, the checkpoint and its
            calibration, as plain data.
        lang: the language of the texts.
        fields: the fields that come first in each JSON file, such as the task.
    """

    paths: Sequence[str]
    asks: Callable[[dicom_read.Slice], list[Ask]]
    reading: Mapping[str, Any]
    every: int = 1
    out: pathlib.Path | None = None
    resume: bool = False
    dicom: Sequence[str] = ()
    now: datetime.datetime | None = None
    checkpoint: str = ""
    loading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    asked: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lang: str = "en"
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Job:
    """One slice that is being predicted.

    Attributes:
        name: its name in messages.
        stem: its name in outputs.
        image: the slice.
        asks: what is asked about it.
        ref: its place in its series; None for an image of its own.
        files: the files of its series; None without files or series.
        series: its series; None for an image of its own.
    """

    name: str
    stem: str
    image: dicom_read.Slice
    asks: list[Ask]
    ref: series_lib.SliceRef | None = None
    files: SeriesFiles | None = None
    series: series_lib.Series | None = None


class Jobs:
    """Reads images one after the other, and writes what becomes of them.

    An image that cannot be read is a message, and the others go on.

    Args:
        wanted: what is to be done.
        log: receives notes and errors.

    Attributes:
        found: the slices that have been read and are not answered yet, in their order.
        errors: what could not be predicted, and why.
        notes: everything else that was said, such as what is skipped and what is odd about a
            series.
        total: how many slices are predicted.
        done: how many of them have been predicted.
        folders: how many series have a folder of outputs.
        written: the files of DICOM objects that were written.
        seen: a function of a slice that returns the picture of what the model sees of it; None, as
            at first, keeps no such pictures.
    """

    seen: Callable[[dicom_read.Slice], np.ndarray] | None = None

    def __init__(self, wanted: Wanted, log: Log):
        self.found: collections.deque[Job] = collections.deque()
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.written: list[pathlib.Path] = []
        self._wanted, self._log = wanted, log
        self._single, self._series = self._sorted()
        self._files = {s.key: self._open(s) for s in self._series} if wanted.out else {}
        self._left = {s.key: self._start(s) for s in self._series}
        self.done, self.folders = 0, len(self._files)
        self.total = len(self._single) + sum(map(len, self._left.values()))

    @property
    def code(self) -> int:
        """The exit code so far: 2 if anything failed."""
        return 2 if self.errors else 0

    def alone(self) -> bool:
        """Returns whether there is a single image, in no series."""
        return len(self._single) == 1 and not self._series

    def asks(self) -> Iterator[Ask]:
        """Yields everything that is asked, slice by slice."""
        for path, stem in zip(self._single, stems(self._single), strict=True):
            try:
                image = inputs.read(path, **self._wanted.reading)
            except (ValueError, OSError) as e:  # One bad file does not stop the others.
                self.failed(e)
                continue
            yield from self._next(Job(path, stem, image, self._wanted.asks(image)))
        for series in self._series:
            yield from self._of_series(series)

    def failed(self, error: Exception | str, job: Job | None = None) -> None:
        """Logs an error, which changes `code`.

        Args:
            error: the error.
            job: the slice that it is about; None if that could not be read.
        """
        self.errors.append(str(error) if job is None else f"{job.name}: {error}")
        self._log(self.errors[-1])
        if job is not None and job.files is not None:
            job.files.failed[job.ref.index] = without_name(error, job.ref)

    def take(self, job: Job, prediction: Prediction) -> dict[str, Any]:
        """Writes the prediction about a slice, if files are wanted, and returns it as JSON data."""
        self.done += 1
        fields = dict(self._wanted.fields)
        if job.files is not None:
            seen = None if self.seen is None else self.seen(job.image)
            return job.files.write(job.ref, prediction, job.image, seen, **fields)
        if job.ref is not None:
            place = {"series": job.series.key, "slice": job.ref.index}
            fields = {"file": job.stem, **place, "position_mm": job.ref.position, **fields}
            return predictions.to_json(prediction, job.image, **fields)
        fields = {"file": job.stem, **fields}
        if self._wanted.out is None:
            return predictions.to_json(prediction, job.image, **fields)
        return predictions.write(prediction, job.image, self._wanted.out, job.stem, **fields)

    def finish(self, write_page: Page | None = None) -> None:
        """Writes what is about whole series.

        Args:
            write_page: writes the page of a series; None writes no pages.
        """
        for series in self._series:
            if series.key in self._files:
                files = self._files[series.key]
                self._finish(series, files)
                if write_page is not None:
                    write_page(series, files, self._reader(series))

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._log(text)

    def _asked(self, series: series_lib.Series) -> dict[str, Any]:
        mark = self._calibration[0]
        return {**self._wanted.asked, "every": series.every, "calibration": mark}

    @functools.cached_property
    def _calibration(self) -> tuple[str, str]:
        # A hash of the calibration, and what it was made from; two empty texts without one.
        try:
            found = calibration.of(self._wanted.checkpoint)
            if found is None:
                return "", ""
            content = calibration.path_of(self._wanted.checkpoint).read_bytes()
        except (OSError, ValueError):  # The loader says why it cannot be used.
            return "", ""
        return hashlib.sha256(content).hexdigest()[:16], found.about()

    @functools.cached_property
    def _mark(self) -> str:
        return dicom_results.fingerprint(self._wanted.checkpoint)

    def _sorted(self) -> tuple[list[str], tuple[series_lib.Series, ...]]:
        # Tells images of their own from series, and says what is skipped.
        wanted, single, whole = self._wanted, [], []
        for path in wanted.paths:
            folder = pathlib.Path(path).is_dir()
            several = folder or (wanted.reading.get("frame") is None and self._is_series(path))
            (whole if several else single).append(path)
        plane = wanted.reading.get("plane") or "axial"
        folders = [p for p in whole if pathlib.Path(p).is_dir()]
        named = [p for p in whole if not pathlib.Path(p).is_dir()]
        series: list[series_lib.Series] = []
        for paths, keep in ((named, series_lib.KEEP), (folders, ())):  # What is named is wanted.
            found = series_lib.find(paths, plane=plane, every=wanted.every, keep=keep)
            for skipped in found.skipped:
                say = self.failed if skipped.kind == "unreadable" else self._note
                say(f"{skipped.path.name}: skipped, {skipped.reason}")
            series += found.series
        series = [s for s in series if not self._refused(s)]
        names = stems([s.key for s in series])  # Two files may have the same name.
        series = [dataclasses.replace(s, key=n) for s, n in zip(series, names, strict=True)]
        for path in whole:
            if pathlib.Path(path).is_dir() and not any(pathlib.Path(path).iterdir()):
                self.failed(f"{pathlib.Path(path).name}: the folder is empty")
        for one in series:
            for warning in one.warnings:
                self._note(f"{one.key}: {warning}")
        return single, tuple(series)

    def _refused(self, series: series_lib.Series) -> bool:
        # Whether no slice of a series could be read, which is said once.
        if series.kind != "nifti" or series.modality or self._wanted.reading.get("modality"):
            return False
        self.failed(f"{series.key}: NIfTI does not say its modality; give --modality=CT or MR")
        return True

    def _is_series(self, path: str) -> bool:
        # A volume or a file of several frames; with DICOM results, every DICOM file.
        found = series_lib.find([path], keep=series_lib.KEEP).series
        own = ("dicom", "picture") if self._wanted.dicom else ()
        return any(s.count > 1 or s.kind in own for s in found)

    def _open(self, series: series_lib.Series) -> SeriesFiles:
        asked = {**self._asked(series), "checkpoint": self._mark}
        return SeriesFiles(self._wanted.out, series, asked)

    def _start(self, series: series_lib.Series) -> list[series_lib.SliceRef]:
        if series.key not in self._files:
            return list(series.slices)
        files, wanted = self._files[series.key], self._wanted
        left = files.start(wanted.resume)
        done = len(series.slices) - len(left)
        if done:
            self._note(f"{series.key}: {done} of {len(series.slices)} slices are there already")
        if files.changed:
            self._note(
                f"{series.key}: {files.changed} slices had predictions of other images, which are "
                "removed"
            )
        if wanted.dicom and (why := self._no_dicom(series)):
            self._note(f"{series.key}: no DICOM objects will be written: {why}")
        return left

    def _no_dicom(self, series: series_lib.Series) -> str:
        # Why a series has no header that DICOM objects could refer to; "" if it has one.
        if series.kind == "dicom" or (series.kind == "picture" and "sc" in self._wanted.dicom):
            return ""
        more = " or add sc to --dicom" if series.kind == "picture" else ""
        return f"the source is no DICOM image, and there is nothing to refer to; give DICOM{more}"

    def _of_series(self, series: series_lib.Series) -> Iterator[Ask]:
        read = self._reader(series)
        files = self._files.get(series.key)
        for ref in self._left[series.key]:
            stem = f"{series.key}/{ref.index:04d}"
            try:
                image = read(ref)
            except (ValueError, OSError) as e:
                self.failed(e)
                if files is not None:
                    files.failed[ref.index] = without_name(e, ref)
                continue
            yield from self._next(
                Job(stem, stem, image, self._wanted.asks(image), ref, files, series)
            )

    def _reader(self, series: series_lib.Series) -> reader_lib.Reader:
        options = {k: v for k, v in self._wanted.reading.items() if k != "frame"}
        options["modality"] = options.get("modality") or series.modality or None
        return reader_lib.Reader(inputs.read, **options)

    def _next(self, job: Job) -> Iterator[Ask]:
        self.found.append(job)  # Before its answer can come.
        yield from job.asks

    def _finish(self, series: series_lib.Series, files: SeriesFiles) -> None:
        about = {"calibration": self._calibration[1] or None}
        marked, joined = files.finish(**self._wanted.fields, **about)
        names = [n for n in self._wanted.dicom if n != "sc"]
        if not names:
            return
        said = {}
        try:
            headers, origin = self._sources(series, files)
            made, said = dicom_results.results(series, marked, joined, headers, origin, names)
        except WriteError as e:
            made, said = {}, dict.fromkeys(names, f"not written: {e}")
        for name in names:
            path = files.folder / f"{name}.dcm"
            path.unlink(missing_ok=True)
            if name in made:
                made[name].save(path)
                self.written.append(path)
                said[name] = f"written to {path.name}"
                for remark in made[name].remarks:
                    self._note(f"{series.key}: {path.name}: {remark}")
            elif not self._no_dicom(series):  # Otherwise it was said before.
                self._note(f"{series.key}: {name}: {said[name]}")
        files.write_json({**files.read_json(), "dicom": said})

    def _sources(self, series: series_lib.Series, files: SeriesFiles) -> tuple[Any, Any]:
        wanted = self._wanted
        asked = self._asked(series)
        if series.kind == "dicom":
            headers = dicom_results.headers_of(series)
            origin = dicom_results.origin_of(headers, self._mark, asked, wanted.now, wanted.lang)
            return headers, origin
        if why := self._no_dicom(series):
            raise WriteError(why)
        image = inputs.read(series.slices[0].path, **wanted.reading)
        written = dicom_results.picture(image, self._mark, asked, wanted.now)
        written.save(files.folder / "sc.dcm")
        self.written.append(files.folder / "sc.dcm")
        origin = dicom_results.origin_of(
            [written.dataset], self._mark, asked, wanted.now, wanted.lang
        )
        return [written.dataset], origin


def stems(paths: Sequence[str]) -> list[str]:
    """Returns the names of images in outputs, which are all different."""
    found: list[str] = []
    for path in paths:
        name = nfc(pathlib.Path(path).name)
        stem = unique = pathlib.Path(name.removesuffix(".zst")).stem
        while unique in found:
            unique = f"{stem}_{sum(s.startswith(stem) for s in found) + 1}"
        found.append(unique)
    return found
