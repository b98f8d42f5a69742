import pytest

from tools import build_dataset, export_phantom


def test_building_prints_counts_seconds_and_folder_then_reuses(tmp_path, capsys):
    args = ["phantom", f"--data_dir={tmp_path}", "--train=4", "--validation=2", "--test=1"]
    build_dataset.main([*args, "--workers=1"])
    first = capsys.readouterr().out
    assert "4 train" in first and "2 validation" in first and "1 test" in first
    assert "built in" in first and str(tmp_path) in first
    build_dataset.main(args)
    assert "already built" in capsys.readouterr().out


def test_other_sizes_end_with_the_remedy(tmp_path, capsys):
    args = ["phantom", f"--data_dir={tmp_path}", "--validation=1", "--test=1", "--workers=1"]
    build_dataset.main([*args, "--train=1"])
    with pytest.raises(SystemExit):
        build_dataset.main([*args, "--train=2"])
    assert "--overwrite" in capsys.readouterr().err
    build_dataset.main([*args, "--train=2", "--overwrite"])
    assert "2 train" in capsys.readouterr().out


def test_exporting_says_where(tmp_path, capsys):
    args = [f"--out={tmp_path}", "--patients=1", "--size=32", "--thickness=40"]
    export_phantom.main(args)
    assert "1 patients in" in capsys.readouterr().out
    assert (tmp_path / "reports.json").exists()
