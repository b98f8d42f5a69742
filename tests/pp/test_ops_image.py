import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from big_rad.pp import builder, ops_image


def run(pp, **example):
    example = {"id": "a", "modality": "CT"} | example
    return builder.get_preprocess_fn(pp)(example)


def letter_f(value=200, air=-1000, size=24):
    """An image that every mirroring or turning changes, and its label map: 7 on the letter."""
    segmap = np.zeros((size, size), np.uint8)
    segmap[4:20, 6:9] = segmap[4:7, 6:16] = segmap[10:13, 6:13] = 7
    return np.where(segmap > 0, value, air).astype(np.int16), segmap


def test_window_goldens():
    # (x - lo) / (hi - lo + 1e-5) * 2 - 1 by hand; lo, hi = (-1225, 1025), (-135, 215), (0, 80).
    hu = np.array([[-2000, -1000, -100, 0, 40, 80, 215, 3000]], np.int16)
    wide = [-0.8, -0.8, 0, 200 / 2250, 280 / 2250, 360 / 2250, 630 / 2250, 1]
    soft = [-1, -1, -0.8, -40 / 175, 0, 40 / 175, 1, 1]
    brain = [-1, -1, -1, -1, 0, 1, 1, 1]
    windows = ops_image.ct_windows(hu)[0]
    np.testing.assert_allclose(windows.T, [wide, soft, brain], atol=1e-6)
    assert windows.dtype == np.float32


@hypothesis.given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=9))
def test_windows_follow_the_formula(values):
    hu = np.array([values], np.int16)
    got = ops_image.ct_windows(hu)
    for channel, (width, level) in enumerate(ops_image.CT_WINDOWS):
        lo, hi = level - width / 2, level + width / 2
        x = np.clip(np.maximum(hu.astype(np.float64), -1000), lo, hi)
        np.testing.assert_allclose(
            got[..., channel], (x - lo) / (hi - lo + 1e-5) * 2 - 1, atol=1e-6
        )


@pytest.mark.parametrize(
    "kind, modality, values, expected",
    [
        ("medgemma", "MR", [0, 50, 100], [-1, 0, 1]),
        ("medgemma", "MR", [7, 7, 7], [-1, -1, -1]),
        ("dataset_stats", "CT", [-610, 127, 3000], [0.19 / 737.39, 737.19 / 737.39, 2]),
        (
            "dataset_stats",
            "CT",
            [-5000, -1000, -610],
            [-389.81 / 737.39, -389.81 / 737.39, 0.000258],
        ),
        ("dataset_stats", "MR", [0, 141, 1000], [-141.12 / 255.40, -0.12 / 255.40, 2]),
        ("min_max", "CT", [-2000, 1000, 9000], [0, 0.5, 1]),
        ("min_max", "MR", [-5, 2048, 9000], [0, 0.5, 1]),
        ("min_max", "OT", [-5, 0, 5], [0, 0.5, 1]),
    ],
)
def test_normalization_goldens(kind, modality, values, expected):
    image = run(f"normalize({kind!r})", image=np.array([values], np.int16), modality=modality)
    for channel in range(3):
        np.testing.assert_allclose(image["image"][0, :, channel], expected, atol=1e-6)


def test_colour_is_resized_by_pillow_then_scaled_over_the_whole_image():
    picture = np.random.default_rng(0).integers(30, 200, (40, 30, 3)).astype(np.uint8)
    out = run("load|normalize('medgemma')|resize(16)", image=picture, modality="OT")["image"]
    x = np.asarray(Image.fromarray(picture).resize((16, 16))) / 255  # Pillow's default is bicubic
    x = (x - x.min()) / (x.max() - x.min() + 1e-5) * 2 - 1
    np.testing.assert_allclose(out, x, atol=1e-6)


def test_colour_in_min_max_is_scaled_to_one():
    picture = np.random.default_rng(0).integers(30, 200, (4, 4, 3)).astype(np.uint8)
    image = run("load|normalize('min_max')", image=picture, modality="OT")["image"]
    assert image.min() == 0 and image.max() == pytest.approx(1, abs=2e-5)
    with pytest.raises(ValueError, match="dataset_stats"):
        run("load|normalize('dataset_stats')", image=picture, modality="OT")


def test_an_unknown_normalization_is_refused():
    with pytest.raises(ValueError, match="medgemma"):
        run("normalize('zscore')", image=np.zeros((2, 2), np.int16))


def test_bilinear_goldens():
    # Half-pixel centres: 4 -> 2 samples between pixels 0|1 and 2|3; 2 -> 4 at -.25, .25, .75, 1.25.
    down = np.arange(4, dtype=np.float32)[None, :, None].repeat(4, axis=0)
    np.testing.assert_allclose(
        ops_image.resize_bilinear(down, 2)[..., 0], [[0.5, 2.5], [0.5, 2.5]], atol=1e-7
    )
    up = np.array([[0, 4], [8, 12]], np.float32)[..., None]
    np.testing.assert_allclose(
        ops_image.resize_bilinear(up, 4)[..., 0],
        [[0, 1, 3, 4], [2, 3, 5, 6], [6, 7, 9, 10], [8, 9, 11, 12]],
        atol=1e-6,
    )
    # 5 -> 2: centres at 0.75 and 3.25; pixel 2 has no weight, because there is no smoothing.
    odd = np.array([0, 0, 100, 0, 0], np.float32)[None, :, None].repeat(5, axis=0)
    np.testing.assert_allclose(ops_image.resize_bilinear(odd, 2)[0, :, 0], [0, 0], atol=1e-5)


def test_antialias_smooths_and_keeps_the_mean():
    odd = np.array([0, 0, 100, 0, 0, 0], np.float32)[None, :, None].repeat(6, axis=0)
    out = ops_image.resize_bilinear(odd, 2, antialias=True)
    assert out[0, 0, 0] > 10
    flat = np.full((9, 7, 3), 5, np.float32)
    np.testing.assert_allclose(ops_image.resize_bilinear(flat, 4, antialias=True), 5, atol=1e-5)


@pytest.mark.parametrize("size", [3, 8, 11, 20])
def test_resize_is_the_same_for_grey_shown_three_times(size):
    x = np.random.default_rng(1).random((8, 13, 1), np.float32)
    view, copy = np.broadcast_to(x, (8, 13, 3)), np.repeat(x, 3, axis=-1)
    a, b = (ops_image.resize_bilinear(i, size) for i in (view, copy))
    np.testing.assert_array_equal(a, b)
    assert a.flags.c_contiguous and b.flags.c_contiguous and a.shape == (size, size, 3)


def test_resize_to_the_same_size_changes_nothing():
    x = np.random.default_rng(1).random((8, 8, 3), np.float32)
    np.testing.assert_array_equal(ops_image.resize_bilinear(x, 8), x)


def test_nearest_goldens():
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(ops_image.resize_nearest(labels, 2), [[5, 7], [13, 15]])
    np.testing.assert_array_equal(ops_image.resize_nearest(labels[:2, :2], 4)[0], [0, 0, 1, 1])
    assert ops_image.resize_nearest(labels, 4) is labels


@pytest.mark.parametrize("size", [12, 24, 30])
def test_left_stays_left_and_up_stays_up(size):
    image, segmap = letter_f()
    out = run(
        f"load|normalize('medgemma')|resize({size})", image=image, segmap=segmap, modality="CT"
    )
    bright = out["image"][..., 1] > 0
    assert bright[:, : size // 2].sum() > 1.5 * bright[:, size // 2 :].sum()
    assert bright[: size // 2].sum() > 1.5 * bright[size // 2 :].sum()
    assert (bright == (out["segmap"] == 7)).mean() > 0.95


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("pp", ["augment(shift=5)", "augment(crop=0.8)", "augment(3, (0.7, 0.9))"])
def test_the_label_map_follows_the_image(pp, seed):
    image, segmap = letter_f()
    out = run(pp, image=image, segmap=segmap, rng=np.random.default_rng(seed))
    assert out["image"].shape == out["segmap"].shape
    np.testing.assert_array_equal(out["image"] > 0, out["segmap"] == 7)
    assert out["image"].dtype == np.int16 and (out["image"] > 0).any()


def test_shift_reaches_all_offsets_up_to_its_size_and_fills_with_air():
    image, segmap = letter_f(air=-900)
    seen = set()
    for seed in range(200):
        out = run("augment(shift=2)", image=image, segmap=segmap, rng=np.random.default_rng(seed))
        ys, xs = np.nonzero(out["segmap"])
        seen.add((int(ys.min()) - 4, int(xs.min()) - 6))
        assert set(np.unique(out["image"])) == {-900, 200}
        assert len(ys) == (segmap > 0).sum()
    assert seen == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_shifted_by_more_than_the_image_is_empty():
    x = np.ones((3, 4), np.uint8)
    assert not ops_image.shifted(x, 3, 0, 0).any() and not ops_image.shifted(x, 0, -9, 0).any()


def test_crop_keeps_the_share_asked_for():
    for seed in range(30):
        image = np.zeros((100, 50), np.int16)
        out = run("augment(crop=(0.9, 1.0))", image=image, rng=np.random.default_rng(seed))
        assert 90 <= out["image"].shape[0] <= 100 and 45 <= out["image"].shape[1] <= 50


def test_gamma_and_intensity_act_on_stored_values_and_keep_the_map():
    image, segmap = letter_f()
    image[0, 0] = -400  # A value in the middle of the range, which only gamma changes.
    fields = {"image": image, "segmap": segmap}
    out = run("augment(gamma=(2, 2), gamma_p=1)", rng=np.random.default_rng(0), **fields)
    assert out["image"].min() == -1000 and out["image"].max() == pytest.approx(200, abs=0.1)
    assert out["image"][0, 0] == pytest.approx(-1000 + 0.5**2 * 1200, abs=0.1)
    out = run("augment(intensity=20, intensity_p=1)", rng=np.random.default_rng(0), **fields)
    offset = out["image"] - image
    assert 0 < abs(offset[0, 0]) <= 20 and np.ptp(offset) < 1e-3
    np.testing.assert_array_equal(out["segmap"], segmap)


def test_augmentation_is_off_by_default_and_for_colour_leaves_values_alone():
    image, _ = letter_f()
    out = run("augment()", image=image, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(out["image"], image)
    colour = np.random.default_rng(0).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    pp = "augment(gamma=(2, 2), gamma_p=1, intensity=20, intensity_p=1)"
    out = run(pp, image=colour, modality="OT", rng=np.random.default_rng(0))
    np.testing.assert_array_equal(out["image"], colour)


def test_the_padding_of_a_scanner_does_not_change_what_gamma_does():
    image, _ = letter_f()
    padded = image.copy()
    padded[-1] = np.where(image[-1] == -1000, -3024, image[-1])
    assert padded.min() == -3024
    outs = [
        run("augment(gamma=(0.7, 0.7), gamma_p=1)", image=i, rng=np.random.default_rng(0))["image"]
        for i in (image, padded)
    ]
    np.testing.assert_array_equal(*outs)
    kept = run("augment()", image=padded, modality="MR", rng=np.random.default_rng(0))
    np.testing.assert_array_equal(kept["image"], padded)


def test_channel_repeat_shows_one_window_three_times():
    hu = np.array([[-500, 20, 60, 300]], np.int16)
    windows, seen = ops_image.ct_windows(hu), set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        out = run("augment(channel_repeat=1.0)|normalize('medgemma')", image=hu, rng=rng)["image"]
        (k,) = [k for k in range(3) if np.array_equal(out[..., 0], windows[..., k])]
        np.testing.assert_array_equal(out, np.repeat(windows[..., k : k + 1], 3, axis=-1))
        seen.add(k)
    assert seen == {0, 1, 2}


def test_augmentation_is_a_function_of_the_generator():
    image, segmap = letter_f()
    pp = "augment(4, 0.8, gamma=(0.7, 1.2), intensity=20, channel_repeat=0.5)|normalize|resize(16)"
    a, b, c = (
        run(pp, image=image, segmap=segmap, rng=np.random.default_rng(seed))["image"]
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_random_op_without_a_generator_says_so():
    with pytest.raises(KeyError, match="rng"):
        run("augment(shift=2)", image=np.zeros((4, 4), np.int16))


@pytest.mark.parametrize("pp", ["augment(crop=1.5)", "augment(crop=(0.9, 0.5))", "augment(-1)"])
def test_impossible_augmentations_are_refused(pp):
    with pytest.raises(ValueError, match="augment"):
        builder.get_preprocess_fn(pp)


def test_resize_keeps_the_label_map_of_before_for_boxes():
    image, segmap = letter_f()
    out = run("load|normalize|resize(12)", image=image, segmap=segmap)
    assert out["segmap"].shape == (12, 12)
    assert out["segmap_full"] is segmap


def test_resize_before_normalize_is_refused():
    with pytest.raises(ValueError, match="normalize"):
        run("resize(4)", image=np.zeros((4, 4), np.int16))
