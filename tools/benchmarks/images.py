"""Measures the speed of input: DICOM files to batches of 224 px, and the whole pipeline.

The peer reads as the original does: pydicom reads the file, and torch applies windows and resizes.
Both sides use one thread. Without files of your own, phantom slices of 512 x 512 are read.
"""

import argparse
import io
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import zstandard
from pydicom import pixels

from big_rad import input_pipeline
from big_rad.datasets.folder import builder as folder_builder
from big_rad.datasets.phantom import export
from big_rad.pp import builder as pp_builder
from big_rad.pp import strings
from configs import radgrounder_det
from tools.benchmarks import rounds

if TYPE_CHECKING:  # Only the peer needs torch, and imports it itself.
    import torch

_SIZE = 224
_IMAGE = dict(size=_SIZE, normalize="medgemma")
_EPS = 1e-5
_WINDOWS = ((2250, -100), (350, 40), (80, 40))  # Pairs (width, level).
_THICKNESS = 40  # The thickness of the phantom's slices, in mm.
_BATCH = 32
_WARM_UP, _BATCHES = 4, 12  # How many batches of a pipeline's round are untimed, and timed.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument(
        "--source", type=pathlib.Path, help="folder of CT and MR slices, one frame a file, as .dcm "
        "or .dcm.zst (phantom slices if not given); the whole pipeline has phantoms only",
    )  # fmt: skip
    parser.add_argument("--images", type=int, default=64, help="files, at most")
    parser.add_argument(
        "--patients", type=int, default=12, help="of the phantom; 12 have about 80 slices"
    )
    # With only a handful of records, Grain would take longer to shuffle them than to read them.
    parser.add_argument(
        "--copies", type=int, default=20, help="of each phantom slice, for the whole pipeline"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures both parts, prints a table, and returns it."""
    try:
        import torch
    except ImportError:
        sys.exit(
            "python -m tools.bench input: the peer needs torch; pip install -r "
            "requirements-dev.txt -c constraints.txt"
        )
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "phantom"
        export.export(made, args.patients, size=512, thickness=_THICKNESS)
        files = _packed(args.source or made, pathlib.Path(folder) / "packed", args.images)
        result = _read_and_resize(files, args.rounds)
        records = pathlib.Path(folder) / "data"
        result["pipeline"] = _pipeline(made, records, args.rounds, args.copies)
    return result


def plain(paths: Sequence[pathlib.Path]) -> "torch.Tensor":
    """Reads a batch [B, 3, 224, 224] as the original does."""
    import torch

    batch = []
    for path in paths:
        data = zstandard.ZstdDecompressor().decompress(path.read_bytes())
        ds = pydicom.dcmread(io.BytesIO(data))
        x = pixels.apply_modality_lut(ds.pixel_array, ds).astype(np.float32)
        x = torch.from_numpy(x)
        if ds.Modality == "CT":
            x = x.clamp(min=-1000)
            bounds = [(level - width / 2, level + width / 2) for width, level in _WINDOWS]
            x = torch.stack([(x.clamp(a, b) - a) / (b - a + _EPS) * 2 - 1 for a, b in bounds])
        else:
            low, high = x.min(), x.max()
            x = ((x - low) / (high - low + _EPS) * 2 - 1).expand(3, -1, -1)
        batch.append(
            torch.nn.functional.interpolate(
                x[None], size=(_SIZE, _SIZE), mode="bilinear", align_corners=False
            )
        )
    return torch.cat(batch)


def ours() -> Callable[[Sequence[pathlib.Path]], np.ndarray]:
    """Returns a function that reads a batch [B, 224, 224, 3] through the ops of the recipes."""
    pp = pp_builder.get_preprocess_fn(f"{strings.image_pp(dict(image=_IMAGE))}|keep('image')")
    rng = np.random.default_rng(0)

    def read(paths: Sequence[pathlib.Path]) -> np.ndarray:
        return np.stack([pp({"path": str(p), "rng": rng})["image"] for p in paths])

    return read


def _packed(source: pathlib.Path, folder: pathlib.Path, count: int) -> list[pathlib.Path]:
    """Copies up to `count` slices from all over the source to `folder`, compressed with zstd."""
    found = sorted(p for p in source.rglob("*") if p.name.endswith((".dcm", ".dcm.zst")))
    if not found:
        sys.exit(f"python -m tools.bench input: no .dcm or .dcm.zst below {source.name}")
    folder.mkdir()
    chosen = found[:: max(1, len(found) // count)][:count]
    paths = []
    for number, path in enumerate(chosen):
        data = path.read_bytes()
        paths.append(folder / f"{number:05d}.dcm.zst")
        packed = path.name.endswith(".zst")
        paths[-1].write_bytes(data if packed else zstandard.compress(data))
    return paths


def _read_and_resize(files: Sequence[pathlib.Path], count: int) -> dict[str, Any]:
    read = ours()
    difference = np.abs(read(files) - plain(files).permute(0, 2, 3, 1).numpy()).max()
    ways = {"pydicom + torch": lambda: plain(files), "big_rad": lambda: read(files)}
    seconds = rounds.measure(ways, count)
    peer = seconds["pydicom + torch"]
    result: dict[str, Any] = {
        name: rounds.summary(times, peer, len(files)) for name, times in seconds.items()
    }
    print(
        f"{len(files)} slices, .dcm.zst -> float32 {_SIZE} x {_SIZE} x 3, one thread each; "
        f"largest difference {difference:.1g}"
    )
    rounds.show(result, "batch", "images")
    return result | {"ratio": result["big_rad"]["ratio"], "largest_difference": float(difference)}


def _pipeline(
    source: pathlib.Path, data_dir: pathlib.Path, count: int, each: int
) -> dict[str, Any]:
    """Measures the whole input of a run: from records to batches of images and tokens."""
    lines = [json.loads(x) for x in (source / "data.jsonl").read_text().splitlines()]
    copies = [x | {"id": f"{x['id']}-{k}", "split": "train"} for k in range(each) for x in lines]
    (source / "data.jsonl").write_text("".join(json.dumps(x) + "\n" for x in copies))
    folder_builder.build(source, data_dir, workers=2)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    config = radgrounder_det.get_config(f"variant=tiny,size={_SIZE},data=folder")
    config.input.batch_size, config.input.num_threads = _BATCH, cores
    rates, loads = [], []
    for _ in range(count):
        batches = input_pipeline.make_train(config, 0, str(data_dir)).iterator
        for _ in range(_WARM_UP + config.input.prefetch):
            next(batches)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(_BATCHES):
            next(batches)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        batches.close()
        rates.append(_BATCHES * _BATCH / wall)
        loads.append(_BATCHES * _BATCH / cpu)
    result = {
        "images_per_second": statistics.median(rates),
        "images_per_core_second": statistics.median(loads),
        "threads": cores,
    }
    print(
        f"whole pipeline, built records -> batches of {_BATCH} images and tokens: "
        f"{result['images_per_second']:.0f} images/s with {cores} threads "
        f"({min(rates):.0f} to {max(rates):.0f}), "
        f"{result['images_per_core_second']:.0f} per second of one core"
    )
    return result
