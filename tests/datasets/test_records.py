import numpy as np

from big_rad.datasets import records


def test_a_record_has_the_declared_fields():
    image = records.make_image_record("i", "CT", np.zeros((2, 2), np.int16), texts=[])
    assert image.keys() == records.ImageRecord.__annotations__.keys()
    assert records.make_record("r", "p", [image]).keys() == records.Record.__annotations__.keys()
