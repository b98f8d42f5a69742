"""Fetching from an archive, sending to it and searching it, against a small one that fails."""

import gzip
import socket
import sys
import tracemalloc

import numpy as np
import pytest

from big_rad.dicom import read, web
from tests.helpers import dicom_files, dicomweb_server
from tests.helpers.dicomweb_calls import ACCESS, PASSWORD, UIDS, fails, fetch, left
from tests.helpers.dicomweb_server import SERIES, STUDY, cut, in_pieces, silence, status, wrapped

pytest.importorskip("dicomweb_client", reason="pip install 'big_rad[dicom]'")
pytestmark = pytest.mark.usefixtures("nothing_leaks")
SECRET = dicom_files.SECRET


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
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # It is not for this machine.
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


def test_a_folder_that_cannot_be_written_is_an_error_without_its_path(archive, tmp_path):
    (tmp_path / SECRET).write_bytes(b"")
    with pytest.raises(OSError, match="look after the folder") as caught:
        fetch(archive, tmp_path / SECRET)
    assert SECRET not in str(caught.value) and not isinstance(caught.value, web.WebError)


def test_an_archive_that_only_fails_is_given_up(archive, tmp_path):
    for number in range(20):
        archive.add(f"1.2.3.4.1{number}")
    archive.broken = [status(500)] * 99
    access = web.Access(wait=0.001, tries=2)
    for errors in ("raise", "return"):
        fails(web.ServerError, fetch, archive, tmp_path / errors, access=access, series=SERIES,
              errors=errors)  # fmt: skip
    assert len(archive.broken) == 99 - 2 * 3 * 2 and not left(tmp_path / "return")


@pytest.mark.parametrize("envelope", [True, False])
@pytest.mark.parametrize("stated", [True, False])
def test_large_objects_are_never_in_memory_and_larger_ones_not_on_the_disk(
    archive, tmp_path, envelope, stated
):
    archive.objects = {}
    archive.add("1.2.3.4.9", np.zeros((2048, 2048), np.int16))
    kind, body = wrapped(archive.objects["1.2.3.4.9"], envelope)
    archive.broken = [in_pieces(body, kind, stated)] * 2
    web.find(archive.url, study=STUDY, access=ACCESS)  # Imports the library.
    size = len(archive.objects["1.2.3.4.9"])
    tracemalloc.start()
    try:
        said = fails(web.SizeError, fetch, archive, tmp_path / "a", max_bytes=size - 1)
        (path,) = fetch(archive, tmp_path / "b", max_bytes=size).paths
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"more than {size - 1} bytes" in said and not left(tmp_path / "a")
    assert path.stat().st_size == size > 8_000_000 and peak < 2_000_000


def test_a_compressed_answer_is_unpacked_within_the_limit(archive, tmp_path):
    packed = gzip.compress(bytes(64 << 20), 1)
    headers = {"Content-Encoding": "gzip"}

    def bomb(handler, request):
        assert request.headers["Accept-Encoding"] == "identity"
        handler.reply(200, "application/dicom", packed, headers)

    archive.objects = {UIDS[0]: archive.objects[UIDS[0]]}
    archive.broken = [bomb]
    web.find(archive.url, study=STUDY, access=ACCESS)
    tracemalloc.start()
    try:
        fails(web.SizeError, fetch, archive, tmp_path, max_bytes=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20 and not left(tmp_path)


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
