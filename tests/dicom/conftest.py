"""A small archive for the tests of DICOMweb, and a watch over what they say."""

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
def nothing_leaks(caplog, capfd):
    """No log, output or warning has the planted identity, a credential or an identifier."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    out = capfd.readouterr()
    said = [out.out, out.err, *(str(w.message) for w in caught)]
    secrets = (*dicomweb_calls.SECRETS, *dicomweb_calls.UIDS, f'"{dicomweb_server.STUDY}"')
    assert not [x for x in (*said, caplog.text) for secret in secrets if secret in x]
