"""The build of a wheel; everything else is in pyproject.toml.

`tools` and `configs` lie at the top of the checkout, where people look for them. Their names are
too common for the site-packages of other people, so a wheel holds them inside the package, as
`big_rad._tools` and `big_rad._configs`, and `big-rad NAME` runs what is `python -m tools.NAME` in a
checkout. `as_installed` writes these names into the modules while they are copied. It is done here
and not by an alias at run time, because a module of big_rad must never find a folder of the same
name in the user's working directory, and the reverse; `big_rad/config/companions.py` has the part
that is left to the run time, which is `from configs import ...` in a user's own recipe.

An editable installation (`pip install -e .`) is the checkout as it is: `import tools` and
`import configs` work from any folder, and nothing is rewritten.
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
_MODULE = rf"[\"']({'|'.join(MOVED)})\.[\w.{{}}]*[\"']"  # A text that is a module's name.
_UNFIT = re.compile(rf"{_IMPORT}|{_MODULE}|python -m tools\b(?!\.({'|'.join(TOOLS)})\b)", re.M)


def as_installed(text: str, file: str) -> str:
    """Returns the text of a module with the names that tools and recipes have in a wheel.

    Args:
        text: the module; `from tools.x import y` and `from configs import y` become imports from
            `big_rad`, and mentions of `python -m tools.x` or `tools.x` become `big-rad x`.
        file: named in errors.

    Raises:
        ValueError: the module has a form of these names that would not work in a wheel.
    """
    if found := _UNFIT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(
            f"{file}, line {line}: {found[0].strip()!r} does not work in a wheel; write "
            "`from tools import NAME`, and `__package__` where the name of a module is a text"
        )
    return _MENTION.sub(r"big-rad \1", _FROM.sub(r"\1big_rad._\2", text))


class BuildPy(build_py):
    """Copies the modules, with their names in a wheel unless the installation is editable."""

    def run(self) -> None:
        """Copies all; what an earlier build left, perhaps of deleted modules, is removed first."""
        if not self.editable_mode:
            shutil.rmtree(pathlib.Path(self.build_lib, "big_rad"), ignore_errors=True)
        super().run()

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        """Copies one module and returns the path of the copy and whether it was outdated."""
        copy, copied = super().build_module(module, module_file, package)
        if not self.editable_mode:
            text = pathlib.Path(module_file).read_text(encoding="utf-8")
            pathlib.Path(copy).write_text(as_installed(text, module_file), encoding="utf-8")
        return copy, copied


class EditableWheel(editable_wheel):
    """Installs the folders of the checkout under their own names."""

    def finalize_options(self) -> None:
        """Takes the layout of the checkout in the place of that of a wheel."""
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
