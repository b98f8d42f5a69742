"""Sends DICOM objects to an archive (STOW-RS)."""

import copy
import dataclasses
import pathlib
from collections.abc import Iterable

import pydicom

from big_rad.dicom import unpack, web_reasons
from big_rad.dicom.errors import MissingElementError, NotAnImageError
from big_rad.dicom.web_access import Access
from big_rad.dicom.web_client import OF_ONE_OBJECT, Client, Faults, connected, quiet
from big_rad.dicom.web_errors import ContentError, WebError

MAX_BYTES = unpack.MAX_BYTES


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
    stored, failed, changed, faults = [], [], [], Faults()
    with connected(url, access) as client:
        for number, item in enumerate(objects, 1):
            client.session.doing = f"storing object {number} of {len(objects)}"
            dataset = _load(item, number)
            name = str(dataset.SOPInstanceUID)
            refused, remark = _send_one(client, dataset, name, faults)
            if refused:
                failed.append(Failure(number, refused[1], refused[0], name))
            else:
                stored.append(name)
            if remark:
                changed.append(Failure(number, remark[1], remark[0], name))
    sent = Sent(tuple(stored), tuple(failed), tuple(changed))
    if failed and errors == "raise":
        reasons = "; ".join(f"object {f.number}: {f.reason}" for f in failed)
        count = f"{len(failed)} of {len(objects)} objects were not stored"
        raise RefusedError(f"{client.archive.name}: {count}. {reasons}", sent)
    return sent


def _send_one(
    client: Client, dataset: pydicom.Dataset, name: str, faults: Faults
) -> tuple[web_reasons.Reason | None, web_reasons.Reason | None]:
    # Returns why the object was not stored, and a remark about one that was.
    try:
        reply = _store(client, dataset)
    except OF_ONE_OBJECT as e:
        faults.add(e)
        return (None, str(e)), None
    faults.end_row()
    with quiet():  # pydicom decodes the report only now.
        return web_reasons.of_reply(reply, name)


def _load(item: str | pathlib.Path | pydicom.Dataset, number: int) -> pydicom.Dataset:
    """Returns an object that is sent."""
    if not isinstance(item, pydicom.Dataset):
        item = _read(pathlib.Path(item), number)
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


def _read(path: pathlib.Path, number: int) -> pydicom.Dataset | None:
    with quiet():
        try:
            size = path.stat().st_size
            if size <= MAX_BYTES:
                return pydicom.dcmread(path)
        except OSError as e:
            why = f"object {number}: cannot be opened ({type(e).__name__}); check the path"
        except Exception:  # The errors of pydicom may quote the file.
            return None
        else:
            why = f"object {number}: more than {MAX_BYTES} bytes; do not send it"
    raise NotAnImageError(why)


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
