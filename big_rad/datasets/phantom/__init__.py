"""The phantom dataset: procedural CT and MR slices with label maps and bilingual texts."""

from pathlib import Path

from big_rad.datasets import records
from big_rad.datasets.core import RecordSource

VERSION = "2.0.0"


def load(split: str, data_dir: str | Path, config: str = "demo") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset phantom`.
        config: "demo" or "full".

    Returns:
        the source.

    Raises:
        FileNotFoundError: The dataset is not built.
        ValueError: The split does not exist.
    """
    command = f"python -m tools.build_dataset phantom --config={config} --data_dir={data_dir}"
    return records.open_split("phantom", config, VERSION, split, data_dir, command)
