"""Adapts SigLIP to pairs of images and report texts, as the tower that RadGrounder stands on.

    --config=configs/siglip_refrad2d.py                            # So400m/14 on RefRad2D
    --config=configs/siglip_refrad2d.py:data=folder,folder=clinic  # on your own data
    --config=configs/siglip_refrad2d.py:init=siglip.npz,tokenizer=spiece.model  # from elsewhere
    --config=configs/siglip_refrad2d.py:variant=tiny,data=phantom  # minutes, on two CPU cores

It starts from SigLIP 2, which learned many languages, and is described in docs/siglip.md.
"""

import pathlib

import ml_collections

from big_rad import fields
from big_rad.config import recipes as config_lib
from big_rad.models import siglip, two_towers
from big_rad.pp import ops_caption, strings
from configs import common

_INIT = "siglip2-so400m-patch14-224"
_FILES = (".npz", ".bin", ".pt", ".pth", ".safetensors")
# The evaluators and their numbers of images. The level of chance of a search depends on it.
_EVALUATED = {"retrieval": 300, "zero_shot": 600}
# The sentences of the phantom that say on which side a lesion is. Most others that name a side
# are as true of the other side, such as "The left kidney is normal".
_LESIONS = {"en": r"^(?!.*\b(no|without)\b).*[Ll]esion", "de": r"^(?!.*\b(ohne|keine)\b).*Läsion"}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        variant=("so400m", "tiny"),
        init="",
        tokenizer="",
        size=0,
        length=0,
        data=("refrad2d", "folder", "phantom"),
        folder="default",
        style=ops_caption.STYLES,
        texts=0,
        sides=False,
        batch=0,
        steps=0,
    )
    fields.check_arguments(
        a,
        texts=fields.whole(0, 16),
        **dict.fromkeys(("size", "length", "batch", "steps"), fields.whole(0)),
    )
    tiny = a.variant == "tiny"
    if a.data == "phantom" and not tiny:
        raise ValueError(
            "config argument 'data=phantom' needs 'variant=tiny': the phantom is drawn for towers "
            "that start from random values, and teaches So400m nothing about scans"
        )
    c = common.base()
    c.model_name, c.loss = "two_towers", "sigmoid_pairs()"
    c.tokenizer.sets = ()  # Texts point at nothing.
    c.image.size = a.size or (112 if tiny else 224)
    length = a.length or (48 if tiny else 64)
    c.model = two_towers.VARIANTS[a.variant]
    c.model.img.update(siglip.VARIANTS[c.model.img.variant])
    c.model.txt.update(two_towers.TEXT_VARIANTS[c.model.txt.variant], length=length)
    for part in (c.model.img, c.model.txt):
        part.remat_policy = "none"
    c.model_init = a.init or ("" if tiny else _INIT)
    folder = pathlib.PurePath(c.model_init)
    beside = str(folder.parent if folder.suffix in _FILES else folder) if c.model_init else "tiny"
    c.tokenizer.path = a.tokenizer or beside
    if tiny:
        _set_tiny(c)
    else:
        c.grad_accum = 16
        for part in (c.model.img, c.model.txt):
            part.update(remat_policy="dots_no_batch", dtype_mm="bfloat16")
    source = dict(builder=a.data, split="train")
    if a.data == "phantom":
        source["builder_args"] = dict(config="demo")
    elif a.data == "folder":
        source |= common.built_folder(a, a.data)
    view = "" if a.data == "phantom" else "view('random')"
    augment = "augment(shift=4)" if tiny else "augment(crop=(0.9, 1.0), gamma=(0.7, 1.2))"
    # Further texts cost little beside their image, and a short run has to learn fast.
    texts = a.texts or (4 if tiny else 1)
    source["pp"] = strings.pair_pp(
        c,
        length=length,
        view=view,
        augment=augment,
        style=a.style,
        texts=texts,
        exchanged=a.sides,
    )
    for lang in ("en", "de"):
        pp = strings.pair_pp(
            c, length=length, view=view.replace("random", "first"), langs=(lang,),
            style="report", choose="first", keep=False,
        )  # fmt: skip
        expand = dict(task="report", lang=lang, together=True)
        spec = {k: v for k, v in source.items() if k not in ("split", "pp")}
        # Without `every`, so only after training.
        spec |= dict(split="validation", expand=expand, pp=pp, batch_size=64)
        for kind, limit in _EVALUATED.items():
            sided = kind == "zero_shot" and a.data == "phantom"
            own = dict(sentences=_LESIONS[lang]) if sided else {}
            common.add_eval(c.evals, f"{kind}_{lang}", dict(spec, type=kind, limit=limit, **own))
    scores = dict(
        r10_text="retrieval", r10_image="retrieval", side="zero_shot", auroc_organ="zero_shot"
    )
    if a.data == "phantom":
        scores |= dict(side_sentences="zero_shot")
    c.summary = {
        f"{score}_{lang}": f"{kind}_{lang}/{score}"
        for lang in ("en", "de")
        for score, kind in scores.items()
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
    c.model.img.posemb_init = "sincos2d"
    c.model.bias_init = -5.0
    for part in (c.model.img, c.model.txt):
        part.scan = False
    c.optimizer, c.optimizer_args, c.lr = "muon", dict(rms=0.4, b2=0.98), 2e-3
    c.lr_mults = (("img/embedding/.*", 0.05), ("[tb]", 10.0), (".*", 1.0))
