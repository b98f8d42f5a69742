"""The prompt strings of RadGrounder, in English and German, and its text cleaner.

The released checkpoints were trained on exactly these strings, so a changed character costs
quality. After the image and `<bos>`, a model reads a newline, the context, a newline, the prompt
line, a space and a newline. For example, the prefix of an English question is

    "\\nIs the liver enlarged?\\nAnswer: \\n"
"""

import re
from collections.abc import Sequence

from big_rad.pp.example import Text

LANGS = ("en", "de")
VQA_LANGS = (*LANGS, "zh")  # The released model was not trained on Chinese questions (SLAKE).
TASKS = ("report", "vqa", "detect")
STYLES = ("none", "clinical", "question", "both")
GROUNDINGS = ("none", "boxes", "masks")

REPORT = {
    ("en", "none"): "Caption this image:",
    ("en", "boxes"): "Caption this image and detect keywords:",
    ("en", "masks"): "Caption this image and segment keywords:",
    ("de", "none"): "Beschreibe dieses Bild:",
    ("de", "boxes"): "Beschreibe dieses Bild und detektiere Schlüsselwörter:",
    ("de", "masks"): "Beschreibe dieses Bild und segmentiere die Schlüsselwörter:",
}
ANSWER = {"en": "Answer:", "de": "Antwort:", "zh": "Answer:"}
CLINICAL = {"en": "Clinical information:", "de": "Klinische angaben:"}
QUESTION = {"en": "Question:", "de": "Fragestellung:"}

# Characters that the released cleaner replaces: unusual spaces, invisible marks, and characters
# left over from Windows-1252.
_ODD = str.maketrans(
    dict.fromkeys("\u202f\u2009\xa0\x0b\u2006\u2003", " ")
    | dict.fromkeys("\xad\u200b\x1f\x7f\x02\u200c\u2060\ufeff\u200d\x00\u200e\x8f", "")
    | dict.fromkeys("\x93\x84\x94", '"')
    | dict.fromkeys("\x91\x92\x82", "'")
    | {"\x96": "-", "\x85": "...", "\u2028": "\n", "\x8a": "S", "\x80": "€"}
)
_SPACE_BEFORE_MARK = re.compile(r"\s+([.,:;!?])")
_MARK_BEFORE_WORD = re.compile(r"([.,:;!?])(?![\s.,:;!?])")
_SPACE_BEFORE_NEWLINE = re.compile(r"\s+\n")


def prefix(task: str, lang: str, context: str, grounding: str = "none") -> str:
    """Returns the whole prefix string, which is tokenised in one piece.

    Args:
        task: "report", "vqa" or "detect". A detection question has no prompt line after it.
        lang: "en" or "de"; for "vqa" also "zh", whose prompt line is the English one.
        context: the text before the prompt line: `report_context(...)` or the question.
        grounding: how a report is asked to mark phrases: "none", "boxes" or "masks".

    Raises:
        ValueError: The task, language or grounding is unknown.
    """
    langs = VQA_LANGS if task == "vqa" else LANGS
    if task not in TASKS or lang not in langs or grounding not in GROUNDINGS:
        raise ValueError(
            f"task={task!r}, lang={lang!r}, grounding={grounding!r}: tasks are {TASKS}, languages "
            f"{langs}, groundings {GROUNDINGS}"
        )
    if task == "detect":
        return f"\n{context} \n"
    line = REPORT[lang, grounding] if task == "report" else ANSWER[lang]
    return f"\n{context}\n{line} \n"


def report_context(style: str, clinical: str, question: str, lang: str) -> str:
    """Returns the lines about the patient that precede the prompt line of a report.

    Args:
        style: which lines: "none", "clinical" (the clinical information), "question" (the
            referring doctor's question), or "both". If both have the same text, "both" gives only
            the clinical information.
        clinical: the clinical information; may be empty.
        question: the question; may be empty.
        lang: "en" or "de".

    Returns:
        the lines. In the styles "clinical" and "question" an empty field gives no line. In the
        style "both" a line with an empty field stays, with its label alone, because the released
        model was trained so.

    Raises:
        ValueError: The style or language is unknown.
    """
    if style not in STYLES or lang not in LANGS:
        raise ValueError(f"style={style!r}, lang={lang!r}: styles are {STYLES}, languages {LANGS}")
    first, second = clinical.strip(), question.strip()
    lines = {
        "none": "",
        "clinical": f"{CLINICAL[lang]} {first}" if first else "",
        "question": f"{QUESTION[lang]} {second}" if second else "",
    }
    if style != "both":
        return lines[style]
    if first == second:
        return f"{CLINICAL[lang]} {first}".strip()
    return f"{CLINICAL[lang]} {first}\n{QUESTION[lang]} {second}".strip()


def vqa_context(question: str, question_type: str = "open", choices: Sequence[str] = ()) -> str:
    """Returns the question. For type "multiple", each choice follows on its own line."""
    return "\n".join([question, *choices]) if question_type == "multiple" else question


def context(text: Text, style: str = "both") -> str:
    """Returns the context of one text of an example, of any task.

    Args:
        text: a text as the datasets yield it; an absent optional field counts as empty.
        style: the style of a report's context, see `report_context`.
    """
    if text["task"] == "report":
        return report_context(
            style, text.get("clinical") or "", text.get("question") or "", text["lang"]
        )
    if text["task"] == "vqa":
        return vqa_context(
            text["question"], text.get("question_type", "open"), text.get("choices") or ()
        )
    return text["question"]


def target(text: Text) -> str:
    """Returns the target of a text: the sentence of a report, or the answer to a question."""
    return text["sentence"] if text["task"] == "report" else text["answer"]


def clean(text: str) -> str:
    """Changes white space around . , : ; ! ? as the released preprocessing does.

    White space before a mark is removed. A space is put after each mark that is followed by a
    character that is neither white space nor a mark, even within a decimal number: `1.2 x 3,4 cm`
    becomes `1. 2 x 3, 4 cm.`, and "..." stays together. A text that does not end with . ! or ? gets
    a full stop. Unusual control and space characters are replaced. An empty text stays empty, and a
    text of nothing but white space becomes ".".
    """
    if not text:
        return text
    text = _SPACE_BEFORE_MARK.sub(r"\1", text)
    text = _MARK_BEFORE_WORD.sub(r"\1 ", text)
    text = _SPACE_BEFORE_NEWLINE.sub("\n", text).strip()
    if not text.endswith((".", "!", "?")):
        text += "."
    return text.translate(_ODD)


def corpus() -> list[str]:
    """Returns every prompt string once, for training a tokenizer."""
    lines = [*REPORT.values(), *ANSWER.values(), *CLINICAL.values(), *QUESTION.values()]
    return [f"{line} " for line in dict.fromkeys(lines)]
