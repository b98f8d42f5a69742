"""docs/data.md: its example is valid, its table is complete, and its messages are real ones."""

import re
from pathlib import Path

from big_rad.datasets.folder import images, paths, source

DOC = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def example():
    return re.search(r"```jsonl\n(.*?)```", DOC, re.DOTALL)[1].splitlines()


def test_the_example_is_valid_and_uses_every_field():
    rows = []
    for number, line in enumerate(example(), start=1):
        row, problems = source.parse(line.encode(), number)
        assert problems == []
        rows.append(row)
    items, problems, _ = source.gather(rows)
    assert problems == [] and [i.id for i in items] == ["s1", "s2", "s3", "s4"]
    assert [len(images.texts_of(r)) for r in rows] == [1] * 6
    assert all(f'"{field}"' in "".join(example()) for field in source._FIELDS)
    assert images.keywords_of(rows[0]) == [("left kidney", 3)]
    assert images.keywords_of(rows[1]) == [("linken Niere", 3)]
    assert images.keywords_of(rows[3]) == [("Both kidneys", 2), ("Both kidneys", 3), ("liver", 5)]
    assert images.keywords_of(rows[5]) == [("A mass", 7), ("portal vein", 64)]


def test_the_table_has_every_field_and_no_other():
    table = DOC[DOC.index("| field |") : DOC.index("A class is an id")].strip()
    named = {f for row in table.splitlines() for f in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(source._FIELDS)


def test_the_messages_shown_are_those_of_the_code():
    code = "".join(
        re.sub(r'"\s*f?"', "", Path(m.__file__).read_text(encoding="utf-8"))
        for m in (source, images, paths)
    )
    for part in (
        "is no field; ",
        "did you mean ",
        "there is no such file; paths start at the folder of the JSONL",
        "the box leaves the image of ",
        "would be in two splits; name the same one",
        "would be in two splits; name one patient on both",
        "are not as usually shown; ",
        "if that is not meant, turn the image with",
        "is not used; it belongs to a report, and the line has none",
    ):
        assert part in DOC and part in code, part
