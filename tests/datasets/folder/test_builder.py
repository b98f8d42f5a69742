import json
import logging
import os
import pickle
import shutil

import absl.logging
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from big_rad.datasets import contents, core, files, records
from big_rad.datasets.folder import builder, images
from big_rad.datasets.folder.fields import Bad
from configs import radgrounder_det, radgrounder_seg
from tests.helpers import declared
from tests.published import folder as published

REPORT = {"report": "The liver is normal."}
ALL = ("train", "validation", "test")


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    return root, published.write(root)


@pytest.fixture(scope="session")
def built(written, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("built")
    return data_dir, builder.build(written[0], data_dir, workers=1)


def examples(data_dir, config="default", splits=("train",)):
    return {
        e["id"]: e
        for split in splits
        for e in core.load_source("folder", split, data_dir, config=config)
    }


def source(tmp_path, *lines):
    """A folder with a small picture, an array and these lines; missing fields are filled in."""
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "x.png")
    np.save(tmp_path / "ct.npy", np.arange(600, dtype=np.int16).reshape(20, 30))
    basis = {"id": "a", "image": "x.png", "split": "train", **REPORT}
    published.write_lines(tmp_path, [{**basis, **line} for line in lines])
    return tmp_path


# A whole source


def test_the_fixture_has_no_problem(written):
    assert list(builder.validate(written[0])) == []
    assert list(builder.validate(written[0], pixels=False)) == []


def test_what_is_read_back_is_what_was_written(written, built):
    truth, found = written[1], examples(built[0], splits=ALL)
    assert set(found) == set(truth)
    for id_, want in truth.items():
        have = core.unpacked(found[id_])
        np.testing.assert_array_equal(have["image"], want["image"])
        assert have["image"].dtype == want["image"].dtype
        for field in ("patient", "modality", "plane"):
            assert have[field] == want[field], (id_, field)
        assert ("segmap" in have) == ("segmap" in want)
        if "segmap" in want:
            np.testing.assert_array_equal(have["segmap"], want["segmap"])
        assert have.get("boxes", []) == want.get("boxes", [])
        texts = have["texts"]
        reports = {t["lang"]: t["sentence"] for t in texts if t["task"] == "report"}
        assert reports == want["reports"]
        assert [t["question"] for t in texts if t["task"] == "vqa"] == want["questions"]


def test_texts_have_every_field_that_is_declared(built):
    found = examples(built[0], splits=ALL)
    assert not any(map(declared.not_of_records, found.values()))
    report, german, vqa = found["s-jpg"]["texts"]
    assert report == {
        "task": "report", "lang": "en", "sentence": report["sentence"],
        "clinical": report["clinical"], "question": report["question"],
        "keywords": [["sacrum", 25]], "template": "",
    }  # fmt: skip
    assert report["clinical"] and report["question"]
    assert german["lang"] == "de" and german["keywords"][0][1] == 25
    assert vqa == {
        "task": "vqa", "lang": "en", "question": "Which plane?", "answer": "axial",
        "question_type": "multiple", "choices": ["axial", "coronal", "sagittal"], "source": "",
        "template": "",
    }  # fmt: skip


def test_every_image_is_in_its_split(written, built):
    want = {s: sum(t["split"] == s for t in written[1].values()) for s in built[1].counts}
    assert built[1].counts == want == {"train": 7, "validation": 1, "test": 1}
    validation = core.load_source("folder", "validation", built[0])
    assert [e["id"] for e in validation] == ["s-nii-gz"]


def test_validation_and_build_count_the_same(written, built):
    held = {}
    assert not [p for p in builder.validate(written[0], contents=held) if p.level == "error"]
    note = json.loads((built[1].folder / records.BUILD_INFO).read_text())
    assert {s: contents.summary(c) for s, c in held.items()} == note["contents"]
    assert note["contents"]["train"]["images"] == 7
    assert sum(len(t["reports"]) for t in written[1].values() if t["split"] == "train") == sum(
        found["reports"] for found in note["contents"]["train"]["texts"].values()
    )


@pytest.mark.parametrize("how", [{"workers": 2}, {"beam": ["--runner=DirectRunner"]}])
def test_two_workers_and_beam_give_the_same_records(written, built, tmp_path, how):
    if "beam" in how:
        pytest.importorskip("apache_beam")
    builder.build(written[0], tmp_path, **how)
    one, two = (examples(d, splits=ALL) for d in (built[0], tmp_path))
    inside = built[1].folder.relative_to(built[0]) / records.BUILD_INFO
    notes = [json.loads((d / inside).read_text()) for d in (built[0], tmp_path)]
    assert notes[0]["contents"] == notes[1]["contents"]
    assert pickle.dumps(sorted(one.items())) == pickle.dumps(sorted(two.items()))


def test_validating_in_processes_finds_the_same(tmp_path):
    lines = [{"id": str(n), "image": f"{n}.png"} for n in range(9)]
    root = source(tmp_path, *lines)
    assert list(builder.validate(root, workers=2)) == list(builder.validate(root))
    assert len(list(builder.validate(root))) == 9


def test_a_mirrored_slice_is_warned_of_and_built(tmp_path):
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for name, columns in (("usual", [1, 0, 0]), ("mirrored", [-1, 0, 0])):
        ds.ImageOrientationPatient = [*columns, 0, 1, 0]
        ds.save_as(tmp_path / f"{name}.dcm")
    lines = [{"id": n, "image": f"{n}.dcm"} for n in ("usual", "mirrored")]
    root = source(tmp_path, *lines)
    (found,) = builder.validate(root)
    assert (found.line, found.field, found.level) == (2, "image", "warning")
    assert found.message.startswith("mirrored.dcm: left and right are not as usually shown; ")
    built = builder.build(root, tmp_path / "out", workers=1)
    assert built.counts == {"train": 2} and not built.rejects


def test_notes_give_split_size_and_digest_and_say_what_was_drawn(tmp_path):
    lines = [{"id": f"a{n}", "image": f"x{n}.png", "split": None} for n in range(40)]
    root = source(tmp_path, *lines)
    for line in lines:
        shutil.copy(root / "x.png", root / line["image"])
    built = builder.build(root, tmp_path / "out", workers=1)
    digest = files.sha256(tmp_path / "data.jsonl")
    assert sum(built.counts.values()) == 40
    assert f"train: n={built.counts['train']}, sha256 of data.jsonl {digest}" in built.notes
    assert any("40 patients" in note and "80/10/10" in note for note in built.notes)


def test_the_same_source_is_reused_and_another_needs_overwrite(tmp_path):
    root = source(tmp_path, {})
    assert not builder.build(root, tmp_path / "out", workers=1).reused
    assert builder.build(root, tmp_path / "out", workers=1).reused
    source(tmp_path, {"report": "The spleen is normal."})
    with pytest.raises(ValueError, match="overwrite"):
        builder.build(root, tmp_path / "out", workers=1)
    builder.build(root, tmp_path / "out", workers=1, overwrite=True)
    assert examples(tmp_path / "out")["a"]["texts"][0]["keywords"] == [["spleen", 1]]
    Image.fromarray(np.ones((99, 99, 3), np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="overwrite"):
        builder.build(root, tmp_path / "out", workers=1)


def test_building_warns_of_nothing_and_leaves_the_users_log_alone(tmp_path, caplog):
    before = absl.logging.get_verbosity()
    builder.build(source(tmp_path, {}), tmp_path / "out", workers=1)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert absl.logging.get_verbosity() == before
    absl.logging.warning("of the user's own program")
    assert caplog.messages[-1] == "of the user's own program"


def test_names_keep_folders_apart(tmp_path):
    builder.build(source(tmp_path, {}), tmp_path / "out", workers=1, config="clinic-2")
    loaded = core.load_source("folder", "train", tmp_path / "out", config="clinic-2")
    assert [e["id"] for e in loaded] == ["a"]
    with pytest.raises(FileNotFoundError, match="no 'default', it has clinic-2.*folder=clinic-2"):
        core.load_source("folder", "train", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="build_dataset folder"):
        core.load_source("folder", "train", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="--config"):
        builder.build(tmp_path, tmp_path / "out", config="../x")


@pytest.mark.parametrize("recipe", [radgrounder_det, radgrounder_seg])
@pytest.mark.parametrize("more", ["", ",vqa_per_image=2", ",texts=3", ",lora=4,ground_share=0.5"])
def test_a_recipe_trains_and_evaluates_the_folder_of_the_name_it_is_given(recipe, more):
    arg = f"variant=tiny,size=28,data=folder{more}"
    for name, want in (("", {}), (",folder=clinic-2", {"config": "clinic-2"})):
        config = recipe.get_config(arg + name)
        entries = [config.input[n] for n in config.input.data] + list(config.evals.values())
        assert len(entries) >= 3
        assert [dict(e.get("builder_args", {})) for e in entries] == [want] * len(entries)


@pytest.mark.parametrize("data", ["all", "internal", "external", "phantom"])
def test_a_name_without_the_folder_is_an_error_of_a_recipe(data):
    with pytest.raises(ValueError, match=f"'folder=clinic': goes with data=folder.*'{data}'"):
        radgrounder_det.get_config(f"variant=tiny,data={data},folder=clinic")


# Problems of a line that appear when its files are opened


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ({"image": "y.png"}, "image", "y.png: there is no such file"),
        ({"image": "sub"}, "image", "sub: there is no such file"),
        ({"image": "data.jsonl"}, "image", "data.jsonl: "),
        ({"image": "broken.dcm"}, "image", "broken.dcm: "),
        ({"image": "ct.npy"}, "image", "ct.npy: the file does not say what it is; give modality"),
        ({"image": "ct.npy", "modality": "CT", "frame": 3}, "image", "ct.npy: "),
        ({"image": "a\x00b"}, "image", "control codes"),
        ({"image": "n" * 5000}, "image", ""),
        ({"mask": "small.npy"}, "mask", "small.npy: 2 x 2 pixels (rows x columns), but"),
        ({"mask": "big.npy"}, "mask", "big.npy: values must be class ids"),
        ({"mask": "half.npy"}, "mask", "half.npy: values must be class ids"),
        ({"mask": "colour.png"}, "mask", "colour.png: a mask in colour"),
        ({"mask": "photo.jpg"}, "mask", "photo.jpg: a mask is a file ending in"),
        ({"mask": "gone.npy"}, "mask", "gone.npy: there is no such file"),
        ({"mask": "pickle.npy"}, "mask", "pickle.npy: "),
        ({"boxes": [[0, 0, 31, 10, 5]]}, "boxes", "leaves the image of 30 x 20"),
    ],
)
def test_bad_files_and_boxes_are_named_with_line_and_field(tmp_path, line, field, message):
    root = source(tmp_path, {"id": "good", **REPORT}, line)
    (tmp_path / "sub").mkdir()
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    np.save(tmp_path / "small.npy", np.zeros((2, 2), np.uint8))
    np.save(tmp_path / "big.npy", np.full((20, 30), 122, np.uint8))
    np.save(tmp_path / "half.npy", np.full((20, 30), 0.5, np.float32))
    np.save(tmp_path / "pickle.npy", np.array([object()] * 3), allow_pickle=True)
    colour = np.random.default_rng(0).integers(0, 99, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    Image.fromarray(colour).save(tmp_path / "photo.jpg")
    (problem,) = builder.validate(root)
    assert (problem.file, problem.line, problem.field) == ("data.jsonl", 2, field)
    assert message in problem.message and str(tmp_path) not in problem.message
    built = builder.build(root, tmp_path / "out", workers=1)
    assert (built.counts, built.rejects) == ({"train": 1}, 1)
    (reject,) = (built.folder / "rejects.jsonl").read_text().splitlines()
    assert json.loads(reject)["line"] == 2


@pytest.mark.parametrize(
    "name",
    [
        "../x.png",
        "sub/../../x.png",
        "sub/../x.png",
        "/etc/passwd",
        "~/x.png",
        "..\\x.png",
        "C:/x.png",
        "out/x.png",
    ],
)
def test_paths_that_leave_the_folder_are_refused(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    source(root, {})
    outside = source(tmp_path, {})
    os.symlink(outside, root / "out")
    with pytest.raises(Bad, match="lie inside|must be relative|leads out") as e:
        images.resolve(root, name)
    assert str(tmp_path) not in str(e.value)
    for field in ("image", "mask"):
        source(root, {field: name, "id": "b"})
        for pixels in (True, False):
            (problem,) = builder.validate(root, pixels=pixels)
            assert (problem.line, problem.field) == (1, field)
            assert "sub" not in problem.message and "etc" not in problem.message


def test_links_and_loops_and_pipes_do_no_harm(tmp_path):
    root = source(tmp_path, {})
    os.symlink("x.png", tmp_path / "inside.png")
    assert images.resolve(root, "inside.png").name == "inside.png"
    os.symlink("loop.png", tmp_path / "loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("loop.png", "pipe.png"):
        with pytest.raises(Bad):
            images.resolve(root, name)


def test_one_bad_line_of_an_image_leaves_the_others(tmp_path):
    root = source(tmp_path, {}, {"boxes": [[0, 0, 99, 10, 5]], "language": "de"})
    built = builder.build(root, tmp_path / "out", workers=1)
    assert built.rejects == 1
    assert [t["lang"] for t in examples(tmp_path / "out")["a"]["texts"]] == ["en"]


def test_boxes_of_a_class_are_merged_and_phrases_come_first(tmp_path):
    boxes = [
        [1, 2, 5, 6, "liver"], [3, 1, 9, 4, 5],
        {"box": [0, 0, 4, 4], "class": "spleen", "phrase": "A lesion"},
    ]  # fmt: skip
    report = "A lesion beside the Liver and the left kidney."
    builder.build(source(tmp_path, {"boxes": boxes, "report": report}), tmp_path / "o", workers=1)
    example = examples(tmp_path / "o")["a"]
    assert example["boxes"] == [[0, 0, 4, 4, 1], [1, 1, 9, 6, 5]]
    assert example["texts"][0]["keywords"] == [["A lesion", 1], ["Liver", 5], ["left kidney", 3]]


def test_given_keywords_are_used_as_they_are(tmp_path):
    line = {"report": "Liver and spleen.", "keywords": [["spleen", "Milz"]]}
    builder.build(source(tmp_path, line), tmp_path / "out", workers=1)
    assert examples(tmp_path / "out")["a"]["texts"][0]["keywords"] == [["spleen", 1]]


def test_a_report_that_names_nothing_shown_is_a_warning(tmp_path):
    root = source(tmp_path, {"report": "No change.", "boxes": [[1, 2, 5, 6, 5]]})
    (problem,) = builder.validate(root)
    assert (problem.level, problem.field) == ("warning", "report")
    assert builder.build(root, tmp_path / "out", workers=1).rejects == 0


def test_a_flat_mask_serves_one_frame_of_a_multi_frame_image(tmp_path):
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.NumberOfFrames, ds.PixelData = 2, ds.PixelData * 2
    ds.save_as(tmp_path / "two.dcm")
    mask = np.zeros((128, 128), np.uint8)
    mask[3:9, 4:6] = 5
    np.save(tmp_path / "mask.npy", mask)
    line = {"id": "a", "image": "two.dcm", "frame": 1, "mask": "mask.npy", "split": "train"}
    published.write_lines(tmp_path, [{**line, **REPORT}])
    assert list(builder.validate(tmp_path)) == []
    builder.build(tmp_path, tmp_path / "out", workers=1)
    np.testing.assert_array_equal(core.unpacked(examples(tmp_path / "out")["a"])["segmap"], mask)


def test_a_modality_or_plane_other_than_the_files_is_a_problem(written, tmp_path):
    for field, value in (("modality", "MR"), ("plane", "coronal")):
        path = written[0] / "images" / "CT_small.dcm"
        (tmp_path / "ct.dcm").write_bytes(path.read_bytes())
        published.write_lines(tmp_path, [{"id": "a", "image": "ct.dcm", field: value, **REPORT}])
        (problem,) = builder.validate(tmp_path)
        assert problem.field == "image" and field in problem.message


def test_too_many_bad_lines_fail_the_build(tmp_path):
    lines = [{"id": str(n), "image": "gone.png"} for n in range(30)]
    with pytest.raises(records.BuildError, match="gone.png"):
        builder.build(source(tmp_path, {}, *lines), tmp_path / "out", workers=1)
    with pytest.raises(records.BuildError, match=r"no line can be used.*data\.jsonl:1: plane"):
        builder.build(source(tmp_path, {"plane": "x"}), tmp_path / "out", workers=1)
    (tmp_path / "data.jsonl").write_text("")
    with pytest.raises(records.BuildError, match="no line"):
        builder.build(tmp_path, tmp_path / "out", workers=1)
    assert "holds no line" in next(builder.validate(tmp_path)).message
