import numpy as np
import pydicom.data
import pytest
from PIL import Image

from big_rad.pp import builder, packed

IMAGE = np.arange(24, dtype=np.int16).reshape(4, 6)
SEGMAP = np.zeros((4, 6), np.uint8)
SEGMAP[1:3, 2:5] = 5


def run(pp, **example):
    example = {"id": "a", "modality": "CT"} | example
    return builder.get_preprocess_fn(pp)(example)


def item(n=3):
    """An item with n images of different sizes, as a record source yields it."""
    images = [
        {
            "id": f"image{i}", "modality": "MR", "plane": "axial", "body_part": "",
            "image": packed.pack(np.full((4, 4 + i), i, np.int16)), "texts": [{"template": str(i)}],
        }
        for i in range(n)
    ]  # fmt: skip
    return {"id": "sentence", "patient": "p", "images": images}


def view(pp="view", seed=0, n=3):
    return builder.get_preprocess_fn(pp)(item(n) | {"rng": np.random.default_rng(seed)})


def test_a_view_is_one_image_with_its_own_fields_and_the_id_of_the_item():
    out = view("view('first')")
    assert (out["id"], out["image_id"], out["patient"]) == ("sentence", "image0", "p")
    assert out["texts"] == [{"template": "0"}] and out["modality"] == "MR"
    assert "images" not in out


def test_random_views_are_uniform_and_first_is_the_first():
    counts = np.bincount([int(view(seed=s)["texts"][0]["template"]) for s in range(300)])
    assert (counts > 75).all() and len(counts) == 3
    assert {view("view('first')", seed=s)["image_id"] for s in range(9)} == {"image0"}


def test_a_view_of_a_single_image_changes_nothing():
    out = run("view|keep('id', 'image')", image=IMAGE)
    assert out["id"] == "a" and out["image"] is IMAGE


def test_an_item_with_several_images_needs_a_view():
    with pytest.raises(ValueError, match="view"):
        builder.get_preprocess_fn("load")(item())
    with pytest.raises(ValueError, match="no image"):
        view(n=0)
    with pytest.raises(ValueError, match="first"):
        builder.get_preprocess_fn("view('last')")


def test_packed_arrays_are_loaded_bit_for_bit():
    out = run("load", image=packed.pack(IMAGE), segmap=packed.pack(SEGMAP))
    np.testing.assert_array_equal(out["image"], IMAGE)
    np.testing.assert_array_equal(out["segmap"], SEGMAP)
    assert out["image"].dtype == np.int16 and out["segmap"].dtype == np.uint8


def test_all_image_ops_work_on_packed_arrays_which_cannot_be_written_to():
    pp = "load|augment(2, 0.8, gamma=(2, 2), gamma_p=1, intensity=5)|normalize|resize(8)"
    fields = dict(image=packed.pack(IMAGE), segmap=packed.pack(SEGMAP))
    out, same = (run(pp, rng=np.random.default_rng(0), **fields) for _ in range(2))
    np.testing.assert_array_equal(out["image"], same["image"])
    np.testing.assert_array_equal(packed.unpack(fields["image"]), IMAGE)


def test_boxes_follow_the_resize_of_colour():
    picture = np.zeros((40, 20, 3), np.uint8)
    fields = dict(image=picture, modality="OT", boxes=[[5, 10, 15, 40, 7]])
    out = run("load|normalize|resize(8)", **fields)
    assert out["boxes"] == [[2, 2, 6, 8, 7]]


def test_load_reads_a_file(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (5, 6, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    segmap = np.ones((5, 6), np.uint8)
    example = {"id": "a", "path": str(tmp_path / "a.png"), "plane": "", "segmap": segmap}
    out = builder.get_preprocess_fn("load")(example)
    np.testing.assert_array_equal(out["image"], picture)
    assert out["modality"] == "OT" and out["plane"] == ""
    assert out["segmap"] is segmap


@pytest.mark.parametrize("code", [3, 6, 7])
def test_a_picture_is_turned_upright_with_its_label_map_and_boxes(code, tmp_path):
    stored = np.repeat(SEGMAP[..., None], 3, -1)
    exif = Image.Exif()
    exif[0x0112] = code
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    for segmap in (SEGMAP, packed.pack(SEGMAP)):
        out = run("load", path=tmp_path / "a.png", modality="OT", segmap=segmap,
                  boxes=[[2, 1, 5, 3, 5]])  # fmt: skip
        assert out["segmap"].shape == ((6, 4) if code > 4 else (4, 6))
        np.testing.assert_array_equal(out["segmap"], out["image"][..., 0])
        x1, y1, x2, y2, class_id = out["boxes"][0]
        drawn = np.zeros_like(out["segmap"])
        drawn[y1:y2, x1:x2] = class_id
        np.testing.assert_array_equal(drawn, out["segmap"])


def test_what_the_example_says_about_a_file_is_passed_to_the_reader(tmp_path):
    np.save(tmp_path / "a.npy", IMAGE)
    for modality in ("CT", "MR", "OT"):
        out = run("load", path=tmp_path / "a.npy", modality=modality, plane="coronal")
        np.testing.assert_array_equal(out["image"], IMAGE)
        assert (out["modality"], out["plane"]) == (modality, "coronal")


def test_a_dicom_of_another_modality_than_the_example_says_is_refused():
    path = pydicom.data.get_testdata_file("CT_small.dcm")
    assert run("load", path=path)["modality"] == "CT"
    with pytest.raises(ValueError, match="CT_small.dcm is not of the modality 'MR'"):
        run("load", path=path, modality="MR")


@pytest.mark.parametrize(
    "fields, match",
    [
        ({}, "neither an image"),
        ({"image": np.zeros((4, 4, 2), np.uint8)}, r"\[4, 4, 2\]"),
        ({"image": np.zeros((4, 4, 3), np.float32)}, "uint8"),
        ({"image": np.zeros((0, 4), np.int16)}, r"\[0, 4\]"),
        ({"image": np.zeros((4, 4), np.int16), "modality": "PET"}, "PET"),
        ({"image": np.zeros((4, 4), np.int16), "segmap": np.zeros((4, 5), np.uint8)}, "segmap"),
        ({"image": b"no frame"}, "damaged"),
    ],
)
def test_load_refuses_what_the_other_ops_cannot_use(fields, match):
    with pytest.raises(ValueError, match=match):
        run("load", **fields)


def test_keep_names_what_is_missing():
    with pytest.raises(KeyError, match="text"):
        run("keep('image', 'text')", image=IMAGE)
    assert set(run("keep('image', 'text', optional=True)", image=IMAGE)) == {"image"}
