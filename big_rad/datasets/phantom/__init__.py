"""The phantom dataset: procedural CT and MR slices with label maps and bilingual texts."""

from pathlib import Path

from big_rad.datasets.core import RecordSource


def load(split: str, data_dir: str | Path, config: str = "demo") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset phantom`.
        config: "demo" or "full".

    Returns:
        The source.
    """
    folder = Path(data_dir) / "phantom" / config / "1.0.0"
    command = f"python -m tools.build_dataset phantom --config={config} --data_dir={data_dir}"
    return RecordSource(folder, split, command)
