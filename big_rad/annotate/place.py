"""Looks after the folder of the results, so that a run replaces nothing but its own files.

A run replaces OUT/dataset as a whole, and the files beside it. What somebody else put there would
be lost, so it is found before anything is written, and the run is refused.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DATASET, REJECTS, SPLITS, CARD = "dataset", "rejects.jsonl", "splits.json", "card.json"
_STAGES = ("stage", "stage/tmp")
# The files of a dataset that `write` and `run` make, by their paths below OUT/dataset.
_OWN = re.compile(
    r"dicoms_anon/[0-9a-f]{2}/[0-9a-f]{20}\.dcm\.zst|refrad2d_vqa_dataset\.parquet|"
    r"refrad2d_segment/(?:rsopid_2_segment_v3_(?:ct|mr)\.json|"
    r"segmented_slices_v3/[0-9a-f]{2}/[0-9a-f]{20}\.npy)|"
    r"split_v18/generated/filtered_(?:ct|mr)_splits/"
    r"snippet2rsopids_(?:train|val|test)_(?:ct|mr)_only\.json|"
    r"(?:provenance|audit)\.jsonl|card\.(?:md|json)|page\.html"
)
# What the stages keep in OUT/stage/tmp, which is emptied.
_SCRATCH = re.compile(r"[0-9a-f]{32}|outcomes.*|beam-temp-.*|\.?(?:nfs|fuse_hidden).*")
# Programs that show folders leave these files. Nobody misses them.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")
_NAMED = 5


def check(out: Path) -> None:
    """Checks that results can be written into a folder, and that nothing is lost by it.

    Args:
        out: the folder of the results, which may not exist.

    Raises:
        ValueError: the folder cannot be used. The message says why, and what to do.
    """
    there = next((p for p in (out, *out.parents) if os.path.lexists(p)), out)
    if not there.is_dir():
        raise ValueError(f"config.out: {there} is a file; give the path of a folder")
    for folder in (there, *(out / name for name in (*_STAGES, DATASET))):
        if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise ValueError(_refused(folder))
    try:
        _check_dataset(out / DATASET)
        _check_scratch(out / "stage" / "tmp")
        _check_file(out / REJECTS, _is_rejects)
        _check_file(out / SPLITS, _is_splits)
    except OSError as e:
        raise ValueError(said(e, out)) from None


def said(error: OSError, out: Path) -> str:
    """Returns the message of an error of the system for the user.

    An error that concerns the folder of the results says so, with what to do.
    """
    name = Path(str(error.filename)) if error.filename else None
    if name is None or not (name == out or out in name.parents):
        return str(error)
    if isinstance(error, PermissionError):
        return _refused(name)
    return (
        f"config.out: {name}: {error.strerror}; look after the disk and the folder, or give "
        "another out"
    )


def _refused(path: Path) -> str:
    return (
        f"config.out: {path} may not be read or written by this user; change its owner or its "
        "permissions, or give another out"
    )


def own_card(dataset: Path) -> dict[str, Any] | None:
    """Returns the card of a dataset that this program wrote; None if the folder has none."""
    try:
        card = json.loads((dataset / CARD).read_text(encoding="utf-8"))
        return card if card["key"] and card["versions"]["big_rad.annotate"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_dataset(folder: Path) -> None:
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ValueError(
            f"config.out: {folder} is no folder that this program wrote, and the dataset would "
            "replace it; move it elsewhere, or give another out"
        )
    foreign = sorted(_foreign(folder, folder))
    if foreign:
        raise ValueError(
            f"config.out: {folder} holds {_listed(foreign)}, which this program did not write and "
            "which would be lost when the dataset is replaced; move that elsewhere, or give "
            "another out"
        )
    if any(folder.iterdir()) and own_card(folder) is None:
        raise ValueError(
            f"config.out: {folder} has no {CARD} of this program, so it is not replaced; move the "
            "folder elsewhere, or give another out"
        )


def _foreign(folder: Path, root: Path) -> Iterator[str]:
    """Yields the paths below a dataset that are no files of it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = Path(entry.path).relative_to(root).as_posix()
            if entry.is_dir(follow_symlinks=False):
                yield from _foreign(Path(entry.path), root)
            elif entry.name not in _LITTER and (entry.is_symlink() or not _OWN.fullmatch(name)):
                yield name


def _check_scratch(folder: Path) -> None:
    foreign = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    foreign = [n for n in foreign if not _SCRATCH.fullmatch(n) and n not in _LITTER]
    if foreign:
        raise ValueError(
            f"config.out: {folder} holds {_listed(foreign)}, which this program did not write and "
            "which would be lost; move that elsewhere, or give another out"
        )


def _check_file(path: Path, is_own: Any) -> None:
    if not os.path.lexists(path):
        return
    try:
        own = path.is_file() and is_own(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError, AttributeError):
        own = False
    if not own:
        raise ValueError(
            f"config.out: {path} is damaged, or this program did not write it, and it would be "
            "replaced; move it elsewhere, or give another out"
        )


def _is_rejects(text: str) -> bool:
    fields = {"line", "stage", "what", "reason", "count"}
    return all(set(json.loads(line)) == fields for line in text.splitlines())


def _is_splits(text: str) -> bool:
    found = json.loads(text)
    return set(found) == {"key", "patients"} and isinstance(found["patients"], dict)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
