import html.parser
import re

import numpy as np
import pytest

from big_rad.evaluators import page

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


def section(records, kind="grounded"):
    metric = {"grounded": "g_iou", "vqa": "f1"}[kind]
    results = {"none": {metric: 0.8}, "blank": {metric: 0.1}, "shuffled": {metric: 0.25}}
    return page.Section("A title", kind, results, records, image)


def made(tmp_path, sections, **summary):
    path = page.write(tmp_path / "page.html", {"title": "Run", **summary}, sections)
    return path.read_text(encoding="utf-8")


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]


def test_page_is_self_contained(tmp_path):
    records = [record(i) for i in range(12)]
    text = made(tmp_path, [section(records), section(records, "vqa")], loss=[(1, 3.0), (2, 1.0)])
    links = Links()
    links.feed(text)
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in links.addresses)
    assert "url(" not in text and "@import" not in text
    assert not {"script", "link", "iframe", "object"} & set(links.tags)


@pytest.mark.parametrize("kind", ["grounded", "vqa"])
def test_page_escapes_hostile_text_everywhere(tmp_path, kind):
    boxes = [entity(HOSTILE, [0.1, 0.1, 0.5, 0.5], [0, 8]) | {"class_name": HOSTILE}]
    fields = dict.fromkeys(("prompt", "reference_text", "prediction_text", "id", "plane"), HOSTILE)
    bad = record(0, **fields, boxes={"reference": boxes, "prediction": boxes})
    hostile = page.Section(HOSTILE, kind, {"none": {}}, [bad], image, note=HOSTILE)
    text = made(tmp_path, [hostile], title=HOSTILE, lead=HOSTILE, facts={HOSTILE: HOSTILE})
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "<img src=http" not in text


@pytest.mark.parametrize("n", [1, 3, 12, 40])
def test_gallery_shows_every_sample_chosen_once(tmp_path, n):
    records = [record(i) for i in range(n)]
    groups = page.choose(records, "g_iou", per_group=4)
    chosen = [r["id"] for group in groups.values() for r in group]
    assert len(chosen) == len(set(chosen)) == min(n, 12)
    path = page.write(tmp_path / "p.html", {}, [section(records)], per_group=4)
    text = path.read_text(encoding="utf-8")
    assert sorted(re.findall(r"<code>(slice-\d+)</code>", text)) == sorted(chosen)


def test_best_and_worst_are_by_score():
    records = [record(i) for i in range(20)]
    groups = page.choose(records, "g_iou", per_group=3)
    assert [r["index"] for r in groups["best"]] == [19, 18, 17]
    assert [r["index"] for r in groups["worst"]] == [0, 1, 2]


def test_samples_without_a_score_can_only_be_random():
    records = [record(i, scores={"g_iou": None, "report_f1": 1.0}) for i in range(5)]
    groups = page.choose(records, "g_iou", per_group=3)
    assert (len(groups["best"]), len(groups["worst"]), len(groups["random"])) == (0, 0, 3)


def test_vqa_table_shows_right_and_wrong_answers(tmp_path):
    text = made(tmp_path, [section([record(i) for i in range(10)], "vqa")])
    assert "✓ right" in text and "✗ not exact" in text


def test_score_table_compares_with_the_better_control(tmp_path):
    text = made(tmp_path, [section([record(0)])])
    assert "<td>0.800</td><td>0.100</td><td>0.250</td>" in text
    assert "+0.550" in text


def test_entities_are_marked_in_the_text():
    marked = page.mark_entities("A <b> liver.", [entity("liver", None, [6, 11])], "ref")
    assert marked == 'A &lt;b&gt; <mark class="ref" title="liver">liver</mark>.'


def test_inverted_boxes_and_controls_that_did_not_run_make_no_error(tmp_path):
    bad = record(0)
    bad["boxes"]["prediction"] = [entity("liver", [0.9, 0.9, 0.1, 0.1], [4, 9])]
    part = page.Section("T", "grounded", {"none": {"g_iou": float("nan")}}, [bad], image)
    assert "slice-0" in made(tmp_path, [part])


def test_write_run_reads_the_loss_and_groups_controls(tmp_path):
    class Fake:
        type = "grounded"
        data = object()
        records = [record(i) for i in range(4)]

        def __init__(self, control):
            self.control = control

        def image(self, i):
            return image(i)

    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "training_loss": 4.0}\n{"step": 2, "training_loss": 2.0}\n'
    )
    evals = {"report": Fake("none"), "report_blank": Fake("blank")}
    metrics = {"report/g_iou": 0.5, "report_blank/g_iou": 0.125}
    path = page.write_run(tmp_path, {"steps": 2, "seconds": 1.5}, metrics, {"seed": 3}, evals)
    text = path.read_text(encoding="utf-8")
    assert path.name == "report.html" and "4.000 at step 1, 2.000 at step 2" in text
    assert "<td>0.500</td><td>0.125</td><td>–</td>" in text
