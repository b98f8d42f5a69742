import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from big_rad.evaluators import samples as sample_files
from big_rad.grounding import masks
from big_rad.inference import draw
from big_rad.pages import gallery
from big_rad.pages import parts as page_parts
from big_rad.pages import script as page_script
from big_rad.pages import style as page_style
from big_rad.pp import ops_image
from tests.helpers import browser, html_page

LABELS = {"g_iou": "G-IoU", "f1": "F1"}
KIDNEYS = "The right kidney and the left kidney."


def entity(name, number, box, span, **more):
    fields = dict(phrase=name, class_id=number, class_name=name.replace(" ", "_"), span=span)
    return fields | dict(box=box, box_pixels=[c * 56 for c in box]) | more


RIGHT = entity("kidney right", 2, [0.1, 0.4, 0.3, 0.7], [4, 16], iou=0.5)
LEFT = entity("kidney left", 3, [0.7, 0.4, 0.9, 0.7], [25, 36])
SPLEEN = entity("spleen", 1, [0.6, 0.1, 0.9, 0.3], [4, 10])


def record(i, reference=(RIGHT, LEFT), prediction=(RIGHT,), **fields):
    return dict(
        index=i, id=f"secret-{i}", image_id=f"secret-{i}", prompt="\nDescribe:\n",
        reference_text=KIDNEYS, prediction_text=KIDNEYS, modality="CT", plane="axial", lang="en",
        question_type="", image_size=[56, 56], scores={"g_iou": i / 40, "f1": 0.5, "accuracy": 0.0},
        boxes={"reference": list(reference), "prediction": list(prediction)},
    ) | fields  # fmt: skip


def image(i, modality="CT"):
    hu = np.random.default_rng(i).uniform(-1000, 1000, (56, 56)).astype(np.float32)
    windows = ops_image.ct_windows(hu)
    return draw.seen(np.repeat(windows[..., :1], 3, -1) if modality == "MR" else windows, modality)


def cards(records, kind="grounded", keep=lambda r: True):
    pixels = {r["index"]: image(r["index"], r["modality"]) for r in records if keep(r)}
    return gallery.cards(records, pixels, kind, LABELS)


@pytest.mark.parametrize("kind", ["grounded", "vqa"])
@pytest.mark.parametrize("n", [1, 3, 12, 40])
def test_every_sample_that_is_looked_at_has_one_card(kind, n):
    records = [record(i) for i in range(n)]
    chosen = {r["index"] for g in sample_files.groups(records, kind).values() for r in g}
    page = html_page.parse(cards(records, kind))
    numbers = [int(p.words.split()[0].removeprefix("#")) for p in page.all("p", "meta")]
    assert sorted(numbers) == sorted(chosen) and len(page.all("article")) == len(chosen)


def test_no_id_of_the_data_is_on_a_card():
    assert "secret" not in cards([record(i, patient="secret") for i in range(9)])


def test_a_card_says_all_groups_that_its_sample_is_of():
    records = [record(i, (RIGHT, LEFT), (RIGHT, LEFT)) for i in range(20)]
    records[0] = record(0, (RIGHT,), (SPLEEN,))
    (first,) = [
        card
        for card in html_page.parse(cards(records)).all("article", "card")
        if card.one("p", "meta").words.startswith("#0 ")
    ]
    tags = ["worst", "hallucination", "miss"]
    assert first.get("data-tags").split() == tags == [b.words for b in first.all("b", "tag")]


def test_a_phrase_and_its_mark_carry_one_name_and_the_other_side_the_same_class():
    card = html_page.parse(cards([record(0)])).one("article")
    marks = {g.get("data-entity"): g for g in card.all("g")}
    phrases = {m.get("data-entity"): m for m in card.all("mark")}
    assert set(marks) == set(phrases) == {"r0", "r1", "p0"}
    for name, mark in marks.items():
        assert mark.get("data-class") == phrases[name].get("data-class")
        assert mark.one("title").children == [phrases[name].get("title")]
    class_of = {name: mark.get("data-class") for name, mark in marks.items()}
    assert class_of["r0"] == class_of["p0"] != class_of["r1"]
    assert phrases["r0"].words == "right kidney"
    assert marks["r0"].one("text").words == "kidney right"
    assert phrases["r0"].get("title") == "kidney right, IoU 0.50"
    box = marks["r0"].one("rect")
    found = [float(box.get(k)) for k in ("x", "y", "width", "height")]
    np.testing.assert_allclose(found, [0.1 * 56, 0.4 * 56, 0.2 * 56, 0.3 * 56], rtol=1e-4)


def test_ct_is_shown_in_its_three_windows_and_mr_as_it_is():
    ct = html_page.parse(cards([record(0)]))
    assert len(ct.all("img")) == 3 and len(ct.all("button", type="button")) == 2
    assert ct.one("span", "window").words == "soft tissue (W 350, L 40)"
    others = [button.words for button in ct.one("div", "windows").all("button")]
    assert others == ["wide (W 2250, L -100)", "brain (W 80, L 40)"]
    assert len(html_page.parse(cards([record(0, modality="MR")])).all("img")) == 1
    colours = np.random.default_rng(0).uniform(-1, 1, (56, 56, 3)).astype(np.float32)
    for modality in ("CT", "MR"):
        seen = {0: draw.seen(colours, modality)}
        page = html_page.parse(
            gallery.cards([record(0, modality=modality)], seen, "grounded", LABELS)
        )
        assert len(page.all("img")) == 1 and "soft tissue" not in page.words


def test_phrases_without_a_class_belong_together_as_they_are_counted():
    named = [dict(LEFT, class_id=0, class_name="", phrase=p) for p in ("a cyst", " A Cyst")]
    made = record(0, named[:1], named[1:])
    assert not sample_files.hallucinated(made) and not sample_files.missed(made)
    card = html_page.parse(cards([made])).one("article")
    assert {m.get("data-class") for m in card.all("mark")} == {"a_cyst"}
    assert {m.get("title") for m in card.all("mark")} == {"unknown class"}


def fill(path, shape):
    mask = np.zeros(shape, int)
    for x, y, n, back in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path):
        assert n == back
        mask[int(y), int(x) : int(x) + int(n)] += 1
    return mask


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_drawn_mask_fills_its_pixels_once_and_is_outlined_along_their_edges(mask):
    drawn = dict(RIGHT, mask=masks.to_runs(mask), box_pixels=[0.0, 0.0, 1.0, 1.0])
    seen = {0: np.zeros((9, 9), np.uint8)}
    page = html_page.parse(gallery.cards([record(0, (drawn,), ())], seen, "grounded", LABELS))
    inside, outline = page.all("path")
    np.testing.assert_array_equal(fill(inside.get("d"), mask.shape), mask)
    edges = set()
    for x, y, way, n in re.findall(r"M(\d+) (\d+)([hv])(\d+)", outline.get("d")):
        new = {(int(x) + k * (way == "h"), int(y) + k * (way == "v"), way) for k in range(int(n))}
        assert not new & edges
        edges |= new
    padded = np.pad(mask, 1)
    expected = set()
    for y in range(mask.shape[0] + 1):
        for x in range(mask.shape[1] + 1):
            if padded[y, x + 1] != padded[y + 1, x + 1] and x < mask.shape[1]:
                expected.add((x, y, "h"))
            if padded[y + 1, x] != padded[y + 1, x + 1] and y < mask.shape[0]:
                expected.add((x, y, "v"))
    assert edges == expected


def test_masks_are_drawn_in_place_of_boxes_and_blank_ones_not_at_all():
    mask = np.zeros((56, 56), bool)
    mask[10:20, 5:9] = True
    drawn = dict(RIGHT, mask=masks.to_runs(mask), box_pixels=[5.0, 10.0, 9.0, 20.0])
    blank = dict(LEFT, mask=None, box_pixels=None)
    page = html_page.parse(cards([record(0, (drawn, blank), ())]))
    assert not page.all("rect") and len(page.all("g")) == 1
    assert "M5 10h4v1h-4z" in page.one("path", "in").get("d")


def test_the_filter_offers_what_there_is_and_nothing_to_choose_where_there_is_one():
    records = [record(i, lang="de" if i % 2 else "en") for i in range(4)]
    page = html_page.parse(gallery.filters([(records, "grounded")]))
    assert {s.get("name") for s in page.all("select")} >= {"lang", "classes"}
    assert not page.all("select", name="modality")
    assert page.one("option", value="kidney_left").words == "kidney left"
    assert gallery.filters([([], "grounded"), ([], "vqa")]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_filters_cards_links_phrases_with_marks_and_changes_windows(tmp_path, width):
    records = [record(i, lang="de" if i % 2 else "en") for i in range(12)]
    records[3] = record(3, (RIGHT,), (SPLEEN,), lang="de", prediction_text="The Milz is large.")
    pixels = {r["index"]: image(r["index"]) for r in records}
    parts = [gallery.filters([(records, "grounded")]), "<section>"]
    parts += [gallery.cards(records, pixels, "grounded", LABELS), "</section>"]
    path = tmp_path / "page.html"
    page_parts.save(path, "T", parts, page_style.GALLERY, page_script.GALLERY)
    code = """
      const win = page.defaultView, form = page.querySelector(".filter");
      const cards = [...page.querySelectorAll(".card")];
      const left = () => cards.filter(c => c.offsetParent).map(c => c.dataset.lang);
      const set = (name, value) => { form.elements[name].value = value;
        form.dispatchEvent(new win.Event("input", {bubbles: true})); };
      const found = {all: left().length, form: form.offsetParent !== null};
      set("words", "MILZ large"); found.words = left();
      found.said = form.querySelector("output").value;
      set("words", ""); set("lang", "en"); found.english = left();
      set("classes", "spleen"); found.none = left().length;
      found.empty = page.querySelector("section").classList.contains("empty");
      set("lang", ""); found.spleen = left(); set("classes", "");
      const card = cards.find(c => c.querySelector('mark[data-entity="p0"][data-class="2"]'));
      const on = () => [...card.querySelectorAll(".on")].map(e => e.tagName + e.dataset.entity);
      const over = name => card.querySelector('mark[data-entity="r0"]').dispatchEvent(
        new win.MouseEvent(name, {bubbles: true}));
      over("mouseover"); found.on = on(); found.dim = win.getComputedStyle(
        card.querySelector('g[data-entity="r1"]')).opacity;
      over("mouseout"); found.off = on();
      card.querySelector('g[data-entity="r1"]').dispatchEvent(
        new win.MouseEvent("mouseover", {bubbles: true}));
      found.mark = on();
      const stage = card.querySelector(".stage img"), button = card.querySelector("button");
      const before = [stage.src, button.querySelector("img").src];
      button.click();
      found.swapped = stage.src === before[1] && button.querySelector("img").src === before[0];
      found.window = card.querySelector(".window").textContent;
      const svg = card.querySelector("svg").getBoundingClientRect();
      found.over = ["width", "height"].every(
        k => Math.abs(svg[k] - stage.getBoundingClientRect()[k]) < 1);
      return found;"""
    seen, console = browser.look(path, width, code)
    assert not console and seen["wide"] == [] and seen["width"] <= width
    assert seen["all"] > 8 and seen["form"]
    assert seen["words"] == ["de"] and seen["said"].startswith("1 of ")
    assert set(seen["english"]) == {"en"} and seen["spleen"] == ["de"]
    assert seen["none"] == 0 and seen["empty"]
    assert sorted(seen["on"]) == ["MARKp0", "MARKr0", "gp0", "gr0"] and seen["off"] == []
    assert float(seen["dim"]) < 0.5 and sorted(seen["mark"]) == ["MARKr1", "gr1"]
    assert seen["swapped"] and seen["window"].startswith("wide") and seen["over"]
