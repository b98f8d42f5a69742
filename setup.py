"""Builds the wheel, in which `tools` and `configs` move into the package.

All other settings are in pyproject.toml. `tools` and `configs` are at the top of the checkout,
where users look for them, but their names are too common for site-packages. A wheel therefore has
them as `big_rad._tools` and `big_rad._configs`, and `big-rad NAME` runs the tool that a checkout
runs as `python -m tools.NAME`.

`as_installed` writes these names into the modules while they are copied. An alias at run time would
not do: a module of big_rad must never import a folder `tools` or `configs` of the user's working
directory, and a module of the user must never import those of big_rad by accident. The exception is
`from configs import ...` in a user's own recipe, for which see `big_rad/config/companions.py`.

An editable installation (`pip install -e .`) is the checkout as it is: `import tools` and
`import configs` work from any folder, and no module is rewritten.
"""

import pathlib
import re
import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = pathlib.Path(__file__).parent
MOVED = ("tools", "configs")
TOOLS = sorted(p.stem for p in (ROOT / "tools").glob("[!_]*.py"))

_FROM = re.compile(rf"^(\s*from )({'|'.join(MOVED)})\b(?=[\w.]* import )", re.MULTILINE)
_MENTION = re.compile(rf"(?:python -m )?(?<![\w.])tools\.({'|'.join(TOOLS)})\b")
_IMPORT = rf"^\s*import ({'|'.join(MOVED)})\b"
_MODULE = rf"[\"']({'|'.join(MOVED)})\.[\w.{{}}]*[\"']"  # The name of a module as a string.
_UNFIT = re.compile(rf"{_IMPORT}|{_MODULE}|python -m tools\b(?!\.({'|'.join(TOOLS)})\b)", re.M)


def as_installed(text: str, file: str) -> str:
    """Returns the source of a module with the names that tools and recipes have in a wheel.

    `from tools.x import y` and `from configs import y` become imports from `big_rad`. In docstrings
    and messages, `python -m tools.x` and `tools.x` become `big-rad x`.

    Args:
        text: the source of the module.
        file: its name, for errors.

    Raises:
        ValueError: the module uses these names in a form that would not work in a wheel.
    """
    if found := _UNFIT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(
            f"{file}, line {line}: {found[0].strip()!r} does not work in a wheel; write "
            "`from tools import NAME`, and `__package__` where the name of a module is a text"
        )
    return _MENTION.sub(r"big-rad \1", _FROM.sub(r"\1big_rad._\2", text))


class BuildPy(build_py):
    """Copies the modules, and renames tools and recipes unless the installation is editable."""

    def run(self) -> None:
        """Removes the files of an earlier build, which may be of deleted modules, then copies."""
        if not self.editable_mode:
            shutil.rmtree(pathlib.Path(self.build_lib, "big_rad"), ignore_errors=True)
        super().run()

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        """Copies one module; returns the path of the copy and whether the file was written."""
        copy, copied = super().build_module(module, module_file, package)
        if not self.editable_mode:
            text = pathlib.Path(module_file).read_text(encoding="utf-8")
            pathlib.Path(copy).write_text(as_installed(text, module_file), encoding="utf-8")
        return copy, copied


class EditableWheel(editable_wheel):
    """Installs the folders of the checkout under their own names."""

    def finalize_options(self) -> None:
        """Replaces the layout of a wheel by that of the checkout."""
        self.distribution.package_dir = {}
        self.distribution.packages = find_packages(include=["big_rad*", *_with_parts(MOVED)])
        super().finalize_options()


def _with_parts(names: tuple[str, ...]) -> list[str]:
    return [pattern for name in names for pattern in (name, f"{name}.*")]


if __name__ == "__main__":
    setup(
        packages=[
            *find_packages(include=["big_rad", "big_rad.*"]),
            *(f"big_rad._{name}" for name in find_packages(include=_with_parts(MOVED))),
        ],
        package_dir={f"big_rad._{name}": name for name in MOVED},
        package_data={"big_rad": ["**/*.model", "**/*.json"], "big_rad._tools": ["*.txt"]},
        cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel},
    )
