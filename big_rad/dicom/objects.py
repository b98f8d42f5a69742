"""What the DICOM objects that we write have in common: who made them, their UIDs, their bytes.

The same input gives the same bytes. UIDs are derived from what the object is about, and no date is
taken from the clock. highdicom, which builds the objects, takes some from the clock and draws a few
UIDs; `finish` replaces them.

Warnings, logs and errors of highdicom and pydicom quote values of the header, such as the name of
the patient. So both run inside `guarded`, which lets none of that out.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import importlib
import io
import logging
import pathlib
import threading
import traceback
import types
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pydicom
from pydicom.config import RAISE
from pydicom.valuerep import DA, DT, TM, validate_value

from big_rad.dicom.codes import Code
from big_rad.dicom.errors import MissingPackageError, WriteError

NOTE = "AI output, unverified; not for diagnostic use"
MANUFACTURER = "big_rad"
LANGUAGES = {"en": "English", "de": "German"}
LONGEST = 64  # The most characters of a text of the value representation LO.
_PACKAGES = ("highdicom", "pydicom")
CHARACTER_SET = "ISO_IR 192"  # UTF-8
_TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
_STRICT = ("AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI")  # Not texts.
_LOCK = threading.RLock()  # Filters of warnings belong to the whole process.


@dataclasses.dataclass(frozen=True)
class Origin:
    """What made a result, from what, and when.

    UIDs are derived from `fingerprint` and `options`. So `options` must name everything else that
    the result depends on: otherwise two different objects would have the same UID.

    Attributes:
        algorithm: the name of the model.
        version: the version of the software.
        fingerprint: the fingerprint of the checkpoint.
        options: the task, the question and all other options, as one text.
        created: the date and time of the content. Take that of the source (`sources.created`) or
            any other that is the same each time.
        language: "en" or "de", the language of the phrases.

    Raises:
        WriteError: the language is unknown, a name is empty, or there is no date.
    """

    algorithm: str
    version: str
    fingerprint: str
    options: str
    created: datetime.datetime
    language: str = "en"

    def __post_init__(self):
        if self.language not in LANGUAGES:
            raise WriteError(f"language is {self.language!r}; it is one of {sorted(LANGUAGES)}")
        empty = [k for k in ("algorithm", "version", "fingerprint") if not getattr(self, k).strip()]
        if empty:
            raise WriteError(f"{', '.join(empty)}: empty; a DICOM object says what made it")
        if not isinstance(self.created, datetime.datetime):
            raise WriteError(
                "created: no date and time; if the source has none, give one that is the same each "
                "time"
            )


@dataclasses.dataclass(frozen=True)
class Written:
    """A DICOM object that was made.

    Attributes:
        dataset: the object, which names the patient; it is not in the `repr`.
        remarks: sentences about everything that was left out, filled in or shortened. They hold no
            value of the source's header.
    """

    dataset: pydicom.Dataset = dataclasses.field(repr=False)
    remarks: tuple[str, ...] = ()

    def content(self) -> bytes:
        """Returns the bytes of the object's file."""
        out = io.BytesIO()
        with guarded("this object"):
            self.dataset.save_as(out, enforce_file_format=True)
        return out.getvalue()

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the object to a file; a file of this name is replaced."""
        pathlib.Path(path).write_bytes(self.content())


def uid(origin: Origin, sources: Sequence[str], role: str) -> str:
    """Returns a UID that depends on nothing but the arguments.

    It is "2.25." and the first 128 bits of a SHA-256, as a number (PS3.5 B.2).

    Args:
        origin: its fingerprint and its options count.
        sources: the SOPInstanceUIDs of the source images.
        role: what the UID is for, such as "SEG series".
    """
    parts = (*sources, origin.fingerprint, origin.options, role)
    # Each part is preceded by its length, so that no two lists of parts are the same bytes.
    coded = [part.encode() for part in parts]
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in coded)).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def long_string(text: str) -> str:
    """Returns a text as one value of the representation LO: one line, at most 64 characters.

    A backslash, which would separate values, becomes a slash.
    """
    line = " ".join(text.replace("\\", "/").split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"


def package(name: str = "") -> types.ModuleType:
    """Returns the package highdicom or one of its modules.

    Args:
        name: the module, such as "seg"; "" for the package itself.

    Raises:
        MissingPackageError: highdicom is not installed.
    """
    try:
        found = importlib.import_module("highdicom")
        return importlib.import_module(f"highdicom.{name}") if name else found
    except ModuleNotFoundError as e:
        if (e.name or "").split(".")[0] != "highdicom":
            raise
        raise MissingPackageError(
            "DICOM SEG and SR are written with highdicom, which is not installed; install it with "
            "pip install 'big_rad[dicom]'"
        ) from None


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Runs highdicom or pydicom so that nothing that they say of a header gets out.

    Args:
        what: the object, for the error.

    Raises:
        WriteError: the block raised an exception of another kind. The error names that kind and
            the line that raised it, but not its text, which may quote the header.
    """
    failed = ""
    with _LOCK, warnings.catch_warnings(), _silenced():
        warnings.simplefilter("ignore")
        try:
            yield
        except (WriteError, MemoryError):
            raise
        except Exception as e:
            place = traceback.extract_tb(e.__traceback__)[-1]
            file = "/".join(pathlib.Path(place.filename).parts[-3:])
            failed = f"{type(e).__name__} in {file}, line {place.lineno}"
    if failed:
        error = WriteError(
            f"{what} cannot be written ({failed}): an attribute in the header of the source is not "
            "what the standard allows; check the source with dciodvfy, or write without DICOM"
        )
        try:
            raise error from None
        finally:
            error.__context__ = None  # Else the first error, with its text, would travel along.


def concept(code: Code) -> Any:
    """Returns a code as highdicom's `CodedConcept`."""
    return package("sr").CodedConcept(code.value, code.scheme, code.meaning)


def algorithm(origin: Origin) -> Any:
    """Returns what made a result as highdicom's `AlgorithmIdentificationSequence`."""
    return package().AlgorithmIdentificationSequence(
        name=long_string(origin.algorithm),
        family=concept(Code("123110", "Artificial Intelligence", "DCM")),
        version=long_string(origin.version),
    )


def equipment(origin: Origin) -> dict[str, Any]:
    """Returns the arguments for what every object says about its maker, its date and its text."""
    return dict(
        manufacturer=MANUFACTURER,
        manufacturer_model_name=long_string(origin.algorithm),
        software_versions=long_string(origin.version),
        device_serial_number=long_string(origin.fingerprint),
        specific_character_set=CHARACTER_SET,
        content_date=origin.created.date(),
        content_time=origin.created.time(),
    )


def finish(made: pydicom.Dataset, origin: Origin) -> tuple[str, ...]:
    """Corrects what highdicom took from the clock, and what the source says wrongly.

    Args:
        made: the object, which is changed.
        origin: its date and time are those of the object.

    Returns:
        A remark about each attribute that was copied from the source and is left out, because the
        standard does not allow its value. Texts stay as they are.
    """
    date, time = DA(origin.created.date()), TM(origin.created.time())
    for prefix in ("InstanceCreation", "Content"):
        if f"{prefix}Date" in made:
            setattr(made, f"{prefix}Date", date)
            setattr(made, f"{prefix}Time", time)
    if "DateOfSecondaryCapture" in made:
        made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = date, time
    # The last item is highdicom itself; an item before it is the scanner, with a date of its own.
    made.ContributingEquipmentSequence[-1].ContributionDateTime = DT(origin.created)
    wrong = [e.keyword for e in made if e.VR in _STRICT and not _allowed(e)]
    for keyword in wrong:
        delattr(made, keyword)
    _say_character_sets(made)
    return tuple(
        f"{keyword} of the source is not what the standard allows; it is left out"
        for keyword in wrong
    )


def _say_character_sets(ds: pydicom.Dataset) -> None:
    """Adds the character set to each item of a sequence that has a text beyond ASCII.

    By the standard an item has the character set of the object that it is in. But dcmjs 0.52, with
    which OHIF reads files, takes such items for Latin-1 (seen in a test).
    """
    for element in ds:
        if element.VR != "SQ":
            continue
        for item in element.value:
            _say_character_sets(item)
            texts = (str(e.value) for e in item if e.VR in _TEXTS)
            if not all(text.isascii() for text in texts):
                item.add_new("SpecificCharacterSet", "CS", CHARACTER_SET)


def _allowed(element: pydicom.DataElement) -> bool:
    values = element.value if element.VM > 1 else [element.value]
    try:
        for value in values:
            text = getattr(value, "original_string", value)
            validate_value(element.VR, None if text is None else str(text), RAISE)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    loggers = [
        logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and name.split(".")[0] in _PACKAGES
    ]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
    finally:
        for logger, disabled in zip(loggers, before):
            logger.disabled = disabled
