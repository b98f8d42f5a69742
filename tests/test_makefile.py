"""The way in for users: what `make` would do on a fresh machine."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("target", ["demo", "demo-seg", "models", "test", "lint", "bench", "prove"])
def test_every_target_installs_the_checkout_in_place_before_it_uses_it(tmp_path, target):
    command = ["make", "-n", target, f"VENV={tmp_path / 'venv'}"]
    lines = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    installs = [
        i for i, x in enumerate(lines) if re.search(r" pip install .* -e '\.\[train\]'$", x)
    ]
    assert len(installs) == 1
    uses = [i for i, x in enumerate(lines) if re.search(r"-m (big_rad|tools|pytest)|ruff check", x)]
    assert uses and installs[0] < min(uses)
