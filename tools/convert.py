"""Converts checkpoints among npz, Hugging Face folders, runs of big_rad and files of open_clip.

    python -m tools.convert paligemma2-3b-pt-224.npz out.hf            # a Hugging Face folder
    python -m tools.convert FOLDER model.npz --dtype bfloat16          # the original format
    python -m tools.convert FOLDER runs/released --to orbax            # for big_rad.predict
    python -m tools.convert open_clip_pytorch_model.bin siglip.npz     # a SigLIP, or one tower
    python -m tools.convert runs/siglip siglip.safetensors             # for open_clip
    python -m tools.convert runs/mine tower.safetensors --to timm      # an image tower alone
    python -m tools.convert SRC DST --dry-run                          # only the accounting
    python -m tools.convert runs/own adapters.npz --only-adapters      # a LoRA run's, alone
    python -m tools.convert runs/base model.npz --adapters adapters.npz  # merged into their model

The format of the source is detected. Tensors are converted one at a time, except that a run is
written as a whole. The new checkpoint is read back and every tensor is compared by its sha256
before the file or folder gets its name. The sha256 of every file is written to SHA256SUMS. An npz
has no config, so the settings that the shapes do not show are written beside it, to
`<name>.npz.json`. The calibration of the source, if it has one, is copied, but is not in
SHA256SUMS, because it may be made again later.
"""

import argparse
import dataclasses
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import numpy as np

from big_rad import runtime, trees, weights
from big_rad.inference import calibration, load
from big_rad.models import common, mask_decoder
from big_rad.pp import strings
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import adapters as adapter_files
from big_rad.weights import (
    hf_export,
    hf_layout,
    infer,
    npz,
    sidecar,
    siglip_export,
    source_config,
    table,
    tensors,
    two_towers,
)
from tools.conversion import siglip, written

Log = Callable[[str], None]
TARGETS = ("npz", "huggingface", "orbax", *siglip.TARGETS)
_MASKS = "mask_decoder/"
_TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json", "spiece.model")


@dataclasses.dataclass
class Source:
    """An opened checkpoint.

    Attributes:
        path: the path of the checkpoint.
        kind: the format, one of `weights.KINDS`.
        flat: name -> lazy array.
        model: the arguments of `radgrounder.Model`, or of `two_towers.Model` for a whole SigLIP;
            empty for an image tower alone.
        tokenizer: a tokenizer file, or a folder with tokenizer files; None without a tokenizer.
        extra: other facts for the new checkpoint, such as `image_token`, `cc_by_nc_sa`, and the
            `config` of a run.
    """

    path: str
    kind: str
    flat: dict[str, tensors.Lazy]
    model: dict[str, Any]
    tokenizer: pathlib.Path | None
    extra: dict[str, Any]


def convert(
    src: str | pathlib.Path,
    dst: str | pathlib.Path,
    *,
    to: str | None = None,
    dtype: str = "keep",
    dry_run: bool = False,
    tokenizer: str | None = None,
    allow_other_mask: bool = False,
    without_masks: bool = False,
    adapters: str | None = None,
    log: Log = print,
) -> dict[str, str]:
    """Converts one checkpoint.

    Args:
        src: an npz file, a Hugging Face folder, a run directory, an export, or a torch file of
            SigLIP.
        dst: the new file or folder.
        to: the new format, one of `TARGETS`. None takes npz if `dst` ends in `.npz`, open_clip if
            it ends as a torch file does, and otherwise huggingface.
        dtype: the dtype of the new tensors: "float32", "bfloat16" or "float16"; "keep" does not
            change it.
        dry_run: whether to account for the tensors only, and write nothing.
        tokenizer: the file or folder of a tokenizer, if the source has none.
        allow_other_mask: see `hf_export.save`.
        without_masks: whether to leave out the mask decoder.
        adapters: a file of adapters that are merged into the model, see `weights.adapters`; None
            merges none.
        log: receives the accounting of the tensors.

    Returns:
        name -> sha256 of every tensor; the values are "" on a dry run.

    Raises:
        FileNotFoundError: the source is missing.
        FileExistsError: the destination exists.
        ValueError: some tensors are not accounted for, or the target cannot hold them.
    """
    dst = pathlib.Path(dst)
    to = to or ("npz" if dst.suffix == ".npz" else siglip.target_of(dst) or "huggingface")
    if dst.exists():
        raise FileExistsError(f"{dst} exists; name a new file or folder, or remove it")
    source = open_source(src, log)
    if tokenizer is not None:
        source.tokenizer = pathlib.Path(tokenizer)
    _fit(source, to, adapters, without_masks, log)
    calibrated = _calibrated(source, to, adapters is not None, log)
    flat = written.cast(source.flat, dtype)
    _account(source, flat, to, log)
    if dry_run:
        return dict.fromkeys(flat, "")
    sums = _write_whole(source, flat, dst, to, allow_other_mask)
    _write_sidecar(source, dst, to)
    written.write_sums(dst)
    if calibrated:
        calibration.carry(src, dst)
    log(f"wrote {dst}: {len(sums)} tensors, read back and compared by sha256")
    if siglip.is_whole(source.flat) and to in ("npz", "open_clip") and source.tokenizer:
        log(
            f"{dst} holds no tokenizer, which training and search need: copy that of "
            f"{source.tokenizer} ({' or '.join(_TOKENIZER_FILES)}) into its folder"
        )
    return sums


def open_source(path: str | pathlib.Path, log: Log = print) -> Source:
    """Opens a checkpoint of any format.

    Args:
        path: the file or folder.
        log: receives a line for each tensor that is left out on purpose.

    Raises:
        FileNotFoundError: there is no checkpoint at this path.
        ValueError: the format is unknown, or the checkpoint is damaged.
    """
    opened, where = load.open_checkpoint(path, log=log), str(path)
    kind, flat, model = opened.kind, opened.flat, opened.model
    extra, tokenizer = dict(opened.other_settings), opened.tokenizer_folder
    if kind.startswith("huggingface"):
        extra["cc_by_nc_sa"] = _is_cc_by_nc_sa(pathlib.Path(path))
    elif kind in weights.OWN:
        extra["config"] = opened.run_meta["config"]
    if siglip.is_whole(flat):
        model = two_towers.model_cfg(flat, where)
    elif any(name.startswith("llm/") for name in flat):
        infer.check_version(flat, where)
        if not model and any(name.startswith(_MASKS) for name in flat):
            raise ValueError(
                f"{where} holds a mask decoder, whose heads its shapes do not tell; put the "
                f"{pathlib.Path(where).name}.json of its conversion beside it"
            )
        rows = infer.model_cfg(flat, where)["llm"]["vocab_size"]
        model = infer.explicit(model or infer.model_cfg(flat, where), rows)
    else:
        model = {}  # An image tower alone.
    if tokenizer is not None and not _has_tokenizer(tokenizer):
        tokenizer = None
    return Source(where, kind, flat, model, tokenizer, extra)


def _account(source: Source, flat: Mapping[str, Any], to: str, log: Log) -> None:
    # Compares names and shapes with those of the model, and prints every tensor.
    if siglip.is_whole(flat):
        siglip.account(flat, to, source.path)
    elif source.model:
        side = infer.image_size(flat, source.path)
        tokens = (side // source.model["img"]["patch_size"]) ** 2
        masks = _account_masks(source, flat, tokens)
        towers = {n: x for n, x in flat.items() if n not in masks}
        hf_layout.check_ours(towers, hf_layout.sizes(source.model, tokens), source.path)
    for name, value in flat.items():
        log(f"{name:75s} {str(value.dtype):9s} {tuple(value.shape)}")
    size = sum(tensors.nbytes(x) for x in flat.values())
    log(
        f"{source.path} ({source.kind}) -> {to}: {len(flat)} tensors, "
        f"{tensors.count(flat):,} parameters, {size / 1e9:.2f} GB; all accounted for"
    )


def _account_masks(source: Source, flat: Mapping[str, Any], tokens: int) -> set[str]:
    # Compares the tensors of the mask decoder with the model, and returns their names; an empty
    # set for a model without a mask decoder.
    cfg = source.model["mask_decoder"]
    if cfg is None:
        return set()
    wanted = mask_decoder.shapes(
        mask_decoder.Model(**cfg),
        tokens,
        source.model["img"]["width"],
        source.model["llm"]["width"],
    )
    wanted = {_MASKS + n: x.shape for n, x in trees.flatten(wanted).items()}
    held = {n: x for n, x in flat.items() if n.startswith(_MASKS)}
    problems = tensors.problems(held, wanted, "its config asks for")
    if problems:
        raise ValueError(f"{source.path}: no mask decoder:\n  " + "\n  ".join(problems))
    return set(held)


def _leave_masks_out(source: Source, log: Log) -> None:
    for name in [n for n in source.flat if n.startswith(_MASKS)]:
        log(f"left out: {name}")
        del source.flat[name]
    source.model |= dict(mask_decoder=None) if source.model else {}


def _fit(source: Source, to: str, adapters: str | None, without_masks: bool, log: Log) -> None:
    # Changes the source as the target and the options require: extends the token table, merges
    # adapters, removes the mask decoder.
    if to == "timm":
        if adapters is not None:
            raise ValueError("merge the adapters first, into a run or an npz, and convert that")
        source.flat, source.model = siglip.image_tower(source.flat, source.path, log), {}
        return
    if siglip.is_whole(source.flat):
        _fit_siglip(source, to, adapters, without_masks, log)
        return
    if to == "open_clip":
        raise ValueError(
            f"{source.path} has no text tower, and open_clip needs one; --to timm writes its image "
            "tower alone"
        )
    if not source.model and to != "npz":
        raise ValueError(f"{source.path} is an image tower alone; it converts to npz and timm only")
    if to == "orbax":
        if without_masks:
            raise ValueError("a run without its masks would be asked for boxes; keep them in a run")
        _extend_table(source, log)
    if adapters is not None:  # After the extension: adapters were trained on the whole table.
        source.flat = adapter_files.merge(source.flat, adapters)
    if without_masks:
        _leave_masks_out(source, log)


def _fit_siglip(
    source: Source, to: str, adapters: str | None, without_masks: bool, log: Log
) -> None:
    if adapters is not None or without_masks:
        raise ValueError(f"{source.path} is a SigLIP: it has no masks, and takes no adapters")
    if source.tokenizer is None:
        if to == "orbax":
            raise ValueError(
                f"{source.path} has no tokenizer, and a run needs one: give --tokenizer"
            )
        log(f"{source.path} has no tokenizer: none is written")
    tokenizer = source.tokenizer and _load_tokenizer(source.tokenizer, source.extra)
    own = source.kind in weights.OWN
    source.flat = siglip.without_padding(source.flat, tokenizer, own, source.path, log)
    source.model["txt"]["vocab_size"] = source.flat[table.TEXT].shape[0]


def _extend_table(source: Source, log: Log) -> None:
    # Adds rows to the token table, because a run needs one for every token of its tokenizer.
    if source.tokenizer is None:
        raise ValueError(f"{source.path} has no tokenizer, and a run needs one: give --tokenizer")
    tokenizer, held = _load_tokenizer(source.tokenizer, source.extra), source.flat[table.NAME]
    need = tokenizer.padded_vocab_size
    if source.kind not in weights.OWN:
        table.check(held.shape[0], tokenizer, source.path)
    missing = source_config.untrained(source.path, held.shape[0], tokenizer)
    table.say(missing, source.path, log, trained=False)
    source.extra["untrained"] = missing
    if held.shape[0] >= need:
        return
    log(f"{table.NAME}: {need - held.shape[0]} rows added, from the mean of the others")
    shape = (need, held.shape[1])
    like = np.broadcast_to(np.zeros((), held.dtype), shape)
    source.flat[table.NAME] = tensors.Lazy(
        shape, held.dtype, lambda: common.extend_embedding(like, np.asarray(held))
    )
    source.model["llm"]["vocab_size"] = need


def _write_whole(
    source: Source, flat: Mapping[str, Any], dst: pathlib.Path, to: str, allow_other_mask: bool
) -> dict[str, str]:
    # Writes to a temporary name, reads that back, renames it, and returns name -> sha256 of the
    # tensors.
    sums: dict[str, str] = {}
    suffix = {"npz": ".npz", **dict.fromkeys(siglip.TARGETS, dst.suffix)}.get(to, "")
    partial = dst.with_name(f"{dst.name}.partial{suffix}")
    dst.parent.mkdir(parents=True, exist_ok=True)
    try:
        written.remove(partial)
        _write(source, written.hashing(flat, sums), partial, to, allow_other_mask)
        if suffix:  # Shapes do not show all that is needed to read the file back.
            _write_sidecar(source, partial, to)
        written.verify(partial, sums)
        partial.rename(dst)
    finally:
        written.remove(partial)
        written.remove(sidecar.path(partial))
    return sums


def _write(
    source: Source, flat: Mapping[str, Any], dst: pathlib.Path, to: str, allow_other_mask: bool
) -> None:
    if to == "npz":
        npz.save(dst, flax.traverse_util.unflatten_dict(flat, sep="/"))
        return
    if to in siglip.TARGETS:
        siglip_export.save_file(dst, flat, to)
        return
    if to == "orbax":
        from big_rad.weights import orbax

        nested = flax.traverse_util.unflatten_dict(tensors.materialise(flat), sep="/")
        tokenizer = _load_tokenizer(source.tokenizer, source.extra)
        orbax.save(dst, nested, _run_config(source, flat), tokenizer)
        return
    tokenizer = source.tokenizer
    if tokenizer is not None and not source.kind.startswith("huggingface"):
        tokenizer = _load_tokenizer(tokenizer, source.extra)
    if siglip.is_whole(flat):
        said = siglip.settings(source.extra.get("config") or source.extra)
        siglip_export.save_folder(dst, flat, tokenizer, said, bool(source.extra.get("cc_by_nc_sa")))
        return
    hf_export.save(
        dst,
        source.model,
        flat,
        tokenizer,
        image_token=source.extra.get("image_token"),
        cc_by_nc_sa=bool(source.extra.get("cc_by_nc_sa")),
        allow_other_mask=allow_other_mask,
        text=_text_to_name(source),
    )


def _run_config(source: Source, flat: Mapping[str, Any]) -> dict[str, Any]:
    # The config of the new run, as `big_rad.predict` needs it.
    if "config" in source.extra:  # The model of a run may be a class without a mask decoder.
        model = {k: v for k, v in source.model.items() if (k, v) != ("mask_decoder", None)}
        config = source.extra["config"]
        return config | dict(model=model, text=strings.text_of(config))
    if siglip.is_whole(flat):
        return siglip.run_config(flat, source.tokenizer, source.extra, source.path)
    side = infer.image_size(flat, source.path)
    fields = source_config.foreign(source.model, side, source.tokenizer, source.extra.get("text"))
    return sidecar.apply(fields, source.extra) | dict(untrained=list(source.extra["untrained"]))


def _load_tokenizer(path: pathlib.Path, extra: Mapping[str, Any]) -> tokenizers.Tokenizer:
    if "config" in extra:
        return tokenizers.load(path, tuple(extra["config"]["tokenizer"]["sets"]))
    return tokenizers.load(path, tuple(extra.get("sets") or source_config.held_sets(path)))


def _has_tokenizer(folder: pathlib.Path) -> bool:
    return folder.is_file() or any((folder / n).is_file() for n in _TOKENIZER_FILES)


def _is_cc_by_nc_sa(folder: pathlib.Path) -> bool:
    texts = [p for n in ("README*", "LICENSE*", "NOTICE*") for p in folder.glob(n)]
    pattern = re.compile(r"by-nc-sa", re.IGNORECASE)
    return any(pattern.search(p.read_text(encoding="utf-8", errors="replace")) for p in texts)


def _write_sidecar(source: Source, dst: pathlib.Path, to: str) -> None:
    if to == "npz" and source.model or to == "open_clip":
        sidecar.write(dst, source.model, source.extra | _use(source))
    elif to == "timm":
        model = dict(img=infer.vision_cfg(source.flat, source.path, "img/"))
        sidecar.write(dst, model, {})


def _use(source: Source) -> dict[str, Any]:
    # The settings of the source that an npz has no place for: markup sets, box codec,
    # normalisation and text settings. Empty if the source does not name them.
    fields = source.extra.get("config")
    if siglip.is_whole(source.flat):
        return siglip.settings(fields or source.extra)
    if fields is None and source.kind == "huggingface" and source.tokenizer is not None:
        side = infer.image_size(source.flat, source.path)
        fields = source_config.foreign(
            source.model, side, source.tokenizer, source.extra.get("text")
        )
        if not source_config.named_sets(source.tokenizer):
            return {}
    if fields is None:
        return {}
    use = dict(sets=list(fields["tokenizer"]["sets"]), codec=dict(fields["codec"]))
    return use | dict(normalize=fields["image"]["normalize"], text=strings.text_of(fields))


def _text_to_name(source: Source) -> dict[str, Any] | None:
    # The text settings that a Hugging Face folder has to name, because a folder with markup tokens
    # but without settings is assumed to have those of the released model. None if they are these,
    # or if they are not known.
    said = source.extra.get("config") or source.extra
    if not said.get("codec") and not said.get("text"):
        return None
    text = strings.text_of(said)
    return None if text == strings.TEXT | {"clean": "released"} else text


def _calibrated(source: Source, to: str, merged: bool, log: Log) -> bool:
    # Whether the source has a calibration that holds for the new checkpoint.
    if not source.model or siglip.is_whole(source.flat) or calibration.of(source.path) is None:
        return False
    why = ""
    if merged:
        why = "it was made without the adapters"
    elif to == "huggingface" and source.model.get("mask_mode", "paligemma") != "paligemma":
        why = "the attention mask of the new checkpoint, and so its answers, are others"
    if why:
        log(f"left out: the calibration of {source.path}, because {why}; run tools.calibrate again")
        return False
    log(f"calibration: that of {source.path} is copied; it was measured in the dtype of the source")
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    runtime.quiet_libraries()
    parser = argparse.ArgumentParser(
        prog="python -m tools.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("src", help="npz file, Hugging Face folder, run, or SigLIP torch file")
    parser.add_argument("dst", help="new .npz file or folder")
    parser.add_argument("--to", choices=TARGETS, help="by default .npz, else Hugging Face")
    dtypes = ("keep", "float32", "bfloat16", "float16")
    parser.add_argument("--dtype", choices=dtypes, default="keep")
    parser.add_argument("--dry-run", action="store_true", help="print the accounting only")
    parser.add_argument("--tokenizer", help="tokenizer file or folder, if the source has none")
    parser.add_argument(
        "--allow-other-mask",
        action="store_true",
        help="export to Hugging Face though its attention mask is not the model's",
    )
    parser.add_argument("--without-masks", action="store_true", help="leave a mask decoder out")
    parser.add_argument("--adapters", metavar="FILE", help="merge these adapters into the model")
    parser.add_argument(
        "--only-adapters", action="store_true", help="write a run's adapters alone, as .npz"
    )
    args = vars(parser.parse_args(argv))
    try:
        if args.pop("only_adapters"):
            names = adapter_files.save(args["src"], args["dst"], log=print)
            print(f"wrote {args['dst']}: {len(names)} arrays of adapters")
        else:
            convert(**args)
    except (ValueError, OSError) as e:
        print(f"tools.convert: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
