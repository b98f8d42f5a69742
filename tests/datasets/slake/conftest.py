import pytest

from tests.published import slake


@pytest.fixture
def fixture(tmp_path):
    root = tmp_path / "slake"
    return root, slake.write(root)
