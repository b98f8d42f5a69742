"""Finds the modules that a module imports, by reading sources, without importing anything."""

import ast
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[2]


def along_with(name, seen=None):
    """Returns the names of all modules that are imported together with a module. Imports inside
    functions do not count."""
    seen = set() if seen is None else seen
    if name in seen:
        return seen
    seen.add(name)
    path = ROOT / name.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.exists():  # A module of another project, or a name inside a module.
        return seen
    for found in filter(None, (name.rpartition(".")[0], *_imported(file))):
        along_with(found, seen)
    return seen


@functools.cache
def _imported(file):
    return tuple(_named(ast.parse(file.read_text(encoding="utf-8"))))


def _named(tree):
    for node in _outside_functions(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


def _outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _outside_functions(child)
