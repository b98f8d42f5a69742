import sys

import pytest

from big_rad.annotate.faults import Failed
from big_rad.annotate.segment.settings import Settings, SettingsError


def script(folder, text):
    path = folder / "TotalSegmentator"
    path.write_text(text)
    path.chmod(0o755)
    return Settings(command=[str(path)])


def test_the_interpreter_is_found_from_the_scripts_that_pip_writes(tmp_path):
    spaced = tmp_path / "with space"
    spaced.mkdir()
    python = spaced / "python3"
    python.symlink_to(sys.executable)
    long = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
    for text, found in (
        (f"#!{sys.executable}\n", sys.executable),
        (f"#!{sys.executable} -E\n", sys.executable),
        (long, str(python)),
        (f"#!{python}\n", str(python)),
    ):
        assert str(script(tmp_path, text).interpreter()) == found
    assert script(tmp_path, "#!/usr/bin/env python3\n").interpreter().name == "python3"
    assert Settings(command=[sys.executable, "-m", "x"]).interpreter().name.startswith("python")
    assert str(Settings(command=["docker"], python=sys.executable).interpreter()) == sys.executable


@pytest.mark.parametrize("text", ["#!/bin/bash\nexec x\n", "\x7fELF", ""])
def test_an_interpreter_that_cannot_be_found_is_an_error(tmp_path, text):
    with pytest.raises(SettingsError, match="`python`"):
        script(tmp_path, text).interpreter()


def test_a_missing_command_is_an_error_that_says_what_to_do():
    with pytest.raises(SettingsError, match="pip install TotalSegmentator"):
        Settings(command=["/nowhere/TotalSegmentator"]).program()


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": "TotalSegmentator"},
        {"command": []},
        {"device": "cuda"},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        Settings(**wrong)
    assert issubclass(SettingsError, Failed)
