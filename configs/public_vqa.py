"""Trains PaliGemma 2 on public data only: SLAKE and VQA-RAD, each question once an epoch.

    --config=configs/public_vqa.py
    --config=configs/public_vqa.py:ground=boxes     # also SLAKE's organs as detection questions
    --config=configs/public_vqa.py:variant=tiny,size=112,epochs=2
    --config=configs/public_vqa.py:data=slake,lora=16,batch=16,accum=8   # for a card of 15 GB

The optimisation is that of `radgrounder_det`. Rows are short, so batches are cut to a few lengths
(`input.buckets`). The model is evaluated on the validation questions of both datasets and, with
boxes or masks, on two detection questions for each of SLAKE's validation images. The published
figures are on SLAKE's validation questions and VQA-RAD's test questions. `lora=16` freezes the
model and trains adapters of rank 16, and the mask decoder if there is one.
"""

import ml_collections

from big_rad import fields
from big_rad.config import recipes as config_lib
from big_rad.datasets.slake import organs
from configs import common, radgrounder_det

_DATA = ("slake", "vqa_rad")


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        variant=("3b", "10b", "28b", "tiny"),
        size=224,
        siglip=("original", "frozen", "unfrozen"),
        data=("all", *_DATA),
        ground=("none", "boxes", "masks"),
        epochs=6.0,
        batch=288,
        accum=12,
        lora=0,
    )
    fields.check_arguments(
        a,
        epochs=fields.number(above=0),
        **dict.fromkeys(("size", "batch", "accum"), fields.whole(1)),
        lora=fields.whole(0),
    )
    if a.ground != "none" and a.data == "vqa_rad":
        raise ValueError(f"config argument 'ground={a.ground}': VQA-RAD has no boxes and no masks")
    c = radgrounder_det.model_config(a.variant, a.size, tower=a.siglip)
    if a.lora:
        radgrounder_det.add_lora(c, a.lora, masks=a.ground == "masks")
    c.input.batch_size = a.batch
    c.grad_accum = a.accum
    c.total_epochs = a.epochs
    c.input.weights = "epochs"
    c.input.data = dict.fromkeys(_DATA if a.data == "all" else (a.data,), 1.0)
    masks = radgrounder_det.MASKS if a.ground == "masks" else 0
    if masks:
        radgrounder_det.add_masks(c)
    for name in c.input.data:
        c.input[name] = radgrounder_det.public(c, name, masks=masks)
        c.evals[name] = radgrounder_det.public_eval(c, name)
        c.evals[f"{name}_xent"] = radgrounder_det.public_xent(c, name)
    if a.ground != "none":
        _add_detection(c, masks)
    c.input.buckets = (48, 64, 96, 128)
    return c


def _add_detection(c: ml_collections.ConfigDict, masks: int) -> None:
    # An item is an image, for which a detection question is drawn each time. An image has about ten
    # such questions, so it occurs ten times in an epoch.
    pp = common.train_pp(
        c,
        detect=f"detect_vqa(n=1, labelled={organs.LABELLED})",
        prompt="prompt('detect')",
        tok=radgrounder_det.tok(c, masks=masks),
        masks=masks > 0,
    )
    organs_of = dict(builder="slake", only="grounded")
    c.input.data.slake_organs = 10.0
    c.input.slake_organs = dict(organs_of, split="train", pp=pp)
    pp = common.eval_pp(
        c,
        prompt="prompt('detect')",
        ground=common.ground(c, masks > 0),
        tok=radgrounder_det.tok(c, answer=False),
    )
    c.evals.slake_organs = dict(
        organs_of,
        type="grounded",
        split="validation",
        asked=dict(n=2, lang="en", labelled=list(organs.LABELLED)),
        expand=dict(task="detect"),
        pp=pp,
        batch_size=32,
        limit=ml_collections.config_dict.placeholder(int),
        max_new_tokens=200,
        codec=dict(c.codec),
    )
