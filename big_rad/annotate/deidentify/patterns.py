"""Finds what looks like an identifier in German and English texts, whoever the patient is.

The texts are in plain spelling (see `grounding.plain`): "Dr. Müller" is "Dr. Mueller". Every
pattern reads a bounded number of characters, so a long text takes time in proportion to its length.
"""

import dataclasses
import re
from collections.abc import Iterator

from big_rad.annotate.deidentify import dates, words

# Groups with "?>" are not tried again in another way, which keeps the time in proportion.
_CAP = (
    r"(?>[A-Z]{2,40}(?![a-z])|[A-Z][a-z']{1,40}(?:[A-Z'][a-z]{1,40}){0,2}|"
    r"[^\x00-\x7f\W\d_][^\W\d_]{1,40})"
)
_CAPS = rf"(?>{_CAP}(?:-{_CAP}){{0,3}})"
_INITIAL = r"(?>[A-Z]\.(?:-?[A-Z]\.)?)"
_PART = r"(?:von|van|vom|zu|zur|de|der|den|del|della|di|da|dos|la|le|el|al|ten|ter|bin|ibn)"
_TOKEN = rf"(?>\[name\]|(?:{_INITIAL}[ ]{{0,2}}){{1,3}}{_CAPS}|{_INITIAL}|(?:[dlo]')?{_CAPS})"
_NEXT = rf"(?>(?:{_PART}[ ]){{0,3}}{_TOKEN})"
_SEQUENCE = rf"(?<![^\W_]){_NEXT}(?:[ ]{{1,2}}{_NEXT}){{0,3}}"
_COMMAS = rf"(?<![^\W_]){_NEXT}(?:,?[ ]{{1,2}}{_NEXT}){{0,3}}"
_BETWEEN = (
    r"(?:Dr|Prof|med|habil|dent|vet|nat|rer|univ|phil|h\.\s?c|PD|Priv\.-Doz|Dipl|-?Med|-?Ing|"
    r"OA|OAe|CA|AA|Kollege|Kollegin|Kollegen|Oberarzt|Oberaerztin|Professor|Doktor|DR|PROF|MED)"
)
_TITLE = re.compile(
    r"(?:(?<![\w-])(?:Herrn?|Frau|Hrn?\.?|(?<!\d )Fr\.?|Mrs?\.?|Ms\.?|Mx\.?|Sr\.|Miss|"
    r"Dres|Dr|Prof|Professor|"
    r"Doktor|Doctor|PD|Priv\.-Doz|OAe|OA|CA|AA|Ober(?:arzt|aerztin)|Chef(?:arzt|aerztin)|"
    r"Assistenz(?:arzt|aerztin)|Familie|Fam\.|Schwester|Kolleg(?:e|en|in)|Patientin|Patient(?:en)?|"
    r"FAe|AAe|Ehefrau|Ehemann|Sohn|Tochter|Mutter|Vater|Bruder|Arzt(?: i\. ?W)?|Aerztin|Hausarzt|"
    r"HERRN?|FRAU|DR\.|PROF\.|MRS\.|MR\.))"
    rf"(?P<more>(?:\.?\s{{0,2}}{_BETWEEN}\b){{0,5}})(?P<dot>[.:]?)\s{{1,3}}(?P<name>{_SEQUENCE})"
)
# Titles that are also abbreviations or nouns: they only count before another title.
_DOUBTFUL = re.compile(
    r"(?:PD|OA|CA|AA|Schwester|Kolleg(?:e|en|in)|Patient|Patienten|Patientin|Ehefrau|Ehemann|Sohn|"
    r"Tochter|Mutter|Vater|Bruder|Arzt|Aerztin|Hausarzt)\b(?! i\.)"
)
# A role and one name behind it: "OA Lehmann", "Koll. Schmidt", "der Pat. Krause".
_ROLE = re.compile(
    r"(?<![\w-])(?:Ass(?:istenz)?\.?-?[ ]?(?:Arzt|Aerztin|arzt|aerztin)|OAe?|CAe?|FAe?|AAe?|PD|"
    r"Koll\.|Kolleg(?:e|en|in)|Schwester|Pfleger|Krankenschwester|Pat\.|Patient(?:en|in)?|"
    r"Dipl\.-Med\.|Attending|RN|PA|NP|Nurse|Resident|Fellow|[Tt]he patient,)[ ]{1,2}"
    rf"(?P<name>{_CAPS})"
)
_SEVERAL = re.compile(
    rf"\b(?:Dres|Drs)\.?[ ](?:med\.[ ])?{_NEXT}(?:,[ ]{_NEXT})?[ ](?:und|and|u\.|&)[ ]"
    rf"(?P<name>{_SEQUENCE})"
)
_SIGNED = re.compile(
    r"(?:(?<!\w)(?:gez\.|Gez\.|i\.\s?A\.|i\.\s?V\.)|\b(?:[Ss]igned|[Dd]ictated|"
    r"[Rr]eported|[Rr]ead|"
    r"[Vv]erified|[Aa]pproved|[Ii]nterpreted|[Rr]eviewed|[Ff]inali[sz]ed|[Vv]alidiert|"
    r"[Ff]reigegeben|"
    r"[Dd]iktiert|[Bb]efundet|[Ee]rstellt|[Uu]nterzeichnet|[Vv]idiert|[Tt]ranscribed|"
    r"[Pp]erformed|"
    r"[Cc]ommunicated|[Dd]iscussed|[Bb]esprochen)\s(?:electronically\s)?(?:by|with|to|von|"
    r"durch|mit))"
    rf"[ :]{{1,3}}(?:(?:Dr|Prof|OA|OAe|CA|PD)\.?[ ](?:med\.[ ])?){{0,3}}(?P<name>{_COMMAS})"
)
_LABEL = re.compile(
    r"\b(?:Name(?: des Patienten| der Patientin| of (?:the )?patient)?|NAME|Geburtsname|"
    r"Maedchenname|[Mm]aiden name|(?:Pat\.|Patient(?:en|in)?)?-?[ ]?[Nn]ame|"
    r"Nachname|Vorname|Patient|PATIENT|"
    r"Patientin|Pat\.|Befunder|Befundender|Untersucher(?:in)?|Zuweiser(?:in)?|Ueberweiser|"
    r"Einsender|Radiolog(?:e|in|ist|IST)|MTRA?|MTA|Unterschrift|Signatur|Visum|"
    r"(?:Haus|Ober|Chef|Fach|Assistenz)?(?:[Aa]rzt|[Aa]erztin)|Operateur|Anforderer|Attending|"
    r"Resident|(?:[Rr]eferring|[Rr]equesting|[Oo]rdering|"
    r"[Rr]eporting)(?:[ ](?:[Pp]hysician|[Dd]octor|"
    r"[Rr]adiologist|[Cc]linician))?|Physician|Technologist|Dictated|Signed|Angehoerige[r]?)"
    rf"[ ]{{0,2}}:\s{{0,2}}(?:(?:Herrn?|Frau|Mrs?\.?|Dr|Prof|OA|PD)\.?[ ](?:med\.[ ])?){{0,3}}"
    rf"(?P<name>{_COMMAS})"
)
_DEGREE = re.compile(
    rf"(?P<name>{_SEQUENCE}),?[ ](?:M\.?D\b\.?|FRCR|MBBS|Ph\.?D\b\.?|FRANZCR|FACR)"
)
_BORN = re.compile(
    rf"(?P<name>{_COMMAS}),?[ ]{{0,2}}\(?(?:geb\.|geboren|born\b|DOB\b|D\.O\.B\.|\*)[ ]{{0,2}}"
    r"(?:am\b|on\b|:)?[ ]{0,2}(?=\d|\[date\]|[A-Z])"
)
# "MUSTERMANN, ERIKA  F  12.11.1987", as in the first line of many reports.
_LISTED = re.compile(
    rf"(?P<name>(?<![^\W_]){_NEXT},[ ]{{1,2}}{_NEXT})(?=[ ,;(]{{1,4}}(?:[MFWDmfwd]\b[ ,;)]{{0,4}})?"
    r"(?:\[date\]|\d{1,2}[./]\d{1,2}[./]\d{2}|\d{4}-\d\d-\d\d))"
)
_MAIDEN = re.compile(rf"\b(?:geb\.|geborene[r]?|nee)[ ](?P<name>{_NEXT})")
_CLOSING = re.compile(
    r"(?:[Gg]ruessen?|GRUESSEN?|MfG|[Rr]egards|[Ss]incerely(?: yours)?|"
    r"[Hh]ochachtungsvoll)[ ]{0,3}[,.!]?"
    r"\s{1,6}(?P<lines>(?:[^\n]{1,80}(?:\n{1,3}|$)){1,3})"
)
_LINE = re.compile(rf"(?:(?:Dr|Prof|PD|OA|med)\.?[ ]{{0,2}}){{0,5}}(?P<name>{_SEQUENCE})")
_YEAR = re.compile(
    r"\b(?:geb\.|geboren|Jg\.|Jahrgang|Geburtsjahr:?|born(?: in)?|DOB:?|year of birth:?)[ ]{0,2}"
    r"(?:im Jahre?[ ])?(?P<value>(?:18|19|20)\d\d)(?!\d)"
)
# Persons above 89 are so few that their age may name them.
_AGE = re.compile(
    r"(?<![\d.,])(?P<value>9\d|1[0-2]\d)(?=[ -]?(?:jaehrig|Jahre[n]?\s(?:alt|als)|J\.|yo\b|y/o\b|"
    r"years?[ -]old|-?year-?old))"
    r"|\b(?:[Aa]ged|[Aa]ge:?|[Aa]lter:?|Alter von)[ ](?P<value2>9\d|1[0-2]\d)\b(?![.,]\d)"
)
_INITIALS = re.compile(r"(?:-?[A-Z]\.)+")
_WORD = re.compile(r"\[name\]|[A-Za-z.'-]+")

_CONTACT = [
    re.compile(
        r"(?<![\w.+-])(?:[\w.+-]|\[name\]|\[number\]){1,64}+\s?(?:@|\(at\)|\[at\])\s?"
        r"[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"
    ),
    re.compile(r"\b(?:https?://|ftp://|www\.)[^\s<>\"]{1,300}", re.IGNORECASE),
    re.compile(r"(?<![\w.@/-])[\w-]{3,63}\.(?:de|com|org|net|eu|at|ch|uk)\b(?![\w.]\w)(?:/\S{0,200})?"),
    re.compile(
        r"\b(?:Tel(?:efon|ephone)?|Fon|Telefax|Fax|Phone|Mobil|Mobile|Handy|Durchwahl|"
        r"DECT|Piepser|"
        r"Pager|Rueckruf|Rufnummer|Cell|Ext|Hotline|Call back(?: at)?)\b\.?(?:[ -]?(?:Nr|"
        r"No|nummer|"
        r"number)\.?)?\s?[:.]?\s?(?:unter\s)?(?P<value>\+?\(?\d[\d /().-]{1,24}\d)",
        re.IGNORECASE,
    ),
    re.compile(r"(?<![\w.,])(?:\+|00)\d{1,3}[ /(-]{0,2}\(?\d[\d /()-]{5,20}\d"),
    re.compile(r"(?<![\w.,/-])\(?0\d{2,5}\)?[ ]?[/-][ ]?\d{3,10}(?:[ -]\d{1,6}){0,4}(?![\d.,]*\d)"),
    re.compile(r"(?<![\w.,/-])0\d{2,4}[ ]\d{3,9}(?:[ -]\d{1,6}){0,4}(?!\d)"),
    re.compile(r"(?<![\w.,/-])\(0\d{2,5}\)[ ]?\d[\d -]{2,12}\d"),
    re.compile(
        r"(?<![\w.,/-])(?!\d\d0[.-]\d\d0[.-])(?:\+?1[ .-])?(?:\([2-9]\d\d\)[ ]?|"
        r"[2-9]\d\d[.-])\d{3}"
        r"[.-]\d{4}(?![\d.-])"
    ),
]  # fmt: skip
_NUMBER = [
    re.compile(r"(?<![\w.])\d{1,9}(?:\.\d{1,39}){5,}(?![\w])"),  # A UID.
    re.compile(
        r"\b(?:Pat(?:ient(?:en)?)?|Fall|Case|Aufnahme|Auftrags?|Untersuchungs?|Versicherten?|"
        r"Versicherungs?|Vers|Kranken(?:kassen|versicherten|blatt)?|Accession|Access|"
        r"Order|Request|"
        r"KIS|RIS|PACS|Chart|Record|Medical record|Study|Exam|Studien|Befund|Dokumenten?|"
        r"Ref|Reference|"
        r"Hospital|Personal|Member|Mitglieds?|Policy|NHS|Vorgangs?|Proben?|Journal|"
        r"Social security|"
        r"Insurance|Anforderungs?|Ausweis|Passport|License|Account|Visit|Encounter)"
        r"(?:\.[ -]?|[ -]{0,2})(?:ID|Id|id|Nr|nr|No|no|Num|Nummer|nummer|Number|number|Kennung|#)"
        r"(?:\.?[ ]?[:#=]|\.|[ ](?=[A-Z]{0,4}-?\d{3}))\s{0,2}"
        r"(?P<value>[A-Za-z]{0,5}[-_ ]?\d[\w./ -]{0,24}?\w?)(?=[\s,;)\].]*(?:$|[^\w./-]|"
        r"[ \n][A-Za-z(]))"
    ),
    re.compile(
        r"\b(?:MRN|SSN|Accession|ID|PID|PIZ|KVNR|KV-Nr\.?|NHS|Acc\.?)\s?(?:No\.?|Nr\.?|number)?"
        r"\s?[:#]?\s?(?P<value>[A-Z]{0,4}-?\d(?:[\d/-]| (?=\d{3})){2,20}\d)"
    ),
    re.compile(r"\b(?:Fall|Case)[ ](?P<value>\d{2,4}[/-]\d{2,10})(?![\w.,]*\s?(?:mm|cm|ml))"),
    re.compile(r"(?<![\w-])[A-Z]\d{9}(?!\w)"),
    re.compile(r"(?<![\w.,-])\d\d[ ]?\d{6}[ ]?[A-Z][ ]?\d{3}(?!\w)"),
    re.compile(r"(?<![\w.,-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    re.compile(r"(?<![\d.,])\d{7,}(?!\d)"),
    re.compile(r"(?<![\w-])[A-Z]{1,4}[-_]?\d{6,}(?!\d)"),
]  # fmt: skip
_HOUSE = r"[ ]\d{1,4}(?:[ ]?[a-z](?![a-z]))?(?!\d|[.,:/]\d)(?:[ ]?-[ ]?\d{1,4})?" + dates.UNIT
_TOWN = r"[A-Z][a-z]{2,30}(?:[ -](?:am|an der|im|bei|ob der|a\.)?[ ]?[A-Z][a-z]{2,30}){0,2}"
_PLACE = [
    re.compile(
        rf"(?<![\w-])(?:[A-Z][a-z]{{1,30}}-){{0,3}}[A-Z]?[a-z]{{2,30}}(?:strasse|str\.|"
        rf"platz|allee|gasse|"
        rf"chaussee|damm|ufer|(?<!gallen)(?<!luft)(?<!atem)(?<!harn)(?<!zugangs)weg|steig|pfad)"
        rf"{_HOUSE}"
    ),
    re.compile(
        rf"(?<![\w-])(?:[A-Z][a-z]{{1,30}}[ -]){{1,3}}(?:Strasse|Str\.|Platz|Allee|Gasse|"
        rf"Weg|Damm|Ufer|"
        rf"Ring|Chaussee){_HOUSE}"
    ),
    re.compile(
        rf"\b(?:Am|An der|Im|Zum|Zur|Auf der|Unter den)[ ]{_TOWN}[ ]"
        r"\d{1,3}(?=,?[ \n]\d{5}\b)"
    ),
    re.compile(rf"(?<![\w.,])(?:D-|A-|CH-)?\d{{5}}[ ](?P<town>{_TOWN})"),
    re.compile(
        r"(?<![\w.,])\d{1,5}[ ](?:[NSEW]\.?[ ])?(?:[A-Z][a-z]{1,30}[ ]){1,3}(?:Street|"
        r"St\.?|Avenue|Ave\.?|"
        r"Road|Rd\.?|Lane|Ln\.?|Drive|Boulevard|Blvd\.?|Court|Square|Terrace|Crescent)(?![\w])"
    ),
    re.compile(r"\b(?:[A-Z][a-z]{2,30}[ ]){1,2}?[A-Z][a-z]{2,30},[ ][A-Z]{2}[ ]\d{5}(?:-\d{4})?\b"),
    re.compile(r"\b[A-Z][a-z]{2,30},[ ][A-Z]{2}[ ]\d{5}(?:-\d{4})?\b"),
    re.compile(r"(?<![\w/])[A-Z]{1,2}\d[\dA-Z]?[ ]\d(?!TH|ST|ND|RD)[A-Z]{2}(?![\w])"),
    re.compile(rf"\b(?:wohnhaft in|wohnt in|resident of|lives in|living in)[ ](?P<value>{_TOWN})"),
    re.compile(
        r"\b(?:Universitaets(?:klinikum|klinik|medizin|spital)|Uniklinik(?:um)?|Klinikum|"
        r"Kreiskrankenhaus|Stadtkrankenhaus|Krankenhaus|Kantonsspital|KH|"
        r"(?<![Ii]n der )Klinik|Spital|MVZ)"
        rf"(?:[ ](?:am|im|an der|der|fuer))?[ ](?P<town>{_TOWN})"
    ),
    re.compile(
        r"\b(?P<town>(?:(?:St\.?|Saint|Sankt|Mount)[ ])?(?:[A-Z][a-z']{1,30}[ ]){1,3}?)"
        r"(?P<kind>(?:(?:General|University|Memorial|Community|Regional|Royal|County|City|"
        r"Children's)[ ])"
        r"{0,2}(?:Hospital|Medical Center|Medical Centre|Infirmary|Clinic)\b)"
    ),
    re.compile(r"\bSt\.?[ ][A-Z][a-z']{2,20}(?:-|[ ])(?:Krankenhaus|Hospital|Klinik|Stift)\b"),
]  # fmt: skip
_NO_TOWN = words.ORDINARY | words.INSTITUTION | frozenset(
    "einheiten mal schuss voxel pixel euro stueck iu ie units hounsfield heparin in our".split()
)  # fmt: skip


@dataclasses.dataclass(frozen=True, order=True)
class Span:
    """A place in a text, and what is there: "name", "date", "number", "contact" or "place"."""

    start: int
    end: int
    kind: str


def find(text: str) -> list[Span]:
    """Returns the spans of a text in plain spelling, in order; they may overlap."""
    found = [Span(d.start, d.end, "date") for d in (*dates.find(text), *dates.parts(text))]
    for kind, patterns in (("contact", _CONTACT), ("number", _NUMBER)):
        for pattern in patterns:
            for match in pattern.finditer(text):
                group = "value" if "value" in pattern.groupindex else 0
                found.append(Span(match.start(group), match.end(group), kind))
    for pattern, kind in ((_YEAR, "date"), (_AGE, "number")):
        for match in pattern.finditer(text):
            group = "value" if match["value"] else "value2"
            found.append(Span(match.start(group), match.end(group), kind))
    return sorted({*found, *_places(text), *_names(text)})


def _places(text: str) -> Iterator[Span]:
    for pattern in _PLACE:
        for match in pattern.finditer(text):
            groups = pattern.groupindex
            start, end = match.span("value" if "value" in groups else 0)
            if "town" in groups:
                named = [w for w in _WORD.findall(match["town"]) if w.lower() not in _NO_TOWN]
                if not named:
                    continue
                if "kind" not in groups and _WORD.findall(match["town"])[0].lower() in _NO_TOWN:
                    continue
                if "kind" in groups:  # The place begins with its first word that is a name.
                    start = match.start() + match["town"].index(named[0])
            yield Span(start, end, "place")


def _names(text: str) -> Iterator[Span]:
    for match in _TITLE.finditer(text):
        if _DOUBTFUL.match(match[0]) and not re.search("Dr|Prof|DR|PROF", match["more"]):
            # "OA Mueller", but not "OA Knie": the word behind must be no usual one.
            if match[0].startswith(("OA", "CA", "AA", "PD")) or not _pair(match["name"]):
                continue
        # "MR. Brain" is no person.
        yield from _taken(match, strict=match[0].startswith("MR"))
    for match in _ROLE.finditer(text):
        # "OA Knie" and "Patient Supine" are none: words of reports, and those in capitals.
        if not match["name"].isupper():
            yield from _taken(match, strict=True)
    for pattern in (_SIGNED, _LABEL, _DEGREE, _MAIDEN, _SEVERAL):
        for match in pattern.finditer(text):
            if pattern is _DEGREE and match["name"].isupper():
                continue  # "FA, MD" are maps of diffusion.
            yield from _taken(match, strict=True)
    for pattern in (_BORN, _LISTED):
        for match in pattern.finditer(text):
            yield from _taken(match, strict=True, last=True)
    for match in _CLOSING.finditer(text):
        at = match.start("lines")
        for line in match["lines"].splitlines(keepends=True):
            name = _LINE.match(line.strip())
            if name:
                lead = at + len(line) - len(line.lstrip()) + name.start("name")
                count = _accepted(name["name"], strict=True)
                if count:
                    yield Span(lead, lead + count, "name")
            at += len(line)


def _pair(name: str) -> bool:
    """Returns whether a text begins with two words that may be a first and a last name."""
    named = _WORD.findall(name)[:2]
    return len(named) == 2 and all(
        w == "[name]" or (w[:1].isupper() and not w.isupper() and w.lower() not in words.ORDINARY)
        for w in named
    )


def _taken(match: re.Match, strict: bool, last: bool = False) -> Iterator[Span]:
    start, name = match.start("name"), match["name"]
    if last:  # The words next to "born" count, and those before them as long as they are names.
        pieces = list(_WORD.finditer(name))
        at = len(name)
        for piece in reversed(pieces):
            if not _is_name(piece[0], strict=True):
                break
            at = piece.start()
        if at < len(name):
            yield Span(start + at, match.end("name"), "name")
        return
    count = _accepted(name, strict)
    if count:
        yield Span(start, start + count, "name")


def _accepted(name: str, strict: bool) -> int:
    """Returns how many characters at the beginning of a text are words of a name."""
    end, real = 0, False
    for k, piece in enumerate(_WORD.finditer(name)):
        word = piece[0]
        if word in words.PARTICLES:
            continue
        if not _is_name(word, strict or k > 0):
            break
        end = piece.end()
        real |= word == "[name]" or len(word.strip(".")) > 1
        if word.endswith(".") and len(word) > 2 and not _INITIALS.fullmatch(word):
            end -= 1
            break  # The end of a sentence.
    return end if real else 0


def _is_name(word: str, strict: bool) -> bool:
    if word == "[name]" or (word[0].isupper() and len(word.rstrip(".")) == 1):
        return True
    spelled = word.strip(".'-").lower()
    if spelled in words.PLACEHOLDERS or spelled in words.TITLES or spelled in words.FUNCTION:
        return False
    if strict:
        return spelled not in words.ORDINARY or spelled in words.ADJECTIVES - words.REPORT
    return spelled not in words.REPORT - words.NOUNS - words.ADJECTIVES
