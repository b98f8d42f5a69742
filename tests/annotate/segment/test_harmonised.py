import pytest

from big_rad.annotate.segment import harmonised
from big_rad.grounding import classes
from tests.helpers import totalsegmentator_wheel as wheel

TABLES = {task: dict(enumerate(names, start=1)) for task, names in harmonised.TASKS.items()}
# Names for six classes more, because the task total_mr had 56 classes before 2.5.0.
MORE_MR = ("lung_upper_lobe_left", "vertebrae_L1", "rib_left_1", "skull", "sternum", "trachea")


def test_the_tables_are_those_of_the_real_totalsegmentator():
    theirs = wheel.tables()
    for task, names in harmonised.TASKS.items():
        assert theirs[task] == dict(enumerate(names, start=1))
    assert harmonised.compare(theirs) == []


def test_the_tasks_have_as_many_classes_as_published():
    assert {task: len(names) for task, names in harmonised.TASKS.items()} == {
        "total": 117,
        "total_mr": 50,
    }


def test_every_class_belongs_to_a_task():
    ids = set()
    for task, table in TABLES.items():
        ids |= set(harmonised.by_name(table, task).values())
    assert ids == set(range(1, 122))


def test_mr_labels_are_mapped_by_name_and_not_by_number():
    found = harmonised.by_name(TABLES["total_mr"], "total_mr")
    for label, name in TABLES["total_mr"].items():
        assert classes.by_id(found[label]).name == name
    assert found[10] == classes.by_name("lung_left").id != 10


def test_other_numbers_are_no_difference():
    shuffled = {task: dict(zip(t, reversed(t.values()))) for task, t in TABLES.items()}
    assert harmonised.compare(shuffled) == []
    assert harmonised.by_name(shuffled["total"], "total")[117] == 1


def test_the_newer_task_whose_label_26_is_another_vertebra_is_noticed():
    table = TABLES["total"] | {26: "vertebrae_L6"}
    with pytest.raises(harmonised.TableError, match="label 26"):
        harmonised.by_name(table, "total")
    said = " ".join(harmonised.compare(TABLES | {"total": table}))
    assert "vertebrae_L6" in said and "vertebrae_S1" in said


def test_the_older_mr_task_with_56_classes_is_noticed():
    table = TABLES["total_mr"] | dict(enumerate(MORE_MR, start=51))
    assert len(table) == 56
    with pytest.raises(harmonised.TableError, match="label 51"):
        harmonised.by_name(table, "total_mr")
    [said] = harmonised.compare(TABLES | {"total_mr": table})
    assert "6 classes that are unknown here" in said


def test_a_missing_task_and_a_class_named_twice_are_noticed():
    assert "no task total_mr" in harmonised.compare({"total": TABLES["total"]})[0]
    twice = TABLES["total"] | {118: "liver"}
    assert harmonised.compare(TABLES | {"total": twice}) == [
        "task total of the installed TotalSegmentator names a class twice"
    ]
    with pytest.raises(harmonised.TableError, match="same name"):
        harmonised.by_name(twice, "total")


def test_wholes_consist_of_their_parts():
    assert harmonised.ROLLUP == {118: (10, 11), 119: (12, 13, 14), 121: tuple(range(26, 51))}


def test_wholes_are_painted_before_their_parts():
    order = harmonised.ORDER
    assert sorted(order) == list(range(1, 122))
    for whole, parts in harmonised.ROLLUP.items():
        assert all(order.index(whole) < order.index(part) for part in parts)
