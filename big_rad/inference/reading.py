"""Reads a model's tokens as a prediction: text, entities with boxes or masks, and confidence."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from big_rad.dicom.turns import Turn
from big_rad.grounding import boxes, classes, markup
from big_rad.grounding import masks as mask_lib
from big_rad.grounding.codec import BoxCodec
from big_rad.inference import confidence as confidence_lib
from big_rad.inference import predictions
from big_rad.inference.asks import Ask
from big_rad.inference.calibration import Calibration
from big_rad.inference.confidence import Confidence
from big_rad.inference.predictions import Entity, Prediction, TokenDetail
from big_rad.pp import ops_image
from big_rad.pp.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Context:
    """What is needed to read the answer to a question, beside the tokens.

    Attributes:
        ask: the question.
        size: the (height, width) of the image as the model saw it.
        to_stored: the turn that brings boxes and masks back to the stored image.
        warnings: the warnings about the image.
        points: whether the model was asked to point.
        kind: the kind of the answer's confidence, see `confidence.options_of`.
        options: the forms of each option whose probability was asked for.
    """

    ask: Ask
    size: tuple[int, int]
    to_stored: Turn
    warnings: tuple[str, ...]
    points: bool
    kind: str = "text"
    options: confidence_lib.Forms = ()


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads the answers of one model.

    Attributes:
        tokenizer: the model's tokenizer.
        codec: the codec of the model's boxes.
        pointing: "boxes", "masks" or "none".
        calibration: the calibration of the checkpoint; None leaves confidences uncalibrated.
        details: whether predictions have their tokens one by one.
    """

    tokenizer: Tokenizer
    codec: BoxCodec
    pointing: str
    calibration: Calibration | None = None
    details: bool = False

    def read(self, result: Mapping[str, np.ndarray], context: Context) -> Prediction:
        """Returns the prediction of an answer, in pixels of the stored image.

        Args:
            result: a result of the queue, see `confidence.condense`.
            context: what was asked.
        """
        tokens = np.asarray(result["tokens"])
        tokens = tokens[tokens != 0]
        raw = self.tokenizer.decode(tokens, skip_special=True, guard=True)
        parsed = markup.parse(raw, self.codec)
        text, more = self._text(result, parsed.text, context)
        more += self._limits(result, tokens, context.ask)
        entities, withheld = self._entities(result, parsed, context)
        found = Prediction(
            text=text,
            entities=entities,
            logprob=float(result["logprob"]),
            raw=raw,
            tokens=max(1, len(tokens)),  # With <eos>, which `logprob` contains too.
            turned=context.to_stored.inverse().words,
            warnings=(*context.warnings, *more, *withheld),
            confidence=self._of_text(result, text, context, text != parsed.text),
            changed=int(result.get("changed", 0)),
            details=self._details(result, tokens) if self.details else (),
        )
        return predictions.turn(found, context.to_stored, context.size)

    def _text(
        self, result: Mapping[str, np.ndarray], text: str, context: Context
    ) -> tuple[str, list[str]]:
        # Under constraints, the answer to a question with choices is one of them.
        if context.kind != "multiple" or "candidate_logprobs" not in result:
            return text, []
        written = confidence_lib.option_of(text, context.options)
        if not context.ask.constrained:
            if written is None:
                return text, [f"the answer {text!r} is not one of the choices"]
            return text, []
        probs = confidence_lib.option_probabilities(result["candidate_logprobs"], context.options)
        best = int(probs.argmax())
        if written == best:
            return text, []
        chosen = context.options[best][0]
        return chosen, [f"the model wrote {text!r}; the likeliest of the choices is {chosen!r}"]

    def _limits(self, result: Mapping[str, np.ndarray], tokens: np.ndarray, ask: Ask) -> list[str]:
        ended = len(tokens) and tokens[-1] == self.tokenizer.eos_id
        if len(tokens) < ask.limit or (ended and not int(result.get("changed", 0))):
            return []
        return [f"the text reached its limit of {ask.limit} tokens and may be cut short"]

    def _of_text(
        self, result: Mapping[str, np.ndarray], text: str, context: Context, forced: bool
    ) -> Confidence:
        # `forced` says that the text is a choice, and not what the model wrote.
        if context.ask.task != "vqa":
            return confidence_lib.of_text(result)
        options = context.options
        if context.kind == "yes_no" and confidence_lib.option_of(text, options) is None:
            options = ()  # It was no question for yes or no.
        found = confidence_lib.of_answer(result, text, context.kind, options)
        if forced:  # The calibration is of answers that the model wrote itself.
            return found
        return self._calibrated(found, context.ask.lang)

    def _calibrated(self, found: Confidence, lang: str) -> Confidence:
        if self.calibration is None:
            return found
        value = self.calibration.apply(found.kind, lang, found.features)
        return dataclasses.replace(found, calibrated=value)

    def _entities(
        self, result: Mapping[str, np.ndarray], parsed: markup.Parsed, context: Context
    ) -> tuple[tuple[Entity, ...], list[str]]:
        if not context.points:  # A small model may write boxes although it was not asked for them.
            return (), []
        read, logits = parsed.entities, result.get("mask_logits", ())
        if self.pointing == "masks":
            read = tuple(mask_lib.named(e, parsed.text) for e in read)
        sure = confidence_lib.of_entities(result, parsed.entities, self.tokenizer, self.codec)
        found, warnings = [], []
        for entity, confidence in zip(read, sure, strict=True):
            made = self._entity(entity, context.size, logits)
            if made.box is not None or made.mask is not None:
                if confidence is not None:
                    confidence = self._calibrated(confidence, context.ask.lang)
                made = dataclasses.replace(made, confidence=confidence)
                value = 0.0 if confidence is None else confidence.value  # Unknown is not enough.
                if value < context.ask.min_score:
                    warnings.append(_withheld(made, context.ask.min_score))
                    made = dataclasses.replace(made, box=None, mask=None, withheld=True)
            found.append(made)
        return tuple(found), warnings

    def _entity(
        self,
        entity: markup.Entity,
        size: tuple[int, int],
        logits: Sequence[Float[np.ndarray, "side side"]],
    ) -> Entity:
        # `logits` are the first masks of the text. `size` is the (height, width) of the image.
        height, width = size
        box = None if entity.box is None else boxes.to_pixels(entity.box, width, height)
        mask = None
        if self.pointing == "masks":
            place = mask_lib.place(entity, len(logits))
            if place is not None:
                resized = ops_image.resize_bilinear(np.asarray(logits[place])[..., None], size)
                mask = resized[..., 0] > 0
                box = None if mask_lib.is_blank(mask) else boxes.from_mask(mask)
        known = classes.by_id(entity.class_id) if entity.class_id else None
        return Entity(
            phrase=entity.phrase,
            class_id=entity.class_id,
            class_name=known.name if known else "",
            box=box,
            mask=mask,
        )

    def _details(
        self, result: Mapping[str, np.ndarray], tokens: np.ndarray
    ) -> tuple[TokenDetail, ...]:
        def text(i: int) -> str:
            return self.tokenizer.decode([int(i)])

        ids, logprobs = result.get("top_ids"), result.get("top_logprobs")
        found = []
        for k, token in enumerate(tokens):
            others = []
            if ids is not None:
                pairs = zip(ids[k], logprobs[k], strict=True)
                others = [(text(i), float(logprob)) for i, logprob in pairs]
            logprob = float(result["token_logprobs"][k])
            found.append(TokenDetail(text(token), logprob, tuple(others)))
        return tuple(found)


def _withheld(entity: Entity, least: float) -> str:
    sure = entity.confidence
    what = "box" if entity.mask is None else "mask"
    if sure is None:
        return (
            f"the {what} of {entity.phrase!r} is withheld: its confidence is not known, and at "
            f"least {least:g} is asked for"
        )
    status = "" if sure.status == "calibrated" else f" ({sure.status})"
    return (
        f"the {what} of {entity.phrase!r} is withheld: its confidence {sure.value:.2f}{status} is "
        f"below {least:g}"
    )
