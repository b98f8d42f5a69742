"""Tests the section about confidence on the page of an evaluation."""

import pytest

from big_rad.pages import confidence as confidence_page
from big_rad.pages import parts as page_parts
from big_rad.pages import sections as page_sections
from big_rad.pages import style as page_style
from tests.helpers import browser, html_page
from tests.helpers import sure_records as made


def html(records):
    summary = made.summary(records)
    sections = []
    for name, entry in summary["evals"].items():
        if entry["control"] == "none":
            names = {"none": name} | ({"blank": f"{name}_blank"} if f"{name}_blank" in records
                                      else {})  # fmt: skip
            sections.append(page_sections.Section(name, entry["type"], {}, [], {}, names=names))
    return confidence_page.html(summary, sections)


def places(svg):
    """The (horizontal, vertical) places of the dots of each line."""
    dots = [(c.classes[1], float(c.get("cx")), float(c.get("cy"))) for c in svg.all("circle")]
    return {s: [(x, y) for style, x, y in dots if style == s] for s, _, _ in dots}


def test_an_evaluation_without_confidence_has_no_section():
    assert html({"vqa": [made.record(i, accuracy=1.0) for i in range(9)]}) == ""


def test_the_dots_of_an_honest_model_lie_on_the_diagonal():
    page = html_page.parse(html({"vqa": made.answers(1500)}))
    reliability, risk = page.all("figure", "chart")
    svg = reliability.one("svg", role="img")
    (diagonal,) = svg.all("line", "ideal")
    x0, y0, x1, y1 = (float(diagonal.get(k)) for k in ("x1", "y1", "x2", "y2"))
    (dots,) = places(svg).values()
    assert len(dots) == 15
    for x, y in dots:
        share = (x - x0) / (x1 - x0)
        assert (y - y0) / (y1 - y0) == pytest.approx(share, abs=0.12)
    assert "n of each dot: 100" in reliability.words
    assert len(risk.one("svg", role="img").all("polyline")) == 1
    assert "not asked about blank images" in page.words


def test_blank_images_are_drawn_beside_the_real_ones():
    real = made.answers(60, langs=("en", "<i>"))
    page = html_page.parse(html({"vqa": real, "vqa_blank": made.answers(45, seed=1)}))
    for chart in page.all("figure", "chart"):
        names = [x.words for x in chart.all("span", "line")]
        assert names[0].startswith("real images") and names[1].startswith("blank images")
        assert {"s0", "s1"} <= {x.classes[0] for x in chart.one("svg", role="img").all("polyline")}
    head, n, *_ = page.all("table")[0].cells()
    assert head == ["calibrated", "all", "English", "<i>", "blank images"]
    assert [x.split()[0] for x in n[1:]] == ["60", "30", "30", "45"]


def test_uncalibrated_scores_and_too_few_patients_are_said():
    page = html_page.parse(html({"vqa": made.answers(40, calibrated=False, patients=3)}))
    assert page.all("h3")[0].words == "vqa: yes/no answers, uncalibrated"
    assert page.all("table")[0].cells()[0][0] == "uncalibrated"
    said = page.one("div", "said").words
    assert "too few for a verdict: 3 patients, and at least 6 are needed" in said
    assert " to " not in " ".join(x for row in page.all("table")[0].cells()[2:] for x in row[1:])


def test_boxes_show_the_limit_and_what_blank_images_keep():
    real = made.boxes([0.9, 0.8, 0.6, 0.5, 0.3, 0.7], [1, 0.9, 0.5, 0.7, 0.6, None])
    blank = made.boxes([0.6, 0.1], [None, None])
    page = html_page.parse(html({"report": real, "report_blank": blank}))
    said = page.one("div", "said").words
    assert "min_score 0.500 keeps 80 % of the right boxes" in said
    assert "Of the 2 on blank images it keeps 50 %" in said


@pytest.mark.slow
def test_a_browser_lays_the_section_out_within_the_window_of_a_phone(tmp_path):
    path = tmp_path / "page.html"
    real = made.answers(120, langs=("en", "de"))
    parts = [html({"vqa": real, "vqa_blank": made.answers(90, seed=1)})]
    style = page_style.RUN + page_style.TILES + page_style.CONFIDENCE
    page_parts.save(path, "T", parts, style)
    seen, console = browser.look(
        path,
        390,
        """const box = e => e.getBoundingClientRect();
        const charts = [...page.querySelectorAll("figure.chart")];
        return {wides: charts.map(c => box(c.querySelector("svg[role=img]")).width),
          inside: charts.every(c => [...c.querySelectorAll("circle")].every(d =>
            box(d).left >= box(c).left && box(d).right <= box(c).right))};""",
    )
    assert not console and seen["wide"] == [] and seen["inside"]
    assert len(seen["wides"]) == 2 and min(seen["wides"]) > 250
