"""Tests the page of a data set by the elements that a reader meets."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from big_rad.annotate import card, page
from tests.helpers import browser, html_page

HOSTILE = "<script>alert(1)</script> \"q\" 'q' & <img src=http://evil.example/x>"
HEIGHT, WIDTH = 40, 60


def segmap():
    # The liver (5) lies on the viewer's left, the left kidney (3) on the right, and two lobes of
    # the right lung (12, 13) above.
    made = np.zeros((HEIGHT, WIDTH), np.uint8)
    made[10:30, 6:22] = 5
    made[20:28, 42:50] = 3
    made[2:6, 20:30], made[2:6, 30:36] = 12, 13
    return made


def image_of(_):
    pixels = np.full((HEIGHT, WIDTH), -1000, np.int16)
    pixels[segmap() > 0] = 60
    return pixels, segmap()


def item(number, sentence="The liver is large.", keywords=(("liver", "liver", 5),), **more):
    return {
        "id": f"{number:020x}", "patient": "p", "study": "s", "volume": "v", "modality": "CT",
        "plane": "axial", "slice": 7, "slices": 90, "shape": [HEIGHT, WIDTH], "spacing": [1.0, 1.0],
        "body_part": "ABDOMEN", "visible": [3, 5, 12, 13],
        "boxes": [[42, 20, 50, 28, 3], [6, 10, 22, 30, 5], [20, 2, 36, 6, 119]],
        "texts": {"en": {"sentence": sentence, "clinical": "Pain.", "indication": "",
                         "keywords": [list(k) for k in keywords]}},
        "provenance": {"en": {"line": 17, "link": "reference", "section": "findings",
                              "sentence": 3, "rewritten": True, "scrubbed": {"name": 2},
                              "mentions": []}},
        "segmentation": {"source": "precomputed", "version": "", "task": ""},
    } | more  # fmt: skip


def write(tmp_path, items, rejects=(), counts=None, **options):
    made = card.make(counts or {})[0]
    return page.write(tmp_path / "page.html", items, image_of, rejects, made, **options)


def made(*args, **options):
    return html_page.read(write(*args, **options))


def sample(tree):
    return tree.all("section")[0].all("article", css="card")


def test_the_page_links_to_nothing_and_has_no_script(tmp_path):
    tree = made(tmp_path, [item(k) for k in range(3)])
    assert all(a.startswith("data:image/") for a in tree.addresses)
    assert "script" not in tree.tags


def test_a_phrase_its_mask_its_box_and_the_legend_have_one_colour(tmp_path):
    path = write(tmp_path, [item(1)])
    (shown,) = sample(html_page.read(path))
    assert shown.one("mark").words == "liver" and shown.one("mark").classes == ["k5"]
    assert shown.one("rect", css="k5").get("x") == "6"
    assert [li.words for li in shown.all("li", css="k5")] == ["liver"]
    assert [g.all("path") != [] for g in shown.all("g", css="k5")] == [True]
    colours = dict(re.findall(r"\.k(\d+) \{ --c: (#\w+)", path.read_text()))
    assert {"3", "5", "12", "13"} <= set(colours) and len(set(colours.values())) == len(colours)


def test_only_named_classes_are_marked_and_others_can_be_looked_at(tmp_path):
    (shown,) = sample(made(tmp_path, [item(1)]))
    assert not shown.all("rect", css="k3")
    others = shown.one("g", css="other")
    assert {c for g in others.all("g") for c in g.classes} == {"k3", "k12", "k13"}
    assert "left kidney" in shown.one("details").words


def test_a_coarse_class_has_the_mask_of_its_parts(tmp_path):
    text = "The right lung is clear."
    (shown,) = sample(made(tmp_path, [item(1, text, [("right lung", "lung_right", 119)])]))
    path = shown.one("g", css="k119").one("path").get("d")
    assert path.startswith("M20 2h16v4")  # Both lobes as one.


@pytest.mark.parametrize(
    "plane, sides", [("axial", "RLAP"), ("coronal", "RLHF"), ("sagittal", "APHF")]
)
def test_the_sides_of_the_patient_are_at_the_edges(tmp_path, plane, sides):
    (shown,) = sample(made(tmp_path, [item(1, plane=plane)]))
    found = {b.classes[0]: b.words for b in shown.one("div", css="stage").all("b")}
    assert [found[edge] for edge in ("left", "right", "head", "foot")] == list(sides)


def test_pictures_have_the_proportions_of_the_patient(tmp_path):
    (shown,) = sample(made(tmp_path, [item(1, plane="coronal", spacing=[3.0, 1.0])]))
    assert shown.one("div", css="stage").get("style") == "--a:0.5000"
    assert shown.one("svg").get("viewbox") == "0 0 60 120"


def test_a_phrase_of_two_classes_names_both(tmp_path):
    keywords = [("kidneys", "kidney_right", 2), ("kidneys", "kidney_left", 3)]
    (shown,) = sample(made(tmp_path, [item(1, "Both kidneys are normal.", keywords)]))
    assert shown.one("mark").get("title") == "right kidney, left kidney"
    assert "right kidney (not in the slice)" in shown.one("ul", css="legend").words


def test_each_place_of_the_same_words_has_its_own_class(tmp_path):
    text = "Rechts im Unterlappen ein Rundherd, links ist der Unterlappen frei."
    given = [["Unterlappen", "lung_lower_lobe_right", 14], ["Unterlappen", "x", 11]]
    texts = {"de": {"sentence": text, "clinical": "", "indication": "", "keywords": given}}
    (shown,) = sample(made(tmp_path, [item(1, texts=texts)]))
    assert [(m.get("title"), m.classes) for m in shown.all("mark")] == [
        ("right lower lobe", ["k14"]),
        ("left lower lobe", ["k11"]),
    ]


def test_the_provenance_of_a_sentence_is_said(tmp_path):
    (shown,) = sample(made(tmp_path, [item(1)]))
    assert (
        "the sentence names the image, and its series if there are several; line 17 of the "
        "manifest, findings, sentence 3; "
        "rewritten; taken out: 2 name" in shown.words
    )
    changed = item(1)
    changed["provenance"]["en"]["link"] = "proposed"
    (shown,) = sample(made(tmp_path, [changed]))
    assert shown.one("span", css="doubt").words == "proposed link"


def test_mr_is_stretched_between_percentiles(tmp_path):
    pixels = np.tile(np.linspace(0, 400, WIDTH), (HEIGHT, 1)).astype(np.float32)
    pixels[0, 0] = 30000  # A bright pixel, which would leave the rest black.
    made_card = card.make({})[0]
    path = tmp_path / "page.html"
    page.write(path, [item(1, modality="MR")], lambda _: (pixels, segmap()), [], made_card)
    uri = sample(html_page.read(path))[0].one("img").get("src")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("L"))
    assert 100 < shown[20, WIDTH // 2] < 155 and shown[20, -1] > 240


def test_the_sample_and_the_page_do_not_depend_on_the_order(tmp_path):
    items = [item(k) for k in range(40)]
    first = write(tmp_path / "a", items, sample=5, rare=2).read_bytes()
    again = write(tmp_path / "b", iter(items[::-1]), sample=5, rare=2).read_bytes()
    assert first == again
    assert len(sample(html_page.parse(first.decode()))) == 5


def test_each_of_the_rarest_classes_has_an_image(tmp_path):
    items = [item(k) for k in range(20)]
    items += [item(20, "Left kidney.", [("Left kidney", "kidney_left", 3)])]
    items += [item(k, "Right lung.", [("Right lung", "lung_right", 119)]) for k in range(21, 23)]
    tree = made(tmp_path, items, sample=1, rare=2)
    rare = tree.all("section")[1].all("article")
    assert [a.one("span", css="tag").words for a in rare] == [
        "left kidney: 1 image",
        "right lung: 2 images",
    ]


def test_what_was_left_out_is_listed_without_texts(tmp_path):
    rejects = [
        {"line": k, "stage": "match", "what": "sentence", "reason": "no class is in the slice",
         "count": 2, "text": "Frau Musterfrau"}
        for k in range(2, 12)
    ]  # fmt: skip
    path = write(tmp_path, [item(1)], rejects)
    table = html_page.read(path).all("section")[2].one("table")
    assert table.cells()[1:] == [
        ["match", "sentence", "no class is in the slice", "20", "2, 3, 4, 5, 6"]
    ]
    assert "Musterfrau" not in path.read_text()


def test_texts_are_escaped(tmp_path):
    hostile = item(1, HOSTILE, body_part=HOSTILE, segmentation={"source": HOSTILE})
    rejects = [{"line": 1, "stage": HOSTILE, "what": HOSTILE, "reason": HOSTILE, "count": 1}]
    tree = made(tmp_path, [hostile], rejects, {"title": HOSTILE, "warnings": [HOSTILE * 9]})
    assert "script" not in tree.tags
    assert all(a.startswith("data:image/") for a in tree.addresses)


def test_a_page_without_images_is_whole(tmp_path):
    tree = made(tmp_path, [])
    assert [s.one("h2").words for s in tree.all("section")] == [
        "Random sample",
        "Rare classes",
        "What was left out",
    ]


def test_pictures_lose_quality_where_the_page_would_be_too_large(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 300, (256, 256)).astype(np.int16)
    labels = np.kron(segmap()[:32, :32], np.ones((8, 8), np.uint8))
    items = [item(k) for k in range(10)]
    made_card = card.make({})[0]
    path = page.write(
        tmp_path / "page.html", items, lambda _: (noise, labels), [], made_card, max_bytes=300_000
    )
    assert 100_000 < path.stat().st_size < 320_000


@pytest.mark.slow
def test_a_window_is_chosen_without_a_script_and_the_page_fits_a_phone(tmp_path):
    path = write(tmp_path, [item(1), item(2)])
    code = """
      const img = page.querySelector(".ct img"), others = page.querySelector(".other");
      const look = e => page.defaultView.getComputedStyle(e);
      const before = look(img).filter, hidden = look(others).display;
      page.querySelector("#w2").click(); page.querySelector("#all").click();
      return {before, after: look(img).filter, hidden, shown: look(others).display,
              colour: look(page.querySelector("mark")).backgroundColor};"""
    found, console = browser.look(path, 390, code)
    assert found["width"] <= 390 and not found["wide"] and not console
    assert ("look0" in found["before"], "look2" in found["after"]) == (True, True)
    assert (found["hidden"], found["shown"]) == ("none", "inline")
    assert found["colour"] not in ("", "rgba(0, 0, 0, 0)")
