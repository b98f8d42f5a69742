from collections import defaultdict

import numpy as np
import pytest

from big_rad.datasets.phantom.body import render, slices
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES, DEMO_LABELS, make_patient
from big_rad.grounding import boxes as box_lib

PATIENTS = 450
SIZE = 56


@pytest.fixture(scope="module")
def pieces():
    return [slices.make_slices(3, i, 1, SIZE, DEMO_CLASSES, True)[0] for i in range(PATIENTS)]


@pytest.fixture(scope="module")
def class_boxes(pieces):
    found = defaultdict(list)
    for piece in pieces:
        for c, box in box_lib.from_label_map(piece.segmap).items():
            if c in piece.facts.shown:
                found[c].append(np.array(box, float) / SIZE)
    return found


def test_every_demo_class_occurs(class_boxes):
    assert set(class_boxes) == set(DEMO_CLASSES)
    assert min(len(b) for b in class_boxes.values()) >= 15


def test_the_mean_box_of_a_class_is_a_bad_guess(class_boxes):
    scores = []
    for found in class_boxes.values():
        mean = tuple(np.mean(found, axis=0))
        scores.append(np.mean([box_lib.iou(tuple(b), mean) for b in found]))
    assert np.mean(scores) < 0.4


def test_another_patients_box_is_a_bad_guess(class_boxes):
    scores = []
    for found in class_boxes.values():
        others = found[1:] + found[:1]
        scores.append(np.mean([box_lib.iou(tuple(a), tuple(b)) for a, b in zip(found, others)]))
    assert np.mean(scores) < 0.3


def test_boxes_are_mostly_large(class_boxes):
    sides = {
        c: 112 * np.median([np.sqrt((b[2] - b[0]) * (b[3] - b[1])) for b in found])
        for c, found in class_boxes.items()
    }
    assert np.median(list(sides.values())) >= 14
    assert min(sides.values()) >= 9


def test_organs_stand_out_from_what_surrounds_them(pieces):
    """Compares the mean difference between an organ and the two-pixel ring around it with noise."""
    gaps = defaultdict(list)
    for piece in pieces:
        for c in piece.facts.shown:
            inside = piece.segmap == c
            grown = inside.copy()
            for _ in range(2):
                grown[1:] |= grown[:-1]
                grown[:-1] |= grown[1:]
                grown[:, 1:] |= grown[:, :-1]
                grown[:, :-1] |= grown[:, 1:]
            ring = grown & ~inside
            if ring.sum() < 4:
                continue
            low, high = (-160, 240) if piece.facts.modality == "CT" else (0, piece.image.max())
            image = np.clip(piece.image, low, high).astype(float)
            noise = np.median(np.abs(image[inside] - np.median(image[inside])))
            far = np.abs(np.sort(image[ring]) - np.median(image[inside]))
            gaps[c].append(np.mean(far) / (noise + 1))
    assert min(np.median(v) for v in gaps.values()) > 2


def test_planes_have_their_shares(pieces):
    oblique = np.mean([p.plane.name != "axial" for p in pieces])
    assert 0.08 < oblique < 0.18


def test_focused_slices_show_their_organ(pieces):
    assert np.mean([p.facts.focus in p.facts.shown for p in pieces]) > 0.9


def test_shown_absent_and_lesions_agree_with_the_label_map(pieces):
    for piece in pieces:
        present = set(np.unique(piece.segmap).tolist()) - {0}
        assert set(piece.facts.shown) <= present
        assert not set(piece.facts.absent) & present
        assert present <= set(DEMO_CLASSES)
        for lesion in piece.facts.lesions:
            assert lesion.host in piece.facts.shown


def test_lesions_differ_from_their_organ():
    seen = 0
    for number in range(60):
        piece = slices.make_slices(4, number, 1, 112, DEMO_CLASSES, True)[0]
        for lesion in piece.facts.lesions:
            k = next(k for k, les in enumerate(piece.patient.lesions) if les.host == lesion.host)
            _, tissue = render.labels(piece.patient, piece.plane)
            spot = tissue == piece.patient.lesion_tissue(k)
            organ = (piece.segmap == lesion.host) & ~spot
            gap = piece.image[spot].mean() - np.median(piece.image[organ])
            assert (gap > 0) == lesion.bright
            seen += 1
    assert seen > 8


def test_left_organs_are_on_the_right_of_the_image():
    """This is the radiological convention, in the planes that show both sides."""
    for name in ("axial", "coronal"):
        right = []
        for number in range(12):
            patient = make_patient(5, number, region="chest")
            center = render.to_scanner(patient, np.array([0.0, 5, 170]))
            fine, _ = render.labels(patient, render.Plane(name, tuple(center), 400, 56))
            segmap = DEMO_LABELS[fine]
            columns = {c: np.nonzero(segmap == c)[1].mean() for c in (118, 119)}
            right.append(columns[118] > columns[119])
        assert all(right)


def test_a_removed_organ_is_nowhere():
    for number in range(40):
        patient = make_patient(6, number, region="abdomen")
        for c in patient.missing:
            center, half = {2: ((-66, 44, -32), 40), 3: ((66, 44, -18), 40)}.get(
                c, ((0, 0, 20), 150)
            )
            steps = np.linspace(-half, half, 12)
            grid = np.stack(np.meshgrid(steps, steps, steps), -1) + np.array(center)
            assert not (render.paint_points(patient, grid) == c).any()


def test_a_patient_depends_on_seed_and_number_alone():
    a, b = (slices.make_slices(1, 7, 2, 48, DEMO_CLASSES, True) for _ in range(2))
    for first, second in zip(a, b):
        np.testing.assert_array_equal(first.image, second.image)
        assert first.facts == second.facts
    other = slices.make_slices(2, 7, 1, 48, DEMO_CLASSES, True)[0]
    assert not np.array_equal(other.image, a[0].image)


def test_leaving_out_far_bodies_changes_no_pixel(monkeypatch):
    whole = (slice(None), slice(None))
    for number in range(12):
        piece = slices.make_slices(7, number, 1, SIZE, DEMO_CLASSES, True)[0]
        quick = render.labels(piece.patient, piece.plane)
        with monkeypatch.context() as patched:
            patched.setattr(render, "_windows", lambda p, _: [whole] * len(p.pieces))
            slow = render.labels(piece.patient, piece.plane)
        np.testing.assert_array_equal(quick, slow)
