"""Cuts slices in their usual display out of a canonical volume and its label map.

    stack = Stack(stored, labels)
    stack.areas("axial")[57, 5]            # the area of the liver in slice 57, in mm2
    cut = stack.cut("axial", 57)           # pixels, label map, spacing and place

Pixels and label map are turned together, by the affine of the volume: the patient's left is on the
viewer's right in axial and coronal slices, and the front is on the viewer's left in sagittal ones.
"""

import dataclasses
import functools

import numpy as np
import scipy.ndimage
from jaxtyping import Float64, Num, UInt8

from big_rad.annotate.canonical import Stored
from big_rad.dicom import nifti
from big_rad.dicom.grid import Grid
from big_rad.dicom.image import PLANES, Place
from big_rad.grounding.classes import NUM_CLASSES

_SQUARE = 0.05  # The largest cosine of the angle between rows and columns, as in `place_of`.
_EIGHT = np.ones((3, 3), bool)  # Pixels that touch at a corner belong to the same component.


@dataclasses.dataclass(frozen=True)
class Cut:
    """One slice.

    Attributes:
        pixels: the values, int16 (HU in CT) or float32.
        segmap: the class ids of the pixels.
        spacing: the distances (between rows, between columns) in mm.
        place: where the pixels lie in the patient.
    """

    pixels: Num[np.ndarray, "height width"]
    segmap: UInt8[np.ndarray, "height width"]
    spacing: tuple[float, float]
    place: Place


class Stack:
    """A canonical volume with its label map.

    Args:
        stored: the volume.
        labels: the class id of each voxel, uint8 of the same shape.
    """

    def __init__(self, stored: Stored, labels: np.ndarray):
        if labels.shape != stored.shape or labels.dtype != np.uint8:
            raise ValueError(f"labels are {labels.dtype} {labels.shape}, the volume {stored.shape}")
        self.stored, self._labels = stored, labels
        self._grid = Grid(stored.shape, stored.affine)
        # Not `functools.cache`, which would keep every stack for ever.
        self._areas: dict[str, np.ndarray] = {}

    @functools.cached_property
    def classes(self) -> frozenset[int]:
        """The ids of the classes that the label map has anywhere."""
        return frozenset(map(int, np.flatnonzero(np.bincount(self._labels.ravel("K"))))) - {0}

    @property
    def own_plane(self) -> str:
        """The plane of the slices along the third stored axis."""
        return next(p for p in PLANES if self._grid.axis(p) == 2)

    def count(self, plane: str) -> int:
        """Returns the number of slices in a plane."""
        return self.stored.shape[self._grid.axis(plane)]

    def square(self, plane: str) -> bool:
        """Returns whether rows and columns of a plane are at right angles.

        They are not in the other planes of a CT whose gantry was tilted.
        """
        across = self._grid.axis(plane)
        first, second = (
            self.stored.affine[:3, k] / np.linalg.norm(self.stored.affine[:3, k])
            for k in range(3)
            if k != across
        )
        return abs(float(first @ second)) < _SQUARE

    def thickness(self, plane: str) -> float:
        """Returns the distance in mm between slices of a plane."""
        return float(np.linalg.norm(self.stored.affine[:3, self._grid.axis(plane)]))

    def areas(self, plane: str) -> Float64[np.ndarray, "slices classes"]:
        """Returns the area in mm2 of each class, 0 to 121, in each slice of a plane."""
        if plane not in self._areas:
            axis = self._grid.axis(plane)
            lengths = np.linalg.norm(self.stored.affine[:3, :3], axis=0)
            pixel = float(np.prod(np.delete(lengths, axis)))
            counts = [
                np.bincount(self._across(axis, k).ravel("K"), minlength=NUM_CLASSES + 1)
                for k in range(self.stored.shape[axis])
            ]
            self._areas[plane] = np.array(counts, float) * pixel
        return self._areas[plane]

    def cut(self, plane: str, index: int) -> Cut:
        """Returns a slice.

        Args:
            plane: "axial", "coronal" or "sagittal".
            index: the number of the slice, from 0, along the stored axis.
        """
        with open(self.stored.path, "rb") as stream:
            volume = nifti.Volume(stream, "a volume")
            pixels, where = volume.slice(plane, index, self.stored.affine)
        across = self._across(self._grid.axis(plane), index)
        segmap, _ = self._grid.turned(across, plane, index)
        return Cut(
            np.ascontiguousarray(pixels),
            np.ascontiguousarray(segmap),
            tuple(map(float, where["spacing"])),
            where["place"],
        )

    def _across(self, axis: int, index: int) -> UInt8[np.ndarray, "first second"]:
        # `np.take` would copy the whole map if it is stored in Fortran's order.
        return self._labels[(slice(None),) * axis + (index,)]


def without_specks(
    segmap: UInt8[np.ndarray, "height width"], spacing: tuple[float, float], least: float
) -> UInt8[np.ndarray, "height width"]:
    """Returns a label map without components that are smaller than `least` mm2.

    Components are 8-connected.

    Args:
        segmap: the class ids of the pixels.
        spacing: the distances (between rows, between columns) in mm.
        least: the smallest area that is kept; 0 keeps all.
    """
    pixels = least / (spacing[0] * spacing[1])
    if pixels <= 1:
        return segmap
    kept = segmap.copy()
    for class_id in np.flatnonzero(np.bincount(segmap.ravel()))[1:]:
        parts, _ = scipy.ndimage.label(segmap == class_id, _EIGHT)
        sizes = np.bincount(parts.ravel())
        small = sizes < pixels
        small[0] = False
        kept[small[parts]] = 0
    return kept
