import numpy as np
import pytest

from big_rad.datasets import label_tables
from big_rad.grounding.classes import CLASSES, MR_TO_ID, by_id


def test_every_class_is_found_by_its_name_and_its_words():
    for c in CLASSES:
        assert label_tables.class_of(c.name) == c.id
        assert label_tables.class_of(c.en) == label_tables.class_of(c.de) == c.id


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("heart_ventricle_left", "heart"), ("lung_upper_lobe_left", "lung_upper_lobe_left"),
        ("face", None), ("pulmonary_artery", None), ("kidney", None), ("liver_vessels", None),
    ],
)  # fmt: skip
def test_names_of_other_versions_are_mapped_or_unknown(name, class_name):
    found = label_tables.class_of(name)
    assert (found and by_id(found).name) == class_name


def test_numbers_of_another_task_become_classes_by_their_names():
    table = {n: by_id(c).name for n, c in MR_TO_ID.items()}
    values = np.arange(51).reshape(3, 17)
    segmap, unknown = label_tables.to_classes(values, table)
    assert unknown == [] and segmap.dtype == np.uint8
    assert segmap.ravel().tolist() == [0, *(MR_TO_ID[n] for n in range(1, 51))]


def test_files_that_are_no_table_are_named(tmp_path):
    for content in (b"", b"{", b'{"a": "b"}', b"liver\n", b"\xff\xfe", b"[[1]]", b"5 " * 1_000_000):
        (tmp_path / "names.txt").write_bytes(content)
        with pytest.raises(label_tables.TableError, match="names.txt"):
            label_tables.read_names(tmp_path / "names.txt")
    with pytest.raises(label_tables.TableError, match="gone.txt"):
        label_tables.read_names(tmp_path / "gone.txt")


def test_a_list_of_names_counts_from_the_background(tmp_path):
    (tmp_path / "names.json").write_text('["background", "spleen", "kidney_right"]')
    assert label_tables.read_names(tmp_path / "names.json") == {1: "spleen", 2: "kidney_right"}


@pytest.mark.parametrize(
    "text",
    [
        "5 liver\n1 spleen\n5 kidney_left\n", '{"5": "liver", "5": "spleen"}',
        '{"liver": 5, "spleen": 5}', '{"labels": {"liver": 5, "spleen": 5}}',
        '{"liver": 5, "liver": 6, "spleen": 6}',
    ],
)  # fmt: skip
def test_a_label_with_two_names_is_refused(tmp_path, text):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(label_tables.TableError, match=r"names.txt: label [56] has two names"):
        label_tables.read_names(tmp_path / "names.txt")


def test_a_label_that_stands_twice_with_one_name_is_read(tmp_path):
    for text in ("5 liver\n5 liver\n", '{"5": "liver", "5": "liver"}', '{"liver": 5, "liver": 5}'):
        (tmp_path / "names.txt").write_text(text)
        assert label_tables.read_names(tmp_path / "names.txt") == {5: "liver"}
