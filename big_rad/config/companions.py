"""Finds `configs` and `tools`, the two folders that come with big_rad beside its package.

A checkout, and an editable installation of one, has them at the top, as the packages `configs` and
`tools`. A wheel has them inside the package, as `big_rad._configs` and `big_rad._tools`: setup.py
puts them there and changes the imports in big_rad's own files, so that these never import files of
the same name from the user's folder. This module says at run time where the two folders are, and
which modules `from configs import ...` finds in a recipe of the user's own.
"""

import contextlib
import importlib
import importlib.util
import pathlib
import sys
from collections.abc import Iterator
from types import ModuleType

_HERE = pathlib.Path(__file__).resolve().parents[1]
_RECIPES = "configs"


def in_wheel() -> bool:
    """Returns whether this is an installed wheel, not a checkout or an editable installation."""
    return (_HERE / f"_{_RECIPES}").is_dir()


def folder(name: str) -> pathlib.Path:
    """Returns the folder of big_rad's own `configs` or `tools`."""
    return _HERE / f"_{name}" if in_wheel() else _HERE.parent / name


def package(name: str) -> str:
    """Returns the name under which big_rad's own `configs` or `tools` is imported.

    In a checkout this also imports big_rad's own package under that name, unless it is imported
    already, so that no folder of the same name in the working directory is imported instead. Call
    it only in a process that runs a command of big_rad, because the import changes `sys.modules`
    for the whole process.
    """
    if in_wheel():
        return f"big_rad._{name}"
    if folder(name).is_dir() and _loaded_path(name) != [str(folder(name))]:
        _make_package(name, [folder(name)])
    return name


@contextlib.contextmanager
def recipes_of(recipe: str | pathlib.Path) -> Iterator[None]:
    """A context in which `from configs import ...` finds the modules that a recipe means.

    - If the recipe is one of big_rad's own, `configs` is big_rad's own folder, even if other
      folders have the same name.
    - In any other file a module is taken from the first of these that has it: the folder `configs`
      that the file is in, the folder `configs` in the working directory, big_rad's own recipes, and
      the packages called `configs` on Python's path. The user may have a `common.py`; big_rad's own
      recipes still import big_rad's `common.py`.

    After the context `configs` is again what it was before, such as a package of the program that
    uses big_rad.

    Args:
        recipe: the file that is going to be loaded; it need not exist.
    """
    ours = folder(_RECIPES)
    folders = _folders(pathlib.Path(recipe), ours)
    if ours not in folders or (folders == [ours] and _loaded_path(_RECIPES) == [str(ours)]):
        # Either big_rad was copied without its recipes, or `configs` is already the right package.
        yield
        return
    users = folders[: folders.index(ours)]
    importlib.invalidate_caches()  # The import system may not know files that are new.
    with _without(_RECIPES):
        replaced = _modules_in(users) & _modules_in([ours])
        kept = {}
        # Where the user replaces some modules, the other modules of big_rad are imported first, so
        # that they import big_rad's own modules and not the user's.
        if replaced:
            _make_package(_RECIPES, [ours])
            for name in sorted(_modules_in([ours]) - replaced):
                kept[f"{_RECIPES}.{name}"] = importlib.import_module(f"{_RECIPES}.{name}")
        with _without(_RECIPES):
            made = _make_package(_RECIPES, folders)
            sys.modules.update(kept)
            for name, module in kept.items():
                setattr(made, name.rpartition(".")[2], module)
            yield


def _folders(recipe: pathlib.Path, ours: pathlib.Path) -> list[pathlib.Path]:
    # Returns the folders in which a recipe finds modules of `configs`, in the order of search.
    if recipe.is_file() and recipe.resolve().is_relative_to(ours):
        return [ours]
    beside = recipe.absolute().parent
    wanted = [beside] if beside.name == _RECIPES else []
    wanted += [pathlib.Path(_RECIPES), ours, *(pathlib.Path(p, _RECIPES) for p in sys.path)]
    return list(dict.fromkeys(p.resolve() for p in wanted if p.is_dir()))


def _modules_in(folders: list[pathlib.Path]) -> set[str]:
    return {p.stem for folder in folders for p in folder.glob("*.py")} - {"__init__"}


def _loaded_path(name: str) -> list[str]:
    # Returns the folders of a package that is imported, [] if it is not.
    return list(getattr(sys.modules.get(name), "__path__", []))


def _make_package(name: str, folders: list[pathlib.Path]) -> ModuleType:
    # Imports a package whose modules are searched in several folders, in this order.
    init = next(p for p in (folder / "__init__.py" for folder in folders) if p.is_file())
    spec = importlib.util.spec_from_file_location(
        name, init, submodule_search_locations=[str(p) for p in folders]
    )
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return made


@contextlib.contextmanager
def _without(name: str) -> Iterator[None]:
    # A context in which a package and its modules count as not imported. They are restored after.
    before = _pop_modules(name)
    try:
        yield
    finally:
        _pop_modules(name)
        sys.modules.update(before)


def _pop_modules(name: str) -> dict[str, ModuleType]:
    # Removes a package and its modules from those that are imported, and returns them.
    names = [n for n in sys.modules if n == name or n.startswith(f"{name}.")]
    return {n: sys.modules.pop(n) for n in names}
