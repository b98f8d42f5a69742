"""Estimates the time and the disk that a run needs, from the sizes of volumes and reports.

The constants of the engine were measured on one core of a server, with made volumes of 256 x 256
pixels; on another machine they are different. The seconds of TotalSegmentator, the size of its
stored label maps and the share of sentences are rough guesses. A run that was interrupted needs
only what is left.
"""

import dataclasses
from collections.abc import Iterable

from big_rad.annotate.checks.study import Found
from big_rad.annotate.settings import Settings

BASIS = (
    "measured on one core of an Intel Xeon with small made volumes on a local disk; yours may "
    "differ. That of TotalSegmentator was not measured"
)


@dataclasses.dataclass(frozen=True)
class Rates:
    """What a unit of work costs.

    Attributes:
        dicom: seconds for a million voxels of a DICOM series: reading it and its mask.
        nifti: seconds for a million voxels of a NIfTI volume: reading it and its mask.
        report: seconds for a report.
        item: seconds for an image of the dataset with its files.
        segmentation: seconds of TotalSegmentator for a volume.
        image: bytes of an item for each pixel, with its label map.
        text: bytes of an item besides.
        page: bytes of the page to look at, which shows a sample.
        label_map: bytes of a stored label map, for each voxel.
        volume: bytes of a canonical volume, for each voxel.
        share: the items for each sentence; two languages share an item where they agree.
    """

    dicom: float = 0.11
    nifti: float = 0.07
    report: float = 0.014
    item: float = 0.055
    segmentation: float = 90.0
    image: float = 2.2
    text: float = 8192.0
    page: float = 4e6
    label_map: float = 0.02
    volume: float = 2.0
    share: float = 0.55


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes:
        images, volumes, slices, voxels, reports, items: what is counted, or estimated (`items`).
        seconds: of the work on one core.
        segmentation: seconds of TotalSegmentator, one volume after the other.
        bytes: on the disk, of the results at their end.
        scratch: bytes of temporary files of one process.
        basis: what the figures rest on.
    """

    images: int
    volumes: int
    slices: int
    voxels: int
    reports: int
    items: int
    seconds: float
    segmentation: float
    bytes: float
    scratch: float
    basis: str = BASIS


def estimate(found: Iterable[Found], settings: Settings, rates: Rates = Rates()) -> Estimate:
    """Estimates what a run needs.

    Args:
        found: what `study.check` found about each image.
        settings: the settings of the run.
        rates: what a unit of work costs.
    """
    found = list(found)
    sizes = [size for one in found for size in one.sizes]
    voxels = {kind: sum(s.voxels for s in sizes if s.kind == kind) for kind in ("dicom", "nifti")}
    total, slices = sum(voxels.values()), sum(s.slices for s in sizes)
    reports = sum(one.texts for one in found)
    made = sum(one.sentences for one in found) * rates.share
    made = round(made * settings.matching.slices_per_sentence) + settings.templates * len(sizes)
    pixels = total / slices if slices else 0
    external = settings.segment == "totalsegmentator"
    # Files of the stage and of the dataset are the same, by hard links.
    stored = rates.page + made * (rates.image * pixels + rates.text)
    stored += total * rates.label_map if external else 0
    return Estimate(
        images=len(found), volumes=len(sizes), slices=slices, voxels=total, reports=reports,
        items=made,
        seconds=rates.dicom * voxels["dicom"] / 1e6 + rates.nifti * voxels["nifti"] / 1e6
        + rates.report * reports + rates.item * made,
        segmentation=rates.segmentation * len(sizes) if external else 0.0,
        bytes=stored,
        scratch=max((s.voxels for s in sizes), default=0) * rates.volume,
    )  # fmt: skip


def lines(made: Estimate, workers: int) -> list[str]:
    """Returns the lines for the user.

    Args:
        made: the estimate.
        workers: the number of processes of the run.
    """
    said = [
        f"estimate: {made.volumes:,} volumes with {made.slices:,} slices and "
        f"{made.voxels / 1e6:,.1f} million voxels, {made.reports:,} reports or sentences; about "
        f"{made.items:,} images in the dataset"
    ]
    processes = f"{workers} process" + ("es" if workers > 1 else "")
    time = f"about {_time(made.seconds / workers)} with {processes}"
    if made.segmentation:
        time += f", and {_time(made.segmentation)} of TotalSegmentator on one GPU"
    said.append(f"estimate: time {time}")
    said.append(
        f"estimate: disk about {_size(made.bytes)} for results, and {_size(made.scratch)} for "
        "temporary files of each process"
    )
    said.append(f"estimate: the figures for a unit of work were {made.basis}")
    return said


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{max(count / 1e6, 0.1):.1f} MB"
