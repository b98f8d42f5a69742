"""Writes questions about a slice, for question answering and detection, in English and German.

Yes/no questions are balanced by construction. A proposition such as "the liver is shown" is asked
about with a probability that makes "yes" and "no" equally frequent over the dataset, so the wording
of a question does not give its answer away. Let r be the share of slices for which a proposition is
true. We thin out the more frequent answer: a true proposition is asked about with a probability
proportional to min(1, (1 - r) / r), and a false one with a probability proportional to
min(1, r / (1 - r)). Both answers then occur in a share proportional to min(r, 1 - r) of the slices.
`TRUE_RATES` holds r as `rates` measured it.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from big_rad.datasets.phantom.body.anatomy import LESION_HOSTS, REGIONS
from big_rad.datasets.phantom.body.slices import Facts
from big_rad.datasets.phantom.words import lexicon
from big_rad.datasets.phantom.words.lexicon import Organ
from big_rad.datasets.phantom.words.text import LANGS, density, keywords, largest, listing, pick
from big_rad.pp.example import Text

YESNO: dict[str, dict[str, tuple[str, ...]]] = {
    "shown": {
        "en": ("Is the {0.en} shown?", "Is the {0.en} visible in this slice?"),
        "de": ("Ist {0.nom} dargestellt?", "Ist {0.nom} in dieser Schicht zu sehen?"),
    },
    "lesion": {
        "en": ("Is there a lesion in the {0.en}?", "Does the {0.en} contain a lesion?"),
        "de": ("Gibt es eine Läsion {0.into}?", "Enthält {0.nom} eine Läsion?"),
    },
    "any": {
        "en": ("Is a focal lesion visible?", "Does this slice show a lesion?"),
        "de": ("Ist eine fokale Läsion sichtbar?", "Zeigt diese Schicht eine Läsion?"),
    },
    "bright": {
        "en": ("Is the lesion in the {0.en} {w}?",),
        "de": ("Ist die Läsion {0.into} {w}?",),
    },
    "modality": {
        "en": ("Is this a {w} image?", "Was this slice taken by {w}?"),
        "de": ("Ist dies ein {w}-Bild?", "Wurde diese Schicht mit {w} aufgenommen?"),
    },
    "plane": {
        "en": ("Is this slice {w}?", "Is the plane {w}?"),
        "de": ("Ist diese Schicht {w}?", "Ist die Ebene {w}?"),
    },
    "region": {
        "en": ("Does this study cover the {w}?", "Is this a study of the {w}?"),
        "de": ("Erfasst diese Untersuchung die Region {w}?", "Ist die untersuchte Region {w}?"),
    },
}
# Questions with a short answer. Some of them offer choices; "which" and "side" always do.
OPEN: dict[str, dict[str, tuple[str, ...]]] = {
    "modality": {
        "en": ("Which modality is this?", "How was this image taken?"),
        "de": ("Welche Modalität ist das?", "Wie wurde dieses Bild aufgenommen?"),
    },
    "plane": {
        "en": ("Which plane is shown?", "In which plane is this slice?"),
        "de": ("Welche Ebene ist dargestellt?", "In welcher Ebene liegt diese Schicht?"),
    },
    "region": {
        "en": ("Which body part is shown?", "Which region was examined?"),
        "de": ("Welche Körperregion ist dargestellt?", "Welche Region wurde untersucht?"),
    },
    "largest": {
        "en": ("What is the largest organ shown?", "Which organ takes up most of the slice?"),
        "de": ("Welches Organ ist hier am größten?", "Welches Organ füllt die Schicht am meisten?"),
    },
    "host": {
        "en": ("Which organ contains the lesion?", "Where is the lesion?"),
        "de": ("Welches Organ enthält die Läsion?", "Wo liegt die Läsion?"),
    },
    "density": {
        "en": ("How does the lesion in the {0.en} appear?",),
        "de": ("Wie erscheint die Läsion {0.into}?",),
    },
    "which": {
        "en": ("Which of these organs is shown?",),
        "de": ("Welches dieser Organe ist dargestellt?",),
    },
    "side": {
        "en": ("On which side is the lesion?",),
        "de": ("Auf welcher Seite liegt die Läsion?",),
    },
}  # fmt: skip
DETECT: dict[str, tuple[str, ...]] = {
    "en": ("Where is {the}?", "Detect: {bare}.", "Locate {the}.", "Show the position of {the}."),
    "de": ("Wo liegt {nom}?", "Detektiere: {bare}.", "Lokalisiere {acc}.",
           "Zeige die Lage: {bare}."),
}  # fmt: skip
NO_YES = {"en": ("no", "yes"), "de": ("nein", "ja")}
MODALITY = {"en": {"CT": "CT", "MR": "MRI"}, "de": {"CT": "CT", "MR": "MRT"}}
PLANE = {
    "en": {"axial": "axial", "coronal": "coronal", "sagittal": "sagittal"},
    "de": {"axial": "axial", "coronal": "koronar", "sagittal": "sagittal"},
}
REGION = {
    "en": {"chest": "chest", "abdomen": "abdomen", "pelvis": "pelvis", "head": "head"},
    "de": {"chest": "Thorax", "abdomen": "Abdomen", "pelvis": "Becken", "head": "Kopf"},
}
SIDES = {"en": {"left": "left", "right": "right"}, "de": {"left": "links", "right": "rechts"}}
_METADATA = ("modality", "plane", "region")
# For each kind, a factor on the probability, so that not every balanced proposition is asked.
_ASK = {"shown": 0.32, "lesion": 0.7, "any": 0.2, "bright": 0.4, "modality": 0.12, "plane": 0.4,
        "region": 0.1}  # fmt: skip
_RATES_FILE = Path(__file__).with_name("rates.json")
TRUE_RATES: dict[str, float] = json.loads(_RATES_FILE.read_text()) if _RATES_FILE.exists() else {}


def propositions(facts: Facts) -> list[tuple[str, int | str, bool]]:
    """Returns (kind, subject, truth) of every proposition that a yes/no question may be about."""
    out = [("shown", c, True) for c in facts.shown]
    out += [("shown", c, False) for c in facts.absent]
    if facts.focus in LESION_HOSTS and facts.focus in facts.judged:
        out.append(("lesion", facts.focus, facts.focus not in facts.intact))
    if not facts.vague:
        out.append(("any", "", bool(facts.lesions)))
    out += [("bright", s.host, s.bright) for s in facts.lesions if _bright_or_dark(s.host)]
    out += [("modality", m, m == facts.modality) for m in ("CT", "MR")]
    out += [("plane", p, p == facts.plane) for p in PLANE["en"]]
    out += [("region", r, r == facts.region) for r in REGIONS]
    return out


def vqa(facts: Facts, rng: np.random.Generator) -> list[Text]:
    """Writes the question-answer texts of one slice; each German text follows the English one."""
    out = []
    for kind, subject, truth in propositions(facts):
        rate = TRUE_RATES.get(f"{kind}/{subject}", 0.5)
        keep = (1 - rate) / rate if truth else rate / (1 - rate)
        if rng.random() < _ASK[kind] * min(1.0, keep):
            out += _yesno(facts, kind, subject, truth, rng)
    out += _open(facts, rng)
    out += _which(facts, rng)
    return out


def detect(facts: Facts, rng: np.random.Generator, pairs: int = 2) -> list[Text]:
    """Writes the detection texts of one slice.

    A text names up to three organs that are shown. Each organ is replaced by an absent one with
    probability 0.1, if there are absent ones. If no organ is shown, the text names one absent
    organ.

    Args:
        facts: the facts of the slice.
        rng: the generator that draws the organs and the wording.
        pairs: the number of draws; each gives an English text and then the same text in German.
    """
    out = []
    for _ in range(pairs):
        class_ids = list(rng.permutation(list(facts.shown)))[
            : int(rng.choice([1, 2, 3], p=[0.45, 0.3, 0.25]))
        ]
        if facts.absent:
            class_ids = [rng.choice(facts.absent) if rng.random() < 0.1 else c for c in class_ids]
            class_ids = class_ids or [rng.choice(facts.absent)]
        organs = [pick(int(c), rng) for c in dict.fromkeys(class_ids)]
        if organs:
            out += make_detect(organs, facts, int(rng.integers(len(DETECT["en"]))))
    return out


def make_detect(organs: Sequence[Organ], facts: Facts, variant: int) -> list[Text]:
    """Returns the English and the German detection text for given organs."""
    out = []
    here = [o.label in facts.shown for o in organs]
    for lang in LANGS:
        question = DETECT[lang][variant]
        if lang == "en":
            bare = [o.en for o in organs]
            parts = {"the": listing([f"the {b}" for b in bare], lang), "bare": ", ".join(bare)}
            if variant == 0 and len(organs) > 1:
                question = question.replace("is", "are")
            items = [o.en if h else f"no {o.en}" for o, h in zip(organs, here)]
        else:
            parts = {
                "nom": listing([o.nom for o in organs], lang),
                "acc": listing([o.acc for o in organs], lang),
                "bare": ", ".join(o.bare for o in organs),
            }
            if variant == 0 and len(organs) > 1:
                question = question.replace("liegt", "liegen")
            items = [o.bare if h else o.none for o, h in zip(organs, here)]
        answer = "; ".join(items)
        out.append({
            "task": "detect", "lang": lang, "question": question.format(**parts),
            "answer": answer,
            "keywords": keywords(answer, [o for o, h in zip(organs, here) if h], lang),
            "template": f"detect.{variant}",
        })  # fmt: skip
    return out


def make_vqa(
    lang: str,
    template: str,
    question: str,
    answer: str,
    question_type: str,
    choices: Sequence[str] = (),
) -> Text:
    """Returns one question-answer text.

    Args:
        lang: "en" or "de".
        template: the id of the wording, "<question type>.<kind>.<variant>", such as
            "yesno.plane.0". Its kind decides the field `source` of the text: "metadata" for
            modality, plane and region, and "finding" for all others.
        question: the question.
        answer: the answer.
        question_type: "yesno", "open" or "multiple".
        choices: the possible answers of a question of the type "multiple".
    """
    source = "metadata" if template.split(".")[1] in _METADATA else "finding"
    return {
        "task": "vqa", "lang": lang, "question": question, "answer": answer,
        "question_type": question_type, "choices": list(choices), "source": source,
        "template": template,
    }  # fmt: skip


def subject_words(kind: str, subject: int | str, modality: str, lang: str) -> str:
    """Returns the words for the placeholder {w} of a yes/no question."""
    if kind == "bright":
        word = "hyperdense" if modality == "CT" else "hyperintense"
        return word if lang == "en" else word.removesuffix("e")
    return {"modality": MODALITY, "plane": PLANE, "region": REGION}[kind][lang][subject]


def _bright_or_dark(host: int) -> bool:
    """Returns whether an organ's lesions may be bright or dark; the lungs' are always bright."""
    return host in LESION_HOSTS and LESION_HOSTS[host][1] != "lung"


def _yesno(
    facts: Facts,
    kind: str,
    subject: int | str,
    truth: bool,
    rng: np.random.Generator,
) -> list[Text]:
    variant = int(rng.integers(len(YESNO[kind]["en"])))
    organs = [pick(subject, rng)] if isinstance(subject, int) else []
    out = []
    for lang in LANGS:
        question = YESNO[kind][lang][variant]
        word = ""
        if "{w}" in question:
            word = subject_words(kind, subject, facts.modality, lang)
        question = question.format(*organs, w=word)
        out.append(
            make_vqa(lang, f"yesno.{kind}.{variant}", question, NO_YES[lang][int(truth)], "yesno")
        )
    return out


def _open(facts: Facts, rng: np.random.Generator) -> list[Text]:
    """Writes one or two questions with a short answer; some of them offer choices."""
    kinds = list(_METADATA)
    largest_organs = largest(facts)
    if largest_organs:
        kinds += ["largest", "largest"]
    organs: list[Organ] = []
    only_lesion = facts.lesions[0] if len(facts.lesions) == 1 and not facts.vague else None
    if only_lesion:
        kinds += ["host", "host", "density", "density"]
        organs = [lexicon.organ(only_lesion.host)]
        if only_lesion.host in lexicon.SIDE:
            kinds += ["side", "side"]
    out = []
    for kind in dict.fromkeys(rng.choice(kinds, 2)):
        variant = int(rng.integers(len(OPEN[kind]["en"])))
        offer_choices = rng.random() < 0.4 or kind == "side"
        order = rng.permutation(12)
        for lang in LANGS:
            choices: list[str] = []
            if kind in _METADATA:
                table = {"modality": MODALITY, "plane": PLANE, "region": REGION}[kind][lang]
                answer, choices = table[getattr(facts, kind)], list(table.values())
            elif kind == "side":
                answer = SIDES[lang][lexicon.SIDE[only_lesion.host]]
                choices = list(SIDES[lang].values())
            elif kind == "density":
                opposite = dataclasses.replace(only_lesion, bright=not only_lesion.bright)
                words = [density(lesion, facts.modality) for lesion in (only_lesion, opposite)]
                choices = [w if lang == "en" else w.removesuffix("e") for w in words]
                answer = choices[0]
            else:
                host_or_largest = largest_organs[0] if kind == "largest" else only_lesion.host
                organ = lexicon.organ(host_or_largest)
                answer = organ.en if lang == "en" else organ.bare
            if not (offer_choices and choices):
                choices = []
            choices = [choices[i] for i in order if i < len(choices)]
            question = OPEN[kind][lang][variant].format(*organs)
            question_type = "multiple" if choices else "open"
            template = f"{question_type}.{kind}.{variant}"
            out.append(make_vqa(lang, template, question, answer, question_type, choices))
    return out


def _which(facts: Facts, rng: np.random.Generator) -> list[Text]:
    """Writes a question that offers four organs, one of which is shown; or no question."""
    if not facts.shown or len(facts.absent) < 3 or rng.random() < 0.4:
        return []
    right = int(rng.choice(list(facts.shown)))
    class_ids = [right, *rng.choice(facts.absent, 3, replace=False)]
    class_ids = [int(class_ids[i]) for i in rng.permutation(4)]
    out = []
    for lang in LANGS:
        organs = {c: lexicon.organ(c) for c in class_ids}
        names = {c: o.en if lang == "en" else o.bare for c, o in organs.items()}
        question = OPEN["which"][lang][0]
        out.append(make_vqa(lang, "multiple.which.0", question, names[right], "multiple",
                            [names[c] for c in class_ids]))  # fmt: skip
    return out
