"""The fields of an example: the dict that ops read and write, from a dataset's record to a row.

This is how a record becomes a row of a batch; S is the size of the model's image, and L is the
length of the row (`tok` has an example of one):

    record        id, patient, image and segmap (packed), modality, boxes, texts; or "images", a
      |           list of images with these fields
      | view        one of several images; adds image_id
      | load        image int16, float32 or uint8 [H, W], or uint8 [H, W, 3]; segmap uint8 [H, W]
      | augment     image, segmap and boxes change at random; adds before
      | normalize   image float32 [H, W, 3]
      | resize      image float32 [S, S, 3], segmap [S, S]; adds segmap_full
      | clean       texts: white space of the reports
      | detect_vqa  texts: adds questions about positions
      | prompt      texts: some are chosen; each gets context, prefix and suffix
      | ground      texts: markup in the suffix, and the matching prefix
      | tok         adds text, mask_ar, mask_loss and segment, int32 [L + 1]
      | caption     in place of the ops from detect_vqa to tok, for a model with two towers: adds
      |             text, mask_ar and mask_loss, int32 [L], image_key and text_keys
      | keep        id, image, text, mask_ar, mask_loss, ...
    row
      | collate     B rows are stacked
    batch         image float32 [B, S, S, 3]; text, mask_ar, ... int32 [B, L + 1]; id, a list

A recipe leaves out the ops that it does not need. Every field is optional, because an example grows
from op to op. The comment behind a field says what adds it: "record" is a dataset, "caller" is a
program that brings its own image, "pipeline" is the input pipeline or a source around another
source, and all other names are ops. A later op may change the field.

Boxes are [x1, y1, x2, y2, class id] in pixels of the image; x2 and y2 are exclusive. A keyword is
[phrase, class id].
"""

from typing import TypedDict

import numpy as np
from jaxtyping import Int32, Num, UInt8

Image = Num[np.ndarray, "height width"] | Num[np.ndarray, "height width 3"]
LabelMap = UInt8[np.ndarray, "height width"]
TokenRow = Int32[np.ndarray, " length+1"]
MaskSlots = Int32[np.ndarray, " masks"]


class Text(TypedDict, total=False):
    """A target or a question about one image."""

    task: str  # record, detect_vqa: "report", "vqa" or "detect"
    lang: str  # record, detect_vqa: "en" or "de"; a question also "zh"
    sentence: str  # record: the sentence of a report
    clinical: str  # record: the clinical information before a report; may be empty
    question: str  # record, detect_vqa: the question, or the one that a report answers
    answer: str  # record, detect_vqa: the answer to a question
    question_type: str  # record, detect_vqa: "open", "closed", "yesno" or "multiple"
    choices: list[str]  # record: the answers to choose from
    source: str  # record: the origin of a question, such as "metadata" or "finding"
    template: str  # record, detect_vqa: the name of the template that wrote the text, or ""
    keywords: list[list]  # record, detect_vqa, prompt: words that may be marked, and their classes
    places: list[int | None]  # record: start of each keyword in the sentence, None for all places
    answer_unseen: str  # detect_vqa: the answer if `augment` loses the classes asked about
    context: str  # prompt: the text before the prompt line: clinical information, or the question
    prefix: str  # prompt: the whole string before the target
    suffix: str  # prompt: the target; `ground` puts the markup in
    grounding: str  # prompt: how the prompt asks to mark phrases: "none", "boxes" or "masks"
    grounded: bool  # prompt: whether the prompt asks to mark phrases
    markup: bool  # ground: whether the suffix has markup
    mask_classes: list[int]  # ground: the class id of each mask of the suffix, in order


class Before(TypedDict):
    """The fields of an example from before `augment`; questions depend on them."""

    segmap: LabelMap | None  # the label map in full size
    boxes: list[list[float]] | None  # the boxes
    size: tuple[int, int]  # height and width of the image that the boxes lie on


class Example(TypedDict, total=False):
    """One image with its texts; or several images to choose from, before `view`."""

    id: str  # record: unique in the split; the pseudonym of an image, or of a sentence
    patient: str  # record: the patient's pseudonym, or "" if the source does not give one
    images: list["Example"]  # record: several images to choose from, instead of one image's fields
    image_id: str  # view, pipeline: the id of the image itself
    image: bytes | Image  # record, load: stored values (CT: HU) or colours; `normalize` scales them
    modality: str  # record, load: "CT", "MR" or "OT"
    plane: str  # record, load: "axial", "coronal", "sagittal" or ""
    body_part: str  # record: free text
    segmap: bytes | LabelMap  # record, ground: class ids of the pixels, 0 for background
    boxes: list[list[float]]  # record: one box for each class
    unsure: list[int]  # record: classes that may be shown although neither map nor boxes show them
    texts: list[Text]  # record: `detect_vqa` adds some, `prompt` chooses among them
    path: str  # caller: the file of an image that `load` reads
    frame: int  # caller: which frame or slice of the file, from 0
    rng: np.random.Generator  # caller, pipeline: the generator that random ops draw from
    error: Exception  # pipeline: the reason why the example, which has only an id, is unreadable
    segmap_full: LabelMap  # load, resize: the label map before it was resized
    before: Before  # augment: some fields as they were before the image was changed
    repeat_channel: int  # augment: the CT window that is shown in all three channels
    text: TokenRow  # tok, caption: the tokens of all texts, then padding
    mask_ar: TokenRow  # tok, caption: 1 where a token attends only to those before it
    mask_loss: TokenRow  # tok, caption: 1 where a token is learned
    segment: TokenRow  # tok: the number of the text from 1, 0 on padding
    text_bound: int  # tok: the most tokens that the row can have with the same texts
    cut: Int32[np.ndarray, ""]  # caption: 1 if the text was too long for the row
    image_key: Int32[np.ndarray, " 2"]  # caption: a key that rows of the same image share
    text_keys: Int32[np.ndarray, "keys 2"]  # caption: the keys of all texts, that of `text` first
    mask_class: MaskSlots  # tok: the class id of each mask, 0 in an unused slot
    mask_pos: MaskSlots  # tok: the position of its `</seg>` in `text`, -1 in an unused slot
    task: str  # tok: this field and those below come from the one text of an evaluation row
    lang: str  # tok, caption: as in the text
    question: str  # tok: as in the text
    question_type: str  # tok: as in the text
    source: str  # tok: as in the text
    template: str  # tok: as in the text
    prefix: str  # tok: as in the text
    choices: list[str]  # tok: as in the text
    keywords: list[list]  # tok: as in the text
    mask_classes: list[int]  # tok: as in the text
    reference: str  # tok, caption: the target, with markup
    mask_input: TokenRow  # tok: 1 on the tokens of the prompt


def one_of_several(image: Example, shared: Example) -> Example:
    """Returns an image of an example that has several, as an example of its own.

    Args:
        image: an entry of `images`. If it names a patient, that one counts, because the images of
            an example may be of several patients.
        shared: the other fields of the example, which count for all its images.
    """
    own: Example = {"patient": image["patient"]} if "patient" in image else {}
    return {**image, **shared, "image_id": image["id"], **own}
