"""What `pp.example` declares: the fields, and who adds each by the comment behind it."""

import inspect
import re

from big_rad.pp.example import Before, Example, Text

_FIELD = re.compile(r"^    (\w+): .*  # ([\w, ]+): \w*.*$", re.MULTILINE)


def adders(kind):
    """Returns field -> the names in its comment, of `Example` or `Text`."""
    found = {
        name: {n.strip() for n in by.split(",")}
        for name, by in _FIELD.findall(inspect.getsource(kind))
    }
    assert found.keys() == kind.__annotations__.keys(), "a field has no comment that says who adds"
    return found


def undeclared(example):
    """Returns the fields of an example, its texts and its images that are not declared."""
    found = {f"Example.{k}" for k in example.keys() - Example.__annotations__.keys()}
    for text in example.get("texts") or ():
        found |= {f"Text.{k}" for k in text.keys() - Text.__annotations__.keys()}
    for image in example.get("images") or ():
        found |= undeclared(image)
    return found | {
        f"Before.{k}" for k in example.get("before", {}).keys() - Before.__annotations__
    }


def not_of_records(example):
    """Returns the fields of an example that are not declared as those of a dataset's record."""
    found = {k for k in example if "record" not in adders(Example).get(k, ())}
    for text in example.get("texts") or ():
        found |= {k for k in text if "record" not in adders(Text).get(k, ())}
    for image in example.get("images") or ():
        found |= not_of_records(image)
    return found
