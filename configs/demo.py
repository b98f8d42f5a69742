"""The demo: `radgrounder_det` shrunk to a tiny model on phantom slices, for two CPU cores.

    --config=configs/demo.py               # what `make demo` runs
    --config=configs/demo.py:steps=18000   # four times as long
    --config=configs/demo.py:full          # all phantom classes (build the data with --config=full)
    --config=configs/demo.py:ground=masks  # masks instead of boxes, what `make demo-seg` runs
    --config=configs/demo.py:alone         # each text in a row of its own, as the original has them
    --config=configs/demo.py:held_out      # without eight of its 20 classes, as if never labelled
    --config=configs/demo.py:init=runs/base,lora=8,steps=1000  # goes on from it, adapters alone
    --config=configs/demo.py:tower=frozen --config.model_init_img=runs/siglip  # an adapted tower

It differs from `radgrounder_det` in these points:
- The weights start from random values instead of PaliGemma 2. The optimizer is Muon, with which
  boxes and yes/no answers were learnt much sooner than with AdamW.
- Images have 112 px, and a row has several texts of an image (`image_isolated`). This doubles the
  number of texts a second.
- The loss is averaged over texts. Averaged over tokens, yes/no answers of one token would hardly
  count.
- The patch embedding learns slowly, and the position embedding starts as sine waves. Neighbouring
  pixels are so similar that Adam made the patch embedding grow until it drowned the positions, and
  boxes were hardly learnt.
- Boxes are written on a grid of 56 lines, two pixels apart, so that there are only half as many
  coordinates to learn as there are pixels.
- The loss of masks has the weight 4 instead of 0.1, because the model has never seen an image: with
  0.1 masks had an IoU of 0.28, with 4 they have 0.67. The mask decoder learns at a fifth of the
  rate. It has a fourth of the cells, as images have a fourth of the pixels.
- The soft cap of the attention is off, which saves time. PaliGemma 2's authors also switched it off
  for fine-tuning.
"""

from typing import Any

import ml_collections

from big_rad import fields
from big_rad.config import recipes as config_lib
from configs import common, radgrounder_det

# For each kind of markup: the tokens of a block, the blocks of a row, and the maximum number of
# target tokens in a row. Attention is computed block by block, and a block holds whole texts. Texts
# without boxes are shorter.
_SIZES = {"boxes": (80, 3, 136), "masks": (56, 4, 96)}
_STEPS = {"boxes": 4500, "masks": 2600}
_MAX_PROMPT = 64
_GRID = 56
_WARMUP = 0.03
_MASKS = 8  # The maximum number of masks in a row.
_HELD_OUT = (
    "spleen", "kidney_right", "kidney_left", "urinary_bladder", "heart", "hip_left", "hip_right",
    "brain",
)  # fmt: skip
_SUMMARY = {
    "g_iou": "report/g_iou",
    "g_iou_blank": "report_blank/g_iou",
    "g_iou_shuffled": "report_shuffled/g_iou",
    "g_iou_detect": "detect/g_iou",
    "g_iou_detect_blank": "detect_blank/g_iou",
    "g_iou_detect_shuffled": "detect_shuffled/g_iou",
    "valid_markup": "report/valid_markup",
    "valid_markup_detect": "detect/valid_markup",
    "vqa_yes_no_accuracy": "yes_no/accuracy",
    "vqa_yes_no_accuracy_blank": "yes_no_blank/accuracy",
    "vqa_accuracy": "vqa/accuracy",
    "report_f1": "report/report_f1",
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        steps=0,
        texts=8,
        batch=8,
        full=False,
        limit=300,
        seed=0,
        ground=("boxes", "masks"),
        lambda_seg=4.0,
        alone=False,
        held_out=False,
        init="",
        lora=0,
        tower=("unfrozen", "frozen"),
    )
    given = [item.partition("=")[0] for item in (arg or "").split(",")]
    fields.check_arguments(
        a,
        steps=fields.whole(1 if "steps" in given else 0),  # 0, the default, stands for `_STEPS`.
        seed=fields.whole(0),
        lambda_seg=fields.number(low=0),
        **dict.fromkeys(("texts", "batch", "limit"), fields.whole(1)),
        lora=fields.whole(0),
    )
    c = radgrounder_det.get_config(f"variant=tiny,data=phantom,size=112,ground={a.ground}")
    c.seed = a.seed
    c.total_epochs = None
    c.total_steps = a.steps or _STEPS[a.ground]
    c.ckpt_steps = 500
    c.log_training_steps = 100
    masks = a.ground == "masks"
    _set_model(c, a, masks)
    _set_optimisation(c, a, masks)
    data = dict(builder="phantom", builder_args=dict(config="full" if a.full else "demo"))
    _set_input(c, a, masks, data)
    _set_evals(c, a, masks, data)
    return c


def _set_model(c: ml_collections.ConfigDict, a: ml_collections.ConfigDict, masks: bool) -> None:
    c.codec.grid = _GRID
    c.model.img.update(depth=4, posemb_init="sincos2d", scan=False)
    c.model.llm.update(attn_logits_softcap=0.0, scan=False)
    if not a.alone:
        c.model.mask_mode = "image_isolated"
        c.model.text_block = _SIZES[a.ground][0]
    c.model.last_block = "wanted"
    if masks:
        c.model.mask_decoder.min_side = 28  # A quarter of the image's side, as 56 is for 224.
    c.model_init = a.init


def _set_optimisation(
    c: ml_collections.ConfigDict, a: ml_collections.ConfigDict, masks: bool
) -> None:
    c.optimizer = "muon"
    c.optimizer_args = dict(rms=0.4, b2=0.98)
    c.lr = 2e-3
    c.lr_mults = (("img/embedding/.*", 0.05), (".*", 1.0))
    if masks:
        c.lr_mults = (("img/embedding/.*", 0.3), ("mask_decoder/.*", 0.2), (".*", 1.0))
    c.schedule = ((".*", dict(decay_type="cosine", warmup_percent=_WARMUP)),)
    if a.tower == "frozen":
        radgrounder_det.freeze_tower(c, warmup=_WARMUP)
    if a.lora:
        radgrounder_det.add_lora(c, a.lora, masks=masks)
        c.lr, c.lr_mults = 5e-3, ((".*", 1.0),)
    loss = "mean='example'"
    c.loss = f"text_and_masks({loss}, lambda_seg={a.lambda_seg})" if masks else f"text_xent({loss})"


def _set_input(
    c: ml_collections.ConfigDict, a: ml_collections.ConfigDict, masks: bool, data: dict[str, Any]
) -> None:
    block, blocks, max_loss = _SIZES[a.ground]
    row = f"length={block * blocks}, block={block}, max_loss={max_loss}, pack=True"
    if a.alone:  # The larger batch below keeps the number of texts in a step.
        row = f"length={block}"
    c.input.batch_size = a.batch * (a.texts if a.alone else 1)
    c.input.phantom = dict(
        data,
        split="train",
        pp=common.train_pp(
            c,
            view=f"without({', '.join(map(repr, _HELD_OUT))})" if a.held_out else "",
            augment="augment(shift=4)",
            prompt=f"prompt(n={1 if a.alone else a.texts}, style='question', grounded='always')",
            tok=f"tok({row}, masks={_MASKS if masks else 0})",
            packed=not a.alone,
            masks=masks,
        ),
    )


def _set_evals(
    c: ml_collections.ConfigDict, a: ml_collections.ConfigDict, masks: bool, data: dict[str, Any]
) -> None:
    block = _SIZES[a.ground][0]
    # References keep their full precision, so that scores do not depend on the model's grid.
    spec = dict(data, split="test", limit=a.limit, batch_size=100, codec=common.CODEC)
    _add_evals(c, spec, masks, block)
    c.evals.xent = common.xent_eval(
        c,
        dict(data, expand=dict(per_image=1), limit=min(a.limit, 200)),
        every=c.ckpt_steps,
        prompt="prompt(n=1, style='question', grounded='always')",
        tok=f"tok(length={block})",
        masks=masks,
    )
    c.summary = dict(_SUMMARY)
    if masks:
        for name, of in (("", "report"), ("_detect", "detect")):
            c.summary[f"mean_iou{name}"] = f"{of}/mean_iou"
            c.summary[f"blank_masks{name}"] = f"{of}/blank_masks"


def _add_evals(c: ml_collections.ConfigDict, spec: dict[str, Any], masks: bool, block: int) -> None:
    for name, kind, expand in (
        ("report", "grounded", dict(task="report")),
        ("detect", "grounded", dict(task="detect")),
        ("yes_no", "vqa", dict(task="vqa", question_type="yesno")),
        ("vqa", "vqa", dict(task="vqa")),
    ):
        pp = common.eval_pp(
            c,
            prompt=f"prompt('{expand['task']}', n=1, style='question', grounded='always')",
            ground="ground('masks')" if masks else "ground('boxes')",
            tok=f"tok(length={_MAX_PROMPT}, max_text={_MAX_PROMPT}, answer=False)",
        )
        spec = dict(
            spec,
            type=kind,
            expand=dict(expand, per_image=1),
            pp=pp,
            max_new_tokens=16 if kind == "vqa" else block,
        )
        common.add_eval(c.evals, name, spec)
