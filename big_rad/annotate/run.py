"""Makes a grounded dataset out of volumes, masks and reports.

    python -m big_rad.annotate --config=configs/annotate.py:manifest=studies.csv,out=annotated
    python -m big_rad.annotate --config=configs/annotate.py:manifest=M,out=DIR --config.workers=4
    python -m big_rad.annotate --config=... --beam="--runner=FnApiRunner"

The dataset appears in OUT/dataset when everything is done. If the command is interrupted, the same
command goes on where it was. What is left out is in OUT/rejects.jsonl, by line of the manifest and
with the reason.
"""

import collections
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from big_rad import files
from big_rad.annotate import (
    card,
    card_counts,
    engine,
    leaks,
    match,
    page,
    patient_splits,
    place,
    sources,
    studies,
    write,
)
from big_rad.annotate import rejects as rejects_lib
from big_rad.annotate import settings as settings_lib
from big_rad.annotate.deidentify import texts
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.faults import Failed
from big_rad.annotate.manifest import Manifest
from big_rad.annotate.results import Result
from big_rad.annotate.segment import installation
from big_rad.annotate.segment.settings import Settings as Segmentator
from big_rad.annotate.settings import Settings, Source
from big_rad.annotate.store import Store
from big_rad.config import overrides
from big_rad.datasets import files as dataset_files
from big_rad.dicom.image import PLANES
from big_rad.registry import did_you_mean

AUDIT = "audit.jsonl"
DATASET, REJECTS, KEY = place.DATASET, place.REJECTS, "secret.key"
_OTHER = "give another out"
Log = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Made:
    """What a run made.

    Attributes:
        dataset: the folder of the dataset.
        items: the number of images.
        failed: the number of images of studies that failed for a reason that may pass.
        rejects: the number of lines in rejects.jsonl.
    """

    dataset: Path
    items: int
    failed: int
    rejects: int


def run(
    settings: Settings,
    *,
    workers: int = 1,
    beam: Sequence[str] | None = None,
    log: Log = print,
) -> Made:
    """Makes a dataset.

    Args:
        settings: the settings.
        workers: the number of processes.
        beam: options of Apache Beam; None does without it.
        log: receives lines for the user.

    Raises:
        ValueError: the manifest or a setting cannot be used, another process works in the same
            folder, or nothing can be used. A dataset that is already there stays.
    """
    out = settings.out
    inputs = _ready(settings, log)
    table = sources.table(settings.source)
    with dataset_files.workplace(out, "run", other=_OTHER):
        with dataset_files.workplace(out, DATASET, out / DATASET, _OTHER):
            pass  # Moves a dataset back that a killed run had put aside.
        keys = Keys.load(settings.key)
        memory = patient_splits.remembered(out, keys.fingerprint, settings.keep_splits)
        Store(out / "stage").clean()
        given = {keys.pseudonym("patient", p): name for p, name in inputs.published.items()}
        tasks = studies.tasks(inputs.found.rows, keys)
        log(f"annotate: {len(inputs.found.rows)} rows about {len(tasks)} images of studies")
        outcomes = engine.run(tasks, settings, workers, beam)
        store = Store(out / "stage")
        results = [
            Result(store.folder(studies.STAGE, o.key), tuple(row.line for row in task.rows))
            for o, task in zip(outcomes, tasks, strict=True)
            if o.key
        ]
        rejects = [rejects_lib.of_problem(p, table) for p in inputs.found.problems]
        rejects += engine.faults(outcomes, {task.id: task for task in tasks})
        for result in results:
            rejects += result.rejects()
        failed = sum(bool(o.fault) for o in outcomes)
        if not any(o.items for o in outcomes):
            raise ValueError(rejects_lib.nothing(rejects))
        made = _assembled(results, rejects, settings, given | inputs.earlier, memory)
    for line in made.pop("said"):
        log(line)
    if failed:
        log(
            f"annotate: {failed} images of studies failed for reasons that may pass; the same "
            "command tries them again"
        )
    return Made(out / DATASET, failed=failed, **made)


@dataclasses.dataclass(frozen=True)
class _Inputs:
    found: Manifest
    published: dict[str, str]  # The splits that a publisher gives, by the names of the source.
    earlier: dict[str, str]  # The splits of the setting `splits_from`, by pseudonym.


def _ready(settings: Settings, log: Log) -> _Inputs:
    """Reads the inputs and checks everything that can be checked before a file is written."""
    out = settings.out
    if settings.scrubber:
        texts.load_model(settings.scrubber)
    place.check(out)
    splits = settings.keep_splits and (out / place.SPLITS).exists()
    if not settings.key.exists() and (splits or place.own_card(out / DATASET)):
        raise ValueError(
            f"{settings.key.name}: the key of the dataset that is there is gone, and with another "
            "one all pseudonyms would change; put it back (--config.key=FILE), or give another out"
        )
    fingerprint = Keys.load(settings.key).fingerprint if settings.key.exists() else ""
    earlier = patient_splits.earlier(settings.splits_from, fingerprint)
    found = sources.read(settings.source)
    if not found.rows:
        table = sources.table(settings.source)
        raise ValueError(
            rejects_lib.nothing([rejects_lib.of_problem(p, table) for p in found.problems])
        )
    published = sources.splits(settings.source)
    if settings.segment == "totalsegmentator":
        modalities = {row.modality for row in found.rows}
        for line in installation.check(settings.totalsegmentator, modalities):
            log(f"TotalSegmentator: {line}")
    return _Inputs(found, published, earlier)


def _assembled(
    results: Sequence[Result],
    rejects: list[dict[str, Any]],
    settings: Settings,
    given: Mapping[str, str],
    memory: patient_splits.Memory,
) -> dict[str, Any]:
    """Writes the dataset and the rejects; returns counts, and lines for the user."""
    out = settings.out
    with dataset_files.workplace(out, DATASET, out / DATASET, _OTHER) as scratch:
        root = scratch / "new"
        root.mkdir()
        keys = Keys.load(settings.key)
        written = write.write(results, root, settings, given, memory)
        rejects = sorted(rejects + written.rejects, key=rejects_lib.order)
        audit = _audit(results, root / AUDIT)
        facts, left_out = card_counts.count(written.by_split()), card_counts.rejected(rejects)
        content, markdown = card.make(
            facts
            | {
                "title": "A grounded dataset of CT and MR slices",
                "rejected": left_out,
                "deidentification": audit,
                "leaks": leaks.check(written.by_split()),
                "licences": sources.licences(settings.source) + list(settings.licences),
                "options": _options(settings),
                "versions": {"big_rad.annotate": settings_lib.code()[:12]},
                "key": keys.fingerprint,
                "draw": written.assigned.draw,
                "warnings": written.assigned.warnings,
            }
        )
        files.write_whole(root / place.CARD, json.dumps(content, indent=1, sort_keys=True) + "\n")
        files.write_whole(root / "card.md", markdown)
        page.write(root / "page.html", written.with_splits(), written.picture, rejects, content)
        text = "".join(json.dumps(r, sort_keys=True) + "\n" for r in rejects)
        place.check(out)  # Somebody may have put files there meanwhile.
        # Until the new dataset is there, only patients of earlier ones are remembered.
        patient_splits.remember(out, keys.fingerprint, memory.patients)
        files.write_whole(out / REJECTS, text)
        dataset_files.put(root, out / DATASET, scratch)
        everyone = dict(memory.patients) | written.assigned.splits
        patient_splits.remember(out, keys.fingerprint, everyone)
    said = [f"annotate: {len(written.items)} images in {out / DATASET}"]
    said += patient_splits.said(written.assigned, memory) + rejects_lib.said(rejects)
    return {"items": len(written.items), "rejects": len(rejects), "said": said}


def _audit(results: Sequence[Result], path: Path) -> dict[str, dict[str, int]]:
    """Writes what was done to each image of a study, and returns the sums."""
    total: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)

    def lines() -> Iterator[bytes]:
        for result in results:
            line = result.audit()
            yield line
            for name, counts in json.loads(line).items():
                if isinstance(counts, dict):
                    total[name].update(counts)

    files.write_whole(path, lines())
    return {name: dict(sorted(counts.items())) for name, counts in sorted(total.items())}


def _options(settings: Settings) -> dict[str, Any]:
    return settings.content() | {
        "shares": list(settings.shares),
        "questions": settings.questions,
    }


def settings_of(config: ml_collections.ConfigDict) -> Settings:
    """Returns the settings of a config.

    Raises:
        ValueError: a field is unknown or has an impossible value; the message names it.
    """
    c = config.to_dict()
    known = _fields()
    if unknown := sorted(set(c) - set(known)):
        raise ValueError(f"config has no field {unknown[0]!r}{did_you_mean(unknown[0], known)}")
    importer = c["importer"]
    if bool(c["manifest"]) == bool(importer):
        raise ValueError("config: give manifest=FILE or an importer, and not both")
    if importer and importer not in sources.IMPORTERS:
        raise ValueError(
            f"config.importer is {importer!r}; known: {', '.join(sources.IMPORTERS)}"
            + did_you_mean(importer, sources.IMPORTERS)
        )
    if importer and not c["source"]:
        raise ValueError("config.source: give the folder that the importer reads")
    if not c["out"]:
        raise ValueError("config.out: give the folder of the results, out=DIR")
    _check(c)
    out = Path(c["out"])
    return Settings(
        source=Source(
            Path(c["manifest"]) if c["manifest"] else None, importer,
            Path(c["source"]) if c["source"] else None, Path(c["notes"]) if c["notes"] else None,
        ),
        out=out,
        key=Path(c["key"]) if c["key"] else out / KEY,
        segment=c["segment"],
        totalsegmentator=_segmentator(c["totalsegmentator"]),
        matching=match.Options(**_tuples(c["match"])),
        shares=tuple(map(float, c["shares"])),
        splits_from=Path(c["splits_from"]) if c["splits_from"] else None,
        licences=tuple(c["licences"]),
        **{
            k: c[k]
            for k in ("nifti_image_numbers", "patterns", "scrubber", "templates", "seed",
                      "keep_splits", "questions")
        },
    )  # fmt: skip


def _segmentator(values: Mapping[str, Any]) -> Segmentator:
    folders = {k: Path(values[k]) if values[k] else None for k in ("home", "weights")}
    return Segmentator(**_tuples(values) | folders)


def _fields() -> tuple[str, ...]:
    own = [f.name for f in dataclasses.fields(Settings)]
    renamed = {"matching": "match"}
    return (*(renamed.get(n, n) for n in own), "manifest", "importer", "notes", "workers")


_LICENCE = {"source", "licence", "note", "pass_on"}


def _check(c: Mapping[str, Any]) -> None:
    def need(field: str, right: bool, what: str) -> None:
        if not right:
            holder: Any = c
            for part in field.split("."):
                holder = holder[part]
            raise ValueError(f"config.{field} is {holder!r}; give {what}")

    need("segment", c["segment"] in settings_lib.SEGMENT, " or ".join(settings_lib.SEGMENT))
    planes = tuple(c["match"]["planes"])
    need("match.planes", bool(planes) and set(planes) <= set(PLANES), f"some of {PLANES}")
    need("match.slices_per_sentence", _whole(c["match"]["slices_per_sentence"], 1), "at least 1")
    need("match.min_area_mm2", c["match"]["min_area_mm2"] >= 0, "a number of at least 0")
    need(
        "nifti_image_numbers", c["nifti_image_numbers"] in settings_lib.NUMBERS,
        "'ascending', 'descending' or ''",
    )  # fmt: skip
    need("templates", _whole(c["templates"], 0), "a whole number of at least 0")
    need("questions", _whole(c["questions"], 0), "a whole number of at least 0")
    need("workers", _whole(c["workers"], 1), "a whole number of at least 1")
    for one in c["licences"]:
        # Without a source or a licence the card could not say what is allowed.
        right = hasattr(one, "items") and {"source", "licence"} <= {*one} <= _LICENCE
        right = right and all(isinstance(one[k], str) and one[k] for k in ("source", "licence"))
        right = right and isinstance(one.get("pass_on", True), bool)
        need("licences", right, "(dict(source='own', licence='none', note='', pass_on=False),)")
    need("keep_splits", isinstance(c["keep_splits"], bool), "True or False")
    shares = tuple(c["shares"])
    right = len(shares) == 3 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6
    need("shares", right, "three shares of train, val and test that add up to 1")


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}


def parsed(
    argv: Sequence[str],
    program: str,
    usage: str,
    define: Callable[[flags.FlagValues], None] | None = None,
) -> tuple[Any, flags.FlagValues]:
    """Reads `--config=FILE:ARGUMENTS`, `--config.FIELD=VALUE` and further flags.

    Args:
        argv: the arguments.
        program: the name of the program, for messages.
        usage: what to give, for messages.
        define: a function that defines the further flags; None defines `--beam=OPTIONS`.

    Returns:
        The config, and all flags.

    Raises:
        ValueError: the command line is wrong.
    """
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the recipe", flag_values=values)
    (define or _beam)(values)
    rest = overrides.parse([program, *argv], values, fill=False)
    if rest[1:]:
        raise ValueError(f"unknown argument {rest[1]!r}; {usage}")
    if values.config is None:
        raise ValueError(f"--config is missing; {usage}")
    return values.config, values


def _beam(values: flags.FlagValues) -> None:
    flags.DEFINE_string("beam", None, "options of Apache Beam, in quotes", flag_values=values)


def main(argv: Sequence[str]) -> int:
    """Runs `python -m big_rad.annotate run`.

    Args:
        argv: the arguments behind `run`.

    Returns:
        The exit code: 0; 1 if a study failed for a reason that may pass; 2 for an error.
    """
    if "--help" in argv or "-h" in argv:
        print(__doc__.strip())
        return 0
    settings = None
    try:
        config, values = parsed(
            argv, "annotate", "give --config=configs/annotate.py:manifest=FILE,out=DIR"
        )
        settings = settings_of(config)
        beam = None if values.beam is None else shlex.split(values.beam)
        made = run(settings, workers=config.workers, beam=beam)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from there", file=sys.stderr)
        return 130
    except OSError as e:
        print(f"error: {place.said(e, settings.out) if settings else e}", file=sys.stderr)
        return 2
    except (ValueError, Failed) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 1 if made.failed else 0
