"""Adapts SigLIP to image-report pairs, as the tower that RadGrounder stands on.

--config=configs/siglip_refrad2d.py                     # So400m/14 on RefRad2D
--config=configs/siglip_refrad2d.py:variant=tiny,data=phantom   # minutes, on two CPU cores
"""

import ml_collections

from big_rad import fields
from big_rad.config import recipes as config_lib
from big_rad.models import siglip, two_towers
from big_rad.pp import strings
from configs import common


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        variant=("so400m", "tiny"),
        size=224,
        length=0,
        data=("refrad2d", "folder", "phantom"),
        folder="default",
        batch=0,
        steps=0,
    )
    fields.check_arguments(
        a, size=fields.whole(1), length=fields.whole(0), batch=fields.whole(0),
        steps=fields.whole(0),
    )  # fmt: skip
    c = common.base()
    tiny = a.variant == "tiny"
    c.model_name, c.loss = "two_towers", "sigmoid_pairs()"
    c.image.size = 112 if tiny and a.size == 224 else a.size
    length = a.length or (48 if tiny else 64)
    c.model = two_towers.VARIANTS[a.variant]
    c.model.img.update(siglip.VARIANTS[c.model.img.variant])
    c.model.txt.update(two_towers.TEXT_VARIANTS[c.model.txt.variant], length=length)
    for part in (c.model.img, c.model.txt):
        part.remat_policy = "none"
    if tiny:
        _set_tiny(c)
    else:
        c.model_init = "siglip2-so400m-patch14-224"
        for part in (c.model.img, c.model.txt):
            part.update(remat_policy="dots_no_batch", dtype_mm="bfloat16")
    source = dict(builder=a.data, split="train")
    if a.data == "phantom":
        source["builder_args"] = dict(config="demo")
    elif a.data == "folder":
        source |= common.built_folder(a, a.data)
    view = "" if a.data == "phantom" else "view('random')"
    augment = "augment(shift=4)" if tiny else "augment(crop=(0.9, 1.0), gamma=(0.7, 1.2))"
    source["pp"] = strings.pair_pp(c, length=length, view=view, augment=augment)
    for lang in ("en", "de"):
        pp = strings.pair_pp(
            c, length=length, view=view.replace("random", "first"), langs=(lang,),
            style="report", choose="first", keep=False,
        )  # fmt: skip
        expand = dict(task="report", lang=lang, together=True)
        spec = {k: v for k, v in source.items() if k not in ("split", "pp")}
        spec |= dict(type="retrieval", split="validation", expand=expand, pp=pp, batch_size=64)
        common.add_eval(c.evals, f"retrieval_{lang}", spec)
    c.summary = {
        f"r10_{way}_{lang}": f"retrieval_{lang}/r10_{way}"
        for lang in ("en", "de")
        for way in ("text", "image")
    }
    c.input.data = {a.data: 1.0}
    c.input[a.data] = source
    c.input.batch_size = a.batch or (128 if tiny else 4096)
    c.grad_clip_norm = 1.0
    c.schedule = ((".*", dict(decay_type="cosine", warmup_percent=0.1)),)
    c.total_epochs = 10.0
    if a.steps:
        c.total_epochs, c.total_steps = None, a.steps
    return c


def _set_tiny(c: ml_collections.ConfigDict) -> None:
    # As in the demo, whose docstring says why: Muon, sine waves as positions, and a patch embedding
    # that learns slowly. Temperature and bias start near their final values and learn fast, since
    # a run of a few hundred steps has no time to find them.
    c.tokenizer.path = "tiny"
    c.model.img.posemb_init = "sincos2d"
    c.model.bias_init = -5.0
    for part in (c.model.img, c.model.txt):
        part.scan = False
    c.optimizer, c.optimizer_args, c.lr = "muon", dict(rms=0.4, b2=0.98), 2e-3
    c.lr_mults = (("img/embedding/.*", 0.05), ("[tb]", 10.0), (".*", 1.0))
