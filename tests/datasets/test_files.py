import subprocess
import sys
from pathlib import Path

import pytest

from big_rad.datasets import files


@pytest.mark.parametrize("name", ["gone", "x" * 300, "a/" * 3000, "nul\0"])
def test_no_name_is_too_strange_to_be_looked_for(tmp_path, name):
    assert not files.is_file(tmp_path / name)
    (tmp_path / "there").write_text("")
    assert files.is_file(tmp_path / "there")


def test_a_workplace_is_empty_at_first_and_gone_at_last(tmp_path):
    left = tmp_path / ".building-x" / "left"
    left.mkdir(parents=True)
    (left / "big").write_text("")
    with files.workplace(tmp_path, "x") as folder:
        assert [p.name for p in folder.iterdir()] == ["lock"]
        (folder / "new").mkdir()
        files.put(folder / "new", tmp_path / "deep" / "made", folder)
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "made"]


def test_what_cannot_be_put_leaves_what_was_there(tmp_path):
    (tmp_path / "made" / "old").mkdir(parents=True)
    with files.workplace(tmp_path, "x") as folder, pytest.raises(FileNotFoundError):
        files.put(folder / "no such", tmp_path / "made", folder)
    assert (tmp_path / "made" / "old").is_dir()


def test_a_workplace_is_of_one_process_at_a_time(tmp_path):
    code = (
        "import sys, pathlib; from big_rad.datasets import files\n"
        "with files.workplace(pathlib.Path(sys.argv[1]), 'x'): pass"
    )
    other = [sys.executable, "-c", code, str(tmp_path)]

    def run():
        root = Path(__file__).parents[2]
        return subprocess.run(other, cwd=root, capture_output=True, text=True)

    with files.workplace(tmp_path, "x"):
        done = run()
        assert done.returncode and "x is being built by another process" in done.stderr
    assert run().returncode == 0
