"""`big-rad NAME ...`: all programs by name."""

import pathlib
import subprocess
import sys
import types

import pytest

from big_rad import __main__ as programs
from tests.helpers import imports

ROOT = pathlib.Path(__file__).parents[1]


def has_a_command_line(file):
    return '__name__ == "__main__"' in file.read_text(encoding="utf-8")


def test_the_list_has_every_command_and_tool_with_a_line_and_imports_none():
    code = (
        "import sys; from big_rad import __main__ as m; code = m.main([]) or m.main(['--help'])\n"
        "print(code, *(n for n in sys.modules if n.partition('.')[0] in ('jax', 'tools', 'absl')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *listing, last = run.stdout.splitlines()
    assert last == "0"
    lines = dict(x.split(maxsplit=1) for x in listing if x.startswith("  "))
    tools = {f.stem for f in (ROOT / "tools").glob("*.py") if has_a_command_line(f)}
    commands = {f.stem for f in (ROOT / "big_rad").glob("*.py") if has_a_command_line(f)}
    commands |= {f.parent.name for f in (ROOT / "big_rad").glob("*/__main__.py")}
    assert tools and set(lines) == tools | (commands - {"__main__"})
    assert all(len(line) > 10 for line in lines.values())
    assert len(listing) == 2 * (len(lines) + 2)  # Without a name it is the same as --help.


@pytest.mark.parametrize("name, like", [("bensh", "bench"), ("trian", "train"), ("qqq", None)])
def test_an_unknown_name_is_an_error_that_says_which_there_are(capsys, name, like):
    assert programs.main([name, "--x"]) == 2
    said = capsys.readouterr().err
    assert repr(name) in said and "evaluate" in said and "inspect_data" in said
    assert ("did you mean" in said) == bool(like) and (not like or f"{like!r}?" in said)


@pytest.mark.parametrize("name", ["run_readme", "run-readme"])
def test_a_program_gets_its_arguments_and_its_exit_code_is_returned(
    capsys, monkeypatch, tmp_path, name
):
    monkeypatch.setattr(sys, "argv", ["big-rad"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    file = tmp_path / "commands.md"
    assert programs.main([name, str(file)]) == 1
    assert sys.argv == ["big-rad run_readme", str(file)]
    assert f"{file} does not exist" in capsys.readouterr().err
    file.write_text("<!-- ci -->\n```sh\ntrue\n```\n", encoding="utf-8")
    assert programs.main([name, str(file)]) == 0


def test_every_program_has_a_main_without_arguments():
    for name in programs.programs():
        folder = "big_rad" if name in programs.COMMANDS else "tools"
        file = ROOT / folder / f"{name}.py"
        file = file if file.exists() else ROOT / folder / name / "__main__.py"
        assert "\ndef main(" in file.read_text(encoding="utf-8")


def test_the_version_is_said(capsys):
    assert programs.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("big_rad ")


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_command_starts_without_the_statistics_of_scipy_which_import_slower_than_jax(command):
    found = imports.along_with(f"big_rad.{command}")
    assert "scipy.special" in found  # So the imports of other projects are seen.
    assert not [name for name in found if name.startswith("scipy.stats")]
