"""Builds SLAKE 1.0 from its published files, or lists their problems.

    source/{train,validate,test}.json  mask.txt  imgs/xmlabN/{source.jpg,mask.png,detection.json}

"validation.json" and the folder imgs/imgs are accepted too. A record is an image with all its
questions, its boxes and its label map. Within one language, no image is in two splits; if English
and Chinese are built together, many images are.
"""

import argparse
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from big_rad.datasets import build as build_lib
from big_rad.datasets import files, records, reject_limit, vqa_checks, vqa_json
from big_rad.datasets.contents import Contents
from big_rad.datasets.records import Problem, SourceError
from big_rad.datasets.slake import VERSION, annotation, organs

SPLIT_FILES = {
    "train": ("train.json",),
    "validation": ("validate.json", "validation.json"),
    "test": ("test.json",),
}
# The published numbers of rows; one of the English rows has no answer.
PUBLISHED = {
    "en": {"train": 4919, "validation": 1053, "test": 1061},
    "zh": {"train": 4916, "validation": 1046, "test": 1033},
}
MODALITIES = {"ct": "CT", "mri": "MR"}
IMAGES = "imgs"
# The files that may lie beside an image, and what they contain.
_BESIDE = {annotation.DETECTION: "boxes", annotation.MASK: "label map"}
# The level of a problem that counts an image which lost boxes or its label map.
_PARTLY_ANNOTATED = "partly annotated"
WHERE = "SLAKE 1.0 is to be had, free of charge, from the site of its authors, med-vqa.com/slake"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this dataset."""
    parser.add_argument(
        "--languages",
        default="en",
        help="of the questions: en (default), zh or en,zh; prompts exist for en only",
    )
    parser.add_argument(
        "--allow_other_counts",
        action="store_true",
        help="build although a split has not the published number of questions",
    )
    parser.add_argument(
        "--allow_shared_images",
        action="store_true",
        help="build although images are in more than one split, as they are with en,zh",
    )


def build(
    source: str | Path,
    data_dir: str | Path,
    *,
    languages: str | Sequence[str] = "en",
    allow_other_counts: bool = False,
    allow_shared_images: bool = False,
    **options: Unpack[build_lib.BuildOptions],
) -> records.Built:
    """Builds the dataset; its config is named after the languages ("en", "zh", "en_zh").

    Args:
        source: the folder with the published files.
        data_dir: the folder under which `slake/<config>/<version>` lies.
        languages: "en", "zh" or both, as "en,zh" or a sequence.
        allow_other_counts: whether the number of questions of a split may differ from the
            published one.
        allow_shared_images: whether an image may be in more than one split.
        options: `workers`, `overwrite`, `beam`, `max_reject_share`, see `datasets.build.build`.

    Raises:
        SourceError: Files are missing or broken, the counts are not the published ones, or splits
            share images.
        ValueError: A language is unknown, or the dataset is already built with other parameters.
        BuildError: Too many items, or the annotations of too many images, cannot be used.
    """
    source, chosen = Path(source), _languages(languages)
    plan = read(source, chosen)
    warnings = _warnings(plan, source, chosen, allow_other_counts, allow_shared_images)
    values, _ = annotation.values_of(source)
    warnings += [f"warning: {p}" for p in _lacking(plan, brief=True)]
    config = "_".join(chosen)
    share = options.get("max_reject_share", reject_limit.SHARE)
    built = build_lib.build(
        "slake",
        config=config,
        version=VERSION,
        description="SLAKE 1.0: questions, boxes and label maps of CT, MR and X-ray pictures.",
        splits=plan.jobs,
        make=functools.partial(make, values),
        params={
            "languages": chosen,
            "questions": plan.sha256,
            "values": values,
            "organs": organs.digest(),
            "images": {s: vqa_json.digest(jobs, tuple(_BESIDE)) for s, jobs in plan.jobs.items()},
        },
        data_dir=data_dir,
        patients=False,
        judge=functools.partial(_check_annotations, plan, share),
        **options,
    )
    built.notes += vqa_json.notes(built, plan, "slake", config, VERSION)
    built.notes += warnings
    return built


def validate(
    source: str | Path,
    *,
    pixels: bool = True,
    workers: int = 1,
    languages: str | Sequence[str] = "en",
    allow_other_counts: bool = False,
    allow_shared_images: bool = False,
    contents: dict[str, Contents] | None = None,
) -> Iterator[Problem]:
    """Yields every problem of the published files.

    Args:
        source: the folder with the published files.
        pixels: whether images and masks are opened.
        workers: the number of threads that open images.
        languages: the languages, as for `build`.
        allow_other_counts: whether differences from the published counts are not reported.
        allow_shared_images: whether shared images are reported in one single warning.
        contents: a dict that receives the counts of the usable items of each split, or None. It is
            complete when the last problem has been yielded.
    """
    source, chosen = Path(source), _languages(languages)
    try:
        plan = read(source, chosen)
    except vqa_json.JsonError as e:
        yield e.problem
        return
    yield from plan.problems()
    if not allow_other_counts:
        yield from vqa_json.other_counts(plan, _expected(chosen), _names(source))
    yield from vqa_json.shared_images(plan, "img_name", brief=allow_shared_images)
    values, found = annotation.values_of(source)
    yield from found
    yield from _lacking(plan)
    check = functools.partial(_check, values, pixels)
    yield from vqa_checks.check_images(plan, check, workers, contents)


def read(source: Path, languages: Sequence[str]) -> vqa_json.Plan:
    """Reads the questions of the chosen languages.

    Raises:
        SourceError: A file or the folder of images is missing, or a file is broken.
    """
    names = _names(source)
    missing = [n for n in names.values() if not (source / n).is_file()]
    missing += [] if (source / IMAGES).is_dir() else [IMAGES]
    if missing:
        listed = ", ".join(missing)
        raise SourceError(f"the source folder has no {listed}. {WHERE}")
    nested = (source / IMAGES / "imgs").is_dir()
    rows = {split: vqa_json.read_rows(source / name) for split, name in names.items()}
    questions_of = _QuestionMaker("imgs/imgs/" if nested else "imgs/", tuple(languages))
    return vqa_json.make_plan(source, rows, [source / n for n in names.values()], questions_of)


def make(
    values: Mapping[int, str], job: vqa_json.ImageQuestions
) -> Iterable[records.Record | Problem]:
    """Yields the record of an image, and a problem for everything that is left out of it.

    If the image itself cannot be used, there is only the problem.
    """
    yield from job.problems
    if not job.image:
        return
    image = vqa_json.pixels(job)
    if isinstance(image, Problem):
        yield image
        return
    found = annotation.annotate(job.root, _folder(job), image.shape[:2], values)
    errors = [p for p in found.problems if p.level == "error"]
    # Only boxes or the label map are lost; the image and its questions are still used.
    for problem in errors:
        yield dataclasses.replace(problem, items=0)
    if errors:
        yield dataclasses.replace(errors[0], level=_PARTLY_ANNOTATED)
    made = records.make_image_record(
        job.id,
        job.modality,
        image,
        body_part=job.body_part,
        segmap=found.segmap,
        boxes=found.boxes,
        unsure=found.unsure,
        texts=job.texts,
    )
    yield records.make_record(job.id, job.id, [made])


def _warnings(
    plan: vqa_json.Plan,
    source: Path,
    languages: Sequence[str],
    allow_other_counts: bool,
    allow_shared_images: bool,
) -> list[str]:
    """Returns warnings on allowed differences from the published dataset; raises for others."""
    counts = [str(p) for p in vqa_json.other_counts(plan, _expected(languages), _names(source))]
    if counts and not allow_other_counts:
        raise SourceError(
            f"{'; '.join(counts)}. Download SLAKE 1.0 again, or pass --allow_other_counts if it is "
            "meant to be"
        )
    shared = len(plan.shared())
    if shared and not allow_shared_images:
        raise SourceError(
            f"{shared} images are in more than one split{vqa_json.leaks(plan)}; "
            "build one language at a time (--languages=en), or pass --allow_shared_images"
        )
    leak = [f"{shared} images are in more than one split"] if shared else []
    return [f"warning: {w}" for w in counts + leak]


def _check_annotations(plan: vqa_json.Plan, share: float, found: Sequence[Problem]) -> None:
    """Raises BuildError if too large a share of the images lost boxes or their label map."""
    lost = [p for p in found if p.level == _PARTLY_ANNOTATED]
    images = sum(bool(job.image) for jobs in plan.jobs.values() for job in jobs)
    whole, ones = images - len(lost), [1] * len(lost)
    if not reject_limit.exceeds(share, whole, ones):
        return
    error = records.BuildError(
        f"slake: the boxes or the mask of {len(lost)} of {images} images cannot be used, more than "
        f"max_reject_share={share:g}. The first is {lost[0]}\n"
        "`python -m tools.validate_data slake` lists all; download the set again, or build without "
        f"them with --max_reject_share={reject_limit.needed(whole, ones):g}"
    )
    error.share = reject_limit.needed(whole, ones)
    raise error


class _QuestionMaker:
    """Makes the question of a row; the object remembers all qids, to find repeated ones."""

    def __init__(self, folder: str, languages: Sequence[str]):
        self._folder, self._languages = folder, languages
        self._seen: set[str | int | float] = set()

    def __call__(self, row: vqa_json.Row) -> Iterator[vqa_json.Question | Problem]:
        fields = row.fields
        lang = fields.get("q_lang")
        if not isinstance(lang, str) or lang not in PUBLISHED:
            yield row.problem("q_lang", "neither en nor zh; the row is left out")
            return
        if lang not in self._languages:
            return
        if bad := vqa_json.check_qid(row, self._seen):
            yield bad
            return
        image = vqa_json.image_name(row, "img_name")
        text = vqa_json.text_of(row, "question", "answer", "answer_type", lang)
        for part in (image, text):
            if isinstance(part, Problem):
                yield part
                return
        modality, body_part = (
            v if isinstance(v := fields.get(k), str) and v.isprintable() else ""
            for k in ("modality", "location")
        )
        modality = MODALITIES.get(modality.lower(), "OT")
        yield vqa_json.Question(f"{self._folder}{image}", text, modality, body_part)


def _lacking(plan: vqa_json.Plan, brief: bool = False) -> Iterator[Problem]:
    """Yields a warning for each image without detection.json or mask.png.

    If all images lack the file, there is one warning for all.

    Args:
        plan: the plan of the source.
        brief: whether there is always only one warning for each file, with the number of images.
    """
    jobs = {j.image: j for jobs in plan.jobs.values() for j in jobs if j.image}
    there = [j for j in jobs.values() if files.is_file(j.root / j.image)]
    for name, what in _BESIDE.items():
        lack = [_folder(j) for j in there if not files.is_file(j.root / _folder(j) / name)]
        if len(lack) == len(there) > 0 or brief and lack:
            message = f"{len(lack)} of {len(there)} images have no {name}, so no {what}; {WHERE}"
            yield Problem(IMAGES, None, "", message, "warning")
            continue
        for folder in lack:
            message = f"is missing, so the image has no {what}; download the set again"
            yield Problem(f"{folder}/{name}", None, "", message, "warning")


def _check(
    values: Mapping[int, str], pixels: bool, job: vqa_json.ImageQuestions
) -> vqa_checks.Checked:
    shape, problems = None, []
    if pixels:
        image = vqa_json.pixels(job)
        problems += [image] if isinstance(image, Problem) else []
        shape = None if problems else image.shape[:2]
    elif missing := vqa_json.missing_problem(job):
        problems.append(missing)
    found = annotation.annotate(job.root, _folder(job), shape, values)
    unopened = not pixels and files.is_file(job.root / _folder(job) / annotation.MASK)
    boxes = tuple(int(b[4]) for b in found.boxes)
    usable = not problems
    return vqa_checks.Checked(problems + found.problems, usable, boxes, found.segmap, unopened)


def _folder(job: vqa_json.ImageQuestions) -> str:
    return job.image.rpartition("/")[0]


def _names(source: Path) -> dict[str, str]:
    """Returns the file name of each split: the one that exists, or else the published one."""
    return {
        split: next((n for n in names if (source / n).is_file()), names[0])
        for split, names in SPLIT_FILES.items()
    }


def _expected(languages: Sequence[str]) -> dict[str, int]:
    return {s: sum(PUBLISHED[lang][s] for lang in languages) for s in SPLIT_FILES}


def _languages(languages: str | Sequence[str]) -> list[str]:
    given = languages.split(",") if isinstance(languages, str) else list(languages)
    if not given or set(given) - set(PUBLISHED):
        raise ValueError(f"languages is {','.join(given)!r}; give en, zh or en,zh")
    return [lang for lang in PUBLISHED if lang in given]
