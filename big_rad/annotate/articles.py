"""Mends "a" and "an" where a word between the article and the noun has been removed."""

import re

_ARTICLE = re.compile(r"(?<!\w)([Aa]n?) (\w+)")
# Words before which "an" stands: an ulcer, an 8 mm nodule, an MRI; but a unilateral effusion.
_VOWEL = re.compile(
    r"(?:8\d*|1[18])(?!\d)|[AEFHILMNORSX][A-Z\d]+(?![a-z])|"
    r"(?![A-Z]{2}|eu|one(?!\w)|u(?:ni(?![nm])|re|ri|ro|te|se|su|ti))[aeiouAEIOU]|ho(?:ur|nest)"
)


def suited(text: str, before: str) -> str:
    """Returns an English text in which "a" and "an" suit the words that now follow them.

    Args:
        text: the text.
        before: the text from which words were removed; what already stood there stays as it is.
    """

    def mended(match: re.Match) -> str:
        if re.search(rf"(?<!\w){re.escape(match[0])}(?!\w)", before, re.I):
            return match[0]
        return f"{match[1][0]}{'n' if _VOWEL.match(match[2]) else ''} {match[2]}"

    return _ARTICLE.sub(mended, text)
