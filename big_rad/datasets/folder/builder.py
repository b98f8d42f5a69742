"""Builds and checks the `folder` dataset: a group's own images and texts, listed in data.jsonl.

What a line may hold is in `source`; images are opened in `images`. Knows nothing of the command
line beyond its own options, and prints nothing.
"""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from big_rad.datasets import records
from big_rad.datasets.folder import VERSION, check_name, images
from big_rad.datasets.folder import source as source_lib
from big_rad.datasets.folder.fields import Bad
from big_rad.datasets.records import Built, Problem
from big_rad.grounding.classes import CLASSES

__all__ = ["VERSION", "add_arguments", "build", "validate"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this dataset has."""
    parser.add_argument(
        "--config",
        "--name",
        default="default",
        help="tells several folders apart: records lie under folder/<config>/ (no patient's name); "
        "recipes read them with folder=<config>",
    )


def build(
    source: str | Path,
    data_dir: str | Path,
    *,
    workers: int = 2,
    overwrite: bool = False,
    beam: Sequence[str] | None = None,
    max_reject_share: float = 0.01,
    config: str = "default",
) -> Built:
    """Builds the dataset, or finds it built from the same files.

    Args:
        source: a folder with data.jsonl, or a JSONL file beside its images.
        data_dir: the folder under which `folder/<config>/<version>` lies.
        workers: processes; they do not change the result.
        overwrite: replace a dataset of this config that was built from other files.
        beam: options of a Beam pipeline, or None.
        max_reject_share: the build fails when more than this share of a split cannot be used.
        config: names this folder among others.

    Raises:
        SourceError: there is no JSONL.
        BuildError: too much of it cannot be used.
        ValueError: a config that is no word, or a dataset built from other files is in the way.
    """
    check_name(config)
    listing = source_lib.read(source)
    errors = [p for p in listing.problems if p.level == "error"]
    if not listing.items:
        first = "; ".join(str(p) for p in errors[:3])
        raise records.BuildError(f"{listing.path.name}: no line can be used. {first}".strip())
    built = records.build(
        "folder",
        config=config,
        version=VERSION,
        description="Images and texts of one's own, from a JSONL.",
        splits=_jobs(listing, errors),
        make=images.make,
        params=_params(listing),
        data_dir=data_dir,
        workers=workers,
        overwrite=overwrite,
        beam=beam,
        max_reject_share=max_reject_share,
    )
    digest = records.sha256(listing.path)
    built.notes += [
        f"{split}: n={n}, sha256 of {listing.path.name} {digest}"
        for split, n in sorted(built.counts.items())
    ]
    if listing.drawn:
        built.notes.append(
            f"{listing.drawn} patients without a split were drawn by the hash of their pseudonym "
            "(80/10/10)"
        )
    warnings = len(listing.problems) - len(errors)
    if warnings:
        built.notes.append(f"{warnings} warnings; python -m tools.validate_data folder lists them")
    return built


def validate(
    source: str | Path, *, pixels: bool = True, workers: int = 1, config: str = "default"
) -> Iterator[Problem]:
    """Yields every problem of a source.

    Args:
        source: as for `build`.
        pixels: also opens every image and mask.
        workers: processes that open them.
        config: not used; so that both commands take the same options.

    Raises:
        SourceError: there is no JSONL.
    """
    del config
    listing = source_lib.read(source)
    yield from listing.problems
    if not listing.items and not listing.problems:
        yield Problem(listing.path.name, None, "", "holds no line; see docs/data.md")
    jobs = [_job(listing, item) for item in listing.items]
    if not pixels:
        for job in jobs:
            yield from images.check_files(job.item, job.root, job.file)
    elif workers <= 1 or len(jobs) < 2:
        for job in jobs:
            yield from _problems(job)
    else:
        with get_context("spawn").Pool(workers) as pool:
            for found in pool.imap(_problems, jobs, chunksize=8):
                yield from found


def _problems(job: images.Job) -> list[Problem]:
    return images.to_record(job.item, job.root, job.file)[1]


def _job(listing: source_lib.Listing, item: source_lib.Item) -> images.Job:
    return images.Job(str(listing.path.parent.absolute()), listing.path.name, item)


def _jobs(listing: source_lib.Listing, errors: list[Problem]) -> dict[str, list[images.Job]]:
    """Returns the jobs by split. Lines without a split of their own count in the first one."""
    jobs: dict[str, list[images.Job]] = {}
    for split in source_lib.SPLITS:
        items = [i for i in listing.items if i.split == split]
        if items:
            jobs[split] = [_job(listing, i) for i in items]
    bad = images.Job("", listing.path.name, None, tuple(errors))
    if errors:
        next(iter(jobs.values())).append(bad)
    return jobs


def _params(listing: source_lib.Listing) -> dict[str, Any]:
    """Returns what decides the content: the lines, the files' sizes and the lexicon."""
    root, sizes = listing.path.parent, hashlib.sha256()
    for item in listing.items:
        for path in filter(None, (item.image, item.mask)):
            sizes.update(f"{path}\n{_size(root, path)}\n".encode())
    return {
        "version": VERSION,
        "sha256": records.sha256(listing.path),
        "files": sizes.hexdigest(),
        "lexicon": hashlib.sha256(repr(CLASSES).encode()).hexdigest()[:16],
    }


def _size(root: Path, path: str) -> int:
    try:
        return images.resolve(root, path).stat().st_size
    except (Bad, OSError):
        return -1
