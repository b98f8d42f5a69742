import csv
import datetime
import json

import pytest

from big_rad.annotate import manifest
from big_rad.annotate.faults import Rejected

ROW = {"patient": "P 1", "study": "S1", "image": "ct", "modality": "CT", "language": "de",
       "report": "Leber frei."}  # fmt: skip


def table(path, rows, delimiter=",", encoding="utf-8", columns=None):
    columns = columns or list(dict.fromkeys(k for row in rows for k in row))
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, columns, restval="", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def problem(tmp_path, **cells):
    found = manifest.read(table(tmp_path / "m.csv", [ROW | cells]))
    assert found.rows == ()
    (one,) = found.problems
    assert one.level == "error"
    return one


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_is_read_whatever_its_delimiter(tmp_path, delimiter, encoding):
    text = 'Befund:\nLeber, Milz; Niere\tfrei. "Zyste" in der Niere: ä.'
    rows = [ROW | {"report": text}, ROW | {"study": "S2", "slice": "57", "plane": "koronar"}]
    found = manifest.read(table(tmp_path / "m.csv", rows, delimiter, encoding))
    assert found.problems == ()
    first, second = found.rows
    assert first.report == text and first.line == 2
    # The quoted report has two lines, so the next row begins on line 4 of the file.
    assert (second.line, second.slice, second.plane, second.report) == (
        4,
        57,
        "coronal",
        "Leber frei.",
    )
    assert first.image == tmp_path / "ct" and first.image_name == "ct"


def test_excel_and_json_lines_say_the_same_as_csv(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    day = datetime.date(2021, 5, 3)
    rows = [ROW | {"date": "2021-05-03", "slice": "7", "patient": "12"}, ROW | {"series": "4"}]
    wanted = manifest.read(table(tmp_path / "m.csv", rows))
    book = openpyxl.Workbook()
    columns = list(ROW) + ["date", "slice", "series"]
    book.active.append(columns)
    typed = {"2021-05-03": day, "7": 7.0, "12": 12.0, "4": 4}
    for row in rows:
        book.active.append([typed.get(row.get(c), row.get(c)) for c in columns])
    book.create_sheet("notes").append(["anything"])
    book.save(tmp_path / "m.xlsx")
    lines = [{k: typed.get(v, v) if k != "date" else v for k, v in row.items()} for row in rows]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert manifest.read(tmp_path / "m.xlsx").rows == wanted.rows
    found = manifest.read(tmp_path / "m.jsonl").rows
    assert [r.line for r in found] == [1, 2]
    plain = [{**vars(r), "line": 0} for r in found]
    assert plain == [{**vars(r), "line": 0} for r in wanted.rows]


def test_two_sheets_that_look_like_a_manifest_are_an_error(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for sheet in (book.active, book.create_sheet("more")):
        sheet.append(list(ROW))
        sheet.append(list(ROW.values()))
    book.save(tmp_path / "m.xlsx")
    with pytest.raises(ValueError, match="2 sheets have the columns"):
        manifest.read(tmp_path / "m.xlsx")


def test_unknown_and_missing_columns_are_all_named_at_once(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("patient,study,image,modalty,languages\n1,2,3,4,5\n")
    with pytest.raises(ValueError) as caught:
        manifest.read(path)
    said = str(caught.value)
    assert "'modalty' is no column" in said and "did you mean 'modality'" in said
    assert "'languages'" in said and "columns are missing: modality, language, report" in said


def test_a_table_without_names_of_columns_is_an_error_that_quotes_no_cell(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("schmidt,s1,schmidt/ct.nii.gz,CT,de,Leber normal.\n")
    with pytest.raises(ValueError, match="the first line, which holds those of columns") as caught:
        manifest.read(path)
    assert "schmidt" not in str(caught.value)


def test_headers_may_be_written_in_capitals_and_with_spaces(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("Patient;STUDY;Image;Modality;Language;Report;Patient Name;Mask-Names\n"
                    "1;2;i;mri;en-US;Liver normal.;Doe, Jane;n.json\n")  # fmt: skip
    (row,) = manifest.read(path).rows
    assert (row.modality, row.language, row.name) == ("MR", "en", "Doe, Jane")
    assert row.mask_names == tmp_path / "n.json"


@pytest.mark.parametrize(
    "cells, field",
    [
        ({"patient": ""}, "patient"), ({"study": "a\nb"}, "study"), ({"image": ""}, "image"),
        ({"modality": "PET"}, "modality"), ({"language": "fr"}, "language"),
        ({"report": ""}, "report"), ({"slice": "-1"}, "slice"), ({"slice": "7.5"}, "slice"),
        ({"series": "four"}, "series"), ({"plane": "oblique"}, "plane"),
        ({"date": "13.13.2021"}, "date"), ({"image": "a\0b"}, "image"),
        ({"report": r"{\rtf1\ansi Leber normal.\par}"}, "report"),
        ({"report": "<p>Leber normal.</p>"}, "report"),
        ({"report": "LWK 1\x962 normal."}, "report"),
        ({"clinical": "Schmerz\x85 seit gestern"}, "clinical"),
        ({"patient_name": "\x8aimek, Adam"}, "patient_name"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_a_problem_with_line_and_field_that_quotes_nothing(tmp_path, cells, field):
    one = problem(tmp_path, **cells)
    assert (one.file, one.line, one.field) == ("m.csv", 2, field)
    for value in (*ROW.values(), *cells.values()):
        if len(value) > 3:
            assert value not in str(one)


def test_the_other_rows_are_used_and_a_repeated_row_is_said(tmp_path):
    rows = [ROW, ROW | {"modality": "US"}, ROW, ROW | {"study": "S2"}]
    found = manifest.read(table(tmp_path / "m.csv", rows))
    assert [(r.line, r.study) for r in found.rows] == [(2, "S1"), (5, "S2")]
    assert [(p.line, p.level) for p in found.problems] == [(3, "error"), (4, "warning")]


def test_a_report_may_be_a_file_and_is_read_when_it_is_needed(tmp_path):
    (tmp_path / "befund").write_text("Milz frei.")
    rows = [ROW | {"report": name} for name in ("befund", "missing.txt", "Leber frei")]
    known, missing, text = manifest.read(table(tmp_path / "m.csv", rows)).rows
    assert manifest.report_text(known) == "Milz frei."
    assert manifest.report_text(text) == "Leber frei"
    with pytest.raises(Rejected, match="cannot be read") as caught:
        manifest.report_text(missing)
    assert "missing" not in str(caught.value)


@pytest.mark.parametrize(
    "data, said", [("Nierenzyste, größer".encode("latin-1"), "WINDOWS-1252"), (b" \n", "empty"),
                   (b"x" * ((1 << 20) + 1), "longer"),
                   (rb"{\rtf1\ansi\deff0 Zyste der linken Niere.\par}", "is RTF; save it as plain"),
                   (b"\xef\xbb\xbf" + rb"{\rtf1 Zyste.}", "is RTF"),
                   (b"%PDF-1.7\n1 0 obj", "is a PDF; save it as plain"),
                   (b"PK\x03\x04word/document.xml", "zip file"),
                   (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old file of Word"),
                   (b"<!DOCTYPE html><p>Leber normal.</p>", "is HTML"),
                   (b"Leber normal.<br/>Milz normal.", "is HTML"),
                   (b"Zyste der linken Niere, gr&ouml;&szlig;er.", "is HTML"),
                   ("Leber normal.".encode("utf-16"), "UTF-16"),
                   (b"Leber\0normal", "is no text"),
                   ("LWK 1\x962 mit Fraktur".encode(), "iconv -f WINDOWS-1252")],
)  # fmt: skip
def test_a_file_that_is_no_report_is_rejected_with_the_remedy(tmp_path, data, said):
    (tmp_path / "r.txt").write_bytes(data)
    (row,) = manifest.read(table(tmp_path / "m.csv", [ROW | {"report": "r.txt"}])).rows
    with pytest.raises(Rejected, match=said):
        manifest.report_text(row)


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("m.csv", "patient,ä\n".encode("utf-16"), "UTF-16"),
        ("m.csv", b"patient,\xe4\n", "m.csv:1: not UTF-8.*WINDOWS-1252"),
        ("m.xlsx", b"PK\x03\x04broken", "cannot be read as Excel"),
        ("m.csv", b"PK\x03\x04", "a zip file"),
        ("m.xls", b"", "the ending says no format"),
        ("m.csv", b"", "columns are missing"),
        ("m.csv", b'patient,study,image,modality,language,report\n1,2,3,CT,de,"open\n', "quotes"),
        ("m.csv", b"patient,study,image,modality,language,report\n", "has no rows"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_to_do(tmp_path, name, data, said):
    if name == "m.xlsx":
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=said):
        manifest.read(tmp_path / name)


def test_a_row_with_more_cells_than_columns_is_a_problem_and_not_cut(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(",".join(ROW) + "\n1,2,i,CT,de,Leber frei, Milz frei.\n1,2,i,CT,de,Leber.\n")
    found = manifest.read(path)
    assert [r.line for r in found.rows] == [3]
    assert "has 7 cells, the header 6" in found.problems[0].message


def test_many_rows_are_all_read(tmp_path):
    path = tmp_path / "m.csv"
    line = "P{0},S{0},images/{0}.nii.gz,CT,de,reports/{0}.txt\n"
    path.write_text(",".join(ROW) + "\n" + "".join(line.format(n) for n in range(20_000)))
    assert len(manifest.read(path).rows) == 20_000


def test_the_column_mask_names_is_a_file_or_the_word_for_a_table_of_numbers(tmp_path):
    rows = [ROW | {"mask_names": name} for name in ("n.json", "Total_MR", "class_ids")]
    rows = [row | {"study": f"S{n}"} for n, row in enumerate(rows)]
    found = manifest.read(table(tmp_path / "m.csv", rows)).rows
    assert [row.names_of_labels for row in found] == [tmp_path / "n.json", "total_mr", "class_ids"]
    assert [row.mask_names for row in found] == [tmp_path / "n.json", None, None]


@pytest.mark.parametrize("name", ["r.rtf", "r.PDF", "berichte/r.docx", "r.doc", "r.html"])
def test_the_path_of_a_file_that_is_missing_is_not_taken_for_a_report(tmp_path, name):
    (row,) = manifest.read(table(tmp_path / "m.csv", [ROW | {"report": name}])).rows
    with pytest.raises(Rejected, match="cannot be read"):
        manifest.report_text(row)


def test_comparisons_and_bold_headings_are_no_markup(tmp_path):
    text = "<b>Befund:</b> Zyste < 5 mm, Leber > 15 cm. p<0.05 & Milz frei. R&D."
    assert manifest.read(table(tmp_path / "m.csv", [ROW | {"report": text}])).problems == ()


def test_a_folder_is_no_report(tmp_path):
    (tmp_path / "befunde").mkdir()
    (row,) = manifest.read(table(tmp_path / "m.csv", [ROW | {"report": "befunde"}])).rows
    with pytest.raises(Rejected, match="the file of the report is a folder; give a file"):
        manifest.report_text(row)


@pytest.mark.parametrize("again", ["report", "Report", " REPORT "])
def test_a_key_of_json_that_stands_twice_is_an_error(tmp_path, again):
    path = tmp_path / "m.jsonl"
    twice = json.dumps(ROW)[:-1] + f', "{again}": "Milz frei."}}'
    path.write_text(json.dumps(ROW) + "\n" + twice + "\n")
    found = manifest.read(path)
    assert [row.line for row in found.rows] == [1]
    (one,) = found.problems
    assert str(one).startswith("m.jsonl:2: ") and "'report' twice" in one.message
    assert "Milz" not in str(one)


@pytest.mark.parametrize("name", ["studies", "studies.csv", "studies.jsonl"])
def test_a_folder_is_no_manifest(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"{name}: is a folder; give the table itself"):
        manifest.read(tmp_path / name)
