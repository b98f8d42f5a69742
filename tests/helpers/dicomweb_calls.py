"""Calls of an archive with planted secrets, and a look at what their errors say."""

import pytest

from big_rad.dicom import web
from tests.helpers import dicom_files
from tests.helpers.dicomweb_server import STUDY

PASSWORD = "pass-word-7"
SECRETS = (dicom_files.SECRET, PASSWORD, "alice")
ACCESS = web.Access(user="alice", password=PASSWORD, wait=0.01, timeout=5)
UIDS = ("1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3")


def fetch(archive, folder, **options):
    """Fetches the study of an archive."""
    options = {"study": STUDY, "access": ACCESS} | options
    return web.fetch(archive.url, folder=folder, **options)


def fails(kind, call, *args, **options):
    """Calls a function that fails, and returns its message, which names the host and no secret."""
    with pytest.raises(kind) as caught:
        call(*args, **options)
    error, texts = caught.value, []
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__context__
    leaks = (*SECRETS, "dicom-web/", *UIDS)
    assert not [x for x in texts for leak in leaks if leak in x]
    assert "127.0.0.1" in texts[0]
    return texts[0]


def left(folder):
    """Returns the names of all files in a folder."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def certificates(folder):
    """Writes a certificate that signs itself, and its key, and returns their paths."""
    x509 = pytest.importorskip("cryptography.x509")
    import datetime
    import ipaddress

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "archive")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
    )
    made = made.add_extension(place, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = made.sign(key, hashes.SHA256())
    paths = folder / "certificate.pem", folder / "key.pem"
    pem = serialization.Encoding.PEM
    paths[0].write_bytes(signed.public_bytes(pem))
    paths[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
