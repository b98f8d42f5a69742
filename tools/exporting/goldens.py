"""Goldens of an export: a few images with questions, what the model saw of them, and its answers.

`goldens.npz` holds the images, samples of the pixels and the tokens that the preprocessing made of
them, and the answers with their log probabilities; `goldens.json` holds the questions. They show in
any environment whether an export still does what it did where it was written.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad import files
from big_rad.dicom.image import Slice
from big_rad.grounding import codec as codecs
from big_rad.inference import answer as answer_lib
from big_rad.inference import decode, prepare, sampling
from big_rad.inference.asks import Ask
from big_rad.inference.load import Loaded
from big_rad.weights import source_config

QUESTIONS, ARRAYS = "goldens.json", "goldens.npz"
NEW = 32  # The most tokens of an answer.
PIXELS = 1e-5  # By how much a preprocessed pixel may differ.
SAMPLED = 32  # How many rows and columns of a preprocessed image are kept.
_MASK = 16  # How many rows and columns of the logits of a mask are kept.
# By how much the log probability of a token may differ in another environment, by the dtype of the
# matrix products and whether the device is a CPU. Accelerators round float32 products as well.
_TOLERANCE = {("float32", True): 1e-4, ("float32", False): 2e-2}
_TOLERANCE_OTHER = 0.15
_EXACT = 1e-5  # The same for an export beside its run, of which it is the same function.


@dataclasses.dataclass(frozen=True)
class Batch:
    """The goldens' questions as a model takes them.

    Attributes:
        image: f32 [questions, side, side, 3].
        text: the prompts i32 [questions, tokens], each followed by zeros.
    """

    image: np.ndarray
    text: np.ndarray


def pictures(normalize: str) -> list[Slice]:
    """Returns the images: a CT slice, an MR slice and a picture in colours, all of them drawn.

    Args:
        normalize: the normalisation of the model; with "dataset_stats" there is no picture in
            colours, because that has no numbers for it.
    """
    y, x = np.mgrid[-1:1:96j, -1:1:80j]
    body = x**2 / 0.8 + y**2 / 0.7 < 1
    organ = (x + 0.35) ** 2 / 0.12 + (y + 0.1) ** 2 / 0.2 < 1
    bone = x**2 + (y - 0.6) ** 2 < 0.02
    ripples = 20 * np.sin(9 * x + 5 * y)
    ct = np.where(body, 40 + ripples, -1000) + 60 * organ + 700 * bone
    mr = np.where(body, 300 + 4 * ripples, 5) + 250 * organ - 200 * bone
    colours = np.stack([body * 90 + organ * 100, body * 110 + bone * 80, 40 + 60 * body], axis=-1)
    grey = [
        Slice(ct.astype(np.int16), "CT", (1.0, 1.0), "axial", "HU"),
        Slice(mr.astype(np.int16), "MR", (1.0, 1.0), "axial", "raw"),
    ]
    return grey + [Slice(colours.astype(np.uint8), "OT", None, "", "rgb")] * (
        normalize != "dataset_stats"
    )


def questions(pointing: str, images: int) -> list[dict[str, Any]]:
    """Returns the questions, each with the number of its `image` and the fields of an `Ask`.

    Args:
        pointing: how the model points: "boxes", "masks" or "none".
        images: the number of images.
    """
    found = [
        dict(image=0, task="report", question="Enlarged liver?"),
        dict(image=1, task="report", lang="de", ground="none"),
        dict(image=images - 1, task="vqa", question="Is there a fracture?"),
    ]
    if pointing != "none":
        found += [
            dict(image=0, task="detect", question="Where is the liver?"),
            dict(image=1, task="detect", question="Wo ist die linke Niere?", lang="de"),
        ]
    return found


def prepared(found: Loaded, images: Sequence[Slice], asks: Sequence[Mapping[str, Any]]) -> Batch:
    """Preprocesses questions as prediction does.

    Args:
        found: the model.
        images: the images.
        asks: the questions, see `questions`.
    """
    preparer = make_preparer(found)
    requests = []
    for ask in asks:
        fields = {k: v for k, v in ask.items() if k != "image"}
        requests.append(preparer.prepare(Ask(images[ask["image"]], **fields)).request)
    text = np.zeros((len(requests), prepare.lengths(max(len(r.text) for r in requests))[-1]))
    for row, request in zip(text, requests, strict=True):
        row[: len(request.text)] = request.text
    return Batch(np.stack([r.image for r in requests]), text.astype(np.int32))


def make_preparer(found: Loaded) -> prepare.Preparer:
    """Returns the preparer of a model, with the settings of its checkpoint."""
    codec = found.fields["codec"]
    points_with = "masks" if getattr(found.model, "mask_decoder", None) else "boxes"
    return prepare.Preparer(
        found.tokenizer,
        found.fields["tokenizer"]["path"],
        codecs.get_codec(codec["name"], grid=codec.get("grid")),
        image={k: found.fields["image"][k] for k in ("size", "normalize")},
        text=dict(found.fields["text"]),
        pointing=pointing(found),
        points_with=points_with,
    )


def pointing(found: Loaded) -> str:
    """Returns how a model points: "boxes", "masks" or "none"."""
    masks = bool(getattr(found.model, "mask_decoder", None))
    can = source_config.tokenizer_points(found.tokenizer, masks, found.untrained)
    return ("masks" if masks else "boxes") if can else "none"


def options(found: Loaded, new: int = NEW) -> sampling.Options:
    """Returns the settings of the greedy answers, with log probabilities token by token."""
    made = answer_lib.decoding_options(found.model, found.tokenizer, found.never, new)
    return dataclasses.replace(made, token_logprobs=True)


def answers(found: Loaded, batch: Batch) -> dict[str, np.ndarray]:
    """Answers a batch greedily and without constraints.

    Returns:
        `tokens` i32 [questions, NEW], `token_logprobs` f32 of this shape, `gap` f32 of this shape,
        the distance of the two likeliest tokens in log probability, and with masks `num_masks` and
        `mask_logits` at a few pixels.
    """
    two = dataclasses.replace(options(found), alternatives=2)
    run = decode.make_generate(found.model, two)
    out = jax.device_get(run(found.params, batch.image, batch.text, 0 * batch.text))
    kept = {n: np.asarray(out[n]) for n in ("tokens", "token_logprobs")}
    kept["gap"] = out["top_logprobs"][..., 0] - out["top_logprobs"][..., 1]
    return kept | mask_samples(out)


def mask_samples(out: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns `num_masks` and `mask_logits` at a few pixels; empty without masks."""
    if "mask_logits" not in out:
        return {}
    logits = np.asarray(out["mask_logits"])
    return dict(num_masks=np.asarray(out["num_masks"]), mask_logits=thinned(logits, _MASK, (2, 3)))


def thinned(x: np.ndarray, most: int, axes: tuple[int, int]) -> np.ndarray:
    """Returns at most `most` evenly spaced rows and columns of images.

    Args:
        x: the images.
        most: how many are kept of each.
        axes: the axes of the rows and the columns.
    """
    for axis in axes:
        at = np.linspace(0, x.shape[axis] - 1, min(most, x.shape[axis])).round().astype(int)
        x = x.take(at, axis=axis)
    return x


def write(
    folder: pathlib.Path,
    images: Sequence[Slice],
    asks: Sequence[Mapping[str, Any]],
    batch: Batch,
    answered: Mapping[str, np.ndarray],
) -> None:
    """Writes the goldens into an export.

    Args:
        folder: the export.
        images: the images.
        asks: the questions.
        batch: the questions as the model takes them.
        answered: the result of `answers`.
    """
    arrays = {f"image_{i}": x.pixels for i, x in enumerate(images)}
    arrays |= dict(pixels=thinned(batch.image, SAMPLED, (1, 2)), text=batch.text)
    arrays |= {f"answer_{n}": x for n, x in answered.items()}
    np.savez_compressed(folder / ARRAYS, **arrays)
    kinds = [dict(modality=x.modality, plane=x.plane, units=x.units) for x in images]
    content = dict(images=kinds, asks=list(asks), new=NEW)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    files.write_whole(folder / QUESTIONS, text + "\n")


def read(folder: pathlib.Path) -> tuple[list[Slice], list[dict[str, Any]], dict[str, np.ndarray]]:
    """Returns the images, the questions and the arrays of the goldens of an export."""
    content = json.loads((folder / QUESTIONS).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS, allow_pickle=False) as held:
        arrays = dict(held)
    images = [
        Slice(arrays[f"image_{i}"], x["modality"], None, x["plane"], x["units"])
        for i, x in enumerate(content["images"])
    ]
    return images, content["asks"], arrays


def tolerance(found: Loaded, exact: bool = False) -> float:
    """Returns by how much the log probability of a token may differ.

    Args:
        found: the model.
        exact: whether both answers come from the same machine.
    """
    dtype = found.model.llm.get("dtype_mm") or "float32"
    if exact and dtype == "float32":
        return _EXACT
    on_cpu = jax.default_backend() == "cpu"
    return _TOLERANCE.get((dtype, on_cpu), _TOLERANCE_OTHER)


def differences(
    wanted: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], within: float
) -> tuple[list[str], float]:
    """Compares answers.

    An answer may differ from a token on at which the two likeliest tokens were so close that
    rounding decides.

    Args:
        wanted: the result of `answers`.
        got: other answers to the same questions; without `gap`.
        within: by how much the log probability of a token may differ, see `tolerance`.

    Returns:
        A line for each answer that differs, and the largest difference of log probabilities over
        the tokens that agree.
    """
    lines, largest = [], 0.0
    for k, (a, b) in enumerate(zip(wanted["tokens"], got["tokens"], strict=True)):
        apart = np.flatnonzero(a[: len(b)] != b[: len(a)])
        same = int(apart[0]) if len(apart) else min(len(a), len(b))
        off = np.abs(wanted["token_logprobs"][k, :same] - got["token_logprobs"][k, :same])
        here = float(off.max(initial=0.0))
        largest = max(largest, here)
        if here > within or not np.isfinite(here):
            lines.append(f"answer {k}: a log probability differs by {here:.2g}, above {within:g}")
        elif len(apart) and wanted["gap"][k, same] > 2 * within:
            lines.append(f"answer {k}: token {same} is {b[same]}, and {a[same]} was written")
        elif not len(apart) and "mask_logits" in wanted:
            lines += _mask_differences(k, wanted, got, within)
    return lines, largest


def _mask_differences(
    k: int, wanted: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], within: float
) -> list[str]:
    n = int(wanted["num_masks"][k])
    if int(got["num_masks"][k]) != n:
        return [f"answer {k}: it has {int(got['num_masks'][k])} masks, and {n} were made"]
    a, b = wanted["mask_logits"][k, :n], got["mask_logits"][k, :n]
    off = float((np.abs(a - b) / (1 + np.abs(a))).max(initial=0.0))
    if off <= 10 * within:
        return []
    return [f"answer {k}: the logits of a mask differ by {off:.2g} of their size"]
