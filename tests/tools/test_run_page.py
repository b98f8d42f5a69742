import sys

import pytest

from tests.helpers import made_run
from tools import run_page


def test_the_page_is_written_into_the_run_directory_or_where_it_is_asked_for(tmp_path, capsys):
    workdir = made_run.whole(tmp_path / "run")
    run_page.main([str(workdir)])
    assert str(workdir / "report.html") in capsys.readouterr().out
    run_page.main([str(workdir), f"--out={tmp_path / 'page.html'}"])
    assert (tmp_path / "page.html").stat().st_size == (workdir / "report.html").stat().st_size


def test_a_directory_that_is_no_run_is_one_line_and_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_page.main([str(tmp_path)])
    assert stopped.value.code == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"error: {tmp_path} is no run directory") and "--workdir" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a file as a folder is another error there")
def test_a_page_that_cannot_be_written_is_one_line_and_exit_code_2(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        run_page.main([str(made_run.whole(tmp_path / "run")), f"--out={tmp_path}/file/page.html"])
    assert stopped.value.code == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert "file" in message
