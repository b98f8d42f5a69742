"""What the recipes share: every field of a config with its meaning, and parts for evaluation.

A config is a plain `ml_collections.ConfigDict`; any field can be set on the command line
(`--config.lr=1e-4`, `--config.total_steps=None` unsets it), and an unknown one is an error. What
each may be says the table in big_rad/fields.py; a field that is added here needs a rule there.
"""

from typing import Any

import ml_collections

from big_rad.pp import strings
from big_rad.pp.strings import eval_pp, ground, train_pp

__all__ = ["CODEC", "CONTROLS", "add_eval", "base", "built_folder", "eval_pp", "ground", "train_pp"]
CODEC = dict(name="radgrounder", grid=None)
CONTROLS = ("none", "blank", "shuffled")
_NORMS_AND_BIASES = r".*/(scale|bias)"


def base() -> ml_collections.ConfigDict:
    """Returns a config with every field of the trainer."""
    c = ml_collections.ConfigDict()
    c.seed = 0
    # Length of the run: exactly one of the three is set.
    c.total_steps = ml_collections.config_dict.placeholder(int)
    c.total_epochs = ml_collections.config_dict.placeholder(float)
    c.total_examples = ml_collections.config_dict.placeholder(int)
    c.log_training_steps = 50
    c.ckpt_steps = 1000
    c.ckpt_keep = 2
    # Besides the newest, the checkpoint with the best EVALUATOR/METRIC stays, of an entry of
    # `evals` that has `every` and no test split.
    c.ckpt_best = ""
    c.ckpt_best_mode = "max"
    # A step whose loss or gradient is not finite, or, with `spike`, whose loss is so many times its
    # running mean: "stop", or "skip" its update and go on, at most so many times.
    c.bad_steps = dict(action="stop", spike=0.0, most=100)

    # Data: name -> weight in the mixture; `c.input[name]` says builder, split and preprocessing.
    c.input = ml_collections.ConfigDict()
    c.input.data = ml_collections.ConfigDict()
    c.input.weights = "shares"  # Of the mixture; "epochs": how often an epoch holds each item.
    c.input.batch_size = 24
    c.input.num_threads = 2
    c.input.num_workers = 0  # Processes that make batches; threads are faster on few cores.
    c.input.prefetch = 16
    c.input.buckets = ()  # Row lengths below that of `tok`; batches of short rows are cut to one.
    c.input.bucket_window = 16  # Batches among whose examples rows of like length are put together.
    c.input.max_reject_share = 0.01  # Training stops when more examples than this are unusable.

    # Raw sources that are checked and built before training: dataset -> `source` and other
    # arguments of its builder, as of `tools.build_dataset`.
    c.sources = ml_collections.ConfigDict()

    # Text, boxes and images: what a checkpoint must be used with.
    c.tokenizer = dict(path="paligemma_tokenizer.model", sets=("detection", "segmentation"))
    c.codec = dict(CODEC)
    c.image = dict(size=224, normalize="medgemma")
    # `clean`: the op that report texts pass through, "released" for released checkpoints.
    # `max_text`: the most tokens of one text, without <bos> and <eos>.
    c.text = dict(strings.TEXT)

    # Model, and where its weights come from ("" starts from random ones).
    c.model_name = "paligemma"
    c.model = ml_collections.ConfigDict()
    c.model_init = ""
    c.model_init_img = ""
    c.dont_load = ()

    # Optimisation. The rule lists are (regex, value); the first full match of a name counts.
    c.loss = "text_xent()"
    c.grad_accum = 1
    c.optimizer = "adafactor"
    c.optimizer_args = ml_collections.ConfigDict()
    c.optimizer_state_dtype = "float32"  # "bfloat16" halves it, rounded up or down by chance.
    c.lr = 5e-5
    c.wd = 0.01
    c.grad_clip_norm = 1.0
    c.schedule = ((".*", dict(decay_type="cosine", warmup_percent=0.1)),)
    c.lr_mults = ((".*", 1.0),)
    c.wd_mults = ((_NORMS_AND_BIASES, 0.0), (".*", 1.0))
    c.frozen_dtype = "bfloat16"

    # Compiled programs are kept here, so that only the first start waits for them; "": nowhere.
    c.compilation_cache = "~/.cache/big_rad"

    # Devices.
    c.mesh = (("data", -1),)
    c.sharding_strategy = ((".*", "fsdp"),)

    # GB of a device's memory: a run that is predicted not to fit is refused. 0: nobody looks.
    c.card = 0.0

    # Evaluation: name -> evaluator; `summary` gives short names to some of its figures. Without it
    # the main scores are taken.
    c.evals = ml_collections.ConfigDict()
    c.summary = ml_collections.ConfigDict()
    # Evaluates before the first step as well; at the end both are compared, with intervals.
    c.eval_before = False
    return c


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
    pp = eval_pp(c, prompt=prompt, ground=ground(c, masks), tok=tok, **ops)
    return dict(data, type="xent", split="validation", pp=pp, batch_size=32, every=every)


def add_eval(
    evals: ml_collections.ConfigDict,
    name: str,
    spec: dict[str, Any],
    controls: tuple[str, ...] = CONTROLS,
) -> None:
    """Adds an evaluator, and beside it the same questions with blank and shuffled images."""
    for control in controls:
        suffix = "" if control == "none" else f"_{control}"
        evals[name + suffix] = dict(spec, control=control)
