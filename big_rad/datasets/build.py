"""Builds any dataset into ArrayRecord files with TFDS, without TensorFlow.

A dataset provides small jobs and a function that makes the records of a job. This module runs the
jobs in this process, in worker processes or on Apache Beam, with the same result. The files are

    <data_dir>/<name>/<config>/<version>/*.array_record-*   the records
                                         build.json         parameters, counts and digests
                                         rejects.jsonl      the items that cannot be used
"""

import collections
import contextlib
import dataclasses
import functools
import io
import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np

from big_rad import extras, quiet
from big_rad.datasets import contents, files, on_beam, records, reject_limit
from big_rad.datasets.contents import Contents
from big_rad.datasets.files import sha256
from big_rad.datasets.progress import Progress
from big_rad.datasets.records import (
    BUILD_INFO,
    REJECTS,
    BuildError,
    Built,
    Problem,
    Record,
    SourceError,
)

Job = TypeVar("Job")  # The work for one or a few records, as the dataset defines it; picklable.
Result = TypeVar("Result")
_SAID = 5  # The number of kinds of warnings that are shown.
# A build stops early if it has more rejects than this and more rejects than usable items.
_MANY_REJECTS = 1000


class BuildOptions(TypedDict, total=False):
    """The options that every builder accepts and passes on to `build`, which explains them.

    They do not change the content of the records.
    """

    workers: int
    overwrite: bool
    beam: Sequence[str] | None
    max_reject_share: float


def build(
    name: str,
    *,
    config: str = "default",
    version: str,
    description: str,
    splits: Mapping[str, Sequence[Job]],
    make: Callable[[Job], Iterable[Record | Problem]],
    params: Mapping[str, Any],
    data_dir: str | Path,
    workers: int = 2,
    overwrite: bool = False,
    ignore: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
    beam: Sequence[str] | None = None,
    max_reject_share: float = reject_limit.SHARE,
    item: str = "line",
    patients: bool = True,
    each_patient: bool = False,
    judge: Callable[[Sequence[Problem]], None] | None = None,
) -> Built:
    """Builds a dataset, or finds it already built with the same parameters.

    Args:
        name: the name of the dataset.
        config: the name of the variant.
        version: the version of the format, such as "1.0.0".
        description: a description of one line.
        splits: the jobs of each split; each job is small and picklable. A split without jobs is
            left out.
        make: a picklable function that makes the records of a job, and a `Problem` for each item
            that has to be left out. A problem of another level than "error" does not leave anything
            out; warnings are counted by message.
        params: all parameters that decide the content, as a dict that JSON can store.
        data_dir: the folder under which the dataset lies.
        workers: the number of processes; it does not change the result.
        overwrite: whether a dataset that was built with other parameters is replaced. The old
            dataset stays until the new one is complete, even if the build fails or is killed.
        ignore: the names of parameters that do not require `overwrite`: if only these differ, the
            dataset is built again.
        defaults: the values of parameters that are not stored when they have these values, so that
            a dataset that was built before there was such a parameter can still be used.
        beam: the options of a Beam pipeline, such as ["--runner=DirectRunner"]; None builds in this
            process and its workers.
        max_reject_share: the build fails if a larger share of the items is bad, in one split or in
            all of them together. `reject_limit.exceeds` says how many bad items a small dataset may
            always have.
        item: the items that are counted for this share: "line" (texts, and images without a text)
            or "image".
        patients: whether the source says which patient an image belongs to.
        each_patient: whether each image of a record has a patient of its own.
        judge: a function that receives the problems that leave nothing out, before the new records
            take their place; it may raise BuildError.

    Returns:
        the place and the contents of the dataset.

    Raises:
        ValueError: The folder holds a dataset with other parameters, another process is building
            it, or two records have the same id.
        SourceError: The source does not have any items.
        BuildError: Too many items are bad.
    """
    folder = Path(data_dir) / name / config / version
    params = json.loads(json.dumps(dict(params)))
    splits = {split: jobs for split, jobs in splits.items() if len(jobs)}
    if not splits:
        raise SourceError(f"{name}: the source has no items")
    defaults = json.loads(json.dumps(dict(defaults or {})))
    known = functools.partial(_known, folder, params, ignore, overwrite, defaults)
    if built := known():
        return built
    plan = _Plan(name, config, version, description, splits, make, workers, max_reject_share, item,
                 each_patient)  # fmt: skip
    with files.workplace(Path(data_dir), f"{name}-{config}-{version}", folder) as scratch:
        # `workplace` may have moved an old dataset back, after a build that was killed.
        if built := known():
            return built
        new = scratch / name / config / version
        made = _write(plan, scratch, beam)
        if judge is not None:
            judge(made.others)
        warnings = collections.Counter(p.message for p in made.others if p.level == "warning")
        held = {s: contents.summary(found, patients) for s, found in made.contents.items()}
        kept = {k: v for k, v in params.items() if k not in defaults or v != defaults[k]}
        counts = _finish(new, kept, made.rejects, warnings, held)
        files.put(new, folder, scratch)
    notes, held = _counted(warnings), contents.lines(held)
    return Built(folder, counts, False, len(made.rejects), notes, contents=held)


def _known(
    folder: Path,
    params: dict[str, Any],
    ignore: Sequence[str],
    overwrite: bool,
    defaults: Mapping[str, Any],
) -> Built | None:
    """Returns the dataset if it is built with these parameters, or None if it must be built."""
    found = records.build_info(folder)
    if found is None or any(records.damaged(folder, found)):
        return None
    old = {**defaults, **found["params"]}
    differs = sorted(k for k in params | old if params.get(k) != old.get(k))
    if not differs:
        notes = _counted(found.get("warnings", {}))
        held = contents.lines(found.get("contents") or {})
        return Built(folder, found["counts"], True, found["rejects"], notes, contents=held)
    differs = [k for k in differs if k not in ignore]
    if differs and not overwrite:
        was = ", ".join(f"{k}={old.get(k)} (now {params.get(k)})" for k in differs)
        raise ValueError(
            f"{folder} was built from other data or with other options: {was}. Keep both, "
            "under another name (--config=NEW of tools.build_dataset, folder=NEW of a recipe) or "
            "another --data_dir, or replace it with --overwrite"
        )
    return None


def _counted(warnings: Mapping[str, int]) -> list[str]:
    # Only the most frequent warnings are shown, because many name a file and occur only once.
    ordered = sorted(warnings.items(), key=lambda kind: (-kind[1], kind[0]))
    lines = [f"{n} warnings: {message}" for message, n in ordered[:_SAID]]
    if rest := ordered[_SAID:]:
        lines.append(f"{sum(n for _, n in rest)} other warnings; tools.validate_data lists them")
    return lines


def _finish(
    folder: Path,
    params: dict[str, Any],
    rejects: Sequence[Problem],
    warnings: Mapping[str, int],
    held: Mapping[str, Any],
) -> dict[str, int]:
    """Writes the files beside the records; returns {split: number of records}."""
    counts = _counts(folder)
    lines = (json.dumps(p.to_dict(), ensure_ascii=False) + "\n" for p in rejects)
    (folder / REJECTS).write_text("".join(lines), encoding="utf-8")
    made = {p.name: p for p in sorted(folder.glob("*.array_record*"))}
    info = {
        "params": params,
        "counts": counts,
        "rejects": len(rejects),
        "warnings": dict(sorted(warnings.items())),
        "contents": held,
        "sizes": {k: p.stat().st_size for k, p in made.items()},
        "sha256": {k: sha256(p) for k, p in made.items()},
    }
    (folder / BUILD_INFO).write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    return counts


@dataclasses.dataclass(frozen=True)
class _Plan:
    name: str
    config: str
    version: str
    description: str
    splits: Mapping[str, Sequence[Job]]
    make: Callable[[Job], Iterable[Record | Problem]]
    workers: int
    max_reject_share: float
    item: str
    each_patient: bool

    def made(self, found: Contents) -> int:
        """Returns how many items can be used."""
        return found.images if self.item == "image" else found.lines

    def check(self, split: str, found: Contents, rejects: Sequence[Problem]) -> None:
        """Raises BuildError if too many items of a split are bad; "" stands for all splits."""
        lost, made = [p.items for p in rejects], self.made(found)
        if reject_limit.exceeds(self.max_reject_share, made, lost):
            where = f"{self.name}, {split}" if split else f"{self.name}, all splits"
            share, first = self.max_reject_share, [str(p) for p in rejects]
            error = BuildError(reject_limit.message(where, self.name, share, made, lost, first))
            error.share = reject_limit.needed(made, lost) if made else None
            raise error


@dataclasses.dataclass
class _Made:
    # The results beside the records: problems of the level "error", problems of other levels, and
    # {split: counts}.
    rejects: list[Problem] = dataclasses.field(default_factory=list)
    others: list[Problem] = dataclasses.field(default_factory=list)
    contents: dict[str, Contents] = dataclasses.field(default_factory=dict)


@quiet.without_warnings()  # TFDS warns of every custom configuration.
def _write(plan: _Plan, scratch: Path, beam: Sequence[str] | None) -> _Made:
    """Runs TFDS, which writes into <name>/<config>/<version> below `scratch`."""
    with extras.needed("train"):
        import tensorflow_datasets as tfds  # This import is slow.

    tfds.disable_progress_bar()
    made = _Made()
    kind = _builder_class(plan, beam, scratch, made)
    builder = kind(data_dir=str(scratch), config=tfds.core.BuilderConfig(name=plan.config))
    download = tfds.download.DownloadConfig(try_download_gcs=False)
    if beam is not None:
        download = dataclasses.replace(download, beam_options=on_beam.options(beam))
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints that it downloads the dataset.
        builder.download_and_prepare(file_format="array_record", download_config=download)
    for split in plan.splits if beam is not None else ():
        said = on_beam.rejects(scratch, split)
        parts = (Contents.from_json(x["contents"]) for x in said if "contents" in x)
        made.contents[split] = contents.total(parts)
        found = [Problem(**x) for x in said if "contents" not in x]
        bad = [p for p in found if p.level == "error"]
        made.others += [p for p in found if p.level != "error"]
        plan.check(split, made.contents[split], bad)
        made.rejects += bad
    plan.check("", contents.total(made.contents.values()), made.rejects)
    made.rejects.sort(key=str)
    made.others.sort(key=str)
    return made


def _builder_class(plan: _Plan, beam: Sequence[str] | None, scratch: Path, made: _Made) -> type:
    with extras.needed("train"):
        import tensorflow_datasets as tfds

    from big_rad.datasets.stable_writer import StableWriter  # Imports TFDS.

    features = _features(plan.each_patient)
    progress = Progress(f"{plan.name}/{plan.config}", sum(map(len, plan.splits.values())))

    def info(self: tfds.core.GeneratorBasedBuilder) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self, description=plan.description, features=features, license="see source"
        )

    def splits(*_: object) -> dict[str, Iterator[tuple[str, Record]]]:
        return {s: _here(plan, s, jobs, made, progress) for s, jobs in plan.splits.items()}

    def splits_on_beam(self: object, dl_manager: object, pipeline: Any) -> dict[str, Any]:
        del self, dl_manager
        make = functools.partial(_tagged, plan.make)
        return {s: on_beam.split(pipeline, make, s, j, scratch) for s, j in plan.splits.items()}

    def generate(self: object) -> None:
        raise NotImplementedError("the splits give their own generators")

    body = {
        "name": plan.name,
        "VERSION": tfds.core.Version(plan.version),
        "BUILDER_CONFIGS": [],
        "_info": info,
        "_split_generators": splits if beam is None else splits_on_beam,
        "_generate_examples": generate,
        "_example_writer": lambda self: StableWriter(self.info.file_format),
        "__module__": __name__,
    }
    return types.new_class(
        "Records",
        (tfds.core.GeneratorBasedBuilder,),
        {"skip_registration": True},
        lambda namespace: namespace.update(body),
    )


def _features(each_patient: bool) -> Any:
    with extras.needed("train"):
        import tensorflow_datasets as tfds

    text = tfds.features.Text
    data = functools.partial(tfds.features.Tensor, shape=(), dtype=np.object_)
    image = {k: text() for k in ("id", "modality", "plane", "body_part", "boxes", "unsure")}
    image |= {"texts": text(), "image": data(), "segmap": data()}
    # Other datasets do not have this field, so that their files stay equal byte for byte.
    image |= {"patient": text()} if each_patient else {}
    return tfds.features.FeaturesDict(
        {"id": text(), "patient": text(), "images": tfds.features.Sequence(image)}
    )


def _tagged(
    make: Callable[[Job], Iterable[Record | Problem]], job: Job
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yields (id, record), or (None, problem as a dict), and at the end (None, the counts)."""
    results, found = _run(make, job)
    for result in results:
        if isinstance(result, Problem):
            yield None, dataclasses.asdict(result)
        else:
            yield result["id"], result
    yield None, {"contents": found.to_json()}


def _here(
    plan: _Plan, split: str, jobs: Sequence[Job], made: _Made, progress: Progress
) -> Iterator[tuple[str, Record]]:
    ids: set[str] = set()
    bad: list[Problem] = []
    held = made.contents[split] = Contents()
    for results, found in _map(functools.partial(_run, plan.make), jobs, plan.workers):
        held.merge(found)
        progress.step(found.images)
        for result in results:
            if isinstance(result, Problem):
                if result.level != "error":
                    made.others.append(result)
                    continue
                bad.append(result)
                if len(bad) > max(_MANY_REJECTS, plan.made(held)):
                    # This many rejects most likely mean a wrong folder, so the build stops now.
                    plan.check(split, held, bad)
                continue
            if result["id"] in ids:
                raise ValueError(f"{plan.name}, {split}: two records have the id {result['id']!r}")
            ids.add(result["id"])
            yield result["id"], result
    plan.check(split, held, bad)
    made.rejects += bad


def _run(
    make: Callable[[Job], Iterable[Record | Problem]], job: Job
) -> tuple[list[Record | Problem], Contents]:
    """Returns the records and problems of a job, and the counts of the records."""
    results, found = list(make(job)), Contents()
    for result in results:
        if not isinstance(result, Problem):
            found.add(result)
    return results, found


def _map(make: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Yields the results of `make` in order, from worker processes if there are several.

    The processes are spawned, because forking a process that has threads is not safe.
    """
    if workers <= 1 or len(jobs) < 2:
        yield from map(make, jobs)
        return
    chunk = max(1, min(8, len(jobs) // (4 * workers)))
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(make, jobs, chunksize=chunk)


def _counts(folder: Path) -> dict[str, int]:
    with extras.needed("train"):
        import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    return {name: info.num_examples for name, info in builder.info.splits.items()}
