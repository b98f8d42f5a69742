"""Carries organs and sides into later clauses of their sentence, which leave them out.

`omitted` adds the organ that a side alone stands for: "left kidney normal, on the right a stone".
`inherit` gives a side to an organ whose neighbour has one: "left scapula normal, clavicle broken".
Neither looks beyond the sentence, and neither changes what was known before.
"""

import re
from collections.abc import Iterator, Sequence

from big_rad.grounding import candidates, clauses, cue_words, plain
from big_rad.grounding.clauses import (
    CLAUSE_OPENERS,
    CONJUNCTIONS,
    DETERMINERS,
    PREPOSITIONS,
    VERBS,
    Token,
)
from big_rad.grounding.phrase import Phrase, mirrored
from big_rad.grounding.side_words import SideWord

# Organs of one region. An organ of a clause is taken to be on the side of the organ before it only
# if both are of the same group; the names are the first words of the names of the classes.
_GROUPS = (
    {"humerus", "scapula", "clavicula"},
    {"hip", "femur", "gluteus", "iliopsoas"},
    {"autochthon", "iliopsoas"},
    {"kidney"},
    {"lung"},
    {"rib"},
    {"iliac"},
    {"common", "subclavian", "brachiocephalic"},
)
# Words that may stand before a side that opens a clause: "while on the right", "none on the left".
_LEAD = CONJUNCTIONS | CLAUSE_OPENERS | DETERMINERS | frozenset(
    plain.words(
        "on in at auf none not nicht kein keine without ohne only nur now jetzt again seite side "
        "also auch dagegen hingegen dafür demgegenüber new neu small kleine kleiner multiple "
        "mehrere several zahlreiche einzelne single"
    )
)  # fmt: skip
# What may follow an English side that is an adjective, if it stands for the organ itself.
_PREDICATE = re.compile(
    r"\d.*|is|are|was|has|had|shows?|lies|appears?|seems?|looks?|measures?|contains?|remains?|"
    r"demonstrates?|exhibits?|displays?|reveals?|none|no|not|without|with|only|also|up|less|more|"
    r"unremarkable|normal|clear|intact|free|patent|spared|unaffected|uninvolved|enlarged|small|"
    r"large|thickened|dilated|occluded|atroph\w*|hyper\w+|hypo\w+|preserved|negative|absent|nad|"
    r"\w+ly"
)
_STATE_DE = re.compile(
    r"\d|unauff|normal|frei|intakt|regelr|schlank|o$|klein$|gross$|verd|verg|ver"
)
_STATUS = frozenset(plain.words("z zustand status"))  # As in "rechts Z. n. Osteosynthese".
_THAN = frozenset(plain.words("als than wie"))
# Beginnings of words for places that are no class. A clause about these leaves no organ out.
_OTHER = tuple(
    plain.words(
        "pleur perikard pericard lymph node nodes ureter harnleiter inguin leist axill mamm breast "
        "ovar adnex eierst hoden testi tube knee knie meniskus meniscus schulter shoulder ellen "
        "elbow hand wrist fuss foot ankle sprung orbit sinus nasen kiefer maxill mandib parotis "
        "parotid submandib nerv nerve nerves root jugular femoral popliteal tibia fibula radius "
        "ulna patella calcan talus bronch hilum hilus hilar zwerchf diaphrag kostophren costophren "
        "weichteil soft subkut subcut bein leg arm thigh oberschenkel unterschenkel flank wand "
        "vene venen vein veins arteri artery arteries rezess recess foramen foramin neurofor "
        "labrum "
        "gelenk joint sehne tendon muscle muskel ventrik vorhof atrium hemis lobe lappen thorax "
        "chest hemithorax abdomen oberbauch unterbauch mittelbauch quadrant effusion erguss "
        "ergues port zvk katheter catheter drain sonde elektrod lead electrode stent implant "
        "interna externa internal external "
        "lateral medial dorsal ventral kranial kaudal cranial caudal anterior posterior betont "
        "als than konvex convex kidney niere"
    )
)


def omitted(
    words: Sequence[Token],
    marks: Sequence[str],
    phrases: Sequence[Phrase],
    sides: Sequence[SideWord],
    lang: str,
) -> list[Phrase]:
    """Returns the phrases, with those added for sides that stand in for the organ before them.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order, with their sides.
        sides: the result of `side_words.read`.
        lang: "en" or "de".
    """
    taken = {i for p in phrases for i in p.words}
    added: list[Phrase] = []
    for side in sides:
        i = side.index
        if i in taken or side.remaining or side.side == "both":
            continue
        clause = _clause(words, marks, i)
        compared = _compared(words, marks, phrases, side) if lang == "de" else None
        if compared is not None:
            added.append(compared)
            continue
        if not side.counts or clause.start == 0 or not taken.isdisjoint(clause):
            continue
        if not _stands_alone(words, marks, i, side, clause, lang):
            continue
        heading = clause.start == i and marks[i] == ":"  # "... . Left: a cyst"
        base = _base(marks, [*phrases, *added], clause.start - heading)
        if base is None or base.own_side in (None, side.side):
            continue
        added += _mirrored(base, i)
    return sorted([*phrases, *added], key=lambda p: p.first) if added else list(phrases)


def inherit(
    words: Sequence[Token],
    marks: Sequence[str],
    phrases: Sequence[Phrase],
    sides: Sequence[SideWord],
) -> None:
    """Sets the sides of phrases that have none but follow an organ of the same region, in place.

    Args:
        words, marks, phrases, sides: as for `omitted`.
    """
    counted = {s.index for s in sides if s.counts and not s.remaining}
    for n, p in enumerate(phrases):
        if p.resolved or not p.paired or not counted.isdisjoint(_clause(words, marks, p.first)):
            continue
        known = list(_known_before(marks, phrases, n))
        if not known or len({side for _, side in known}) > 1:
            continue
        near, side = known[0]
        same = candidates.family(near.ids) == candidates.family(p.ids)
        if same or side != "both" and _related(near, p):
            p.side, p.resolved = side, True


def _mirrored(base: Phrase, i: int) -> list[Phrase]:
    """Returns a phrase at the word `i` for the organ on the other side, if there is one."""
    ids = base.ids if base.side is None else candidates.on_side(base.ids, base.side)
    other = [mirrored(c) for c in ids]
    if None in other:
        return []
    made = Phrase(i, i, tuple(sorted(other)), side_words=(i,), resolved=True)
    made.several_organs = base.several_organs
    return [made]


def _compared(
    words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], side: SideWord
) -> Phrase | None:
    """Returns a phrase for a side that an organ is compared with ("rechts dicker als links")."""
    i = side.index
    if i < 3 or words[i - 1].low not in _THAN or words[i - 2].capital:
        return None
    for p in reversed(phrases):
        if p.last < i - 1:
            near = i - p.last <= 4 and not any(marks[p.last : i])
            both = p.own_side not in (None, side.side) and p.last in p.side_words
            return next(iter(_mirrored(p, i)), None) if near and both else None
    return None


def _known_before(
    marks: Sequence[str], phrases: Sequence[Phrase], n: int
) -> Iterator[tuple[Phrase, str]]:
    """Yields the phrases with a side before a phrase in its sentence, the nearest first."""
    for k in range(n - 1, -1, -1):
        before = phrases[k]
        if "." in marks[before.last : phrases[k + 1].first]:
            return
        side = before.side or before.own_side
        if side is not None and (before.resolved or not before.paired):
            yield before, side


def _related(a: Phrase, b: Phrase) -> bool:
    pair = {candidates.family(a.ids), candidates.family(b.ids)}
    return any(pair <= group for group in _GROUPS)


def _clause(words: Sequence[Token], marks: Sequence[str], i: int) -> range:
    """Returns the words around a word up to the next marks; a colon after it is passed."""
    first = i
    while first and not marks[first - 1] and words[first].low not in CLAUSE_OPENERS:
        first -= 1
    last = i + 1 if marks[i] == ":" else i
    while last + 1 < len(words) and not marks[last]:
        if clauses.opens_clause(words, last + 1, first):
            break
        last += 1
    return range(first, min(last, len(words) - 1) + 1)


def _base(marks: Sequence[str], phrases: Sequence[Phrase], stop: int) -> Phrase | None:
    """Returns the last phrase before a word if its side is known and no sentence ends between."""
    before = [p for p in phrases if p.last <= stop]
    if not before:
        return None
    base = max(before, key=lambda p: p.last)
    if "." in marks[base.last : stop] or not (base.resolved or not base.paired):
        return None
    return base


def _stands_alone(
    words: Sequence[Token],
    marks: Sequence[str],
    i: int,
    side: SideWord,
    clause: range,
    lang: str,
) -> bool:
    """Returns whether a side opens a clause in which it may stand for an organ."""
    lead = [words[k].low for k in range(clause.start, i)]
    if not all(low in _LEAD or cue_words.is_finding(low) or low.isdigit() for low in lead):
        return False
    rest = range(i + 1, clause.stop)
    if any(words[k].low.startswith(_OTHER) for k in (*range(clause.start, i), *rest)):
        return False
    after = words[i + 1] if i + 1 < clause.stop else None
    if lang == "en":
        placed = lead[-2:] in (["on", "the"], ["at", "the"], ["in", "the"])
        if after is None or placed:
            return placed or bool(marks[i]) and marks[i] == ":"
        return marks[i] == ":" or after.low in _STATUS or bool(_PREDICATE.fullmatch(after.low))
    if after is None:
        return not side.adjective
    if after.low in _STATUS:
        return True
    adverb = words[i].low in ("links", "rechts", "linksseitig", "rechtsseitig")
    if adverb or words[i].low in clauses.SIDE_SHORT["de"]:
        return not after.capital or cue_words.is_finding(after.low)
    if after.capital:
        return False
    if not any(words[k].capital for k in rest) and not marks[i]:
        return True  # No noun follows, as in "rechte Niere groß, linke narbig geschrumpft".
    return lead[-1:] in (["der"], ["die"], ["das"]) or after.low in VERBS or (
        after.low in PREPOSITIONS or bool(_STATE_DE.match(after.low))
    )  # fmt: skip
