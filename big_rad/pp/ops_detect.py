"""The op that asks where things are: template questions on presence, position and lists.

Answers come from the label map or the boxes; `ground` puts the boxes into them. Templates are made
so that a class's name fits in as it is: none needs an article, a number or an ending that depends
on the name. Knows nothing of tokens.
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
# What is answered if the class asked for, or any class, is (shown, not shown).
ANSWERS = {
    "present": {"en": ("Yes, {}.", "No."), "de": ("Ja, {}.", "Nein.")},
    "where": {"en": ("{}", "Not visible."), "de": ("{}", "Nicht sichtbar.")},
    "list": {"en": ("{}", "None."), "de": ("{}", "Keine.")},
}
# Classes that a modality's labels distinguish; what is missing there is not in the image.
LABELLED: dict[str, tuple[int, ...]] = {
    "CT": tuple(range(1, 118)),
    "MR": tuple(sorted(classes.MR_TO_ID.values())),
}
# Whole -> parts. Labels name either; where one of them is shown, the other is not absent.
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
    """Adds questions of task "detect" to the texts, each in all languages asked for.

    - "present": half of them about a class that is not shown. Answer "Yes, NAME." or "No.".
    - "where": answer NAME or "Not visible.".
    - "list": answer the NAMEs of all classes shown, largest first, or "None.".

    Names are marked by `ground` where it is asked to. Goes before `prompt`, after the ops that
    change the image. What is asked depends on the image before `augment` alone, the answer on what
    is left of it. Nothing is added to an example with neither label map nor boxes.

    Absent classes are those that the labels distinguish (of CT and MR: TotalSegmentator's) and that
    are neither shown, nor part or whole of what is shown, nor in the example's `unsure`: ids of
    classes that may be shown though neither map nor boxes mark them. Where there are none, as for
    other modalities, whatever needs one is not asked; nor is a list where one is unsure.

    Args:
        n: how many questions, fewer if the image does not give so many.
        lang: "en", "de" or "both".
        kinds: which, joined by commas; one is drawn uniformly for each question.
        negative: how often "where" is asked about an absent class.
        max_list: the most names in a list: the largest of the image before `augment`.
        min_share: a class that takes up less of the image is neither asked about nor absent.
        labelled: ids of the classes that a dataset labels wherever they are visible, if it is not
            TotalSegmentator's; no others are asked about.
        rates: {class id: share of the images that show it}. Absent classes are drawn with odds
            rate / (1 - rate), so that yes is about as frequent as no for each class, not only over
            all. Without, common classes are mostly asked about where they are shown: with made-up
            rates like those of slices, the names alone then gave 74 to 80 % of the answers, and
            54 to 59 % with them.
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
    """Draws what is asked about one image: (kind, which wording, classes)."""

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
        # Yes and no are to be equally frequent, so both must be possible.
        self._kinds = [k for k in kinds if k != "present" or (clear and odds)]

    def questions(self, n: int) -> list[tuple[str, int, tuple[int, ...]]]:
        found: dict[tuple[str, tuple[int, ...]], int] = {}
        for _ in range(4 * n):  # Some are drawn twice, some cannot be asked.
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
        kind: of KINDS.
        variant: which wording.
        asked: the class, or all that are to be listed.
        left: classes that the image still shows.
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
        "answer_unseen": no,  # If `augment` loses the classes; `tok` allows for its length.
        "keywords": [[name[c], c] for c in asked if c in left],
        "question_type": "yesno" if kind == "present" else "open",
        "template": f"detect.{kind}.{variant}",
    }


def _absent(seen: Iterable[int], labelled: Iterable[int]) -> list[int]:
    """Returns the labelled classes that cannot be in an image that shows those seen."""
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
