"""What an example holds: the dict that ops read and write, from a dataset's record to a row.

Every field is optional, because an example grows from op to op. The comment behind a field names
who adds it: "record" is a dataset, "caller" is a program that brings its own image, "pipeline" is
what deals out examples (the input pipeline, or a source around another one), and all other names
are ops. A later op may change the field.

Boxes are [x1, y1, x2, y2, class id] in pixels of the image, x2 and y2 exclusive. A keyword is
[phrase, class id].
"""

from typing import TypedDict

import numpy as np
from jaxtyping import Int32, Num, UInt8

Image = Num[np.ndarray, "height width"] | Num[np.ndarray, "height width 3"]
LabelMap = UInt8[np.ndarray, "height width"]
Row = Int32[np.ndarray, " length+1"]
MaskSlots = Int32[np.ndarray, " masks"]


class Text(TypedDict, total=False):
    """A target or a question about one image."""

    task: str  # record, detect_vqa: "report", "vqa" or "detect"
    lang: str  # record, detect_vqa: "en" or "de"; a question also "zh"
    sentence: str  # record: what a report says
    clinical: str  # record: the clinical information before a report; may be empty
    question: str  # record, detect_vqa: the question, or the one that a report answers
    answer: str  # record, detect_vqa: the answer to a question
    question_type: str  # record, detect_vqa: "open", "closed", "yesno" or "multiple"
    choices: list[str]  # record: the answers to choose from
    source: str  # record: where a question comes from, such as "metadata" or "finding"
    template: str  # record, detect_vqa: the name of the template that wrote the text, or ""
    keywords: list[list]  # record, detect_vqa, prompt: words that may be marked, and their classes
    places: list[int | None]  # record: the start of each keyword in the sentence; None: all places
    answer_unseen: str  # detect_vqa: the answer if `augment` loses what was asked about
    context: str  # prompt: what precedes the prompt line: clinical information, or the question
    prefix: str  # prompt: the whole string before the target
    suffix: str  # prompt: the target; `ground` puts the markup in
    grounding: str  # prompt: what the prompt asks to mark: "none", "boxes" or "masks"
    grounded: bool  # prompt: whether anything is to be marked
    markup: bool  # ground: whether the suffix has markup
    mask_classes: list[int]  # ground: the class id of each mask of the suffix, in order


class Before(TypedDict):
    """The part of an example that is needed as it was before `augment`."""

    segmap: LabelMap | None  # the label map in full size
    boxes: list[list[float]] | None  # the boxes
    size: tuple[int, int]  # height and width of the image that the boxes lie on


class Example(TypedDict, total=False):
    """One image with its texts; or several images to choose from, before `view`."""

    id: str  # record: unique in the split; the pseudonym of an image, or of a sentence
    patient: str  # record: pseudonym; "" if the source does not say it
    images: list["Example"]  # record: instead of the fields of an image, several to choose from
    image_id: str  # view, pipeline: the id of the image itself
    image: bytes | Image  # record, load: stored values (CT: HU) or colours; `normalize` scales them
    modality: str  # record, load: "CT", "MR" or "OT"
    plane: str  # record, load: "axial", "coronal", "sagittal" or ""
    body_part: str  # record: free text
    segmap: bytes | LabelMap  # record, ground: class ids of the pixels, 0 for background
    boxes: list[list[float]]  # record: one box a class
    unsure: list[int]  # record: classes that may be shown though neither map nor boxes show them
    texts: list[Text]  # record: `detect_vqa` adds some, `prompt` chooses among them
    path: str  # caller: the file of an image that `load` reads
    frame: int  # caller: which frame or slice of the file, from 0
    rng: np.random.Generator  # caller, pipeline: what random ops draw from
    error: Exception  # pipeline: why the example cannot be read; it then has only an id
    segmap_full: LabelMap  # load, resize: the label map before it was resized
    before: Before  # augment: what was there before the image was changed
    repeat_channel: int  # augment: the CT window that is shown in all three channels
    text: Row  # tok: the tokens of all texts, then zeros
    mask_ar: Row  # tok: 1 where a token attends only to those before it
    mask_loss: Row  # tok: 1 where a token is learned
    segment: Row  # tok: the number of the text from 1, 0 on padding
    text_bound: int  # tok: the most tokens that the row can have with the same texts
    mask_class: MaskSlots  # tok: the class id of each mask, 0 where there is none
    mask_pos: MaskSlots  # tok: the position of its `</seg>` in `text`, -1 where there is none
    task: str  # tok: this field and those below are of the one text of an evaluation
    lang: str  # tok: as in the text
    question: str  # tok: as in the text
    question_type: str  # tok: as in the text
    source: str  # tok: as in the text
    template: str  # tok: as in the text
    prefix: str  # tok: as in the text
    choices: list[str]  # tok: as in the text
    keywords: list[list]  # tok: as in the text
    mask_classes: list[int]  # tok: as in the text
    reference: str  # tok: the target, with markup
    mask_input: Row  # tok: 1 on the tokens of the prompt
