"""The demo: `radgrounder_det` shrunk to a tiny model on phantom slices, for two CPU cores.

    --config=configs/demo.py            # what `make demo` runs
    --config=configs/demo.py:steps=18000   # four times as long
    --config=configs/demo.py:full       # all phantom classes (build the data with --config=full)

What differs from the recipe, and why: random weights instead of PaliGemma 2, AdamW at 2e-3
(better than Adafactor at this size), 112 px, and several texts of an image in one row
(`image_isolated`), which nearly doubles the texts a second.
"""

import ml_collections

from big_rad import config as config_lib
from configs import common, radgrounder_det

_BLOCK = 80  # A text has at most this many tokens; attention is computed block by block.
_BLOCKS = 3
_MAX_LOSS = 136  # Target tokens of a row.
_MAX_PROMPT = 64


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(arg, steps=4500, texts=8, batch=8, full=False, limit=300)
    c = radgrounder_det.get_config("variant=tiny,data=phantom,size=112")
    c.total_epochs = None
    c.total_steps = a.steps
    c.ckpt_steps = 1000
    c.log_training_steps = 100
    c.optimizer = "adamw"
    c.optimizer_args = dict(b2=0.98)
    c.lr = 2e-3
    c.schedule = ((".*", dict(decay_type="cosine", warmup_percent=0.03)),)
    c.model.mask_mode = "image_isolated"
    c.model.text_block = _BLOCK
    c.model.img.scan = False
    c.model.llm.scan = False
    c.loss = f"text_xent(positions={_MAX_LOSS})"

    data = dict(builder="phantom", builder_args=dict(config="full" if a.full else "demo"))
    c.input.batch_size = a.batch
    c.input.phantom = dict(
        data,
        split="train",
        pp=common.train_pp(
            c,
            augment="augment(shift=10)",
            prompt=f"prompt(n={a.texts}, style='question', grounded='always')",
            tok=f"tok(length={_BLOCK * _BLOCKS}, block={_BLOCK}, max_loss={_MAX_LOSS}, pack=True)",
            packed=True,
        ),
    )
    _add_evals(c, dict(data, split="test", limit=a.limit, batch_size=100, codec=dict(c.codec)))
    c.summary = dict(
        g_iou="report/g_iou",
        g_iou_blank="report_blank/g_iou",
        g_iou_shuffled="report_shuffled/g_iou",
        g_iou_detect="detect/g_iou",
        g_iou_detect_blank="detect_blank/g_iou",
        g_iou_detect_shuffled="detect_shuffled/g_iou",
        valid_markup="report/valid_markup",
        vqa_yes_no_accuracy="vqa/accuracy_yes_no",
        vqa_yes_no_accuracy_blank="vqa_blank/accuracy_yes_no",
        report_f1="report/report_f1",
    )
    return c


def _add_evals(c: ml_collections.ConfigDict, spec: dict) -> None:
    def pp(task: str) -> str:
        return common.eval_pp(
            c,
            prompt=f"prompt(tasks='{task}', n=1, style='question', grounded='always')",
            tok=f"tok(length={_MAX_PROMPT}, max_text={_MAX_PROMPT}, answer=False)",
        )

    for name, kind in (("report", "grounded"), ("detect", "grounded"), ("vqa", "vqa")):
        common.add_eval(
            c.evals,
            name,
            dict(
                spec,
                type=kind,
                expand=dict(task=name, per_image=1),
                pp=pp(name),
                max_new_tokens=16 if kind == "vqa" else _BLOCK,
            ),
        )
