"""A server on this machine that fails in ways that a test chooses. Its judge grades by comparing
words, and its embedding vectors are counts of letters."""

import collections
import contextlib
import http.server
import json
import threading
import time


class Server:
    """The troubles that the server must make, and the requests that it got.

    Attributes:
        trouble: for a candidate, or the first phrase of a request for vectors, a list with the kind
            of trouble for each request about it. Later requests get good answers. "says X" gives
            the answer X, and JSON gives the whole choice.
        bodies: the bodies of the requests.
        most: the largest number of requests at the same time.
    """

    def __init__(self):
        self.trouble = collections.defaultdict(list)
        self.bodies, self.most, self._now = [], 0, 0
        self._lock = threading.Lock()

    def answer(self, body):
        """Returns the reply to a request as (status, headers, bytes)."""
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
        if "input" in body:
            kind = self._trouble(body["input"][0])
            return kind or (200, {}, json.dumps({"data": _vectors(body["input"])}).encode())
        lines = body["messages"][-1]["content"].split("\n")
        names, values = zip(*(line.split(": ", 1) for line in lines), strict=True)
        assert names == ("Question", "Candidate", "Reference")
        _, candidate, reference = map(json.loads, values)
        says = self.trouble[candidate][0] if self.trouble[candidate] else ""
        kind = self._trouble(candidate)
        if kind:
            return kind
        shared = len(set(candidate.split()) & set(reference.split()))
        grade = 1 + round(4 * shared / max(len(reference.split()), 1))
        choice = {"message": {"content": f"{grade}\nby words"}}
        if says.startswith("says "):
            choice = {"message": {"content": says.removeprefix("says ")}}
        elif says.startswith("{"):
            choice = json.loads(says)
        return 200, {}, json.dumps({"choices": [choice]}).encode()

    def _trouble(self, about):
        # Returns the reply of the next trouble about a candidate or phrase; None if this trouble
        # has no reply of its own.
        kind = self.trouble[about].pop(0) if self.trouble[about] else ""
        if kind.isdigit():
            return int(kind), {"Retry-After": "0"} if kind == "429" else {}, b"{}"
        if kind == "slow":
            time.sleep(1.5)
        replies = {"no json": b"<html>", "no choices": b'{"choices": []}', "empty": b'{"data": []}'}
        return (200, {}, replies[kind]) if kind in replies else None


def _vectors(phrases):
    # In another order than the phrases; `index` says which phrase a vector belongs to.
    rows = [
        {"index": i, "embedding": [p.count(c) + 0.01 for c in "abcdefghijklmnopqrstuvwxyz"]}
        for i, p in enumerate(phrases)
    ]
    return rows[::-1]


@contextlib.contextmanager
def running():
    """Yields (url, server)."""
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, content = server.answer(body)
            with contextlib.suppress(OSError):  # The client may have closed the connection.
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
