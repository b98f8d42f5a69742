"""RefRad2D: CT and MR slices with report sentences, questions, boxes and label maps."""

from pathlib import Path

from big_rad.datasets import core, records

VERSION = "2.1.0"


def load(split: str, data_dir: str | Path, config: str = "default") -> core.RecordSource:
    """Opens a built split.

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset refrad2d`.
        config: "default" (CT and MR), "ct" or "mr".

    Returns:
        the source; an item is a sentence with all its images.

    Raises:
        FileNotFoundError: The dataset is not built.
        ValueError: The split does not exist.
    """
    option = "" if config == "default" else f" --modalities={config}"
    command = f"python -m tools.build_dataset refrad2d --source=DIR --data_dir={data_dir}{option}"
    return records.open_split("refrad2d", config, VERSION, split, data_dir, command)
