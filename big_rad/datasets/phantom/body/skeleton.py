"""Bones, muscles and head of one person, as solids in the coordinates of the standard body.

`torso` explains these coordinates.
"""

import numpy as np

from big_rad.datasets.phantom.body.shapes import Column, Ellipsoid, Tube, Union, Without, rotation
from big_rad.datasets.phantom.body.torso import Body, Jitter

# The lower edges of S1, L5, L4, ... C1 (ids 26 to 50) in mm.
VERTEBRA_BOTTOM = np.concatenate(
    [[-222], np.linspace(-192, -52, 5), np.linspace(-18, 278, 12), np.linspace(304, 404, 6), [423]]
)
VERTEBRA_TOP = 442.0
_SPINE_Z = [-225, -190, -130, -60, 40, 150, 260, 330, 420, 445]
_SPINE_Y = [62, 56, 48, 50, 64, 74, 70, 52, 36, 34]


def outside_trunk(rng: np.random.Generator) -> list[Body]:
    """Returns the shoulders, thighs and neck, which lie outside the trunk's cavity and wall."""
    fat = rng.uniform(5, 18)
    bodies = []
    for grow, tissue in ((fat, "fat"), (0.0, "muscle")):
        parts = [
            Ellipsoid((0, 16, 312), (188 + grow, 62 + grow, 56 + grow), power=2.4),
            Ellipsoid((0, 18, 420), (52 + grow / 2, 56 + grow / 2, 130)),
        ]
        parts += [
            Column([-660, -260], [s * 82] * 2, [4, 4], [70 + grow, 76 + grow],
                   [74 + grow, 84 + grow])
            for s in (-1, 1)
        ]  # fmt: skip
        bodies += [Body(p, None, tissue, "") for p in parts]
    return bodies


def spine(rng: np.random.Generator) -> list[Body]:
    """Returns vertebrae (ids 26..50), discs (120), sacrum (25) and spinal cord (79)."""
    thickness_factor = rng.uniform(0.92, 1.15)
    z = np.array(_SPINE_Z, float)
    y = np.array(_SPINE_Y, float)
    half_width = thickness_factor * np.interp(z, [-225, -60, 150, 330, 445], [27, 25, 19, 14, 13])
    half_depth = thickness_factor * np.interp(z, [-225, -60, 150, 330, 445], [20, 20, 17, 12, 11])
    x = np.zeros_like(z)

    def level(_x: np.ndarray, _y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return (25 + np.clip(np.searchsorted(VERTEBRA_BOTTOM, z), 1, 25)).astype(np.uint8)

    vertebral_bodies = Column(z, x, y, half_width, half_depth, power=2.4)
    arch = Column(z, x, y + half_depth + 9, half_width * 0.78, half_width * 0.5 + 5, power=2.2)
    spinous = Column(z, x, y + half_depth + 26, half_width * 0 + 5.5, half_width * 0 + 17)
    transverse_processes = Column(
        z, x, y + half_depth + 12, half_width * 1.75, half_width * 0 + 7.5, power=2
    )
    canal = Column(z, x, y + half_depth + 7, half_width * 0 + 10.5, half_width * 0 + 8.5)
    cord = Column(
        z[3:], x[3:], (y + half_depth + 7)[3:], half_width[3:] * 0 + 6, half_width[3:] * 0 + 5
    )
    sacrum = Tube([(0, 66, -208), (0, 84, -250), (0, 78, -290), (0, 62, -316)], [46, 36, 22, 9],
                  flat=0.5)  # fmt: skip
    bodies = [
        Body(sacrum, 25, "bone_cortex", ""),
        Body(Tube(sacrum.points, np.array([42, 32, 18, 6]), flat=0.48), None, "bone_marrow", "",
             over=(25,)),
        Body(Union([arch, spinous, transverse_processes]), level, "bone_thin", ""),
        Body(vertebral_bodies, level, "bone_cortex", ""),
        Body(Column(z, x, y, half_width - 2.5, half_depth - 2.5, power=2.4), None, "bone_marrow",
             ""),
        Body(_Discs(vertebral_bodies, VERTEBRA_BOTTOM[1:], 3.5), 120, "disc", ""),
        Body(canal, 0, "csf", ""),
        Body(cord, 79, "cord", ""),
    ]  # fmt: skip
    return bodies


def ribcage(rng: np.random.Generator, cavity: Column) -> list[Body]:
    """Returns ribs (92..115), costal cartilage (117), sternum (116), shoulder bones (69..74)."""
    ribs = _Ribs(cavity, float(rng.uniform(0.34, 0.5)))
    bodies = [Body(ribs, ribs.label, "bone_thin", "")]
    bodies.append(Body(_Sternum(cavity, (120.0, 285.0)), 116, "bone_marrow", ""))
    for side, humerus, scapula, clavicle in ((1, 69, 71, 73), (-1, 70, 72, 74)):
        plate = rotation(0, 0, -side * 38)
        bodies += [
            Body(Ellipsoid((side * 112, 74, 262), (46, 7, 66), plate), scapula, "bone_thin", ""),
            Body(Tube([(side * 96, 62, 310), (side * 148, 20, 330)], [9, 12]), scapula,
                 "bone_thin", ""),
            Body(Union([Ellipsoid((side * 172, 12, 322), (25, 25, 25)),
                        Tube([(side * 172, 12, 315), (side * 196, 16, 235)], [17, 12])]),
                 humerus, "bone_cortex", ""),
            Body(Ellipsoid((side * 172, 12, 322), (22, 22, 22)), None, "bone_marrow", "",
                 over=(humerus,)),
            Body(Tube([(side * 14, -42, 298), (side * 70, -38, 322), (side * 146, 4, 340)], 8),
                 clavicle, "bone_thin", ""),
        ]  # fmt: skip
    return bodies


def pelvis(rng: np.random.Generator) -> list[Body]:
    """Returns hip bones (77, 78) and femora (75, 76)."""
    bodies = []
    width_factor = rng.uniform(0.94, 1.1)
    for side, femur, hip in ((1, 75, 77), (-1, 76, 78)):

        def on_side(x: float, y: float, z: float, side: int = side) -> tuple[float, float, float]:
            return side * x * width_factor, y, z

        wing = Ellipsoid(on_side(92, 24, -205), (15, 62, 62), rotation(0, -side * 24, side * 32))
        socket = Ellipsoid(on_side(88, 2, -280), (36, 36, 36))
        rami = Union([
            Tube([on_side(70, -22, -272), on_side(34, -52, -296), on_side(9, -50, -306)],
                 [16, 11, 13]),
            Tube([on_side(82, 24, -290), on_side(66, 34, -325), on_side(58, 26, -350)],
                 [20, 18, 16]),
            Tube([on_side(58, 26, -350), on_side(9, -44, -318)], [12, 9]),
        ])  # fmt: skip
        ball = Ellipsoid(on_side(97, 0, -284), (26, 26, 26))
        hip_bone = Without(Union([wing, socket, rami]), Ellipsoid(ball.center, ball.radii + 3))
        neck = Tube([on_side(97, 0, -284), on_side(140, 14, -300)], [17, 20])
        shaft = Tube(
            [on_side(142, 14, -300), on_side(128, 8, -360), on_side(100, 2, -660)], [24, 18, 16]
        )
        bodies += [
            Body(hip_bone, hip, "bone_cortex", ""),
            Body(Union([Ellipsoid(wing.center, wing.radii - 4, wing.turn),
                        Tube(rami.parts[1].points, [15, 13, 11])]), None, "bone_marrow", "",
                 over=(hip,)),
            Body(Union([ball, neck, shaft]), femur, "bone_cortex", ""),
            Body(Union([Ellipsoid(ball.center, (23, 23, 23)), Tube(neck.points, [13, 16]),
                        Tube(shaft.points, [19, 10, 8])]), None, "bone_marrow", "",
                 over=(femur,)),
        ]  # fmt: skip
    return bodies


def muscles(rng: np.random.Generator) -> list[Body]:
    """Returns back (86, 87), iliopsoas (88, 89) and gluteal (80..85) muscles."""
    jit = Jitter(rng, 3)
    bodies = []
    for side, back, psoas, big, mid, small in (
        (1, 86, 88, 80, 82, 84),
        (-1, 87, 89, 81, 83, 85),
    ):
        bodies += [
            Body(Column([-230, -60, 120, 300, 430], [side * 29] * 5, [92, 86, 98, 92, 64],
                        [26, 30, 22, 16, 14], [20, 24, 17, 14, 12], power=2.4), back, "muscle", ""),
            Body(jit.tube([(side * 28, 50, -10), (side * 40, 44, -110), (side * 62, 20, -190),
                           (side * 84, -34, -270), (side * 96, -20, -320)],
                          [8, 20, 24, 20, 13]), psoas, "muscle", ""),
            Body(Ellipsoid((side * 78, 92, -272), (62, 36, 66), rotation(0, 0, side * 22)), big,
                 "muscle", ""),
            Body(Ellipsoid((side * 128, 42, -228), (22, 52, 52), rotation(0, 0, side * 30)), mid,
                 "muscle", ""),
            Body(Ellipsoid((side * 118, 22, -240), (14, 36, 36), rotation(0, 0, side * 20)), small,
                 "muscle", ""),
        ]  # fmt: skip
    return bodies


def head_and_neck(rng: np.random.Generator) -> list[Body]:
    """Returns scalp, face, skull (91), brain (90) with ventricles, eyes, thyroid (17)."""
    width_factor, length_factor, height_factor = rng.uniform(0.92, 1.1, 3)
    center = np.array([0.0, 8, 545])
    radii = np.array([74 * width_factor, 94 * length_factor, 88 * height_factor])
    bone = rng.uniform(6.5, 9.5)
    inner = radii - bone
    skull = Ellipsoid(center, radii, power=2.15)
    jaw = Tube([(-46, -8, 470), (-34, -52, 448), (0, -72, 440), (34, -52, 448), (46, -8, 470)], 9)
    brain = Ellipsoid(center, inner - 2.5, power=2.15, ripple=0.02, wave=16)
    bodies = [
        Body(Ellipsoid(center, radii + 7, power=2.15), 0, "skin", ""),
        Body(Ellipsoid((0, -42, 482), (62, 62, 62)), 0, "skin", ""),
        Body(Ellipsoid((0, -36, 484), (54, 52, 52)), 0, "muscle", ""),
        Body(Ellipsoid((0, -58, 488), (17, 34, 30), power=3), 0, "air", ""),
        Body(Union([Ellipsoid((s * 34, -62, 482), (14, 14, 18)) for s in (-1, 1)]), 0, "air", ""),
        Body(jaw, 91, "bone_cortex", ""),
        Body(skull, 91, "bone_cortex", ""),
        Body(Ellipsoid(center, radii - bone * 0.5, power=2.15, hollow=1 - 0.25 * bone / 80), 91,
             "bone_marrow", ""),
        Body(Ellipsoid(center, inner, power=2.15), 0, "csf", ""),
        Body(brain, 90, "gray_matter", ""),
        Body(Ellipsoid(center, inner * 0.86, ripple=0.22, wave=26), None, "white_matter", "",
             over=(90,)),
        Body(Ellipsoid((0, 8, 560), (1.6, inner[1] * 0.98, inner[2] * 0.8)), None, "csf", "",
             over=(90,)),
        Body(Union([Ellipsoid((s * 20, 4, 540), (9, 12, 10)) for s in (-1, 1)]), None,
             "gray_matter", "", over=(90,)),
    ]  # fmt: skip
    ventricle_size = rng.uniform(0.7, 1.7)
    horns = [
        Tube([(s * 9, -32, 556), (s * 12, 0, 566), (s * 22, 36, 552)],
             np.array([5, 5.5, 6.5]) * ventricle_size)
        for s in (-1, 1)
    ]  # fmt: skip
    bodies += [
        Body(Union([*horns, Ellipsoid((0, 2, 540), (2.5 * ventricle_size, 14, 10))]), None, "csf",
             "", over=(90,)),
        Body(Union([Ellipsoid((s * 32, -74, 512), (13.5, 13.5, 13)) for s in (-1, 1)]), 0, "eye",
             ""),
        Body(Union([Ellipsoid((s * 17, -10, 372), (9, 11, 23)) for s in (-1, 1)]), 17, "thyroid",
             ""),
    ]  # fmt: skip
    return bodies


class _Discs:
    """Thin layers of a column at given heights."""

    def __init__(self, column: Column, heights: np.ndarray, half_thickness: float):
        self._column, self._heights = column, heights
        self._half_thickness = half_thickness
        self.box = column.box

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        i = np.clip(np.searchsorted(self._heights, z), 1, len(self._heights) - 1)
        gap = np.minimum(np.abs(z - self._heights[i - 1]), np.abs(z - self._heights[i]))
        return (gap < self._half_thickness) & self._column.inside(x, y, z)


class _Ribs:
    """Twelve pairs of sloping hoops on the surface of the trunk's cavity.

    Args:
        cavity: the cavity of the trunk.
        slope: the descent of a rib from back to front, in mm per mm.
    """

    spacing = 23.0
    first = 312.0

    def __init__(self, cavity: Column, slope: float):
        self._cavity, self._slope = cavity, slope
        self.box = np.array([[-165, -125, 0], [165, 130, 335]], float)

    def _rib_number(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns the fractional number of the rib at a point; 0 is the first rib."""
        return (self.first - (z + self._slope * (70 - y))) / self.spacing

    def label(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns the ids of ribs, and in front that of costal cartilage (117).

        The first pair of ribs has no cartilage.
        """
        i = np.clip(np.round(self._rib_number(y, z)), 0, 11)
        rib = np.where(x > 0, 92 + i, 104 + i)
        return np.where((y < -62) & (i > 0), 117, rib).astype(np.uint8)

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        number = self._rib_number(y, z)
        i = np.round(number)
        near = (np.abs(number - i) * self.spacing < 6.5) & (i >= 0) & (i <= 11)
        # The last two pairs are floating ribs, which end at the flank. All pairs leave the middle
        # free, where the sternum and the spine are.
        near &= ~((i >= 10) & (y < 5)) & (np.abs(x) > 14)
        out = self._cavity.outward(x[near], y[near], z[near])
        near[near] = (out > 1.5) & (out < 10)
        return near


class _Sternum:
    """A plate on the front of the trunk's cavity."""

    def __init__(self, cavity: Column, z_range: tuple[float, float]):
        self._cavity, self._z_range = cavity, z_range
        self.box = np.array([[-22, -125, z_range[0]], [22, -30, z_range[1]]], float)

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        out = self._cavity.outward(x, y, z)
        width = 15 + np.maximum(z - 240, 0) * 0.12
        low, high = self._z_range
        return (np.abs(x) < width) & (y < 0) & (out > 1) & (out < 13) & (z > low) & (z < high)
