"""Writes equal records as equal bytes in every process.

A record is a protocol buffer with a map, and the library writes a map in an order that differs from
process to process. Without this module, a dataset that is built again would have other digests, and
a resumed training run would take it for other data.
"""

from collections.abc import Iterable
from typing import Any

from big_rad import extras

with extras.needed("train"):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2


class StableWriter(tfds.core.ExampleWriter):
    """A writer of TFDS that sorts the fields of each record by name before it writes them."""

    def write(self, path: str, examples: Iterable[tuple[int, bytes]]) -> Any:
        """Writes a file.

        Args:
            path: the path of the file.
            examples: the key and the bytes of each record, as TFDS serialised them.

        Returns:
            the result of the TFDS writer: the places of the records in the file, or None.
        """
        return super().write(path, ((key, sorted_fields(data)) for key, data in examples))


def sorted_fields(data: bytes) -> bytes:
    """Returns a serialised record with its fields in the order of their names."""
    return tf_example_pb2.Example.FromString(data).SerializeToString(deterministic=True)
