import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.pages import curves
from tests.helpers import html_page


def svg_of(html):
    return html_page.parse(html).one("svg", role="img")


def lines_of(html):
    """Returns the points of every line as pairs of numbers."""
    found = svg_of(html).all("polyline")
    return [[tuple(map(float, p.split(","))) for p in x.get("points").split()] for x in found]


def labels_of(html):
    return [t.words for t in svg_of(html).all("text")]


def test_higher_values_and_later_steps_stand_where_one_looks_for_them():
    (line,) = lines_of(curves.chart("Loss", {"": [(0, 4.0), (10, 2.0), (20, 3.0)]}))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == pytest.approx(x2 - x1) and x2 > x1
    assert y0 < y2 < y1  # In SVG, y grows downwards.
    assert y1 - y2 == pytest.approx(y2 - y0)


def test_a_logarithmic_axis_gives_each_decade_the_same_room():
    (line,) = lines_of(curves.chart("Norm", {"": [(0, 100.0), (1, 1.0), (2, 0.01)]}, log=True))
    (_, y0), (_, y1), (_, y2) = line
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_a_value_that_is_not_finite_breaks_the_line_and_is_named_below(bad):
    points = [(1, 1.0), (2, 2.0), (3, bad), (4, 2.0), (5, 1.0), (6, bad)]
    html = curves.chart("Loss", {"": points})
    assert [len(x) for x in lines_of(html)] == [2, 2]
    assert len(svg_of(html).all("path")) == 2
    note = html_page.parse(html).one("p", "meta").words
    assert note == "no finite value at 2 steps, the first 3"


def test_a_value_between_two_gaps_is_a_dot():
    html = curves.chart("Loss", {"": [(1, None), (2, 1.0), (3, None), (4, 2.0), (5, 2.5)]})
    assert len(svg_of(html).all("circle")) == 1 and len(lines_of(html)) == 1


def test_without_any_finite_value_there_is_no_chart():
    assert curves.chart("Loss", {}) == ""
    assert curves.chart("Loss", {"a": [], "b": [(1, None), (2, math.nan)]}) == ""
    assert curves.chart("Norm", {"": [(1, 0.0), (2, -1.0)]}, log=True) == ""


def test_lines_differ_by_more_than_their_order_and_too_many_are_refused():
    series = {f"line {i}": [(0, i), (1, i + 1)] for i in range(curves.STYLES)}
    html = curves.chart("All", series)
    classes = [p.get("class") for p in svg_of(html).all("polyline")]
    assert len(set(classes)) == curves.STYLES
    legend = html_page.parse(html).all("span", "line")
    assert [span.words for span in legend] == [f"{n} {i + 1}" for i, n in enumerate(series)]
    assert [span.one("polyline").get("class") for span in legend] == classes
    with pytest.raises(ValueError, match="5 lines; at most 4"):
        curves.chart("All", series | {"more": [(0, 1), (1, 2)]})


def test_those_who_do_not_see_the_chart_read_where_it_starts_and_ends():
    html = curves.chart("Loss", {"text": [(1, 8.5), (2, None), (90, 0.25)]})
    assert svg_of(html).get("aria-label") == "Loss: text 8.5 at step 1, 0.25 at step 90"


def test_a_second_start_is_marked_inside_the_curve_alone():
    html = curves.chart("Loss", {"": [(1, 1.0), (9, 0.5)]}, marks=(0, 4, 9))
    (mark,) = [x for x in svg_of(html).all("line") if x.get("class") == "restart"]
    (line,) = lines_of(html)
    share = (float(mark.get("x1")) - line[0][0]) / (line[1][0] - line[0][0])
    assert share == pytest.approx(3 / 8, abs=0.01)


def test_names_cannot_bring_markup_with_them():
    html = curves.chart("<b>&", {'"<script>': [(1, 1.0)]}, note="<i>")
    page = html_page.parse(html)
    assert not {"script", "i"} & set(page.tags)
    assert page.all("b")[0].words == "<b>&" and page.one("p", "meta").words == "<i>"
    assert '"<script>' in page.one("span", "line").words


def test_a_long_line_keeps_its_ends_and_peaks():
    points = [(i, math.sin(i / 500)) for i in range(20_000)]
    points[7_777] = (7_777, 9.0)
    points[12_345] = (12_345, -9.0)
    thin = curves.thin(points)
    assert len(thin) <= 2 * 300 + 2 and thin == sorted(thin)
    assert {points[0], points[-1], points[7_777], points[12_345]} <= set(thin)


finite = st.floats(-1e12, 1e12).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(st.lists(st.one_of(finite, st.none()), min_size=1, max_size=30), st.booleans())
def test_every_line_stays_inside_its_axes_and_no_two_ticks_have_the_same_label(values, log):
    html = curves.chart("Any", {"": list(enumerate(values))}, log=log)
    if not html:
        assert all(v is None or (log and v <= 0) for v in values)
        return
    for line in lines_of(html):
        assert all(49.9 <= x <= 350.1 and 7.9 <= y <= 176.1 for x, y in line)
    ys = [float(x.get("y1")) for x in svg_of(html).all("line")]
    ticks = labels_of(html)[: len(ys)]
    assert 2 <= len(set(ticks)) == len(ticks) <= 8
    assert all(7.9 <= y <= 176.1 for y in ys)


@given(st.integers(0, 10_000_000), st.integers(1, 10_000_000))
def test_the_axis_of_steps_has_few_labels_in_order(first, length):
    html = curves.chart("Any", {"": [(first, 1.0), (first + length, 2.0)]})
    (line,) = lines_of(html)
    xs = [float(t.get("x")) for t in svg_of(html).all("text")]
    steps = [x for t, x in zip(svg_of(html).all("text"), xs) if t.get("text-anchor") and x > 45]
    assert 1 <= len(steps) <= 7 and steps == sorted(set(steps))
    assert all(line[0][0] - 0.1 <= x <= line[-1][0] + 0.1 for x in steps)


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (0.30234, "0.3023"), (227.47, "227.5"), (12345.6, "12,346"), (2.38e-10, "2.4e-10"),
     (5e-4, "5e-4"), (1e7, "1e7"), (-3.2, "-3.2"), (1, "1")],
)  # fmt: skip
def test_figures_have_about_four_digits(value, text):
    assert curves.figure(value) == text
