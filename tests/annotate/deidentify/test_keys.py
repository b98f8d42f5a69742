import datetime
import os
import pathlib
import pickle
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from big_rad.annotate.deidentify.keys import KeyFileError, Keys
from big_rad.annotate.faults import Rejected

KEYS = Keys(bytes(range(32)))


def test_a_key_is_made_once_and_read_again(tmp_path):
    made = Keys.load(tmp_path / "secret.key")
    assert Keys.load(tmp_path / "secret.key").fingerprint == made.fingerprint
    assert Keys.load(tmp_path / "other.key").fingerprint != made.fingerprint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.key", "secret.key"]


def test_only_the_owner_may_read_the_key(tmp_path):
    path = tmp_path / "secret.key"
    Keys.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Keys.load(path)


@pytest.mark.parametrize("damage", [lambda b: b[:-5], lambda b: b"", lambda b: b + b"x",
                                    lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:]])  # fmt: skip
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path, damage):
    path = tmp_path / "secret.key"
    Keys.load(path)
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="damaged") as caught:
        Keys.load(path)
    assert path.read_bytes() == content
    assert str(tmp_path) not in str(caught.value)


def test_programs_that_begin_at_the_same_time_get_the_same_key(tmp_path):
    code = (
        "import sys; from big_rad.annotate.deidentify.keys import Keys;"
        "print(Keys.load(sys.argv[1]).fingerprint)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "secret.key")]
    root = pathlib.Path(__file__).resolve().parents[3]
    env = os.environ | {"PYTHONPATH": str(root)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=env) for _ in range(3)]
    assert len({p.communicate()[0] for p in running}) == 1
    assert all(p.returncode == 0 for p in running)


def test_values_stay_the_same_for_ever():
    # Recorded when the module was written: a change would orphan every data set made before.
    assert KEYS.pseudonym("patient", "4711") == "53ed9373271dae725a9c"
    assert KEYS.uid("series", "1.2.3") == "2.25.146814921726147019903859351550376360250"
    assert (
        KEYS.digest("a", b"b") == "e6504df228086a8480b3eff2d6d5aedb7ac56352820241673656b9888f94c818"
    )
    assert KEYS.shifted("2021-04-03", "4711") == "2020-09-10"
    assert KEYS.fingerprint == "f94e72712b31"


@hypothesis.given(
    st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4)
)
def test_other_parts_have_another_digest(first, second):
    assert (KEYS.digest(*first) == KEYS.digest(*second)) == (first == second)


def test_kinds_and_uses_are_separate():
    assert KEYS.pseudonym("patient", "ab", "c") != KEYS.pseudonym("patient", "a", "bc")
    assert KEYS.pseudonym("patient", "x") != KEYS.pseudonym("study", "x")
    assert KEYS.pseudonym("patient", "x") != Keys(bytes(32)).pseudonym("patient", "x")
    assert KEYS.digest("a") != KEYS.digest(b"a")
    assert not KEYS.digest("patient", "x").startswith(KEYS.pseudonym("patient", "x"))


def test_composed_and_decomposed_spellings_are_one_patient():
    assert KEYS.pseudonym("patient", "Mu\u0308ller") == KEYS.pseudonym("patient", "M\u00fcller")


def test_a_uid_is_valid():
    uid = KEYS.uid("study", "1")
    assert uid.startswith("2.25.") and len(uid) <= 64 and int(uid[5:]) < 1 << 128


@hypothesis.given(st.dates(min_value=datetime.date(1900, 1, 1)), st.text())
def test_dates_go_back_by_the_same_days_for_a_patient(date, patient):
    moved = KEYS.shifted(date.isoformat(), patient)
    days = (date - datetime.date.fromisoformat(moved)).days
    assert 1 <= days <= 3650
    assert KEYS.shifted(date.strftime("%Y%m%d"), patient) == moved.replace("-", "")
    other = KEYS.shifted("2021-04-03", patient)
    assert (datetime.date(2021, 4, 3) - datetime.date.fromisoformat(other)).days == days


@pytest.mark.parametrize(
    "date", ["2021", "2021-02-30", "03.04.2021", "0001-01-01", "2021-0403", "x"]
)
def test_what_is_no_date_is_rejected_without_being_quoted(date):
    with pytest.raises(Rejected) as caught:
        KEYS.shifted(date, "4711")
    assert date not in str(caught.value) or date == "x"
    assert KEYS.shifted("", "4711") == ""


def test_a_key_is_not_pickled():
    with pytest.raises(TypeError, match="load it again"):
        pickle.dumps(KEYS)


def test_the_secret_is_not_shown():
    assert bytes(range(32)).hex() not in repr(KEYS) and KEYS.fingerprint in repr(KEYS)
