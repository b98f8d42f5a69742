"""How sure the model is of its answers and of the places that it points at.

A confidence is about one thing, and its kind says what:

    yes_no     the answer to a yes/no question, scored against the other one
    multiple   the answer to a question with choices, scored against the other choices
    text       any other answer, and the words of a report
    box        the box of an entity
    mask       the mask of an entity

It is made of features, which are probabilities that the model itself gives:

    mean_token     the geometric mean of the probabilities of all tokens of the text
    option         the probability of the answer, renormalised over the options
    expected_iou   the IoU that the written box would have with boxes drawn from the model's own
                   distributions of the four coordinates, see `expected_iou`
    opening        the probability of the token that opens the tag
    class_token    the probability of the class token
    phrase         the geometric mean of the probabilities of the tokens of the phrase
    soft_iou       how well the mask fits its own probabilities, see `sampling.mask_scores`
    from_image     how much of the place comes from the image: the distance of the distributions
                   of its four coordinates from those on a blank image (total variation, on
                   average), or the change of the mask's probabilities. It is 0 if the image makes
                   no difference.

The score is `option` for an answer with options, else `mean_token`; `expected_iou` x `class_token`
for a box; and `soft_iou` for a mask. It ranks answers, but it is no probability of being right:
models are overconfident. A `calibration.Calibration` of the checkpoint makes one of the features.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from big_rad.grounding import markup
from big_rad.grounding.codec import BoxCodec
from big_rad.pp.tokenizer import Tokenizer

KINDS = ("yes_no", "multiple", "text", "box", "mask")
YES_NO = {"en": (("yes", "Yes"), ("no", "No")), "de": (("ja", "Ja"), ("nein", "Nein"))}
MAX_BOXES = 32  # Boxes of one text beyond this number get no confidence.
_DRAWS = 256

# A letter for each token: opens a box, location, `id=`, class, closes a box, opens and closes a
# mask, and "." for all others. The first "." behind a class begins with ">".
_BOX_TAG = re.compile(r"B(LLLL)\.*I(S)(\.+C)")
_MASK_TAG = re.compile(r"M?(\.*N)")
_LETTERS = {
    "<p bbox=": "B", "id=": "I", "</p>": "C", "<seg>": "M", "</seg>": "N"
}  # fmt: skip
Forms = tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Confidence:
    """How sure the model is of one thing.

    Attributes:
        kind: what it is about, one of `KINDS`.
        features: the probabilities from which it is made, by name.
        score: the score without calibration, in 0..1.
        calibrated: the score that the checkpoint's calibration makes of the features; None if the
            checkpoint has no calibration for the kind and the language.
    """

    kind: str
    features: Mapping[str, float]
    score: float
    calibrated: float | None = None

    @property
    def value(self) -> float:
        """The calibrated score if there is one, else the score."""
        return self.score if self.calibrated is None else self.calibrated

    @property
    def status(self) -> str:
        """Either "calibrated" or "uncalibrated"."""
        return "uncalibrated" if self.calibrated is None else "calibrated"

    def plain(self) -> dict[str, Any]:
        """Returns the attributes as plain data with rounded numbers."""
        return {
            "kind": self.kind,
            "features": {name: _rounded(x) for name, x in self.features.items()},
            "score": _rounded(self.score),
            "calibrated": None if self.calibrated is None else _rounded(self.calibrated),
        }


@dataclasses.dataclass(frozen=True)
class Tag:
    """The tokens of one entity in a text.

    Attributes:
        kind: "box" or "mask".
        bins: the four bins of a box, in the order of the codec; empty for a mask.
        opening: the position of the token that opens the tag; None if it is missing.
        location: the position of the first location token; None for a mask.
        class_token: the position of the class token; None for a mask.
        phrase: the positions of the tokens of the phrase, the closing token included.
    """

    kind: str
    bins: tuple[int, ...]
    opening: int | None
    location: int | None
    class_token: int | None
    phrase: range


def tags(tokens: Int[np.ndarray, " tokens"], tokenizer: Tokenizer) -> list[Tag]:
    """Returns the tags of a text that a box or a mask belongs to, in their order.

    Args:
        tokens: the ids of the text.
        tokenizer: the tokenizer that the ids belong to.
    """
    letters = _letters(tokenizer)[np.asarray(tokens)].tobytes().decode()
    first, found = int(tokenizer.loc_ids[0]), []
    for m in _BOX_TAG.finditer(letters):
        start, end = m.span(1)
        words = range(*m.span(3))
        found.append(
            Tag(
                kind="box",
                bins=tuple(int(tokens[i]) - first for i in range(start, end)),
                opening=m.start(),
                location=start,
                class_token=m.start(2),
                phrase=words[1:] if len(words) > 2 else words,  # Without the ">".
            )
        )
    for m in _MASK_TAG.finditer(letters):
        opening = m.start() if letters[m.start()] == "M" else None
        found.append(Tag("mask", (), opening, None, None, range(*m.span(1))))
    return sorted(found, key=lambda tag: tag.phrase.stop)


def expected_iou(
    bins: Sequence[int], probs: Float[np.ndarray, "4 locations"], codec: BoxCodec
) -> float:
    """Returns the expected IoU of a box with boxes drawn from the model's own distributions.

    256 boxes are drawn, whose four coordinates are independent, at the points of a Halton sequence
    (Halton 1960). The result is the mean of their IoU with the written box. A drawn box whose ends
    are in the wrong order has no area, so its IoU is 0. With all its probability on the written
    bins a box has 1, and one whose coordinates are uniform has little.

    Args:
        bins: the bins of the written box, in the order of the codec.
        probs: the probability of each location for each coordinate, in the same order.
        codec: the codec that the box was written with.
    """
    places = _places(codec)
    cumulated = np.cumsum(np.asarray(probs, float)[:, : len(places)], axis=1)
    axes = []
    for low, high in ((0, 2), (1, 3)):  # The two ends of a box along an axis.
        drawn = []
        for k in (low, high):
            at = np.searchsorted(cumulated[k], _points()[:, k] * cumulated[k, -1], side="right")
            drawn.append(places[np.minimum(at, len(places) - 1)])
        written = places[bins[low]], places[bins[high]]
        shared = np.minimum(written[1], drawn[1]) - np.maximum(written[0], drawn[0])
        axes.append((written[1] - written[0], drawn[1] - drawn[0], shared))
    own, other, both = (np.prod([np.maximum(a[i], 0) for a in axes], axis=0) for i in range(3))
    union = own + other - both
    return float(np.mean(np.divide(both, union, out=np.zeros_like(both), where=union > 0)))


def condense(
    result: Mapping[str, np.ndarray], tokenizer: Tokenizer, codec: BoxCodec
) -> dict[str, np.ndarray]:
    """Returns a result of a queue with the expected IoU of its boxes instead of distributions.

    Args:
        result: a result of `queue.Queue.run`, with `location_probs` if the model writes boxes.
        tokenizer: the model's tokenizer.
        codec: the codec of the model's boxes.

    Returns:
        The result without `location_probs` and `blank_location_probs`, and with `expected_iou` and
        `from_image`, f32 [n] for the n box tags of the text, see `tags`; NaN for boxes that are
        unreadable or beyond the first `MAX_BOXES`, and where it is not known.
    """
    kept = dict(result)
    probs, blank = (kept.pop(n, ()) for n in ("location_probs", "blank_location_probs"))
    tokens, found = np.asarray(kept["tokens"]), []
    bins = tokens - int(tokenizer.loc_ids[0])
    # Of a location that the codec does not have, the queue keeps no distribution.
    known = (bins >= 0) & (bins <= min(codec.max_bin, len(tokenizer.loc_ids) - 1))
    for tag in tags(tokens, tokenizer):
        if tag.kind == "box":
            start = int(known[: tag.location].sum())
            own, other = (p[start : start + 4] for p in (probs, blank))
            readable = len(own) == 4 and max(tag.bins) <= codec.max_bin
            iou = expected_iou(tag.bins, own, codec) if readable else math.nan
            found.append((iou, _distance(own, other) if len(other) == 4 else math.nan))
    both = np.array(found, np.float32).reshape(-1, 2)
    return kept | {"expected_iou": both[:, 0], "from_image": both[:, 1]}


def of_text(result: Mapping[str, np.ndarray]) -> Confidence:
    """Returns the confidence of a text as a whole.

    Args:
        result: a result of a queue.
    """
    mean = _mean_token(result)
    return Confidence("text", {"mean_token": mean}, mean)


def of_answer(
    result: Mapping[str, np.ndarray], answer: str, kind: str, options: Forms
) -> Confidence:
    """Returns the confidence of an answer with options, or of a text if it has none.

    Args:
        result: a result of a queue; `candidate_logprobs` belong to the `options`, form by form.
        answer: the answer.
        kind: "yes_no" or "multiple".
        options: the forms in which each option may be written.
    """
    if not options or "candidate_logprobs" not in result:
        return of_text(result)
    probs = option_probabilities(result["candidate_logprobs"], options)
    chosen = option_of(answer, options)
    option = 0.0 if chosen is None else float(probs[chosen])
    return Confidence(kind, {"option": option, "mean_token": _mean_token(result)}, option)


def option_probabilities(
    logprobs: Float[np.ndarray, " forms"], options: Forms
) -> Float[np.ndarray, " options"]:
    """Returns the probability of each option, renormalised over the options.

    Args:
        logprobs: the log probability of each form, option by option.
        options: the forms in which each option may be written.
    """
    ends = np.cumsum([len(forms) for forms in options])[:-1]
    each = [special.logsumexp(part) for part in np.split(np.asarray(logprobs, float), ends)]
    return special.softmax(each)


def option_of(answer: str, options: Forms) -> int | None:
    """Returns the number of the option that an answer writes, or None if it writes another text."""
    plain = _bare(answer)
    return next((i for i, forms in enumerate(options) if plain in map(_bare, forms)), None)


def options_of(question_type: str, choices: Sequence[str], lang: str) -> tuple[str, Forms]:
    """Returns the kind of a question's answer, and its options.

    Args:
        question_type: "yes_no", "multiple", or another name, whose answers have no options.
        choices: the choices of a question of the type "multiple".
        lang: the language of the answer.
    """
    if question_type == "yes_no" and lang in YES_NO:
        return "yes_no", YES_NO[lang]
    if question_type == "multiple" and len({_bare(c) for c in choices}) > 1:
        return "multiple", tuple((c,) for c in {_bare(c): c for c in choices}.values())
    return "text", ()


def candidates(options: Forms, tokenizer: Tokenizer) -> list[list[int]]:
    """Returns the tokens of all forms of the options, for `requests.Request.candidates`."""
    return [tokenizer.encode(form, eos=True) for forms in options for form in forms]


def of_entities(
    result: Mapping[str, np.ndarray],
    entities: Sequence[markup.Entity],
    tokenizer: Tokenizer,
    codec: BoxCodec,
) -> list[Confidence | None]:
    """Returns the confidence of each entity of a text.

    Args:
        result: a result of a queue, after `condense`.
        entities: the entities of the text, as `markup.parse` returns them.
        tokenizer: the model's tokenizer.
        codec: the codec of the model's boxes.

    Returns:
        For each entity its confidence. It is None if the entity has no readable box and no mask,
        if its tag has a fault, or if its place is beyond the limits on boxes and masks.
    """
    if "expected_iou" not in result or "token_logprobs" not in result:
        return [None] * len(entities)
    found = tags(result["tokens"], tokenizer)
    written = [t for t in found if t.kind == "box"]
    values = (np.asarray(result[n], float).tolist() for n in ("expected_iou", "from_image"))
    boxes = list(zip(written, *values, strict=True))
    masks = [t for t in found if t.kind == "mask"]
    scores = result.get("mask_scores", ())
    confidences: list[Confidence | None] = []
    for entity in entities:
        made = None
        if entity.mask_index is not None and entity.mask_index < min(len(scores), len(masks)):
            tag, score = masks[entity.mask_index], float(scores[entity.mask_index])
            change = result.get("mask_change")
            seen = math.nan if change is None else float(change[entity.mask_index])
            features = {"soft_iou": score} | _from_image(seen) | _words(result, tag)
            made = Confidence("mask", features, score)
        elif entity.box is not None:
            same = (
                i
                for i, (tag, *_) in enumerate(boxes)
                if _is_of(tag, entity, codec)
                and entity.class_id in (0, result["tokens"][tag.class_token] - tokenizer.seg_ids[0])
            )
            i = next(same, None)
            # Some boxes that can be read stand in a tag with faults. They have none of `tags`.
            if i is not None:
                if not math.isnan(boxes[i][1]):
                    made = _of_box(result, *boxes[i])
                boxes = boxes[i + 1 :]  # Those before it could not be read.
        confidences.append(made)
    return confidences


def _of_box(result: Mapping[str, np.ndarray], tag: Tag, iou: float, seen: float) -> Confidence:
    class_token = math.exp(float(result["token_logprobs"][tag.class_token]))
    features = {"expected_iou": iou, "class_token": class_token} | _from_image(seen)
    return Confidence("box", features | _words(result, tag), iou * class_token)


def _from_image(value: float) -> dict[str, float]:
    return {} if math.isnan(value) else {"from_image": min(1.0, max(0.0, value))}


def _distance(a: Float[np.ndarray, "4 locations"], b: Float[np.ndarray, "4 locations"]) -> float:
    # The total variation distance of the distributions of each coordinate, on average.
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).sum(axis=1).mean() / 2)


def _words(result: Mapping[str, np.ndarray], tag: Tag) -> dict[str, float]:
    logprobs = np.asarray(result["token_logprobs"], float)
    phrase = math.exp(logprobs[tag.phrase.start : tag.phrase.stop].mean())
    opening = 1.0 if tag.opening is None else math.exp(logprobs[tag.opening])
    return {"opening": opening, "phrase": phrase}


def _mean_token(result: Mapping[str, np.ndarray]) -> float:
    count = max(1, int((np.asarray(result["tokens"]) != 0).sum()))  # With <eos>.
    return math.exp(min(0.0, float(result["logprob"])) / count)


def _is_of(tag: Tag, entity: markup.Entity, codec: BoxCodec) -> bool:
    return max(tag.bins) <= codec.max_bin and codec.decode(tag.bins) == entity.box


def _bare(text: str) -> str:
    return text.strip().rstrip(".").strip().casefold()


def _rounded(value: float) -> float:
    # Probabilities near 1 differ in their distance from 1, so these digits stay.
    return float(f"{value:.6g}") if value < 0.999 else 1 - float(f"{1 - value:.4g}")


@functools.lru_cache(maxsize=8)
def _letters(tokenizer: Tokenizer) -> np.ndarray:
    letters = np.full(tokenizer.vocab_size, ord("."), np.uint8)
    letters[tokenizer.loc_ids] = ord("L")
    letters[tokenizer.seg_ids] = ord("S")
    for token, i in tokenizer.markup.items():
        letters[i] = ord(_LETTERS[token])
    return letters


@functools.lru_cache(maxsize=8)
def _places(codec: BoxCodec) -> Float[np.ndarray, " bins"]:
    # The coordinate of each bin.
    return np.array([codec.decode((b, b, b, b))[0] for b in range(codec.max_bin + 1)])


@functools.cache
def _points() -> Float[np.ndarray, "draws 4"]:
    # Halton's sequence (Halton 1960) without its first point, which is the corner. It is not taken
    # from `scipy.stats`, because that package takes longer to import than JAX.
    return np.stack([_mirrored(np.arange(1, _DRAWS + 1), base) for base in (2, 3, 5, 7)], axis=1)


def _mirrored(number: Int[np.ndarray, " draws"], base: int) -> Float[np.ndarray, " draws"]:
    # The digits of each number, mirrored at the point: 6 = 110 in base 2 becomes 0.011.
    total, weight = np.zeros(len(number)), 1.0
    while number.any():
        number, digit = np.divmod(number, base)
        weight /= base
        total += digit * weight
    return total
