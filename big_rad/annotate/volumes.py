"""Canonical volumes: what every later stage of the data engine reads instead of the source."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64


@dataclasses.dataclass(frozen=True)
class Stored:
    """A canonical volume on disk, in which nothing names a patient.

    Attributes:
        path: an uncompressed NIfTI-1 file with a rebuilt header and without extensions. Its voxels
            are int16 (HU in CT) or float32.
        affine: the matrix from voxels to mm in DICOM's coordinates (x to the left, y to the back,
            z to the head). It is more exact than the affine in the file, which has 32 bits.
        shape: the numbers of voxels along the three stored axes.
        about: what is known about the volume, as JSON has it.
    """

    path: Path = dataclasses.field(repr=False)
    affine: Float64[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    about: dict[str, Any]
