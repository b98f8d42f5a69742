"""Helpers for the tests of sides: tables of phrases, and texts with left and right exchanged."""

import json
import pathlib
import re

HERE = pathlib.Path(__file__).parent
# "sides_own" was written from the rules, before the code that finds sides. "sides_blind" was
# written by someone who had not seen the code at all.
TABLES = ("sides_own", "sides_blind")
_WHOLE = {
    **{"links": "rechts", "li": "re", "lul": "rul", "lll": "rll", "lt": "rt"},
    **{"linkerseits": "rechterseits", "linksseits": "rechtsseits"},
}
_OTHER = _WHOLE | {b: a for a, b in _WHOLE.items()}
_STARTS = (("links", "rechts"), ("left", "right"))
_ADJECTIVE = re.compile(r"(link|recht)(e[rsmn]?)")


def table(name):
    """The rows of a table, each as (language, text, names of the classes)."""
    rows = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return [(r["lang"], r["text"], sorted(set(r.get("union", r.get("classes"))))) for r in rows]


def exchanged(text):
    """The text with left and right exchanged, in either language."""
    return re.sub(r"[^\W\d_]+", lambda m: _like(m[0], _other(m[0].lower())), text)


def _other(word):
    if word in _OTHER:
        return _OTHER[word]
    if found := _ADJECTIVE.fullmatch(word):
        return {"link": "recht", "recht": "link"}[found[1]] + found[2]
    for pair in (*_STARTS, *((b, a) for a, b in _STARTS)):
        if word.startswith(pair[0]):
            return pair[1] + word.removeprefix(pair[0])
    return None


def _like(old, new):
    if new is None:
        return old
    return new.upper() if old.isupper() else new.capitalize() if old[0].isupper() else new
