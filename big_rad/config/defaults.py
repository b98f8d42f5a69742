"""Every field of a config with its meaning and its default; nothing else repeats a default.

`base` is what recipes start from, as `configs.common.base`. A config that was written by hand, or
by an older version, may lack fields: `fill` adds them when a config is loaded, so that code that
receives a config can rely on every field. What each field may be says the table in
big_rad/fields.py; a field that is added here needs a rule there.
"""

import ml_collections

Config = ml_collections.ConfigDict
CODEC = dict(name="radgrounder", grid=None)
# Text settings of `config.text`: the name of a cleaner of report texts (see the op `clean`), ""
# for none; and the most tokens of one text, without <bos> and <eos>.
TEXT = {"clean": "", "max_text": 200}
# What a checkpoint must be used with. `weights.recipe` reads it from the checkpoint; a field that
# is missing there has a meaning of its own, so it is never filled in.
OF_CHECKPOINT = ("model_name", "model", "tokenizer", "codec", "image", "text")
# What a config has to say itself: without these it is refused.
REQUIRED = (
    *("seed", "log_training_steps", "ckpt_steps", "input", "tokenizer", "image", "model_name"),
    *("model", "loss", "optimizer", "lr", "wd", "grad_clip_norm", "schedule", "lr_mults"),
    *("wd_mults", "frozen_dtype", "mesh", "sharding_strategy"),
)
_NORMS_AND_BIASES = r".*/(scale|bias)"


def base() -> Config:
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
    c.text = dict(TEXT)

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


def fill(config: Config) -> None:
    """Adds the fields that a config lacks, with their defaults, in place.

    Fields of `REQUIRED` and of `OF_CHECKPOINT` are left as they are. Of sections that are there,
    such as `input`, missing fields are added as well.

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
    """Returns a copy of a config that has every field; see `fill`."""
    new = config.copy_and_resolve_references()
    fill(new)
    return new


def _fill_section(section: object, declared: object) -> None:
    both = isinstance(section, Config), hasattr(declared, "items")
    for name in declared if all(both) else ():
        if name not in section:
            _set(section, declared, name)


def _set(section: Config, declared: Config, name: str) -> None:
    # A placeholder stays one, so that a field without a value keeps its type.
    value = declared[name]
    section[name] = declared.get_ref(name) if value is None else value
