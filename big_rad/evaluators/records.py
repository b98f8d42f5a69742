"""The types of everything that the files of an evaluation contain.

`Record` is a line of a samples file, `Result` a file `results/<name>.json`, and `Summary` the file
`summary.json`. The types are for readers and type checkers: at run time all of these are plain
dictionaries, as read from JSON. A field marked `NotRequired` may be missing in files of earlier
versions and in those of evaluators that have no value for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict


class Mask(TypedDict):
    """A mask in COCO's uncompressed run-length encoding.

    Attributes:
        size: the height and the width in pixels.
        counts: the lengths of the runs of equal pixels, column by column; the first run is of
            zeros.
    """

    size: list[int]
    counts: list[int]


class Confidence(TypedDict):
    """How sure the model is of an answer, or of the place of an entity, see `inference.confidence`.

    Attributes:
        kind: what it is about, one of `inference.confidence.KINDS`.
        features: the probabilities from which it is made, by name.
        score: the score without calibration, in 0..1.
        calibrated: the score that the checkpoint's calibration makes of the features; None if the
            checkpoint has no calibration for the kind and the language.
    """

    kind: str
    features: dict[str, float]
    score: float
    calibrated: float | None


class Entity(TypedDict):
    """A phrase with its class and place, in a reference or in a prediction.

    Attributes:
        phrase: the words.
        class_id: the number of its class in the class table; 0 or None if it has no class.
        class_name: the name of its class in the table; "" if it has no class.
        box: (x1, y1, x2, y2) as fractions of the image's width and height; None without a box.
        box_pixels: the box in pixels of the model's image, or the bounding box of the mask if there
            is one; None without either.
        span: the start and the end of the phrase in the text without markup, in characters.
        mask: the mask, if the model makes masks; None if it is blank or missing.
        iou: the IoU with the entity that it was matched with, if it was matched.
        confidence: how sure the model is of the place; only in predictions with a box or a mask.
    """

    phrase: str
    class_id: int | None
    class_name: str
    box: list[float] | None
    box_pixels: list[float] | None
    span: list[int]
    mask: NotRequired[Mask | None]
    iou: NotRequired[float]
    confidence: NotRequired[Confidence | None]


class Boxes(TypedDict):
    """The entities of the reference and of the prediction of a sample."""

    reference: list[Entity]
    prediction: list[Entity]


class Judged(TypedDict):
    """The reply of a judge about one answer.

    Attributes:
        answer: the text that the judge wrote.
        error: why there is no grade; "" if there is one.
    """

    answer: str
    error: str


class Record(TypedDict):
    """One line of a samples file: a question, the model's answer, and its scores.

    Evaluators that generate text write all fields except `judge`; others write at least the
    required ones. Fields that are not listed here are explained at `base.Sample`.

    Attributes:
        index: the position in the evaluated data.
        id: the id of the question in its dataset.
        scores: name -> score of this sample; None if the sample does not count for the score.
        reference, prediction: the two texts, with markup.
        reference_text, prediction_text: the same texts without markup.
        image_size: the height and the width of the model's image, in pixels.
        control: the control under which the question was asked; "none" for the real image.
        boxes: the entities of both texts.
        judge: the reply of a judge, if one was asked.
        confidence: how sure the model is of the answer.
        margins: question -> value -> [how much more similar the image is to its prompts than to
            others, whether the image has it], see `zero_shot`.
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
    confidence: NotRequired[Confidence]
    margins: NotRequired[dict[str, dict[str, Sequence[float | None]]]]


class Interval(TypedDict):
    """The mean of a score with its 95 % interval.

    Attributes:
        mean: the mean of the samples that count.
        low, high: the bounds of the interval.
        n: the number of samples that count.
        clusters: the number of clusters (patients, images or samples) that were resampled.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int


Intervals = Mapping[str, Mapping[str, Interval]]  # group -> score -> interval; "" is all samples


class Bootstrap(TypedDict):
    """How bootstrap intervals are computed.

    Attributes:
        by: the unit that is resampled, one of `summary.BY`.
        resamples: the number of resamples.
        seed: the seed of the resampling.
    """

    by: str
    resamples: int
    seed: int


class Result(TypedDict):
    """The file `results/<name>.json`.

    Attributes:
        key: identifies checkpoint, questions, options and version of the metrics, see
            `results.QuestionSet.key`.
        metrics: name -> value that the evaluator yielded; None for NaN.
        seconds: how long the evaluator ran.
    """

    key: str
    metrics: dict[str, float | None]
    seconds: float


class Figure(TypedDict):
    """One figure about confidence.

    Attributes:
        value: its value.
        low, high: the bounds of its 95 % interval; None if there is no interval.
    """

    value: float
    low: float | None
    high: float | None


class ReliabilityBin(TypedDict):
    """Items of similar confidence: how many there are, and two means, see `calibration.Bin`."""

    count: int
    score: float
    outcome: float


class Survivors(TypedDict):
    """The entities of blank images that are as sure as a limit.

    Attributes:
        n: the number of entities that the model predicted on blank images, with a confidence of the
            same kind.
        kept: how many of these have at least the `min_score`.
        share: `kept` divided by `n`.
    """

    n: int
    kept: int
    share: float


class Limit(TypedDict):
    """The lowest confidence to accept, and what it does.

    Attributes:
        min_score: the highest limit that keeps at least `confidence.KEPT` of the right entities.
        precision: the share of right ones among the entities that it keeps.
        coverage: the share of all entities that it keeps.
        blank: what it keeps of the entities of blank images, if that control was evaluated.
    """

    min_score: float
    precision: float
    coverage: float
    blank: NotRequired[Survivors]


class ConfidenceGroup(TypedDict):
    """How good the confidence of the items of one kind is, see `evaluators.confidence`.

    Attributes:
        kind: one of `inference.confidence.KINDS`.
        lang: the language of the texts; "" for all languages.
        calibrated: whether the values are calibrated, or scores without calibration.
        n: the number of items.
        clusters: the number of units (patients, images or samples) that were resampled.
        subjects: the number of patients; with fewer than `bootstrap.FEWEST` there are no intervals.
        resamples: how many resamples the intervals are of; 0 without intervals.
        right: the share of right items.
        figures: name -> figure, see `confidence.FIGURES`. Those without a value are left out.
        bins: the bins of the reliability plot, in the order of their score.
        curve: at most 100 points (coverage, risk) of the risk-coverage curve.
        limit: the lowest confidence to accept; only for boxes and masks of all languages, if there
            are enough patients and a right entity.
    """

    kind: str
    lang: str
    calibrated: bool
    n: int
    clusters: int
    subjects: int
    resamples: int
    right: float
    figures: dict[str, Figure]
    bins: list[ReliabilityBin]
    curve: list[list[float]]
    limit: NotRequired[Limit]


class ConfidenceReport(TypedDict):
    """How good the confidence of an evaluator's answers and entities is.

    Attributes:
        groups: the kinds, and the kinds in each language.
        without: what has no confidence and is left out: "answers" -> number, "entities" -> number.
    """

    groups: list[ConfidenceGroup]
    without: dict[str, int]


class Entry(TypedDict):
    """The part of a summary about one evaluator.

    Attributes:
        type: the type of the evaluator.
        dataset, builder_args, split: the data that it was evaluated on.
        control: the control under which it asked its questions; "none" for real images.
        n: the number of questions.
        images: the number of images that they are about.
        subjects: the number of patients. An image whose patient the dataset does not name counts as
            a patient.
        unnamed: the number of such images.
        sha256: the hash of the questions and references.
        metrics_version: the version of the metrics that computed the scores.
        asked: its entry of `config.evals`, without the fields that change neither the questions nor
            the scores.
        question: a hash of checkpoint, questions and options.
        metrics: name -> value that it yielded, with the mean grade and the counts of a judge.
        intervals: the mean of each score with its interval, for all samples and for groups.
        bootstrap: how its intervals were computed.
        seconds: how long it ran.
        judge: the name of the judge that graded its answers; None without grades.
        confidence: how good the model's confidence is; only if its records have a confidence.
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
    confidence: NotRequired[ConfidenceReport]


class Summary(TypedDict):
    """`summary.json` of an evaluation.

    Attributes:
        checkpoint: the path of the checkpoint as the user gave it.
        step: its training step, if it is the checkpoint of a run.
        fingerprint: a hash that identifies its files, see `identity.Identity`.
        versions, revision, device: the versions of the packages, the revision of the code, and the
            device that it was evaluated with.
        by, resamples, seed: how intervals were computed, see `Bootstrap`.
        judge: the names of the judges of its entries, joined by commas; None without grades.
        left_out: name -> the reason, for each evaluator that could not run.
        unfinished: the names of the evaluators that were asked for and have no entry.
        calibration: what the confidences were calibrated on, and when; None without a calibration.
        evals: name -> entry. The evaluators of the last command come first, in the order of their
            config; those kept from earlier commands follow.
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
    calibration: NotRequired[str | None]
    evals: dict[str, Entry]
