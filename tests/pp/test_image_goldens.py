"""Whole image chains against straightforward formulas, and geometry that must not be lost.

The formulas are written here once more, in float64 and partly pixel by pixel. The expected values
do not use any image function of the package.
"""

import math

import numpy as np
import pydicom
import pydicom.data
import pytest
from PIL import Image

from big_rad.grounding import boxes as box_lib
from big_rad.pp import builder

KINDS = ("medgemma", "dataset_stats", "min_max")


def run(pp, seed=0, **example):
    example = {"id": "a", "modality": "CT", "rng": np.random.default_rng(seed)} | example
    return builder.get_preprocess_fn(pp)(example)


# Formulas


def stored(name):
    """(path, values) of a slice that comes with pydicom; float64, in HU for CT."""
    path = pydicom.data.get_testdata_file(name)
    ds = pydicom.dcmread(path)
    return path, ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(
        ds.get("RescaleIntercept", 0)
    )


def scaled(x):
    return (x - x.min()) / (x.max() - x.min() + 1e-5)


def normalised(x, modality, kind):
    """The normalised image, float64 [H, W, 3]."""
    x = np.maximum(x, -1000) if modality == "CT" else x
    if kind == "medgemma" and modality == "CT":
        channels = []
        for width, level in ((2250, -100), (350, 40), (80, 40)):
            lo, hi = level - width / 2, level + width / 2
            channels.append((np.clip(x, lo, hi) - lo) / (hi - lo + 1e-5) * 2 - 1)
        return np.stack(channels, axis=-1)
    if kind == "medgemma":
        x = scaled(x) * 2 - 1
    elif kind == "dataset_stats":
        mean, std = {"CT": (-610.19, 737.39), "MR": (141.12, 255.40)}[modality]
        x = np.clip((x - mean) / std, -2, 2)
    else:
        x = scaled(np.clip(x, *{"CT": (-1000, 3000), "MR": (0, 4096)}[modality]))
    return np.stack([x, x, x], axis=-1)


def bilinear(x, size):
    """Resizes pixel by pixel: half-pixel centres, clamped at the border, without smoothing."""
    height, width = x.shape[:2]
    out = np.empty((size, size, x.shape[2]))
    for i in range(size):
        y = min(max((i + 0.5) * height / size - 0.5, 0), height - 1)
        top, down = math.floor(y), min(math.floor(y) + 1, height - 1)
        for j in range(size):
            at = min(max((j + 0.5) * width / size - 0.5, 0), width - 1)
            left, right = math.floor(at), min(math.floor(at) + 1, width - 1)
            a, b = y - top, at - left
            upper = x[top, left] * (1 - b) + x[top, right] * b
            lower = x[down, left] * (1 - b) + x[down, right] * b
            out[i, j] = upper * (1 - a) + lower * a
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [48, 100])
@pytest.mark.parametrize("modality, name", [("CT", "CT_small.dcm"), ("MR", "MR_small.dcm")])
def test_a_fixed_slice_from_file_to_tensor_is_what_the_formulas_give(modality, name, size, kind):
    path, values = stored(name)
    out = builder.get_preprocess_fn(f"load|normalize({kind!r})|resize({size})")(
        {"id": "a", "path": path}
    )
    assert out["modality"] == modality
    want = bilinear(normalised(values, modality, kind), size)
    assert out["image"].dtype == np.float32 and np.ptp(want) > 0.5
    np.testing.assert_allclose(out["image"], want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["medgemma", "min_max"])
def test_a_fixed_picture_from_file_to_tensor_is_what_the_formulas_give(tmp_path, kind):
    rows, columns = np.mgrid[:60, :90]
    picture = np.stack([40 + 2 * columns, 250 - 3 * rows, 30 + rows + columns], -1)
    picture = picture.astype(np.uint8)
    picture[20:30, 40:60] = (255, 10, 90)
    Image.fromarray(picture).save(tmp_path / "a.png")
    pp = f"load|normalize({kind!r})|resize(32)"
    out = builder.get_preprocess_fn(pp)({"id": "a", "path": tmp_path / "a.png"})
    resized = Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC)
    want = scaled(np.asarray(resized, np.float64) / 255)
    want = want * 2 - 1 if kind == "medgemma" else want
    np.testing.assert_allclose(out["image"], want, rtol=0, atol=1e-6)


# Left and right


def body(height=96, width=128):
    """A CT with a liver at the left of the image, a spleen at its right and a marker above."""
    image = np.full((height, width), -1000, np.int16)
    rows, columns = np.mgrid[:height, :width]
    image[((rows - 50) / 40) ** 2 + ((columns - 64) / 58) ** 2 < 1] = -80
    segmap = np.zeros((height, width), np.uint8)
    segmap[((rows - 48) / 22) ** 2 + ((columns - 40) / 26) ** 2 < 1] = 5
    segmap[((rows - 52) / 14) ** 2 + ((columns - 104) / 10) ** 2 < 1] = 1
    segmap[16:24, 60:68] = 51
    for class_id, hu in ((5, 60), (1, 50), (51, 200)):
        image[segmap == class_id] = hu
    return image, segmap


@pytest.mark.parametrize("size", [64, 112, 224])
@pytest.mark.parametrize("pp", ["load|", "load|augment(crop=(0.9, 1.0), gamma=(0.7, 1.2))|"])
@pytest.mark.parametrize("seed", range(3))
def test_left_stays_left_and_up_stays_up_in_image_label_map_and_boxes(pp, size, seed):
    image, segmap = body()
    boxes = [[*box, c] for c, box in box_lib.from_label_map(segmap).items()]
    pp = f"{pp}normalize('medgemma')|resize({size})"
    out = run(pp, seed, image=image, segmap=segmap, boxes=boxes)
    centres = {c: ((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2, c in out["boxes"]}
    for positions in (
        centres,
        {c: np.argwhere(out["segmap"] == c).mean(axis=0)[::-1] for c in (1, 5, 51)},
    ):
        assert positions[5][0] < positions[51][0] < positions[1][0]
        assert positions[51][1] < min(positions[5][1], positions[1][1])
    # The organs are bright in the soft tissue window, and the fat around them is dark.
    bright = out["image"][..., 1] > -0.2
    assert (bright == (out["segmap"] > 0)).mean() > 0.97
    liver = np.argwhere(bright[size // 3 :]).mean(axis=0)[1]
    assert liver < size / 2


# Boxes and masks follow

PUBLISHED = "augment(crop=(0.9, 1.0), gamma=(0.7, 1.2), intensity=20, channel_repeat=0.2)"


def test_boxes_and_masks_follow_a_thousand_augmentations():
    # Each image of 256 x 320 pixels has an ellipse at a random place, at least 100 pixels wide and
    # high, and its box. After crop, windows and resize to 224, the box from the field "boxes" is
    # compared with three other boxes: that of the label map before resize, which `ground` uses;
    # that of the resized label map, whose masks are trained; and that of the bright pixels.
    draw = np.random.default_rng(7)
    rows, columns = np.mgrid[:256, :320]
    worst = {"map": 1.0, "mask": 1.0, "image": 1.0}
    pp = builder.get_preprocess_fn(f"load|{PUBLISHED}|normalize('medgemma')|resize(224)")
    for seed in range(1000):
        a, b = draw.uniform(50, 90, 2)
        y, x = draw.uniform(a, 256 - a), draw.uniform(b, 320 - b)
        organ = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1
        segmap = organ.astype(np.uint8) * 5
        (box,) = box_lib.from_label_map(segmap).values()
        image = np.where(organ, 200, -1000).astype(np.int16)
        out = pp(
            {
                "image": image, "segmap": segmap, "boxes": [[*box, 5]], "modality": "CT",
                "rng": np.random.default_rng(seed),
            }
        )  # fmt: skip
        ((*moved, _),) = out["boxes"]
        height, width = out["segmap_full"].shape
        full = box_lib.scale(
            box_lib.from_label_map(out["segmap_full"])[5], 224 / width, 224 / height
        )
        shade = out["image"][..., 0]
        bright = shade > (shade.min() + shade.max()) / 2
        for name, other in (
            ("map", full),
            ("mask", box_lib.from_label_map(out["segmap"])[5]),
            ("image", box_lib.from_label_map(bright.astype(np.uint8))[1]),
        ):
            worst[name] = min(worst[name], box_lib.iou(moved, other))
    assert worst["map"] > 0.999999  # Both are the same pixels, cut by the same window.
    assert worst["mask"] >= 0.95 and worst["image"] >= 0.95, worst


@pytest.mark.parametrize("pp", ["augment(shift=9)", "augment(crop=(0.3, 0.9), shift=5)"])
def test_boxes_that_leave_the_image_are_clipped_or_dropped_like_their_masks(pp):
    lost = clipped = 0
    segmap = np.zeros((40, 60), np.uint8)
    segmap[0:6, 0:8], segmap[20:36, 30:58], segmap[4:7, 57:60] = 5, 1, 2
    given = box_lib.from_label_map(segmap)
    for seed in range(200):
        out = run(pp, seed, image=np.zeros((40, 60), np.int16), segmap=segmap,
                  boxes=[[*box, c] for c, box in given.items()])  # fmt: skip
        left = box_lib.from_label_map(out["segmap"])
        assert {c: tuple(box) for *box, c in out["boxes"]} == left
        lost += len(left) < 3
        clipped += any(box_lib.area(left[c]) < box_lib.area(given[c]) for c in left)
    assert lost > 20 and clipped > 20


def test_boxes_alone_are_marked_as_a_label_map_would_be():
    image, segmap = body()
    boxes = [[*box, c] for c, box in box_lib.from_label_map(segmap).items()]
    text = {
        "task": "report", "lang": "en", "sentence": "Liver, spleen and heart.",
        "keywords": [["liver", 5], ["spleen", 1], ["heart", 51]],
    }  # fmt: skip
    pp = f"load|{PUBLISHED}|normalize|resize(56)|prompt(style='none')|ground('boxes', grid=224)"
    for seed in range(50):
        by_map, by_boxes, both = (
            run(pp, seed, image=image, texts=[text], **fields)["texts"][0]["suffix"]
            for fields in (
                dict(segmap=segmap), dict(boxes=boxes), dict(segmap=segmap, boxes=boxes)
            )
        )  # fmt: skip
        assert by_map == by_boxes == both and by_map.count("<p bbox=") == 3


def test_classes_that_the_label_map_lacks_are_taken_from_the_boxes_and_their_parts_united():
    segmap = np.zeros((64, 64), np.uint8)
    segmap[:32, :32] = 5
    boxes = [[0, 0, 64, 64, 5], [32, 32, 48, 40, 1], [40, 40, 80, 64, 1]]
    text = {
        "task": "report", "lang": "en", "sentence": "Liver and spleen.",
        "keywords": [["liver", 5], ["spleen", 1]],
    }  # fmt: skip
    pp = "load|prompt(style='none')|ground"
    image = np.zeros((64, 64), np.int16)
    out = run(pp, image=image, segmap=segmap, boxes=boxes, texts=[text])["texts"][0]["suffix"]
    assert "<loc0000><loc0000><loc0256><loc0256> id=<seg005>" in out
    # The box is clipped to the image.
    assert "<loc0256><loc0256><loc0511><loc0511> id=<seg001>" in out
    masks = run(pp + "('masks')", image=image, segmap=segmap, boxes=boxes, texts=[text])
    assert masks["texts"][0]["suffix"] == "<seg>Liver</seg> and spleen."


def test_packed_images_give_boxes_their_size():
    from big_rad.pp import packed

    text = {"task": "report", "lang": "en", "sentence": "Liver.", "keywords": [["liver", 5]]}
    fields = dict(boxes=[[0, 0, 32, 64, 5]], texts=[text])
    out = run("prompt|ground", image=packed.pack(np.zeros((64, 128), np.int16)), **fields)
    assert "<loc0000><loc0000><loc0128><loc0511>" in out["texts"][0]["suffix"]
    with pytest.raises(ValueError, match="load"):
        run("prompt|ground", path="a.dcm", **fields)
