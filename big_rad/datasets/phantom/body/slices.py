"""Chooses slices of a patient and states the facts that each slice shows.

Planes and fields of view vary so much that a model cannot know the place of an organ without
looking at the image.
"""

from dataclasses import dataclass, field

import numpy as np

from big_rad.datasets.phantom.body import render
from big_rad.datasets.phantom.body.anatomy import DEMO_LABELS, LESION_HOSTS, Patient, make_patient
from big_rad.datasets.phantom.body.scanner import USUAL, Scanner

SHOWN_AREA = 0.0035  # The smallest fraction of the image with which an organ counts as shown.
LESION_AREA = 0.0009  # The same for a lesion.
_PLANES = ("axial", "coronal", "sagittal")
_PLANE_SHARE = (0.92, 0.05, 0.03)


@dataclass(frozen=True)
class SeenLesion:
    """A lesion that is visible in a slice.

    Attributes:
        host: the class id of the organ with the lesion.
        bright: whether it is brighter than the organ.
        size: "large", "small", or "" if it is in between.
    """

    host: int
    bright: bool
    size: str


@dataclass
class Facts:
    """The facts that texts can state about one slice.

    Attributes:
        modality: "CT" or "MR".
        plane: "axial", "coronal" or "sagittal".
        region: the examined region, one of `patient.REGIONS`.
        shown: {class id: fraction of the image}, largest first, for clearly visible classes.
        absent: the class ids of the configuration that do not have a single pixel.
        lesions: the clearly visible lesions.
        vague: the classes with a lesion that is too small in this slice to be judged.
        focus: the class on which the slice is centred.
    """

    modality: str
    plane: str
    region: str
    shown: dict[int, float]
    absent: tuple[int, ...]
    lesions: list[SeenLesion] = field(default_factory=list)
    vague: frozenset[int] = frozenset()
    focus: int = 0

    @property
    def intact(self) -> tuple[int, ...]:
        """The shown organs that can have a lesion, but certainly do not have one in this slice."""
        sick = {lesion.host for lesion in self.lesions} | set(self.vague)
        return tuple(c for c in self.shown if c in LESION_HOSTS and c not in sick)

    @property
    def judged(self) -> tuple[int, ...]:
        """The shown organs whose state can be judged."""
        return tuple(c for c in self.shown if c not in self.vague)


@dataclass
class Slice:
    """One image of a patient with its label map and facts."""

    patient: Patient
    plane: render.Plane
    image: np.ndarray
    segmap: np.ndarray
    facts: Facts


def make_slices(
    seed: int,
    number: int,
    count: int,
    size: int,
    classes: tuple[int, ...],
    demo: bool,
    scanner: Scanner = USUAL,
) -> list[Slice]:
    """Makes the slices of a patient.

    Args:
        seed: the seed of the dataset.
        number: the number of the patient.
        count: the number of slices.
        size: the height and width of a slice in pixels.
        classes: the class ids that texts may name.
        demo: whether labels are merged into the classes of the configuration "demo".
        scanner: the look of the images.

    Returns:
        `count` slices, which depend only on the arguments.
    """
    patient = make_patient(seed, number)
    return [make_slice(patient, seed, k, size, classes, demo, scanner) for k in range(count)]


def make_slice(
    patient: Patient,
    seed: int,
    k: int,
    size: int,
    classes: tuple[int, ...],
    demo: bool,
    scanner: Scanner = USUAL,
) -> Slice:
    """Makes the k-th slice of a patient (see `make_slices`)."""
    rng = np.random.default_rng([seed, patient.number, 11, k])
    plane, focus = _choose_plane(patient, rng, size, scanner)
    fine, tissue = render.labels(patient, plane)
    segmap = DEMO_LABELS[fine] if demo else fine
    image = render.image(patient, tissue, rng, render.draw_look(patient, rng, scanner))
    facts = facts_of(patient, plane, segmap, tissue, classes, focus)
    return Slice(patient, plane, image, segmap, facts)


def _choose_plane(
    patient: Patient, rng: np.random.Generator, size: int, scanner: Scanner
) -> tuple[render.Plane, int]:
    """Draws a plane through one organ, and through its lesion if it has one."""
    focus = int(rng.choice(patient.focuses))
    center, half = patient.anchors[focus]
    name = str(rng.choice(_PLANES, p=_PLANE_SHARE))
    target = center + half * rng.uniform(-0.75, 0.75, 3)
    for lesion in patient.lesions:
        if lesion.host == focus:
            target = np.array(lesion.center) + rng.uniform(-0.2, 0.2, 3) * lesion.diameter
    aim = render.to_scanner(patient, target)
    col, row = (np.array(a, float) for a in render.AXES[name])
    normal = np.cross(col, row)
    fov = float(rng.uniform(*((215, 270) if patient.region == "head" else (290, 350))))
    fov *= scanner.fov / 100
    # Within the plane, the centre lies between the axis of the body and the target. It is then
    # shifted at random, and moved back so far that the target stays in the image.
    axis = render.to_scanner(patient, np.array([0.0, 0.0, target[2]]))
    pull = rng.uniform(0, 0.5)
    shift = rng.uniform(-0.06, 0.06, 2) * fov
    middle = axis * (1 - pull) + aim * pull + col * shift[0] + row * shift[1]
    for direction in (col, row):
        off = float((middle - aim) @ direction)
        middle = middle - direction * (off - np.clip(off, -0.4 * fov, 0.4 * fov))
    middle = middle + normal * float((aim - middle) @ normal)
    return render.Plane(name, tuple(float(v) for v in middle), fov, size), focus


def facts_of(
    patient: Patient,
    plane: render.Plane,
    segmap: np.ndarray,
    tissue: np.ndarray,
    classes: tuple[int, ...],
    focus: int,
) -> Facts:
    """Returns the facts that a painted slice shows.

    Args:
        patient: the patient.
        plane: the position of the slice.
        segmap: the class ids as texts use them, uint8 [H, W].
        tissue: the tissue numbers from `render.labels`, uint8 [H, W], which include lesions.
        classes: the class ids that texts may name.
        focus: the class on which the slice is centred.
    """
    pixels = segmap.size
    counts = np.bincount(segmap.ravel(), minlength=256)
    shares = {c: float(counts[c] / pixels) for c in classes}
    shown = {c: s for c, s in sorted(shares.items(), key=lambda i: -i[1]) if s >= SHOWN_AREA}
    lesions, vague = [], set()
    for k, lesion in enumerate(patient.lesions):
        here = segmap[tissue == patient.lesion_tissue(k)]
        if not len(here):
            continue
        host = int(np.bincount(here).argmax())
        if len(here) / pixels < LESION_AREA or host not in shown:
            vague.add(host)
            continue
        across = 2 * np.sqrt(len(here) / np.pi) * plane.spacing
        size = "large" if across >= 30 else "small" if across <= 24 else ""
        lesions.append(SeenLesion(host, lesion.bright, size))
    lesions.sort(key=lambda seen: seen.host)
    return Facts(
        modality=patient.modality, plane=plane.name, region=patient.region, shown=shown,
        absent=tuple(c for c in classes if not counts[c]), lesions=lesions,
        vague=frozenset(vague), focus=focus,
    )  # fmt: skip
