"""Draws synthetic patients; a patient depends only on the seed and the patient's number."""

import numpy as np

from big_rad.datasets.phantom.body import skeleton, tissues, torso
from big_rad.datasets.phantom.body.patient import REGIONS, Lesion, Patient
from big_rad.datasets.phantom.body.render import paint_points
from big_rad.datasets.phantom.body.shapes import Ellipsoid, rotation

_REGION_SHARE = (0.22, 0.43, 0.20, 0.15)
CT_SHARE = 0.6

# The classes of the configuration "demo" (TotalSegmentator ids), and the finer classes that are
# merged into them. There, 121 is the whole vertebral column: the vertebrae with their discs.
DEMO_CLASSES: tuple[int, ...] = (
    1, 2, 3, 4, 5, 6, 7, 21, 25, 51, 52, 75, 76, 77, 78, 90, 91, 118, 119, 121,
)  # fmt: skip
_MERGE = {**{i: 118 for i in (10, 11)}, **{i: 119 for i in (12, 13, 14)}, 120: 121}
_MERGE |= {i: 121 for i in range(26, 51)}
DEMO_LABELS = np.zeros(256, np.uint8)
for _c in DEMO_CLASSES:
    DEMO_LABELS[_c] = _c
for _fine, _coarse in _MERGE.items():
    DEMO_LABELS[_fine] = _coarse

# The organs that can have a lesion: {class id: (ids of the finer classes, tissue)}.
LESION_HOSTS: dict[int, tuple[tuple[int, ...], str]] = {
    1: ((1,), "spleen"),
    2: ((2,), "kidney_cortex"),
    3: ((3,), "kidney_cortex"),
    5: ((5,), "liver"),
    90: ((90,), "gray_matter"),
    118: ((10, 11), "lung"),
    119: ((12, 13, 14), "lung"),
}
_FIXED_ANCHORS = {
    118: ((76, 6, 170), (52, 80, 110)),
    119: ((-76, 6, 170), (52, 80, 95)),
    121: ((0, 62, 40), (22, 30, 220)),
    52: ((14, 20, 140), (18, 40, 110)),
    75: ((116, 6, -304), (24, 18, 34)),
    76: ((-116, 6, -304), (24, 18, 34)),
}


def make_patient(seed: int, number: int, region: str | None = None) -> Patient:
    """Makes a patient.

    Args:
        seed: the seed of the dataset.
        number: the number of the patient; all random draws depend only on (seed, number).
        region: one of REGIONS, or None to draw one.

    Returns:
        the patient.
    """
    rng = np.random.default_rng([seed, number, 7])
    drawn = str(rng.choice(REGIONS, p=_REGION_SHARE))
    region = region or drawn
    modality = "CT" if rng.random() < CT_SHARE else "MR"
    male = bool(rng.random() < 0.5)
    missing = frozenset(c for c, p in ((4, 0.12), (2, 0.06), (3, 0.06), (1, 0.05))
                        if rng.random() < p)  # fmt: skip
    trunk = torso.cavity(rng)
    bodies = [*skeleton.outside_trunk(rng), *torso.lungs(rng), *torso.heart(rng), *torso.gut(rng)]
    bodies += torso.upper_abdomen(rng, missing)
    bodies += torso.pelvic_organs(rng, male)
    bodies += [*skeleton.muscles(rng), *skeleton.spine(rng), *skeleton.ribcage(rng, trunk)]
    bodies += [*skeleton.pelvis(rng), *skeleton.head_and_neck(rng)]
    size = rng.uniform(0.88, 1.12) * rng.uniform(0.93, 1.07, 3)
    turn = rotation(rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(-10, 10))
    values, textures = tissues.tables(modality, rng)
    patient = Patient(
        seed=seed, number=number, modality=modality, region=region, male=male, missing=missing,
        bodies=bodies, trunk=trunk, wall=float(rng.uniform(13, 18)),
        fat=float(rng.gamma(3.0, 5.0) + 4), pose=turn @ np.diag(size),
        shift=rng.uniform(-20, 20, 3), warp=_warp(rng), anchors=_anchors(bodies, missing),
        lesions=[], values=values, textures=textures,
    )  # fmt: skip
    _add_lesions(patient, rng)
    return patient


def _warp(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws a smooth deformation: two waves for each axis, 120 to 300 mm long, up to 4 mm high."""
    amplitude = rng.uniform(1.5, 4.0, (3, 2)).astype(np.float32)
    direction = rng.normal(size=(3, 2, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    vectors = direction * (2 * np.pi / rng.uniform(120, 300, (3, 2, 1)))
    return amplitude, vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, (3, 2))


def _anchors(
    bodies: list[torso.Body], missing: frozenset[int]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    anchors = {}
    for body in bodies:
        if isinstance(body.label, int) and body.label in DEMO_CLASSES:
            low, high = body.shape.box
            anchors.setdefault(body.label, ((low + high) / 2, (high - low) / 2))
    for label, (center, half) in _FIXED_ANCHORS.items():
        anchors[label] = (np.array(center, float), np.array(half, float))
    return {c: a for c, a in anchors.items() if c not in missing}


def _add_lesions(patient: Patient, rng: np.random.Generator) -> None:
    """Gives each organ that can have a lesion one inside it, with a probability of one half."""
    for host in patient.hosts:
        has, bright, large = rng.random(3) < (0.5, 0.5, 0.5)
        small_mm, large_mm = rng.uniform(16, 23), rng.uniform(36, 50)
        diameter = float(large_mm if large else small_mm)
        center, half = patient.anchors[host]
        points = center + rng.uniform(-0.9, 0.9, (48, 3)) * half
        if not has:
            continue
        fine, tissue = LESION_HOSTS[host]
        around = np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))]) * diameter * 0.42
        inside = np.isin(paint_points(patient, points[:, None] + around), fine).mean(1)
        best = points[int(np.argmax(inside))]
        bright = bool(bright or tissue == "lung")
        lesion = Lesion(host, diameter, bright, tuple(float(v) for v in best))
        shape = Ellipsoid(best, np.array([1, 1, 1]) * diameter / 2, ripple=0.05, wave=15)
        k = len(patient.lesions)
        patient.lesions.append(lesion)
        body = torso.Body(shape, None, k, "", over=fine)
        patient.bodies.append(body)
        patient.pieces.append(body)
        for cached in ("boxes", "corners"):  # These are computed again, with this lesion.
            patient.__dict__.pop(cached, None)
        value = tissues.lesion_value(patient.modality, tissue, bright, patient.values)
        patient.values = np.append(patient.values, np.float32(value))
        patient.textures = np.append(patient.textures, np.float32(6))
