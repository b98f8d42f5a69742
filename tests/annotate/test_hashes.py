"""Tests perceptual hashes and the groups of near ones."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from big_rad.annotate import hashes
from big_rad.datasets.phantom.body.anatomy import make_patient
from big_rad.datasets.phantom.export import make_volume


@pytest.fixture(scope="module")
def volumes():
    # The slices of a volume lie 5 mm apart.
    return [make_volume(make_patient(3, k), 3, 96, 5.0).image[5:35] for k in range(3)]


def hashed(volume):
    return [hashes.phash(image) for image in volume]


def distances(a, b):
    return np.array([hashes.distance(x, y) for x, y in zip(a, b)])


def test_a_hash_is_256_bits_and_depends_on_the_pixels_alone(volumes):
    image = volumes[0][10]
    one = hashes.phash(image)
    assert len(one) == 64 and int(one, 16).bit_count() in range(126, 130)
    assert one == hashes.phash(np.asfortranarray(image)) == hashes.phash(image.astype(np.float32))


def test_brightness_and_contrast_do_not_count(volumes):
    for image in volumes[1][::5]:
        assert hashes.distance(hashes.phash(image), hashes.phash(image * 3.0 + 700)) <= 1


def requantised(x):
    return np.round((x - x.min()) / np.ptp(x) * 255).astype(np.uint8)


def noisy(x):
    return x + np.random.default_rng(0).normal(0, 0.01 * x.std(), x.shape)


def as_jpeg(x):
    data = io.BytesIO()
    Image.fromarray(requantised(x)).save(data, "JPEG", quality=90)
    return np.asarray(Image.open(data))


def halved(x):
    return x.reshape(48, 2, 48, 2).mean((1, 3))


@pytest.mark.parametrize("change", [requantised, noisy, as_jpeg, halved])
def test_a_changed_copy_is_near(volumes, change):
    for volume in volumes:
        copies = [hashes.phash(change(image.astype(np.float64))) for image in volume[::3]]
        found = distances(copies, hashed(volume[::3]))
        assert np.mean(found <= hashes.MOST) >= 0.9 and found.max() <= 10


def test_neighbouring_slices_are_mostly_not_near(volumes):
    found = np.concatenate([distances(h, h[1:]) for h in map(hashed, volumes)])
    assert np.mean(found <= 2) < 0.05 and np.median(found) > 10


def test_mirrored_images_and_other_patients_are_far_away(volumes):
    for volume in volumes:
        mirrored = distances(hashed(volume), hashed(volume[:, :, ::-1]))
        assert mirrored.min() > 90
    for a, b in zip(volumes, volumes[1:]):
        for shift in range(0, 30, 7):
            assert distances(hashed(a), hashed(np.roll(b, shift, axis=0))).min() > 25


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 7)),
        np.full((512, 512), -1024, np.int16),
        np.full((3, 3), np.nan),
        np.zeros((0, 4)),
    ],
)
def test_images_without_content_have_the_blank_hash(image):
    assert hashes.phash(image) == hashes.BLANK


@settings(max_examples=50)
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    )
)
def test_any_grey_image_has_a_hash(image):
    assert len(bytes.fromhex(hashes.phash(image))) == 32


def test_colour_images_are_refused():
    with pytest.raises(ValueError, match="3 dimensions"):
        hashes.phash(np.zeros((4, 4, 3)))


def by_comparing_all(found, most):
    left, groups = set(found) - {k for k, v in found.items() if v == hashes.BLANK}, []
    while left:
        group, waiting = set(), [left.pop()]
        while waiting:
            one = waiting.pop()
            group.add(one)
            close = {k for k in left if hashes.distance(found[k], found[one]) <= most}
            left -= close
            waiting += close
        if len(group) > 1:
            groups.append(group)
    return sorted(groups, key=min)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 12))
def test_near_finds_exactly_what_comparing_all_pairs_finds(seed, most, flips):
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 2, (4, 256), np.uint8)
    bits = bases[rng.integers(0, 4, 40)]
    for row in bits:
        row[rng.integers(0, 256, rng.integers(0, flips + 1))] ^= 1
    found = {f"i{k:02}": np.packbits(row).tobytes().hex() for k, row in enumerate(bits)}
    found |= {"blank 1": hashes.BLANK, "blank 2": hashes.BLANK}
    assert hashes.near(found, most) == by_comparing_all(found, most)


def test_near_of_nothing_is_nothing():
    assert hashes.near({}) == [] and hashes.near({"a": "f" * 64}) == []


@pytest.mark.parametrize("wrong", ["", "ab", "g" * 64, "f" * 62])
def test_a_hash_of_another_form_is_refused(wrong):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        hashes.near({"a": wrong, "b": "f" * 64})


def test_the_largest_distance_is_checked():
    with pytest.raises(ValueError, match=r"most must be in 0\.\.64"):
        hashes.near({"a": "f" * 64}, most=-1)
