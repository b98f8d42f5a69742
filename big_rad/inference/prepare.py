"""Prepares a question for the queue: reads its image and encodes its prompt.

The images are preprocessed with the same ops as in training and evaluation.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from big_rad.dicom import read as dicom_read
from big_rad.grounding.codec import BoxCodec
from big_rad.inference import confidence, inputs, reading
from big_rad.inference.asks import Ask
from big_rad.inference.requests import Request
from big_rad.pp import builder as pp_builder
from big_rad.pp import strings
from big_rad.pp.tokenizer import Tokenizer

_SHORTEST = 32  # Prompts are padded to 32, 64, 128, ... tokens, so that few shapes are compiled.
Preprocess = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A question that is ready for the queue.

    Attributes:
        request: the request to the queue.
        context: what is needed to read the answer.
    """

    request: Request
    context: reading.Context


class Preparer:
    """Prepares questions for one model.

    Args:
        tokenizer: the tokenizer that the model was trained with.
        tokenizer_path: its file or its name, for the preprocessing ops.
        codec: the codec of the model's boxes.
        image: the fields `size` and `normalize` of the model's images.
        text: the fields `clean` and `max_text` of the model's texts.
        pointing: how the model points: "boxes", "masks" or "none".
        points_with: how it would point if it was trained to: "boxes" or "masks".
        unconstrained: why the model's texts cannot be constrained; "" if they can.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        tokenizer_path: str,
        codec: BoxCodec,
        *,
        image: Mapping[str, Any],
        text: Mapping[str, Any],
        pointing: str,
        points_with: str,
        unconstrained: str = "",
    ):
        self.tokenizer, self.pointing, self.points_with = tokenizer, pointing, points_with
        self.unconstrained, self._max_text = unconstrained, int(text["max_text"])
        self._fields = dict(  # The preprocessing string is written from these.
            image=dict(image),
            tokenizer=dict(path=tokenizer_path, sets=tokenizer.sets),
            codec=dict(name=codec.name, grid=codec.grid),
            text=dict(text),
        )
        self._pp = functools.lru_cache(maxsize=64)(self._make_pp)

    def prepare(self, ask: Ask, as_stored: bool = False) -> Prepared:
        """Makes a request of a question: reads its image and encodes its prompt.

        Args:
            ask: the question.
            as_stored: whether the model sees the pixels as they are stored.

        Raises:
            dicom.read.ReadError: the image cannot be used.
            ValueError: a field of the question has a value that does not fit, the model cannot
                point as it is asked to, or the prompt is too long.
        """
        ask.check()
        grounded = ask.task == "detect"
        if ask.task == "detect":
            self.check_points("detection")
        if ask.task == "report":
            grounded = self.ground_of(ask) != "none"
        image = inputs.read(ask.image, modality=ask.modality)
        displayed, to_stored, warnings = inputs.to_model(image, as_stored)
        batch = self.preprocess(displayed, ask.text(), ask.lang, ask.style, grounded)
        kind, options = "text", ()
        if ask.task == "vqa":
            kind = "multiple" if ask.choices else "yes_no"
            kind, options = confidence.options_of(kind, ask.choices, ask.lang)
        if ask.constrained and self.unconstrained:
            warnings = (*warnings, f"the text is not constrained: {self.unconstrained}")
        text = batch["text"][0]
        request = Request(
            batch["image"][0],
            text[text != 0],
            key=jax.random.key_data(jax.random.key(ask.seed)) if ask.temperature else None,
            max_new_tokens=ask.limit,
            temperature=ask.temperature,
            top_p=ask.top_p,
            constrained=ask.constrained,
            deadline=None if ask.timeout is None else time.monotonic() + ask.timeout,
            candidates=confidence.candidates(options, self.tokenizer),
        )
        points = grounded or ask.task != "report"
        size = displayed.pixels.shape[:2]
        return Prepared(
            request, reading.Context(ask, size, to_stored, warnings, points, kind, options)
        )

    def ground_of(self, ask: Ask) -> str:
        """Returns how a report points: "boxes", "masks" or "none".

        Args:
            ask: the wish for the report.

        Raises:
            ValueError: the model cannot point in the way that is asked for.
        """
        ground = self.pointing if ask.ground is None else ask.ground
        if ground != "none":
            self.check_points(f"ground={ground!r}")
        if ground not in (self.pointing, "none"):
            raise ValueError(f'ground is {ground!r}; this model knows "{self.pointing}" and "none"')
        return ground

    def check_points(self, what: str) -> None:
        """Checks that the model can point.

        Args:
            what: what it is asked for, for the message.

        Raises:
            ValueError: the model was never trained on the tokens that it needs for that.
        """
        if self.pointing == "none":
            raise ValueError(
                f"{what}: this model was never trained on the tokens of {self.points_with}, so it "
                "cannot point; ask for a report with ground='none', or a question, or fine-tune it "
                "on grounded data first (configs/finetune.py)"
            )

    def preprocess(
        self,
        image: dicom_read.Slice,
        text: Mapping[str, Any],
        lang: str,
        style: str,
        grounded: bool,
    ) -> dict[str, np.ndarray]:
        """Makes a batch of one row from a slice and a text.

        Args:
            image: the slice in the display in which the model sees it.
            text: the fields of the text, such as `task` and `question`.
            lang: "en" or "de".
            style: which of the clinical information and the question a report's prompt contains:
                "both", "clinical", "question" or "none".
            grounded: whether the prompt asks the model to point.

        Returns:
            `image` [1, S, S, 3], `text` and `mask_ar` i32 [1, T]. T is 32, 64, 128 and so on, so
            that repeated calls do not compile again.

        Raises:
            ValueError: the prompt has more than `max_text` tokens.
        """
        example = {
            "id": "",
            "patient": "",
            "image": image.pixels,
            "modality": image.modality,
            "plane": image.plane,
            "body_part": "",
            # A blank map: without a map, the op `ground` would not let the prompt ask for masks.
            "segmap": np.zeros(image.pixels.shape[:2], np.uint8),
            "texts": [{"keywords": [], "template": "", "lang": lang, **text}],
            "rng": np.random.default_rng(0),
        }
        out = self._pp(text["task"], lang, style, grounded)(example)
        count = len(self.tokenizer.encode(out["prefix"]))
        if count > self._max_text:
            raise ValueError(
                f"the prompt has {count} tokens, {self._max_text} fit; shorten the question, the "
                "choices or the clinical information"
            )
        used = int((out["text"] != 0).sum())
        length = lengths(used)[-1]
        batch = {k: np.asarray(out[k])[None] for k in ("image", "text", "mask_ar")}
        return batch | {k: _fit(batch[k], length) for k in ("text", "mask_ar")}

    def _make_pp(self, task: str, lang: str, style: str, grounded: bool) -> Preprocess:
        string = strings.ask_pp(
            self._fields,
            task,
            lang=lang,
            style=style,
            grounded="always" if grounded else False,
            masks=self.points_with == "masks",
            keep=("image", "text", "mask_ar", "prefix"),
        )
        return pp_builder.get_preprocess_fn(string)


def lengths(longest: int) -> tuple[int, ...]:
    """Returns the lengths to which prompts are padded, up to the first that holds `longest`."""
    found = [_SHORTEST]
    while found[-1] < longest:
        found.append(2 * found[-1])
    return tuple(found)


def _fit(
    array: Shaped[np.ndarray, "rows tokens"], length: int
) -> Shaped[np.ndarray, "rows length"]:
    array = array[:, :length]
    return np.pad(array, ((0, 0), (0, length - array.shape[1])))
