"""Turns by quarters and mirrorings of images, and of the boxes and masks that lie on them.

Knows no file format, and nothing of what makes an image need a turn but the EXIF orientation.
"""

import dataclasses

import numpy as np
from jaxtyping import Shaped

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay an image over its own axes: the steps are done in this order.

    Attributes:
        transpose: rows become columns.
        flip_rows: what is up comes down.
        flip_columns: what is left comes right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def array(
        self, x: Shaped[np.ndarray, "height width *channels"]
    ) -> Shaped[np.ndarray, "turned_height turned_width *channels"]:
        """Returns an image or a mask [H, W] or [H, W, C] turned, contiguous."""
        if self.transpose:
            x = x.swapaxes(0, 1)
        rows, columns = (slice(None, None, -1 if f else 1) for f in self._flips)
        return np.ascontiguousarray(x[rows, columns])

    def box(self, box: Box, shape: tuple[int, ...]) -> Box:
        """Returns a box (x1, y1, x2, y2) turned.

        Args:
            box: with exclusive ends.
            shape: (height, width, ...) of the image before the turn.
        """
        (x1, y1, x2, y2), (height, width) = box, shape[:2]
        if self.transpose:
            x1, y1, x2, y2, height, width = y1, x1, y2, x2, width, height
        if self.flip_rows:
            y1, y2 = height - y2, height - y1
        if self.flip_columns:
            x1, x2 = width - x2, width - x1
        return x1, y1, x2, y2

    def then(self, other: "Turn") -> "Turn":
        """Returns the one turn that does this one and then the other."""
        rows, columns = reversed(self._flips) if other.transpose else self._flips
        return Turn(
            self.transpose != other.transpose,
            rows != other.flip_rows,
            columns != other.flip_columns,
        )

    def inverse(self) -> "Turn":
        """Returns the turn that undoes this one."""
        rows, columns = reversed(self._flips) if self.transpose else self._flips
        return Turn(self.transpose, rows, columns)

    @property
    def words(self) -> str:
        """What happens, such as "mirrored left to right"; "" if nothing does."""
        return _WORDS[self.transpose, self.flip_rows, self.flip_columns]

    @property
    def _flips(self) -> tuple[bool, bool]:
        return self.flip_rows, self.flip_columns


_WORDS = {  # by transpose, flip_rows, flip_columns
    (False, False, False): "",
    (False, False, True): "mirrored left to right",
    (False, True, False): "mirrored top to bottom",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "rows and columns exchanged",
    (True, True, False): "turned by 90 degrees counterclockwise",
    (True, False, True): "turned by 90 degrees clockwise",
    (True, True, True): "rows and columns exchanged and turned by 180 degrees",
}
# What brings stored pixels to how they are shown (Exif 2.3, tag 0x0112).
EXIF = {
    1: Turn(),
    2: Turn(flip_columns=True),
    3: Turn(flip_rows=True, flip_columns=True),
    4: Turn(flip_rows=True),
    5: Turn(transpose=True),
    6: Turn(transpose=True, flip_columns=True),
    7: Turn(transpose=True, flip_rows=True, flip_columns=True),
    8: Turn(transpose=True, flip_rows=True),
}
