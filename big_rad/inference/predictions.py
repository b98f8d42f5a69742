"""What the model wrote about one slice, as data, as JSON, and drawn.

Knows no model. Nothing here holds a value of the DICOM header but modality, plane and orientation.
"""

import dataclasses
import json
import math
import pathlib
import re
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from big_rad.dicom import read as dicom_read
from big_rad.dicom.turns import Turn
from big_rad.inference import draw

NOTE = "AI output, unverified; not for diagnostic use"


@dataclasses.dataclass(frozen=True)
class Entity:
    """Something the model named and pointed at.

    Attributes:
        phrase: the words in the text.
        class_id: 1..121, 0 if unknown. With masks, the lexicon's class of the phrase.
        class_name: name of the class, "" if unknown.
        box: (x1, y1, x2, y2) in pixels of the stored image, x2 and y2 exclusive: as written, or
            the rectangle around the mask. None if there is none that can be read, or the mask is
            blank.
        mask: of the stored image, maybe blank. None if the model points with boxes,
            or named more than it makes masks of (`inference.answer.MAX_MASKS`).
    """

    phrase: str
    class_id: int
    class_name: str
    box: tuple[float, float, float, float] | None
    mask: Bool[np.ndarray, "height width"] | None = dataclasses.field(compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model wrote.

    Attributes:
        text: the text without markup.
        entities: in the order of the text.
        logprob: summed log probability of the generated tokens.
        raw: the text with markup, as generated. Its boxes are those of the image as it was shown to
            the model.
        tokens: how many tokens were generated, the end of the text included.
        turned: what was done to the stored image before, such as "mirrored left to right"; "" for
            nothing.
        warnings: what was guessed or is doubtful about the image, a sentence each.
    """

    text: str
    entities: tuple[Entity, ...]
    logprob: float
    raw: str = ""
    tokens: int = 0
    turned: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def answer_score(self) -> float | None:
        """The geometric mean of the probabilities of all generated tokens, 0..1.

        It belongs to the whole answer (to all answers together, where several organs were asked
        for), says nothing of a single entity, and is not calibrated. None if `tokens` is 0.
        """
        return math.exp(self.logprob / self.tokens) if self.tokens else None


def turn(prediction: Prediction, how: Turn, shape: tuple[int, int]) -> Prediction:
    """Returns a prediction with boxes and masks turned.

    Args:
        prediction: on an image of `shape`.
        how: the turn.
        shape: (height, width) before it.
    """

    def turned(e: Entity) -> Entity:
        box = None if e.box is None else how.box(e.box, shape)
        return dataclasses.replace(e, box=box, mask=None if e.mask is None else how.array(e.mask))

    if not how.words:
        return prediction
    return dataclasses.replace(prediction, entities=tuple(map(turned, prediction.entities)))


def to_json(prediction: Prediction, image: dicom_read.Slice, **fields: Any) -> dict[str, Any]:
    """Returns a prediction as plain data.

    Args:
        prediction: what to write.
        image: the slice it is about.
        **fields: put in front, such as `file` and `task`.
    """
    height, width = image.pixels.shape[:2]
    seen = dicom_read.to_display(image)[0] if prediction.turned else image
    score = prediction.answer_score
    return {
        **fields,
        "modality": image.modality,
        "plane": image.plane,
        "width": width,
        "height": height,
        "orientation": {
            "stored": image.orientation or None,
            "seen": seen.orientation or None,
            "turned": prediction.turned,
        },
        "text": prediction.text,
        "entities": [
            {
                "phrase": e.phrase,
                "class_id": e.class_id,
                "class_name": e.class_name,
                "box": None if e.box is None else [round(float(c), 2) for c in e.box],
                **({} if e.mask is None else {"mask_pixels": int(e.mask.sum())}),
            }
            for e in prediction.entities
        ],
        "answer_score": None if score is None else round(score, 4),
        "logprob": round(prediction.logprob, 4),
        "tokens": prediction.tokens,
        "warnings": list(prediction.warnings),
        "note": NOTE,
    }


def overlay(prediction: Prediction, image: dicom_read.Slice) -> Image.Image:
    """Draws boxes or masks on the image in its usual display, enlarged if it is small.

    CT is shown with the soft-tissue window; blank masks are not drawn.
    """
    displayed, to_stored = dicom_read.to_display(image)
    prediction = turn(prediction, to_stored.inverse(), image.pixels.shape[:2])
    marks = []
    for e in prediction.entities:
        if e.box is not None:
            colour = draw.ORANGE
            if e.mask is not None:  # Masks touch each other; boxes are told apart by their labels.
                colour = draw.PALETTE[len(marks) % len(draw.PALETTE)]
            mark = draw.prediction(e.box, _label(e))
            marks.append(dataclasses.replace(mark, mask=e.mask, colour=colour))
    return draw.overlay(draw.window(displayed.pixels, displayed.modality), marks, min_side=768)


def write(
    prediction: Prediction,
    image: dicom_read.Slice,
    folder: str | pathlib.Path,
    stem: str,
    **fields: Any,
) -> dict[str, Any]:
    """Writes `<stem>.json` and `<stem>_overlay.png`, and the masks if there are some.

    Those are `<stem>_masks.npy`, bool [n, H, W] with one for each entity in order (blank if it was
    not made), and `<stem>_mask<i>.png` for the i-th entity from 1: one bit a pixel, white inside.

    Args:
        prediction: what to write.
        image: the slice it is about.
        folder: exists; files of the same names are overwritten, and masks that a
            `<stem>.json` of before names are removed.
        stem: how the names begin.
        **fields: see `to_json`.

    Returns:
        What is in the JSON file: `to_json`'s, with the names of the mask files.
    """
    folder = pathlib.Path(folder)
    _remove_masks(folder, stem)
    plain = to_json(prediction, image, **fields)
    made = [e.mask for e in prediction.entities if e.mask is not None]
    if made:
        blank = np.zeros_like(made[0])
        masks = np.stack([blank if e.mask is None else e.mask for e in prediction.entities])
        plain["masks"] = f"{stem}_masks.npy"
        np.save(folder / plain["masks"], masks)
        for i, (entity, mask) in enumerate(zip(plain["entities"], masks, strict=True)):
            entity["mask"] = f"{stem}_mask{i + 1}.png"
            Image.fromarray(mask).save(folder / entity["mask"], optimize=True)
    text = json.dumps(plain, ensure_ascii=False, indent=1)
    (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    overlay(prediction, image).save(folder / f"{stem}_overlay.png")
    return plain


def outputs(folder: str | pathlib.Path, stem: str) -> re.Pattern[str]:
    """Returns what matches every path that `write` may write."""
    start = re.escape(str(pathlib.Path(folder).resolve() / stem))
    return re.compile(start + r"(\.json|_overlay\.png|_masks\.npy|_mask[0-9]+\.png)")


def _remove_masks(folder: pathlib.Path, stem: str) -> None:
    # Those of an earlier run may be more than this one's, and would look like its own.
    try:
        before = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
        names = [before.get("masks"), *(e.get("mask") for e in before["entities"])]
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return  # There is no such file, or it is not one of ours.
    written_here = outputs(folder, stem)
    for name in filter(None, names):
        if isinstance(name, str) and written_here.fullmatch(str(folder.resolve() / name)):
            (folder / name).unlink(missing_ok=True)


def _label(entity: Entity) -> str:
    return (entity.class_name or entity.phrase).replace("_", " ")
