import numpy as np
import pytest

from big_rad.datasets import core, unused_boxes
from big_rad.datasets.folder import builder
from big_rad.pp import packed
from tests.published import folder as published

LIVER, EMPTY = np.full((4, 4), 5, np.uint8), np.zeros((4, 4), np.uint8)
MASK = {"segmap": packed.pack(LIVER)}
BOX = {"boxes": [[0, 0, 2, 2, 5]]}
BOTH, NEITHER = MASK | BOX, {}
BLANK = {"segmap": packed.pack(EMPTY)}
MASKS = "load|resize(28)|prompt('report')|ground('masks')|keep('image')"


@pytest.mark.parametrize(
    "examples, masks, boxes",
    [
        ([BOX] * 3, 0, 3),
        ([MASK, BOX, BOTH, NEITHER], 2, 1),
        ([BLANK, BLANK | BOX], 0, 1),  # A label map without a class does not count as a mask.
        ([NEITHER], 0, 0),
        ([], 0, 0),
    ],
)
def test_images_with_a_mask_and_with_boxes_alone_are_counted(examples, masks, boxes):
    assert unused_boxes.count(examples) == unused_boxes.Counts(len(examples), masks, boxes)


def test_every_image_of_an_example_counts_and_one_that_cannot_be_read_does_not():
    several = {"id": "a", "images": [MASK | {"id": "a1"}, BOX | {"id": "a2"}]}
    broken = {"segmap": b"no array"}
    assert unused_boxes.count([several, broken, BOX]) == unused_boxes.Counts(3, 1, 2)


def test_of_a_large_source_a_spread_of_it_is_read():
    class Source(list):
        read = 0

        def __getitem__(self, i):
            self.read += 1
            return list.__getitem__(self, i)

    source = Source([MASK] * 50 + [BOX] * 50)
    found = unused_boxes.count(source, most=10)
    assert source.read == found.images == 10
    assert (found.with_masks, found.with_boxes_only) == (5, 5)
    assert "5 of 10 images that were looked at have a mask" in unused_boxes.message(found)


def test_nothing_is_said_where_no_box_is_lost():
    for examples in ([MASK, BOTH], [MASK, NEITHER], [NEITHER], []):
        assert unused_boxes.message(unused_boxes.count(examples)) == ""
    said = unused_boxes.message(unused_boxes.count([MASK, BOX, BOX]))
    assert said.startswith("1 of 3 images have a mask; the boxes of 2 others are not used")


def test_each_split_that_masks_are_learned_or_asked_from_is_said_once(tmp_path):
    lines = [
        {"id": s, "image": "x.npy", "modality": "CT", "split": s, "report": "The liver is normal.",
         "boxes": [[0, 0, 9, 9, 5]]} | ({} if s == "train" else {"image": f"{s}.npy"})
        for s in ("train", "validation", "test")
    ]  # fmt: skip
    for line in lines:
        np.save(tmp_path / line["image"], np.zeros((20, 20), np.int16))
    published.write_lines(tmp_path, lines)
    for name in ("default", "clinic"):
        builder.build(tmp_path, tmp_path / "out", workers=1, config=name)
    spec = dict(builder="folder", pp=MASKS)
    train, held = spec | {"split": "train"}, spec | {"split": "validation"}
    named = train | {"builder_args": {"config": "clinic"}}
    boxes = spec | {"split": "test", "pp": "prompt('report')|ground('boxes')"}
    plain = spec | {"split": "test", "pp": "load"}
    said = []
    unused_boxes.report(
        [train, train, held, named, boxes, plain], str(tmp_path / "out"), said.append
    )
    start = "0 of 1 images have a mask; boxes are not used"
    assert [line[: line.index(", because")] for line in said] == [
        f"folder train: {start}",
        f"folder validation: {start}",
        f"folder/clinic train: {start}",
    ]
    assert core.load_source("folder", "test", tmp_path / "out")[0]["boxes"]
