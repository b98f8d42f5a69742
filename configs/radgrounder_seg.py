"""Trains RadGrounder with masks: the published recipe of the segmentation variant.

    --config=configs/radgrounder_seg.py
    --config=configs/radgrounder_seg.py:data=folder
    --config=configs/radgrounder_seg.py:data=folder,folder=clinic
    --config=configs/radgrounder_seg.py:variant=tiny,data=phantom,size=112

It takes the arguments of `radgrounder_det.py` and differs from it in three points:
- Phrases are marked with `<seg>` and `</seg>`, and a mask is decoded from the hidden state at each
  `</seg>`.
- The loss is L_txt + 0.1 (focal + dice), where L_txt is the cross-entropy of the target tokens, and
  focal and dice are the losses of the masks.
- Images are cropped, and their intensities changed, during training.

The mask decoder is the one of the paper (`model.mask_decoder.variant="paper"`). It starts from
random weights, so `dont_load` names it. To continue from a checkpoint that has a mask decoder, give
`--config.dont_load="()"`. `released=True` takes the mask decoder and the loss (BCE + dice) of the
released weights.
"""

import ml_collections

from configs import radgrounder_det


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    arg = f"{arg},ground=masks" if arg else "ground=masks"
    return radgrounder_det.get_config(arg)
