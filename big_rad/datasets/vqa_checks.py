"""Opens the images of a set of questions, to list what is wrong and to count what can be used."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from big_rad.datasets import progress, vqa_json
from big_rad.datasets.contents import Contents
from big_rad.datasets.records import Problem
from big_rad.pp.example import LabelMap


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a check of an image found.

    Attributes:
        problems: what is wrong.
        usable: whether the image can be used.
        boxes: the class ids of its boxes.
        segmap: of class ids, or None.
        unopened: there is a mask, and it was not looked at.
    """

    problems: list[Problem]
    usable: bool = True
    boxes: tuple[int, ...] = ()
    segmap: LabelMap | None = None
    unopened: bool = False


def check_images(
    plan: vqa_json.Plan,
    check: Callable[[vqa_json.Job], Checked],
    workers: int,
    contents: dict[str, Contents] | None = None,
) -> Iterator[Problem]:
    """Yields what `check` finds in each image once, in order.

    Args:
        plan: of the source.
        check: looks at an image.
        workers: threads.
        contents: takes what can be used of each split.
    """
    jobs: dict[str, list[tuple[str, vqa_json.Job]]] = {}
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
