"""Takes exceptions out of a sentence before its negations are read.

In "Lungs, apart from a scar in the lingula, without nodules", what is denied concerns the lungs and
not the lingula. Without the words from "apart" to the comma the sentence is an ordinary one.
"""

import dataclasses
from collections.abc import Sequence

from big_rad.grounding import cue_words
from big_rad.grounding.clauses import VERBS, Token
from big_rad.grounding.phrase import Phrase


def without(
    words: Sequence[Token], marks: Sequence[str], phrases: Sequence[Phrase], lang: str
) -> tuple[list[Token], list[str], list[Phrase], list[int]]:
    """Returns a text without its exceptions.

    An exception begins with a phrase of the table `EXCEPT` and ends at the next mark. At the
    beginning of a sentence it also ends before a verb or a word that denies. If nothing of the
    sentence follows it, it stays, unless it is a comparison ("unlike the right").

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        phrases: all phrases of the text, in order.
        lang: "en" or "de".

    Returns:
        The words, marks and phrases that remain, with the phrases' places among these words, and
        the number in `phrases` of each phrase that remains.
    """
    lows = [w.low for w in words]
    gone = set()
    for span in _spans(lows, marks, lang):
        gone.update(span)
    if not gone:
        return list(words), list(marks), list(phrases), list(range(len(phrases)))
    kept = [i for i in range(len(words)) if i not in gone]
    place = {i: n for n, i in enumerate(kept)}
    left = [marks[i] for i in kept]
    for n, i in enumerate(kept):
        following = kept[n + 1] if n + 1 < len(kept) else len(words)
        if following > i + 1:
            # The comma before an exception goes with it; the end of a sentence behind it stays.
            left[n] = "." if "." in marks[i:following] else ""
    numbers = [n for n, p in enumerate(phrases) if gone.isdisjoint(p.words)]
    moved = [
        dataclasses.replace(
            phrases[n],
            first=place[phrases[n].first],
            last=place[phrases[n].last],
            side_words=tuple(place[i] for i in phrases[n].side_words),
        )
        for n in numbers
    ]
    return [words[i] for i in kept], left, moved, numbers


def _spans(lows: Sequence[str], marks: Sequence[str], lang: str) -> list[range]:
    found = []
    for table in ("EXCEPT", "UNLIKE"):
        matcher = cue_words.matcher(table, lang)
        if matcher.first_words.isdisjoint(lows):
            continue
        for i in range(len(lows)):
            behind = matcher.at(lows, i)
            if behind is None:
                continue
            opens = i == 0 or marks[i - 1] == "."
            stop = _end(lows, marks, behind, opens, lang)
            if table == "UNLIKE" or (opens or marks[i - 1]) and marks[stop - 1] != ".":
                found.append(range(i, stop))
    return found


def _end(lows: Sequence[str], marks: Sequence[str], first: int, opens: bool, lang: str) -> int:
    denies = cue_words.matcher("DENY", lang)
    for i in range(first, len(lows)):
        if opens and i > first and (lows[i] in VERBS or denies.at(lows, i)):
            return i
        if marks[i]:
            return i + 1
    return len(lows)
