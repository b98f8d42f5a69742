"""The one form of Unicode in which texts are kept and compared."""

import unicodedata


def nfc(text: str) -> str:
    """Returns a text in Unicode's composed form (NFC).

    An umlaut is one character in it, and the same word has the same tokens, whatever program wrote
    it. Built data hold all texts so.

    Args:
        text: any text.

    Returns:
        The text; every character that can be composed is.
    """
    return unicodedata.normalize("NFC", text)
