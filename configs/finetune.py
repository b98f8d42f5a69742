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

The recipe itself reads nothing: `big_rad.finetune.fit` looks at the data and the checkpoint when a
command has loaded it, and replaces the section `finetune` by what follows from them.
"""

import ml_collections

from big_rad import fields
from big_rad.config import recipes as config_lib
from configs import common, radgrounder_det


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
    c = common.base()
    c.finetune = dict(
        source=a.source,
        folder=a.folder,
        lora=a.lora,  # -1 takes adapters of the rank below if nothing else fits the card.
        rank=16,
        limit=a.limit,  # Of the examples of an evaluation.
    )
    c.input.batch_size = a.batch  # Fewer if there are fewer images to train on.
    c.total_epochs = a.epochs
    c.input.weights = "epochs"
    c.input.data = dict(folder=1.0)
    c.model_init = a.init
    radgrounder_det.freeze_tower(c)
    c.eval_before, c.card = True, a.card
    return c
