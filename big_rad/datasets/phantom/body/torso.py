"""The organs of chest, abdomen and pelvis of one person, as solids in the standard body.

Coordinates are in millimetres: x to the patient's left, y to the back, z to the head; z = 0 lies
near the upper edge of the middle third of the kidneys. Bones are in `skeleton`.
"""

from dataclasses import dataclass

import numpy as np

from big_rad.datasets.phantom.body.shapes import Column, Ellipsoid, Tube, Union, Without, rotation


@dataclass
class Body:
    """A solid that is painted into a slice.

    Attributes:
        shape: an object with `box` and `inside`, see `shapes`.
        label: the class id, 0 to 121, or a function (x, y, z) -> uint8 array of ids. None keeps the
            labels that are already painted.
        tissue: a name in `tissues.NAMES`, or the number of a lesion.
        clip: "cavity" paints only inside the trunk's cavity, "" paints anywhere.
        over: if it is given, only pixels with one of these labels are painted.
    """

    shape: object
    label: object
    tissue: str
    clip: str = "cavity"
    over: tuple[int, ...] | None = None


class Jitter:
    """Individual variation: each organ gets its own offset and size.

    Args:
        rng: the random generator.
        spread: the standard deviation of the offsets in mm.
    """

    def __init__(self, rng: np.random.Generator, spread: float = 6.0):
        self._rng, self._spread = rng, spread

    def draw(self, low: float = 0.85, high: float = 1.18) -> tuple[np.ndarray, float]:
        """Returns (offset [3] mm, scale factor)."""
        return self._rng.normal(0, self._spread, 3), float(self._rng.uniform(low, high))

    def ellipsoid(self, center, radii, angles=(0, 0, 0), **kw) -> Ellipsoid:  # noqa: ANN001
        """Returns an ellipsoid near the given one; the angles about x, y, z are in degrees."""
        offset, scale = self.draw()
        turned = np.asarray(angles, float) + self._rng.normal(0, 6, 3)
        radii = np.asarray(radii) * scale * self._rng.uniform(0.93, 1.07, 3)
        return Ellipsoid(np.asarray(center) + offset, radii, rotation(*turned), **kw)

    def tube(self, points, radii, wobble: float = 4.0, **kw) -> Tube:  # noqa: ANN001
        """Returns a tube near the given one."""
        offset, scale = self.draw()
        points = np.asarray(points, float)
        points = points + offset + self._rng.normal(0, wobble, points.shape)
        return Tube(points, np.asarray(radii) * scale, **kw)


def cavity(rng: np.random.Generator) -> Column:
    """Returns the inner space of the trunk (inside ribs and muscles), from pelvis to neck."""
    z = [-345, -330, -250, -170, -90, -20, 60, 140, 220, 290, 335, 365, 450, 510, 540]
    a = [112, 115, 122, 128, 126, 130, 136, 130, 116, 86, 52, 30, 28, 26, 8]
    b = [80, 80, 84, 84, 80, 86, 96, 96, 86, 66, 48, 32, 30, 28, 8]
    cy = [0, 0, 0, 0, 0, 0, 0, 2, 6, 12, 16, 14, 12, 14, 14]
    belly = 1 + rng.uniform(-0.05, 0.16) * np.exp(-(((np.array(z) + 60) / 110.0) ** 2))
    return Column(z, [0] * len(z), cy, a, np.array(b) * belly, power=2.3)


def lungs(rng: np.random.Generator) -> list[Body]:
    """Returns both lungs (by lobe), their vessels, the diaphragm's domes, mediastinum and neck."""
    jit = Jitter(rng, 4)
    bodies = []
    tilt_left, tilt_right = rng.uniform(0.6, 1.1, 2)
    level = rng.normal(175, 12)

    def left_lobes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.where(z - level > tilt_left * (y - 5), 10, 11).astype(np.uint8)

    def right_lobes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        lobe = np.where(z > level - 10, 12, 13)
        return np.where(z - level > tilt_right * (y - 10), lobe, 14).astype(np.uint8)

    for side, label in ((1, left_lobes), (-1, right_lobes)):
        center = (side * 74, 6, 172)
        shape = Ellipsoid(center, (64, 98, 158), power=2.6, cuts=(((-side, 0, 0), -9.0),))
        bodies.append(Body(shape, label, "lung"))
        twigs = []
        for _ in range(9):
            hilum = np.array([side * 32.0, 12, 170]) + rng.normal(0, 8, 3)
            tip = np.array(center) + rng.uniform(-1, 1, 3) * (52, 75, 115)
            twigs.append(Tube([hilum, hilum * 0.45 + tip * 0.55 + rng.normal(0, 9, 3), tip],
                              [5, 3.2, 1.4]))  # fmt: skip
        lobes = (10, 11) if side > 0 else (12, 13, 14)
        bodies.append(Body(Union(twigs), None, "lung_vessel", over=lobes))
        dome = jit.ellipsoid((side * 68, 2, 20), (68, 95, 82 if side < 0 else 74))
        bodies.append(Body(dome, 0, "fat"))
    bodies.append(Body(Ellipsoid((0, 5, 225), (31, 66, 100)), 0, "fat"))
    bodies.append(Body(Ellipsoid((0, 16, 432), (40, 44, 82)), 0, "muscle"))
    return bodies


def heart(rng: np.random.Generator) -> list[Body]:
    """Returns the heart with its chambers, the great vessels, trachea and oesophagus."""
    jit = Jitter(rng, 6)
    offset, scale = jit.draw()
    turn = rotation(0, 20, 32 + rng.normal(0, 8))
    center = np.array([24, -34, 132]) + offset

    def part(shift: tuple[float, float, float], radii: tuple[float, float, float]) -> Ellipsoid:
        at = center + turn @ (np.array(shift) * scale)
        return Ellipsoid(at, np.array(radii) * scale, turn)

    whole = part((0, 0, 0), (66, 46, 52))
    bodies = [
        Body(part((0, 0, 2), (74, 54, 58)), 0, "fat"),
        Body(whole, 51, "heart_muscle"),
        Body(part((22, 14, -8), (33, 17, 22)), None, "blood_left", over=(51,)),
        Body(part((12, -22, -8), (34, 13, 26)), None, "blood_right", over=(51,)),
        Body(part((-32, 20, 16), (22, 18, 22)), None, "blood_left", over=(51,)),
        Body(part((-36, -14, 8), (22, 20, 26)), None, "blood_right", over=(51,)),
    ]
    wide = rng.uniform(0.9, 1.25)
    arch = jit.tube(
        [(2, -22, 165), (-12, -26, 205), (-4, -6, 240), (16, 24, 243), (24, 42, 215),
         (22, 46, 140), (14, 40, 60), (6, 32, -20), (3, 26, -105)],
        np.array([17, 17, 15.5, 15, 14.5, 14, 13.5, 13, 12]) * wide, wobble=2.5,
    )  # fmt: skip
    p = arch.points
    branch = np.array(p[2]), np.array(p[3])
    bodies += [
        Body(jit.tube([(-36, -10, 150), (-36, -12, 240)], 10), 62, "vein"),
        Body(Tube([(12, -30, 175), (2, -4, 200), (-34, 8, 196)], [14, 13, 9]), None, "blood_right"),
        Body(Tube([(2, -4, 200), (38, 12, 202)], [12, 9]), None, "blood_right"),
        Body(Tube([(-40, 14, 160), (40, 14, 160)], [7, 7]), 53, "blood_left"),
        Body(jit.tube([(-36, -14, 238), (-50, -14, 330)], 8), 60, "vein"),
        Body(jit.tube([(-34, -18, 238), (45, -20, 300)], 7.5), 59, "vein"),
        Body(Tube([branch[0], (-30, -2, 290)], 7), 54, "artery"),
        Body(Tube([(-30, -2, 290), (-70, 4, 315), (-110, 10, 310)], 5.5), 55, "artery"),
        Body(Tube([branch[1], (34, 16, 290), (70, 10, 315), (110, 12, 310)], 5.5), 56, "artery"),
        Body(Tube([(-30, -2, 290), (-26, -4, 400), (-28, 0, 470)], 4.5), 57, "artery", ""),
        Body(Tube([branch[1] * 0.5 + branch[0] * 0.5, (26, -4, 400), (28, 0, 470)], 4.5), 58,
             "artery", ""),
        Body(arch, 52, "artery"),
        Body(Tube([p[8], (28, 16, -160), (50, -2, -230), (64, -40, -290)], 7.5), 65, "artery"),
        Body(Tube([p[8], (-22, 16, -160), (-46, -2, -230), (-62, -40, -290)], 7.5), 66, "artery"),
        Body(jit.tube([(2, 32, 330), (4, 34, 200), (10, 30, 100), (20, 8, 72)], 9, wobble=2), 15,
             "bowel_wall"),
    ]  # fmt: skip
    windpipe = [(0, 2, 455), (0, 8, 330), (2, 10, 222)]
    for radius, label, tissue in ((12.5, 0, "airway_wall"), (10.5, 16, "air")):
        airway = Union([
            Tube(windpipe, radius),
            Tube([(2, 10, 222), (-40, 16, 188)], radius * 0.75),
            Tube([(2, 10, 222), (46, 18, 182)], radius * 0.7),
        ])  # fmt: skip
        bodies.append(Body(airway, label, tissue))
    return bodies


def upper_abdomen(rng: np.random.Generator, missing: frozenset[int]) -> list[Body]:
    """Returns liver, gallbladder, spleen, pancreas, adrenals, kidneys and veins.

    Args:
        rng: the generator that draws individual variation.
        missing: the class ids of organs that are left out.
    """
    jit = Jitter(rng, 6)
    offset, scale = jit.draw(0.88, 1.14)

    def at(*p: float) -> np.ndarray:
        return np.array(p) + offset

    liver = Union([
        Ellipsoid(at(-70, -2, 38), np.array([66, 84, 84]) * scale, rotation(0, 12, 0), power=2.3),
        Ellipsoid(at(-8, -46, 58), np.array([72, 36, 40]) * scale, rotation(0, -12, 10)),
    ])  # fmt: skip
    hilum = at(-34, -8, 38)
    twigs = [
        Tube([hilum, hilum + rng.normal(0, 1, 3) * (26, 26, 30) + (-26, 0, 4)], [6, 2.4])
        for _ in range(7)
    ]
    bodies = [
        Body(liver, 5, "liver"),
        Body(Union(twigs), None, "liver_vessel", over=(5,)),
        Body(jit.tube([(-26, 20, 150), (-24, 22, 90), (-20, 30, 0), (-18, 30, -105)], 11.5), 63,
             "vein"),
        Body(Tube([(-18, 30, -105), (-30, 24, -160), (-54, 6, -230), (-62, -26, -290)], 8), 68,
             "vein"),
        Body(Tube([(-18, 30, -105), (24, 26, -160), (54, 6, -230), (64, -26, -290)], 8), 67,
             "vein"),
        Body(Tube([hilum, (0, -8, 18), (60, 16, 30), (92, 36, 48)], [8, 8, 6.5, 5]), 64, "vein"),
    ]  # fmt: skip
    spleen_at = (100, 38, 52)
    spleen = jit.ellipsoid(spleen_at, (36, 54, 58), (0, 10, -24))
    bite = Ellipsoid(spleen.center + np.array([-44, -22, -6]), (34, 42, 60))
    organs = [
        (1, Without(spleen, bite), "spleen"),
        (4, jit.ellipsoid((-46, -56, 2), (17, 25, 32), (25, 0, 0)), "bile"),
        (7, jit.tube([(-36, -18, -26), (-22, -26, -2), (12, -38, 14), (48, -14, 24), (78, 16, 34)],
                     [19, 18, 14, 13.5, 12], wobble=5), "pancreas"),
        (8, Union([Tube([(-36, 34, 48), (-40, 52, 36)], 4.5), Tube([(-36, 34, 48), (-32, 50, 34)],
                                                                    4)]), "adrenal"),
        (9, Union([Tube([(38, 32, 46), (44, 48, 32)], 4.5), Tube([(38, 32, 46), (34, 48, 34)],
                                                                  4)]), "adrenal"),
    ]  # fmt: skip
    for label, shape, tissue in organs:
        if label not in missing:
            bodies.append(Body(shape, label, tissue))
    for side, label, z in ((-1, 2, -32), (1, 3, -18)):
        if label in missing:
            continue
        turn = (8, -side * 14, side * 28)
        kidney = jit.ellipsoid((side * 66, 44, z), (31, 29, 58), turn)
        c, r, t = kidney.center, kidney.radii, kidney.turn
        sinus = Ellipsoid(c + t @ np.array([-side * 24, 0, 0]), r * (0.62, 0.4, 0.42), t)
        bodies += [
            Body(Ellipsoid(c, r + 9, t), 0, "fat"),
            Body(Without(kidney, sinus), label, "kidney_cortex"),
            Body(Ellipsoid(c, r * 0.78, t, ripple=0.12, wave=18), None, "kidney_medulla",
                 over=(label,)),
        ]  # fmt: skip
    return bodies


def gut(rng: np.random.Generator) -> list[Body]:
    """Returns stomach, duodenum, small bowel and colon, with air and fluid in them."""
    jit = Jitter(rng, 6)
    path = [(66, 8, 84), (72, -22, 54), (62, -46, 22), (26, -60, 2), (-14, -48, 2)]
    stomach = jit.tube(path, np.array([35, 36, 31, 24, 16]) * rng.uniform(0.85, 1.15))
    inner = Tube(stomach.points, stomach.radii - 5)
    level = float(rng.uniform(-75, -15))
    air = Ellipsoid((60, level - 100, 40), (150, 100, 150), power=8)
    loops = [
        Tube([start, start + rng.normal(0, 24, 3), start + rng.normal(0, 30, 3)],
             float(rng.uniform(9, 13)))
        for start in rng.uniform((-75, -70, -190), (75, 10, -50), (14, 3))
    ]  # fmt: skip
    colon = jit.tube(
        [(-92, 10, -185), (-104, 12, -110), (-100, 0, -40), (-86, -45, -25), (-30, -72, -55),
         (40, -72, -52), (92, -40, 5), (106, 20, 0), (108, 22, -90), (98, 10, -175),
         (60, 5, -215), (20, 20, -235), (4, 44, -262), (2, 46, -330)],
        [25, 23, 21, 18, 18, 18, 18, 17, 15.5, 15.5, 14.5, 14.5, 17, 17], wobble=6,
    )  # fmt: skip
    lumen = Tube(colon.points, colon.radii - 4)
    gas = [Ellipsoid(p + rng.normal(0, 8, 3) - (0, 8, 0), rng.uniform(8, 20, 3))
           for p in np.asarray(colon.points)]  # fmt: skip
    return [
        Body(Union(loops), 18, "bowel_wall"),
        Body(Union([Tube(t.points, t.radii - 4) for t in loops]), None, "bowel_content",
             over=(18,)),
        Body(jit.tube([(-18, -44, 2), (-48, -18, -4), (-50, 2, -44), (-10, 12, -62),
                       (30, -2, -30)], 12.5), 19, "bowel_wall"),
        Body(colon, 20, "bowel_wall"),
        Body(lumen, None, "bowel_content", over=(20,)),
        Body(Union(gas), None, "air", over=(20,)),
        Body(stomach, 6, "stomach_wall"),
        Body(inner, None, "stomach_fluid", over=(6,)),
        Body(_Both(inner, air), None, "air", over=(6,)),
    ]  # fmt: skip


def pelvic_organs(rng: np.random.Generator, male: bool) -> list[Body]:
    """Returns the urinary bladder, which varies in size, and the prostate if `male`."""
    jit = Jitter(rng, 6)
    fill = rng.uniform(0.7, 1.25)
    bladder = jit.ellipsoid((0, -42, -268), np.array([44, 36, 34]) * fill, power=2.3)
    wall = Ellipsoid(bladder.center, bladder.radii + 4, bladder.turn, power=2.3)
    bodies = [
        Body(wall, 21, "soft"),
        Body(bladder, 21, "urine"),
    ]
    if male:
        bodies.append(Body(jit.ellipsoid((0, -20, -318), (25, 20, 19)), 22, "prostate"))
    return bodies


class _Both:
    """The points common to two shapes."""

    def __init__(self, first: object, second: object):
        self.first, self.second, self.box = first, second, first.box

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        return self.first.inside(x, y, z) & self.second.inside(x, y, z)
