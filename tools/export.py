"""Exports a run: parameters and everything that they must be used with, in one folder.

    python -m tools.export runs/demo exports/demo
    python -m tools.export runs/demo exports/demo --hlo            # programs that need no big_rad
    python -m tools.export runs/demo exports/demo --dtype=bfloat16 --hf
    python -m tools.export runs/demo exports/small --dtype=int8 --data=phantom --data_dir=data
    python -m tools.export --verify exports/demo

RUN is a run directory or one of its steps; without a step, the best one. `--dtype=run` stores every
array in the type in which the model computes with it, so that the export is the same function as
the run. `bfloat16` casts all. `int8` stores the matrices of the language model in int8, and is
refused if the answers to questions of `--data` change too much. An export is read again and answers
a few questions before it gets its name. `--verify` repeats that in any environment. Wherever
big_rad takes a checkpoint it takes an export. docs/export.md explains the files.
"""

import argparse
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import numpy as np

from big_rad import quiet, runtime, weights
from big_rad.inference import calibration, load, prepare
from big_rad.models import common
from big_rad.weights import computed, exported, source_config, tensors
from big_rad.workdir import checkpoint, run_dir
from tools import convert
from tools.exporting import card, contents, goldens, programs, quantise, verify

Log = Callable[[str], None]
DTYPES = ("run", "bfloat16", "int8")
HF = "hf"  # The Hugging Face folder in an export.
_NEW = 256  # The most tokens of an answer of the programs.
_silent: Log = lambda _: None  # noqa: E731


def export(
    run: str | pathlib.Path,
    out: str | pathlib.Path,
    *,
    dtype: str = "run",
    hlo: bool = False,
    hf: bool = False,
    data: str = "",
    data_dir: str = "data",
    split: str = "",
    limit: int = quantise.LIMIT,
    log: Log = print,
) -> pathlib.Path:
    """Exports a run.

    Args:
        run: a run directory or one of its steps.
        out: the folder of the export, which must not exist.
        dtype: "run", "bfloat16" or "int8", see above.
        hlo: whether to add programs that need no big_rad, see `exporting.programs`.
        hf: whether to add the model as a Hugging Face folder, without its mask decoder.
        data: the datasets that int8 is measured on; needed for int8 alone.
        data_dir: where the built datasets lie.
        split: the split of `data`; "" takes the validation split.
        limit: the most questions of each evaluator that int8 is measured on.
        log: receives lines of progress.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        FileExistsError: `out` exists.
        ValueError: the options do not fit, the checkpoint is damaged, transformers does not compute
            this model (with `hf`), int8 changes the answers too much, or the export does not answer
            as its run does. Nothing is left at `out`.
    """
    out = pathlib.Path(out)
    _check_options(run, out, dtype, data)
    place = run_dir.locate(run)
    log(f"{run}: {place}")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        if hf:  # First, because a model with another mask mode is refused.
            _write_hf(place, partial / HF, dtype, log)
        content, flat = _write_model(place, partial, dtype, log)
        remarks = _check_model(place, partial, content, flat, dtype, hlo, log)
        if dtype == "int8":
            figures = quantise.measure(
                place.folder, partial, data, data_dir, split=split, limit=limit, log=log
            )
            log(figures.sentence())
            figures.check()
            remarks.append(figures.sentence())
        _write_words(place, partial, content, remarks)
        _check_read_back(partial, log)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    log(f"wrote {out}: {size / 1e6:,.1f} MB")
    return out


def _check_options(run: str | pathlib.Path, out: pathlib.Path, dtype: str, data: str) -> None:
    if dtype not in DTYPES:
        raise ValueError(f"--dtype={dtype}: give one of {', '.join(DTYPES)}")
    if dtype == "int8" and not data:
        raise ValueError(
            "--dtype=int8 is measured before it is written: give --data=NAME and --data_dir"
        )
    if data and dtype != "int8":
        raise ValueError(f"--data belongs to --dtype=int8, and this is --dtype={dtype}")
    if out.exists():
        raise FileExistsError(f"{out} exists; name a new folder, or remove it")
    if weights.exists(run) and weights.kind(run) != "orbax":
        raise ValueError(
            f"{run} is no run directory; make one of it first: python -m tools.convert {run} RUN "
            "--to orbax"
        )


def _write_hf(place: run_dir.Place, folder: pathlib.Path, dtype: str, log: Log) -> None:
    opened = load.open_checkpoint(place.folder, log=_silent)
    mode = opened.model.get("mask_mode", "paligemma")
    if mode != "paligemma":
        raise ValueError(
            f"--hf: mask_mode is {mode!r}, and transformers knows only 'paligemma', in which image "
            "tokens see the prompt: the same weights would give other outputs there. Leave --hf "
            f"out, or accept that: python -m tools.convert {place.folder} OUT --allow-other-mask"
        )
    kind = "bfloat16" if dtype == "bfloat16" else "keep"
    masks = bool(opened.model.get("mask_decoder"))
    target = dict(to="huggingface", dtype=kind, without_masks=masks)
    convert.convert(place.folder, folder, **target, log=_silent)
    without = ", without the mask decoder" if masks else ""
    log(f"{HF}/: a Hugging Face folder{without}")


def _write_model(
    place: run_dir.Place, folder: pathlib.Path, dtype: str, log: Log
) -> tuple[dict[str, Any], dict[str, tensors.Lazy]]:
    # Writes everything that is needed to load the export. Returns the content of config.json, and
    # the arrays of the run.
    opened = load.open_checkpoint(place.folder, log=_silent)
    fields = source_config.of_run(place.folder, opened.run_meta["config"], log)
    load.check_answers(place.folder, fields)
    model = dict(fields["model"])
    if any(n.startswith("lora") for n in model):
        raise ValueError(f"{place.folder}: its adapters are not merged")
    tokenizer = load.make_tokenizer(fields)
    held = opened.run_meta["config"].get("untrained") or ()
    untrained = tuple(t for t in tokenizer.markup if t in held)
    never = load.never_ids(tokenizer, untrained)
    masks = bool(model.get("mask_decoder"))
    can = source_config.tokenizer_points(tokenizer, masks, untrained)
    points_with = ("masks" if masks else "boxes") if can else "none"
    content = contents.config(opened.run_meta, fields, tokenizer, never, points_with)
    stored = _stored(opened.flat, model, dtype)
    content |= contents.of_params(stored, model) | dict(
        dtype=dtype,
        source=dict(step=place.step, digest=calibration.digest_of(place.folder)),
        hlo=None,
    )
    _save(folder / exported.PARAMS, stored)
    (folder / exported.TOKENIZER).write_bytes(tokenizer.model)
    contents.write(folder, content)
    found = calibration.of(place.folder)
    if found is not None:
        found.write(folder / calibration.FILE)
    exported.write_sums(folder)
    size = sum(x.nbytes for x in stored.values())
    log(f"{exported.PARAMS}/: {len(stored)} arrays, {size / 1e6:,.1f} MB ({dtype})")
    return content, opened.flat


def _stored(
    flat: Mapping[str, tensors.Lazy], model: Mapping[str, Any], dtype: str
) -> dict[str, np.ndarray]:
    def to(name: str, x: tensors.Lazy) -> np.dtype:
        if dtype == "bfloat16":
            return tensors.BFLOAT16
        return computed.dtype_of(name, x.dtype, model)

    if dtype == "int8":
        arrays = quantise.quantised(flat)
        return {
            n: x
            if x.dtype == np.int8 or n.startswith(exported.SCALES)
            else common.cast(x, computed.dtype_of(n, x.dtype, model), n)
            for n, x in arrays.items()
        }
    return {n: common.cast(np.asarray(x), to(n, x), n) for n, x in flat.items()}


@quiet.without_warnings()
def _save(folder: pathlib.Path, flat: Mapping[str, np.ndarray]) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        tree = flax.traverse_util.unflatten_dict(dict(flat), sep="/")
        checkpointer.save(folder.absolute(), tree)
    # Orbax writes the folder of this machine into it. That it exists is what counts.
    done = folder / "commit_success.txt"
    if done.is_file():
        done.write_text("Checkpoint commit was successful\n", encoding="utf-8")


def _check_model(
    place: run_dir.Place,
    folder: pathlib.Path,
    content: dict[str, Any],
    flat: Mapping[str, tensors.Lazy],
    dtype: str,
    hlo: bool,
    log: Log,
) -> list[str]:
    # Writes the goldens and the programs, and compares the answers with those of the run. Returns
    # remarks for the model card.
    merged = bool(_run_model(place).get("lora"))
    # The run as `RadGrounder` loads it. Adapters are merged in an export.
    run = load.load(place.folder, dtype="float32" if merged else None, log=_silent)
    images = goldens.pictures(run.fields["image"]["normalize"])
    asks = goldens.questions(goldens.pointing(run), len(images))
    batch = goldens.prepared(run, images, asks)
    answered = goldens.answers(run, batch)
    del run  # Before the export is loaded: a large model fits the memory once.
    made = load.load(folder, dtype=None, log=_silent)
    remarks = []
    if merged:
        remarks.append("The adapters of the run are merged into its matrices.")
    if dtype != "run":
        wanted, answered = answered, goldens.answers(made, batch)
        live = wanted["tokens"] != 0
        same = int((live & (wanted["tokens"] == answered["tokens"])).sum())
        text = (
            f"Parameters are rounded to {dtype}: of {int(live.sum())} tokens of the run's answers "
            f"to the goldens, {same} are the same."
        )
        log(text)
        remarks.append(text)
        if (folder / calibration.FILE).is_file():
            remarks.append(f"The calibration was measured before the parameters were {dtype}.")
    goldens.write(folder, images, asks, batch, answered)
    if hlo:
        _write_programs(folder, content, made, flat)
        log(f"{programs.FOLDER}/: StableHLO of JAX {jax.__version__}")
    return remarks


def _write_programs(
    folder: pathlib.Path,
    content: dict[str, Any],
    made: load.Loaded,
    flat: Mapping[str, tensors.Lazy],
) -> None:
    longest = prepare.lengths(int(made.fields["text"]["max_text"]) + 1)[-1]
    side = int(made.fields["image"]["size"])
    parts = programs.Programs(made.model, goldens.options(made, _NEW), side, longest)
    prefix = "llm/layers/"
    layer = {
        n.removeprefix(prefix): jax.ShapeDtypeStruct(x.shape[1:], content["computed"][n])
        for n, x in flat.items()
        if n.startswith(prefix)
    }
    nested = flax.traverse_util.unflatten_dict(layer, sep="/")
    content["hlo"] = programs.write(folder / programs.FOLDER, parts, made.params, nested)
    contents.write(folder, content)
    exported.write_sums(folder)


def _run_model(place: run_dir.Place) -> Mapping[str, Any]:
    # The model's arguments, with the settings of its adapters.
    with checkpoint.ParamsReader(place.folder) as reader:
        return reader.meta()["config"].get("model") or {}


def _write_words(
    place: run_dir.Place,
    folder: pathlib.Path,
    content: Mapping[str, Any],
    remarks: Sequence[str],
) -> None:
    (folder / "NOTICE").write_text(card.notice(False), encoding="utf-8")
    source = pathlib.Path(__file__).parent / "exporting" / "run.py"
    shutil.copyfile(source, folder / "run.py")
    card.write(folder, place, content, remarks)
    exported.write_sums(folder)


def _check_read_back(folder: pathlib.Path, log: Log) -> None:
    # As `--verify` does, but with the tolerance of one machine.
    found = load.load(folder, dtype=None, log=_silent)
    within = goldens.tolerance(found, exact=True)
    del found
    wrong = verify.failed(verify.verify(folder, within=within, log=log))
    if wrong:
        raise ValueError(
            f"the export does not answer as its run does: {'; '.join(wrong)}. Nothing was written; "
            "is the disk faulty? If not, please report this as an error of big_rad"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    runtime.quiet_libraries()
    args = _parser().parse_args(argv)
    try:
        if args.verify:
            if args.run or args.out:
                raise ValueError("--verify takes one folder and no others")
            checks = verify.verify(args.verify)
            return 1 if verify.failed(checks) else 0
        if not args.run or not args.out:
            raise ValueError("give RUN and OUT, or --verify OUT")
        fields = ("dtype", "hlo", "hf", "data", "data_dir", "split", "limit")
        export(args.run, args.out, **{n: getattr(args, n) for n in fields})
    except (OSError, ValueError) as e:
        print(f"tools.export: {e}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", nargs="?", help="a run directory, or RUN/checkpoints/N")
    add("out", nargs="?", help="the new folder")
    add("--verify", metavar="OUT", help="verify an export in this environment")
    add("--dtype", choices=DTYPES, default="run")
    add("--hlo", action="store_true", help="add StableHLO for cpu, cuda and tpu")
    add("--hf", action="store_true", help="add a Hugging Face folder of the text part")
    add("--data", default="", help="with int8: the datasets it is measured on")
    add("--data_dir", default="data", help="where the built datasets lie")
    add("--split", default="", help="of --data; default: validation")
    add("--limit", type=int, default=quantise.LIMIT, help="questions of each evaluator; 0: all")
    return parser


if __name__ == "__main__":
    sys.exit(main())
