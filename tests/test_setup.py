"""The build of a wheel: what setup.py makes of the modules."""

import ast
import importlib.util
import pathlib
import re

import pytest

pytest.importorskip("setuptools", reason="setup.py is read with setuptools")

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setup():
    spec = importlib.util.spec_from_file_location("_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text, expected",
    [
        ("from configs import common, demo", "from big_rad._configs import common, demo"),
        ("from configs.demo import x", "from big_rad._configs.demo import x"),
        ("    from tools.benchmarks import a", "    from big_rad._tools.benchmarks import a"),
        (
            "from tools.compare import (\n    a,\n)",
            "from big_rad._tools.compare import (\n    a,\n)",
        ),
        ('"python -m tools.convert A B"', '"big-rad convert A B"'),
        ("# see `tools.convert A`", "# see `big-rad convert A`"),
        ("python -m big_rad.train --config=configs/demo.py",) * 2,
        ("from functools import partial",) * 2,
        ("itertools.compare, mytools.bench, a.tools.bench",) * 2,
        ("from toolsets import a; from configs2 import b",) * 2,
        ("from the tools of configs",) * 2,
    ],
)
def test_names_become_those_of_a_wheel(setup, text, expected):
    assert setup.as_installed(f"x = 1\n{text}\n", "a.py") == f"x = 1\n{expected}\n"


@pytest.mark.parametrize(
    "text",
    [
        "import tools.convert",
        "    import configs",
        '["-m", "tools.bench", "gpu"]',
        "import_module('configs.demo')",
        'import_module(f"tools.benchmarks.{name}")',
        '"python -m tools.no_such_tool"',
    ],
)
def test_what_would_not_work_in_a_wheel_stops_its_build(setup, text):
    with pytest.raises(ValueError, match="a.py, line 2: "):
        setup.as_installed(f"x = 1\n{text}\n", "a.py")


def test_every_module_can_be_installed_and_every_import_finds_its_file(setup):
    files = [f for folder in ("big_rad", *setup.MOVED) for f in (ROOT / folder).rglob("*.py")]
    installed = {f: setup.as_installed(f.read_text(encoding="utf-8"), str(f)) for f in files}
    assert not [f for f, text in installed.items() if re.search(r"python -m tools", text)]
    imported = set()
    for file in (f for f in files if f.relative_to(ROOT).parts[0] in setup.MOVED):
        for node in ast.walk(ast.parse(installed[file])):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module.partition(".")[0] not in setup.MOVED
                imported |= {f"{node.module}.{name.name}" for name in node.names}
    moved = [x.removeprefix("big_rad._") for x in imported if x.startswith("big_rad._")]
    assert len(moved) > 10
    for name in moved:
        place = ROOT.joinpath(*name.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file() or (
            place.parent.with_suffix(".py").is_file()
        ), name  # fmt: skip
