"""Rotations by quarter turns and reflections of images, and of the boxes and masks on them.

A `Turn` brings a stored image to its display, and its inverse brings boxes and masks of the display
back. For example, a picture with the EXIF orientation 6 is displayed after a clockwise quarter
turn, which is a transpose followed by `flip_columns`:

    stored [2, 3]        displayed [3, 2]

       0 1 2 3              0 1 2
     0 +-+-+-+            0 +-+-+        The box around a and b is
       |a|b|c|              |d|a|          (1, 0, 2, 2) on the displayed picture,
     1 +-+-+-+            1 +-+-+          (0, 0, 2, 1) on the stored picture.
       |d|e|f|              |e|b|
     2 +-+-+-+            2 +-+-+
                            |f|c|
                          3 +-+-+

    >>> turn = EXIF[6]
    >>> turn.words
    'turned by 90 degrees clockwise'
    >>> turn.inverse().box((1, 0, 2, 2), (3, 2))
    (0, 0, 2, 1)
"""

import dataclasses

import numpy as np
from jaxtyping import Shaped

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Turn:
    """One of the eight rotations and reflections that keep the axes of an image straight.

    The steps are done in the order of the attributes.

    Attributes:
        transpose: whether rows and columns are exchanged.
        flip_rows: whether the order of the rows is reversed, so that the top becomes the bottom.
        flip_columns: whether the order of the columns is reversed, so that left becomes right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def array(
        self, x: Shaped[np.ndarray, "height width *channels"]
    ) -> Shaped[np.ndarray, "turned_height turned_width *channels"]:
        """Turns an image or a mask [H, W] or [H, W, C] and returns the turned array, not the turn.

        The turned array is contiguous in memory. It may share its memory with `x`.
        """
        if self.transpose:
            x = x.swapaxes(0, 1)
        rows, columns = (slice(None, None, -1 if f else 1) for f in self._flips)
        return np.ascontiguousarray(x[rows, columns])

    def box(self, box: Box, shape: tuple[int, ...]) -> Box:
        """Returns the box that a box (x1, y1, x2, y2) becomes by the turn.

        Args:
            box: the box before the turn, in pixels with exclusive ends.
            shape: the shape (height, width, ...) of the image before the turn.
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
        """Returns the turn that has the effect of this turn followed by `other`."""
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
        """A description such as "mirrored left to right"; "" if the turn changes nothing."""
        return _WORDS[self.transpose, self.flip_rows, self.flip_columns]

    @property
    def _flips(self) -> tuple[bool, bool]:
        return self.flip_rows, self.flip_columns


_WORDS = {  # The keys are (transpose, flip_rows, flip_columns).
    (False, False, False): "",
    (False, False, True): "mirrored left to right",
    (False, True, False): "mirrored top to bottom",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "rows and columns exchanged",
    (True, True, False): "turned by 90 degrees counterclockwise",
    (True, False, True): "turned by 90 degrees clockwise",
    (True, True, True): "rows and columns exchanged and turned by 180 degrees",
}
# The turn from the stored to the displayed pixels, by EXIF orientation (Exif 2.3, tag 0x0112).
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
