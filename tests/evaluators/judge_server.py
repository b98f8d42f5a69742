"""A judge on loopback that misbehaves as it is told, and grades by comparing words."""

import collections
import contextlib
import http.server
import json
import threading
import time


class Server:
    """What a judge is told, and what it saw.

    Attributes:
        trouble: candidate -> kinds of trouble, one for each request about it, before it is good.
        bodies: of the requests.
        most: the most requests at once.
    """

    def __init__(self):
        self.trouble = collections.defaultdict(list)
        self.bodies, self.most, self._now = [], 0, 0
        self._lock = threading.Lock()

    def answer(self, body):
        """Returns (status, headers, bytes) of a request."""
        with self._lock:
            self.bodies.append(body)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            time.sleep(0.01)
            return self._answer(body)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, body):
        lines = body["messages"][-1]["content"].split("\n")
        names, values = zip(*(line.split(": ", 1) for line in lines), strict=True)
        assert names == ("Question", "Candidate", "Reference")
        _, candidate, reference = map(json.loads, values)
        kind = self.trouble[candidate].pop(0) if self.trouble[candidate] else ""
        if kind.isdigit():
            return int(kind), {"Retry-After": "0"} if kind == "429" else {}, b"{}"
        if kind == "slow":
            time.sleep(1.5)
        if kind == "no json":
            return 200, {}, b"<html>"
        if kind == "no choices":
            return 200, {}, b'{"choices": []}'
        shared = len(set(candidate.split()) & set(reference.split()))
        grade = 1 + round(4 * shared / max(len(reference.split()), 1))
        said = kind.removeprefix("says ") if kind.startswith("says ") else f"{grade} by words"
        return 200, {}, json.dumps({"choices": [{"message": {"content": said}}]}).encode()


@contextlib.contextmanager
def running():
    """Yields (url, server)."""
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, content = server.answer(body)
            with contextlib.suppress(OSError):  # Who asked may have gone.
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http_server.server_port}/v1", server
    finally:
        http_server.shutdown()
        http_server.server_close()
