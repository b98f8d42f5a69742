"""The spelling in which texts are searched for identifiers."""

import dataclasses

from big_rad.grounding import plain

# Letters that are not composed, so that `plain` leaves them as they are, and apostrophes.
_LETTERS = str.maketrans(
    "\u0131\u0142\u0141\u0111\u0110\u00f0\u00d0\u00fe\u00de\u0127\u0126\u2019\u00b4\u2018\u02bc",
    "ilLdDdDtThH''''",
)


def read(text: str) -> plain.Plain:
    """Returns a text in plain spelling, also of letters that only some languages have."""
    found = plain.read(text)
    return dataclasses.replace(found, text=found.text.translate(_LETTERS))


def spelled(text: str) -> str:
    """Returns a text in the spelling of `read`, without its places."""
    return read(text).text
