"""SLAKE: questions about CT, MR and X-ray pictures, with organs as boxes and label maps."""

from pathlib import Path

from big_rad.datasets import records
from big_rad.datasets.core import RecordSource

VERSION = "1.1.0"


def load(split: str, data_dir: str | Path, config: str = "en") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset slake`.
        config: the languages it was built with: "en", "zh" or "en_zh".

    Returns:
        the source; an example is an image with all its questions.

    Raises:
        FileNotFoundError: The dataset is not built.
        ValueError: The split does not exist.
    """
    command = "python -m tools.build_dataset slake --source=DIR "
    command += f"--languages={config.replace('_', ',')} --data_dir={data_dir}"
    return records.open_split("slake", config, VERSION, split, data_dir, command)
