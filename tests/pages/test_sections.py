import base64
import hashlib

import numpy as np
import pytest

from big_rad.evaluators import samples as sample_files
from big_rad.inference import draw
from big_rad.pages import parts as page_parts
from big_rad.pages import script as page_script
from big_rad.pages import sections as page_sections
from big_rad.pages import style as page_style
from tests.helpers import html_page

HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' & <img src=http://evil.example/x>"


def entity(phrase, box, span):
    pixels = None if box is None else [c * 56 for c in box]
    return dict(
        phrase=phrase, class_id=5, class_name="liver", box=box, box_pixels=pixels, span=span
    )


def record(i, **fields):
    text = f"The liver of sample number {i}."
    boxes = [entity("liver", [0.1 + i / 100, 0.2, 0.5, 0.6], [4, 9])]
    return (
        dict(
            index=i,
            id=f"slice-{i}",
            prompt="\nCaption this image and detect keywords: \n",
            reference=text,
            prediction=text,
            reference_text=text,
            prediction_text=text,
            modality="CT",
            plane="axial",
            lang="en",
            task="report",
            question_type="yesno",
            scores={"g_iou": i / 20, "report_f1": 0.5, "f1": 0.5, "accuracy": float(i % 2)},
            image_size=[56, 56],
            boxes={"reference": boxes, "prediction": boxes},
        )
        | fields
    )


def image(i):
    return np.random.default_rng(i).uniform(-1, 1, (56, 56, 3)).astype(np.float32)


def pixels(records):
    return {r["index"]: draw.seen(image(r["index"]), r["modality"]) for r in records}


def section(records, kind="grounded"):
    metric = {"grounded": "g_iou", "vqa": "f1"}[kind]
    results = {"none": {metric: 0.8}, "blank": {metric: 0.1}, "shuffled": {metric: 0.25}}
    return page_sections.Section("A title", kind, results, records, pixels(records), 7)


def made(tmp_path, sections, **head):
    parts = [
        page_parts.header(head),
        page_sections.scores(sections),
        page_sections.galleries(sections),
    ]
    title, style = head.get("title", "Run"), page_style.GALLERY
    path = page_parts.save(tmp_path / "page.html", title, parts, style, page_script.GALLERY)
    return html_page.read(path)


def policy(page):
    return page.one("meta", http_equiv="Content-Security-Policy").get("content")


def test_page_is_self_contained(tmp_path):
    records = [record(i) for i in range(12)]
    page = made(tmp_path, [section(records), section(records, "vqa")])
    assert page.addresses
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in page.addresses)
    style = page.one("style").children[0]
    assert "url(" not in style and "@import" not in style
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert not any("url(" in (e.get("style") or "") for e in page.walk())


def test_a_page_has_one_script_and_its_policy_admits_no_other(tmp_path):
    page = made(tmp_path, [section([record(i) for i in range(3)])])
    script = page.one("script").children[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy(page)
    assert "default-src 'none'" in policy(page)
    attributes = {name for element in page.walk() for name in element.attrs}
    assert not any(name.startswith("on") for name in attributes)  # No inline event handlers.
    plain = html_page.read(page_parts.save(tmp_path / "plain.html", "T", ["<p>text</p>"]))
    assert "script-src 'none'" in policy(plain) and not plain.all("script")


@pytest.mark.parametrize("kind", ["grounded", "vqa"])
def test_page_escapes_hostile_text_everywhere(tmp_path, kind):
    boxes = [entity(HOSTILE, [0.1, 0.1, 0.5, 0.5], [0, 8]) | {"class_name": HOSTILE}]
    boxes.append(entity(HOSTILE, None, [9, 12]) | {"class_name": "", "class_id": 0})
    names = ("prompt", "reference_text", "prediction_text", "id", "plane", "lang", "modality")
    fields = dict.fromkeys((*names, "question_type"), HOSTILE)
    fields["scores"] = {"g_iou": 0.5, "f1": 0.5, "accuracy": 0.0, HOSTILE: 0.5}
    bad = record(0, **fields, boxes={"reference": boxes, "prediction": boxes[:1]})
    hostile = page_sections.Section(HOSTILE, kind, {"none": {}}, [bad, record(1)], pixels([bad]))
    page = made(tmp_path, [hostile], title=HOSTILE, lead=HOSTILE, facts={HOSTILE: HOSTILE})
    assert page.one("script").children == [page_script.GALLERY]
    assert all(img.get("src").startswith("data:image/png;base64,") for img in page.all("img"))
    # The text is complete wherever it is shown, so no part of it became markup.
    assert page.one("h1").words == HOSTILE == page.one("p", "lead").words
    assert HOSTILE in page.one("table", "scores").words
    (card,) = [c for c in page.all("article") if c.one("p", "meta").words.startswith("#0 ")]
    assert HOSTILE in card.one("p", "meta").words and HOSTILE in card.one("p", "chips").words
    assert {name for e in page.one("main").walk() for name in e.attrs} <= {
        "id", "scope", "colspan", "href", "hidden", "name", "placeholder", "aria-label", "value",
        "class", "data-tags", "data-lang", "data-modality", "data-classes", "data-entity",
        "data-class", "src", "alt", "loading", "type", "title", "tabindex", "viewbox", "x", "y",
        "width", "height", "font-size",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["grounded", "vqa"])
def test_a_sample_whose_image_was_not_kept_is_shown_without(tmp_path, kind):
    part = page_sections.Section("T", kind, {}, [record(0), record(1)], pixels([record(1)]))
    page = made(tmp_path, [part])
    assert len(page.all("article", "card")) == 2
    missing = page.one("p", "no-picture").words
    assert missing == "The image of this sample is not in the run directory."


def test_scores_without_samples_and_samples_without_scores_are_shown(tmp_path):
    scored = page_sections.Section(
        "Scored", "grounded", {"none": {"g_iou": 0.5, "n": 300.0}}, [], {}, 12
    )
    seen = page_sections.Section("Seen", "vqa", {}, [record(0)], {})
    page = made(tmp_path, [scored, seen])
    assert "step 12, n = 300" in page.one("table", "scores").words
    assert page.one("section", id="s0").one("p", "note").words == "No samples yet."
    assert len(page.all("article", "card")) == 1


def test_score_table_compares_with_the_better_control(tmp_path):
    page = made(tmp_path, [section([record(0)])])
    assert ["G-IoU", "0.800", "0.100", "0.250", "+0.550"] in page.cells()


def test_entities_are_marked_in_the_text():
    marked = page_parts.mark_entities("A <b> liver.", [entity("liver", None, [6, 11])], "ref")
    assert marked == 'A &lt;b&gt; <mark class="ref" title="liver">liver</mark>.'


def test_inverted_boxes_and_controls_that_did_not_run_make_no_error(tmp_path):
    bad = record(0)
    bad["boxes"]["prediction"] = [entity("liver", [0.9, 0.9, 0.1, 0.1], [4, 9])]
    for value in (float("nan"), None):
        part = page_sections.Section(
            "T", "grounded", {"none": {"g_iou": value}}, [bad], pixels([bad])
        )
        # Only the box of the reference is drawn.
        assert len(made(tmp_path, [part]).all("rect")) == 1


def test_controls_of_the_same_questions_stand_beside_each_other(tmp_path):
    report = dict(type="grounded", builder="a", split="test", pp="load", control="none")
    evals = {
        "report": report | {"every": 5},
        "report_blank": report | {"control": "blank"},
        "other_blank": report | {"control": "blank", "split": "train"},
        "asked": dict(report, type="vqa"),
        "never_run": dict(report, split="validation"),
        "unknown": dict(report, type="of_another_kind"),
    }
    sample_files.write(tmp_path, "report", [record(0)], pixels([record(0)]))
    results = {"report": {"g_iou": 0.5}, "report_blank": {"g_iou": 0.125}, "asked": {"f1": 0.3}}
    results["other_blank"] = {"g_iou": 0.75}
    found = page_sections.sections_of(evals, results, {"report": 5}, tmp_path)
    assert [s.title for s in found] == ["Grounded reports", "Asked"]
    assert found[0].results == {"none": {"g_iou": 0.5}, "blank": {"g_iou": 0.125}}
    assert found[0].names == {"none": "report", "blank": "report_blank"}
    assert (found[0].step, found[1].step) == (5, None)
    assert ["G-IoU", "0.500", "0.125", "+0.375"] in made(tmp_path, found).cells()


def test_a_mirrored_control_has_a_column_where_it_was_run_and_is_no_part_of_the_difference(
    tmp_path,
):
    without = section([record(0)])
    assert "mirrored" not in html_page.parse(page_sections.scores([without])).words.lower()
    results = without.results | {"mirrored": {"g_iou": 0.7}}
    part = page_sections.Section("T", "grounded", results, [], {})
    page = html_page.parse(page_sections.scores([part]))
    assert ["G-IoU", "0.800", "0.100", "0.250", "0.700", "+0.550"] in page.cells()
    assert "Mirrored: left and right" in page.one("p", "note").words
