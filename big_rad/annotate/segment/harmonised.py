"""The classes of TotalSegmentator's tasks, by name, and which classes make up which.

The tasks number the same organs differently, and their numbers have changed between versions. So
names are mapped and never numbers, the tables here are constant, and `compare` says how those of an
installed TotalSegmentator differ.

    >>> by_name({1: "spleen", 5: "liver"}, "total")
    {1: 1, 5: 5}
"""

from collections.abc import Mapping

from big_rad.grounding import classes
from big_rad.grounding.class_table import MR_NAMES

# The task for each modality, and the names of its labels 1, 2, 3, ...
TASK_OF = {"CT": "total", "MR": "total_mr"}
TASKS: dict[str, tuple[str, ...]] = {
    "total": tuple(c.name for c in classes.CLASSES[:117]),
    "total_mr": MR_NAMES,
}
# The tables of numbers that a manifest may name for masks without names: {word: {label: name}}.
NUMBERS: dict[str, dict[int, str]] = {
    **{task: dict(enumerate(names, start=1)) for task, names in TASKS.items()},
    "class_ids": {c.id: c.name for c in classes.CLASSES},
}
# Classes that consist of others. CT masks have the parts only, and MR masks the wholes only.
_PARTS = {
    "lung_left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
    "vertebrae": tuple(
        f"vertebrae_{level}"
        for letter, count in (("S", 1), ("L", 5), ("T", 12), ("C", 7))
        for level in (f"{letter}{n}" for n in range(count, 0, -1))
    ),
}
ROLLUP: dict[int, tuple[int, ...]] = {
    classes.by_name(whole).id: tuple(classes.by_name(part).id for part in parts)
    for whole, parts in _PARTS.items()
}
# Where masks overlap, the later class counts. Wholes come first, so that they hide no part.
ORDER: tuple[int, ...] = (
    *ROLLUP,
    *(c.id for c in classes.CLASSES if c.id not in ROLLUP),
)


class TableError(ValueError):
    """A table of labels names classes that are unknown here; the message quotes no name."""


def by_name(table: Mapping[int, str], task: str) -> dict[int, int]:
    """Returns the class id of each label of a table.

    Args:
        table: {label: name}, as TotalSegmentator has it.
        task: the task, a key of `TASKS`.

    Raises:
        TableError: a name is not one of the task's names here, or occurs twice.
    """
    known = {name: classes.by_name(name).id for name in TASKS[task]}
    if strange := sorted(label for label, name in table.items() if name not in known):
        raise TableError(f"label {strange[0]} of task {task} has a name that is unknown here")
    if len(set(table.values())) < len(table):
        raise TableError(f"two labels of task {task} have the same name")
    return {label: known[name] for label, name in table.items()}


def compare(tables: Mapping[str, Mapping[int, str]]) -> list[str]:
    """Says how the tables of an installed TotalSegmentator differ from those here.

    Args:
        tables: {task: {label: name}}.

    Returns:
        Sentences; none if all names are the same. Other numbers are no difference, because names
        are mapped.
    """
    found = []
    for task, names in TASKS.items():
        if task not in tables:
            found.append(f"the installed TotalSegmentator has no task {task}")
            continue
        theirs = list(tables[task].values())
        if missing := [name for name in names if name not in theirs]:
            found.append(
                f"task {task} of the installed TotalSegmentator lacks {len(missing)} of "
                f"{len(names)} classes, such as {missing[0]}"
            )
        if strange := [name for name in theirs if name not in names]:
            found.append(
                f"task {task} of the installed TotalSegmentator has {len(strange)} classes that "
                f"are unknown here, such as {strange[0]}"
            )
        if len(set(theirs)) < len(theirs):
            found.append(f"task {task} of the installed TotalSegmentator names a class twice")
    return found
