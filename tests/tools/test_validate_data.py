import json

import pytest

from big_rad.datasets import records
from tests.published import folder, refrad2d, slake
from tools import validate_data


@pytest.fixture
def root(tmp_path):
    folder.write(tmp_path / "own")
    return tmp_path / "own"


def run(capsys, *args):
    """Returns exit code and what was printed."""
    code = 0
    try:
        validate_data.main([str(a) for a in args])
    except SystemExit as e:
        code = e.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_clean_source_exits_with_0_and_says_what_it_holds(root, capsys):
    code, out, err = run(capsys, "folder", f"--source={root}")
    *held, last = out.splitlines()
    assert (code, last, err) == (0, "folder: no problem found", "")
    train, validation, test = held
    assert train.startswith("folder: train: 7 images of 7 patients; en: 5 reports (5 grounded), 5 ")
    assert "de: 5 reports (5 grounded), 2 questions; 6 boxes in 3 images, masks in 2 i" in train
    assert validation.startswith("folder: validation: 1 image of 1 patient; en: 1 report (1 ground")
    assert test.startswith("folder: test: 1 image of 1 patient; ")


def test_without_pixels_the_same_is_counted_but_for_the_classes_of_masks(root, tmp_path, capsys):
    report = tmp_path / "found.json"
    held = {}
    for option in ("--workers=1", "--no_pixels"):
        run(capsys, "folder", f"--source={root}", f"--json={report}", option)
        held[option] = json.loads(report.read_text())["contents"]
    for split, opened in held["--workers=1"].items():
        listed = held["--no_pixels"][split]
        for key in ("patients", "images", "boxes", "images with boxes", "images with masks"):
            assert listed[key] == opened[key], (split, key)
        assert all(n <= opened["classes"][name] for name, n in listed["classes"].items())


def test_what_cannot_be_used_is_not_counted(root, capsys):
    lines = folder.read_lines(root)
    folder.write_lines(root, [*lines, {"id": "z", "image": "gone.png", "report": "Normal."}])
    for option in ("--workers=1", "--no_pixels"):
        code, out, _ = run(capsys, "folder", f"--source={root}", option)
        assert code == 1 and "\nfolder: train: 7 images of 7 patients; " in out


@pytest.mark.parametrize(
    ("change", "printed"),
    [
        ({"imgae": "x"}, "data.jsonl:1: 'imgae' is no field; did you mean 'image'?"),
        ({"image": "images/gone.png"}, "data.jsonl:1: image: gone.png: there is no such file"),
        ({"image": "../x.png"}, "data.jsonl:1: image: the path must lie inside"),
        ({"plane": "tilted"}, "data.jsonl:1: plane: must be one of axial"),
        ({"boxes": [[0, 0, 900, 9, 5]]}, "data.jsonl:1: boxes: entry 1: the box leaves the image"),
        ({"keywords": [["tonsil", 5]]}, "data.jsonl:1: keywords: phrase 1 does not stand in the"),
        ({"mask": "data.jsonl"}, "data.jsonl:1: mask: data.jsonl: a mask is a file ending in"),
    ],
)
def test_every_broken_variant_is_named_and_exits_with_1(root, capsys, change, printed):
    lines = folder.read_lines(root)
    one = {**lines[-1], "report": "Normal liver.", **change}
    folder.write_lines(root, [one])
    code, out, _ = run(capsys, "folder", f"--source={root}")
    assert code == 1
    assert out.startswith(f"error: {printed}"), out
    assert out.endswith("folder: 1 error, 0 warnings\n")


def test_problems_are_sorted_by_line_and_written_as_json(root, tmp_path, capsys):
    lines = [{"id": str(n), "image": "gone.png", "report": "Liver."} for n in range(12)]
    lines[5]["clinicl"] = "x"
    folder.write_lines(root, lines)
    report = tmp_path / "problems.json"
    code, out, _ = run(capsys, "folder", f"--source={root}", f"--json={report}", "--no_pixels")
    assert code == 1
    assert [line.split(":")[2] for line in out.splitlines()[:-1]] == [str(n + 1) for n in range(12)]
    found = json.loads(report.read_text())
    assert (found["errors"], found["warnings"], found["dataset"]) == (12, 0, "folder")
    assert found["problems"][5]["message"].endswith("did you mean 'clinical'?")


def test_warnings_alone_exit_with_0(root, capsys):
    line = folder.read_lines(root)[-1]
    folder.write_lines(root, [{**line, "clinical": "Pain."}])
    code, out, _ = run(capsys, "folder", f"--source={root}")
    assert code == 0
    assert out.splitlines()[-1] == "folder: 0 errors, 1 warning"
    assert out.startswith("warning: data.jsonl:1: clinical: ")


def test_a_source_that_is_not_there_is_one_line_and_exits_with_2(tmp_path, capsys):
    code, out, err = run(capsys, "folder", f"--source={tmp_path}")
    assert (code, out) == (2, "")
    assert "data.jsonl" in err.splitlines()[-1]


def test_errors_of_the_system_name_no_folder(tmp_path, capsys):
    slake.write(tmp_path / "Meier^Hans")
    where = tmp_path / "Meier^Hans" / "no" / "report.json"
    args = ("slake", f"--source={where.parents[1]}", "--no_pixels", "--allow_other_counts")
    code, out, err = run(capsys, *args, f"--json={where}")
    assert (code, out) == (2, "") and "Meier" not in err
    assert err.endswith("error: FileNotFoundError: No such file or directory: report.json\n")


def test_an_image_name_too_long_for_the_system_is_a_listed_problem(tmp_path, capsys):
    slake.write(tmp_path)
    rows = json.loads((tmp_path / "test.json").read_text())
    for row in rows:
        row["img_name"] = "x" * 300 + ".jpg"
    (tmp_path / "test.json").write_text(json.dumps(rows))
    code, out, err = run(capsys, "slake", f"--source={tmp_path}", "--allow_other_counts")
    assert (code, err) == (1, "") and "xxx" not in out
    assert out.count("img_name: row") == sum(row["q_lang"] == "en" for row in rows)


def test_options_of_a_dataset_are_passed_on(monkeypatch, capsys):
    seen = {}

    class Fake:
        @staticmethod
        def add_arguments(parser):
            parser.add_argument("--split_dir")

        @staticmethod
        def validate(source, **kw):
            seen.update(kw)
            yield records.Problem("b.json", 2, "x", "two")
            yield records.Problem("a.json", None, "", "one", "warning")

    monkeypatch.setattr(validate_data, "builder_of", lambda name: Fake)
    code, out, _ = run(capsys, "vqa_rad", "--source=s", "--split_dir=d", "--workers=3")
    assert seen == {"pixels": True, "workers": 3, "split_dir": "d"}
    assert (code, out.splitlines()[:2]) == (1, ["warning: a.json: one", "error: b.json:2: x: two"])


def test_help_names_the_exit_codes_and_the_datasets(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0 and "Exit code 1" in out
    assert all(name in out for name in ("refrad2d", "slake", "vqa_rad", "folder"))


def test_patients_of_refrad2d_are_counted_if_the_parquet_names_them(capsys, tmp_path):
    refrad2d.write(tmp_path, sentences=1, patients=True)
    code, out, _ = run(capsys, "refrad2d", f"--source={tmp_path}", "--no_pixels")
    assert code == 0 and "refrad2d: train: 2 images of 2 patients;" in out
    assert "no column" not in out and "pseudonym-" not in out
