"""Writes questions and answers about images by rule, from metadata and from the report's sentence.

This is the offline counterpart of the questions that a language model writes for RefRad2D-VQA:
three questions about an image from its metadata (modality, plane, body region), and several from
its finding (presence, side, organ), in English and in German. They are open, yes/no or multiple
choice. Neither a model nor a network is used. The result depends on the images and the seed only,
not on the order of the images.

    images = [Image("a", "CT", "axial", "ABDOMEN", {"de": "Zyste in der linken Niere."})]
    asked = ask(images, seed=0)
    columns(asked.questions["a"], "en")   # {"dicom_vqa": [...], "snippet_vqa": [...]}

What the questions say comes from `findings`, and from the classes that the label map shows:

- **Presence of a finding.** A finding that is denied ("no lesion in the liver") gives "no", one
  that is stated gives "yes". The organ is there in both cases: a denial never makes it absent.
- **Visibility of an organ.** It is asked about only if there is a label map. "Yes" needs an organ
  in the map. "No" needs an organ that neither the map has nor any word of a sentence may mean; that
  is no part of what is there and does not contain it; that a map of this modality could show; and
  that lies at the same height of the body as what is there. An organ that was removed also gives
  "no", unless the map has it.
- **Side.** It is asked about only for an organ of a pair. If the same finding is stated on both
  sides, the answer is "both sides", and there is no yes/no question.
- **Multiple choice.** One choice is right, and all differ. Wrong organs are such as a question
  about visibility could deny.
- If there is a label map, an organ of the sentence that the map could show and does not show is
  not asked about at all.

**Balance.** A model must not win by guessing the more frequent answer. So "yes" and "no" are
equally frequent over all images for each wording and each subject: for each organ that may be
visible, each finding that may be present, each side, modality, plane and region. What is too many
is left out. A question about metadata is then asked in another form, and other questions about the
finding take the place of those that are left out, as far as there are any.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from big_rad.annotate import question_table as table
from big_rad.annotate import question_terms
from big_rad.annotate.question_drafts import (
    METADATA,
    Draft,
    Draw,
    Image,
    hashed,
    metadata,
    of_finding,
    of_metadata,
)

__all__ = ["Asked", "Image", "Question", "ask", "columns"]

LANGS = ("en", "de")


@dataclasses.dataclass(frozen=True)
class Question:
    """A question with its answer, in one language.

    Attributes:
        lang: "en" or "de".
        question: the question.
        answer: the answer.
        question_type: "open", "yesno" or "multiple".
        choices: the choices of a question of the type "multiple", in the order in which they are
            offered; () otherwise.
        source: "metadata" or "finding".
        template: the wording, "<question type>.<kind>.<number>", such as "yesno.shown.1".
    """

    lang: str
    question: str
    answer: str
    question_type: str
    choices: tuple[str, ...]
    source: str
    template: str


@dataclasses.dataclass(frozen=True)
class Asked:
    """The questions about a data set.

    Attributes:
        questions: {id of an image: its questions}; the German wording of a question follows the
            English one.
        left_out: {kind: number of yes/no questions that were left out for the balance}.
        unknown: {field: number of images without a value, or with one that no question is asked
            about}; for "finding", the number of images whose sentences state nothing that could be
            asked, and that have no label map of any use.
    """

    questions: dict[str, list[Question]]
    left_out: dict[str, int]
    unknown: dict[str, int]


def ask(images: Sequence[Image], seed: int = 0, most: int = 5) -> Asked:
    """Returns the questions about all images of a data set.

    Args:
        images: the images. Yes and no are balanced over all of them, so give all images of a split
            at once.
        seed: the seed of all draws.
        most: the largest number of questions about an image that come from its finding.

    Raises:
        ValueError: two images have the same id, a language is unknown, or a class does not exist.
    """
    drafts: dict[str, list[Draft]] = {}
    spare: dict[str, list[Draft]] = {}
    unknown: collections.Counter[str] = collections.Counter()
    for image in images:
        if image.id in drafts:
            raise ValueError(f"image {image.id!r} occurs twice; join what is known about it")
        if wrong := sorted(set(image.sentences) - set(LANGS)):
            raise ValueError(f"image {image.id!r}: no rules for the language {wrong[0]!r}")
        draw = Draw(seed, image.id)
        known = metadata(image)
        unknown.update(field for field in METADATA if field not in known)
        from_finding = of_finding(image, known, draw)
        drafts[image.id] = of_metadata(known, draw) + from_finding[:most]
        spare[image.id] = [d for d in from_finding[most:] if d.form != "yesno"]
        unknown["finding"] += not from_finding
    kept, left_out = _balanced(drafts, seed)
    questions = {}
    for image, some in kept.items():
        count = sum(d.kind not in METADATA for d in some)
        some += spare[image][: max(0, most - count)]
        questions[image] = [_written(d, lang) for d in some for lang in LANGS]
    return Asked(
        questions, dict(sorted(left_out.items())), {k: n for k, n in sorted(unknown.items()) if n}
    )


def columns(questions: Iterable[Question], lang: str) -> dict[str, list[dict[str, Any]]]:
    """Returns the questions in one language as the fields of a RefRad2D row.

    Args:
        questions: the questions about one image.
        lang: "en" or "de".

    Returns:
        A dict with `dicom_vqa` (from metadata) and `snippet_vqa` (from the finding), each a list of
        dicts with question, answer, question_type and choices (None without choices).
    """
    fields = {"dicom_vqa": "metadata", "snippet_vqa": "finding"}
    return {
        field: [
            {
                "question": q.question,
                "answer": q.answer,
                "question_type": q.question_type,
                "choices": list(q.choices) or None,
            }
            for q in questions
            if q.lang == lang and q.source == source
        ]
        for field, source in fields.items()
    }


def _balanced(
    drafts: Mapping[str, list[Draft]], seed: int
) -> tuple[dict[str, list[Draft]], collections.Counter[str]]:
    """Leaves out yes/no questions until both answers are equally frequent for each subject.

    The wording is drawn for each pair of a yes and a no, so that both answers are equally frequent
    for each wording as well.
    """
    groups: dict[tuple[str, str], dict[bool, list[tuple[int, str, int]]]] = {}
    for image, some in drafts.items():
        for k, draft in enumerate(some):
            if draft.form == "yesno":
                group = groups.setdefault((draft.kind, draft.subject), {True: [], False: []})
                group[bool(draft.answer)].append((draft.order, image, k))
    variants: dict[tuple[str, int], int] = {}
    for (kind, subject), group in groups.items():
        for j, pair in enumerate(zip(sorted(group[True]), sorted(group[False]))):
            number = hashed(seed, kind, subject, j) % len(table.YESNO[kind]["en"])
            variants |= {(image, k): number for _, image, k in pair}
    left_out: collections.Counter[str] = collections.Counter()
    kept: dict[str, list[Draft]] = {}
    for image, some in drafts.items():
        mine = kept[image] = []
        for k, draft in enumerate(some):
            if draft.form != "yesno":
                mine.append(draft)
            elif (image, k) in variants:
                mine.append(dataclasses.replace(draft, variant=variants[image, k]))
            else:
                left_out[draft.kind] += 1
                mine += [draft.instead] if draft.instead is not None else []
    return kept, left_out


def _written(draft: Draft, lang: str) -> Question:
    """Returns a question in one language."""
    rows = table.YESNO if draft.form == "yesno" else table.OPEN
    number = draft.variant % len(rows[draft.kind][lang])
    organs = [] if draft.organ is None else [draft.organ.organ()]
    slots = question_terms.finding(draft.finding, lang) if draft.finding else {}
    words = table.ASKED_SIDE if draft.kind == "side" else table.WORDS.get(draft.kind, {})
    if draft.word:
        slots["w"] = words[lang][draft.word]
    question = rows[draft.kind][lang][number].format(*organs, **slots)
    answer = table.NO_YES[lang][draft.answer] if draft.form == "yesno" else draft.answer.say(lang)
    return Question(
        lang, question, answer, draft.form, tuple(c.say(lang) for c in draft.choices),
        "metadata" if draft.kind in METADATA else "finding",
        f"{draft.form}.{draft.kind}.{number}",
    )  # fmt: skip
