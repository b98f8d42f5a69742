"""Exceptions for archives that cannot be used over DICOMweb.

Each message names the host of the archive, what failed and the remedy. It never holds a path or a
query of the address, a credential, an identifier or anything that the archive wrote, because all of
these may name a patient or open the archive.
"""


class WebError(OSError):
    """The archive cannot be used; the subclasses say why.

    Attributes:
        temporary: Whether the same request may succeed a little later.
        wait: The seconds that the archive asks to wait before the next request, or 0.
    """

    def __init__(self, message: str, *, temporary: bool = False, wait: float = 0.0):
        super().__init__(message)
        self.temporary, self.wait = temporary, wait


class UnreachableError(WebError):
    """There is no connection to the archive, or its answer does not come."""


class TLSError(WebError):
    """The connection cannot be encrypted, or the certificate of the archive is not trusted."""


class AccessError(WebError):
    """The archive does not accept the credentials, or does not allow what was asked for."""


class NotFoundError(WebError):
    """The archive does not have what was asked for, or there is no DICOMweb at the address."""


class ContentError(WebError):
    """The answer is of another type than asked for, is truncated, or is not the object."""


class SizeError(WebError):
    """The answer, or an object that is sent, is larger than the limit."""


class RedirectError(WebError):
    """The archive sends the request to an address where it must not go."""


class ServerError(WebError):
    """The archive reports a failure of its own, or a status that is not expected."""
