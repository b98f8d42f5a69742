import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.datasets.refrad2d import source
from tests.published import refrad2d

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(content=st.dictionaries(st.text(), JSONS), indent=st.sampled_from([None, 0, 4]))
def test_members_are_those_of_json_and_lie_on_their_lines(tmp_path_factory, content, indent):
    path = tmp_path_factory.getbasetemp() / "members.json"
    path.write_text(json.dumps(content, indent=indent))
    lines = path.read_text().split("\n")
    found = list(source.members(path, "members.json"))
    assert {k: v for k, v, _ in found} == content and len(found) == len(content)
    assert all(json.dumps(k) in lines[line - 1] for k, _, line in found)


@pytest.mark.parametrize(
    "text, line, message",
    [
        ('{"a": 1,\n "b": }', 2, "syntax: Expecting value"),
        ('{"a": 1\n "b": 2}', 2, "syntax: Expecting '}'"),
        ('{"a": 1,\n\n}', 3, "syntax"),
        ('{"a" 1}', 1, "Expecting ':'"),
        ('{"a": "open', 1, "Unterminated string"),
        ('{"a": 1}\n{"b": 2}', 2, "Extra data"),
        ("[1, 2]", 1, "Expecting '{'"),
        ("{\n1: 2}", 2, "name in double quotes"),
        ('{"a":\n[NaN]}', 1, "a number that is none"),
        ('{"a": ' + "[" * 100_000, 1, "nested too deeply"),
        ("", 1, "Expecting '{'"),
    ],
)
def test_broken_json_is_named_with_its_line(tmp_path, text, line, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(source.JsonError, match=message) as error:
        list(source.members(path, "as/published.json"))
    assert (error.value.problem.file, error.value.problem.line) == ("as/published.json", line)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a": 1,\n\n"b": "\xff"}')
    with pytest.raises(source.JsonError, match="x.json:3: not UTF-8"):
        list(source.members(path, "x.json"))


def test_a_byte_order_mark_is_no_syntax_error(tmp_path):
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert list(source.members(tmp_path / "x.json", "x.json")) == [("a", 1, 1)]


def test_a_split_is_read_as_written(written):
    root, items = written
    sentences, problems = source.read_split(source.Places.under(root), "validation", "MR")
    wanted = [i for i in items if (i["split"], i["modality"]) == ("val", "MR")]
    assert not problems and len(wanted) == 3
    assert [(s.text, list(s.ids)) for s in sentences] == [
        (i["sentence"], [image["id"] for image in i["images"]]) for i in wanted
    ]


@pytest.mark.parametrize(
    "content, line, message",
    [
        ('{"good": ["aa"],\n"b": "cc"}', 2, "must be a list of ids"),
        ('{"good": ["aa"],\n"b": []}', 2, "must be a list of ids"),
        ('{"good": ["aa"],\n"b": ["../../etc/passwd"]}', 2, "must be a list of ids"),
        ('{"good": ["aa"],\n"b": [".."]}', 2, "must be a list of ids"),
        ('{"good": ["aa"],\n"b": ["x"]}', 2, "2 to 200 letters"),
        ('{"good": ["aa"],\n"b": ["' + "x" * 300 + '"]}', 2, "2 to 200 letters"),
        ('{"good": ["aa"],\n"good": ["cc"]}', 2, "also on line 1"),
        ('{"good": ["aa"],\n"  ": ["cc"]}', 2, "empty sentence"),
    ],
)
def test_bad_entries_of_a_split_are_left_out_and_named(tmp_path, content, line, message):
    path = refrad2d.split_file(tmp_path, "train", "CT")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    sentences, problems = source.read_split(source.Places.under(tmp_path), "train", "CT")
    assert [s.text for s in sentences] == ["good"]
    assert [(p.line, message in p.message) for p in problems] == [(line, True)]
    assert problems[0].file.endswith("filtered_ct_splits/snippet2rsopids_train_ct_only.json")


def test_names_are_the_published_ones_wherever_the_pieces_lie(tmp_path):
    places = source.Places.under(tmp_path, dicoms=tmp_path / "disk7", splits="/else/where")
    assert places.dicom("ab12") == tmp_path / "disk7/ab/ab12.dcm.zst"
    assert places.name(places.dicom("ab12")) == "dicoms_anon/ab/ab12.dcm.zst"
    assert places.name(places.parquet) == "refrad2d_vqa_dataset.parquet"
    name = "split_v18/generated/filtered_mr_splits/snippet2rsopids_val_mr_only.json"
    assert places.name(places.split("validation", "MR")) == name


@pytest.mark.parametrize(
    "path", ["/home/x/segmented_slices_v3/ab/ab12.npy", "ab12.npy", "C:\\data\\ab\\ab12.npy"]
)
def test_of_a_label_maps_path_only_the_last_part_matters(tmp_path, path):
    mask = source.Places.under(tmp_path).mask(path)
    assert mask == tmp_path / "refrad2d_segment/segmented_slices_v3/ab/ab12.npy"


@pytest.mark.parametrize(
    "path", ["", "/", "/home/x/..", "ab12.npz", "a b.npy", "/x/.npy", "a" * 300 + ".npy"]
)
def test_a_label_maps_path_that_names_no_file_is_refused(tmp_path, path):
    assert source.Places.under(tmp_path).mask(path) is None
