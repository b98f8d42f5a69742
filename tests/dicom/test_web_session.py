"""Credentials and objects go to the archive alone: redirects and certificates."""

import pytest

from big_rad.dicom import web
from tests.helpers import dicom_files, dicomweb_server
from tests.helpers.dicomweb_calls import ACCESS, PASSWORD, UIDS, certificates, fails, fetch
from tests.helpers.dicomweb_server import status

pytest.importorskip("dicomweb_client", reason="pip install 'big_rad[dicom]'")
pytestmark = pytest.mark.usefixtures("nothing_leaks")
SECRET = dicom_files.SECRET


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_another_host_gets_no_credentials_and_no_objects(archive, tmp_path, code, nothing_leaks):
    with dicomweb_server.running() as other:
        other.objects = archive.objects

        def away(handler, request):
            place = other.url.removesuffix("/dicom-web") + request.path
            status(code, Location=f"{place}&t={SECRET}" if "?" in place else place)(
                handler, request
            )

        archive.always = away
        assert fetch(archive, tmp_path).new == 3
        assert [r for r in archive.requests if "Authorization" in r.headers] == archive.requests
        assert not [r for r in other.requests if {"Authorization", "Cookie"} & r.headers.keys()]
        host = other.url.split("/")[2]
        assert {str(w.message) for w in nothing_leaks} == {
            f"{archive.url.split('/')[2]} redirects to {host}, which gets no credentials"
        }
        before = len(other.requests)
        path = fetch(archive, tmp_path).paths[0]
        said = fails(web.RedirectError, web.send, archive.url, path, access=ACCESS)
        assert f"redirects to {host}" in said
        assert not [r for r in other.requests[before:] if r.method == "POST"]


def test_a_redirect_on_the_same_host_keeps_the_credentials(archive, tmp_path):
    def moved(handler, request):
        status(308, Location=request.path.replace("/old", "/dicom-web"))(handler, request)

    good = archive.answer
    archive.answer = lambda request, handler: (
        moved(handler, request) if request.path.startswith("/old") else good(request, handler)
    )
    archive.url = archive.url.replace("dicom-web", "old")
    assert fetch(archive, tmp_path).new == 3
    assert web.send(archive.url, fetch(archive, tmp_path).paths, access=ACCESS).stored == UIDS
    assert all("Authorization" in r.headers for r in archive.requests)
    archive.always = status(307, Location="/dicom-web/x")
    archive.answer = good
    assert "redirects" in fails(web.RedirectError, fetch, archive, tmp_path)


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "http://10.1.1.1/x", f"http://alice:{PASSWORD}@127.0.0.1/", "//"],
)
def test_a_redirect_to_what_is_no_archive_is_an_error(archive, tmp_path, place):
    archive.always = status(302, Location=place)
    fails(web.RedirectError, fetch, archive, tmp_path)


def test_https_needs_a_known_certificate(tmp_path, monkeypatch):
    certificate, key = certificates(tmp_path)
    with dicomweb_server.running(tls=(certificate, key)) as archive:
        archive.add(UIDS[0])
        said = fails(web.TLSError, fetch, archive, tmp_path / "a", access=ACCESS)
        assert "not signed by a trusted authority" in said and "ca_file" in said
        assert not archive.requests
        access = web.Access(ca_file=str(certificate))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "elsewhere.pem"))
        assert fetch(archive, tmp_path / "a", access=access).new == 1
        archive.trouble = [status(302, Location=archive.url.replace("https", "http"))]
        said = fails(web.RedirectError, fetch, archive, tmp_path / "b", access=access)
        assert "no https address" in said
        archive.url = archive.url.replace("127.0.0.1", "localhost")
        with pytest.raises(web.TLSError, match="belongs to another host"):
            fetch(archive, tmp_path / "b", access=access)
        with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE names a file that is not there"):
            fetch(archive, tmp_path / "b")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with dicomweb_server.running() as archive:
        archive.url = archive.url.replace("http:", "https:")
        fails(web.TLSError, fetch, archive, tmp_path / "b", access=ACCESS)
