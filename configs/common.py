"""Every field of a config with its meaning and default (`base`), and parts that recipes share.

A config is a plain `ml_collections.ConfigDict`. Any field can be set on the command line
(`--config.lr=1e-4`), and `None` unsets one (`--config.total_steps=None`); an unknown field is an
error. The table in big_rad/fields.py has the values that each field may have, so a field that is
added here needs a rule there.
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
    """Returns a config with every field of the trainer, each with its default."""
    c = ml_collections.ConfigDict()
    # Seed of everything random: initial parameters, order of examples, mixture, augmentation.
    c.seed = 0

    # ---- Length of the run ----
    # The length of the run in optimizer steps. Exactly one of `total_steps`, `total_epochs` and
    # `total_examples` must be set.
    c.total_steps = ml_collections.config_dict.placeholder(int)
    # The length of the run in epochs of the mixture, instead of `total_steps`.
    c.total_epochs = ml_collections.config_dict.placeholder(float)
    # The length of the run in rows that are trained on, instead of `total_steps`.
    c.total_examples = ml_collections.config_dict.placeholder(int)

    # ---- Logs and checkpoints ----
    # Steps between two lines of training metrics in metrics.jsonl.
    c.log_training_steps = 50
    # Steps between two checkpoints. The last step and the best step (`ckpt_best`) have one as well.
    c.ckpt_steps = 1000
    # How many of the newest checkpoints are kept.
    c.ckpt_keep = 2
    # The score that chooses the best checkpoint, as EVALUATOR/METRIC ("report_val/g_iou"). The best
    # checkpoint is kept besides the newest ones, and it is the one that is reported at the end. The
    # evaluator is an entry of `evals` with `every`, and its split must not be a test split. ""
    # chooses no checkpoint, so the last one is reported.
    c.ckpt_best = ""
    # Whether the highest ("max") or the lowest ("min") value of that score is the best.
    c.ckpt_best_mode = "max"
    # What happens at a bad step. A step is bad if its loss or its gradient is not finite; with
    # `spike` above 1, also if its loss is more than `spike` times the running mean of the loss (0
    # disables this check). `action` "stop" ends the run with an error. "skip" leaves out the update
    # of the step and goes on; the run ends with an error after more than `most` such steps.
    c.bad_steps = dict(action="stop", spike=0.0, most=100)

    # ---- Training data ----
    c.input = ml_collections.ConfigDict()
    # Name of a dataset -> its weight in the mixture. For each name, `c.input[name]` says what is
    # read: `builder`, `split` and `pp` (the preprocessing), and optionally `builder_args`,
    # `expand`, `only` and `asked`.
    c.input.data = ml_collections.ConfigDict()
    # The meaning of the weights. "shares": the dataset's share of the examples, relative to the
    # other weights. "epochs": how often each item of the dataset occurs in an epoch.
    c.input.weights = "shares"
    # Rows in a batch, over all devices and all microbatches.
    c.input.batch_size = 24
    # Threads that make batches; 0 makes them in the thread of the training loop.
    c.input.num_threads = 2
    # Additional processes that make batches, each with `num_threads` threads; 0 uses threads only,
    # which is faster on few CPU cores.
    c.input.num_workers = 0
    # How many batches are made ahead.
    c.input.prefetch = 16
    # Length buckets: rising row lengths in tokens, such as (32, 64, 96), below the `length` of the
    # op `tok`. Rows of similar length are put into one batch, and the batch is cut to the shortest
    # bucket that holds all of them. Each bucket compiles a step of its own. () uses no buckets.
    c.input.buckets = ()
    # With buckets: the number of consecutive batches whose examples are sorted by length together.
    c.input.bucket_window = 16
    # Training stops if a larger share of the examples than this cannot be used. The share is
    # computed over at least 1,000 examples.
    c.input.max_reject_share = 0.01

    # Raw data that are checked and built before training, unless they are built already: name of a
    # dataset -> `source` (the folder of the raw data) and other arguments of `build` in its builder
    # (the options of `tools.build_dataset`).
    c.sources = ml_collections.ConfigDict()

    # ---- Text, boxes and images: a checkpoint must always be used with the values of its run ----
    # The tokenizer. `path`: its file or folder, or "tiny" for the one that comes with big_rad.
    # `sets`: the sets of markup tokens that are added to it, in the order of their ids: "detection"
    # for boxes, "segmentation" for masks.
    c.tokenizer = dict(path="paligemma_tokenizer.model", sets=("detection", "segmentation"))
    # How boxes are written as tokens. `name`: the box codec. `grid`: coordinates are first cut to
    # whole cells of a grid with this many cells a side; None keeps the codec's own precision.
    c.codec = dict(CODEC)
    # The model's image. `size`: pixels a side. `normalize`: "medgemma" (CT as three windows, values
    # in -1..1), "dataset_stats" (zero mean and unit deviation of the modality) or "min_max" (values
    # in 0..1), see the op `normalize`.
    c.image = dict(size=224, normalize="medgemma")
    # Text settings. `clean`: the cleaner that report texts pass through, "" for none or "released"
    # for that of the released checkpoints. `max_text`: the maximum number of tokens in one text,
    # without <bos> and <eos>.
    c.text = dict(strings.TEXT)

    # ---- Model and initial weights ----
    # The module of big_rad/models that has the class `Model`: "paligemma" for texts and boxes,
    # "radgrounder" for masks as well.
    c.model_name = "paligemma"
    # The arguments of the model's class. Recipes fill this section, see `paligemma.VARIANTS`.
    c.model = ml_collections.ConfigDict()
    # The checkpoint that the weights are taken from: an npz, a Hugging Face folder or a run
    # directory. "" starts from random weights.
    c.model_init = ""
    # A checkpoint whose image tower replaces the one of `model_init`. If it has no projector to the
    # language model, the present projector is kept. "" replaces nothing.
    c.model_init_img = ""
    # Regular expressions for the full names of parameters that are not taken from `model_init` and
    # keep their random initial values, such as ("mask_decoder/.*",).
    c.dont_load = ()

    # ---- Optimisation ----
    # The loss and its arguments, as a call: "text_xent(...)" for texts, "text_and_masks(...)" for
    # texts and masks. See big_rad/training/losses.py.
    c.loss = "text_xent()"
    # The number of microbatches that a batch is divided into. More of them need less memory; the
    # result is that of the whole batch.
    c.grad_accum = 1
    # The optimizer: "adafactor", "adamw" or "muon".
    c.optimizer = "adafactor"
    # Arguments of the optimizer, such as dict(b2=0.98) for "adamw". Arguments that are not given
    # have the optimizer's defaults.
    c.optimizer_args = ml_collections.ConfigDict()
    # The dtype of the optimizer's state. "bfloat16" halves the memory of the state, and uses
    # stochastic rounding.
    c.optimizer_state_dtype = "float32"
    # The peak learning rate. It is multiplied by the schedule and by `lr_mults`.
    c.lr = 5e-5
    # Weight decay: each step subtracts `wd` times the parameter, multiplied by the learning rate
    # and by `wd_mults`. 0 disables it.
    c.wd = 0.01
    # The gradient is scaled down so that its global L2 norm is at most this. 0 disables clipping.
    c.grad_clip_norm = 1.0
    # The learning rate over time, as rules (regular expression, schedule). The first rule whose
    # expression matches the full name of a parameter counts; every parameter must match a rule, and
    # every expression a parameter. A schedule has `decay_type` "cosine", "linear", "rsqrt" or
    # "constant"; `warmup_percent` (a share of the run, 0.1 is 10 %) or `warmup_steps`; and `end`,
    # the final factor of "cosine" and "linear". None instead of a schedule freezes the parameters.
    c.schedule = ((".*", dict(decay_type="cosine", warmup_percent=0.1)),)
    # Factors on the learning rate, as rules (regular expression, factor); see `schedule`.
    c.lr_mults = ((".*", 1.0),)
    # Factors on the weight decay, as rules (regular expression, factor); see `schedule`. By default
    # norms and biases have no weight decay.
    c.wd_mults = ((_NORMS_AND_BIASES, 0.0), (".*", 1.0))
    # The dtype in which frozen parameters are kept. Trained parameters are always float32.
    c.frozen_dtype = "bfloat16"

    # ---- Devices ----
    # The folder in which compiled programs are kept, so that later starts need not compile the same
    # programs again. "" keeps none.
    c.compilation_cache = "~/.cache/big_rad"
    # The axes of the device mesh as (name, size); one size may be -1, which takes all devices that
    # are left. Batches are split over the axis "data", which must be there.
    c.mesh = (("data", -1),)
    # How parameters are placed on the devices, as rules (regular expression, strategy); see
    # `schedule`. "replicate" copies a parameter to all devices, "fsdp" splits its largest divisible
    # axis over the mesh axis "data", and "shard(axis, 'mesh axis')" splits the given axis.
    c.sharding_strategy = ((".*", "fsdp"),)
    # The memory of one device in GB, as its maker states it. A run whose predicted peak memory does
    # not fit is refused before it starts. 0 disables the check.
    c.card = 0.0

    # ---- Evaluation ----
    # Name -> entry of an evaluator: `type`, the data (as for training) and the options of the type,
    # see docs/evaluation.md. `every` is the number of steps between two evaluations during
    # training; all evaluators also run at the end.
    c.evals = ml_collections.ConfigDict()
    # Short name -> EVALUATOR/METRIC: the scores in summary.json. If it is empty, the main scores of
    # all evaluators are taken.
    c.summary = ml_collections.ConfigDict()
    # Whether all evaluators also run before the first step. At the end the scores before and after
    # training are then compared, with intervals.
    c.eval_before = False
    return c


def built_folder(a: ml_collections.ConfigDict, name: str = "folder") -> dict[str, Any]:
    """Returns the fields that choose one of several built folders, for an entry of a dataset.

    Args:
        a: the arguments of a recipe. Its `folder` is the name that was given as `--config` to
            `tools.build_dataset`.
        name: the name of the dataset; only "folder" has such fields.

    Raises:
        ValueError: `folder` is not one word.
    """
    if a.folder == "default":  # No fields, so that the config equals those of earlier versions.
        return {}
    # Imported here, because it needs packages that benchmarks must not need.
    from big_rad.datasets import folder

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
    """Returns an entry of `evals` for the loss of validation targets.

    Pages draw this loss beside the training loss.

    Args:
        c: the config, with the fields that `ground` and `eval_pp` read.
        data: the fields of the data, such as `builder`, `expand` (which makes each text an item)
            and `limit`.
        every: the number of steps between two evaluations.
        prompt, tok: the ops as for training, with one text in a row.
        masks: whether the model points with masks, see `ground`.
        ops: the arguments `view` and `clean` of `eval_pp`.
    """
    pp = eval_pp(c, prompt=prompt, ground=ground(c, masks), tok=tok, **ops)
    return dict(data, type="xent", split="validation", pp=pp, batch_size=32, every=every)


def add_eval(
    evals: ml_collections.ConfigDict,
    name: str,
    spec: dict[str, Any],
    controls: tuple[str, ...] = CONTROLS,
) -> None:
    """Adds an evaluator, and one more for each control, which asks the same questions.

    Args:
        evals: `config.evals`.
        name: the name of the evaluator; controls get the names NAME_CONTROL ("report_blank").
        spec: the entry, without `control`.
        controls: the controls; "none" is the evaluator of real images itself.
    """
    for control in controls:
        suffix = "" if control == "none" else f"_{control}"
        evals[name + suffix] = dict(spec, control=control)
