"""Parts of a config that several recipes and `big_rad.finetune` share.

Each function sets or returns some fields of a config. Recipes import them from `configs.common` and
`configs.radgrounder_det`.
"""

from typing import Any

import ml_collections

from big_rad.pp import strings

MASKS = 8  # The most masks of a text; a sentence names two or three organs.
MASK_LOSSES = {  # The loss that belongs to each variant of the mask decoder.
    "paper": "text_and_masks(lambda_seg=0.1)",
    "released": "text_and_masks(lambda_seg=0.1, masks='bce_dice')",
}
# The augmentation of the published segmentation run.
AUGMENT = "augment(crop=(0.9, 1.0), gamma=(0.7, 1.2), intensity=20, channel_repeat=0.2)"


def compute_in_bfloat16(c: ml_collections.ConfigDict) -> None:
    """Sets the precision and memory settings of large models.

    Matrix products are computed in bfloat16, the decoder recomputes part of each block in the
    backward pass, and the last block computes only the tokens that are used.
    """
    c.model.img.update(remat_policy="none", dtype_mm="bfloat16")
    c.model.llm.update(remat_policy="dots_no_batch", dtype_mm="bfloat16")
    c.model.last_block = "wanted"


def freeze_tower(c: ml_collections.ConfigDict, warmup: float = 0.1) -> None:
    """Freezes SigLIP, but not the projector to the decoder, which is trained.

    Args:
        c: the config.
        warmup: the share of the steps in which the learning rate of all others rises.
    """
    cosine = dict(decay_type="cosine", warmup_percent=warmup)
    c.schedule = (("img/head/.*", cosine), ("img/.*", None), (".*", cosine))


def add_lora(c: ml_collections.ConfigDict, rank: int, masks: bool = False) -> None:
    """Freezes the model and adds LoRA adapters to the decoder, trained at a learning rate of 2e-4.

    Args:
        c: the config.
        rank: the rank of the adapters.
        masks: whether the mask decoder is trained as well.
    """
    c.model.lora = dict(rank=rank, alpha=2.0 * rank, targets=".*")
    trained = "(lora|mask_decoder)/.*" if masks else "lora/.*"
    c.schedule = ((trained, dict(decay_type="cosine", warmup_percent=0.1)), (".*", None))
    c.lr = 2e-4


def built_folder(args: ml_collections.ConfigDict, name: str = "folder") -> dict[str, Any]:
    """Returns the fields of a dataset's entry that choose among several built folders.

    A recipe adds them to the entry, as in `dict(builder="folder", **built_folder(args))`.

    Args:
        args: the arguments of a recipe, among them `folder`, the `--config` of
            `tools.build_dataset`.
        name: the name of the dataset; datasets other than "folder" have no such fields.

    Returns:
        `builder_args` with the name of the built folder; empty for the folder "default" and for
        other datasets.

    Raises:
        ValueError: `folder` is not one word.
    """
    if args.folder == "default":  # The entry stays equal to that in the configs of older runs.
        return {}
    # It is imported here, because the benchmarks run without the packages that it needs.
    from big_rad.datasets import folder

    folder.check_name(args.folder)
    if name != "folder":
        return {}
    return dict(builder_args=dict(config=args.folder))


def xent_eval(
    c: ml_collections.ConfigDict,
    data: dict[str, Any],
    *,
    every: int,
    prompt: str,
    tok: str,
    masks: bool = False,
    **eval_pp_args: str,
) -> dict[str, Any]:
    """Returns the entry of an evaluator of the validation loss, to compare with the training loss.

    Args:
        c: the config, with all fields that `ground` and `eval_pp` read.
        data: the dataset's fields, see `datasets.core.make_source`: `builder`, and usually
            `expand`, such as `expand=dict(per_image=1)`, which makes each text an item of its own.
        every: the number of steps between two evaluations.
        prompt, tok: the op strings `prompt(...)` and `tok(...)` of training, but for one text per
            row.
        masks: see `ground`.
        eval_pp_args: the arguments `view` and `clean` of `eval_pp`.
    """
    pp = strings.eval_pp(c, prompt=prompt, ground=strings.ground(c, masks), tok=tok, **eval_pp_args)
    return dict(data, type="xent", split="validation", pp=pp, batch_size=32, every=every)
