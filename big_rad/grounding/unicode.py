"""The form of Unicode in which all texts are stored and compared."""

import unicodedata


def nfc(text: str) -> str:
    """Returns a text in the composed form of Unicode (NFC).

    In this form an umlaut is one character, so the same word has the same tokens whatever program
    wrote it. All texts in built datasets have this form.

    Args:
        text: any text.
    """
    return unicodedata.normalize("NFC", text)
