"""The folder dataset: a group's own images and texts, listed in a JSONL (docs/data.md)."""

from pathlib import Path

from big_rad.datasets import records
from big_rad.datasets.core import RecordSource

VERSION = "1.0.0"


def load(split: str, data_dir: str | Path, name: str = "default") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset folder`.
        name: the `--name` given to it.

    Returns:
        The source.
    """
    command = (
        f"python -m tools.build_dataset folder --source=... --data_dir={data_dir} --name={name}"
    )
    return records.open("folder", name, VERSION, split, data_dir, command)
