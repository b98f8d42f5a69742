"""RadGrounder for users: load a checkpoint, and report, answer or detect on slices.

    model = RadGrounder.load("runs/demo")
    prediction = model.report("image.dcm")
    prediction = model.answer("image.dcm", "Is the liver enlarged?")
    prediction = model.detect("image.dcm", ["liver", "spleen"])
    for prediction in model.report(["a.dcm", "b.dcm", "c.dcm"]):  # Decoded together.
        print(prediction.text)

The images are preprocessed with the same ops as in training. The model sees an image in its usual
display, while the boxes and masks of a prediction belong to the image as it is stored.

A program with questions of several kinds gives `ask` any number of `Ask`s. A server that receives
its questions one by one uses the same three parts as `ask`: `prepare` makes a request of an `Ask`,
`queue` serves requests from an `Inbox`, and `read` makes a prediction of each answer.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from big_rad import quiet, runtime
from big_rad import sharding as sharding_lib
from big_rad.dicom import read as dicom_read
from big_rad.grounding import codec as codecs
from big_rad.inference import answer as answer_lib
from big_rad.inference import calibration as calibration_lib
from big_rad.inference import (
    confidence,
    constrain,
    draw,
    feed,
    inputs,
    pickers,
    prepare,
    reading,
)
from big_rad.inference import load as load_lib
from big_rad.inference import queue as queue_lib
from big_rad.inference.asks import TASKS, Ask
from big_rad.inference.inputs import Image
from big_rad.inference.organs import detect_question, join_answers, organs
from big_rad.inference.predictions import Entity, Prediction
from big_rad.models import gemma_layout
from big_rad.pp import strings
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import source_config

__all__ = ["Ask", "CheckpointError", "Entity", "Prediction", "RadGrounder", "detect_question"]

_ROWS = 8  # How many questions are answered together.
_NEW_TOKENS = (64, 256, 1024, 4096)  # The most new tokens of a queue; each is a compilation.
CheckpointError = load_lib.CheckpointError
Serve = Callable[[queue_lib.Source], Iterator[queue_lib.Answer]]


class RadGrounder:
    """A model that writes reports, answers questions, and marks the entities in its texts.

    `load` makes one from a checkpoint.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`; None if `generate_fn` does not use it.
        params: the model's parameters.
        tokenizer: the tokenizer that the model was trained with, see `pp.tokenizer.load`.
        tokenizer_path: the file or the name of the tokenizer, for the preprocessing ops.
        codec: the box codec that the model was trained with.
        image_size: the side of the model's input image in pixels.
        normalize: the name of the normalisation that the model was trained with.
        generate_fn: a function of your own that answers a batch, see
            `inference.answer.make_answer_batch`. Questions are then asked one by one, without
            constraints, and only texts have a confidence. None uses the queue.
        untrained: the markup tokens without a trained row, see `inference.load.Loaded`.
        clean: how the clinical information and the question of a report are cleaned, which must be
            as in training: "released" for released checkpoints, "" for no cleaning.
        max_text: the largest number of tokens of a prompt, as in training.
        calibration: what makes probabilities of confidences, see `inference.calibration`; None
            leaves them uncalibrated.
        rows: how many questions are answered together, when there are several.
        alternatives: how many of the likeliest tokens at each place `Prediction.details` has, from
            0; None makes no details. A `generate_fn` gives none.
        sharding: how the rows are split over devices, such as
            `sharding.batch_sharding(sharding.make_mesh([("data", 8)]))`; None uses one device.

    Raises:
        ValueError: there are both a `generate_fn` and `alternatives`, or the model has a mask
            decoder and the tokenizer cannot write `</seg>`.

    Attributes:
        pointing: "masks" if the model has a mask decoder, else "boxes"; "none" if the model was
            never trained on the tokens that it needs for that.
        as_stored: whether the model sees the pixels as they are stored, as in the training of the
            released model, instead of in the usual display. False at first.
        unconstrained: why the model's texts cannot be constrained; "" if they can.
    """

    def __init__(
        self,
        model: nn.Module | None,
        params: Mapping[str, Any],
        tokenizer: tokenizers.Tokenizer,
        *,
        tokenizer_path: str = "tiny",
        codec: codecs.BoxCodec,
        image_size: int,
        normalize: str = "medgemma",
        generate_fn: answer_lib.AnswerBatch | None = None,
        untrained: Sequence[str] = (),
        clean: str = strings.TEXT["clean"],
        max_text: int = strings.TEXT["max_text"],
        calibration: calibration_lib.Calibration | None = None,
        rows: int = _ROWS,
        alternatives: int | None = None,
        sharding: jax.sharding.Sharding | None = None,
    ):
        if generate_fn is not None and alternatives is not None:
            raise ValueError(
                "a generate_fn gives no log probabilities of single tokens; leave alternatives out"
            )
        self.codec, self.tokenizer, self.as_stored = codec, tokenizer, False
        masks = getattr(model, "mask_decoder", None) is not None
        points_with = "masks" if masks else "boxes"
        can = source_config.tokenizer_points(tokenizer, masks, untrained)
        self.pointing = points_with if can else "none"
        self._model, self._params, self._own = model, params, generate_fn
        self._rows, self._alternatives, self._sharding = rows, alternatives, sharding
        self._max_text = max_text
        # The parameters of an export: one copy, also where a CPU would widen all of them.
        self._lean = (
            generate_fn is None
            and model is not None
            and model.llm.get("dtype_mm", "float32") != "float32"
            and gemma_layout.is_arranged(params.get("llm", {}))
        )
        self._never = load_lib.never_ids(tokenizer, tuple(untrained))
        if generate_fn is None:
            answer_lib.check_mask_tokens(model, tokenizer)
            # Once, and not with each call: parameters may still be on the host.
            whole = None if sharding is None else sharding_lib.replicated(sharding.mesh)
            self._params = jax.device_put(params, whole)
        self.unconstrained, self._grammar = self._make_grammar()
        self._preparer = prepare.Preparer(
            tokenizer,
            tokenizer_path,
            codec,
            image=dict(size=image_size, normalize=normalize),
            text=dict(clean=clean, max_text=max_text),
            pointing=self.pointing,
            points_with=points_with,
            unconstrained=self.unconstrained,
        )
        self._reader = reading.Reader(
            tokenizer, codec, self.pointing, calibration, alternatives is not None
        )
        self._queue = functools.cache(self._make_queue)

    @classmethod
    def load(
        cls,
        checkpoint: str | pathlib.Path,
        *,
        log: Callable[[str], None] | None = None,
        compilation_cache: str = runtime.COMPILATION_CACHE,
        **options: Any,
    ) -> "RadGrounder":
        """Loads a model.

        Args:
            checkpoint: a run directory, its `checkpoints` folder or the folder of one step, see
                `run_dir.locate`; or a Hugging Face folder or an npz, which is loaded in float32.
            log: receives lines that say which step is loaded and, for a foreign checkpoint, what
                was left out, guessed or filled in. None prints them to stderr.
            compilation_cache: where compiled programs are kept, so that the next start of a program
                compiles nothing, see `runtime.use_compilation_cache`; "" keeps none.
            **options: `rows`, `alternatives` and `sharding`, see the class.

        Raises:
            CheckpointError: the checkpoint is missing, damaged or of an unknown model.
        """
        runtime.use_compilation_cache(compilation_cache)
        log = log or quiet.to_stderr
        found = load_lib.load(checkpoint, dtype=None, log=log)
        load_lib.check_answers(checkpoint, found.fields)
        codec, image = found.fields["codec"], found.fields["image"]
        return cls(
            found.model,
            found.params,
            found.tokenizer,
            tokenizer_path=found.fields["tokenizer"]["path"],
            codec=codecs.get_codec(codec["name"], grid=codec.get("grid")),
            image_size=int(image["size"]),
            normalize=image["normalize"],
            untrained=found.untrained,
            clean=found.fields["text"]["clean"],
            max_text=int(found.fields["text"]["max_text"]),
            calibration=_calibration(checkpoint, log),
            **options,
        )

    def report(
        self,
        image: Image | Iterable[Image],
        lang: str = "en",
        clinical: str = "",
        question: str = "",
        ground: str | None = None,
        max_new_tokens: int = 200,
        *,
        in_order: bool = True,
        **options: Any,
    ) -> Prediction | Iterator[Prediction]:
        """Writes a report sentence about an image, or about each of many.

        Args:
            image: an image, see `inputs.read`, or a list or another iterable of images.
            lang: the language of the report, "en" or "de".
            clinical: the clinical information; may be empty.
            question: the referrer's question; may be empty.
            ground: "boxes", "masks" or "none"; None is the model's `pointing`. A report with masks
                also has the rectangles around them as boxes.
            max_new_tokens: the largest number of tokens that are generated.
            in_order: with many images, whether predictions come in the order of the images; with
                False they come as they finish, as pairs (index, prediction).
            **options: other fields of `Ask`, such as `modality`, `temperature`, `seed`,
                `constrained` and `min_score`.

        Returns:
            The prediction; with many images an iterator of predictions.

        Raises:
            ValueError: the model cannot point in the way of `ground`, another argument has an
                unknown value, or the prompt is too long.
        """
        fields = dict(lang=lang, clinical=clinical, question=question, ground=ground)
        fields |= dict(max_new_tokens=max_new_tokens, **options)
        return self._one_or_many(image, "report", fields, in_order)

    def answer(
        self,
        image: Image | Iterable[Image],
        question: str,
        choices: Sequence[str] = (),
        lang: str = "en",
        max_new_tokens: int = 64,
        *,
        in_order: bool = True,
        **options: Any,
    ) -> Prediction | Iterator[Prediction]:
        """Answers a question about an image, or about each of many.

        Args:
            image: see `report`.
            question: the question.
            choices: the answers to choose from; an empty list asks an open question.
            lang: the language of the answer, "en" or "de".
            max_new_tokens: the largest number of tokens that are generated.
            in_order: see `report`.
            **options: see `report`.

        Returns:
            The prediction; with many images an iterator of predictions.

        Raises:
            ValueError: the question is empty, `choices` is a string, another argument has an
                unknown value, or the prompt is too long.
        """
        fields = dict(question=question, choices=choices, lang=lang)
        fields |= dict(max_new_tokens=max_new_tokens, **options)
        return self._one_or_many(image, "vqa", fields, in_order)

    def detect(
        self,
        image: Image | Iterable[Image],
        question: str | Sequence[str],
        lang: str = "en",
        max_new_tokens: int = 200,
        *,
        in_order: bool = True,
        **options: Any,
    ) -> Prediction | Iterator[Prediction]:
        """Finds organs in an image, or in each of many.

        Args:
            image: see `report`.
            question: a whole question, or a list of names of organs in English or German. For each
                organ the question of the training data is asked, all of them together, and the
                answers are joined. A name of several organs ("kidneys") asks for each of them, see
                `organs.organs`.
            lang: the language of the questions, "en" or "de".
            max_new_tokens: the largest number of tokens of one answer.
            in_order: see `report`.
            **options: see `report`.

        Returns:
            The prediction; with many images an iterator of predictions.

        Raises:
            ValueError: nothing is asked for, a name means no organ, or the model was never trained
                to point.
        """
        self._preparer.check_points("detection")
        fields = dict(lang=lang, max_new_tokens=max_new_tokens, **options)
        if isinstance(question, str):
            fields["question"] = question
            return self._one_or_many(image, "detect", fields, in_order)
        if not question:
            raise ValueError("the list of organs is empty; name one")
        wanted = organs(question)
        if not _is_one(image):
            raise ValueError(
                "ask for a list of organs image by image, or use `ask` for all of them"
            )
        read = inputs.read(image, modality=fields.pop("modality", None))
        asks = [
            Ask(read, task="detect", question=detect_question(c.en, lang), **fields) for c in wanted
        ]
        return join_answers(wanted, list(self.ask(asks)), lang)

    def ask(
        self,
        asks: Iterable[Ask],
        *,
        in_order: bool = True,
        errors: str = "raise",
        max_new_tokens: int | None = None,
    ) -> Iterator[Any]:
        """Answers any number of questions, of any kinds, about any images.

        The images are read and prepared by a thread, a few ahead of the decoding. Rows that have
        ended begin with the next question at once.

        Args:
            asks: the questions, which are drawn when they are needed.
            in_order: whether predictions come in the order of the questions; with False they come
                as they finish.
            errors: what becomes of a question that cannot be answered, because its image cannot be
                read or its time is over. "raise" raises the error when it is its turn; "return"
                gives the error in the place of the prediction, and the others are answered.
            max_new_tokens: the most tokens of any question, if `asks` is an iterator, whose
                questions are not known in advance; None is 256. A list or a tuple needs no number.

        Yields:
            Predictions; with `in_order=False` pairs (number of the question, prediction).

        Raises:
            ValueError: `errors` is unknown, or (with "raise") a question has a value that does not
                fit.
            TimeoutError: (with "raise") the time of a question is over.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f'errors is {errors!r}; use "raise" or "return"')
        known = asks if isinstance(asks, list | tuple) else ()
        rows = 1 if len(known) == 1 else self._rows
        limits = [ask.limit for ask in known if _is_whole(ask)]  # `prepare` refuses the others.
        most = max(limits, default=max_new_tokens or _NEW_TOKENS[1])
        serve = self.queue(rows, most)
        ahead = 0 if len(known) == 1 else 2 * self._rows

        def ready(ask: Ask) -> prepare.Prepared:
            made = self.prepare(ask)
            if ask.limit > most and self._own is None:
                raise ValueError(
                    f"max_new_tokens is {ask.limit}, and an iterator of questions has room for "
                    f"{most}; give the questions as a list, or max_new_tokens to `ask`"
                )
            return made

        found = feed.run(asks, ready, serve, self.read, ahead)
        return feed.delivered(found, in_order, errors)

    def prepare(self, ask: Ask) -> prepare.Prepared:
        """Makes a request of a question, see `prepare.Preparer.prepare`."""
        if not isinstance(ask, Ask):
            raise TypeError(f"a question is a {type(ask).__name__}; give an Ask")
        return self._preparer.prepare(ask, self.as_stored)

    def seen(self, image: dicom_read.Slice) -> np.ndarray:
        """Returns the picture of what the model sees of a slice, see `draw.seen`."""
        displayed = inputs.to_model(image, self.as_stored)[0]
        text = dict(task="report", sentence="", clinical="", question="")
        batch = self.preprocess(displayed, text, "en", "none", False)
        return draw.seen(batch["image"][0], displayed.modality)

    def preprocess(self, *args: Any) -> dict[str, np.ndarray]:
        """Makes a batch of one row from a slice and a text, see `prepare.Preparer.preprocess`."""
        return self._preparer.preprocess(*args)

    def queue(self, rows: int, max_new_tokens: int) -> Serve:
        """Returns the function that serves requests with this model.

        Args:
            rows: how many rows decode together. With a sharding it is rounded up so that the rows
                divide over the devices.
            max_new_tokens: the most tokens of a request.

        Returns:
            A function of a `requests.Source`, see `queue.Queue.serve`. The results of its answers
            are those that `read` takes. Two calls with similar sizes share one compiled program.
        """
        if self._own is not None:
            return functools.partial(feed.one_by_one, self._own, self._params, self.pointing)
        parts = 1 if self._sharding is None else self._sharding.num_devices
        size = next((n for n in _NEW_TOKENS if n >= max_new_tokens), max_new_tokens)
        return self._queue(-(-rows // parts) * parts, size)

    def read(self, context: reading.Context, result: Mapping[str, np.ndarray]) -> Prediction:
        """Makes a prediction of an answer.

        Args:
            context: the context of the question, from `prepare`.
            result: the result of the queue.
        """
        if "token_logprobs" in result:
            result = confidence.condense(result, self.tokenizer, self.codec)
        return self._reader.read(result, context)

    def _one_or_many(
        self, image: Image | Iterable[Image], task: str, fields: Mapping[str, Any], in_order: bool
    ) -> Prediction | Iterator[Prediction]:
        if _is_one(image):
            return next(self.ask([Ask(image, task=task, **fields)]))
        first = Ask(b"", task=task, **fields)
        first.check()  # Now, and not when the first prediction is asked for.
        if task == "report":
            self._preparer.ground_of(first)
        asks = (dataclasses.replace(first, image=i) for i in image)
        many = list(asks) if isinstance(image, list | tuple) else asks
        return self.ask(many, in_order=in_order, max_new_tokens=first.limit)

    def _make_grammar(self) -> tuple[str, constrain.Grammar | None]:
        # Returns why there is no grammar, or "" and the grammar.
        if self._own is not None:
            return "", None
        try:
            kinds = (self.pointing,)
            return "", constrain.make_grammar(
                self.tokenizer, self.codec, kinds, self._never, answer_lib.MAX_MASKS
            )
        except ValueError as e:
            return str(e), None

    def _make_queue(self, rows: int, max_new_tokens: int) -> Serve:
        masks = self.pointing == "masks"
        options = answer_lib.decoding_options(
            self._model, self.tokenizer, self._never, max_new_tokens, masks=masks
        )
        options = dataclasses.replace(
            answer_lib.with_confidence(options, self.tokenizer, self.codec),
            picker=pickers.PerRow(self._grammar),
            alternatives=self._alternatives or 0,
        )
        queue = queue_lib.Queue(
            self._model,
            options,
            rows=rows,
            # A single answer is looked at more often, so that it does not wait for a whole chunk.
            chunk=2 if rows == 1 else 8,
            prompt_buckets=prepare.lengths(self._max_text + 1),  # And `<bos>`.
            logits=masks,
            sharding=self._sharding,
            lean=self._lean,
        )
        return functools.partial(queue.serve, self._params)


def _calibration(
    checkpoint: str | pathlib.Path, log: Callable[[str], None]
) -> calibration_lib.Calibration | None:
    try:
        found = calibration_lib.of(checkpoint)
    except (OSError, ValueError) as e:
        log(f"confidences are uncalibrated: {e}")
        return None
    if found is None:
        log("confidences are uncalibrated (python -m tools.calibrate makes a calibration)")
    else:
        log(f"confidences are calibrated on {found.about()}, and hold only for images like those")
    return found


def _is_whole(ask: Any) -> bool:
    return isinstance(ask, Ask) and ask.task in TASKS and isinstance(ask.limit, int)


def _is_one(image: Any) -> bool:
    kinds = str | pathlib.Path | bytes | np.ndarray | dicom_read.Slice | inputs.pydicom.Dataset
    return isinstance(image, kinds) or not isinstance(image, Iterable)
