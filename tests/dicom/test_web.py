"""Fetching from an archive, sending to it and searching it, against a small one that fails."""

import logging
import socket
import sys
import tracemalloc
import warnings

import numpy as np
import pydicom
import pytest

from big_rad.dicom import read, web
from tests.helpers import dicom_files, dicomweb_server
from tests.helpers.dicomweb_server import SERIES, STUDY, cut, silence, status, wrapped

SECRET = dicom_files.SECRET
PASSWORD = "pass-word-7"
ACCESS = web.Access(user="alice", password=PASSWORD, wait=0.01, timeout=5)
UIDS = ("1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3")


@pytest.fixture
def archive():
    with dicomweb_server.running() as found:
        for number, uid in enumerate(UIDS):
            found.add(uid, dicom_files.PIXELS + number)
        yield found


@pytest.fixture(autouse=True)
def nothing_leaks(caplog, capfd, request):
    """No log, output or warning has the planted identity or a credential."""
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    out = capfd.readouterr()
    said = [caplog.text, out.out, out.err, *(str(w.message) for w in caught)]
    assert not [x for x in said if SECRET in x or PASSWORD in x or "alice" in x]


def fetch(archive, folder, **options):
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
    leaks = (SECRET, PASSWORD, "alice", "dicom-web/", *UIDS)
    assert not [x for x in texts for leak in leaks if leak in x]
    assert "127.0.0.1" in texts[0]
    return texts[0]


def left(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("envelope", [True, False])
def test_all_objects_come_byte_for_byte_and_in_order(archive, tmp_path, envelope):
    archive.envelope = envelope
    seen = []
    found = fetch(archive, tmp_path / "a" / "b", done=lambda *counts: seen.append(counts))
    assert (found.new, found.kept, found.failed) == (3, 0, ()) and seen == [(1, 3), (2, 3), (3, 3)]
    assert [p.read_bytes() for p in found.paths] == list(archive.objects.values())
    assert [read.read(p).pixels[0, 1] for p in found.paths] == [-924, -923, -922]
    names = [*left(tmp_path), found.paths[0].parent.name, repr(found)]
    assert not [x for x in names for part in (SECRET, STUDY) if part in x]
    assert {r.headers["Authorization"] for r in archive.requests} == {
        "Basic YWxpY2U6cGFzcy13b3JkLTc="
    }
    assert not [r for r in archive.requests if "Cookie" in r.headers]
    assert all(r.headers["Host"] == archive.url.split("/")[2] for r in archive.requests)


def test_whole_files_are_kept_and_others_are_fetched_again(archive, tmp_path):
    first = fetch(archive, tmp_path, series=SERIES)
    first.paths[0].write_bytes(first.paths[0].read_bytes()[:-3])
    first.paths[1].with_name(first.paths[1].name + ".partial").write_bytes(b"x")
    first.paths[1].unlink()
    archive.requests.clear()
    again = fetch(archive, tmp_path)
    assert again.paths == first.paths and (again.new, again.kept) == (2, 1)
    asked = [r.path.rpartition("/")[2] for r in archive.requests if "/instances/" in r.path]
    assert asked == list(UIDS[:2])
    assert [p.read_bytes() for p in again.paths] == list(archive.objects.values())
    assert left(tmp_path) == sorted(p.name for p in first.paths)


def test_lists_come_in_parts_and_end_even_if_the_offset_is_ignored(archive):
    assert [x.instance for x in web.find(archive.url, study=STUDY, series=SERIES, access=ACCESS)] \
        == list(UIDS)  # fmt: skip
    (series,) = web.find(archive.url, study=STUDY, access=ACCESS)
    assert (series.series, series.modality, series.instance) == (SERIES, "CT", "")
    assert SECRET not in repr(series) and SERIES not in repr(series)
    (one,) = web.find(archive.url, study=STUDY, instance=UIDS[1], access=ACCESS)
    assert (one.instance, one.series, one.number) == (UIDS[1], SERIES, 1)
    assert not web.find(archive.url, study=STUDY, instance="1.9", access=ACCESS)
    archive.requests.clear()
    whole = dicomweb_server.json.dumps(archive.list("instances")).encode()
    archive.always = lambda handler, request: handler.reply(200, "application/json", whole)
    assert len(web.find(archive.url, study=STUDY, series=SERIES, access=ACCESS)) == 3
    assert len(archive.requests) == 2


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_failing_archive_is_asked_again_for_some_time(archive, tmp_path, code):
    archive.trouble = [status(code, Retry_After="0")] * 3
    assert fetch(archive, tmp_path).new == 3
    archive.trouble, before = [status(code)] * 4, len(archive.requests)
    said = fails(web.ServerError, web.find, archive.url, study=STUDY, access=ACCESS)
    assert f"status {code}" in said and "try again later" in said
    assert len(archive.requests) - before == 4


@pytest.mark.parametrize(
    "code, kind, why",
    [
        (401, web.AccessError, "credentials are not accepted .*DICOMWEB_TOKEN"),
        (403, web.AccessError, "not allowed"),
        (404, web.NotFoundError, "check the UIDs, and that the address is the root"),
        (406, web.ContentError, "does not offer the type"),
        (400, web.ServerError, "status 400"),
        (501, web.ServerError, "status 501"),
        (304, web.ServerError, "status 304"),
    ],
)
def test_what_another_try_cannot_help_is_an_error_at_once(archive, tmp_path, code, kind, why):
    archive.always = status(code)
    assert dicomweb_server.re.search(why, fails(kind, fetch, archive, tmp_path))
    assert len(archive.requests) == 1 and not left(tmp_path)


def test_credentials_that_are_missing_are_asked_for(archive, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login alice password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("DICOMWEB_USER", "DICOMWEB_PASSWORD", "DICOMWEB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    archive.always = status(401)
    assert "credentials are needed" in fails(web.AccessError, web.find, archive.url, study=STUDY)
    assert "Authorization" not in archive.requests[0].headers
    monkeypatch.setenv("DICOMWEB_TOKEN", PASSWORD)
    fails(web.AccessError, web.find, archive.url, study=STUDY)
    assert archive.requests[1].headers["Authorization"] == f"Bearer {PASSWORD}"


def test_a_single_object_that_fails_does_not_stop_the_others(archive, tmp_path):
    archive.add("1.2.3.4.0", np.zeros((64, 64), np.int16))
    said = fails(web.SizeError, fetch, archive, tmp_path, max_bytes=2000)
    assert "object 4 of 4" in said and "more than 2000 bytes" in said and "max_bytes" in said
    assert len(left(tmp_path)) == 3
    found = fetch(archive, tmp_path, max_bytes=2000, errors="return")
    assert (found.new, found.kept, len(found.failed)) == (0, 3, 1)
    archive.objects["1.2.3.4.0"] = archive.objects[UIDS[0]]
    assert "another object" in fails(web.ContentError, fetch, archive, tmp_path)


def test_an_archive_that_only_fails_is_given_up(archive, tmp_path):
    for number in range(20):
        archive.add(f"1.2.3.4.1{number}")
    archive.broken = [status(500)] * 99
    access = web.Access(wait=0.001, tries=2)
    for errors in ("raise", "return"):
        fails(web.ServerError, fetch, archive, tmp_path / errors, access=access, series=SERIES,
              errors=errors)  # fmt: skip
    assert len(archive.broken) == 99 - 2 * 3 * 2 and not left(tmp_path / "return")


@pytest.mark.parametrize("stated", [True, False])
def test_the_size_limit_holds_in_memory_and_on_the_disk(archive, tmp_path, stated):
    archive.objects = {"1.2.3.4.9": b"x" * (24 << 20)}
    archive.broken = [cut(lambda request: wrapped(archive.objects["1.2.3.4.9"]), 1, stated)]
    web.find(archive.url, study=STUDY, access=ACCESS)  # Imports the library.
    tracemalloc.start()
    try:
        fails(web.SizeError, fetch, archive, tmp_path, max_bytes=10 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The server, which is in this process, makes three copies.
    assert peak < 4 * (24 << 20) and not left(tmp_path)


@pytest.mark.parametrize("envelope", [True, False])
@pytest.mark.parametrize("stated", [True, False])
def test_an_answer_that_breaks_off_is_fetched_again_and_never_kept(
    archive, tmp_path, envelope, stated
):
    def short(share):
        def body(request):
            return wrapped(archive.objects[UIDS[0]], envelope)

        return cut(body, share, stated)

    archive.broken = [short(0.9), short(0.97)]
    assert fetch(archive, tmp_path / "a").new == 3
    archive.broken = [short(0.95)] * 12
    said = fails(web.ContentError, fetch, archive, tmp_path / "b")
    assert "try again" in said and not left(tmp_path / "b")


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("text/html", b"<html>"),
        ("multipart/related", wrapped(b"")[1]),
        ("multipart/related; boundary=frontier", b"--frontier--\r\n"),
        (f"application/{SECRET}", b"x"),
        ("application/dicom", SECRET.encode() * 20),
        ("application/dicom", b""),
        wrapped(SECRET.encode() * 20),
    ],
)
def test_what_is_no_object_is_an_error(archive, tmp_path, content_type, body):
    archive.broken = [lambda h, r: h.reply(200, content_type, body)] * 12
    fails(web.ContentError, fetch, archive, tmp_path, series=SERIES)
    assert not left(tmp_path)


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("text/html", f"<html>{SECRET}</html>"),
        ("", f'["{SECRET}"]'),
        ("application/json", f"{{{SECRET}"),
        ("application/json", f'"{SECRET}"'),
        ("application/json", f'["{SECRET}"]'),
        ("application/json", '[{"0020000E": {"Value": ["../../../etc"]}}]'),
        ("application/json", f'[{{"0020000E": {{"Value": ["{SECRET}"]}}}}]'),
        ("application/json", '[{"0020000E": [{}]}]'),
        ("application/json", "[" * 100_000),
        ("application/json", b"\xff\xfe[]"),
    ],
)
def test_what_is_no_list_is_an_error(archive, tmp_path, content_type, body):
    body = body.encode() if isinstance(body, str) else body
    archive.always = lambda handler, request: handler.reply(200, content_type, body)
    fails(web.ContentError, fetch, archive, tmp_path)
    assert not left(tmp_path)


def test_an_empty_study_is_not_there(archive, tmp_path):
    archive.objects = {}
    assert "no such study" in fails(web.NotFoundError, fetch, archive, tmp_path)
    archive.always = lambda handler, request: handler.reply(204, "application/json", b"")
    assert web.find(archive.url, study=STUDY, access=ACCESS) == []


def test_silence_and_a_closed_port_are_errors(archive, tmp_path):
    access = web.Access(timeout=0.1, tries=2, wait=0.01)
    archive.trouble = [silence]
    assert len(web.find(archive.url, study=STUDY, access=access)) == 1
    archive.always = silence
    said = fails(web.UnreachableError, fetch, archive, tmp_path, access=access)
    assert "no answer within 0.1 s" in said
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        archive.url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        said = fails(web.UnreachableError, fetch, archive, tmp_path, access=access)
    assert "check the host, the port" in said


def test_an_answer_without_end_is_given_up(archive, tmp_path):
    def drip(handler, request):
        handler.reply(200, "application/json", b"[", length=1 << 30)
        for _ in range(40):
            handler.wfile.write(b" " * (1 << 16))
            dicomweb_server.time.sleep(0.01)

    archive.always = drip
    access = web.Access(longest=0.1)
    assert "took more than 0.1 s" in fails(
        web.UnreachableError, fetch, archive, tmp_path, access=access
    )


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


@pytest.fixture
def results(tmp_path):
    paths = []
    for uid in UIDS:
        ds = dicom_files.dataset(
            SOPInstanceUID=uid, StudyInstanceUID=STUDY, SeriesInstanceUID="1.9"
        )
        ds.file_meta.MediaStorageSOPInstanceUID = uid
        paths.append(tmp_path / f"{len(paths)}.dcm")
        paths[-1].write_bytes(dicom_files.content(ds))
    return paths


def report(failed=(), stored=(), tag="00081198"):
    def items(pairs, reason):
        return {"vr": "SQ", "Value": [
            {"00081155": {"vr": "UI", "Value": [uid]}}
            | ({reason: {"vr": "US", "Value": [code]}} if code else {})
            | {"00080018": {"vr": "LO", "Value": [SECRET]}} for uid, code in pairs
        ]}  # fmt: skip

    return {tag: items(failed, "00081197"), "00081199": items(stored, "00081196")}


def test_objects_arrive_as_they_are(archive, results):
    sent = web.send(archive.url, results, access=ACCESS)
    assert sent.stored == UIDS and not sent.failed and not sent.changed
    for request, path in zip(archive.requests, results, strict=True):
        assert path.read_bytes() in request.body
        assert request.path == "/dicom-web/studies" and "Content-Length" in request.headers
    ds = pydicom.dcmread(results[0])
    ds.preamble = None
    assert web.send(archive.url, ds, access=ACCESS).stored == UIDS[:1] and ds.preamble is None
    assert results[0].read_bytes() in archive.requests[-1].body
    assert not [x for x in UIDS if x in repr(sent)]


@pytest.mark.parametrize(
    "answer, code, why",
    [
        ((409, "application/dicom+json", report([(UIDS[0], 0xA700)])), 0xA700, "no space"),
        ((202, "application/json; charset=utf-8", report([(UIDS[0], 0x0122)])), 0x0122, "class"),
        ((200, "application/dicom+json", report([(UIDS[0], 0xC123)])), 0xC123, "cannot understand"),
        ((200, "application/dicom+json", report([("", 0x0110)], tag="0008119A")), 0x0110, "failed"),
        ((200, "application/dicom+json", report([(UIDS[0], 0x7777)])), 0x7777, "of its own"),
        ((200, "application/dicom+json", report([(UIDS[0], None)])), None, "no reason"),
        ((200, "application/dicom+json", report(stored=[("1.9", None)])), None, "not report"),
        ((200, "application/dicom+json", {}), None, "does not report"),
        ((200, "application/dicom+json", [SECRET]), None, "no report"),
        ((200, "text/html", {}), None, "text/html"),
        ((413, "text/html", {}), None, "larger than the archive accepts"),
    ],
)
def test_an_object_that_is_not_stored_is_reported_with_the_reason(
    archive, results, answer, code, why
):
    archive.report = answer
    sent = web.send(archive.url, results[:1], access=ACCESS, errors="return")
    (failure,) = sent.failed
    assert (failure.number, failure.code, failure.sop_instance_uid) == (1, code, UIDS[0])
    assert why in failure.reason and not sent.stored
    assert SECRET not in repr(sent) and UIDS[0] not in repr(sent)
    said = fails(web.RefusedError, web.send, archive.url, results[:1], access=ACCESS)
    assert "1 of 1 objects were not stored" in said and why in said


def test_the_other_objects_are_stored_and_remarks_are_reported(archive, results):
    replies = [report([(UIDS[0], 0x0111)]), report(stored=[(UIDS[1], 0xB000)])]
    archive.trouble = [
        lambda h, r, reply=reply: h.reply(
            200, "application/dicom+json", dicomweb_server.json.dumps(reply).encode()
        )
        for reply in replies
    ]
    with pytest.raises(web.RefusedError, match="1 of 3.*object 1: the archive has it") as caught:
        web.send(archive.url, results, access=ACCESS)
    sent = caught.value.sent
    assert sent.stored == UIDS[1:] and sent.failed[0].code == 0x0111
    assert [(c.number, c.code) for c in sent.changed] == [(2, 0xB000)]


def test_an_object_is_sent_again_as_a_whole(archive, results):
    archive.trouble = [status(503), silence]
    access = web.Access(timeout=0.1, wait=0.01)
    assert web.send(archive.url, results[0], access=access).stored == UIDS[:1]
    assert len({r.body for r in archive.requests}) == 1 and len(archive.requests) == 3


def test_nothing_is_sent_if_one_file_is_no_object(archive, results, tmp_path):
    bad = tmp_path / f"{SECRET}.dcm"
    for data in (b"", SECRET.encode() * 50, results[0].read_bytes().replace(UIDS[0].encode(), b"")):
        bad.write_bytes(data)
        with pytest.raises(read.ReadError, match="object 4") as caught:
            web.send(archive.url, [*results, bad], access=ACCESS)
        assert SECRET not in str(caught.value) and not archive.requests


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
        archive.url = archive.url.replace("127.0.0.1", "localhost")
        with pytest.raises(web.TLSError, match="belongs to another host"):
            fetch(archive, tmp_path / "b", access=access)
        with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE names a file that is not there"):
            fetch(archive, tmp_path / "b")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with dicomweb_server.running() as archive:
        archive.url = archive.url.replace("http:", "https:")
        fails(web.TLSError, fetch, archive, tmp_path / "b", access=ACCESS)


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


def test_other_machines_need_https_also_for_python_users(tmp_path, monkeypatch):
    for call in (
        lambda: web.find("http://pacs.example.org", study=STUDY, access=ACCESS),
        lambda: web.fetch("http://pacs.example.org", study=STUDY, folder=tmp_path, access=ACCESS),
        lambda: web.send("http://pacs.example.org", [], access=ACCESS),
    ):
        with pytest.raises(ValueError, match="insecure_http"):
            call()
    with pytest.raises(ValueError, match="study is not a UID"):
        web.find("https://pacs.example.org", study=SECRET)
    monkeypatch.setitem(sys.modules, "dicomweb_client", None)
    with pytest.raises(ImportError, match=r'pip install "big_rad\[dicom\]"'):
        web.find("https://pacs.example.org", study=STUDY, access=ACCESS)
