"""Your own images and texts: from a released or an own checkpoint to a model that knows them.

    --config=configs/finetune.py:source=my_data,init=runs/released,card=24
    --config=configs/finetune.py:source=my_data,init=radgrounder_hf,lora=16
    --config=configs/finetune.py:source=my_data/data.jsonl,init=runs/demo,epochs=20,batch=8
    --config=configs/finetune.py:source=clinic_data,folder=clinic,init=runs/released

`source` is a folder with data.jsonl (docs/data.md); it is checked and built before training, and
patients of validation and test are held out; `folder` names its records, so that those of several
sources lie side by side. `init` is a run directory, a Hugging Face folder, or
PaliGemma's npz; model, tokenizer, box codec and image size are its own, and so is whether it points
with boxes or masks. With `card`, GB of the device, the fastest way that fits is taken: everything
trained, in as many microbatches as it needs, or else adapters (`lora`: -1 decides so, 0 trains
everything, any other number is the rank). The test patients are evaluated before and after, the
validation patients every epoch, and the checkpoint that is best on them stays and is reported.
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
from big_rad.weights import source_config
from configs import common, radgrounder_det

_RANK = 16
_HELD_OUT = ("test", "validation")
_HOW_TO_SPLIT = 'write "split": "{}" into all lines of some patients, or add patients'


@dataclasses.dataclass(frozen=True)
class _Data:
    # What a source holds, of each split that has patients the tasks of its texts. Of `boxed` splits
    # a report can be grounded in boxes (masks give boxes too), of `masked` ones in masks.
    tasks: dict[str, tuple[str, ...]]
    train: int
    context: bool
    boxed: frozenset[str]
    masked: frozenset[str]


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
    listing = builder.listing_of(source)  # As the build groups patients, so that splits agree.
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
    # Whether a report of the split names what it can be grounded in. No file is opened, so a mask
    # counts for every class.
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
    source_config.put(c, init, log=print)
    c.model_init = init
    # The texts of `source` are trained on as they are written, decimals included, also where `init`
    # is a released checkpoint, whose own texts were cleaned.
    c.text.clean = ""
    if weights.kind(init) != "orbax":  # Has sizes alone.
        radgrounder_det.compute_in_bfloat16(c)
        if "vocab_size" in c.model.llm:  # The tokenizer's, as everywhere.
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
    # Without anything to point at, G-IoU is not a number, and no checkpoint would be the best.
    if task == "vqa":
        return "f1"
    return "g_iou" if grounded else "report_f1"


def _say_missing(data: _Data) -> None:
    # Which evaluators there are not, and why.
    for task, texts in (("report", "report"), ("vqa", "question")):
        if not any(task in data.tasks[s] for s in source_lib.SPLITS):
            continue  # These data are not about this.
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
    # Takes the fastest way that fits the card.
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
