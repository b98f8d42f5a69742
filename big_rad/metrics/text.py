"""Scores of generated text: token F1, recall, accuracy, CIDEr, BLEU and ROUGE-L.

The first ones compare one answer with one reference; the others, made for captions, a list with a
list. Works on strings in any language; grounding markup is taken out first, and Unicode is composed
(NFC), so that an umlaut is the same however it was stored. Knows nothing of questions or datasets:
whether a question is open or closed is the dataset's to say.
"""

import collections
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from big_rad.grounding import markup
from big_rad.grounding.unicode import nfc
from big_rad.metrics import words

_CIDER_N, _CIDER_SIGMA = 4, 6.0


def f1(pred: str, ref: str) -> float:
    """Token F1 as in SQuAD (Rajpurkar et al. 2016): multiset overlap of normalised words.

    Normalised: lower case, ASCII punctuation dropped, the English articles a, an, the dropped
    (German ones stay), split at white space. So the answers "A" and "the" are both empty and score
    1, "< 5 cm" and "> 5 cm" score 1, and "4.5" is "45": read `accuracy` beside it.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.

    Returns:
        0..1; 1 if both are empty after normalisation, 0 if one is.
    """
    pred_words, ref_words = (words.squad(markup.strip(t)) for t in (pred, ref))
    if not pred_words or not ref_words:
        return float(pred_words == ref_words)
    return 2 * _overlap(pred_words, ref_words) / (len(pred_words) + len(ref_words))


def recall(pred: str, ref: str) -> float:
    """Share of the reference's words that the answer holds, with multiplicity.

    Words are those of `accuracy`, without a, an and the: in any script, numbers with their signs.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.

    Returns:
        0..1; 1 if both are empty after normalisation, 0 if one is.
    """
    return _recall(*(words.content(markup.strip(t)) for t in (pred, ref)))


def recall_published(pred: str, ref: str) -> float:
    """`recall` as the published numbers were made.

    Both texts pass through the clean-up of `accuracy_published` and then the normalisation of `f1`.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.

    Returns:
        0..1; 1 if both are empty after normalisation, 0 if one is.
    """
    return _recall(*(words.squad(words.published(markup.strip(t))) for t in (pred, ref)))


def accuracy(pred: str, ref: str) -> float:
    """1 if the answer is the reference but for case, punctuation and white space, else 0.

    Letters and digits of any script count, and so do comparison signs, decimal points, minus, and
    what else makes it another answer, see `words.plain`.

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.
    """
    return float(words.plain(markup.strip(pred)) == words.plain(markup.strip(ref)))


def accuracy_published(pred: str, ref: str) -> float:
    """`accuracy` as the published numbers were made.

    Everything but a-z, 0-9, German letters and the space becomes a space, so any two answers
    without these are equal, and "< 5 cm" equals "> 5 cm".

    Args:
        pred: the answer; may hold grounding markup.
        ref: the reference; likewise.
    """
    return float(words.published(markup.strip(pred)) == words.published(markup.strip(ref)))


def cider(
    preds: Sequence[str], refs: Sequence[str], normalized: bool = False
) -> tuple[float, list[float]]:
    """CIDEr-D of captions with one reference each (Vedantam et al. 2015), as published.

    n-grams up to 4 are weighted by how rare they are among the references given, so a score depends
    on the set: the same caption scores otherwise in another. Words are what white space separates,
    case and punctuation kept. A set of one has no rare n-grams and scores 0.

    Args:
        preds: captions; may hold grounding markup.
        refs: references, as many.
        normalized: compare words as `f1` does, for sets whose punctuation differs.

    Returns:
        (mean, score of each), 0..10; the paper prints it times 100.

    Raises:
        ValueError: lengths that differ, or nothing to score.
    """
    _check(preds, refs)
    split = words.squad if normalized else str.split
    grams = [[_ngrams(split(_visible(t))) for t in side] for side in (preds, refs)]
    seen = collections.Counter(gram for ref in grams[1] for gram in ref)
    vectors = [[_weighted(counts, seen, len(refs)) for counts in side] for side in grams]
    scores = [_cider_d(p, r) for p, r in zip(*vectors, strict=True)]
    return float(np.mean(scores)), scores


def bleu(preds: Sequence[str], refs: Sequence[str], order: int = 4) -> float:
    """Corpus BLEU (Papineni et al. 2002) with one reference each, by sacrebleu.

    Args:
        preds: captions; may hold grounding markup.
        refs: references, as many.
        order: the longest n-gram, 1..4.

    Returns:
        0..1: tokenization 13a, case kept, exponential smoothing of orders without a match.

    Raises:
        ValueError: lengths that differ, or nothing to score.
    """
    import sacrebleu  # Here, as below: a second or two that few need.

    _check(preds, refs)
    scorer = sacrebleu.BLEU(max_ngram_order=order)
    return scorer.corpus_score(*_stripped(preds, refs)).score / 100


def rouge_l(preds: Sequence[str], refs: Sequence[str]) -> tuple[float, list[float]]:
    """ROUGE-L F-measure (Lin 2004): longest common subsequence of words, by rouge-score.

    Args:
        preds: captions; may hold grounding markup.
        refs: references, as many.

    Returns:
        (mean, score of each), 0..1; words are lower case, of letters and digits, German ones too.

    Raises:
        ValueError: lengths that differ, or nothing to score.
    """
    from rouge_score import rouge_scorer

    _check(preds, refs)
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=_Letters())
    texts, (references,) = _stripped(preds, refs)
    pairs = zip(texts, references, strict=True)
    scores = [scorer.score(ref, pred)["rougeL"].fmeasure for pred, ref in pairs]
    return float(np.mean(scores)), scores


class _Letters:
    """The tokenizer of `rouge_l`; the library's own drops umlauts."""

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
    # Of each order the weights of n-grams and their norm; and the number of pairs of words, which
    # the published code takes for the length.
    vectors: list[dict] = [{} for _ in range(_CIDER_N)]
    for gram, count in counts.items():
        rarity = math.log(texts) - math.log(max(1, seen[gram]))
        vectors[len(gram) - 1][gram] = count * rarity
    norms = [math.sqrt(sum(w * w for w in v.values())) for v in vectors]
    return vectors, norms, sum(c for gram, c in counts.items() if len(gram) == 2)


def _cider_d(pred: tuple, ref: tuple) -> float:
    # Clipped cosine of each order, less for another length; ten times their mean.
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
