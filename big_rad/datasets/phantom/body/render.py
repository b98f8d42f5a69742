"""Paints slices of a patient: first class and tissue of each pixel, then the scanner's image.

Planes are given in scanner coordinates, which are those of DICOM: x to the patient's left, y to the
back, z to the head, in mm. Axial and coronal images show the patient's left on the right, as
radiologists view them.
"""

from dataclasses import dataclass

import numpy as np

from big_rad.datasets.phantom.body import tissues
from big_rad.datasets.phantom.body.patient import Patient
from big_rad.datasets.phantom.body.scanner import USUAL, Scanner

# For each plane, the direction in which columns grow, and the direction in which rows grow.
AXES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}


@dataclass(frozen=True)
class Plane:
    """The position of a slice.

    Attributes:
        name: "axial", "coronal" or "sagittal".
        center: the centre of the image in scanner coordinates, [3] mm.
        fov: the height and width of the square image in mm.
        size: the height and width of the image in pixels.
    """

    name: str
    center: tuple[float, float, float]
    fov: float
    size: int

    @property
    def spacing(self) -> float:
        """The size of a pixel in mm."""
        return self.fov / self.size

    @property
    def origin(self) -> np.ndarray:
        """The centre of the first pixel (row 0, column 0) in scanner coordinates, [3] mm."""
        col, row = (np.array(a, float) for a in AXES[self.name])
        return np.array(self.center) - (col + row) * self.spacing * (self.size - 1) / 2


def labels(patient: Patient, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Paints a slice.

    Returns:
        the class ids, uint8 [size, size], which are TotalSegmentator's fine ones, and the tissue
        numbers, uint8 of the same shape.
    """
    col, row = (np.array(a, float) * plane.spacing for a in AXES[plane.name])
    steps = np.arange(plane.size)
    scanner = (
        plane.origin[:, None, None]
        + col[:, None, None] * steps[None, None, :]
        + row[:, None, None] * steps[None, :, None]
    )
    body = _to_body(patient, scanner)
    windows = _windows(patient, plane)
    return _paint(patient, *body, windows)


def paint_points(patient: Patient, points: np.ndarray) -> np.ndarray:
    """Returns the class ids (uint8 [...]) at points [..., 3] in undeformed body mm."""
    x, y, z = (np.ascontiguousarray(points[..., i], np.float32) for i in range(3))
    low, high = (np.array([f(x), f(y), f(z)]) for f in (np.min, np.max))
    boxes = patient.boxes
    near = ((boxes[:, 0] <= high) & (boxes[:, 1] >= low)).all(1)
    everything = (slice(None),) * x.ndim
    return _paint(patient, x, y, z, [everything if n else None for n in near])[0]


@dataclass(frozen=True)
class Look:
    """The parameters of one acquisition, which are the same for all slices of a volume.

    Attributes:
        noise: the standard deviation of the noise, in HU (CT, where the smoothed image has 0.6 of
            it) or signal units (MR).
        bias: the coefficients of x, y, x^2, y^2 and xy in the logarithm of the MR receive field.
        gain: the stored MR units for one unit of signal.
        contrast: the contrast of tissues in percent, see `tissues.with_contrast`.
    """

    noise: float
    bias: tuple[float, ...]
    gain: float
    contrast: int = 100


def draw_look(patient: Patient, rng: np.random.Generator, scanner: Scanner = USUAL) -> Look:
    """Draws the noise, the bias field and the gain of an acquisition with a scanner."""
    low, high = (8, 20) if patient.modality == "CT" else (12, 35)
    bias = tuple(float(v) for v in rng.uniform(-0.25, 0.25, 5))
    noise = float(rng.uniform(low, high)) * (scanner.noise / 100)
    return Look(noise, bias, float(rng.uniform(0.5, 2.0)), scanner.contrast)


def image(patient: Patient, tissue: np.ndarray, rng: np.random.Generator, look: Look) -> np.ndarray:
    """Turns tissue numbers into an int16 image: HU for CT, arbitrary positive units for MR.

    Args:
        patient: the patient, whose tissue values are used.
        tissue: the tissue numbers from `labels`, uint8 [H, W].
        rng: the generator of texture and noise.
        look: the parameters from `draw_look`.
    """
    shape = tissue.shape
    grain = _smooth(rng.standard_normal(shape, np.float32) * 2.0)
    values = tissues.with_contrast(patient.modality, patient.values, look.contrast)
    level = _smooth(values[tissue] + patient.textures[tissue] * grain)
    if patient.modality == "CT":
        level = level + _smooth(rng.standard_normal(shape, np.float32) * (1.6 * look.noise))
        return np.clip(np.round(level), -1024, 3071).astype(np.int16)
    u, v = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape[::-1]))
    a = np.array(look.bias, np.float32)
    level = level * np.exp(a[0] * u + a[1] * v + a[2] * u * u + a[3] * v * v + a[4] * u * v)
    real = level + look.noise * rng.standard_normal(shape, np.float32)
    level = np.hypot(real, look.noise * rng.standard_normal(shape, np.float32))  # Rician noise
    return np.clip(np.round(level * look.gain), 0, 32767).astype(np.int16)


def to_scanner(patient: Patient, point: np.ndarray) -> np.ndarray:
    """Returns a point in scanner mm from body mm; the deformation of a few mm is ignored."""
    return patient.pose @ np.asarray(point, float) + patient.shift


def _to_body(patient: Patient, scanner: np.ndarray) -> list[np.ndarray]:
    inverse = np.linalg.inv(patient.pose)
    base = np.einsum("ij,j...->i...", inverse, scanner - patient.shift[:, None, None])
    base = base.astype(np.float32)
    amplitude, vectors, phases = patient.warp
    out = []
    for axis in range(3):
        moved = base[axis]
        for k in range(2):
            v = vectors[axis, k]
            angle = base[0] * v[0] + base[1] * v[1] + base[2] * v[2]
            moved = moved + amplitude[axis, k] * np.sin(angle + np.float32(phases[axis, k]))
        out.append(moved)
    return out


def _windows(patient: Patient, plane: Plane) -> list[tuple[slice, slice] | None]:
    """Returns for each piece of the body the part of the image that it can reach, or None."""
    corners = patient.corners - plane.origin
    col, row = (np.array(a, float) for a in AXES[plane.name])
    depth = corners @ np.cross(col, row)
    # The farthest that the warp can move a point along an axis, after the body was turned.
    margin = 1.2 * float(patient.warp[0].sum(1).max() * np.linalg.norm(patient.pose, 2)) + 0.5
    away = (depth.min(1) > margin) | (depth.max(1) < -margin)
    spans = []
    for axis in (row, col):
        at = corners @ axis
        low = np.floor((at.min(1) - margin) / plane.spacing)
        high = np.ceil((at.max(1) + margin) / plane.spacing) + 1
        spans.append((np.clip(low, 0, plane.size), np.clip(high, 0, plane.size)))
        away |= spans[-1][0] >= spans[-1][1]
    (r0, r1), (c0, c1) = ([v.astype(int) for v in s] for s in spans)
    return [
        None if away[i] else (slice(r0[i], r1[i]), slice(c0[i], c1[i])) for i in range(len(corners))
    ]


def _paint(
    patient: Patient,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    windows: list[tuple[slice, ...] | None],
) -> tuple[np.ndarray, np.ndarray]:
    """Paints the trunk, and then each piece of the body over it, in order."""
    index = tissues.INDEX
    trunk = patient.trunk
    label = np.zeros(x.shape, np.uint8)
    tissue = np.full(x.shape, index["air"], np.uint8)
    out = trunk.outward(x, y, z)
    high = (z >= trunk.z[0]) & (z <= trunk.z[-1])
    tissue[high & (out < patient.wall + patient.fat)] = index["fat"]
    tissue[high & (out < patient.wall)] = index["muscle"]
    inner = high & (out < 0)
    # The shoulders and thighs lie outside the wall of the trunk, so they are painted first, and the
    # cavity is painted before the first organ inside it.
    first = True
    for i, body in enumerate(patient.pieces):
        if first and body.clip:
            tissue[inner] = index["fat"]
            first = False
        if (where := windows[i]) is None:
            continue
        px, py, pz = x[where], y[where], z[where]
        mask = body.shape.inside(px, py, pz)
        if body.clip:
            mask &= inner[where]
        if body.over is not None:
            mask &= _among(label[where], body.over)
        if body.label is not None:
            ids = body.label if isinstance(body.label, int) else body.label(px, py, pz)[mask]
            label[where][mask] = ids
        number = body.tissue if isinstance(body.tissue, int) else index[body.tissue]
        if isinstance(body.tissue, int):
            number += len(tissues.NAMES)
        tissue[where][mask] = number
    return label, tissue


def _among(label: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    keep = label == ids[0]
    for i in ids[1:]:
        keep |= label == i
    return keep


def _smooth(a: np.ndarray) -> np.ndarray:
    """Applies a 3 x 3 binomial filter; the pixels of the edges are repeated outwards."""
    p = np.pad(a, 1, mode="edge")
    p = (p[:-2] + p[2:] + 2 * p[1:-1]) * np.float32(0.25)
    return (p[:, :-2] + p[:, 2:] + 2 * p[:, 1:-1]) * np.float32(0.25)
