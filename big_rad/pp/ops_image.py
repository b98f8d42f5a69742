"""Ops on the image; the label map and the boxes follow each change of its geometry.

Before `normalize` an image is [H, W] (grey: HU for CT, the stored values otherwise) or uint8
[H, W, 3] (colour); after it, float32 [H, W, 3]. Boxes are (x1, y1, x2, y2, class id) in pixels of
the image.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Num, Shaped, UInt8

from big_rad.grounding import boxes as box_lib
from big_rad.pp.example import Before, Example, Image, LabelMap
from big_rad.pp.ops import OPS, Op, rng_of

# The CT windows as (width, level) in HU: a wide one, soft tissue and brain.
CT_WINDOWS = ((2250.0, -100.0), (350.0, 40.0), (80.0, 40.0))
AIR_HU = -1000.0
EPS = 1e-5
DATASET_STATS = {"CT": (-610.19, 737.39), "MR": (141.12, 255.40)}  # (mean, std) of RefRad2D
MIN_MAX_RANGES = {"CT": (-1000.0, 3000.0), "MR": (0.0, 4096.0)}
NORMALIZATIONS = ("medgemma", "dataset_stats", "min_max")


@OPS.register("augment")
def get_augment(
    shift: int = 0,
    crop: float | tuple[float, float] | None = None,
    gamma: tuple[float, float] | None = None,
    gamma_p: float = 0.3,
    intensity: float = 0.0,
    intensity_p: float = 0.5,
    channel_repeat: float = 0.0,
) -> Op:
    """Changes the image at random; label map and boxes follow. All changes are off by default.

    The field "before" keeps label map, boxes and size from before the change, so that the questions
    about an image do not depend on its crop. In CT, values below -1000 HU
    (the padding of a scanner) become -1000 first.

    The segmentation run of RadGrounder used `augment(crop=(0.9, 1.0), gamma=(0.7, 1.2),
    intensity=20, channel_repeat=0.2)`.

    Args:
        shift: the most pixels by which the image is moved along each axis. The area that becomes
            free gets the lowest value of the slice (air), and is background in the label map.
        crop: the (lowest, highest) share of each side that is kept, at a random place. 0.9 stands
            for (0.9, 1.0); None or 0 disables cropping.
        gamma: the (lowest, highest) exponent, which is applied to the values scaled to 0..1 over
            the slice; grey images only. None disables it.
        gamma_p: the probability of a change by `gamma`.
        intensity: the largest offset. A number between -intensity and intensity is drawn and added
            to all pixels, in HU in CT and in stored values otherwise; grey images only. 0 disables
            it.
        intensity_p: the probability of a change by `intensity`.
        channel_repeat: the probability that one of the three CT windows is shown in all channels.
            The field "repeat_channel" then holds the number of the window, and
            `normalize('medgemma')` reads it.

    Raises:
        ValueError: `crop` or `shift` is outside its range.
    """
    if not crop:
        low, high = 1.0, 1.0
    else:
        low, high = crop if isinstance(crop, tuple | list) else (crop, 1.0)
    if not 0 < low <= high <= 1:
        raise ValueError(f"augment: crop={crop!r} must lie in (0, 1], such as (0.9, 1.0)")
    if shift < 0:
        raise ValueError(f"augment: shift={shift} must be at least 0")

    def _augment(example: Example) -> Example:
        rng, example = rng_of(example), {"before": _before(example), **example}
        if example.get("modality") == "CT" and example["image"].ndim == 2:
            example["image"] = np.maximum(example["image"], example["image"].dtype.type(AIR_HU))
        if (low, high) != (1.0, 1.0):
            example = _cropped(example, rng, low, high)
        if shift:
            dy, dx = (int(rng.integers(-shift, shift + 1)) for _ in range(2))
            example = _shifted_example(example, dy, dx)
        image = example["image"]
        if image.ndim == 2:
            if gamma and rng.random() < gamma_p:
                image = _gamma(image, rng.uniform(*gamma))
            if intensity and rng.random() < intensity_p:
                image = image + np.float32(rng.uniform(-intensity, intensity))
        if channel_repeat and rng.random() < channel_repeat:
            example["repeat_channel"] = int(rng.integers(3))
        if example.get("segmap") is not None:
            example.pop("segmap_full", None)
        return example | {"image": image}

    return _augment


@OPS.register("normalize")
def get_normalize(kind: str = "medgemma") -> Op:
    """Scales the values of the image for the model and makes three channels.

    Args:
        kind: the normalisation. "medgemma" shows grey CT through three windows, each scaled to
            [-1, 1], and scales any other image over its own range to [-1, 1]. "dataset_stats" is
            for grey CT and MR alone: it subtracts the mean of the modality in RefRad2D, divides by
            its standard deviation and clips to [-2, 2]. "min_max" clips grey CT to -1000..3000 HU
            and grey MR to 0..4096; it then scales any image over its own range to [0, 1].

    Raises:
        ValueError: The normalisation is unknown. The op itself raises it for "dataset_stats" with
            an image that is neither grey CT nor grey MR.
    """
    if kind not in NORMALIZATIONS:
        raise ValueError(f"normalize: {kind!r} is not one of {', '.join(NORMALIZATIONS)}")

    def _normalize(example: Example) -> Example:
        image, modality = example["image"], example["modality"]
        repeat = example.get("repeat_channel")
        if image.ndim == 3:
            return example | {"image": _colour(image, kind)}
        if kind == "medgemma" and modality == "CT":
            return example | {"image": ct_windows(image, repeat)}
        grey = _grey(image.astype(np.float32), modality, kind)
        return example | {"image": np.broadcast_to(grey[..., None], (*grey.shape, 3))}

    return _normalize


@OPS.register("resize")
def get_resize(size: int, antialias: bool = False) -> Op:
    """Resizes the image (bilinear), the label map (nearest) and the boxes to size x size pixels.

    The label map from before stays as "segmap_full", so that boxes are later made from the
    full-size map.

    Args:
        size: the height and width of the result, in pixels.
        antialias: whether downscaling averages over the input pixels of each output pixel. False
            samples at half-pixel centres without smoothing, as in the training of the released
            model.
    """

    def _resize(example: Example) -> Example:
        example = dict(example)
        image = example["image"]
        if image.dtype != np.float32 or image.ndim != 3:
            raise ValueError(
                f"resize: the image is {image.dtype} {list(image.shape)}; put normalize(...) before"
            )
        example["image"] = resize_bilinear(image, size, antialias)
        height, width = image.shape[:2]
        example |= _boxes(example, lambda b: box_lib.scale(b, size / width, size / height))
        if example.get("segmap") is not None:
            example.setdefault("segmap_full", example["segmap"])
            example["segmap"] = resize_nearest(example["segmap"], size)
        return example

    return _resize


def ct_windows(
    hu: Num[np.ndarray, "height width"], window: int | None = None
) -> Float32[np.ndarray, "height width 3"]:
    """Returns three CT windows as the channels of an image.

    A channel is (x - lo) / (hi - lo + 1e-5) * 2 - 1, where x is the value in HU, clipped to the
    window from lo = level - width / 2 to hi = level + width / 2.

    Args:
        hu: the values [H, W] in HU; those below -1000 count as -1000.
        window: the index of a window that is shown in all three channels; None shows all windows.

    Returns:
        float32 [H, W, 3] in [-1, 1], not contiguous.
    """
    hu = np.maximum(hu, AIR_HU, dtype=np.float32)
    result = np.empty((3, *hu.shape), np.float32)
    for channel, (width, level) in zip(result, CT_WINDOWS, strict=True):
        lo, hi = level - width / 2, level + width / 2
        np.clip(hu, lo, hi, out=channel)
        channel -= np.float32(lo)
        channel *= np.float32(2 / (hi - lo + EPS))
        channel -= np.float32(1)
    if window is not None:
        result[:] = result[window]
    return np.moveaxis(result, 0, -1)


def shifted(
    x: Shaped[np.ndarray, "height width *channels"], dy: int, dx: int, fill: float
) -> Shaped[np.ndarray, "height width *channels"]:
    """Returns `x` moved down by `dy` and right by `dx` pixels; the free area becomes `fill`."""
    result = np.full_like(x, fill)
    h, w = x.shape[:2]
    if abs(dy) < h and abs(dx) < w:
        rows, columns = slice(max(dy, 0), h + min(dy, 0)), slice(max(dx, 0), w + min(dx, 0))
        from_rows = slice(max(-dy, 0), h + min(-dy, 0))
        from_columns = slice(max(-dx, 0), w + min(-dx, 0))
        result[rows, columns] = x[from_rows, from_columns]
    return result


def resize_bilinear(
    image: Float32[np.ndarray, "height width channels"],
    size: int | tuple[int, int],
    antialias: bool = False,
) -> Float32[np.ndarray, "new_height new_width channels"]:
    """Resizes an image bilinearly with half-pixel centres.

    The result is that of torch's `interpolate` with `align_corners=False`.

    Args:
        image: the image, float32 [H, W, C].
        size: the height and width of the result in pixels: one number for both, or a pair.
        antialias: whether downscaling averages over all input pixels of an output pixel.

    Returns:
        float32 [height, width, C], contiguous.
    """
    size = (size, size) if isinstance(size, int) else size
    resized = functools.partial(_resized, size=size, antialias=antialias)
    channels = image.shape[-1]
    if channels > 1 and image.strides[-1] == 0:  # All channels are views of one.
        return np.repeat(resized(image[..., 0])[..., None], channels, axis=-1)
    result = np.empty((*size, channels), np.float32)
    for channel in range(channels):  # One at a time, so that temporaries stay in the CPU cache.
        result[..., channel] = resized(image[..., channel])
    return result


def resize_nearest(labels: LabelMap, side: int) -> UInt8[np.ndarray, "side side"]:
    """Resizes a label map [H, W] to side x side by nearest neighbour, with half-pixel centres."""
    if labels.shape == (side, side):
        return labels
    rows, columns = (
        np.minimum((np.arange(side) + 0.5) * n / side, n - 1).astype(np.intp) for n in labels.shape
    )
    return labels[rows[:, None], columns]


def _resized(x: np.ndarray, size: tuple[int, int], antialias: bool) -> np.ndarray:
    """Resizes one channel [H, W]."""
    height, width = x.shape
    if antialias:
        return _triangle(height, size[0]) @ x @ _triangle(width, size[1]).T
    if height != size[0]:
        at, after, weight = _taps(height, size[0])
        x = _lerp(x.take(at, axis=0), x.take(after, axis=0), weight[:, None])
    if width != size[1]:
        at, after, weight = _taps(width, size[1])
        x = _lerp(x.take(at, axis=1), x.take(after, axis=1), weight)
    return x


def _lerp(x: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns x + weight * (other - x); both are overwritten."""
    other -= x
    other *= weight
    x += other
    return x


@functools.lru_cache(maxsize=64)
def _taps(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, for each output pixel, two input pixels and the weight of the second."""
    at = np.maximum((np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5, 0)
    first = np.minimum(at.astype(np.intp), size_in - 1)
    return first, np.minimum(first + 1, size_in - 1), (at - first).astype(np.float32)


@functools.lru_cache(maxsize=64)
def _triangle(size_in: int, size_out: int) -> np.ndarray:
    """Returns the antialiasing filter [size_out, size_in]; rows sum to one."""
    scale = max(size_in / size_out, 1.0)
    centre = (np.arange(size_out)[:, None] + 0.5) * size_in / size_out
    weight = np.maximum(1 - np.abs(np.arange(size_in) + 0.5 - centre) / scale, 0)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def _to_unit_range(x: np.ndarray) -> np.ndarray:
    """Scales an image to 0..1 over its own range, in place."""
    low, high = x.min(), x.max()
    x -= low
    x /= high - low + np.float32(EPS)
    return x


def _to_minus_one_one(x: np.ndarray) -> np.ndarray:
    """Scales values from 0..1 to -1..1, in place."""
    x *= 2
    x -= 1
    return x


def _grey(x: np.ndarray, modality: str, kind: str) -> np.ndarray:
    if modality == "CT":
        x = np.maximum(x, np.float32(AIR_HU))
    if kind == "medgemma":
        return _to_minus_one_one(_to_unit_range(x))
    if kind == "min_max":
        return _to_unit_range(np.clip(x, *MIN_MAX_RANGES.get(modality, (None, None))))
    if modality not in DATASET_STATS:
        raise ValueError(
            f"normalize: 'dataset_stats' has no numbers for {modality!r}; use medgemma"
        )
    mean, std = DATASET_STATS[modality]
    return np.clip((x - np.float32(mean)) / np.float32(std), -2, 2)


def _colour(image: Image, kind: str) -> np.ndarray:
    if kind == "dataset_stats":
        raise ValueError("normalize: 'dataset_stats' has no numbers for colour; use medgemma")
    x = _to_unit_range(image.astype(np.float32) / 255)
    return _to_minus_one_one(x) if kind == "medgemma" else x


def _gamma(image: np.ndarray, exponent: float) -> np.ndarray:
    x = image.astype(np.float32)
    low, span = x.min(), np.ptp(x)
    return ((x - low) / (span + np.float32(1e-7))) ** np.float32(exponent) * span + low


def _before(example: Example) -> Before:
    """Returns the fields that `big_rad.pp.shown` needs, before `augment` changes the example."""
    return {
        "segmap": example.get("segmap_full", example.get("segmap")),
        "boxes": example.get("boxes"),
        "size": example["image"].shape[:2],
    }


def _cropped(example: Example, rng: np.random.Generator, low: float, high: float) -> Example:
    window = []
    for n in example["image"].shape[:2]:
        kept = max(1, round(n * rng.uniform(low, high)))
        start = int(rng.integers(n - kept + 1))
        window.append(slice(start, start + kept))
    rows, columns = window
    edges = (columns.start, rows.start, columns.stop, rows.stop)
    return (
        example
        | {k: example[k][rows, columns] for k in _pixel_fields(example)}
        | _boxes(example, lambda box: box_lib.crop(box, edges))
    )


def _shifted_example(example: Example, dy: int, dx: int) -> Example:
    height, width = example["image"].shape[:2]
    maps = {k: example[k] for k in _pixel_fields(example)}
    return (
        example
        | {k: shifted(v, dy, dx, v.min() if k == "image" else 0) for k, v in maps.items()}
        | _boxes(example, lambda b: box_lib.crop(b, (-dx, -dy, width - dx, height - dy)))
    )


def _pixel_fields(example: Example) -> list[str]:
    return [k for k in ("image", "segmap") if example.get(k) is not None]


def _boxes(
    example: Example, move: Callable[[Sequence[float]], box_lib.Box | None]
) -> dict[str, list[list[float]]]:
    """Returns a dict with the moved boxes as "boxes", or {} if the example has no boxes.

    A box is left out if `move` returns None for it.
    """
    if not example.get("boxes"):
        return {}
    moved = [(move(b[:4]), b[4]) for b in example["boxes"]]
    return {"boxes": [[*box, class_id] for box, class_id in moved if box is not None]}
