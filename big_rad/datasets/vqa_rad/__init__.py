"""VQA-RAD: questions about radiology pictures, without shared images or in the common split."""

from pathlib import Path

from big_rad.datasets import records
from big_rad.datasets.core import RecordSource

VERSION = "1.1.0"


def load(split: str, data_dir: str | Path, config: str = "wu") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation" (not in "common"), "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset vqa_rad`.
        config: "wu", whose splits do not share images, or "common", whose splits do.

    Returns:
        the source; an example is an image with all its questions of that split.

    Raises:
        FileNotFoundError: The dataset is not built.
        ValueError: The split does not exist.
    """
    command = "python -m tools.build_dataset vqa_rad --source=DIR --split_dir=DIR "
    command += f"--config={config} --data_dir={data_dir}"
    return records.open_split("vqa_rad", config, VERSION, split, data_dir, command)
