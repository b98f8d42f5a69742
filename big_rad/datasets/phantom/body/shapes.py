"""Analytic solids: point-in-shape tests on arrays of coordinates, in millimetres.

Coordinates are those of the standard body: x to the patient's left, y to the back, z to the head.
Every shape has `box` (a [2, 3] array of its lowest and highest corner) and
`inside(x, y, z)`, which returns a bool array.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


def rotation(about_x: float = 0.0, about_y: float = 0.0, about_z: float = 0.0) -> np.ndarray:
    """Returns the [3,3] rotation matrix Rz @ Ry @ Rx of three angles in degrees."""
    cx, cy, cz = np.cos(np.deg2rad([about_x, about_y, about_z]))
    sx, sy, sz = np.sin(np.deg2rad([about_x, about_y, about_z]))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx


@dataclass
class Ellipsoid:
    """A superellipsoid, which may be turned, rippled and cut by planes.

    Attributes:
        center: the centre, [3] mm.
        radii: the radii along the shape's own axes, [3] mm.
        turn: the rotation from the shape's own axes to those of the body, [3, 3], or None.
        power: the exponent; 2 gives an ellipsoid, and larger values are more like a box.
        ripple: the relative height of a wave on the surface, below 0.5; 0.1 means about 10 % of
            the radius.
        wave: the length of that wave in mm.
        cuts: planes as (normal [3], offset); the part with normal . point > offset is removed.
        hollow: the relative radius of an inner ellipsoid that is left out; 0 makes a solid.
    """

    center: Sequence[float]
    radii: Sequence[float]
    turn: np.ndarray | None = None
    power: float = 2.0
    ripple: float = 0.0
    wave: float = 20.0
    cuts: tuple[tuple[Sequence[float], float], ...] = ()
    hollow: float = 0.0
    box: np.ndarray = field(init=False)

    def __post_init__(self):
        self.center = np.asarray(self.center, float)
        self.radii = np.asarray(self.radii, float)
        # The radius is largest where all three waves have a crest.
        reach = self.radii / np.sqrt(1 - 2 * self.ripple)
        if self.turn is not None:
            reach = np.abs(self.turn) @ reach
        self.box = np.array([self.center - reach, self.center + reach])

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        c, r = self.center.astype(np.float32), self.radii
        dx, dy, dz = x - c[0], y - c[1], z - c[2]
        if self.turn is not None:
            t = self.turn.astype(np.float32)
            dx, dy, dz = (t[0, i] * dx + t[1, i] * dy + t[2, i] * dz for i in range(3))
        u, v, w = dx * np.float32(1 / r[0]), dy * np.float32(1 / r[1]), dz * np.float32(1 / r[2])
        if self.power == 2.0:
            f = u * u + v * v + w * w
        else:
            p = self.power
            f = (np.abs(u) ** p + np.abs(v) ** p + np.abs(w) ** p) ** np.float32(2 / p)
        if self.ripple:
            k = np.float32(2 * np.pi / self.wave)
            waves = np.sin(k * x + 1.0) + np.sin(k * y + k * z * np.float32(0.6)) + np.sin(k * z)
            f = f * (1 - np.float32(2 * self.ripple / 3) * waves)
        keep = f < 1
        if self.hollow:
            keep &= f > np.float32(self.hollow**2)
        for n, d in self.cuts:
            keep &= x * np.float32(n[0]) + y * np.float32(n[1]) + z * np.float32(n[2]) <= d
        return keep


@dataclass
class Tube:
    """A bent tube of straight pieces between points; the radius changes linearly along each piece.

    Attributes:
        points: the points, [n, 3] mm.
        radii: the radius at each point, [n] mm, or one number for all.
        flat: distances along y are divided by this; with 0.5 the tube is half as deep as wide.
    """

    points: Sequence[Sequence[float]]
    radii: Sequence[float] | float
    flat: float = 1.0
    box: np.ndarray = field(init=False)

    def __post_init__(self):
        p = np.asarray(self.points, float)
        r = np.broadcast_to(np.asarray(self.radii, float), (len(p),))
        self.points, self.radii = p, r
        reach = r[:, None] * np.array([1, self.flat, 1])
        self._low, self._high = p - reach, p + reach
        self.box = np.array([self._low.min(0), self._high.max(0)])

    def segments(self) -> list["Tube"]:
        """Returns the straight pieces, each as a separate tube."""
        low = np.minimum(self._low[:-1], self._low[1:])
        high = np.maximum(self._high[:-1], self._high[1:])
        out = []
        for i, box in enumerate(np.stack([low, high], 1)):
            part = object.__new__(Tube)  # All attributes are known, so the constructor is skipped.
            part.points, part.radii = self.points[i : i + 2], self.radii[i : i + 2]
            part.flat, part.box = self.flat, box
            out.append(part)
        return out

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        keep = np.zeros(x.shape, bool)
        inv = np.float32(1 / self.flat)
        scale = np.array([1, 1 / self.flat, 1])
        yy = y * inv if self.flat != 1.0 else y
        for a, b, ra, rb in zip(
            self.points[:-1] * scale, self.points[1:] * scale, self.radii[:-1], self.radii[1:]
        ):
            d = (b - a).astype(np.float32)
            n = np.float32(max(float(d @ d), 1e-6))
            px, py, pz = x - np.float32(a[0]), yy - np.float32(a[1]), z - np.float32(a[2])
            t = (px * d[0] + py * d[1] + pz * d[2]) / n
            t = np.minimum(np.maximum(t, 0, out=t), 1, out=t)
            qx, qy, qz = px - t * d[0], py - t * d[1], pz - t * d[2]
            r = np.float32(ra) + t * np.float32(rb - ra)
            keep |= qx * qx + qy * qy + qz * qz < r * r
        return keep


@dataclass
class Column:
    """An upright trunk, which is a superellipse at each height.

    Attributes:
        z: the heights of the table, rising, [n] mm. Values in between are interpolated linearly,
            and the shape ends at the first and the last height.
        cx, cy: the centre of the superellipse at each height, [n] mm.
        a, b: its half-axes along x and y at each height, [n] mm.
        power: the exponent of the superellipse.
    """

    z: Sequence[float]
    cx: Sequence[float]
    cy: Sequence[float]
    a: Sequence[float]
    b: Sequence[float]
    power: float = 2.0
    box: np.ndarray = field(init=False)

    def __post_init__(self):
        rows = [np.asarray(v, float) for v in (self.cx, self.cy, self.a, self.b)]
        cx, cy, a, b = rows
        self.box = np.array(
            [
                [(cx - a).min(), (cy - b).min(), self.z[0]],
                [(cx + a).max(), (cy + b).max(), self.z[-1]],
            ]
        )
        # With a table at every mm, interpolation is only one rounding and one look-up.
        self._fine = np.arange(self.z[0], self.z[-1] + 1.0, 1.0)
        self._rows = [np.interp(self._fine, self.z, v).astype(np.float32) for v in rows]

    def outward(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns the radial distance to the surface in mm, negative inside."""
        i = z - np.float32(self._fine[0])
        i = np.minimum(np.maximum(i, 0, out=i), len(self._fine) - 1, out=i).astype(np.int32)
        cx, cy, a, b = (row[i] for row in self._rows)
        dx, dy = x - cx, y - cy
        u, v = np.abs(dx) / a, np.abs(dy) / b
        if self.power == 2.0:
            f = np.sqrt(u * u + v * v)
        else:
            f = (u**self.power + v**self.power) ** np.float32(1 / self.power)
        return np.hypot(dx, dy) * (1 - 1 / np.maximum(f, 1e-3))

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        return (self.outward(x, y, z) < 0) & (z >= self.z[0]) & (z <= self.z[-1])


@dataclass
class Union:
    """All points of any of several shapes."""

    parts: Sequence[object]
    box: np.ndarray = field(init=False)

    def __post_init__(self):
        boxes = np.array([p.box for p in self.parts])
        self.box = np.array([boxes[:, 0].min(0), boxes[:, 1].max(0)])

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        keep = self.parts[0].inside(x, y, z)
        for part in self.parts[1:]:
            keep |= part.inside(x, y, z)
        return keep


def pieces(shape: object) -> list[object]:
    """Splits unions and bent tubes into simple parts, whose boxes fit more tightly.

    Returns:
        the shapes whose union is `shape`.
    """
    if isinstance(shape, Union):
        return [p for part in shape.parts for p in pieces(part)]
    if isinstance(shape, Tube) and len(shape.points) > 2:
        return shape.segments()
    return [shape]


@dataclass
class Without:
    """The points of one shape that are not in another."""

    shape: object
    hole: object
    box: np.ndarray = field(init=False)

    def __post_init__(self):
        self.box = self.shape.box

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Returns a bool array that is True at points inside the solid."""
        return self.shape.inside(x, y, z) & ~self.hole.inside(x, y, z)
