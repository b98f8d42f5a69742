"""The HTTP session through which an archive is reached.

The library of DICOMweb sends its requests through this session, which adds what an archive with
patients in it needs: limits to size and time, repeated tries, credentials that stay with their
host, and errors that quote nothing.
"""

import contextlib
import email.message
import io
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http import cookiejar
from typing import Any, TypeVar

import requests

from big_rad.dicom.web_access import SET_CREDENTIALS, Access, Address, address
from big_rad.dicom.web_errors import (
    AccessError,
    ContentError,
    NotFoundError,
    RedirectError,
    ServerError,
    SizeError,
    TLSError,
    UnreachableError,
    WebError,
)

MAX_REPLY = 1 << 26  # The most bytes of a list or of a report about stored objects.
_PIECE = 1 << 16
_CONNECT = 10.0  # The longest time for a connection, in seconds.
_LONGEST_WAIT = 30.0  # In seconds.
_MAX_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_TEMPORARY = (408, 425, 429)  # Statuses of 500 and above are tried again as well, but not these:
_FINAL = (501, 505)
_PARTLY_STORED = 409  # The archive refused some or all objects, and its answer says which.
T = TypeVar("T")


class Session(requests.Session):
    """A session with one archive.

    Attributes:
        archive: the address of the archive.
        access: how it is reached.
        doing: what the next requests are for, in the words of messages, such as "the search".
        notes: what the user should be warned about, as the keys of a dict.
    """

    def __init__(self, archive: Address, access: Access):
        super().__init__()
        self.archive, self.access, self.doing = archive, access, "the request"
        self.notes: dict[str, None] = {}
        # Without this, requests would take credentials from ~/.netrc, also for other hosts, and
        # REQUESTS_CA_BUNDLE would replace the file that the user gave.
        self.trust_env = False
        self.verify = access.ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or True
        if self.verify is not True and not os.path.exists(self.verify):
            raise ValueError(
                "REQUESTS_CA_BUNDLE names a file that is not there; correct it, or give ca_file"
            )
        if not archive.loopback:
            self.proxies = requests.utils.get_environ_proxies(archive.url)
        # A cookie of a login is a credential, and a cookie jar ignores the port of a host.
        self.cookies.set_policy(cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.headers["Accept-Encoding"] = "identity"

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Sends a request of the library and returns the answer, which is wholly in memory.

        Args:
            method: "GET" or "POST".
            url: the address.
            options: `headers` and `data` as in requests; others are not used.

        Raises:
            WebError: there is no usable answer.
        """
        # Some archives do not understand a list of types, such as the one of the library.
        headers = dict(options.get("headers") or {}) | {"Accept": "application/dicom+json"}
        headers.pop("Host", None)  # The library leaves out the port.
        data = options.get("data")
        return self._retried(lambda: self._whole(method, url, headers, data))

    def download(
        self, url: str, accept: str, receive: Callable[[requests.Response, Iterator[bytes]], T]
    ) -> T:
        """Fetches something large piece by piece.

        Args:
            url: the address.
            accept: the types that are wanted, as in the header of this name.
            receive: a function of the response and its content in pieces, which does not read the
                content of the response itself. It is called again if the answer breaks off.

        Returns:
            What `receive` returned.

        Raises:
            WebError: there is no usable answer, or `receive` raised it.
        """

        def once() -> T:
            with self._opened("GET", url, {"Accept": accept}, None) as response:
                return receive(response, self._pieces(response))

        return self._retried(once)

    def error(self, kind: type[WebError], why: str, **more: Any) -> WebError:
        """Returns an error that names the archive and what failed."""
        return kind(f"{self.archive.name}: {self.doing} failed: {why}", **more)

    def _retried(self, once: Callable[[], T]) -> T:
        for number in range(1, self.access.tries + 1):
            try:
                return once()
            except WebError as e:
                if not e.temporary or number == self.access.tries:
                    raise
                wait = max(e.wait, self.access.wait * 2 ** (number - 1))
            time.sleep(min(wait, _LONGEST_WAIT))
        raise AssertionError("tries is at least 1")

    def _whole(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> requests.Response:
        with self._opened(method, url, headers, data) as response:
            body = io.BytesIO()
            for piece in self._pieces(response):
                body.write(piece)
                if body.tell() > MAX_REPLY:
                    why = f"the answer has more than {MAX_REPLY} bytes; ask for one series"
                    raise self.error(SizeError, why)
        kind, status = media_type(response), response.status_code
        report = method == "POST" and kind.endswith("xml")
        if body.tell() and not (kind.endswith("json") or report):
            raise self.wrong_type(response, "JSON")
        # The library gets an answer without what it would quote (the address and the warnings of
        # the archive) or not understand (a type with parameters, and a status of 409).
        plain = requests.Response()
        plain.status_code = 202 if status == _PARTLY_STORED else status
        plain.headers["Content-Type"] = kind
        body.seek(0)
        plain.raw = body
        return plain

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        end = time.monotonic() + self.access.longest
        pieces = response.iter_content(_PIECE)
        while piece := self._guarded(lambda: next(pieces, b"")):
            if time.monotonic() > end:
                why = f"the answer took more than {self.access.longest:g} s; try again later"
                raise self.error(UnreachableError, why)
            yield piece

    def _guarded(self, call: Callable[[], T]) -> T:
        # Errors of requests hold the address and the headers. So ours are raised outside of the
        # handler, where Python chains no error to them.
        try:
            return call()
        except requests.RequestException as e:
            found = self._translate(e)
        except OSError as e:
            why = f"no connection ({type(e).__name__}); check the network and the certificates"
            found = self.error(UnreachableError, why, temporary=True)
        except UnicodeError:
            found = self.error(ContentError, "the answer cannot be read; ask who runs the archive")
        raise found

    def _translate(self, e: requests.RequestException) -> WebError:
        if isinstance(e, requests.exceptions.SSLError):
            return self.error(TLSError, _tls_reason(str(e), self.access))
        if isinstance(e, requests.exceptions.ProxyError):
            why = "the proxy of HTTPS_PROXY does not answer or refuses; correct it, or add the "
            return self.error(UnreachableError, why + "archive to NO_PROXY", temporary=True)
        if isinstance(e, requests.Timeout):
            why = f"no answer within {self.access.timeout:g} s; try again later, or check the "
            return self.error(UnreachableError, why + "host and the port", temporary=True)
        if isinstance(e, requests.exceptions.ChunkedEncodingError):
            why = "the answer broke off; try again"
            return self.error(ContentError, why, temporary=True)
        if isinstance(e, requests.ConnectionError):
            why = "no connection; check the host, the port and the network"
            return self.error(UnreachableError, why, temporary=True)
        return self.error(ContentError, f"the answer is no proper HTTP ({type(e).__name__})")

    @contextlib.contextmanager
    def _opened(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> Iterator[requests.Response]:
        """Sends a request, follows redirects, and yields an answer with a good status."""
        target, trusted = url, True
        for _ in range(_MAX_REDIRECTS + 1):
            sent = headers | (self.access.header() if trusted else {})
            with self._sent(method, target, sent, data) as response:
                where = response.headers.get("Location")
                if response.status_code in _MOVED and where:
                    target, same = self._redirected(method, target, where, response.status_code)
                    trusted = trusted and same
                    continue
                self._check_status(response, method, trusted)
                yield response
                return
        raise self.error(RedirectError, f"more than {_MAX_REDIRECTS} redirects; check the address")

    def _sent(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> requests.Response:
        send, timeout = super().request, self.access.timeout
        return self._guarded(
            lambda: send(
                method,
                url,
                headers=headers,
                data=data,
                stream=True,
                allow_redirects=False,
                timeout=(min(_CONNECT, timeout), timeout),
            )
        )

    def _redirected(self, method: str, url: str, where: str, status: int) -> tuple[str, bool]:
        """Returns the new address, and whether it may get the credentials."""
        target = urllib.parse.urljoin(url, where)
        try:  # A query is usual in such addresses. They are never shown.
            plain = urllib.parse.urlsplit(target)._replace(query="", fragment="").geturl()
            found = address(plain, self.archive.scheme == "http" and self.access.insecure_http)
        except ValueError:
            found = None
        # An archive on another machine must not send us to a service of this machine.
        if found is None or (found.scheme == "http" and self.archive.scheme == "https"):
            why = "it redirects to what is no https address of an archive; check the address"
            raise self.error(RedirectError, why)
        if found.loopback and not self.archive.loopback:
            raise self.error(RedirectError, "it redirects to this machine; check the address")
        same = found.origin == self.archive.origin
        if method != "GET" and not (same and status in _SAME_METHOD):
            why = f"it redirects to {found.name}, where objects are not sent; give that address"
            raise self.error(RedirectError, why)
        if not same:
            note = f"{self.archive.name} redirects to {found.name}, which gets no credentials"
            self.notes[note] = None
        return target, same

    def _check_status(self, response: requests.Response, method: str, trusted: bool) -> None:
        status = response.status_code
        if 200 <= status < 300 or (method == "POST" and status == _PARTLY_STORED):
            return
        if status == 401:
            if not trusted:
                why = "it redirects to another host, which asks for credentials; give that address"
            elif self.access.header():
                why = f"the credentials are not accepted (401); to give others, {SET_CREDENTIALS}"
            else:
                why = f"credentials are needed (401); {SET_CREDENTIALS}"
            raise self.error(AccessError, why)
        if status == 403:
            why = "it is not allowed (403); ask who runs the archive for the right to do this"
            raise self.error(AccessError, why if self.access.header() else f"{why}; "
                             f"no credentials were given: {SET_CREDENTIALS}")  # fmt: skip
        if status in (404, 410):
            why = f"it is not there ({status}); check the UIDs, and that the address is the root "
            raise self.error(NotFoundError, why + "of the DICOMweb service")
        if status in (406, 415):
            why = f"the archive does not offer the type of content ({status}); ask who runs it"
            raise self.error(ContentError, why)
        if status == 413:
            why = "the object is larger than the archive accepts (413); ask who runs it"
            raise self.error(SizeError, why)
        temporary = status in _TEMPORARY or (status >= 500 and status not in _FINAL)
        remedy = "try again later" if temporary else "check the address"
        raise self.error(
            ServerError,
            f"the archive answered with the status {status}; {remedy}, or ask who runs it",
            temporary=temporary,
            wait=_retry_after(response),
        )

    def wrong_type(self, response: requests.Response, wanted: str) -> ContentError:
        """Returns the error for an answer of another type."""
        found = media_type(response)
        why = f"the answer is {found or 'of no known type'} instead of {wanted}; check that "
        why += "the address is the root of the DICOMweb service, not a page for people"
        return self.error(ContentError, why)


def media_type(response: requests.Response) -> str:
    """Returns the type of an answer, such as "application/dicom+json", or "" if it has none."""
    found = content_type(response.headers.get("Content-Type", "")).get_content_type()
    known = "Content-Type" in response.headers and re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,40}", found)
    return found if known else ""


def content_type(value: str) -> email.message.Message:
    """Returns a message whose parameters of the content type can be asked for."""
    message = email.message.Message()
    message["Content-Type"] = value
    return message


def _retry_after(response: requests.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", 0)), 0.0), _LONGEST_WAIT)
    except ValueError:  # The header may also hold a date, which is not used.
        return 0.0


def _tls_reason(text: str, access: Access) -> str:
    # The texts are those of OpenSSL; none of them is quoted.
    low = text.lower()
    if "expired" in low:
        return "the certificate of the archive has expired; ask who runs it for a new one"
    if "mismatch" in low or "doesn't match" in low or "not valid for" in low:
        return "the certificate belongs to another host; give the name that it is made for"
    if "verify failed" in low:
        given = "the one in ca_file does not fit" if access.ca_file else "none was given"
        return (
            "the certificate of the archive is not signed by a trusted authority; give the PEM "
            f"file of your authority as ca_file ({given})"
        )
    return "no encrypted connection can be made; check that the port is the one for https"
