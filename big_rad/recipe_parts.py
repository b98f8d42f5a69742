"""Parts of configs that several recipes and the fitting of `finetune` share.

Each function takes a config and sets or returns some of its fields. The recipes reach them as
`configs.common` and `configs.radgrounder_det`.
"""

from typing import Any

import ml_collections

from big_rad.pp import strings

MASKS = 8  # The most masks of a text; sentences name two or three organs.
MASK_LOSSES = {  # of each variant of the mask decoder
    "paper": "text_and_masks(lambda_seg=0.1)",
    "released": "text_and_masks(lambda_seg=0.1, masks='bce_dice')",
}
# Of the published segmentation run.
AUGMENT = "augment(crop=(0.9, 1.0), gamma=(0.7, 1.2), intensity=20, channel_repeat=0.2)"


def compute_in_bfloat16(c: ml_collections.ConfigDict) -> None:
    """Sets what large models compute with: bfloat16, and what their blocks keep."""
    c.model.img.update(remat_policy="none", dtype_mm="bfloat16")
    c.model.llm.update(remat_policy="dots_no_batch", dtype_mm="bfloat16")
    c.model.last_block = "wanted"


def freeze_tower(c: ml_collections.ConfigDict) -> None:
    """Freezes SigLIP; its projector is trained."""
    cosine = dict(decay_type="cosine", warmup_percent=0.1)
    c.schedule = (("img/head/.*", cosine), ("img/.*", None), (".*", cosine))


def add_lora(c: ml_collections.ConfigDict, rank: int, masks: bool = False) -> None:
    """Freezes the model and gives the decoder adapters of a rank, which learn faster."""
    c.model.lora = dict(rank=rank, alpha=2.0 * rank, targets=".*")
    trained = "(lora|mask_decoder)/.*" if masks else "lora/.*"
    c.schedule = ((trained, dict(decay_type="cosine", warmup_percent=0.1)), (".*", None))
    c.lr = 2e-4


def built_folder(a: ml_collections.ConfigDict, name: str = "folder") -> dict[str, Any]:
    """Returns the fields of a dataset's entry that choose among several built folders.

    Args:
        a: arguments of a recipe, among them `folder`, the `--config` of `tools.build_dataset`.
        name: of the dataset; others than "folder" have no such fields.

    Raises:
        ValueError: `folder` is not one word.
    """
    if a.folder == "default":  # As in configs of runs of before.
        return {}
    from big_rad.datasets import folder  # Needs packages that a benchmark does without.

    folder.check_name(a.folder)
    if name != "folder":
        return {}
    return dict(builder_args=dict(config=a.folder))


def xent_eval(
    c: ml_collections.ConfigDict,
    data: dict[str, Any],
    *,
    every: int,
    prompt: str,
    tok: str,
    masks: bool = False,
    **ops: str,
) -> dict[str, Any]:
    """Returns an evaluation of the loss of validation targets, to stand beside the training loss.

    Args:
        c: the config, with all that `ground` and `eval_pp` read.
        data: `builder` and what belongs to it; `expand` makes one text an item.
        every: steps between two evaluations.
        prompt, tok: ops as for training, of one text a row.
        masks: see `ground`.
        ops: `view` and `clean` of `eval_pp`.
    """
    pp = strings.eval_pp(c, prompt=prompt, ground=strings.ground(c, masks), tok=tok, **ops)
    return dict(data, type="xent", split="validation", pp=pp, batch_size=32, every=every)
