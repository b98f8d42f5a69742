"""The folder dataset: a group's own images and texts, listed in a JSONL (docs/data.md)."""

from pathlib import Path

from big_rad.datasets import records
from big_rad.datasets.core import RecordSource

VERSION = "2.1.0"


def check_name(name: str) -> None:
    """Checks the name of a built folder (`--config` of the build, `folder=` of a recipe).

    Raises:
        ValueError: The name is not a single word of letters, digits, "_" and "-".
    """
    if not name.replace("-", "_").isidentifier():
        raise ValueError(
            f"{name!r} cannot be the name of a folder (--config of tools.build_dataset, folder= of "
            "a recipe): give one word of letters, digits, '_' and '-' that begins with a letter"
        )


def names(data_dir: str | Path) -> list[str]:
    """Returns the names of the folders that are built under `data_dir`."""
    found = Path(data_dir).glob(f"folder/*/{VERSION}/dataset_info.json")
    return sorted(path.parts[-3] for path in found)


def load(split: str, data_dir: str | Path, config: str = "default") -> RecordSource:
    """Opens a built split (see `big_rad.datasets.core.load_source`).

    Args:
        split: "train", "validation", "test", or a slice such as "train[:100]".
        data_dir: the folder given to `python -m tools.build_dataset folder`.
        config: the `--config` given to that command.

    Returns:
        the source.

    Raises:
        FileNotFoundError: The dataset is not built; the message lists the names that are built.
        ValueError: The split does not exist.
    """
    command = (
        f"python -m tools.build_dataset folder --source=... --data_dir={data_dir} --config={config}"
    )
    built = names(data_dir)
    if built and config not in built:
        raise FileNotFoundError(
            f"{data_dir}/folder has no {config!r}, it has {', '.join(built)}: choose one with "
            f"folder={built[0]} after the recipe's colon (--folder={built[0]} of "
            f"big_rad.evaluate), or build it: {command}"
        )
    return records.open_split("folder", config, VERSION, split, data_dir, command)
