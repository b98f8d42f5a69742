"""RadGrounder with masks: the published recipe of the segmentation variant.

    --config=configs/radgrounder_seg.py
    --config=configs/radgrounder_seg.py:data=folder
    --config=configs/radgrounder_seg.py:data=folder,folder=clinic
    --config=configs/radgrounder_seg.py:variant=tiny,data=phantom,size=112

As `radgrounder_det.py`, whose arguments it takes, with three differences: phrases are marked with
`<seg>` and `</seg>` and a mask is decoded from the hidden state at each `</seg>`; the loss is
L_txt + 0.1 (focal + dice); images are cropped, and their intensities changed, while training.
The decoder is the paper's (`model.mask_decoder.variant="paper"`); it starts from random weights, so
`dont_load` names it. To go on from a checkpoint with masks, give `--config.dont_load="()"`.
`released=True` takes the decoder and the loss (BCE + dice) of the released weights.
"""

import ml_collections

from configs import radgrounder_det


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    arg = f"{arg},ground=masks" if arg else "ground=masks"
    return radgrounder_det.get_config(arg)
