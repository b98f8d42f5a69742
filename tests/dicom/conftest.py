"""A small archive for the tests of DICOMweb, and a watch over what they say."""

import io
import logging
import warnings

import pytest

from tests.helpers import dicom_files, dicomweb_calls, dicomweb_server


@pytest.fixture
def archive():
    with dicomweb_server.running() as found:
        for number, uid in enumerate(dicomweb_calls.UIDS):
            found.add(uid, dicom_files.PIXELS + number)
        yield found


@pytest.fixture
def nothing_leaks(capfd):
    """No log, output or warning has the planted identity, a credential or an identifier."""
    logged = io.StringIO()
    handler, root = logging.StreamHandler(logged), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    out = capfd.readouterr()
    said = [logged.getvalue(), out.out, out.err, *(str(w.message) for w in caught)]
    secrets = (*dicomweb_calls.SECRETS, *dicomweb_calls.UIDS, f'"{dicomweb_server.STUDY}"')
    assert not [x for x in said for secret in secrets if secret in x]
