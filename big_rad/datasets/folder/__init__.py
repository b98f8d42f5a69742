"""The folder dataset: a group's own images and texts, listed in a JSONL (docs/data.md)."""

from pathlib import Path

from big_rad.datasets import records
from big_rad.datasets.core import RecordSource

VERSION = "2.0.0"


def load(split: str, data_dir: str | Path, config: str = "default") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset folder`.
        config: the `--config` given to it.

    Returns:
        The source.
    """
    command = (
        f"python -m tools.build_dataset folder --source=... --data_dir={data_dir} --config={config}"
    )
    return records.open("folder", config, VERSION, split, data_dir, command)
