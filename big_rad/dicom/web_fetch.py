"""Fetches the objects of a study or series from an archive into a folder (WADO-RS)."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from big_rad.dicom import unpack, web_parts
from big_rad.dicom.errors import MissingElementError, ReadError
from big_rad.dicom.web_access import Access, uid
from big_rad.dicom.web_client import (
    OF_ONE_OBJECT,
    Client,
    Faults,
    Found,
    connected,
    integer,
    listed,
)
from big_rad.dicom.web_errors import ContentError, NotFoundError, SizeError, WebError

MAX_BYTES = unpack.MAX_BYTES  # The most bytes of an object; a larger one could not be read.
_ENVELOPE = 1 << 16  # What may come in addition to the object in one answer, in bytes.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What `fetch` has brought.

    Attributes:
        paths: the files of all objects that are there, in the order of the archive's lists.
        new: how many of them were fetched now.
        kept: how many of them were there and whole.
        failed: the errors of the objects that could not be fetched.
    """

    paths: tuple[pathlib.Path, ...] = dataclasses.field(repr=False)
    new: int
    kept: int
    failed: tuple[WebError, ...] = ()


def fetch(
    url: str,
    *,
    study: str,
    folder: str | pathlib.Path,
    series: str | None = None,
    access: Access | None = None,
    max_bytes: int = MAX_BYTES,
    errors: str = "raise",
    done: Callable[[int, int], None] = lambda count, total: None,
) -> Fetched:
    """Fetches the objects of a study or series into a folder, one after the other.

    An object becomes `series-<hash>/<hash>.dcm`; the hashes are those of its UIDs. Files appear
    whole or not at all. Those that are there and whole are kept, so an interrupted call goes on
    where it was. Objects go to the disk piece by piece, byte for byte as the archive sends them.

    Args:
        url: the root of the DICOMweb service, such as "https://pacs.example.org/dicom-web".
        study: the StudyInstanceUID.
        folder: where the files are written. It is made if it is missing.
        series: the SeriesInstanceUID; None fetches all series of the study.
        access: how the archive is reached. None takes the credentials of the environment.
        max_bytes: the largest object that is fetched.
        errors: "raise" or "return". In both cases all objects are tried. If one of them is too
            large, damaged or missing, "raise" then raises its error, and "return" returns it.
        done: a function that is called after each object with the number of finished objects and
            of all.

    Returns:
        What was fetched.

    Raises:
        ValueError: an argument, or a credential in the environment, is not usable.
        WebError: the archive cannot be used; see the subclasses.
        OSError: a file cannot be written.
        ImportError: dicomweb-client is not installed.
    """
    if errors not in ("raise", "return"):
        raise ValueError('errors is "raise" or "return"')
    study = uid(study, "study")
    series = uid(series, "series") if series else None
    with connected(url, access) as client:
        wanted = _objects(client, study, series)
        paths, kept, faults = [], 0, Faults()
        for place, item in enumerate(wanted, 1):
            path = pathlib.Path(
                folder, _series_name(item.series), f"{_hash(item.instance, 16)}.dcm"
            )
            client.session.doing = f"fetching object {place} of {len(wanted)}"
            try:
                if _is_whole(path, item.instance):
                    kept += 1
                else:
                    _fetch_one(client, item, path, max_bytes)
                paths.append(path)
                faults.end_row()
            except OF_ONE_OBJECT as e:
                faults.add(e)
            done(place, len(wanted))
    if faults.found and errors == "raise":
        raise faults.found[0]
    return Fetched(tuple(paths), len(paths) - kept, kept, tuple(faults.found))


def _objects(client: Client, study: str, series: str | None) -> list[Found]:
    """Lists everything that is fetched."""
    every = [series] if series else [x.series for x in listed(client, study, None, None)]
    found = [x for one in every for x in listed(client, study, one, None)]
    if not found:
        why = "the archive has no such study or series, or hides it from this user; check the UIDs"
        raise client.session.error(NotFoundError, why)
    return found


def _fetch_one(client: Client, item: Found, path: pathlib.Path, max_bytes: int) -> None:
    """Writes one object to its file."""
    session = client.session
    partial = path.with_name(path.name + ".partial")
    where = f"{client.archive.url}/studies/{item.study}/series/{item.series}"

    def receive(response: Any, pieces: Iterator[bytes]) -> None:
        _check_length(session, response, max_bytes)
        size = 0
        with partial.open("wb") as file:
            for piece in _content(session, response, pieces):
                size += len(piece)
                if size > max_bytes:
                    raise _too_large(session, max_bytes)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if (fault := _fault(partial, item.instance)) is not None:
            why = f"what came is not the whole object ({fault[0]}); try again, or ask who runs it"
            raise session.error(ContentError, why, temporary=fault[1])

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        session.download(f"{where}/instances/{item.instance}", _ACCEPT, receive)
        partial.replace(path)
    except WebError:
        raise
    except OSError as e:  # The error of a write does not name the file.
        why = f"{e.strerror}; free some space or look after the folder"
        raise OSError(e.errno, why, path.name) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _content(session: Any, response: Any, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the object in an answer."""
    from big_rad.dicom.web_session import content_type, media_type

    kind = media_type(response)
    if kind == "application/dicom":  # Some archives send the object without an envelope.
        yield from pieces
        return
    stated = content_type(response.headers.get("Content-Type", ""))
    boundary = stated.get_boundary()
    if kind != "multipart/related" or not boundary:
        raise session.wrong_type(response, "multipart/related with a DICOM object")
    fault = None
    try:
        yield from web_parts.only_part(pieces, boundary.encode())
    except web_parts.EnvelopeError as e:
        fault = e
    if fault is not None:
        why = f"{fault}; try again, or ask who runs the archive"
        raise session.error(ContentError, why, temporary=fault.truncated)


def _check_length(session: Any, response: Any, max_bytes: int) -> None:
    stated = integer(response.headers.get("Content-Length"))
    if stated is not None and stated > max_bytes + _ENVELOPE:
        raise _too_large(session, max_bytes)


def _too_large(session: Any, max_bytes: int) -> WebError:
    why = f"it has more than {max_bytes} bytes; raise max_bytes, or leave its series out"
    return session.error(SizeError, why)


def _is_whole(path: pathlib.Path, instance: str) -> bool:
    return path.is_file() and _fault(path, instance) is None


def _fault(path: pathlib.Path, instance: str) -> tuple[str, bool] | None:
    # Returns what is wrong with a file, and whether another try may help.
    try:
        web_parts.check_whole(path, instance)
    except MissingElementError:
        return "truncated, or without its transfer syntax", True
    except ReadError as e:
        return str(e).partition(": ")[2].partition(";")[0], False
    return None


def _series_name(series: str) -> str:
    return f"series-{_hash(series, 12)}"


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
