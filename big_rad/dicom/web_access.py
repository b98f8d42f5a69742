"""Addresses of DICOMweb archives, and the credentials for them.

Credentials come from environment variables and never from a command line, where other users of the
machine could read them. They appear in no message and in no `repr`.
"""

import argparse
import base64
import dataclasses
import ipaddress
import math
import os
import pathlib
import re
import ssl
import urllib.parse
from collections.abc import Mapping

USER, PASSWORD, TOKEN = "DICOMWEB_USER", "DICOMWEB_PASSWORD", "DICOMWEB_TOKEN"
SET_CREDENTIALS = f"set {USER} and {PASSWORD}, or {TOKEN}, in the environment"
_EXAMPLE = "https://pacs.example.org/dicom-web"
_PORTS = {"http": 80, "https": 443}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")


@dataclasses.dataclass(frozen=True)
class Access:
    """How an archive is reached.

    Attributes:
        user: the user of basic authentication, or "".
        password: the password of basic authentication.
        token: a bearer token, or "".
        ca_file: a PEM file with the certificates of the authorities that are trusted. "" trusts
            those of the file in REQUESTS_CA_BUNDLE, or else the usual ones.
        insecure_http: whether archives on other machines may be reached without encryption.
        timeout: how long the archive may be silent, in seconds.
        longest: the longest time of one answer, in seconds.
        tries: how often a request is sent if the archive does not answer or reports a failure of
            its own.
        wait: the time before the second try, in seconds. It doubles before each further try, up to
            30 s.

    Raises:
        ValueError: the attributes do not fit each other, or the file has no certificates. No
            credential is quoted.
    """

    user: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    token: str = dataclasses.field(default="", repr=False)
    ca_file: str = ""
    insecure_http: bool = False
    timeout: float = 60.0
    longest: float = 1800.0
    tries: int = 4
    wait: float = 1.0

    def __post_init__(self):
        if bool(self.user) != bool(self.password):
            missing = PASSWORD if self.user else USER
            raise ValueError(f"{missing} is not set: give both {USER} and {PASSWORD}, or neither")
        if self.user and self.token:
            raise ValueError(f"{TOKEN} and {USER} are both set: unset one, so that it is clear how")
        if ":" in self.user:  # RFC 7617: the archive would read the rest as the password.
            raise ValueError(f"{USER} has a colon, which basic authentication does not allow")
        for name, value in ((USER, self.user), (PASSWORD, self.password), (TOKEN, self.token)):
            if not value.isprintable() or (name == TOKEN and re.search(r"[^\x21-\x7e]", value)):
                raise ValueError(f"{name} has characters that cannot be sent; set it again")
        times = (self.timeout, self.longest, self.wait)
        if not all(math.isfinite(t) and t > 0 for t in times) or self.tries < 1:
            raise ValueError("timeout, longest and wait are above 0 seconds, and tries at least 1")
        if self.ca_file:
            _check_certificates(self.ca_file)

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, **more: str | bool | float
    ) -> "Access":
        """Returns an access with the credentials of environment variables.

        Args:
            environ: the environment. None takes that of the process.
            more: other attributes.

        Raises:
            ValueError: as for the class.
        """
        found = os.environ if environ is None else environ
        return cls(
            user=found.get(USER, ""),
            password=found.get(PASSWORD, ""),
            token=found.get(TOKEN, "").strip(),
            **more,
        )

    def header(self) -> dict[str, str]:
        """Returns the header with the credentials, or {} if there are none."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}


@dataclasses.dataclass(frozen=True)
class Address:
    """The address of a DICOMweb service, such as https://pacs.example.org/dicom-web.

    Attributes:
        url: the address, without a slash at its end.
        scheme: "http" or "https".
        host: the name or IP address of the machine.
        port: the port, which is never None.
    """

    url: str = dataclasses.field(repr=False)
    scheme: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """The host and, if it is not the usual one, the port, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two addresses of the same server have in common."""
        return self.scheme, self.host, self.port

    @property
    def loopback(self) -> bool:
        """Whether the address is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def address(url: str, insecure_http: bool = False, what: str = "the address") -> Address:
    """Checks the address of an archive.

    Args:
        url: the root of the DICOMweb service, such as "https://pacs.example.org/dicom-web".
        insecure_http: whether http is allowed for other machines than this one.
        what: the name of the argument, for messages.

    Raises:
        ValueError: it is not an address, has credentials or a query in it, or is not encrypted.
            The address is not quoted, only its host.
    """
    no_address = f"{what} is no address of an archive; give one such as {_EXAMPLE}"
    if not isinstance(url, str) or not url or _UNPRINTABLE.search(url):
        raise ValueError(no_address)
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ValueError(no_address)
    found = Address(url.rstrip("/"), parts.scheme, parts.hostname, port or _PORTS[parts.scheme])
    if "@" in parts.netloc:
        raise ValueError(
            f"{what} has a user or a password in it, which others could read: remove them from it, "
            f"and {SET_CREDENTIALS}"
        )
    if "?" in url or "#" in url:
        raise ValueError(
            f"{what} on {found.name} has a query (?) or a fragment (#): give only the root of the "
            f"service, such as {_EXAMPLE}"
        )
    if found.scheme == "http" and not (found.loopback or insecure_http):
        raise ValueError(
            f"{what} on {found.name} is not encrypted, so others could read images and "
            "credentials: give its https address, or allow it with insecure_http"
        )
    return found


def not_encrypted(found: Address) -> str:
    """Returns a warning if images go over a network without encryption, or ""."""
    if found.scheme == "https" or found.loopback:
        return ""
    return (
        f"{found.name}: http is not encrypted: images and credentials can be read and changed by "
        "others on the network"
    )


def uid(value: str, what: str) -> str:
    """Returns a UID without surrounding spaces.

    Args:
        value: the UID.
        what: the name of the argument, for messages.

    Raises:
        ValueError: it is not a UID. It is not quoted, because it may be a name.
    """
    text = value.strip(" \0") if isinstance(value, str) else ""
    if len(text) > 64 or not _UID.fullmatch(text):
        raise ValueError(
            f"{what} is not a UID of DICOM (numbers joined by dots, at most 64 characters), such "
            "as 1.2.840.113619.2.55.3"
        )
    return text


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a command that reads from an archive or sends results to one.

    Attributes:
        wado: the archive that images are fetched from, or None.
        stow: the archive that results are sent to, or None.
        study: the StudyInstanceUID of what is fetched, or "".
        series: the SeriesInstanceUID of what is fetched; "" fetches the whole study.
        access: how both archives are reached.
        warnings: what the user should be warned about.
    """

    wado: Address | None = None
    stow: Address | None = None
    study: str = dataclasses.field(default="", repr=False)
    series: str = dataclasses.field(default="", repr=False)
    access: Access = dataclasses.field(default_factory=Access)
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls,
        args: argparse.Namespace | Mapping[str, str | bool | None],
        environ: Mapping[str, str] | None = None,
    ) -> "Options":
        """Checks the values of --wado, --stow, --study, --series, --ca_file and --insecure_http.

        Args:
            args: the values by name, as argparse gives them. Absent ones, None and "" are not set.
            environ: the environment with the credentials. None takes that of the process.

        Raises:
            ValueError: a value is wrong, or does not fit the others. The message names the option
                and quotes no value.
        """
        values = args if isinstance(args, Mapping) else vars(args)
        given = {name: values.get(name) or "" for name in _OPTIONS}
        if not (given["wado"] or given["stow"]):
            for name in ("study", "series", "ca_file", "insecure_http"):
                if given[name]:
                    raise ValueError(f"--{name} belongs to --wado or --stow; give one, or leave it")
            return cls()  # Without an archive, wrong credentials in the environment do not matter.
        if bool(given["wado"]) != bool(given["study"]):
            missing = "study" if given["wado"] else "wado"
            raise ValueError(f"--{missing} is missing: --wado and --study belong together")
        if given["series"] and not given["study"]:
            raise ValueError("--series needs --wado and --study, which say where the series is")
        insecure = bool(given["insecure_http"])
        access = Access.from_environment(
            environ, ca_file=str(given["ca_file"]), insecure_http=insecure
        )
        places = {name: _of_option(given[name], insecure, name) for name in ("wado", "stow")}
        uids = {n: uid(given[n], f"--{n}") if given[n] else "" for n in ("study", "series")}
        said = dict.fromkeys(not_encrypted(found) for found in places.values() if found)
        return cls(**places, **uids, access=access, warnings=tuple(filter(None, said)))


_OPTIONS = ("wado", "stow", "study", "series", "ca_file", "insecure_http")


def _of_option(url: str, insecure_http: bool, name: str) -> Address | None:
    if not url:
        return None
    try:
        return address(url, insecure_http, f"--{name}")
    except ValueError as e:  # The remedy in the words of the command line.
        raise ValueError(str(e).replace("with insecure_http", "with --insecure_http")) from None


def _check_certificates(path: str) -> None:
    name = pathlib.Path(path).name
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=path)
        known = context.cert_store_stats()["x509"]
    except (OSError, ValueError):  # Errors of ssl are OSErrors as well.
        known = 0
    if not known:
        raise ValueError(
            f"ca_file {name} cannot be read, or has no certificates; give the PEM file of the "
            "authority that signed the certificate of the archive"
        )
