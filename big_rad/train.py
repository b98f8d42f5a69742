"""Trains the model of a config, evaluates it, and writes a run directory.

    python -m big_rad.train --config=configs/demo.py --workdir=runs/demo

The file is read from top to bottom: devices, data, model, evaluators, state, step, loop, end. It
holds no code for a particular task: the config names the loss, the model, the data and the
evaluators.
"""

import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Callable

import jax
from absl import app, flags
from ml_collections import config_flags

from big_rad import (
    config_check,
    files,
    finetune,
    input_pipeline,
    models,
    runtime,
    sharding,
    weights,
)
from big_rad.config import overrides
from big_rad.config import recipes as config_lib
from big_rad.datasets import prepare, unused_boxes
from big_rad.evaluators import before_after, headlines, possible, training_run
from big_rad.evaluators import functions as function_lib
from big_rad.evaluators import spec as spec_lib
from big_rad.pages import run as run_page
from big_rad.pp import tokenizer as tokenizer_lib
from big_rad.training import bad_steps, best_checkpoint, losses, memory, optim, resume
from big_rad.training import progress as progress_lib
from big_rad.training import state as state_lib
from big_rad.training import step as step_lib
from big_rad.workdir import checkpoint, metric_writer
from big_rad.workdir import info as run_info

Config = config_lib.Config
Log = Callable[[str], None]
TrainingError = run_info.TrainingError


def train(
    config: Config,
    workdir: str | pathlib.Path,
    data_dir: str,
    log: Log = print,
    stop_after: int | None = None,
    profile: str = "",
    allow_changes: bool = False,
) -> dict[str, float]:
    """Trains a config to its end, from the newest checkpoint in `workdir` if there is one.

    Args:
        config: the config; big_rad/config/defaults.py explains its fields.
        workdir: the run directory, which is created if it does not exist.
        data_dir: the folder of the built datasets.
        log: receives the lines of progress.
        stop_after: the step after which the run saves a checkpoint and stops, as it does on
            SIGTERM; None trains to the end.
        profile: "START:STOP" writes a trace of these steps to `workdir`/profile; "" writes none.
        allow_changes: whether to go on with settings that make it another run, see `resume.Past`.

    Returns:
        The metrics of the last evaluation, `evaluator/name` -> value; empty if the run was stopped
        early. The evaluation is of the best checkpoint if `config.ckpt_best` chooses one, otherwise
        of the last step.

    Raises:
        TrainingError: The loss is not finite, too many examples are unusable, or the run directory
            holds a run with other settings.
        CheckpointError: A checkpoint cannot be written or read: the disk is full, or files are
            damaged.
        FileNotFoundError: Data or weights are missing.
        ValueError: A setting is out of its range, or settings contradict each other.
    """
    config = config_lib.completed(config.copy_and_resolve_references(), finetune.fit)
    config_check.check(config)
    past = resume.Past(config, workdir, allow_changes, log)
    try:
        # On every way out, also after an error, a checkpoint that is being written is finished, and
        # run.json records how this start ended.
        with (
            run_info.recorded(workdir, past.step, log) as ending,
            contextlib.ExitStack() as at_end,
        ):
            metrics = _train(
                config, workdir, data_dir, log, stop_after, profile, past, ending, at_end
            )
    except Exception:
        if jax.process_count() == 1:
            with contextlib.suppress(Exception):  # Do not hide the error that ended the run.
                run_page.write(workdir)
        raise
    if ending.how == "finished" and jax.process_index() == 0:
        log(f"page: {run_page.write(workdir)}")
        tasks = {spec_lib.class_of(spec.type).task for spec in config.evals.values()}
        for line in run_info.next_commands(workdir, data_dir, tasks, config):
            log(line)
    return metrics


def _train(
    config: Config,
    workdir: str | pathlib.Path,
    data_dir: str,
    log: Log,
    stop_after: int | None,
    profile: str,
    past: resume.Past,
    ending: run_info.Ending,
    at_end: contextlib.ExitStack,
) -> dict[str, float]:
    # ---- Run directory -----------------------------------------------------------------------
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    clock = progress_lib.Clock()
    profiler = progress_lib.Profiler(profile, workdir / "profile")
    runtime.use_compilation_cache(config.compilation_cache)
    for path in filter(None, (config.model_init, config.model_init_img)):
        weights.check(path)  # A missing file is then reported before anything slow starts.

    # ---- Devices -----------------------------------------------------------------------------
    mesh = sharding.make_mesh(config.mesh)
    sharding.check_batch(config.input.batch_size, mesh)
    log(f"devices: {mesh.size} x {jax.devices()[0].device_kind}, mesh {dict(mesh.shape)}")

    # ---- Tokenizer and data ------------------------------------------------------------------
    if jax.process_index() == 0:
        prepare.prepare(config.sources, data_dir, log)
    runtime.agree(True)  # The other processes wait here until the data are built.
    tokenizer = tokenizer_lib.load(config.tokenizer.path, tuple(config.tokenizer.sets))
    train_input = input_pipeline.make_train(config, config.seed, data_dir)
    data = train_input.iterator
    at_end.callback(data.close)
    past.check_data(train_input.identity)
    plain = json.loads(config_lib.to_json(config))
    meta = checkpoint.make_meta(plain, tokenizer.fingerprint, train_input.identity)
    total_steps = config_lib.num_steps(config, train_input.examples_per_epoch)
    optim.check_warmup(config.schedule, total_steps)
    log(f"data: {train_input.examples_per_epoch} items, {total_steps} steps")

    # ---- Model and parameters ----------------------------------------------------------------
    if config.card:
        memory.check(config, models.rows(config.model_name, tokenizer), log)
    model = models.make(config.model_name, config.model, models.rows(config.model_name, tokenizer))
    log("attention: {}: {}".format(*model.choose_attention()))

    # ---- Evaluators: their data are opened before the weights, so that errors come early ---------
    best_by = config.ckpt_best.partition("/")[0]
    opened = possible.open_all(config.evals, data_dir, log, needed=best_by)
    specs = {name: config.evals[name] for name in opened.data}
    if jax.process_index() == 0:
        learned = [config.input[name] for name in config.input.data]
        unused_boxes.report([*learned, *specs.values()], data_dir, log)
    runtime.agree(True)  # The other processes wait for the report.
    functions = function_lib.Functions(model, tokenizer, mesh, watch=lambda x: stop.watch(x))
    samples = workdir / "samples"
    evals = training_run.build_all(specs, opened.data, functions, tokenizer, data_dir, samples)

    # ---- State -------------------------------------------------------------------------------
    layout = state_lib.lay_out(config, model, mesh, total_steps)
    optimizer, rng = layout.optimizer, jax.random.key(config.seed)

    # ---- Resume, or start --------------------------------------------------------------------
    checkpoints = checkpoint.Checkpointer(workdir, keep=config.ckpt_keep, log=log)
    at_end.callback(checkpoints.close)
    start = state_lib.restore_or_begin(layout, checkpoints, rng, tokenizer, log)
    state, first_step, evaluated = start.state, start.step, True
    if start.data:
        data.set_state(past.position(start.data["iterator"], train_input.examples_per_epoch))
        clock.add(start.data["train_seconds"])
        evaluated = start.data["evaluated"]
        log(f"resumed from {workdir}, step {first_step}")
        if first_step > total_steps:
            log(
                f"the run has more steps than the {total_steps} asked for: it is evaluated as it is"
            )
            total_steps = first_step
    # `start` must not hold the state as well: its memory could not be freed later.
    resumed, start = bool(start.data), None
    writer = metric_writer.MetricWriter(workdir, first_step, headlines.board_tag(specs))
    at_end.callback(writer.close)
    monitor = bad_steps.BadStepMonitor(config, workdir, first_step)
    best = best_checkpoint.BestStep(config, workdir, first_step)
    checkpoints.best_step = best.step

    # ---- The step ----------------------------------------------------------------------------
    loss_fn = losses.get(config.loss, groups=mesh.shape["data"])
    train_step = jax.jit(
        step_lib.make_train_step(model, loss_fn, optimizer, config.grad_accum, layout.guard),
        donate_argnums=0,
        in_shardings=(layout.shardings, None, None),
        out_shardings=(layout.shardings, None),
    )
    stop = runtime.StopSignal()
    evaluations = training_run.Evaluations(config, specs, evals, writer, best, log)

    def leave(step: int) -> dict[str, float]:
        profiler.close(state)
        checkpoints.wait()
        log(f"stopped after step {step}, which is saved; the same command goes on from there")
        return {}

    # ---- The loop ----------------------------------------------------------------------------
    if jax.process_index() == 0:
        files.write_whole(workdir / "tokenizer.model", tokenizer.model)
        info = (config, first_step, total_steps, layout.shapes, optimizer.trainable)
        table = run_info.write(workdir, *info, past.changes, train_input.identity)
        if not resumed:
            log(table)
    ending.step = first_step
    progress = progress_lib.Progress(first_step, total_steps, config.input.batch_size, log)
    if not evaluated:  # The run was stopped before an evaluation that was due at this step.
        try:
            due = evaluations.due(first_step, total_steps)
            metrics = evaluations.run(due, state["params"])
        except runtime.Stopped:
            return leave(first_step)
        evaluations.record(first_step, metrics)
    if config.eval_before and not first_step:
        log("evaluating before the first step")
        try:
            evaluations.record(0, evaluations.run(evals, state["params"]))
        except runtime.Stopped:
            log("stopped before the first step; the same command starts again")
            return {}
        before_after.keep(evals, samples)
        progress.restart(0)
    for step in range(first_step + 1, total_steps + 1):
        batch = next(data)
        ids = batch.pop("id", [])
        monitor.add_rejects(step, batch.pop("rejects"))
        progress.saw(batch)
        with profiler.step(step, state):
            state, metrics = train_step(state, sharding.put_batch(batch, mesh), rng)
        monitor.add_step(step, ids, metrics)
        ending.step = step
        if step % config.log_training_steps == 0 or step in (1, total_steps):
            values = monitor.check()
            values["learning_rate"] = float(optimizer.learning_rate(step - 1))
            values |= progress.line(step, values) | {"seconds": clock.seconds()}
            writer.write(step, values)
        stopping = stop.requested(step) or step == stop_after
        due = evaluations.due(step, total_steps)
        if due and not stopping:
            monitor.check()
            try:
                metrics = evaluations.run(due, state["params"])
                evaluations.record(step, metrics)
            except runtime.Stopped:
                stopping = True
            progress.restart(step)
        is_best = best.step == step
        if stopping or is_best or step % config.ckpt_steps == 0 or step == total_steps:
            monitor.check()
            checkpoints.best_step = best.step
            position = {
                "iterator": data.get_state(),
                "train_seconds": clock.seconds(),
                "evaluated": not (due and stopping),
            }
            checkpoints.save(step, state, position, meta)
        if stopping and step < total_steps:
            return leave(step)
    profiler.close(state)
    checkpoints.wait()

    # ---- At the end: choose the step to report, evaluate it, write the summary -------------------
    log("training done, evaluating")
    reported = total_steps
    try:
        # The evaluators that choose the best checkpoint come first, because the last step may be
        # the best one.
        first = evaluations.while_training() if config.ckpt_best else []
        metrics = evaluations.run(first, state["params"])
        best.add(total_steps, metrics)
        why = best.description
        if best.step in (None, total_steps):
            if why:
                log(f"step {total_steps} is reported, {why} and the last")
            metrics |= evaluations.run((n for n in evals if n not in first), state["params"])
        else:
            evaluations.record(total_steps, metrics)
            state = None  # The memory may not hold two states at once.
            state, reported = state_lib.restore_best(layout, checkpoints, best.ranked_steps)
            if reported != best.step:
                log(f"step {best.step}, {why}, cannot be used: step {reported} is reported")
            else:
                log(f"step {reported} is reported, {why}; the last is step {total_steps}")
            metrics = evaluations.run(evals, state["params"])
    except runtime.Stopped:
        return leave(total_steps)
    evaluations.record(reported, metrics)
    summary = evaluations.summary(metrics)
    summary |= {"seconds": round(clock.seconds(), 1), "steps": total_steps}
    if best.step is not None:
        summary |= {"best_step": best.step, "reported_step": reported}
    if jax.process_index() == 0:
        evaluations.write_summary(workdir, summary, reported)
    ending.how = "finished"
    for name, value in summary.items():
        log(f"{name:28s} {value:10.4f}" if isinstance(value, float) else f"{name:28s} {value:10d}")
    return metrics


_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, as path.py:arguments.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; default runs/<config name>.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Where the built datasets lie.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Joins the processes that Slurm, Open MPI, Kubernetes or a TPU started."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", "", "Joins processes started by hand: HOST:PORT of process 0."
)
_PROCESSES = flags.DEFINE_integer("processes", 0, "How many processes, with --coordinator.")
_PROCESS = flags.DEFINE_integer("process", -1, "Which of them this is, from 0.")
_ALLOW_CHANGES = flags.DEFINE_bool(
    "allow_changes", False, "Goes on with another seed, batch size, data and so on."
)
_PROFILE = flags.DEFINE_string("profile", "", "START:STOP traces these steps, to WORKDIR/profile.")


def _main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    name = pathlib.Path(flags.FLAGS["config"].config_filename.partition(":")[0]).stem
    workdir = _WORKDIR.value or f"runs/{name}"
    try:
        if _DISTRIBUTED.value or _COORDINATOR.value or _PROCESSES.value or _PROCESS.value >= 0:
            runtime.start_processes(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
        log = print if jax.process_index() == 0 else lambda line: None
        train(
            _CONFIG.value,
            workdir,
            _DATA_DIR.value,
            log=log,
            profile=_PROFILE.value,
            allow_changes=_ALLOW_CHANGES.value,
        )
        runtime.end_processes()
    except checkpoint.CheckpointError as e:
        _end(f"error: {e}", 2, at_once=True)
    except (TrainingError, OSError, ValueError) as e:
        _end(f"error: {e}", 2)
    except Exception as e:
        if not runtime.joined():
            raise
        _end(runtime.failure(e), 3, at_once=True)


def _end(message: str, code: int, at_once: bool = False) -> None:
    if at_once:
        time.sleep(1)  # Other threads print their errors first, so that this message comes last.
    print(message, file=sys.stderr, flush=True)
    if at_once or runtime.joined():
        # Python's own exit would wait for the other processes, or for writes that never end.
        runtime.leave(code)
    sys.exit(code)


def _parse(argv: list[str]) -> list[str]:
    try:
        return overrides.parse(argv, finish=finetune.fit)
    except overrides.CommandLineError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Runs the trainer from the command line."""
    runtime.quiet_libraries()
    flags.mark_flag_as_required("config")
    # `--help` lists the flags of the module named sys.argv[0], whatever the program is called.
    for flag in flags.FLAGS.get_key_flags_for_module(__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(_main, flags_parser=_parse)


if __name__ == "__main__":
    main()
