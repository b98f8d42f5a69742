"""The evaluators that `big_rad.evaluate --data=...` runs for each dataset.

    --config=configs/evaluate.py:init=runs/demo,data=phantom
    --config=configs/evaluate.py:init=radgrounder_hf,data=slake+vqa_rad,split=test
    --config=configs/evaluate.py:init=runs/own,data=folder,folder=clinic

Without `split`, the published numbers are followed: SLAKE is evaluated on its validation split and
VQA-RAD on its test split. Other datasets are evaluated on their test split. `folder` is the
`--config` that the folder was built with.

Reports follow the published protocol: 2,000 sentences for each language (the published draw was
another one), the first image of each sentence, the prompt style "both", greedy decoding, and at
most 200 new tokens. A checkpoint that was not trained on the tokens of boxes or masks, such as
PaliGemma 2 itself, is asked for plain reports.
"""

from typing import Any

import ml_collections

from big_rad import fields
from big_rad.config import recipes as config_lib
from big_rad.pp import strings
from big_rad.weights import source_config
from configs import common, radgrounder_det

_SPLITS = {"slake": "validation", "vqa_rad": "test"}
_PUBLIC = ("slake", "vqa_rad")
_OWN = ("phantom", "refrad2d", "folder")


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(arg, init="", data="", folder="default", split="", limit=0)
    fields.check_arguments(a, limit=fields.whole(0))  # 0 asks everything.
    names = [n for n in a.data.split("+") if n]
    unknown = [n for n in names if n not in _PUBLIC + _OWN]
    if not a.init or not names or unknown:
        raise ValueError(
            "config arguments: give init=CHECKPOINT and data=NAME+NAME of "
            f"{', '.join(_PUBLIC + _OWN)}"
            + (f"; there is no {', '.join(unknown)}" if unknown else "")
        )
    if a.folder != "default" and "folder" not in names:
        raise ValueError(
            f"config argument 'folder={a.folder}': goes with data=folder, and data is {a.data!r}"
        )
    c = common.base()
    source_config.put(c, a.init)
    grounded = not set(names) & set(_OWN) or source_config.points(a.init, c)
    if not grounded:
        print(
            f"{a.init} was not trained to point: reports are asked for without boxes or masks, and "
            "G-IoU is not scored"
        )
    for name in names:
        split = a.split or _SPLITS.get(name, "test")
        if name in _PUBLIC:
            c.evals[name] = dict(radgrounder_det.public_eval(c, name), split=split)
        else:
            _add(c, a, name, split, grounded)
    for spec in c.evals.values():
        spec.limit = a.limit or None
    return c


def _add(
    c: ml_collections.ConfigDict,
    a: ml_collections.ConfigDict,
    name: str,
    split: str,
    grounded: bool,
) -> None:
    built = common.built_folder(a, name).get("builder_args", {})
    args = dict(config="demo") if name == "phantom" else built
    for lang in ("en", "de"):
        for task, kind in (("report", "grounded"), ("vqa", "vqa")):
            expand: dict[str, Any] = dict(task=task, lang=lang)
            if task == "report":
                expand |= dict(items=2000, view="first")
            c.evals[f"{name}_{task}_{lang}"] = dict(
                type=kind,
                builder=name,
                builder_args=args,
                split=split,
                expand=expand,
                pp=_pp(c, task, lang, grounded),
                batch_size=32,
                limit=None,
                max_new_tokens=200,
                codec=dict(c.codec),
                **(dict(captions=True) if task == "report" else {}),
            )


def _pp(c: ml_collections.ConfigDict, task: str, lang: str, grounded: bool) -> str:
    masks = bool(c.model.get("mask_decoder"))
    asks = grounded or task == "vqa"
    return strings.ask_pp(c, task, lang=lang, grounded=asks, masks=masks, view="view('first')")
