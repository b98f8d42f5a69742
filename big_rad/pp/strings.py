"""Writes the preprocessing strings of training, evaluation and prediction.

A string names ops one after another (see `pp.builder`). What a checkpoint must be used with, that
is image size, normalisation, tokenizer, box codec and text settings, comes from the fields of a
config, so that every use of a checkpoint gets the same prompt tokens. Only text is handled here: no
op is imported and no string is run.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from big_rad.config.defaults import TEXT

CLEANERS = ("", "released")  # What `config.text.clean` may be.
RELEASED_GRID = 224  # Lines of the box codec of the released model.
_CLEANS = re.compile(r"(^|\|)\s*clean\s*(\(|\||$)")
_NO_REPORTS = re.compile(r"(^|\|)\s*prompt\((tasks=)?['\"](vqa|detect)\b(?!,)")


def text_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the text settings that a checkpoint must be used with.

    A checkpoint that predates `config.text` was limited to 200 tokens. Whether it saw cleaned
    reports follows from the preprocessing strings of its own training. A checkpoint that has no
    such string for reports, as a converted one, is taken for a released one if it writes boxes on
    the grid of the released model, which saw cleaned reports.

    Args:
        config: the config of a run, or the fields of another checkpoint.

    Returns:
        `clean` and `max_text`.

    Raises:
        ValueError: settings that this version does not know.
    """
    if config.get("text") is not None:
        return _checked(TEXT | dict(config["text"]))
    strings = [s["pp"] for s in _sections(config.get("input")) if s.get("pp")]
    if any(not _NO_REPORTS.search(pp) for pp in strings):
        cleaned = any(_CLEANS.search(pp) for pp in strings)
    else:
        codec = config.get("codec") or {}
        cleaned = (codec.get("name"), codec.get("grid")) == ("radgrounder", RELEASED_GRID)
    return TEXT | {"clean": "released" if cleaned else ""}


def train_pp(
    c: Mapping[str, Any],
    *,
    prompt: str,
    tok: str,
    view: str = "",
    augment: str = "",
    clean: str = "",
    detect: str = "",
    packed: bool = False,
    masks: bool = False,
) -> str:
    """Returns the preprocessing string of training examples; ops that are "" are left out.

    Boxes are written with `c.codec`, which the checkpoint names; with `masks` they give way to
    masks, and the op tok has to say how many.
    """
    fields = ["id", "image", "text", "mask_ar", "mask_loss"] + ["segment"] * packed
    fields += ["segmap", "mask_class", "mask_pos"] * masks
    ops = [
        view,
        "load",
        augment,
        _normalize(c),
        _resize(c),
        clean,
        detect,
        prompt,
        ground(c, masks),
        tok,
        _keep(fields),
    ]
    return "|".join(filter(None, ops))


def eval_pp(
    c: Mapping[str, Any],
    *,
    prompt: str,
    tok: str,
    view: str = "",
    clean: str = "",
    ground: str = "ground('boxes')",
) -> str:
    """Returns the preprocessing string of evaluation examples; the answer stays outside the row."""
    return "|".join(filter(None, [view, image_pp(c), clean, prompt, ground, tok]))


def ask_pp(
    c: Mapping[str, Any],
    task: str,
    *,
    lang: str,
    style: str = "both",
    grounded: bool | str = True,
    masks: bool = False,
    view: str = "",
    keep: tuple[str, ...] = (),
) -> str:
    """Returns the string that asks a checkpoint, as `big_rad.evaluate` and `big_rad.predict` do.

    Args:
        c: config with `image`, `tokenizer`, `codec` and `text`, see `weights.source_config.FIELDS`.
        task: "report", "vqa" or "detect".
        lang: "en" or "de".
        style: which context a report gets, see `pp.prompts.report_context`.
        grounded: argument of the op `prompt`.
        masks: whether the checkpoint points with masks; it points with boxes otherwise.
        view: op that chooses an image of the example, "" for none.
        keep: fields that remain; empty keeps all.
    """
    how = "" if grounded is True else f", grounded={grounded!r}"
    string = eval_pp(
        c,
        view=view,
        clean=clean(c) if task == "report" else "",
        prompt=f"prompt({task!r}, lang={lang!r}, style={style!r}{how})",
        ground=ground(c, masks),
        tok=tok(c, answer=False),
    )
    return f"{string}|{_keep(keep)}" if keep else string


def image_pp(c: Mapping[str, Any]) -> str:
    """Returns the ops that make the model's image of a file's pixels."""
    return f"load|{_normalize(c)}|{_resize(c)}"


def clean(c: Mapping[str, Any]) -> str:
    """Returns the op that cleans reports as the checkpoint saw them, "" if it does not."""
    kind = text_of(c)["clean"]
    return f"clean({kind!r})" if kind else ""


def ground(c: Mapping[str, Any], masks: bool = False) -> str:
    """Returns the op that marks phrases, with masks or with boxes of `c.codec`."""
    if masks:
        return "ground('masks')"
    codec = c["codec"]
    return f"ground('boxes', codec={codec['name']!r}, grid={codec.get('grid')!r})"


def tok(c: Mapping[str, Any], texts: int = 1, answer: bool = True, masks: int = 0) -> str:
    """Returns the op that makes rows: one text, or several of one image.

    Args:
        c: config with `tokenizer` and `text`, whose `max_text` is the most tokens of a text.
        texts: the number of texts of an image that a row is for.
        answer: False for evaluation.
        masks: the most masks of a row.
    """
    spec, most = c["tokenizer"], text_of(c)["max_text"]
    length = most + 2  # <bos> and <eos>
    start = f"tok({spec['path']!r}, {tuple(spec['sets'])}"
    if not answer:
        return f"{start}, length={length}, max_text={most}, answer=False)"
    end = f", masks={masks})" if masks else ")"
    if texts > 1:
        return f"{start}, length={min(texts, 4) * length}, max_text={most}, pack=True{end}"
    return f"{start}, length={length}, max_text={most}{end}"


def _checked(text: dict[str, Any]) -> dict[str, Any]:
    clean, most, unknown = text["clean"], text["max_text"], text.keys() - TEXT.keys()
    if unknown or clean not in CLEANERS or not isinstance(most, int) or most < 1:
        raise ValueError(
            f"the text settings (config.text) are {text}: `clean` has to be one of "
            f"{', '.join(map(repr, CLEANERS))}, `max_text` a positive number, and there is nothing "
            "else; was the checkpoint written by a newer version of big_rad?"
        )
    return text


def _normalize(c: Mapping[str, Any]) -> str:
    return f"normalize({c['image']['normalize']!r})"


def _resize(c: Mapping[str, Any]) -> str:
    return f"resize({int(c['image']['size'])})"


def _keep(fields: Iterable[str]) -> str:
    return f"keep({', '.join(map(repr, fields))})"


def _sections(section: Any) -> list[Any]:
    return [x for x in (section or {}).values() if hasattr(x, "items")]
