"""Decodes text files, and recognises what is no plain text.

    text = decoded(data)     # raises NotPlain("is RTF; save it as plain text in UTF-8")

A report that is saved as Word or RTF must not be taken for text: its codes would become sentences,
and its header names its author.
"""

import re

REMEDY = "save it as plain text in UTF-8"
# What the first bytes of a file say.
_MARKS = {
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"{\\rtf": "RTF", b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip file, such as Word (.docx), Excel or OpenDocument",
    b"\xd0\xcf\x11\xe0": "an old file of Word or Excel (.doc, .xls)",
    b"\x1f\x8b": "packed with gzip",
}  # fmt: skip
# Reports may have bold headings in <b>, which `reports` knows.
_TAGS = "html head body meta style script title div p br hr table tr td ul li span font pre"
_MARKUP = re.compile(
    rf"<!doctype|<\?xml|</?(?:{'|'.join(_TAGS.split())})(?:\s[^<>]*)?/?>|&(?:nbsp|[aou]uml|szlig);",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\x80-\x9f]")
_BOM = b"\xef\xbb\xbf"


class NotPlain(ValueError):
    """It is no plain text; the message is a clause with the remedy, and quotes nothing."""


def decoded(data: bytes) -> str:
    """Returns the text of a file in UTF-8, with or without a mark at its beginning.

    Raises:
        NotPlain: it is another kind of file, or in another encoding.
    """
    start = data.removeprefix(_BOM).lstrip()
    for mark, what in _MARKS.items():
        if data.startswith(mark) or start.startswith(mark):
            raise NotPlain(f"is {what}; {REMEDY}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise NotPlain(
            f"is not UTF-8 (line {data[: e.start].count(10) + 1}); convert it, for example with "
            "iconv -f WINDOWS-1252 -t UTF-8"
        ) from None
    if "\0" in text:
        raise NotPlain(f"holds characters of the number 0, so it is no text; {REMEDY}")
    return text


def markup(text: str) -> str:
    """Returns a clause that says which markup a text holds and what to do, "" if it has none."""
    if text.lstrip().startswith("{\\rtf"):
        return f"is RTF; {REMEDY}"
    if _MARKUP.search(text):
        return f"is HTML or XML; {REMEDY}, without tags"
    return ""


def control(text: str) -> str:
    """Returns a clause about characters that no text has, "" if there are none."""
    if not _CONTROL.search(text):
        return ""
    return (
        "holds control characters (U+0080 to U+009F), probably because text in Windows-1252 was "
        "read as ISO-8859-1; convert the original again with iconv -f WINDOWS-1252 -t UTF-8"
    )
