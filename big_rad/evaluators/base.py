"""The base of evaluators that let the model write text and then score it.

`run` asks the model every question of the data and returns a `Sample` for each. `Evaluator` calls
it, lets a subclass score the samples (`score`), and writes the samples file. `summarise` averages
the scores over all samples and over groups of them.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Boxes, Entity, Record
from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes, markup
from big_rad.grounding import codec as codecs
from big_rad.grounding import masks as mask_lib
from big_rad.inference import answer as answer_lib
from big_rad.inference import confidence, draw
from big_rad.inference import queue as queue_lib
from big_rad.pp import ops_load, prompts
from big_rad.pp import tokenizer as tokenizers

# The groups of samples by language and by modality, see `summarise`.
SUBSETS = (*prompts.VQA_LANGS, *ops_load.MODALITIES, "no_lang", "no_modality")
# The scores that every evaluator derived from `Evaluator` yields besides its own: the number of
# samples, the share of answers that used up `max_new_tokens`, and the mean log probability of an
# answer. `lowest=True` says that the lowest value is the best.
SCORES = (
    spec_lib.Score("n", count=True, groups=SUBSETS),
    spec_lib.Score("unfinished", lowest=True),
    spec_lib.Score("mean_logprob"),
)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One question and the model's answer.

    Attributes:
        index: the position in the evaluated data.
        id: the id of the example in its dataset.
        prompt: the prefix that the model was given, decoded from its tokens.
        reference: the target text, with markup.
        prediction: the text that the model wrote, with markup.
        logprob: the summed log probability of the generated tokens.
        finished: whether the model ended its text; False if it used up `max_new_tokens` first.
        modality, plane, task, lang, question_type: the fields of the example with these names; ""
            if the dataset does not say.
        image_id: the id of the example whose image was shown, which under a control is another
            one; "" for a blank image.
        image: the id of the example's own image, which all questions about that image share.
        subject: the running number of the patient in the evaluated data. Where the dataset names
            no patient, each image has a number of its own.
        masks: bool [n, H, W], the predicted masks of the first n `</seg>` tokens, at the size of
            the model's image; None if the model makes no masks.
        answer: the arrays that the model gave for the question, from which its confidence is made;
            empty if they are not known.
        options: the forms of each option of a question with options, see `confidence.options_of`.
    """

    index: int
    id: str
    prompt: str
    reference: str
    prediction: str
    logprob: float
    finished: bool
    modality: str
    plane: str
    task: str
    lang: str
    question_type: str
    image_id: str
    image: str = ""
    subject: int = 0
    masks: Bool[np.ndarray, "n height width"] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )
    answer: Mapping[str, np.ndarray] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )
    options: confidence.Forms = dataclasses.field(default=(), compare=False, repr=False)


def run(
    predict_fns: Mapping[str, Callable[..., Any]],
    params: Mapping[str, Any],
    data: eval_data.EvalData,
    tokenizer: tokenizers.Tokenizer,
    *,
    batch_size: int,
    max_new_tokens: int,
    view: eval_data.View | None = None,
    masks: bool = True,
    codec: codecs.BoxCodec | None = None,
) -> list[Sample]:
    """Asks the model every question of the data.

    Args:
        predict_fns: the functions of the model. "queue" is used if it is there, see
            `inference.answer.make_answer_requests`; otherwise "generate", see
            `inference.answer.make_answer_batch`.
        params: the parameters of the model, passed on to the function.
        data: the examples.
        tokenizer: the tokenizer that decodes prompts and answers.
        batch_size: how many questions are answered together.
        max_new_tokens: the maximum number of tokens in an answer.
        view: the images to show; None shows the real ones.
        masks: whether to decode masks; False makes none even if the model could.
        codec: the codec of the boxes, with which the "queue" also gives what confidence is made of;
            None leaves that out.

    Returns:
        One sample for each item, in the order of the data.
    """
    view = eval_data.View(data) if view is None else view
    options = {"max_new_tokens": max_new_tokens} | ({} if masks else {"masks": False})
    # Only the texts: making the items here would preprocess every image before the first question.
    known = codec is not None
    forms = [_options(data.text(i)) if known else () for i in range(len(data))]
    if "queue" in predict_fns:
        options |= {} if codec is None else {"codec": codec}
        requests = (
            queue_lib.Request(
                x["image"],
                np.array(_nonzero(x["text"]), np.int32),
                candidates=confidence.candidates(own, tokenizer),
            )
            for x, own in zip((view[i] for i in range(len(view))), forms, strict=True)
        )
        answers = predict_fns["queue"](params, requests, rows=batch_size, **options)
    else:
        answers = _in_batches(predict_fns["generate"], params, view, batch_size, options)
    samples: list[Sample] = []
    numbers: dict[Any, int] = {}
    patients = data.patients()
    for i, out in enumerate(answers):
        item = data[i]
        ids, finished = _until_eos(out["tokens"], tokenizer.eos_id)
        meta = {k: v for k, v in item["meta"].items() if k != "patient"}
        samples.append(
            Sample(
                index=i,
                prompt=tokenizer.decode(_nonzero(item["text"]), skip_special=True),
                reference=item["reference"],
                prediction=tokenizer.decode(ids, skip_special=True, guard=True),
                logprob=float(out["logprob"]),
                finished=finished,
                image_id=view.shown_id(i),
                subject=numbers.setdefault(patients[i], len(numbers)),
                masks=out.get("masks"),
                answer={k: x for k, x in out.items() if k != "masks"},
                options=forms[i],
                **meta,
            )
        )
    return samples


def _in_batches(
    answer_batch: answer_lib.AnswerBatch,
    params: Mapping[str, Any],
    view: eval_data.View,
    rows: int,
    options: Mapping[str, Any],
) -> Iterator[dict[str, np.ndarray]]:
    # All batches have the same size. The last one is padded, and the answers of the padding are
    # dropped.
    from big_rad import input_pipeline  # Imported here, so that pages do not need Grain.

    for batch in input_pipeline.eval_batches(view, rows):
        out = answer_batch(params, batch, **options)
        for row in np.flatnonzero(batch["_mask"]):
            result = {k: out[k][row] for k in ("tokens", "logprob")}
            if "masks" in out:  # A view would keep the masks of the whole batch in memory.
                result["masks"] = out["masks"][row, : out["num_masks"][row]].copy()
            yield result


class Evaluator(spec_lib.Statement):
    """The base of evaluators that generate text; a subclass scores the samples in `score`.

    Args:
        predict_fns: the functions of the model; "queue" or "generate" is needed, see `run`.
        data: the data to evaluate on.
        name: the name of the evaluator, which also names the samples file.
        tokenizer: the tokenizer that decodes ids.
        samples_dir: the folder of `<name>.jsonl` and `<name>.npz`, see `samples`; None writes no
            files.
        batch_size, max_new_tokens: see `run`.
        control: "none", "blank", "shuffled" or "mirrored", see `data.View`.
        codec: the name of the box codec, such as "radgrounder(grid=224)".
        grid: the `grid` option of the codec; None leaves it to `codec`.
        blank_value: the value of all pixels of a blank image, see `data.View`.

    Attributes:
        records: the lines of the samples file of the last run.
        pixels: the image that the model saw (`draw.seen`), by the index of its sample. Only the
            samples that a page may show are in it. It is filled in the first process only, and
            only without a control.
        confident: whether records say how sure the model is. `big_rad.evaluate` sets it. It is
            False at first, because a training looks at scores alone, and boxes and masks need one
            more pass through the model.
    """

    confident = False

    controls = ("blank", "shuffled")
    needs = ("queue",)
    fields = ("reference",)
    masks = True  # Whether a score needs masks, so that the model should decode them.

    def __init__(
        self,
        predict_fns: Mapping[str, Callable[..., Any]],
        data: eval_data.EvalData,
        *,
        name: str,
        tokenizer: tokenizers.Tokenizer,
        samples_dir: str | pathlib.Path | None = None,
        batch_size: int = 16,
        max_new_tokens: int = 200,
        control: str = "none",
        codec: str = "radgrounder",
        grid: int | None = None,
        blank_value: float = eval_data.BLANK_VALUE,
    ):
        if control not in eval_data.CONTROLS:
            raise ValueError(
                f"eval {name!r}: no control {control!r}; known: {', '.join(eval_data.CONTROLS)}"
            )
        self.name, self.data, self.control = name, data, control
        self.codec = codecs.get_codec(codec, grid=grid)
        self.records: list[Record] = []
        self.pixels: dict[int, np.ndarray] = {}
        self._predict_fns, self._tokenizer = predict_fns, tokenizer
        self._samples_dir, self._blank = samples_dir, blank_value
        self._sizes = dict(batch_size=batch_size, max_new_tokens=max_new_tokens)
        self._view: eval_data.View | None = None

    def run(self, params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """Asks all questions, writes the samples file and yields (metric name, value).

        Args:
            params: the parameters of the model.

        Raises:
            ValueError: an example or its control cannot be made; the message names the evaluator.
        """
        try:
            samples = run(
                self._predict_fns,
                params,
                self.data,
                self._tokenizer,
                view=self.view,
                masks=self.masks,
                codec=self.codec if self.confident else None,
                **self._sizes,
            )
        except ValueError as e:
            raise ValueError(f"config.evals.{self.name}: {e}") from e
        metrics, scores = self.score(samples)
        self.records = [self._record(s, x) for s, x in zip(samples, scores, strict=True)]
        if self.control == "none" and jax.process_index() == 0:
            self.pixels = {
                r["index"]: draw.seen(self.image(r["index"]), r["modality"])
                for r in sample_files.illustrated(self.records, type(self))
            }
        if self._samples_dir is not None and jax.process_index() == 0:
            sample_files.write(self._samples_dir, self.name, self.records, self.pixels)
        yield from metrics.items()
        yield "unfinished", mean([not s.finished for s in samples])
        yield "mean_logprob", mean([s.logprob for s in samples])

    def score(self, samples: Sequence[Sample]) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Scores the samples of a run.

        Args:
            samples: the questions with the model's answers, in the order of the data.

        Returns:
            The metrics of the whole run, and for each sample its scores by name. A score of None
            means that the sample does not count for this score.
        """
        raise NotImplementedError

    @classmethod
    def groups(cls, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Returns samples to show: the worst and the best by the main score, and random ones."""
        return sample_files.choose(records, cls.main[0])

    @property
    def view(self) -> eval_data.View:
        """The images as the model sees them under this evaluator's control."""
        if self._view is None:
            self._view = eval_data.View(self.data, self.control, self._blank)
        return self._view

    def image(self, index: int) -> Float[np.ndarray, "height width 3"]:
        """Returns the image that the sample of this index was asked about."""
        return self.view.image(index)

    def _add_confidence(
        self, sample: Sample, parsed: markup.Parsed, fields: dict[str, Any], entities: list[Entity]
    ) -> None:
        # Writes how sure the model is into the fields of a record and into its entities.
        answer, kind = sample.answer, question_kind(sample.question_type)
        whole = confidence.of_answer(answer, parsed.text, kind, sample.options)
        fields["confidence"] = whole.plain()
        places = confidence.of_entities(answer, parsed.entities, self._tokenizer, self.codec)
        for entity, place in zip(entities, places, strict=True):
            if place is not None:
                entity["confidence"] = place.plain()

    def _record(self, sample: Sample, scores: Mapping[str, Any]) -> Record:
        height, width = self.data[sample.index]["image"].shape[:2]
        internal = ("masks", "answer", "options")
        fields = {k: v for k, v in vars(sample).items() if k not in internal}
        boxes: Boxes = {}
        for role in ("reference", "prediction"):
            parsed = markup.parse(fields[role], self.codec)
            fields[f"{role}_text"] = parsed.text
            masks = None
            if sample.masks is not None:
                true = self.data[sample.index].get("masks", ())  # Some texts have no masks.
                masks = sample.masks if role == "prediction" else true
            boxes[role] = [
                _entity(
                    e if masks is None else mask_lib.named(e, parsed.text), width, height, masks
                )
                for e in parsed.entities
            ]
            if role == "prediction" and "token_logprobs" in sample.answer:
                self._add_confidence(sample, parsed, fields, boxes[role])
        return {
            **fields,
            "control": self.control,
            "scores": dict(scores),
            "image_size": [height, width],
            "boxes": boxes,
        }


def question_kind(question_type: str) -> str:
    """Returns the kind of a question: "yes_no", "multiple", "closed", "open" or another name.

    Args:
        question_type: the dataset's field. It is put into lower case and loses "/", "_" and spaces;
            "yesno" and "multiplechoice" are then renamed to "yes_no" and "multiple".
    """
    kind = question_type.strip().lower().replace("/", "").replace("_", "").replace(" ", "")
    return {"yesno": "yes_no", "multiplechoice": "multiple"}.get(kind, kind)


def summarise(
    samples: Sequence[Sample],
    scores: Sequence[dict[str, Any]],
    names: Sequence[str],
    kinds: Sequence[str] = (),
) -> dict[str, float]:
    """Averages scores over all samples and over groups of samples.

    For example, with English and German questions, of which two are closed:

        {"f1": 0.5, "n": 10, "f1_closed": 1.0, "n_closed": 2, "f1_en": 0.4, "n_en": 5,
         "f1_de": 0.6, "n_de": 5}

    Args:
        samples: the samples.
        scores: the scores of each sample by name; values of None are left out of the mean.
        names: the names of the scores to average.
        kinds: a group name for each sample, such as the kind of its question; a sample with "" is
            in no such group. Empty makes no such groups.

    Returns:
        For each name its mean over all samples (`name`) and over each group (`name_group`), and
        the number of samples (`n`, `n_group`), whether or not they count for a score. The groups
        of `kinds` are always there; those by language and by modality only if there are several.
    """
    groups: dict[str, list[int]] = {"": list(range(len(samples)))}
    for i, kind in enumerate(kinds):
        if kind:
            groups.setdefault(kind, []).append(i)
    for field in ("lang", "modality"):
        values = [getattr(s, field) for s in samples]
        if len(set(values)) > 1:
            for i, value in enumerate(values):
                groups.setdefault(value or f"no_{field}", []).append(i)
    result = {}
    for group, members in groups.items():
        suffix = f"_{group}" if group else ""
        for name in names:
            result[name + suffix] = mean([scores[i].get(name) for i in members])
        result["n" + suffix] = len(members)
    return result


def mean(values: Sequence[Any]) -> float:
    """Returns the mean of the values that are not None, or NaN if all are None."""
    kept = [float(v) for v in values if v is not None]
    return sum(kept) / len(kept) if kept else math.nan


def _options(text: Mapping[str, Any]) -> confidence.Forms:
    kind, lang = (str(text.get(k, "")).strip() for k in ("question_type", "lang"))
    choices = text.get("choices") or ()
    return confidence.options_of(question_kind(kind), choices, lang or "en")[1]


def _until_eos(tokens: Int[np.ndarray, " tokens"], eos_id: int) -> tuple[list[int], bool]:
    ends = np.flatnonzero((tokens == eos_id) | (tokens == 0))
    return [int(t) for t in (tokens[: ends[0]] if len(ends) else tokens)], bool(len(ends))


def _nonzero(text: Int[np.ndarray, " tokens"]) -> list[int]:
    return [int(t) for t in text if t]


def _entity(
    entity: markup.Entity,
    width: int,
    height: int,
    masks: Sequence[Bool[np.ndarray, "height width"]] | None,
) -> Entity:
    known = 1 <= (entity.class_id or 0) <= classes.NUM_CLASSES
    box = entity.box
    fields = {
        "phrase": entity.phrase,
        "class_id": entity.class_id,
        "class_name": classes.by_id(entity.class_id).name if known else "",
        "box": None if box is None else [round(float(c), 5) for c in box],
        "box_pixels": None
        if box is None
        else [round(float(c) * s, 2) for c, s in zip(box, (width, height) * 2, strict=True)],
        "span": list(entity.span),
    }
    if masks is None:
        return fields
    place = mask_lib.place(entity, len(masks))
    if place is None or mask_lib.is_blank(masks[place]):
        return fields | {"mask": None}
    rectangle = [float(c) for c in box_lib.from_mask(masks[place])]
    return fields | {"mask": mask_lib.to_runs(masks[place]), "box_pixels": rectangle}
