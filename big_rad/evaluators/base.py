"""What generating evaluators share: questions through the model, samples, their file.

Knows prompts and answers as text only; what counts as right is the evaluators' business.
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
from big_rad.inference import draw
from big_rad.inference import queue as queue_lib
from big_rad.pp import ops_load, prompts
from big_rad.pp import tokenizer as tokenizers

# Groups of samples by language and modality, see `summarise`.
SUBSETS = (*prompts.VQA_LANGS, *ops_load.MODALITIES, "no_lang", "no_modality")
# What every evaluator here yields, whatever its scores are.
SCORES = (
    spec_lib.Score("n", count=True, groups=SUBSETS),
    spec_lib.Score("unfinished", lowest=True),
    spec_lib.Score("mean_logprob"),
)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One question and the model's answer.

    Attributes:
        index: position in the evaluated data.
        id: the example's id in its dataset.
        prompt: the prefix as the model got it, decoded from its tokens.
        reference: the target, with markup.
        prediction: the model's text, with markup.
        logprob: summed log probability of the generated tokens.
        finished: False if the model used up `max_new_tokens` without ending.
        modality, plane, task, lang, question_type: of the example; "" if it does not say.
        image_id: id of the example whose image was shown; "" for a blank image.
        image: id of its own image, which all questions about it share.
        subject: running number of its patient in the evaluated data; of its image where the
            dataset names no patient.
        masks: bool [n, H, W] of its first `</seg>`s, at the size of the model's image; None if the
            model makes none.
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
) -> list[Sample]:
    """Asks the model every question of the data.

    Args:
        predict_fns: "queue" of `inference.answer.make_answer_requests`, or else "generate" of
            `inference.answer.make_answer_batch`.
        params: the model's parameters, passed through.
        data: the examples.
        tokenizer: decodes prompts and answers.
        batch_size: questions that are answered together.
        max_new_tokens: the most tokens of an answer.
        view: the images to show; None shows the real ones.
        masks: False makes none, though the model could.

    Returns:
        One sample an item, in the order of the data.
    """
    view = eval_data.View(data) if view is None else view
    options = {"max_new_tokens": max_new_tokens} | ({} if masks else {"masks": False})
    if "queue" in predict_fns:
        requests = (
            queue_lib.Request(x["image"], np.array(_nonzero(x["text"]), np.int32))
            for x in (view[i] for i in range(len(view)))
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
                prediction=tokenizer.decode(ids, skip_special=True),
                logprob=float(out["logprob"]),
                finished=finished,
                image_id=view.shown_id(i),
                subject=numbers.setdefault(patients[i], len(numbers)),
                masks=out.get("masks"),
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
    # Batches of equal size, the last filled up; the fill is dropped.
    from big_rad import input_pipeline  # Pages do without Grain.

    for batch in input_pipeline.eval_batches(view, rows):
        out = answer_batch(params, batch, **options)
        for row in np.flatnonzero(batch["_mask"]):
            result = {k: out[k][row] for k in ("tokens", "logprob")}
            if "masks" in out:  # A copy: the batch's, of all places, is not to be kept.
                result["masks"] = out["masks"][row, : out["num_masks"][row]].copy()
            yield result


class Evaluator(spec_lib.Statement):
    """Base of the evaluators that generate text; subclasses say how a sample is scored.

    Args:
        predict_fns: needs "queue" or "generate", see `run`.
        data: what to evaluate on.
        name: names the samples file.
        tokenizer: decodes ids.
        samples_dir: folder of `<name>.jsonl` and `<name>.npz`, see `samples`; None writes none.
        batch_size, max_new_tokens: see `run`.
        control: "none", "blank", "shuffled" or "mirrored", see `data.View`.
        codec: name of the box codec, such as "radgrounder(grid=224)".
        grid: option of the codec.

    Attributes:
        records: the lines of the samples file of the last run.
        pixels: index -> what the model saw (`draw.seen`), of those of its samples that are shown;
            in the first process alone, and of real images alone.
    """

    controls = ("blank", "shuffled")
    needs = ("queue",)
    fields = ("reference",)
    masks = True  # Does a score need them?

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
        """Evaluates; yields (metric name, value) and writes the files of the samples.

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
        """Returns (metrics of the run, scores of each sample; None: not counted)."""
        raise NotImplementedError

    @classmethod
    def groups(cls, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Returns the worst, the best and random samples by the main score."""
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

    def _record(self, sample: Sample, scores: Mapping[str, Any]) -> Record:
        height, width = self.data[sample.index]["image"].shape[:2]
        fields = {k: v for k, v in vars(sample).items() if k != "masks"}
        boxes: Boxes = {}
        for side in ("reference", "prediction"):
            parsed = markup.parse(fields[side], self.codec)
            fields[f"{side}_text"] = parsed.text
            masks = None
            if sample.masks is not None:
                true = self.data[sample.index].get("masks", ())  # None: a text without any.
                masks = sample.masks if side == "prediction" else true
            boxes[side] = [
                _entity(
                    e if masks is None else mask_lib.named(e, parsed.text), width, height, masks
                )
                for e in parsed.entities
            ]
        return {
            **fields,
            "control": self.control,
            "scores": dict(scores),
            "image_size": [height, width],
            "boxes": boxes,
        }


def summarise(
    samples: Sequence[Sample],
    scores: Sequence[dict[str, Any]],
    names: Sequence[str],
    kinds: Sequence[str] = (),
) -> dict[str, float]:
    """Returns means over all samples and over groups of them.

    Args:
        samples: what was asked.
        scores: the scores of each.
        names: the scores to average; None is left out.
        kinds: a first grouping, one name a sample; "" is no group.

    Returns:
        {name, "n", name_group, n_group}: groups of `kinds` always, of language and modality only
        if there are several.
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
    """Mean of the values that are not None; nan if there are none."""
    kept = [float(v) for v in values if v is not None]
    return sum(kept) / len(kept) if kept else math.nan


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
