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
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Unpack

from big_rad.datasets import build as build_lib
from big_rad.datasets import contents as contents_lib
from big_rad.datasets import files, progress, records
from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d import VERSION, index, items
from big_rad.datasets.refrad2d.items import Job, Setting
from big_rad.datasets.refrad2d.source import (
    MODALITIES,
    SPLITS,
    WHERE,
    JsonError,
    Places,
    Sentence,
    read_split,
)
from big_rad.grounding.unicode import nfc

__all__ = ["VERSION", "add_arguments", "build", "validate"]

# If a sentence or an image is in two splits, it stays in the one that comes first here.
_KEPT_FIRST = ("test", "validation", "train")
_JOB_IMAGES = 32


@dataclasses.dataclass
class _Read:
    """The sentences and problems of the split JSONs, by (split, modality)."""

    sentences: dict[tuple[str, str], list[Sentence]]
    problems: dict[tuple[str, str], list[Problem]]

    def ids(self) -> set[str]:
        return {i for some in self.sentences.values() for s in some for i in s.ids}


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
    params = _params(places, chosen, limit, max_images) | {"as_stored": as_stored}
    turned: collections.Counter[str] = collections.Counter()
    config = "default" if len(chosen) > 1 else chosen[0].lower()
    info_path = Path(data_dir) / "refrad2d" / config / VERSION / records.BUILD_INFO
    known = (
        info_path.exists() and json.loads(info_path.read_text(encoding="utf-8"))["params"] == params
    )
    read, unreadable = _read_splits(places, chosen, limit)
    if unreadable:
        raise records.SourceError("\n".join(map(str, unreadable)))
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
            item="image", patients=False,
            judge=lambda found: turned.update(p.message for p in found if p.level == items.TURNED),
            **options,
        )  # fmt: skip
    made.notes += [f"{n} images were {how}, to their usual display" for how, n in turned.items()]
    made.notes += _notes(made, params, read, max_images)
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
    dicoms: str | Path | None = None,
    parquet: str | Path | None = None,
    segments: str | Path | None = None,
    splits: str | Path | None = None,
    contents: dict[str, contents_lib.Contents] | None = None,
) -> Iterator[Problem]:
    """Yields every problem of a source; if parts are missing, the others are still checked.

    Args:
        source: the folder of the published files.
        pixels: whether images and label maps are opened; otherwise they only have to exist.
        workers: the number of processes.
        modalities, limit, max_images, as_stored, dicoms, parquet, segments, splits: as for `build`.
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
    read, unreadable = _read_splits(places, chosen, limit)
    yield from (p for p in unreadable if p.file not in {m.file for m in missing})
    wanted = read.ids()
    with tempfile.TemporaryDirectory() as folder:
        rows, entries = places.parquet.is_file(), []
        if rows:
            try:
                index.write_rows(places, wanted, Path(folder))
            except index.ParquetError as e:
                rows = False
                yield e.problem
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


def _read_splits(
    places: Places, modalities: Sequence[str], limit: int
) -> tuple[_Read, list[Problem]]:
    """Reads all split JSONs and removes leaks; also returns the problems of unreadable files."""
    read, unreadable = _Read({}, {}), []
    for split in SPLITS:
        for modality in modalities:
            key = (split, modality)
            try:
                read.sentences[key], read.problems[key] = read_split(places, *key)
            except JsonError as e:
                read.sentences[key], read.problems[key] = [], []
                unreadable.append(e.problem)
    _leave_leaks_out(places, read)
    if limit:
        read.sentences = {k: some[:limit] for k, some in read.sentences.items()}
    return read, unreadable


def _leave_leaks_out(places: Places, read: _Read) -> None:
    """Removes ids and sentences that another split also has."""
    homes: dict[str, tuple[str, str]] = {}  # image id: the (split, modality) that keeps it
    said: dict[str, list[tuple[str, str]]] = {}  # sentence: the (split, modality) pairs with it
    order = [(s, m) for s in _KEPT_FIRST for m in MODALITIES if (s, m) in read.sentences]
    for key in order:
        name, kept = places.name(places.split(*key)), []
        for sentence in read.sentences[key]:
            others = [o for o in said.get(nfc(sentence.text), ()) if o[0] != key[0]]
            for other in others[:1]:
                same = [o for o in others if o[1] == key[1]]
                where = places.name(places.split(*(same or [other])[0]))
                level = "error" if same else "warning"
                message = f"the same sentence is in {where}" + ("; it stays there" * bool(same))
                lost = len(sentence.ids)
                read.problems[key].append(Problem(name, sentence.line, "", message, level, lost))
            said.setdefault(nfc(sentence.text), []).append(key)
            if any(o[1] == key[1] for o in others):
                continue
            fresh = []
            for i in sentence.ids:
                home = homes.setdefault(i, key)
                if home[0] == key[0]:
                    fresh.append(i)
                    continue
                message = f"{i} is also in {places.name(places.split(*home))}; it stays there"
                read.problems[key].append(Problem(name, sentence.line, "ids", message))
            if fresh:
                kept.append(dataclasses.replace(sentence, ids=tuple(fresh)))
        read.sentences[key] = kept


def _jobs(
    places: Places, read: _Read, split: str, modalities: Sequence[str], max_images: int
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
    places: Places, read: _Read, split: str, modalities: Sequence[str], max_images: int
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


def _notes(made: records.Built, params: dict[str, Any], read: _Read, max_images: int) -> list[str]:
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
