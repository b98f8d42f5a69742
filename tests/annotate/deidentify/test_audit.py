import json

from big_rad.annotate.deidentify.audit import PARTS, Audit
from tests.helpers import canaries


def test_what_becomes_of_every_attribute_is_counted_without_a_value():
    ds, _ = canaries.header()
    audit = Audit()
    audit.header(ds)
    audit.text({"name": 2})
    line = audit.line(study="0a1b")
    assert not any(word in line for word in canaries.WORDS)
    said = json.loads(line)
    assert said["study"] == "0a1b" and said["texts"] == {"name": 2}
    assert said["kept"]["KVP"] == said["dropped"]["StudyDescription"] == 1
    assert said["replaced"]["PatientID"] == 1
    assert said["dropped"]["private"] == 4 and said["dropped"]["overlay"] == 3
    assert said["notes"] == {"BurnedInAnnotation absent": 1, "icons": 1}
    counted = sum(sum(said[part].values()) for part in ("kept", "dropped", "replaced"))
    assert counted == len(ds)


def test_audits_add_up_and_do_not_depend_on_order():
    ds, _ = canaries.header()
    first, second = Audit(), Audit()
    first.header(ds)
    second.text({"date": 1})
    one, other = Audit(), Audit()
    one.add(first), one.add(second)
    other.add(second), other.add(first)
    assert one.line() == other.line()
    assert set(json.loads(one.line())) == set(PARTS)
