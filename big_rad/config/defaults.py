"""The reference of all settings: every field of a config with its meaning and its default value.

`base` returns the config that recipes start from, which they import as `configs.common.base`. A
config that was written by hand or by an older version may lack fields. `fill` adds them when the
config is loaded, so that the rest of the code can rely on every field. Defaults are written only
here; the table in big_rad/fields.py says which values a field may have, and a field that is added
here needs a rule there.
"""

import ml_collections

Config = ml_collections.ConfigDict
# The default of `config.codec`, which is explained in `base`.
CODEC = dict(name="radgrounder", grid=None)
# The default of `config.text`, which is explained in `base`.
TEXT = {"clean": "", "max_text": 200}
# The fields that a checkpoint must be used with. `weights.recipe` reads them from the checkpoint.
# `fill` never adds them, because there a missing field has a meaning of its own.
OF_CHECKPOINT = ("model_name", "model", "tokenizer", "codec", "image", "text")
# The fields that every config must have itself: without one of them it is an error.
REQUIRED = (
    *("seed", "log_training_steps", "ckpt_steps", "input", "tokenizer", "image", "model_name"),
    *("model", "loss", "optimizer", "lr", "wd", "grad_clip_norm", "schedule", "lr_mults"),
    *("wd_mults", "frozen_dtype", "mesh", "sharding_strategy"),
)
_NORMS_AND_BIASES = r".*/(scale|bias)"


def base() -> Config:
    """Returns a config with every field of the trainer and its default value.

    Fields with a regex list hold pairs (pattern, value). The first pattern that matches the whole
    name of a parameter, such as "llm/embedder/input_embedding", decides its value.
    """
    c = ml_collections.ConfigDict()

    # ---- The run -------------------------------------------------------------------------------
    # The seed of the initial parameters, of the order of the data, and of augmentation.
    c.seed = 0
    # The length of the run. Exactly one of the three is set, in steps, in epochs (which may be a
    # fraction) or in examples. `input.weights` says what an epoch is.
    c.total_steps = ml_collections.config_dict.placeholder(int)
    c.total_epochs = ml_collections.config_dict.placeholder(float)
    c.total_examples = ml_collections.config_dict.placeholder(int)
    # The number of steps between two lines of progress, each with its metrics in metrics.jsonl.
    c.log_training_steps = 50
    # The number of steps between two checkpoints. A checkpoint is also saved at the last step, at
    # the step at which a run is stopped, and at each step that becomes the best by `ckpt_best`.
    c.ckpt_steps = 1000
    # The number of newest checkpoints that are kept.
    c.ckpt_keep = 2
    # The score that chooses the best checkpoint, as EVALUATOR/METRIC, such as "report_val/g_iou".
    # EVALUATOR is an entry of `evals` that has `every` and whose split is no test split. The best
    # checkpoint is kept in addition to the newest ones, and the final scores are those of the best
    # checkpoint. "" chooses no best checkpoint, and the final scores are those of the last step.
    c.ckpt_best = ""
    # Whether the highest ("max") or the lowest ("min") value of `ckpt_best` is the best.
    c.ckpt_best_mode = "max"
    # What happens after a bad step. A step is bad if its loss or gradient is not finite.
    # `spike`: a factor above 1, such as 5. A step is then also bad if its loss is more than this
    # factor times the running mean of the loss. 0 disables this check.
    # `action`: "stop" ends the run with an error; "skip" leaves out the update of the bad step and
    # goes on. `most`: with "skip", the run ends with an error after more skipped steps than this.
    c.bad_steps = dict(action="stop", spike=0.0, most=100)

    # ---- Training data -------------------------------------------------------------------------
    # Besides the fields below, `input` has one section for each dataset, `input.NAME`, with
    # `builder` (the kind of dataset), `split` (such as "train"), `pp` (the preprocessing ops), and
    # optionally `builder_args`, `only`, `asked` and `expand` (see `datasets.core.make_source`).
    c.input = ml_collections.ConfigDict()
    # The mixture of datasets: the name of each section -> its weight, a number above 0.
    c.input.data = ml_collections.ConfigDict()
    # The meaning of the weights. "shares": examples are drawn from the datasets in proportion to
    # the weights, and an epoch has as many examples as all datasets together have items. "epochs":
    # the weight of a dataset is how often each of its items is seen in an epoch.
    c.input.weights = "shares"
    # The number of examples of a batch, over all devices and processes together.
    c.input.batch_size = 24
    # The number of threads that make batches; 0 makes them in the thread of the training loop.
    c.input.num_threads = 2
    # The number of processes that make batches, each with `num_threads` threads; 0 uses threads of
    # the training process, which is faster on machines with few cores.
    c.input.num_workers = 0
    # The number of batches that are made ahead.
    c.input.prefetch = 16
    # Row lengths in rising order, such as (64, 128), shorter than `length` of the op tok. A batch
    # whose rows all fit into one of these lengths is cut to the shortest such length, which saves
    # time. Each length has its own compiled step. () cuts no batch.
    c.input.buckets = ()
    # With `buckets`, the number of successive batches whose examples are sorted by length, so that
    # rows of similar length share a batch.
    c.input.bucket_window = 16
    # The share of examples that may be unusable, because of broken files for instance. They are
    # left out and listed in rejects.jsonl; more than this share ends the run with an error. The
    # share is taken of at least 1,000 examples, so that one bad file does not end a run at its
    # start.
    c.input.max_reject_share = 0.01
    # Raw data that are checked and built before training: the name of a dataset in
    # big_rad/datasets -> `source`, the folder of the raw data, and other arguments of its builder,
    # as for `tools.build_dataset`. A dataset that is already built is not built again; without any
    # entry nothing is built.
    c.sources = ml_collections.ConfigDict()

    # ---- Text, boxes and images: a checkpoint must be used with the same values -----------------
    # `path`: the tokenizer, as a SentencePiece file, a `tokenizer.json`, a folder with one of them,
    # or "tiny" for the small one that comes with big_rad. `sets`: the sets of tokens that are
    # added for boxes ("detection") and masks ("segmentation"), in the order of their ids.
    c.tokenizer = dict(path="paligemma_tokenizer.model", sets=("detection", "segmentation"))
    # How boxes are written as location tokens. `name`: "radgrounder" (x first, 512 bins, truncated)
    # or "paligemma" (y first, 1,024 bins, rounded). `grid`: with "radgrounder", the number of cells
    # per side of a grid that coordinates are first cut to, such as 224; None uses no grid.
    c.codec = dict(CODEC)
    # `size`: the height and width of images in pixels, a multiple of the model's patch size.
    # `normalize`: how stored values are scaled. "medgemma": CT as three windows in the three
    # channels, other images by their own range, all in [-1, 1]. "dataset_stats", for grey CT and
    # MR alone: by the mean and standard deviation of the modality, clipped to [-2, 2]. "min_max":
    # grey CT and MR clipped to the range of the modality, then any image by its own range, in
    # [0, 1].
    c.image = dict(size=224, normalize="medgemma")
    # `clean`: how report texts are cleaned, "released" as for the released checkpoints, or "" not
    # at all. `max_text`: the largest number of tokens of one text, without <bos> and <eos>.
    c.text = dict(TEXT)

    # ---- Model and initial weights -------------------------------------------------------------
    # The module in big_rad/models, such as "paligemma" or "radgrounder".
    c.model_name = "paligemma"
    # The arguments of that module's class `Model`, such as the sections `img` (image tower) and
    # `llm` (decoder), and optionally `mask_decoder` and `lora`.
    c.model = ml_collections.ConfigDict()
    # The checkpoint of the initial weights: a run directory, a Hugging Face folder or an .npz file.
    # "" starts from random weights.
    c.model_init = ""
    # A checkpoint of the image tower, loaded after `model_init` and in place of its tower. "" loads
    # no other tower.
    c.model_init_img = ""
    # Regular expressions of parameters that are not loaded from `model_init` and keep their random
    # values, such as ("mask_decoder/.*",).
    c.dont_load = ()

    # ---- Optimisation --------------------------------------------------------------------------
    # The loss as a call with arguments by name, such as "text_xent(mean='example')" or
    # "text_and_masks(lambda_seg=0.1)"; big_rad/training/losses.py has them.
    c.loss = "text_xent()"
    # The number of microbatches that a batch is cut into, run one after another. More microbatches
    # need less memory; the result is the mean over the whole batch.
    c.grad_accum = 1
    # The optimizer: "adafactor", "adamw" or "muon".
    c.optimizer = "adafactor"
    # Further arguments of the optimizer, such as dict(b2=0.95) for "adamw".
    c.optimizer_args = ml_collections.ConfigDict()
    # The dtype of the optimizer state. "bfloat16" needs half the memory of "float32" and is rounded
    # stochastically; vectors and scalars stay in float32.
    c.optimizer_state_dtype = "float32"
    # The peak learning rate, which `schedule` and `lr_mults` multiply.
    c.lr = 5e-5
    # The weight decay. It is multiplied by the learning rate and by `wd_mults`.
    c.wd = 0.01
    # The global norm that gradients are clipped to; 0 disables clipping.
    c.grad_clip_norm = 1.0
    # A regex list with the schedule of the learning rate; None freezes a parameter. The arguments
    # of a schedule are `decay_type` ("cosine", "linear", "rsqrt" or "constant"), the length of the
    # linear warm-up as `warmup_percent` (a share of the run: 0.1 is a tenth) or `warmup_steps`, and
    # `end`, the factor at the end of "cosine" and "linear".
    c.schedule = ((".*", dict(decay_type="cosine", warmup_percent=0.1)),)
    # A regex list with factors of the learning rate.
    c.lr_mults = ((".*", 1.0),)
    # A regex list with factors of the weight decay. The default leaves out norms and biases.
    c.wd_mults = ((_NORMS_AND_BIASES, 0.0), (".*", 1.0))
    # The dtype in which frozen parameters are kept; trained ones are always kept in float32.
    c.frozen_dtype = "bfloat16"

    # ---- Devices -------------------------------------------------------------------------------
    # The folder of the cache of compiled programs, so that only the first start has to compile.
    # "" leaves JAX's own setting unchanged. If the environment variable JAX_COMPILATION_CACHE_DIR
    # is set, it is used in place of this field.
    c.compilation_cache = "~/.cache/big_rad"
    # The axes of the device mesh with their sizes. One size may be -1, which takes all remaining
    # devices. The axis "data" is required; batches are split over it.
    c.mesh = (("data", -1),)
    # A regex list that says how each parameter is spread over the devices: "replicate" (a copy on
    # each), "fsdp" (its largest divisible axis is split over the mesh axis "data"), or
    # "shard(AXIS, 'MESH_AXIS')" (this axis is split over this mesh axis).
    c.sharding_strategy = ((".*", "fsdp"),)
    # The memory of a device in GB. If it is given, the memory of a step is predicted before
    # training, and a run that is predicted not to fit is an error. 0 disables the check.
    c.card = 0.0

    # ---- Evaluation ----------------------------------------------------------------------------
    # The evaluators: a name of your choice -> a section with `type` (the evaluator), the data as in
    # `input.NAME`, `every` (the number of steps between two evaluations; without it the evaluator
    # runs only after training), `limit` (the largest number of examples), `control`, and options of
    # the evaluator such as `batch_size`; see docs/evaluation.md.
    c.evals = ml_collections.ConfigDict()
    # The scores in summary.json: a short name -> EVALUATOR/METRIC. Empty takes the main scores of
    # all evaluators.
    c.summary = ml_collections.ConfigDict()
    # Whether all evaluators also run before the first step. Scores before and after training are
    # then compared, with confidence intervals, in before_after.json.
    c.eval_before = False
    return c


def fill(config: Config) -> None:
    """Adds the fields that a config lacks, with their default values, in place.

    Missing fields inside an existing section, such as `input`, are added too. The fields in
    `REQUIRED` and `OF_CHECKPOINT` are never added.

    Args:
        config: the whole config.
    """
    left = {*REQUIRED, *OF_CHECKPOINT}
    declared = base()
    with config.unlocked():
        for name in declared:
            if name in config and name not in OF_CHECKPOINT:
                _fill_section(config[name], declared[name])
            elif name not in left:
                _set(config, declared, name)


def filled(config: Config) -> Config:
    """Returns a copy of a config to which `fill` has added the missing fields."""
    new = config.copy_and_resolve_references()
    fill(new)
    return new


def _fill_section(section: object, declared: object) -> None:
    both = isinstance(section, Config), hasattr(declared, "items")
    for name in declared if all(both) else ():
        if name not in section:
            _set(section, declared, name)


def _set(section: Config, declared: Config, name: str) -> None:
    # A placeholder is copied as a placeholder, so that a field without a value keeps its type.
    value = declared[name]
    section[name] = declared.get_ref(name) if value is None else value
