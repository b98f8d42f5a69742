"""What is known of one synthetic patient: body, pose, lesions, missing organs, tissue appearance.

Knows neither how a patient is drawn by chance nor how slices are made.
"""

import functools
from dataclasses import dataclass

import numpy as np

from big_rad.datasets.phantom.body import shapes, tissues, torso
from big_rad.datasets.phantom.body.shapes import Column

REGIONS: tuple[str, ...] = ("chest", "abdomen", "pelvis", "head")
_REGION_HOSTS = {"chest": (118, 119, 5), "abdomen": (1, 2, 3, 5), "pelvis": (), "head": (90,)}
# What a slice may be centred on.
_REGION_FOCUS = {
    "chest": (51, 52, 118, 119, 121, 118, 119),
    "abdomen": (1, 2, 3, 4, 5, 5, 6, 7, 52, 121, 1, 2, 3),
    "pelvis": (21, 25, 75, 76, 77, 78, 21),
    "head": (90, 91, 90),
}


@dataclass(frozen=True)
class Lesion:
    """A round lesion: host class id, diameter in mm, bright or dark, centre in the body's mm."""

    host: int
    diameter: float
    bright: bool
    center: tuple[float, float, float]

    @property
    def large(self) -> bool:
        """Whether texts call it large (30 mm and more)."""
        return self.diameter >= 30


@dataclass
class Patient:
    """Everything needed to draw slices of one patient; made by `make_patient`.

    Attributes:
        pose, shift: scanner mm = pose @ body mm + shift (the warp left aside).
        warp: amplitudes, wave vectors and phases of the body's smooth deformation.
        anchors: class id -> (centre, half size) in body mm, for choosing planes.
        lesions: the k-th has the label `lesion_label(k)` while slices are painted.
        values, textures: [number of tissues + number of lesions].
    """

    seed: int
    number: int
    modality: str
    region: str
    male: bool
    missing: frozenset[int]
    bodies: list[torso.Body]
    trunk: Column
    wall: float
    fat: float
    pose: np.ndarray
    shift: np.ndarray
    warp: tuple[np.ndarray, np.ndarray, np.ndarray]
    anchors: dict[int, tuple[np.ndarray, np.ndarray]]
    lesions: list[Lesion]
    values: np.ndarray
    textures: np.ndarray

    @functools.cached_property
    def pieces(self) -> list[torso.Body]:
        """The bodies split into simple parts, in the order of painting."""
        return [
            torso.Body(part, body.label, body.tissue, body.clip, body.over)
            for body in self.bodies
            for part in shapes.pieces(body.shape)
        ]

    @functools.cached_property
    def boxes(self) -> np.ndarray:
        """[n,2,3] lowest and highest corner of each piece in body mm."""
        return np.array([p.shape.box for p in self.pieces])

    @functools.cached_property
    def corners(self) -> np.ndarray:
        """[n,8,3] scanner mm of the corners of each piece's box."""
        pick = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
        return self.boxes[:, pick, np.arange(3)] @ self.pose.T + self.shift

    @property
    def id(self) -> str:
        """The patient's identifier."""
        return f"P{self.number:06d}"

    @property
    def hosts(self) -> tuple[int, ...]:
        """Classes of this region that could hold a lesion and are not missing."""
        return tuple(h for h in _REGION_HOSTS[self.region] if h not in self.missing)

    @property
    def focuses(self) -> tuple[int, ...]:
        """Classes a slice of this patient may be centred on."""
        return tuple(c for c in _REGION_FOCUS[self.region] if c not in self.missing)

    def lesion_tissue(self, k: int) -> int:
        """Returns the tissue number of the k-th lesion."""
        return len(tissues.NAMES) + k
