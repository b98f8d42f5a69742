"""The optional column `patient` of the parquet, from the file to scores by patient."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from big_rad.datasets import core, records
from big_rad.datasets.refrad2d import builder, load
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import summary
from big_rad.pp.builder import get_preprocess_fn
from tests.helpers import declared
from tests.helpers.refrad2d_records import OURS, images_of, match
from tests.published import refrad2d

SHORT = dict(task="report", lang="en", view="all")


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """(folder, its content, data_dir, result) of a dataset whose parquet names the patients."""
    root = tmp_path_factory.mktemp("named")
    items = refrad2d.write(root / "source", sentences=3, patients=True)["items"]
    return (
        root / "source",
        items,
        root / "data",
        builder.build(root / "source", root / "data", workers=1),
    )


def rows_of(root):
    return pq.read_table(root / "refrad2d_vqa_dataset.parquet").to_pylist()


def patient_of(items):
    return {im["id"]: im["row"]["patient"] for item in items for im in item["images"]}


def test_each_image_has_its_own_patient(named):
    _, items, data_dir, _ = named
    several = 0
    for split, ours in OURS.items():
        examples = list(load(ours, data_dir))
        assert not any(map(declared.not_of_records, examples))
        for item in (i for i in items if i["split"] == split):
            found = [i["patient"] for i in core.images_of(match(examples, item))]
            assert found == [image["row"]["patient"] for image in item["images"]]
            several += len(set(found)) > 1
    assert several


def test_a_drawn_image_brings_its_patient(named):
    _, items, data_dir, _ = named
    view, wanted = get_preprocess_fn("view('random')"), patient_of(items)
    example = next(e for e in load("train", data_dir) if len(images_of(e)) == 3)
    drawn = [view(example | {"rng": np.random.default_rng(k)}) for k in range(20)]
    assert all(x["patient"] == wanted[x["image_id"]] for x in drawn)
    assert len({x["patient"] for x in drawn}) == 2


def test_scores_by_patient_resample_the_patients_of_the_column(named):
    _, items, data_dir, _ = named
    source = core.OneTextPerItem(load("train", data_dir), **SHORT)
    data = eval_data.EvalData(source, lambda example: example)
    images = [im for i in items if i["split"] == "train" for im in i["images"]]
    wanted = sorted(image["row"]["patient"] for image in images)
    assert sorted(data.patients()) == wanted and data.unnamed() == 0
    assert summary.clusters([], "patient", data.patients()) == data.patients()
    assert len(set(wanted)) == len(images) / 2


def test_patients_are_counted_and_never_named(named):
    root, items, _, made = named
    people = {p for p in patient_of(items).values()}
    held = {}
    assert list(builder.validate(root, contents=held)) == []
    assert set.union(*(c.patients for c in held.values())) == people
    assert any(line.startswith("train: 12 images of 6 patients;") for line in made.contents)
    assert not any("patient" in note for note in made.notes)
    texts = [*made.notes, *made.contents]
    texts += [p.read_text() for p in made.folder.iterdir() if p.suffix in (".json", ".jsonl")]
    assert not [p for p in people if p in "".join(texts)]


@pytest.fixture
def source(named, tmp_path):
    """A copy of what validation without pixels reads."""
    for part in ("split_v18", "refrad2d_segment", "dicoms_anon"):
        (tmp_path / part).symlink_to(named[0] / part)
    return tmp_path


def checked(root):
    return list(builder.validate(root, pixels=False))


def test_missing_patients_are_one_counted_warning(named, source):
    rows = rows_of(named[0])
    listed = set(patient_of(named[1]))
    for row in [r for r in rows if r["rsopid"] in listed][:3]:
        row["patient"] = None
    refrad2d.write_parquet(source, rows)
    (problem,) = checked(source)
    assert (problem.file, problem.line, problem.field, problem.level) == (
        "refrad2d_vqa_dataset.parquet", None, "patient", "warning",
    )  # fmt: skip
    assert problem.message.startswith(f"3 of {len(listed)} images name no patient")


def test_two_patients_of_one_image_are_an_error_with_file_row_and_field(named, source):
    rows = rows_of(named[0])
    image = named[1][0]["images"][0]["id"]
    row = next(r for r in rows if r["rsopid"] == image)
    refrad2d.write_parquet(source, [*rows, row | {"patient": "SECRET-NAME"}])
    order = [r["rsopid"] for r in rows_of(source)]
    first, second = (n for n, i in enumerate(order, 1) if i == image)
    (problem,) = [p for p in checked(source) if p.level == "error"]
    assert (problem.file, problem.line, problem.field) == (
        "refrad2d_vqa_dataset.parquet", first, "patient",
    )  # fmt: skip
    assert f"another patient in other rows: {second}" in problem.message
    assert "SECRET" not in problem.message and row["patient"] not in problem.message


def test_a_value_that_is_no_pseudonym_is_an_error_and_is_not_shown(named, source):
    rows = rows_of(named[0])
    image = named[1][0]["images"][0]["id"]
    next(r for r in rows if r["rsopid"] == image)["patient"] = "SECRET\nNAME"
    refrad2d.write_parquet(source, rows)
    problems = checked(source)
    assert [(p.field, p.level) for p in problems if p.level == "error"] == [("patient", "error")]
    assert "SECRET" not in "".join(map(str, problems))


def test_a_patient_in_two_splits_fails_the_build_and_is_not_named(named, source, tmp_path):
    rows = rows_of(named[0])
    for row in rows:
        row["patient"] = "SECRET-NAME"
    refrad2d.write_parquet(source, rows)
    errors = [p for p in checked(source) if p.level == "error"]
    outside = [i for i in named[1] if i["split"] != "test"]
    assert len(errors) == sum(len(i["images"]) for i in outside)
    with pytest.raises(records.BuildError) as error:
        builder.build(source, tmp_path / "d", workers=1)
    assert "SECRET" not in str(error.value) and "the patient of" in str(error.value)


def test_a_repeated_sentence_is_kept_and_counted_by_the_build(named, source, tmp_path):
    refrad2d.write_parquet(source, rows_of(named[0]))
    (source / "split_v18").unlink()
    for path in (named[0] / "split_v18").rglob("*.json"):
        place = source / path.relative_to(named[0])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path.read_text())
    test, train = (refrad2d.split_file(source, s, "CT") for s in ("test", "train"))
    sentence = next(iter(json.loads(test.read_text())))
    content = json.loads(train.read_text())
    ids = content.pop(next(iter(content)))
    train.write_text(json.dumps(content | {sentence: ids}))
    made = builder.build(source, tmp_path / "d", workers=1, modalities="ct")
    assert made.rejects == 0 and made.counts["train"] == 3
    assert any(n.startswith("1 warnings: the same sentence is in") for n in made.notes)
    found = [e["id"] for s in ("train", "test") for e in load(s, tmp_path / "d", "ct")]
    assert len(found) == 5 and len(set(found)) == 4
