"""Box codecs, which write a box as four `<locNNNN>` tokens and read it back.

A checkpoint must be used with the codec that it was trained with. A codec is therefore a frozen
object with a name, and its `spec` is stored in the checkpoint.

For example, the box (100, 40, 300, 200) in an image of 512 x 256 pixels (width x height):

                 x1       y1       x2       y2
    pixels      100       40      300      200
    in 0..1     0.1953    0.1563    0.5859    0.7813

    "radgrounder": floor(c * 512), written x1 y1 x2 y2
    bins        100       80      300      400
    text        <loc0100><loc0080><loc0300><loc0400>
    read back   100.00    40.00   300.00   200.00  pixels

    "paligemma": round(c * 1023), written y1 x1 y2 x2
    bins        200      160      599      799
    text        <loc0160><loc0200><loc0799><loc0599>
    read back   100.10    40.04   299.79   199.95  pixels

With "radgrounder" the pixels come back exactly if the width and the height divide 512, as here. The
exception is an end at the edge of the image, which is written as bin 511 and not 512.
"""

import dataclasses
import math
import re
from collections.abc import Sequence

Box = tuple[float, float, float, float]

# The tolerance for coordinates that are exact fractions x/W but arrive rounded, as float32 or as in
# (x/W)*224 = 2.9999999. It is below 1/W for all images narrower than 100,000 pixels, so no pixel
# moves to another cell.
_SLACK = 1e-5


@dataclasses.dataclass(frozen=True)
class BoxCodec:
    """How a box is written as location tokens.

    Attributes:
        name: the name of the codec, see `get_codec`.
        num_bins: the number of location tokens in use. The bins 0..num_bins-1 are written.
        order: the order in which coordinates are written, "xyxy" or "yxyx".
        rounded: whether a coordinate c is rounded or truncated. If True, its bin is
            round(c * (num_bins - 1)). If False, its bin is floor(c * num_bins), except that c = 1
            is written as num_bins - 1. The bin num_bins is not written, but it is read as 1.0.
        grid: the number of cells of a coarser grid, or None. Each coordinate is first truncated to
            a grid line, so its bin is floor(floor(c * grid) / grid * num_bins). This needs
            `rounded` to be False. The targets of the released code have grid 224.
    """

    name: str
    num_bins: int
    order: str = "xyxy"
    rounded: bool = False
    grid: int | None = None

    def __post_init__(self):
        if self.order not in ("xyxy", "yxyx"):
            raise ValueError(f"BoxCodec.order is {self.order!r}; use 'xyxy' or 'yxyx'")
        if self.grid is not None and (self.rounded or not 1 <= self.grid < self.num_bins):
            raise ValueError(
                f"BoxCodec.grid is {self.grid!r}; it must be in 1..{self.num_bins - 1} and needs "
                "a codec that truncates (radgrounder), or be None"
            )

    @property
    def max_bin(self) -> int:
        """The largest bin that `decode` reads: num_bins - 1 if rounded, otherwise num_bins."""
        return self.num_bins - 1 if self.rounded else self.num_bins

    @property
    def spec(self) -> str:
        """The name and the options as one string for checkpoints, which `get_codec` reads."""
        return self.name if self.grid is None else f"{self.name}(grid={self.grid})"

    def bins(self, box01: Sequence[float]) -> tuple[int, int, int, int]:
        """Returns the bins of a box in the order in which they are written.

        A box narrower than a bin could have the same bin at both ends. It is widened to one bin (to
        one grid cell with `grid`), so that every written box has an area.

        Args:
            box01: the box (x1, y1, x2, y2) in 0..1, with x1 < x2 and y1 < y2. The ends x2 and y2
                are exclusive.

        Returns:
            Four ints in 0..num_bins-1.

        Raises:
            ValueError: a coordinate is not finite or outside 0..1, or the box has no area.
        """
        x1, y1, x2, y2 = _check(box01)
        left, right = self._interval(x1, x2)
        top, bottom = self._interval(y1, y2)
        return (left, top, right, bottom) if self.order == "xyxy" else (top, left, bottom, right)

    def encode(self, box01: Sequence[float]) -> str:
        """Returns the tokens of a box, such as `<loc0012><loc0100><loc0200><loc0300>`.

        Args:
            box01: the box, see `bins`.

        Raises:
            ValueError: the box is invalid, see `bins`.
        """
        return "".join(f"<loc{i:04d}>" for i in self.bins(box01))

    def decode(self, bins: Sequence[int]) -> Box:
        """Returns the box of four bins. It may be inverted or empty if the bins are.

        A truncated bin is read as the edge where it begins, not as its centre. There are three
        reasons. Most CT slices are 512 pixels wide, so with 512 bins the edges give exactly the
        pixels that were written, while centres would be half a pixel off. Bin 512, which the
        released targets hold, is exactly 1.0. And the edge of a bin in 0..num_bins-1 has the same
        bin when it is written again. With `grid`, a bin is read as the grid line that it was made
        from.

        Args:
            bins: four ints in 0..max_bin, in the order of the codec.

        Returns:
            The box (x1, y1, x2, y2) in 0..1.

        Raises:
            ValueError: there are not four bins, or a bin is outside 0..max_bin.
        """
        if len(bins) != 4:
            raise ValueError(f"a box has 4 bins, got {len(bins)}: {list(bins)!r}")
        for i in bins:
            if not 0 <= i <= self.max_bin:
                raise ValueError(
                    f"bin {i} is outside 0..{self.max_bin} of box codec {self.spec!r}; was the "
                    "text written with another codec?"
                )
        a, b, c, d = (self._coordinate(int(i)) for i in bins)
        return (a, b, c, d) if self.order == "xyxy" else (b, a, d, c)

    def _interval(self, lo: float, hi: float) -> tuple[int, int]:
        first, last = self._cell(lo), self._cell(hi)
        if last <= first:
            last = first + 1
            if last > self._max_cell:
                first, last = self._max_cell - 1, self._max_cell
        return self._bin(first), self._bin(last)

    @property
    def _max_cell(self) -> int:
        return self.num_bins - 1 if self.grid is None else self.grid

    def _cell(self, c: float) -> int:
        if self.rounded:
            return int(math.floor(c * (self.num_bins - 1) + 0.5))
        return min(int(math.floor(c * (self.grid or self.num_bins) + _SLACK)), self._max_cell)

    def _bin(self, cell: int) -> int:
        if self.grid is None:
            return cell
        return min(cell * self.num_bins // self.grid, self.num_bins - 1)

    def _coordinate(self, i: int) -> float:
        if self.rounded:
            return i / (self.num_bins - 1)
        if self.grid is not None:
            # This is the first grid line at or after the edge of the bin.
            cell = min(-(-i * self.grid // self.num_bins), self.grid)
            if self._bin(cell) == min(i, self.num_bins - 1):
                return cell / self.grid
        return i / self.num_bins


def get_codec(name: str, grid: int | None = None) -> BoxCodec:
    """Returns a codec by its name.

    Args:
        name: the name, or the `spec` of a codec, such as "radgrounder(grid=224)". The codec
            "radgrounder" writes x first and has 512 bins, which are truncated; it is the codec of
            the released code. The codec "paligemma" writes y first and has 1024 bins, which are
            rounded.
        grid: the grid of the codec, see `BoxCodec.grid`; only for "radgrounder".

    Raises:
        ValueError: there is no such codec, or it cannot have this grid.
    """
    match = re.fullmatch(r"([a-z]+)(?:\(grid=([0-9]+)\))?", name)
    base, spec_grid = match.groups() if match else ("", None)
    if spec_grid is not None:
        if grid not in (None, int(spec_grid)):
            raise ValueError(f"box codec {name!r} was asked for with grid={grid}; drop one of them")
        grid = int(spec_grid)
    if base == "radgrounder":
        return BoxCodec("radgrounder", num_bins=512, order="xyxy", grid=grid)
    if base == "paligemma":
        return BoxCodec("paligemma", num_bins=1024, order="yxyx", rounded=True, grid=grid)
    raise ValueError(
        f"no box codec named {name!r}; there are 'radgrounder', 'radgrounder(grid=224)' (any grid) "
        "and 'paligemma'"
    )


def _check(box01: Sequence[float]) -> Box:
    if len(box01) != 4:
        raise ValueError(f"a box is (x1, y1, x2, y2), got {list(box01)!r}")
    x1, y1, x2, y2 = (float(c) for c in box01)
    if not all(-_SLACK <= c <= 1 + _SLACK for c in (x1, y1, x2, y2)):
        raise ValueError(
            f"box {(x1, y1, x2, y2)} is not within 0..1; divide pixels by the image's width and "
            "height (big_rad.grounding.boxes.normalise) and clip first"
        )
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"box {(x1, y1, x2, y2)} has no area; x1 < x2 and y1 < y2 are needed")
    x1, y1, x2, y2 = (min(max(c, 0.0), 1.0) for c in (x1, y1, x2, y2))
    return x1, y1, x2, y2
