"""RadGrounder with boxes: the published recipe, and arguments that shrink it.

    --config=configs/radgrounder_det.py
    --config=configs/radgrounder_det.py:variant=tiny,data=phantom,size=112

PaliGemma 2 3B at 224 px, its SigLIP adapted to RefRad2D and frozen (give it as
`--config.model_init_img`), projector and language model trained with Adafactor at 5e-5, 288
examples a step, 6 epochs. Reports, questions and grounded reports are mixed with SLAKE and
VQA-RAD.
"""

import ml_collections

from big_rad import config as config_lib
from big_rad.models import gemma, paligemma, siglip
from configs import common

_REFRAD2D_SENTENCES = 192_000  # Items an epoch; decides only the share of the public sets.
_PUBLIC = {"slake": 4_919, "vqa_rad": 785}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(arg, variant="3b", data="refrad2d", size=224)
    c = common.base()
    c.image.size = a.size
    c.model = paligemma.VARIANTS[a.variant]
    c.model.img.update(siglip.VARIANTS[c.model.img.variant])  # So that any size can be overridden.
    c.model.llm.update(gemma.VARIANTS[c.model.llm.variant])
    if a.variant == "tiny":
        c.tokenizer.path = "tiny"
        c.frozen_dtype = "float32"
    else:
        c.model_init = f"paligemma2-{a.variant}-pt-{a.size}.npz"
        c.model.img.update(remat_policy="none", dtype_mm="bfloat16")
        c.model.llm.update(remat_policy="dots_no_batch", dtype_mm="bfloat16")
        c.schedule = (
            ("img/head/.*", dict(decay_type="cosine", warmup_percent=0.1)),
            ("img/.*", None),
            (".*", dict(decay_type="cosine", warmup_percent=0.1)),
        )
    c.input.batch_size = 288
    c.grad_accum = 12
    c.total_epochs = 6.0
    {"refrad2d": _refrad2d, "phantom": _phantom}[a.data](c)
    return c


def _refrad2d(c: ml_collections.ConfigDict) -> None:
    c.input.data = dict(refrad2d=_REFRAD2D_SENTENCES, **_PUBLIC)
    for name in c.input.data:
        c.input[name] = dict(builder=name, split="train", pp=_train_pp(c))


def _phantom(c: ml_collections.ConfigDict) -> None:
    c.input.data = dict(phantom=1.0)
    c.input.phantom = dict(
        builder="phantom", builder_args=dict(config="demo"), split="train", pp=_train_pp(c)
    )
    c.input.batch_size = 24
    c.grad_accum = 1


def _train_pp(c: ml_collections.ConfigDict) -> str:
    return common.train_pp(
        c,
        prompt="prompt(tasks='report,vqa', n=1, grounded=True)",
        tok=f"tok('{c.tokenizer.path}', {tuple(c.tokenizer.sets)}, length=202, max_text=200)",
    )
