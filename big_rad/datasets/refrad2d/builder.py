"""Builds RefRad2D from its published files, or lists their problems.

The dataset has about a million images and a terabyte of pixels. The parquet and the box JSONs are
therefore streamed into an index once (see `index`), and each job has only a few sentences. An image
that cannot be used is left out of its sentence.
"""

import argparse
import collections
import dataclasses
import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Unpack

from big_rad.datasets import build as build_lib
from big_rad.datasets import contents as contents_lib
from big_rad.datasets import files, progress, records
from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d import VERSION, index, items, leaks
from big_rad.datasets.refrad2d.items import Job, Setting
from big_rad.datasets.refrad2d.source import (
    MODALITIES,
    SPLITS,
    WHERE,
    JsonError,
    Places,
    Sentence,
)

__all__ = ["VERSION", "add_arguments", "build", "validate"]

_JOB_IMAGES = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this dataset."""
    parser.add_argument("--modalities", default="ct,mr", help="ct, mr or ct,mr")
    parser.add_argument(
        "--limit", type=int, default=0,
        help="sentences of each split and modality, for trying out; 0: all",
    )  # fmt: skip
    parser.add_argument(
        "--max_images", type=int, default=256,
        help="images kept of one sentence, the first ones; a stock phrase may have thousands",
    )  # fmt: skip
    parser.add_argument(
        "--as_stored", action="store_true",
        help="do not turn images to their usual display: what the released model was trained on",
    )  # fmt: skip
    parser.add_argument(
        "--drop_repeated_sentences", action="store_true",
        help="leave out sentences that another split also has; otherwise they are kept and counted",
    )  # fmt: skip
    parser.add_argument("--dicoms", help="folder of {id[:2]}/{id}.dcm.zst, if it lies apart")
    parser.add_argument("--parquet", help="file of texts and questions, if it lies apart")
    parser.add_argument("--segments", help="folder of box JSONs and label maps, if it lies apart")
    parser.add_argument("--splits", help="folder of filtered_{ct,mr}_splits, if it lies apart")


def build(
    source: str | Path,
    data_dir: str | Path,
    *,
    modalities: str | Sequence[str] = "ct,mr",
    limit: int = 0,
    max_images: int = 256,
    as_stored: bool = False,
    drop_repeated_sentences: bool = False,
    dicoms: str | Path | None = None,
    parquet: str | Path | None = None,
    segments: str | Path | None = None,
    splits: str | Path | None = None,
    **options: Unpack[build_lib.BuildOptions],
) -> records.Built:
    """Builds the dataset with `datasets.build.build`.

    Args:
        source: the folder of the published files.
        data_dir: the folder under which the dataset lies; a temporary index is written there too.
        modalities: "ct,mr", "ct" or "mr".
        limit: the number of sentences of each split and modality; 0 means all.
        max_images: the most images of one sentence that are kept.
        as_stored: whether images stay as they are stored. Otherwise they are turned to their usual
            display, on which label maps and boxes lie.
        drop_repeated_sentences: whether a sentence that another split also has is left out, which
            counts as an error. Otherwise it is kept, with a counted warning.
        dicoms: the folder of images, if it lies elsewhere.
        parquet: the file with the texts, if it lies elsewhere.
        segments: the folder of box JSONs and label maps, if it lies elsewhere.
        splits: the folder of the split JSONs, if it lies elsewhere.
        options: `workers`, `overwrite`, `beam`, `max_reject_share`, see `datasets.build.build`; an
            item is an image.

    Raises:
        records.SourceError: A part is missing or cannot be read; the message names all of them.
        ValueError: An option has an impossible value, or the dataset is already built with other
            parameters.
        records.BuildError: Too many images cannot be used.
    """
    chosen = _options(modalities, limit, max_images)
    apart = dict(dicoms=dicoms, parquet=parquet, segments=segments, splits=splits)
    places = Places.under(source, **apart)
    if missing := places.missing(chosen):
        names = ", ".join(p.file for p in missing)
        where = ", ".join(f"--{name}" for name in apart)
        raise records.SourceError(
            f"not found: {names}; {WHERE}, or say where a piece lies: {where}"
        )
    params = _params(places, chosen, limit, max_images) | {
        "as_stored": as_stored, "drop_repeated_sentences": drop_repeated_sentences,
    }  # fmt: skip
    turned: collections.Counter[str] = collections.Counter()
    config = "default" if len(chosen) > 1 else chosen[0].lower()
    info_path = Path(data_dir) / "refrad2d" / config / VERSION / records.BUILD_INFO
    known = (
        info_path.exists() and json.loads(info_path.read_text(encoding="utf-8"))["params"] == params
    )
    read, unreadable = leaks.read_splits(places, chosen)
    if unreadable:
        raise records.SourceError("\n".join(map(str, unreadable)))
    try:
        patients = index.patients(places, read.ids())
    except index.ParquetError as e:
        raise records.SourceError(str(e)) from None
    leaks.leave_out(
        places, read, patients or {}, drop_repeated=drop_repeated_sentences, limit=limit
    )
    with files.workplace(Path(data_dir), f"refrad2d-{config}-index") as folder:
        if not known:
            wanted = read.ids()
            try:
                index.write_rows(places, wanted, folder)
                index.write_entries(places, chosen, wanted, folder)
            except (index.ParquetError, JsonError) as e:
                raise records.SourceError(str(e)) from None
        setting = Setting(
            places, str(folder), entries=chosen, masks=params["label_maps"], as_stored=as_stored
        )
        made = build_lib.build(
            "refrad2d", config=config, version=VERSION,
            description="CT and MR slices with report sentences, questions, boxes and label maps.",
            splits={s: _jobs(places, read, s, chosen, max_images) for s in SPLITS},
            make=functools.partial(items.make, setting), params=params, data_dir=data_dir,
            item="image", each_patient=True,
            judge=lambda found: turned.update(p.message for p in found if p.level == items.TURNED),
            **options,
        )  # fmt: skip
    made.notes += [f"{n} images were {how}, to their usual display" for how, n in turned.items()]
    made.notes += _notes(made, params, read, max_images) + _unnamed(read, patients)
    return made


def validate(
    source: str | Path,
    *,
    pixels: bool = True,
    workers: int = 1,
    modalities: str | Sequence[str] = "ct,mr",
    limit: int = 0,
    max_images: int = 256,
    as_stored: bool = False,
    drop_repeated_sentences: bool = False,
    dicoms: str | Path | None = None,
    parquet: str | Path | None = None,
    segments: str | Path | None = None,
    splits: str | Path | None = None,
    notes: list[str] | None = None,
    contents: dict[str, contents_lib.Contents] | None = None,
) -> Iterator[Problem]:
    """Yields every problem of a source; if parts are missing, the others are still checked.

    Args:
        source: the folder of the published files.
        pixels: whether images and label maps are opened; otherwise they only have to exist.
        workers: the number of processes.
        modalities, limit, max_images, as_stored, drop_repeated_sentences: as for `build`.
        dicoms, parquet, segments, splits: as for `build`.
        notes: a list that receives lines for the user on what the source does not say, or None.
        contents: a dict that receives the counts of the usable images of each split, or None. It
            is complete when the last problem has been yielded.
    """
    chosen = _options(modalities, limit, max_images)
    apart = dict(dicoms=dicoms, parquet=parquet, segments=segments, splits=splits)
    places = Places.under(source, **apart)
    missing = places.missing(chosen)
    yield from missing
    if not places.masks.is_dir():
        message = "no label maps, so there are only boxes, no masks"
        yield Problem(places.name(places.masks), None, "", message, "warning")
    read, unreadable = leaks.read_splits(places, chosen)
    yield from (p for p in unreadable if p.file not in {m.file for m in missing})
    with tempfile.TemporaryDirectory() as folder:
        rows, entries, patients = places.parquet.is_file(), [], None
        if rows:
            try:
                patients = index.patients(places, read.ids())
                index.write_rows(places, read.ids(), Path(folder))
            except index.ParquetError as e:
                rows = False
                yield e.problem
        leaks.leave_out(
            places, read, patients or {}, drop_repeated=drop_repeated_sentences, limit=limit
        )
        wanted = read.ids()
        for message in _unnamed(read, patients) if rows else ():
            if patients is not None:
                yield Problem(places.name(places.parquet), None, "patient", message, "warning")
            elif notes is not None:  # The published format has no such column.
                notes.append(message)
        for modality in chosen:
            try:
                index.write_entries(places, [modality], wanted, Path(folder))
                entries.append(modality)
            except JsonError as e:
                if places.boxes(modality).is_file():
                    yield e.problem
        setting = Setting(
            places, folder, pixels=pixels, rows=rows, dicoms=places.dicoms.is_dir(),
            entries=tuple(entries), masks=places.masks.is_dir(), as_stored=as_stored,
        )  # fmt: skip
        held = {} if contents is None else contents
        for split in SPLITS:
            jobs = _jobs(places, read, split, chosen, max_images)
            held[split] = contents_lib.Contents()
            look = functools.partial(items.look, setting)
            found = _looked(look, jobs, workers)
            for problems, part in progress.over(
                found, f"refrad2d {split}: checked", len(jobs), count=lambda x: x[1].images
            ):
                held[split].merge(part)
                yield from problems
            yield from _too_many(places, read, split, chosen, max_images)


def _options(given: str | Sequence[str], limit: int, max_images: int) -> tuple[str, ...]:
    """Checks the options; returns the modalities in their order."""
    if limit < 0 or max_images < 1:
        raise ValueError(f"limit={limit} must be at least 0, max_images={max_images} at least 1")
    parts = given.split(",") if isinstance(given, str) else list(given)
    wanted = {p.strip().upper() for p in parts}
    if not wanted or not wanted <= set(MODALITIES):
        raise ValueError(f"modalities={given!r}: give ct, mr or ct,mr")
    return tuple(m for m in MODALITIES if m in wanted)


def _params(
    places: Places, modalities: Sequence[str], limit: int, max_images: int
) -> dict[str, Any]:
    """Returns the parameters that decide the content, including digests of the files."""
    paths = [places.split(s, m) for s in SPLITS for m in modalities]
    paths += [places.boxes(m) for m in modalities] + [places.parquet]
    return {
        "version": VERSION,
        "modalities": list(modalities),
        "limit": limit,
        "max_images": max_images,
        "label_maps": places.masks.is_dir(),
        "sha256": {places.name(p): files.sha256(p) for p in paths},
    }


def _jobs(
    places: Places, read: leaks.Read, split: str, modalities: Sequence[str], max_images: int
) -> list[Job]:
    """Divides a split into jobs of a few images each."""
    jobs: list[Job] = []
    for modality in modalities:
        name = places.name(places.split(split, modality))
        if read.problems[split, modality]:
            jobs.append(Job(name, modality, problems=tuple(read.problems[split, modality])))
        some: list[Sentence] = []
        for sentence in read.sentences[split, modality]:
            some.append(dataclasses.replace(sentence, ids=sentence.ids[:max_images]))
            if sum(len(s.ids) for s in some) >= _JOB_IMAGES:
                jobs.append(Job(name, modality, tuple(some)))
                some = []
        if some:
            jobs.append(Job(name, modality, tuple(some)))
    return jobs


def _too_many(
    places: Places, read: leaks.Read, split: str, modalities: Sequence[str], max_images: int
) -> Iterator[Problem]:
    for modality in modalities:
        for s in read.sentences[split, modality]:
            if len(s.ids) > max_images:
                name = places.name(places.split(split, modality))
                message = f"{len(s.ids)} images; the first {max_images} are kept (--max_images)"
                yield Problem(name, s.line, "ids", message, "warning")


def _looked(
    look: Callable[[Job], tuple[list[Problem], contents_lib.Contents]],
    jobs: list[Job],
    workers: int,
) -> Iterator[tuple[list[Problem], contents_lib.Contents]]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(look, jobs)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(look, jobs)


def _notes(
    made: records.Built, params: dict[str, Any], read: leaks.Read, max_images: int
) -> list[str]:
    """Returns lines for the user with counts and digests."""
    notes = []
    for split, count in made.counts.items():
        keys = [k for k in read.sentences if k[0] == split]
        images = ", ".join(
            f"{sum(len(s.ids) for s in read.sentences[k])} {k[1]} images" for k in keys
        )
        notes.append(f"refrad2d {split}: {count} sentences made; listed: {images}")
    many = [s for some in read.sentences.values() for s in some if len(s.ids) > max_images]
    if many:
        notes.append(f"{len(many)} sentences have more images; the first {max_images} are kept")
    if not params["label_maps"]:
        notes.append("no label maps: boxes only")
    return notes + [f"sha256 {digest} {name}" for name, digest in params["sha256"].items()]


def _unnamed(read: leaks.Read, patients: Mapping[str, str] | None) -> list[str]:
    """Returns a line on images whose patient is not known; [] if all patients are known."""
    ids = read.ids()
    if patients is None:
        return [
            "the parquet has no column 'patient', so it is not known whether a patient is in two "
            "splits, and each image counts as a patient of its own"
        ]
    count = sum(not patients.get(i) for i in ids)
    if not count:
        return []
    return [f"{count} of {len(ids)} images name no patient; each counts as a patient of its own"]
