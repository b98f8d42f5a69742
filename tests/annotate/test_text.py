import io
import json
import subprocess
import sys

import pytest

from big_rad.annotate import __main__ as program
from big_rad.annotate import text
from tests.helpers import imports

FIELDS = ["text", "without_comparison", "had_comparison", "mentions"]
MENTION = ["keyword", "start", "end", "classes", "negated", "absent"]


def lines_of(sentences, lang="de"):
    out, err = io.StringIO(), io.StringIO()
    assert text.read(sentences, lang, out, err) == len(sentences)
    return [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_every_line_gives_one_line_of_json_with_the_promised_fields():
    sentences = ["Keine Zyste der linken Niere.\n", "\n", "Z. n. Splenektomie.\r\n", "Größe"]
    found, _ = lines_of(sentences)
    assert [list(line) for line in found] == [FIELDS] * 4
    assert [line["text"] for line in found] == [s.rstrip("\r\n") for s in sentences]
    assert found[1] == dict(zip(FIELDS, ["", "", False, []]))
    (mention,) = found[2]["mentions"]
    assert list(mention) == MENTION and mention["classes"] == ["spleen"] and mention["absent"]
    for line in found:
        for m in line["mentions"]:
            assert line["text"][m["start"] : m["end"]] == m["keyword"]


def test_a_dropped_sentence_is_said_on_standard_error_with_its_reason():
    found, said = lines_of(["Unverändert.", "Milz unverändert groß."])
    assert [(line["without_comparison"], line["had_comparison"]) for line in found] == [
        ("", True),
        ("Milz groß.", True),
    ]
    assert "line 1: dropped, nothing remains" in said
    assert "2 lines, 2 with a comparison, 1 of these dropped" in said


def test_an_organ_whose_side_is_unknown_has_no_classes():
    ((mention,),) = [line["mentions"] for line in lines_of(["Cyst in the kidney."], "en")[0]]
    assert mention["keyword"] == "kidney" and mention["classes"] == []


def test_the_program_reads_standard_input_and_prints_json_alone():
    run = subprocess.run(
        [sys.executable, "-m", "big_rad.annotate", "text", "--lang=de"],
        input="Zyste der rechten Nebenniere, größer als 1 cm.\n\n".encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in run.stdout.decode("utf-8").splitlines()]
    assert [len(line["mentions"]) for line in lines] == [1, 0]


def test_neither_jax_nor_a_config_is_imported():
    for name in ("big_rad.annotate.__main__", "big_rad.annotate.text"):
        found = imports.along_with(name)
        heavy = {"jax", "flax", "numpy", "ml_collections", "absl", "big_rad.config"}
        assert not heavy & ({n.partition(".")[0] for n in found} | found)


@pytest.mark.parametrize(
    "argv, code, message",
    [
        (["txet"], 2, "did you mean 'text'"),
        (["text", "--lang=en", "missing.txt"], 1, "missing.txt"),
    ],
)
def test_what_cannot_be_run_is_an_error_that_says_why(capsys, argv, code, message):
    assert program.main(argv) == code
    out, err = capsys.readouterr()
    assert message in err and out == ""


def test_a_file_that_is_not_utf8_is_an_error(tmp_path, capsys):
    file = tmp_path / "latin1.txt"
    file.write_bytes("Größe".encode("latin-1"))
    assert program.main(["text", "--lang=de", str(file)]) == 1
    assert "not UTF-8" in capsys.readouterr().err
