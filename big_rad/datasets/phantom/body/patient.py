"""A synthetic patient: the body, its pose, lesions, missing organs and tissue appearance.

`anatomy` draws patients at random, and `render` paints slices of them.
"""

import functools
from dataclasses import dataclass

import numpy as np

from big_rad.datasets.phantom.body import shapes, tissues, torso
from big_rad.datasets.phantom.body.shapes import Column

REGIONS: tuple[str, ...] = ("chest", "abdomen", "pelvis", "head")
_REGION_HOSTS = {"chest": (118, 119, 5), "abdomen": (1, 2, 3, 5), "pelvis": (), "head": (90,)}
# The classes on which a slice may be centred; a class that is listed twice is drawn twice as often.
_REGION_FOCUS = {
    "chest": (51, 52, 118, 119, 121, 118, 119),
    "abdomen": (1, 2, 3, 4, 5, 5, 6, 7, 52, 121, 1, 2, 3),
    "pelvis": (21, 25, 75, 76, 77, 78, 21),
    "head": (90, 91, 90),
}


@dataclass(frozen=True)
class Lesion:
    """A round lesion.

    Attributes:
        host: the class id of the organ with the lesion.
        diameter: the diameter in mm.
        bright: whether it is brighter than the organ; otherwise it is darker.
        center: the centre in mm, in body coordinates.
    """

    host: int
    diameter: float
    bright: bool
    center: tuple[float, float, float]

    @property
    def large(self) -> bool:
        """Whether its diameter is at least 30 mm."""
        return self.diameter >= 30


@dataclass
class Patient:
    """Everything needed to draw slices of one patient; made by `make_patient`.

    Attributes:
        seed, number: they decide all random draws.
        modality: "CT" or "MR".
        region: one of REGIONS.
        male: whether the patient is male.
        missing: the class ids of organs that were removed.
        bodies: the solids of the body, in the order of painting.
        trunk: the cavity of the trunk.
        wall: the thickness of the trunk's wall in mm.
        fat: the thickness in mm of the fat outside the wall.
        pose, shift: scanner mm = pose @ body mm + shift, if the warp is ignored.
        warp: the amplitudes, wave vectors and phases of the smooth deformation of the body.
        anchors: {class id: (centre, half size)} in body mm, for choosing planes.
        lesions: the lesions; the k-th has the tissue number `lesion_tissue(k)`.
        values, textures: mean and standard deviation of each tissue and then of each lesion,
            [number of tissues + number of lesions], in HU or MR signal units.
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
        """The lowest and highest corner of each piece in body mm, [n, 2, 3]."""
        return np.array([p.shape.box for p in self.pieces])

    @functools.cached_property
    def corners(self) -> np.ndarray:
        """The eight corners of each piece's box in scanner mm, [n, 8, 3]."""
        pick = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
        return self.boxes[:, pick, np.arange(3)] @ self.pose.T + self.shift

    @property
    def id(self) -> str:
        """The patient's identifier."""
        return f"P{self.number:06d}"

    @property
    def hosts(self) -> tuple[int, ...]:
        """The classes of this region that can have a lesion and are not missing."""
        return tuple(h for h in _REGION_HOSTS[self.region] if h not in self.missing)

    @property
    def focuses(self) -> tuple[int, ...]:
        """The classes on which a slice of this patient may be centred."""
        return tuple(c for c in _REGION_FOCUS[self.region] if c not in self.missing)

    def lesion_tissue(self, k: int) -> int:
        """Returns the tissue number of the k-th lesion."""
        return len(tissues.NAMES) + k
