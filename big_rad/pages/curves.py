"""Draws curves as inline SVG, without a script.

`chart` draws curves over training steps. The functions that it is made of draw other charts too,
see `pages.confidence`: a `Frame` places values, `grid` and `shares` draw axes, `line` draws a line,
and `figure_of` puts the parts together.

Lines differ in their dashes and in their colour, which is from Okabe and Ito's palette for readers
with colour blindness. A value that is missing or not finite leaves a gap in the line, and a cross
at the bottom of the chart.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from big_rad.pages.parts import esc

Points = Sequence[tuple[float, float | None]]

STYLES = 4  # The number of line styles in the style sheet.
_WIDTH, _HEIGHT = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 8, 24
_MOST = 300  # The maximum number of bins of a line, see `thin`.


@dataclasses.dataclass(frozen=True)
class Frame:
    """The area of a chart between its axes, which gives each value its place in the picture.

    Attributes:
        first, last: the ends of the horizontal axis.
        low, high: the ends of the vertical axis.
        log: whether the vertical axis is logarithmic.
        height: the height of the picture; its width is 360.
    """

    first: float
    last: float
    low: float
    high: float
    log: bool = False
    height: int = _HEIGHT

    @property
    def bottom(self) -> int:
        """The place of the lower end."""
        return self.height - _BOTTOM

    def x(self, value: float) -> float:
        """Returns the horizontal place of a value."""
        share = (value - self.first) / (self.last - self.first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Returns the vertical place of a value; high values are at the top."""
        at, a, b = (math.log(z) if self.log else z for z in (value, self.low, self.high))
        return _TOP + (b - at) / (b - a) * (self.bottom - _TOP)


def chart(
    title: str,
    series: Mapping[str, Points],
    *,
    log: bool = False,
    marks: Sequence[int] = (),
    note: str = "",
) -> str:
    """Returns one chart as an HTML figure; "" if no series has a finite value.

    Args:
        title: the title above the chart.
        series: name -> (step, value) in the order of steps, at most `STYLES` series. A value that
            is None or not finite is a gap. A single series may have the name "".
        log: whether the axis of the values is logarithmic; values that are not positive are then
            gaps.
        marks: the steps to mark with a vertical line, because the run was started again from them.
        note: a note below the chart.

    Raises:
        ValueError: there are more series than line styles.
    """
    if len(series) > STYLES:
        raise ValueError(f"{title}: {len(series)} lines; at most {STYLES} can be told apart")
    kept = {n: [(s, v if _good(v, log) else None) for s, v in p] for n, p in series.items()}
    kept = {n: p for n, p in kept.items() if any(v is not None for _, v in p)}
    if not kept:
        return ""
    steps = [s for p in kept.values() for s, _ in p]
    values = [v for p in kept.values() for _, v in p if v is not None]
    low, high, ticks = _log_axis(values) if log else axis(min(values), max(values))
    first, last = min(steps), max(max(steps), min(steps) + 1)
    frame = Frame(first, last, low, high, log)
    parts = [grid(frame, ticks), _step_axis(frame)]
    for step in marks:
        if first < step < last:
            at = f"{frame.x(step):.1f}"
            parts.append(
                f'<line class="restart" x1="{at}" x2="{at}" y1="{_TOP}" y2="{frame.bottom}">'
                f"<title>started again from step {step}</title></line>"
            )
    for i, points in enumerate(kept.values()):
        parts.append(line(frame, points, i))
    gaps = sorted({s for p in kept.values() for s, v in p if v is None})
    parts += [_cross(frame.x(s), frame.bottom - 7, s) for s in gaps[:_MOST]]
    lasts = {name: figure(_last(points)) for name, points in kept.items()}
    words = _description(title, kept)
    return figure_of(frame, title, lasts, parts, words, _below(gaps, log, note))


def figure_of(
    frame: Frame,
    title: str,
    lines: Mapping[str, str],
    parts: Sequence[str],
    words: str,
    note: str = "",
) -> str:
    """Returns a chart as an HTML figure.

    Args:
        frame: the area of the chart.
        title: the title above the chart.
        lines: name of each line -> the figure beside it in the legend, in the order of styles.
        parts: the parts of the picture as SVG.
        words: the chart in words, for screen readers.
        note: a note below the chart.
    """
    legend = "".join(
        f'<span class="line"><svg viewBox="0 0 24 8" aria-hidden="true"><polyline class="s{i}" '
        f'points="0,4 24,4"/></svg>{esc(name)} <b>{esc(value)}</b></span>'
        for i, (name, value) in enumerate(lines.items())
    )
    return (
        f'<figure class="chart"><figcaption><b>{esc(title)}</b>{legend}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {frame.height}" role="img" aria-label="{esc(words)}">'
        f'{"".join(parts)}</svg><p class="meta">{esc(note)}</p></figure>'
    )


def _cross(x: float, y: float, step: int) -> str:
    # Marks a step whose value is missing.
    return (
        f'<path class="missing" d="M{x - 3:.1f} {y}l6 6m0-6l-6 6"><title>step {step}: no '
        "finite value</title></path>"
    )


def figure(value: float) -> str:
    """Returns a number as text with about four digits: 0.3023, 227.5, 12,300, 2.4e-10."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e7 or size < 1e-3:
        return _scientific(value, 1)
    if size >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 3 - math.floor(math.log10(size)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}" if value else "0"


def _good(value: float | None, log: bool) -> bool:
    return value is not None and math.isfinite(value) and (value > 0 or not log)


def line(frame: Frame, points: Points, style: int, dots: bool = False) -> str:
    """Returns a line as SVG; each stretch without a gap is a polyline.

    Args:
        frame: the area of the chart.
        points: (horizontal value, vertical value or None) in their order.
        style: the number of its style, below `STYLES`.
        dots: whether to draw a dot at each point. A stretch of a single point is always a dot.
    """
    stretches: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((at, value))
    parts = []
    for stretch in filter(None, stretches):
        if len(stretch) > 1:
            places = " ".join(f"{frame.x(a):.1f},{frame.y(v):.1f}" for a, v in thin(stretch))
            parts.append(f'<polyline class="s{style}" points="{places}"/>')
        if dots or len(stretch) == 1:
            parts += [
                f'<circle class="dot s{style}" cx="{frame.x(a):.1f}" cy="{frame.y(v):.1f}"/>'
                for a, v in stretch
            ]
    return "".join(parts)


def thin(points: Sequence[tuple[float, float]], most: int = _MOST) -> list[tuple[float, float]]:
    """Reduces the points of a line so that every peak stays visible.

    The points are divided into bins of equal size. The lowest and the highest point of each bin are
    kept, and the first and the last point of the line.

    Args:
        points: (step, value) in the order of steps.
        most: the number of bins. A line of at most twice this many points is kept as it is.
    """
    if len(points) <= 2 * most:
        return list(points)
    kept = {0, len(points) - 1}
    for i in range(most):
        bin_ = range(i * len(points) // most, (i + 1) * len(points) // most)
        kept |= {min(bin_, key=lambda j: points[j][1]), max(bin_, key=lambda j: points[j][1])}
    return [points[j] for j in sorted(kept)]


def grid(frame: Frame, ticks: Sequence[float]) -> str:
    """Returns the vertical axis as SVG: a line across the frame and a label for each tick."""
    labels = _labels(ticks, frame.log)
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{frame.y(t):.1f}" '
        f'y2="{frame.y(t):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{frame.y(t) + 3.5:.1f}" text-anchor="end">{label}</text>'
        for t, label in zip(ticks, labels, strict=True)
    )


def shares(frame: Frame) -> str:
    """Returns a horizontal axis of shares as SVG, from 0 to 1."""
    _, _, ticks = axis(0, 1)
    return _across(frame, ticks, _labels(ticks, False))


def _labels(ticks: Sequence[float], log: bool) -> list[str]:
    # On a linear axis the labels have just enough digits to distinguish the ticks.
    if log:
        return [figure(t) for t in ticks]
    gap, top = abs(ticks[1] - ticks[0]), max(map(abs, ticks))
    places = -math.floor(math.log10(gap) + 1e-9)
    if places > 4 or top >= 1e7:
        return [_scientific(t, max(0, math.floor(math.log10(top)) + places)) for t in ticks]
    return [f"{t + 0.0:,.{max(0, places)}f}" for t in ticks]


def _step_axis(frame: Frame) -> str:
    gap = max(1, round(_gap(frame.last - frame.first)))
    ticks = range(-(-int(frame.first) // gap) * gap, int(frame.last) + 1, gap)
    return _across(frame, ticks, [_short(t) for t in ticks])


def _across(frame: Frame, ticks: Sequence[float], labels: Sequence[str]) -> str:
    # The labels of a horizontal axis.
    return "".join(
        f'<text x="{frame.x(t):.1f}" y="{frame.height - 7}" '
        f'text-anchor="{_anchor(t, frame.first, frame.last)}">{label}</text>'
        for t, label in zip(ticks, labels, strict=True)
    )


def _anchor(tick: float, first: float, last: float) -> str:
    # Labels at the ends of the axis must stay inside the picture.
    share = (tick - first) / (last - first)
    return "start" if share < 0.03 else "end" if share > 0.95 else "middle"


def _short(step: int) -> str:
    if step >= 1_000_000 and step % 10_000 == 0:
        return f"{step / 1e6:g}M"
    return f"{step / 1000:g}k" if step >= 10_000 and step % 100 == 0 else str(step)


def axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Returns a linear axis for values: its low end, its high end and its round ticks.

    Args:
        low, high: the lowest and the highest value. The axis begins at zero if the values fill at
            least half of it.
    """
    if 0 <= low < 0.5 * high:
        low = 0.0
    if high - low < 1e-9 * max(abs(high), abs(low), 1e-300):
        low, high = low - 0.05 * abs(low), high + 0.05 * abs(high)
        low, high = (low, high) if low < high else (0.0, 1.0)
    gap = _gap(high - low)
    start, end = math.floor(low / gap + 1e-9), math.ceil(high / gap - 1e-9)
    return start * gap, end * gap, [i * gap for i in range(start, end + 1)]


def _gap(span: float) -> float:
    # A round number that divides the span into two to six parts.
    size = 10 ** math.floor(math.log10(span / 4))
    return next(k * size for k in (1, 2, 5, 10) if span / (k * size) <= 5.5)


def _log_axis(values: Sequence[float]) -> tuple[float, float, list[float]]:
    start = math.floor(math.log10(min(values)) + 1e-9)
    end = max(math.ceil(math.log10(max(values)) - 1e-9), start + 1)
    every = -(-(end - start) // 5)
    return 10.0**start, 10.0**end, [10.0**i for i in range(start, end + 1, every)]


def _last(points: Points) -> float:
    return next(v for _, v in reversed(points) if v is not None)


def _description(title: str, series: Mapping[str, Points]) -> str:
    # The chart in words, for screen readers.
    parts = []
    for name, points in series.items():
        found = [(s, v) for s, v in points if v is not None]
        (a, first), (b, last) = found[0], found[-1]
        parts.append(f"{name} {figure(first)} at step {a}, {figure(last)} at step {b}")
    return f"{title}: {'; '.join(p.strip() for p in parts)}"


def _below(gaps: Sequence[int], log: bool, note: str) -> str:
    parts = ["logarithmic"] * log + [note] * bool(note)
    if gaps:
        many = f"{len(gaps)} steps, the first" if len(gaps) > 1 else "step"
        parts.append(f"no finite value at {many} {gaps[0]}")
    return "; ".join(parts)
