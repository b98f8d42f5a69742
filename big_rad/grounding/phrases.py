"""Finds the phrases of a text that name an anatomy class, through the lexicon of classes.

The words and classes of `mentions`, for whoever needs no places. Knows nothing of negation ("no
gallbladder" names the gallbladder) and of what an image shows.
"""

from big_rad.grounding import placing


def find(text: str, lang: str, most: int = 3) -> list[tuple[str, int]]:
    """Returns the phrases that name a class, in the order of the text.

    A phrase inside a hyphenated word ("Leber-CT"), of a range of vertebrae ("LWK 4/5", "L4-L5"), or
    of a place beside an organ ("left of the kidney") is none. The left or the right organ of a pair
    is named by the side that its clause names ("Rechts im Unterlappen ein Rundherd"); a singular
    without any side ("the kidney") is left out.

    Args:
        text: a report.
        lang: "en" or "de".
        most: words for a group of more classes than this on one side ("the ribs") are left out.
            Numbers that the text counts up ("ribs 3 to 7") are not. "Both kidneys" and "kidneys"
            stand twice, once for each, and "gluteal muscles" six times.

    Returns:
        (phrase as in the text, class id), without repeats.
    """
    return list(dict.fromkeys((phrase, i) for phrase, i, _ in placing.found(text, lang, most)))
