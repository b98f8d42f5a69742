import shutil

import pytest

from big_rad.datasets.refrad2d import builder
from tests.published import refrad2d


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """(folder, its content) of a small dataset in the published format; tests do not change it."""
    root = tmp_path_factory.mktemp("published") / "refrad2d"
    return root, refrad2d.write(root)["items"]


@pytest.fixture(scope="session")
def built(written, tmp_path_factory):
    """(data_dir, result) of a build of this dataset with one worker."""
    data_dir = tmp_path_factory.mktemp("built")
    return data_dir, builder.build(written[0], data_dir, workers=1)


@pytest.fixture
def copy(written, tmp_path):
    """A copy of the written folder, which a test may break."""
    return shutil.copytree(written[0], tmp_path / "source")
