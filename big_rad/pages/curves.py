"""Draws curves over training steps as inline SVG, without a script.

Lines differ in their dashes and in their colour, which is from Okabe and Ito's palette for readers
with colour blindness. A value that is missing or not finite leaves a gap in the line, and a cross
at the bottom of the chart.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from big_rad.pages.parts import esc

Points = Sequence[tuple[int, float | None]]
Place = Callable[[float], float]

STYLES = 4  # The number of line styles in the style sheet.
_WIDTH, _HEIGHT = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 8, 24
_MOST = 300  # The maximum number of bins of a line, see `thin`.


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
    low, high, ticks = _log_axis(values) if log else _axis(min(values), max(values))
    first, last = min(steps), max(max(steps), min(steps) + 1)

    def x(step: float) -> float:
        return _LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        at, a, b = (math.log(z) if log else z for z in (value, low, high))
        return _TOP + (b - at) / (b - a) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(ticks, _labels(ticks, log), y), _step_axis(first, last, x)]
    bottom = _HEIGHT - _BOTTOM
    for step in marks:
        if first < step < last:
            parts.append(
                f'<line class="restart" x1="{x(step):.1f}" x2="{x(step):.1f}" y1="{_TOP}" '
                f'y2="{bottom}"><title>started again from step {step}</title></line>'
            )
    for i, points in enumerate(kept.values()):
        parts.append(_line(points, x, y, i))
    gaps = sorted({s for p in kept.values() for s, v in p if v is None})
    parts += [_cross(x(s), bottom - 7, s) for s in gaps[:_MOST]]
    words = esc(_description(title, kept))
    return (
        f'<figure class="chart"><figcaption><b>{esc(title)}</b>{_legend(kept)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}">'
        f'{"".join(parts)}</svg><p class="meta">{esc(_below(gaps, log, note))}</p></figure>'
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


def _line(points: Points, x: Place, y: Place, style: int) -> str:
    # Each stretch without a gap is a polyline; a stretch of a single point is a dot.
    stretches: list[list[tuple[int, float]]] = [[]]
    for step, value in points:
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((step, value))
    parts = []
    for stretch in filter(None, stretches):
        if len(stretch) == 1:
            step, value = stretch[0]
            parts.append(f'<circle class="dot s{style}" cx="{x(step):.1f}" cy="{y(value):.1f}"/>')
            continue
        places = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in thin(stretch))
        parts.append(f'<polyline class="s{style}" points="{places}"/>')
    return "".join(parts)


def thin(points: Sequence[tuple[int, float]], most: int = _MOST) -> list[tuple[int, float]]:
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


def _grid(ticks: Sequence[float], labels: Sequence[str], y: Place) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y(t) + 3.5:.1f}" text-anchor="end">{label}</text>'
        for t, label in zip(ticks, labels, strict=True)
    )


def _labels(ticks: Sequence[float], log: bool) -> list[str]:
    # On a linear axis the labels have just enough digits to distinguish the ticks.
    if log:
        return [figure(t) for t in ticks]
    gap, top = abs(ticks[1] - ticks[0]), max(map(abs, ticks))
    places = -math.floor(math.log10(gap) + 1e-9)
    if places > 4 or top >= 1e7:
        return [_scientific(t, max(0, math.floor(math.log10(top)) + places)) for t in ticks]
    return [f"{t + 0.0:,.{max(0, places)}f}" for t in ticks]


def _step_axis(first: int, last: int, x: Place) -> str:
    gap = max(1, round(_gap(last - first)))
    ticks = range(-(-first // gap) * gap, last + 1, gap)
    return "".join(
        f'<text x="{x(t):.1f}" y="{_HEIGHT - 7}" text-anchor="{_anchor(t, first, last)}">'
        f"{_short(t)}</text>"
        for t in ticks
    )


def _anchor(tick: int, first: int, last: int) -> str:
    # Labels at the ends of the axis must stay inside the picture.
    share = (tick - first) / (last - first)
    return "start" if share < 0.03 else "end" if share > 0.95 else "middle"


def _short(step: int) -> str:
    if step >= 1_000_000 and step % 10_000 == 0:
        return f"{step / 1e6:g}M"
    return f"{step / 1000:g}k" if step >= 10_000 and step % 100 == 0 else str(step)


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    # Returns (low end, high end, round ticks). The axis begins at zero if values fill half of it.
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


def _legend(series: Mapping[str, Points]) -> str:
    return "".join(
        f'<span class="line"><svg viewBox="0 0 24 8" aria-hidden="true"><polyline class="s{i}" '
        f'points="0,4 24,4"/></svg>{esc(name)} <b>{figure(_last(points))}</b></span>'
        for i, (name, points) in enumerate(series.items())
    )


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
