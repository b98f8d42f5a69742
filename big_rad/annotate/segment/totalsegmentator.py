"""Runs TotalSegmentator on a volume, in an environment of its own, and checks what it made.

    >>> settings = Settings(command=["/opt/totalsegmentator/bin/TotalSegmentator"], device="gpu:0")
    >>> problems = check(settings, ["CT", "MR"])  # Once, before the first volume.
    >>> made = run(volume, "CT", settings, scratch)

TotalSegmentator is a program for one volume at a time: it may hang, leave processes behind, end
Python itself, and write the same settings file from several runs. So each run is a process group
with a time limit, a home of its own with a settings file that forbids usage statistics, and a
folder of its own for temporary files. What it prints may hold paths, and is never shown.
"""

import json
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from big_rad.annotate.canonical import Stored
from big_rad.annotate.faults import Failed, Rejected
from big_rad.annotate.segment import harmonised, nifti_mask, process
from big_rad.annotate.segment.harmonised import compare
from big_rad.annotate.segment.installation import check, check_weights, installed
from big_rad.annotate.segment.result import Segmented
from big_rad.annotate.segment.settings import Settings, SettingsError

__all__ = ["Settings", "SettingsError", "arguments", "check", "compare", "installed", "run"]

# TotalSegmentator's config.json. Without the key of the disclaimer, it would print and write it.
CONFIG = {
    "totalseg_id": "totalseg_00000000",
    "send_usage_stats": False,
    "prediction_counter": 0,
    "statistics_disclaimer_shown": True,
}
# Phrases in what the program prints, and what each of them means. The first that occurs counts.
HINTS = (
    ("out of memory", "the memory of the GPU is too small; run fewer at once, or use fast"),
    ("MemoryError", "the memory is too small; run fewer at once, or use fast"),
    ("No space left on device", "the disk is full; free some space"),
    ("requires a license", "the task needs a licence number"),
    ("Invalid license number", "the licence number is not valid"),
    ("Downloading model", "weights are missing and cannot be downloaded; give their folder"),
    ("checkpoint_final.pth", "weights are missing or not whole; give their folder"),
    ("daemonic processes", "it must not be started from a daemonic process"),
)
ON_CPU = ("No GPU detected", "Invalid GPU config")


def run(volume: Stored, modality: str, settings: Settings, scratch: Path) -> Segmented:
    """Segments a volume.

    Args:
        volume: the volume.
        modality: "CT", which runs the task total, or "MR", which runs total_mr.
        settings: how TotalSegmentator is run.
        scratch: a folder for temporary files. Nothing stays in it.

    Raises:
        Rejected: what it made cannot be used: it lies elsewhere, is empty, or has unknown labels.
        Failed: it did not finish, or made no whole file.
        SettingsError: it cannot run with these settings.
    """
    task = harmonised.TASK_OF.get(modality)
    if task is None:
        raise Rejected("TotalSegmentator is for CT and MR; give a mask for other modalities")
    program = settings.program()
    check_weights(settings, task)
    about = installed(settings)
    made: list[Path] = []
    try:
        # Not TemporaryDirectory, whose clean-up fails if a killed process still writes.
        for prefix, where in (("totalsegmentator_", scratch), ("home_", settings.home or scratch)):
            made.append(Path(tempfile.mkdtemp(prefix=prefix, dir=where)))
        folder, home = made
        output = folder / "labels.nii"
        words = arguments(volume.path, output, task, settings)
        ended = process.run(
            [str(program), *settings.command[1:], *words],
            env=_environment(settings, folder, home),
            timeout_s=settings.timeout_s,
            folder=folder,
        )
        _check_end(ended, settings)
        labels, names, warnings = _read(output, volume, task, about["tasks"].get(task, {}))
    except OSError as e:
        raise Failed(f"TotalSegmentator could not be run ({type(e).__name__})") from None
    finally:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
    if any(phrase.encode() in ended.output for phrase in ON_CPU):
        warnings += ("TotalSegmentator found no GPU and ran on the CPU",)
    source = {"source": "totalsegmentator", "version": about["version"], "task": task}
    found = {"kind": "labels", "names": names, "labels_not_used": 0, "voxels_in_several_classes": 0}
    return Segmented(labels, warnings, source | found | {"fast": settings.fast})


def arguments(volume: Path, output: Path, task: str, settings: Settings) -> list[str]:
    """Returns the arguments of TotalSegmentator.

    Args:
        volume: the volume, a NIfTI file.
        output: the NIfTI file of labels that it shall write.
        task: the task.
        settings: how TotalSegmentator is run.
    """
    words = ["-i", str(volume.absolute()), "-o", str(output), "--ml", "--task", task]
    words += ["--device", settings.device, "--quiet"]
    return words + ["--fast"] * settings.fast


def _environment(settings: Settings, folder: Path, home: Path) -> dict[str, str]:
    """Writes the settings file of a run into its home; returns its environment variables."""
    config, temporary = home / "totalsegmentator", folder / "temporary"
    config.mkdir()
    temporary.mkdir()
    (config / "config.json").write_text(json.dumps(CONFIG, indent=4))
    return settings.environment() | {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "TOTALSEG_HOME_DIR": str(config),
        "TOTALSEG_WEIGHTS_PATH": str(settings.weights_folder().absolute()),
    }


def _check_end(ended: process.Ended, settings: Settings) -> None:
    if ended.timed_out:
        raise Failed(
            f"TotalSegmentator did not finish within {settings.timeout_s:g} s and was ended; give "
            "a larger timeout_s, or use fast"
        )
    if not ended.code:
        return
    why = next((hint for phrase, hint in HINTS if phrase.encode() in ended.output), "")
    how = f"exit code {ended.code}"
    if ended.code < 0:
        how = f"signal {-ended.code}"
        if -ended.code == signal.SIGKILL and not why:
            why = "the system sends this signal where memory is short"
    raise Failed(f"TotalSegmentator ended with {how}" + (f": {why}" if why else ""))


def _read(
    output: Path, volume: Stored, task: str, installed_table: dict[int, str]
) -> tuple[UInt8[np.ndarray, "i j k"], str, tuple[str, ...]]:
    """Checks and reads the file of labels; returns the class ids, what named them, and warnings."""
    if not output.is_file():
        raise Failed("TotalSegmentator ended without an error but wrote no labels")
    try:
        same, table, _ = nifti_mask.of_same_grid(output, volume)
        if not same:
            raise Rejected("the affine is another than the volume's")
        if not (table or installed_table):
            raise SettingsError(f"the installed TotalSegmentator has no task {task}")
        names = "own table" if table else "installed tables"
        # An unknown name is no fault of the volume.
        harmonised.by_name(table or installed_table, task)
        found = nifti_mask.read_labels(output, volume, None if table else installed_table)
    except harmonised.TableError as e:
        raise SettingsError(f"the classes of the installed TotalSegmentator differ: {e}") from None
    except nifti_mask.Damaged:
        raise Failed("TotalSegmentator did not write its labels whole") from None
    except Rejected as e:
        raise Rejected(f"what TotalSegmentator made cannot be used: {e}") from None
    if not found.labels.any():
        raise Rejected("TotalSegmentator found none of its classes in the volume")
    return found.labels, names, found.warnings
