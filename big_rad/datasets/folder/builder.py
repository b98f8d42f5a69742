"""Builds and checks the `folder` dataset: a group's own images and texts, listed in data.jsonl.

`source` reads the lines, and `images` opens the images and makes the records.
"""

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Unpack

from big_rad.datasets import build as build_lib
from big_rad.datasets import files, progress, records
from big_rad.datasets.contents import Contents
from big_rad.datasets.folder import VERSION, check_name, images, masks, paths, patients
from big_rad.datasets.folder import source as source_lib
from big_rad.datasets.folder.fields import Bad
from big_rad.datasets.folder.images import Options
from big_rad.datasets.records import Built, Problem
from big_rad.dicom import identity
from big_rad.grounding import lexicon

__all__ = ["VERSION", "add_arguments", "build", "validate"]

# It is an error if more than this share of the CT images, and at least this number, have values
# that do not look like HU but like the same other unit.
_ALIKE_SHARE, _ALIKE = 0.9, 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this dataset has."""
    parser.add_argument(
        "--config",
        "--name",
        default="default",
        help="tells several folders apart: records lie under folder/<config>/ (no patient's name); "
        "recipes read them with folder=<config>",
    )
    parser.add_argument(
        "--as_stored",
        action="store_true",
        help="do not turn images to their usual display, as for the released model's training",
    )
    parser.add_argument(
        "--trust_mask_order",
        action="store_true",
        help="NIfTI masks are stored in the order of their images, whatever their affines say",
    )
    parser.add_argument(
        "--offset",
        type=float,
        default=0.0,
        help="added to the values of CT whose line has no offset, to make them HU: -1024",
    )


def build(
    source: str | Path,
    data_dir: str | Path,
    *,
    config: str = "default",
    as_stored: bool = False,
    trust_mask_order: bool = False,
    offset: float = 0,
    **how: Unpack[build_lib.BuildOptions],
) -> Built:
    """Builds the dataset, or finds it built from the same files.

    Args:
        source: a folder with data.jsonl, or a JSONL file beside its images.
        data_dir: the folder under which `folder/<config>/<version>` lies.
        config: the name that distinguishes this folder from others.
        as_stored: whether images stay as they are stored; otherwise they are turned to their usual
            display.
        trust_mask_order: whether NIfTI masks are taken to be stored in the order of their images.
        offset: the number that is added to the values of CT images whose line has no offset.
        how: `workers`, `overwrite`, `beam`, `max_reject_share`, see `datasets.build.build`.

    Raises:
        SourceError: The JSONL does not exist.
        BuildError: Too many lines cannot be used, or the values of most CT images are not HU.
        ValueError: `config` is not a single word, or a dataset with this name was built from other
            files.
    """
    check_name(config)
    options, listing = Options(as_stored, trust_mask_order, offset), listing_of(source)
    found: list[Problem] = []

    def judge(others: Sequence[Problem]) -> None:
        found.extend(others)
        if alike := _alike(others, listing.path.name):
            raise records.BuildError(str(alike))

    errors = [p for p in listing.problems if p.level == "error"]
    if not listing.items:
        first = "; ".join(str(p) for p in errors[:3])
        raise records.BuildError(f"{listing.path.name}: no line can be used. {first}".strip())
    built = build_lib.build(
        "folder",
        config=config,
        version=VERSION,
        description="Images and texts of one's own, from a JSONL.",
        splits=_jobs(listing, errors, options),
        make=images.make,
        params=_params(listing, options),
        data_dir=data_dir,
        judge=judge,
        **how,
    )
    digest = files.sha256(listing.path)
    built.notes += [
        f"{split}: n={n}, sha256 of {listing.path.name} {digest}"
        for split, n in sorted(built.counts.items())
    ]
    if listing.drawn:
        built.notes.append(
            f"{listing.drawn} patients without a split were drawn by the hash of their pseudonym "
            "(80/10/10)"
        )
    if listing.grouping:
        built.notes.append(listing.grouping)
    turned = collections.Counter(p.message for p in found if p.level == images.TURNED)
    built.notes += [f"{n} images were {how}, to their usual display" for how, n in turned.items()]
    warnings = [p for p in listing.problems if p.level == "warning"]
    if warnings:
        built.notes.append(
            f"{len(warnings)} warnings of lines; python -m tools.validate_data folder lists them"
        )
    return built


def validate(
    source: str | Path,
    *,
    pixels: bool = True,
    workers: int = 1,
    as_stored: bool = False,
    trust_mask_order: bool = False,
    offset: float = 0,
    notes: list[str] | None = None,
    contents: dict[str, Contents] | None = None,
) -> Iterator[Problem]:
    """Yields every problem of a source.

    Args:
        source: a folder with data.jsonl, or a JSONL file, as for `build`.
        pixels: whether every image and mask is opened; otherwise they only have to exist.
        workers: the number of processes that open them.
        as_stored, trust_mask_order, offset: as for `build`.
        notes: a list that receives lines for the user on guesses, such as how patients were found.
        contents: a dict that receives the counts of the usable images of each split, or None. It
            is complete when the last problem has been yielded.

    Raises:
        SourceError: The JSONL does not exist.
    """
    options, listing = Options(as_stored, trust_mask_order, offset), listing_of(source)
    if notes is not None and listing.grouping:
        notes.append(listing.grouping)
    yield from listing.problems
    if not listing.items and not listing.problems:
        yield Problem(listing.path.name, None, "", "holds no line; see docs/data.md")
    held = {} if contents is None else contents
    jobs = [_job(listing, item, options) for item in listing.items]
    if not pixels:
        for job in jobs:
            found = images.check_files(job.item, job.root, job.file)
            if not found:
                images.listed(job.item, held.setdefault(job.item.split, Contents()))
            yield from found
        return
    looks = []
    opened = progress.over(_opened(jobs, workers), "folder: checked", len(jobs))
    for job, (found, part) in zip(jobs, opened, strict=True):
        held.setdefault(job.item.split, Contents()).merge(part)
        looks += [p for p in found if p.level == images.LOOK]
        yield from (p for p in found if p.level in ("error", "warning"))
    if alike := _alike(looks, listing.path.name):
        yield alike


def listing_of(source: str | Path) -> source_lib.Listing:
    """Reads the JSONL of a source; patients that it does not name come from DICOM headers.

    Args:
        source: a folder with data.jsonl, or a JSONL file.

    Raises:
        SourceError: The JSONL does not exist.
    """
    root = source_lib.locate(source).parent
    # The key exists only during this call, so that digests of two calls cannot be compared.
    key = secrets.token_bytes(32)
    headers = progress.Progress("folder: looking for patients", 0, "headers")

    def digests(path: str) -> Mapping[str, bytes]:
        headers.step()
        return _digests(root, key, path)

    return source_lib.read(source, patients.Grouping(digests))


def _opened(jobs: Sequence[images.Job], workers: int) -> Iterator[tuple[list[Problem], Contents]]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(_problems, jobs)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_problems, jobs, chunksize=8)


def _problems(job: images.Job) -> tuple[list[Problem], Contents]:
    record, problems = images.to_record(job.item, job.root, job.file, job.options)
    found = Contents()
    if record is not None:
        found.add(record)
    return problems, found


def _alike(found: Iterable[Problem], file: str) -> Problem | None:
    """Returns an error if the values of most CT images look like the same unit other than HU."""
    looks = collections.Counter(p.message for p in found if p.level == images.LOOK)
    count = sum(looks.values())
    name, most = max(((k, n) for k, n in looks.items() if k), key=lambda x: x[1], default=("", 0))
    if most < _ALIKE or most <= _ALIKE_SHARE * count:
        return None
    message = (
        f"{most} of {count} CT images are not like HU but like {name}; docs/data.md says what to "
        "do (offset), or give another modality than CT"
    )
    return Problem(file, None, "", message)


def _digests(root: Path, key: bytes, path: str) -> Mapping[str, bytes]:
    try:
        return identity.digests(paths.resolve(root, path), key)
    except Bad:  # The same problem is reported when the image is opened.
        return {}


def _job(listing: source_lib.Listing, item: source_lib.Item, options: Options) -> images.Job:
    root = str(listing.path.parent.absolute())
    return images.Job(root, listing.path.name, item, options=options)


def _jobs(
    listing: source_lib.Listing, errors: list[Problem], options: Options
) -> dict[str, list[images.Job]]:
    """Returns {split: jobs}. Lines that cannot be used are reported in the first split."""
    jobs: dict[str, list[images.Job]] = {}
    for split in source_lib.SPLITS:
        items = [i for i in listing.items if i.split == split]
        if items:
            jobs[split] = [_job(listing, i, options) for i in items]
    bad = images.Job("", listing.path.name, None, tuple(errors))
    if errors:
        next(iter(jobs.values())).append(bad)
    return jobs


def _params(listing: source_lib.Listing, options: Options) -> dict[str, Any]:
    """Returns the parameters that decide the content: lines, file sizes, patients and lexicon."""
    root, sizes = listing.path.parent, hashlib.sha256()
    for item in listing.items:
        for path in _files(item, root):
            sizes.update(f"{path}\n{_size(root, path)}\n".encode())
    return {
        "version": VERSION,
        "options": dataclasses.asdict(options),
        "groups": _groups(listing),
        "sha256": files.sha256(listing.path),
        "files": sizes.hexdigest(),
        "lexicon": lexicon.digest(),
    }


def _groups(listing: source_lib.Listing) -> str:
    """Returns a digest of the patient and split of each image, which DICOM files may decide."""
    total = hashlib.sha256()
    for item in listing.items:
        total.update(f"{item.id}\n{item.patient}\n{item.split}\n".encode())
    return total.hexdigest()


def _files(item: source_lib.Item, root: Path) -> Iterator[str]:
    yield item.image
    if item.mask is not None:
        with contextlib.suppress(Bad):
            yield from masks.files_of(item, root)


def _size(root: Path, path: str) -> int:
    try:
        return images.resolve(root, path).stat().st_size
    except (Bad, OSError):
        return -1
