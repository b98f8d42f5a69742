"""Ops that choose the texts of an example and write the prompt and the target of each.

`prompt` writes targets without markup; `ground` (in `ops_grounding`) puts the markup in.
"""

import numpy as np

from big_rad.grounding import placing
from big_rad.pp import prompts, shown
from big_rad.pp.example import Example, Text
from big_rad.pp.ops import OPS, Op, rng_of

_GROUNDED = (True, False, "random", "always")
_REPORT_FIELDS = ("sentence", "clinical", "question")


@OPS.register("clean")
def get_clean(kind: str = "released") -> Op:
    """Cleans report texts as the reports of the released model were cleaned.

    Questions and answers stay as they are. The op must come before `prompt`. `prompts.clean` says
    how a text is changed; decimal numbers change too.

    Args:
        kind: the name of the cleaner; there is only "released".

    Raises:
        ValueError: The cleaner is unknown.
    """
    if kind != "released":
        raise ValueError(f"clean: {kind!r} is not known; there is 'released'")

    def _clean(example: Example) -> Example:
        if any("prefix" in text for text in example["texts"]):
            raise ValueError("clean: put it before prompt(...), which uses the cleaned fields")
        return example | {"texts": [_one(text) for text in example["texts"]]}

    def _one(text: Text) -> Text:
        if text["task"] != "report":
            return text
        fields = {k: prompts.clean(text[k]) for k in _REPORT_FIELDS if text.get(k)}
        keywords = [[_phrase(k), c] for k, c in text.get("keywords") or ()]
        new = text | fields | {"keywords": keywords}
        if places := text.get("places"):
            both = zip(text["keywords"], keywords, places, strict=True)
            new["places"] = [
                placing.moved(text["sentence"], new["sentence"], (old, cleaned), start)
                for (old, _), (cleaned, _), start in both
            ]
        return new

    def _phrase(keyword: str) -> str:
        cleaned = prompts.clean(keyword)
        return cleaned if keyword.rstrip().endswith((".", "!", "?")) else cleaned.removesuffix(".")

    return _clean


@OPS.register("prompt")
def get_prompt(
    tasks: str = "report,vqa,detect",
    n: int | str = 1,
    lang: str = "both",
    style: str = "random",
    grounded: bool | str = True,
    balance: bool = True,
    ground_share: float | None = None,
) -> Op:
    """Chooses texts of the example and writes the prompt and the target of each.

    Each chosen text keeps its fields and gets `context`, `prefix` (the whole string before the
    target), `suffix` (the target, still without markup), `grounding` and `grounded`.

    Args:
        tasks: the tasks of the texts that may be chosen, joined by commas.
        n: the number of texts that are drawn without repeats, or all texts if there are fewer;
            "all" takes all texts in order.
        lang: the language of the texts that may be chosen: "en", "de", "zh" (questions only),
            "both" for English and German, or "all".
        style: the context of a report: "none", "clinical", "question", "both" (see
            `prompts.report_context`), or "random", which draws one of the four for each text.
        grounded: which prompts ask for boxes or masks. A text can be grounded if it has keywords
            and the example has a label map or boxes. True asks for each such text. "random" asks
            for half of such reports and for all such detection questions. "always" asks for every
            report, even if the image shows nothing to mark. False never asks.
        balance: True draws first a task, then a language, each uniformly, and then a text with
            both; False draws uniformly among the texts.
        ground_share: None, or a probability in 0..1 that replaces `grounded` for reports. An
            example can be grounded if it shows a class, and if in every language in which it has
            reports one of them has keywords. Each text drawn from such an example is, with this
            probability, a grounded report, as long as one is left; otherwise any text is drawn,
            and if that is a report, it stays plain. The published training used 1.0. With n="all",
            each report with keywords of such an example is grounded with this probability.

    Raises:
        ValueError: An argument is outside its choices or range.
    """
    wanted = tuple(t.strip() for t in tasks.split(","))
    langs = {"both": prompts.LANGS, "all": prompts.VQA_LANGS}.get(lang, (lang,))
    if not set(wanted) <= set(prompts.TASKS) or not set(langs) <= set(prompts.VQA_LANGS):
        raise ValueError(
            f"prompt: tasks={tasks!r}, lang={lang!r}: tasks are {prompts.TASKS}, languages "
            f"{prompts.VQA_LANGS}, 'both' ({' and '.join(prompts.LANGS)}) or 'all'"
        )
    if style not in (*prompts.STYLES, "random") or grounded not in _GROUNDED:
        raise ValueError(
            f"prompt: style={style!r}, grounded={grounded!r}: styles are {prompts.STYLES} and "
            f"'random'; grounded is one of {_GROUNDED}"
        )
    if n != "all" and not (isinstance(n, int) and n > 0):
        raise ValueError(f"prompt: n={n!r} must be a positive number or 'all'")
    if ground_share is not None and not (grounded is True and 0 <= ground_share <= 1):
        raise ValueError(
            f"prompt: ground_share={ground_share!r} must lie in 0..1, and grounded={grounded!r} be "
            "left out"
        )

    def _prompt(example: Example) -> Example:
        pool = [t for t in example["texts"] if t["task"] in wanted and t["lang"] in langs]
        if not pool:
            raise ValueError(
                f"prompt: none of the {len(example['texts'])} texts has tasks={tasks!r}, "
                f"lang={lang!r}; leave this example out of the split, or ask for what it has"
            )
        if ground_share is not None:
            chosen = _share_out(pool, n, example, balance, ground_share)
        else:
            if n != "all":
                pool = _draw(pool, n, rng_of(example), balance)
            chosen = [(text, grounded) for text in pool]
        return example | {"texts": [_write(text, example, style, how) for text, how in chosen]}

    return _prompt


def _write(text: Text, example: Example, style: str, grounded: bool | str) -> Text:
    """Returns a text with its prompt; see `get_prompt`."""
    if text["task"] == "report" and style == "random":
        style = prompts.STYLES[int(rng_of(example).random() * len(prompts.STYLES))]
    context = prompts.context(text, style)
    asks = _asks(text, example, grounded)
    grounding = "boxes" if asks else "none"
    return text | {
        "keywords": text.get("keywords") or [],
        "context": context,
        "prefix": prompts.prefix(text["task"], text["lang"], context, grounding),
        "suffix": prompts.target(text),
        "grounding": grounding,
        "grounded": asks,
    }


def _asks(text: Text, example: Example, grounded: bool | str) -> bool:
    """Returns whether the prompt asks for boxes or masks; see `get_prompt`."""
    if text["task"] == "vqa" or grounded is False:
        return False
    if text["task"] == "report" and grounded == "always":
        return True
    possible = bool(text.get("keywords")) and shown.any_possible(example)
    if text["task"] == "detect" or grounded is True:
        return possible
    return possible and rng_of(example).random() < 0.5


def _share_out(
    pool: list[Text], n: int | str, example: Example, balance: bool, ground_share: float
) -> list[tuple[Text, bool | str]]:
    """Draws texts by `ground_share`; returns each with the `grounded` argument for `_asks`."""
    share = ground_share if _can_be_grounded(example) else 0.0
    if n == "all":
        lot = [share and _groundable(t) and rng_of(example).random() < share for t in pool]
        return [(t, "always" if g else _plain(t)) for t, g in zip(pool, lot, strict=True)]
    pool, chosen = list(pool), []
    while pool and len(chosen) < n:
        reports = [t for t in pool if _groundable(t)] if share else []
        ask = bool(reports) and rng_of(example).random() < share
        (text,) = _draw(reports if ask else pool, 1, rng_of(example), balance)
        chosen.append((text, "always" if ask else _plain(text)))
        pool = [t for t in pool if t is not text]
    return chosen


def _can_be_grounded(example: Example) -> bool:
    reports = [t for t in example["texts"] if t["task"] == "report"]
    langs = {t["lang"] for t in reports}
    named = {t["lang"] for t in reports if t.get("keywords")}
    return bool(langs) and langs == named and shown.any_class(example)


def _groundable(text: Text) -> bool:
    return text["task"] == "report" and bool(text.get("keywords"))


def _plain(text: Text) -> bool:
    """Returns whether a text is grounded that was not drawn as a grounded report.

    Detection questions always ask for boxes or masks; reports and other questions do not.
    """
    return text["task"] == "detect"


def _draw(pool: list[Text], n: int, rng: np.random.Generator, balance: bool) -> list[Text]:
    """Draws n texts without repeats."""
    pool, drawn = list(pool), []
    while pool and len(drawn) < n:
        some = pool
        if balance:
            for key in ("task", "lang"):
                values = sorted({t[key] for t in some})
                if len(values) > 1:
                    value = values[int(rng.random() * len(values))]
                    some = [t for t in some if t[key] == value]
        chosen = some[int(rng.random() * len(some))]
        drawn.append(chosen)
        pool = [t for t in pool if t is not chosen]
    return drawn
