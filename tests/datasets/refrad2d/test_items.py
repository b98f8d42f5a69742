import io
import json
import pickle
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from big_rad.datasets.refrad2d import builder, items, texts
from tests.published import refrad2d

DAMAGED = "damaged, or no .npy"
MAP = np.array([[0, 5, 5], [0, 121, 0]], np.uint8)


def read(path, shape=(2, 3)):
    found = texts.Findings("masks/x.npy")
    return items.read_segmap(path, shape, found), [(p.level, p.message) for p in found.problems]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_label_maps_of_every_number_type_are_read(tmp_path, dtype, order):
    np.save(tmp_path / "x.npy", np.array(MAP, dtype, order=order))
    segmap, problems = read(tmp_path / "x.npy")
    assert not problems and segmap.dtype == np.uint8 and segmap.flags.c_contiguous
    np.testing.assert_array_equal(segmap, MAP)


def saved(array, **kw):
    stream = io.BytesIO()
    np.save(stream, array, **kw)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (saved(MAP.T), r"has shape \[3, 2\], its image \[2, 3\]"),
        (saved(MAP.astype(int) + 1), "ids outside 0..121"),
        (saved(MAP.astype(int) - 1), "ids outside 0..121"),
        (saved(MAP + np.float32(0.5) * (MAP == 5)), "not whole"),
        (saved(np.full((2, 3), np.nan)), "ids outside"),
        (saved(MAP.astype("c8")), "must be an array"),
        (saved(MAP[None]), "must be an array"),
        (saved(np.array([[1, None]]), allow_pickle=True), DAMAGED),
        (pickle.dumps(MAP), DAMAGED),
        (saved(MAP)[:-1], DAMAGED),
        (
            saved(MAP).replace(b"(2, 3), }" + b" " * 11, b"(2, 3" + b"0" * 11 + b"), }"),
            "damaged, or no .npy",
        ),
        (b"", DAMAGED),
    ],
)
def test_broken_label_maps_are_named(tmp_path, content, message):
    (tmp_path / "x.npy").write_bytes(content)
    segmap, problems = read(tmp_path / "x.npy")
    assert segmap is None and len(problems) == 1
    assert problems[0][0] == "error"
    assert re.search(message, problems[0][1])


def test_the_label_map_of_an_unknown_image_is_still_checked(tmp_path):
    np.save(tmp_path / "x.npy", MAP)
    assert read(tmp_path / "x.npy", None)[1] == []


def test_keywords_that_cannot_be_placed_are_warned_of_image_by_image(copy):
    entries = json.loads(refrad2d.box_file(copy, "CT").read_text())
    name, entry = next(iter(entries.items()))
    entry["keywords_eng"] = [["lobe", "lung_lower_lobe_left", 11]]
    refrad2d.box_file(copy, "CT").write_text(json.dumps(entries))
    table = pq.read_table(copy / "refrad2d_vqa_dataset.parquet")
    rows = table.to_pylist()
    for row in rows:
        if row["rsopid"] == name:
            row["english"]["CleanedSentence"] = "One lobe is clear and one lobe is not."
    refrad2d.write_parquet(copy, rows)
    found = [p for p in builder.validate(copy, pixels=False) if p.message == texts.UNPLACED]
    assert [(p.level, p.field) for p in found] == [("warning", "english.CleanedSentence")]
