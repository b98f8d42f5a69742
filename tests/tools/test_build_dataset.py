from pathlib import Path

import pytest

from big_rad.datasets import records
from tests.published import folder
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


def test_the_help_names_the_look_and_a_look_out_of_range_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit):
        build_dataset.main(["phantom", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "in percent of the usual look" in shown
    for wrong in ("--noise=10", "--contrast=1000", "--fov=0", "--fov=half"):
        name = wrong.partition("=")[0]
        assert f"{name} {name[2:].upper()}" in shown
        with pytest.raises(SystemExit) as e:
            build_dataset.main(["phantom", f"--data_dir={tmp_path}", wrong])
        assert e.value.code == 2 and name[2:] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_exporting_says_where(tmp_path, capsys):
    args = [f"--out={tmp_path}", "--patients=1", "--size=32", "--thickness=40"]
    export_phantom.main(args)
    assert "1 patients in" in capsys.readouterr().out
    assert (tmp_path / "reports.json").exists()


# The other datasets


def run(capsys, *args):
    """Returns exit code and what was printed."""
    code = 0
    try:
        build_dataset.main([str(a) for a in args])
    except SystemExit as e:
        code = e.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_folder_is_built_and_what_was_left_out_is_said(tmp_path, capsys):
    folder.write(tmp_path / "own")
    lines = folder.read_lines(tmp_path / "own")
    folder.write_lines(tmp_path / "own", [*lines, {"id": "x", "image": "gone.png", "report": "."}])
    args = ["folder", f"--source={tmp_path / 'own'}", f"--data_dir={tmp_path}", "--workers=1"]
    code, out, _ = run(capsys, *args)
    assert code == 0
    first, *notes = out.splitlines()
    assert first.startswith("folder/default: ") and "7 train, " in first and "built in" in first
    assert any(line.startswith("  train: n=7, sha256 of data.jsonl ") for line in notes)
    assert "folder=" not in "".join(notes)
    held = [line for line in notes if line.startswith("  train: 7 images of 7 patients; en: 5 re")]
    assert held and "  test: 1 image of 1 patient; " in out
    assert notes[-1].startswith("  1 left out; ") and "rejects.jsonl" in notes[-1]
    again = run(capsys, *args)[1]
    assert "already built" in again and held[0] in again
    code, out, _ = run(capsys, *args, "--name=other")
    assert code == 0 and out.startswith("folder/other: ")
    assert "data=folder,folder=other" in out


def test_a_small_set_that_is_mostly_bad_exits_with_1_and_names_the_option(tmp_path, capsys):
    folder.write(tmp_path / "own")
    lines = folder.read_lines(tmp_path / "own")
    bad = [{"id": f"x{n}", "image": "gone.png", "report": ".", "split": "train"} for n in range(23)]
    folder.write_lines(tmp_path / "own", [*lines, *bad])
    args = ["folder", f"--source={tmp_path / 'own'}", f"--data_dir={tmp_path}", "--workers=1"]
    code, out, err = run(capsys, *args)
    assert (code, out) == (1, "")
    assert "23 of 40 items cannot be used, more than max_reject_share=0.01. The first:" in err
    assert err.count("gone.png") == 5
    option = err.rsplit(maxsplit=1)[-1]
    assert option == "--max_reject_share=0.58"
    code, out, _ = run(capsys, *args, option)
    assert code == 0 and "23 left out; " in out


def test_bad_data_exit_with_1_and_a_missing_source_with_2(tmp_path, capsys):
    args = ["folder", f"--source={tmp_path}", f"--data_dir={tmp_path / 'out'}", "--workers=1"]
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "") and "data.jsonl" in err.splitlines()[-1]
    (tmp_path / "data.jsonl").write_text('{"id": 1, "imgae": "x.png"}\n')
    code, out, err = run(capsys, *args)
    assert (code, out) == (1, "") and "did you mean 'image'" in err
    for wrong in ("--workers=0", "--max_reject_share=2"):
        assert run(capsys, *args, wrong)[0] == 2


@pytest.mark.parametrize(
    ("error", "printed"),
    [
        (
            OSError(36, "File name too long", "/home/Meier^Hans/x.jpg"),
            "OSError: File name too long: x.jpg",
        ),
        (PermissionError(13, "Permission denied"), "PermissionError: Permission denied"),
        (FileNotFoundError("data holds no dataset;\nbuild it"), "data holds no dataset; build it"),
        (ValueError("give en, zh or en,zh"), "give en, zh or en,zh"),
    ],
)
def test_errors_of_the_system_name_no_folder_and_the_project_s_own_stay_whole(error, printed):
    assert build_dataset.said(error) == printed


def test_options_reach_the_builder_and_only_the_chosen_one_is_imported(monkeypatch, capsys):
    seen, asked = {}, []

    class Fake:
        @staticmethod
        def add_arguments(parser):
            parser.add_argument("--split_dir")

        @staticmethod
        def build(source, data_dir, **kw):
            seen.update(kw, source=str(source), data_dir=data_dir)
            where = Path("d/vqa_rad/wu/1.0.0")
            return records.Built(where, {"train": 3}, False, 0, ["train: n=3"])

    def builder_of(name):
        asked.append(name)
        return Fake

    monkeypatch.setattr(build_dataset, "builder_of", builder_of)
    options = ["--beam=--runner=DirectRunner --temp_location='a b'", "--beam=--x=1"]
    code, out, _ = run(
        capsys, "vqa_rad", "--source=s", "--split_dir=q", "--workers=4", "--overwrite",
        "--max_reject_share=0.5", *options,
    )  # fmt: skip
    assert code == 0 and set(asked) == {"vqa_rad"}
    assert out.startswith("vqa_rad/wu: 3 train examples; ") and "  train: n=3\n" in out
    assert seen == {
        "source": "s", "data_dir": "data", "workers": 4, "overwrite": True, "split_dir": "q",
        "max_reject_share": 0.5,
        "beam": ["--runner=DirectRunner", "--temp_location=a b", "--x=1"],
    }  # fmt: skip
    run(capsys, "vqa_rad", "--source=s")
    assert seen["beam"] is None and not seen["overwrite"]


@pytest.mark.parametrize("name", build_dataset.DATASETS)
def test_every_dataset_has_its_builder_and_takes_the_common_options(name, capsys):
    builder = build_dataset.builder_of(name)
    assert builder.build and builder.validate
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    for option in ("--source", "--data_dir", "--workers", "--beam", "--max_reject_share"):
        assert option in out
