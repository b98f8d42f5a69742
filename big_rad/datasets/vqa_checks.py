"""Opens the images of a VQA dataset, lists their problems and counts the usable ones."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from big_rad.datasets import progress, vqa_json
from big_rad.datasets.contents import Contents
from big_rad.datasets.records import Problem
from big_rad.pp.example import LabelMap


@dataclasses.dataclass(frozen=True)
class Checked:
    """The result of checking an image.

    Attributes:
        problems: the problems of the image.
        usable: whether the image can be used.
        boxes: the class ids of its boxes.
        segmap: its label map of class ids, or None.
        unopened: whether it has a mask that was not opened.
    """

    problems: list[Problem]
    usable: bool = True
    boxes: tuple[int, ...] = ()
    segmap: LabelMap | None = None
    unopened: bool = False


def check_images(
    plan: vqa_json.Plan,
    check: Callable[[vqa_json.ImageQuestions], Checked],
    workers: int,
    contents: dict[str, Contents] | None = None,
) -> Iterator[Problem]:
    """Yields the problems of all images in order; an image in two splits is checked once.

    Args:
        plan: the plan of the source.
        check: a function that checks the image of a job.
        workers: the number of threads.
        contents: a dict that receives the counts of the usable images of each split, or None.
    """
    jobs: dict[str, list[tuple[str, vqa_json.ImageQuestions]]] = {}
    for split, some in plan.jobs.items():
        for job in some:
            if job.image:
                jobs.setdefault(job.image, []).append((split, job))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        found = pool.map(lambda at: check(at[-1][1]), jobs.values())
        found = progress.over(found, "images checked", len(jobs))
        for at, image in zip(jobs.values(), found, strict=True):
            yield from image.problems
            for split, job in at if image.usable and contents is not None else ():
                contents.setdefault(split, Contents()).add_image(
                    "", job.texts, image.boxes, image.segmap, image.unopened
                )
