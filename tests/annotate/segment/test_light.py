import pytest

from tests.helpers import imports

HEAVY = ("jax", "flax", "tensorflow", "grain", "torch", "highdicom")


@pytest.mark.parametrize("module", ["precomputed", "totalsegmentator"])
def test_workers_start_without_heavy_packages(module):
    found = imports.along_with(f"big_rad.annotate.segment.{module}")
    assert "nibabel" in found
    assert not {name.split(".")[0] for name in found} & set(HEAVY)
