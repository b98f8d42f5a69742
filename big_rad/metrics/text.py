"""Token F1, token recall and exact-match accuracy of one answer against one reference.

Works on strings in any language; grounding markup is taken out first. Knows nothing of questions,
datasets or averages: whether a question is open or closed is the dataset's to say.
"""

import collections
import re
import string

from big_rad.grounding import markup

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def f1(pred: str, ref: str) -> float:
    """Token F1 as in SQuAD (Rajpurkar et al. 2016): multiset overlap of normalised words.

    Normalised: lower case, ASCII punctuation dropped, the English articles a, an, the dropped
    (German ones stay), split at white space.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.

    Returns:
        0..1; 1 if both are empty after normalisation, 0 if one is.
    """
    pred_words, ref_words = _words(markup.strip(pred)), _words(markup.strip(ref))
    if not pred_words or not ref_words:
        return float(pred_words == ref_words)
    return 2 * _overlap(pred_words, ref_words) / (len(pred_words) + len(ref_words))


def recall(pred: str, ref: str) -> float:
    """Share of the reference's words that the answer holds, with multiplicity.

    As published, both pass through the clean-up of `accuracy` and then the normalisation of `f1`.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.

    Returns:
        0..1; 1 if both are empty after normalisation, 0 if one is.
    """
    pred_words, ref_words = _words(_clean(markup.strip(pred))), _words(_clean(markup.strip(ref)))
    if not pred_words or not ref_words:
        return float(pred_words == ref_words)
    return _overlap(pred_words, ref_words) / len(ref_words)


def accuracy(pred: str, ref: str) -> float:
    """1 if the answer is the reference but for case, punctuation and white space, else 0.

    Everything but a-z, 0-9, German letters and the space becomes a space, as published.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.
    """
    return float(_clean(markup.strip(pred)) == _clean(markup.strip(ref)))


def _words(text: str) -> list[str]:
    text = text.lower().translate(_NO_PUNCTUATION)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _clean(text: str) -> str:
    return " ".join(re.sub(r"[^a-zA-Z0-9äöüÄÖÜß ]+", " ", text).lower().split())


def _overlap(a: list[str], b: list[str]) -> int:
    return (collections.Counter(a) & collections.Counter(b)).total()
