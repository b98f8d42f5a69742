"""The op `detect_vqa`, which adds template questions about the presence and position of classes.

The answers come from the label map or the boxes; `ground` marks the names in them. The templates
are made so that any class name fits in unchanged: the article, the number and the endings of a
template do not depend on the name.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from big_rad.grounding import classes
from big_rad.pp import prompts, shown
from big_rad.pp.example import Example, Text
from big_rad.pp.ops import OPS, Op, rng_of

KINDS = ("present", "where", "list")
QUESTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "present": {
        "en": ("Does this image show the {}?", "Can the {} be seen here?", "Visible: {}?"),
        "de": ("Zeigt dieses Bild folgende Struktur: {}?", "Hier zu sehen: {}?", "Sichtbar: {}?"),
    },
    "where": {
        "en": ("Detect: {}.", "Locate the {}.", "Show the position of the {}."),
        "de": ("Detektiere: {}.", "Lokalisiere: {}.", "Zeige die Lage: {}."),
    },
    "list": {
        "en": ("List all visible structures.", "Which structures does this image show?"),
        "de": ("Liste alle sichtbaren Strukturen auf.", "Welche Strukturen zeigt dieses Bild?"),
    },
}
# The answers: (if the class asked about, or any class of a list, is shown; if it is not).
ANSWERS = {
    "present": {"en": ("Yes, {}.", "No."), "de": ("Ja, {}.", "Nein.")},
    "where": {"en": ("{}", "Not visible."), "de": ("{}", "Nicht sichtbar.")},
    "list": {"en": ("{}", "None."), "de": ("{}", "Keine.")},
}
# The classes that the labels of a modality distinguish. If one of these is not labelled in an
# image, the image does not show it.
LABELLED: dict[str, tuple[int, ...]] = {
    "CT": tuple(range(1, 118)),
    "MR": tuple(sorted(classes.MR_TO_ID.values())),
}
# The parts of each whole. A pixel has only one label, of the whole or of a part, so if one of them
# is labelled, the other must not be called absent.
PARTS: dict[int, tuple[int, ...]] = {
    118: (10, 11),  # left lung: lobes
    119: (12, 13, 14),  # right lung: lobes
    121: tuple(range(26, 51)),  # vertebrae: S1 to C1
    25: (26,),  # sacrum: S1
    51: (61,),  # heart: left atrial appendage
    18: (19,),  # small bowel: duodenum
}


@OPS.register("detect_vqa")
def get_detect_vqa(
    n: int = 1,
    lang: str = "both",
    kinds: str = "present,where,list",
    negative: float = 0.3,
    max_list: int = 12,
    min_share: float = 1e-4,
    labelled: Sequence[int] = (),
    rates: Mapping[int, float] | None = None,
) -> Op:
    """Adds questions of the task "detect" to the texts, each in all chosen languages.

    There are three kinds of questions:

    - "present": is a class shown? Half of these questions are about a class that is not shown. The
      answer is "Yes, NAME." or "No.".
    - "where": where is a class? The answer is NAME or "Not visible.".
    - "list": which classes are shown? The answer is their NAMEs, largest first, or "None.".

    The names become marked when `ground` runs. The op must come after the ops that change the image
    and before `prompt`. The question depends only on the image before `augment`, the answer on the
    part of it that is left. An example with neither label map nor boxes gets no questions.

    A class is absent if the labels of the modality distinguish it (for CT and MR, the classes of
    TotalSegmentator), the image does not show it, it is not a part or the whole of a class shown,
    and it is not in the example's `unsure` (classes that may be shown although neither map nor
    boxes mark them). If no class is known to be absent, as for other modalities, "present" is not
    asked and "where" only about classes shown. "list" is not asked if a class is unsure.

    Args:
        n: the number of questions, or fewer if the image does not allow as many.
        lang: "en", "de" or "both".
        kinds: the kinds of questions, joined by commas; each question draws one uniformly.
        negative: the probability that "where" is asked about an absent class.
        max_list: the most names in a list; the classes that are largest before `augment` are kept.
        min_share: a share of the image's area. A class that takes up less of the image is not
            asked about, and it does not count as absent either.
        labelled: the ids of the classes that the dataset labels wherever they are visible, if these
            are not TotalSegmentator's; other classes are not asked about.
        rates: {class id: share of the images that show it}. An absent class is drawn with a weight
            of rate / (1 - rate), so that "yes" is about as frequent as "no" for each single class
            and not only over all classes. Without `rates`, a common class is mostly asked about in
            images that show it. With invented rates that resemble those of slices, a guess from the
            name alone was then right for 74 to 80 % of the questions; with `rates`, it was right
            for 54 to 59 %.

    Raises:
        ValueError: An argument is outside its choices or range.
        KeyError: An id in `labelled` or `rates` is not a class.
    """
    wanted = tuple(k.strip() for k in kinds.split(","))
    langs = prompts.LANGS if lang == "both" else (lang,)
    _check(n, wanted, langs, negative, labelled, rates)
    only = frozenset(labelled)

    def odds_of(class_id: int) -> float:
        rate = 0.5 if rates is None else rates.get(class_id, 0.0)
        return rate / (1 - rate)

    def _detect_vqa(example: Example) -> Example:
        if not shown.any_possible(example):
            return example
        if any("prefix" in t for t in example.get("texts") or ()):
            raise ValueError("detect_vqa: put it before prompt(...), which draws among its texts")
        seen = shown.shares(shown.before(example))
        left = shown.shares(example) if "before" in example else seen
        clear = [c for c, s in seen.items() if s >= min_share and (c in only or not only)]
        clear.sort(key=lambda c: (-seen[c], c))
        unsure = set(example.get("unsure") or ()) - seen.keys()
        labels = only or LABELLED.get(example.get("modality", ""), ())
        gone = _absent(unsure | seen.keys(), labels)
        odds = {c: odds_of(c) for c in gone if odds_of(c) > 0}
        askable = [k for k in wanted if k != "list" or not unsure]
        draw = _Draw(rng_of(example), askable, clear, odds, negative, max_list)
        texts = list(example.get("texts") or ())
        for kind, variant, asked in draw.questions(n):
            texts += [_text(kind, variant, asked, left, language) for language in langs]
        return example | {"texts": texts}

    return _detect_vqa


class _Draw:
    """Draws the questions about one image, each as (kind, number of the wording, classes)."""

    def __init__(
        self,
        rng: np.random.Generator,
        kinds: Sequence[str],
        clear: Sequence[int],
        odds: Mapping[int, float],
        negative: float,
        max_list: int,
    ):
        self._rng, self._clear, self._most = rng, clear, max_list
        self._gone, self._odds = list(odds), np.cumsum(list(odds.values()))
        self._share = {"present": 0.5, "where": negative if odds else 0.0}
        # "Yes" and "no" should be equally frequent, so "present" needs both a shown class and an
        # absent one.
        self._kinds = [k for k in kinds if k != "present" or (clear and odds)]

    def questions(self, n: int) -> list[tuple[str, int, tuple[int, ...]]]:
        found: dict[tuple[str, tuple[int, ...]], int] = {}
        for _ in range(4 * n):  # Some draws repeat a question, others cannot be asked.
            if len(found) == n or not self._kinds:
                break
            kind = self._kinds[int(self._rng.random() * len(self._kinds))]
            variant = int(self._rng.random() * len(QUESTIONS[kind]["en"]))
            asked = self._classes(kind)
            if asked is not None:
                found.setdefault((kind, asked), variant)
        return [(kind, variant, asked) for (kind, asked), variant in found.items()]

    def _classes(self, kind: str) -> tuple[int, ...] | None:
        if kind == "list":
            return tuple(self._clear[: self._most])
        absent = self._rng.random() < self._share[kind]
        place = self._rng.random()
        if absent:
            index = np.searchsorted(self._odds, place * self._odds[-1], side="right")
            return (self._gone[int(index)],)
        return (self._clear[int(place * len(self._clear))],) if self._clear else None


def _text(
    kind: str, variant: int, asked: Sequence[int], left: Mapping[int, float], lang: str
) -> Text:
    """Writes a question and its answer.

    Args:
        kind: one of KINDS.
        variant: the number of the wording.
        asked: the class asked about, or all classes of a list.
        left: the classes that the image still shows after `augment`.
        lang: "en" or "de".
    """
    name = {c: getattr(classes.by_id(c), lang) for c in asked}
    named = [name[c] for c in asked if c in left]
    yes, no = ANSWERS[kind][lang]
    question = QUESTIONS[kind][lang][variant]
    return {
        "task": "detect",
        "lang": lang,
        "question": question if kind == "list" else question.format(name[asked[0]]),
        "answer": yes.format(", ".join(named)) if named else no,
        # The answer if `augment` loses the classes. `tok` reckons with its length.
        "answer_unseen": no,
        "keywords": [[name[c], c] for c in asked if c in left],
        "question_type": "yesno" if kind == "present" else "open",
        "template": f"detect.{kind}.{variant}",
    }


def _absent(seen: Iterable[int], labelled: Iterable[int]) -> list[int]:
    """Returns the labelled classes that are not in an image that shows the classes `seen`."""
    seen = set(seen)
    kin = set(seen)
    for whole, parts in PARTS.items():
        if whole in seen:
            kin.update(parts)
        elif seen.intersection(parts):
            kin.add(whole)
    return [c for c in sorted(labelled) if c not in kin]


def _check(
    n: int,
    kinds: Sequence[str],
    langs: Sequence[str],
    negative: float,
    labelled: Sequence[int],
    rates: Mapping[int, float] | None,
) -> None:
    if n < 1 or not set(kinds) <= set(KINDS) or not set(langs) <= set(prompts.LANGS):
        raise ValueError(
            f"detect_vqa: n={n!r}, kinds={','.join(kinds)!r}, lang={langs}: n is 1 or more, kinds "
            f"are {KINDS}, languages {prompts.LANGS} or 'both'"
        )
    if not 0 <= negative <= 1:
        raise ValueError(f"detect_vqa: negative={negative!r} must lie in 0..1")
    for class_id in (*labelled, *(rates or ())):
        classes.by_id(class_id)
    if any(not 0 <= rate < 1 for rate in (rates or {}).values()):
        raise ValueError("detect_vqa: rates must lie in 0..1, below 1")
