import functools

import pytest

from tests.helpers import tiny_run


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The data directory of the tiny run, with slices and a config."""
    return tiny_run.build_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def finished(data, tmp_path_factory):
    """A function (options, arg) -> the directory of an undisturbed run of the tiny config.

    Equal arguments give the same directory, so a test must not change it."""

    @functools.cache
    def run(*options, arg=""):
        workdir = tmp_path_factory.mktemp("undisturbed")
        done = tiny_run.run(tiny_run.command(data, workdir, *options, arg=arg))
        assert done.returncode == 0, done.stderr
        return workdir

    return run
