"""Tables of phrases with their sides, for the tests of sides."""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
# "sides_own" was written from the rules, before the code that finds sides. "sides_blind" was
# written by someone who had not seen the code at all.
TABLES = ("sides_own", "sides_blind")


def table(name):
    """The rows of a table, each as (language, text, names of the classes)."""
    rows = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return [(r["lang"], r["text"], sorted(set(r.get("union", r.get("classes"))))) for r in rows]
