import io
import json
import pickle
import re

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import zstandard

from big_rad.datasets.refrad2d import builder, index, items, source, texts
from big_rad.pp import packed
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


# Images that are stored in another orientation than the usual display of label maps and boxes


def rewrite(root, image, change):
    """Stores an image in another orientation: `change` takes the DICOM dataset and its pixels."""
    path = refrad2d.dicom_file(root, image["id"])
    ds = pydicom.dcmread(io.BytesIO(zstandard.decompress(path.read_bytes())))
    pixels = np.ascontiguousarray(change(ds, ds.pixel_array))
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.tobytes()
    out = io.BytesIO()
    ds.save_as(out)
    path.write_bytes(zstandard.compress(out.getvalue()))


def mirror(ds, pixels):
    ds.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    return pixels[:, ::-1]


def exchange(ds, pixels):
    ds.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
    return pixels.T


def made(root, image, tmp_path, **options):
    """The record of one image (or None) and its problems."""
    folder = tmp_path / f"index{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    places = source.Places.under(root)
    index.write_rows(places, [image["id"]], folder)
    index.write_entries(places, [image["modality"]], [image["id"]], folder)
    setting = items.Setting(places, str(folder), entries=(image["modality"],), **options)
    sentence = source.Sentence("x", (image["id"],), 1)
    job = items.Job("split.json", image["modality"], (sentence,))
    found = [r["images"][0] for r in items.make(setting, job) if isinstance(r, dict)]
    return (found or [None])[0], items.check(setting, job)


@pytest.fixture
def grounded(written):
    """An axial image with boxes and a label map that is not square."""
    images = [im for item in written[1] for im in item["images"]]
    return next(
        im for im in images
        if im["plane"] == "axial" and im["entry"] and im["image"].shape[0] != im["image"].shape[1]
    )  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [
    (mirror, "mirrored left to right"), (exchange, "rows and columns exchanged"),
])  # fmt: skip
def test_the_image_is_turned_to_its_map_and_boxes(copy, tmp_path, grounded, change, words):
    usual, _ = made(copy, grounded, tmp_path)
    rewrite(copy, grounded, change)
    found, problems = made(copy, grounded, tmp_path)
    for field in ("image", "segmap", "boxes"):
        assert found[field] == usual[field]
    assert [p.level for p in problems] == ["warning"] and words in problems[0].message


def test_as_stored_leaves_the_image_and_says_so(copy, tmp_path, grounded):
    rewrite(copy, grounded, mirror)
    found, (problem,) = made(copy, grounded, tmp_path, as_stored=True)
    np.testing.assert_array_equal(packed.array(found["image"]), grounded["image"][:, ::-1])
    assert "--as_stored" in problem.message and problem.level == "warning"


def test_a_map_that_fits_the_stored_image_alone_is_turned_with_it(copy, tmp_path, grounded):
    usual, _ = made(copy, grounded, tmp_path)
    rewrite(copy, grounded, exchange)
    np.save(refrad2d.mask_file(copy, grounded["id"]), grounded["segmap"].T)
    path = refrad2d.box_file(copy, grounded["modality"])
    content = json.loads(path.read_text())
    boxes = [[y1, x1, y2, x2, c] for x1, y1, x2, y2, c in grounded["entry"]["bboxes"]]
    content[grounded["id"]] |= {"bboxes": boxes}
    path.write_text(json.dumps(content, indent=4))
    found, problems = made(copy, grounded, tmp_path)
    assert all(found[field] == usual[field] for field in ("image", "segmap", "boxes"))
    assert any("fits the stored image alone" in p.message for p in problems)


def test_a_map_that_fits_neither_way_is_refused(copy, tmp_path, grounded):
    rewrite(copy, grounded, exchange)
    np.save(refrad2d.mask_file(copy, grounded["id"]), grounded["segmap"][:-1])
    found, problems = made(copy, grounded, tmp_path)
    assert found is None
    assert any("as stored" in p.message and p.level == "error" for p in problems)


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
