"""Fetches images from archives, and sends results to them, over DICOMweb.

    fetched = fetch(url, study="1.2.840...", folder="study")
    results = predict(fetched.paths)
    send(url, results)
    find(url, study="1.2.840...")  # the series of the study, with the new ones

The credentials come from environment variables (`web_access.Access`). Messages, logs and `repr`
hold no credentials, no identifiers and nothing that the archive wrote. It needs the library
dicomweb-client, which is optional: `pip install "big_rad[dicom]"`.
"""

import copy
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pydicom

from big_rad.dicom import unpack, web_parts, web_reasons
from big_rad.dicom.errors import MissingElementError, NotAnImageError, ReadError
from big_rad.dicom.web_access import Access, Options, uid
from big_rad.dicom.web_client import Client, Found, connected, integer, listed, quiet
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

__all__ = [
    "Access",
    "AccessError",
    "ContentError",
    "Failure",
    "Fetched",
    "Found",
    "NotFoundError",
    "Options",
    "RedirectError",
    "RefusedError",
    "Sent",
    "ServerError",
    "SizeError",
    "TLSError",
    "UnreachableError",
    "WebError",
    "fetch",
    "find",
    "send",
]

MAX_BYTES = unpack.MAX_BYTES  # The most bytes of an object; a larger one could not be read.
_ENVELOPE = 1 << 16  # What may come in addition to the object in one answer, in bytes.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_OWN_FAULT = (ContentError, NotFoundError, ServerError, SizeError)  # Others fail in the same way.
_IN_A_ROW = 3  # After so many failures of the archive itself, the other objects are not tried.


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


@dataclasses.dataclass(frozen=True)
class Failure:
    """An object that the archive did not store, or has changed.

    Attributes:
        number: which of the objects it is, from 1.
        reason: why, in words.
        code: the FailureReason or WarningReason of DICOM, or None.
        sop_instance_uid: the object. It must not be shown.
    """

    number: int
    reason: str
    code: int | None = None
    sop_instance_uid: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True)
class Sent:
    """What became of the objects that `send` has sent.

    Attributes:
        stored: the SOPInstanceUIDs of the objects that the archive has stored.
        failed: the objects that it has not stored.
        changed: the objects that it has stored with a remark.
    """

    stored: tuple[str, ...] = dataclasses.field(repr=False)
    failed: tuple[Failure, ...] = ()
    changed: tuple[Failure, ...] = ()


class RefusedError(WebError):
    """The archive did not store some objects.

    Attributes:
        sent: what became of all objects.
    """

    def __init__(self, message: str, sent: Sent):
        super().__init__(message)
        self.sent = sent


def find(
    url: str,
    *,
    study: str,
    series: str | None = None,
    instance: str | None = None,
    access: Access | None = None,
) -> list[Found]:
    """Lists the series of a study, or its objects.

    Args:
        url: the root of the DICOMweb service, such as "https://pacs.example.org/dicom-web".
        study: the StudyInstanceUID.
        series: the SeriesInstanceUID of the series whose objects are listed.
        instance: the SOPInstanceUID of an object, to see whether the archive has it.
        access: how the archive is reached. None takes the credentials of the environment.

    Returns:
        The series of the study, if neither `series` nor `instance` is given, and objects
        otherwise. The list is empty if the archive has none.

    Raises:
        ValueError: an argument, or a credential in the environment, is not usable.
        WebError: the archive cannot be used; see the subclasses.
        ImportError: dicomweb-client is not installed.
    """
    study = uid(study, "study")
    series = uid(series, "series") if series else None
    instance = uid(instance, "instance") if instance else None
    with connected(url, access) as client:
        return listed(client, study, series, instance)


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
        paths, kept, faults = [], 0, _Faults()
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
            except _OWN_FAULT as e:
                faults.add(e)
            done(place, len(wanted))
    if faults.found and errors == "raise":
        raise faults.found[0]
    return Fetched(tuple(paths), len(paths) - kept, kept, tuple(faults.found))


def send(
    url: str,
    objects: Iterable[str | pathlib.Path | pydicom.Dataset],
    *,
    access: Access | None = None,
    errors: str = "raise",
) -> Sent:
    """Sends DICOM objects, such as the results of a prediction, to an archive.

    Each object is a request of its own, so the archive can refuse one and store the others. An
    object that the archive has already is not an error for most archives.

    Args:
        url: the root of the DICOMweb service, such as "https://pacs.example.org/dicom-web".
        objects: the files of the objects, or the objects as pydicom's datasets with file meta
            information.
        access: how the archive is reached. None takes the credentials of the environment.
        errors: "raise" or "return". In both cases all objects are sent. If some are not stored,
            "raise" then raises a RefusedError.

    Returns:
        What became of the objects.

    Raises:
        ValueError: an argument, or a credential in the environment, is not usable.
        ReadError: a file is not a DICOM object. Nothing was sent.
        RefusedError: the archive did not store all objects.
        WebError: the archive cannot be used; see the subclasses.
        ImportError: dicomweb-client is not installed.
    """
    if errors not in ("raise", "return"):
        raise ValueError('errors is "raise" or "return"')
    if isinstance(objects, (str, pathlib.Path, pydicom.Dataset)):
        objects = [objects]
    objects = list(objects)
    for number, item in enumerate(objects, 1):
        _load(item, number)
    stored, failed, changed, faults = [], [], [], _Faults()
    with connected(url, access) as client:
        for number, item in enumerate(objects, 1):
            client.session.doing = f"storing object {number} of {len(objects)}"
            dataset = _load(item, number)
            name, refused, remark = str(dataset.SOPInstanceUID), None, None
            try:
                refused, remark = web_reasons.of_reply(_store(client, dataset), name)
                faults.end_row()
            except _OWN_FAULT as e:
                faults.add(e)
                refused = None, str(e)
            if refused:
                failed.append(Failure(number, refused[1], refused[0], name))
                continue
            stored.append(name)
            if remark:
                changed.append(Failure(number, remark[1], remark[0], name))
        sent = Sent(tuple(stored), tuple(failed), tuple(changed))
        if failed and errors == "raise":
            reasons = "; ".join(f"object {f.number}: {f.reason}" for f in failed)
            raise RefusedError(
                f"{client.archive.name}: {len(failed)} of {len(objects)} objects were not stored. "
                f"{reasons}",
                sent,
            )
    return sent


class _Faults:
    # Faults of single objects. An archive that only fails is given up, instead of waiting for each
    # of a thousand objects.
    def __init__(self):
        self.found: list[WebError] = []
        self._row = 0

    def add(self, error: WebError) -> None:
        self.found.append(error)
        self._row = self._row + 1 if isinstance(error, ServerError) else 0
        if self._row == _IN_A_ROW:
            raise error

    def end_row(self) -> None:
        self._row = 0


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
    path.parent.mkdir(parents=True, exist_ok=True)
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
        session.download(f"{where}/instances/{item.instance}", _ACCEPT, receive)
        partial.replace(path)
    finally:
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


def _load(item: str | pathlib.Path | pydicom.Dataset, number: int) -> pydicom.Dataset:
    """Returns an object that is sent."""
    if not isinstance(item, pydicom.Dataset):
        if pathlib.Path(item).stat().st_size > MAX_BYTES:
            raise SizeError(f"object {number} has more than {MAX_BYTES} bytes; do not send it")
        with quiet():
            try:
                item = pydicom.dcmread(item)
            except OSError:
                raise
            except Exception:  # The errors of pydicom may quote the file.
                item = None
    if item is None or not getattr(item, "file_meta", None):
        raise NotAnImageError(
            f"object {number}: not a DICOM object; give the files that a prediction has written"
        )
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not item.get(keyword):
            raise MissingElementError(
                f"object {number}: no {keyword}; give the files that a prediction has written"
            )
    if not getattr(item, "preamble", None):  # pydicom would write no DICOM file without one.
        item = copy.copy(item)
        item.preamble = bytes(128)
    return item


def _store(client: Client, dataset: pydicom.Dataset) -> pydicom.Dataset:
    with quiet():
        try:
            return client.library.store_instances([dataset])
        except OSError:
            raise
        except Exception:  # The library and pydicom quote the object or the answer.
            pass
    why = "the object cannot be written, or the answer is no report of DICOM; ask who runs it"
    raise client.session.error(ContentError, why)
