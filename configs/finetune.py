"""Fine-tunes a released checkpoint, or one of your own, on your own images and texts.

    --config=configs/finetune.py:source=my_data,init=runs/released,card=24
    --config=configs/finetune.py:source=my_data,init=radgrounder_hf,lora=16
    --config=configs/finetune.py:source=my_data/data.jsonl,init=runs/demo,epochs=20,batch=8
    --config=configs/finetune.py:source=clinic_data,folder=clinic,init=runs/released

- `source` is a folder with data.jsonl, see docs/data.md. It is checked and built before training.
  The patients of the splits validation and test are held out.
- `folder` names the built dataset, so that several sources can be built side by side.
- `init` is a run directory, a Hugging Face folder, or PaliGemma's npz. Model, tokenizer, box codec
  and image size are those of this checkpoint, and it decides between boxes and masks.
- `card` is the memory of the device in GB. The fastest way of training that fits is chosen: all
  parameters in as many microbatches as needed, or else adapters alone.
- `lora` -1, the default, leaves this choice to `card`, and trains all parameters without it; 0
  trains all parameters; any other number trains adapters of this rank.

The test patients are evaluated before and after training, the validation patients every epoch. The
checkpoint with the best score on the validation patients is kept and reported.
"""

import dataclasses
import math
from typing import Any

import ml_collections

from big_rad import fields, weights
from big_rad.config import recipes as config_lib
from big_rad.datasets import reject_limit
from big_rad.datasets.folder import builder, images
from big_rad.datasets.folder import source as source_lib
from big_rad.metrics import bootstrap
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import memory
from big_rad.weights import recipe
from configs import common, radgrounder_det

_RANK = 16
_HELD_OUT = ("test", "validation")
_HOW_TO_SPLIT = 'write "split": "{}" into all lines of some patients, or add patients'


@dataclasses.dataclass(frozen=True)
class _Data:
    # The content of a source.
    tasks: dict[str, tuple[str, ...]]  # The tasks of the texts of each split.
    train: int  # The number of images in the training split.
    context: bool  # Whether a text has clinical information or an indication.
    boxed: frozenset[str]  # The splits with a report that boxes can ground; masks give boxes too.
    masked: frozenset[str]  # The splits with a report that masks can ground.


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    a = config_lib.parse_arg(
        arg,
        data=("folder",),
        source="",
        folder="default",
        init="",
        card=0.0,
        lora=-1,
        epochs=10.0,
        batch=16,
        limit=500,
    )
    fields.check_arguments(
        a,
        card=fields.number(low=0),
        lora=fields.whole(-1),
        epochs=fields.number(above=0),
        batch=fields.whole(1),
        limit=fields.whole(1),
    )
    for name, what in (("source", "a folder with data.jsonl"), ("init", "a checkpoint")):
        if not a[name]:
            raise ValueError(f"config argument {name}: give {what}, {name}=PATH")
    data = _look(a.source)
    c = _model(a.init)
    built = common.built_folder(a)
    spec = dict(source=a.source, max_reject_share=reject_limit.SHARE)
    c.sources = dict(folder=spec | built.get("builder_args", {}))
    c.input.batch_size = min(a.batch, data.train)
    c.total_epochs = a.epochs
    c.input.weights = "epochs"
    c.input.data = dict(folder=1.0)
    masks = radgrounder_det.MASKS if c.model.get("mask_decoder") else 0
    prompt = f"prompt({','.join(data.tasks['train'])!r}, n=1)"
    augment = radgrounder_det.AUGMENT if masks else ""
    tok = radgrounder_det.tok(c, masks=masks)
    pp = common.train_pp(c, prompt=prompt, tok=tok, masks=masks > 0, augment=augment)
    c.input.folder = dict(builder="folder", split="train", pp=pp, **built)
    every = math.ceil(data.train / c.input.batch_size)
    c.log_training_steps, c.ckpt_steps = max(every // 5, 1), every
    _add_evals(c, data, masks > 0, every, a.limit, built)
    if data.tasks["validation"]:
        c.evals.xent = common.xent_eval(
            c,
            dict(builder="folder", expand=dict(per_image=1), limit=a.limit, **built),
            every=every,
            prompt=f"prompt({','.join(data.tasks['validation'])!r}, n=1)",
            tok=radgrounder_det.tok(c),
            masks=masks > 0,
        )
    c.eval_before, c.card = True, a.card
    return _fitted(c, a, masks > 0)


def _look(source: str) -> _Data:
    listing = builder.listing_of(source)  # Groups patients as the build does, so splits agree.
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
        print(
            f"patients in the test split: {len(tested)}; fewer than {bootstrap.FEWEST} allow no "
            "verdict on what fine-tuning changed. " + _HOW_TO_SPLIT.format("test")
        )
    return _Data(
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
    # Whether a report of the split names a class that its boxes or masks can show. No file is
    # opened, so a mask is assumed to show every class.
    for item in listing.items:
        shown = {b.class_id for row in item.rows for b in row.boxes}
        if item.split != split or (item.mask is None and (masks or not shown)):
            continue
        named = {c for row in item.rows if row.report for _, c in images.keywords_of(row)}
        if named & shown or (named and item.mask is not None):
            return True
    return False


def _model(init: str) -> ml_collections.ConfigDict:
    # The checkpoint's own model, with the recipe's optimisation.
    c = common.base()
    recipe.put(c, init, log=print)
    c.model_init = init
    # The texts of `source` are trained on as they are written, because the released cleaner changes
    # decimal numbers. This holds also if `init` is a released checkpoint, trained on cleaned texts.
    c.text.clean = ""
    if weights.kind(init) != "orbax":  # Only a run's config has more than the sizes of the model.
        radgrounder_det.compute_in_bfloat16(c)
        if "vocab_size" in c.model.llm:  # The tokenizer gives it, as in every recipe.
            del c.model.llm["vocab_size"]
    compute = c.model.llm.get("dtype_mm", "float32")
    c.frozen_dtype = "bfloat16" if compute == "bfloat16" else "float32"
    radgrounder_det.freeze_tower(c)
    if c.model.get("mask_decoder"):
        c.loss = radgrounder_det.MASK_LOSSES[c.model.mask_decoder.get("variant", "paper")]
    return c


def _add_evals(
    c: ml_collections.ConfigDict,
    data: _Data,
    masks: bool,
    every: int,
    limit: int,
    built: dict[str, Any],
) -> None:
    c.summary = {}
    for task in dict.fromkeys(t for split in _HELD_OUT for t in data.tasks[split]):
        style = "both" if data.context else "none"
        prompt = f"prompt('{task}', style='{style}')"
        spec = dict(
            type="grounded" if task == "report" else "vqa",
            builder="folder",
            split="test",
            expand=dict(task=task),
            pp=common.eval_pp(
                c,
                prompt=prompt,
                ground=common.ground(c, masks),
                tok=radgrounder_det.tok(c, answer=False),
            ),
            batch_size=32,
            limit=limit,
            max_new_tokens=200,
            codec=dict(c.codec),
            **built,
        )
        if task in data.tasks["test"]:
            c.evals[task] = spec
        if task in data.tasks["validation"]:
            c.evals[f"{task}_val"] = dict(spec, split="validation", every=every)
    _say_missing(data)
    grounded = data.masked if masks else data.boxed
    if data.tasks["validation"]:
        first = data.tasks["validation"][0]
        c.ckpt_best = f"{first}_val/{_main_score(first, 'validation' in grounded)}"
    first = data.tasks["test"][0]
    score = _main_score(first, "test" in grounded)
    c.summary[score] = f"{first}/{score}"


def _main_score(task: str, grounded: bool) -> str:
    # If no report of the split can be grounded, G-IoU is NaN and could not choose a checkpoint.
    if task == "vqa":
        return "f1"
    return "g_iou" if grounded else "report_f1"


def _say_missing(data: _Data) -> None:
    # Says which evaluators are missing, and why.
    for task, texts in (("report", "report"), ("vqa", "question")):
        if not any(task in data.tasks[s] for s in source_lib.SPLITS):
            continue  # The source has no texts of this task at all.
        for split, name in zip(_HELD_OUT, (task, f"{task}_val"), strict=True):
            if data.tasks[split] and task not in data.tasks[split]:
                print(f"{name}: left out, no {texts} of a {split} patient")
        if task not in data.tasks["train"]:
            print(f"{task}: is evaluated and not trained, no {texts} of a train patient")
    if not data.tasks["validation"]:
        print(
            "nothing is evaluated during training, and no best checkpoint is chosen: there is no "
            f"report and no question of a validation patient; {_HOW_TO_SPLIT.format('validation')}"
        )


def _fitted(c: ml_collections.ConfigDict, a: Any, masks: bool) -> ml_collections.ConfigDict:
    # Chooses the fastest way of training that fits the card.
    rows = tokenizers.load(c.tokenizer.path, tuple(c.tokenizer.sets)).padded_vocab_size
    for rank in (0, _RANK) if a.lora < 0 else (a.lora,):
        if rank:
            radgrounder_det.add_lora(c, rank, masks=masks)
        changes = memory.fit(c, rows, a.card) if a.card else {}
        if changes is not None:
            c.update_from_flattened_dict(changes)
            return c
    raise ValueError(
        f"nothing fits a card of {a.card:g} GB, not even adapters on single rows; see "
        "python -m tools.inspect_model --config=... --card=..."
    )
