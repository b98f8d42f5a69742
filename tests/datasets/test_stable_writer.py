import pytest
from tensorflow_datasets.proto import tf_example_pb2

from big_rad.datasets import stable_writer

NAMES = [f"images/{k}" for k in ("boxes", "id", "image", "texts")]


def field(name):
    """The bytes of a record with one field; several fields are the concatenation of such bytes."""
    record = tf_example_pb2.Example()
    record.features.feature[name].bytes_list.value.append(name.encode())
    return record.SerializeToString()


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1], NAMES[2:] + NAMES[:2]])
def test_a_record_has_the_same_bytes_in_whatever_order_its_fields_came(names):
    given = b"".join(map(field, names))
    found = stable_writer.sorted_fields(given)
    assert found == stable_writer.sorted_fields(b"".join(map(field, NAMES)))
    read = tf_example_pb2.Example.FromString
    assert read(found) == read(given) and sorted(read(found).features.feature) == NAMES
