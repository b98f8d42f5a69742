import hashlib
import itertools

import numpy as np
import pytest

from big_rad.datasets.phantom import builder
from big_rad.datasets.phantom.body import render, slices, tissues
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES, LESION_HOSTS, make_patient
from big_rad.datasets.phantom.body.scanner import RANGES, USUAL, Scanner

SEED = 11
OTHERS = [Scanner(noise=400), Scanner(contrast=25)]


def first(modality):
    """Returns the number of the first patient of a modality."""
    return next(n for n in range(20) if make_patient(SEED, n).modality == modality)


def piece(number, scanner=USUAL, size=56):
    return slices.make_slices(SEED, number, 1, size, DEMO_CLASSES, True, scanner)[0]


def test_the_usual_look_is_what_it_was_before_there_were_others():
    """The digest was computed with the code that did not have this module yet."""
    digest = hashlib.sha256()
    for number in range(6):
        for made in slices.make_slices(0, number, 2, 40, DEMO_CLASSES, True):
            digest.update(made.image.tobytes())
            digest.update(made.segmap.tobytes())
    assert digest.hexdigest()[:16] == "a821a5ef3f868bff"


@pytest.mark.parametrize("name", RANGES)
def test_values_outside_of_the_limits_are_refused_by_name_and_limit(name):
    low, high = RANGES[name]
    assert low < 100 < high
    for good in (low, high):
        assert getattr(Scanner(**{name: good}), name) == good
    for bad in (low - 1, high + 1, 0, -100, 150.0, True, "150", None):
        with pytest.raises(ValueError, match=f"{name}=.* whole number from {low} to {high}"):
            Scanner(**{name: bad})
        with pytest.raises(ValueError, match=f"{name}="):
            builder.PhantomConfig("demo", **{name: bad})


@pytest.mark.parametrize("scanner", OTHERS, ids=str)
def test_without_another_field_of_view_the_labels_and_texts_stay_the_same(scanner):
    for number in range(4):
        usual, other = piece(number), piece(number, scanner)
        np.testing.assert_array_equal(usual.segmap, other.segmap)
        assert usual.facts == other.facts and usual.plane == other.plane
        assert not np.array_equal(usual.image, other.image)
        texts = [builder.texts_of(p, SEED, number, 0, True) for p in (usual, other)]
        assert texts[0] == texts[1]


def test_the_noise_of_ct_is_scaled_and_the_signal_is_not():
    number = first("CT")
    one, two, four = (piece(number, Scanner(noise=n)).image.astype(float) for n in (100, 200, 400))
    inside = (one > -300) & (one < 1500)  # The noise of air is clipped at -1024 HU.
    assert inside.sum() > 500
    np.testing.assert_allclose((four - two)[inside], 2 * (two - one)[inside], atol=2.5)
    assert abs((two - one)[inside].mean()) < 0.1 * (two - one)[inside].std()
    assert (two - one)[inside].std() > 3


def test_the_noise_of_mr_is_scaled_in_the_background():
    number, wide = first("MR"), 200  # The corners of a wide field of view are air.
    images = [piece(number, Scanner(noise=n, fov=wide)).image for n in (100, 200, 400)]
    means = [np.mean([i[:9, :9], i[:9, -9:]]) for i in images]
    assert means[1] / means[0] == pytest.approx(2, rel=0.1)
    assert means[2] / means[1] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("percent", [25, 60, 140, 200])
def test_contrast_in_ct_scales_enhancement_and_keeps_calibrated_tissues(percent):
    rng = np.random.default_rng(2)
    for _ in range(12):
        values, _ = tissues.tables("CT", rng)
        new = dict(zip(tissues.NAMES, tissues.with_contrast("CT", values, percent)))
        old = dict(zip(tissues.NAMES, values))
        for name in ("air", "lung", "fat", "urine", "bile", "csf", "bone_cortex", "bone_marrow"):
            assert new[name] == old[name]
        for name in ("liver", "spleen", "kidney_cortex", "artery", "vein", "muscle", "pancreas"):
            if percent > 100 and old[name] <= 40:
                assert new[name] == old[name]
            else:
                scaled = 40 + (old[name] - 40) * percent / 100
                assert new[name] == pytest.approx(scaled, abs=0.01)
        soft = [new[n] for n in ("liver", "spleen", "artery", "vein", "muscle", "soft")]
        assert min(soft) > 0 and max(soft) < 720


@pytest.mark.parametrize("percent", [25, 60, 140, 200])
def test_contrast_in_mr_scales_log_signal_about_its_middle_and_keeps_what_gives_no_signal(percent):
    values, _ = tissues.tables("MR", np.random.default_rng(4))
    new = tissues.with_contrast("MR", values, percent)
    void = [tissues.INDEX[n] for n in ("air", "lung", "bone_cortex", "bone_thin")]
    np.testing.assert_array_equal(new[void], values[void])
    rest = np.setdiff1d(np.arange(len(values)), void)
    before, after = np.log(values[rest]), np.log(new[rest])
    np.testing.assert_allclose(np.ptp(after), np.ptp(before) * percent / 100, rtol=1e-4)
    np.testing.assert_allclose(after.mean(), before.mean(), atol=1e-4)


def test_the_pixels_of_ct_follow_the_contrast_of_their_tissue():
    number = first("CT")
    usual, other = piece(number), piece(number, Scanner(contrast=40))
    old = usual.patient.values
    change = tissues.with_contrast("CT", old, 40) - old
    _, tissue = render.labels(usual.patient, usual.plane)
    change = change[tissue]
    around = np.lib.stride_tricks.sliding_window_view(change, (3, 3)).reshape(54, 54, 9)
    alike = np.ptp(around, axis=-1) < 1e-3  # The image is smoothed over 3 x 3 pixels.
    moved = (other.image.astype(float) - usual.image)[1:-1, 1:-1][alike]
    np.testing.assert_allclose(moved, change[1:-1, 1:-1][alike], atol=1.01)
    assert (np.abs(moved) > 3).sum() > 100 and (moved == 0).sum() > 100


def test_a_bright_lesion_stays_brighter_and_a_dark_one_darker_than_its_organ():
    seen = set()
    patients = [make_patient(SEED, number) for number in range(24)]
    for patient, percent in itertools.product(patients, (25, 60, 200)):
        values = tissues.with_contrast(patient.modality, patient.values, percent)
        assert values.dtype == np.float32 and len(values) == len(patient.values)
        for k, lesion in enumerate(patient.lesions):
            organ = values[tissues.INDEX[LESION_HOSTS[lesion.host][1]]]
            gap = float(values[patient.lesion_tissue(k)] - organ)
            assert (gap > 0) == lesion.bright and abs(gap) > 5
            seen.add((patient.modality, lesion.bright))
    assert len(seen) == 4


def test_the_field_of_view_decides_how_large_and_how_much_is_shown():
    compared = 0
    for number in range(9):
        usual, wide = piece(number), piece(number, Scanner(fov=150))
        assert wide.plane.fov == pytest.approx(1.5 * usual.plane.fov)
        assert usual.patient.id == wide.patient.id and usual.facts.focus == wide.facts.focus
        for c in usual.facts.shown:
            here = usual.segmap == c
            edge = here[[0, -1]].any() or here[:, [0, -1]].any()
            if not edge and here.sum() > 150:  # The whole organ is shown.
                area = here.sum() * usual.plane.spacing**2
                same = (wide.segmap == c).sum() * wide.plane.spacing**2
                assert same == pytest.approx(area, rel=0.15)
                compared += 1
    assert compared > 4


@pytest.mark.parametrize("fov", RANGES["fov"])
def test_facts_agree_with_the_label_map_at_every_field_of_view(fov):
    focused = 0
    for number in range(9):
        made = piece(number, Scanner(fov=fov))
        present = set(np.unique(made.segmap).tolist()) - {0}
        assert set(made.facts.shown) <= present and not set(made.facts.absent) & present
        assert {lesion.host for lesion in made.facts.lesions} <= set(made.facts.shown)
        assert builder.texts_of(made, SEED, number, 0, True)
        focused += made.facts.focus in present
    assert focused > 6
