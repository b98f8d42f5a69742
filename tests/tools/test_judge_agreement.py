import xml.etree.ElementTree as ET

import numpy as np
import pytest

from big_rad.metrics import agreement
from tools import judge_agreement

TABLE = """id,ann,bob,llm
a,1,1,1
b,2,3,2
c,4,4,5
d,5,,5
e,3,3,
"""


def test_coefficients_of_a_table(tmp_path, capsys):
    path, out = tmp_path / "r.csv", tmp_path / "a.svg"
    path.write_text(TABLE)
    assert judge_agreement.main([str(path), "--judge=llm", f"--out={out}"]) == 0
    said = capsys.readouterr().out
    ann, bob, llm = [1, 2, 4, 5, 3], [1, 3, 4, None, 3], [1, 2, 5, 5, None]
    alpha = agreement.krippendorff([ann, bob], "ordinal")
    row = next(x for x in said.splitlines() if x.startswith("| people |"))
    assert f"{alpha:.3f}" in row and "5 items, 2 people" in said
    # Pairs of ann and the judge: (1,1) (2,2) (4,5) (5,5). Pairs of the mean of both people and the
    # judge: (1,1) (2.5,2) (4,5) (5,5).
    for name, other in (("ann", ann[:4]), ("their mean", [1, 2.5, 4, 5])):
        pearson = agreement.pearson(other, llm[:4])
        assert f"| {name} | {pearson:.3f} | " in said and pearson > 0.9
    assert "| bob | " in said and said.rstrip().endswith("| 4 |")
    picture = ET.parse(out).getroot()
    dots = picture.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 4
    x, y = (float(dots[0].get(k)) for k in ("cx", "cy"))
    assert x < 100 and y > 300  # The pair (1, 1) is at the lower left.


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        "sep=;\n" + TABLE.replace(",", ";"),
        TABLE.replace(",", ";").replace(";5;;5", ";5,0;NA;5").replace("3;3;", "3,0;3.0;-"),
        TABLE.replace(",3,", ',"3,0",').replace(",,", ",n/a,"),
        TABLE.replace("\n", "\r\n") + "\r\n",
        "\ufeff" + TABLE,
    ],
)
def test_a_table_is_the_same_however_a_spreadsheet_wrote_it(tmp_path, text):
    plain, other = tmp_path / "r.csv", tmp_path / "o.csv"
    plain.write_text(TABLE)
    other.write_text(text, encoding="utf-8", newline="")
    want, found = judge_agreement.read(plain), judge_agreement.read(other)
    assert list(found) == ["ann", "bob", "llm"]
    for name, ratings in want.items():
        np.testing.assert_array_equal(found[name], ratings)


def test_a_table_in_another_encoding_is_named(tmp_path, capsys):
    path = tmp_path / "r.csv"
    path.write_bytes("id,Jörg,llm\na,1,2\n".encode("cp1252"))
    assert judge_agreement.main([str(path), "--judge=llm"]) == 2
    assert "r.csv is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, judge, message",
    [
        (TABLE, "gpt", "has the raters ann, bob, llm"),
        ("id,llm\na,1\n", "llm", "no rater but llm"),
        ("id\n", "llm", "needs a header"),
        ("id,ann,llm\na,1\n", "llm", "r.csv:2: 2 cells, the header has 3"),
        ("id,ann,llm\na,1,good\n", "llm", "r.csv:2: could not convert.*leave a cell empty"),
        ("id,ann,llm\na,1,inf\n", "llm", "r.csv:2: could not convert.*leave a cell empty"),
        ("id,ann,llm\na,1,1_0\n", "llm", "could not convert '1_0' of llm"),
        ("id,ann,ann,llm\na,1,2,3\n", "llm", "name of its own, and there is 'ann' twice"),
        ("id,llm,ann, llm\na,1,2,3\n", "llm", "name of its own, and there is 'llm' twice"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, capsys, text, judge, message):
    path = tmp_path / "r.csv"
    path.write_text(text)
    assert judge_agreement.main([str(path), f"--judge={judge}"]) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in message.split(".*"))
