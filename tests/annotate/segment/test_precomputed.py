import itertools
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from big_rad.annotate.faults import Rejected
from big_rad.annotate.segment import harmonised, precomputed
from big_rad.grounding import classes
from tests.helpers import label_volumes as made

IDS = (2, 3, 5, 52, 118, 121)
SECRET = "Mustermann"
MR = dict(enumerate(harmonised.TASKS["total_mr"], start=1))


def mask_file(folder, labels, affine, **options):
    """Writes a mask whose own table names class ids; `table=None` leaves the table out."""
    folder.mkdir(exist_ok=True)
    options.setdefault("table", harmonised.NUMBERS["class_ids"])
    return made.save(folder / f"{SECRET}.nii.gz", labels, affine, **options)


def rejected(mask, volume, names=None):
    with pytest.raises(Rejected) as e:
        precomputed.read(mask, volume, names)
    said = str(e.value)
    assert SECRET not in said and str(volume.path.parent) not in said
    return said


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("degrees", [0.0, 20.0, 45.0])
def test_masks_of_any_orientation_are_turned_onto_the_volume(tmp_path, order, degrees):
    labels = made.random_labels(IDS)
    volume = made.stored(tmp_path, affine=made.oblique(degrees))
    for flips in itertools.product((False, True), repeat=3):
        mask = mask_file(tmp_path, *made.moved(labels, volume.affine, order, flips))
        found = precomputed.read(mask, volume)
        assert found.labels.dtype == np.uint8
        assert (found.labels == labels).all()
        turned = order != (0, 1, 2) or any(flips)
        assert any("turned" in w for w in found.warnings) == turned


def test_small_differences_of_the_affine_do_not_matter_and_larger_ones_do(tmp_path):
    labels, volume = made.random_labels(IDS), made.stored(tmp_path, affine=made.oblique(45))
    rng = np.random.default_rng(1)
    for scale, fits in ((1e-4, True), (1e-2, True), (0.6, False)):
        near = volume.affine.copy()
        near[:3] += rng.normal(size=(3, 4)) * scale * [0.05, 0.05, 0.05, 0.1]
        near[0, 3] += scale
        mask = mask_file(tmp_path, labels, near)
        if fits:
            assert (precomputed.read(mask, volume).labels == labels).all()
        else:
            assert "voxels off" in rejected(mask, volume)


def test_a_mask_mirrored_by_a_wrong_affine_is_refused(tmp_path):
    volume = made.stored(tmp_path)
    mirrored = volume.affine @ np.diag([-1, 1, 1, 1])
    assert "voxels off" in rejected(mask_file(tmp_path, made.random_labels(IDS), mirrored), volume)


def test_numbers_without_names_are_refused(tmp_path):
    labels, volume = made.random_labels((5,)), made.stored(tmp_path)
    mask = mask_file(tmp_path, labels, volume.affine, table=None)
    said = rejected(mask, volume)
    assert "no names for its numbers" in said and "total, total_mr, class_ids" in said
    with pytest.raises(Rejected, match="no names for its numbers"):
        precomputed.check(mask, volume)


@pytest.mark.parametrize("word", ["total", "total_mr", "class_ids"])
def test_numbers_without_names_are_of_the_table_that_is_named(tmp_path, word):
    labels, volume = made.random_labels((10, 16, 22)), made.stored(tmp_path)
    mask = mask_file(tmp_path, labels, volume.affine, table=None)
    assert not precomputed.check(mask, volume, word)
    found = precomputed.read(mask, volume, word)
    for label in (10, 16, 22):
        name = MR[label] if word == "total_mr" else classes.by_id(label).name
        assert (found.labels[labels == label] == classes.by_name(name).id).all()
    assert found.about["names"] == f"numbers of {word}" and not found.warnings
    assert found.about["source"] == "precomputed" and SECRET not in repr(found)


def test_a_number_that_the_named_table_does_not_have_is_refused(tmp_path):
    volume = made.stored(tmp_path)
    for word, label in (("total_mr", 51), ("total", 118), ("class_ids", 122)):
        labels = made.random_labels((5, label))
        mask = mask_file(tmp_path, labels, volume.affine, table=None)
        assert f"label {label} of the mask has no name" in rejected(mask, volume, word)


def test_a_named_table_must_not_contradict_the_mask(tmp_path):
    volume, labels = made.stored(tmp_path), made.random_labels((10, 16))
    mask = mask_file(tmp_path, labels, volume.affine, table=MR)
    assert "another name" in rejected(mask, volume, "total")
    assert (precomputed.read(mask, volume, "total_mr").labels > 0).any()


def test_names_in_the_mask_decide_and_not_its_numbers(tmp_path):
    labels, volume = made.random_labels((10, 11, 19, 20)), made.stored(tmp_path)
    found = precomputed.read(mask_file(tmp_path, labels, volume.affine, table=MR), volume)
    for label in (10, 11, 19, 20):
        assert (found.labels[labels == label] == classes.by_name(MR[label]).id).all()
    assert found.about["names"] == "own table" and not found.warnings


def test_a_merged_map_in_another_order_is_read_by_its_names(tmp_path):
    """A rerun of the original's second step numbers these four classes in another order."""
    table = {118: "intervertebral_discs", 119: "lung_left", 120: "lung_right", 121: "vertebrae"}
    labels, volume = made.random_labels(tuple(table)), made.stored(tmp_path)
    found = precomputed.read(mask_file(tmp_path, labels, volume.affine, table=table), volume)
    for label, name in table.items():
        assert (found.labels[labels == label] == classes.by_name(name).id).all()
    assert classes.by_name("lung_left").id == 118


def test_names_may_come_from_a_names_file(tmp_path):
    labels, volume = made.random_labels((1, 2, 7)), made.stored(tmp_path)
    names = tmp_path / f"{SECRET}.txt"
    names.write_text("1 left kidney\n2 liver\n7 lesion\n")
    mask = mask_file(tmp_path, labels, volume.affine, table=None)
    found = precomputed.read(mask, volume, names)
    assert set(np.unique(found.labels)) == {0, 3, 5}
    assert found.about["names"] == "names file" and found.about["labels_not_used"] == 1
    assert found.warnings == ("labels not used, because their names are no class: 1",)
    names.write_text("nothing")
    assert "names file" in rejected(mask, volume, names)
    names.unlink()
    assert "check its path" in rejected(mask, volume, names)
    names.mkdir()
    assert "the names file of the mask: is a folder" in rejected(mask, volume, names)


def test_a_label_with_two_names_in_the_mask_is_refused(tmp_path):
    volume, file = made.stored(tmp_path), tmp_path / f"{SECRET}.nii.gz"
    image = nib.Nifti1Image(made.random_labels((5,)), made.TO_RAS @ volume.affine)
    xml = "".join(f'<Label Key="5"><![CDATA[{name}]]></Label>' for name in ("liver", "spleen"))
    table = nib.nifti1.Nifti1Extension(0, f"<LabelTable>{xml}</LabelTable>".encode())
    image.header.extensions.append(table)
    nib.save(image, file)
    assert "label 5 has two names" in rejected(file, volume)
    with pytest.raises(Rejected, match="label 5 has two names"):
        precomputed.check(file, volume)


def test_a_names_file_must_not_contradict_the_mask(tmp_path):
    volume, names = made.stored(tmp_path), tmp_path / "names.json"
    mask = mask_file(tmp_path, made.random_labels((5,)), volume.affine, table={5: "liver"})
    names.write_text('{"5": "spleen"}')
    assert "another name" in rejected(mask, volume, names)
    names.write_text('{"5": "liver"}')
    assert precomputed.read(mask, volume, names).labels.max() == 5


def test_the_newer_name_of_label_26_is_not_taken_for_the_older_one(tmp_path):
    volume = made.stored(tmp_path)
    table = {5: "liver", 26: "vertebrae_L6"}
    mask = mask_file(tmp_path, made.random_labels((5, 26)), volume.affine, table=table)
    found = precomputed.read(mask, volume)
    assert set(np.unique(found.labels)) == {0, 5} and found.about["labels_not_used"] == 1


def test_masks_stored_as_numbers_with_a_point_or_scaled_are_read(tmp_path):
    labels, volume = made.random_labels(IDS), made.stored(tmp_path)
    for options in ({"dtype": np.float32}, {"dtype": np.float64}, {"slope": 1.0}):
        mask = mask_file(tmp_path, labels, volume.affine, **options)
        assert (precomputed.read(mask, volume).labels == labels).all()


FAULTS = {
    "fractions": (lambda x: x + 0.5, "fractions"),
    "not finite": (lambda x: np.where(x == 5, np.nan, x), "fractions"),
    "negative": (lambda x: -x.astype(float), "outside"),
    "huge": (lambda x: x * 1e30, "outside"),
    "unknown": (lambda x: x + 120.0, "has no name in its table"),
    "empty": (lambda x: x * 0.0, "the mask is empty"),
    "shape": (lambda x: x[:-1], "the mask has 4 x 6 x 7 voxels and the volume 5 x 6 x 7"),
    "series": (lambda x: np.stack([x, x], axis=-1), "one volume of three dimensions"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_impossible_masks_are_refused_with_a_reason(tmp_path, fault):
    change, reason = FAULTS[fault]
    volume = made.stored(tmp_path)
    labels = change(made.random_labels(IDS))
    assert reason in rejected(mask_file(tmp_path, labels, volume.affine, dtype=float), volume)


def test_labels_without_a_name_are_refused(tmp_path):
    volume = made.stored(tmp_path)
    labels = made.random_labels((5, 9))
    for table, reason in (({5: "liver"}, "label 9"), ({5: "Adam", 9: "Eva"}, "no name")):
        mask = mask_file(tmp_path, labels, volume.affine, table=table)
        assert reason in rejected(mask, volume)
    mask = mask_file(tmp_path, labels, volume.affine, table={1: "spleen", 5: "Adam", 9: "Eva"})
    assert "shows no class" in rejected(mask, volume)


def test_an_impossible_or_missing_affine_is_refused(tmp_path):
    volume, labels = made.stored(tmp_path), made.random_labels(IDS)
    mask = mask_file(tmp_path, labels, volume.affine)
    image = nib.load(mask)
    image.header["srow_x"] = np.nan
    nib.Nifti1Image(image.dataobj, None, image.header).to_filename(mask)
    assert "affine" in rejected(mask, volume)
    image = nib.Nifti1Image(labels, np.eye(4))
    image.set_sform(None, 0), image.set_qform(None, 0)
    image.to_filename(mask)
    assert "does not say where it lies" in rejected(mask, volume)


def test_damaged_files_are_refused(tmp_path):
    volume = made.stored(tmp_path)
    mask = mask_file(tmp_path, made.random_labels(IDS), volume.affine)
    whole = mask.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-8] + bytes(8), b"", b"text" * 200):
        mask.write_bytes(content)
        rejected(mask, volume)
    mask.unlink()
    assert "the mask cannot be read" in rejected(mask, volume)


def binary(folder, labels, affine, names):
    folder.mkdir(exist_ok=True)
    for name, inside in names.items():
        made.save(folder / f"{name}.nii.gz", np.isin(labels, inside), affine)
    return folder


def test_a_folder_with_a_binary_file_for_each_class_is_read(tmp_path):
    volume = made.stored(tmp_path, np.zeros((9, 9, 9)))
    ids = tuple(range(1, 118))
    labels = made.random_labels(ids, (9, 9, 9))
    names = {classes.by_id(i).name: [i] for i in ids}
    found = precomputed.read(binary(tmp_path / SECRET, labels, volume.affine, names), volume)
    assert (found.labels == labels).all() and not found.warnings
    assert found.about["kind"] == "folder" and found.about["voxels_in_several_classes"] == 0


def test_files_of_a_folder_may_be_turned_each_for_itself(tmp_path):
    labels, volume = made.random_labels((3, 5)), made.stored(tmp_path)
    folder = tmp_path / SECRET
    folder.mkdir()
    made.save(folder / "kidney_left.nii", labels == 3, volume.affine, dtype=np.float32)
    other = made.moved(labels == 5, volume.affine, (2, 0, 1), (True, False, True))
    made.save(folder / "liver.nii.gz", other[0] * 255.0, other[1])
    found = precomputed.read(folder, volume)
    assert (found.labels == labels).all()
    assert len(found.warnings) == 1


def test_the_later_class_counts_where_masks_overlap_and_this_is_counted(tmp_path):
    volume, labels = made.stored(tmp_path), np.zeros(made.SHAPE, np.uint8)
    labels[0], labels[1], labels[2] = 1, 2, 3
    # The cyst overlaps the kidney on one slab, and the lung its lobe on another one.
    names = {"kidney_left": [1, 2], "kidney_cyst_left": [2], "lung_left": [2, 3],
             "lung_upper_lobe_left": [3]}  # fmt: skip
    found = precomputed.read(binary(tmp_path / "a", labels, volume.affine, names), volume)
    assert [int(found.labels[n, 0, 0]) for n in range(4)] == [3, 23, 10, 0]
    assert found.about["voxels_in_several_classes"] == 2 * 6 * 7
    assert "overlap in 84 voxels" in found.warnings[0]


def test_files_of_the_same_class_are_joined_and_others_counted(tmp_path):
    volume, labels = made.stored(tmp_path), made.random_labels((1, 2, 3))
    names = {"heart_myocardium": [1], "heart_atrium_left": [2], "Mustermann": [3]}
    folder = binary(tmp_path / "a", labels, volume.affine, names)
    (folder / "readme.txt").write_text("x")
    (folder / "._liver.nii.gz").write_bytes(b"x")
    found = precomputed.read(folder, volume)
    heart = classes.by_name("heart").id
    assert ((found.labels == heart) == np.isin(labels, (1, 2))).all()
    assert found.about["labels_not_used"] == 1
    assert found.about["voxels_in_several_classes"] == 0
    assert len(found.warnings) == 2 and SECRET not in " ".join(found.warnings)


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    volume, labels = made.stored(tmp_path), made.random_labels((1, 2))
    folder = tmp_path / SECRET
    folder.mkdir()
    assert "named after a class" in rejected(folder, volume)
    made.save(folder / "liver.nii.gz", labels, volume.affine)
    assert "several numbers" in rejected(folder, volume)
    made.save(folder / "liver.nii.gz", labels == 9, volume.affine)
    assert "empty" in rejected(folder, volume)


def test_memory_is_one_label_map_and_little_more(tmp_path):
    shape = (128, 128, 128)
    volume = made.stored(tmp_path, np.zeros(shape, np.int16))
    labels = np.zeros(shape)
    labels[10:60, 5:50] = 5
    mask = mask_file(tmp_path, labels, volume.affine, dtype=np.float64)
    tracemalloc.start()
    found = precomputed.read(mask, volume)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.labels == labels).all()
    assert peak < 1.6 * found.labels.nbytes  # As floats the mask has eight times as many bytes.


@pytest.mark.parametrize("name", ["spleen.nrrd", "spleen.mha", "Spleen.HDR"])
def test_a_mask_in_another_format_is_not_passed_over(tmp_path, name):
    labels = made.random_labels(IDS)
    volume = made.stored(tmp_path)
    folder = tmp_path / "masks"
    folder.mkdir()
    made.save(folder / "liver.nii.gz", (labels == 5).astype(np.uint8), volume.affine)
    (folder / name).write_bytes(b"0")
    assert "files of another format" in rejected(folder, volume)
