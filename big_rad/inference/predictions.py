"""The prediction about one slice: as an object, as JSON, as an overlay, and as files.

For the privacy of patients, the only values of the DICOM header that may appear in a prediction
or its files are modality, plane and orientation.
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

from big_rad import files
from big_rad.dicom import read as dicom_read
from big_rad.dicom.objects import NOTE
from big_rad.dicom.turns import Turn
from big_rad.inference import draw
from big_rad.inference.confidence import Confidence


@dataclasses.dataclass(frozen=True)
class Entity:
    """A phrase of the text with the place that the model pointed at.

    Attributes:
        phrase: the words in the text.
        class_id: the number of the class, 1..121, or 0 if it is unknown. A model with masks writes
            no class, so the lexicon gives the class of the phrase.
        class_name: the name of the class, or "" if it is unknown.
        box: (x1, y1, x2, y2) in pixels of the stored image, with x2 and y2 exclusive. It is the box
            that the model wrote, or the rectangle around the mask. None if the model wrote no
            readable box, or the mask is blank.
        mask: the mask in pixels of the stored image, which may be blank. None if the model points
            with boxes, or if the text has more entities than the model makes masks
            (`inference.answer.MAX_MASKS`).
        confidence: how sure the model is of the box or the mask; None if it has neither, or if the
            confidence is not known.
        withheld: whether the entity has no box and no mask because its confidence was below the
            least that was asked for, or not known.
    """

    phrase: str
    class_id: int
    class_name: str
    box: tuple[float, float, float, float] | None
    mask: Bool[np.ndarray, "height width"] | None = dataclasses.field(compare=False, repr=False)
    confidence: Confidence | None = None
    withheld: bool = False


@dataclasses.dataclass(frozen=True)
class TokenDetail:
    """One generated token.

    Attributes:
        text: what the token stands for.
        logprob: its log probability.
        alternatives: the likeliest tokens at its place and their log probabilities, the likeliest
            first.
    """

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The text that the model wrote about one slice, with its entities.

    Attributes:
        text: the text without markup.
        entities: the entities, in the order of the text.
        logprob: the sum of the log probabilities of the generated tokens.
        raw: the text with markup, as it was generated. Its boxes belong to the image as the model
            saw it, which may be turned.
        tokens: the number of generated tokens, the end of the text included.
        turned: how the stored image was turned for the model, such as "mirrored left to right"; ""
            if it was not turned.
        warnings: sentences about everything in the image that was guessed or is doubtful, and about
            what of the answer was changed or withheld.
        confidence: how sure the model is of the text; it is never calibrated for a report.
        changed: how many tokens the grammar changed, see `constrain`; 0 without constraints.
        details: the tokens one by one, if they were asked for.
    """

    text: str
    entities: tuple[Entity, ...]
    logprob: float
    raw: str = ""
    tokens: int = 0
    turned: str = ""
    warnings: tuple[str, ...] = ()
    confidence: Confidence | None = None
    changed: int = 0
    details: tuple[TokenDetail, ...] = ()

    @property
    def answer_score(self) -> float | None:
        """The geometric mean of the probabilities of all generated tokens, in 0..1.

        It is exp(`logprob` / `tokens`). It belongs to the whole answer, or to all answers together
        if several organs were asked for. It says nothing about a single entity, and it is
        uncalibrated. None if `tokens` is 0.
        """
        return math.exp(self.logprob / self.tokens) if self.tokens else None


def turn(prediction: Prediction, how: Turn, shape: tuple[int, int]) -> Prediction:
    """Returns a prediction with its boxes and masks turned.

    Args:
        prediction: a prediction about an image of `shape`.
        how: the turn.
        shape: the (height, width) of the image before the turn.
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
        prediction: the prediction.
        image: the slice that it is about.
        **fields: further fields, which come first, such as `file` and `task`.

    Returns:
        A dict of strings, numbers, lists and dicts, which JSON can hold.
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
                "confidence": confidence_json(e.confidence),
                **({"withheld": "below min_score"} if e.withheld else {}),
            }
            for e in prediction.entities
        ],
        "confidence": confidence_json(prediction.confidence),
        "answer_score": None if score is None else round(score, 4),
        "answer_score_status": "uncalibrated",
        "logprob": round(prediction.logprob, 4),
        "tokens": prediction.tokens,
        "changed_tokens": prediction.changed,
        "warnings": list(prediction.warnings),
        "note": NOTE,
    }


def confidence_json(confidence: Confidence | None) -> dict[str, Any] | None:
    """Returns a confidence as plain data: `value`, `status` ("uncalibrated"), kind and features."""
    if confidence is None:
        return None
    return {
        "value": round(confidence.value, 4),
        "status": confidence.status,
        "kind": confidence.kind,
        "features": {name: round(x, 4) for name, x in confidence.features.items()},
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
            if e.mask is not None:  # Masks that touch need different colours; boxes do not.
                colour = draw.PALETTE[len(marks) % len(draw.PALETTE)]
            mark = draw.prediction(e.box, label(e))
            marks.append(dataclasses.replace(mark, mask=e.mask, colour=colour))
    sure = [e.confidence for e in prediction.entities if e.box is not None and e.confidence]
    doubt = any(c.calibrated is None for c in sure)
    return draw.overlay(
        draw.window(displayed.pixels, displayed.modality),
        marks,
        min_side=768,
        caption="?: uncalibrated confidence" if doubt else "",
    )


def label(entity: Entity) -> str:
    """Returns the label of an entity in a picture: its name and, if it is known, its confidence.

    A question mark follows a confidence that is uncalibrated.
    """
    name = (entity.class_name or entity.phrase).replace("_", " ")
    if entity.confidence is None:
        return name
    # A question mark stands where nobody has checked how often such a number is right.
    doubt = "?" if entity.confidence.calibrated is None else ""
    return f"{name} {entity.confidence.value:.2f}{doubt}"


def write(
    prediction: Prediction,
    image: dicom_read.Slice,
    folder: str | pathlib.Path,
    stem: str,
    **fields: Any,
) -> dict[str, Any]:
    """Writes `<stem>.json` and `<stem>_overlay.png`, and the masks if there are any.

    Masks are written twice. `<stem>_masks.npy` is bool [n, H, W] with one mask for each entity, in
    order; the mask is blank if the entity has none. `<stem>_mask<i>.png` is the mask of entity i,
    counted from 1, with one bit per pixel and white inside the mask.

    Args:
        prediction: the prediction.
        image: the slice that it is about.
        folder: an existing folder. Files of the same names are overwritten. Mask files that an
            earlier `<stem>.json` names are removed.
        stem: the beginning of the file names.
        **fields: see `to_json`.

    Returns:
        The content of the JSON file: the result of `to_json`, with the names of the mask files.
    """
    folder = pathlib.Path(folder)
    _remove(folder, stem)
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
    overlay(prediction, image).save(folder / f"{stem}_overlay.png")
    # Last, and whole: who finds it finds the others too.
    text = json.dumps(plain, ensure_ascii=False, indent=1)
    files.write_whole(folder / f"{stem}.json", text + "\n")
    return plain


def outputs(folder: str | pathlib.Path, stem: str) -> re.Pattern[str]:
    """Returns a pattern that matches every path that `write` may write.

    Args:
        folder: see `write`.
        stem: see `write`.
    """
    start = re.escape(str(pathlib.Path(folder).resolve() / stem))
    return re.compile(start + r"(\.json|_overlay\.png|_masks\.npy|_mask[0-9]+\.png)")


def _remove(folder: pathlib.Path, stem: str) -> None:
    # An earlier run may have made more masks than this one makes. The masks beyond would look as if
    # they belonged to this run. The JSON file goes first, which says that the others are there.
    path = folder / f"{stem}.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        names = [before.get("masks"), *(e.get("mask") for e in before["entities"])]
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return  # There is no such file, or it is not one of ours.
    path.unlink()
    written_here = outputs(folder, stem)
    for name in filter(None, names):
        if isinstance(name, str) and written_here.fullmatch(str(folder.resolve() / name)):
            (folder / name).unlink(missing_ok=True)
