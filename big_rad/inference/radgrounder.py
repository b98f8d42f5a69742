"""RadGrounder for users: load a checkpoint, and report, answer or detect on one slice.

    model = RadGrounder.load("runs/demo")
    prediction = model.report("image.dcm")
    prediction = model.answer("image.dcm", "Is the liver enlarged?")
    prediction = model.detect("image.dcm", ["liver", "spleen"])

The images are preprocessed with the same ops as in training. The model sees an image in its usual
display, while the boxes and masks of a prediction belong to the image as it is stored.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Shaped

from big_rad import quiet
from big_rad.dicom import read as dicom_read
from big_rad.grounding import boxes, classes, markup
from big_rad.grounding import codec as codecs
from big_rad.grounding import masks as mask_lib
from big_rad.inference import answer as answer_lib
from big_rad.inference import inputs, predictions
from big_rad.inference import load as load_lib
from big_rad.inference import queue as queue_lib
from big_rad.inference.organs import detect_question, join_answers, organs
from big_rad.inference.predictions import Entity, Prediction
from big_rad.pp import builder as pp_builder
from big_rad.pp import ops_image, strings
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import source_config

_SHORTEST = 32  # Prompts are padded to 32, 64, 128, ... tokens, so that few shapes are compiled.
_ROWS = 8  # How many questions about one image are answered together.
CheckpointError = load_lib.CheckpointError
Preprocess = Callable[[Mapping[str, Any]], dict[str, Any]]
Image = str | pathlib.Path | dicom_read.Slice  # A file, or a slice that was read before.


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
        generate_fn: a function that answers a batch; None uses
            `inference.answer.make_answer_batch`. With a function of your own, several questions
            about an image are asked one by one. With None they are asked together.
        untrained: the markup tokens without a trained row, see `inference.load.Loaded`.
        clean: how the clinical information and the question of a report are cleaned, which must be
            as in training: "released" for released checkpoints, "" for no cleaning.
        max_text: the largest number of tokens of a prompt, as in training.

    Attributes:
        pointing: "masks" if the model has a mask decoder, else "boxes"; "none" if the model was
            never trained on the tokens that it needs for that.
        as_stored: whether the model sees the pixels as they are stored, as in the training of the
            released model, instead of in the usual display. False at first.
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
    ):
        self.codec, self.tokenizer, self.as_stored = codec, tokenizer, False
        masks = getattr(model, "mask_decoder", None) is not None
        self._points_with = "masks" if masks else "boxes"
        can = source_config.tokenizer_points(tokenizer, masks, untrained)
        self.pointing = self._points_with if can else "none"
        self._params, self._max_text = params, max_text
        self._fields = dict(  # The preprocessing string is written from these.
            image=dict(size=image_size, normalize=normalize),
            tokenizer=dict(path=tokenizer_path, sets=tokenizer.sets),
            codec=dict(name=codec.name, grid=codec.grid),
            text=dict(clean=clean, max_text=max_text),
        )
        never = load_lib.never_ids(tokenizer, tuple(untrained))
        self._answer_batch = generate_fn or answer_lib.make_answer_batch(model, tokenizer, never)
        self._answer_requests = None
        if generate_fn is None:
            self._answer_requests = answer_lib.make_answer_requests(model, tokenizer, None, never)
        self._pp = functools.lru_cache(maxsize=64)(self._make_pp)

    @classmethod
    def load(
        cls, checkpoint: str | pathlib.Path, *, log: Callable[[str], None] | None = None
    ) -> "RadGrounder":
        """Loads a model.

        Args:
            checkpoint: a run directory, its `checkpoints` folder or the folder of one step, see
                `run_dir.locate`; or a Hugging Face folder or an npz, which is loaded in float32.
            log: receives lines that say which step is loaded and, for a foreign checkpoint, what
                was left out, guessed or filled in. None prints them to stderr.

        Raises:
            CheckpointError: the checkpoint is missing, damaged or of an unknown model.
        """
        found = load_lib.load(checkpoint, dtype=None, log=log or quiet.to_stderr)
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
        )

    def report(
        self,
        image: Image,
        lang: str = "en",
        clinical: str = "",
        question: str = "",
        ground: str | None = None,
        max_new_tokens: int = 200,
    ) -> Prediction:
        """Writes a report sentence.

        Args:
            image: a file, or a slice that was read before.
            lang: the language of the report, "en" or "de".
            clinical: the clinical information; may be empty.
            question: the referrer's question; may be empty.
            ground: "boxes", "masks" or "none"; None is the model's `pointing`. A report with masks
                also has the rectangles around them as boxes.
            max_new_tokens: the largest number of tokens that are generated.

        Raises:
            ValueError: the model cannot point in the way of `ground`, another argument has an
                unknown value, or the prompt is too long.
        """
        ground = self.pointing if ground is None else ground
        if ground != "none":
            self._check_points(f"ground={ground!r}")
        if ground not in (self.pointing, "none"):
            raise ValueError(f'ground is {ground!r}; this model knows "{self.pointing}" and "none"')
        text = dict(task="report", sentence="", clinical=clinical, question=question)
        styles = {(True, True): "both", (True, False): "clinical", (False, True): "question"}
        style = styles.get((bool(clinical), bool(question)), "none")
        return self._run(image, text, lang, style, ground != "none", max_new_tokens)

    def answer(
        self,
        image: Image,
        question: str,
        choices: Sequence[str] = (),
        lang: str = "en",
        max_new_tokens: int = 64,
    ) -> Prediction:
        """Answers a question.

        Args:
            image: a file, or a slice that was read before.
            question: the question.
            choices: the answers to choose from; an empty list asks an open question.
            lang: the language of the answer, "en" or "de".
            max_new_tokens: the largest number of tokens that are generated.

        Raises:
            ValueError: the question is empty, `choices` is a string, another argument has an
                unknown value, or the prompt is too long.
        """
        if not question.strip():
            raise ValueError("question is empty; give one")
        if isinstance(choices, str):
            raise ValueError("choices is one string; give a list of them")
        text = dict(
            task="vqa",
            question=question,
            answer="",
            question_type="multiple" if choices else "open",
            choices=list(choices),
            source="finding",
        )
        return self._run(image, text, lang, "none", False, max_new_tokens)

    def detect(
        self,
        image: Image,
        question: str | Sequence[str],
        lang: str = "en",
        max_new_tokens: int = 200,
    ) -> Prediction:
        """Finds organs.

        Args:
            image: a file, or a slice that was read before.
            question: a whole question, or a list of names of organs in English or German. For each
                organ the question of the training data is asked, all of them together, and the
                answers are joined. A name of several organs ("kidneys") asks for each of them, see
                `organs.organs`.
            lang: the language of the questions, "en" or "de".
            max_new_tokens: the largest number of tokens of one answer.

        Raises:
            ValueError: nothing is asked for, a name means no organ, or the model was never trained
                to point.
        """
        self._check_points("detection")
        if isinstance(question, str):
            if not question.strip():
                raise ValueError("question is empty; give one, or a list of organs")
            text = dict(task="detect", question=question, answer="")
            return self._run(image, text, lang, "none", True, max_new_tokens)
        if not question:
            raise ValueError("the list of organs is empty; name one")
        wanted = organs(question)
        texts = [
            dict(task="detect", question=detect_question(c.en, lang), answer="") for c in wanted
        ]
        answers = self._run_all(image, texts, lang, "none", True, max_new_tokens)
        return join_answers(wanted, answers, lang)

    def _check_points(self, what: str) -> None:
        if self.pointing == "none":
            raise ValueError(
                f"{what}: this model was never trained on the tokens of {self._points_with}, so it "
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
        length = _SHORTEST
        while length < used:
            length *= 2
        batch = {k: np.asarray(out[k])[None] for k in ("image", "text", "mask_ar")}
        return batch | {k: _fit(batch[k], length) for k in ("text", "mask_ar")}

    def _make_pp(self, task: str, lang: str, style: str, grounded: bool) -> Preprocess:
        string = strings.ask_pp(
            self._fields,
            task,
            lang=lang,
            style=style,
            grounded="always" if grounded else False,
            masks=self._points_with == "masks",
            keep=("image", "text", "mask_ar", "prefix"),
        )
        return pp_builder.get_preprocess_fn(string)

    def _run(
        self,
        image: Image,
        text: Mapping[str, Any],
        lang: str,
        style: str,
        grounded: bool,
        max_new_tokens: int,
    ) -> Prediction:
        return self._run_all(image, [text], lang, style, grounded, max_new_tokens)[0]

    def _run_all(
        self,
        image: Image,
        texts: Sequence[Mapping[str, Any]],
        lang: str,
        style: str,
        grounded: bool,
        max_new_tokens: int,
    ) -> list[Prediction]:
        if lang not in ("en", "de"):
            raise ValueError(f'lang is {lang!r}; use "en" or "de"')
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be positive")
        displayed, to_stored, warnings = inputs.to_model(_as_slice(image), self.as_stored)
        batches = [self.preprocess(displayed, text, lang, style, grounded) for text in texts]
        size, turned = displayed.pixels.shape[:2], to_stored.inverse().words
        found = [
            self._prediction(out, size, grounded or text["task"] != "report")
            for text, out in zip(texts, self._answers(batches, max_new_tokens), strict=True)
        ]
        return [
            dataclasses.replace(
                predictions.turn(p, to_stored, size), turned=turned, warnings=warnings
            )
            for p in found
        ]

    def _answers(
        self, batches: Sequence[Mapping[str, np.ndarray]], max_new_tokens: int
    ) -> list[Mapping[str, np.ndarray]]:
        # Returns the tokens, the log probability and the mask logits for each batch of one row.
        options = {"max_new_tokens": max_new_tokens}
        options |= {"logits": True} if self.pointing == "masks" else {}
        if len(batches) > 1 and self._answer_requests is not None:
            requests = [
                queue_lib.Request(b["image"][0], b["text"][b["text"] != 0]) for b in batches
            ]
            return self._answer_requests(self._params, requests, rows=_ROWS, **options)
        answers = []
        for batch in batches:
            out = self._answer_batch(self._params, batch, **options)
            answer = {k: np.asarray(out[k])[0] for k in ("tokens", "logprob")}
            if "mask_logits" in out:
                answer["mask_logits"] = out["mask_logits"][0, : out["num_masks"][0]]
            answers.append(answer)
        return answers

    def _prediction(
        self, out: Mapping[str, np.ndarray], size: tuple[int, int], points: bool
    ) -> Prediction:
        tokens, logprob = out["tokens"], float(out["logprob"])
        count = max(1, int((tokens != 0).sum()))  # With <eos>, which `logprob` contains too.
        raw = self.tokenizer.decode(tokens[tokens != 0], skip_special=True)
        parsed = markup.parse(raw, self.codec)
        if not points:  # A small model may write boxes although it was not asked for them.
            return Prediction(parsed.text, (), logprob, raw, count)
        logits, read = out.get("mask_logits", ()), parsed.entities
        if self.pointing == "masks":
            read = tuple(mask_lib.named(e, parsed.text) for e in read)
        entities = tuple(self._entity(e, size, logits) for e in read)
        return Prediction(parsed.text, entities, logprob, raw, count)

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


def _as_slice(image: Image) -> dicom_read.Slice:
    return inputs.read(image) if isinstance(image, str | pathlib.Path) else image


def _fit(
    array: Shaped[np.ndarray, "rows tokens"], length: int
) -> Shaped[np.ndarray, "rows length"]:
    array = array[:, :length]
    return np.pad(array, ((0, 0), (0, length - array.shape[1])))
