"""Scores of generated text: token F1, recall, accuracy, CIDEr, BLEU and ROUGE-L.

F1, recall and accuracy compare one answer with one reference. CIDEr, BLEU and ROUGE-L are made for
captions, and compare a list with a list. All of them remove grounding markup first, and compose
Unicode (NFC), so that an umlaut is the same character however it was stored.

    >>> f1("a small pleural effusion", "pleural effusion"), accuracy("Yes.", "yes")
    (0.8, 1.0)
"""

import collections
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from big_rad import extras
from big_rad.grounding import markup
from big_rad.grounding.unicode import nfc
from big_rad.metrics import words

_CIDER_N, _CIDER_SIGMA = 4, 6.0


def f1(pred: str, ref: str) -> float:
    """Returns the token F1 of SQuAD (Rajpurkar et al. 2016).

    The words of both texts are normalised and compared as multisets. The normalisation makes words
    lower case, removes ASCII punctuation and the English articles a, an and the (German articles
    stay), and splits at white space. So the answers "A" and "the" are both empty and score 1,
    "< 5 cm" and "> 5 cm" score 1, and "4.5" equals "45". Report `accuracy` as well.

    Args:
        pred: the answer, which may hold grounding markup.
        ref: the reference, which may hold grounding markup.

    Returns:
        The score, in 0..1: 1 if both texts are empty after normalisation, 0 if only one is.
    """
    pred_words, ref_words = (words.squad(markup.strip(t)) for t in (pred, ref))
    if not pred_words or not ref_words:
        return float(pred_words == ref_words)
    return 2 * _overlap(pred_words, ref_words) / (len(pred_words) + len(ref_words))


def recall(pred: str, ref: str) -> float:
    """Returns the share of the reference's words that the answer holds, with multiplicity.

    The words are those that `accuracy` compares, without a, an and the: words of any script, and
    numbers with their signs.

    Args:
        pred: the answer, which may hold grounding markup.
        ref: the reference, which may hold grounding markup.

    Returns:
        The score, in 0..1: 1 if both texts are empty after normalisation, 0 if only one is.
    """
    return _recall(*(words.content(markup.strip(t)) for t in (pred, ref)))


def recall_published(pred: str, ref: str) -> float:
    """Returns the recall as it was computed for the published numbers.

    Both texts pass through the clean-up of `accuracy_published` and then the normalisation of `f1`.

    Args:
        pred: the answer, which may hold grounding markup.
        ref: the reference, which may hold grounding markup.

    Returns:
        The score, in 0..1: 1 if both texts are empty after normalisation, 0 if only one is.
    """
    return _recall(*(words.squad(words.published(markup.strip(t))) for t in (pred, ref)))


def accuracy(pred: str, ref: str) -> float:
    """Returns 1 if answer and reference differ only in case, punctuation and white space, else 0.

    Letters and digits of any script are compared. So are comparison signs, decimal points, the
    minus and other characters that change the meaning of an answer, see `words.plain`.

    Args:
        pred: the answer, which may hold grounding markup.
        ref: the reference, which may hold grounding markup.
    """
    return float(words.plain(markup.strip(pred)) == words.plain(markup.strip(ref)))


def accuracy_published(pred: str, ref: str) -> float:
    """Returns the accuracy as it was computed for the published numbers.

    All characters except a-z, 0-9, German letters and the space become spaces. So any two answers
    without such characters are equal, and "< 5 cm" equals "> 5 cm".

    Args:
        pred: the answer, which may hold grounding markup.
        ref: the reference, which may hold grounding markup.
    """
    return float(words.published(markup.strip(pred)) == words.published(markup.strip(ref)))


def cider(
    preds: Sequence[str], refs: Sequence[str], normalized: bool = False
) -> tuple[float, list[float]]:
    """Returns CIDEr-D of captions with one reference each (Vedantam et al. 2015), as published.

    n-grams of up to 4 words are weighted by how rare they are among the given references. The score
    of a caption therefore depends on the whole set, and is different in another set. Words are
    separated by white space, and keep their case and punctuation. In a set of one caption no n-gram
    is rare, so the score is 0.

    Args:
        preds: the captions, which may hold grounding markup.
        refs: the references, one per caption.
        normalized: whether words are normalised as in `f1`, for sets whose punctuation differs.

    Returns:
        The mean and the list of scores, in 0..10. The paper prints the mean times 100.

    Raises:
        ValueError: the lengths differ, or the lists are empty.
    """
    _check(preds, refs)
    split = words.squad if normalized else str.split
    grams = [[_ngrams(split(_visible(t))) for t in side] for side in (preds, refs)]
    seen = collections.Counter(gram for ref in grams[1] for gram in ref)
    vectors = [[_weighted(counts, seen, len(refs)) for counts in side] for side in grams]
    scores = [_cider_d(p, r) for p, r in zip(*vectors, strict=True)]
    return float(np.mean(scores)), scores


def bleu(preds: Sequence[str], refs: Sequence[str], order: int = 4) -> float:
    """Returns corpus BLEU (Papineni et al. 2002) of captions with one reference each, by sacrebleu.

    The tokenization is 13a, case is kept, and orders without a match are smoothed exponentially.

    Args:
        preds: the captions, which may hold grounding markup.
        refs: the references, one per caption.
        order: the length of the longest n-grams, 1..4.

    Returns:
        The score, in 0..1.

    Raises:
        ValueError: the lengths differ, or the lists are empty.
    """
    # This import and the one of `rouge_l` take a second or two, and few callers need them.
    with extras.needed("train"):
        import sacrebleu

    _check(preds, refs)
    scorer = sacrebleu.BLEU(max_ngram_order=order)
    return scorer.corpus_score(*_stripped(preds, refs)).score / 100


def rouge_l(preds: Sequence[str], refs: Sequence[str]) -> tuple[float, list[float]]:
    """Returns the ROUGE-L F-measure (Lin 2004) of captions with one reference each, by rouge-score.

    The score is that of the longest common subsequence of words. Words are lower case, and consist
    of letters (umlauts included), digits and underscores.

    Args:
        preds: the captions, which may hold grounding markup.
        refs: the references, one per caption.

    Returns:
        The mean and the list of scores, in 0..1.

    Raises:
        ValueError: the lengths differ, or the lists are empty.
    """
    with extras.needed("train"):
        from rouge_score import rouge_scorer

    _check(preds, refs)
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=_Letters())
    texts, (references,) = _stripped(preds, refs)
    pairs = zip(texts, references, strict=True)
    scores = [scorer.score(ref, pred)["rougeL"].fmeasure for pred, ref in pairs]
    return float(np.mean(scores)), scores


class _Letters:
    """The tokenizer of `rouge_l`. It replaces the tokenizer of the library, which drops umlauts."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())


def _check(preds: Sequence[str], refs: Sequence[str]) -> None:
    if len(preds) != len(refs) or not preds:
        raise ValueError(f"{len(preds)} texts for {len(refs)} references")


def _stripped(preds: Sequence[str], refs: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    return [_visible(p) for p in preds], [[_visible(r) for r in refs]]


def _visible(text: str) -> str:
    return nfc(markup.strip(text))


def _ngrams(split: Sequence[str]) -> collections.Counter:
    def of_order(n: int) -> Iterator[tuple[str, ...]]:
        return (tuple(split[i : i + n]) for i in range(len(split) - n + 1))

    return collections.Counter(gram for n in range(1, _CIDER_N + 1) for gram in of_order(n))


def _weighted(
    counts: collections.Counter, seen: collections.Counter, texts: int
) -> tuple[list[dict], list[float], int]:
    # Returns the weights of the n-grams of each order, the norms of these weights, and the number
    # of pairs of adjacent words, which the published code uses as the length of the text.
    vectors: list[dict] = [{} for _ in range(_CIDER_N)]
    for gram, count in counts.items():
        rarity = math.log(texts) - math.log(max(1, seen[gram]))
        vectors[len(gram) - 1][gram] = count * rarity
    norms = [math.sqrt(sum(w * w for w in v.values())) for v in vectors]
    return vectors, norms, sum(c for gram, c in counts.items() if len(gram) == 2)


def _cider_d(pred: tuple, ref: tuple) -> float:
    # Returns ten times the mean clipped cosine over the orders, with a penalty for a difference in
    # length.
    (p, p_norms, p_length), (r, r_norms, r_length) = pred, ref
    total = 0.0
    for n in range(_CIDER_N):
        shared = sum(min(w, r[n].get(gram, 0.0)) * r[n].get(gram, 0.0) for gram, w in p[n].items())
        if p_norms[n] and r_norms[n]:
            shared /= p_norms[n] * r_norms[n]
        total += shared
    penalty = math.exp(-((p_length - r_length) ** 2) / (2 * _CIDER_SIGMA**2))
    return 10 * penalty * total / _CIDER_N


def _recall(pred: list[str], ref: list[str]) -> float:
    return _overlap(pred, ref) / len(ref) if pred and ref else float(pred == ref)


def _overlap(a: list[str], b: list[str]) -> int:
    return (collections.Counter(a) & collections.Counter(b)).total()
