import json

import numpy as np
import pytest

from big_rad.datasets import contents, core, files, records
from big_rad.datasets.refrad2d import builder, load
from big_rad.pp import packed
from tests.helpers import declared
from tests.helpers.refrad2d_records import OURS, arrays, images_of, match, with_several
from tests.published import refrad2d


def test_one_record_a_sentence_with_all_its_images(written, built):
    for split, ours in OURS.items():
        items = [i for i in written[1] if i["split"] == split]
        source = load(ours, built[0])
        assert len(source) == built[1].counts[ours] == len(items)
        assert not any(map(declared.not_of_records, source))
        made = {e["id"]: e for e in source}
        assert len(made) == len(items)
        found = sorted((len(images_of(e)), images_of(e)[0]["modality"]) for e in made.values())
        assert found == sorted((len(i["images"]), i["modality"]) for i in items)


def test_pixels_and_label_maps_are_those_written(written, built):
    stored = {split: list(load(ours, built[0])) for split, ours in OURS.items()}
    checked = 0
    for item in written[1]:
        example = match(stored[item["split"]], item)
        for image, wanted in zip(images_of(example), item["images"], strict=True):
            pixels = packed.array(image["image"])
            assert pixels.dtype == np.int16
            np.testing.assert_array_equal(pixels, wanted["image"])
            assert (image["modality"], image["plane"]) == (wanted["modality"], wanted["plane"])
            assert image["body_part"] == wanted["body_part"]
            if wanted["entry"]:
                np.testing.assert_array_equal(packed.array(image["segmap"]), wanted["segmap"])
                assert image["boxes"] == wanted["entry"]["bboxes"]
            else:
                assert image.get("segmap") is None and not image.get("boxes")
            checked += 1
    assert checked == 48
    assert any(w["image"].min() < -900 for i in written[1] for w in i["images"])  # HU, not stored


def test_texts_are_exactly_those_of_the_rows(written, built):
    item = with_several(written[1])
    example = match(load("train", built[0]), item)
    for image, wanted in zip(example["images"], item["images"], strict=True):
        assert image["texts"] == expected_texts(wanted)
    kinds = {t["question_type"] for i in example["images"] for t in i["texts"] if "answer" in t}
    assert "yesno" in kinds


def expected_texts(image):
    texts = []
    entry = image["entry"] or {"keywords_eng": [], "keywords_de": []}
    for lang, column, keywords in (
        ("en", "english", "keywords_eng"),
        ("de", "german", "keywords_de"),
    ):
        part = image["row"][column]
        texts.append({
            "task": "report", "lang": lang, "sentence": part["CleanedSentence"],
            "clinical": part["ReportKlinischeAngabenCleaned"] or "",
            "question": part["ReportFragestellungCleaned"] or "",
            "keywords": [[k, c] for k, _, c in entry[keywords]], "template": "",
        })  # fmt: skip
        for field, source in (("dicom_vqa", "metadata"), ("snippet_vqa", "finding")):
            for pair in part[field]:
                texts.append({
                    "task": "vqa", "lang": lang, "question": pair["question"],
                    "answer": pair["answer"], "question_type": pair["question_type"],
                    "choices": pair["choices"] or [], "source": source, "template": "",
                })  # fmt: skip
    return texts


def test_the_fixture_has_what_a_real_set_has(written):
    images = [im for item in written[1] for im in item["images"]]
    rows = [im["row"]["english"] for im in images]
    pairs = [q for r in rows for q in r["dicom_vqa"] + r["snippet_vqa"]]
    assert {q["question_type"] for q in pairs} >= {"open", "yesno", "multiple"}
    assert any(r["ReportFragestellungCleaned"] is None for r in rows)
    assert any(im["entry"] and not im["entry"]["keywords_de"] for im in images)
    assert any(im["entry"] and im["entry"]["keywords_de"] for im in images)
    assert any(im["entry"] is None for im in images)
    assert {im["modality"] for im in images} == {"CT", "MR"}


def test_workers_and_nesting_do_not_change_a_record(written, built, tmp_path):
    refrad2d.write(tmp_path / "json", nested="json")
    other = builder.build(tmp_path / "json", tmp_path, workers=2)
    assert other.counts == built[1].counts
    for split in OURS.values():
        assert list(load(split, tmp_path)) == list(load(split, built[0]))
    assert not list(tmp_path.glob(".refrad2d*"))  # The index was removed.


def test_a_good_source_has_no_problem(written):
    notes = []
    assert list(builder.validate(written[0], notes=notes)) == []
    assert list(builder.validate(written[0], pixels=False, workers=2)) == []
    assert len(notes) == 1 and "no column 'patient'" in notes[0]


def test_validation_and_build_count_the_same(written, built):
    held, listed = {}, {}
    assert list(builder.validate(written[0], contents=held)) == []
    note = json.loads((built[1].folder / records.BUILD_INFO).read_text())
    said = {s: contents.summary(c, patients=False) for s, c in held.items()}
    assert said == note["contents"] and said["train"]["patients"] is None
    assert said["train"]["images"] == 24 and said["train"]["texts"]["de"]["reports"] == 24
    assert any(line.startswith("train: 24 images; en: 24 reports (") for line in built[1].contents)
    list(builder.validate(written[0], contents=listed, pixels=False))
    for split, found in listed.items():
        assert (found.texts, found.images) == (held[split].texts, held[split].images)
        assert (found.boxes, found.masked) == (held[split].boxes, held[split].masked)


def test_notes_count_and_name_digests(written, built):
    notes = "\n".join(built[1].notes)
    assert "the parquet has no column 'patient'" in notes
    assert "train: 12 sentences made; listed: 12 CT images, 12 MR images" in notes
    for split in refrad2d.SPLITS:
        path = refrad2d.split_file(written[0], split, "CT")
        assert f"sha256 {files.sha256(path)} split_v18/" in notes
    assert files.sha256(refrad2d.box_file(written[0], "MR")) in notes


def test_building_again_reuses_and_other_files_are_refused(copy, tmp_path):
    builder.build(copy, tmp_path / "d", workers=1, limit=1)
    assert builder.build(copy, tmp_path / "d", workers=1, limit=1).reused
    path = refrad2d.split_file(copy, "train", "CT")
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match="sha256=.*--overwrite"):
        builder.build(copy, tmp_path / "d", workers=1, limit=1)


def test_modalities_and_limit_choose(written, tmp_path):
    made = builder.build(written[0], tmp_path, workers=1, modalities="mr", limit=2)
    assert made.counts == {"train": 2, "validation": 2, "test": 2}
    assert {i["modality"] for e in load("train", tmp_path, "mr") for i in images_of(e)} == {"MR"}
    with pytest.raises(ValueError, match="give ct, mr or ct,mr"):
        builder.build(written[0], tmp_path, modalities="xr")
    with pytest.raises(ValueError, match="limit=-1 must be"):
        list(builder.validate(written[0], limit=-1))


def test_a_sentence_keeps_its_first_images(written, tmp_path):
    made = builder.build(written[0], tmp_path, workers=1, max_images=2)
    item = with_several(written[1])
    got = arrays(match(load("train", tmp_path), item))
    assert len(got) == 2
    np.testing.assert_array_equal(got[1], item["images"][1]["image"])
    assert "8 sentences have more images; the first 2 are kept" in made.notes
    problems = list(builder.validate(written[0], max_images=2, pixels=False))
    assert len(problems) == 8 and {p.level for p in problems} == {"warning"}


def test_each_piece_may_lie_elsewhere(copy, tmp_path):
    apart = {}
    for option, part in (
        ("dicoms", "dicoms_anon"), ("parquet", "refrad2d_vqa_dataset.parquet"),
        ("segments", "refrad2d_segment"), ("splits", "split_v18/generated"),
    ):  # fmt: skip
        apart[option] = tmp_path / f"moved-{option}"
        (copy / part).rename(apart[option])
    assert list(builder.validate(copy / "none", **apart)) == []
    made = builder.build(copy / "none", tmp_path / "d", workers=1, limit=1, **apart)
    assert sum(made.counts.values()) == 6


def test_without_label_maps_there_are_boxes(copy, tmp_path):
    (copy / "refrad2d_segment/segmented_slices_v3").rename(tmp_path / "gone")
    (problem,) = builder.validate(copy)
    assert problem.level == "warning" and "only boxes" in problem.message
    made = builder.build(copy, tmp_path / "d", workers=1)
    assert "no label maps: boxes only" in made.notes and made.rejects == 0
    images = [i for e in load("train", tmp_path / "d") for i in images_of(e)]
    assert any(i.get("boxes") for i in images) and not any(i.get("segmap") for i in images)


def test_planted_identities_are_nowhere(tmp_path):
    canary = "ZZCANARY4711"
    items = refrad2d.write(tmp_path / "s", identity=canary)["items"]
    for image in with_several(items)["images"][:2]:
        path = refrad2d.dicom_file(tmp_path / "s", image["id"])
        path.write_bytes(path.read_bytes()[:-300])
    problems = list(builder.validate(tmp_path / "s"))
    assert len(problems) == 2 and canary not in "".join(map(str, problems))
    made = builder.build(tmp_path / "s", tmp_path / "d", workers=1)
    assert made.rejects == 2
    for path in made.folder.iterdir():
        assert canary.encode() not in path.read_bytes()
    for split in OURS.values():
        assert canary not in str(list(load(split, tmp_path / "d")))


def test_a_built_split_opens_by_name(built):
    assert len(core.load_source("refrad2d", "train[:3]", built[0])) == 3
    with pytest.raises(FileNotFoundError, match="tools.build_dataset refrad2d .*--modalities=ct"):
        load("train", built[0], "ct")
