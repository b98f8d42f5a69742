"""Finds dates in German and English texts, in plain spelling (see `grounding.plain`)."""

import dataclasses
import datetime
import re
from collections.abc import Iterator

_MONTHS = {
    name: number
    for number, names in enumerate(
        """
        januar january jan jaenner
        februar february feb febr
        maerz march mar mrz
        april apr
        mai may
        juni june jun
        juli july jul
        august aug
        september sept sep
        oktober october okt oct
        november nov
        dezember december dez dec
        """.strip().splitlines(),
        start=1,
    )
    for name in names.split()
}
_FULL = "|".join(n for n in sorted(_MONTHS, key=len, reverse=True) if len(n) > 4 or n == "juli")
_NAME = "|".join(sorted(_MONTHS, key=len, reverse=True))
_ROMAN = {r: n for n, r in enumerate("I II III IV V VI VII VIII IX X XI XII".split(), start=1)}
# A number with a unit is a measurement, whatever it looks like.
UNIT = (
    r"(?!\s{0,2}(?:x\s?\d|(?:mm|cm|dm|m|ml|l|hu|he|mg|g|kg|mcg|ms|msec|sec|s|min|mgy|gy|msv|kv|ma|mas|"
    r"hz|khz|mhz|t|tesla|grad|ie|units?|einheiten|bpm|mmhg|ccm|cc|fr|french|ch|gauge|mal)\b|[%\u00b0\u00d7]|mm))"
)
_BEFORE = r"(?<![\w])(?<!\d[.,/-])"
_AFTER = r"(?!\d)(?![.,/-]\d)"
_YEAR = r"(?:1[89]|20|21)\d\d"
_PATTERNS = [
    # 3.4.2021, 03. 04. 21, 3/4/2021, 2021-04-03
    rf"{_BEFORE}(?P<a>\d{{1,2}})\s{{0,2}}\.\s{{0,2}}(?P<b>\d{{1,2}})\s{{0,2}}\.\s{{0,2}}"
    rf"(?P<y>{_YEAR}|\d\d){_AFTER}",
    rf"{_BEFORE}(?P<a>\d{{1,2}})(?P<s>\s?[/-]\s?)(?P<b>\d{{1,2}})(?P=s)(?P<y>{_YEAR}){_AFTER}",
    rf"{_BEFORE}(?P<a>\d\d)(?P<s>[/-])(?P<b>\d\d)(?P=s)(?P<y>\d\d){_AFTER}",
    rf"(?<!\d)(?<!\d[.,/-])(?P<y>{_YEAR})(?P<s>\s?[./-]\s?)(?P<b>\d{{1,2}})(?P=s)(?P<a>\d{{1,2}})"
    r"(?!\d)(?![.,/-]\d)",
    rf"{_BEFORE}(?P<y>{_YEAR})(?P<b>\d\d)(?P<a>\d\d)(?!\d)",
    rf"{_BEFORE}(?P<a>\d\d)(?P<b>\d\d)(?P<y>{_YEAR})(?!\d)",
    # 3. April 2021, 3rd of April '21, 03-APR-2021, 3. IV. 2021
    rf"{_BEFORE}(?P<a>\d{{1,2}})(?:\.|st|nd|rd|th)?\s{{0,3}}(?:of\s)?[-/]?(?P<m>{_NAME})\b\.?,?"
    rf"\s{{0,3}}[-/]?'?(?P<y>{_YEAR}|\d\d){_AFTER}",
    rf"{_BEFORE}(?P<a>\d{{1,2}})\.\s?(?P<r>XI{{0,2}}|IX|IV|VI{{0,3}}|V|I{{1,3}}|X)\.\s?"
    rf"(?P<y>{_YEAR}|\d\d){_AFTER}",
    # April 3rd, 2021
    rf"\b(?P<m>{_NAME})\b\.?\s{{1,3}}(?P<a>\d{{1,2}})(?:st|nd|rd|th)?(?:,\s{{0,3}}|\s{{1,3}})'?"
    rf"(?P<y>{_YEAR}){_AFTER}",
    # 2021 April 3
    rf"{_BEFORE}(?P<y>{_YEAR})\s(?P<m>{_NAME})\s(?P<a>\d{{1,2}})\b",
]
_SHORT = rf"(?P<a>\d{{1,2}})(?P<s>[/-])(?P<b>\d{{1,2}})(?P=s)(?P<y>\d\d){_AFTER}"
_PATTERNS.append(
    r"(?:(?<=\bon )|(?<=\bam )|(?<=\bvom )|(?<=\bdated )|(?<=\bfrom )|(?<=\bof )|(?<=\bsince )|"
    rf"(?<=\bseit )|(?<=\bzum )){_SHORT}"
)
_DATE = [re.compile(p + UNIT, re.IGNORECASE) for p in _PATTERNS]
# So short that it may also be a list of numbers, unless the day is known.
_LOOSE = [
    *_DATE,
    re.compile(_BEFORE + _SHORT + UNIT),
    re.compile(rf"{_BEFORE}(?P<a>\d{{1,2}})\s(?P<b>\d{{1,2}})\s(?P<y>{_YEAR}){_AFTER}" + UNIT),
]
_FIRST = re.compile(r"\d")
# Parts of dates, which tell nothing of a birthday by themselves but of a stay.
_PARTS = [
    re.compile(p + UNIT, flags)
    for p, flags in (
        (rf"\b(?:{_FULL}|(?:jan|feb|apr|jun|jul|aug|sept?|okt|oct|nov|dez|dec|mrz)\b\.?)\s{{0,2}}"
         rf"/?'?(?:{_YEAR})\b", re.IGNORECASE),
        (r"\b(?:[Mm]ai|May|MAI|MAY|Mar|MAR)\s(?:19|20)\d\d\b", 0),
        (rf"{_BEFORE}(?:0?[1-9]|1[0-2])\s?[./]\s?(?:19|20)\d\d{_AFTER}", 0),
        (rf"{_BEFORE}[0-3]?\d\.\s{{0,2}}(?:{_FULL}|mai)\b", re.IGNORECASE),
        (rf"\b(?:{_FULL})\s[0-3]?\d(?:st|nd|rd|th)?{_AFTER}\b", re.IGNORECASE),
        (r"\bMay\s[0-3]?\d(?:st|nd|rd|th)?(?!\d)(?![.,/-]\d)", 0),
        (r"(?<=[Vv]om )(?:[0-3]?\d\.\s?[01]?\d\.)(?!\d)", 0),
        (r"(?<=\b[Aa]m )(?:[0-3]?\d\.\s?[01]?\d\.)(?!\d)", 0),
        (r"(?<=[Zz]um )(?:[0-3]?\d\.\s?[01]?\d\.)(?!\d)", 0),
        (r"(?<=[Ss]eit )(?:[0-3]?\d\.\s?[01]?\d\.)(?!\d)", 0),
        (r"(?<=\d\. und )(?:[0-3]?\d\.\s?[01]?\d\.)(?= [a-z]+t\b)", 0),
        (r"(?<=\bfrom )(?:[01]?\d/[0-3]?\d)(?![\d/])", 0),
    )
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Found:
    """A date in a text.

    Attributes:
        start, end: its place.
        days: the days that it may mean, as (year, month, day); an order of day and month that is
            not known gives two, a year of two digits two centuries. Empty for a part of a date.
    """

    start: int
    end: int
    days: frozenset[tuple[int, int, int]] = frozenset()


def find(text: str, loose: bool = False) -> Iterator[Found]:
    """Yields the whole dates of a text in plain spelling, of which some may overlap.

    Args:
        text: the text.
        loose: whether "3/4/21" counts as well; it may be a list of numbers.
    """
    if not _FIRST.search(text):
        return
    for pattern in _LOOSE if loose else _DATE:
        for match in pattern.finditer(text):
            year_first = match.start("y") < match.start("a")
            days = _days(match.groupdict(), year_first)
            if days:
                yield Found(match.start(), match.end(), days)


def parts(text: str) -> Iterator[Found]:
    """Yields parts of dates, such as "April 2021", "04/2021" and "vom 3.4."."""
    if not _FIRST.search(text):
        return
    for pattern in _PARTS:
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end())


def read(date: str) -> frozenset[tuple[int, int, int]]:
    """Returns the days that a whole text may mean; empty if it is no date.

    Args:
        date: such as "20210403", "2021-04-03", "20210403101500.000+0100" or "3.4.2021".
    """
    date = date.strip()
    match = re.match(r"(\d{4})(\d\d)(\d\d)(?:\d|\.|\+|-|$)", date)
    if match:
        found = _real(*map(int, match.groups()))
        if found:
            return frozenset(found)
    return next((f.days for f in find(date) if f.start == 0), frozenset())


def _days(groups: dict[str, str | None], year_first: bool) -> frozenset[tuple[int, int, int]]:
    years = [int(groups["y"])]
    if len(groups["y"]) == 2:
        years = [1900 + years[0], 2000 + years[0]]
    first = int(groups["a"])
    if groups.get("m"):
        pairs = [(_MONTHS[groups["m"].lower()], first)]
    elif groups.get("r"):
        pairs = [(_ROMAN[groups["r"].upper()], first)]
    else:
        second = int(groups["b"])
        pairs = [(second, first)] if year_first else [(second, first), (first, second)]
    return frozenset(d for y in years for month, day in pairs for d in _real(y, month, day))


def _real(year: int, month: int, day: int) -> list[tuple[int, int, int]]:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return []
    return [(year, month, day)] if 1850 <= year <= 2150 else []
