"""Recognises anatomy that only names an examination: "MRI of the liver", "Scan range: skull to C7".

Such words say how the images were made, and nothing about the organ. If the same sentence states a
finding ("CT of the liver shows a cyst"), the organ counts.
"""

from collections.abc import Sequence

from big_rad.grounding import clauses, cue_words, plain
from big_rad.grounding.clauses import CONJUNCTIONS, DETERMINERS, VERBS, Token
from big_rad.grounding.phrase import Phrase

_MODALITIES = frozenset(
    plain.words(
        "ct cct mri mrt mr mra cta pet ultrasound sonography sonographie sonografie sono xray ray "
        "radiograph radiographs radiography röntgen röntgenaufnahme röntgenaufnahmen tomogram "
        "tomography tomographie computertomographie computertomografie magnetresonanztomographie "
        "kernspintomographie kernspintomografie scan scans imaging examination untersuchung "
        "aufnahme aufnahmen bildgebung angiography angiographie szintigraphie scintigraphy "
        "protocol protokoll reconstructions rekonstruktionen reformations dünnschichtct hrct "
        "nativ ctangiographie mrangiographie localizer topogram study studie"
    )
)
# The second words of techniques that are named after an organ: "liver protocol", "brain MRI".
_NAMED_AFTER = frozenset(
    plain.words(
        "protocol mri mr mrt ct cta mra ultrasound sonography scintigraphy angiography window "
        "windows coil phantom precautions scan scans radiograph radiographs protokoll spule"
    )
)
_RANGES = (
    ("scan", "range"), ("scan", "length"), ("scan", "extent"), ("scan", "coverage"),
    ("scan", "area"), ("scanned", "from"), ("scanned", "range"), ("coverage",), ("covered", "from"),
    ("acquired", "from"), ("field", "of", "view"), ("fov",), ("anatomical", "coverage"),
    ("scanbereich",), ("scanlaenge",), ("scanumfang",), ("untersuchungsbereich",),
    ("aufnahmebereich",), ("untersuchungsumfang",), ("untersuchungsregion",), ("messbereich",),
    ("messfeld",), ("untersuchungsvolumen",), ("scanvolumen",), ("abdeckung",),
    ("imaging", "range"),
    ("volume", "from"), ("imaged", "from"), ("images", "from"), ("aufnahmen", "von"),
    ("aufnahmen", "vom"), ("spirale", "von"), ("spiral", "von"), ("spirale", "vom"),
)  # fmt: skip
# Ends of a scan. A text "from ... to ..." with one of them, and without a finding, is a scan range.
_ENDS = tuple(
    plain.words("symph pelvi becken thigh oberschenkel vertex upper oberbauch leisten groin knee")
)
_MADE = frozenset(
    plain.words(
        "performed acquired obtained done carried durchgeführt angefertigt erfolgte erfolgt "
        "akquiriert gefahren made requested angefordert"
    )
)
_OF = frozenset(plain.words("of der des vom von"))
_WHOLE = frozenset(plain.words("entire whole gesamten ganzen complete right left both"))


_RANGE_OPENS = frozenset(r[0] for r in _RANGES)
# Without any of these words, no phrase of a text is left out.
_HINTS = _MODALITIES | _NAMED_AFTER | _RANGE_OPENS | {"from", "von", "vom", "ab"}


def without(words: Sequence[Token], marks: Sequence[str], phrases: list[Phrase]) -> list[Phrase]:
    """Returns phrases without those that only name an examination or its range.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: the phrases of the text, in order.
    """
    lows = [w.low for w in words]
    if _HINTS.isdisjoint(lows):
        return phrases
    ranges = [i for i, low in enumerate(lows) if low in _RANGE_OPENS and _range_at(lows, i)]
    kept: list[Phrase] = []
    dropped: Phrase | None = None
    for p in phrases:
        named = (
            _named_after(lows, marks, p)
            or any(i < p.first and "." not in marks[i : p.first] for i in ranges)
            or (_of_examination(lows, marks, p) or dropped and _lists(lows, marks, dropped, p))
            and _states_nothing(lows, marks, p)
            or _from_to(lows, marks, p)
            and _states_nothing(lows, marks, p)
        )
        if named:
            dropped = p
        else:
            kept.append(p)
    return kept


def _range_at(lows: Sequence[str], i: int) -> bool:
    return any(tuple(lows[i : i + len(r)]) == r for r in _RANGES)


def _named_after(lows: Sequence[str], marks: Sequence[str], p: Phrase) -> bool:
    i = p.last + 1
    return i < len(lows) and not marks[p.last] and lows[i] in _NAMED_AFTER


def _of_examination(lows: Sequence[str], marks: Sequence[str], p: Phrase) -> bool:
    """Returns whether a phrase follows an examination: "MRI of the liver", "MRT LWS"."""
    i = p.first - 1
    of = False
    while i >= 0 and not marks[i] and (lows[i] in DETERMINERS or lows[i] in _OF | _WHOLE):
        of |= lows[i] in _OF
        i -= 1
    if i < 0 or marks[i] or lows[i] not in _MODALITIES:
        return False
    return of or i == p.first - 1 and (i == 0 or bool(marks[i - 1]))


def _lists(lows: Sequence[str], marks: Sequence[str], a: Phrase, b: Phrase) -> bool:
    between = range(a.last + 1, b.first)
    if {marks[i] for i in range(a.last, b.first)} - {"", ","}:
        return False
    return all(lows[i] in CONJUNCTIONS or lows[i] in DETERMINERS for i in between)


def _sentence(lows: Sequence[str], marks: Sequence[str], p: Phrase) -> Sequence[str]:
    """Returns the words of the sentence that a phrase is in."""
    first, last = p.first, p.last
    while first and marks[first - 1] != ".":
        first -= 1
    while marks[last] != ".":
        last += 1
    return lows[first : last + 1]


def _states_nothing(lows: Sequence[str], marks: Sequence[str], p: Phrase) -> bool:
    """Returns whether the sentence of a phrase has neither a verb nor a finding."""
    own = _sentence(lows, marks, p)
    if any(low in clauses.SHORT and low == "b" for low in own):
        return False  # "o. B." states that there is nothing.
    made = not _MADE.isdisjoint(own)
    return not any(
        (low in VERBS and not made) or cue_words.is_finding(low) for low in own
    ) and not (cue_words.states(own))


def _from_to(lows: Sequence[str], marks: Sequence[str], p: Phrase) -> bool:
    """Returns whether a phrase is an end of a scan from one place to another."""
    own = _sentence(lows, marks, p)
    opens = own[0] in ("from", "von", "vom", "ab") or not _MODALITIES.isdisjoint(own)
    spans = {"from", "von", "vom", "ab"} & set(own) and {"to", "bis", "through"} & set(own)
    return bool(opens and spans and any(low.startswith(_ENDS) for low in own))
