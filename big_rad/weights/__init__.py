"""Reading checkpoints: `load(path)` reads any known format into a nested tree of arrays.

    tree = weights.load("paligemma2-3b-pt-224.npz")  # Or a Hugging Face folder, or a run.
    params = models.load("radgrounder", init_params, tree)

`models.load` then fits the tree to a model: it may resize or extend arrays, and it accounts for
every tensor.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import flax

from big_rad.weights import exported, npz, tensors
from big_rad.workdir import run_dir

Log = Callable[[str], None]
_WHERE = (
    "PaliGemma 2 weights are on Kaggle (models/google/paligemma-2, framework JAX, for example "
    "paligemma2-3b-pt-224) and on Hugging Face (google/paligemma2-3b-pt-224-jax for the npz, "
    "google/paligemma2-3b-pt-224 for safetensors); both ask for an account and for the Gemma "
    "licence to be accepted. SigLIP 2 is on Hugging Face (google/siglip2-so400m-patch14-224). "
    "Download it and give its path."
)
_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")


def load(
    path: str | pathlib.Path,
    *,
    lazy: bool = False,
    dtype: tensors.Dtypes = None,
    sharding: tensors.Shardings = None,
    log: Log = print,
) -> dict[str, Any]:
    """Reads a checkpoint of any known format.

    The known formats are an original `.npz` (`file.npz:img` names a subtree), a Hugging Face folder
    of PaliGemma 2 or SigLIP, a torch file of SigLIP (open_clip or timm), and a run directory or an
    export of big_rad.

    Args:
        path: The file or folder.
        lazy: Whether to return lazy arrays, which are read when `np.asarray` is called on them, so
            that `models.load` can read them one at a time. `dtype` and `sharding` are then unused.
        dtype: The dtype to convert to, or a function of an array's name that returns it. None keeps
            the stored dtype.
        sharding: The sharding of the arrays, or a function of an array's name that returns it. None
            returns numpy arrays.
        log: A function that receives a line for each tensor that is left out on purpose.

    Returns:
        The nested parameters `{"img", "llm"}`, with `mask_decoder` if the checkpoint has one. A
        whole SigLIP is `{"img", "txt", "t", "b"}`; its `img` has the attention pool `MAPHead_0`.
        An image tower alone is `{"img"}`; it has no `head`.

    Raises:
        FileNotFoundError: The path does not exist; the message says where to get the original.
        ValueError: The format is unknown, a file is damaged, or tensors are missing or unexpected.
    """
    flat = read(path, log=log)
    if not lazy:
        flat = tensors.materialise(flat, dtype, sharding)
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def read(path: str | pathlib.Path, *, log: Log = print) -> dict[str, tensors.Lazy]:
    """Lists a checkpoint of any known format as flat lazy arrays; see `load`."""
    return _READERS[kind(path)](path, log)


def kind(path: str | pathlib.Path) -> str:
    """Returns the format of a checkpoint, one of `KINDS`.

    Raises:
        FileNotFoundError: The path does not exist; the message says where to get the original.
        ValueError: The format is unknown.
    """
    check(path)
    file, _ = npz.split_subtree(path)
    if file.is_file() and file.suffix == ".npz":
        return "npz"
    if file.is_file() and file.suffix in _TORCH_SUFFIXES:
        return "siglip_torch"
    if run_dir.is_run(file):
        return "orbax"
    if exported.is_export(file):
        return "export"
    if (file / "adapter_config.json").is_file():
        from big_rad.weights import unusable

        unusable.check_folder(file)
    if (file / "config.json").is_file():
        from big_rad.weights import hf_config

        config = hf_config.read(file)
        if "model_name" in config:  # big_rad.train writes this before a checkpoint.
            raise ValueError(
                f"{file} is a run directory without a checkpoint; start its training again, or "
                "give another one"
            )
        siglip = str(config.get("model_type")).startswith("siglip")
        return "huggingface_siglip" if siglip else "huggingface"
    if file.suffix == ".gguf":
        raise ValueError(
            f"{file} is a GGUF file, as llama.cpp uses them, mostly quantised; give the checkpoint "
            "that it was made from"
        )
    raise ValueError(
        f"checkpoint {str(file)!r} is of no known kind: an .npz file, a Hugging Face folder (with "
        f"config.json), a run directory (with checkpoints/), an export (with params/), or a SigLIP "
        f"tower ({', '.join(_TORCH_SUFFIXES)}). {_WHERE}"
    )


def exists(path: str | pathlib.Path) -> bool:
    """Returns whether a path exists; it may name a subtree of an npz."""
    return npz.split_subtree(path)[0].exists()


def check(path: str | pathlib.Path, where: str = _WHERE) -> None:
    """Checks that a checkpoint exists, without reading it.

    Args:
        path: The file or folder.
        where: A sentence that says what to give instead, for the message.

    Raises:
        FileNotFoundError: The path does not exist, or is an empty folder.
    """
    file, _ = npz.split_subtree(path)
    if not exists(path):
        if run_dir.is_run(file):
            run_dir.locate(file)  # Raises an error that lists the steps.
        raise FileNotFoundError(f"checkpoint {str(file)!r} does not exist. {where}")
    if file.is_dir() and not any(file.iterdir()):
        raise FileNotFoundError(f"checkpoint {str(file)!r} is an empty folder. {where}")


def _read_npz(path: str | pathlib.Path, log: Log) -> dict[str, tensors.Lazy]:
    from big_rad.weights import infer, two_towers, unusable

    del log
    flat = two_towers.stack(npz.read(path))
    unusable.check(flat, str(path))
    infer.check_version(flat, str(path))
    return flat


# The imports below are slow, so each is made only for the format that needs it.
def _read_run(path: str | pathlib.Path, log: Log) -> dict[str, tensors.Lazy]:
    from big_rad.weights import orbax

    return orbax.read(path, log=log)[0]


def _read_export(path: str | pathlib.Path, log: Log) -> dict[str, tensors.Lazy]:
    return exported.read(path, log=log)[0]


def _read_huggingface(path: str | pathlib.Path, log: Log) -> dict[str, tensors.Lazy]:
    from big_rad.weights import huggingface

    return huggingface.read(path, log=log)[1]


def _read_huggingface_siglip(path: str | pathlib.Path, log: Log) -> dict[str, tensors.Lazy]:
    from big_rad.weights import huggingface, two_towers

    if two_towers.is_whole(path):
        return two_towers.read(path)[1]
    return huggingface.read_siglip(path, log=log)[1]


def _read_siglip_torch(path: str | pathlib.Path, log: Log) -> dict[str, tensors.Lazy]:
    from big_rad.weights import siglip_torch, two_towers

    if two_towers.is_whole(path):
        return two_towers.read(path)[1]
    return siglip_torch.read(path, log=log)


# The function that lists each format's checkpoints as flat lazy arrays.
_READERS: dict[str, Callable[[str | pathlib.Path, Log], dict[str, tensors.Lazy]]] = {
    "npz": _read_npz,
    "orbax": _read_run,
    "export": _read_export,
    "huggingface": _read_huggingface,
    "huggingface_siglip": _read_huggingface_siglip,
    "siglip_torch": _read_siglip_torch,
}
KINDS = tuple(_READERS)
# The kinds that big_rad itself wrote: they hold their settings, and a table for their tokenizer.
OWN = ("orbax", "export")
