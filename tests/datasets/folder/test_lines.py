"""A file of another kind gives one message; exports of pandas and Unicode forms are accepted."""

import json
import unicodedata

import pytest

from big_rad.datasets import records
from big_rad.datasets.folder import builder, paths, source
from big_rad.datasets.folder.fields import Bad

LINES = [{"id": str(n), "image": "x.png", "report": "Liver."} for n in range(9)]
COLUMNS = {"id": {"0": "a", "1": "b"}, "image": {"0": "x.png", "1": "y.png"}}
KINDS = {
    "CSV": "id,image,report\n" + "a,x.png,Liver.\n" * 9,
    "CSV ": '"id";"image"\n"a";"x.png"\n',
    "CSV  ": "path\tsentence\nx.png\tLiver.\n",
    "CSV table": 'bild,befund\na.png,Leber normal.\nb.png,"Milz, Leber."\n',
    "CSV table ": "bild;befund\na.png;Leber, Milz normal.\n",
    "CSV table  ": "a\tb\tc\n1\t2\t3\n4\t5\t6\n7\t8",
    "CSV table   ": 'n,text\n1,"Leber\nnormal."\n2,"Milz."\n',
    "JSON array": json.dumps(LINES),
    "JSON array ": json.dumps(LINES, indent=2),
    "JSON array  ": "\ufeff" + json.dumps(LINES),
    "JSON object of columns": json.dumps(COLUMNS),
    "JSON object of columns ": json.dumps({k: list(v.values()) for k, v in COLUMNS.items()}),
    "JSON object of columns  ": json.dumps({"columns": ["id"], "index": [0], "data": [["a"]]}),
    "JSON object of columns   ": json.dumps({"id": ["a"], "image": ["x.png"]}, indent=1),
    "JSON object of columns    ": json.dumps({"id": ["a"] * 9000, "image": ["x.png"] * 9000}),
    "one JSON object over several lines": json.dumps(LINES[0], indent=1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_jsonl_is_one_error_that_says_what_it_is(tmp_path, kind):
    (tmp_path / "data.jsonl").write_text(KINDS[kind], encoding="utf-8")
    (problem,) = builder.validate(tmp_path)
    assert problem.level == "error" and kind.strip() in problem.message
    assert "one JSON object a line" in problem.message
    with pytest.raises(records.BuildError, match=kind.strip()):
        builder.build(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("data", [b"PK\x03\x04....", b"PAR1...", "{}".encode("utf-16")])
def test_files_of_other_programs_are_named(tmp_path, data):
    (tmp_path / "data.jsonl").write_bytes(data)
    (problem,) = builder.validate(tmp_path)
    assert "is a " in problem.message or "UTF-16" in problem.message


def test_a_jsonl_is_not_taken_for_something_else(tmp_path):
    for text in (
        '"id": "a", "image": "b"\n"id": "b", "image": "c"\n',
        "[1, 2]\n[3, 4]\n",
        "a, b\n",
    ):
        (tmp_path / "data.jsonl").write_text(text)
        assert "table" not in "".join(p.message for p in source.read(tmp_path).problems)
    for text in ('{"id": "a"}', '\n\n{"id": "a"}\n', '{"id": "a", \n', "nonsense\n", "[1]\n", ""):
        (tmp_path / "data.jsonl").write_text(text)
        assert source.read(tmp_path).items == []
    lines = [{"id": {"0": 1}, "image": "x"}, {"id": "b", "image": "y", "report": "Liver."}]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [i.id for i in source.read(tmp_path).items] == ["b"]
    lines[0] = {"boxes": [[1, 2, 3, 4, 5]], "choices": ["a"]}  # It has no id, but it is a line.
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [i.id for i in source.read(tmp_path).items] == ["b"]
    (tmp_path / "data.jsonl").write_text("a, b\nc, d\n" + json.dumps(lines[1]))
    assert [i.id for i in source.read(tmp_path).items] == ["b"]


def test_what_pandas_writes_of_columns_with_gaps_is_taken(tmp_path):
    line = {
        "id": 7.0, "patient": 3.0, "image": "x.png", "frame": 2.0, "report": "Liver.", "split": "",
        "boxes": [[1.0, 2.0, 5.0, 6.0, 5.0]], "keywords": [], "choices": [],
        "question": "How many?", "answer": 4.0, "mask": None, "clinical": "", "mask_names": {},
        "language": "",
    }  # fmt: skip
    row, problems = source.parse(json.dumps(line).encode(), 1)
    assert problems == []
    assert (row.id, row.patient, row.frame, row.answer) == ("7", "3", 2, "4")
    assert row.boxes[0].class_id == 5 and row.keywords == () and row.choices == ()
    assert (row.split, row.clinical, row.language, row.mask_names) == (None, "", "en", None)
    for bad in ({"frame": 2.5}, {"id": 1.5}, {"id": ""}):
        assert source.parse(json.dumps(line | bad).encode(), 1)[0] is None


def test_the_same_line_twice_is_used_once_and_warned_of(tmp_path):
    line = {"id": "a", "image": "x.png", "report": "Liver.", "patient": "p", "split": "train"}
    other = line | {"report": "Spleen."}
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, [line, other, line])))
    listing = source.read(tmp_path)
    assert [r.report for r in listing.items[0].rows] == ["Liver.", "Spleen."]
    (problem,) = listing.problems
    assert (problem.line, problem.level) == (3, "warning") and "line 1" in problem.message


NFC, NFD = (unicodedata.normalize(form, "Köpfe/Müller.png") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("stored", "written"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
def test_names_in_two_unicode_forms_are_the_same_name(tmp_path, stored, written):
    (tmp_path / stored).parent.mkdir()
    (tmp_path / stored).write_bytes(b"content")
    assert paths.resolve(tmp_path, written).read_bytes() == b"content"
    with pytest.raises(Bad, match="no such file"):
        paths.resolve(tmp_path, written.replace("M", "N"))


def test_an_image_under_two_forms_of_its_name_is_in_one_split():
    rows = []
    for n, (name, split) in enumerate(((NFC, "train"), (NFD, "test")), start=1):
        line = {"id": f"i{n}", "patient": f"p{n}", "image": name, "report": "Liver."}
        rows.append(source.parse(json.dumps(line | {"split": split}).encode(), n)[0])
    items, problems, _ = source.gather(rows)
    assert [i.id for i in items] == ["i1"] and "two splits" in problems[0].message
    row, _ = source.parse(json.dumps({"id": NFD.split("/")[1], "image": "x"}).encode(), 1)
    assert row.id == NFC.split("/")[1]
