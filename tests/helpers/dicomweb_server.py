"""A small DICOMweb archive on this machine that fails in ways that a test chooses."""

import contextlib
import dataclasses
import http.server
import json
import re
import ssl
import threading
import time

from tests.helpers import dicom_files

STUDY, SERIES = "1.2.3", "1.2.3.4"
PLACE = re.compile(r"/dicom-web/studies(?:/([\d.]+)(/series)?(?:/([\d.]+))?(/instances)?)?")


@dataclasses.dataclass
class Request:
    """A request that the archive has got."""

    method: str
    path: str
    headers: dict
    body: bytes


class Archive:
    """A study of one series, and the troubles that the archive makes.

    Attributes:
        objects: the bytes of the files by SOPInstanceUID.
        trouble: functions of (handler, request), each of which answers one request in its own way,
            in their order. Later requests get good answers.
        broken: the same, for requests of single objects.
        always: a trouble of every request, or None.
        requests: the requests so far.
        envelope: whether objects come in a multipart answer.
        report: what is answered to a stored object, as (status, type, JSON); None reports success.
        pages: the most entries of a list.
    """

    def __init__(self):
        self.objects, self.requests = {}, []
        self.trouble, self.broken, self.always = [], [], None
        self.envelope, self.report, self.pages = True, None, 2
        self.url = ""

    def add(self, uid, pixels=dicom_files.PIXELS, **fields):
        """Puts an image into the archive, with an identity planted in it."""
        ds = dicom_files.dataset(
            pixels, SOPInstanceUID=uid, StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, **fields
        )
        ds.file_meta.MediaStorageSOPInstanceUID = uid
        self.objects[uid] = dicom_files.content(ds)

    def list(self, kind):
        """Returns the series, or the objects of the series, as DICOM JSON."""
        name = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": dicom_files.SECRET}]}}
        series = {"0020000E": {"vr": "UI", "Value": [SERIES]}, **name,
                  "00080060": {"vr": "CS", "Value": ["CT"]}}  # fmt: skip
        if kind == "series":
            return [series] if self.objects else []
        return [
            series | {"00080018": {"vr": "UI", "Value": [uid]},
                      "00200013": {"vr": "IS", "Value": [number]}}
            for number, uid in enumerate(self.objects)
        ]  # fmt: skip

    def answer(self, request, handler):
        """Answers a request."""
        if self.trouble:
            return self.trouble.pop(0)(handler, request)
        if self.always:
            return self.always(handler, request)
        if self.broken and "/instances/" in request.path:
            return self.broken.pop(0)(handler, request)
        path, _, query = request.path.partition("?")
        uid = path.rpartition("/")[2]
        if request.method == "POST":
            return self._store(request, handler)
        if uid in self.objects and "/instances/" in path:
            return handler.reply(200, *wrapped(self.objects[uid], self.envelope))
        if not PLACE.fullmatch(path):
            return handler.reply(404, "text/plain", dicom_files.SECRET.encode())
        found = self.list("series" if path.endswith("/series") else "instances")
        if match := re.search(r"SOPInstanceUID=([\d.]+)", query):
            found = [x for x in found if x["00080018"]["Value"] == [match[1]]]
        at = int((re.search(r"offset=(\d+)", query) or [0, 0])[1])
        found = found[at : at + self.pages]
        return handler.reply(200, "application/dicom+json", json.dumps(found).encode())

    def _store(self, request, handler):
        if self.report is not None:
            status, kind, report = self.report
            return handler.reply(status, kind, json.dumps(report).encode())
        uid = re.search(rb"\x08\x00\x18\x00UI..([\d.]+)", request.body, re.S)[1].decode()
        report = {"00081199": {"vr": "SQ", "Value": [
            {"00081155": {"vr": "UI", "Value": [uid]}}]}}  # fmt: skip
        return handler.reply(200, "application/dicom+json", json.dumps(report).encode())


def wrapped(content, envelope=True, boundary="frontier"):
    """Returns (content type, body) of an answer with one object."""
    if not envelope:
        return "application/dicom", content
    head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    return kind, head + content + f"\r\n--{boundary}--".encode()


def status(code, **headers):
    """Returns the trouble of a status, with the planted identity in its answer."""

    def trouble(handler, request):
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.reply(code, "text/html", dicom_files.SECRET.encode(), more)

    return trouble


def silence(handler, request):
    """The trouble of an answer that comes too late."""
    time.sleep(0.4)


def cut(kind, share, length):
    """Returns the trouble of an answer that breaks off.

    Args:
        kind: the function of (archive, request) that gives (content type, body).
        share: the part of the body that is sent.
        length: whether its whole length is stated.
    """

    def trouble(handler, request):
        content_type, body = kind(request)
        handler.reply(
            200, content_type, body[: int(len(body) * share)],
            length=len(body) if length else None,
        )  # fmt: skip

    return trouble


def in_pieces(body, content_type, stated=True):
    """Returns the trouble of a body that is sent without a copy of it."""

    def trouble(handler, request):
        handler.reply(200, content_type, b"", length=len(body) if stated else None)
        for at in range(0, len(body), 1 << 16):
            handler.wfile.write(memoryview(body)[at : at + (1 << 16)])

    return trouble


@contextlib.contextmanager
def running(tls=None):
    """Yields an archive that listens.

    Args:
        tls: the paths of certificate and key for https, or None.
    """
    archive = Archive()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length", 0))
            request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
            archive.requests.append(request)
            with contextlib.suppress(OSError):  # The client may have closed the connection.
                archive.answer(request, self)

        do_POST = do_GET

        def reply(self, code, content_type, body, headers=(), length=-1):
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Warning", f'299 - "{dicom_files.SECRET}"')
            self.send_header("Set-Cookie", "session=secret-cookie; Path=/")
            for name, value in dict(headers).items():
                self.send_header(name, value)
            if length is not None:
                self.send_header("Content-Length", str(len(body) if length < 0 else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, block_on_close = True, False

        def handle_error(self, *args):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    scheme = "https" if tls else "http"
    archive.url = f"{scheme}://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
