import pytest

from big_rad.datasets.phantom import builder

SIZES = dict(train=120, validation=30, test=30)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A small demo dataset, built with two workers; returns its data_dir."""
    data_dir = tmp_path_factory.mktemp("phantom")
    builder.build("demo", data_dir, workers=2, **SIZES)
    return data_dir
