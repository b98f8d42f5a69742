"""Finds the phrases of a text that name an anatomy class, without their places.

The result holds the words and classes of `mentions.find`. Negation is ignored: "no lesion in the
liver" names the liver. Organs that were removed ("splenectomy") are left out.
"""

from big_rad.grounding import placing


def find(text: str, lang: str, most: int = 3) -> list[tuple[str, int]]:
    """Returns the phrases that name a class, in the order of the text.

    A part of a hyphenated word ("Leber-CT") is not a phrase. An organ of a pair has the side that
    its clause names ("Rechts im Unterlappen ein Rundherd"), but a place beside an organ ("left of
    the kidney") does not name its side. A singular without a side ("the kidney") is left out.

    Args:
        text: the text, such as a report.
        lang: "en" or "de".
        most: the most classes on one side that a word may name; words for larger groups ("the
            ribs") are left out. Ranges of numbers ("ribs 3 to 7") are never left out.

    Returns:
        A list of (phrase as in the text, class id) without repeats. A phrase is listed once for
        each class that it names: "kidneys" twice, and "gluteal muscles" six times.
    """
    return list(dict.fromkeys((phrase, i) for phrase, i, _ in placing.found(text, lang, most)))
