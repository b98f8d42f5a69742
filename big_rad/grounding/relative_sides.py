"""Resolves sides that are named by comparison: "the contralateral kidney", "rib of the same side".

Such a side is that of the nearest organ before it in the sentence whose side is known, or the
other one. If there is no such organ, the side stays unknown.
"""

from collections.abc import Sequence

from big_rad.grounding import plain
from big_rad.grounding.clauses import Token
from big_rad.grounding.phrase import Phrase, family

_OTHER = (
    "contralat", "kontralat", "contra-lat", "opposite", "gegenseit", "gegenueberlieg", "gegenlaeuf",
)  # fmt: skip
_SAME = ("ipsilat", "homolat", "gleichseit")
_ANOTHER = frozenset(plain.words("other andere anderen anderer anderes"))
# "of the same side", "derselben Seite", in the words before "side".
_SAME_SIDE = frozenset(plain.words("same derselben gleichen selben"))
_OTHER_SIDE = frozenset(plain.words("other opposite contralateral anderen"))
_SIDE = frozenset(plain.words("side seite"))
_BEFORE = 3  # The most words between such an adjective and its noun.
_AFTER = 4  # The most words between a noun and the "side" behind it.


def resolve(words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase]) -> None:
    """Sets the sides of phrases that are named by comparison, in place.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order, with the sides that are known.
    """
    for n, p in enumerate(phrases):
        if not p.paired or p.side_words:
            continue
        after = phrases[n - 1].last if n else -1
        relation = _relation(words, marks, p, after)
        if relation is None:
            continue
        base = _base(marks, phrases[:n], p)
        p.side = {"same": base, "other": _mirror(base)}[relation]
        p.resolved = p.side is not None
        for q in phrases[n + 1 :]:  # "The opposite kidney without hydronephrosis" has one side.
            if any(marks[p.last : q.first]) or q.side_words or family(q.ids) != family(p.ids):
                break
            q.side, q.resolved = p.side, p.resolved


def _relation(words: Sequence[Token], marks: Sequence[str], p: Phrase, after: int) -> str | None:
    """Returns what the words around a phrase say, "same" or "other", or None.

    The words before it are read up to the word `after`, which ends the phrase before.
    """
    for i in range(p.first - 1, max(after, p.first - 1 - _BEFORE), -1):
        if marks[i]:
            break
        low = words[i].low
        if low.startswith(_OTHER) or low in _ANOTHER and p.grammatical_number == "one":
            return "other"
        if low.startswith(_SAME):
            return "same"
    for i in range(p.last + 1, min(len(words), p.last + 1 + _AFTER)):
        if marks[i - 1]:
            break
        low = words[i].low
        if low.startswith("gegenseite"):
            return "other"
        if low in _SIDE:
            before = words[i - 1].low
            return "same" if before in _SAME_SIDE else "other" if before in _OTHER_SIDE else None
    return None


def _base(marks: Sequence[str], before: Sequence[Phrase], p: Phrase) -> str | None:
    for near in reversed(before):
        if "." in marks[near.last : p.first]:
            return None
        side = near.own_side or near.side
        if side in ("left", "right"):
            return side
    return None


def _mirror(side: str | None) -> str | None:
    return {"left": "right", "right": "left"}.get(side or "")
