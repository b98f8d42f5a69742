"""Builds VQA-RAD from its published files, or lists their problems.

    source/"VQA_RAD Image Folder"/*.jpg                      (or images/ or image/)
    split_dir/{train,validation,test}_fixed_split.json       config "wu"
    split_dir/"VQA_RAD Dataset Public.json"                  config "common"
    split_dir/{trainset,testset}.json                        config "common"

`split_dir` is the same folder as `source` if it is not given. The common split is also distributed
as the two files trainset.json and testset.json, which are read if the public file is not there. The
files of "common" are looked for in `source` if `split_dir` has none of them.

In "wu" (Wu et al. 2025) no image is in two splits. "common" has 3,064 training and 451 test
questions, and all its test images are also training images. Its training questions are the rows
that are not marked as test, and the rephrased question (`question_frame`) of every row, test rows
included.
"""

import argparse
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Unpack

from big_rad.datasets import build as build_lib
from big_rad.datasets import records, vqa_checks, vqa_json
from big_rad.datasets.contents import Contents
from big_rad.datasets.records import Problem, SourceError
from big_rad.datasets.vqa_json import Row
from big_rad.datasets.vqa_rad import VERSION

CONFIGS = ("wu", "common")
PUBLISHED = {
    "wu": {"train": 785, "validation": 728, "test": 735},
    "common": {"train": 3064, "test": 451},
}
SPLIT_FILE = "{}_fixed_split.json"
PUBLIC = "VQA_RAD Dataset Public.json"
COMMON_FILES = {"train": "trainset.json", "test": "testset.json"}
IMAGE_FOLDERS = ("VQA_RAD Image Folder", "images", "image")
WHERE = (
    "VQA-RAD (images and questions) can be downloaded from osf.io, from the page of Lau et al. "
    "2018, 'A dataset of clinically generated visual questions and answers about radiology images'"
)
WHERE_SPLIT = (
    "the three *_fixed_split.json of the split without shared images (Wu et al. 2025, 'Towards "
    "generalist foundation model for radiology', Nature Communications) come with the released "
    "RadGrounder code; name their folder with --split_dir"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this dataset."""
    parser.add_argument(
        "--config",
        default="wu",
        choices=CONFIGS,
        help="wu: no image in two splits (default); common: the usual split, which leaks images",
    )
    parser.add_argument(
        "--split_dir", help="folder of the files with the questions; the source folder if not given"
    )
    parser.add_argument(
        "--allow_other_counts",
        action="store_true",
        help="build although a split has not the published number of questions",
    )
    parser.add_argument(
        "--as_stored",
        action="store_true",
        help="keep pictures as stored, as the released model was trained",
    )


def build(
    source: str | Path,
    data_dir: str | Path,
    *,
    config: str = "wu",
    split_dir: str | Path | None = None,
    allow_other_counts: bool = False,
    as_stored: bool = False,
    **options: Unpack[build_lib.BuildOptions],
) -> records.Built:
    """Builds the dataset.

    Args:
        source: the folder with the images.
        data_dir: the folder under which `vqa_rad/<config>/<version>` lies.
        config: "wu" or "common".
        split_dir: the folder of the questions; None means `source`.
        allow_other_counts: whether the number of questions of a split may differ from the
            published one.
        as_stored: whether pictures stay as they are stored; otherwise they are turned as their EXIF
            orientation says. A dataset that was built with the other value is built again.
        options: `workers`, `overwrite`, `beam`, `max_reject_share`, see `datasets.build.build`.

    Raises:
        SourceError: Files are missing or broken, the counts are not the published ones, or splits
            of "wu" share images.
        ValueError: The config is unknown, or the dataset is already built with other parameters.
        BuildError: Too many items cannot be used.
    """
    plan, files = read(Path(source), config, split_dir)
    warnings = _warnings(plan, files, config, allow_other_counts)
    built = build_lib.build(
        "vqa_rad",
        config=config,
        version=VERSION,
        description="VQA-RAD: questions about radiology pictures.",
        splits=plan.jobs,
        make=functools.partial(make, upright=not as_stored),
        params={
            "as_stored": as_stored,
            "questions": plan.sha256,
            "images": {s: vqa_json.digest(jobs) for s, jobs in plan.jobs.items()},
        },
        data_dir=data_dir,
        ignore=("as_stored",),
        patients=False,
        **options,
    )
    built.notes += vqa_json.notes(built, plan, "vqa_rad", config, VERSION)
    built.notes += warnings
    return built


def validate(
    source: str | Path,
    *,
    pixels: bool = True,
    workers: int = 1,
    config: str = "wu",
    split_dir: str | Path | None = None,
    allow_other_counts: bool = False,
    contents: dict[str, Contents] | None = None,
) -> Iterator[Problem]:
    """Yields every problem of the published files.

    Args:
        source: the folder with the images.
        pixels: whether the images are opened.
        workers: the number of threads that open images.
        config: "wu" or "common".
        split_dir: the folder of the questions; None means `source`.
        allow_other_counts: whether to accept counts that differ from the published ones.
        contents: a dict that receives the counts of the usable items of each split, or None. It is
            complete when the last problem has been yielded.
    """
    try:
        plan, files = read(Path(source), config, split_dir)
    except vqa_json.JsonError as e:
        yield e.problem
        return
    yield from plan.problems()
    if not allow_other_counts:
        yield from vqa_json.other_counts(plan, PUBLISHED[config], files)
    yield from vqa_json.shared_images(plan, "image_name", brief=config == "common")
    yield from vqa_checks.check_images(plan, functools.partial(_check, pixels), workers, contents)


def read(
    source: Path, config: str, split_dir: str | Path | None = None
) -> tuple[vqa_json.Plan, dict[str, str]]:
    """Reads the questions.

    Returns:
        the plan, and {split: the file that its questions come from}.

    Raises:
        SourceError: A file or the folder of images is missing, or a file is broken.
        ValueError: The config is unknown.
    """
    if config not in CONFIGS:
        raise ValueError(f"vqa_rad has no config {config!r}; there are {', '.join(CONFIGS)}")
    images = next((n for n in IMAGE_FOLDERS if (source / n).is_dir()), None)
    if images is None:
        raise SourceError(f"the source folder has no {' or '.join(IMAGE_FOLDERS)}. {WHERE}")
    question_folder = Path(split_dir) if split_dir else source
    if config == "common" and not any(
        (question_folder / n).is_file() for n in (PUBLIC, *COMMON_FILES.values())
    ):
        question_folder = source
    if config == "wu":
        files = {s: SPLIT_FILE.format(s) for s in PUBLISHED["wu"]}
        fields, rows = ("question", "answer", "q_type"), _rows(question_folder, files, WHERE_SPLIT)
    elif (question_folder / PUBLIC).is_file():
        files = dict.fromkeys(PUBLISHED["common"], PUBLIC)
        fields, rows = ("question", "answer", "answer_type"), _common(question_folder / PUBLIC)
    else:
        files = COMMON_FILES
        if not any((question_folder / n).is_file() for n in files.values()):
            raise SourceError(f"the folder has no {PUBLIC}. {WHERE}")
        fields, rows = ("question", "answer", "answer_type"), _rows(question_folder, files, WHERE)
    questions_of = _QuestionMaker(f"{images}/", fields)
    paths = [question_folder / name for name in dict.fromkeys(files.values())]
    return vqa_json.make_plan(source, rows, paths, questions_of), files


def make(job: vqa_json.ImageQuestions, upright: bool = True) -> Iterable[records.Record | Problem]:
    """Yields the record of an image, and problems for rows and images that are left out.

    Args:
        job: the image with its questions.
        upright: whether the image is turned as its EXIF orientation says.
    """
    yield from job.problems
    if not job.image:
        return
    image = vqa_json.pixels(job, upright=upright)
    if isinstance(image, Problem):
        yield image
        return
    yield records.make_record(
        job.id, job.id, [records.make_image_record(job.id, job.modality, image, texts=job.texts)]
    )


def _warnings(
    plan: vqa_json.Plan, files: Mapping[str, str], config: str, allow_other_counts: bool
) -> list[str]:
    """Returns warnings on allowed differences from the published dataset and on shared images.

    Differences that are not allowed raise SourceError.
    """
    counts = [str(p) for p in vqa_json.other_counts(plan, PUBLISHED[config], files)]
    if counts and not allow_other_counts:
        raise SourceError(
            f"{'; '.join(counts)}. Download the files again, or pass --allow_other_counts if it is "
            "meant to be"
        )
    shared = len(plan.shared())
    if config == "wu" and shared:
        raise SourceError(
            f"{shared} images are in more than one split, so this is not the split of Wu et al.: "
            f"{WHERE_SPLIT}. The split that shares images is --config=common"
        )
    leak = (
        f"{shared} test images are in train too (and rephrased test questions with their "
        "answers): not for comparing models, use --config=wu"
    )
    return [f"warning: {w}" for w in counts + ([leak] if config == "common" else [])]


class _QuestionMaker:
    """Makes the question of a row; the object remembers all qids, to find repeated ones."""

    def __init__(self, folder: str, fields: tuple[str, str, str]):
        self._folder, self._fields = folder, fields
        self._seen: set[str | int | float] = set()

    def __call__(self, row: Row) -> Iterator[vqa_json.Question | Problem]:
        if bad := vqa_json.check_qid(row, self._seen):
            yield bad
            return
        image = vqa_json.image_name(row, "image_name")
        text = vqa_json.text_of(row, *self._fields)
        for part in (image, text):
            if isinstance(part, Problem):
                yield part
                return
        yield vqa_json.Question(f"{self._folder}{image}", text)


def _rows(folder: Path, files: Mapping[str, str], where: str) -> dict[str, list[Row]]:
    missing = [n for n in files.values() if not (folder / n).is_file()]
    if missing:
        raise SourceError(f"the folder has no {', '.join(missing)}: {where}")
    return {split: vqa_json.read_rows(folder / name) for split, name in files.items()}


def _common(path: Path) -> dict[str, list[Row]]:
    """Returns the rows of the common split; the `question_frame` of a row is a row of its own."""
    splits: dict[str, list[Row]] = {"train": [], "test": []}
    for row in vqa_json.read_rows(path):
        phrase_type = row.fields.get("phrase_type")
        is_test = isinstance(phrase_type, str) and phrase_type.startswith("test_")
        splits["test" if is_test else "train"].append(row)
        framed = row.fields.get("question_frame")
        if isinstance(framed, str) and framed.strip().lower() not in ("", "null"):
            fields = {k: v for k, v in row.fields.items() if k != "qid"}
            splits["train"].append(
                Row(row.file, row.line, row.number, fields | {"question": framed})
            )
    return splits


def _check(pixels: bool, job: vqa_json.ImageQuestions) -> vqa_checks.Checked:
    # Whether an image can be used does not depend on its turn, so `as_stored` does not matter here.
    found = vqa_json.pixels(job, upright=True) if pixels else vqa_json.missing_problem(job)
    bad = isinstance(found, Problem)
    return vqa_checks.Checked([found] if bad else [], usable=not bad)
