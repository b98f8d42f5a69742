"""The trainer: config, mesh, data, model, optimizer, resume, loop, evaluation. Read it downwards.

    python -m big_rad.train --config=configs/demo.py --workdir=runs/demo

Knows no task: the loss, the model, the data and the evaluators are named in the config.
"""

import json
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging
from clu import parameter_overview
from ml_collections import config_flags

from big_rad import (
    checkpoint,
    evaluators,
    input_pipeline,
    losses,
    metric_writer,
    models,
    optim,
    runtime,
    sharding,
    weights,
)
from big_rad import config as config_lib
from big_rad import train_step as step_lib
from big_rad.evaluators import generate as generate_lib
from big_rad.evaluators import page
from big_rad.grounding import classes
from big_rad.models import common
from big_rad.pp import tokenizer as tokenizer_lib

Log = Callable[[str], None]


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where, why and what to do."""


def train(
    config: Any,
    workdir: str | pathlib.Path,
    data_dir: str,
    log: Log = print,
    stop_after: int | None = None,
    profile: str = "",
) -> dict[str, float]:
    """Runs a config to its end, from the newest checkpoint in `workdir` if there is one.

    Args:
        config: see configs/common.py for the fields.
        workdir: the run directory; created.
        data_dir: where the built datasets lie.
        log: receives the lines of progress.
        stop_after: stop as SIGTERM would, with a checkpoint, after this step.
        profile: "START:STOP" writes a trace of these steps to `workdir`/profile.

    Returns:
        The metrics of the last evaluation, `evaluator/name` -> value; empty if stopped early.

    Raises:
        TrainingError: the loss is not finite, or too many examples are unusable.
        FileNotFoundError: missing data or weights.
    """
    # ---- Run directory -----------------------------------------------------------------------
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    start_time = time.monotonic()
    _check_same_config(config, workdir)
    profiler = runtime.Profiler(profile, workdir / "profile")
    runtime.use_compilation_cache(config.get("compilation_cache", ""))
    for path in filter(None, (config.get("model_init"), config.get("model_init_img"))):
        weights.check(path)  # Before anything slow.

    if config.input.batch_size % config.get("grad_accum", 1):
        raise ValueError(
            f"config.input.batch_size {config.input.batch_size} does not divide into "
            f"config.grad_accum {config.grad_accum} microbatches"
        )

    # ---- Devices -----------------------------------------------------------------------------
    mesh = sharding.make_mesh(config.mesh)
    log(f"devices: {mesh.size} x {jax.devices()[0].device_kind}, mesh {dict(mesh.shape)}")

    # ---- Tokenizer and data ------------------------------------------------------------------
    tokenizer = tokenizer_lib.load(config.tokenizer.path, tuple(config.tokenizer.sets))
    train_input = input_pipeline.make_train(config, config.seed, data_dir)
    data = train_input.iterator
    total_steps = config_lib.num_steps(config, train_input.examples_per_epoch)
    log(f"data: {train_input.examples_per_epoch} items, {total_steps} steps")

    # ---- Model and parameters ----------------------------------------------------------------
    model = models.make(config.model_name, config.model, tokenizer.padded_vocab_size)
    log("attention: {}: {}".format(*model.choose_attention()))
    abstract = common.flatten(step_lib.init_shapes(model, config))
    optimizer = optim.make(config, abstract, total_steps)
    dtypes = {
        n: jnp.float32 if t else jnp.dtype(config.frozen_dtype)
        for n, t in optimizer.trainable.items()
    }
    param_shardings = sharding.infer(abstract, config.sharding_strategy, mesh)

    def init_params(rng: jax.Array) -> dict[str, Any]:
        params = common.flatten(step_lib.init_params(model, config, rng))
        return common.unflatten({n: p.astype(dtypes[n]) for n, p in params.items()})

    def init_opt_state(params: dict[str, Any]) -> Any:
        flat = common.flatten(params)
        return optimizer.tx.init({n: p for n, p in flat.items() if optimizer.trainable[n]})

    rng = jax.random.key(config.seed)
    shapes = {n: jax.ShapeDtypeStruct(p.shape, dtypes[n]) for n, p in abstract.items()}
    state_shapes = {"params": common.unflatten(shapes)}
    state_shapes["opt_state"] = jax.eval_shape(init_opt_state, state_shapes["params"])
    state_shapes["step"] = jax.ShapeDtypeStruct((), jnp.int32)
    state_shardings = {
        "params": common.unflatten(param_shardings),
        "opt_state": sharding.like_params(state_shapes["opt_state"], param_shardings, mesh),
        "step": sharding.replicated(mesh),
    }
    target = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        state_shapes,
        state_shardings,
    )

    # ---- Resume, or start --------------------------------------------------------------------
    checkpoints = checkpoint.Checkpointer(workdir, keep=config.get("ckpt_keep", 2))
    first_step, train_seconds, evaluated = checkpoints.latest_step(), 0.0, True
    if first_step is not None:
        state, position, _ = checkpoints.restore(target)
        data.set_state(position["iterator"])
        train_seconds, evaluated = position["train_seconds"], position["evaluated"]
        log(f"resumed from {workdir}, step {first_step}")
    else:
        first_step = 0
        params = _initial_params(config, init_params, target["params"], rng)
        make_opt_state = jax.jit(init_opt_state, out_shardings=state_shardings["opt_state"])
        state = {
            "params": params,
            "opt_state": make_opt_state(params),
            "step": jax.device_put(jnp.zeros((), jnp.int32), state_shardings["step"]),
        }
        log(parameter_overview.get_parameter_overview(state["params"], include_stats=False))
    writer = metric_writer.MetricWriter(workdir, first_step)
    rejected = metric_writer.RejectWriter(workdir, first_step)

    # ---- The step ----------------------------------------------------------------------------
    loss_fn = losses.get(config.loss, groups=mesh.shape["data"])
    train_step = jax.jit(
        step_lib.make_train_step(model, loss_fn, optimizer, config.get("grad_accum", 1)),
        donate_argnums=0,
        in_shardings=(state_shardings, None, None),
        out_shardings=(state_shardings, None),
    )

    # ---- Evaluators --------------------------------------------------------------------------
    rows = sharding.batch_sharding(mesh)
    predict_fns = {"queue": generate_lib.make_queue_fn(model, tokenizer, rows)}
    evals = {
        name: evaluators.build(
            name,
            spec,
            predict_fns=predict_fns,
            tokenizer=tokenizer,
            data_dir=data_dir,
            samples_dir=workdir / "samples",
        )
        for name, spec in config.get("evals", {}).items()
    }

    def is_due(name: str, step: int) -> bool:
        every = config.evals[name].get("every", 0)
        return bool(every) and step % every == 0 and step < total_steps

    def eval_due(step: int) -> bool:
        return any(is_due(name, step) for name in evals)

    def evaluate(step: int, final: bool) -> dict[str, float]:
        metrics = {}
        for name, evaluator in evals.items():
            if final or is_due(name, step):
                metrics |= {f"{name}/{k}": float(v) for k, v in evaluator.run(state["params"])}
        return metrics

    def save(step: int, evaluated: bool) -> None:
        position = {
            "iterator": data.get_state(),
            "train_seconds": seconds(),
            "evaluated": evaluated,
        }
        checkpoints.save(step, state, position, _meta(config, tokenizer))

    def seconds() -> float:
        return train_seconds + time.monotonic() - start_time

    # ---- The loop ----------------------------------------------------------------------------
    if first_step < total_steps:  # The config of a finished run stays as it was.
        (workdir / "config.json").write_text(config_lib.to_json(config), encoding="utf-8")
    (workdir / "tokenizer.model").write_bytes(tokenizer.model)
    progress = _Progress(first_step, total_steps, config.input.batch_size, log)
    stop = _StopSignal()
    if not evaluated:  # It was stopped at a step whose evaluation was due.
        writer.write(first_step, evaluate(first_step, final=False))
    pending = []
    for step in range(first_step + 1, total_steps + 1):
        batch = next(data)
        ids = batch.pop("id", [])
        rejected.write(step, batch.pop("rejects"))
        _check_rejects(config, rejected, step)
        with profiler.step(step, state):
            state, metrics = train_step(state, sharding.put_batch(batch, mesh), rng)
        pending.append((step, ids, metrics))
        if step % config.log_training_steps == 0 or step in (1, total_steps):
            values = _fetch_checked(pending)
            pending = []
            values["learning_rate"] = float(optimizer.learning_rate(step - 1))
            values["examples_per_second"] = progress.line(step, values)
            values["rejected_examples"] = rejected.count
            writer.write(step, values)
        stopping = stop.requested or step == stop_after
        due = eval_due(step)
        if due and not stopping:
            writer.write(step, evaluate(step, final=False))
            progress.restart(step)
        if stopping or step % config.ckpt_steps == 0 or step == total_steps:
            _fetch_checked(pending)
            save(step, evaluated=not (due and stopping))
        if stopping and step < total_steps:
            profiler.close(state)
            checkpoints.close()
            writer.close()
            data.close()
            log(f"stopped after step {step}; the same command goes on from there")
            return {}
    profiler.close(state)
    checkpoints.wait()

    # ---- At the end: evaluate, summarise ---------------------------------------------------------
    log("training done, evaluating")
    metrics = evaluate(total_steps, final=True)
    if metrics and not writer.has(total_steps, metrics):  # A finished run may be run again.
        writer.write(total_steps, metrics)
    summary = {alias: metrics[name] for alias, name in config.get("summary", {}).items()}
    summary |= {"seconds": round(seconds(), 1), "steps": total_steps}
    (workdir / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    if evals and jax.process_index() == 0:
        path = page.write_run(workdir, summary, metrics, config, evals)
        log(f"page: {path}")
    for name, value in summary.items():
        log(f"{name:28s} {value:10.4f}" if isinstance(value, float) else f"{name:28s} {value:10d}")
    checkpoints.close()
    writer.close()
    data.close()
    return metrics


def _initial_params(
    config: Any, init_params: Callable[[jax.Array], Any], target: dict[str, Any], rng: jax.Array
) -> dict[str, Any]:
    # Random, or read array by array onto the devices; `target` gives shapes, dtypes, shardings.
    params, dont_load = target, tuple(config.get("dont_load", ()))
    if not config.get("model_init") or dont_load:
        shardings = jax.tree.map(lambda x: x.sharding, target)
        params = jax.jit(init_params, out_shardings=shardings)(rng)
    if config.get("model_init"):
        tree = weights.load(config.model_init, lazy=True)
        params = models.get(config.model_name).load(params, tree, config.model, dont_load)
    if config.get("model_init_img"):
        tree = weights.load(config.model_init_img, lazy=True)
        tree = tree.get("img", tree)
        # A tower trained alone has no projector to the language model: the present one stays.
        dont_load = () if "head" in tree else ("head/.*",)
        image = models.get("siglip").load(params["img"], tree, dont_load=dont_load)
        params = {**params, "img": image}
    return params


def _fetch_checked(pending: list[tuple[int, list[str], Any]]) -> dict[str, float]:
    # Returns the newest metrics; stops if any step since the last look went wrong.
    values = {}
    for step, ids, metrics in pending:
        values = {k: float(v) for k, v in metrics.items()}
        where = f"step {step}, batch ids {', '.join(map(str, ids)) or 'unknown'}"
        if not np.isfinite([values["training_loss"], values["l2_grads"]]).all():
            raise TrainingError(
                f"the loss or its gradient is not finite at {where}. The last checkpoint is from "
                "before; look at these examples, or lower config.lr or raise the warm-up."
            )
    return values


def _check_rejects(config: Any, rejected: metric_writer.RejectWriter, step: int) -> None:
    # The share is of at least 1,000 examples, so that one bad file does not end a run at its start.
    share = config.input.get("max_reject_share", 0.01)
    if rejected.count > share * max(step * config.input.batch_size, 1000):
        last = metric_writer.read(rejected.path)[-1]
        raise TrainingError(
            f"{rejected.count} of {step * config.input.batch_size} examples could not be used, "
            f"more than config.input.max_reject_share={share:g}; {rejected.path} lists them. The "
            f"last, {last['id']!r} of {last['dataset']}: {last['error']}: {last['reason']}"
        )


def _check_same_config(config: Any, workdir: pathlib.Path) -> None:
    path = workdir / "config.json"
    if not path.exists() or not (workdir / "checkpoints").exists():
        return
    old = config_lib.from_json(path.read_text(encoding="utf-8"))
    new = config_lib.from_json(config_lib.to_json(config))
    for name in ("model_name", "model", "tokenizer", "codec", "image"):
        if old.get(name) != new.get(name):
            raise TrainingError(
                f"{workdir} holds a run whose config.{name} is {old.get(name)}, not "
                f"{new.get(name)}. Choose another --workdir, or remove this one."
            )


def _meta(config: Any, tokenizer: Any) -> dict[str, Any]:
    return {
        "config": json.loads(config_lib.to_json(config)),
        "tokenizer": tokenizer.fingerprint,
        "classes": [c.name for c in classes.CLASSES],
        "versions": checkpoint.versions(),
    }


class _Progress:
    """Prints a line of progress and measures examples a second."""

    def __init__(self, first_step: int, total_steps: int, batch_size: int, log: Log):
        self._total, self._batch, self._log = total_steps, batch_size, log
        self.restart(first_step)

    def restart(self, step: int) -> None:
        self._step, self._time = step, time.monotonic()

    def line(self, step: int, values: Mapping[str, float]) -> float:
        now = time.monotonic()
        rate = (step - self._step) / max(now - self._time, 1e-9)
        self.restart(step)
        eta = (self._total - step) / max(rate, 1e-9)
        self._log(
            f"step {step}/{self._total}  loss {values['training_loss']:.4f}  "
            f"acc {values.get('token_accuracy', 0):.3f}  l2_grads {values['l2_grads']:.3f}  "
            f"{rate * self._batch:.1f} ex/s  ETA {eta / 60:.1f} min"
        )
        return rate * self._batch


class _StopSignal:
    """Notes SIGTERM and SIGINT, so that the loop ends after a whole step; a second one ends now."""

    def __init__(self):
        self.requested = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._note)
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: Any) -> None:
        del frame
        self.requested = True
        signal.signal(number, signal.SIG_DFL)


_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, as path.py:arguments.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; default runs/<config name>.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where the built datasets lie.")
_PROFILE = flags.DEFINE_string("profile", "", "START:STOP traces these steps, to WORKDIR/profile.")


def _main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    logging.set_verbosity(logging.WARNING)  # Orbax and TFDS tell every step at INFO.
    name = pathlib.Path(flags.FLAGS["config"].config_filename.partition(":")[0]).stem
    try:
        workdir = _WORKDIR.value or f"runs/{name}"
        train(_CONFIG.value, workdir, _DATA_DIR.value, profile=_PROFILE.value)
    except (TrainingError, OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)


def _parse(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
        _CONFIG.value  # noqa: B018 -- a config file that fails to load says so only when read
        return rest
    except Exception as e:  # A wrong flag, a config file's own error, an unknown field.
        if isinstance(e, flags.Error):  # What the config file itself said is the useful part.
            while e.__cause__ or e.__context__:
                e = e.__cause__ or e.__context__
        missing = isinstance(e, KeyError | AttributeError)
        name = str(e).strip("\"'")
        text = f"the config has no field {name!r}" if missing else str(e)
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Entry point of the command line."""
    flags.mark_flag_as_required("config")
    app.run(_main, flags_parser=_parse)


if __name__ == "__main__":
    main()
