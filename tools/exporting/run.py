"""Answers a question about an image with this export alone: it needs no code of big_rad.

    python run.py slice.png --task=detect --question="Where is the liver?"
    python run.py slice.npy                   # float32 [side, side, 3], prepared for the model

It needs jax, numpy, orbax-checkpoint, sentencepiece and pillow, and the folder hlo/ beside it
(`--hlo` of tools.export). It is meant to be read: a program of your own makes the same few calls.
Not for diagnosis.
"""

import argparse
import functools
import hashlib
import json
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import sentencepiece
from jax import export
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).absolute().parent
FILE = HERE / "config.json"  # It lies beside the copy in an export, not beside the original.
CONFIG = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
HLO, TOKENS = CONFIG.get("hlo"), CONFIG.get("tokens")
SIDE = CONFIG["meta"]["config"]["image"]["size"] if CONFIG else 0


def check() -> None:
    """Compares the files that are used with SHA256SUMS: a changed byte may change the answer."""
    for line in (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        if name.startswith(("params/", "hlo/", "config.json", "tokenizer.model")):
            path = HERE / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
                raise SystemExit(f"{path} is missing or changed: copy the export again")


def program(name: str) -> Callable[..., Any]:
    """A program of the folder hlo/ as a function of nested dicts and lists of arrays."""
    data = bytearray((HERE / f"hlo/{name}.bin").read_bytes())
    try:
        return jax.jit(export.deserialize(data).call)
    except Exception as e:
        raise SystemExit(f"JAX {jax.__version__} cannot read what {HLO['jax']} wrote: {e}") from e


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts from names such as "img/head/kernel"."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        here = tree
        for key in path:
            here = here.setdefault(key, {})
        here[last] = value
    return tree


def load() -> dict[str, Any]:
    """The parameters, with the layers of the language model arranged one by one."""
    empty = {n: np.empty(shape, np.dtype(kind)) for n, (shape, kind) in CONFIG["params"].items()}
    tree = ocp.StandardCheckpointer().restore(HERE / "params", nested(empty))
    held = {n: functools.reduce(dict.__getitem__, n.split("/"), tree) for n in empty}
    for name in [n for n in held if "int8_scales/" + n in held]:  # int8 is widened.
        held[name] = held[name].astype(np.float32) * held.pop("int8_scales/" + name)
    params = nested({n: x.astype(CONFIG["computed"][n]) for n, x in held.items()})
    layers, arrange = params["llm"].pop("layers"), program("arrange")
    depth = layers["mlp"]["linear"].shape[0]
    blocks = (arrange(jax.tree.map(lambda x: x[i], layers)) for i in range(depth))  # noqa: B023
    params["llm"]["blocks"] = {str(i): block for i, block in enumerate(blocks)}
    return jax.device_put(params)


def read_image(path: str) -> np.ndarray:
    """The image as the model takes it: float32 [side, side, 3]."""
    if path.endswith(".npy"):
        image = np.load(path, allow_pickle=False).astype(np.float32)
        if image.shape != (SIDE, SIDE, 3):
            raise SystemExit(f"{path} has the shape {image.shape} and not {(SIDE, SIDE, 3)}")
        return image
    picture, kind = Image.open(path), CONFIG["meta"]["config"]["image"]["normalize"]
    print(f"{path}: taken as it is. A CT needs its windows: prepare an .npy", file=sys.stderr)
    if picture.mode.startswith("I") or kind == "dataset_stats":
        raise SystemExit(f"{path}: pictures of 8 bits alone; prepare others and give a .npy")
    picture = ImageOps.exif_transpose(picture).convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)
    x = np.asarray(picture, np.float32) / 255
    x = (x - x.min()) / (x.max() - x.min() + np.float32(1e-5))
    return 2 * x - 1 if kind == "medgemma" else x


def answer(
    params: dict[str, Any], images: list[np.ndarray], prompts: list[str], most: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The state after the answers, as a dict of arrays, for any number of images and prompts."""
    speller = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "tokenizer.model"))
    apart = re.compile(r"(?<=<)(?=(?:loc\d{4}|seg\d{3})>)")  # A question cannot forge a token.
    ids = [[i for part in apart.split(p) for i in speller.encode(part)] for p in prompts]
    length = -(-(1 + max(map(len, ids))) // 32) * 32
    if length > HLO["longest_prompt"]:
        raise SystemExit(
            f"a prompt has {length} tokens and {HLO['longest_prompt']} fit: shorten it"
        )
    text = np.zeros((len(ids), length), np.int32)
    for row, own in zip(text, ids):
        row[: len(own) + 1] = [TOKENS["bos"], *own]
    state = program("prefill")(params, np.stack(images), text, np.full(len(ids), most, np.int32))
    decode = program("decode")
    while not np.asarray(state["done"]).all():
        state = decode(params, state)
    if HLO["masks"]:
        state |= program("masks")(params, state)
    return jax.device_get(state), [spell(speller, row) for row in np.asarray(state["tokens"])]


def spell(speller: sentencepiece.SentencePieceProcessor, ids: np.ndarray) -> str:
    """The text of an answer, with its markup."""
    base, names = TOKENS["base"], {i: name for name, i in TOKENS["markup"].items()}
    names |= {base + i: f"<loc{i:04d}>" for i in range(1024)}
    names |= {base + 1024 + i: f"<seg{i:03d}>" for i in range(128)}
    parts: list[str] = []
    run: list[int] = []
    for i in [int(i) for i in ids if i > 2] + [-1]:  # -1 ends the last run of ordinary pieces.
        if i in names or i < 0:
            parts += [speller.decode(run), names.get(i, "")]
            run = []
        else:
            run.append(i)
    return "".join(parts)


def main() -> None:
    """Answers one question and prints the answer as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image")
    parser.add_argument("--task", choices=("report", "vqa", "detect"), default="report")
    parser.add_argument("--question", default="")
    parser.add_argument("--lang", choices=("en", "de"), default="en")
    parser.add_argument("--max_new_tokens", type=int, default=HLO and HLO["max_new_tokens"])
    parser.add_argument("--masks", help="write the logits of the masks to this .npy")
    args = parser.parse_args()
    if not CONFIG:
        raise SystemExit(f"{FILE} is missing: run the copy in an export, or copy that again")
    if HLO is None:
        raise SystemExit("this export has no folder hlo/: python -m tools.export RUN OUT --hlo")
    if not args.question and args.task != "report":
        raise SystemExit(f"--task={args.task} needs --question")
    check()
    prompt = CONFIG["prompts"][f"{args.task}_{args.lang}"].replace("{question}", args.question)
    try:
        image = read_image(args.image)
    except (OSError, ValueError) as e:
        raise SystemExit(f"{args.image} is no picture and no .npy: {e}") from e
    found, (text,) = answer(load(), [image], [prompt], args.max_new_tokens)
    if args.masks and "mask_logits" in found:
        np.save(args.masks, found["mask_logits"][0, : int(found["num_masks"][0])])
    tokens = [int(i) for i in found["tokens"][0] if i]
    print(json.dumps(dict(text=text, logprob=float(found["logprob"][0]), tokens=tokens)))


if __name__ == "__main__":
    main()
