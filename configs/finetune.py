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
