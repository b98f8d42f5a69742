"""Measures the stages of the data engine, and the memory of runs over many studies.

All studies have the same volume, which is a phantom's enlarged to the size of a clinical CT, and
reports of the same length. The stages are timed one by one on one study. Whole runs are timed in
processes of their own, with one and with two workers, and their peaks of memory are those of the
largest process.
"""

import argparse
import csv
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import nibabel as nib
import numpy as np
import pydicom

from big_rad.annotate import canonical, match, sentences, slices, volumes
from big_rad.annotate.deidentify import identifiers, texts
from big_rad.annotate.segment import precomputed
from big_rad.datasets.phantom import export
from big_rad.datasets.phantom.body import anatomy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument("--studies", default="20,200", help="the numbers of studies of whole runs")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of a slice")
    parser.add_argument("--slices", type=int, default=120, help="slices of a volume")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures everything, prints tables and returns the figures."""
    counts = [int(n) for n in args.studies.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        report = _source(root, args.size, args.slices)
        stages = _stages(root, report, args.rounds)
        print(f"one study, {args.size} x {args.size} x {args.slices} voxels, seconds on one core:")
        for name, seconds in stages.items():
            print(f"  {name:34s} {seconds:8.3f}")
        runs = []
        for source in ("nifti", "dicom"):
            for workers in (1, 2):
                runs.append(_whole(root, report, counts[0], workers, source))
        for count in counts[1:]:
            runs.append(_whole(root, report, count, 1, "nifti"))
            runs.append(_whole(root, report, count, 2, "nifti"))
    print("whole runs:")
    for one in runs:
        print(
            f"  {one['studies']:5d} studies, {one['source']:5s}, {one['workers']} workers: "
            f"{one['seconds']:7.1f} s, {one['seconds'] / one['studies']:.2f} s a study, "
            f"peak {one['peak_mb']:.0f} MB, {one['kb_per_study']:.0f} kB of results a study"
        )
    return {"stages": stages, "runs": runs}


def _source(root: pathlib.Path, size: int, count: int) -> str:
    """Writes one volume as NIfTI and as DICOM with its mask; returns a report."""
    patient = next(
        p for p in (anatomy.make_patient(3, n) for n in range(100))
        if p.modality == "CT" and p.region == "abdomen"
    )  # fmt: skip
    small = export.make_volume(patient, 3, 128, 5.0)
    step = -(-size // 128)
    repeat = -(-count // len(small.image))
    images = {}
    for name, data in (("image", small.image), ("labels", small.labels)):
        big = data.repeat(repeat, 0)[:count].repeat(step, 1).repeat(step, 2)[:, :size, :size]
        images[name] = np.ascontiguousarray(big.transpose(2, 1, 0))
    spacing = 440 / size
    affine = np.diag([-spacing, -spacing, 5.0 / repeat, 1.0])
    for name, data in images.items():
        nib.save(nib.Nifti1Image(data, affine), root / f"{name}.nii.gz")
    _dicom(root / "series", images["image"], spacing, 5.0 / repeat)
    made = export.make_report(small, patient, 3)["de"]["findings"]
    said = " ".join(f["sentence"] for f in made)
    return f"Klinische Angaben: Schmerz.\n\nBefund:\n{said}\n\nBeurteilung:\n{said}"


def _dicom(folder: pathlib.Path, voxels: np.ndarray, spacing: float, apart: float) -> None:
    folder.mkdir()
    uids = [pydicom.uid.generate_uid() for _ in range(3)]
    for k in range(voxels.shape[2]):
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = pydicom.uid.CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = pydicom.uid.generate_uid()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uids
        ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.PatientID, ds.PatientName = "P1", "Doe^Jane"
        ds.SeriesNumber, ds.InstanceNumber = 1, k + 1
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [0, 0, round(k * apart, 6)]
        ds.PixelSpacing = [round(spacing, 6)] * 2
        ds.SliceThickness = round(apart, 6)
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = voxels.shape[1], voxels.shape[0]
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
        ds.PixelData = np.ascontiguousarray(voxels[:, :, k].T).astype("<i2").tobytes()
        ds.save_as(folder / f"IM{k:05d}.dcm", enforce_file_format=True)


def _stages(root: pathlib.Path, report: str, rounds: int) -> dict[str, float]:
    """Returns the median seconds of each stage of one study."""
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            result = work()
            seconds.append(time.perf_counter() - start)
        found[name] = statistics.median(seconds)
        return result

    scratch = root / "scratch"
    scratch.mkdir()
    for kind, image in (("NIfTI", root / "image.nii.gz"), ("DICOM", root / "series")):
        listed = timed(f"catalogue, {kind}", lambda p=image: volumes.catalogue(p, "CT"))
        stored = timed(
            f"prepare, {kind}", lambda v=listed.volumes[0]: canonical.prepare(v, scratch)
        )
    scrubber = texts.Scrubber(identifiers.of_dicom([next((root / "series").iterdir())]))
    said = timed("sentences", lambda: sentences.of_report(report, "de", scrubber))
    made = timed(
        "mask, NIfTI", lambda: precomputed.read(root / "labels.nii.gz", stored, "class_ids")
    )
    wanted = [match.Wanted(2, "de", s) for s in said.sentences]
    timed("areas, one plane", lambda: slices.Stack(stored, made.labels).areas("axial"))
    stack = slices.Stack(stored, made.labels)
    stack.areas("axial")
    timed("match and cut", lambda: match.items(stack, wanted, match.Options()))
    return found


def _whole(
    root: pathlib.Path, report: str, count: int, workers: int, source: str
) -> dict[str, Any]:
    """Runs the engine over a number of studies in a process of its own."""
    table, out = root / f"{source}{count}.csv", root / f"out-{source}-{count}-{workers}"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow("patient study image modality language report mask mask_names".split())
        image = "image.nii.gz" if source == "nifti" else "series"
        for n in range(count):
            # Each study says something of its own, so that no text is known already.
            said = f"{report} Nummer {n} in der Reihe."
            row = [f"P{n}", f"S{n}", image, "CT", "de", said, "labels.nii.gz", "class_ids"]
            writer.writerow(row)
    command = [sys.executable, "-m", __name__, str(table), str(out), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    held = sum(p.stat().st_size for p in (out / "dataset").rglob("*") if p.is_file())
    return {
        "studies": count, "workers": workers, "source": source,
        "kb_per_study": held / count / 1e3, **json.loads(done.stdout.splitlines()[-1]),
    }  # fmt: skip


def _child(table: str, out: str, workers: str) -> None:
    from big_rad.annotate import run as engine
    from big_rad.annotate.settings import Settings, Source

    place = pathlib.Path(out)
    settings = Settings(Source(pathlib.Path(table)), place, place / "secret.key")
    start = time.monotonic()
    engine.run(settings, workers=int(workers), log=lambda line: None)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1e3
    print(json.dumps({"seconds": time.monotonic() - start, "peak_mb": peak}))


if __name__ == "__main__":
    _child(*sys.argv[1:])
