"""What a user asks a model about an image, and how it is put into the words of the training data.

Ask("slice.dcm", question="Findings in the liver?")
Ask("slice.dcm", task="vqa", question="Is the liver enlarged?", temperature=0.7, seed=3)
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from big_rad.dicom.image import MODALITIES
from big_rad.inference import confidence
from big_rad.inference.inputs import Image

TASKS = ("report", "vqa", "detect")
LANGS = ("en", "de")
GROUNDS = ("boxes", "masks", "none")
MOST_TOKENS = {"report": 200, "vqa": 64, "detect": 200}
_TEXT, _NUMBER, _WHOLE = (str, "a text"), (int | float, "a number"), (int, "a whole number")
_TYPES = {
    "question": _TEXT, "clinical": _TEXT, "temperature": _NUMBER, "top_p": _NUMBER,
    "min_score": _NUMBER, "timeout": _NUMBER, "seed": _WHOLE, "max_new_tokens": _WHOLE,
}  # fmt: skip
_STYLES = {(True, True): "both", (True, False): "clinical", (False, True): "question"}


@dataclasses.dataclass(frozen=True)
class Ask:
    """A question about one image, or the wish for a report.

    Attributes:
        image: the image, see `inputs.read`.
        task: "report" writes the sentence of a report, "vqa" answers a question, and "detect" finds
            what a question names.
        question: the question; with "report" the referrer's question, which may be empty.
        clinical: the clinical information of a report; may be empty.
        choices: the answers to choose from, with "vqa", at least two that differ in more than their
            case; empty asks an open question.
        lang: the language of the text, "en" or "de".
        ground: how a report points: "boxes", "masks" or "none"; None is what the model was trained
            for.
        modality: "CT", "MR" or "OT", for images that do not state it.
        max_new_tokens: the most tokens of the text; None is the task's own number, `MOST_TOKENS`.
        temperature: 0 writes the likeliest tokens; otherwise they are drawn, see `pickers.Sampled`.
        top_p: the nucleus, see `pickers.Sampled`.
        seed: the seed of the drawing.
        constrained: whether only texts that can be read are written, see `constrain`. The answer to
            a question with choices is then the likeliest choice.
        min_score: the least confidence with which the box or the mask of an entity is shown. The
            words of the text stay. Above 0, a place whose confidence is not known is not shown.
        timeout: the number of seconds after which the answer is of no use; None waits.
    """

    image: Image
    task: str = "report"
    question: str = ""
    clinical: str = ""
    choices: Sequence[str] = ()
    lang: str = "en"
    ground: str | None = None
    modality: str | None = None
    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    constrained: bool = True
    min_score: float = 0.0
    timeout: float | None = None

    def check(self) -> None:
        """Checks the values of all fields but the image.

        Raises:
            ValueError: a field has a value that does not fit; the message names it.
        """
        for name, (kind, words) in _TYPES.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise ValueError(f"{name} is {value!r}; give {words}")
        for name, known in (("task", TASKS), ("lang", LANGS), ("ground", (None, *GROUNDS))):
            if getattr(self, name) not in known:
                names = " or ".join(f'"{k}"' for k in known if k)
                raise ValueError(f"{name} is {getattr(self, name)!r}; use {names}")
        if self.modality not in (None, *MODALITIES):
            raise ValueError(f"modality is {self.modality!r}; give one of {', '.join(MODALITIES)}")
        if isinstance(self.choices, str):
            raise ValueError("choices is one string; give a list of them")
        if self.task != "report" and not self.question.strip():
            what = ", or a list of organs" if self.task == "detect" else ""
            raise ValueError(f"question is empty; give one{what}")
        unused = {"choices": "vqa", "clinical": "report", "ground": "report"}
        for name, task in unused.items():
            if getattr(self, name) and self.task != task:
                raise ValueError(f'{name} belongs to the task "{task}", and this is {self.task!r}')
        choices = confidence.options_of("multiple", self.choices, self.lang)[1]
        if self.choices and len(choices) < 2:
            raise ValueError(
                f"choices has only the answer {self.choices[0]!r}; give two that differ, or none"
            )
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be positive")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score is {self.min_score}; give a number in 0..1")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}; give a number from 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a number above 0 and up to 1")
        if self.timeout is not None and math.isnan(self.timeout):
            raise ValueError("timeout is nan; give a number of seconds, or None")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; give a whole number in 0..2^32-1")

    @property
    def limit(self) -> int:
        """The most tokens of the text."""
        return MOST_TOKENS[self.task] if self.max_new_tokens is None else self.max_new_tokens

    @property
    def style(self) -> str:
        """What of the context a report's prompt has, see `pp.prompts.report_context`."""
        if self.task != "report":
            return "none"
        return _STYLES.get((bool(self.clinical), bool(self.question)), "none")

    def text(self) -> dict[str, Any]:
        """Returns the fields of a text of the training data, see `pp.example.Text`."""
        if self.task == "report":
            return dict(task="report", sentence="", clinical=self.clinical, question=self.question)
        if self.task == "detect":
            return dict(task="detect", question=self.question, answer="")
        return dict(
            task="vqa",
            question=self.question,
            answer="",
            question_type="multiple" if self.choices else "open",
            choices=list(self.choices),
            source="finding",
        )
