"""Box codecs: four coordinates in 0..1 to four `<locNNNN>` tokens and back.

A codec is a named, frozen object, because a checkpoint only makes sense with the codec it was
trained on. Knows nothing of pixels, classes or the markup around the tokens.
"""

import dataclasses
import math
import re
from collections.abc import Sequence

Box = tuple[float, float, float, float]

# Slack for coordinates that are exact fractions x/W but arrive rounded (float32, or (x/W)*224 being
# 2.9999999). Below 1/W for every image narrower than 100,000 pixels, so no pixel changes its cell.
_SLACK = 1e-5


@dataclasses.dataclass(frozen=True)
class BoxCodec:
    """How a box is written as location tokens.

    Attributes:
        name: what is stored with a checkpoint.
        num_bins: number of location tokens in use; bins 0..num_bins-1 are written.
        order: "xyxy" or "yxyx", the order in which coordinates are written.
        rounded: if True, bin = round(c * (num_bins - 1)); if False, bin = floor(c * num_bins),
            which for c = 1 would be num_bins and is written as num_bins - 1 (num_bins is still
            read, as 1.0).
        grid: with truncation only, coordinates are first cut to whole cells of a grid this wide,
            floor(floor(c * grid) / grid * num_bins); targets of the released code have grid 224.
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
        """The largest bin that `decode` accepts (one more than is ever written, if truncating)."""
        return self.num_bins - 1 if self.rounded else self.num_bins

    @property
    def spec(self) -> str:
        """Name and options in one string, to be stored with a checkpoint; `get_codec` reads it."""
        return self.name if self.grid is None else f"{self.name}(grid={self.grid})"

    def bins(self, box01: Sequence[float]) -> tuple[int, int, int, int]:
        """Bins of a box in the order they are written.

        A box narrower than a bin would collapse to nothing; it is widened to one bin (one grid
        cell with `grid`), so that every box written has an area.

        Args:
            box01: (x1, y1, x2, y2) in 0..1, x1 < x2, y1 < y2, x2 and y2 exclusive.

        Returns:
            Four ints in 0..num_bins-1.

        Raises:
            ValueError: coordinates outside 0..1, not finite, or without area.
        """
        x1, y1, x2, y2 = _check(box01)
        left, right = self._interval(x1, x2)
        top, bottom = self._interval(y1, y2)
        return (left, top, right, bottom) if self.order == "xyxy" else (top, left, bottom, right)

    def encode(self, box01: Sequence[float]) -> str:
        """Writes a box, e.g. `<loc0012><loc0100><loc0200><loc0300>`; see `bins`."""
        return "".join(f"<loc{i:04d}>" for i in self.bins(box01))

    def decode(self, bins: Sequence[int]) -> Box:
        """Reads four bins as written; the result may be inverted or empty if the bins are.

        Bins are read as the edge where they begin, not as their centre: CT slices are mostly 512
        pixels wide, so with 512 bins edges give back the very pixels (centres would be half a
        pixel off everywhere), bin 512 of released targets is exactly 1.0, and edges always encode
        to the same bins again. With `grid` a bin is read as the grid line it was made from.

        Args:
            bins: four ints in 0..max_bin, in the codec's order.

        Returns:
            (x1, y1, x2, y2) in 0..1.

        Raises:
            ValueError: not four bins, or one outside 0..max_bin.
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
            # The first grid line at or after the bin's edge.
            cell = min(-(-i * self.grid // self.num_bins), self.grid)
            if self._bin(cell) == min(i, self.num_bins - 1):
                return cell / self.grid
        return i / self.num_bins


def get_codec(name: str, grid: int | None = None) -> BoxCodec:
    """A codec by name.

    Args:
        name: "radgrounder" (x first, 512 bins, truncated, as released) or "paligemma" (y first,
            1024 bins, rounded); also a `spec` such as "radgrounder(grid=224)".
        grid: see `BoxCodec.grid`; "radgrounder" only.

    Raises:
        ValueError: no such codec; the message lists those that exist.
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
