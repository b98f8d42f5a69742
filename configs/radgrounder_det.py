"""Trains RadGrounder with boxes: the published recipe, its ablations, and smaller variants.

    --config=configs/radgrounder_det.py
    --config=configs/radgrounder_det.py:siglip=unfrozen
    --config=configs/radgrounder_det.py:data=folder       # a group's own data, see docs/data.md
    --config=configs/radgrounder_det.py:data=folder,folder=clinic  # built with --config=clinic
    --config=configs/radgrounder_det.py:variant=tiny,data=phantom,size=112

The model is PaliGemma 2 3B at 224 px. Its SigLIP tower is adapted to RefRad2D (give it as
`--config.model_init_img`) and frozen; the projector and the language model are trained with
Adafactor at a learning rate of 5e-5, 288 examples a step, for 6 epochs. Reports, grounded reports
and questions of RefRad2D are mixed with the questions of SLAKE and VQA-RAD. An epoch has every
RefRad2D sentence once, with one of its images, and every public question once.

| row of the published table | arguments |
|---|---|
| detection, frozen adapted SigLIP | (none) |
| SigLIP unfrozen (adapted) | siglip=unfrozen |
| SigLIP unfrozen (original) | siglip=original |
| no grounding | ground=none |
| external data only | data=external,ground=none |
| internal data, no grounding | data=internal,ground=none |
| internal data, detection | data=internal |

Arguments beyond the published recipe:
- `vqa_per_image=k` also trains on k questions of each sentence in an epoch. Without it, the recipe
  draws one text for each sentence, and never a question if the image has boxes.
- `ground_share=0.5` draws a plain report or a question half of the time for images with boxes.
- `texts=n` puts n texts of an image into one row. This uses another attention mask than the
  original: `image_isolated`.
- `released=True` cleans reports (spaces around punctuation) and cuts boxes to whole pixels, as in
  the training data of the released checkpoints.
- `lora=16` freezes the model and trains adapters of rank 16 in all matrices of the decoder and in
  its token table, and the mask decoder if there is one. It is for cards with little memory.
"""

from typing import Any

import ml_collections

from big_rad import fields, registry
from big_rad.config import recipes as config_lib
from big_rad.models import gemma, paligemma, siglip
from big_rad.pp import strings
from big_rad.pp.strings import tok
from big_rad.recipe_parts import AUGMENT, MASK_LOSSES, MASKS
from big_rad.recipe_parts import add_lora as add_lora
from big_rad.recipe_parts import compute_in_bfloat16 as compute_in_bfloat16
from big_rad.recipe_parts import freeze_tower as freeze_tower
from configs import common

_PUBLIC = ("slake", "vqa_rad")
_DATA = {
    "all": ("refrad2d", *_PUBLIC),
    "internal": ("refrad2d",),
    "external": _PUBLIC,
    "folder": ("folder",),
}
# Target tokens whose logits are computed at once, see `head_loss.xent`. Each tile reads and writes
# the gradient of the token table, float32 [V, D], which takes a GPU as long as 370 target tokens.
# So tiles are large.
_TILE = 8192
_XENT, _XENT_EVERY = 512, 500  # The examples of an evaluation of the loss; its steps in between.


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        variant=("3b", "10b", "28b", "tiny"),
        size=224,
        data=("all", "internal", "external", "folder", "phantom"),
        folder="default",
        siglip=("frozen", "unfrozen", "original"),
        ground=("boxes", "none", "masks"),
        vqa_per_image=0,
        ground_share=1.0,
        texts=1,
        released=False,
        lora=0,
    )
    fields.check_arguments(
        a,
        **dict.fromkeys(("size", "texts"), fields.whole(1)),
        **dict.fromkeys(("vqa_per_image", "lora"), fields.whole(0)),
        ground_share=fields.number(low=0, high=1),
    )
    if a.folder != "default" and a.data != "folder":
        raise ValueError(
            f"config argument 'folder={a.folder}': goes with data=folder, and data is {a.data!r}"
        )
    c = model_config(a.variant, a.size, tower=a.siglip)
    if a.lora:
        add_lora(c, a.lora, masks=a.ground == "masks")
    if a.ground == "masks":
        add_masks(c, a.released)
    if a.variant != "tiny" and not a.lora:  # With adapters, the token table has no gradient.
        c.loss = registry.with_args(c.loss, tile=_TILE)
    c.codec.grid = strings.RELEASED_GRID if a.released else None
    c.input.batch_size = 288
    # Microbatches of 36 rows fit a card of 80 GB at any row length. The original has 12 of 24 rows;
    # the result is the same.
    c.grad_accum = 8
    c.total_epochs = 6.0
    if a.data == "phantom":
        _phantom(c, a)
        return c
    c.text.clean = "released" if a.released else ""  # The strings below read it.
    if a.texts > 1:
        c.model.mask_mode = "image_isolated"
    elif a.variant != "tiny":  # A tiny model would lose more time to compiling than it saves.
        c.input.buckets = (32, 48, 64, 80, 96, 128)
    c.input.weights = "epochs"
    c.input.data = dict.fromkeys(_DATA[a.data], 1.0)
    for name in _DATA[a.data]:
        if name in _PUBLIC:
            augment = AUGMENT if a.ground == "masks" else ""
            c.input[name] = public(c, name, texts=a.texts, masks=_masks(a), augment=augment)
            c.evals[name] = public_eval(c, name)
            c.evals[f"{name}_xent"] = public_xent(c, name)
            continue
        c.input[name] = _reports(c, a, name, _prompt(a))
        if a.vqa_per_image:
            c.input.data[f"{name}_vqa"] = float(a.vqa_per_image)
            c.input[f"{name}_vqa"] = _reports(c, a, name, f"prompt('vqa', n={a.texts})")
        for lang in ("en", "de"):
            c.evals[f"{name}_{lang}"] = _report_eval(c, a, name, lang)
        c.evals[f"{name}_xent"] = common.xent_eval(
            c,
            dict(
                builder=name,
                expand=dict(task="report", items=_XENT),
                **common.built_folder(a, name),
            ),
            every=_XENT_EVERY,
            view="view('first')",
            clean=strings.clean(c),
            prompt=f"prompt('report', style='both', grounded={a.ground != 'none'})",
            tok=tok(c),
            masks=a.ground == "masks",
        )
    return c


def model_config(variant: str, size: int, tower: str = "frozen") -> ml_collections.ConfigDict:
    """Returns a config of the model and its optimisation, without data.

    Args:
        variant: "3b", "10b", "28b", or "tiny", which starts from random weights.
        size: the side of the image in pixels.
        tower: "frozen" or "unfrozen" for a SigLIP tower with adapted weights, which are given in
            `model_init_img`; "original" for PaliGemma's own weights, unfrozen.
    """
    c = common.base()
    c.image.size = size
    c.model = paligemma.VARIANTS[variant]
    # Writes out the sizes of the variant, so that each can be overridden on the command line.
    c.model.img.update(siglip.VARIANTS[c.model.img.variant])
    c.model.llm.update(gemma.VARIANTS[c.model.llm.variant])
    for part in (c.model.img, c.model.llm):
        part.remat_policy = "none"
    if variant == "tiny":
        c.tokenizer.path = "tiny"
        c.frozen_dtype = "float32"
        return c
    c.model_init = f"paligemma2-{variant}-pt-{size}.npz"
    compute_in_bfloat16(c)
    if tower == "frozen":
        freeze_tower(c)
    return c


def public(
    c: ml_collections.ConfigDict, name: str, texts: int = 1, masks: int = 0, **kw: str
) -> dict[str, Any]:
    """Returns the training entry of a public dataset, in which each question is an item.

    Args:
        c: the config.
        name: the dataset.
        texts: the number of questions about an image that share a row.
        masks: the maximum number of masks in a row; 0 for a model without masks.
        kw: other ops of `train_pp`, such as `augment`.
    """
    pp = common.train_pp(
        c,
        prompt="prompt('vqa')",
        tok=tok(c, texts, masks=masks),
        packed=texts > 1,
        masks=masks > 0,
        **kw,
    )
    return dict(builder=name, split="train", expand=dict(task="vqa"), pp=pp)


def public_eval(c: ml_collections.ConfigDict, name: str) -> dict[str, Any]:
    """Returns the entry of `evals` for the validation questions of a public dataset."""
    pp = common.eval_pp(c, prompt="prompt('vqa')", tok=tok(c, answer=False))
    return dict(
        type="vqa",
        builder=name,
        split="validation",
        expand=dict(task="vqa"),
        pp=pp,
        batch_size=32,
        limit=ml_collections.config_dict.placeholder(int),
        max_new_tokens=200,
    )


def public_xent(c: ml_collections.ConfigDict, name: str) -> dict[str, Any]:
    """Returns the entry of `evals` for the loss of a public dataset's validation answers."""
    data = dict(builder=name, expand=dict(task="vqa", items=_XENT))
    return common.xent_eval(c, data, every=_XENT_EVERY, prompt="prompt('vqa')", tok=tok(c))


def add_masks(c: ml_collections.ConfigDict, released: bool = False) -> None:
    """Adds a mask decoder and its loss to a config.

    Args:
        c: the config.
        released: whether to take the decoder of the released weights instead of the paper's.
    """
    c.model_name = "radgrounder"
    c.dont_load = ("mask_decoder/.*",)  # PaliGemma's checkpoints have no mask decoder.
    if released:
        # The released model has no tokens of boxes, which would shift the ids of those of masks.
        c.tokenizer.sets = ("segmentation",)
        width, dtype = c.model.llm.width, c.model.llm.get("dtype_mm", "float32")
        sizes = dict(dim=width, mlp_dim=4 * width, dtype_mm=dtype)
        c.model.mask_decoder = dict(variant="released", **sizes)
        c.loss = MASK_LOSSES["released"]
        return
    tiny = c.model.img.variant == "tiny"
    sizes = dict(dim=64, num_heads=4, mlp_dim=128) if tiny else dict(dtype_mm="bfloat16")
    c.model.mask_decoder = dict(variant="paper", **sizes)
    c.loss = MASK_LOSSES["paper"]


def _masks(a: Any) -> int:
    return MASKS * a.texts if a.ground == "masks" else 0


def _prompt(a: Any) -> str:
    if a.ground == "none":
        return f"prompt('report,vqa', n={a.texts}, grounded=False)"
    return f"prompt('report,vqa', n={a.texts}, ground_share={a.ground_share})"


def _reports(c: ml_collections.ConfigDict, a: Any, name: str, prompt: str) -> dict[str, Any]:
    pp = common.train_pp(
        c,
        view="view('random')",
        clean=strings.clean(c),
        prompt=prompt,
        tok=tok(c, a.texts, masks=_masks(a)),
        packed=a.texts > 1,
        masks=a.ground == "masks",
        augment=AUGMENT if a.ground == "masks" else "",
    )
    return dict(builder=name, split="train", pp=pp, **common.built_folder(a, name))


def _report_eval(c: ml_collections.ConfigDict, a: Any, name: str, lang: str) -> dict[str, Any]:
    # The published protocol: 2,000 sentences for each language (the published draw was another
    # one), the first image of each sentence, greedy decoding, at most 200 new tokens. Here it uses
    # the validation split, since a test split must not be used to choose between checkpoints.
    pp = common.eval_pp(
        c,
        view="view('first')",
        clean=strings.clean(c),
        prompt=f"prompt('report', lang='{lang}', style='both', grounded={a.ground != 'none'})",
        ground=common.ground(c, a.ground == "masks"),
        tok=tok(c, answer=False),
    )
    return dict(
        type="grounded",
        builder=name,
        split="validation",
        expand=dict(task="report", lang=lang, items=2000, view="first"),
        pp=pp,
        batch_size=32,
        limit=ml_collections.config_dict.placeholder(int),
        max_new_tokens=200,
        codec=dict(c.codec),
        **common.built_folder(a, name),
    )


def _phantom(c: ml_collections.ConfigDict, a: Any) -> None:
    c.input.data = dict(phantom=1.0)
    prompt = f"prompt('report,vqa', n=1, grounded={a.ground != 'none'})"
    masks = _masks(a)
    c.input.phantom = dict(
        builder="phantom",
        builder_args=dict(config="demo"),
        split="train",
        pp=common.train_pp(
            c,
            prompt=prompt,
            tok=tok(c, masks=masks),
            masks=masks > 0,
            augment=AUGMENT if masks else "",
        ),
    )
    c.input.batch_size = 24
    c.grad_accum = 1
