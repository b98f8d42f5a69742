import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from big_rad.datasets.refrad2d import index, source
from tests.published import refrad2d


def rows_of(written):
    return {im["id"]: im["row"] for item in written[1] for im in item["images"]}


def entries_of(written, modality):
    return {
        im["id"]: im["entry"]
        for item in written[1]
        for im in item["images"]
        if im["entry"] and im["modality"] == modality
    }


def plain(row):
    """A row without the columns that the index leaves out or adds."""
    return {k: v for k, v in row.items() if k not in ("ProtocolName", "row")}


@pytest.mark.parametrize("nested", ["struct", "json"])
def test_every_wanted_row_is_found_and_no_other(written, tmp_path, nested):
    rows = rows_of(written)
    refrad2d.write_parquet(tmp_path, list(rows.values()), seed=3, nested=nested)
    order = pq.read_table(tmp_path / "refrad2d_vqa_dataset.parquet")["rsopid"].to_pylist()
    wanted = sorted(rows)[::2]
    index.write_rows(source.Places.under(tmp_path), [*wanted, "zz-not-there"], tmp_path)
    table = index.Table(tmp_path, "rows")
    for key, row in rows.items():
        found = table.get(key)
        if key not in wanted:
            assert found == []
            continue
        (got,) = found
        if nested == "json":
            got = got | {k: json.loads(got[k]) for k in ("english", "german")}
        assert plain(got) == plain(row)
        assert got["row"] == order.index(key) + 1
    assert table.get("zz-not-there") == table.get("") == []


def test_an_id_is_not_found_under_its_beginning(written, tmp_path):
    row = next(iter(rows_of(written).values()))
    refrad2d.write_parquet(tmp_path, [row | {"rsopid": i} for i in ("ab", "abc", "abcde")])
    index.write_rows(source.Places.under(tmp_path), ["ab", "abc", "abcd", "abcde"], tmp_path)
    table = index.Table(tmp_path, "rows")
    assert [len(table.get(i)) for i in ("a", "ab", "abc", "abcd", "abcde", "abcdef")] == [
        0, 1, 1, 0, 1, 0,
    ]  # fmt: skip


def test_rows_of_one_id_are_all_found(written, tmp_path):
    row = next(iter(rows_of(written).values()))
    refrad2d.write_parquet(tmp_path, [row, row | {"rsopid": "other"}, row])
    index.write_rows(source.Places.under(tmp_path), [row["rsopid"]], tmp_path)
    assert len(index.Table(tmp_path, "rows").get(row["rsopid"])) == 2


def test_no_rows_at_all_are_no_error(written, tmp_path):
    index.write_rows(source.Places.under(written[0]), ["zz"], tmp_path)
    assert index.Table(tmp_path, "rows").get("zz") == []


def test_entries_are_found_with_their_lines(written, tmp_path):
    root, _ = written
    entries = entries_of(written, "CT")
    wanted = set(sorted(entries)[::2])
    index.write_entries(source.Places.under(root), ["CT", "MR"], wanted, tmp_path)
    table = index.Table(tmp_path, "CT")
    lines = refrad2d.box_file(root, "CT").read_text().splitlines()
    assert len(wanted) > 3
    for key, entry in entries.items():
        if key in wanted:
            (row,) = table.get(key)
            assert json.loads(row["json"]) == entry
            assert lines[row["line"] - 1].startswith(f'    "{key}": {{')
        else:
            assert table.get(key) == []


@pytest.mark.parametrize(
    "change, field, message",
    [
        (lambda t: t.drop_columns("german"), "german", "no such column; there are ProtocolName"),
        (lambda t: t.drop_columns("rsopid"), "rsopid", "no such column"),
        (lambda t: cast(t, "rsopid", pa.array(range(len(t)))), "rsopid", "is int64, must be text"),
        (lambda t: cast(t, "english", pa.array([[1]] * len(t))), "english", "must be a struct or"),
        (
            lambda t: cast(t, "english", pa.array([{"CleanedSentence": ""}] * len(t))),
            "english.dicom_vqa",
            "no such field; there are CleanedSentence",
        ),
        (
            lambda t: t.append_column("patient", pa.array([["p1"]] * len(t))),
            "patient",
            "must be text or whole numbers",
        ),
    ],
)
def test_columns_of_another_kind_are_refused(written, tmp_path, change, field, message):
    places = source.Places.under(tmp_path)
    table = pq.read_table(written[0] / "refrad2d_vqa_dataset.parquet")
    pq.write_table(change(table), places.parquet)
    with pytest.raises(index.ParquetError, match=message) as error:
        index.write_rows(places, ["aa"], tmp_path)
    assert error.value.problem.field == field


def cast(table, name, column):
    return table.set_column(table.schema.get_field_index(name), name, column)


def test_text_columns_of_every_arrow_type_are_read(written, tmp_path):
    table = pq.read_table(written[0] / "refrad2d_vqa_dataset.parquet")
    table = cast(table, "rsopid", table["rsopid"].cast(pa.large_string()))
    table = cast(table, "modality", table["modality"].dictionary_encode())
    places = source.Places.under(tmp_path)
    pq.write_table(table, places.parquet, row_group_size=5)
    rows = rows_of(written)
    index.write_rows(places, rows, tmp_path)
    found = index.Table(tmp_path, "rows")
    assert all(found.get(i)[0]["modality"] == r["modality"] for i, r in rows.items())


PATIENTS = [
    (pa.array(["p1", " p2 ", None, "nan", ""]), ["p1", "p2", "", "", ""]),
    (pa.array(["p1", "p2", None, "<NA>", "None"]).dictionary_encode(), ["p1", "p2", "", "", ""]),
    (pa.array([7, 8, None, 10, 11]), ["7", "8", "", "10", "11"]),
    (pa.array([7, 8, None, 10, 11]).dictionary_encode(), ["7", "8", "", "10", "11"]),
    (pa.array([7.0, 8.0, float("nan"), None, 11.0]), ["7", "8", "", "", "11"]),
    (pa.array([7.0, 0.5, 8.0, 9.0, 10.0]), ["7", None, "8", "9", "10"]),
    (pa.array(["p1", "two\nlines", "\x07", "x" * 201, "u\u0308"]), ["p1", None, None, None, "ü"]),
    (pa.nulls(5), [""] * 5),
]


@pytest.mark.parametrize(("column", "expected"), PATIENTS)
def test_patients_are_read_from_columns_of_every_arrow_type(written, tmp_path, column, expected):
    table = pq.read_table(written[0] / "refrad2d_vqa_dataset.parquet").slice(0, 5)
    places = source.Places.under(tmp_path)
    pq.write_table(table.append_column("patient", column), places.parquet)
    ids = table["rsopid"].to_pylist()
    assert index.patients(places, ids) == {i: p or "" for i, p in zip(ids, expected)}
    index.write_rows(places, ids, tmp_path)
    rows = index.Table(tmp_path, "rows")
    assert [index.pseudonym(rows.get(i)[0]["patient"]) for i in ids] == expected


def test_without_the_column_no_patient_is_known(written):
    assert index.patients(source.Places.under(written[0]), rows_of(written)) is None


def test_rows_of_one_image_with_two_patients_name_none(written, tmp_path):
    rows = list(rows_of(written).values())[:2]
    values = ["p1", "p2", "p3", None, "p3"]
    refrad2d.write_parquet(tmp_path, [rows[k > 1] | {"patient": p} for k, p in enumerate(values)])
    found = index.patients(source.Places.under(tmp_path), [r["rsopid"] for r in rows])
    assert found == {rows[0]["rsopid"]: "", rows[1]["rsopid"]: "p3"}


@pytest.mark.parametrize("keep", [0, 100, -50])
def test_a_damaged_parquet_is_one_problem(written, tmp_path, keep):
    places = source.Places.under(tmp_path)
    whole = (written[0] / "refrad2d_vqa_dataset.parquet").read_bytes()
    places.parquet.write_bytes(whole[:keep])
    with pytest.raises(index.ParquetError, match="refrad2d_vqa_dataset.parquet: damaged, or no"):
        index.write_rows(places, ["aa"], tmp_path)


def test_a_flipped_page_of_a_parquet_does_not_crash(written, tmp_path):
    places = source.Places.under(tmp_path)
    content = bytearray((written[0] / "refrad2d_vqa_dataset.parquet").read_bytes())
    content[4:2000] = bytes(1996)
    places.parquet.write_bytes(content)
    with pytest.raises(index.ParquetError, match="damaged"):
        index.write_rows(places, rows_of(written), tmp_path)
