"""Fits the fine-tuning recipe to the user's data, the starting checkpoint and the GPU's memory.

`configs/finetune.py` opens no files. It only names them, in the section `finetune` of the config
and in `model_init`. `fit` opens them and fills in the settings that depend on them: the model, the
preprocessing, the evaluations, and the settings that make the training fit into the memory of the
GPU. Commands call `fit` after they have loaded a config and before they set the fields given on the
command line, so that the command line wins.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import ml_collections

from big_rad import models, recipe_parts, weights
from big_rad.datasets import reject_limit
from big_rad.datasets.folder import builder, images
from big_rad.datasets.folder import source as source_lib
from big_rad.metrics import bootstrap
from big_rad.pp import strings
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import memory
from big_rad.weights import source_config

Log = Callable[[str], None]
SECTION = "finetune"  # The section that a config has until it is fitted.
_HELD_OUT = ("test", "validation")
_HOW_TO_SPLIT = 'write "split": "{}" into all lines of some patients, or add patients'


@dataclasses.dataclass(frozen=True)
class _Contents:
    # The contents of a source: `tasks` maps each split that has patients to the tasks of its texts,
    # `train` is the number of training items, and `context` says whether any item has a clinical
    # context or an indication. `boxed` are the splits with a report that can be grounded in boxes
    # (masks give boxes too), `masked` those with one that can be grounded in masks.
    tasks: dict[str, tuple[str, ...]]
    train: int
    context: bool
    boxed: frozenset[str]
    masked: frozenset[str]


def fit(c: ml_collections.ConfigDict, log: Log = print) -> ml_collections.ConfigDict:
    """Fits a config of configs/finetune.py; any other config is returned unchanged.

    Args:
        c: the config, which is changed in place if it has the section `finetune`. The section is
            then removed. Its fields: `source`, the folder with data.jsonl; `folder`, the name of
            the built records; `lora`, the rank of the LoRA adapters, 0 for no adapters, or -1 for
            adapters of the rank `rank` only if full fine-tuning does not fit the card; `limit`, the
            number of examples of an evaluation.
        log: receives which evaluations the data do not allow, and what is guessed about the
            checkpoint.

    Returns:
        The same config, with all settings filled in.

    Raises:
        FileNotFoundError: The data or the checkpoint do not exist.
        ValueError: Splits or texts are missing, or nothing fits the card.
    """
    if SECTION not in c:
        return c
    with c.unlocked():
        asked = c[SECTION]
        del c[SECTION]
        contents = _look(asked.source, log)
        _put_model(c, log)
        masks = recipe_parts.MASKS if c.model.get("mask_decoder") else 0
        built = recipe_parts.built_folder(asked)
        every = _put_data(c, asked, contents, masks, built)
        _put_evals(c, contents, masks > 0, every, asked.limit, built, log)
        _put_memory(c, asked, masks > 0)
    return c


def _put_data(
    c: ml_collections.ConfigDict,
    asked: ml_collections.ConfigDict,
    contents: _Contents,
    masks: int,
    built: dict[str, Any],
) -> int:
    # Sets the training data, and returns the number of steps of an epoch.
    spec = dict(source=asked.source, max_reject_share=reject_limit.SHARE)
    c.sources = dict(folder=spec | built.get("builder_args", {}))
    c.input.batch_size = min(c.input.batch_size, contents.train)
    pp = strings.train_pp(
        c,
        prompt=f"prompt({','.join(contents.tasks['train'])!r}, n=1)",
        tok=strings.tok(c, masks=masks),
        masks=masks > 0,
        augment=recipe_parts.AUGMENT if masks else "",
    )
    c.input.folder = dict(builder="folder", split="train", pp=pp, **built)
    every = math.ceil(contents.train / c.input.batch_size)
    c.log_training_steps, c.ckpt_steps = max(every // 5, 1), every
    return every


def _look(source: str, log: Log) -> _Contents:
    # The build of the dataset uses the same listing, so that both agree on the splits.
    listing = builder.listing_of(source)
    tasks = {split: _tasks(listing, split) for split in source_lib.SPLITS}
    missing = [s for s in source_lib.SPLITS if not any(i.split == s for i in listing.items)]
    mute = [s for s in ("train", "test") if not tasks[s] and s not in missing]
    if "train" in missing or "test" in missing or mute:
        first = next((str(p) for p in listing.problems if p.level == "error"), "")
        what = [f"no patient in {' and '.join(missing)}"] * bool(missing)
        what += [f"no report and no question in {' and '.join(mute)}"] * bool(mute)
        what = ", ".join(what)
        raise ValueError(
            f"{listing.path.name}: {what}; {first or _HOW_TO_SPLIT.format((missing + mute)[-1])} "
            f"(python -m tools.validate_data folder --source={source})"
        )
    tested = {item.patient for item in listing.items if item.split == "test"}
    if len(tested) < bootstrap.FEWEST:
        log(
            f"patients in the test split: {len(tested)}; fewer than {bootstrap.FEWEST} allow no "
            "verdict on what fine-tuning changed. " + _HOW_TO_SPLIT.format("test")
        )
    return _Contents(
        tasks=tasks,
        train=sum(item.split == "train" for item in listing.items),
        context=any(r.clinical or r.indication for item in listing.items for r in item.rows),
        boxed=frozenset(s for s in tasks if _any_grounded(listing, s, masks=False)),
        masked=frozenset(s for s in tasks if _any_grounded(listing, s, masks=True)),
    )


def _tasks(listing: source_lib.Listing, split: str) -> tuple[str, ...]:
    rows = [row for item in listing.items if item.split == split for row in item.rows]
    return ("report",) * any(r.report for r in rows) + ("vqa",) * any(r.question for r in rows)


def _any_grounded(listing: source_lib.Listing, split: str, masks: bool) -> bool:
    # Returns whether a report of the split mentions a class that its image has a box or mask of.
    # Mask files are not opened, so a mask is taken to have every class.
    for item in listing.items:
        shown = {b.class_id for row in item.rows for b in row.boxes}
        if item.split != split or (item.mask is None and (masks or not shown)):
            continue
        named = {c for row in item.rows if row.report for _, c in images.keywords_of(row)}
        if named & shown or (named and item.mask is not None):
            return True
    return False


def _put_model(c: ml_collections.ConfigDict, log: Log) -> None:
    # Takes the model from the checkpoint; the optimisation stays that of the recipe.
    init = c.model_init
    source_config.put(c, init, log=log)
    # The model is trained on the texts of `source` exactly as they are written, decimals included.
    # This holds for a released checkpoint too, although its own training texts were cleaned.
    c.text.clean = ""
    if (
        weights.kind(init) not in weights.OWN
    ):  # Such a checkpoint gives only the sizes of the model.
        recipe_parts.compute_in_bfloat16(c)
        if "vocab_size" in c.model.llm:  # The tokenizer decides it, as in every other config.
            del c.model.llm["vocab_size"]
    compute = c.model.llm.get("dtype_mm", "float32")
    c.frozen_dtype = "bfloat16" if compute == "bfloat16" else "float32"
    if c.model.get("mask_decoder"):
        c.loss = recipe_parts.MASK_LOSSES[c.model.mask_decoder.get("variant", "paper")]


def _put_evals(
    c: ml_collections.ConfigDict,
    contents: _Contents,
    masks: bool,
    every: int,
    limit: int,
    built: dict[str, Any],
    log: Log,
) -> None:
    c.summary = {}
    for task in dict.fromkeys(t for split in _HELD_OUT for t in contents.tasks[split]):
        style = "both" if contents.context else "none"
        prompt = f"prompt('{task}', style='{style}')"
        spec = dict(
            type="grounded" if task == "report" else "vqa",
            builder="folder",
            split="test",
            expand=dict(task=task),
            pp=strings.eval_pp(
                c,
                prompt=prompt,
                ground=strings.ground(c, masks),
                tok=strings.tok(c, answer=False),
            ),
            batch_size=32,
            limit=limit,
            max_new_tokens=200,
            codec=dict(c.codec),
            **built,
        )
        if task in contents.tasks["test"]:
            c.evals[task] = spec
        if task in contents.tasks["validation"]:
            c.evals[f"{task}_val"] = dict(spec, split="validation", every=every)
    _say_missing(contents, log)
    grounded = contents.masked if masks else contents.boxed
    if contents.tasks["validation"]:
        first = contents.tasks["validation"][0]
        c.ckpt_best = f"{first}_val/{_main_score(first, 'validation' in grounded)}"
    first = contents.tasks["test"][0]
    score = _main_score(first, "test" in grounded)
    c.summary[score] = f"{first}/{score}"
    if contents.tasks["validation"]:
        c.evals.xent = recipe_parts.xent_eval(
            c,
            dict(builder="folder", expand=dict(per_image=1), limit=limit, **built),
            every=every,
            prompt=f"prompt({','.join(contents.tasks['validation'])!r}, n=1)",
            tok=strings.tok(c),
            masks=masks,
        )


def _main_score(task: str, grounded: bool) -> str:
    # Without boxes or masks in the references, G-IoU is NaN, and no checkpoint could be the best.
    if task == "vqa":
        return "f1"
    return "g_iou" if grounded else "report_f1"


def _say_missing(contents: _Contents, log: Log) -> None:
    # Logs which evaluators are left out, and why.
    for task, texts in (("report", "report"), ("vqa", "question")):
        if not any(task in contents.tasks[s] for s in source_lib.SPLITS):
            continue  # No split has texts of this task, so its evaluator need not be mentioned.
        for split, name in zip(_HELD_OUT, (task, f"{task}_val"), strict=True):
            if contents.tasks[split] and task not in contents.tasks[split]:
                log(f"{name}: left out, no {texts} of a {split} patient")
        if task not in contents.tasks["train"]:
            log(f"{task}: is evaluated and not trained, no {texts} of a train patient")
    if not contents.tasks["validation"]:
        log(
            "nothing is evaluated during training, and no best checkpoint is chosen: there is no "
            f"report and no question of a validation patient; {_HOW_TO_SPLIT.format('validation')}"
        )


def _put_memory(
    c: ml_collections.ConfigDict, asked: ml_collections.ConfigDict, masks: bool
) -> None:
    # Takes the fastest settings that fit the card.
    rows = models.rows(c.model_name, tokenizers.load(c.tokenizer.path, tuple(c.tokenizer.sets)))
    for rank in (0, asked.rank) if asked.lora < 0 else (asked.lora,):
        if rank:
            recipe_parts.add_lora(c, rank, masks=masks)
        changes = memory.fit(c, rows, c.card) if c.card else {}
        if changes is not None:
            c.update_from_flattened_dict(changes)
            return
    raise ValueError(
        f"nothing fits a card of {c.card:g} GB, not even adapters on single rows; see "
        "python -m tools.inspect_model --config=... --card=..."
    )
