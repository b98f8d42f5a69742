"""Turns the phantom's sentences into the free text of radiologists' reports.

`rewrite` gives plurals ("beide Nieren"), compounds ("Leberzyste"), ellipsis, comparisons to earlier
studies and references to images; `report` puts the sentences between the other sections.
"""

import re
from typing import Any

import numpy as np

_DENIED = re.compile(
    r"\b(no|not|without|neither|nor|outside|kein\w*|nicht|ohne|weder|noch|außerhalb)\b", re.I
)
_LESION = re.compile(r"\b(?:hypo|hyper)(?:dens|intens)|\b(lesion|mass|Läsion|Raumforderung)\b")
_COMPOUND = {1: "Milz", 5: "Leber", 90: "Hirn", 2: "Nierenrinden", 3: "Nierenrinden"}
_ADJECTIVE = {1: "splenic", 5: "hepatic", 90: "cerebral", 2: "renal cortical", 3: "renal cortical"}
_SIDE = {2: ("right", "rechts"), 3: ("left", "links")}
_BOTH = {
    (2, 3): ("Both kidneys are shown", "Beide Nieren abgrenzbar", "Nieren bds. abgrenzbar"),
    (75, 76): ("Both femurs are shown", "Beide Femora abgrenzbar", "Femora bds. abgrenzbar"),
    (77, 78): ("Both hip bones are shown", "Beide Hüftbeine abgrenzbar", "Hüftbeine bds. erfasst"),
    (118, 119): ("Both lungs are shown", "Beide Lungen abgrenzbar", "Lungen bds. erfasst"),
}
_ELLIPSIS = {
    (2, 3): ("Left kidney normal, right likewise", "Linke Niere o. B., rechte ebenso"),
    (118, 119): ("Left lung clear, right likewise", "Linke Lunge frei, rechte ebenso"),
}
_COMPARED = {
    "en": (", unchanged since 2019", ", previously 5 mm", ", stable compared to 3 April 2020"),
    "de": (", im Vergleich zur VU vom 3.4.2020 größenprogredient", ", unverändert zur VU",
           ", zuvor 5 mm"),
}  # fmt: skip
_REFERENCES = {
    "en": ("(series {s}, image {k})", "(series {s} image {k})", "(image {k})", "(image {k}/{n})"),
    "de": ("(Serie {s}, Bild {k})", "(Se. {s}, IMA {k})", "(Bild {k})", "(Bild {k}/{n})"),
}
FILLERS = {
    "en": ("No prior studies available.", "Please correlate clinically, e.g. with lab results."),
    "de": ("Keine VU verfügbar.", "Bitte klin. Korrelation, ggf. Labor."),
}
_FRAME = {
    "en": """\
{title}, {date}

Dear Colleague,

Clinical information: {clinical}
Question: {question}
Technique: {modality} in axial planes, slice thickness {thickness:g} mm, no i.v. contrast.

Findings:
{findings}

Impression:
{closing}

With kind regards
Dr. A. Sample, MD
Consultant radiologist
""",
    "de": """\
{title} vom {date}

Sehr geehrte Frau Kollegin, sehr geehrter Herr Kollege,

Klinische Angaben: {clinical}
Fragestellung: {question}
Technik: {modality} axial, Schichtdicke {thickness:g} mm, nativ.

Befund:
{findings}

Beurteilung:
{closing}

Mit freundlichen kollegialen Grüßen
Dr. med. A. Muster
Oberarzt der Radiologie
""",
}


def rewrite(
    finding: dict[str, Any],
    language: str,
    visible: set[int],
    rng: np.random.Generator,
    style: int,
    series: int,
    total: int,
) -> dict[str, Any]:
    """Rewrites one finding of the phantom's report.

    Args:
        finding: the sentence, keywords and instance number.
        language: "en" or "de".
        visible: the demo classes that the slice shows.
        rng: draws the words.
        style: the number of the sentence; odd ones have a reference to their image.
        series: the number of the series.
        total: the number of images in the series.

    Returns:
        sentence, classes (named and visible), compares, negated, referenced.
    """
    sentence, ids = finding["sentence"].rstrip("."), [c for _, c in finding["keywords"]]
    negated = bool(_DENIED.search(sentence))
    lesion = bool(_LESION.search(sentence)) and not negated
    german = language == "de"
    pair = tuple(sorted(ids))
    two = next((p for p in _ELLIPSIS if ids and ids[0] in p and visible >= set(p)), None)
    if not negated and not lesion and pair in _BOTH and visible >= set(pair):
        words = _BOTH[pair]
        sentence = words[1 + int(rng.integers(2))] if german else words[0]
    elif lesion and len(ids) == 1 and ids[0] in _COMPOUND:
        side = f" {_SIDE[ids[0]][1]}" if ids[0] in _SIDE else ""
        sentence = f"{_COMPOUND[ids[0]]}zyste{side}, ca. 12 mm"
        if not german:
            side = f" on the {_SIDE[ids[0]][0]}" if ids[0] in _SIDE else ""
            sentence = f"{_ADJECTIVE[ids[0]].capitalize()} cyst{side}, approx. 12 mm"
    elif not negated and not lesion and two and len(ids) == 1 and rng.random() < 0.5:
        sentence, ids = _ELLIPSIS[two][german], list(two)
    compares = bool(rng.random() < 0.35)
    if compares:
        choices = _COMPARED[language]
        sentence += choices[int(rng.integers(len(choices)))]
    referenced = style % 2 == 1
    if referenced:
        form = _REFERENCES[language][(style // 2) % 4]
        sentence += " " + form.format(s=series, k=finding["instance"], n=total)
    return {
        "sentence": sentence + ".", "compares": compares, "negated": negated,
        "classes": tuple(sorted({c for c in ids if c in visible})), "referenced": referenced,
    }  # fmt: skip


def report(language: str, sentences: list[str], **fields: Any) -> str:
    """Returns a whole report with its other sections, salutation and signature."""
    findings = "\n".join(" ".join(sentences[k : k + 3]) for k in range(0, len(sentences), 3))
    closing = " ".join(FILLERS[language])
    return _FRAME[language].format(findings=findings, closing=closing, **fields)
