"""Writes the preprocessing strings of training, evaluation and prediction.

A preprocessing string names ops one after another (see `pp.builder`). The settings that belong to
a checkpoint (image size, normalisation, tokenizer, box codec and text settings) come from the
fields of its config, so that every use of the checkpoint gives it the same prompt tokens. This
module must not import the ops, so that recipes, which import it, can be read without them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from big_rad.config.defaults import TEXT

CLEANERS = ("", "released")  # The possible values of `config.text.clean`.
RELEASED_GRID = 224  # The number of grid lines in the box codec of the released model.
_CLEANS = re.compile(r"(^|\|)\s*clean\s*(\(|\||$)")
_NO_REPORTS = re.compile(r"(^|\|)\s*prompt\((tasks=)?['\"](vqa|detect)\b(?!,)")


def text_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the text settings that a checkpoint must be used with.

    If the checkpoint predates `config.text`, its texts were limited to 200 tokens, and the
    preprocessing strings of its training say whether its reports were cleaned. A checkpoint without
    such a string for reports (a converted one, for example) counts as a released one if it writes
    boxes on the grid of the released model; the reports of that model were cleaned.

    Args:
        config: the config of a training run, or the settings of another checkpoint.

    Returns:
        a dict with `clean` and `max_text`.

    Raises:
        ValueError: A setting is unknown to this version or has an impossible value.
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
    """Returns the preprocessing string of training examples.

    Args:
        c: a config with `image`, `tokenizer`, `codec` and `text`.
        prompt: the op that chooses the texts.
        tok: the op that makes the row, see `tok`. With `masks` it must say how many masks.
        view: the op that chooses one of several images; "" leaves it out, as for the next three.
        augment: the op that changes the image at random.
        clean: the op that cleans reports.
        detect: the op that adds detection questions.
        packed: whether `tok` packs several texts into a row, so that `segment` is kept.
        masks: whether phrases are marked with masks instead of boxes of `c.codec`.
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


def pair_pp(
    c: Mapping[str, Any],
    *,
    length: int,
    view: str = "",
    augment: str = "",
    langs: tuple[str, ...] = (),
    style: str = "both",
    texts: int = 1,
    exchanged: bool = False,
    choose: str = "random",
    keep: bool = True,
) -> str:
    """Returns the preprocessing string of pairs of an image and a text, for two towers.

    Args:
        c: a config with `image`, `tokenizer` and `text`.
        length: the context length in tokens.
        langs, style, texts, exchanged, choose: see the op `caption`.
        view, augment: see `train_pp`.
        keep: whether only the fields of a training batch remain.
    """
    options = f"length={length}, langs={langs!r}, style={style!r}, texts={texts}, choose={choose!r}"
    if exchanged:
        options += ", exchanged=True"
    caption = f"caption({c['tokenizer']['path']!r}, {options})"
    fields = ["id", "image", "text", "mask_ar", "mask_loss", "cut", "image_key", "text_keys"]
    fields += ["exchanged", "exchanged_key"] * exchanged
    ops = [view, "load", augment, _normalize(c), _resize(c), clean(c), caption]
    return "|".join(filter(None, [*ops, _keep(fields) if keep else ""]))  # fmt: skip


def eval_pp(
    c: Mapping[str, Any],
    *,
    prompt: str,
    tok: str,
    view: str = "",
    clean: str = "",
    ground: str = "ground('boxes')",
) -> str:
    """Returns the preprocessing string of evaluation examples.

    The arguments are those of `train_pp`, and `ground` is the op that marks phrases. `tok` should
    have `answer=False`, so that the target is not in the row.
    """
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
        c: a config with `image`, `tokenizer`, `codec` and `text`, see
            `weights.source_config.FIELDS`.
        task: "report", "vqa" or "detect".
        lang: "en" or "de".
        style: the context that a report gets, see `pp.prompts.report_context`.
        grounded: the argument `grounded` of the op `prompt`.
        masks: whether the checkpoint marks phrases with masks; otherwise it marks them with boxes.
        view: the op that chooses one image of an example, or "" if examples have one image.
        keep: the names of the fields that remain; () keeps all.
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
    """Returns the ops that read a file's pixels and turn them into the model's image."""
    return f"load|{_normalize(c)}|{_resize(c)}"


def clean(c: Mapping[str, Any]) -> str:
    """Returns the op that cleans reports as in the checkpoint's training, or "" for none."""
    kind = text_of(c)["clean"]
    return f"clean({kind!r})" if kind else ""


def ground(c: Mapping[str, Any], masks: bool = False) -> str:
    """Returns the op that marks phrases, with masks or with boxes of `c.codec`."""
    if masks:
        return "ground('masks')"
    codec = c["codec"]
    return f"ground('boxes', codec={codec['name']!r}, grid={codec.get('grid')!r})"


def tok(c: Mapping[str, Any], texts: int = 1, answer: bool = True, masks: int = 0) -> str:
    """Returns the op that makes rows of one text, or of several texts of one image.

    Args:
        c: a config with `tokenizer` and `text`, whose `max_text` is the most tokens of a text.
        texts: the number of texts of one image that share a row. A row has room for at most four
            texts of full length.
        answer: whether the row contains the target; False for evaluation.
        masks: the most masks of a row, 0 for a model without masks.
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
