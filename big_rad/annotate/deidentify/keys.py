"""Pseudonyms, UIDs and shifted dates, which all depend on one secret key.

    keys = Keys.load("out/secret.key")
    keys.pseudonym("patient", "4711")     # 20 hexadecimal digits, the same at every run

Whoever has the key can test whether a pseudonym belongs to a patient whose number is known, so the
key stays in the hospital. Without the key a pseudonym says nothing.
"""

import contextlib
import datetime
import hashlib
import hmac
import os
import pathlib
import re
import secrets
import stat

from big_rad.annotate.faults import Rejected
from big_rad.grounding.unicode import nfc

MOST_DAYS = 3650  # The most days by which dates go back; the least is 1.
_SIZE = 32  # In bytes.
_HEAD = "big_rad key 1"
_FILE = re.compile(rf"{_HEAD}\n([0-9a-f]{{64}})\n([0-9a-f]{{8}})\n")
_MAX_FILE = 1 << 10
_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")


class KeyFileError(ValueError):
    """The file of the key cannot be used. The message names the file and says what to do."""


class Keys:
    """Derives everything that stands for a patient from a secret key, by HMAC-SHA256.

    The parts of what is coded are preceded by their lengths, and each use has a domain of its own.
    So ("ab", "c") and ("a", "bc") differ, and so do a pseudonym and a UID of the same parts.

    Args:
        secret: 32 random bytes.
    """

    def __init__(self, secret: bytes):
        if len(secret) != _SIZE:
            raise ValueError(f"secret has {len(secret)} bytes; it needs {_SIZE}")
        self._secret = bytes(secret)

    def __repr__(self) -> str:
        return f"Keys(fingerprint={self.fingerprint})"

    def __reduce__(self):
        raise TypeError("a key is never pickled, so that it gets into no other file; load it again")

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "Keys":
        """Reads the key from a file, which is made if it does not exist.

        Two programs that begin at the same time get the same key.

        Args:
            path: the file. Only its owner may read it.

        Raises:
            KeyFileError: the file is damaged, others may read it, or it cannot be read or written.
        """
        path = pathlib.Path(path)
        try:
            if not path.exists():
                _create(path)
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(_MAX_FILE)
        except OSError as e:
            raise KeyFileError(
                f"{path.name}: the key cannot be read or written ({type(e).__name__}); check the "
                "folder and its permissions"
            ) from None
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path.name}: is no file; give the file of the key")
        if os.name == "posix" and status.st_mode & 0o077:
            raise KeyFileError(
                f"{path.name}: others than its owner may read the key; run chmod 600 on it, and "
                "keep it on a disk that has permissions"
            )
        match = _FILE.fullmatch(content.decode("ascii", "replace"))
        if not match or match[2] != _checksum(match[1]):
            raise KeyFileError(
                f"{path.name}: the key is damaged; bring back a copy of it. With a new key every "
                "pseudonym would change, so a new one is only made if the file is removed"
            )
        return cls(bytes.fromhex(match[1]))

    def pseudonym(self, kind: str, *parts: str) -> str:
        """Returns 20 hexadecimal digits that stand for something named by its parts.

        Args:
            kind: what is named, such as "patient". The same parts have another pseudonym under
                another kind.
            *parts: the names. Composed and decomposed spellings are the same name.
        """
        return self._mac("pseudonym", kind, *map(nfc, parts)).hex()[:20]

    def uid(self, *parts: str) -> str:
        """Returns a DICOM UID, "2.25." and a number of 128 bits, that depends on the parts."""
        return f"2.25.{int.from_bytes(self._mac('uid', *map(nfc, parts))[:16], 'big')}"

    def digest(self, *parts: str | bytes) -> str:
        """Returns 64 hexadecimal digits, for the keys of contents that may name a patient."""
        return self._mac("digest", *parts).hex()

    def shifted(self, date: str, patient: str) -> str:
        """Returns a date some days earlier, the same number of days for all dates of a patient.

        Args:
            date: "YYYYMMDD" or "YYYY-MM-DD"; "" stays "".
            patient: the patient, as in the manifest.

        Returns:
            The earlier date in the same notation.

        Raises:
            Rejected: this is no date. The message does not quote it.
        """
        if not date:
            return ""
        match = _DATE.fullmatch(date)
        days = int.from_bytes(self._mac("days", nfc(patient))[:8], "big") % MOST_DAYS + 1
        try:
            year, _, month, day = match.groups()
            moved = datetime.date(int(year), int(month), int(day)) - datetime.timedelta(days)
        except (AttributeError, ValueError, OverflowError):
            raise Rejected("a date is not a day that exists, as YYYY-MM-DD") from None
        return moved.isoformat().replace("-", match[2])

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that tell two keys apart and may be published."""
        return self._mac("fingerprint").hex()[:12]

    def _mac(self, domain: str, *parts: str | bytes) -> bytes:
        coded = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in (f"big_rad.annotate {domain}", *parts):
            kind = b"t" if isinstance(part, str) else b"b"
            raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            coded.update(b"%s%d:" % (kind, len(raw)))
            coded.update(raw)
        return coded.digest()


def _checksum(digits: str) -> str:
    return hashlib.sha256(digits.encode()).hexdigest()[:8]


def _create(path: pathlib.Path) -> None:
    """Makes the file whole, readable by its owner only, unless another program was faster."""
    digits = secrets.token_hex(_SIZE)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        number = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(f"{_HEAD}\n{digits}\n{_checksum(digits)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link does not replace a key that appeared meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    except OSError:
        if path.exists() or not partial.exists():
            raise
        os.rename(partial, path)  # A disk without links.
    finally:
        partial.unlink(missing_ok=True)
