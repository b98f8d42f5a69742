"""Fetches images from archives, and sends results to them, over DICOMweb.

    fetched = fetch(url, study="1.2.840...", folder="study")
    results = predict(fetched.paths)
    send(url, results)
    find(url, study="1.2.840...")  # the series of the study, with the new ones

The credentials come from environment variables (`web_access.Access`). Messages, logs and `repr`
hold no credentials, no identifiers and nothing that the archive wrote. It needs the library
dicomweb-client, which is optional: `pip install "big_rad[dicom]"`. Call it from one thread at a
time, because it keeps the libraries from logging meanwhile.
"""

from big_rad.dicom.web_access import Access, Options, uid
from big_rad.dicom.web_client import Found, connected, listed
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
from big_rad.dicom.web_fetch import Fetched, fetch
from big_rad.dicom.web_send import Failure, RefusedError, Sent, send

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
