"""Tests the page of a series by the elements that a reader meets."""

import base64
import dataclasses
import hashlib
import io
import pathlib
import re
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from big_rad.dicom.image import Slice
from big_rad.dicom.series import Series, SliceRef
from big_rad.inference import draw, predictions, regions
from big_rad.inference.confidence import Confidence
from big_rad.inference.predictions import Entity, Prediction
from big_rad.pages import series as series_page
from big_rad.pages import series_pictures, series_slices
from tests.helpers import browser, html_page

HOSTILE = "<script>alert(1)</script> \"q\" 'q' & <img src=http://evil.example/x>"
SIZE = 24


def sure(value, calibrated=None, kind="box"):
    return Confidence(kind, {}, value, calibrated)


def entity(name="liver", number=5, box=(4.0, 6.0, 14.0, 16.0), confidence=0.75, **more):
    made = None if confidence is None else sure(confidence)
    return Entity(name.replace("_", " "), number, name, box, more.pop("mask", None), made, **more)


def prediction(*entities, text="The liver is large.", warnings=()):
    return Prediction(text, entities, -1.0, tokens=9, warnings=warnings, confidence=sure(0.5))


def hu(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(-1000, 1200, (size, size)).astype(np.int16)


def view(index, *entities, modality="CT", pixels=None, **fields):
    answer = fields.pop("prediction", prediction(*entities))
    pixels = hu(index) if pixels is None else pixels
    image = Slice(pixels, modality, (2.0, 2.0), "axial", "HU", "LP")
    seen = np.zeros((3, 14, 14), np.uint8) if modality == "CT" else np.zeros((14, 14), np.uint8)
    made = series_page.view(index, f"stem_{index}", image, answer, seen, position=4.0 * index)
    return dataclasses.replace(made, **fields)


def plain(views, **fields):
    """Returns the series of some slices with its regions, as `predict` has it."""
    marked = [
        regions.Marked(
            v.index, v.prediction.entities if v.prediction else (), v.position, v.spacing
        )
        for v in views
    ]
    refs = tuple(SliceRef(pathlib.Path("secret/name.dcm"), index=v.index) for v in views)
    options = dict(key="series-0123", plane="axial", modality="CT", count=len(views), spacing=4.0)
    made = Series(kind="dicom", slices=refs, **(options | fields))
    return regions.to_json(regions.join(marked), made, marked)


def write(tmp_path, views, facts=None, **fields):
    path = tmp_path / "series.html"
    series = plain(views, **fields)
    return series_page.write(path, iter(views), series, count=len(views), facts=facts)


def made(*args, **kw):
    return html_page.read(write(*args, **kw))


def decoded(address):
    kind, _, data = address.partition(";base64,")
    assert kind == "data:image/webp"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))


def stage(article):
    return article.one("div", "stage").all("img")[0]


def test_the_page_needs_nothing_else_and_runs_its_own_script_alone(tmp_path):
    page = made(tmp_path, [view(k, entity()) for k in range(3)], {"checkpoint": "run", "step": 7})
    assert all(a.startswith(("data:image/webp;base64,", "#")) for a in page.addresses)
    assert not {"link", "iframe", "object"} & set(page.tags)
    style = page.one("style").children[0]
    assert "@import" not in style and not re.search(r"url\((?!#)", style)
    script = page.one("script").children[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = page.one("meta", http_equiv="Content-Security-Policy").get("content")
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert not any(name.startswith("on") for e in page.walk() for name in e.attrs)


def test_the_head_says_what_the_series_and_the_model_are_and_that_nobody_verified_it(tmp_path):
    views = [view(k, entity()) for k in range(3)] + [view(3, prediction=None, error="a fault")]
    head = made(tmp_path, views, {"checkpoint": "run", "step": 7}).one("header").words
    for words in (
        predictions.NOTE, "Axial CT, 4 slices", "predicted 3 of 4", "checkpoint run", "step 7",
        "distance of slices 4 mm", "spacing of pixels 2 × 2 mm", "thickness of slices unknown",
    ):  # fmt: skip
        assert words in head, words
    every = made(tmp_path, views, count=8, every=2).one("header").words
    assert "slices 4 of 8 (every=2)" in every
    guessed = made(tmp_path, views, modality="", plane="").one("header").words
    assert "modality CT, which the files do not state" in guessed
    assert "plane oblique or unknown" in guessed


def test_each_warning_stands_once_with_the_slices_that_it_is_about(tmp_path):
    said = {0: ("a", "b"), 1: ("a",), 2: ("a", "c"), 4: ("a", "b"), 6: ("a", "b")}
    views = [view(k, prediction=prediction(warnings=w)) for k, w in said.items()]
    views.append(view(9, prediction=None, error="no pixels"))
    page = made(tmp_path, views, warnings=("uneven", "uneven"))
    assert [item.words for item in page.one("details", "warnings").all("li")] == [
        "uneven", "a all predicted slices", "b slices 0, 4–6", "c slice 2",
        "not predicted: no pixels slice 9",
    ]  # fmt: skip
    assert not made(tmp_path, [view(0)]).all("details", "warnings")


def test_hostile_text_of_model_files_and_caller_stays_text(tmp_path):
    bad = [
        entity(HOSTILE, 7),
        dataclasses.replace(entity(), class_name="", class_id=0, phrase=HOSTILE),
    ]
    answer = prediction(*bad, text=HOSTILE * 2, warnings=(HOSTILE,))
    answer = dataclasses.replace(answer, turned=HOSTILE)
    views = [view(0, prediction=answer, name=HOSTILE)]
    views.append(view(1, prediction=None, error=HOSTILE, pixels=hu()))
    page = made(tmp_path, views, {HOSTILE: HOSTILE}, key=HOSTILE, plane=HOSTILE, modality=HOSTILE)
    assert page.one("script") and "http://evil.example/x" not in page.addresses
    assert all(a.startswith(("data:image/webp;base64,", "#")) for a in page.addresses)
    assert page.words.count("<script>alert(1)") > 10  # It is text, not an element.
    assert "secret" not in page.words


def test_each_slice_has_its_picture_marks_labels_answer_and_what_the_model_saw(tmp_path):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[3:9, 5:11] = True
    first = entity(box=(5.0, 3.0, 11.0, 9.0), mask=mask)
    second = dataclasses.replace(entity("spleen", 1), confidence=sure(0.6, calibrated=0.25))
    away = entity("aorta", 52, box=None, confidence=0.1, withheld=True)
    views = [view(0, first, second, away), view(1)]
    page = made(tmp_path, views)
    one, other = page.all("article", "slice")
    calibrated = made(tmp_path, [view(0, second)])
    assert not calibrated.all("span", "doubt") and "uncalibrated" not in calibrated.one("ul").words
    assert [t.words for t in one.one("div", "stage").all("text")] == ["liver 0.75?", "spleen 0.25"]
    assert len(one.all("path")) == 1 and len(one.all("rect")) == 1
    assert one.one("span", "doubt").words == "?: uncalibrated confidence"
    assert not other.all("span", "doubt") and "Nothing is marked" in other.words
    assert [item.words for item in one.all("li")] == [
        "liver 0.75, uncalibrated", "spleen 0.25",
        "aorta withheld, because its confidence is too low or unknown",
    ]  # fmt: skip
    assert one.one("p", "words").words == "The liver is large."
    assert one.one("mark").words == "liver" and one.one("mark").get("data-entity") == "0"
    assert "14 × 14 pixels, 3 windows as channels" in one.words
    assert len(one.one("div", "saw").all("img")) == 3
    assert "stem_0 · 0.0 mm" in one.words
    strip = page.one("div", "strip").all("a")
    assert (
        [a.get("href") for a in strip]
        == ["#s0", "#s1"]
        == [f"#{a.get('id')}" for a in (one, other)]
    )
    assert [u.get("href") for u in page.all("use")] == ["#m0", "#m1"]


def test_a_slice_is_shown_in_its_usual_display_with_the_proportions_of_the_patient():
    image = Slice(hu()[:12], "CT", (3.0, 1.5), "axial", "HU", "RP")  # Mirrored left to right.
    shown = series_page.view(0, "x", image, prediction(entity(box=(1.0, 2.0, 5.0, 8.0))))
    np.testing.assert_array_equal(shown.pixels, image.pixels[:, ::-1])
    text, *_ = series_slices.article(shown, {"liver": 0}, series_pictures.Packer(1, 10**6))
    page = html_page.parse(text)
    box = page.one("rect")
    assert [float(box.get(k)) for k in ("x", "y", "width", "height")] == [19, 2, 4, 6]
    # 24 columns of 1.5 mm and 12 rows of 3 mm are a square.
    assert page.one("div", "stage").get("style") == "--a:1.0000"
    assert page.one("svg").get("viewbox") == "0 0 24 24"
    assert page.one("g", id="m0").get("transform") == "scale(1 2)"
    places = {b.get("class"): b.words for b in page.one("div", "stage").all("b")}
    assert places == {"left": "R", "right": "L", "head": "A", "foot": "P"}


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_the_outline_of_a_mask_encloses_its_pixels_and_no_others(mask):
    corners = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), int)
    for start, steps in re.findall(r"M(\d+ \d+)((?:[hv]-?\d+)*)z", series_slices.mask_path(mask)):
        x, y = map(int, start.split())
        ways = re.findall(r"([hv])(-?\d+)", steps)
        assert "".join(way for way, _ in ways) == "hvh" + "vh" * ((len(ways) - 3) // 2)
        corners[y, x] += 1
        first = x
        for way, n in ways:
            x, y = (x + int(n), y) if way == "h" else (x, y + int(n))
            corners[y, x] += 1
        assert x == first  # So the line that closes the outline is vertical.
    # A pixel is inside if the number of corners above and to the left of it is odd.
    inside = corners.cumsum(0).cumsum(1)[:-1, :-1] % 2 == 1
    np.testing.assert_array_equal(inside, mask)


@pytest.mark.parametrize("name, level, width", series_pictures.CT_PRESETS)
def test_a_window_of_the_page_shows_the_grey_of_the_hu(name, level, width):
    values = np.arange(-1024, 1301, dtype=np.int16)[None]
    table = np.array([float(v) for v in series_pictures.table(level, width).split()])
    shown = table[series_pictures.codes(values, "CT")]
    exact = np.clip((values - level) / width + 0.5, 0, 1)
    assert np.abs(shown - exact).max() < 0.013  # About three of 255 grey levels.


def test_without_its_script_the_page_shows_what_the_overlay_shows(tmp_path):
    pixels = hu()
    page = made(tmp_path, [view(0, pixels=pixels), view(1, pixels=pixels, modality="MR")])
    ct, grey = (decoded(stage(a).get("src")) for a in page.all("article"))
    look = page.one("filter", id="look-ct").all("fefuncr")[0].get("tablevalues")
    shown = 255 * np.array([float(v) for v in look.split()])[ct]
    assert np.abs(shown - draw.window(pixels, "CT")).max() <= 3
    np.testing.assert_array_equal(grey, draw.window(pixels, "MR"))
    kinds = [look.get("data-kind") for look in page.all("div", "look")]
    assert kinds == ["ct", "grey"] and "hidden" in page.all("div", "look")[0].attrs


def test_a_page_of_many_slices_keeps_its_size_and_says_what_it_lost(tmp_path):
    def page(max_bytes):
        views = [view(k, entity(), pixels=hu(k, 96)) for k in range(12)]
        path = tmp_path / "series.html"
        made = series_page.write(path, views, plain(views), count=12, max_bytes=max_bytes)
        return path.stat().st_size, html_page.read(made)

    size, whole = page(10**6)
    assert "12 compressed without losses" in whole.words and size < 10**6
    for k, article in enumerate(whole.all("article")):
        codes = series_pictures.codes(hu(k, 96), "CT")
        np.testing.assert_array_equal(decoded(stage(article).get("src")), codes)
    # The style, the script and the tables are there with any number of slices.
    for limit in (180_000, 110_000):
        small, page_ = page(limit)
        assert small < limit + 30_000 < size and "compressed with losses" in page_.words
        assert len(page_.all("article")) == 12


def test_slices_are_taken_one_by_one_and_not_kept(tmp_path):
    alive = []

    def slices():
        for k in range(6):
            pixels = hu(k)
            alive.append(weakref.ref(pixels))
            yield view(k, entity(), pixels=pixels)
            del pixels
            assert all(ref() is None for ref in alive[:-1])

    series = plain([view(0)])
    calls = []

    def last():
        calls.append(len(alive))
        return series

    series_page.write(tmp_path / "a.html", slices(), last, count=6)
    assert calls == [6]


def test_a_series_that_breaks_off_leaves_no_page(tmp_path):
    with pytest.raises(ValueError, match="slice 1 comes after slice 1"):
        series_page.write(tmp_path / "series.html", [view(1), view(1)], {}, count=2)
    with pytest.raises(KeyError), series_page.SeriesPage(1) as page:
        page.add(view(0))
        page.save(tmp_path / "series.html", {"key": "x", "regions": [{}]})
    assert list(tmp_path.iterdir()) == []


def test_a_cell_has_the_highest_confidence_of_a_class_and_leads_to_its_slice(tmp_path):
    twice = [entity(confidence=0.5), entity(confidence=0.875, box=(1.0, 1.0, 3.0, 3.0))]
    views = [view(2, *twice), view(4, entity("spleen", 1, confidence=None))]
    views += [view(6, entity("aorta", 52, box=None)), view(7, prediction=None)]
    page = made(tmp_path, views)
    table = page.one("table", "matrix")
    assert table.cells() == [
        ["class", "2", "4", "6", "7"], ["liver 1", "88", "", "", ""], ["spleen 1", "", "•", "", ""],
    ]  # fmt: skip
    link, other = table.all("a")
    assert link.get("href") == "#s2" and page.one("article", id="s2")
    assert link.get("title") == "liver, slice 2: 0.88, uncalibrated, the highest of 2"
    assert other.get("title") == "spleen, slice 4: no confidence"
    assert "not predicted" in page.one("article", id="s7").words.lower()
    many = made(tmp_path, [view(k, entity()) for k in range(40)])
    assert "dense" in many.one("table", "matrix").classes


def test_the_table_of_regions_has_their_slices_sizes_best_slice_and_confidence(tmp_path):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[6:16, 4:14] = True
    values = (0.5, 0.75, 0.25)
    views = [view(k + 1, entity(mask=mask, confidence=c)) for k, c in enumerate(values)]
    views = [view(0), *views, view(4)]
    page = made(tmp_path, views)
    _, row = page.one("table", "regions").cells()
    assert row[:-1] == [
        "1. liver", "1–3 marked on 3", "20 × 20 × 12", "4.8", "2",
        "0.50 highest 0.75, uncalibrated",
    ]  # fmt: skip
    assert page.one("table", "regions").one("a").get("href") == "#s2"
    assert made(tmp_path, [view(0)]).all("table", "regions") == []


def test_a_series_without_slices_or_pictures_is_a_page_too(tmp_path):
    assert "There are no slices." in made(tmp_path, []).words
    lost = dataclasses.replace(view(0, prediction=None, error="no pixels"), pixels=None, seen=None)
    page = made(tmp_path, [lost])
    assert "Not predicted: no pixels." in page.words and not page.all("img")


_CODE = """
  const win = page.defaultView, one = s => page.querySelector(s), found = {};
  const shown = () => [...page.querySelectorAll(".slice")].filter(
    s => s.offsetParent).map(s => s.id).join();
  const key = k => page.body.dispatchEvent(
    new win.KeyboardEvent("keydown", {key: k, bubbles: true, cancelable: true}));
  const point = (name, x) => one(".slice.on .stage").dispatchEvent(new win.PointerEvent(
    name, {clientX: x, clientY: 50, isPrimary: true, bubbles: true}));
  found.start = shown();
  key("ArrowRight"); found.right = shown();
  key("ArrowLeft"); key("ArrowLeft"); found.left = shown();
  key("Home"); key("ArrowLeft"); found.first = shown();
  key("End"); found.last = shown();
  found.said = one(".player output").value;
  point("pointerdown", 50); point("pointerup", 150); found.swiped = shown();
  one(".matrix tbody a").click(); found.cell = shown();
  one('.matrix td[data-slice="6"]').click(); found.blank = shown();
  found.column = one(".matrix thead .on").textContent;
  one(".regions a").click(); found.region = shown();
  one('.strip a[data-slice="4"]').click(); found.strip = shown();
  const slider = one(".player [type=range]");
  slider.value = 1; slider.dispatchEvent(new win.Event("input")); found.slider = shown();
  const table = () => one("#look-ct feFuncR").getAttribute("tableValues").split(" ").map(Number);
  const before = table(), buttons = [...page.querySelectorAll(".look button")];
  buttons[1].click();
  found.lung = table(); found.pressed = buttons.map(b => b.getAttribute("aria-pressed"));
  buttons[0].click(); found.same = table().every((v, i) => Math.abs(v - before[i]) < 1e-3);
  found.filter = win.getComputedStyle(one(".slice.on .stage > img")).filter;
  const marks = one(".marks"), svg = one(".slice.on .stage > svg");
  const over = svg.getBoundingClientRect(), img = one(".slice.on img").getBoundingClientRect();
  found.over = ["width", "height", "left", "top"].every(k => Math.abs(over[k] - img[k]) < 1);
  marks.click(); found.bare = win.getComputedStyle(svg).display;
  found.loaded = [...page.images].every(i => i.complete && i.naturalWidth > 0);
  found.fetched = win.performance.getEntriesByType("resource").map(e => e.name).filter(
    n => !n.startsWith("data:"));
  return found;
"""


@pytest.mark.slow
def test_a_browser_selects_slices_in_all_ways_and_changes_the_window(tmp_path):
    views = [view(k, *[entity()] * (k != 6)) for k in (0, 2, 4, 6, 7)]
    views[1] = view(2, entity(), entity("spleen", 1))
    path = write(tmp_path, views, {"checkpoint": "x" * 200})
    seen, console = browser.look(path, 390, _CODE)
    assert not console and seen["fetched"] == [] and seen["loaded"]
    assert seen["width"] <= 390 and seen["wide"] == []
    ways = {k: seen[k] for k in ("start", "right", "left", "first", "last", "swiped")}
    assert ways == dict(start="s2", right="s4", left="s0", first="s0", last="s7", swiped="s6")
    ways = {k: seen[k] for k in ("cell", "blank", "region", "strip", "slider")}
    assert ways == dict(cell="s0", blank="s6", region="s2", strip="s4", slider="s2")
    assert seen["said"] == "slice 7 (5 of 5)" and seen["column"] == "6"
    lung = [float(v) for v in series_pictures.table(-600, 1500).split()]
    np.testing.assert_allclose(seen["lung"], lung, atol=1e-3)
    assert seen["pressed"] == ["false", "true", "false", "false"] and seen["same"]
    assert "look-ct" in seen["filter"] and seen["over"] and seen["bare"] == "none"
