"""What the files of an evaluation hold, as types: lines of samples files, results and summaries.

The types are for readers and type checkers; at run time all of these are plain dictionaries, as
JSON gives them. A field that is not required is missing in files of earlier versions, or where the
evaluator has nothing to say.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class Mask(TypedDict):
    """A mask as COCO writes it: lengths of runs, column by column, zeros first."""

    size: list[int]
    counts: list[int]


class Entity(TypedDict):
    """A phrase with its class and place, in a reference or in a prediction.

    Attributes:
        phrase: its words.
        class_id: number in the class table; 0 or None if it has none.
        class_name: name of a class of the table, else "".
        box: (x1, y1, x2, y2) as shares of the image; None if it has none.
        box_pixels: the same in pixels of the model's image; with a mask, its rectangle.
        span: start and end of the phrase in the text.
        mask: where a model makes masks; None for a blank one.
        iou: with its match on the other side, if it has one.
    """

    phrase: str
    class_id: int | None
    class_name: str
    box: list[float] | None
    box_pixels: list[float] | None
    span: list[int]
    mask: NotRequired[Mask | None]
    iou: NotRequired[float]


class Boxes(TypedDict):
    """The entities of both texts of a sample."""

    reference: list[Entity]
    prediction: list[Entity]


class Judged(TypedDict):
    """What a judge said of an answer, or why there is no grade."""

    answer: str
    error: str


class Record(TypedDict):
    """One line of a samples file: a question, the model's answer, and its scores.

    Evaluators that generate text write all fields, see `base.Sample`; others write at least those
    that are required.

    Attributes:
        index: place in the evaluated data.
        id: of the question in its dataset.
        scores: name -> score of this sample; None if it does not count for it.
        reference, prediction: texts with markup.
        reference_text, prediction_text: the same without.
        image_size: height and width of the model's image, in pixels.
        control: the control that was asked, "none" for the real image.
        judge: if a judge was asked.
    """

    index: int
    id: str
    scores: dict[str, float | None]
    prompt: NotRequired[str]
    reference: NotRequired[str]
    prediction: NotRequired[str]
    reference_text: NotRequired[str]
    prediction_text: NotRequired[str]
    logprob: NotRequired[float]
    finished: NotRequired[bool]
    modality: NotRequired[str]
    plane: NotRequired[str]
    task: NotRequired[str]
    lang: NotRequired[str]
    question_type: NotRequired[str]
    image_id: NotRequired[str]
    image: NotRequired[str]
    subject: NotRequired[int]
    control: NotRequired[str]
    image_size: NotRequired[list[int]]
    boxes: NotRequired[Boxes]
    judge: NotRequired[Judged]


class Interval(TypedDict):
    """The mean of a score with its 95 % interval, over `n` samples in so many clusters."""

    mean: float
    low: float
    high: float
    n: int
    clusters: int


Intervals = Mapping[str, Mapping[str, Interval]]  # group -> score -> interval; "" is all samples


class Bootstrap(TypedDict):
    """How intervals are made: what is resampled, how often, and the seed."""

    by: str
    resamples: int
    seed: int


class Result(TypedDict):
    """`results/<name>.json`: what an evaluator yielded, and the key of what it was asked."""

    key: str
    metrics: dict[str, float | None]
    seconds: float


class Entry(TypedDict):
    """What a summary says of one evaluator.

    Attributes:
        dataset, builder_args, split: of the data.
        n, images, subjects: numbers of questions, of their images and of their patients.
        unnamed: images whose patient the dataset does not name; each counts as a patient.
        sha256: of the questions and references.
        metrics_version: version of the metrics that made the scores.
        asked: its entry of `config.evals`, without what changes no score.
        question: hash of what was asked of which checkpoint.
        metrics: name -> what it yielded, with the grades of a judge.
        bootstrap: how its intervals are made.
        seconds: that it took.
        judge: name of the judge that graded its answers, or None.
    """

    type: str
    dataset: str
    builder_args: Mapping[str, object]
    split: str
    control: str
    n: int
    images: int
    subjects: int
    unnamed: int
    sha256: str
    metrics_version: int
    asked: Mapping[str, Any]
    question: str
    metrics: dict[str, float | None]
    intervals: Intervals
    bootstrap: Bootstrap
    seconds: float
    judge: str | None


class Summary(TypedDict):
    """`summary.json` of an evaluation.

    Attributes:
        checkpoint: as it was named; `step` of a run, `fingerprint` of its files.
        versions, revision, device: what it was evaluated with.
        by, resamples, seed: how intervals are made.
        judge: names of the judges of its entries, or None.
        left_out: name -> why, of evaluators that have nothing to ask.
        unfinished: names of those that were asked for and have no entry.
        evals: name -> entry, in the order of the config.
    """

    checkpoint: str
    step: int | None
    fingerprint: str
    versions: Mapping[str, str]
    revision: Mapping[str, object] | None
    device: str
    by: str
    resamples: int
    seed: int
    judge: str | None
    left_out: dict[str, str]
    unfinished: list[str]
    evals: dict[str, Entry]
