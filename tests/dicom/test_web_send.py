"""Objects are stored in an archive, or there is a reason why not."""

import pydicom
import pytest

from big_rad.dicom import read, web
from tests.helpers import dicom_files, dicomweb_server
from tests.helpers.dicomweb_calls import ACCESS, UIDS, fails
from tests.helpers.dicomweb_server import STUDY, silence, status

pytest.importorskip("dicomweb_client", reason="pip install 'big_rad[dicom]'")
pytestmark = pytest.mark.usefixtures("nothing_leaks")
SECRET = dicom_files.SECRET


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
        ((200, "application/dicom+json", report(stored=[(SECRET, None)])), None, "not report"),
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
    without_uid = results[0].read_bytes().replace(UIDS[0].encode(), b" " * len(UIDS[0]))
    for data in (None, b"", SECRET.encode() * 50, without_uid):
        if data is not None:
            bad.write_bytes(data)
        with pytest.raises(read.ReadError, match="object 4: ") as caught:
            web.send(archive.url, [*results, bad], access=ACCESS)
        assert SECRET not in str(caught.value) and not archive.requests
