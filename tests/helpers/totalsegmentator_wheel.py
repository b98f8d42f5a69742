"""The source of TotalSegmentator in its wheel, which cannot be imported without torch.

BIG_RAD_TOTALSEGMENTATOR_WHEEL names the wheel:
`pip download --no-deps --dest DIR TotalSegmentator==2.18.0`.
"""

import ast
import os
import types
import zipfile

import pytest

NAME = "BIG_RAD_TOTALSEGMENTATOR_WHEEL"


def source(name):
    """The text of a module in the wheel; the test is skipped where there is no wheel."""
    with zipfile.ZipFile(_wheel()) as wheel:
        return wheel.read(f"totalsegmentator/{name}.py").decode()


def all_sources():
    """The text of all modules in the wheel."""
    with zipfile.ZipFile(_wheel()) as wheel:
        names = [n for n in wheel.namelist() if n.endswith(".py")]
        return "\n".join(wheel.read(n).decode() for n in names)


def module(name, without=("torch", "requests", "totalsegmentator", "importlib"), **names):
    """A module of the wheel, run without its imports of some packages.

    Args:
        name: its name, such as "bin/TotalSegmentator".
        without: the packages that are not imported.
        names: what the module has instead.
    """
    tree = ast.parse(source(name))
    tree.body = [n for n in tree.body if not _imports(n, without)]
    made = types.ModuleType(name)
    made.__dict__.update(names)
    exec(compile(tree, name, "exec"), made.__dict__)
    return made


def function(name, wanted, **names):
    """One function of a module of the wheel."""
    tree = ast.parse(source(name))
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == wanted]
    space = dict(names)
    exec(compile(tree, name, "exec"), space)
    return space[wanted]


def tables():
    """{task: {label: name}} of the wheel."""
    return module("map_to_binary").class_map


def _imports(node, packages):
    if isinstance(node, ast.Import):
        return any(a.name.split(".")[0] in packages for a in node.names)
    return isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in packages


def _wheel():
    path = os.environ.get(NAME)
    if not path:
        pytest.skip(f"{NAME} does not name the wheel of TotalSegmentator 2.18.0")
    return path
