"""Writes report sentences about a slice in English and German, with their grounded phrases.

A sentence follows from the image and from the clinical information or the question (one of the two
is enough), because every wording of a question has its own wording of the answer. An organ that a
sentence names only to say that it is absent is never among the keywords.
"""

import re
from collections.abc import Sequence

import numpy as np

from big_rad.datasets.phantom.body.slices import Facts, SeenLesion
from big_rad.datasets.phantom.words import lexicon
from big_rad.datasets.phantom.words.lexicon import Organ
from big_rad.pp.example import Text

LANGS: tuple[str, ...] = ("en", "de")
# The share of the slices with a lesion that get a text which looks for lesions without naming an
# organ. Such a text is hard to predict.
SEARCH_SHARE = 0.35

# (clinical, question, normal, with lesion, not shown); {0} is the organ, {d} the lesion's density,
# and {D} the same with its first letter in upper case.
STATUS: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Follow-up of the {0.en}.", "{0.En} normal?", "The {0.en} appears normal.",
         "There is a {d} lesion in the {0.en}.", "The {0.en} is not shown."),
        ("Assessment of the {0.en}.", "Findings in the {0.en}?",
         "Unremarkable appearance of the {0.en}.", "{D} lesion in the {0.en}.",
         "The {0.en} cannot be seen in this slice."),
        ("Known disease of the {0.en}.", "State of the {0.en}?",
         "The {0.en} is shown without a focal lesion.", "The {0.en} contains a {d} lesion.",
         "No {0.en} in this slice."),
        ("Suspected lesion of the {0.en}.", "Lesion in the {0.en}?",
         "The {0.en} shows no focal lesion.", "The {0.en} shows a {d} lesion.",
         "The {0.en} lies outside this slice."),
        ("Pain in the region of the {0.en}.", "How does the {0.en} look?",
         "Normal {0.en}.", "Focal {d} lesion within the {0.en}.", "The {0.en} is not visible."),
        ("Screening of the {0.en}.", "Please evaluate the {0.en}.",
         "The {0.en} is inconspicuous.", "A {d} lesion is seen in the {0.en}.",
         "This slice does not include the {0.en}."),
    ),
    "de": (
        ("Verlaufskontrolle: {0.bare}.", "{0.Bare} normal?", "{0.Nom} ist normal dargestellt.",
         "Es findet sich eine {d} Läsion {0.into}.", "{0.Nom} ist nicht dargestellt."),
        ("Beurteilung: {0.bare}.", "Befund {0.into}?",
         "Unauffällige Darstellung: {0.bare}.", "{D} Läsion {0.into}.",
         "{0.Nom} ist in dieser Schicht nicht zu sehen."),
        ("Bekannte Erkrankung: {0.bare}.", "Zustand: {0.bare}?",
         "{0.Nom} ist ohne fokale Läsion dargestellt.", "{0.Nom} enthält eine {d} Läsion.",
         "In dieser Schicht {0.none}."),
        ("Verdacht auf Läsion {0.into}.", "Läsion {0.into}?",
         "{0.Nom} zeigt keine fokale Läsion.", "{0.Nom} zeigt eine {d} Läsion.",
         "{0.Nom} liegt außerhalb dieser Schicht."),
        ("Schmerzen im Bereich: {0.bare}.", "Wie stellt sich {0.nom} dar?",
         "{0.Bare} regelrecht.", "Fokale {d} Läsion {0.into}.", "{0.Nom} ist nicht sichtbar."),
        ("Vorsorge: {0.bare}.", "Bitte {0.acc} beurteilen.",
         "{0.Nom} ist unauffällig.", "Eine {d} Läsion ist {0.into} zu sehen.",
         "Diese Schicht erfasst {0.acc} nicht."),
    ),
}  # fmt: skip

# (clinical, question, both shown, only {0} shown, only {1} shown, neither)
PAIR: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Assessment of {0.en} and {1.en}.", "{0.En} and {1.en} shown?",
         "The {0.en} and the {1.en} are shown.",
         "The {0.en} is shown, the {1.en} is not.", "The {1.en} is shown, the {0.en} is not.",
         "Neither the {0.en} nor the {1.en} is shown."),
        ("Position of {0.en} and {1.en}.", "Are the {0.en} and the {1.en} in this slice?",
         "This slice includes the {0.en} and the {1.en}.",
         "This slice includes the {0.en} but not the {1.en}.",
         "This slice includes the {1.en} but not the {0.en}.",
         "This slice includes neither the {0.en} nor the {1.en}."),
        ("Follow-up of {0.en} and {1.en}.", "Visibility of {0.en} and {1.en}?",
         "Visible are the {0.en} and the {1.en}.", "Visible is the {0.en}, no {1.en}.",
         "Visible is the {1.en}, no {0.en}.", "No {0.en}, no {1.en}."),
    ),
    "de": (
        ("Beurteilung von {0.dat} und {1.dat}.", "{0.Bare} und {1.bare} dargestellt?",
         "{0.Nom} und {1.nom} sind dargestellt.",
         "{0.Nom} ist dargestellt, {1.nom} nicht.", "{1.Nom} ist dargestellt, {0.nom} nicht.",
         "Weder {0.nom} noch {1.nom} ist dargestellt."),
        ("Lage von {0.dat} und {1.dat}.", "Sind {0.nom} und {1.nom} in dieser Schicht?",
         "Diese Schicht erfasst {0.acc} und {1.acc}.",
         "Diese Schicht erfasst {0.acc}, aber nicht {1.acc}.",
         "Diese Schicht erfasst {1.acc}, aber nicht {0.acc}.",
         "Diese Schicht erfasst weder {0.acc} noch {1.acc}."),
        ("Kontrolle von {0.dat} und {1.dat}.", "Sichtbarkeit: {0.bare} und {1.bare}?",
         "Sichtbar sind {0.nom} und {1.nom}.", "Sichtbar ist {0.nom}, {1.none}.",
         "Sichtbar ist {1.nom}, {0.none}.", "{0.None_}, {1.none}."),
    ),
}  # fmt: skip

# (clinical, question, start of the answer, end of the answer, answer if no organ is shown)
LARGEST: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Overview of the organs.", "Which organs are largest here?", "The largest organs here are",
         ".", "No organ is shown."),
        ("Orientation.", "What does this slice mainly show?", "This slice mainly shows", ".",
         "This slice shows no organ."),
        ("Description of the level.", "Main organs?", "Main organs:", ".", "Main organs: none."),
    ),
    "de": (
        ("Übersicht der Organe.", "Welche Organe sind hier am größten?",
         "Die größten Organe sind hier", ".", "Kein Organ ist dargestellt."),
        ("Orientierung.", "Was zeigt diese Schicht vor allem?", "Diese Schicht zeigt vor allem",
         ".", "Diese Schicht zeigt kein Organ."),
        ("Beschreibung der Höhe.", "Wichtigste Organe?", "Wichtigste Organe:", ".",
         "Wichtigste Organe: keine."),
    ),
}  # fmt: skip

# (clinical, question, answer for one lesion, answer for two lesions, answer without a lesion)
SEARCH: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Known tumour, search for metastases.", "Focal lesion?", "{D} lesion in the {0.en}.",
         "{D} lesion in the {0.en}, {e} lesion in the {1.en}.", "No focal lesion."),
        ("Fever of unknown origin.", "Where is a lesion?",
         "A {d} lesion is found in the {0.en}.",
         "A {d} lesion is found in the {0.en} and a {e} one in the {1.en}.",
         "No lesion is found."),
        ("Weight loss.", "Tumour?", "The {0.en} contains a {d} mass.",
         "The {0.en} contains a {d} mass, the {1.en} a {e} one.", "There is no mass."),
        ("Staging.", "Size of the lesion?", "{S} lesion in the {0.en}.",
         "{S} lesion in the {0.en}, {t} lesion in the {1.en}.", "There is no lesion."),
    ),
    "de": (
        ("Bekannter Tumor, Suche nach Metastasen.", "Fokale Läsion?", "{D} Läsion {0.into}.",
         "{D} Läsion {0.into}, {e} Läsion {1.into}.", "Keine fokale Läsion."),
        ("Fieber unklarer Ursache.", "Wo ist eine Läsion?",
         "Eine {d} Läsion findet sich {0.into}.",
         "Eine {d} Läsion findet sich {0.into} und eine {e} {1.into}.",
         "Es findet sich keine Läsion."),
        ("Gewichtsverlust.", "Tumor?", "{0.Nom} enthält eine {d} Raumforderung.",
         "{0.Nom} enthält eine {d} Raumforderung, {1.nom} eine {e}.",
         "Es gibt keine Raumforderung."),
        ("Staging.", "Größe der Läsion?", "{S} Läsion {0.into}.",
         "{S} Läsion {0.into}, {t} Läsion {1.into}.", "Es gibt keine Läsion."),
    ),
}  # fmt: skip

SIZES = {"en": {"large": "large", "small": "small"}, "de": {"large": "große", "small": "kleine"}}


def density(lesion: SeenLesion, modality: str) -> str:
    """Returns "hypodense", "hyperintense" and so on; the German feminine has the same spelling."""
    return ("hyper" if lesion.bright else "hypo") + ("dense" if modality == "CT" else "intense")


def keywords(sentence: str, organs: Sequence[Organ], lang: str) -> list[list]:
    """Returns [[phrase as it occurs, class id], ...] for organs that a sentence names.

    Raises:
        ValueError: The name of an organ does not occur as a whole word.
    """
    found = []
    for organ in organs:
        for form in sorted(organ.forms(lang), key=len, reverse=True):
            if re.search(rf"(?<!\w){re.escape(form)}(?!\w)", sentence):
                found.append([form, organ.label])
                break
        else:
            raise ValueError(f"{sentence!r} does not name class {organ.label}")
    return found


def reports(facts: Facts, rng: np.random.Generator, spoken: Sequence[int]) -> list[Text]:
    """Writes the report texts of one slice.

    Args:
        facts: the facts that the slice shows.
        rng: the generator that chooses subjects and wordings.
        spoken: the class ids that texts may name.

    Returns:
        the texts, with fields as in `pp.example.Text`. The German text of a statement follows the
        English one.
    """
    out = []
    for organ in _subjects(facts, rng, count=2):
        out += _status(facts, organ, rng)
    roll = rng.random()
    if roll < 0.55:
        out += _pair(facts, rng, spoken)
    else:
        out += _largest(facts, int(rng.integers(len(LARGEST["en"]))))
    if rng.random() < SEARCH_SHARE * (1.0 if facts.lesions else 0.4):
        out += _search(facts, int(rng.integers(len(SEARCH["en"]))))
    return out


def listing(items: Sequence[str], lang: str) -> str:
    """Joins names in the way of "a, b and c"."""
    word = "and" if lang == "en" else "und"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"


def make_report(
    lang: str,
    template: str,
    clinical: str,
    question: str,
    sentence: str,
    organs: Sequence[Organ],
) -> Text:
    """Returns one report text."""
    return {
        "task": "report", "lang": lang, "sentence": sentence, "clinical": clinical,
        "question": question, "keywords": keywords(sentence, organs, lang), "template": template,
    }  # fmt: skip


def pick(label: int, rng: np.random.Generator) -> Organ:
    """Returns a class with one of its names, drawn at random."""
    return lexicon.organ(label, int(rng.integers(lexicon.variants(label))))


def _subjects(facts: Facts, rng: np.random.Generator, count: int) -> list[Organ]:
    """Draws the organs to report on.

    An organ with a lesion, or on which the slice is centred, is three times as likely as another.
    Each organ is replaced by an absent one with a probability of 10 %.
    """
    judged = list(facts.judged)
    sick = {lesion.host for lesion in facts.lesions}
    weight = np.array([3.0 if c in sick or c == facts.focus else 1.0 for c in judged])
    chosen = []
    if judged:
        n = min(count, len(judged))
        chosen = list(rng.choice(judged, n, replace=False, p=weight / weight.sum()))
    for i in range(count):
        if facts.absent and rng.random() < 0.1:
            chosen[i : i + 1] = [rng.choice(facts.absent)]
    return [pick(int(c), rng) for c in dict.fromkeys(chosen)]


def _status(facts: Facts, organ: Organ, rng: np.random.Generator) -> list[Text]:
    variant = int(rng.integers(len(STATUS["en"])))
    lesion = next((s for s in facts.lesions if s.host == organ.label), None)
    here = organ.label in facts.shown
    which = 4 if not here else 3 if lesion else 2
    word = density(lesion, facts.modality) if lesion else ""
    out = []
    for lang in LANGS:
        row = STATUS[lang][variant]
        clinical, question, sentence = (
            t.format(organ, d=word, D=word.capitalize()) for t in (row[0], row[1], row[which])
        )
        name = f"status.{variant}.{('normal', 'lesion', 'absent')[which - 2]}"
        out.append(make_report(lang, name, clinical, question, sentence, [organ] if here else []))
    return out


def _pair(facts: Facts, rng: np.random.Generator, spoken: Sequence[int]) -> list[Text]:
    """Writes about two organs: a left-right pair, or any two of which at least one is shown."""
    pairs = [
        p
        for p in lexicon.PAIRS
        if p[0] in spoken
        and (p[0] in facts.shown or p[1] in facts.shown)
        and all(c in facts.shown or c in facts.absent for c in p)
    ]
    if pairs and rng.random() < 0.5:
        labels = list(pairs[int(rng.integers(len(pairs)))])
    else:
        shown = list(facts.shown)
        if not shown:
            return []
        labels = list(rng.choice(shown, min(2, len(shown)), replace=False))
        if len(labels) < 2 or rng.random() < 0.15:
            if not facts.absent:
                return []
            labels = [labels[0], rng.choice(facts.absent)]
    if rng.random() < 0.5:
        labels = labels[::-1]
    organs = [pick(int(c), rng) for c in labels]
    here = [o.label in facts.shown for o in organs]
    which = {(True, True): 2, (True, False): 3, (False, True): 4, (False, False): 5}[tuple(here)]
    variant = int(rng.integers(len(PAIR["en"])))
    out = []
    for lang in LANGS:
        row = PAIR[lang][variant]
        clinical, question, sentence = (t.format(*organs) for t in (row[0], row[1], row[which]))
        grounded = [o for o, h in zip(organs, here) if h]
        out.append(
            make_report(lang, f"pair.{variant}.{which}", clinical, question, sentence, grounded)
        )
    return out


def largest(facts: Facts) -> list[int] | None:
    """Returns the one to three largest organs, or None if their sizes are too similar to order."""
    items = list(facts.shown.items())
    count = min(3, len(items))
    for n in range(count, 0, -1):
        sizes = [s for _, s in items[: n + 1]]
        if all(a > 1.2 * b for a, b in zip(sizes, sizes[1:])):
            return [c for c, _ in items[:n]]
    return None if items else []


def largest_text(lang: str, variant: int, organs: Sequence[Organ]) -> list[str]:
    """Returns the clinical information, question and sentence of a template of LARGEST."""
    clinical, question, start, end, nothing = LARGEST[lang][variant]
    if not organs:
        return [clinical, question, nothing]
    if lang == "en":
        names = [f"the {o.en}" for o in organs]
    else:
        names = [o.acc if variant == 1 else o.nom for o in organs]
    sentence = f"{start} {listing(names, lang)}{end}"
    return [clinical, question, sentence if len(organs) > 1 else _singular(sentence)]


def _largest(facts: Facts, variant: int) -> list[Text]:
    labels = largest(facts)
    if labels is None:
        return []
    organs = [lexicon.organ(c) for c in labels]
    out = []
    for lang in LANGS:
        clinical, question, sentence = largest_text(lang, variant, organs)
        name = f"largest.{variant}.{len(organs)}"
        out.append(make_report(lang, name, clinical, question, sentence, organs))
    return out


def _singular(sentence: str) -> str:
    swaps = {
        "The largest organs here are": "The largest organ here is",
        "Die größten Organe sind hier": "Am größten ist hier",
        "Main organs:": "Main organ:",
        "Wichtigste Organe:": "Wichtigstes Organ:",
    }
    for many, one in swaps.items():
        sentence = sentence.replace(many, one)
    return sentence


def _search(facts: Facts, variant: int) -> list[Text]:
    lesions = facts.lesions
    sized = variant == 3
    if len(lesions) > 2 or facts.vague or (sized and any(not s.size for s in lesions)):
        return []
    if len({s.host for s in lesions}) < len(lesions):
        return []
    organs = [lexicon.organ(s.host) for s in lesions]
    words = [density(s, facts.modality) for s in lesions] + ["", ""]
    which = {1: 2, 2: 3, 0: 4}[len(lesions)]
    out = []
    for lang in LANGS:
        sizes = [SIZES[lang].get(s.size, "") for s in lesions] + ["", ""]
        row = SEARCH[lang][variant]
        sentence = row[which].format(
            *organs, d=words[0], D=words[0].capitalize(), e=words[1],
            S=sizes[0].capitalize(), t=sizes[1],
        )  # fmt: skip
        name = f"search.{variant}.{len(lesions)}"
        out.append(make_report(lang, name, row[0], row[1], sentence, organs))
    return out
