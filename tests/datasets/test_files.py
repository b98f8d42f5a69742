import pytest

from big_rad.datasets import files


@pytest.mark.parametrize("name", ["gone", "x" * 300, "a/" * 3000, "nul\0"])
def test_no_name_is_too_strange_to_be_looked_for(tmp_path, name):
    assert not files.is_file(tmp_path / name)
    (tmp_path / "there").write_text("")
    assert files.is_file(tmp_path / "there")
