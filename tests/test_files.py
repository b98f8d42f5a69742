import unicodedata

import pytest

from big_rad import files

NAMES = {form: unicodedata.normalize(form, "Müller/Schädel.dcm") for form in ("NFC", "NFD")}


@pytest.mark.parametrize(("stored", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_file_is_found_by_its_name_in_another_unicode_form(tmp_path, stored, asked):
    path = tmp_path / NAMES[stored]
    path.parent.mkdir()
    path.write_bytes(b"")
    assert files.find(tmp_path, NAMES[asked]) == path
    gone = NAMES[asked].replace(".dcm", ".png")
    assert files.find(tmp_path, gone) == tmp_path / gone


def test_the_name_as_it_is_written_comes_first(tmp_path):
    for name in NAMES.values():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for name in NAMES.values():
        assert files.find(tmp_path, name) == tmp_path / name
