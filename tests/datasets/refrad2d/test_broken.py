import io
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import zstandard

from big_rad.datasets import records
from big_rad.datasets.refrad2d import builder, load
from big_rad.dicom import read as dicom_read
from tests.helpers.refrad2d_records import OURS, arrays, match, with_several
from tests.published import refrad2d


@pytest.mark.parametrize(
    "part, option",
    [
        ("dicoms_anon", "dicoms"),
        ("refrad2d_vqa_dataset.parquet", "parquet"),
        ("refrad2d_segment/rsopid_2_segment_v3_mr.json", "segments"),
        (
            "split_v18/generated/filtered_ct_splits/snippet2rsopids_val_ct_only.json",
            "splits",
        ),
    ],
)
def test_a_missing_piece_is_one_problem_that_says_where_to_get_it(copy, tmp_path, part, option):
    (copy / part).rename(tmp_path / "gone")
    (problem,) = builder.validate(copy)
    assert (problem.file, problem.line, problem.level) == (part, None, "error")
    assert re.search(f"RadGrounder authors.*--{option}$", problem.message)
    with pytest.raises(records.SourceError, match=f"not found: {part}; see the RefRad2D"):
        builder.build(copy, tmp_path / "d")


def test_an_empty_folder_lists_all_that_is_missing(tmp_path):
    errors = [p for p in builder.validate(tmp_path) if p.level == "error"]
    assert len(errors) == 10
    with pytest.raises(records.SourceError) as error:
        builder.build(tmp_path, tmp_path / "d")
    assert all(p.file in str(error.value) for p in errors)


@pytest.mark.parametrize("what", ["split", "boxes"])
def test_json_syntax_is_named_with_its_line(copy, tmp_path, what):
    path = refrad2d.split_file(copy, "train", "MR")
    path = path if what == "split" else refrad2d.box_file(copy, "MR")
    lines = path.read_text().splitlines()
    lines[4] = lines[4] + " oops"
    path.write_text("\n".join(lines))
    name = path.relative_to(copy).as_posix()
    (problem,) = builder.validate(copy)
    assert (problem.file, problem.line) == (name, 5) and "syntax" in problem.message
    with pytest.raises(records.SourceError, match=f"{name}:5: JSON syntax"):
        builder.build(copy, tmp_path / "d")


def test_a_damaged_parquet_is_one_problem(copy, tmp_path):
    (copy / "refrad2d_vqa_dataset.parquet").write_bytes(b"PAR1" + bytes(99))
    (problem,) = builder.validate(copy)
    assert "damaged" in problem.message
    with pytest.raises(records.SourceError, match="refrad2d_vqa_dataset.parquet: damaged"):
        builder.build(copy, tmp_path / "d")


# Ways to break one image of a sentence. Each function takes the folder, the image as it was written
# and the other items, and returns the expected file, line and part of the message.


def line_of(path, text):
    lines = path.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line)


def no_dicom(root, image, item):
    path = refrad2d.dicom_file(root, image["id"])
    path.unlink()
    return path, None, "no such file; see the RefRad2D release"


def truncated_zstd(root, image, item):
    path = refrad2d.dicom_file(root, image["id"])
    path.write_bytes(path.read_bytes()[:-200])
    return path, None, ""


def not_dicom(root, image, item):
    path = refrad2d.dicom_file(root, image["id"])
    path.write_bytes(b"no image at all")
    return path, None, "^neither DICOM"


def other_modality(root, image, item):
    other = {"CT": "MR", "MR": "CT"}[image["modality"]]
    path = refrad2d.dicom_file(root, image["id"])
    files = sorted(root.glob("dicoms_anon/*/*"))
    donor = next(f for f in files if dicom_read.read(f).modality == other)
    path.write_bytes(donor.read_bytes())
    return path, None, "is not the .. image"


def change_entry(root, image, **change):
    path = refrad2d.box_file(root, image["modality"])
    content = json.loads(path.read_text())
    content[image["id"]] |= change
    path.write_text(json.dumps(content, indent=4))
    return path, line_of(path, f'"{image["id"]}": {{')


def wrong_class(root, image, item):
    boxes = [*image["entry"]["bboxes"], [1, 1, 5, 5, 122]]
    return *change_entry(root, image, bboxes=boxes), r"class id must be in 1\.\.121"


def box_outside(root, image, item):
    boxes = [[0, 0, 57, 5, image["entry"]["bboxes"][0][4]], *image["entry"]["bboxes"][1:]]
    return *change_entry(root, image, bboxes=boxes), "outside the image of 64 rows and 56 columns"


def swapped_corners(root, image, item):
    x1, y1, x2, y2, c = image["entry"]["bboxes"][0]
    return *change_entry(root, image, bboxes=[[x2, y1, x1, y2, c]]), "x2 must exceed x1"


def wrong_mask_path(root, image, item):
    return *change_entry(root, image, segment_slice_path="/data/x/"), "name of a .npy file"


def no_mask(root, image, item):
    path = refrad2d.mask_file(root, image["id"])
    path.unlink()
    return path, None, "no such file"


def mask_of_other_shape(root, image, item):
    path = refrad2d.mask_file(root, image["id"])
    np.save(path, image["segmap"].T)
    return path, None, r"has shape \[56, 64\], its image \[64, 56\]"


def mask_of_other_classes(root, image, item):
    path = refrad2d.mask_file(root, image["id"])
    np.save(path, image["segmap"].astype(int) + 121)
    return path, None, r"outside 0\.\.121"


def pickled_mask(root, image, item):
    path = refrad2d.mask_file(root, image["id"])
    np.save(path, image["segmap"].astype(object), allow_pickle=True)
    return path, None, "damaged, or no .npy"


def change_rows(root, change):
    path = root / "refrad2d_vqa_dataset.parquet"
    rows = change(pq.read_table(path).to_pylist())
    refrad2d.write_parquet(root, rows, seed=5)
    return path, [r["rsopid"] for r in pq.read_table(path).to_pylist()]


def id_not_in_parquet(root, image, item):
    change_rows(root, lambda rows: [r for r in rows if r["rsopid"] != image["id"]])
    path = refrad2d.split_file(root, item["split"], item["modality"])
    return path, line_of(path, json.dumps(item["sentence"])), f"{image['id']} is not in refrad2d"


def row_twice(root, image, item):
    path, ids = change_rows(root, lambda rows: [*rows, image["row"]])
    first, second = (n for n, i in enumerate(ids, 1) if i == image["id"])
    return path, first, f"the same id is in other rows: {second}"


def row_of_other_modality(root, image, item):
    def change(rows):
        return [r | {"modality": "US"} if r["rsopid"] == image["id"] else r for r in rows]

    path, ids = change_rows(root, change)
    return path, ids.index(image["id"]) + 1, f"is not {image['modality']}"


def unknown_question_type(root, image, item):
    pair = {"question": "Q", "answer": "A", "question_type": "essay", "choices": None}

    def change(rows):
        for row in rows:
            if row["rsopid"] == image["id"]:
                row["german"]["snippet_vqa"] = [pair]
        return rows

    path, ids = change_rows(root, change)
    return path, ids.index(image["id"]) + 1, "must be one of open, closed"


BREAKS = [
    no_dicom, truncated_zstd, not_dicom, other_modality, wrong_class, box_outside, swapped_corners,
    wrong_mask_path, no_mask, mask_of_other_shape, mask_of_other_classes, pickled_mask,
    id_not_in_parquet, row_twice, row_of_other_modality, unknown_question_type,
]  # fmt: skip


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda f: f.__name__)
def test_a_broken_image_is_named_by_validate_and_left_out_by_build(
    written, copy, tmp_path, break_it
):
    item = with_several(written[1], grounded=True)
    bad = item["images"][1]
    path, line, message = break_it(copy, bad, item)
    problems = list(builder.validate(copy))
    errors = [p for p in problems if p.level == "error"]
    assert [(p.file, p.line) for p in errors] == [(path.relative_to(copy).as_posix(), line)]
    assert re.search(message, errors[0].message)
    assert str(tmp_path) not in "".join(map(str, problems))

    made = builder.build(copy, tmp_path / "d", workers=1)
    assert made.rejects == 1
    (listed,) = (made.folder / records.REJECTS).read_text().splitlines()
    assert records.Problem(**json.loads(listed)) == errors[0]
    got = arrays(match(load(OURS[item["split"]], tmp_path / "d"), item))
    assert len(got) == 2
    for pixels, wanted in zip(got, (item["images"][0], item["images"][2])):
        np.testing.assert_array_equal(pixels, wanted["image"])


def test_a_mirrored_slice_is_warned_of_and_built(written, copy, tmp_path):
    image = next(im for i in written[1] for im in i["images"] if im["plane"] == "axial")
    path = refrad2d.dicom_file(copy, image["id"])
    stored = pydicom.dcmread(io.BytesIO(zstandard.decompress(path.read_bytes())))
    stored.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    out = io.BytesIO()
    stored.save_as(out)
    path.write_bytes(zstandard.compress(out.getvalue()))
    (found,) = builder.validate(copy)
    assert (found.file, found.level) == (path.relative_to(copy).as_posix(), "warning")
    assert "left and right are not as usually shown" in found.message
    assert builder.build(copy, tmp_path / "d", workers=1).rejects == 0


def test_boxes_that_do_not_fit_the_label_map_are_warned_of(written, copy):
    image = next(im for i in written[1] for im in i["images"] if im["entry"])
    (x1, y1, x2, y2, c), *others = image["entry"]["bboxes"]
    for shift, count in ((1, 0), (2, 1)):
        moved = [max(x1 - shift, 0), y1, x2, y2, c]
        if moved[0] == x1:
            moved = [x1, y1, x2 - shift, y2, c]
        change_entry(copy, image, bboxes=[moved, *others])
        problems = list(builder.validate(copy))
        assert [p.level for p in problems] == ["warning"] * count
    assert f"box of class {c} is more than a pixel off" in problems[0].message


def add_to_split(root, split, modality, sentence, ids):
    path = refrad2d.split_file(root, split, modality)
    content = json.loads(path.read_text()) | {sentence: ids}
    path.write_text(json.dumps(content, indent=1))
    return path.relative_to(root).as_posix(), line_of(path, json.dumps(sentence))


def of_split(written, split, modality):
    return next(i for i in written[1] if (i["split"], i["modality"]) == (split, modality))


def test_a_dropped_repeated_sentence_stays_in_the_split_for_testing(written, copy, tmp_path):
    test, train = of_split(written, "test", "CT"), of_split(written, "train", "CT")
    ids = [train["images"][0]["id"]]
    file, line = add_to_split(copy, "train", "CT", test["sentence"], ids)
    # The train item that had this image keeps it: an image may be in two sentences of a split.
    problems = list(builder.validate(copy, pixels=False, drop_repeated_sentences=True))
    assert [(p.file, p.line, p.level) for p in problems] == [(file, line, "error")]
    assert (
        "the same sentence is in split_v18/generated/filtered_ct_splits/snippet2rsopids_test"
        in (problems[0].message)
    )
    assert test["sentence"] not in problems[0].message
    made = builder.build(copy, tmp_path, workers=1, drop_repeated_sentences=True)
    assert made.rejects == 1 and made.counts == {"train": 12, "validation": 6, "test": 6}
    assert match(load("test", tmp_path), test)


def test_an_image_in_two_splits_stays_in_the_one_for_testing(written, copy, tmp_path):
    test = of_split(written, "test", "MR")
    ids = [image["id"] for image in test["images"]]
    file, line = add_to_split(copy, "train", "MR", "A sentence of its own.", ids)
    problems = list(builder.validate(copy, pixels=False))
    assert [(p.file, p.line, p.field) for p in problems] == [(file, line, "ids")] * len(ids)
    assert f"{ids[0]} is also in" in problems[0].message
    made = builder.build(copy, tmp_path, workers=1)
    assert made.rejects == len(ids) and made.counts["train"] == 12
    assert match(load("test", tmp_path), test)


def test_a_sentence_of_ct_and_mr_in_two_splits_is_a_warning(written, copy):
    test, train = of_split(written, "test", "CT"), of_split(written, "train", "MR")
    ids = [train["images"][0]["id"]]
    file, line = add_to_split(copy, "train", "MR", test["sentence"], ids)
    problems = list(builder.validate(copy, pixels=False))
    assert [(p.file, p.line, p.level) for p in problems] == [(file, line, "warning")]


def test_an_image_all_of_whose_sentence_is_broken_leaves_no_record(written, copy, tmp_path):
    item = next(i for i in written[1] if i["split"] == "train" and len(i["images"]) == 1)
    no_dicom(copy, item["images"][0], item)
    made = builder.build(copy, tmp_path, workers=1)
    assert made.counts["train"] == 11 and made.rejects == 1


def test_too_many_broken_images_stop_the_build(copy, tmp_path):
    for path in copy.glob("dicoms_anon/*/*"):
        path.unlink()
    with pytest.raises(records.BuildError, match="max_reject_share.*\n.*no such file"):
        builder.build(copy, tmp_path, workers=1)
