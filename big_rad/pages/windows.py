"""The picture of an image as a model saw it, in which a reader can switch between CT windows.

The script `script.GALLERY` switches the windows; without it the soft-tissue window is the large
picture, and the others are small ones below it.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from big_rad.inference import draw
from big_rad.pages.parts import esc
from big_rad.pp import ops_image

_NAMES = ("wide", "soft tissue", "brain")


def picture(
    seen: draw.Pixels | UInt8[np.ndarray, "3 height width"],
    alt: str,
    over: Callable[[int, int], str] = lambda height, width: "",
) -> str:
    """Returns a picture as HTML.

    Args:
        seen: the image that the model saw, see `draw.seen`.
        alt: the words for readers who do not see the picture.
        over: a function of height and width that returns HTML which lies over the picture, such as
            an SVG with boxes.
    """
    main = draw.displayable(seen)
    stage = f'<img src="{_uri(main)}" alt="{esc(alt)}" loading="lazy">{over(*main.shape[:2])}'
    is_ct = main is not seen
    if not is_ct:
        return f'<div class="picture"><div class="stage">{stage}</div></div>'
    others = "".join(
        f'<button type="button"><img src="{_uri(seen[c])}" alt="" loading="lazy"><span>'
        f"{_window(c)}</span></button>"
        for c in range(len(_NAMES))
        if c != draw.CT_SOFT_TISSUE
    )
    stage += f'<span class="window">{_window(draw.CT_SOFT_TISSUE)}</span>'
    windows = f'<div class="windows">{others}</div>'
    return f'<div class="picture"><div class="stage">{stage}</div>{windows}</div>'


def _uri(pixels: draw.Pixels) -> str:
    return draw.data_uri(Image.fromarray(pixels), colours=None if pixels.ndim == 2 else 160)


def _window(channel: int) -> str:
    width, level = ops_image.CT_WINDOWS[channel]
    return f"{_NAMES[channel]} (W {width:.0f}, L {level:.0f})"
