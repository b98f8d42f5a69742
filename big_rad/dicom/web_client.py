"""The client of an archive, and its lists of series and objects (QIDO-RS)."""

import contextlib
import dataclasses
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from big_rad.dicom.web_access import Access, Address, address, not_encrypted, uid
from big_rad.dicom.web_errors import (
    ContentError,
    NotFoundError,
    ServerError,
    SizeError,
    WebError,
)

# What a single object can fail with. With other errors, the next one would fail as well.
OF_ONE_OBJECT = (ContentError, NotFoundError, ServerError, SizeError)

_MAX_PAGES = 1000  # The most parts of one list.
_IN_A_ROW = 3  # After so many failures of the archive itself, the other objects are not tried.
_LOGGERS = ("dicomweb_client", "pydicom", "retrying", "urllib3")
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")


@dataclasses.dataclass(frozen=True)
class Found:
    """A series or an object that the archive has.

    Attributes:
        study: the StudyInstanceUID.
        series: the SeriesInstanceUID.
        instance: the SOPInstanceUID of an object, or "" for a series.
        sop_class: the SOPClassUID of an object, or "" if the archive does not say it.
        modality: such as "CT" or "SEG", or "" if the archive does not say it.
        number: the number of the series, or of the object in its series; or None.
        count: how many objects the series has, or None if the archive does not say it.
    """

    study: str = dataclasses.field(repr=False)
    series: str = dataclasses.field(repr=False)
    instance: str = dataclasses.field(default="", repr=False)
    sop_class: str = ""
    modality: str = ""
    number: int | None = None
    count: int | None = None


@dataclasses.dataclass(frozen=True)
class Client:
    """The client of the library, and the session through which it sends its requests.

    Attributes:
        archive: the address of the archive.
        session: a `web_session.Session`.
        library: a `dicomweb_client.DICOMwebClient`.
    """

    archive: Address
    session: Any
    library: Any


@contextlib.contextmanager
def connected(url: str, access: Access | None) -> Iterator[Client]:
    """Yields the client of an archive.

    Args:
        url: the root of the DICOMweb service.
        access: how the archive is reached. None takes the credentials of the environment.

    Raises:
        ValueError: the address, or a credential in the environment, is not usable.
        ImportError: dicomweb-client is not installed.
    """
    access = Access.from_environment() if access is None else access
    archive = address(url, access.insecure_http)
    if said := not_encrypted(archive):
        warnings.warn(said, stacklevel=4)
    try:
        import dicomweb_client

        from big_rad.dicom.web_session import Session
    except ImportError as e:
        raise ImportError(
            f'DICOMweb needs {e.name or "dicomweb-client"}: pip install "big_rad[dicom]"'
        ) from None
    with _silent(), Session(archive, access) as session:
        # Larger chunks than any object: the library sends what is longer in chunks, and an archive
        # behind an older proxy does not take these. UIDs are checked here.
        library = dicomweb_client.DICOMwebClient(
            archive.url, session=session, chunk_size=1 << 40, permissive_uid=True
        )
        # It would repeat requests with wrong credentials too. The session repeats what is useful.
        library.set_http_retry_params(retry=False)
        try:
            yield Client(archive, session, library)
        finally:
            for note in session.notes:
                warnings.warn(note, stacklevel=4)


def listed(client: Client, study: str, series: str | None, instance: str | None) -> list[Found]:
    """Lists the series of a study, or its objects.

    Args:
        client: the client of the archive.
        study: the StudyInstanceUID.
        series: the SeriesInstanceUID whose objects are listed, or None.
        instance: the SOPInstanceUID of an object, or None.

    Returns:
        The series of the study, if neither `series` nor `instance` is given, and objects
        otherwise, ordered by their numbers.

    Raises:
        WebError: the archive cannot be used.
    """
    client.session.doing = "the search for the study"
    single = series is None and instance is None
    filters = {"SOPInstanceUID": instance} if instance else None
    found: dict[tuple[str, str], Found] = {}
    for _ in range(_MAX_PAGES):
        options: dict[str, Any] = {"offset": len(found)} if found else {}
        if single:
            page = _page(client, client.library.search_for_series, study, **options)
        else:
            search = client.library.search_for_instances
            page = _page(client, search, study, series, search_filters=filters, **options)
        items = [_item(client, entry, study, series, not single) for entry in page]
        new = {(x.series, x.instance): x for x in items} if items else {}
        if not new.keys() - found.keys():  # Some archives ignore the offset.
            break
        found = new | found
    else:
        raise client.session.error(SizeError, "the list does not end; ask for one series")
    ordered = sorted(found.values(), key=_order)
    return [x for x in ordered if instance in (None, x.instance)]


def _page(client: Client, search: Callable, *uids: str | None, **options: Any) -> Sequence[Any]:
    # A function of its own, so that no error of the library, which quotes the answer, is chained.
    with quiet():
        try:
            found = search(*uids, **options)
        except WebError:
            raise
        except Exception:  # The library's own, and those of JSON.
            found = None
    if not isinstance(found, list):
        why = "the answer is not a list in JSON; check that the address is the DICOMweb service"
        raise client.session.error(ContentError, why)
    return found


def _item(client: Client, entry: Any, study: str, series: str | None, single: bool) -> Found:
    try:
        return Found(
            study,
            series or uid(_value(entry, "0020000E"), "SeriesInstanceUID"),
            uid(_value(entry, "00080018"), "SOPInstanceUID") if single else "",
            _checked(_value(entry, "00080016")),
            _matching(_MODALITY, _value(entry, "00080060")),
            integer(_value(entry, "00200013" if single else "00200011")),
            None if single else integer(_value(entry, "00201209")),
        )
    except ValueError:
        found = "a list of objects" if single else "a list of series"
    raise client.session.error(
        ContentError, f"the answer is not {found} with UIDs; ask who runs the archive"
    )


def _value(entry: Any, tag: str) -> Any:
    element = entry.get(tag) if isinstance(entry, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _matching(pattern: re.Pattern, value: Any) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _checked(value: Any) -> str:
    try:
        return uid(value, "SOPClassUID")
    except ValueError:
        return ""


class Faults:
    """The faults of single objects.

    An archive that only fails is given up, so that nobody waits for each of a thousand objects.

    Attributes:
        found: the faults so far.
    """

    def __init__(self):
        self.found: list[WebError] = []
        self._row = 0

    def add(self, error: WebError) -> None:
        """Adds the fault of the next object.

        Raises:
            ServerError: several objects in a row have failed because the archive fails.
        """
        self.found.append(error)
        self._row = self._row + 1 if isinstance(error, ServerError) else 0
        if self._row == _IN_A_ROW:
            raise error

    def end_row(self) -> None:
        """Says that the next object has no fault."""
        self._row = 0


def integer(value: Any) -> int | None:
    """Returns what an archive wrote as a number, or None."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _order(item: Found) -> tuple:
    numbered = item.number is None, item.number or 0
    return *numbered, item.series, item.instance


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps libraries from warning and logging, because both quote addresses and values."""
    with _silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    levels = [(log, log.level) for log in map(logging.getLogger, _LOGGERS)]
    try:
        for log, _ in levels:
            log.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for log, level in levels:
            log.setLevel(level)
