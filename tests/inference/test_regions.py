import dataclasses
import json
import math
import random

import numpy as np
import pytest

from big_rad.datasets.phantom import export
from big_rad.dicom.image import Place
from big_rad.dicom.series import Series, SliceRef, find
from big_rad.inference import regions as regions_lib
from big_rad.inference.confidence import Confidence
from big_rad.inference.predictions import Entity, Prediction
from big_rad.inference.regions import Marked, join
from tests.helpers.dicom_files import SECRET

BOX = (10.0, 10.0, 20.0, 30.0)
LIVER, SPLEEN = (5, "liver"), (1, "spleen")


def entity(box=BOX, kind=LIVER, sure=None, mask=None, phrase="", calibrated=None):
    confidence = None if sure is None else Confidence("box", {}, sure, calibrated)
    return Entity(phrase or kind[1], *kind, box, mask, confidence)


def stack(rows, spacing=(2.0, 1.0), gap=5.0, **fields):
    """Slices at equal distances; `rows` holds the entities of each."""
    return [
        Marked(k, tuple(row), None if gap is None else k * gap, spacing, **fields)
        for k, row in enumerate(rows)
    ]


def spans(found):
    return [(r.class_name, r.slices) for r in found]


def test_neighbours_of_a_class_become_one_region():
    (found,) = join(stack([[], [entity()], [entity((12, 8, 22, 28))], [entity()], []]))
    assert found.slices == (1, 2, 3) and found.entities == ((1, 0), (2, 0), (3, 0))
    assert found.box == (10, 8, 22, 30) and found.number == 1
    assert found.extent == (12, 44, 15) and found.positions == (5, 15)
    assert (found.volume, found.mean, found.best, found.status) == (None,) * 3 + ("uncalibrated",)
    assert found.notes == ("3 of 3 entities have no confidence",)


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ("11", [(0, 1)]),
        ("101", [(0, 2)]),
        ("1001", [(0,), (3,)]),
        ("110101101", [(0, 1, 3, 5, 6, 8)]),
        ("1000110001", [(0,), (4, 5), (9,)]),
    ],
)
def test_at_most_one_slice_may_lie_between(rows, want):
    made = stack([[entity()] if c == "1" else [] for c in rows])
    assert [r.slices for r in join(made)] == want
    # With `every`, the indices have gaps, and a slice is one that was read.
    thinned = [dataclasses.replace(s, index=s.index * 4, position=s.position * 4) for s in made]
    assert [tuple(k // 4 for k in r.slices) for r in join(thinned)] == want
    unknown = [dataclasses.replace(s, position=None) for s in made]
    assert [r.slices for r in join(unknown)] == want


def test_slices_that_are_missing_count_as_slices_between():
    rows = [[entity()] for _ in range(8)]
    made = stack(rows)
    one = [*made[:4], *made[5:]]
    two = [*made[:3], *made[5:]]
    assert [r.slices for r in join(one)] == [(0, 1, 2, 3, 5, 6, 7)]
    assert [r.slices for r in join(two)] == [(0, 1, 2), (5, 6, 7)]
    # Wider slices from some position on are not missing slices.
    at = [0, 2, 4, 6, 11, 16, 21, 26]
    unequal = [dataclasses.replace(s, position=float(p)) for s, p in zip(made, at)]
    assert len(join(unequal)) == 1


def test_classes_sides_and_places_stay_apart():
    row = [entity(), entity(kind=SPLEEN), entity((50, 50, 60, 60)), entity((20, 10, 30, 30))]
    found = join(stack([row, row[::-1]]))
    assert spans(found) == [("spleen", (0, 1))] + [("liver", (0, 1))] * 3
    assert [r.box for r in found[1:]] == [BOX, (20, 10, 30, 30), (50, 50, 60, 60)]
    assert [r.number for r in found] == [1, 2, 3, 4]
    # Two parts that meet in a slice above them are one region.
    both = join(stack([row[2:], [entity((25, 12, 55, 55))]]))
    assert [len(r.entities) for r in both] == [3]


def test_entities_without_a_class_are_joined_by_their_phrase():
    nameless = (0, "")
    rows = [
        [entity(kind=nameless, phrase="A  cyst"), entity(kind=nameless, phrase="mass")],
        [entity(kind=nameless, phrase="a cyst"), entity()],
    ]
    found = join(stack(rows))
    assert [(r.class_id, r.phrases) for r in found] == [
        (5, ("liver",)), (0, ("A  cyst", "a cyst")), (0, ("mass",)),
    ]  # fmt: skip


def test_the_order_of_slices_and_entities_changes_nothing_but_their_numbers():
    rng = random.Random(0)
    for _ in range(20):
        rows = [
            [
                entity((x, y, x + rng.randint(2, 30), y + rng.randint(2, 30)), kind, rng.random())
                for kind in rng.choices([LIVER, SPLEEN, (0, "")], k=rng.randint(0, 4))
                for x, y in [(rng.randint(0, 60), rng.randint(0, 60))]
            ]
            for _slice in range(8)
        ]
        want = join(stack(rows))
        assert sorted(e for r in want for e in r.entities) == [
            (k, n) for k, row in enumerate(rows) for n in range(len(row))
        ]
        mixed = stack([rng.sample(row, len(row)) for row in rows])
        rng.shuffle(mixed)
        same = [dataclasses.replace(r, entities=(), phrases=()) for r in want]
        assert [dataclasses.replace(r, entities=(), phrases=()) for r in join(mixed)] == same


def ellipsoid(at, spacing, radii, shape=(80, 96)):
    """Slices with the mask of an ellipsoid around (0, 0, 0), whose middle is the image's."""
    rows = (np.arange(shape[0]) - (shape[0] - 1) / 2)[:, None] * spacing[0]
    columns = (np.arange(shape[1]) - (shape[1] - 1) / 2) * spacing[1]
    made = []
    for k, z in enumerate(at):
        mask = (columns / radii[0]) ** 2 + (rows / radii[1]) ** 2 + (z / radii[2]) ** 2 <= 1
        entities = []
        if mask.any():
            ys, xs = np.nonzero(mask)
            box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            entities.append(entity(tuple(map(float, box)), mask=mask))
        made.append(Marked(k, tuple(entities), float(z), spacing))
    return made


@pytest.mark.parametrize(
    "at",
    [
        np.arange(-60, 61, 2.0),
        np.arange(-60, 61, 5.0),
        np.concatenate([np.arange(-60, 0, 2.5), np.arange(0, 61, 5.0)]),
        np.delete(np.arange(-60, 61, 2.0), [25, 33]),
        np.cumsum(np.random.default_rng(0).uniform(1.5, 3.0, 55)) - 60,
    ],
)
def test_size_and_volume_of_an_ellipsoid(at):
    radii = (30.0, 20.0, 40.0)
    (found,) = join(ellipsoid(at, (0.8, 0.7), radii))
    assert found.volume == pytest.approx(4 / 3 * math.pi * math.prod(radii) / 1000, rel=0.01)
    widest = max(np.diff(at))
    for size, radius, error in zip(found.extent, radii, (2 * 0.7, 2 * 0.8, 2 * widest)):
        assert size == pytest.approx(2 * radius, abs=error)


def test_the_volume_of_a_thinned_series_is_that_of_the_whole_one():
    whole = ellipsoid(np.arange(-60, 61, 1.0), (0.8, 0.7), (30.0, 20.0, 40.0))
    volumes = [join(whole[::n])[0].volume for n in (1, 2, 4, 8)]
    assert volumes == pytest.approx([volumes[0]] * 4, rel=0.03)


def test_masks_that_overlap_in_a_slice_count_once():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:20] = True
    half = mask & (np.arange(40) < 15)
    (found,) = join(stack([[entity(mask=mask), entity((10, 10, 15, 30), mask=half)]] * 2))
    assert found.volume == pytest.approx(200 * 2 * 10 / 1000)
    (found,) = join(stack([[entity(mask=mask)], [entity()]]))
    assert found.volume is None and any("no mask" in note for note in found.notes)


def test_a_single_slice_has_its_thickness():
    mask = np.ones((4, 5), bool)
    one = Marked(0, (entity((0, 0, 5, 4), mask=mask),), 12.0, (1.0, 2.0))
    (found,) = join([one], thickness=3.0)
    assert found.extent == (10, 4, 3) and found.volume == pytest.approx(0.12)
    (found,) = join([one])
    assert found.extent == (10, 4, None) and found.volume is None and len(found.notes) == 3


def test_what_is_unknown_is_none_and_said():
    mask = np.ones((4, 5), bool)
    rows = [[entity((0, 0, 5, 4), mask=mask, sure=0.5)]] * 3
    (no_spacing,) = join(stack(rows, spacing=None))
    assert no_spacing.extent == (None, None, 15) and no_spacing.volume is None
    (no_position,) = join(stack(rows, gap=None))
    assert no_position.extent == (5, 8, None) and no_position.positions is None
    for found in (no_spacing, no_position):
        assert sum("unknown" in note for note in found.notes) == 2
    (huge,) = join(stack(rows, spacing=(1e308, 1e308)))
    json.dumps(regions_lib.region_json(huge), allow_nan=False)


def test_confidence_is_that_of_the_entities():
    rows = [[entity(sure=0.2)], [entity(sure=0.8)], [entity(sure=0.8), entity()], []]
    (found,) = join(stack(rows))
    assert (found.mean, found.highest, found.best) == (pytest.approx(0.6), 0.8, 1)
    assert found.status == "uncalibrated" and "1 of 4 entities" in found.notes[-1]
    rows = [[entity(sure=0.2, calibrated=0.9)], [entity(sure=0.8, calibrated=0.1)]]
    (found,) = join(stack(rows))
    assert (found.mean, found.highest, found.best) == (0.5, 0.9, 0)
    assert found.status == "calibrated"
    rows[1] = [entity(sure=0.8)]
    assert join(stack(rows))[0].status == "uncalibrated"


def test_slices_that_are_not_marked_and_ends_that_are_cut_off_are_said():
    sure = [entity(sure=0.5)]
    (inside,) = join(stack([[], sure, sure, []]))
    assert inside.notes == ()
    (gap,) = join(stack([[], sure, [], sure, []]))
    assert "not marked on 1" in gap.notes[0]
    (cut,) = join(stack([sure, sure, []]))
    assert "an end of the series" in cut.notes[0]


def test_boxes_are_compared_where_they_lie_in_the_patient():
    # The table moves, or the gantry is tilted: the first pixel wanders over the patient.
    def places(step):
        return [Place((1, 0, 0), (0, 1, 0), (0.0, step * k, 5.0 * k)) for k in range(3)]

    rows = [[entity((10, 10 + 15 * k, 20, 24 + 15 * k))] for k in range(3)]
    still = [dataclasses.replace(s, place=p) for s, p in zip(stack(rows), places(0))]
    moved = [dataclasses.replace(s, place=p) for s, p in zip(stack(rows), places(-30.0))]
    assert len(join(still)) == 3
    (found,) = join(moved)
    assert found.extent == (10, 28, 15)


def test_wrong_slices_are_refused():
    made = stack([[entity()], [entity()]])
    with pytest.raises(ValueError, match="same index"):
        join([made[0], made[0]])
    with pytest.raises(ValueError, match="positions"):
        join([made[0], dataclasses.replace(made[1], position=-4.0)])
    assert join([]) == () and join(stack([[], []])) == ()
    assert join(stack([[entity(box=None)]])) == ()


def test_a_phantom_gives_the_same_regions_as_dicom_and_as_nifti(tmp_path):
    export.export(tmp_path, patients=1, size=24, thickness=15.0)
    files = find(tmp_path / "dicom").series[0]
    volume = next(s for s in find(tmp_path / "nifti").series if s.key == "P000000")
    rng = np.random.default_rng(0)
    predictions = []
    for _ in files.slices:
        mask = rng.random((24, 24)) < 0.5
        box = (2.0, 3.0, *rng.integers(8, 24, 2).astype(float))
        more = entity((20.0, 1.0, 23.0, 4.0), SPLEEN, rng.random(), mask)
        predictions.append(Prediction("", (entity(box, sure=rng.random(), mask=mask), more), 0.0))
    found = []
    for series in (files, volume):
        marked = [*map(regions_lib.of_slice, series.slices, predictions)]
        found.append([regions_lib.region_json(r) for r in join(marked, series.thickness)])
    assert len(found[0]) == 2 and found[0][0]["volume_ml"] > 1
    for a, b in zip(*found, strict=True):
        assert a.pop("volume_ml") == pytest.approx(b.pop("volume_ml"), rel=1e-4)
        for key in ("position_mm", "extent_mm"):
            assert a.pop(key) == pytest.approx(b.pop(key), abs=0.01)
        assert a == b


def test_the_json_of_a_series_holds_its_regions_and_no_identifier(tmp_path):
    refs = tuple(
        SliceRef(tmp_path / SECRET / f"{SECRET}.dcm", None, None, 2 * k, 4.0 * k,
                 sop_instance_uid=SECRET)
        for k in range(2)
    )  # fmt: skip
    series = Series(
        "series-1", "dicom", refs, "axial", "CT", 3, 2, 4.0, 2.0, ("a warning",), SECRET
    )
    prediction = Prediction("", (entity(sure=0.5), entity(box=None)), 0.0)
    marked = [regions_lib.of_slice(ref, prediction) for ref in refs]
    plain = regions_lib.to_json(join(marked), series, marked, task="report")
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert SECRET not in json.dumps(plain) + repr(series) + repr(marked)
    assert list(plain)[:3] == ["task", "key", "kind"] and plain["count"] == 3
    assert [s["position_mm"] for s in plain["slices"]] == [0, 4]
    assert plain["warnings"][0] == "a warning" and plain["warnings"][1].endswith(": 2")
    (region,) = plain["regions"]
    assert region["slices"] == [0, 2] and region["confidence"]["slice"] == 0
    assert region["entities"] == [{"slice": 0, "entity": 0}, {"slice": 2, "entity": 0}]
    assert region["extent_mm"] == {"x": None, "y": None, "z": 8.0}
