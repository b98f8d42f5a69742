"""Reads the grade from the answer of a judge, or says why there is no grade.

A number is taken for the grade only where it cannot mean anything else. The reasoning that some
models write before their answer is skipped.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

FORM = 3  # The version of the rules here; kept grades of another version are not used again.
NAMES = {  # The names of the grades in the rubric.
    5: "completely right",
    4: "mostly right",
    3: "partly right",
    2: "mostly wrong",
    1: "completely wrong",
}
_OPENS = r"(?:(?:the|my|final|overall|die)\s+)*"
_WORD = _OPENS + r"(?:grade|score|rating|note|bewertung)"
_MARKS = r"[\s*_`\"'(\[]"  # Emphasis and quotation marks; "<4", "~4" and "-4" are not grades.
_IS = rf"{_MARKS}{{0,3}}(?:[:=]|\bis\s|\bist\s){_MARKS}{{0,3}}"
_LABEL = rf"{_WORD}(?:{_IS}|{_MARKS}{{1,4}}|\s?[-\u2013\u2014]\s)"
_OF_FIVE = r"(?:\s*/\s*5|\s+(?:out\s+)?of\s+5|\s+von\s+5)"
_DIGIT = rf"([1-5]){_OF_FIVE}?"
_ALONE = re.compile(rf"(?:{_LABEL})?{_DIGIT}\s*[.:)!]?", re.IGNORECASE)
# "Grade: 4, because" and "<grade>4</grade>", but not "grade 3 tumour". "Note" is left out, because
# it may also begin a remark: its number must stand alone on the line.
_MARKED = re.compile(
    rf"(?!{_OPENS}note){_WORD}{_IS}{_DIGIT}(?P<rest>.*)"
    r"|<(?:grade|score)>\s*([1-5])\s*</(?:grade|score)>.*",
    re.IGNORECASE,
)
# Such a grade may be followed by nothing, or by punctuation and a reason: so "3 cm" and "2 lobes"
# are not grades.
_NOTHING = re.compile(r"[\s.!*_\"'\])]*")
_REASON = re.compile(
    r"[*_)\]]*(?:\s*[,:(](?!\s*\d)|\s*[.;!](?!\d)|\s+[\u2013\u2014](?!\s*\d)"
    r"|\s(?=(?:because|since|weil|denn)\b))\W*(?P<reason>\w.*)",
    re.IGNORECASE,
)
# A second grade ("or 5", "maybe 5", "5 or") and another scale ("out of 10") are not reasons.
_BETWEEN = (
    r"(?:or|oder|to|bis|and|und|out|of|von|maybe|perhaps|possibly|rather|even|vielleicht|eher)"
)
_SECOND = re.compile(
    rf"(?:{_BETWEEN}\s+)+(?:a\s+)?\d|out\s+of\b|\d+(?:\W*$|\W*\s{_BETWEEN}\s)", re.IGNORECASE
)
# The grade, a colon and the reason. A number before a full stop or a dash need not be a grade:
# "5. Rippe", "2. rib", "5-mm", "4 - fold increase". In "4/5 - vague" it must be one.
_REASONED = re.compile(
    rf"([1-5])(?:{_OF_FIVE}?[*_]*\s*:|{_OF_FIVE}\s+[-\u2013\u2014])\s+(?!\d)\S.*", re.IGNORECASE
)
_NAMED = re.compile(
    rf"(?:{_LABEL})?{_DIGIT}\W{{0,3}}({'|'.join(NAMES.values())})\b.*", re.IGNORECASE
)
_LISTED = re.compile(r"\W*\d\s*[.:)\-\u2013\u2014]\s")
_AT_THE_END = re.compile(rf"\b{_WORD}{_IS}{_DIGIT}\W*$", re.IGNORECASE)
_THOUGHT = re.compile(r"</?(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_REASONING = ("reasoning_content", "reasoning")  # Fields in which servers put the reasoning.
_NOT = "does not begin with a grade from 1 to 5 that stands alone"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The grade of one answer, or the reason why there is no grade.

    Attributes:
        grade: the grade, 1..5; None if the answer has no grade.
        answer: the text that the judge wrote.
        error: why there is no grade; "" if there is one.
    """

    grade: int | None
    answer: str = ""
    error: str = ""

    @property
    def score(self) -> float | None:
        """The grade as a score between 0 (grade 1) and 1 (grade 5); None without a grade."""
        return None if self.grade is None else (self.grade - 1) / 4


def from_reply(reply: Mapping[str, Any]) -> Judgement:
    """Reads the reply of an endpoint with OpenAI's chat completions.

    Args:
        reply: the JSON of the reply. If the message has no content, the end of its reasoning is
            read instead.

    Raises:
        KeyError, IndexError, TypeError, AttributeError: the reply has no message.
    """
    choice = reply["choices"][0]
    message = choice["message"]
    content = _text(message.get("content"))
    thought = next(filter(None, (_text(message.get(k)) for k in _REASONING)), "")
    cut = choice.get("finish_reason") == "length"
    if content:
        found = parse(content)
    elif thought and not cut:
        found = _end_of(thought)
    else:
        found = Judgement(None, thought, f"the answer is empty, so it {_NOT}")
    if found.grade is None and cut:
        error = f"{found.error}; it was cut off, so give more tokens with --judge_max_tokens"
        found = dataclasses.replace(found, error=error)
    return found


def parse(answer: str) -> Judgement:
    """Reads the grade from the text of an answer.

    The first line must have one of these forms, or the answer must be a JSON object with the field
    "grade":

    - the grade alone: "4", "4/5", "**4**";
    - the grade with a label: "Grade: 4", after which only punctuation and a reason may follow;
    - the grade, a colon and a reason: "4: a detail is missing";
    - the grade and its name: "4 mostly right".

    So "5 mm are missing, grade 2", "2 of 3 findings", "4.5", "Grade: 3 cm", "Grade: 4 or 5",
    "2. rib" and a list that begins with "1." have no grade. Reasoning in <think> before the answer
    is skipped.
    """
    *thought, text = _THOUGHT.split(answer)
    if thought and not _THOUGHT.findall(answer)[-1].startswith("</"):
        return Judgement(None, answer, "the answer ends within the reasoning of the judge")
    fields = _fields(text)
    if fields is not None:
        grade = {str(g): g for g in NAMES}.get(str(fields.get("grade")))
        return _found(grade, answer)
    lines = _lines(text)
    if not lines:
        return Judgement(None, answer, f"the answer is empty, so it {_NOT}")
    alone = {grade for line in lines if (grade := _alone(line))}
    if _alone(lines[0]):
        return _found(_alone(lines[0]) if len(alone) == 1 else None, answer)
    return _found(_marked(lines[0]) or _named(lines[0]) or _reasoned(lines), answer)


def _end_of(thought: str) -> Judgement:
    # Reads a message whose whole text the server put into the field of the reasoning.
    lines = _lines(_THOUGHT.split(thought)[-1])
    first, last = (_alone(x) for x in (lines[0], lines[-1])) if lines else (None, None)
    if last is None and lines and (labelled := _AT_THE_END.search(lines[-1])):
        last = int(labelled[1])
    grade = last or first
    if grade is None or (first and last and first != last):
        return Judgement(None, thought, "there is only reasoning, and it does not end with a grade")
    return Judgement(grade, thought)


def _found(grade: int | None, answer: str) -> Judgement:
    return Judgement(grade, answer, "" if grade else f"the answer {_NOT}")


def _alone(line: str) -> int | None:
    found = _ALONE.fullmatch(line)
    return int(found[1]) if found else None


def _marked(line: str) -> int | None:
    found = _MARKED.fullmatch(line)
    if not found or found[1] is None:
        return int(found[3]) if found else None
    rest = found["rest"]
    reason = _REASON.fullmatch(rest)
    follows = reason is not None and not _SECOND.match(reason["reason"])
    return int(found[1]) if follows or _NOTHING.fullmatch(rest) else None


def _named(line: str) -> int | None:
    found = _NAMED.fullmatch(line)
    same = found and NAMES[int(found[1])] == found[2].lower()
    return int(found[1]) if same else None


def _reasoned(lines: list[str]) -> int | None:
    found = _REASONED.fullmatch(lines[0])
    return int(found[1]) if found and not any(map(_LISTED.match, lines[1:])) else None


def _fields(text: str) -> dict[str, Any] | None:
    bare = re.sub(r"^```\w*|```$", "", text.strip()).strip()
    try:
        found = json.loads(bare) if bare.startswith("{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _lines(text: str) -> list[str]:
    # The lines that are not empty, without marks of emphasis, headings and quotation.
    bare = (line.strip().strip("*_#`\"'[] ") for line in text.splitlines())
    return [line for line in bare if line]


def _text(content: object) -> str:
    # Some servers send the content as a list of parts.
    if isinstance(content, list):
        content = "".join(p.get("text") or "" for p in content if isinstance(p, Mapping))
    return content.strip() if isinstance(content, str) else ""
