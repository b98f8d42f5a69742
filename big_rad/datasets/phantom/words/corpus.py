"""The corpus on which a tokenizer is trained: every wording of the phantom's texts at least once.

The corpus is always the same, has both languages, and names all organs of `lexicon.SPOKEN`.
"""

import itertools

from big_rad.datasets.phantom.body.slices import Facts, SeenLesion
from big_rad.datasets.phantom.words import lexicon, questions, text


def lines() -> list[str]:
    """Returns the questions, clinical information, sentences and answers, each as one string."""
    organs = [
        lexicon.organ(c, v) for c in lexicon.SPOKEN for v in range(lexicon.variants(c))
    ]  # Each organ is listed under each of its names.
    partners = organs[7:] + organs[:7]
    out: list[str] = []
    for lang in text.LANGS:
        for (i, a), b in zip(enumerate(organs), partners):
            out += _reports(lang, i, a, b) + _questions(lang, i, a, b)
        out += _fixed(lang)
    return out


def _reports(lang: str, i: int, a: lexicon.Organ, b: lexicon.Organ) -> list[str]:
    words = [
        text.density(SeenLesion(0, bright, ""), m)
        for bright, m in itertools.product((True, False), ("CT", "MR"))
    ]
    d, e = words[i % 4], words[(i + 1) % 4]
    sizes = list(text.SIZES[lang].values())
    fields = {"d": d, "D": d.capitalize(), "e": e, "S": sizes[i % 2].capitalize(), "t": sizes[1]}
    out = [t.format(a, **fields) for row in text.STATUS[lang] for t in row]
    out += [t.format(a, b) for row in text.PAIR[lang] for t in row]
    out += [t.format(a, b, **fields) for row in text.SEARCH[lang] for t in row]
    for variant in range(len(text.LARGEST[lang])):
        out += text.largest_text(lang, variant, [a, b][: 1 + i % 2])
    return out


def _questions(lang: str, i: int, a: lexicon.Organ, b: lexicon.Organ) -> list[str]:
    out = []
    for kind in ("shown", "lesion", "bright"):
        word = questions.subject_words("bright", "", "CT" if i % 2 else "MR", lang)
        out += [q.format(a, w=word) for q in questions.YESNO[kind][lang]]
    out += [q.format(a) for q in questions.OPEN["density"][lang]]
    facts = Facts("CT", "axial", "chest", {a.label: 1.0}, (b.label,))
    for variant in range(len(questions.DETECT[lang])):
        for organs in ([a], [a, b]):
            pair = questions.make_detect(organs, facts, variant)
            out += [pair[text.LANGS.index(lang)][k] for k in ("question", "answer")]
    return out


def _fixed(lang: str) -> list[str]:
    """Returns the texts that do not name an organ, ten times, because they are frequent."""
    out = []
    for kind, table in (
        ("modality", questions.MODALITY),
        ("plane", questions.PLANE),
        ("region", questions.REGION),
    ):
        for word in table[lang].values():
            out += [q.format(w=word) for q in questions.YESNO[kind][lang]] + [word]
        out += questions.OPEN[kind][lang]
    for kind in ("largest", "host", "which", "side"):
        out += questions.OPEN[kind][lang]
    out += questions.YESNO["any"][lang]
    out += [*questions.SIDES[lang].values(), *questions.NO_YES[lang]]
    words = ["hypodense", "hyperdense", "hypointense", "hyperintense"]
    out += words if lang == "en" else [w.removesuffix("e") for w in words]
    return out * 10
