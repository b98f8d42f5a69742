"""Turns slices of a voxel grid to their usual display, by the affine of the grid."""

import dataclasses
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Num

from big_rad.dicom.errors import NotAnImageError
from big_rad.dicom.image import orientation_of, place_of, plane_of

TO_DICOM = np.array([-1.0, -1.0, 1.0])  # The factors from RAS to DICOM's x, y, z.
# The RAS axes (0 rises to the right, 1 to the front, 2 to the head) against which the row index and
# the column index of each plane rise. In an axial slice, for example, the row index rises to the
# back and the column index to the patient's left.
_AXES = {"axial": (1, 0), "coronal": (2, 0), "sagittal": (2, 1)}
_NORMAL = {"sagittal": 0, "coronal": 1, "axial": 2}


@dataclasses.dataclass(frozen=True)
class Grid:
    """The voxel grid of a volume.

    An oblique volume is sliced along its own axes.

    Attributes:
        shape: the numbers of voxels along the three stored axes.
        affine: the matrix from voxels to mm in DICOM's coordinates (x to the left, y to the back, z
            to the head).
        name: the name of the file, for messages.
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]
    name: str = "a volume"

    def axis(self, plane: str) -> int:
        """Returns the stored axis that is perpendicular to a plane.

        Raises:
            NotAnImageError: the affine is impossible.
        """
        return self._axes()[_NORMAL[plane]][0]

    def counts(self, plane: str) -> tuple[int, int, int]:
        """Returns the numbers of slices, rows and columns of a plane."""
        axes = self._axes()
        return tuple(self.shape[axes[k][0]] for k in (_NORMAL[plane], *_AXES[plane]))

    def turned(
        self, values: Num[np.ndarray, "first second"], plane: str, index: int
    ) -> tuple[Num[np.ndarray, "height width"], dict[str, Any]]:
        """Turns a slice to its usual display.

        Args:
            values: the values at `index` of `axis(plane)`; the two other axes are in stored order.
            plane: "axial", "coronal" or "sagittal".
            index: the index of the slice, from 0.

        Returns:
            The values [H, W], and the attributes spacing, plane, orientation and place of a
            `Slice`.
        """
        axes = self._axes()
        rows, columns = (axes[k] for k in _AXES[plane])
        if rows[0] > columns[0]:
            values = values.T
        return values[:: -rows[1], :: -columns[1]], self.lies(plane, index)

    def lies(self, plane: str, index: int) -> dict[str, Any]:
        """Returns the attributes spacing, plane, orientation and place of a slice."""
        axes = self._axes()
        rows, columns = (axes[k] for k in _AXES[plane])
        first = np.zeros(3)
        first[axes[_NORMAL[plane]][0]] = index
        for axis, sign in (rows, columns):
            first[axis] = self.shape[axis] - 1 if sign > 0 else 0
        origin = self.affine[:3, :3] @ first + self.affine[:3, 3]
        # A voxel axis that rises with its RAS axis was reversed, so its direction changes its sign.
        down, right = (-sign * self.affine[:3, axis] for axis, sign in (rows, columns))
        return dict(
            spacing=(float(np.linalg.norm(down)), float(np.linalg.norm(right))),
            plane=plane_of(right / np.linalg.norm(right), down / np.linalg.norm(down)),
            orientation=orientation_of(right, down),
            place=place_of(right, down, origin),
        )

    def _axes(self) -> dict[int, tuple[int, int]]:
        """Returns for each RAS axis the nearest voxel axis, and 1 or -1 for its direction."""
        ras = np.diag([*TO_DICOM, 1.0]) @ self.affine
        axes = {
            int(towards): (axis, int(sign))
            for axis, (towards, sign) in enumerate(nib.io_orientation(ras))
        }
        if set(axes) != {0, 1, 2}:
            raise NotAnImageError(
                f"{self.name}: the affine (sform or qform) is impossible; save it again"
            )
        return axes
