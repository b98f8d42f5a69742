"""Decides of each value in a header or a file name what it is: a name, a number, a date, a place.

A value of another kind, such as "Abdomen" or "CT", must not become an identifier, because
its word would be taken out of every report of the study.
"""

import dataclasses
import re
from typing import Any

import pydicom

from big_rad.annotate.deidentify import dates, patterns, spelling, words
from big_rad.dicom import objects
from big_rad.grounding import mentions
from big_rad.grounding.unicode import nfc

MOST_CHARACTERS = 1 << 18  # The most characters of a value that are looked at.
_LONG = 4096  # A longer value is read only where it may name somebody.
_AROUND = re.compile(r"(?i)(?:patient|name|physician|operator)")
_MOST_ELEMENTS = 20_000
_MOST_DEPTH = 16
_MOST_ITEMS = 4096
_NUMBERS = frozenset(
    """
    PatientID OtherPatientIDs AccessionNumber StudyID AdmissionID ServiceEpisodeID
    MedicalRecordLocator PatientTelephoneNumbers InsurancePlanIdentification PlateID CassetteID
    DeviceSerialNumber DetectorID GantryID RequestedProcedureID ScheduledProcedureStepID
    PerformedProcedureStepID FillerOrderNumberImagingServiceRequest StorageMediaFileSetID
    PlacerOrderNumberImagingServiceRequest IssueDateOfImagingServiceRequest
    ReferringPhysicianTelephoneNumbers OrderCallbackPhoneNumber StationName DeviceUID SpecimenUID
    StudyInstanceUID SeriesInstanceUID SOPInstanceUID FrameOfReferenceUID DeidentificationMethod
    ClinicalTrialSubjectID ClinicalTrialSubjectReadingID OriginalPatientID UniqueDeviceIdentifier
    """.split()
) - {"DeidentificationMethod"}
_PLACES = frozenset(
    """
    InstitutionName InstitutionAddress InstitutionalDepartmentName PatientAddress
    PatientMotherBirthName CountryOfResidence RegionOfResidence ReferringPhysicianAddress
    RequestingService CurrentPatientLocation PatientInstitutionResidence IssuerOfPatientID
    IssuerOfAdmissionID StationAETitle RetrieveAETitle ScheduledStationAETitle
    PerformedStationAETitle PerformedStationName PerformedLocation ScheduledStationName
    ScheduledProcedureStepLocation BranchOfService MilitaryRank ClinicalTrialSiteName
    ClinicalTrialSiteID ClinicalTrialSponsorName OrderEntererLocation EthnicGroup Occupation
    PatientReligiousPreference
    """.split()
)
_NAMES = frozenset(
    """
    PatientMotherBirthName PatientBirthName OtherPatientNames PersonName ResponsibleOrganization
    """.split()
) - {"ResponsibleOrganization"}
# Codes, such as "HFS", and the maker of the device; they name nobody.
_NOTHING = frozenset(
    """
    Manufacturer ManufacturerModelName SoftwareVersions SpecificCharacterSet Modality CodeMeaning
    CodeValue CodingSchemeDesignator CodingSchemeVersion ImplementationVersionName ConvolutionKernel
    SequenceName BodyPartExamined TransmitCoilName ReceiveCoilName FilterType
    """.split()
)
_TEXTS = ("LO", "SH", "ST", "LT", "UT", "UC", "UN", "AE", "OB")
_PARTS = re.compile(r"[\^=,;\s]+")
_SPLIT = re.compile(r"[^\W_]+")
_CARET = re.compile(r"[^\W\d_][\w'. -]{0,63}(?:\^[\w'. -]{0,64}){1,5}")
_LAST_FIRST = re.compile(
    r"(?:^|[:;(][ ]?)([A-Z][\w'-]{1,40}),[ ]?([A-Z][\w'-]{1,40})(?=$|[ ]?[;)\n.])"
)
# How many nouns of medicine end, and few names.
_MEDICAL = re.compile(
    r".*(?:metasta|karzinom|carcinom|lymph|tumor|fraktur|fractur|vergroesser).*|"
    r".{2,}(?:ung|ungen|keit|heit|schaft|tion|tions|itis|ose|osen|osis|ektomie|ectomy|pathie|pathy|"
    r"graphie|graphy|skopie|scopy|karzinom|karzinome|carcinoma|metastas\w{1,3}|schmerz\w{0,3}|zysten?|"
    r"tumore?n?|logie|logy|ismus|aemie|emia|phase|fenster|schichten?|gramm|sequenz|diagnos\w{1,3})"
)
_QUOTED = re.compile(r"(?i)Name\W{1,24}\"([^\"\n]{3,64})\"")
_YEAR = re.compile(r"(?:19|20)\d\d")
_SIZE = re.compile(r"\d+(?:mm|cm|kv|ms|min|sec|hu|iso)|[0-9]{1,4}x[0-9]{1,4}", re.IGNORECASE)
_CASES = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)")


@dataclasses.dataclass
class Found:
    """The identifiers that were found until now, see `identifiers.Identifiers`."""

    names: set[str] = dataclasses.field(default_factory=set, repr=False)
    numbers: set[str] = dataclasses.field(default_factory=set, repr=False)
    dates: set[str] = dataclasses.field(default_factory=set, repr=False)
    places: set[str] = dataclasses.field(default_factory=set, repr=False)
    seen: set[tuple] = dataclasses.field(default_factory=set, repr=False)


def of_dataset(ds: pydicom.Dataset, found: Found) -> None:
    """Adds the identifiers of a header."""
    with objects.guarded("a header"):
        _of_items(ds, found, 0, [_MOST_ELEMENTS])


def _of_items(ds: pydicom.Dataset, found: Found, depth: int, left: list[int]) -> None:
    for tag in list(ds.keys()):
        left[0] -= 1
        if left[0] < 0 or depth > _MOST_DEPTH:
            raise ValueError("too many elements")
        try:
            element = ds[tag]
        except MemoryError:
            raise
        except Exception:  # A value that pydicom cannot read; its bytes are looked at instead.
            raw = ds.get_item(tag)
            of_text(_decoded(getattr(raw, "value", b"")), found)
            continue
        if element.VR == "SQ":
            for item in list(element.value)[:_MOST_ITEMS]:
                _of_items(item, found, depth + 1, left)
        else:
            _of_element(element, found)


def _of_element(element: pydicom.DataElement, found: Found) -> None:
    value, vr, keyword = element.value, element.VR, element.keyword
    if value is None or keyword in _NOTHING or keyword.startswith(("Red", "Green", "Blue")):
        return
    if isinstance(value, bytes):
        several = [_decoded(value)] if vr in _TEXTS else []
    else:
        several = value if isinstance(value, pydicom.multival.MultiValue | list) else [value]
        several = [str(v)[:MOST_CHARACTERS] for v in several[:_MOST_ITEMS]]
    for text in several:
        key = (int(element.tag), text)
        if not text.strip() or key in found.seen:
            continue
        found.seen.add(key)
        _of_value(text, vr, keyword, element.tag.is_private, found)


def _of_value(text: str, vr: str, keyword: str, private: bool, found: Found) -> None:
    if vr == "PN" or keyword in _NAMES:
        add_name(text, found)
    elif vr in ("DA", "DT"):
        add_date(text, found)
    elif keyword in _NUMBERS or (vr == "UI" and private):
        add_number(text, found)
    elif keyword in _PLACES:
        add_place(text, found)
    elif vr in _TEXTS:
        of_text(text, found)


def add_name(text: str, found: Found) -> None:
    """Adds the name of a person, such as "Mustermann^Erika^^Dr." or "Erika Mustermann"."""
    for person in nfc(text or "").split("="):
        named = [p for p in _SPLIT.findall(person) if _names(p)]
        if named:
            # The written form is kept, because it tells which parts belong together.
            found.names.add(person.replace("^", " ").strip()[:MOST_CHARACTERS])
        for number in re.findall(r"\d{5,}", person):
            add_number(number, found)


def _names(word: str) -> bool:
    spelled = spelling.spelled(word).lower()
    return len(spelled) >= 2 and not word.isdigit() and spelled not in words.PLACEHOLDERS


def add_number(text: str, found: Found) -> None:
    """Adds a number or code; one without a digit counts as a name."""
    text = nfc(text or "").strip(" \0")[:256]
    if not text:
        return
    if any(c.isdigit() for c in text):
        found.numbers.add(text)
        for day in dates.find(spelling.spelled(text)):
            found.dates.update(map(_written, day.days))
    else:
        of_words(text, found)


def add_date(text: str, found: Found) -> None:
    """Adds a date as DICOM writes it, or in any notation of a report."""
    found.dates.update(map(_written, dates.read(spelling.spelled(text or ""))))


def add_place(text: str, found: Found) -> None:
    """Adds the name of an institution, a department or a place, or an address."""
    for line in re.split(r"[\r\n,;\\^]+", nfc(text)):
        line = line.strip()
        if sum(c.isalpha() for c in line) >= 3:
            found.places.add(line[:256])
        for number in re.findall(r"\d[\d /()-]{4,}\d", line):
            add_number(number, found)


def of_words(text: str, found: Found) -> None:
    """Adds the words of a text that may be anything, such as the name of a file.

    A word is passed over if it is a usual word of files, headers or reports.
    """
    text = nfc(text or "")[:MOST_CHARACTERS]
    of_text(text, found)
    spelled = spelling.spelled(text)
    for run in re.findall(r"(?<![A-Za-z0-9])[A-Za-z]{0,8}[-_ .]?\d[\d.\-_ ]{2,}\d(?!\w)", spelled):
        if not _YEAR.fullmatch(run):
            found.numbers.add(run.strip("-_. "))
    named = []
    for written in _SPLIT.findall(text):
        if written.isdigit():
            if len(written) >= 4 and not _YEAR.fullmatch(written):
                add_number(written, found)
            continue
        if any(c.isdigit() for c in written) and len(written) >= 4 and not _SIZE.fullmatch(written):
            found.numbers.add(written)
        for word in _CASES.split(written):
            spelled = spelling.spelled(word).lower()
            if len(spelled) >= 4 and spelled.isalpha() and may_name(word):
                named.append(word)
    found.names.update(named)


def may_name(word: str) -> bool:
    """Returns whether a word of a free text may name somebody: it is no word of medicine."""
    spelled = spelling.spelled(word).lower()
    if any(c.isdigit() or c == "_" for c in word) or len(spelled) < 2:
        return False
    parts = re.findall(r"[^\W\d_]+", spelled)
    if all(p in words.ORDINARY or p in words.PLACEHOLDERS or _MEDICAL.fullmatch(p) for p in parts):
        return False
    return not any(mentions.find(word, lang) for lang in ("de", "en"))


def _add_guess(text: str, found: Found) -> None:
    parts = [p for p in re.split(r"[\s^,]+", text) if p and may_name(p.strip("."))]
    if parts:
        found.names.add(" ".join(parts))


def of_text(text: str, found: Found) -> None:
    """Adds what looks like an identifier in a free text: a name with a title, dates, numbers."""
    text = nfc(text)[:MOST_CHARACTERS]
    for person in _CARET.findall(text):
        _add_guess(person, found)
    if len(text) > _LONG:  # Such as the protocol in a private attribute.
        places = [m.start() for m in _AROUND.finditer(text)][:_MOST_ITEMS]
        kept, last = [], -1
        for at in places:
            if at >= last:
                last = at + 128
                kept.append(text[at:last])
        text = "\n".join(kept)[: 4 * _LONG]
        for quoted in _QUOTED.findall(text):
            of_words(quoted, found)
    read = spelling.read(text)
    for last, first in _LAST_FIRST.findall(read.text):
        if may_name(last) and may_name(first):
            _add_guess(f"{last} {first}", found)
    for day in dates.find(read.text):
        found.dates.update(map(_written, day.days))
    for span in patterns.find(read.text):
        part = text[read.start(span.start) : read.end(span.end)]
        if span.kind == "name":
            add_name(part, found)
        elif span.kind in ("number", "contact"):
            add_number(part, found)
        elif span.kind == "place":
            add_place(part, found)


def of_json(value: Any, found: Found, keyword: str = "", depth: int = 0) -> None:
    """Adds the identifiers of JSON, in which keys may be keywords of DICOM."""
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        for key, inner in list(value.items())[:_MOST_ITEMS]:
            of_json(inner, found, str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value[:_MOST_ITEMS]:
            of_json(inner, found, keyword, depth + 1)
    elif isinstance(value, str | int) and keyword not in _NOTHING:
        text = str(value)
        try:
            vr = pydicom.datadict.dictionary_VR(keyword)
        except (KeyError, ValueError):
            vr = ""
        if vr:
            _of_value(text, vr, keyword, False, found)
        elif isinstance(value, str):
            of_words(text, found)


def _written(day: tuple[int, int, int]) -> str:
    year, month, number = day
    return f"{year:04}-{month:02}-{number:02}"


def _decoded(value: bytes) -> str:
    if not isinstance(value, bytes):
        return ""
    value = value[:MOST_CHARACTERS].replace(b"\0", b" ")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
