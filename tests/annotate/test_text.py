import io
import json
import subprocess
import sys
from types import SimpleNamespace

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
    found, said = lines_of(["Unverändert.", "Unveränderte Leberzyste."])
    assert [(line["without_comparison"], line["had_comparison"]) for line in found] == [
        ("", True),
        ("Leberzyste.", True),
    ]
    assert "line 1: dropped, nothing remains" in said
    assert "2 lines, 1 with anatomy, 2 with a comparison, 1 of these dropped" in said


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
    file.write_bytes("Leber frei.\nGröße".encode("latin-1"))
    assert program.main(["text", "--lang=de", str(file)]) == 1
    assert "latin1.txt: line 2: byte 3 is not UTF-8" in capsys.readouterr().err
    file.write_bytes("Leber".encode("utf-16"))
    assert program.main(["text", "--lang=de", str(file)]) == 1
    assert "is UTF-16; convert it" in capsys.readouterr().err


def test_a_byte_order_mark_is_no_letter(tmp_path, capsys):
    file = tmp_path / "windows.txt"
    file.write_bytes("\ufeffLeber frei.\r\n".encode())
    assert program.main(["text", "--lang=de", str(file)]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["text"] == "Leber frei." and line["mentions"][0]["start"] == 0


def test_text_in_another_language_is_noticed():
    english = ["The liver is normal, no focal lesion is seen."] * 30
    said = io.StringIO()
    text.read(["Milz und Harnblase sind regelrecht."] * 30, "en", io.StringIO(), said)
    assert "--lang=en?" in said.getvalue()
    said = io.StringIO()
    text.read(english, "en", io.StringIO(), said)
    assert "--lang" not in said.getvalue()


def test_a_full_disk_is_said_of_the_output(monkeypatch, capsys):
    class Full(io.StringIO):
        def write(self, line):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(text.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"Liver.\n")))
    monkeypatch.setattr(text, "_utf8", lambda stream: Full())
    assert program.main(["text", "--lang=en"]) == 1
    assert "error: standard output: No space left" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["x", "leber", "ribs 3 to 5, ", "liver, ", "L4/5 "])
def test_a_very_long_line_takes_no_more_than_its_share(word):
    text.annotated(word * 10, "en")
    counts = []
    for n in (1000, 2000):
        calls = 0

        def count(frame, event, arg):
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        try:
            text.annotated(word * (n // len(word)), "en")
        finally:
            sys.setprofile(None)
        counts.append(calls)
    assert counts[1] < 3 * counts[0] + 1000
