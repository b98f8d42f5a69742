"""The label map of a volume, and the grid on which masks are laid on it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import zstandard
from jaxtyping import Bool, Float, Shaped, UInt8

from big_rad import files
from big_rad.annotate.faults import Rejected

# Headers are rounded, so the voxels of a mask may lie this far from those of the volume, in voxels.
NEAR = 0.25
_LABELS, _ABOUT = "labels.zst", "labels.json"
ELSEWHERE = "the mask does not lie on the voxels of the volume"
REMEDY = "save it on the grid of the image, without resampling"


@dataclasses.dataclass(frozen=True)
class Segmented:
    """The label map of a volume.

    Attributes:
        labels: the class id of each voxel of the volume, 0 for background. In memory the first
            axis runs fastest, as in NIfTI files, so that slices along the last axis are read fast.
        warnings: sentences that each say what was guessed, turned or left out.
        about: where the labels come from, as JSON has it. Its keys are "source" (such as
            "precomputed"), "version", "task", "kind", "names", "labels_not_used" and
            "voxels_in_several_classes"; a run of TotalSegmentator adds "fast".
    """

    labels: UInt8[np.ndarray, "i j k"] = dataclasses.field(repr=False)
    warnings: tuple[str, ...]
    about: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Writes the label map into a folder, for `load`."""
        shape = self.labels.shape
        about = {"shape": shape, "warnings": self.warnings, "about": self.about}
        packed = zstandard.ZstdCompressor().compress(np.ascontiguousarray(self.labels).tobytes())
        (folder / _LABELS).write_bytes(packed)
        files.write_whole(folder / _ABOUT, json.dumps(about, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> "Segmented":
        """Returns what `save` wrote."""
        held = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        size = int(np.prod(held["shape"]))
        packed = (folder / _LABELS).read_bytes()
        values = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        labels = np.frombuffer(values, np.uint8).reshape(held["shape"])
        return cls(labels, tuple(held["warnings"]), held["about"])


class Canvas:
    """A label map on which masks of classes are painted, in the order of `harmonised.ORDER`.

    Attributes:
        labels: the class id of each voxel.
    """

    def __init__(self, shape: tuple[int, int, int]):
        self.labels: UInt8[np.ndarray, "i j k"] = np.zeros(shape, np.uint8, order="F")
        self._several: Bool[np.ndarray, "i j k"] | None = None

    def paint(
        self,
        where: tuple[slice, ...],
        inside: Bool[np.ndarray, "..."],
        class_id: int,
        orientation: Float[np.ndarray, "3 2"] | None = None,
    ) -> None:
        """Gives voxels to a class. Classes must come in the order of `harmonised.ORDER`.

        Args:
            where: slices of the label map.
            inside: whether each voxel at `where` belongs to the class.
            class_id: the class id.
            orientation: the orientation to which the label map is turned first, see `turn`.
        """
        part = turned(self.labels, orientation)[where]
        taken = inside & (part != 0) & (part != class_id)
        if taken.any():
            if self._several is None:  # Most masks do not overlap, and this needs as much again.
                self._several = np.zeros(self.labels.shape, bool, order="F")
            turned(self._several, orientation)[where] |= taken
        part[inside] = class_id

    @property
    def several(self) -> int:
        """The number of voxels that lie in the masks of several classes."""
        return 0 if self._several is None else int(self._several.sum())


def overlap(voxels: int) -> tuple[str, ...]:
    """Returns the warning about voxels in several classes, () if there are none."""
    if not voxels:
        return ()
    return (f"masks of different classes overlap in {voxels} voxels; the later class counts",)


def not_used(count: int) -> tuple[str, ...]:
    """Returns the warning about labels whose names are no class, () if there are none."""
    if not count:
        return ()
    return (f"labels not used, because their names are no class: {count}",)


def turned(
    values: Shaped[np.ndarray, "i j k"], orientation: Float[np.ndarray, "3 2"] | None
) -> Shaped[np.ndarray, "..."]:
    """Returns a view of an array, turned to an orientation of nibabel; None does not turn it."""
    return values if orientation is None else nib.apply_orientation(values, orientation)


def turn(
    shape: tuple[int, ...],
    affine: Float[np.ndarray, "4 4"],
    onto: tuple[int, int, int],
    onto_affine: Float[np.ndarray, "4 4"],
) -> tuple[np.ndarray, bool]:
    """Finds how the axes of a mask run along those of a volume.

    The orientation is taken from the matrix between both grids and not from each grid alone: a
    small difference could otherwise turn a volume that lies at 45 degrees to the patient.

    Args:
        shape: the shape of the mask.
        affine: its matrix from voxels to mm.
        onto: the shape of the volume.
        onto_affine: the volume's matrix from voxels to mm, in the same coordinates.

    Returns:
        The orientation with which `nib.apply_orientation` turns an array of the volume's shape to a
        view in the order of the mask, and whether this changes the order.

    Raises:
        Rejected: the mask does not have its voxels where the volume has them.
    """
    between = np.linalg.solve(onto_affine, affine)
    found = nib.io_orientation(between)
    if np.isnan(found).any():
        raise Rejected(f"{ELSEWHERE}: it lies askew; {REMEDY}")
    towards = found[:, 0].astype(int)
    seen = [0] * 3
    for axis, target in enumerate(towards):
        seen[target] = shape[axis]
    if tuple(seen) != tuple(onto):
        sizes = [" x ".join(map(str, s)) for s in (seen, onto)]
        raise Rejected(f"the mask has {sizes[0]} voxels and the volume {sizes[1]}; {REMEDY}")
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    exact = corners @ between[:3, :3].T + between[:3, 3]
    whole = np.empty_like(exact)
    for axis, (target, sign) in enumerate(zip(towards, found[:, 1])):
        along = corners[:, axis]
        whole[:, target] = along if sign > 0 else shape[axis] - 1 - along
    apart = np.abs(exact - whole).max()
    if apart > NEAR:
        raise Rejected(f"{ELSEWHERE}: it is up to {apart:.2g} voxels off; {REMEDY}")
    same = np.array([[0, 1], [1, 1], [2, 1]], float)
    return nib.orientations.ornt_transform(same, found), not np.array_equal(found, same)
